/** The menu of a pane: a button, and below it what is done more rarely. */

/**
 * @typedef {{ text: string, checked?: boolean, href?: string, run?: () => void }} Item
 */

export class Menu {
  #button;
  #box;
  #items;

  /**
   * @param {HTMLElement} button
   * @param {HTMLElement} box
   * @param {() => (Item | null)[]} items asked for when it opens; null is a line between groups
   */
  constructor(button, box, items) {
    this.#button = button;
    this.#box = box;
    this.#items = items;
    button.addEventListener('click', () => (box.hidden ? this.#open() : this.#close()));
    button.addEventListener('keydown', (event) => {
      if (event.key !== 'ArrowDown' || !box.hidden) return;
      event.preventDefault();
      this.#open();
    });
    box.addEventListener('keydown', (event) => this.#key(event));
    box.addEventListener('focusout', (event) => {
      const to = /** @type {Node | null} */ (event.relatedTarget);
      if (to !== button && !box.contains(to)) this.#close(false);
    });
  }

  #open() {
    this.#box.replaceChildren(...this.#items().map((item) => (item ? this.#make(item) : line())));
    this.#box.hidden = false;
    this.#button.setAttribute('aria-expanded', 'true');
    /** @type {HTMLElement} */ (this.#box.firstElementChild).focus();
  }

  /** @param {boolean} [giveBack] whether the button gets the focus */
  #close(giveBack = true) {
    if (this.#box.hidden) return;
    if (giveBack) this.#button.focus();
    this.#box.hidden = true;
    this.#button.setAttribute('aria-expanded', 'false');
  }

  /** @param {Item} item */
  #make({ text, checked, href, run }) {
    const element = document.createElement(href ? 'a' : 'button');
    element.className = 'item';
    element.tabIndex = -1;
    element.textContent = text;
    element.setAttribute('role', checked === undefined ? 'menuitem' : 'menuitemcheckbox');
    if (checked !== undefined) element.setAttribute('aria-checked', String(checked));
    if (element instanceof HTMLAnchorElement && href) {
      element.href = href;
      element.download = '';
    }
    element.addEventListener('click', () => {
      this.#close();
      run?.();
    });
    return element;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const items = /** @type {HTMLElement[]} */ ([...this.#box.querySelectorAll('.item')]);
    const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const { length } = items;
    if (event.key === 'ArrowDown') items[(at + 1) % length].focus();
    else if (event.key === 'ArrowUp') items[(at - 1 + length) % length].focus();
    else if (event.key === 'Home') items[0].focus();
    else if (event.key === 'End') items[length - 1].focus();
    else if (event.key === 'Escape') this.#close();
    else if (event.key === ' ') items[at]?.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

function line() {
  const element = document.createElement('hr');
  element.setAttribute('role', 'separator');
  return element;
}
