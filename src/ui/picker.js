/**
 * The picker of a file: a button with a list box below it. It stays small beside three files and usable beside fifty,
 * and screen readers know it.
 */

import { size, t } from './texts.js';

/** @typedef {import('./files.js').LogFile} LogFile */

/** Letters typed in so short a time are one beginning of a name. */
const TYPING = 700;

let nextBox = 1;

export class FilePicker {
  #list;
  #button;
  #box;
  #id;
  #current = '';
  #active = 0;
  #typed = '';
  #typedAt = 0;
  #onChoose;

  /**
   * @param {import('./files.js').FileList} list
   * @param {HTMLElement} button
   * @param {HTMLElement} box
   * @param {(name: string) => void} onChoose
   */
  constructor(list, button, box, onChoose) {
    this.#list = list;
    this.#button = button;
    this.#box = box;
    this.#onChoose = onChoose;
    this.#id = box.id ||= `files${nextBox++}`;
    button.setAttribute('aria-controls', this.#id);
    button.addEventListener('click', () => (box.hidden ? this.#open() : this.#close()));
    button.addEventListener('keydown', (event) => {
      if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && box.hidden) {
        event.preventDefault();
        this.#open();
      }
    });
    box.addEventListener('keydown', (event) => this.#key(event));
    box.addEventListener('click', (event) => {
      const option = /** @type {Element} */ (event.target).closest('[role=option]');
      if (option) this.#choose([...box.children].indexOf(option));
    });
    box.addEventListener('focusout', (event) => {
      if (event.relatedTarget !== button) this.#close(false);
    });
  }

  /** @param {string} name */
  set current(name) {
    this.#current = name;
    this.render();
  }

  render() {
    this.#button.classList.toggle('gone', this.#list.find(this.#current)?.exists === false);
    this.#box.setAttribute('aria-label', t('files'));
    if (this.#box.hidden) return;
    // Options stay while there are as many files: one that is being clicked must not be replaced meanwhile.
    const { files } = this.#list;
    if (this.#box.children.length !== files.length) {
      this.#box.replaceChildren(...files.map((_, at) => this.#newOption(at)));
    }
    for (const [at, option] of [...this.#box.children].entries()) this.#fill(option, files[at]);
    this.#mark();
  }

  /** @param {number} at */
  #newOption(at) {
    const option = document.createElement('li');
    option.id = `${this.#id}-${at}`;
    option.setAttribute('role', 'option');
    for (const part of ['name', 'viewers', 'size']) {
      const element = document.createElement('span');
      element.className = part;
      option.append(element);
    }
    return option;
  }

  /**
   * @param {Element} option
   * @param {LogFile} file
   */
  #fill(option, file) {
    const [name, viewers, weight] = option.children;
    option.setAttribute('aria-selected', String(file.name === this.#current));
    option.classList.toggle('gone', file.exists === false);
    name.textContent = file.name;
    viewers.textContent = file.viewers ? t('viewers', { n: file.viewers }) : '';
    weight.textContent = file.exists === false ? t('notThere') : file.size === null ? '' : size(file.size);
  }

  #open() {
    if (this.#list.files.length === 0) {
      this.#list.refresh().then((there) => there && this.#open());
      return;
    }
    this.#active = Math.max(0, this.#list.files.findIndex((file) => file.name === this.#current));
    this.#box.hidden = false;
    this.#button.setAttribute('aria-expanded', 'true');
    this.render();
    this.#box.focus();
    this.#list.refresh();
  }

  /** @param {boolean} [giveBack] whether the button gets the focus */
  #close(giveBack = true) {
    if (this.#box.hidden) return;
    if (giveBack) this.#button.focus();
    this.#box.hidden = true;
    this.#button.setAttribute('aria-expanded', 'false');
  }

  /** @param {number} at */
  #choose(at) {
    const { name } = this.#list.files[at];
    this.#close();
    this.#onChoose(name);
  }

  #mark() {
    for (const [at, option] of [...this.#box.children].entries()) {
      option.classList.toggle('active', at === this.#active);
      if (at === this.#active && !this.#box.hidden) option.scrollIntoView({ block: 'nearest' });
    }
    this.#box.setAttribute('aria-activedescendant', `${this.#id}-${this.#active}`);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#list.files.length - 1;
    if (event.key === 'ArrowDown') this.#active = Math.min(last, this.#active + 1);
    else if (event.key === 'ArrowUp') this.#active = Math.max(0, this.#active - 1);
    else if (event.key === 'Home') this.#active = 0;
    else if (event.key === 'End') this.#active = last;
    else if (event.key === 'Enter' || event.key === ' ') this.#choose(this.#active);
    else if (event.key === 'Escape') this.#close();
    else if (event.key.length === 1) this.#type(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.#mark();
  }

  /**
   * Letters go to the file whose name begins with them.
   * @param {string} letter
   */
  #type(letter) {
    const now = Date.now();
    this.#typed = (now - this.#typedAt < TYPING ? this.#typed : '') + letter.toLowerCase();
    this.#typedAt = now;
    const at = this.#list.files.findIndex((file) => file.name.toLowerCase().startsWith(this.#typed));
    if (at >= 0) this.#active = at;
  }
}
