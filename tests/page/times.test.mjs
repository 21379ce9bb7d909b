import assert from 'node:assert/strict';
import test from 'node:test';
import { clock, timeBeside, timeIn, upTo } from '../../src/ui/times.js';

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

test('an expression for all times up to one, as a line spells them', () => {
  const time = Date.UTC(2026, 10, 24, 2, 7, 22, 113);
  const spell = {
    '2026-01-02T03:04:05.678Z x': ['2026-11-24T02:07:22', '2026-11-24T02:06:59', '2025-12-31T23:59:59', '2026-11-24T02:07:23', '2026-11-24T10:00:00'],
    '2026/01/02 03:04:05 +0530 x': ['2026/11/24 07:37:22', '2026/11/24 07:36:00', '2026/11/23 23:59:59', '2026/11/24 07:37:30', '2027/01/01 00:00:00'],
  };
  for (const [sample, [same, before, long, after, later]] of Object.entries(spell)) {
    const expression = new RegExp(upTo(time, sample));
    assert.deepEqual([same, before, long, after, later].map((text) => expression.test(text)), [true, true, true, false, false], sample);
  }
  const local = '2026-01-02 03:04:05 x';
  const [, stamp] = /(.{19})/.exec(new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString().replace('T', ' '));
  assert.ok(new RegExp(upTo(time, local)).test(stamp));
  for (const none of ['no time', '{"time":1795485600123}', '[24/Nov/2026:02:07:22 +0100]']) assert.equal(upTo(time, none), null);
});
