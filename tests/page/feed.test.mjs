import assert from 'node:assert/strict';
import test from 'node:test';

/** A server that has logs in memory: a position is a file's name and a number of lines. */
const logs = new Map();
const sockets = new Set();
const asked = [];
let longest = Infinity;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const settle = async () => {
  for (let n = 0; n < 15; n += 1) await turn();
};
const at = (position) => Number(position.split('@')[1]);

class FakeSocket {
  bufferedAmount = 0;
  constructor(address) {
    this.query = new URL(address).searchParams;
    this.file = this.query.get('file');
    setImmediate(() => this.begin());
  }
  begin() {
    if (this.closed) return;
    this.onopen();
    sockets.add(this);
    const log = logs.get(this.file);
    const since = this.query.get('since');
    this.sent = since ? at(since) : Math.max(0, log.length - Number(this.query.get('lines')));
    this.send();
  }
  send() {
    const log = logs.get(this.file);
    do {
      const lines = log.slice(this.sent, this.sent + 700);
      const [start, end] = [`${this.file}@${this.sent}`, `${this.file}@${this.sent + lines.length}`];
      this.sent += lines.length;
      this.onmessage({ data: JSON.stringify({ type: 'lines', lines, start, end, backlog: this.sent < log.length }) });
    } while (this.sent < log.length && !this.closed);
  }
  close() {
    this.closed = true;
    sockets.delete(this);
  }
}

globalThis.location = { href: 'http://x/' };
globalThis.WebSocket = FakeSocket;
globalThis.fetch = async (address) => {
  const { pathname, searchParams } = new URL(address);
  const [, , , , file, what] = pathname.split('/');
  asked.push(`${file} ${what} ${searchParams}`);
  await turn();
  const log = logs.get(file);
  const [before, after, limit] = ['before', 'after', 'limit'].map((name) => searchParams.get(name));
  if (what === 'search') {
    const expression = new RegExp(searchParams.get('q'));
    const found = log.findLastIndex((line, n) => n < at(before) && expression.test(line));
    const hit = { line: log[found], start: `${file}@${found}`, end: `${file}@${found + 1}` };
    const done = { done: true, complete: found < 0, scanned: 1, next: found < 0 ? null : hit.start };
    return new Response([...(found < 0 ? [] : [hit]), done].map((object) => `${JSON.stringify(object)}\n`).join(''));
  }
  const count = Math.min(Number(limit), longest);
  const from = after ? at(after) : Math.max(0, (before ? at(before) : log.length) - count);
  const to = after ? Math.min(log.length, from + count) : before ? at(before) : log.length;
  return Response.json({ lines: log.slice(from, to), start: `${file}@${from}`, end: `${file}@${to}`, more: after ? to < log.length : from > 0 });
};

const { Feed } = await import('../../src/ui/feed.js');
const { timesOf } = await import('../../src/ui/times.js');
const { Rows } = await import('../../src/ui/rows.js');
const { LogStore } = await import('../../src/ui/store.js');

/** Numbers that are the same each time. @param {number} seed */
const dice = (seed) => (below) => {
  seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
  return Math.floor((seed / 2_147_483_648) * below);
};

/** A log with times that stand still now and then, and lines without one. */
function logOf(name, count, random, { step = 3_000, bare = 10, from = 0 } = {}) {
  let time = Date.UTC(2026, 0, 1) + from;
  return Array.from({ length: count }, (_, n) => {
    if (random(3) > 0) time += random(step);
    return random(100) < bare ? `  ${name} ${n}` : `${new Date(time).toISOString()} ${name} ${n}`;
  });
}

function reader(files, limits) {
  const store = new LogStore(limits);
  const rows = new Rows(store);
  const look = { following: true, near: null };
  const feed = new Feed(files, store, rows, {
    isFollowing: () => look.following,
    nearIndex: () => (look.following || !look.near ? store.blocks.length - 1 : store.blocks.indexOf(look.near)),
    onLines: () => rows.advance(-1, Infinity),
    onState: () => {},
    onCleared: () => (look.near = null),
    onAttached: () => {},
    onNotice: (text) => assert.fail(text),
  });
  const held = () => store.blocks.flatMap(({ lines, sources }) => lines.map((line, n) => ({ line, source: sources[n] })));
  /** Of each file a run without holes is held: where it begins and ends. */
  const runs = () => {
    const all = files.map(() => []);
    for (const { line, source } of held()) all[source].push(line);
    return all.map((lines, source) => {
      const log = logs.get(files[source]);
      if (lines.length === 0) return null;
      const from = log.indexOf(lines[0]);
      const wrong = lines.findIndex((line, n) => line !== log[from + n]);
      assert.ok(wrong < 0, `${files[source]}: ${lines[wrong]} in place of ${log[from + wrong]}`);
      return [from, from + lines.length];
    });
  };
  /** The order of all lines, by the times of whole logs. */
  const known = new Map();
  const inOrder = () => {
    const lengths = files.map((file) => logs.get(file).length).join();
    if (known.lengths !== lengths) {
      known.lengths = lengths;
      for (const [source, file] of files.entries()) {
        const times = timesOf(logs.get(file));
        logs.get(file).forEach((line, n) => known.set(line, { time: times[n], source }));
      }
    }
    const lines = held().map(({ line }) => known.get(line));
    return lines.every((one, n) => {
      const last = lines[n - 1];
      return n === 0 || last.time < one.time || (last.time === one.time && last.source <= one.source);
    });
  };
  return { feed, store, look, held, runs, inOrder };
}

const until = async (what, done, act) => {
  for (let n = 0; n < 500 && !done(); n += 1) {
    await act();
    await settle();
  }
  assert.ok(done(), what);
};

test('files are merged from the last lines to the first, in the order of their times, none lost or doubled', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = dice(seed);
    longest = [Infinity, 1_000, 333, 40][seed % 4];
    const files = ['a', 'b', 'c'].slice(0, 2 + (seed % 2));
    for (const [n, file] of files.entries()) {
      logs.set(file, logOf(file, random(4_000) + (seed % 3 === n ? 3 : 900), random, { step: 1 + random(6_000) }));
    }
    const { feed, look, held, runs, inOrder } = reader(files, {});
    feed.open();
    await settle();
    assert.ok(held().length >= 500 || feed.beginning, `a screen at once, of seed ${seed}`);
    look.following = false;
    for (const file of files) assert.equal(runs()[files.indexOf(file)]?.[1] ?? logs.get(file).length, logs.get(file).length);
    let least = 0;
    await until('the beginning', () => feed.beginning, async () => {
      await feed.loadOlder();
      assert.ok(inOrder(), `seed ${seed}`);
      runs();
      assert.ok(held().length > least || feed.beginning, 'each step brings lines');
      least = held().length;
    });
    assert.deepEqual(runs(), files.map((file) => [0, logs.get(file).length]));
    feed.close();
  }
  longest = Infinity;
});

test('whatever the reader does, of each file a run without holes is held, and it goes on', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const random = dice(seed * 77);
    const files = seed % 4 === 0 ? ['a'] : ['a', 'b', 'c'];
    for (const [n, file] of files.entries()) {
      logs.set(file, logOf(file, 1_500 + random(9_000), random, { bare: n === 2 && seed % 3 === 0 ? 100 : 10 }));
    }
    const world = reader(files, { maxLines: 3_000 });
    const { feed, store, look, runs, held } = world;
    const write = (count) => {
      const file = files[random(files.length)];
      const log = logs.get(file);
      for (let n = 0; n < count; n += 1) log.push(`${new Date(Date.UTC(2027, 0, 1) + log.length).toISOString()} ${file} new ${log.length}`);
      for (const socket of sockets) if (socket.file === file) socket.send();
    };
    feed.open();
    await settle();
    for (let n = 0; n < 100; n += 1) {
      const before = store.lines;
      const what = random(11);
      if (what === 10) {
        const number = random(files.length);
        const log = logs.get(files[number]);
        const line = random(log.length);
        look.following = false;
        feed.openAt({ line: log[line], start: `${files[number]}@${line}`, end: `${files[number]}@${line + 1}` }, number);
      } else if (what < 3) {
        look.following = false;
        look.near = store.blocks[0];
        feed.loadOlder();
      } else if (what < 6) {
        look.near = store.blocks.at(-1);
        feed.loadNewer();
      } else if (what < 9) {
        // While older lines are on their way the reader may have gone back to the end.
        if (random(3) === 0) look.following = feed.attached;
        write(1 + random(900));
      } else if (random(3) === 0) {
        look.following = true;
        feed.toEnd();
      }
      if (random(2) === 0) await settle();
      runs();
      assert.ok(store.lines <= 3_000 + 2_000 * files.length + 900, `${before} to ${store.lines}`);
    }
    await settle();
    // Downwards to where it is live, and all of it is there.
    look.following = false;
    await until('the live end', () => feed.attached, async () => {
      look.near = store.blocks.at(-1);
      await feed.loadNewer();
      runs();
    });
    write(5);
    await settle();
    const ends = runs();
    for (const [source, file] of files.entries()) if (ends[source]) assert.equal(ends[source][1], logs.get(file).length, `seed ${seed}`);
    // And up to the beginning.
    await until('the beginning', () => feed.beginning, async () => {
      look.near = store.blocks[0];
      await feed.loadOlder();
      runs();
    });
    for (const run of runs()) assert.ok(!run || run[0] === 0, `seed ${seed}`);
    feed.close();
  }
});

test('a hit opens among the lines of all files around its time', async () => {
  const random = dice(5);
  logs.set('a', logOf('a', 30_000, random));
  logs.set('b', logOf('b', 30_000, random, { step: 2_900 }));
  logs.set('c', logOf('c', 4_000, random, { from: 40_000_000 }));
  const files = ['a', 'b', 'c'];
  const { feed, store, look, held, runs, inOrder } = reader(files, { maxLines: 100_000 });
  feed.open();
  await settle();
  look.following = false;
  const line = logs.get('a').findIndex((text, n) => n > 9_000 && /^2026/.test(text));
  const block = await feed.openAt({ line: logs.get('a')[line], start: `a@${line}`, end: `a@${line + 1}` }, 0);
  assert.equal(block.lines[0], logs.get('a')[line]);
  assert.ok(inOrder());
  const [a, b, c] = runs();
  assert.ok(a[0] < line - 100 && a[1] > line + 100, `${a}`);
  assert.ok(b[1] - b[0] > 200, `${b}`);
  assert.equal(c, null, 'it begins later');
  look.near = block;
  await until('the beginning', () => feed.beginning, async () => {
    await feed.loadOlder();
    assert.ok(inOrder());
  });
  await until('the end', () => feed.attached, async () => {
    look.near = store.blocks.at(-1);
    await feed.loadNewer();
    runs();
    assert.ok(inOrder());
  });
  assert.deepEqual(runs(), files.map((file) => [0, logs.get(file).length]));
  assert.equal(held().length, 64_000);
  feed.close();
});

test('older lines that come when the first ones were let go of are not put before what they are not before', async () => {
  logs.set('a', Array.from({ length: 5_000 }, (_, n) => `a ${n}`));
  const { feed, store, runs } = reader(['a'], { maxLines: 1_500 });
  feed.open();
  await settle();
  const loading = feed.loadOlder();
  for (let n = 0; n < 1_800; n += 1) logs.get('a').push(`a new ${n}`);
  for (const socket of sockets) socket.send();
  assert.ok(store.lines <= 1_500 && runs()[0][0] > 4_500);
  await loading;
  runs();
  feed.close();
});

test('what is written while newer lines are loaded comes in its place', async () => {
  const stamp = (n) => new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString();
  logs.set('a', Array.from({ length: 8_000 }, (_, n) => `${stamp(n)} a ${n}`));
  logs.set('b', Array.from({ length: 500 }, (_, n) => `${stamp(n)} b ${n}`));
  const { feed, store, look, runs, inOrder } = reader(['a', 'b'], { maxLines: 100_000 });
  feed.open();
  await settle();
  look.following = false;
  await feed.openAt({ line: logs.get('a')[50], start: 'a@50', end: 'a@51' }, 0);
  for (let n = 0; !feed.attached; n += 1) {
    assert.ok(n < 50, 'it never ends');
    // One for the page that comes, and now and then one that has to wait for the page behind it.
    const [[, shown]] = runs();
    for (const ahead of shown < 6_000 ? [500 + n, 1_200 + n].slice(0, n % 3 === 2 ? 2 : 1) : []) logs.get('b').push(`${stamp(shown + ahead)} b ${n} ${ahead}`);
    look.near = store.blocks.at(-1);
    await feed.loadNewer();
    assert.ok(inOrder(), `at ${shown}`);
  }
  assert.deepEqual(runs().map((run) => run[1]), [8_000, logs.get('b').length]);
  feed.close();
});

test('where the place of a time is not found, that is told, and the file goes on behind a gap', async () => {
  const random = dice(9);
  logs.set('a', logOf('a', 5_000, random));
  logs.set('b', logOf('b', 80_000, random, { bare: 100 }));
  const { feed, store, look, runs } = reader(['a', 'b'], { maxLines: 500_000 });
  feed.open();
  await settle();
  look.following = false;
  const block = await feed.openAt({ line: logs.get('a')[99], start: 'a@99', end: 'a@100' }, 0);
  const marks = () => store.blocks.filter(({ mark }) => mark).map(({ mark }) => `${mark.file} ${mark.text}`);
  assert.deepEqual(marks(), ['b notAround']);
  assert.equal(store.blocks.indexOf(block), store.blocks.findIndex(({ mark }) => mark) + 1);
  await until('the end', () => feed.attached, async () => {
    look.near = store.blocks.at(-1);
    await feed.loadNewer();
  });
  await settle();
  assert.deepEqual(marks(), ['b notAround', 'b gap']);
  assert.deepEqual(runs(), [[0, 5_000], [79_500, 80_000]]);
  const gap = store.blocks.find(({ mark }) => mark?.text === 'gap');
  look.near = store.blocks[0];
  await until('the beginning', () => feed.beginning, () => feed.loadOlder());
  await feed.loadGap(gap);
  await feed.loadGap(gap);
  assert.deepEqual(runs(), [[0, 5_000], [77_500, 80_000]]);
  feed.close();
});
