import assert from 'node:assert/strict';
import test from 'node:test';
import { MAX_TREE, fieldOf, parseObject, treeOf } from '../../src/ui/json.js';

test('only an object is one', () => {
  assert.deepEqual(parseObject(' {"a":1} '), { a: 1 });
  for (const text of ['', '[1]', '{a}', '{"a":1', 'x {"a":1}', '"{}"', 'null']) assert.equal(parseObject(text), null, text);
});

test('a tree names every field with its path', () => {
  const tree = treeOf({ a: 'x', b: { c: [1, null] } });
  assert.deepEqual(
    tree.map(({ depth, path, value, kind }) => [depth, path.join('.'), value, kind]),
    [
      [0, 'a', 'x', 'string'],
      [0, 'b', '{ }', 'open'],
      [1, 'b.c', '[ ]', 'open'],
      [2, 'b.c.0', '1', 'number'],
      [2, 'b.c.1', 'null', 'word'],
    ],
  );
  assert.ok(treeOf(Array.from({ length: 9_999 }, (_, at) => at)).length <= MAX_TREE);
});

test('a field for a column', () => {
  const object = { a: { b: 1 }, 'x.y': 'dotted', list: [1, { z: 2 }] };
  assert.equal(fieldOf(object, 'a.b'), '1');
  assert.equal(fieldOf(object, 'x.y'), 'dotted');
  assert.equal(fieldOf(object, 'list'), '[1,{"z":2}]');
  assert.equal(fieldOf(object, 'list.1.z'), '2');
  assert.equal(fieldOf(object, 'no.such'), '');
  assert.equal(fieldOf(object, 'constructor'), '');
  assert.equal(fieldOf(object, '__proto__.x'), '');
});
