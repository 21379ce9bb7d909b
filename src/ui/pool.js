/** The rows that are in the document: made when they come into sight, kept while they are, in the order of their lines. */

import { heightOf, rowOf } from './layout.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {{ block: Block, line: number, element: HTMLElement, look: string, columns: number, fresh: boolean,
 *   stale?: boolean }} Shown
 * @typedef {{
 *   lookOf(index: number, line: number): string,
 *   make(index: number, line: number): { element: HTMLElement, columns: number },
 *   isMarked(block: Block, line: number): boolean,
 * }} Making a row is made anew where `lookOf` says something else than before
 */

/** The list's width grows in steps of so many columns, not with every line. */
const COLUMN_STEP = 20;

export class RowPool {
  body = document.createElement('div');
  /** The width of the widest row so far. */
  columns = 0;

  #making;
  /** @type {Map<string, Shown>} */
  #shown = new Map();
  /** @type {WeakMap<Element, Shown>} */
  #byElement = new WeakMap();

  /** @param {Making} making */
  constructor(making) {
    this.#making = making;
    this.body.className = 'rows';
  }

  /** The line that an element is in. @param {Node | null} node @returns {Shown | undefined} */
  at(node) {
    const element = node instanceof Element ? node : node?.parentElement;
    const row = element?.closest('.row');
    return row ? this.#byElement.get(row) : undefined;
  }

  clear() {
    this.#shown.clear();
    this.body.replaceChildren();
    this.columns = 0;
  }

  /** No row is what it should be any more; `show` makes others in their places. */
  renew() {
    for (const shown of this.#shown.values()) shown.stale = true;
  }

  /**
   * Puts the rows from one on down to a height into the document, and takes all others out.
   * @param {readonly Block[]} blocks
   * @param {{ index: number, row: number, top: number } | null} first
   * @param {number} stop
   * @param {number} rowHeight
   */
  show(blocks, first, stop, rowHeight) {
    /** @type {Set<Shown>} */
    const wanted = new Set();
    if (first) {
      let { index, row } = first;
      for (let y = first.top; index < blocks.length && y < stop; index += 1, row = 0) {
        const block = blocks[index];
        for (; row < block.rows.length && y < stop; row += 1) {
          wanted.add(this.#shownFor(block, index, block.rows[row]));
          y += heightOf(block, row, rowHeight);
        }
      }
    }
    const pinned = this.#pinned(blocks, wanted);
    for (const [key, shown] of this.#shown) {
      if (wanted.has(shown) || pinned.includes(shown)) continue;
      shown.element.remove();
      this.#shown.delete(key);
    }
    for (const { element } of wanted) element.classList.remove('pinned');
    for (const { element } of pinned) element.classList.add('pinned');
    const order = (/** @type {Shown} */ { block, line }) => blocks.indexOf(block) * 1e6 + line;
    const all = pinned.length > 0 ? [...wanted, ...pinned].sort((a, b) => order(a) - order(b)) : wanted;
    let next = this.body.firstChild;
    for (const { element } of all) {
      if (element === next) next = element.nextSibling;
      else this.body.insertBefore(element, next);
    }
    this.body.style.transform = `translateY(${first?.top ?? 0}px)`;
  }

  /** Shows where the cursor is, and what is marked. @param {{ block: Block, line: number } | null} cursor */
  mark(cursor) {
    for (const { block, line, element } of this.#shown.values()) {
      element.classList.toggle('cursor', block === cursor?.block && line === cursor.line);
      element.classList.toggle('marked', this.#making.isMarked(block, line));
    }
  }

  /**
   * Tells how high new rows really are.
   * @param {import('./rows.js').Rows} rows
   * @returns {boolean} whether some are not as high as was thought
   */
  measure(rows) {
    let changed = false;
    for (const shown of this.#shown.values()) {
      if (!shown.fresh) continue;
      shown.fresh = false;
      const { block, line, element } = shown;
      const mayDiffer = rows.metrics.wrap || element.classList.contains('tall') || block.heights;
      const row = rowOf(block, line);
      if (!mayDiffer || block.rows[row] !== line) continue;
      if (rows.measured(block, row, element.getBoundingClientRect().height)) changed = true;
    }
    return changed;
  }

  /**
   * Rows out of sight in which the selection begins or ends: without them it would break. Also where nothing is selected
   * yet, as a click with the Shift key may come after scrolling far.
   * @param {readonly Block[]} blocks
   * @param {Set<Shown>} wanted
   */
  #pinned(blocks, wanted) {
    const selection = getSelection();
    /** @type {Shown[]} */
    const pinned = [];
    for (const node of [selection?.anchorNode ?? null, selection?.focusNode ?? null]) {
      const shown = this.body.contains(node) ? this.at(node) : undefined;
      if (!shown || wanted.has(shown) || pinned.includes(shown) || !blocks.includes(shown.block)) continue;
      pinned.push(shown);
    }
    return pinned;
  }

  /** @param {Block} block @param {number} index @param {number} line @returns {Shown} */
  #shownFor(block, index, line) {
    const key = `${block.id}:${line}`;
    const look = this.#making.lookOf(index, line);
    const old = this.#shown.get(key);
    if (old?.look === look && !old.stale) return old;
    const { element, columns } = this.#making.make(index, line);
    const shown = { block, line, element, look, columns, fresh: true };
    old?.element.replaceWith(element);
    this.#shown.set(key, shown);
    this.#byElement.set(element, shown);
    this.columns = Math.max(this.columns, Math.ceil((columns + 3) / COLUMN_STEP) * COLUMN_STEP);
    return shown;
  }
}
