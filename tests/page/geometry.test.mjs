import assert from 'node:assert/strict';
import test from 'node:test';
import { MAX_ROWS, columnsOf, heightOf, rowsAt, topToReveal } from '../../src/ui/geometry.js';

const view = { top: 0, height: 190, rowHeight: 19, origin: 100, end: 1_000, margin: 0 };

test('the rows in sight, and a margin', () => {
  assert.deepEqual(rowsAt(view), { from: 100, to: 110 });
  assert.deepEqual(rowsAt({ ...view, top: 1 }), { from: 100, to: 111 });
  assert.deepEqual(rowsAt({ ...view, top: 1_900 }), { from: 200, to: 210 });
  assert.deepEqual(rowsAt({ ...view, top: 1_900, margin: 5 }), { from: 195, to: 215 });
  assert.deepEqual(rowsAt({ ...view, top: -6, margin: 5 }), { from: 100, to: 115 });
});

test('never rows that are not there', () => {
  assert.deepEqual(rowsAt({ ...view, end: 103 }), { from: 100, to: 103 });
  assert.deepEqual(rowsAt({ ...view, end: 100 }), { from: 100, to: 100 });
  const beyond = rowsAt({ ...view, end: 103, top: 99_999 });
  assert.ok(beyond.from <= beyond.to && beyond.to <= 103 && beyond.from >= 100);
});

test('a list is never taller than browsers can', () => {
  assert.equal(heightOf(10, 19), 190);
  assert.equal(heightOf(-1, 19), 0);
  assert.equal(heightOf(10 ** 9, 19), MAX_ROWS * 19);
});

test('scrolls as little as needed to reveal a row', () => {
  assert.equal(topToReveal({ ...view, top: 190 }, 105), 95);
  assert.equal(topToReveal({ ...view, top: 190 }, 112), 190);
  assert.equal(topToReveal({ ...view, top: 190 }, 120), 209);
  assert.equal(topToReveal({ ...view, top: 190 }, 100), 0);
});

test('columns are counted on the safe side', () => {
  assert.equal(columnsOf('abc'), 3);
  assert.equal(columnsOf('中文'), 4);
  assert.equal(columnsOf('\t'), 8);
  assert.equal(columnsOf('😀'), 2);
});
