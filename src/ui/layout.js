/**
 * The arithmetic of the list: where rows stand, one below the other, when each may have a height of its own. Blocks
 * know how high they are together, so finding a place goes over blocks first and over the rows of one block then.
 */

/** @typedef {import('./store.js').Block} Block */

/** @param {readonly Block[]} blocks */
export function totalHeight(blocks) {
  let height = 0;
  for (const block of blocks) height += block.height;
  return height;
}

/** @param {Block} block @param {number} row @param {number} rowHeight */
export const heightOf = (block, row, rowHeight) => block.heights?.[row] ?? rowHeight;

/**
 * How far the top of a row is from the top of all.
 * @param {readonly Block[]} blocks
 * @param {number} index of the block
 * @param {number} row its number among the rows of the block
 * @param {number} rowHeight of rows without a height of their own
 */
export function topOf(blocks, index, row, rowHeight) {
  let top = 0;
  for (let i = 0; i < index; i += 1) top += blocks[i].height;
  const { heights } = blocks[index] ?? {};
  if (!heights) return top + row * rowHeight;
  for (let i = 0; i < row; i += 1) top += heights[i];
  return top;
}

/**
 * The row at a height; the first one above all, the last one below all.
 * @param {readonly Block[]} blocks
 * @param {number} y
 * @param {number} rowHeight
 * @returns {{ index: number, row: number, top: number } | null} null where there are no rows
 */
export function placeAt(blocks, y, rowHeight) {
  let top = 0;
  let found = -1;
  let foundTop = 0;
  for (let i = 0; i < blocks.length; i += 1) {
    if (blocks[i].rows.length === 0) continue;
    found = i;
    foundTop = top;
    top += blocks[i].height;
    if (y < top) break;
  }
  if (found < 0) return null;
  const { rows, heights } = blocks[found];
  if (!heights) {
    const row = Math.min(rows.length - 1, Math.max(0, Math.floor((y - foundTop) / rowHeight)));
    return { index: found, row, top: foundTop + row * rowHeight };
  }
  let rowTop = foundTop;
  let row = 0;
  for (; row < rows.length - 1 && y >= rowTop + heights[row]; row += 1) rowTop += heights[row];
  return { index: found, row, top: rowTop };
}

/**
 * Goes on from a row, downwards or upwards.
 * @param {readonly Block[]} blocks
 * @param {{ index: number, row: number }} place
 * @param {number} by rows
 * @returns {{ index: number, row: number }} as far as there are rows
 */
export function step(blocks, { index, row }, by) {
  let at = row + by;
  let i = index;
  while (at < 0) {
    let before = i - 1;
    while (before >= 0 && blocks[before].rows.length === 0) before -= 1;
    if (before < 0) return { index: i, row: 0 };
    i = before;
    at += blocks[i].rows.length;
  }
  while (at >= blocks[i].rows.length) {
    let behind = i + 1;
    while (behind < blocks.length && blocks[behind].rows.length === 0) behind += 1;
    if (behind >= blocks.length) return { index: i, row: blocks[i].rows.length - 1 };
    at -= blocks[i].rows.length;
    i = behind;
  }
  return { index: i, row: at };
}

/**
 * The row of a line, or where it is none the next one of its block that is.
 * @param {Block} block
 * @param {number} line
 */
export function rowOf({ rows }, line) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle] < line) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Rows that a text takes when it is wrapped, before the browser has said.
 * @param {string} text
 * @param {number} columns that fit
 */
export function wrappedRows(text, columns) {
  return Math.max(1, Math.ceil(columnsOf(text) / Math.max(1, columns)));
}

/**
 * How many columns a text takes at most: wide characters count two.
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
