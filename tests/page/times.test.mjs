import assert from 'node:assert/strict';
import test from 'node:test';
import { clock, mergeByTime, timeBeside, timeIn } from '../../src/ui/times.js';

const iso = (line) => new Date(timeIn(line)).toISOString();

test('times as lines have them', () => {
  assert.equal(iso('2026-11-24T02:07:22.113Z INFO x'), '2026-11-24T02:07:22.113Z');
  assert.equal(iso('{"time":"2026-11-24T02:07:22+08:00"}'), '2026-11-23T18:07:22.000Z');
  assert.equal(iso('2026/11/24 02:07:22,5 -0330 x'), '2026-11-24T05:37:22.500Z');
  assert.equal(iso('1.2.3.4 - - [24/Nov/2026:02:07:22 +0100] "GET /"'), '2026-11-24T01:07:22.000Z');
  assert.equal(iso('{"level":30,"time":1795485600123,"msg":"x"}'), new Date(1795485600123).toISOString());
  assert.equal(timeIn('2026-11-24 02:07:22 x'), new Date(2026, 10, 24, 2, 7, 22).getTime(), 'local without a zone');
  for (const line of ['', 'no time', '12345', '2026-11-24']) assert.equal(timeIn(line), null, line);
});

test('the time beside a line is always as wide', () => {
  const time = Date.UTC(2026, 10, 24, 2, 7, 2, 9);
  assert.equal(clock(time, 'utc'), '02:07:02.009');
  assert.equal(timeBeside(null, 'x', time), '');
  assert.equal(timeBeside({ from: 'arrival', zone: 'utc' }, 'x', time), '02:07:02.009');
  assert.equal(timeBeside({ from: 'arrival', zone: 'utc' }, 'x', 0).length, 12);
  assert.equal(timeBeside({ from: 'line', zone: 'utc' }, '2026-11-24T02:07:02Z', time), '02:07:02.000');
});

test('runs of several files become one by their times, and what has none stays where it stood', () => {
  const { lines, sources } = mergeByTime([
    ['2026-11-24T02:00:01Z a', '  more of a', '2026-11-24T02:00:05Z c'],
    ['2026-11-24T02:00:03Z b', '2026-11-24T02:00:05Z d'],
  ]);
  assert.deepEqual(lines.map((line) => line.at(-1)), ['a', 'a', 'b', 'c', 'd']);
  assert.deepEqual(sources, [0, 0, 1, 0, 1]);
});
