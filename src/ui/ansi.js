/**
 * What a line looks like: its text without escape sequences, in pieces of one style each.
 *
 * Log lines are written by anybody. So nothing in them may act: colours and type styles are kept, every other
 * sequence vanishes, and characters that hide or reorder others are made visible. Pure, so that it can be tested
 * without a browser.
 */

/**
 * @typedef {{ text: string, names: string, colour?: string, ground?: string }} Segment
 *   `names` are CSS classes; `colour` and `ground` are CSS colours beyond the theme's sixteen
 * @typedef {number | string | null} Colour one of the theme's sixteen, a CSS colour, or the default
 * @typedef {{ fg: Colour, bg: Colour, bold: boolean, dim: boolean, italic: boolean, underline: boolean,
 *   strike: boolean, reverse: boolean }} Style
 */

const CONTROL = '\\u0000-\\u0008\\u000a-\\u001f\\u007f-\\u009f';
const BIDI = '\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069';
const UNSEEN = '\\u200b\\u2028\\u2029\\u2060\\ufeff';
const SPECIAL = new RegExp(`[${CONTROL}${BIDI}${UNSEEN}]`);
const SPECIAL_FROM = new RegExp(SPECIAL, 'g');

const CSI = /[0-?]*[ -/]*[@-~]?/y;
const TWO_BYTES = /[ -/]*[0-~]?/y;

const ESC = '\x1b';

/** @returns {Style} */
const plainStyle = () => ({
  fg: null,
  bg: null,
  bold: false,
  dim: false,
  italic: false,
  underline: false,
  strike: false,
  reverse: false,
});

/**
 * @param {string} text
 * @param {number} [limit] how many characters are wanted; the rest is only counted
 * @returns {{ segments: Segment[], hidden: number }}
 */
export function parse(text, limit = Infinity) {
  /** @type {Segment[]} */
  const segments = [];
  const style = plainStyle();
  let look = lookOf(style);
  let room = limit;
  let hidden = 0;

  /**
   * @param {string} run
   * @param {Omit<Segment, 'text'>} how
   */
  const add = (run, how) => {
    let shown = run;
    if (run.length > room) {
      shown = run.slice(0, room && isHighSurrogate(run, room - 1) ? room - 1 : room);
      hidden += run.length - shown.length;
      room = 0;
    } else {
      room -= run.length;
    }
    if (shown) segments.push({ text: shown, ...how });
  };

  let at = 0;
  while (at < text.length) {
    SPECIAL_FROM.lastIndex = at;
    const next = SPECIAL_FROM.exec(text)?.index ?? text.length;
    if (next > at) add(text.slice(at, next), look);
    if (next === text.length) break;
    const sequence = sequenceAt(text, next);
    if (sequence) {
      at = sequence.end;
      if (sequence.sgr !== undefined) {
        applySgr(style, sequence.sgr);
        look = lookOf(style);
      }
    } else {
      add(visible(text[next]), { names: 'ctl' });
      at = next + 1;
    }
  }
  return { segments, hidden };
}

/**
 * What a reader sees of a line, for searching in it.
 * @param {string} text
 */
export function plain(text) {
  if (!SPECIAL.test(text)) return text;
  return parse(text)
    .segments.map((segment) => segment.text)
    .join('');
}

/**
 * Adds a class to a range of the visible text.
 * @param {Segment[]} segments
 * @param {number} from
 * @param {number} to
 * @param {string} name
 * @returns {Segment[]}
 */
export function paint(segments, from, to, name) {
  /** @type {Segment[]} */
  const out = [];
  let start = 0;
  for (const segment of segments) {
    const end = start + segment.text.length;
    if (end <= from || start >= to) {
      out.push(segment);
    } else {
      const a = Math.max(from, start) - start;
      const b = Math.min(to, end) - start;
      if (a > 0) out.push({ ...segment, text: segment.text.slice(0, a) });
      const names = segment.names ? `${segment.names} ${name}` : name;
      out.push({ ...segment, text: segment.text.slice(a, b), names });
      if (b < segment.text.length) out.push({ ...segment, text: segment.text.slice(b) });
    }
    start = end;
  }
  return out;
}

/**
 * @param {string} text
 * @param {number} at
 * @returns {{ end: number, sgr?: string } | null} null where no escape sequence begins
 */
function sequenceAt(text, at) {
  let kind = text[at];
  let start = at + 1;
  if (kind === ESC) {
    kind = text[start] ?? '';
    start += 1;
    if (kind === '') return { end: text.length };
  } else if (kind >= '\x80' && kind <= '\x9f') {
    // The one-character forms of ESC @ … ESC _.
    kind = String.fromCharCode(kind.charCodeAt(0) - 0x40);
    if (!'[]PX^_'.includes(kind)) return null;
  } else {
    return null;
  }
  if (kind === '[') {
    const body = matchAt(CSI, text, start);
    const sgr = /^[\d;:]*m$/.test(body) ? body.slice(0, -1) : undefined;
    return { end: start + body.length, sgr };
  }
  if (kind === ']') return { end: stringEnd(text, start, /\x07|\x1b\\|\x9c/g) };
  if ('PX^_'.includes(kind)) return { end: stringEnd(text, start, /\x1b\\|\x9c/g) };
  return { end: at + 1 + matchAt(TWO_BYTES, text, at + 1).length };
}

/**
 * @param {RegExp} sticky
 * @param {string} text
 * @param {number} at
 */
function matchAt(sticky, text, at) {
  sticky.lastIndex = at;
  return sticky.exec(text)?.[0] ?? '';
}

/**
 * Where a string that an escape sequence carries is over: behind its end, or with the line.
 * @param {string} text
 * @param {number} from
 * @param {RegExp} terminator
 */
function stringEnd(text, from, terminator) {
  terminator.lastIndex = from;
  const match = terminator.exec(text);
  return match ? match.index + match[0].length : text.length;
}

/** @param {string} char */
function visible(char) {
  const code = char.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return '␡';
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
}

/**
 * @param {string} text
 * @param {number} at
 */
function isHighSurrogate(text, at) {
  const code = text.charCodeAt(at);
  return code >= 0xd800 && code <= 0xdbff;
}

/**
 * @param {Style} style
 * @param {string} parameters
 */
function applySgr(style, parameters) {
  const list = parameters.split(';');
  for (let i = 0; i < list.length; i += 1) {
    const sub = list[i].split(':');
    const code = Number(sub[0]);
    if (code === 38 || code === 48 || code === 58) {
      const { colour, used } = sub.length > 1 ? colonColour(sub) : semicolonColour(list, i + 1);
      i += used;
      if (colour !== undefined && code === 38) style.fg = colour;
      if (colour !== undefined && code === 48) style.bg = colour;
    } else if (code === 0) {
      Object.assign(style, plainStyle());
    } else if (code === 1) {
      style.bold = true;
    } else if (code === 2) {
      style.dim = true;
    } else if (code === 3) {
      style.italic = true;
    } else if (code === 4 || code === 21) {
      style.underline = sub[1] !== '0';
    } else if (code === 7) {
      style.reverse = true;
    } else if (code === 9) {
      style.strike = true;
    } else if (code === 22) {
      style.bold = style.dim = false;
    } else if (code === 23) {
      style.italic = false;
    } else if (code === 24) {
      style.underline = false;
    } else if (code === 27) {
      style.reverse = false;
    } else if (code === 29) {
      style.strike = false;
    } else if (code === 39) {
      style.fg = null;
    } else if (code === 49) {
      style.bg = null;
    } else if (code >= 30 && code <= 37) {
      style.fg = code - 30;
    } else if (code >= 40 && code <= 47) {
      style.bg = code - 40;
    } else if (code >= 90 && code <= 97) {
      style.fg = code - 82;
    } else if (code >= 100 && code <= 107) {
      style.bg = code - 92;
    }
  }
}

/**
 * `38;5;N` and `38;2;R;G;B`.
 * @param {string[]} list
 * @param {number} at
 * @returns {{ colour?: Colour, used: number }}
 */
function semicolonColour(list, at) {
  if (list[at] === '5') return { colour: indexed(list[at + 1]), used: 2 };
  if (list[at] === '2') return { colour: rgb(list.slice(at + 1, at + 4)), used: 4 };
  return { used: list.length };
}

/**
 * `38:5:N`, `38:2:R:G:B`, and `38:2:SPACE:R:G:B`.
 * @param {string[]} sub
 * @returns {{ colour?: Colour, used: number }}
 */
function colonColour(sub) {
  if (sub[1] === '5') return { colour: indexed(sub[2]), used: 0 };
  if (sub[1] === '2') return { colour: rgb(sub.length > 5 ? sub.slice(3, 6) : sub.slice(2, 5)), used: 0 };
  return { used: 0 };
}

/** @param {string | undefined} text */
function byte(text) {
  const value = Number(text || 0);
  return value >= 0 && value <= 255 ? value : undefined;
}

/**
 * @param {string | undefined} text
 * @returns {Colour | undefined}
 */
function indexed(text) {
  const n = byte(text);
  if (n === undefined || n < 16) return n;
  if (n > 231) return `rgb(${Array(3).fill(8 + (n - 232) * 10)})`;
  const level = (/** @type {number} */ step) => (step ? 55 + step * 40 : 0);
  const cube = n - 16;
  return `rgb(${level(Math.floor(cube / 36))},${level(Math.floor(cube / 6) % 6)},${level(cube % 6)})`;
}

/**
 * @param {string[]} parts
 * @returns {Colour | undefined}
 */
function rgb(parts) {
  const [r, g, b] = [0, 1, 2].map((i) => byte(parts[i]));
  return r === undefined || g === undefined || b === undefined ? undefined : `rgb(${r},${g},${b})`;
}

/**
 * Colours are chosen so that text stays readable in every theme, whatever a line asks for: a ground is a tint of the
 * page's own unless the text on it is black or reversed, which makes a solid label in the page's ground colour, and
 * text in the colour of its ground gets none.
 * @param {Style} style
 * @returns {Omit<Segment, 'text'>}
 */
function lookOf(style) {
  const names = [];
  for (const name of /** @type {const} */ (['bold', 'dim', 'italic', 'underline', 'strike'])) {
    if (style[name]) names.push(name);
  }
  let { fg, bg } = style;
  if (bg === fg) bg = null;
  /** @type {Omit<Segment, 'text'>} */
  const look = { names: '' };
  if (style.reverse || (fg === 0 && bg !== null)) {
    const solid = style.reverse ? fg : bg;
    if (solid === null) names.push('solid');
    else if (typeof solid === 'number') names.push(`solid${solid}`);
    else names.push('solidx');
    if (typeof solid === 'string') look.colour = solid;
  } else {
    if (typeof fg === 'number') names.push(`fg${fg}`);
    if (typeof bg === 'number') names.push(`bg${bg}`);
    if (typeof fg === 'string') {
      names.push('fgx');
      look.colour = fg;
    }
    if (typeof bg === 'string') {
      names.push('bgx');
      look.ground = bg;
    }
  }
  look.names = names.join(' ');
  return look;
}
