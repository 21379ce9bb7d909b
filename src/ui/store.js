/**
 * The lines a pane holds, and the promise that there are never too many of them.
 *
 * Lines are kept in blocks, a few hundred to a block, and everything that is known about a line (its level, whether a
 * filter lets it pass, how high its row is) is kept in the same block. So forgetting the oldest lines is dropping a
 * block, whatever had been found out about them, and no index anywhere has to be moved.
 *
 * The blocks are one contiguous run of the log, with marks between them where something happened. Of several files each
 * has its own run among the others' lines. Where a line is in its file is known by pins: positions here and there among
 * the lines, from which it is so many lines to any other. No pin is lost with its block, unless the next one has others.
 */

/**
 * @typedef {'error' | 'warn' | 'info' | 'debug' | 'trace'} Level
 * @typedef {{ text: string, tone?: 'calm' | 'warn' | 'error', vars?: Record<string, string | number>,
 *   file?: string, action?: string, source?: number }} Mark
 *   a row of the page's own: the name of its text, how loud it is, and what a button in it does, for which file
 * @typedef {{ position: string, skip: number }} Place between two lines of a file: so many of its lines behind a
 *   position, or before it where they are fewer than none
 * @typedef {Place & { at: number, source: number }} Pin a place known to be before so many of a block's lines
 * @typedef {{ pins?: Pin[], time?: number, source?: number, sources?: number[] }} Origin
 *   which places are known among lines, when they came (0: before the page was opened), from which file
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
  /** The first and the last place that is known of each file, in their order. @type {Pin[]} */
  pins = [];
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
    if (last && !last.full) at = this.#fill(last, lines, 0, origin);
    while (at < lines.length) {
      const block = new Block();
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
    return this.#drop(0, 1);
  }

  dropLast() {
    return this.#drop(this.blocks.length - 1, -1);
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
   * Where in its file an edge of a block is.
   * @param {number} source
   * @param {number} index the block's
   * @param {1 | -1} step 1: its beginning, told by what follows; -1: its end, told by what is before
   * @returns {Place | null}
   */
  placeAt(source, index, step) {
    let skip = 0;
    for (let i = index; i >= 0 && i < this.blocks.length; i += step) {
      const { pins, sources, mark } = this.blocks[i];
      const of = (/** @type {Pin} */ pin) => pin.source === source;
      const pin = step > 0 ? pins.find(of) : pins.findLast(of);
      const [from, to] = step > 0 ? [0, pin?.at] : [pin?.at ?? 0];
      for (const one of sources.slice(from, to)) if (one === source) skip -= step;
      if (pin) return { position: pin.position, skip: pin.skip + skip };
      // What lies behind missing lines tells nothing of what is before them.
      if (step > 0 && mark?.action === 'gap' && mark.source === source) return null;
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
  #fill(block, lines, from, { pins = [], time = 0, source = 0, sources }) {
    const offset = block.lines.length - from;
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
    for (const pin of pins) {
      if (pin.at >= from && (pin.at < to || to === lines.length)) pinTo(block, { ...pin, at: pin.at + offset });
    }
    return to;
  }

  /** @param {number} index @param {1 | -1} step where the other blocks are */
  #drop(index, step) {
    const [block] = this.blocks.slice(index);
    if (!block) return;
    const next = this.blocks[index + step];
    for (const source of new Set(block.pins.map((pin) => pin.source))) {
      if (!next || next.pins.some((pin) => pin.source === source)) continue;
      const place = this.placeAt(source, index, step > 0 ? -1 : 1);
      if (place) next.pins.push({ ...place, source, at: step > 0 ? 0 : next.lines.length });
    }
    this.blocks.splice(index, 1);
    this.lines -= block.lines.length;
    this.bytes -= block.bytes;
    return block;
  }
}

/** Of the pins of a file the first and the last are enough. @param {Block} block @param {Pin} pin */
function pinTo({ pins }, pin) {
  const others = pins.filter(({ source }) => source === pin.source);
  const last = others.at(-1);
  if (last && last.position === pin.position && last.skip === pin.skip) return;
  if (last && others.length > 1) pins.splice(pins.indexOf(last), 1);
  pins.push(pin);
}
