/**
 * Makes the element of one row. The only place where what a log says meets the document, and it enters as text nodes
 * alone: there is no way from here to markup.
 */

import { paint, parse } from './ansi.js';
import { fieldOf, mayBeObject, parseObject, treeOf } from './json.js';
import { columnsOf } from './layout.js';
import { findLevel } from './levels.js';
import { MAX_SEEN } from './rows.js';
import { size, t } from './texts.js';

/**
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {{ finder: import('./terms.js').Finder | null, beside: string, colour: number, file: string, fold: number,
 *   open: boolean, whole: boolean, tree: boolean, partial: boolean, columns: readonly string[] }} How
 *   `beside`: the time beside the line; `colour`, `file`: its file's, where a pane shows several (-1: it does not);
 *   `fold`: how many lines are folded under it; `whole`: all of a long line; `tree`: a JSON line as a tree;
 *   `partial`: lines are left out around it; `columns`: fields to show in place of a JSON line
 */

/**
 * @param {string} line
 * @param {How} how
 * @returns {{ element: HTMLElement, columns: number }}
 */
export function lineRow(line, how) {
  const parsed = parse(line, how.whole ? Infinity : MAX_SEEN);
  let { segments } = parsed;
  const text = segments.map((segment) => segment.text).join('');
  const element = document.createElement('div');
  element.className = 'row';
  const found = findLevel(text);
  if (found) {
    element.classList.add(found.level);
    segments = paint(segments, found.from, found.to, 'level');
  }
  if (how.finder) {
    for (const { from, to, colour } of how.finder.spans(text)) segments = paint(segments, from, to, `hit hit${colour}`);
  }
  if (how.beside) element.dataset.time = how.beside;
  if (how.colour >= 0) {
    element.dataset.file = how.file;
    element.classList.add('sourced', `source${how.colour}`);
  }
  const object = mayBeObject(text) && parsed.hidden === 0;
  const value = object && (how.tree || how.columns.length > 0) ? parseObject(text) : null;
  const host = document.createElement('span');
  host.className = 'text';
  if (value && how.columns.length > 0) host.append(...cells(value, how.columns));
  else for (const segment of segments) host.append(segment.names ? span(segment) : segment.text);
  element.append(host);
  let columns = columnsOf(text) + how.beside.length + (how.colour >= 0 ? 16 : 0) + 1;
  if (how.whole) element.classList.add('tall', 'whole');
  if (how.fold > 0) {
    const words = t(how.open ? 'unfolded' : 'folded', { n: how.fold });
    columns += add(element, button('fold', words, how.open ? 'foldHint' : 'unfoldHint', how.open));
  }
  if (object) columns += add(element, button('tree', how.tree ? t('treeClose') : '{ }', 'treeHint', how.tree));
  if (parsed.hidden > 0) {
    const bytes = new TextEncoder().encode(line).length;
    columns += add(element, button('whole', t('showAll', { size: size(bytes) }), 'showAllHint'));
  } else if (how.whole) {
    columns += add(element, button('whole', t('showLess'), 'showLess', true));
  }
  if (how.partial) columns += add(element, button('context', '↕', 'contextHint'));
  if (value && how.tree) {
    element.classList.add('tall');
    element.append(treeElement(value, how.columns));
  }
  return { element, columns };
}

/**
 * @param {Mark} mark
 * @returns {{ element: HTMLElement, columns: number }}
 */
export function markRow({ text: name, tone = 'calm', vars, action, file }) {
  const element = document.createElement('div');
  element.className = `row mark ${tone}`;
  const inner = document.createElement('span');
  const text = document.createElement('span');
  text.textContent = (file ? `${file}: ` : '') + t(name, vars);
  inner.append(text);
  if (action) inner.append(button(action, t(`${action}Action`), `${action}Hint`));
  element.append(inner);
  return { element, columns: 0 };
}

/** Fields that hold a level, which is as short as a word. */
const LEVEL_FIELD = /^(level|lvl|severity)$/i;

/** @param {HTMLElement} element @param {HTMLElement} part */
function add(element, part) {
  element.append(part);
  return columnsOf(part.textContent ?? '') + 3;
}

/**
 * @param {string} action
 * @param {string} text
 * @param {string} hint
 * @param {boolean} [pressed]
 */
function button(action, text, hint, pressed = false) {
  const element = document.createElement('button');
  element.type = 'button';
  element.className = `chip ${action}`;
  element.dataset.action = action;
  element.textContent = text;
  element.title = t(hint);
  if (action === 'context' || action === 'tree') element.setAttribute('aria-label', t(hint));
  element.tabIndex = -1;
  if (action === 'fold' || action === 'tree') element.setAttribute('aria-expanded', String(pressed));
  return element;
}

/**
 * @param {Record<string, unknown>} value
 * @param {readonly string[]} columns
 */
function cells(value, columns) {
  return columns.map((name, at) => {
    const cell = document.createElement('span');
    cell.className = at === columns.length - 1 ? 'cell rest' : 'cell';
    if (LEVEL_FIELD.test(name)) cell.classList.add('level');
    cell.textContent = parse(fieldOf(value, name), MAX_SEEN).segments.map(({ text }) => text).join('') || '·';
    return cell;
  });
}

/**
 * @param {Record<string, unknown>} value
 * @param {readonly string[]} columns
 */
function treeElement(value, columns) {
  const tree = document.createElement('div');
  tree.className = 'tree';
  for (const line of treeOf(value)) {
    const row = document.createElement('div');
    row.className = `leaf ${line.kind}`;
    row.style.setProperty('--depth', String(line.depth));
    const name = line.path.join('.');
    const key = button('column', line.key, columns.includes(name) ? 'columnDrop' : 'columnAdd');
    key.className = columns.includes(name) ? 'key taken' : 'key';
    key.dataset.field = name;
    const text = document.createElement('span');
    text.className = 'value';
    text.textContent = line.kind === 'open' ? `${line.value[0]}${line.count}${line.value.at(-1)}` : visibleValue(line.value);
    row.append(key, text);
    tree.append(row);
  }
  return tree;
}

/** @param {string} value */
const visibleValue = (value) =>
  parse(value, MAX_SEEN).segments.map(({ text }) => text).join('') || (value === '' ? '""' : '');

/** @param {import('./ansi.js').Segment} segment */
function span({ text, names, colour, ground }) {
  const element = document.createElement('span');
  element.className = names;
  if (colour) element.style.setProperty('--colour', colour);
  if (ground) element.style.setProperty('--behind', ground);
  element.textContent = text;
  return element;
}
