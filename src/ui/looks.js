/** How the rows of a pane look: what is the same for all of them, put together with what is each one's own. */

import { lineRow, markRow } from './row.js';
import { settings } from './settings.js';
import { TIME_MODES, timeBeside } from './times.js';

export class RowLooks {
  #store;
  #rows;
  #version = 0;
  /** @type {readonly string[]} */
  #files = [];
  /** @type {readonly string[]} */
  #columns = [];

  /**
   * @param {import('./store.js').LogStore} store
   * @param {import('./rows.js').Rows} rows
   */
  constructor(store, rows) {
    this.#store = store;
    this.#rows = rows;
  }

  /**
   * All rows look different now.
   * @param {readonly string[]} files
   * @param {readonly string[]} columns
   */
  change(files, columns) {
    this.#version += 1;
    this.#files = files;
    this.#columns = columns;
  }

  /** What makes a row look as it does, apart from its line. @param {number} index of the block @param {number} line */
  of(index, line) {
    const block = this.#store.blocks[index];
    if (block.mark) return block.mark.action ?? '';
    const open = this.#rows.opened.get(`${block.id}:${line}`);
    return `${this.#version}|${this.#foldSize(index, line)}|${open ? [...open] : ''}`;
  }

  /** @param {number} index of the block @param {number} line */
  make(index, line) {
    const block = this.#store.blocks[index];
    if (block.mark) return markRow(block.mark);
    const { partial, finder } = this.#rows;
    return lineRow(block.lines[line], {
      finder,
      beside: timeBeside(TIME_MODES[settings.times], block.lines[line], block.times[line]),
      colour: this.#files.length > 1 ? block.sources[line] % 6 : -1,
      file: this.#files[block.sources[line]] ?? '',
      fold: this.#foldSize(index, line),
      open: this.#rows.isOpen(block, line),
      whole: this.#rows.isOpen(block, line, 'whole'),
      tree: this.#rows.isOpen(block, line, 'tree'),
      partial,
      columns: this.#columns,
    });
  }

  /** @param {number} index @param {number} line */
  #foldSize(index, line) {
    return this.#rows.folding && !this.#rows.partial ? this.#rows.foldSize(index, line) : 0;
  }
}
