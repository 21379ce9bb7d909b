/** The thin map beside the scroll bar: where in all that is held there are errors and warnings, and where hits. */

import { totalHeight } from './layout.js';

/** @typedef {import('./store.js').Block} Block */

/**
 * The worst of what is in each of so many parts: 2 an error, 1 a warning.
 * @param {readonly Block[]} blocks
 * @param {number} parts
 * @returns {{ levels: Uint8Array, found: Uint8Array }}
 */
export function survey(blocks, parts) {
  const levels = new Uint8Array(parts);
  const found = new Uint8Array(parts);
  const scale = parts / Math.max(1, totalHeight(blocks));
  let top = 0;
  for (const block of blocks) {
    const { rows, height } = block;
    const each = (height / rows.length) * scale;
    for (let row = 0; row < rows.length; row += 1) {
      const level = block.levels[rows[row]];
      if (level !== 1 && level !== 2) continue;
      const part = Math.min(parts - 1, Math.floor(top * scale + row * each));
      levels[part] = Math.max(levels[part], 3 - level);
    }
    // Found lines are few; those that are no rows are seen where the block is.
    for (const line of block.found) {
      found[Math.min(parts - 1, Math.floor(top * scale + (line / Math.max(1, block.lines.length)) * height * scale))] = 1;
    }
    top += height;
  }
  return { levels, found };
}

export class ErrorMap {
  #canvas;
  #last = '';
  /** @type {string[] | null} */
  #colours = null;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(share: number) => void} onJump
   */
  constructor(canvas, onJump) {
    this.#canvas = canvas;
    canvas.addEventListener('pointerdown', (event) => {
      onJump(event.offsetY / Math.max(1, canvas.clientHeight));
    });
  }

  /** The theme may be another one. */
  refresh() {
    this.#colours = null;
  }

  #coloursNow() {
    const style = getComputedStyle(this.#canvas);
    // Properties that the canvas has no other use for, as a custom property is not resolved to a colour.
    return [style.outlineColor, style.color, style.caretColor];
  }

  /** @param {readonly Block[]} blocks */
  draw(blocks) {
    const canvas = this.#canvas;
    const height = canvas.clientHeight;
    const parts = Math.max(1, Math.floor(height / 2));
    const { levels, found } = survey(blocks, parts);
    const colours = (this.#colours ??= this.#coloursNow());
    const key = `${height}|${colours}|${levels}|${found}`;
    if (key === this.#last) return;
    this.#last = key;
    canvas.width = 8;
    canvas.height = parts * 2;
    const context = canvas.getContext('2d');
    if (!context) return;
    for (let part = 0; part < parts; part += 1) {
      if (found[part]) {
        context.fillStyle = colours[2];
        context.fillRect(0, part * 2, 2, 2);
      }
      if (levels[part] === 0) continue;
      context.fillStyle = colours[levels[part] - 1];
      context.fillRect(2, part * 2, 6, 2);
    }
  }
}
