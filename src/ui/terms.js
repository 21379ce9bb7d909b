/**
 * What the reader types into a field: terms with spaces between them. A term is plain text, "text with spaces", or a
 * /regular expression/; a minus sign before it turns it round. All of it is data to search for, none of it is code.
 */

/**
 * @typedef {{ source: string, plain: boolean, exclude: boolean, pattern: RegExp | null, error: string }} Term
 */

const SPECIAL = /[\\^$.*+?()[\]{}|/]/g;

/** The longest text of a field that is looked at. */
export const MAX_TEXT = 1_000;

/**
 * Smart case: a term all in lower case ignores case, a capital in it makes case count. What follows a backslash in an
 * expression is no capital.
 * @param {string} text
 */
const flagsFor = (text) => (text === text.toLowerCase() ? 'giu' : 'gu');

/**
 * @param {string} text
 * @returns {Term[]}
 */
export function parseTerms(text) {
  /** @type {Term[]} */
  const terms = [];
  const rest = text.slice(0, MAX_TEXT);
  const token = /\s*(-?)(?:\/((?:[^\\/]|\\.|\/(?!\s|$))+)\/(?=\s|$)|"([^"]*)"?|(\S+))/y;
  for (;;) {
    const match = token.exec(rest);
    if (!match) return terms;
    const [, minus, expression, quoted, plain] = match;
    // A minus sign alone is still being typed, or is looked for itself.
    if (expression !== undefined) terms.push(expressionTerm(expression, minus === '-'));
    else if (quoted !== undefined) {
      if (quoted) terms.push(plainTerm(quoted, minus === '-'));
    } else terms.push(plainTerm(plain, minus === '-'));
  }
}

/**
 * @param {string} source
 * @param {boolean} exclude
 * @returns {Term}
 */
function plainTerm(source, exclude) {
  return { source, plain: true, exclude, pattern: new RegExp(source.replace(SPECIAL, '\\$&'), flagsFor(source)), error: '' };
}

/**
 * @param {string} source
 * @param {boolean} exclude
 * @returns {Term}
 */
function expressionTerm(source, exclude) {
  const flags = flagsFor(source.replace(/\\(?:u\{?[\da-fA-F]+|[pP]\{[^}]*\}|.)/g, ''));
  const term = { source, plain: false, exclude, error: '' };
  try {
    return { ...term, pattern: new RegExp(source, flags) };
  } catch {
    // Escapes that mean nothing are an error with the `u` flag only.
    try {
      return { ...term, pattern: new RegExp(source, flags.replace('u', '')) };
    } catch (error) {
      const said = error instanceof Error ? error.message : '';
      return { ...term, pattern: null, error: said.split(': ').at(-1) ?? said };
    }
  }
}

/** Lines that have every term, and none that is turned round. */
export class Filter {
  /** @type {RegExp[]} */
  #has = [];
  /** @type {RegExp[]} */
  #lacks = [];

  /** @param {Term[]} terms all of them good */
  constructor(terms) {
    for (const { exclude, pattern } of terms) if (pattern) (exclude ? this.#lacks : this.#has).push(pattern);
  }

  /** @param {string} text */
  test(text) {
    for (const pattern of this.#lacks) if (matches(pattern, text)) return false;
    for (const pattern of this.#has) if (!matches(pattern, text)) return false;
    return true;
  }
}

/** Lines that have any of the terms, and where, each in a colour of its own. */
export class Finder {
  terms;
  patterns;

  /** @param {Term[]} terms */
  constructor(terms) {
    // Nothing can be looked for by not being there.
    this.terms = terms.filter(({ exclude, pattern }) => pattern && !exclude);
    this.patterns = this.terms.map(({ pattern }) => /** @type {RegExp} */ (pattern));
  }

  /** @param {string} text */
  test(text) {
    return this.patterns.some((pattern) => matches(pattern, text));
  }

  /**
   * @param {string} text
   * @returns {{ from: number, to: number, colour: number }[]}
   */
  spans(text) {
    const spans = [];
    for (const [colour, pattern] of this.patterns.entries()) {
      pattern.lastIndex = 0;
      for (const match of text.matchAll(pattern)) {
        if (match[0]) spans.push({ from: match.index, to: match.index + match[0].length, colour: colour % COLOURS });
        if (spans.length >= MAX_SPANS) return spans;
      }
    }
    return spans;
  }
}

/** So many colours there are for terms. */
export const COLOURS = 6;

/** A letter that is searched for can be in a line thousands of times. */
const MAX_SPANS = 500;

/**
 * @param {RegExp} pattern
 * @param {string} text
 */
function matches(pattern, text) {
  pattern.lastIndex = 0;
  return pattern.test(text);
}

/**
 * A field's text as it is in force: while something in it is no expression, what was there before stays.
 * @template T
 * @param {string} text
 * @param {(terms: Term[]) => T} make
 * @param {T | null} last
 * @returns {{ value: T | null, error: string }}
 */
export function takeText(text, make, last) {
  const terms = parseTerms(text);
  const bad = terms.find(({ error }) => error);
  if (bad) return { value: last, error: bad.error };
  return { value: terms.length > 0 ? make(terms) : null, error: '' };
}

/** What the letters of all languages count for in an expression of Rust. @type {Record<string, string>} */
const IN_RUST = { w: '[0-9A-Za-z_]', W: '[^0-9A-Za-z_]', b: '(?-u:\\b)' };

/**
 * Terms as one search of the server: for lines that have any of them.
 * @param {Term[]} terms
 * @returns {{ text: string, regex: boolean, case: string }}
 */
export function queryOf(terms) {
  const [{ source, plain, pattern }] = terms;
  if (terms.length === 1 && plain) return { text: source, regex: false, case: pattern?.ignoreCase ? 'insensitive' : 'sensitive' };
  const ways = terms.map((term) => {
    const text = term.pattern?.source.replace(/\\(.)/g, (escape, letter) => IN_RUST[letter] ?? escape);
    return `(?${term.pattern?.ignoreCase ? '' : '-'}i:${text})`;
  });
  return { text: ways.join('|'), regex: true, case: 'sensitive' };
}
