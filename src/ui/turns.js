/** Turns for things of which only so many may be under way at a time, in the order in which they were asked for. */

/** @typedef {{ begin(): void, begun: boolean }} Turn */

export class Turns {
  #free;
  /** @type {Turn[]} */
  #line = [];

  /** @param {number} count at a time */
  constructor(count) {
    this.#free = count;
  }

  /**
   * @param {() => void} begin called when it is its turn, which may be at once
   * @returns {() => void} ends the turn, or leaves the line; may be called more than once
   */
  take(begin) {
    const turn = { begin, begun: false };
    this.#line.push(turn);
    this.#next();
    return () => {
      this.#line = this.#line.filter((other) => other !== turn);
      if (!turn.begun) return;
      turn.begun = false;
      this.#free += 1;
      this.#next();
    };
  }

  #next() {
    while (this.#free > 0) {
      const turn = this.#line.shift();
      if (!turn) return;
      this.#free -= 1;
      turn.begun = true;
      turn.begin();
    }
  }
}
