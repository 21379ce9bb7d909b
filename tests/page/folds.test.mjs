import assert from 'node:assert/strict';
import test from 'node:test';
import { continues, foldStart } from '../../src/ui/folds.js';
import { findLevel } from '../../src/ui/levels.js';

const folded = (lines) => {
  const state = foldStart();
  return lines.map((line) => continues(line, findLevel(line) !== null, state));
};

test('a Java trace', () => {
  assert.deepEqual(
    folded([
      '2026-11-24 ERROR app: failed',
      'java.lang.IllegalStateException: no',
      '\tat com.example.A.run(A.java:12)',
      '\t... 12 more',
      'Caused by: java.io.IOException: gone',
      '\tat com.example.B.run(B.java:7)',
      '2026-11-24 INFO app: on',
    ]),
    [false, false, true, true, true, true, false],
  );
});

test('a Python traceback to the exception at its margin', () => {
  assert.deepEqual(
    folded([
      '2026-11-24 02:07:22 ERROR monitor: failed',
      'Traceback (most recent call last):',
      '  File "a.py", line 3, in check',
      '    response = await get(url)',
      'httpx.ReadTimeout: 读取超时',
      '2026-11-24 02:07:23 INFO monitor: on',
    ]),
    [false, true, true, true, true, false],
  );
  assert.deepEqual(folded(['Traceback (most recent call last):', '  File "a.py"', 'KeyError', 'on']), [false, true, true, false]);
});

test('a Node trace, and indented lines', () => {
  assert.deepEqual(folded(['Error: no', '    at run (a.js:1:2)', '    at b', 'on']), [false, true, true, false]);
  assert.deepEqual(folded(['  indented first', '  and next', '', '  after an empty line']), [false, false, false, false]);
  assert.deepEqual(folded(['a', '    ERROR of its own']), [false, false]);
});
