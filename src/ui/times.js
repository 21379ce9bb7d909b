/**
 * The time of a line: when it came, or when it says it was written; shown in local time or UTC.
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
