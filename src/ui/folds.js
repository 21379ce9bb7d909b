/**
 * Which lines continue the one before them: the frames of a stack trace, the causes below it, text that a program
 * spread over several lines. Pure, one line after the other, with what has to be known of those before as a state.
 */

/**
 * @typedef {{ open: boolean, trace: boolean, source?: number }} FoldState
 *   `open`: there is a first line to continue; `trace`: within a Python traceback, whose last line stands at the margin;
 *   `source`: the file of the line before
 */

/** @returns {FoldState} */
export const foldStart = () => ({ open: false, trace: false });

const INDENTED = /^(?:\t| {2,}|　)\s*\S/;
const FRAME = /^\s*(?:at\s+[\w$.<[(/]|\.\.\. \d+ (?:more|common frames)|Caused by:|Suppressed:|\^+\s*$)/;
const TRACEBACK = /^\s*(?:Traceback \(most recent call|During handling of the above|The above exception was)/;
const STAMPED = /^\s*[[(<{【]|^\s*\d|^(?:[A-Z][a-z]{2} +\d|[IWEF]\d{4} )/;
const EXCEPTION = /^[\w.$]+(?::|$|\s*\()/;

/**
 * @param {string} text what is seen of the line
 * @param {boolean} levelled whether it has a level of its own
 * @param {FoldState} state changed for the next line
 */
export function continues(text, levelled, state) {
  if (TRACEBACK.test(text)) {
    const { open } = state;
    state.open = state.trace = true;
    return open;
  }
  if (state.trace) {
    if (INDENTED.test(text) || text.trim() === '') return true;
    state.trace = false;
    // The exception itself ends a traceback.
    if (!levelled && !STAMPED.test(text) && EXCEPTION.test(text)) return true;
  }
  if (state.open && !levelled && (FRAME.test(text) || INDENTED.test(text))) return true;
  state.open = text.trim() !== '' && !INDENTED.test(text);
  return false;
}
