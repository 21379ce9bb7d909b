import assert from 'node:assert/strict';
import test from 'node:test';
import { Watchdog } from '../../src/ui/watchdog.js';

test('a file that grows while nothing comes is a dead link', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look({ size: 100 }, 1_000), false);
  assert.equal(dog.look({ size: 150 }, 6_000), false, 'it may be on its way');
  assert.equal(dog.look({ size: 150 }, 11_000), false);
  assert.equal(dog.look({ size: 170 }, 16_000), true);
});

test('a quiet file is no dead link, nor is one whose lines come', () => {
  const dog = new Watchdog();
  dog.heard(0);
  for (let at = 0; at < 600_000; at += 5_000) assert.equal(dog.look({ size: 100 }, at), false);
  for (let at = 600_000, size = 100; at < 700_000; at += 5_000, size += 10) {
    dog.heard(at);
    assert.equal(dog.look({ size }, at + 1), false);
  }
});

test('growth that is no line is blamed on the link once', () => {
  const dog = new Watchdog();
  dog.heard(0);
  dog.look({ size: 100 }, 0);
  dog.look({ size: 200 }, 10_000);
  assert.equal(dog.look({ size: 200 }, 20_000), true);
  dog.heard(20_500);
  for (let at = 21_000; at < 200_000; at += 5_000) assert.equal(dog.look({ size: 200 }, at), false);
});

test('a server that can not be asked twice in a row is away', () => {
  const dog = new Watchdog();
  dog.heard(0);
  assert.equal(dog.look(null, 5_000), false);
  assert.equal(dog.look({ size: 1 }, 10_000), false);
  assert.equal(dog.look(null, 15_000), false);
  assert.equal(dog.look(null, 20_000), true);
});
