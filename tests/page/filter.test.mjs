import assert from 'node:assert/strict';
import test from 'node:test';
import { Matches, patternOf } from '../../src/ui/filter.js';
import { LineStore } from '../../src/ui/store.js';

const found = (matches) => {
  const out = [];
  for (let at = matches.first; at < matches.end; at += 1) out.push(matches.at(at));
  return out;
};

test('smart case, and nothing in a term is special', () => {
  assert.ok(patternOf('err').test('an ERROR'));
  assert.ok(patternOf('Err').test('an Error'));
  assert.ok(!patternOf('Err').test('an error'));
  assert.ok(patternOf('a.b*[c]').test('xa.b*[c]'));
  assert.ok(!patternOf('a.b').test('axb'));
  assert.ok(patternOf('\\d+/').test('\\D+/'));
  assert.ok(patternOf('错误').test('有错误'));
});

test('finds in what is held and in what comes', () => {
  const store = new LineStore({ maxLines: 4 });
  store.push('apple');
  store.push('pear');
  const matches = new Matches(store, patternOf('ap'));
  assert.equal(matches.advance(), true);
  assert.deepEqual(found(matches), ['apple']);
  store.push('grape');
  matches.advance();
  assert.deepEqual(found(matches), ['apple', 'grape']);
  assert.equal(matches.lines, 2);
  for (let n = 0; n < 3; n += 1) store.push('plum');
  matches.advance();
  assert.deepEqual(found(matches), ['grape']);
  assert.equal(matches.first, 1);
  assert.equal(matches.lines, 1);
  assert.equal(matches.numberAt(1), 2);
});

test('looks at what is seen, not at escape sequences', () => {
  const store = new LineStore();
  store.push('\x1b[31mre\x1b[0md');
  const matches = new Matches(store, patternOf('red'));
  matches.advance();
  assert.equal(matches.lines, 1);
});

test('marks always pass and are no matches', () => {
  const store = new LineStore({ maxLines: 3 });
  store.push({ mark: 'back' });
  store.push('x');
  const matches = new Matches(store, patternOf('y'));
  matches.advance();
  assert.equal(matches.lines, 0);
  assert.deepEqual(found(matches), [{ mark: 'back' }]);
  store.push('y');
  store.push('y');
  matches.advance();
  assert.equal(matches.lines, 2);
  assert.equal(matches.since(3), 1);
});

test('a notice that was taken for a line becomes a mark, found or not', () => {
  for (const term of ['gone', 'else']) {
    const store = new LineStore();
    store.push('something else');
    store.push('is gone');
    const matches = new Matches(store, patternOf(term));
    matches.advance();
    store.replaceLast({ mark: 'endRemoved' });
    matches.lastReplaced();
    assert.deepEqual(found(matches).at(-1), { mark: 'endRemoved' });
    assert.equal(matches.lines, term === 'gone' ? 0 : 1);
  }
});

test('works in slices', () => {
  const store = new LineStore();
  for (let n = 0; n < 2_000; n += 1) store.push('x');
  const matches = new Matches(store, patternOf('x'));
  let time = 0;
  const now = () => (time += 5);
  let slices = 1;
  while (!matches.advance(8, now)) slices += 1;
  assert.ok(slices > 2);
  assert.equal(matches.lines, 2_000);
});
