/**
 * The time of a line: when it came, or when it says it was written; shown in local time or UTC. And by the times that
 * they say, the lines of several files as one run, while they are fetched page by page.
 *
 * Each file has a queue of lines that are fetched and not put in yet. A line is put in only when none that is still to
 * be fetched can belong between it and the run. A line without a time stays behind the line of its file before it.
 */

/**
 * @typedef {{ from: 'arrival' | 'line', zone: 'local' | 'utc' } | null} TimeMode null for none beside the line
 */

/** In the order in which a key goes through them. @type {TimeMode[]} */
export const TIME_MODES = [
  null,
  { from: 'arrival', zone: 'local' },
  { from: 'arrival', zone: 'utc' },
  { from: 'line', zone: 'local' },
  { from: 'line', zone: 'utc' },
];

/** How far into a line its time is looked for. */
const REACH = 200;

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

// 2026-11-24T02:07:22.113+08:00 in its spellings; 24/Nov/2026:02:07:22 +0000; seconds or milliseconds since 1970.
const ISO = /(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?(?!\d)/;
const CLF = /(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d):(\d\d):(\d\d)(?: ([+-]\d{4}))?/;
const EPOCH = /^(?:.{0,40}"(?:ts|time|timestamp)"\s*:\s*)?(1\d{9})(?:(\d{3})|\.(\d{1,9}))?(?!\d)/;

/**
 * @param {string} line
 * @returns {number | null} milliseconds since 1970; a time without a zone is taken for local
 */
export function timeIn(line) {
  const text = line.length > REACH ? line.slice(0, REACH) : line;
  const iso = ISO.exec(text);
  if (iso) {
    const [year, month, day, hour, minute, second] = iso.slice(1, 7).map(Number);
    return instant([year, month - 1, day, hour, minute, second], fraction(iso[7]), iso[8]);
  }
  const clf = CLF.exec(text);
  if (clf) {
    const [day, , year, hour, minute, second] = clf.slice(1, 7).map(Number);
    const month = MONTHS.indexOf(clf[2]);
    return month < 0 ? null : instant([year, month, day, hour, minute, second], 0, clf[7]);
  }
  const epoch = EPOCH.exec(text);
  if (epoch) return Number(epoch[1]) * 1000 + (epoch[2] ? Number(epoch[2]) : fraction(epoch[3]));
  return null;
}

/** @param {string | undefined} digits */
const fraction = (digits) => (digits ? Math.trunc(Number(`0.${digits}`) * 1000) : 0);

/**
 * @param {number[]} parts
 * @param {number} millis
 * @param {string | undefined} zone
 */
function instant([year, month, day, hour = 0, minute = 0, second = 0], millis, zone) {
  if (!zone) return new Date(year, month, day, hour, minute, second, millis).getTime();
  const utc = Date.UTC(year, month, day, hour, minute, second, millis);
  if (zone === 'Z') return utc;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return utc - (zone[0] === '-' ? -1 : 1) * minutes * 60_000;
}

/** @param {number} value @param {number} [digits] */
const pad = (value, digits = 2) => String(value).padStart(digits, '0');

/**
 * The time of day, always as wide.
 * @param {number} time
 * @param {'local' | 'utc'} zone
 */
export function clock(time, zone) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return '';
  const [hours, minutes, seconds, millis] =
    zone === 'utc'
      ? [date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds()]
      : [date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()];
  return `${pad(hours)}:${pad(minutes)}:${pad(seconds)}.${pad(millis, 3)}`;
}

/**
 * What stands beside a line; as wide where its time is not known.
 * @param {TimeMode} mode
 * @param {string} line
 * @param {number} arrived
 */
export function timeBeside(mode, line, arrived) {
  if (!mode) return '';
  const time = mode.from === 'arrival' ? arrived || null : timeIn(line);
  return time === null ? '··:··:··.···' : clock(time, mode.zone);
}

/**
 * A regular expression for every time up to one, in the spelling that a line has; null where it has none that sorts as
 * text does.
 * @param {number} time
 * @param {string} line
 */
export function upTo(time, line) {
  const iso = ISO.exec(line);
  if (!iso) return null;
  const shift = iso[8] ? -instant([1970, 0, 1], 0, iso[8]) : new Date(time).getTimezoneOffset() * -60_000;
  const digits = new Date(time + shift).toISOString().replace(/\D/g, '');
  let next = 0;
  const text = iso[0].slice(0, 19).replace(/\d/g, () => digits[next++]);
  const ways = [...text].flatMap((digit, at) =>
    /[1-9]/.test(digit) ? `${text.slice(0, at)}[0-${Number(digit) - 1}]${text.slice(at + 1).replace(/\d/g, '\\d')}` : [],
  );
  return `${ways.join('|')}|${text}`;
}

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
