/**
 * What a reader chose once and should not have to choose again, kept in this browser alone.
 */

import { MAX_BYTES, MAX_LINES } from './store.js';
import { TIME_MODES } from './times.js';

/** @param {string} name */
export function recall(name) {
  try {
    return localStorage.getItem(`tailcast.${name}`);
  } catch {
    return null;
  }
}

/**
 * @param {string} name
 * @param {string} value
 */
export function remember(name, value) {
  try {
    localStorage.setItem(`tailcast.${name}`, value);
  } catch {
    // Storage may be denied; the choice then lasts as long as the page.
  }
}

/** @typedef {'auto' | 'light' | 'dark' | 'contrast'} Theme */

/** @type {Record<Theme, Theme>} */
const NEXT_THEME = { auto: 'light', light: 'dark', dark: 'contrast', contrast: 'auto' };

/** @returns {Theme} */
export function theme() {
  const chosen = document.documentElement.dataset.theme ?? 'auto';
  return chosen in NEXT_THEME ? /** @type {Theme} */ (chosen) : 'auto';
}

export function nextTheme() {
  const wanted = NEXT_THEME[theme()];
  document.documentElement.dataset.theme = wanted;
  remember('theme', wanted);
}

/** @param {string} name @param {number} low @param {number} high @param {number} usual */
function number(name, low, high, usual) {
  const value = Number(recall(name) ?? NaN);
  return value >= low && value <= high ? Math.round(value) : usual;
}

/** How all panes show their lines. */
export const settings = {
  // On a telephone a line that is not wrapped is mostly out of sight.
  wrap: (recall('wrap') ?? String(globalThis.innerWidth < 720)) === 'true',
  fold: recall('fold') !== 'false',
  ansi: recall('ansi') === 'true',
  /** The place in `TIME_MODES`. */
  times: number('times', 0, TIME_MODES.length - 1, 0),
  maxLines: number('maxLines', 1_000, 500_000, MAX_LINES),
  maxBytes: number('maxBytes', 1 << 20, 512 << 20, MAX_BYTES),
};

/**
 * @template {keyof typeof settings} Name
 * @param {Name} name
 * @param {(typeof settings)[Name]} value
 */
export function set(name, value) {
  settings[name] = value;
  remember(name, String(value));
}
