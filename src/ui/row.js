/**
 * Makes the element of one row. The only place where what a log says meets the document, and it enters as text nodes
 * alone: there is no way from here to markup.
 */

import { paint, parse } from './ansi.js';
import { columnsOf } from './geometry.js';
import { findLevel } from './levels.js';
import { t } from './texts.js';

/** @typedef {import('./store.js').Mark} Mark */

/** One endless line must not make the page slow: so many characters of it are shown. */
export const MAX_SHOWN = 2_000;

/**
 * @param {string} line
 * @param {RegExp | null} highlight a global pattern whose matches are marked
 * @returns {{ element: HTMLElement, columns: number }}
 */
export function lineRow(line, highlight) {
  const parsed = parse(line, MAX_SHOWN);
  let { segments } = parsed;
  const text = segments.map((segment) => segment.text).join('');
  const element = document.createElement('div');
  element.className = 'row';
  const found = findLevel(text);
  if (found) {
    element.classList.add(found.level);
    segments = paint(segments, found.from, found.to, 'level');
  }
  if (highlight) {
    for (const match of text.matchAll(highlight)) {
      segments = paint(segments, match.index, match.index + match[0].length, 'hit');
    }
  }
  for (const segment of segments) element.append(segment.names ? span(segment) : segment.text);
  let columns = columnsOf(text);
  if (parsed.hidden > 0) {
    const note = document.createElement('span');
    note.className = 'more';
    note.textContent = t('cut', { n: parsed.hidden });
    element.append(note);
    columns += columnsOf(note.textContent) + 2;
  }
  return { element, columns };
}

/**
 * @param {Mark} mark
 * @returns {{ element: HTMLElement, columns: number }}
 */
export function markRow({ mark, tone = 'calm', vars }) {
  const element = document.createElement('div');
  element.className = `row mark ${tone}`;
  const text = document.createElement('span');
  text.textContent = t(mark, vars);
  text.title = text.textContent;
  element.append(text);
  return { element, columns: 0 };
}

/** @param {import('./ansi.js').Segment} segment */
function span({ text, names, colour, ground }) {
  const element = document.createElement('span');
  element.className = names;
  if (colour) element.style.setProperty('--colour', colour);
  if (ground) element.style.setProperty('--behind', ground);
  element.textContent = text;
  return element;
}
