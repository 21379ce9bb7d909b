/** What keys, buttons and rows do in a pane. */

import { addressOf } from './address.js';
import { set, settings } from './settings.js';
import { t } from './texts.js';
import { nextLine } from './walk.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {import('./list.js').Place} Place
 */

export class Actions {
  #pane;

  /** @param {import('./pane.js').Pane} pane */
  constructor(pane) {
    this.#pane = pane;
  }

  togglePause() {
    const { list } = this.#pane;
    if (list.following) list.pause();
    else list.follow();
  }

  /** Shows a line at once, its surroundings first: they are what is looked at. @param {Place} place */
  showNow(place) {
    const { list, rows, store } = this.#pane;
    rows.advance(store.blocks.indexOf(place.block), Infinity);
    list.show(place, 'middle');
    list.render();
  }

  /**
   * To the next line of a kind, from the cursor or from what is in sight on.
   * @param {1 | -1} direction
   * @param {(block: Block, line: number) => boolean} wanted
   * @param {string} none what is told where there is none
   */
  #walk(direction, wanted, none) {
    const { list, store, page } = this.#pane;
    const { following, cursor } = list;
    // Whoever follows stands behind all of them.
    const from = following ? null : cursor ?? list.topLine;
    const way = { from, including: !cursor, step: following ? /** @type {const} */ (-1) : direction };
    const place = nextLine(store.blocks, way, wanted);
    if (place) list.show(place, 'middle');
    else page.tell(t(none));
  }

  /** @param {1 | -1} direction */
  toHit(direction) {
    if (!this.#pane.rows.finder) return this.#pane.fields.focusFind();
    this.#walk(direction, (block, line) => block.found.includes(line), 'noHit');
  }

  /** @param {1 | 2} level @param {1 | -1} direction */
  toLevel(level, direction) {
    this.#walk(direction, (block, line) => block.levels[line] === level, level === 1 ? 'noError' : 'noWarning');
  }

  searchWhole() {
    const { files, fields, page, rows, search } = this.#pane;
    if (!rows.finder) return fields.focusFind();
    let bytes = 0;
    for (const file of files) bytes += page.files.find(file)?.size ?? 0;
    search.start(files, rows.finder, bytes);
  }

  /** @param {import('./history.js').Hit} hit @param {number} number its file's */
  async openHit(hit, number) {
    const { feed, fields, list, rows } = this.#pane;
    list.pause();
    if (rows.partial) fields.clear('filter');
    const block = await feed.openAt(hit, number);
    if (block) this.showNow({ block, line: 0 });
  }

  mark() {
    this.#pane.copier.mark();
    this.#pane.wish();
  }

  /** @returns {(import('./menu.js').Item | null)[]} */
  menuItems() {
    const { copier, files, merged, page, rows } = this.#pane;
    const toggle = (/** @type {'wrap' | 'fold' | 'ansi'} */ name) => () => {
      set(name, !settings[name]);
      page.onSettings();
    };
    const what = rows.partial ? 'Filtered' : 'Held';
    return [
      { text: t('wrap'), checked: settings.wrap, run: toggle('wrap') },
      { text: t('fold'), checked: settings.fold, run: toggle('fold') },
      { text: t('ansi'), checked: settings.ansi, run: toggle('ansi') },
      null,
      { text: t('searchWhole'), run: () => this.searchWhole() },
      { text: t('copyMarked'), run: () => copier.copy() },
      { text: t('copyLink'), run: () => copier.copyLink() },
      null,
      { text: t(`export${what}Text`), run: () => copier.export('text', files) },
      { text: t(`export${what}Json`), run: () => copier.export('json', files) },
      ...files.map((file) => ({
        text: merged ? `${t('download')}: ${file}` : t('download'),
        href: addressOf(`api/v1/logs/${encodeURIComponent(file)}/download`).href,
      })),
    ];
  }

  /** What a button in a row does. @param {HTMLElement} button */
  act(button) {
    const { feed, fields, list, rows } = this.#pane;
    const { action = '', field = '' } = button.dataset;
    const shown = list.shownAt(button);
    if (!shown) return;
    const { block, line } = shown;
    if (action === 'gap') feed.loadGap(block);
    else if (action === 'column') this.toggleColumn(field);
    else if (action === 'context') {
      list.pause();
      list.cursor = { block, line };
      fields.clear('filter');
    } else {
      list.pause();
      rows.toggle(block, line, action);
      this.#pane.wish();
    }
  }

  /** What the Enter key does on the line under the cursor: its first button. */
  enter() {
    const button = /** @type {HTMLElement | null} */ (this.#pane.element.querySelector('.row.cursor button'));
    button?.click();
  }

  /** @param {string} name */
  toggleColumn(name) {
    const { columns } = this.#pane.views[0];
    const at = columns.indexOf(name);
    if (at >= 0) columns.splice(at, 1);
    else columns.push(name);
    this.#pane.columnsChanged();
  }

  /** Leaves one thing after the other, the nearest first. */
  escape() {
    const { copier, fields, list, search } = this.#pane;
    if (search.open) search.close();
    else if (list.cursor) list.clearCursor();
    else if (copier.marks > 0) {
      copier.clearMarks();
      this.#pane.wish();
    } else fields.clear(fields.text('find') ? 'find' : 'filter');
  }
}
