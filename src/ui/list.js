/**
 * The list of rows: only those in sight are in the document, however many there are.
 *
 * It either follows, and sticks to the end, or it is paused, and then nothing on the screen moves. That is kept up by
 * `#origin`, the number of the row at the very top: while paused it stays, so that lines trimmed from the store leave
 * an empty place above instead of pulling up everything below, and rows on the screen remain there even when their
 * lines are no longer held.
 */

import { MAX_ROWS, heightOf, rowsAt, topToReveal } from './geometry.js';
import { lineRow, markRow } from './row.js';

/**
 * @typedef {import('./store.js').Entry} Entry
 * @typedef {{ first: number, end: number, trimmed: boolean, at(place: number): Entry | undefined }} View
 * @typedef {{ entry: Entry | undefined, element: HTMLElement, columns: number }} Row
 */

/** Rows kept beyond both edges, so that scrolling meets them ready. */
const MARGIN = 12;

/** Scrolling up less than this is no wish to stop. */
const SLACK = 10;

/** Scrolling is over when nothing came for so long. */
const SETTLE_AFTER = 150;

/** The list's width grows in steps of so many columns, not with every line. */
const COLUMN_STEP = 20;

/** The free space above the first row and below the last; the style sheet says the same. */
const PADDING = 6;

const UPWARD_KEYS = new Set(['ArrowUp', 'PageUp', 'Home']);

export class LogList {
  /** Whether the list sticks to the end. */
  following = true;
  /** The row that the keyboard stands on. */
  cursor = -1;
  /** @type {RegExp | null} */
  highlight = null;

  /** @type {View} */
  #view;
  #scroller;
  #sizer = document.createElement('div');
  #rows = document.createElement('div');
  /** @type {Map<number, Row>} */
  #shown = new Map();
  #origin = 0;
  #rowHeight = 0;
  #height = 0;
  #columns = 0;
  /** Where the list itself last scrolled to; anything else was the reader. */
  #ownTop = 0;
  #scrolledUp = 0;
  /** Returning to the end goes on following only for those who left it by scrolling. */
  #leftByScrolling = false;
  #pressed = false;
  #settling = 0;
  #onFollow;
  #onWish;

  /**
   * @param {HTMLElement} scroller
   * @param {View} view
   * @param {{ onFollow(following: boolean): void, onWish(): void }} calls `onWish` asks for a call of `render`
   */
  constructor(scroller, view, { onFollow, onWish }) {
    this.#scroller = scroller;
    this.#view = view;
    this.#onFollow = onFollow;
    this.#onWish = onWish;
    this.#sizer.className = 'sizer';
    this.#rows.className = 'rows';
    this.#sizer.append(this.#rows);
    scroller.append(this.#sizer);
    this.#measure();
    this.#listen();
  }

  get view() {
    return this.#view;
  }

  /** The topmost row in sight. */
  get topPlace() {
    return Math.max(this.#inSight().from, this.#view.first);
  }

  /**
   * Shows another list of lines.
   * @param {View} view
   * @param {number} [place] what to show at the top where the list is paused
   */
  setView(view, place = view.first) {
    this.#view = view;
    this.cursor = -1;
    this.refresh();
    this.#origin = this.#top();
    if (this.following) return;
    this.render();
    this.#scrollTo((place - this.#origin) * this.#rowHeight);
  }

  /** Forgets how wide the lines were: for another file. */
  resetWidth() {
    this.#columns = 0;
    this.#scroller.scrollLeft = 0;
  }

  /** Makes all rows anew, for other words or another highlight. */
  refresh() {
    this.#shown.clear();
    this.#rows.replaceChildren();
    this.#onWish();
  }

  /** @param {boolean} [byScrolling] */
  pause(byScrolling = false) {
    if (!this.following) return;
    this.following = false;
    this.#leftByScrolling = byScrolling;
    this.#onFollow(false);
    this.#onWish();
  }

  follow() {
    if (this.following) return;
    this.following = true;
    this.cursor = -1;
    this.#scrolledUp = 0;
    // A selection that stays would pause at once.
    if (this.#holdsSelection()) getSelection()?.removeAllRanges();
    this.#onFollow(true);
    this.#onWish();
  }

  /** To the oldest line that is held. */
  toTop() {
    this.pause(true);
    this.#toOldest();
  }

  /** @param {number} rows */
  scrollRows(rows) {
    if (rows < 0) this.pause(true);
    this.#scroller.scrollTop += rows * this.#rowHeight;
  }

  /** How many whole rows are in sight. */
  get page() {
    return Math.max(1, Math.floor(this.#height / this.#rowHeight));
  }

  /** @param {number} by */
  moveCursor(by) {
    const { first, end } = this.#view;
    if (first === end) return;
    const { from, to } = this.#inSight();
    const start = this.cursor >= Math.max(first, from - 1) && this.cursor <= to ? this.cursor : by > 0 ? from - 1 : to;
    this.pause();
    this.cursor = Math.min(Math.max(start + by, first), end - 1);
    this.#scrollTo(topToReveal(this.#geometry(), this.cursor) + PADDING);
    this.#onWish();
  }

  clearCursor() {
    this.cursor = -1;
    this.#onWish();
  }

  /** Brings the document up to date; to be called once a frame at most. */
  render() {
    if (this.#pressed && this.following) return;
    const view = this.#view;
    if (this.following) this.#origin = this.#top();
    else if (view.end - this.#origin > MAX_ROWS) this.#dropGone();
    const total = heightOf(view.end - this.#origin, this.#rowHeight);
    const { top: scrolled, ...rest } = this.#geometry();
    const top = this.following ? Math.max(0, total - this.#height) : scrolled;
    this.#place({ top, ...rest });
    this.#sizer.style.height = `${total}px`;
    this.#sizer.style.minWidth = `${this.#columns}ch`;
    if (this.following) this.#scrollTo(total + 2 * PADDING);
  }

  #geometry() {
    return {
      top: this.#scroller.scrollTop - PADDING,
      height: this.#height,
      rowHeight: this.#rowHeight,
      origin: this.#origin,
    };
  }

  #inSight() {
    const { from, to } = rowsAt({ ...this.#geometry(), end: this.#view.end, margin: 0 });
    return { from, to };
  }

  /** The row at the very top: where something was trimmed, a note says so above the oldest line. */
  #top() {
    return this.#view.first - (this.#view.trimmed ? 1 : 0);
  }

  /** @param {{ top: number, height: number, rowHeight: number, origin: number }} geometry */
  #place(geometry) {
    const { from, to } = rowsAt({ ...geometry, end: this.#view.end, margin: MARGIN });
    for (const [place, row] of this.#shown) {
      if (place < from || place >= to) {
        row.element.remove();
        this.#shown.delete(place);
      }
    }
    let before = this.#rows.firstChild;
    for (let place = from; place < to; place += 1) {
      const entry = this.#view.at(place);
      let row = this.#shown.get(place);
      if (!row || (row.entry !== entry && (entry !== undefined || this.following))) {
        const made = this.#make(place, entry);
        if (row) {
          if (before === row.element) before = made.element;
          row.element.replaceWith(made.element);
        } else {
          this.#rows.insertBefore(made.element, before);
        }
        row = made;
        this.#shown.set(place, row);
      }
      row.element.classList.toggle('cursor', place === this.cursor);
      if (before === row.element) before = before.nextSibling;
    }
    this.#rows.style.transform = `translateY(${(from - this.#origin) * this.#rowHeight}px)`;
  }

  /**
   * @param {number} place
   * @param {Entry | undefined} entry
   * @returns {Row}
   */
  #make(place, entry) {
    let made;
    if (typeof entry === 'string') made = lineRow(entry, this.highlight);
    else if (entry) made = markRow(entry);
    else if (place === this.#view.first - 1) made = markRow({ mark: 'trimmed' });
    else made = lineRow('', null);
    this.#columns = Math.max(this.#columns, Math.ceil((made.columns + 3) / COLUMN_STEP) * COLUMN_STEP);
    return { entry, ...made };
  }

  /** Takes away the empty place that trimmed lines left above, where that moves nothing that is held. */
  #dropGone() {
    const gone = (this.#top() - this.#origin) * this.#rowHeight;
    const top = this.#scroller.scrollTop;
    if (gone <= 0 || top < gone) return;
    this.#origin = this.#top();
    this.#scrollTo(top - gone);
  }

  /** After the reader scrolled: an empty place is no place to stay at. */
  #settle() {
    const gone = (this.#top() - this.#origin) * this.#rowHeight;
    if (this.following || gone <= 0 || this.#scroller.scrollTop >= gone) return;
    this.refresh();
    this.#toOldest();
  }

  /** At once, and not with the next frame: in a fast log the oldest lines are gone by then. */
  #toOldest() {
    this.#origin = this.#top();
    this.#scrollTo(0);
    this.render();
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.#scroller.scrollTop = top;
    this.#ownTop = this.#scroller.scrollTop;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollTop + clientHeight >= scrollHeight - 2;
  }

  #holdsSelection() {
    const selection = getSelection();
    return !!selection && !selection.isCollapsed && selection.containsNode(this.#rows, true);
  }

  #measure() {
    const probe = lineRow('0', null).element;
    this.#rows.append(probe);
    this.#rowHeight = probe.getBoundingClientRect().height || 19;
    probe.remove();
    this.#height = this.#scroller.clientHeight;
    this.#scroller.style.setProperty('--sight', `${this.#scroller.clientWidth}px`);
  }

  #listen() {
    const scroller = this.#scroller;
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    scroller.addEventListener('wheel', (event) => !event.ctrlKey && this.#moved(-event.deltaY), { passive: true });
    let touch = 0;
    scroller.addEventListener('touchstart', (event) => (touch = event.touches[0].clientY), { passive: true });
    scroller.addEventListener(
      'touchmove',
      (event) => {
        this.#moved(event.touches[0].clientY - touch);
        touch = event.touches[0].clientY;
      },
      { passive: true },
    );
    scroller.addEventListener('keydown', (event) => {
      if (UPWARD_KEYS.has(event.key) && !event.ctrlKey && !event.metaKey && !event.altKey) this.pause(true);
    });
    // Rows stand still under a pressed button, or nobody could begin a selection in a busy log.
    scroller.addEventListener('pointerdown', (event) => {
      const onScrollBar = event.offsetX >= scroller.clientWidth || event.offsetY >= scroller.clientHeight;
      this.#pressed = event.pointerType === 'mouse' && !(event.target === scroller && onScrollBar);
    });
    for (const type of ['pointerup', 'pointercancel', 'blur']) {
      addEventListener(type, () => {
        if (this.#pressed) this.#onWish();
        this.#pressed = false;
      });
    }
    document.addEventListener('selectionchange', () => this.#holdsSelection() && this.pause());
    new ResizeObserver(() => {
      this.#measure();
      this.#onWish();
    }).observe(scroller);
  }

  /**
   * In a fast log every frame goes back to the end, so what the hand did is summed up here instead of waiting for the
   * list to have moved.
   * @param {number} up
   */
  #moved(up) {
    if (!this.following) return;
    this.#scrolledUp = up > 0 ? this.#scrolledUp + up : 0;
    if (this.#scrolledUp > SLACK && this.#scroller.scrollHeight > this.#scroller.clientHeight) this.pause(true);
  }

  #scrolled() {
    const top = this.#scroller.scrollTop;
    const down = top - this.#ownTop;
    if (Math.abs(down) < 1) return;
    if (this.following) {
      if (-down > SLACK && !this.#atEnd()) this.pause(true);
      return;
    }
    this.#ownTop = top;
    if (down > 0 && this.#leftByScrolling && this.#atEnd()) {
      this.follow();
      return;
    }
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#settle(), SETTLE_AFTER);
    this.#onWish();
  }
}
