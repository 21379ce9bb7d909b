import assert from 'node:assert/strict';
import test from 'node:test';
import { textBetween } from '../../src/ui/copy.js';
import { asJson, asText } from '../../src/ui/export.js';
import { survey } from '../../src/ui/map.js';
import { Rows } from '../../src/ui/rows.js';
import { LogStore } from '../../src/ui/store.js';
import { Filter, parseTerms } from '../../src/ui/terms.js';

const pin = (at, position, source = 0) => ({ at, source, position, skip: 0 });
const make = () => {
  const store = new LogStore();
  store.append(['\x1b[31mred\x1b[0m one', 'two'], { pins: [pin(0, 'p0'), pin(2, 'p2')] });
  store.addMark({ text: 'gap' });
  store.append(['three ERROR', 'four'], { pins: [pin(0, 'p3')], time: Date.UTC(2026, 0, 1) });
  const rows = new Rows(store);
  rows.advance(-1, Infinity);
  return { store, rows };
};
const from = { index: 0, line: 0, at: 4 };
const to = { index: 2, line: 1, at: 2 };

test('copies from place to place over blocks and marks', () => {
  const { store } = make();
  assert.equal(textBetween(store.blocks, from, to, { ansi: false, rowsOnly: false }), 'one\ntwo\nthree ERROR\nfo');
  assert.equal(
    textBetween(store.blocks, from, to, { ansi: true, rowsOnly: false }),
    '\x1b[31mred\x1b[0m one\ntwo\nthree ERROR\nfour\x1b[0m',
  );
});

test('copies and exports what a filter leaves', () => {
  const { store, rows } = make();
  rows.setFilter(new Filter(parseTerms('-two')));
  rows.advance(-1, Infinity);
  assert.equal(textBetween(store.blocks, from, to, { ansi: false, rowsOnly: true }), 'one\nthree ERROR\nfo');
  assert.equal(asText(store.blocks, { rowsOnly: true, ansi: false }).join(''), 'red one\nthree ERROR\nfour\n');
});

test('exports as JSON with time of arrival and place', () => {
  const { store } = make();
  const lines = asJson(store.blocks, { rowsOnly: false, files: ['a.log'] }).join('').trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(lines[1], { line: 'two', file: 'a.log', arrived: null, after: 'p0', skip: 1 });
  assert.deepEqual(lines[3], { line: 'four', file: 'a.log', arrived: '2026-01-01T00:00:00.000Z', after: 'p3', skip: 1 });
});

test('each line of several files is exported with its place in its own file', () => {
  const store = new LogStore();
  store.append(['a1', 'b1', 'a2', 'b2'], { sources: [0, 1, 0, 1], pins: [pin(0, 'a0'), pin(3, 'b7', 1)] });
  const lines = asJson(store.blocks, { rowsOnly: false, files: ['a', 'b'] }).join('').trim().split('\n').map((line) => JSON.parse(line));
  assert.deepEqual(lines.map(({ file, after, skip }) => [file, after, skip]), [['a', 'a0', 0], ['b', null, null], ['a', 'a0', 1], ['b', 'b7', 0]]);
});

test('the map shows where errors are', () => {
  const { store } = make();
  assert.deepEqual([...survey(store.blocks, 5).levels], [0, 0, 0, 2, 0]);
  assert.deepEqual([...survey([], 2).levels], [0, 0]);
});
