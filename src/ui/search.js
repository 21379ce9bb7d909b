/** The drawer that shows what a search in the whole file finds, while it finds it. */

import { search } from './history.js';
import { parse } from './ansi.js';
import { Finder, parseTerms } from './terms.js';
import { size, t } from './texts.js';

/** @typedef {import('./history.js').Hit} Hit */

/** So many hits are fetched before the reader asks for more. */
const HITS = 500;

/** So much of a hit's line is shown. */
const SHOWN = 300;

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
  #file = '';
  #query = '';
  /** @type {string | null} */
  #next = null;
  #size = 0;
  #scanned = 0;
  /** @type {Hit[]} */
  #hits = [];
  #ending = '';
  /** @type {Finder | null} */
  #finder = null;

  /**
   * @param {HTMLElement} box
   * @param {(hit: Hit) => void} onOpen
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
   * @param {string} file
   * @param {string} text as it stands in the field: its first term is searched for
   * @param {number} fileSize for the progress
   */
  start(file, text, fileSize) {
    const [term] = parseTerms(text).filter(({ pattern }) => pattern);
    if (!term) return;
    this.cancel();
    this.#file = file;
    this.#query = text;
    this.#finder = new Finder([term]);
    this.#size = fileSize;
    this.#scanned = 0;
    this.#next = null;
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
    const [term] = parseTerms(this.#query).filter(({ pattern }) => pattern);
    const running = new AbortController();
    this.#running = running;
    this.#ending = '';
    this.#show();
    const regex = this.#query.includes(`/${term.source}/`);
    const calls = {
      onHit: (/** @type {Hit} */ hit) => {
        this.#hits.push(hit);
        this.#list.append(this.#itemOf(hit));
        this.#show();
      },
      onProgress: (/** @type {number} */ scanned) => {
        this.#scanned = scanned;
        this.#show();
      },
    };
    try {
      const query = { text: term.source, regex, before: this.#next, limit: HITS };
      const { next } = await search(this.#file, query, calls, running.signal);
      this.#next = next;
      this.#ending = next ? 'searchPart' : 'searchAll';
    } catch (error) {
      if (this.#running !== running && !running.signal.aborted) return;
      this.#ending = running.signal.aborted ? 'searchStopped' : 'searchFailed';
      if (!running.signal.aborted) this.#text.title = String(/** @type {Error} */ (error).message);
    }
    if (this.#running === running || running.signal.aborted) this.#running = null;
    this.#show();
  }

  #show() {
    const running = this.#running !== null;
    const found = t('hits', { n: this.#hits.length });
    const scanned = this.#scanned ? ` · ${t('scanned', { size: size(this.#scanned) })}` : '';
    const state = t(running ? 'searching' : this.#ending);
    const text = `${found}${scanned} · ${state}`;
    if (this.#text.textContent !== text) this.#text.textContent = text;
    this.#progress.hidden = !running;
    if (this.#scanned && this.#size) this.#progress.value = Math.min(1, this.#scanned / this.#size);
    else this.#progress.removeAttribute('value');
    this.#stop.hidden = !running;
    this.#more.hidden = running || !this.#next;
  }

  /** @param {Hit} hit */
  #itemOf(hit) {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.tabIndex = this.#hits.length === 1 ? 0 : -1;
    const text = parse(hit.line, SHOWN).segments.map((segment) => segment.text).join('');
    let at = 0;
    for (const { from, to } of this.#finder?.spans(text) ?? []) {
      if (from < at) continue;
      const mark = document.createElement('span');
      mark.className = 'hit hit0';
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
    this.#onOpen(this.#hits[at]);
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
