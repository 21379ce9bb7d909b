/**
 * The connection to one file's stream: it connects, notices when the link has died, and connects again after the last
 * line that it was given, so that nothing is missed and nothing comes twice.
 */

import { LOOK_AGAIN, PROVED_AFTER, delayFor, endingOf } from './backoff.js';
import { Turns } from './turns.js';
import { Watchdog } from './watchdog.js';

/**
 * @typedef {import('./backoff.js').Why} Why
 * @typedef {{ phase: 'connecting' }
 *   | { phase: 'catching' }
 *   | { phase: 'live' }
 *   | { phase: 'waiting', why: Why, until: number, looking: boolean }
 *   | { phase: 'stopped', why: Why }} State
 * @typedef {{ event: string, message: string, lost?: number, position?: string }} StreamEvent
 * @typedef {{
 *   addressOf(query: { since: string | null }): string,
 *   onLines(lines: string[], at: { start: string, end: string, old: boolean }): void,
 *   onEvent(event: StreamEvent): void,
 *   onState(state: State): void,
 *   onBack(why: Why, seconds: number, missed: boolean, lost: number | undefined): void,
 *   isPosition(text: string): Promise<boolean>,
 * }} Calls `old` are lines of before the connection; `onBack` comes after a loss, before the first lines
 */

export const PROTOCOL = 'tailcast.v1';

/** The server ends a connection from which it hears nothing for longer than this. */
const PING_EVERY = 25_000;

/** No timer is that late but on a machine that slept, and the link may have gone with it; hidden pages wait for a minute. */
const SLEPT = 120_000;

/** A handshake that takes longer has got stuck somewhere. */
const HANDSHAKE = 10_000;

/**
 * Chromium puts off a page's handshakes the longer the more of them are under way: the seventeenth by up to five seconds,
 * the seventh by milliseconds.
 */
const HANDSHAKES = 6;

/**
 * A browser does not say why a handshake failed. After this many that did, and each time after as many again, the server
 * is asked whether it knows the position at all: one of another version may not.
 */
const DOUBT_AFTER = 3;

/** What `early.js` left. @type {{ socket: WebSocket, kept: MessageEvent[] } | undefined} */
let early = /** @type {any} */ (globalThis).early;

/**
 * The connection that was opened before the modules were there, if it is to this address; what it had to say is said
 * again as soon as somebody listens.
 * @param {string} address
 */
function takeEarly(address) {
  if (early?.socket.url !== address || early.socket.readyState > WebSocket.OPEN) return null;
  const { socket, kept } = early;
  early = undefined;
  const isOpen = socket.readyState === WebSocket.OPEN;
  queueMicrotask(() => {
    if (isOpen) socket.onopen?.(new Event('open'));
    for (const message of kept) socket.onmessage?.(message);
  });
  return socket;
}

/** Nobody wanted it. */
export function closeEarly() {
  early?.socket.close();
  early = undefined;
}

const BROWSER = {
  handshakes: new Turns(HANDSHAKES),
  connect: (/** @type {string} */ address, /** @type {string[]} */ protocols) => takeEarly(address) ?? new WebSocket(address, protocols),
  now: () => Date.now(),
  random: Math.random,
  setTimeout: /** @type {Function} */ (setTimeout.bind(globalThis)),
  clearTimeout: /** @type {Function} */ (clearTimeout.bind(globalThis)),
  setInterval: /** @type {Function} */ (setInterval.bind(globalThis)),
  clearInterval: /** @type {Function} */ (clearInterval.bind(globalThis)),
};

export class LogSocket {
  /** @type {State} */
  state = { phase: 'connecting' };
  /** Behind the last line that came; null before the first. @type {string | null} */
  position = null;

  #calls;
  #env;
  #watchdog = new Watchdog();
  /** @type {WebSocket | null} */
  #socket = null;
  #attempt = 0;
  /** Whether the position was none to the server, so that lines may be missing. */
  #refused = false;
  #openedAt = 0;
  /** @type {{ why: Why, at: number } | null} the loss that has not been reported as mended */
  #loss = null;
  #retry = 0;
  #handshake = 0;
  /** Ends the turn of the handshake. */
  #shaken = () => {};
  #pinger = 0;
  #pingedAt = 0;

  /**
   * @param {Calls} calls
   * @param {typeof BROWSER} [env] replaced in tests
   */
  constructor(calls, env = BROWSER) {
    this.#calls = calls;
    this.#env = env;
  }

  /**
   * Connects, anew where it was connected.
   * @param {string | null} [since] after this position; null for the last lines
   */
  open(since = null) {
    this.close();
    this.position = since;
    this.#loss = null;
    this.#attempt = 0;
    this.#refused = false;
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

  /**
   * The server was asked about the file.
   * @param {{ modified: number | null } | null} file null where it could not be asked
   */
  looked(file) {
    if (this.state.phase !== 'live' && this.state.phase !== 'catching') return;
    if (this.#watchdog.look(file, this.#env.now())) this.#lose('silent');
  }

  #connect() {
    this.#setState({ phase: 'connecting' });
    this.#openedAt = 0;
    this.#shaken = this.#env.handshakes.take(() => this.#begin());
  }

  #begin() {
    const socket = this.#env.connect(this.#calls.addressOf({ since: this.position }), [PROTOCOL]);
    this.#socket = socket;
    this.#handshake = this.#env.setTimeout(() => this.#lose('lost'), HANDSHAKE);
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = ({ data }) => this.#received(data);
    socket.onclose = ({ code, reason }) => {
      const ending = endingOf(code, reason);
      this.#ended(ending.why, ending.retry);
    };
  }

  /** @param {WebSocket} socket */
  #opened(socket) {
    this.#env.clearTimeout(this.#handshake);
    this.#shaken();
    this.#openedAt = this.#pingedAt = this.#env.now();
    this.#watchdog.heard(this.#openedAt);
    this.#pinger = this.#env.setInterval(() => this.#ping(socket), PING_EVERY);
  }

  /** @param {unknown} data */
  #received(data) {
    if (typeof data !== 'string') return;
    this.#watchdog.heard(this.#env.now());
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message?.type === 'lines') this.#lines(message);
    else if (message?.type === 'event') this.#event(message);
  }

  /** @param {{ lines: string[], start: string, end: string, backlog: boolean }} message */
  #lines({ lines, start, end, backlog }) {
    const old = this.state.phase !== 'live';
    // Before the first lines, as it says what is between them and those of before.
    this.#back(this.#refused, undefined);
    this.#refused = false;
    if (old) this.#setState({ phase: backlog ? 'catching' : 'live' });
    this.position = end;
    if (lines.length > 0) this.#calls.onLines(lines, { start, end, old });
  }

  /** @param {StreamEvent} event */
  #event(event) {
    if (event.position) this.position = event.position;
    // A gap behind a loss is what the loss has cost; at any other time it stands for itself.
    if (event.event === 'gap' && this.#loss) this.#back(true, event.lost);
    else this.#calls.onEvent(event);
  }

  /**
   * @param {boolean} missed
   * @param {number | undefined} lost
   */
  #back(missed, lost) {
    if (!this.#loss) return;
    const { why, at } = this.#loss;
    this.#loss = null;
    this.#calls.onBack(why, Math.round((this.#env.now() - at) / 1000), missed, lost);
  }

  /** @param {WebSocket} socket */
  #ping(socket) {
    const now = this.#env.now();
    if (now - this.#pingedAt > SLEPT) return this.#lose('asleep');
    // What was sent a whole interval ago has not left the browser: nobody takes it.
    if (socket.bufferedAmount > 0) return this.#lose('lost');
    this.#pingedAt = now;
    socket.send('ping');
  }

  /** @param {Why} why */
  #lose(why) {
    this.#ended(why, 'growing');
  }

  /**
   * @param {Why} why
   * @param {import('./backoff.js').Ending['retry']} retry
   */
  #ended(why, retry) {
    this.#drop();
    const now = this.#env.now();
    const openedAt = this.#openedAt;
    if (this.position) this.#loss ??= { why, at: now };
    if (openedAt && now - openedAt >= PROVED_AFTER) this.#attempt = 0;
    if (retry === 'never') {
      this.#setState({ phase: 'stopped', why });
      return;
    }
    const looking = retry === 'look';
    const delay = looking ? LOOK_AGAIN : delayFor(this.#attempt, this.#env.random);
    this.#attempt += 1;
    this.#setState({ phase: 'waiting', why, until: now + delay, looking });
    if (!openedAt && this.position && this.#attempt % DOUBT_AFTER === 0) this.#doubt(this.position);
    this.#retry = this.#env.setTimeout(() => this.#connect(), delay);
  }

  /** Goes on with the last lines where the server can't make anything of the position. @param {string} position */
  async #doubt(position) {
    const known = await this.#calls.isPosition(position);
    if (known || this.position !== position || this.state.phase !== 'waiting') return;
    this.position = null;
    this.#refused = true;
    this.retryNow();
  }

  #drop() {
    this.#env.clearTimeout(this.#handshake);
    this.#env.clearInterval(this.#pinger);
    this.#shaken();
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
