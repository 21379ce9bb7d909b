/**
 * A pane: one file, or several as one, with its state, its fields and its rows. It puts the parts together; what has
 * rules of its own lives in a module of its own.
 */

import { Actions } from './actions.js';
import { Copier } from './copy.js';
import { Feed } from './feed.js';
import { Fields } from './fields.js';
import { PaneHead } from './head.js';
import { totalHeight } from './layout.js';
import { LogList } from './list.js';
import { RowLooks } from './looks.js';
import { ErrorMap } from './map.js';
import { Menu } from './menu.js';
import { FilePicker } from './picker.js';
import { Rows } from './rows.js';
import { SearchDrawer } from './search.js';
import { settings } from './settings.js';
import { stateText } from './state.js';
import { LogStore } from './store.js';
import { speakIn, t } from './texts.js';
import { ordinalOf } from './walk.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {import('./view.js').PaneView} PaneView
 * @typedef {{ files: import('./files.js').FileList, requestFrame(): void, count(): number, tell(text: string): void, say(text: string): void,
 *   onView(): void, onSettings(): void, onClose(pane: Pane): void, onFile(pane: Pane, name: string): void }} Page
 */

/**
 * While every drawing would replace all that is on the screen, nobody can read more than so many: one in this time, and
 * fewer with each other pane that is drawn as well.
 */
const FLOOD = 34;
const FLOOD_PANE = 6;

/** So many lines are no work for the map. */
const FEW = 5_000;

export class Pane {
  /** @type {HTMLElement} */
  element;
  /** @type {PaneView[]} what it shows: one file, or all of a merged pane, of which the first has the fields */
  views;
  /** Whether there is something to draw. */
  dirty = true;

  // Its parts, as far as its actions need them.
  page;
  does = new Actions(this);
  store = new LogStore(settings);
  rows = new Rows(this.store);
  /** @type {LogList} */
  list;
  /** @type {Feed} */
  feed;
  search;
  /** @type {Fields} */
  fields;
  /** @type {Copier} */
  copier;

  #head;
  #map;
  #picker;
  #looks = new RowLooks(this.store, this.rows);
  /** Where the reader was when the log was paused. @type {import('./list.js').Place | null} */
  #stood = null;
  #drawn = { at: 0, added: 0 };
  #added = 0;
  #mapDirty = true;
  #ticks = 0;

  /**
   * @param {PaneView[]} views
   * @param {Page} page
   */
  constructor(views, page) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('pane'));
    this.element = /** @type {HTMLElement} */ (/** @type {Element} */ (template.content.firstElementChild).cloneNode(true));
    this.views = views;
    this.page = page;
    this.#head = new PaneHead(this.element);
    this.list = new LogList(this.#get('.log'), this.store, this.rows, {
      onFollow: (following) => this.#followed(following),
      onWish: () => this.wish(),
      onNear: (edge) => (edge === 'top' ? this.feed.loadOlder() : this.feed.loadNewer()),
      lookOf: (index, line) => this.#looks.of(index, line),
      make: (index, line) => this.#looks.make(index, line),
      isMarked: (block, line) => this.copier.isMarked(block, line),
    });
    this.#map = new ErrorMap(/** @type {HTMLCanvasElement} */ (this.#get('.map')), (share) => this.#jump(share));
    this.#picker = new FilePicker(page.files, this.#get('.file'), this.#get('.files'), (name) => page.onFile(this, name));
    this.search = new SearchDrawer(
      this.#get('.results'),
      (hit, number) => this.does.openHit(hit, number),
      () => this.focus(),
    );
    this.copier = new Copier(this.list, this.store, this.rows, page.tell);
    this.fields = new Fields(this.element, {
      onFilter: (filter) => this.#filtered(filter),
      onFind: (finder) => this.#found(finder),
      onHit: () => this.does.toHit(-1),
      onWhole: () => this.does.searchWhole(),
      onLeave: () => this.focus(),
    });
    new Menu(this.#get('.more-button'), this.#get('.menu'), () => this.does.menuItems());
    this.feed = this.#newFeed();
    this.#listen();
    const { filter, find } = views[0];
    this.fields.set('filter', filter);
    this.fields.set('find', find);
    if (this.merged) this.#get('.whole').dataset.text = 'allFiles';
    this.setWords();
    this.applySettings();
  }

  /** Connects; apart from the constructor, as the element has to be in the document. */
  open() {
    this.feed.open();
  }

  close() {
    this.feed.close();
    this.search.cancel();
    this.element.remove();
  }

  get files() {
    return this.views.map(({ file }) => file);
  }

  get merged() {
    return this.views.length > 1;
  }

  focus() {
    this.#get('.log').focus({ preventScroll: true });
  }

  /** Shows another file. @param {string} name */
  setFile(name) {
    this.feed.close();
    this.search.close();
    this.views = [{ ...this.views[0], file: name }];
    this.feed = this.#newFeed();
    this.list.follow();
    this.#named();
    this.open();
  }

  #newFeed() {
    return new Feed(this.files, this.store, this.rows, {
      isFollowing: () => this.list.following,
      nearIndex: () => this.list.nearIndex,
      onLines: () => {
        this.#added += 1;
        this.wish();
      },
      onState: () => this.#showState(true),
      onCleared: () => {
        this.copier.clearMarks();
        this.#stood = null;
        this.list.reset();
      },
      onAttached: (attached) => {
        this.list.mayFollow = attached;
      },
      onNotice: (text) => this.page.tell(t(text)),
    });
  }

  // Drawing.

  wish() {
    this.dirty = true;
    this.page.requestFrame();
  }

  /** @param {number} now */
  draw(now) {
    if (!this.dirty) return;
    if (this.list.following && this.#added !== this.#drawn.added && now - this.#drawn.at < FLOOD + FLOOD_PANE * this.page.count() && this.#flooded) {
      this.page.requestFrame();
      return;
    }
    this.dirty = false;
    this.#mapDirty = true;
    this.#drawn = { at: now, added: this.#added };
    const before = this.store.lines;
    if (!this.rows.advance(this.list.nearIndex)) this.wish();
    this.list.render();
    this.#flooded = this.store.lines - before > this.list.page;
    this.#showEmpty();
  }

  #flooded = true;

  /** Rows look different now: other words, times, highlights. */
  #restyle() {
    this.#looks.change(this.files, this.views[0].columns);
    this.wish();
  }

  applySettings() {
    const { metrics } = this.rows;
    this.store.maxLines = settings.maxLines;
    this.store.maxBytes = settings.maxBytes;
    this.element.classList.toggle('wrap', settings.wrap);
    this.element.classList.toggle('timed', settings.times > 0);
    this.#map.refresh();
    this.#mapDirty = true;
    metrics.rowHeight = this.list.rowHeight;
    metrics.columns = this.list.columnsInSight - (settings.times > 0 ? 14 : 0) - (this.merged ? 16 : 0);
    if (metrics.wrap !== settings.wrap || this.rows.folding !== settings.fold) {
      metrics.wrap = settings.wrap;
      this.rows.folding = settings.fold;
      this.rows.rebuild();
      this.list.refresh();
    }
    this.#restyle();
  }

  // State.

  /** @param {boolean} [aloud] */
  #showState(aloud = false) {
    const shown = this.feed.streams.state;
    const { following } = this.list;
    const changed = this.#head.state(shown, { following, merged: this.merged });
    if (changed && aloud) this.page.say(`${this.files.join(', ')}: ${stateText(shown.state, following, null)}`);
    const { loading, beginning } = this.feed;
    const atTop = !following && this.store.lines > 0 && this.#get('.log').scrollTop < 40;
    const edge = loading === 'older' ? 'loadingOlder' : 'beginning';
    this.#head.edge(atTop && (loading === 'older' || beginning) ? t(edge) : '');
    this.#showEmpty();
  }

  /** What changes with time; called some times a second. */
  tick() {
    this.#showState();
    const { at, old, file } = this.feed.streams.last;
    this.#head.last((old && this.page.files.modified(file)) || at);
    const { shown, found } = this.rows.counts();
    const { filter, finder } = this.rows;
    const { cursor } = this.list;
    const n = finder && cursor ? ordinalOf(this.store.blocks, cursor) : 0;
    const foundText = n > 0 ? t('counts', { n, total: found }) : t('count', { n: found });
    this.#head.counts(filter ? t('counts', { n: shown, total: this.store.lines }) : '', finder ? foundText : '');
    const { fresh } = this.feed;
    if (!this.list.following) this.#head.pill(filter ? fresh.shown : fresh.all, this.#stoodHeld);
    this.#ticks += 1;
    // Of many lines the map changes slowly, and looking at all of them takes a while.
    if (this.#mapDirty && (this.store.lines < FEW || this.#ticks % 6 === 0)) {
      this.#mapDirty = false;
      this.#map.draw(this.store.blocks);
    }
  }

  get #stoodHeld() {
    return this.#stood !== null && this.store.blocks.includes(this.#stood.block);
  }

  #showEmpty() {
    const { blocks, lines } = this.store;
    const { state, file } = this.feed.streams.state;
    const what = { file, filtered: this.rows.partial && lines > 0, term: this.views[0].filter };
    this.#head.empty(state, blocks.some(({ rows }) => rows.length > 0) ? null : what);
  }

  // Following and pausing.

  /** @param {boolean} following */
  #followed(following) {
    if (following) {
      this.feed.toEnd();
    } else {
      this.feed.startCounting();
      this.#stood = this.list.topLine;
    }
    this.#head.following(following);
    this.tick();
    this.page.say(t(following ? 'following' : 'paused'));
  }

  /** @param {number} share of all */
  #jump(share) {
    this.list.pause(true);
    const log = this.#get('.log');
    log.scrollTop = share * totalHeight(this.store.blocks) - log.clientHeight / 2;
  }

  // Filter and find.

  /** @param {import('./terms.js').Filter | null} filter */
  #filtered(filter) {
    const place = this.list.following ? null : this.list.cursor ?? this.list.topLine;
    const inContext = this.rows.partial && !filter && place;
    this.rows.setFilter(filter);
    this.#viewChanged();
    this.#restyle();
    if (inContext) this.does.showNow(place);
  }

  /** @param {import('./terms.js').Finder | null} finder */
  #found(finder) {
    this.rows.setFinder(finder);
    this.#get('.whole').hidden = !finder;
    this.#viewChanged();
    this.#restyle();
  }

  /** Fields are columns, or none any more. */
  columnsChanged() {
    this.#showColumns();
    this.#viewChanged();
    this.#restyle();
  }

  #showColumns() {
    this.#head.columns(this.views[0].columns, (name) => this.does.toggleColumn(name));
  }

  #viewChanged() {
    this.#mapDirty = true;
    this.views[0].filter = this.fields.text('filter');
    this.views[0].find = this.fields.text('find');
    this.page.onView();
  }

  /** The server was asked about its files. @param {boolean} reached */
  looked(reached) {
    const { files } = this.page;
    this.feed.streams.looked(reached ? (name) => files.modified(name) : null);
    this.#picker.render();
  }

  // Words and events.

  #named() {
    this.#picker.current = this.files[0];
    this.#head.names(this.files);
  }

  setWords() {
    speakIn(this.element);
    this.#named();
    this.#head.following(this.list.following);
    this.#showColumns();
    this.#picker.render();
    this.search.refresh();
    this.tick();
    this.#restyle();
    this.list.refresh();
  }

  #listen() {
    const on = (/** @type {string} */ name, /** @type {() => void} */ call) => this.#get(name).addEventListener('click', call);
    on('.pause', () => this.does.togglePause());
    on('.seek', () => this.fields.focusFind());
    on('.pill-end', () => this.list.follow());
    on('.pill-stood', () => this.#stood && this.list.showAtTop(this.#stood));
    on('.retry', () => this.feed.streams.retryNow());
    on('.close', () => this.page.onClose(this));
    on('.whole', () => this.does.searchWhole());
    this.element.addEventListener('click', (event) => {
      const target = /** @type {Element} */ (event.target);
      const button = /** @type {HTMLElement | null} */ (target.closest('[data-action]'));
      if (button) this.does.act(button);
    });
    this.#get('.log').addEventListener('copy', (event) => {
      const text = this.copier.selected;
      if (!text) return;
      event.preventDefault();
      event.clipboardData?.setData('text/plain', text);
    });
    const edge = () => !this.list.following && this.#showState();
    this.#get('.log').addEventListener('scroll', edge, { passive: true });
  }

  /** @param {string} name */
  #get(name) {
    return this.#head.get(name);
  }
}
