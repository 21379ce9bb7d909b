/** The drawer that shows what a search in whole files finds, while it finds it. */

import { parse, plain } from './ansi.js';
import { search } from './history.js';
import { queryOf } from './terms.js';
import { size, t } from './texts.js';
import { timeIn } from './times.js';

/**
 * @typedef {import('./history.js').Hit} Hit
 * @typedef {{ file: string, number: number, next: string | null, done: boolean, time: number }} Searched
 *   a file, and how far it is searched: from which position on, and the time of its last hit
 */

/** So many hits of a file are fetched before the reader asks for more. */
const HITS = 500;

/** So much of a hit's line is shown. */
const SHOWN = 300;

/** What the server left out of a line may be where the hit is. */
const CUT = /\[\+\d+ bytes\]$/;

export class SearchDrawer {
  #box;
  #list;
  #text;
  #progress;
  #stop;
  #more;
  #onOpen;
  #onClose;
  /** @type {AbortController | null} */
  #running = null;
  /** @type {Searched[]} */
  #files = [];
  #size = 0;
  #scanned = 0;
  /** In the order of the list. @type {(Hit & { from: Searched, time: number })[]} */
  #hits = [];
  #ending = '';
  #reason = '';
  /** @type {import('./terms.js').Finder | null} */
  #finder = null;

  /**
   * @param {HTMLElement} box
   * @param {(hit: Hit, number: number) => void} onOpen told the number of the hit's file too
   * @param {() => void} onClose
   */
  constructor(box, onOpen, onClose) {
    const get = (/** @type {string} */ name) => /** @type {any} */ (box.querySelector(name));
    this.#box = box;
    this.#list = get('.hits');
    this.#text = get('.results-text');
    this.#progress = /** @type {HTMLProgressElement} */ (get('.results-progress'));
    this.#stop = get('.results-stop');
    this.#more = get('.results-more');
    this.#onOpen = onOpen;
    this.#onClose = onClose;
    this.#stop.addEventListener('click', () => this.cancel());
    this.#more.addEventListener('click', () => this.#run());
    get('.results-close').addEventListener('click', () => this.close());
    this.#list.addEventListener('click', (/** @type {Event} */ event) => {
      const item = /** @type {Element} */ (event.target).closest('li');
      if (item) this.#open([...this.#list.children].indexOf(item));
    });
    box.addEventListener('keydown', (event) => this.#key(event));
  }

  /**
   * @param {string[]} files
   * @param {import('./terms.js').Finder} finder
   * @param {number} bytes of all files, for the progress
   */
  start(files, finder, bytes) {
    if (finder.terms.length === 0) return;
    this.cancel();
    this.#files = files.map((file, number) => ({ file, number, next: null, done: false, time: Infinity }));
    this.#finder = finder;
    this.#size = bytes;
    this.#scanned = 0;
    this.#hits = [];
    this.#list.replaceChildren();
    this.#box.hidden = false;
    this.#run();
  }

  cancel() {
    this.#running?.abort();
    this.#running = null;
  }

  close() {
    this.cancel();
    if (this.#box.hidden) return;
    this.#box.hidden = true;
    this.#onClose();
  }

  get open() {
    return !this.#box.hidden;
  }

  /** For another language. */
  refresh() {
    if (this.open) this.#show();
  }

  async #run() {
    const finder = this.#finder;
    if (!finder) return;
    const running = new AbortController();
    this.#running = running;
    this.#ending = '';
    this.#show();
    try {
      // One after the other, as the server has few places for searches.
      for (const from of this.#files) {
        if (from.done) continue;
        const calls = {
          onHit: (/** @type {Hit} */ hit) => this.#add(hit, from),
          onProgress: (/** @type {number} */ scanned) => {
            this.#scanned += scanned;
            this.#show();
          },
        };
        const query = { ...queryOf(finder.terms), before: from.next, limit: HITS };
        const { next } = await search(from.file, query, calls, running.signal).catch((error) => {
          // Of several files one may be missing.
          if (error.status !== 404 || this.#files.length === 1) throw error;
          return { next: null };
        });
        from.next = next;
        from.done = !next;
      }
      this.#ending = this.#files.every(({ done }) => done) ? 'searchAll' : 'searchPart';
    } catch (error) {
      if (this.#running !== running && !running.signal.aborted) return;
      this.#ending = running.signal.aborted ? 'searchStopped' : 'searchFailed';
      // Of an expression that the server does not know the last line says why.
      this.#reason = /** @type {Error} */ (error).message.split(': ').at(-1) ?? '';
    }
    if (this.#running === running || running.signal.aborted) this.#running = null;
    this.#show();
  }

  /** Puts a hit in its place: the newest first, as far as lines have times. @param {Hit} hit @param {Searched} from */
  #add(hit, from) {
    // The server searches lines as they are, escape sequences included.
    if (!this.#finder?.test(plain(hit.line)) && !CUT.test(hit.line)) return;
    from.time = Math.min(from.time, timeIn(hit.line) ?? from.time);
    const { time } = from;
    let at = this.#hits.length;
    while (this.#files.length > 1 && at > 0 && this.#hits[at - 1].time < time) at -= 1;
    this.#hits.splice(at, 0, { ...hit, from, time });
    this.#list.insertBefore(this.#itemOf(hit, from), this.#list.children[at] ?? null);
    this.#show();
  }

  #show() {
    const running = this.#running !== null;
    const found = t('hits', { n: this.#hits.length });
    const scanned = this.#scanned ? ` · ${t('scanned', { size: size(this.#scanned) })}` : '';
    const state = t(running ? 'searching' : this.#ending, { reason: this.#reason });
    const text = `${found}${scanned} · ${state}`;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#progress.hidden = !running;
    if (this.#scanned && this.#size) this.#progress.value = Math.min(1, this.#scanned / this.#size);
    else this.#progress.removeAttribute('value');
    this.#stop.hidden = !running;
    this.#more.hidden = running || this.#ending !== 'searchPart';
  }

  /** @param {Hit} hit @param {Searched} from */
  #itemOf(hit, { file, number }) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.tabIndex = this.#hits.length === 1 ? 0 : -1;
    const text = parse(hit.line, SHOWN).segments.map((segment) => segment.text).join('');
    if (this.#files.length > 1) {
      const label = document.createElement('span');
      label.className = `hit-file source${number % 6}`;
      label.textContent = file;
      button.append(label);
    }
    let at = 0;
    for (const { from, to, colour } of this.#finder?.spans(text).sort((a, b) => a.from - b.from) ?? []) {
      if (from < at) continue;
      const mark = document.createElement('span');
      mark.className = `hit hit${colour}`;
      mark.textContent = text.slice(from, to);
      button.append(text.slice(at, from), mark);
      at = to;
    }
    button.append(text.slice(at));
    item.append(button);
    return item;
  }

  /** @param {number} at */
  #open(at) {
    for (const [index, item] of [...this.#list.children].entries()) item.classList.toggle('opened', index === at);
    this.#onOpen(this.#hits[at], this.#hits[at].from.number);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const buttons = /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll('button')]);
    const at = buttons.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    let to = at;
    if (event.key === 'ArrowDown' || event.key === 'j') to = at + 1;
    else if (event.key === 'ArrowUp' || event.key === 'k') to = at - 1;
    else if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      return this.close();
    } else return;
    if (at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    buttons[Math.min(buttons.length - 1, Math.max(0, to))].focus();
  }
}
