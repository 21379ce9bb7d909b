import assert from 'node:assert/strict';
import test from 'node:test';
import { BLOCK_LINES, LogStore } from '../../src/ui/store.js';

const held = (store) => store.blocks.flatMap((block) => (block.mark ? [block.mark.text] : block.lines));
const numbered = (from, count) => Array.from({ length: count }, (_, at) => `line ${from + at}`);

test('lines are kept in order, in blocks with the positions around them', () => {
  const store = new LogStore();
  store.append(['a', 'b'], { start: 'p0', end: 'p2', time: 5 });
  store.append(['c'], { start: 'p2', end: 'p3', time: 6 });
  assert.deepEqual(held(store), ['a', 'b', 'c']);
  assert.equal(store.blocks.length, 1, 'what follows on goes into the same block');
  assert.deepEqual([store.blocks[0].start, store.blocks[0].end], ['p0', 'p3']);
  assert.deepEqual(store.blocks[0].times, [5, 5, 6]);
  store.append(['x'], { start: 'q0', end: 'q1' });
  assert.equal(store.blocks.length, 2, 'what comes from elsewhere does not');
});

test('a long run is split, and only its edges have positions', () => {
  const store = new LogStore();
  store.append(numbered(0, BLOCK_LINES * 2 + 10), { start: 'p', end: 'q' });
  assert.deepEqual(store.blocks.map((block) => [block.lines.length, block.start, block.end]), [
    [BLOCK_LINES, 'p', null],
    [BLOCK_LINES, null, null],
    [10, null, 'q'],
  ]);
  assert.deepEqual(store.placeBefore(0), { before: 'p', overlap: 0 });
  store.dropFirst();
  assert.deepEqual(store.placeBefore(0), { before: 'q', overlap: BLOCK_LINES + 10 });
});

test('too much is known by lines and by bytes, and dropping blocks counts down', () => {
  const store = new LogStore({ maxLines: 1_000, maxBytes: 1 << 20 });
  store.append(numbered(0, 1_000));
  assert.equal(store.over, false);
  store.append(numbered(1_000, 1));
  assert.equal(store.over, true);
  while (store.over) store.dropFirst();
  assert.equal(store.lines, 1_001 - BLOCK_LINES);
  assert.equal(held(store)[0], `line ${BLOCK_LINES}`);
  store.append(['x'.repeat(1 << 19), 'y'.repeat(1 << 19)]);
  assert.equal(store.over, true);
  store.clear();
  assert.deepEqual([store.lines, store.bytes, store.blocks.length], [0, 0, 0]);
});

test('bytes come back to nothing', () => {
  const store = new LogStore();
  for (let n = 0; n < 30; n += 1) store.append(numbered(n, 400), {});
  while (store.blocks.length > 0) store.dropFirst();
  assert.deepEqual([store.lines, store.bytes], [0, 0]);
});

test('older lines go in front, and others behind a mark', () => {
  const store = new LogStore();
  store.append(['c'], { start: 'p2', end: 'p3' });
  const mark = store.addMark({ text: 'gap' });
  store.append(['f'], { start: 'p5', end: 'p6' });
  store.insert(0, ['a', 'b'], { start: 'p0', end: 'p2' });
  store.insert(store.blocks.indexOf(mark) + 1, ['d', 'e'], { start: 'p3', end: 'p5' });
  assert.deepEqual(held(store), ['a', 'b', 'c', 'gap', 'd', 'e', 'f']);
  assert.equal(store.lines, 6);
  assert.deepEqual(store.placeBefore(0), { before: 'p0', overlap: 0 });
});
