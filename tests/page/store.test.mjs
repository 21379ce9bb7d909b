import assert from 'node:assert/strict';
import test from 'node:test';
import { LineStore } from '../../src/ui/store.js';

const held = (store) => {
  const out = [];
  for (let at = store.first; at < store.end; at += 1) out.push(store.at(at));
  return out;
};

test('holds what fits and gives every entry a number for good', () => {
  const store = new LineStore({ maxLines: 3 });
  for (const line of ['a', 'b', 'c', 'd', 'e']) store.push(line);
  assert.deepEqual(held(store), ['c', 'd', 'e']);
  assert.equal(store.first, 2);
  assert.equal(store.at(1), undefined);
  assert.equal(store.at(4), 'e');
  assert.equal(store.at(5), undefined);
  assert.equal(store.added, 5);
  assert.equal(store.lines, 3);
  assert.equal(store.trimmed, true);
});

test('trims by bytes too, but never the youngest line', () => {
  const store = new LineStore({ maxBytes: 1_000 });
  store.push('x'.repeat(300));
  store.push('y'.repeat(300));
  assert.deepEqual(held(store), ['y'.repeat(300)]);
  store.push('z'.repeat(5_000));
  assert.equal(store.lines, 1);
  store.push('short');
  assert.deepEqual(held(store), ['short']);
  assert.ok(store.bytes < 100);
});

test('stays right over many trims', () => {
  const store = new LineStore({ maxLines: 100 });
  for (let n = 0; n < 50_000; n += 1) store.push(`line ${n}`);
  assert.equal(store.first, 49_900);
  assert.equal(store.at(49_900), 'line 49900');
  assert.equal(store.last(), 'line 49999');
  assert.equal(store.lines, 100);
});

test('a notice becomes a mark and is no line any more', () => {
  const store = new LineStore();
  store.push('a line');
  store.push('a notice');
  store.replaceLast({ mark: 'endRemoved' });
  assert.deepEqual(held(store), ['a line', { mark: 'endRemoved' }]);
  assert.equal(store.lines, 1);
  assert.equal(store.added, 1);
});

test('numbers go on after everything was forgotten', () => {
  const store = new LineStore();
  store.push('a');
  store.clear();
  assert.equal(store.trimmed, false);
  assert.equal(store.lines, 0);
  assert.equal(store.bytes, 0);
  assert.equal(store.at(0), undefined);
  store.push('b');
  assert.equal(store.at(1), 'b');
});
