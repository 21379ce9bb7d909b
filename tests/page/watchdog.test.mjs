import assert from 'node:assert/strict';
import test from 'node:test';
import { Watchdog } from '../../src/ui/watchdog.js';

test('a file that was written to while nothing came is a dead link', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look({ modified: 10_000 }, 12_000), false, 'it may be on its way');
  assert.equal(dog.look({ modified: 10_000 }, 17_000), true);
});

test('a file that is written to all the time is no excuse', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look({ modified: 4_900 }, 5_000), false);
  assert.equal(dog.look({ modified: 9_900 }, 10_000), true);
});

test('a quiet file is no dead link, nor is one whose lines come', () => {
  const dog = new Watchdog();
  dog.heard(1_000);
  for (let at = 5_000; at < 600_000; at += 5_000) assert.equal(dog.look({ modified: 900 }, at), false);
  for (let at = 600_000; at < 700_000; at += 5_000) {
    dog.heard(at);
    assert.equal(dog.look({ modified: at + 900 }, at + 4_500), false);
  }
  assert.equal(dog.look({ modified: null }, 900_000), false);
});

test('a write that made no line is blamed on the link once', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look({ modified: 10_000 }, 20_000), true);
  for (let at = 25_000; at < 200_000; at += 5_000) assert.equal(dog.look({ modified: 10_000 + (at % 3) }, at), false);
  assert.equal(dog.look({ modified: 210_000 }, 220_000), true);
});

test('a server that can not be asked twice in a row is away', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look(null, 5_000), false);
  assert.equal(dog.look({ modified: 1 }, 10_000), false);
  assert.equal(dog.look(null, 15_000), false);
  assert.equal(dog.look(null, 20_000), true);
});
