/**
 * Notices a link that looks alive and is dead. A browser shows a page no ping and no pong, so what the server says
 * over plain HTTP of the file is compared with what came over the link: where the file was written to and nothing came
 * since, or where the server can't be reached any more, the link is not to be trusted. Connecting anew loses nothing.
 */

/** So long a line may be on its way, with clocks that are a second apart: a last line without its end waits for one. */
const ON_ITS_WAY = 4_000;

/** One look that fails may be the network's; two in a row are a dead link. */
const FAILURES = 2;

export class Watchdog {
  #heardAt = 0;
  #failures = 0;
  /** The first write seen of which nothing was heard; 0 for none. */
  #unheard = 0;
  /** The write for which a link was given up, as it may be one that made no line. */
  #blamed = 0;

  /** Something came over the link, or it was made anew. @param {number} now */
  heard(now) {
    this.#heardAt = now;
    this.#failures = 0;
    this.#unheard = 0;
  }

  /**
   * @param {{ modified: number | null } | null} file when it was last written to; null where the server could not be
   *   reached
   * @param {number} now
   * @returns {boolean} whether the link is dead
   */
  look(file, now) {
    if (!file) {
      this.#failures += 1;
      return this.#failures >= FAILURES;
    }
    this.#failures = 0;
    const { modified } = file;
    // The clocks are compared anew with every look, so that the same write may seem to be a second apart.
    const known = modified === null || Math.abs(modified - this.#blamed) < ON_ITS_WAY;
    if (!known && modified >= this.#heardAt + ON_ITS_WAY) this.#unheard ||= modified;
    if (!this.#unheard || now < this.#unheard + ON_ITS_WAY) return false;
    this.#blamed = modified ?? 0;
    this.#unheard = 0;
    return true;
  }
}
