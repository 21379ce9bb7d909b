/** What stands around the rows of a pane: names, state, counts, and words in place of rows. It shows, and decides nothing. */

import { emptyText, stateText } from './state.js';
import { span, t } from './texts.js';

/** @typedef {import('./socket.js').State} State */

export class PaneHead {
  #pane;
  /** @type {Map<string, HTMLElement>} */
  #parts = new Map();

  /** @param {HTMLElement} pane */
  constructor(pane) {
    this.#pane = pane;
  }

  /** @param {string} name @returns {HTMLElement} */
  get(name) {
    let part = this.#parts.get(name);
    if (!part) {
      part = /** @type {HTMLElement} */ (this.#pane.querySelector(name));
      this.#parts.set(name, part);
    }
    return part;
  }

  /** @param {string[]} files */
  names(files) {
    const merged = files.length > 1;
    const name = files.join(' + ');
    write(this.get('.file-name'), name);
    this.#pane.setAttribute('aria-label', name);
    this.get('.log').setAttribute('aria-label', t('logOf', { file: name }));
    this.get('.fields').setAttribute('aria-label', t('fieldsOf', { file: name }));
    this.get('.file').setAttribute('aria-label', t('chooseFile', { file: name }));
    this.get('.file').hidden = merged;
    const legend = this.get('.legend');
    legend.hidden = !merged;
    legend.replaceChildren(
      ...(merged ? files : []).map((file, at) => {
        const entry = document.createElement('span');
        entry.className = `source${at % 6}`;
        entry.textContent = file;
        return entry;
      }),
    );
  }

  /**
   * @param {{ state: State, file: string }} shown
   * @param {{ following: boolean, merged: boolean }} how
   * @returns {boolean} whether it is another state than before
   */
  state({ state, file }, { following, merged }) {
    const kind = state.phase === 'live' && !following ? 'paused' : state.phase;
    const element = this.get('.state');
    const changed = !element.classList.contains(kind);
    if (changed) element.className = `state ${kind}`;
    const waits = state.phase === 'waiting' || state.phase === 'stopped';
    write(this.get('.state-text'), (merged && waits ? `${file}: ` : '') + stateText(state, following, Date.now()));
    const retry = this.get('.retry');
    if (!waits && document.activeElement === retry) this.get('.log').focus({ preventScroll: true });
    retry.hidden = !waits;
    return changed;
  }

  /** @param {number | undefined} at when the last line came */
  last(at) {
    const ago = at ? span(Date.now() - at) : '';
    write(this.get('.last-long'), ago && t('lastLine', { ago }));
    write(this.get('.last-short'), ago && t('ago', { ago }));
  }

  /** @param {string} shown @param {string} found */
  counts(shown, found) {
    write(this.get('.filter-count'), shown);
    write(this.get('.find-count'), found);
  }

  /** @param {boolean} following */
  following(following) {
    this.#pane.classList.toggle('paused', !following);
    const pill = this.get('.pill');
    if (following && pill.contains(document.activeElement)) this.get('.log').focus({ preventScroll: true });
    pill.hidden = following;
    write(this.get('.pause-text'), t(following ? 'pause' : 'follow'));
  }

  /** @param {number} fresh lines that came since the pause @param {boolean} stood whether the place of the pause is held */
  pill(fresh, stood) {
    this.get('.pill-stood').hidden = !stood;
    write(this.get('.pill-text'), t('pill', { n: fresh }));
  }

  /** What is said above the first row. @param {string} text nothing where it is empty */
  edge(text) {
    this.get('.edge').hidden = text === '';
    write(this.get('.edge'), text);
  }

  /** What is said in place of rows. @param {State} state @param {Parameters<typeof emptyText>[1] | null} what null where there are some */
  empty(state, what) {
    this.get('.empty').hidden = what === null;
    if (!what) return;
    const { text, more } = emptyText(state, what);
    write(this.get('.empty-text'), text);
    write(this.get('.empty-more'), more);
  }

  /**
   * The fields that are columns.
   * @param {readonly string[]} columns
   * @param {(name: string) => void} onDrop
   */
  columns(columns, onDrop) {
    const box = this.get('.taken');
    box.hidden = columns.length === 0;
    box.replaceChildren(
      ...columns.map((name) => {
        const button = document.createElement('button');
        button.type = 'button';
        button.className = 'taken-column';
        button.textContent = name;
        button.title = t('columnDrop');
        button.addEventListener('click', () => onDrop(name));
        return button;
      }),
    );
  }
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
