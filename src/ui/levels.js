/**
 * How bad a line is. Programs agree on few things, but most write a level near the beginning of a line; finding it
 * lets the eye skip what does not matter. Guessing wrong is worse than not guessing, so a word counts only where it
 * stands as a level does: in capitals, or between the marks that usually surround one.
 */

/**
 * @typedef {'error' | 'warn' | 'info' | 'debug' | 'trace'} Level
 * @typedef {{ level: Level, from: number, to: number }} Found the level, and where its word stands
 */

/** How far into a line a level is looked for. */
const REACH = 120;

/** From the worst on. @type {Level[]} */
export const LEVELS = ['error', 'warn', 'info', 'debug', 'trace'];

/** @type {Record<string, Level>} */
const WORDS = {
  FATAL: 'error',
  ALERT: 'error',
  CRITICAL: 'error',
  CRIT: 'error',
  PANIC: 'error',
  EMERG: 'error',
  EMERGENCY: 'error',
  SEVERE: 'error',
  ERROR: 'error',
  ERR: 'error',
  EROR: 'error',
  ERRO: 'error',
  WARNING: 'warn',
  WARN: 'warn',
  WRN: 'warn',
  NOTICE: 'info',
  INFO: 'info',
  INF: 'info',
  DEBUG: 'debug',
  DBG: 'debug',
  FINE: 'debug',
  VERBOSE: 'trace',
  TRACE: 'trace',
  TRC: 'trace',
  严重: 'error',
  致命: 'error',
  紧急: 'error',
  错误: 'error',
  錯誤: 'error',
  异常: 'error',
  故障: 'error',
  失败: 'error',
  警告: 'warn',
  告警: 'warn',
  注意: 'warn',
  信息: 'info',
  資訊: 'info',
  提示: 'info',
  通知: 'info',
  调试: 'debug',
  除錯: 'debug',
  跟踪: 'trace',
  追踪: 'trace',
  详细: 'trace',
};

const names = Object.keys(WORDS);
const latin = names.filter((name) => /^[A-Z]/.test(name)).join('|');
const chinese = names.filter((name) => !/^[A-Z]/.test(name)).join('|');

// In order: capitals as a word; then any case: at the start before a colon, in brackets or after `level=`, behind a
// date; Chinese as a word.
const PATTERN = new RegExp(
  [
    `(?<![\\w.-])(?:${latin})(?![\\w-])`,
    `^(?:${anyCase(latin)})(?=[\\])>|:])`,
    `(?<=[[(<|]\\s?|\\b(?:level|lvl|severity)"?\\s?[=:]\\s?"?)(?:${anyCase(latin)})(?=[\\s\\])>|:",}]|$)`,
    `(?<=\\d[\\])Z]?\\s{1,2})(?:${anyCase(latin)})(?=:?\\s)`,
    `(?:^|(?<=[[(【<|\\s]))(?:${chinese})(?=[\\])】>|:：\\s]|$)`,
  ].join('|'),
);

/** @param {string} pattern */
function anyCase(pattern) {
  return pattern.replace(/[A-Z]/g, (letter) => `[${letter}${letter.toLowerCase()}]`);
}

/**
 * @param {string} text what is seen of a line
 * @returns {Found | null}
 */
export function findLevel(text) {
  const match = PATTERN.exec(text.length > REACH ? text.slice(0, REACH) : text);
  if (!match) return numbered(text);
  return { level: WORDS[match[0].toUpperCase()], from: match.index, to: match.index + match[0].length };
}

/** Levels as numbers, which the loggers of Node.js write into JSON: tens, 50 for an error. */
const NUMBER = /^\{.{0,80}?"level"\s*:\s*([1-6]0)(?=[,}\s])/;

/**
 * @param {string} text
 * @returns {Found | null}
 */
function numbered(text) {
  const match = text[0] === '{' ? NUMBER.exec(text) : null;
  if (!match) return null;
  const level = LEVELS[Math.max(0, 5 - Number(match[1][0]))];
  const to = match[0].length;
  return { level, from: to - 2, to };
}
