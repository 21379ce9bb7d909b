/** How panes share the window: side by side, one above the other, or as many rows of some when there are many. */

/** @typedef {import('./view.js').LayoutName} LayoutName */

/** More panes than these stand in rows of so many, all of one size. */
const IN_A_ROW = 4;

/** No pane becomes smaller than this share of two. */
const LEAST = 0.12;

/** What an arrow key moves a border by. */
const STEP = 0.04;

export class PaneGrid {
  #box;
  /** @type {number[]} */
  sizes = [];
  /** @type {HTMLElement[]} */
  #elements = [];
  #vertical = false;
  #words;
  #onSizes;

  /**
   * @param {HTMLElement} box
   * @param {() => string} words what a border between two panes is called
   * @param {() => void} onSizes
   */
  constructor(box, words, onSizes) {
    this.#box = box;
    this.#words = words;
    this.#onSizes = onSizes;
  }

  /**
   * @param {HTMLElement[]} elements
   * @param {LayoutName} layout
   */
  show(elements, layout) {
    this.#elements = elements;
    this.#vertical = layout === 'rows';
    if (this.sizes.length !== elements.length) this.sizes = elements.map(() => 1);
    const many = elements.length > IN_A_ROW;
    this.#box.className = `panes ${many ? 'many' : this.#vertical ? 'rows' : 'columns'}`;
    this.#box.classList.toggle('single', elements.length === 1);
    for (const border of this.#box.querySelectorAll(':scope > .border')) border.remove();
    for (const [at, element] of elements.entries()) {
      if (at > 0 && !many) this.#box.append(this.#border(at));
      // Moved only where it has to be, as a moved element forgets where it was scrolled to.
      this.#box.append(element);
      element.style.flexGrow = many ? '' : String(this.sizes[at]);
    }
    if (!many) return;
    const rows = Math.ceil(elements.length / IN_A_ROW);
    this.#box.style.setProperty('--across', String(Math.ceil(elements.length / rows)));
  }

  /** @param {number} at between the pane before and this one */
  #border(at) {
    const border = document.createElement('div');
    border.className = 'border';
    border.tabIndex = 0;
    border.setAttribute('role', 'separator');
    border.setAttribute('aria-orientation', this.#vertical ? 'horizontal' : 'vertical');
    border.setAttribute('aria-label', this.#words());
    border.setAttribute('aria-valuemin', '0');
    border.setAttribute('aria-valuemax', '100');
    this.#tellValue(border, at);
    border.addEventListener('pointerdown', (event) => {
      event.preventDefault();
      border.setPointerCapture(event.pointerId);
      border.classList.add('dragged');
    });
    border.addEventListener('pointermove', (event) => {
      if (!border.hasPointerCapture(event.pointerId)) return;
      const before = this.#elements[at - 1].getBoundingClientRect();
      const behind = this.#elements[at].getBoundingClientRect();
      const [from, to, here] = this.#vertical
        ? [before.top, behind.bottom, event.clientY]
        : [before.left, behind.right, event.clientX];
      this.#share(border, at, (here - from) / Math.max(1, to - from));
    });
    border.addEventListener('pointerup', () => {
      border.classList.remove('dragged');
      this.#onSizes();
    });
    border.addEventListener('keydown', (event) => {
      const [less, more] = this.#vertical ? ['ArrowUp', 'ArrowDown'] : ['ArrowLeft', 'ArrowRight'];
      if (event.key !== less && event.key !== more) return;
      event.preventDefault();
      this.#share(border, at, this.#shareOf(at) + (event.key === more ? STEP : -STEP));
      this.#onSizes();
    });
    border.addEventListener('dblclick', () => {
      this.#share(border, at, 0.5);
      this.#onSizes();
    });
    return border;
  }

  /** @param {number} at */
  #shareOf(at) {
    return this.sizes[at - 1] / (this.sizes[at - 1] + this.sizes[at]);
  }

  /**
   * @param {HTMLElement} border
   * @param {number} at
   * @param {number} share of both that the pane before has
   */
  #share(border, at, share) {
    const both = this.sizes[at - 1] + this.sizes[at];
    const kept = Math.min(1 - LEAST, Math.max(LEAST, share));
    this.sizes[at - 1] = both * kept;
    this.sizes[at] = both - both * kept;
    this.#elements[at - 1].style.flexGrow = String(this.sizes[at - 1]);
    this.#elements[at].style.flexGrow = String(this.sizes[at]);
    this.#tellValue(border, at);
  }

  /** @param {HTMLElement} border @param {number} at */
  #tellValue(border, at) {
    border.setAttribute('aria-valuenow', String(Math.round(this.#shareOf(at) * 100)));
  }
}
