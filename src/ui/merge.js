/**
 * Lines of several files as one run, by the times in them, while they are fetched page by page. Pure.
 *
 * Each file has a queue of lines that are fetched and not put in yet. A line is put in only when none that is still to
 * be fetched can belong between it and the run. A line without a time stays behind the line of its file before it.
 */

import { timeIn } from './times.js';

/**
 * @typedef {{ lines: string[], place: import('./store.js').Place | null, more: boolean }} Queue
 *   `place`: where the file's lines beyond these are, null where nothing is known of it; `more`: whether there are any
 * @typedef {{ line: string, source: number, time: number }} Line
 */

/**
 * A time for each line, none less than the one before; `-Infinity` for those before the first time.
 * @param {string[]} lines
 */
export function timesOf(lines) {
  let time = -Infinity;
  return lines.map((line) => (time = Math.max(time, timeIn(line) ?? time)));
}

/** Whether a queue says nothing of where in time its file goes on. @param {Queue} queue */
export const isBlind = ({ lines }) => lines.every((line) => timeIn(line) === null);

/** Whether all is put in that there is. @param {Queue[]} queues */
export const isDone = (queues) => queues.every(({ lines, more }) => !more && lines.length === 0);

/**
 * @param {Queue[]} queues
 * @param {(import('./history.js').Page | null)[]} pages one a file, where one was fetched
 * @param {boolean} older whether they go above the run, or below it
 */
export function addPages(queues, pages, older) {
  for (const [source, page] of pages.entries()) {
    if (!page) continue;
    const queue = queues[source];
    queue.lines = older ? page.lines.concat(queue.lines) : queue.lines.concat(page.lines);
    queue.place = { position: older ? page.start : page.end, skip: 0 };
    queue.more = page.more && page.lines.length > 0;
  }
}

/**
 * Takes from the queues what can be put in.
 * @param {Queue[]} queues what is taken is taken out of them
 * @param {boolean} older whether the lines go above the run, or below it
 * @returns {{ lines: string[], sources: number[], pins: import('./store.js').Pin[] }} `pins`: the edges of what was fetched
 */
export function take(queues, older) {
  const all = queues.map((queue, source) => {
    const times = timesOf(queue.lines);
    return { queue, blind: isBlind(queue), known: queue.lines.map((line, at) => ({ line, source, time: times[at] })) };
  });
  const sign = older ? 1 : -1;
  /** Up to which line nothing can come in between any more. @type {Line | undefined} */
  let limit;
  for (const { queue, blind, known } of all) {
    // A file whose lines have no times can't be waited for.
    if (!queue.more || blind) continue;
    const edge = older ? known.find(({ time }) => time > -Infinity) : known.at(-1);
    if (edge && (!limit || compare(edge, limit) * sign > 0)) limit = edge;
  }
  /** @type {Line[]} */
  const taken = [];
  for (const { queue, blind, known } of all) {
    // Older lines before the first time wait for what they stand behind.
    const mayGo = (/** @type {Line} */ line) => queues.length === 1 || blind || !limit || compare(line, limit) * sign >= 0;
    const found = known.findIndex((line) => mayGo(line) === older);
    const split = found < 0 ? known.length : found;
    taken.push(...(older ? known.slice(split) : known.slice(0, split)));
    queue.lines = older ? queue.lines.slice(0, split) : queue.lines.slice(split);
  }
  if (queues.length > 1) taken.sort(compare);
  const sources = taken.map(({ source }) => source);
  const pins = [];
  for (const [source, { lines, place }] of queues.entries()) {
    if (!place || lines.length > 0 || !sources.includes(source)) continue;
    pins.push({ ...place, source, at: older ? sources.indexOf(source) : sources.lastIndexOf(source) + 1 });
  }
  return { lines: taken.map(({ line }) => line), sources, pins };
}

/** @param {Line} a @param {Line} b */
const compare = (a, b) => (a.time === b.time ? a.source - b.source : a.time < b.time ? -1 : 1);
