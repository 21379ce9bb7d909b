/**
 * The lines a pane holds, and the promise that there are never too many of them.
 *
 * Lines are kept in blocks, a few hundred to a block, and everything that is known about a line (its level, whether a
 * filter lets it pass, how high its row is) is kept in the same block. So forgetting the oldest lines is dropping a
 * block, whatever had been found out about them, and no index anywhere has to be moved.
 *
 * The blocks are one contiguous run of the log, with marks between them where something happened.
 */

/**
 * @typedef {'error' | 'warn' | 'info' | 'debug' | 'trace'} Level
 * @typedef {{ text: string, tone?: 'calm' | 'warn' | 'error', vars?: Record<string, string | number>,
 *   file?: string, action?: string }} Mark
 *   a row of the page's own: the name of its text, how loud it is, and what a button in it does
 * @typedef {{ start?: string | null, end?: string | null, time?: number, source?: number, sources?: number[] }} Origin
 *   the positions before and behind a run of lines, when it came (0: before the page was opened), from which file
 */

export const MAX_LINES = 50_000;
export const MAX_BYTES = 32 * 1024 * 1024;

/** Lines to a block: small enough to be dropped without a jolt, large enough that there are few. */
export const BLOCK_LINES = 512;

/** And no more bytes than this, unless one line has them. */
const BLOCK_BYTES = 256 * 1024;

/** What a line costs beside its characters, roughly. */
const OVERHEAD = 32;

let nextId = 1;

export class Block {
  id = nextId++;
  /** @type {string[]} */
  lines = [];
  /** When each line came, in milliseconds; 0 for those that were there before. @type {number[]} */
  times = [];
  /** The number of each line's file, where a pane shows several. @type {number[]} */
  sources = [];
  /** The position before the first line, and behind the last one, where they are known. @type {string | null} */
  start = null;
  /** @type {string | null} */
  end = null;
  bytes = 0;

  // What `Digest` finds out about the lines, one entry a line, as far as it got.
  /** 0 for none, or one more than the place in `LEVELS`. @type {number[]} */
  levels = [];
  /** Whether a line continues the one before it. @type {boolean[]} */
  continues = [];
  /** Lines that the reader searches for. @type {number[]} */
  found = [];
  foundUpTo = 0;
  foundFor = -1;

  // What `Rows` makes of them: the lines that are rows, in order, and how high each is, where rows differ.
  /** @type {number[]} */
  rows = [];
  rowsUpTo = 0;
  rowsFor = -1;
  /** @type {number[] | null} */
  heights = null;
  height = 0;

  /** @param {Mark | null} [mark] */
  constructor(mark = null) {
    this.mark = mark;
  }

  get full() {
    return this.mark !== null || this.lines.length >= BLOCK_LINES || this.bytes >= BLOCK_BYTES;
  }
}

/** @param {string} line */
const sizeOf = (line) => line.length * 2 + OVERHEAD;

export class LogStore {
  /** @type {Block[]} */
  blocks = [];
  lines = 0;
  /** At two a character, which is what a browser needs at most. */
  bytes = 0;
  maxLines;
  maxBytes;

  /** @param {{ maxLines?: number, maxBytes?: number }} [limits] */
  constructor({ maxLines = MAX_LINES, maxBytes = MAX_BYTES } = {}) {
    this.maxLines = maxLines;
    this.maxBytes = maxBytes;
  }

  /** Whether more is held than should be; one block is never too much. */
  get over() {
    return (this.lines > this.maxLines || this.bytes > this.maxBytes) && this.blocks.length > 1;
  }

  /**
   * @param {string[]} lines
   * @param {Origin} [origin]
   */
  append(lines, origin = {}) {
    let at = 0;
    const last = this.blocks.at(-1);
    if (last && !last.full && (last.end ?? null) === (origin.start ?? null)) at = this.#fill(last, lines, 0, origin);
    while (at < lines.length) {
      const block = new Block();
      if (at === 0) block.start = origin.start ?? null;
      at = this.#fill(block, lines, at, origin);
      this.blocks.push(block);
    }
  }

  /**
   * Puts lines in front of a block.
   * @param {number} index the block's; 0 for older lines than all
   * @param {string[]} lines
   * @param {Origin} origin
   * @returns {Block[]} the new ones
   */
  insert(index, lines, origin) {
    const blocks = [];
    for (let at = 0; at < lines.length; ) {
      const block = new Block();
      if (at === 0) block.start = origin.start ?? null;
      at = this.#fill(block, lines, at, origin);
      blocks.push(block);
    }
    this.blocks.splice(index, 0, ...blocks);
    return blocks;
  }

  /** @param {Mark} mark */
  addMark(mark) {
    const block = new Block(mark);
    this.blocks.push(block);
    return block;
  }

  dropFirst() {
    const block = this.blocks.shift();
    if (block) this.#forget(block);
    return block;
  }

  dropLast() {
    const block = this.blocks.pop();
    if (block) this.#forget(block);
    return block;
  }

  /** @param {Block} block */
  remove(block) {
    const index = this.blocks.indexOf(block);
    if (index < 0) return;
    this.blocks.splice(index, 1);
    this.#forget(block);
  }

  clear() {
    this.blocks = [];
    this.lines = 0;
    this.bytes = 0;
  }

  /** How many lines are in the blocks before one. @param {number} index */
  linesBefore(index) {
    let lines = 0;
    for (let i = 0; i < index && i < this.blocks.length; i += 1) lines += this.blocks[i].lines.length;
    return lines;
  }

  /**
   * A known position at or behind the beginning of a block, and how many lines from that beginning lie before it:
   * what to ask the server for, to get what comes before the block.
   * @param {number} [index]
   * @returns {{ before: string, overlap: number } | null}
   */
  placeBefore(index = 0) {
    let overlap = 0;
    for (let i = index; i < this.blocks.length; i += 1) {
      const block = this.blocks[i];
      if (block.mark) {
        if (overlap > 0) return null;
        continue;
      }
      if (block.start) return { before: block.start, overlap };
      overlap += block.lines.length;
      if (block.end) return { before: block.end, overlap };
    }
    return null;
  }

  /**
   * @param {Block} block
   * @param {string[]} lines
   * @param {number} from
   * @param {Origin} origin
   * @returns {number} where the lines that did not fit begin
   */
  #fill(block, lines, from, { end = null, time = 0, source = 0, sources }) {
    let to = from;
    for (; to < lines.length && !block.full; to += 1) {
      const size = sizeOf(lines[to]);
      block.lines.push(lines[to]);
      block.times.push(time);
      block.sources.push(sources ? sources[to] : source);
      block.bytes += size;
      this.bytes += size;
    }
    this.lines += to - from;
    block.end = to === lines.length ? end : null;
    return to;
  }

  /** @param {Block} block */
  #forget(block) {
    this.lines -= block.lines.length;
    this.bytes -= block.bytes;
  }
}
