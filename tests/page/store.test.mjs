import assert from 'node:assert/strict';
import test from 'node:test';
import { BLOCK_LINES, LogStore } from '../../src/ui/store.js';

const held = (store) => store.blocks.flatMap((block) => (block.mark ? [block.mark.text] : block.lines));
const numbered = (from, count) => Array.from({ length: count }, (_, at) => `line ${from + at}`);

const pin = (at, position, source = 0, skip = 0) => ({ at, source, position, skip });
const run = (count, start, end) => ({ pins: [pin(0, start), pin(count, end)] });

test('lines are kept in order, in blocks with the first and the last place that is known', () => {
  const store = new LogStore();
  store.append(['a', 'b'], { ...run(2, 'p0', 'p2'), time: 5 });
  store.append(['c'], { ...run(1, 'p2', 'p3'), time: 6 });
  store.append(['d'], { ...run(1, 'p3', 'p4'), time: 6 });
  assert.deepEqual(held(store), ['a', 'b', 'c', 'd']);
  assert.equal(store.blocks.length, 1);
  assert.deepEqual(store.blocks[0].pins, [pin(0, 'p0'), pin(4, 'p4')]);
  assert.deepEqual(store.blocks[0].times, [5, 5, 6, 6]);
});

test('a long run is split, and any edge is told by the next place, which is not lost with its block', () => {
  const store = new LogStore();
  store.append(numbered(0, BLOCK_LINES * 2 + 10), run(BLOCK_LINES * 2 + 10, 'p', 'q'));
  assert.deepEqual(store.blocks.map((block) => [block.lines.length, block.pins]), [
    [BLOCK_LINES, [pin(0, 'p')]],
    [BLOCK_LINES, []],
    [10, [pin(10, 'q')]],
  ]);
  assert.deepEqual(store.placeAt(0, 0, 1), { position: 'p', skip: 0 });
  assert.deepEqual(store.placeAt(0, 1, 1), { position: 'q', skip: -10 - BLOCK_LINES });
  assert.deepEqual(store.placeAt(0, 1, -1), { position: 'p', skip: BLOCK_LINES * 2 });
  store.dropLast();
  assert.deepEqual(store.placeAt(0, 1, -1), { position: 'q', skip: -10 });
  store.dropFirst();
  assert.deepEqual(store.blocks[0].pins, [pin(BLOCK_LINES, 'q', 0, -10)], 'the next one has its own');
});

test('each file has its own places among the lines of all, also when none of its lines is left', () => {
  const store = new LogStore();
  const sources = Array.from({ length: BLOCK_LINES * 3 }, (_, at) => (at % 3 === 0 && at < BLOCK_LINES ? 1 : 0));
  store.append(numbered(0, BLOCK_LINES * 3), { sources, pins: [pin(0, 'a'), pin(0, 'b', 1)] });
  const ones = sources.filter((source) => source === 1).length;
  assert.deepEqual(store.placeAt(1, 1, -1), { position: 'b', skip: ones });
  store.dropFirst();
  store.dropFirst();
  assert.deepEqual(store.placeAt(0, 0, 1), { position: 'a', skip: 2 * BLOCK_LINES - ones });
  assert.deepEqual(store.placeAt(1, 0, 1), { position: 'b', skip: ones });
  store.addMark({ text: 'gap', action: 'gap', source: 1 });
  store.append(['c'], { source: 1, pins: [pin(0, 'c', 1)] });
  assert.deepEqual(store.placeAt(1, 0, 1), { position: 'b', skip: ones });
  store.dropFirst();
  store.dropFirst();
  assert.deepEqual(store.placeAt(1, 0, 1), { position: 'c', skip: 0 });
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
  store.append(['c'], run(1, 'p2', 'p3'));
  const mark = store.addMark({ text: 'gap' });
  store.append(['f'], run(1, 'p5', 'p6'));
  store.insert(0, ['a', 'b'], run(2, 'p0', 'p2'));
  store.insert(store.blocks.indexOf(mark) + 1, ['d', 'e'], run(2, 'p3', 'p5'));
  assert.deepEqual(held(store), ['a', 'b', 'c', 'gap', 'd', 'e', 'f']);
  assert.equal(store.lines, 6);
  assert.deepEqual(store.placeAt(0, 0, 1), { position: 'p0', skip: 0 });
});
