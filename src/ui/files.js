/** The files the server offers, kept up to date while somebody looks. */

import { addressOf } from './address.js';

/**
 * @typedef {{ name: string, default: boolean, exists: boolean | null, size: number | null, modified: string | null,
 *   encoding: string | null, viewers: number | null }} LogFile
 */

const REFRESH_EVERY = 5_000;

/** An answer that takes longer is none. */
const TIMEOUT = 4_000;

/** The server's list. */
export class FileList {
  /** @type {LogFile[]} */
  files = [];
  /** How far this clock is ahead of the server's, in milliseconds. */
  skew = 0;

  #onChange;

  /** @param {(reached: boolean) => void} onChange told whether the server could be reached */
  constructor(onChange) {
    this.#onChange = onChange;
    setInterval(() => document.visibilityState === 'visible' && this.refresh(), REFRESH_EVERY);
  }

  /** @returns {Promise<boolean>} whether there is a list */
  async refresh() {
    try {
      const headers = { accept: 'application/json' };
      const answer = await fetch(addressOf('api/v1/files'), { headers, signal: AbortSignal.timeout(TIMEOUT) });
      if (answer.ok) {
        this.files = await answer.json();
        const date = Date.parse(answer.headers.get('date') ?? '');
        this.skew = Number.isNaN(date) ? 0 : Date.now() - date;
        this.#onChange(true);
      }
    } catch {
      // The list as it was is still the best one.
      this.#onChange(false);
    }
    return this.files.length > 0;
  }

  /** @param {string} name */
  find(name) {
    return this.files.find((file) => file.name === name);
  }

  /** The one to begin with. */
  get standard() {
    return (this.files.find((file) => file.default) ?? this.files[0])?.name;
  }

  /**
   * When a file was last written to, by this clock.
   * @param {string} name
   */
  modified(name) {
    const time = Date.parse(this.find(name)?.modified ?? '');
    return Number.isNaN(time) ? undefined : Math.min(Date.now(), time + this.skew);
  }

  /**
   * @param {string} name
   * @param {1 | -1} step
   */
  beside(name, step) {
    const count = this.files.length;
    if (count === 0) return undefined;
    const at = this.files.findIndex((file) => file.name === name);
    return this.files[at < 0 ? 0 : (at + step + count) % count].name;
  }
}
