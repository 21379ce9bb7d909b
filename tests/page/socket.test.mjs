import assert from 'node:assert/strict';
import test from 'node:test';
import { LOOK_AGAIN, PROVED_AFTER, delayFor, endingOf } from '../../src/ui/backoff.js';
import { LogSocket, PROTOCOL } from '../../src/ui/socket.js';
import { Turns } from '../../src/ui/turns.js';

test('delays double up to a limit and are spread', () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => delayFor(attempt, () => 1));
  assert.deepEqual(longest, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  assert.equal(delayFor(0, () => 0), 375);
});

test('what a Close means', () => {
  assert.deepEqual(endingOf(4404, 'file not found'), { why: 'missing', retry: 'look' });
  assert.equal(endingOf(1008, 'file not allowed').retry, 'never');
  assert.deepEqual(endingOf(1006, ''), { why: 'lost', retry: 'growing' });
  assert.equal(endingOf(1001, 'shutting down').why, 'shutdown');
});

/** A world with its own clock and sockets. */
function world() {
  let time = 1_000_000;
  let next = 1;
  const timers = new Map();
  const sockets = [];
  class FakeSocket {
    bufferedAmount = 0;
    sent = [];
    constructor(address, protocols) {
      this.address = address;
      this.protocols = protocols;
      sockets.push(this);
    }
    send(text) {
      this.sent.push(text);
    }
    close() {
      this.closed = true;
    }
  }
  const start = (call, delay, every) => {
    timers.set(next, { call, at: time + delay, every });
    return next++;
  };
  const log = [];
  const env = {
    handshakes: new Turns(1),
    connect: (address, protocols) => new FakeSocket(address, protocols),
    now: () => time,
    random: () => 1,
    setTimeout: (call, delay) => start(call, delay),
    clearTimeout: (id) => timers.delete(id),
    setInterval: (call, delay) => start(call, delay, delay),
    clearInterval: (id) => timers.delete(id),
  };
  const socket = new LogSocket(
    {
      addressOf: ({ since }) => `ws://x/${since ?? ''}`,
      onLines: (lines, { old }) => log.push(`${old ? 'old ' : ''}${lines}`),
      onEvent: ({ event }) => log.push(`event ${event}`),
      onState: (state) => log.push([state.phase, state.why].filter(Boolean).join(' ')),
      onBack: (why, seconds, missed, lost) => log.push(`back ${why} ${seconds} ${missed ? `missed ${lost}` : 'whole'}`),
      isPosition: async (text) => {
        log.push(`is it a position: ${text}`);
        return text !== 'foreign';
      },
    },
    env,
  );
  const last = () => sockets.at(-1);
  const say = (message) => last().onmessage({ data: JSON.stringify(message) });
  return {
    socket,
    log,
    sockets,
    env,
    last,
    lines: (lines, start, end, backlog = false) => say({ type: 'lines', lines, start, end, backlog }),
    event: (event, more = {}) => say({ type: 'event', event, message: 'm', ...more }),
    say,
    lose: (code = 1006, reason = '') => last().onclose({ code, reason }),
    sleep: (milliseconds) => (time += milliseconds),
    pass(milliseconds) {
      const end = time + milliseconds;
      for (;;) {
        const due = [...timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at)[0];
        if (!due) break;
        const [id, timer] = due;
        time = Math.max(time, timer.at);
        if (timer.every) timer.at = time + timer.every;
        else timers.delete(id);
        timer.call();
      }
      time = Math.max(time, end);
    },
    take: () => log.splice(0),
  };
}

/** A connection that is live behind position p2. */
function live() {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.lines(['a', 'b'], 'p0', 'p2');
  w.take();
  return w;
}

test('asks for the subprotocol, shows catching up, and is live with the last lines of before', () => {
  const w = world();
  w.socket.open();
  assert.deepEqual([w.last().address, w.last().protocols], ['ws://x/', [PROTOCOL]]);
  w.last().onopen();
  w.lines(['a'], 'p0', 'p1', true);
  w.lines(['b', ''], 'p1', 'p3');
  w.lines(['c'], 'p3', 'p4');
  assert.deepEqual(w.take(), ['connecting', 'catching', 'old a', 'live', 'old b,', 'c']);
  assert.equal(w.socket.position, 'p4');
});

test('an empty file is live as well', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.lines([], 'p0', 'p0');
  assert.deepEqual(w.take(), ['connecting', 'live']);
});

test('resumes behind the last line, and says that nothing was missed before what comes', () => {
  const w = live();
  w.lose();
  w.pass(500);
  assert.equal(w.last().address, 'ws://x/p2');
  w.lose();
  w.pass(1_000);
  w.last().onopen();
  w.lines(['c'], 'p2', 'p3');
  assert.deepEqual(w.take().slice(-3), ['back lost 2 whole', 'live', 'old c']);
});

test('a gap behind a loss is told as what was missed, once', () => {
  const w = live();
  w.lose();
  w.pass(500);
  w.last().onopen();
  w.event('gap', { lost: 7, position: 'p9' });
  w.lines(['x'], 'p9', 'p10');
  assert.deepEqual(w.take().slice(-3), ['back lost 1 missed 7', 'live', 'old x']);
});

test('an event is passed on, its position is where to resume', () => {
  const w = live();
  w.event('truncated', { position: 'q0' });
  assert.deepEqual(w.take(), ['event truncated']);
  w.lose();
  w.pass(500);
  assert.equal(w.last().address, 'ws://x/q0');
});

test('a viewer that was too slow resumes behind what it was sent', () => {
  const w = live();
  w.event('too_slow', { lost: 100, position: 'p2' });
  w.lose(1013, 'too slow');
  w.pass(500);
  assert.equal(w.last().address, 'ws://x/p2');
  w.last().onopen();
  w.lines(['c'], 'p2', 'p3');
  assert.ok(w.take().includes('back slow 1 whole'));
});

test('what is not known is ignored', () => {
  const w = live();
  w.say({ type: 'weather', sun: true });
  w.last().onmessage({ data: 'no JSON' });
  w.last().onmessage({ data: new ArrayBuffer(3) });
  assert.deepEqual(w.take(), []);
});

test('a missing file is looked for again, a refusal for good is not tried again', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.event('missing');
  w.lose(4404, 'file not found');
  assert.deepEqual(w.take(), ['connecting', 'event missing', 'waiting missing']);
  assert.equal(w.socket.state.until - w.env.now(), LOOK_AGAIN);
  w.pass(LOOK_AGAIN);
  assert.equal(w.sockets.length, 2);
  w.last().onopen();
  w.lose(1008, 'file not allowed');
  w.pass(120_000);
  assert.equal(w.sockets.length, 2);
  assert.equal(w.socket.state.phase, 'stopped');
});

test('delays grow until a connection has proved itself', () => {
  const w = world();
  w.socket.open();
  const delays = [];
  for (let n = 0; n < 3; n += 1) {
    w.last().onopen();
    w.lose();
    delays.push(w.socket.state.until - w.env.now());
    w.pass(delays[n]);
  }
  assert.deepEqual(delays, [500, 1_000, 2_000]);
  w.last().onopen();
  w.pass(PROVED_AFTER);
  w.lose();
  assert.equal(w.socket.state.until - w.env.now(), 500);
});

test('waiting can be cut short, and only waiting', () => {
  const w = world();
  w.socket.open();
  w.socket.retryNow();
  assert.equal(w.sockets.length, 1);
  w.lose();
  w.socket.retryNow();
  assert.equal(w.sockets.length, 2);
  w.last().onopen();
  w.pass(60_000);
  assert.equal(w.sockets.length, 2);
});

test('pings, and gives up a link that takes nothing, a sleep and a handshake without end', () => {
  const w = live();
  w.pass(50_000);
  assert.deepEqual(w.last().sent, ['ping', 'ping']);
  w.last().bufferedAmount = 8;
  w.pass(25_000);
  assert.equal(w.last().closed, true);
  assert.equal(w.socket.state.why, 'lost');
  w.pass(500);
  w.last().onopen();
  w.sleep(200_000);
  w.pass(1);
  assert.equal(w.socket.state.why, 'asleep');
  w.pass(500);
  const { length } = w.sockets;
  w.pass(11_000);
  assert.ok(w.sockets.length > length);
});

test('a silent link is noticed by what the server says of the file', () => {
  const w = live();
  const written = w.env.now() + 7_000;
  for (let n = 0; n < 4; n += 1) {
    w.socket.looked({ modified: Math.min(w.env.now(), written) });
    w.pass(5_000);
  }
  assert.equal(w.sockets.length, 2);
  assert.ok(w.take().includes('waiting silent'));
  assert.equal(w.last().address, 'ws://x/p2');
});

test('nothing is reported after closing, and opening anew begins at another place', () => {
  const w = live();
  w.socket.close();
  w.pass(60_000);
  assert.deepEqual(w.take(), []);
  w.socket.open('p7');
  assert.equal(w.last().address, 'ws://x/p7');
  w.last().onopen();
  w.lines(['z'], 'p7', 'p8');
  assert.deepEqual(w.take(), ['connecting', 'live', 'old z'], 'that is no loss');
});

test('a position that the server does not know is given up, one that it knows is not', async () => {
  for (const [position, addresses] of [
    ['foreign', ['ws://x/foreign', 'ws://x/foreign', 'ws://x/foreign', 'ws://x/']],
    ['known', ['ws://x/known', 'ws://x/known', 'ws://x/known']],
  ]) {
    const { socket, sockets, log, lose, lines, pass } = world();
    socket.open(position);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      if (attempt > 0) pass(5_000);
      lose();
    }
    await null;
    await null;
    assert.deepEqual(sockets.map(({ address }) => address), addresses);
    assert.equal(log.filter((entry) => entry === `is it a position: ${position}`).length, 1);
    if (position === 'known') pass(5_000);
    lines(['x'], 's', 'e');
    assert.equal(log.find((entry) => entry.startsWith('back')).includes('missed'), position === 'foreign');
    assert.equal(socket.position, 'e');
  }
});

test('a handshake waits for its turn, and gives it back whatever comes of it', () => {
  const { env, sockets } = world();
  const quiet = { onLines() {}, onEvent() {}, onState() {}, onBack() {}, isPosition: async () => true };
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => new LogSocket({ ...quiet, addressOf: () => name }, env));
  const made = () => sockets.map(({ address }) => address);
  for (const socket of [a, b, c, d]) socket.open();
  assert.deepEqual(made(), ['a']);
  sockets[0].onopen();
  assert.deepEqual(made(), ['a', 'b'], 'it is through');
  sockets[1].onclose({ code: 1006, reason: '' });
  assert.deepEqual(made(), ['a', 'b', 'c'], 'it failed');
  d.close();
  c.close();
  assert.deepEqual(made(), ['a', 'b', 'c'], 'nobody waits any more');
});
