/**
 * The connection to one file's stream: it connects, notices when the link has died, and connects again.
 *
 * The plain protocol sends the server's notices as messages like lines, and only the Close after one tells which it
 * was. So the first message of a connection is kept back for a moment; a notice later than that is reported for the
 * page to take back.
 */

import { LOOK_AGAIN, PROVED_AFTER, delayFor, endingOf } from './backoff.js';

/**
 * @typedef {import('./backoff.js').Why} Why
 * @typedef {{ phase: 'connecting' }
 *   | { phase: 'live' }
 *   | { phase: 'waiting', why: Why, until: number, looking: boolean }
 *   | { phase: 'stopped', why: Why }} State
 * @typedef {{
 *   onLine(line: string): void,
 *   onState(state: State): void,
 *   onEnd(why: Why, tookLine: boolean): void,
 *   onBack(why: Why, seconds: number): void,
 * }} Calls `onEnd` reports a notice, `tookLine` that it came as the last line; `onBack` comes before the first line
 *   after a loss
 */

/** A connection that stood so long, or brought two messages, is no refusal. */
const SETTLED_AFTER = 250;

/** A dead link shows itself only to those who send. */
const PING_EVERY = 25_000;

/** No timer is that late but on a machine that slept, and the server has given up on it by then. */
const SLEPT = 120_000;

export class LogSocket {
  /** @type {State} */
  state = { phase: 'connecting' };

  #address;
  #calls;
  #env;
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  /** @type {string | null} */
  #held = null;
  #delivered = 0;
  #settled = false;
  #openedAt = 0;
  /** @type {{ why: Why, at: number } | null} the loss that has not been reported as mended */
  #loss = null;
  #everSettled = false;
  #retry = 0;
  #settle = 0;
  #pinger = 0;
  #pingedAt = 0;

  /**
   * @param {string} address
   * @param {Calls} calls
   * @param {{ WebSocket: typeof WebSocket, now(): number, random(): number, setTimeout: Function,
   *   clearTimeout: Function, setInterval: Function, clearInterval: Function }} [env] replaced in tests
   */
  constructor(address, calls, env) {
    this.#address = address;
    this.#calls = calls;
    this.#env = env ?? {
      WebSocket,
      now: () => Date.now(),
      random: Math.random,
      setTimeout: setTimeout.bind(globalThis),
      clearTimeout: clearTimeout.bind(globalThis),
      setInterval: setInterval.bind(globalThis),
      clearInterval: clearInterval.bind(globalThis),
    };
  }

  open() {
    this.#connect();
  }

  /** For good: nothing is reported afterwards. */
  close() {
    this.#env.clearTimeout(this.#retry);
    this.#drop();
  }

  /** Does not wait any longer. */
  retryNow() {
    if (this.state.phase !== 'waiting' && this.state.phase !== 'stopped') return;
    this.#env.clearTimeout(this.#retry);
    this.#connect();
  }

  #connect() {
    this.#setState({ phase: 'connecting' });
    this.#held = null;
    this.#delivered = 0;
    this.#settled = false;
    this.#openedAt = 0;
    const socket = new this.#env.WebSocket(this.#address);
    this.#socket = socket;
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => {
      this.#drop();
      this.#ended(code, reason);
    };
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#openedAt = this.#pingedAt = this.#env.now();
    this.#settle = this.#env.setTimeout(() => this.#prove(), SETTLED_AFTER);
    this.#pinger = this.#env.setInterval(() => this.#ping(socket), PING_EVERY);
  }

  /** @param {unknown} data */
  #received(data) {
    if (typeof data !== 'string') return;
    if (!this.#settled && this.#held === null) {
      this.#held = data;
      return;
    }
    this.#prove();
    this.#deliver(data);
  }

  /** The server did not refuse: what was kept back is a line. */
  #prove() {
    if (this.#settled) return;
    this.#settled = true;
    this.#everSettled = true;
    this.#env.clearTimeout(this.#settle);
    this.#setState({ phase: 'live' });
    if (this.#loss) {
      this.#calls.onBack(this.#loss.why, Math.round((this.#env.now() - this.#loss.at) / 1000));
      this.#loss = null;
    }
    if (this.#held !== null) this.#deliver(this.#held);
    this.#held = null;
  }

  /** @param {string} line */
  #deliver(line) {
    this.#delivered += 1;
    this.#calls.onLine(line);
  }

  /** @param {WebSocket} socket */
  #ping(socket) {
    const now = this.#env.now();
    const slept = now - this.#pingedAt > SLEPT;
    // What was sent a whole interval ago has not left the browser: nobody takes it.
    if (slept || socket.bufferedAmount > 0) {
      this.#drop();
      this.#ended(1006, '', slept ? 'asleep' : 'lost');
      return;
    }
    this.#pingedAt = now;
    socket.send('ping');
  }

  /**
   * @param {number} code
   * @param {string} reason
   * @param {Why} [known]
   */
  #ended(code, reason, known) {
    const ending = endingOf(code, reason);
    const why = known ?? ending.why;
    if (this.#held !== null && !ending.notice) this.#prove();
    if (ending.notice) this.#calls.onEnd(why, this.#held === null && this.#delivered > 0);
    this.#held = null;

    const now = this.#env.now();
    if (this.#everSettled) this.#loss ??= { why, at: now };
    if (this.#openedAt && now - this.#openedAt >= PROVED_AFTER) this.#attempt = 0;
    if (ending.retry === 'never') {
      this.#setState({ phase: 'stopped', why });
      return;
    }
    const looking = ending.retry === 'look';
    const delay = looking ? LOOK_AGAIN : delayFor(this.#attempt, this.#env.random);
    this.#attempt += 1;
    this.#setState({ phase: 'waiting', why, until: now + delay, looking });
    this.#retry = this.#env.setTimeout(() => this.#connect(), delay);
  }

  #drop() {
    this.#env.clearTimeout(this.#settle);
    this.#env.clearInterval(this.#pinger);
    const socket = this.#socket;
    if (!socket) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** @param {State} state */
  #setState(state) {
    this.state = state;
    this.#calls.onState(state);
  }
}
