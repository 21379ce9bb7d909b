import assert from 'node:assert/strict';
import test from 'node:test';
import { Turns } from '../../src/ui/turns.js';

test('so many are under way at a time, in the order of asking', () => {
  const turns = new Turns(2);
  const begun = [];
  const ends = ['a', 'b', 'c', 'd', 'e'].map((name) => turns.take(() => begun.push(name)));
  assert.deepEqual(begun, ['a', 'b']);
  ends[1]();
  ends[1]();
  assert.deepEqual(begun, ['a', 'b', 'c'], 'an end counts once');
  ends[3]();
  ends[0]();
  assert.deepEqual(begun, ['a', 'b', 'c', 'e'], 'who left the line has no turn');
  ends[3]();
  turns.take(() => begun.push('f'));
  assert.deepEqual(begun, ['a', 'b', 'c', 'e']);
  ends[2]();
  assert.deepEqual(begun, ['a', 'b', 'c', 'e', 'f']);
});
