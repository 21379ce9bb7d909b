/** Going through lines of a kind: hits, errors, warnings. Pure. */

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {import('./list.js').Place} Place
 */

/**
 * The next row of a kind.
 * @param {readonly Block[]} blocks
 * @param {{ from: Place | null, including: boolean, step: 1 | -1 }} way from this line on, itself included or not; from
 *   the first or the last row where it is null
 * @param {(block: Block, line: number) => boolean} wanted
 * @returns {Place | null}
 */
export function nextLine(blocks, { from, including, step }, wanted) {
  const start = from ? blocks.indexOf(from.block) : -1;
  const edge = step > 0 ? 0 : blocks.length - 1;
  for (let i = start < 0 ? edge : start; i >= 0 && i < blocks.length; i += step) {
    const block = blocks[i];
    if (block.mark) continue;
    const rows = step > 0 ? block.rows : [...block.rows].reverse();
    for (const line of rows) {
      const distance = from && i === start ? (line - from.line) * step : 1;
      if ((distance > 0 || (including && distance === 0)) && wanted(block, line)) return { block, line };
    }
  }
  return null;
}

/**
 * Which of all found lines a line is, counted from 1; 0 where it is none.
 * @param {readonly Block[]} blocks
 * @param {Place} place
 */
export function ordinalOf(blocks, place) {
  let before = 0;
  for (const block of blocks) {
    if (block === place.block) {
      const at = block.found.indexOf(place.line);
      return at < 0 ? 0 : before + at + 1;
    }
    before += block.found.length;
  }
  return 0;
}
