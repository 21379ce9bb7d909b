/**
 * Copying: what is selected, also where its rows are no longer in the document, and what is marked; as it is seen, or
 * with its colours. Times and buttons beside the lines are no part of it.
 */

import { plain } from './ansi.js';
import { asJson, asText, save } from './export.js';
import { settings } from './settings.js';
import { t } from './texts.js';

/** @typedef {import('./store.js').Block} Block */

/**
 * The text between two places, both within lines.
 * @param {readonly Block[]} blocks
 * @param {{ index: number, line: number, at: number }} from `at`: the place within what is seen of the line
 * @param {{ index: number, line: number, at: number }} to
 * @param {{ ansi: boolean, rowsOnly: boolean }} how with escape sequences lines are taken whole; `rowsOnly` leaves out
 *   what a filter leaves out
 */
export function textBetween(blocks, from, to, { ansi, rowsOnly }) {
  const out = [];
  for (let index = from.index; index <= to.index; index += 1) {
    const block = blocks[index];
    if (block.mark) continue;
    const first = index === from.index ? from.line : 0;
    const last = index === to.index ? to.line : block.lines.length - 1;
    const chosen = rowsOnly ? block.rows.filter((line) => line >= first && line <= last) : range(first, last);
    for (const line of chosen) {
      if (ansi) {
        out.push(block.lines[line]);
        continue;
      }
      const text = plain(block.lines[line]);
      const start = index === from.index && line === from.line ? from.at : 0;
      const end = index === to.index && line === to.line ? to.at : text.length;
      out.push(text.slice(start, end));
    }
  }
  return out.join('\n') + (ansi && out.some((line) => line.includes('\x1b')) ? '\x1b[0m' : '');
}

/** @param {number} from @param {number} to */
const range = (from, to) => Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);

/**
 * The selection as places in the log.
 * @param {import('./list.js').LogList} list
 * @param {readonly Block[]} blocks
 * @returns {{ from: { index: number, line: number, at: number }, to: { index: number, line: number, at: number } } | null}
 */
export function selectedPlaces(list, blocks) {
  const selection = getSelection();
  if (!selection || selection.isCollapsed || blocks.length === 0) return null;
  const range = selection.getRangeAt(0);
  if (!range.intersectsNode(list.body)) return null;
  const from = placeOf(range.startContainer, range.startOffset, list, blocks);
  const to = placeOf(range.endContainer, range.endOffset, list, blocks);
  const { length } = blocks;
  return {
    from: from ?? { index: 0, line: 0, at: 0 },
    to: to ?? { index: length - 1, line: blocks[length - 1].lines.length - 1, at: Infinity },
  };
}

/**
 * @param {Node} node
 * @param {number} offset
 * @param {import('./list.js').LogList} list
 * @param {readonly Block[]} blocks
 */
function placeOf(node, offset, list, blocks) {
  const shown = list.shownAt(node);
  if (!shown) return null;
  const index = blocks.indexOf(shown.block);
  if (index < 0) return null;
  const host = shown.element.querySelector('.text');
  if (!host) return { index, line: 0, at: 0 };
  const range = document.createRange();
  range.selectNodeContents(host);
  // Behind the text, in one of the row's buttons, is at its end: that of the line, though it is shown cut.
  const side = range.comparePoint(node, offset);
  if (side !== 0) return { index, line: shown.line, at: side < 0 ? 0 : Infinity };
  const whole = range.toString().length;
  range.setEnd(node, offset);
  const at = range.toString().length;
  return { index, line: shown.line, at: at === whole ? Infinity : at };
}

/**
 * @param {string} text
 * @returns {Promise<boolean>}
 */
export async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without TLS a page has no clipboard of that kind; the old way works from a key or a click.
  }
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'spoken';
  const dialog = document.querySelector('dialog[open]') ?? document.body;
  const focused = /** @type {HTMLElement | null} */ (document.activeElement);
  dialog.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  focused?.focus({ preventScroll: true });
  return done;
}

/** What leaves a pane: lines that are selected or marked, and exports. */
export class Copier {
  #list;
  #store;
  #rows;
  #tell;
  /** Lines that are marked, as `block:line`. @type {Set<string>} */
  #marked = new Set();

  /**
   * @param {import('./list.js').LogList} list
   * @param {import('./store.js').LogStore} store
   * @param {import('./rows.js').Rows} rows
   * @param {(text: string) => void} tell
   */
  constructor(list, store, rows, tell) {
    this.#list = list;
    this.#store = store;
    this.#rows = rows;
    this.#tell = tell;
  }

  /** @param {Block} block @param {number} line */
  isMarked(block, line) {
    return this.#marked.has(`${block.id}:${line}`);
  }

  get marks() {
    return this.#marked.size;
  }

  clearMarks() {
    this.#marked.clear();
  }

  /** Marks the line under the cursor, or takes its mark away. */
  mark() {
    const { cursor } = this.#list;
    if (!cursor) return this.#list.moveCursor(1);
    const key = `${cursor.block.id}:${cursor.line}`;
    if (!this.#marked.delete(key)) this.#marked.add(key);
    this.#tell(t('marked', { n: this.#marked.size }));
  }

  /** The text that is selected. */
  get selected() {
    const places = selectedPlaces(this.#list, this.#store.blocks);
    const how = { ansi: settings.ansi, rowsOnly: this.#rows.partial };
    return places ? textBetween(this.#store.blocks, places.from, places.to, how) : '';
  }

  /** Copies what is marked, or else what is selected, or else the line under the cursor. */
  async copy() {
    const lines = [];
    for (const block of this.#marked.size > 0 ? this.#store.blocks : []) {
      for (let line = 0; line < block.lines.length; line += 1) {
        if (this.isMarked(block, line)) lines.push(block.lines[line]);
      }
    }
    const { cursor } = this.#list;
    const selected = lines.length > 0 ? '' : this.selected;
    if (lines.length === 0 && !selected && cursor && !cursor.block.mark) lines.push(cursor.block.lines[cursor.line]);
    const text = selected || lines.map((line) => (settings.ansi ? line : plain(line))).join('\n');
    if (!selected && lines.length === 0) return this.#tell(t('nothingToCopy'));
    const copied = await toClipboard(text);
    this.#tell(copied ? t('copied', { n: text.split('\n').length }) : t('notCopied'));
  }

  async copyLink() {
    this.#tell(t((await toClipboard(location.href)) ? 'linkCopied' : 'notCopied'));
  }

  /** @param {'text' | 'json'} kind @param {string[]} files */
  export(kind, files) {
    const { blocks } = this.#store;
    const rowsOnly = this.#rows.partial;
    const name = `${files.join('+')}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}`;
    if (kind === 'json') save(asJson(blocks, { rowsOnly, files }), `${name}.ndjson`, 'application/x-ndjson');
    else save(asText(blocks, { rowsOnly, ansi: settings.ansi }), `${name}.txt`, 'text/plain;charset=utf-8');
    this.#tell(t('exported', { n: rowsOnly ? this.#rows.counts().shown : this.#store.lines }));
  }
}
