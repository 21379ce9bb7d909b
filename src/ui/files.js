/**
 * The files the server offers, kept up to date while somebody looks, and the picker that shows them.
 *
 * The picker is a button with a list box below it: it stays small beside three files and usable beside fifty, and
 * screen readers know it.
 */

import { addressOf } from './address.js';
import { size, t } from './texts.js';

/**
 * @typedef {{ name: string, default: boolean, exists: boolean | null, size: number | null, modified: string | null,
 *   encoding: string | null, viewers: number | null }} LogFile
 */

const REFRESH_EVERY = 10_000;

/** The server's list. */
export class FileList {
  /** @type {LogFile[]} */
  files = [];
  /** How far this clock is ahead of the server's, in milliseconds. */
  skew = 0;

  #onChange;

  /** @param {() => void} onChange */
  constructor(onChange) {
    this.#onChange = onChange;
    setInterval(() => document.visibilityState === 'visible' && this.refresh(), REFRESH_EVERY);
  }

  /** @returns {Promise<boolean>} whether there is a list */
  async refresh() {
    try {
      const answer = await fetch(addressOf('api/v1/files'), { headers: { accept: 'application/json' } });
      if (answer.ok) {
        this.files = await answer.json();
        const date = Date.parse(answer.headers.get('date') ?? '');
        this.skew = Number.isNaN(date) ? 0 : Date.now() - date;
        this.#onChange();
      }
    } catch {
      // The connection's own state tells the reader; the list as it was is still the best one.
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

/** The button and the list box. */
export class FilePicker {
  #list;
  #button;
  #box;
  #label;
  #current = '';
  #active = 0;
  #typed = '';
  #typedAt = 0;
  #onChoose;

  /**
   * @param {FileList} list
   * @param {{ button: HTMLElement, box: HTMLElement, label: HTMLElement }} parts
   * @param {(name: string) => void} onChoose
   */
  constructor(list, { button, box, label }, onChoose) {
    this.#list = list;
    this.#button = button;
    this.#box = box;
    this.#label = label;
    this.#onChoose = onChoose;
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
    const file = this.#list.find(this.#current);
    this.#label.textContent = this.#current;
    this.#button.setAttribute('aria-label', t('chooseFile', { file: this.#current }));
    this.#button.classList.toggle('gone', file?.exists === false);
    this.#box.setAttribute('aria-label', t('files'));
    // Options stay while there are as many files: one that is being clicked must not be replaced meanwhile.
    const { files } = this.#list;
    if (this.#box.children.length !== files.length) this.#box.replaceChildren(...files.map(newOption));
    for (const [at, option] of [...this.#box.children].entries()) this.#fill(option, files[at]);
    this.#mark();
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
    if (this.#list.files.length === 0) return;
    this.#active = Math.max(0, this.#list.files.findIndex((file) => file.name === this.#current));
    this.#box.hidden = false;
    this.#button.setAttribute('aria-expanded', 'true');
    this.#mark();
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
    this.#box.setAttribute('aria-activedescendant', `file-${this.#active}`);
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
    this.#typed = (now - this.#typedAt < 700 ? this.#typed : '') + letter.toLowerCase();
    this.#typedAt = now;
    const at = this.#list.files.findIndex((file) => file.name.toLowerCase().startsWith(this.#typed));
    if (at >= 0) this.#active = at;
  }
}

/**
 * @param {LogFile} _file
 * @param {number} at
 */
function newOption(_file, at) {
  const option = document.createElement('li');
  option.id = `file-${at}`;
  option.setAttribute('role', 'option');
  for (const part of ['name', 'viewers', 'size']) {
    const element = document.createElement('span');
    element.className = part;
    option.append(element);
  }
  return option;
}
