/**
 * The arithmetic of the list: which rows of one height are seen at a place, and where to scroll for a row. Apart from
 * the list itself, so that it can be tested without a browser.
 */

/** Browsers give up on taller elements than about 17 million pixels; this many rows stay well below. */
export const MAX_ROWS = 500_000;

/**
 * The rows that have to be in the document.
 * @param {{ top: number, height: number, rowHeight: number, origin: number, end: number, margin: number }} view
 *   `origin` is the number of the row at the very top, `top` how far it is scrolled out of sight
 * @returns {{ from: number, to: number }} the first one, and the one behind the last
 */
export function rowsAt({ top, height, rowHeight, origin, end, margin }) {
  const to = Math.min(end, origin + Math.ceil((top + height) / rowHeight) + margin);
  const from = Math.max(origin, origin + Math.floor(top / rowHeight) - margin);
  return { from: Math.min(from, Math.max(origin, to)), to: Math.max(origin, to) };
}

/**
 * How tall all rows are together.
 * @param {number} rows
 * @param {number} rowHeight
 */
export function heightOf(rows, rowHeight) {
  return Math.min(Math.max(rows, 0), MAX_ROWS) * rowHeight;
}

/**
 * Where to scroll so that a row is seen whole, moving as little as possible.
 * @param {{ top: number, height: number, rowHeight: number, origin: number }} view
 * @param {number} row
 */
export function topToReveal({ top, height, rowHeight, origin }, row) {
  const start = (row - origin) * rowHeight;
  if (start < top) return Math.max(0, start);
  return Math.max(top, start + rowHeight - height);
}

/**
 * How many columns a text takes at most, for the width of the list: wide characters count two.
 * @param {string} text
 */
export function columnsOf(text) {
  let columns = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === 9) columns += 7;
    else if (code >= 0x1100 && (code < 0xd800 || code > 0xdfff)) columns += 1;
  }
  return columns;
}
