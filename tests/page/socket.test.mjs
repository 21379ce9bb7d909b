import assert from 'node:assert/strict';
import test from 'node:test';
import { LOOK_AGAIN, PROVED_AFTER, delayFor, endingOf } from '../../src/ui/backoff.js';
import { LogSocket } from '../../src/ui/socket.js';

test('delays double up to a limit and are spread', () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => delayFor(attempt, () => 1));
  assert.deepEqual(longest, [500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  assert.equal(delayFor(0, () => 0), 375);
});

test('what a Close means', () => {
  assert.deepEqual(endingOf(4404, 'file not found'), { why: 'missing', notice: true, retry: 'look' });
  assert.equal(endingOf(1008, 'file not allowed').retry, 'never');
  assert.deepEqual(endingOf(1006, ''), { why: 'lost', notice: false, retry: 'growing' });
  assert.equal(endingOf(1011, 'something of a proxy').notice, false);
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
    constructor(address) {
      this.address = address;
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
    WebSocket: FakeSocket,
    now: () => time,
    random: () => 1,
    setTimeout: (call, delay) => start(call, delay),
    clearTimeout: (id) => timers.delete(id),
    setInterval: (call, delay) => start(call, delay, delay),
    clearInterval: (id) => timers.delete(id),
  };
  const socket = new LogSocket(
    'ws://x/',
    {
      onLine: (line) => log.push(line),
      onState: (state) => log.push([state.phase, state.why].filter(Boolean).join(' ')),
      onEnd: (why, tookLine) => log.push(`end ${why}${tookLine ? ' took a line' : ''}`),
      onBack: (why, seconds) => log.push(`back ${why} ${seconds}`),
    },
    env,
  );
  return {
    socket,
    log,
    sockets,
    env,
    last: () => sockets.at(-1),
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

test('lines come in order, and the first is not kept back for long', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.last().onmessage({ data: 'a' });
  assert.deepEqual(w.take(), ['connecting']);
  w.last().onmessage({ data: 'b' });
  w.last().onmessage({ data: '' });
  assert.deepEqual(w.take(), ['live', 'a', 'b', '']);

  const single = world();
  single.socket.open();
  single.last().onopen();
  single.last().onmessage({ data: 'only' });
  single.pass(300);
  assert.deepEqual(single.take(), ['connecting', 'live', 'only']);
});

test('a notice before a refusal is no line, and the file is looked for again', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.last().onmessage({ data: 'log file x does not exist' });
  w.last().onclose({ code: 4404, reason: 'file not found' });
  assert.deepEqual(w.take(), ['connecting', 'end missing', 'waiting missing']);
  assert.equal(w.socket.state.until - w.env.now(), LOOK_AGAIN);
  w.pass(LOOK_AGAIN);
  assert.equal(w.sockets.length, 2);
});

test('a notice after lines is taken back', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  for (const data of ['a', 'b', 'log file x no longer exists']) w.last().onmessage({ data });
  w.last().onclose({ code: 4410, reason: 'file removed' });
  assert.deepEqual(w.take().slice(-2), ['end removed took a line', 'waiting removed']);
});

test('a refusal for good is not tried again', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.last().onmessage({ data: 'no' });
  w.last().onclose({ code: 1008, reason: 'file not allowed' });
  w.pass(120_000);
  assert.equal(w.sockets.length, 1);
  assert.equal(w.socket.state.phase, 'stopped');
});

test('a loss is told once the connection is back, before its lines', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.pass(300);
  w.last().onclose({ code: 1006, reason: '' });
  w.pass(500);
  w.last().onclose({ code: 1006, reason: '' });
  w.pass(1_000);
  w.take();
  w.last().onopen();
  w.last().onmessage({ data: 'a' });
  w.last().onmessage({ data: 'b' });
  assert.deepEqual(w.take(), ['live', 'back lost 2', 'a', 'b']);
});

test('delays grow until a connection has proved itself', () => {
  const w = world();
  w.socket.open();
  const delays = [];
  for (let n = 0; n < 3; n += 1) {
    w.last().onopen();
    w.last().onclose({ code: 1006, reason: '' });
    delays.push(w.socket.state.until - w.env.now());
    w.pass(delays[n]);
  }
  assert.deepEqual(delays, [500, 1_000, 2_000]);
  w.last().onopen();
  w.pass(PROVED_AFTER);
  w.last().onclose({ code: 1006, reason: '' });
  assert.equal(w.socket.state.until - w.env.now(), 500);
});

test('waiting can be cut short, and only waiting', () => {
  const w = world();
  w.socket.open();
  w.socket.retryNow();
  assert.equal(w.sockets.length, 1);
  w.last().onclose({ code: 1006, reason: '' });
  w.socket.retryNow();
  assert.equal(w.sockets.length, 2);
  w.pass(60_000);
  assert.equal(w.sockets.length, 2);
});

test('pings, and gives up a link that takes nothing or a sleep', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
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
});

test('nothing is reported after closing', () => {
  const w = world();
  w.socket.open();
  w.last().onopen();
  w.take();
  w.socket.close();
  w.pass(60_000);
  assert.deepEqual(w.take(), []);
  assert.equal(w.last().onmessage, null);
});
