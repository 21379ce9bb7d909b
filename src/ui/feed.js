/**
 * What fills a pane: the streams of its files, and older lines from the server's history. It keeps the lines held one
 * contiguous run, within what may be held, around the place where the reader is.
 *
 * While the reader follows, the oldest lines go. While the reader stands still, lines are added until half of what may
 * be held lies behind them; then the end of the run is let go of (it is not `attached` to the live end any more), new
 * lines are only counted, and they are fetched when the reader comes to them. So a pause may last as long as it likes.
 */

import { addressOf } from './address.js';
import { plain } from './ansi.js';
import { fetchBefore, fetchPage, isPosition } from './history.js';
import { LogSocket } from './socket.js';
import { mergeByTime } from './times.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {import('./socket.js').State} State
 * @typedef {{ file: string, socket: LogSocket, since: string | null, lastAt: number, lastOld: boolean, first: boolean,
 *   again: boolean, waiting: string[] | null, shown: State, flicker: number }} Source
 *   `since`: where the run ends, for when it is attached again; `first`: what comes was there before the page was
 *   opened; `again`: what comes was counted before; `waiting`: first lines, until those of all files came
 * @typedef {{ isFollowing(): boolean, nearIndex(): number, onLines(): void, onState(): void, onCleared(): void,
 *   onAttached(attached: boolean): void, onNotice(text: string): void }} Calls
 */

/** Lines to begin with: some screens, and few enough to be there at once. */
const FIRST_LINES = 500;

/** Lines fetched at a time when the reader comes near an edge. */
const PAGE_LINES = 1_000;

/** Lines around a hit. */
const AROUND = 400;

/** A connection that is up again within so long is not worth a flicker of the state. */
const FLICKER = 400;

/** After a page could not be fetched. */
const FETCH_AGAIN = 3_000;

/** For the first lines of all files of a merged pane. */
const GATHER = 1_500;

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

export class Feed {
  /** Whether the run of lines ends where the log does. */
  attached = true;
  /** Whether the run begins where the log does. */
  beginning = false;
  /** Lines that came since the reader paused, and of those the ones a filter lets pass. */
  fresh = { all: 0, shown: 0 };
  /** @type {Source[]} */
  sources;
  loading = '';

  #store;
  #rows;
  #calls;
  /** Counts up when what is on its way is of no use any more. */
  #generation = 0;
  #notBefore = 0;
  #gather = 0;

  /**
   * @param {string[]} files
   * @param {import('./store.js').LogStore} store
   * @param {import('./rows.js').Rows} rows
   * @param {Calls} calls
   */
  constructor(files, store, rows, calls) {
    this.#store = store;
    this.#rows = rows;
    this.#calls = calls;
    this.sources = files.map((file) => this.#sourceOf(file));
  }

  get merged() {
    return this.sources.length > 1;
  }

  open() {
    this.#reopen();
  }

  close() {
    this.#generation += 1;
    clearTimeout(this.#gather);
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

  /** Goes on at the end of the log. */
  toEnd() {
    if (!this.attached) this.#reopen();
  }

  /** Fetches what comes before the lines held. */
  async loadOlder() {
    const place = this.#store.placeBefore();
    if (this.beginning || this.merged || !place || !this.#mayLoad()) return;
    await this.#load('older', async (file) => {
      const page = await fetchBefore(file, place, PAGE_LINES);
      return () => {
        const end = place.overlap > 0 ? null : page.end;
        this.#rows.digestInserted(this.#store.insert(0, page.lines, { start: page.start, end }));
        this.beginning = !page.more;
        this.#trimEnd();
      };
    });
  }

  /** Fetches what comes after the lines held, where that is not what streams in anyway. */
  async loadNewer() {
    const [{ since }] = this.sources;
    if (this.attached || !this.#mayLoad()) return;
    if (this.merged || !since) return this.#attach();
    await this.#load('newer', async (file) => {
      const page = await fetchPage(file, { after: since, limit: PAGE_LINES });
      return () => {
        this.#store.append(page.lines, { start: since, end: page.end });
        this.sources[0].since = page.end;
        while (this.#store.over && this.#calls.nearIndex() > 1) this.#dropFirst();
        if (!page.more) this.#attach();
      };
    });
  }

  /**
   * Shows a line of anywhere in the log, with the lines around it.
   * @param {import('./history.js').Hit} hit
   * @returns {Promise<Block | null>} its block, of which it is the first line
   */
  async openAt(hit) {
    this.#generation += 1;
    this.loading = '';
    this.#notBefore = 0;
    /** @type {Block | null} */
    let block = null;
    await this.#load('hit', async (file) => {
      const [before, after] = await Promise.all([
        fetchPage(file, { before: hit.start, limit: AROUND }),
        fetchPage(file, { after: hit.end, limit: AROUND }),
      ]);
      return () => {
        this.#clear();
        this.#detach();
        this.#store.append(before.lines, { start: before.start, end: before.end });
        [block] = this.#store.insert(this.#store.blocks.length, [hit.line], { start: hit.start, end: hit.end });
        this.#store.append(after.lines, { start: hit.end, end: after.end });
        this.beginning = !before.more;
        this.sources[0].since = after.end;
        if (!after.more) this.#attach();
      };
    });
    return block;
  }

  /** Fetches lines before those that follow a mark. @param {Block} block the mark's */
  async loadGap(block) {
    const place = this.#store.placeBefore(this.#store.blocks.indexOf(block) + 1);
    if (!place || this.merged) return;
    await this.#load('older', async (file) => {
      const page = await fetchBefore(file, place, PAGE_LINES);
      return () => {
        const index = this.#store.blocks.indexOf(block);
        if (index < 0) return;
        const end = place.overlap > 0 ? null : page.end;
        this.#rows.digestInserted(this.#store.insert(index + 1, page.lines, { start: page.start, end }));
        if (!page.more && block.mark) block.mark = { ...block.mark, action: undefined };
      };
    });
  }

  /** The reader paused here. */
  startCounting() {
    this.fresh = { all: 0, shown: 0 };
  }

  /** @param {string} file @returns {Source} */
  #sourceOf(file) {
    const address = addressOf('api/v1/ws/logs');
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    /** @type {State} */
    const shown = { phase: 'connecting' };
    const source = { file, since: null, lastAt: 0, lastOld: false, first: true, again: false, waiting: null, shown, flicker: 0 };
    const made = /** @type {Source} */ (source);
    made.socket = new LogSocket({
      addressOf: ({ since }) => {
        // Not as forms do it: the server takes a plus sign for one.
        address.search = `file=${encodeURIComponent(file)}&${since ? `since=${since}` : `lines=${FIRST_LINES}`}`;
        return address.href;
      },
      onLines: (lines, at) => this.#took(made, lines, at),
      onEvent: (event) => this.#happened(made, event.event),
      onState: (state) => this.#changed(made, state),
      onBack: (why, seconds, missed, lost) => this.#back(made, why, seconds, missed, lost),
      isPosition: (text) => isPosition(file, text),
    });
    return made;
  }

  #reopen() {
    this.#clear();
    this.#setAttached(true);
    clearTimeout(this.#gather);
    for (const source of this.sources) {
      source.waiting = this.merged ? [] : null;
      source.first = true;
      source.socket.open();
    }
    if (this.merged) this.#gather = setTimeout(() => this.#release(), GATHER);
  }

  #clear() {
    this.#generation += 1;
    this.loading = '';
    this.beginning = false;
    this.#store.clear();
    this.#rows.reset();
    this.#calls.onCleared();
  }

  /**
   * @param {Source} source
   * @param {string[]} lines
   * @param {{ start: string, end: string, old: boolean }} at
   */
  #took(source, lines, { start, end, old }) {
    const now = Date.now();
    source.lastAt = now;
    source.lastOld = old && source.first;
    if (!old || !(source.first || source.again)) {
      this.fresh.all += lines.length;
      const { filter } = this.#rows;
      this.fresh.shown += filter ? lines.filter((line) => filter.test(plain(line))).length : lines.length;
    }
    if (!this.attached) return this.#calls.onLines();
    if (source.waiting) {
      source.waiting.push(...lines);
      return;
    }
    const time = old && source.first ? 0 : now;
    const number = this.sources.indexOf(source);
    this.#store.append(lines, { start: this.merged ? null : start, end: this.merged ? null : end, time, source: number });
    this.#trim();
    this.#calls.onLines();
  }

  /** The first lines of all files are there, or have had time enough. */
  #release() {
    clearTimeout(this.#gather);
    if (!this.sources.some(({ waiting }) => waiting)) return;
    const { lines, sources } = mergeByTime(this.sources.map(({ waiting }) => waiting ?? []));
    for (const source of this.sources) {
      source.waiting = null;
      source.first = false;
    }
    this.#store.append(lines, { sources });
    this.#calls.onLines();
  }

  #trim() {
    const store = this.#store;
    while (store.over) {
      const near = this.#calls.nearIndex();
      const half = store.linesBefore(near) > store.maxLines / 2 || (near > 1 && store.lines <= store.maxLines);
      if (this.#calls.isFollowing() || (half && near > 0)) this.#dropFirst();
      else return this.#detach();
    }
  }

  /** Lets go of the end, as older lines were put before the place where the reader is. */
  #trimEnd() {
    const store = this.#store;
    if (!store.over) return;
    const near = this.#calls.nearIndex();
    while (store.blocks.length > near + 3) {
      const last = store.blocks[store.blocks.length - 1];
      if (!store.over && last.end && !last.mark) break;
      const gone = store.dropLast();
      if (gone) this.#rows.forget(gone);
    }
    const end = store.blocks.at(-1)?.end;
    if (!end) return;
    this.#detach();
    this.sources[0].since = end;
  }

  #dropFirst() {
    const block = this.#store.dropFirst();
    if (block) this.#rows.forget(block);
    this.beginning = false;
  }

  #detach() {
    for (const source of this.sources) source.since = source.socket.position;
    this.#setAttached(false);
  }

  /** The stream goes on where the run of lines ends. */
  #attach() {
    this.#setAttached(true);
    for (const source of this.sources) {
      source.again = true;
      source.socket.open(source.since);
    }
  }

  /** @param {boolean} attached */
  #setAttached(attached) {
    if (this.attached === attached) return;
    this.attached = attached;
    this.#calls.onAttached(attached);
  }

  /** @param {Source} source @param {string} event */
  #happened(source, event) {
    const mark = EVENTS[event];
    if (mark) this.#mark(source, mark);
  }

  /**
   * @param {Source} source
   * @param {string} why
   * @param {number} seconds
   * @param {boolean} missed
   * @param {number | undefined} lost
   */
  #back(source, why, seconds, missed, lost) {
    if (missed) {
      const text = lost === undefined ? 'backGap' : 'backLost';
      this.#mark(source, { text, tone: 'warn', action: 'gap', vars: lost === undefined ? {} : { n: lost } });
    } else if (why === 'removed' || why === 'missing') {
      this.#mark(source, { text: 'backThere' });
    } else {
      this.#mark(source, { text: 'backWhole', vars: { n: Math.max(1, seconds) } });
    }
  }

  /** @param {Source} source @param {Mark} mark */
  #mark(source, mark) {
    // While the end is let go of, what happens there is told when the reader comes to it.
    if (!this.attached || source.waiting) return;
    const last = this.#store.blocks.at(-1);
    // Looking for a missing file again and again is told once, and where there are no lines, in their place.
    const told = last?.mark && (last.mark.text === mark.text || (last.mark.text === 'endRemoved' && mark.text === 'endMissing'));
    if (told || !last) return;
    this.#store.addMark(this.merged ? { ...mark, file: source.file, action: undefined } : mark);
    this.#calls.onLines();
  }

  /** @param {Source} source @param {State} state */
  #changed(source, state) {
    if (state.phase === 'live' && !source.waiting) {
      // What comes from now on came while the page looked.
      queueMicrotask(() => (source.first = source.again = false));
    }
    if (state.phase !== 'connecting' && state.phase !== 'catching' && this.sources.every(settled)) {
      queueMicrotask(() => this.#release());
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

  #mayLoad() {
    return !this.loading && Date.now() >= this.#notBefore;
  }

  /**
   * @param {string} what
   * @param {(file: string) => Promise<() => void>} fetching its result puts in what was fetched
   */
  async #load(what, fetching) {
    const generation = this.#generation;
    this.loading = what;
    this.#calls.onState();
    try {
      const put = await fetching(this.sources[0].file);
      if (generation !== this.#generation) return;
      this.loading = '';
      put();
      this.#calls.onLines();
    } catch (error) {
      if (generation !== this.#generation) return;
      const { status = 0 } = /** @type {{ status?: number }} */ (error);
      // The place is in no file any more: what is older is gone, what is newer begins behind a gap.
      if ((status === 410 || status === 404) && what === 'older') this.beginning = true;
      else if (status === 410 && what === 'newer') this.#attach();
      else this.#calls.onNotice('fetchFailed');
      this.#notBefore = Date.now() + FETCH_AGAIN;
    } finally {
      if (generation === this.#generation) this.loading = '';
      this.#calls.onState();
    }
  }
}

/** @param {Source} source */
function settled({ socket }) {
  const { phase } = socket.state;
  return phase !== 'connecting' && phase !== 'catching';
}
