import assert from 'node:assert/strict';
import test from 'node:test';
import { Rows } from '../../src/ui/rows.js';
import { LogStore } from '../../src/ui/store.js';
import { Finder, parseTerms } from '../../src/ui/terms.js';
import { nextLine, ordinalOf } from '../../src/ui/walk.js';

const store = new LogStore();
store.append(['x1', 'a', 'x2']);
store.addMark({ text: 'gap' });
store.append(['b', 'x3']);
const rows = new Rows(store);
rows.setFinder(new Finder(parseTerms('x')));
rows.advance(-1, Infinity);
const { blocks } = store;
const wanted = (block, line) => block.found.includes(line);
const walk = (from, step, including = false) => {
  const place = nextLine(blocks, { from, including, step }, wanted);
  return place && place.block.lines[place.line];
};

test('goes to the next one and the one before, over marks', () => {
  assert.equal(walk({ block: blocks[0], line: 0 }, 1), 'x2');
  assert.equal(walk({ block: blocks[0], line: 2 }, 1), 'x3');
  assert.equal(walk({ block: blocks[2], line: 1 }, 1), null);
  assert.equal(walk({ block: blocks[2], line: 1 }, -1), 'x2');
  assert.equal(walk({ block: blocks[0], line: 0 }, -1), null);
  assert.equal(walk({ block: blocks[0], line: 0 }, 1, true), 'x1');
});

test('begins at the end where there is no place to begin at', () => {
  assert.equal(walk(null, -1), 'x3');
  assert.equal(walk(null, 1), 'x1');
});

test('counts which of all it is', () => {
  assert.equal(ordinalOf(blocks, { block: blocks[2], line: 1 }), 3);
  assert.equal(ordinalOf(blocks, { block: blocks[2], line: 0 }), 0);
});
