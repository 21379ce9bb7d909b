/**
 * The list of rows: only those in sight are in the document, however many there are and however high each is.
 *
 * It either follows, and sticks to the end, or it is paused, and then nothing on the screen moves: the row at the top
 * edge is the anchor, and whatever is added, dropped or measured above it is made up for before the next paint.
 */

import { watchHand } from './hand.js';
import { heightOf, placeAt, rowOf, step, topOf, totalHeight } from './layout.js';
import { RowPool } from './pool.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {{ block: Block, line: number }} Place a line, wherever it stands
 * @typedef {{
 *   onFollow(following: boolean): void,
 *   onWish(): void,
 *   onNear(edge: 'top' | 'end'): void,
 * }} Calls `onWish` asks for a call of `render`
 */

/** Rows are kept ready this far beyond both edges, and while following only a few, as they are all new soon. */
const MARGIN = 230;
const MARGIN_FOLLOWING = 40;

/** Scrolling up less than this is no wish to stop. */
const SLACK = 10;

/** The free space above the first row and below the last; the style sheet says the same. */
const PADDING = 6;

/** Older and newer lines are asked for when the edge is this near. */
const NEAR = 600;

export class LogList {
  /** Whether the list sticks to the end. */
  following = true;
  /** The line that the keyboard stands on. @type {Place | null} */
  cursor = null;
  rowHeight = 19;
  /** How wide a character is. */
  charWidth = 7.8;

  #scroller;
  #store;
  #rows;
  #calls;
  #sizer = document.createElement('div');
  #pool;
  /** The row at the top edge, and how far above the edge it begins. @type {(Place & { offset: number }) | null} */
  #anchor = null;
  #height = 0;
  #width = 0;
  /** Where the list itself last scrolled to; anything else was the reader. */
  #ownTop = 0;
  #scrolledUp = 0;
  /** Returning to the end goes on following only for those who left it by scrolling. */
  #leftByScrolling = false;
  #pressed = false;
  /** Whether it has become another height since it was drawn. */
  #resizing = false;

  /**
   * @param {HTMLElement} scroller
   * @param {import('./store.js').LogStore} store
   * @param {import('./rows.js').Rows} rows
   * @param {Calls & import('./pool.js').Making} calls
   */
  constructor(scroller, store, rows, calls) {
    this.#scroller = scroller;
    this.#store = store;
    this.#rows = rows;
    this.#calls = calls;
    this.#sizer.className = 'sizer';
    this.#pool = new RowPool(calls);
    this.#sizer.append(this.#pool.body);
    scroller.append(this.#sizer);
    this.#measure();
    this.#listen();
  }

  get body() {
    return this.#pool.body;
  }

  /** How many rows fit. */
  get page() {
    return Math.max(1, Math.floor(this.#height / this.rowHeight));
  }

  /** The line that an element is in. @param {Node | null} node */
  shownAt(node) {
    return this.#pool.at(node);
  }

  /** The block the reader looks at. */
  get nearIndex() {
    return this.following || !this.#anchor ? this.#store.blocks.length - 1 : this.#store.blocks.indexOf(this.#anchor.block);
  }

  /** The line at the top edge. @returns {Place | null} */
  get topLine() {
    const { blocks } = this.#store;
    const place = placeAt(blocks, this.#scroller.scrollTop - PADDING + 1, this.rowHeight);
    return place && { block: blocks[place.index], line: blocks[place.index].rows[place.row] };
  }

  /** Forgets where it was: for other lines. */
  reset() {
    this.#anchor = null;
    this.cursor = null;
    // Not while there is nothing to scroll, as it makes the browser lay out the page.
    if (this.#pool.columns > 0) this.#scroller.scrollLeft = 0;
    this.#pool.clear();
    this.#calls.onWish();
  }

  /** Makes all rows anew, with the next drawing: until then those that there are stay. */
  refresh() {
    this.#pool.renew();
    this.#calls.onWish();
  }

  /** @param {boolean} [byScrolling] */
  pause(byScrolling = false) {
    if (!this.following) return;
    this.following = false;
    this.#leftByScrolling = byScrolling;
    this.#takeAnchor();
    this.#calls.onFollow(false);
    this.#calls.onWish();
  }

  follow() {
    if (this.following) return;
    this.following = true;
    this.cursor = null;
    this.#anchor = null;
    this.#scrolledUp = 0;
    // A selection that stays would pause at once.
    if (this.#holdsSelection()) getSelection()?.removeAllRanges();
    this.#calls.onFollow(true);
    this.#calls.onWish();
  }

  /** To the oldest line that is held. */
  toTop() {
    this.pause(true);
    this.#scrollTo(0);
    this.#takeAnchor();
    this.#calls.onNear('top');
    this.#calls.onWish();
  }

  /** To the last line that is held, paused. */
  toBottom() {
    this.#scrollTo(totalHeight(this.#store.blocks));
    this.#takeAnchor();
    this.#calls.onWish();
  }

  /** @param {number} rows */
  scrollRows(rows) {
    if (rows < 0) this.pause(true);
    this.#scroller.scrollTop += rows * this.rowHeight;
  }

  /** @param {number} by */
  moveCursor(by) {
    const { blocks } = this.#store;
    let place = this.#placeOf(this.cursor);
    const inSight = place && this.#isInSight(place);
    // The first step goes to the edge of what is seen.
    const edge = this.#scroller.scrollTop - PADDING + (by > 0 ? 1 : this.#height - this.rowHeight);
    if (!place || !inSight) place = placeAt(blocks, edge, this.rowHeight);
    else place = step(blocks, place, by);
    if (!place) return;
    const next = place;
    this.show({ block: blocks[next.index], line: blocks[next.index].rows[next.row] });
  }

  /**
   * Puts the cursor on a line and brings it into sight, moving as little as possible.
   * @param {Place} target
   * @param {'nearest' | 'middle'} [where]
   */
  show(target, where = 'nearest') {
    this.pause();
    this.cursor = target;
    const place = this.#placeOf(target);
    if (!place) return;
    const top = topOf(this.#store.blocks, place.index, place.row, this.rowHeight) + PADDING;
    const height = heightOf(this.#store.blocks[place.index], place.row, this.rowHeight);
    const now = this.#scroller.scrollTop;
    let to = now;
    if (where === 'middle' && !this.#isInSight(place)) to = top - this.#height * 0.4;
    else if (top < now) to = top - PADDING;
    else if (top + height > now + this.#height) to = top + height + PADDING - this.#height;
    this.#sizer.style.height = `${totalHeight(this.#store.blocks)}px`;
    if (to !== now) this.#scrollTo(Math.max(0, to));
    this.#takeAnchor();
    this.#calls.onWish();
  }

  /** Scrolls so that a line is at the top edge. @param {Place} target */
  showAtTop(target) {
    this.pause();
    const place = this.#placeOf(target);
    if (!place) return;
    this.#scrollTo(topOf(this.#store.blocks, place.index, place.row, this.rowHeight) + PADDING - this.rowHeight);
    this.#takeAnchor();
    this.#calls.onWish();
  }

  clearCursor() {
    this.cursor = null;
    this.#calls.onWish();
  }

  /** Brings the document up to date; to be called once a frame at most. */
  render() {
    if (this.#pressed && this.following) return;
    const { blocks } = this.#store;
    let total = totalHeight(blocks);
    let top = this.#wantedTop(total);
    this.#place(top);
    // Rows that differ from what was thought of them shift what is below; twice is enough, as measured rows stay so.
    for (let round = 0; round < 3 && this.#pool.measure(this.#rows); round += 1) {
      total = totalHeight(blocks);
      top = this.#wantedTop(total);
      this.#place(top);
    }
    const height = `${total}px`;
    if (this.#sizer.style.height !== height) this.#sizer.style.height = height;
    const width = this.#rows.metrics.wrap ? '' : `${this.#pool.columns}ch`;
    if (this.#sizer.style.minWidth !== width) this.#sizer.style.minWidth = width;
    this.#resizing = false;
    if (this.following) this.#scrollToEnd(total);
    else if (Math.abs(top + PADDING - this.#scroller.scrollTop) >= 0.5) this.#scrollTo(top + PADDING);
    if (this.following) return;
    const scrolled = this.#scroller.scrollTop;
    if (scrolled < NEAR) this.#calls.onNear('top');
    if (scrolled + this.#height > total + 2 * PADDING - NEAR) this.#calls.onNear('end');
  }

  /** Where the rows in sight begin. @param {number} total */
  #wantedTop(total) {
    if (this.following) return Math.max(0, total + 2 * PADDING - this.#height) - PADDING;
    const anchor = this.#anchor;
    const place = this.#placeOf(anchor);
    if (!anchor || !place) return this.#ownTop - PADDING;
    const exact = this.#store.blocks[place.index].rows[place.row] === anchor.line;
    return topOf(this.#store.blocks, place.index, place.row, this.rowHeight) + (exact ? anchor.offset : 0);
  }

  /** @param {Place | null} place */
  #placeOf(place) {
    if (!place) return null;
    const { blocks } = this.#store;
    const index = blocks.indexOf(place.block);
    if (index < 0) return null;
    const { rows } = place.block;
    const row = rowOf(place.block, place.line);
    if (row < rows.length) return { index, row };
    if (rows.length > 0) return { index, row: rows.length - 1 };
    for (let i = index + 1; i < blocks.length; i += 1) if (blocks[i].rows.length > 0) return { index: i, row: 0 };
    for (let i = index - 1; i >= 0; i -= 1) {
      if (blocks[i].rows.length > 0) return { index: i, row: blocks[i].rows.length - 1 };
    }
    return null;
  }

  /** @param {{ index: number, row: number }} place */
  #isInSight({ index, row }) {
    const { blocks } = this.#store;
    const top = topOf(blocks, index, row, this.rowHeight) + PADDING - this.#scroller.scrollTop;
    return top > -1 && top + heightOf(blocks[index], row, this.rowHeight) <= this.#height + 1;
  }

  /** The reader is where the scroller is. */
  #takeAnchor() {
    this.#ownTop = this.#scroller.scrollTop;
    this.#anchorAt(this.#ownTop - PADDING);
  }

  /** @param {number} y */
  #anchorAt(y) {
    const { blocks } = this.#store;
    const place = placeAt(blocks, y, this.rowHeight);
    this.#anchor = place && {
      block: blocks[place.index],
      line: blocks[place.index].rows[place.row],
      offset: y - place.top,
    };
  }

  /** Puts the rows around a height into the document. @param {number} top */
  #place(top) {
    const { blocks } = this.#store;
    const margin = this.following ? MARGIN_FOLLOWING : MARGIN;
    const first = placeAt(blocks, top - margin, this.rowHeight);
    this.#pool.show(blocks, first, top + this.#height + margin, this.rowHeight);
    this.#pool.mark(this.cursor);
  }

  /** Without asking the browser where that is, as many panes asking it in one frame takes long. @param {number} total */
  #scrollToEnd(total) {
    const top = Math.max(0, total + 2 * PADDING - this.#height);
    if (top === this.#ownTop) return;
    this.#scroller.scrollTop = top;
    this.#ownTop = top;
  }

  /** @param {number} top */
  #scrollTo(top) {
    this.#scroller.scrollTop = top;
    this.#ownTop = this.#scroller.scrollTop;
  }

  /** Whether the list has another height than the one that it was drawn for. */
  get #unsettled() {
    return this.#resizing || this.#scroller.clientHeight !== this.#height;
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    return scrollTop + clientHeight >= scrollHeight - 2;
  }

  #holdsSelection() {
    const selection = getSelection();
    return !!selection && !selection.isCollapsed && this.body.contains(selection.anchorNode);
  }

  /** How large rows and characters are, and the space for them. */
  #measure() {
    const inline = document.createElement('span');
    inline.textContent = '0'.repeat(100);
    const line = document.createElement('div');
    line.className = 'row';
    line.append(inline);
    this.body.append(line);
    this.rowHeight = line.getBoundingClientRect().height || 19;
    this.charWidth = inline.getBoundingClientRect().width / 100 || 7.8;
    line.remove();
    this.#height = this.#scroller.clientHeight;
    this.#width = this.#scroller.clientWidth;
    this.#scroller.style.setProperty('--sight', `${this.#width}px`);
  }

  /** How many characters fit beside each other. */
  get columnsInSight() {
    return Math.max(10, Math.floor((this.#width - 34) / this.charWidth) - 2);
  }

  #listen() {
    const scroller = this.#scroller;
    scroller.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    watchHand(scroller, {
      onUp: (pixels) => this.#moved(pixels),
      onUpKey: () => this.pause(true),
      onPress: (pressed) => {
        if (this.#pressed && !pressed) this.#calls.onWish();
        this.#pressed = pressed;
      },
    });
    document.addEventListener('selectionchange', () => this.#holdsSelection() && this.pause());
    new ResizeObserver(() => this.#resized()).observe(scroller);
  }

  #resized() {
    this.#resizing = true;
    const { rowHeight, columnsInSight } = this;
    this.#measure();
    const { metrics } = this.#rows;
    metrics.rowHeight = this.rowHeight;
    metrics.columns += this.columnsInSight - columnsInSight;
    if (rowHeight !== this.rowHeight || (metrics.wrap && columnsInSight !== this.columnsInSight)) {
      this.#rows.rebuild();
      this.refresh();
    }
    this.#calls.onWish();
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
      // Where the height is another one now, it was the browser that moved the list.
      if (-down > SLACK && !this.#unsettled && !this.#atEnd()) this.pause(true);
      return;
    }
    // What was dropped or put in above since the last drawing is not made up for yet: the reader moved from the anchor.
    this.#anchorAt(this.#wantedTop(0) + down);
    this.#ownTop = top;
    if (down > 0 && this.#leftByScrolling && this.#atEnd() && this.mayFollow) {
      this.follow();
      return;
    }
    this.#calls.onWish();
  }

  /** Whether the end of what is held is the end of the log; else reaching it is no reason to follow. */
  mayFollow = true;
}
