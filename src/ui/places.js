/** Finds places in logs: around a line, or around a time, of which the server knows nothing. */

import { fetchPage, search } from './history.js';
import { timesOf } from './merge.js';
import { timeIn, upTo } from './times.js';

/** @typedef {{ before: import('./history.js').Page, after: import('./history.js').Page }} Pages */

/** Lines around a place. */
const AROUND = 400;

/** A log that begins behind a time is gone through to its beginning by so many pages of so many lines. */
const PAGES_BACK = 5;
const LONG_PAGE = 10_000;

/** @param {string} [position] */
export const placeOf = (position) => (position ? { position, skip: 0 } : null);

/**
 * @param {string} file
 * @param {string} start
 * @param {string} end
 * @returns {Promise<Pages>}
 */
export async function pagesAround(file, start, end) {
  const [before, after] = await Promise.all([
    fetchPage(file, { before: start, limit: AROUND }),
    fetchPage(file, { after: end, limit: AROUND }),
  ]);
  return { before, after };
}

/**
 * @param {string} file
 * @param {number} time
 * @param {AbortSignal} signal
 * @returns {Promise<Pages | null>} null where it can't be found
 */
export async function pagesAt(file, time, signal) {
  let page = await fetchPage(file, { limit: AROUND }, signal);
  const sample = page.lines.find((line) => timeIn(line) !== null) ?? '';
  const isIn = () => !page.more || timesOf(page.lines).some((one) => one <= time && one > -Infinity);
  const expression = upTo(time, sample);
  if (!isIn() && expression) {
    // The newest line with such a time is the place.
    /** @type {string[]} */
    const found = [];
    const query = { text: expression, regex: true, before: page.start, limit: 1 };
    await search(file, query, { onHit: ({ end }) => found.push(end) }, signal);
    if (found.length > 0) return pagesAround(file, found[0], found[0]);
    for (let n = 0; n < PAGES_BACK && !isIn(); n += 1) page = await fetchPage(file, { before: page.start, limit: LONG_PAGE }, signal);
  }
  return isIn() ? { before: page, after: { lines: [], start: page.end, end: page.end, more: true } } : null;
}
