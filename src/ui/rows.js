/**
 * Which lines are rows, and what is known about each: its level, whether it continues the one before, whether it is
 * what the reader searches for.
 *
 * A line is looked at once, when it comes. A changed filter looks at all that is held again, block by block, from
 * where the reader looks outwards, and until its turn has come a block shows what it showed. All of it goes in slices,
 * so that neither typing nor a flood of lines keeps the page from answering.
 */

import { plain } from './ansi.js';
import { continues, foldStart } from './folds.js';
import { wrappedRows } from './layout.js';
import { findLevel, LEVELS } from './levels.js';

/** @typedef {import('./store.js').Block} Block */
/** @typedef {import('./store.js').LogStore} LogStore */

/** The clock is looked at once in so many lines. */
const STRIDE = 64;

/** A fold is counted as far as this. */
const MAX_FOLD = 2_000;

export class Rows {
  /** @type {import('./terms.js').Filter | null} */
  filter = null;
  /** @type {import('./terms.js').Finder | null} */
  finder = null;
  folding = true;
  /** How rows are measured before the browser has measured them. */
  metrics = { rowHeight: 19, wrap: false, columns: 100 };
  /** Lines that the reader opened: `block:line`. @type {Map<string, Set<string>>} what is open in each */
  opened = new Map();

  #store;
  #version = 0;
  #findVersion = 0;
  #state = foldStart();
  /** Whether every block is up to date but the last one. */
  #settled = true;

  /** @param {LogStore} store */
  constructor(store) {
    this.#store = store;
  }

  /** Whether lines are left out. */
  get partial() {
    return this.filter !== null;
  }

  /** @param {import('./terms.js').Filter | null} filter */
  setFilter(filter) {
    this.filter = filter;
    this.rebuild();
  }

  /** @param {import('./terms.js').Finder | null} finder */
  setFinder(finder) {
    this.finder = finder;
    this.#findVersion += 1;
    this.#settled = false;
  }

  /** Everything is to be looked at again, block by block. */
  rebuild() {
    this.#version += 1;
    this.#settled = false;
  }

  /** For lines that were put between others. @param {Block[]} blocks */
  digestInserted(blocks) {
    const state = foldStart();
    for (const block of blocks) {
      this.#classify(block, state, block.lines.length);
      this.#bring(block);
    }
  }

  /**
   * Brings rows up to date as far as time allows.
   * @param {number} [near] the block to begin with; the last one where it is not there
   * @param {number} [milliseconds]
   * @param {() => number} [now]
   * @returns {boolean} whether all is done
   */
  advance(near = -1, milliseconds = 8, now = () => performance.now()) {
    const { blocks } = this.#store;
    const deadline = now() + milliseconds;
    // New lines first, from the oldest of them on, as what continues what can't be told backwards.
    let first = blocks.length;
    while (first > 0 && (blocks[first - 1].mark || blocks[first - 1].levels.length < blocks[first - 1].lines.length)) first -= 1;
    for (let i = first; i < blocks.length; i += 1) {
      const block = blocks[i];
      // A mark has no lines to look at; it only has to be a row.
      if (block.mark) this.#bring(block);
      if (block.levels.length === 0 && blocks[i - 1]?.mark) this.#state = foldStart();
      while (block.levels.length < block.lines.length) {
        this.#classify(block, this.#state, Math.min(block.lines.length, block.levels.length + STRIDE));
        this.#bring(block);
        if (now() > deadline) return false;
      }
    }
    if (this.#settled) return true;
    const start = near < 0 || near >= blocks.length ? blocks.length - 1 : near;
    for (let distance = 0; distance < blocks.length; distance += 1) {
      for (const i of distance === 0 ? [start] : [start + distance, start - distance]) {
        const block = blocks[i];
        if (!block || (block.rowsFor === this.#version && block.foundFor === this.#findVersion)) continue;
        this.#bring(block);
        if (now() > deadline) return false;
      }
    }
    this.#settled = true;
    return true;
  }

  /** What is counted beside the fields. */
  counts() {
    let shown = 0;
    let found = 0;
    for (const block of this.#store.blocks) {
      if (!block.mark) shown += block.rows.length;
      found += block.found.length;
    }
    return { shown, found };
  }

  /** @param {Block} block @param {number} line */
  isOpen(block, line, what = 'fold') {
    return this.opened.get(`${block.id}:${line}`)?.has(what) ?? false;
  }

  /** @param {Block} block @param {number} line */
  toggle(block, line, what = 'fold') {
    const key = `${block.id}:${line}`;
    const open = this.opened.get(key) ?? new Set();
    if (!open.delete(what)) open.add(what);
    if (open.size > 0) this.opened.set(key, open);
    else this.opened.delete(key);
    if (what !== 'fold') return;
    const { blocks } = this.#store;
    for (let i = blocks.indexOf(block); i >= 0 && i < blocks.length; i += 1) {
      blocks[i].rowsFor = -1;
      this.#bring(blocks[i]);
      if (blocks[i + 1]?.continues[0] !== true) break;
    }
  }

  /** How many lines continue a line. @param {number} index of the block @param {number} line */
  foldSize(index, line) {
    const { blocks } = this.#store;
    if (blocks[index].continues[line]) return 0;
    let size = 0;
    let at = line + 1;
    for (let i = index; i < blocks.length && size < MAX_FOLD; i += 1, at = 0) {
      const list = blocks[i].continues;
      for (; at < list.length; at += 1) {
        if (!list[at]) return size;
        size += 1;
      }
      if (at < blocks[i].lines.length || blocks[i].mark) return size;
    }
    return size;
  }

  /** Forgets what was opened in a block that is gone. @param {Block} block */
  forget(block) {
    if (this.opened.size === 0) return;
    for (const key of this.opened.keys()) if (key.startsWith(`${block.id}:`)) this.opened.delete(key);
  }

  /** Nothing is held any more. */
  reset() {
    this.opened.clear();
    this.#state = foldStart();
  }

  /** Sets the height that the browser gave a row. @param {Block} block @param {number} row @param {number} height */
  measured(block, row, height) {
    const { rowHeight } = this.metrics;
    if (!block.heights) {
      if (height === rowHeight) return false;
      block.heights = Array(block.rows.length).fill(rowHeight);
    }
    if (block.heights[row] === height) return false;
    block.height += height - block.heights[row];
    block.heights[row] = height;
    return true;
  }

  /** @param {Block} block @param {import('./folds.js').FoldState} state @param {number} to */
  #classify(block, state, to) {
    for (let i = block.levels.length; i < to; i += 1) {
      const text = seen(block.lines[i]);
      // No line continues one of another file.
      if (state.source !== block.sources[i]) Object.assign(state, foldStart(), { source: block.sources[i] });
      const found = findLevel(text);
      block.levels.push(found ? LEVELS.indexOf(found.level) + 1 : 0);
      block.continues.push(continues(text, found !== null, state));
    }
  }

  /** Brings the rows of one block up to date. @param {Block} block */
  #bring(block) {
    if (block.rowsFor !== this.#version) {
      block.rows = [];
      block.rowsUpTo = 0;
      block.heights = null;
      block.height = 0;
      block.rowsFor = this.#version;
    }
    if (block.foundFor !== this.#findVersion) {
      block.found = [];
      block.foundUpTo = 0;
      block.foundFor = this.#findVersion;
    }
    if (block.mark) {
      if (block.rows.length === 0) this.#add(block, 0);
      return;
    }
    const end = block.levels.length;
    const { filter, finder } = this;
    const folds = this.folding && !filter;
    let hidden = folds && block.continues[block.rowsUpTo] && this.#hiddenAt(block, block.rowsUpTo);
    for (let i = block.rowsUpTo; i < end; i += 1) {
      if (!block.continues[i]) hidden = folds && !this.isOpen(block, i);
      if (filter ? filter.test(plain(block.lines[i])) : !(block.continues[i] && hidden)) this.#add(block, i);
    }
    block.rowsUpTo = end;
    if (finder) {
      for (let i = block.foundUpTo; i < end; i += 1) if (finder.test(plain(block.lines[i]))) block.found.push(i);
    }
    block.foundUpTo = end;
  }

  /** Whether a line that continues is folded away: its first line is held, and is not open. @param {Block} block @param {number} line */
  #hiddenAt(block, line) {
    const { blocks } = this.#store;
    let at = line;
    for (let i = blocks.indexOf(block); i >= 0 && !blocks[i].mark; i -= 1) {
      const list = blocks[i].continues;
      for (at = Math.min(at, list.length - 1); at >= 0; at -= 1) if (!list[at]) return !this.isOpen(blocks[i], at);
      at = Infinity;
    }
    return false;
  }

  /** @param {Block} block @param {number} line */
  #add(block, line) {
    const { rowHeight, wrap, columns } = this.metrics;
    let height = rowHeight;
    if (wrap && !block.mark) {
      const text = block.lines[line];
      height *= text.length * 2 < columns ? 1 : wrappedRows(plain(text.slice(0, 4 * MAX_SEEN)).slice(0, MAX_SEEN), columns);
      block.heights ??= Array(block.rows.length).fill(rowHeight);
    }
    block.rows.push(line);
    block.heights?.push(height);
    block.height += height;
  }
}

/** So much of a line is shown unless the reader wants all of it. */
export const MAX_SEEN = 2_000;

/** What a level and a fold are told by is at the beginning. @param {string} line */
const seen = (line) => plain(line.length > 400 ? line.slice(0, 400) : line);
