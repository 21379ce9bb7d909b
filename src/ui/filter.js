/**
 * The lines that contain what the reader looks for, as a list of their own.
 *
 * Every line is tested once: new ones as they come, old ones in slices, so that typing into the field never waits for
 * fifty thousand lines. Marks always pass, as a filter must not hide that a connection was lost.
 */

import { plain } from './ansi.js';

/** @typedef {import('./store.js').LineStore} LineStore */

/** The clock is looked at once in so many lines. */
const STRIDE = 256;

/**
 * Smart case: a term all in lower case ignores case, a capital in it makes case count.
 * @param {string} term
 * @param {string} [flags]
 */
export function patternOf(term, flags = '') {
  const literal = term.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return new RegExp(literal, term === term.toLowerCase() ? `${flags}i` : flags);
}

/** A list like the store itself, of what a pattern is found in. */
export class Matches {
  first = 0;
  end = 0;
  /** How many of the entries held are lines. */
  lines = 0;

  #store;
  #pattern;
  #scanned;
  /** @type {number[]} */
  #numbers = [];
  #head = 0;
  /** @type {Set<number>} those of the numbers that are marks */
  #marks = new Set();

  /**
   * @param {LineStore} store
   * @param {RegExp} pattern
   */
  constructor(store, pattern) {
    this.#store = store;
    this.#pattern = pattern;
    this.#scanned = store.first;
  }

  get trimmed() {
    return this.#store.trimmed;
  }

  /** @param {number} place */
  at(place) {
    return place < this.first ? undefined : this.#store.at(this.numberAt(place));
  }

  /**
   * The number in the store of what stands at a place.
   * @param {number} place
   */
  numberAt(place) {
    return this.#numbers[this.#head + place - this.first];
  }

  /**
   * How many of the lines found have this number or a higher one.
   * @param {number} number
   */
  since(number) {
    let low = this.#head;
    let high = this.#numbers.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#numbers[middle] < number) low = middle + 1;
      else high = middle;
    }
    return this.#numbers.length - low;
  }

  /**
   * Tests what is not tested yet, as far as time allows.
   * @param {number} [milliseconds]
   * @param {() => number} [now]
   * @returns {boolean} whether all is tested
   */
  advance(milliseconds = 8, now = () => performance.now()) {
    const store = this.#store;
    this.#forget();
    this.#scanned = Math.max(this.#scanned, store.first);
    const deadline = now() + milliseconds;
    while (this.#scanned < store.end) {
      const stop = Math.min(this.#scanned + STRIDE, store.end);
      for (; this.#scanned < stop; this.#scanned += 1) this.#test(this.#scanned);
      if (now() > deadline) break;
    }
    return this.#scanned === store.end;
  }

  /** The youngest entry has become a mark. */
  lastReplaced() {
    const number = this.#store.end - 1;
    if (this.#scanned <= number) return;
    if (this.#numbers.length > this.#head && this.#numbers[this.#numbers.length - 1] === number) this.lines -= 1;
    else this.#add(number);
    this.#marks.add(number);
  }

  /** @param {number} number */
  #test(number) {
    const entry = this.#store.at(number);
    if (typeof entry !== 'string') {
      this.#add(number);
      this.#marks.add(number);
    } else if (this.#pattern.test(plain(entry))) {
      this.#add(number);
      this.lines += 1;
    }
  }

  /** @param {number} number */
  #add(number) {
    this.#numbers.push(number);
    this.end += 1;
  }

  #forget() {
    while (this.#head < this.#numbers.length && this.#numbers[this.#head] < this.#store.first) {
      if (!this.#marks.delete(this.#numbers[this.#head])) this.lines -= 1;
      this.#head += 1;
      this.first += 1;
    }
    if (this.#head > 8_192) {
      this.#numbers.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
