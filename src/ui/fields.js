/** The two fields of a pane: what lines are shown, and what is looked for in them. */

import { Filter, Finder, takeText } from './terms.js';
import { t } from './texts.js';

/**
 * @typedef {'filter' | 'find'} Name
 * @typedef {{ onFilter(filter: Filter | null): void, onFind(finder: Finder | null): void, onHit(): void,
 *   onWhole(): void, onLeave(): void }} Calls
 */

export class Fields {
  #pane;
  #calls;
  /** @type {Filter | null} */
  #filter = null;
  /** @type {Finder | null} */
  #finder = null;
  /** @type {Record<Name, string>} */
  #errors = { filter: '', find: '' };

  /**
   * @param {HTMLElement} pane
   * @param {Calls} calls
   */
  constructor(pane, calls) {
    this.#pane = pane;
    this.#calls = calls;
    for (const name of /** @type {const} */ (['filter', 'find'])) {
      this.#input(name).addEventListener('input', () => this.#take(name));
      this.#input(name).addEventListener('keydown', (event) => this.#key(name, event));
      this.#clearButton(name).addEventListener('click', () => {
        this.clear(name);
        this.#input(name).focus();
      });
    }
  }

  /** @param {Name} name */
  text(name) {
    return this.#input(name).value;
  }

  /** @param {Name} name @param {string} text */
  set(name, text) {
    this.#input(name).value = text;
    this.#take(name);
  }

  /** @param {Name} name */
  clear(name) {
    this.set(name, '');
  }

  focusFind() {
    this.#input('find').select();
  }

  /** @param {Name} name */
  #take(name) {
    const text = this.text(name);
    if (name === 'filter') {
      const { value, error } = takeText(text, (terms) => new Filter(terms), this.#filter);
      this.#show(name, error);
      if (error) return;
      this.#filter = value;
      this.#calls.onFilter(value);
    } else {
      const { value, error } = takeText(text, (terms) => new Finder(terms), this.#finder);
      this.#show(name, error);
      if (error) return;
      this.#finder = value;
      this.#calls.onFind(value);
    }
  }

  /** @param {Name} name @param {string} error */
  #show(name, error) {
    const input = this.#input(name);
    this.#errors[name] = error;
    input.closest('.field')?.classList.toggle('bad', error !== '');
    input.setAttribute('aria-invalid', String(error !== ''));
    this.#clearButton(name).hidden = !input.value;
    const told = /** @type {HTMLElement} */ (this.#pane.querySelector('.field-error'));
    const shown = this.#errors.filter || this.#errors.find;
    told.hidden = shown === '';
    told.textContent = shown && t('badExpression', { error: shown });
  }

  /** @param {Name} name @param {KeyboardEvent} event */
  #key(name, event) {
    if (event.isComposing) return;
    if (event.key === 'Enter') {
      event.preventDefault();
      if (name === 'find' && event.shiftKey) return this.#calls.onWhole();
      this.#calls.onLeave();
      if (name === 'find' && this.#finder) this.#calls.onHit();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      if (this.text(name)) this.clear(name);
      else this.#calls.onLeave();
    }
  }

  /** @param {Name} name */
  #input(name) {
    return /** @type {HTMLInputElement} */ (this.#pane.querySelector(`input.${name}`));
  }

  /** @param {Name} name */
  #clearButton(name) {
    return /** @type {HTMLElement} */ (this.#pane.querySelector(`[data-clear=${name}]`));
  }
}
