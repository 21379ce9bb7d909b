/**
 * What a reader chose once and should not have to choose again: theme and language, kept in this browser alone.
 */

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

/** @typedef {'auto' | 'light' | 'dark'} Theme */

/** @type {Record<Theme, Theme>} */
export const NEXT_THEME = { auto: 'light', light: 'dark', dark: 'auto' };

/** @returns {Theme} */
export function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'auto';
}

/** @param {Theme} wanted */
export function setTheme(wanted) {
  document.documentElement.dataset.theme = wanted;
  remember('theme', wanted);
}
