/**
 * Notices a link that looks alive and is dead. A browser shows a page no ping and no pong, so what the server says
 * over plain HTTP of the file is compared with what came over the link: where the file has grown and nothing came, or
 * where the server can't be reached any more, the link is not to be trusted. Connecting anew loses nothing.
 */

/** So long a line may be on its way: a last line without its end waits for a second. */
const ON_ITS_WAY = 6_000;

/** One look that fails may be the network's; two in a row are a dead link. */
const FAILURES = 2;

export class Watchdog {
  #heardAt = 0;
  #failures = 0;
  /** The size at which the link was last given up, as it may be that of a file whose end is no line. */
  #blamedSize = -1;
  /** What was last seen, before which nothing was heard. @type {{ size: number, at: number } | null} */
  #grown = null;
  #size = -1;

  /** Something came over the link, or it was made anew. @param {number} now */
  heard(now) {
    this.#heardAt = now;
    this.#failures = 0;
    this.#grown = null;
    this.#size = -1;
  }

  /**
   * @param {{ size: number | null } | null} file what the server said, null where it could not be reached
   * @param {number} now
   * @returns {boolean} whether the link is dead
   */
  look(file, now) {
    if (!file) {
      this.#failures += 1;
      return this.#failures >= FAILURES;
    }
    this.#failures = 0;
    if (file.size === null) return false;
    // The first look after something came says how large the file is when all of it is here.
    if (this.#size < 0) {
      this.#size = file.size;
      return false;
    }
    if (file.size === this.#size) return false;
    this.#grown ??= { size: file.size, at: now };
    const silent = now - Math.max(this.#grown.at, this.#heardAt) >= ON_ITS_WAY;
    if (!silent || this.#blamedSize === this.#grown.size) return false;
    this.#blamedSize = this.#grown.size;
    return true;
  }
}
