/** What is held or what a filter leaves of it, as a file: text, or JSON with the time each line came and its place. */

import { plain } from './ansi.js';

/** @typedef {import('./store.js').Block} Block */

/** Lines made into text at a time. */
const PORTION = 2_000;

/**
 * @param {readonly Block[]} blocks
 * @param {boolean} rowsOnly leaves out what a filter leaves out
 * @returns {Generator<{ block: Block, line: number, place: import('./store.js').Place | undefined }>}
 */
function* lines(blocks, rowsOnly) {
  /** The place of the next line of each file. @type {import('./store.js').Place[]} */
  const places = [];
  for (const block of blocks) {
    const rows = rowsOnly ? new Set(block.rows) : null;
    for (const [line, source] of block.sources.entries()) {
      for (const { at, source: of, position, skip } of block.pins) if (at === line) places[of] = { position, skip };
      const place = places[source];
      if (!rows || rows.has(line)) yield { block, line, place };
      if (place) places[source] = { ...place, skip: place.skip + 1 };
    }
    for (const { at, source, position, skip } of block.pins) if (at === block.lines.length) places[source] = { position, skip };
  }
}

/**
 * @param {readonly Block[]} blocks
 * @param {{ rowsOnly: boolean, ansi: boolean }} how
 * @returns {string[]} portions of the text
 */
export function asText(blocks, { rowsOnly, ansi }) {
  return portions(lines(blocks, rowsOnly), ({ block, line }) => `${ansi ? block.lines[line] : plain(block.lines[line])}\n`);
}

/**
 * A JSON object a line: `line`, `file`, `arrived` (null for what was there before), and `after` with `skip`: the line
 * is the one behind so many others behind that position, or before it where `skip` is less than nothing.
 * @param {readonly Block[]} blocks
 * @param {{ rowsOnly: boolean, files: readonly string[] }} how
 * @returns {string[]} portions of the text
 */
export function asJson(blocks, { rowsOnly, files }) {
  return portions(lines(blocks, rowsOnly), ({ block, line, place }) => {
    const time = block.times[line];
    return `${JSON.stringify({
      line: block.lines[line],
      file: files[block.sources[line]],
      arrived: time ? new Date(time).toISOString() : null,
      after: place?.position ?? null,
      skip: place?.skip ?? null,
    })}\n`;
  });
}

/**
 * @template T
 * @param {Iterable<T>} items
 * @param {(item: T) => string} write
 */
function portions(items, write) {
  const out = [];
  let text = '';
  let count = 0;
  for (const item of items) {
    text += write(item);
    count += 1;
    if (count % PORTION === 0) {
      out.push(text);
      text = '';
    }
  }
  out.push(text);
  return out;
}

/**
 * @param {string[]} parts
 * @param {string} name
 * @param {string} type
 */
export function save(parts, name, type) {
  const address = URL.createObjectURL(new Blob(parts, { type }));
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
