/** The streams of a pane's files: their connections, how they are, and what is told of them in the log. */

import { addressOf } from './address.js';
import { isPosition } from './history.js';
import { LogSocket } from './socket.js';

/**
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {import('./socket.js').State} State
 * @typedef {{ file: string, number: number, socket: LogSocket, lastAt: number, lastOld: boolean, first: boolean,
 *   again: boolean, shown: State, flicker: number }} Source
 *   `first`: what comes was there before the page was opened; `again`: what comes was counted before
 * @typedef {{ onLines(source: Source, lines: string[], at: { start: string, end: string, old: boolean }): void,
 *   onMark(source: Source, mark: Mark): void, onState(): void }} Calls
 */

/** Lines to begin with: some screens, and few enough to be there at once. */
export const FIRST_LINES = 500;

/** A connection that is up again within so long is not worth a flicker of the state. */
const FLICKER = 400;

/** What is said in the log of what happened there. @type {Record<string, Mark>} */
const EVENTS = {
  truncated: { text: 'truncated', tone: 'warn' },
  rotated: { text: 'rotated' },
  removed: { text: 'endRemoved', tone: 'error' },
  missing: { text: 'endMissing', tone: 'error' },
  forbidden: { text: 'endForbidden', tone: 'error' },
  unreadable: { text: 'endUnreadable', tone: 'error' },
  gap: { text: 'gap', tone: 'warn', action: 'gap' },
};

export class Streams {
  /** @type {Source[]} */
  sources;

  #calls;

  /**
   * @param {string[]} files
   * @param {Calls} calls
   */
  constructor(files, calls) {
    this.#calls = calls;
    this.sources = files.map((file, number) => this.#sourceOf(file, number));
  }

  close() {
    for (const source of this.sources) {
      clearTimeout(source.flicker);
      source.socket.close();
    }
  }

  retryNow() {
    for (const { socket } of this.sources) socket.retryNow();
  }

  /** As `retryNow`, but leaves alone what was refused. */
  retryWaiting() {
    for (const { socket } of this.sources) if (socket.state.phase === 'waiting') socket.retryNow();
  }

  /** The server was asked about its files. @param {((name: string) => number | undefined) | null} modified */
  looked(modified) {
    for (const { file, socket } of this.sources) socket.looked(modified && { modified: modified(file) ?? null });
  }

  /** The state to show: of several files that of the one which is worst off. @returns {{ state: State, file: string }} */
  get state() {
    const order = ['live', 'catching', 'connecting', 'waiting', 'stopped'];
    let worst = this.sources[0];
    for (const source of this.sources) {
      if (order.indexOf(source.shown.phase) > order.indexOf(worst.shown.phase)) worst = source;
    }
    return { state: worst.shown, file: worst.file };
  }

  /** When the last line came, and whether it had been there before. */
  get last() {
    let last = this.sources[0];
    for (const source of this.sources) if (source.lastAt > last.lastAt) last = source;
    return { at: last.lastAt, old: last.lastOld, file: last.file };
  }

  /** @param {string} file @param {number} number @returns {Source} */
  #sourceOf(file, number) {
    const address = addressOf('api/v1/ws/logs');
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    /** @type {State} */
    const shown = { phase: 'connecting' };
    const source = { file, number, lastAt: 0, lastOld: false, first: true, again: false, shown, flicker: 0 };
    const made = /** @type {Source} */ (source);
    made.socket = new LogSocket({
      addressOf: ({ since }) => {
        // Not as forms do it: the server takes a plus sign for one.
        address.search = `file=${encodeURIComponent(file)}&${since ? `since=${since}` : `lines=${FIRST_LINES}`}`;
        return address.href;
      },
      onLines: (lines, at) => this.#calls.onLines(made, lines, at),
      onEvent: ({ event }) => EVENTS[event] && this.#calls.onMark(made, EVENTS[event]),
      onState: (state) => this.#changed(made, state),
      onBack: (why, seconds, missed, lost) => this.#back(made, why, seconds, missed, lost),
      isPosition: (text) => isPosition(file, text),
    });
    return made;
  }

  /**
   * @param {Source} source
   * @param {string} why
   * @param {number} seconds
   * @param {boolean} missed
   * @param {number | undefined} lost
   */
  #back(source, why, seconds, missed, lost) {
    const { onMark } = this.#calls;
    if (missed) {
      const text = lost === undefined ? 'backGap' : 'backLost';
      onMark(source, { text, tone: 'warn', action: 'gap', vars: lost === undefined ? {} : { n: lost } });
    } else if (why === 'removed' || why === 'missing') {
      onMark(source, { text: 'backThere' });
    } else {
      onMark(source, { text: 'backWhole', vars: { n: Math.max(1, seconds) } });
    }
  }

  /** @param {Source} source @param {State} state */
  #changed(source, state) {
    if (state.phase === 'live') {
      // What comes from now on came while the page looked.
      queueMicrotask(() => (source.first = source.again = false));
    }
    clearTimeout(source.flicker);
    const show = () => {
      source.shown = state;
      this.#calls.onState();
    };
    const brief = state.phase === 'connecting' && source.shown.phase === 'waiting';
    if (brief) source.flicker = setTimeout(show, FLICKER);
    else show();
  }
}
