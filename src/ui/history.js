/** What a log held before, asked of the server: pages of lines around a place or a time, and searches in all of it. */

import { addressOf } from './address.js';
import { isBlind, timeIn, timesOf, upTo } from './times.js';

/**
 * @typedef {{ lines: string[], start: string, end: string, more: boolean }} Page
 * @typedef {{ line: string, start: string, end: string }} Hit
 * @typedef {{ before: Page, after: Page }} Pages
 */

/** Of a file of which nothing is known. @type {Page} */
export const NO_PAGE = { lines: [], start: '', end: '', more: false };

/** @param {string} file @param {string} what @param {Record<string, string>} query */
const pathOf = (file, what, query) =>
  addressOf(`api/v1/logs/${encodeURIComponent(file)}/${what}?${new URLSearchParams(query)}`);

/** Most that the server gives at once. */
const MOST = 10_000;

/** Lines fetched at a time when the reader comes near an edge. */
export const PAGE_LINES = 1_000;

/** Lines around a place. */
const AROUND = 400;

/** So many of the longest pages are gone through for a time that a search does not find. */
const PAGES_BACK = 5;

/**
 * @param {string} file
 * @param {{ before?: string, after?: string, limit: number }} query
 * @param {AbortSignal} [signal]
 * @returns {Promise<Page>}
 */
export async function fetchPage(file, { limit, ...place }, signal) {
  const answer = await fetch(pathOf(file, 'lines', { ...place, limit: String(Math.min(MOST, limit)) }), { signal });
  if (!answer.ok) throw await problem(answer);
  return answer.json();
}

/**
 * Whether the server takes a text for a position, as far as it can be asked.
 * @param {string} file
 * @param {string} text
 */
export async function isPosition(file, text) {
  try {
    await fetchPage(file, { after: text, limit: 1 });
    return true;
  } catch (error) {
    return /** @type {{ status?: number }} */ (error).status !== 400;
  }
}

/**
 * The lines on one side of a place.
 * @param {string} file
 * @param {import('./store.js').Place} place
 * @param {'before' | 'after'} side
 * @param {number} limit
 * @returns {Promise<Page>}
 */
export async function fetchBeside(file, { position, skip }, side, limit) {
  // To the place itself first.
  while (skip !== 0) {
    const page = await fetchPage(file, { [skip > 0 ? 'after' : 'before']: position, limit: Math.abs(skip) });
    position = skip > 0 ? page.end : page.start;
    skip -= Math.sign(skip) * page.lines.length;
    if (page.lines.length === 0) break;
  }
  return fetchPage(file, { [side]: position, limit });
}

/**
 * A page for each file of which nothing is waiting whose place in the order is known.
 * @param {{ file: string }[]} sources
 * @param {import('./times.js').Queue[]} queues
 * @param {'before' | 'after'} side
 */
export function pagesFor(sources, queues, side) {
  return Promise.all(
    sources.map(async ({ file }, number) => {
      const { place, more } = queues[number];
      const known = !isBlind(queues[number]);
      // Behind the end of a file more may be written.
      if (!place || (side === 'before' ? known || !more : known && more)) return null;
      try {
        return await fetchBeside(file, place, side, PAGE_LINES);
      } catch (error) {
        const { status = 0 } = /** @type {{ status?: number }} */ (error);
        if (status !== 404 && status !== 410) throw error;
        // The place is in no file any more: what is older is gone, what is newer begins behind a gap.
        return { ...NO_PAGE, start: place.position, end: place.position };
      }
    }),
  );
}

/**
 * Searches the whole log, the newest lines first, and goes on where the server's time for one answer is over.
 * @param {string} file
 * @param {{ text: string, regex: boolean, case?: string, before?: string | null, limit: number }} query
 * @param {{ onHit(hit: Hit): void, onProgress?(scanned: number): void }} calls told how many bytes more are searched
 * @param {AbortSignal} signal
 * @returns {Promise<{ next: string | null }>} from where there may be more, null when all was searched
 */
export async function search(file, { text, regex, case: cases = 'sensitive', before = null, limit }, { onHit, onProgress }, signal) {
  let hits = 0;
  for (;;) {
    /** @type {Record<string, string>} */
    const query = { q: text, regex: String(regex), case: cases, limit: String(limit - hits) };
    if (before) query.before = before;
    const answer = await fetch(pathOf(file, 'search', query), { signal });
    if (!answer.ok || !answer.body) throw await problem(answer);
    /** @type {{ complete: boolean, scanned: number, next: string | null } | null} */
    let done = null;
    for await (const object of objects(answer.body)) {
      if (object.done) done = object;
      else if (typeof object.line === 'string') {
        hits += 1;
        onHit(object);
      }
    }
    // An answer without its last line was cut short.
    if (!done) throw new Error('cut short');
    onProgress?.(done.scanned);
    if (done.complete || !done.next || hits >= limit || done.next === before) return { next: done.next };
    before = done.next;
  }
}

/** @param {string} position */
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
  const text = isIn() ? null : upTo(time, sample);
  if (text) {
    // The newest line with such a time is the place.
    let found = '';
    await search(file, { text, regex: true, before: page.start, limit: 1 }, { onHit: ({ end }) => (found = end) }, signal);
    if (found) return pagesAround(file, found, found);
  }
  for (let n = 0; n < PAGES_BACK && !isIn(); n += 1) page = await fetchPage(file, { before: page.start, limit: MOST }, signal);
  return isIn() ? { before: page, after: { lines: [], start: page.end, end: page.end, more: true } } : null;
}

/**
 * The objects of an NDJSON body, as they come.
 * @param {ReadableStream<Uint8Array>} body
 */
export async function* objects(body) {
  const reader = body.pipeThrough(/** @type {any} */ (new TextDecoderStream())).getReader();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line) yield JSON.parse(line);
    }
    if (rest) yield JSON.parse(rest);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** What the server says is wrong. @param {Response} answer */
async function problem(answer) {
  let text = '';
  try {
    text = (await answer.json()).error;
  } catch {
    // No JSON: a proxy's own page, which is of no use here.
  }
  return Object.assign(new Error(text || `HTTP ${answer.status}`), { status: answer.status });
}
