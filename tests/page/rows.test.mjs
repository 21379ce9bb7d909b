import assert from 'node:assert/strict';
import test from 'node:test';
import { placeAt, rowOf, step, topOf, totalHeight } from '../../src/ui/layout.js';
import { Rows } from '../../src/ui/rows.js';
import { LogStore } from '../../src/ui/store.js';
import { Filter, Finder, parseTerms } from '../../src/ui/terms.js';

const H = 19;
const shown = (store) => store.blocks.flatMap((block) => (block.mark ? [block.mark.text] : block.rows.map((row) => block.lines[row])));
const all = (rows) => {
  for (let n = 0; n < 10_000; n += 1) if (rows.advance(-1, Infinity)) return;
  assert.fail('it never ends');
};
const make = (lines, limits) => {
  const store = new LogStore(limits);
  const rows = new Rows(store);
  store.append(lines);
  all(rows);
  return { store, rows };
};

test('a filter looks at what is held and at what comes, and hides no mark', () => {
  const { store, rows } = make(['apple', 'pear']);
  rows.setFilter(new Filter(parseTerms('ap -grape')));
  all(rows);
  assert.deepEqual(shown(store), ['apple']);
  store.addMark({ text: 'gap' });
  store.append(['grape', 'apricot'], {});
  all(rows);
  assert.deepEqual(shown(store), ['apple', 'gap', 'apricot']);
  assert.deepEqual(rows.counts(), { shown: 2, found: 0 });
  assert.equal(totalHeight(store.blocks), 3 * H);
  rows.setFilter(null);
  all(rows);
  assert.deepEqual(shown(store), ['apple', 'pear', 'gap', 'grape', 'apricot']);
});

test('a changed filter goes in slices, from where the reader looks, and shows the old rows until then', () => {
  const { store, rows } = make(Array.from({ length: 5_000 }, (_, at) => `${at % 2 ? 'odd' : 'even'} ${at}`));
  rows.setFilter(new Filter(parseTerms('odd')));
  let clock = 0;
  const near = 4;
  assert.equal(rows.advance(near, 0, () => (clock += 1)), false);
  assert.ok(store.blocks[near].rows.every((row) => store.blocks[near].lines[row].startsWith('odd')));
  assert.equal(store.blocks[0].rows.length, 512, 'others wait for their turn');
  let slices = 1;
  while (!rows.advance(near, 0, () => (clock += 1))) slices += 1;
  assert.equal(rows.counts().shown, 2_500);
  assert.ok(slices >= 9);
});

test('new lines come before the rest of a changed filter', () => {
  const { store, rows } = make(Array.from({ length: 5_000 }, (_, at) => `line ${at}`));
  rows.setFilter(new Filter(parseTerms('new')));
  store.insert(store.blocks.length, ['a new one'], {});
  let clock = 0;
  rows.advance(-1, 0, () => (clock += 1));
  assert.deepEqual(store.blocks.at(-1).rows, [0]);
});

test('what is searched for is counted apart from the filter', () => {
  const { store, rows } = make(['a1', 'b1', 'a2']);
  rows.setFinder(new Finder(parseTerms('1 2')));
  all(rows);
  assert.deepEqual(rows.counts(), { shown: 3, found: 3 });
  rows.setFinder(new Finder(parseTerms('2')));
  all(rows);
  assert.deepEqual(store.blocks[0].found, [2]);
});

test('continuations fold under their first line, open one by one, and also from block to block', () => {
  const trace = ['E: boom', '  at a', '  at b', 'next'];
  const { store, rows } = make(trace);
  assert.deepEqual(shown(store), ['E: boom', 'next']);
  assert.equal(rows.foldSize(0, 0), 2);
  rows.toggle(store.blocks[0], 0);
  assert.deepEqual(shown(store), trace);
  assert.equal(totalHeight(store.blocks), 4 * H);
  rows.toggle(store.blocks[0], 0);
  store.insert(store.blocks.length, ['  at c', 'last'], {});
  all(rows);
  assert.deepEqual(shown(store), ['E: boom', 'next', 'last'], 'one that goes on in another block');
  assert.equal(rows.foldSize(0, 3), 1);
  rows.toggle(store.blocks[0], 3);
  assert.deepEqual(shown(store), ['E: boom', 'next', '  at c', 'last']);
  store.dropFirst();
  rows.rebuild();
  all(rows);
  assert.deepEqual(shown(store), ['  at c', 'last'], 'without its first line it stands for itself');
});

test('no line continues one of another file', () => {
  const store = new LogStore();
  const rows = new Rows(store);
  store.append(['E: boom', '  at a', '  at b'], { sources: [0, 0, 1] });
  all(rows);
  assert.deepEqual(shown(store), ['E: boom', '  at b']);
});

test('a filter finds lines within folds', () => {
  const { store, rows } = make(['E: boom', '  at a', '  at b']);
  rows.setFilter(new Filter(parseTerms('"at b"')));
  all(rows);
  assert.deepEqual(shown(store), ['  at b']);
});

test('rows are found by height, and heights by row, when each has its own', () => {
  const { store, rows } = make(['a', 'b', 'c']);
  store.insert(store.blocks.length, ['d', 'e'], {});
  all(rows);
  const { blocks } = store;
  assert.equal(rows.measured(blocks[0], 1, 57), true);
  assert.equal(rows.measured(blocks[0], 1, 57), false);
  assert.equal(totalHeight(blocks), 4 * H + 57);
  assert.equal(topOf(blocks, 0, 2, H), H + 57);
  assert.equal(topOf(blocks, 1, 1, H), 3 * H + 57);
  assert.deepEqual(placeAt(blocks, 0, H), { index: 0, row: 0, top: 0 });
  assert.deepEqual(placeAt(blocks, H + 50, H), { index: 0, row: 1, top: H });
  assert.deepEqual(placeAt(blocks, H + 57, H), { index: 0, row: 2, top: H + 57 });
  assert.deepEqual(placeAt(blocks, 2 * H + 57, H), { index: 1, row: 0, top: 2 * H + 57 });
  assert.deepEqual(placeAt(blocks, 9_999, H), { index: 1, row: 1, top: 3 * H + 57 });
  assert.deepEqual(placeAt(blocks, -9, H), { index: 0, row: 0, top: 0 });
  assert.equal(placeAt([], 0, H), null);
  for (let y = 0; y < 4 * H + 57; y += 1) {
    const place = placeAt(blocks, y, H);
    assert.equal(topOf(blocks, place.index, place.row, H), place.top);
  }
});

test('going from row to row skips what has none, and stops at the ends', () => {
  const { store, rows } = make(['a', 'b']);
  store.insert(store.blocks.length, ['hidden'], {});
  store.insert(store.blocks.length, ['c'], {});
  rows.setFilter(new Filter(parseTerms('-hidden')));
  all(rows);
  const { blocks } = store;
  assert.deepEqual(step(blocks, { index: 0, row: 1 }, 1), { index: 2, row: 0 });
  assert.deepEqual(step(blocks, { index: 2, row: 0 }, -1), { index: 0, row: 1 });
  assert.deepEqual(step(blocks, { index: 2, row: 0 }, 5), { index: 2, row: 0 });
  assert.deepEqual(step(blocks, { index: 0, row: 1 }, -5), { index: 0, row: 0 });
  assert.equal(rowOf({ rows: [2, 5, 9] }, 5), 1);
  assert.equal(rowOf({ rows: [2, 5, 9] }, 6), 2);
});

test('wrapped rows are thought to be as high as their text is long', () => {
  const { store, rows } = make(['x'.repeat(250), 'short']);
  rows.metrics = { rowHeight: H, wrap: true, columns: 100 };
  rows.rebuild();
  all(rows);
  assert.equal(totalHeight(store.blocks), 4 * H);
  assert.deepEqual(store.blocks[0].heights, [3 * H, H]);
});
