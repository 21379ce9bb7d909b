/**
 * How panes share the window: side by side, one above the other, or in some rows when there are many; with a border
 * between each two that can be moved.
 *
 * All panes and borders lie in one box, each with its place there, so that no pane is ever moved in the document: one
 * that is forgets where it was scrolled to.
 */

import { rowsFor } from './view.js';

/** @typedef {import('./view.js').LayoutName} LayoutName */

/**
 * @typedef {{ shares: number[], from: number, to: number, vertical: boolean }} Run of neighbours: those from a place in a
 *   list of shares to before another one share a length; `vertical` is from top to bottom
 * @typedef {{ element: HTMLElement, run: Run, at: number, row: number }} Border it is between the neighbour before and
 *   this one; `row` is the row that it is in, or begins
 */

/** No pane becomes smaller than this share of two. */
const LEAST = 0.12;

/** What an arrow key moves a border by. */
const STEP = 0.04;

/** @param {readonly number[]} shares */
const sum = (shares) => shares.reduce((a, b) => a + b, 0);

/**
 * So many shares, new ones as large as the others on the average.
 * @param {readonly number[]} shares
 * @param {number} count
 */
const fitted = (shares, count) => {
  const usual = shares.length > 0 ? sum(shares) / shares.length : 1;
  return Array.from({ length: count }, (_, at) => shares[at] ?? usual);
};

/** Where a neighbour begins, of 1. @param {Run} run @param {number} at */
const startOf = ({ shares, from, to }, at) => sum(shares.slice(from, at)) / sum(shares.slice(from, to));

export class PaneGrid {
  #box;
  /** Of panes: in the width of their row, or in the height of all where they stand one above the other. @type {number[]} */
  #shares = [];
  /** Of rows. @type {number[]} */
  #heights = [];
  /** @type {HTMLElement[]} */
  #elements = [];
  /** From top to bottom. @type {Run} */
  #rows = { shares: [], from: 0, to: 0, vertical: true };
  /** Of each row, from left to right. @type {Run[]} */
  #columns = [];
  /** @type {Border[]} */
  #borders = [];
  #words;
  #onSizes;

  /**
   * @param {HTMLElement} box
   * @param {() => string} words what a border between two panes is called
   * @param {() => void} onSizes
   */
  constructor(box, words, onSizes) {
    this.#box = box;
    this.#words = words;
    this.#onSizes = onSizes;
  }

  /** The shares of panes and, where these differ, those of rows behind them. */
  get sizes() {
    const heights = this.#heights.some((height) => height !== this.#heights[0]) ? this.#heights : [];
    return [...this.#shares, ...heights];
  }

  /**
   * @param {readonly number[]} sizes
   * @param {number} count of panes
   */
  take(sizes, count) {
    this.#shares = fitted(sizes.slice(0, count), count);
    this.#heights = sizes.slice(count);
  }

  /** The pane at this place is none any more. @param {number} at */
  drop(at) {
    this.#shares.splice(at, 1);
  }

  /**
   * @param {HTMLElement[]} elements
   * @param {LayoutName} layout
   */
  show(elements, layout) {
    const { length } = elements;
    const rows = rowsFor(length);
    const stacked = layout === 'rows' && rows === 1;
    this.#elements = elements;
    this.#shares = fitted(this.#shares, length);
    this.#heights = fitted(this.#heights, rows);
    const heights = stacked ? this.#shares : this.#heights;
    this.#rows = { shares: heights, from: 0, to: heights.length, vertical: true };
    this.#columns = [];
    for (let row = 0, from = 0; row < heights.length; row += 1) {
      const to = from + Math.ceil((length - from) / (heights.length - row));
      this.#columns.push({ shares: stacked ? elements.map(() => 1) : this.#shares, from, to, vertical: false });
      from = to;
    }
    this.#box.className = `panes ${stacked ? 'stacked' : 'columns'}`;
    this.#box.classList.toggle('single', length === 1);
    for (const { element } of this.#borders) element.remove();
    this.#borders = [];
    for (const element of elements) if (element.parentNode !== this.#box) this.#box.append(element);
    for (const [row, run] of this.#columns.entries()) {
      for (let at = run.from; at < run.to; at += 1) {
        if (at > run.from) this.#addBorder(run, at, row, at);
        else if (row > 0) this.#addBorder(this.#rows, row, row, at);
      }
    }
    this.#place();
  }

  /** Puts everything where its shares say. */
  #place() {
    const percent = (/** @type {number} */ share) => `${share * 100}%`;
    for (const [row, run] of this.#columns.entries()) {
      const top = startOf(this.#rows, row);
      const bottom = 1 - startOf(this.#rows, row + 1);
      for (let at = run.from; at < run.to; at += 1) {
        const left = startOf(run, at);
        const right = 1 - startOf(run, at + 1);
        const { style } = this.#elements[at];
        style.inset = [top, right, bottom, left].map(percent).join(' ');
        // The border stands there.
        style.margin = `${row > 0 ? 1 : 0}px 0 0 ${at > run.from ? 1 : 0}px`;
      }
    }
    for (const { element, run, at, row } of this.#borders) {
      const top = percent(startOf(this.#rows, row));
      element.style.inset = run.vertical
        ? `${top} 0 auto`
        : `${top} auto ${percent(1 - startOf(this.#rows, row + 1))} ${percent(startOf(run, at))}`;
      element.setAttribute('aria-valuenow', String(Math.round(this.#shareOf(run, at) * 100)));
    }
  }

  /**
   * @param {Run} run
   * @param {number} at between the neighbour before and this one
   * @param {number} row
   * @param {number} pane before which it is in the document
   */
  #addBorder(run, at, row, pane) {
    const border = document.createElement('div');
    border.className = 'border';
    border.tabIndex = 0;
    border.setAttribute('role', 'separator');
    border.setAttribute('aria-orientation', run.vertical ? 'horizontal' : 'vertical');
    border.setAttribute('aria-label', this.#words());
    border.setAttribute('aria-valuemin', '0');
    border.setAttribute('aria-valuemax', '100');
    border.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      border.setPointerCapture(event.pointerId);
      border.classList.add('dragged');
    });
    border.addEventListener('pointermove', (event) => {
      if (!border.hasPointerCapture(event.pointerId)) return;
      const { left, top, width, height } = this.#box.getBoundingClientRect();
      const here = run.vertical ? (event.clientY - top) / height : (event.clientX - left) / width;
      const [from, to] = [startOf(run, at - 1), startOf(run, at + 1)];
      this.#share(run, at, (here - from) / (to - from));
    });
    border.addEventListener('lostpointercapture', () => {
      border.classList.remove('dragged');
      this.#onSizes();
    });
    border.addEventListener('keydown', (event) => {
      const [less, more] = run.vertical ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight'];
      if (event.key !== less && event.key !== more) return;
      event.preventDefault();
      this.#share(run, at, this.#shareOf(run, at) + (event.key === more ? STEP : -STEP));
      this.#onSizes();
    });
    border.addEventListener('dblclick', () => {
      this.#share(run, at, 0.5);
      this.#onSizes();
    });
    this.#elements[pane].before(border);
    this.#borders.push({ element: border, run, at, row });
  }

  /** What the neighbour before has of both. @param {Run} run @param {number} at */
  #shareOf({ shares }, at) {
    return shares[at - 1] / (shares[at - 1] + shares[at]);
  }

  /**
   * @param {Run} run
   * @param {number} at
   * @param {number} share of both that the neighbour before is to have
   */
  #share({ shares }, at, share) {
    const both = shares[at - 1] + shares[at];
    const kept = Math.min(1 - LEAST, Math.max(LEAST, share));
    shares[at - 1] = both * kept;
    shares[at] = both - both * kept;
    this.#place();
  }
}
