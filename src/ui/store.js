/**
 * The lines the page holds, and the promise that there are never too many of them: the oldest go first once a count
 * or a size is exceeded, so that a tab may stay open for weeks.
 *
 * Every entry has a number that never changes and is never given twice. Whoever remembers a place in the log
 * (the list, the filter, the cursor) remembers that number and is not troubled by what is trimmed before it.
 */

/**
 * @typedef {{ mark: string, tone?: 'calm' | 'warn' | 'error', vars?: Record<string, string | number> }} Mark
 *   a row of the page's own, `mark` being the name of its text
 * @typedef {string | Mark} Entry a line of the log, or a mark between lines
 */

export const MAX_LINES = 50_000;
export const MAX_BYTES = 32 * 1024 * 1024;

/** What an entry costs beside its characters, roughly. */
const OVERHEAD = 24;

/** Emptied slots at the front are given back in one go when there are so many. */
const COMPACT_AT = 8_192;

/** @param {Entry} entry */
const sizeOf = (entry) => (typeof entry === 'string' ? entry.length * 2 : 0) + OVERHEAD;

export class LineStore {
  /** The number of the oldest entry that is held. */
  first = 0;
  /** The number the next entry will get. */
  end = 0;
  /** How many bytes are held, at two a character. */
  bytes = 0;
  /** How many of the entries held are lines. */
  lines = 0;
  /** How many lines were ever added. */
  added = 0;

  /** @type {(Entry | undefined)[]} */
  #slots = [];
  #head = 0;
  #base = 0;
  #maxLines;
  #maxBytes;

  /** @param {{ maxLines?: number, maxBytes?: number }} [limits] */
  constructor({ maxLines = MAX_LINES, maxBytes = MAX_BYTES } = {}) {
    this.#maxLines = maxLines;
    this.#maxBytes = maxBytes;
  }

  /** Whether something older was held once and is no longer. */
  get trimmed() {
    return this.first > this.#base;
  }

  /** @param {Entry} entry */
  push(entry) {
    this.#slots.push(entry);
    this.end += 1;
    this.#count(entry, 1);
    if (typeof entry === 'string') this.added += 1;
    while ((this.end - this.first > this.#maxLines || this.bytes > this.#maxBytes) && this.end - this.first > 1) {
      this.#shift();
    }
  }

  /**
   * @param {number} number
   * @returns {Entry | undefined} undefined for what is not held
   */
  at(number) {
    return number < this.first ? undefined : this.#slots[this.#head + number - this.first];
  }

  /** The youngest entry. */
  last() {
    return this.at(this.end - 1);
  }

  /**
   * Puts a mark in the place of the youngest entry: only the Close after it tells that a message was a notice.
   * @param {Mark} mark
   */
  replaceLast(mark) {
    const old = this.last();
    if (old === undefined) return this.push(mark);
    this.#count(old, -1);
    if (typeof old === 'string') this.added -= 1;
    this.#slots[this.#slots.length - 1] = mark;
    this.#count(mark, 1);
  }

  /** Forgets everything; numbers go on from where they were. */
  clear() {
    this.#slots = [];
    this.#head = 0;
    this.first = this.end;
    this.#base = this.end;
    this.bytes = 0;
    this.lines = 0;
  }

  #shift() {
    this.#count(/** @type {Entry} */ (this.#slots[this.#head]), -1);
    this.#slots[this.#head] = undefined;
    this.#head += 1;
    this.first += 1;
    if (this.#head >= COMPACT_AT) {
      this.#slots.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /**
   * @param {Entry} entry
   * @param {1 | -1} sign
   */
  #count(entry, sign) {
    this.bytes += sign * sizeOf(entry);
    if (typeof entry === 'string') this.lines += sign;
  }
}
