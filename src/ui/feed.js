/**
 * What fills a pane: the streams of its files, and older lines from the server's history. It keeps the lines held one
 * contiguous run, of each file as of all, within what may be held, around the place where the reader is.
 *
 * While the reader follows, the oldest lines go. While the reader stands still, lines are added until half of what may
 * be held lies behind them; then the end of the run is let go of (it is not `attached` to the live end any more), new
 * lines are only counted, and they are fetched when the reader comes to them. So a pause may last as long as it likes.
 *
 * At both edges lines of several files are fetched a page each, and put in as far as their order is known; see `take`.
 */

import { plain } from './ansi.js';
import { NO_PAGE, PAGE_LINES, fetchBeside, fetchPage, pagesAround, pagesAt, pagesFor, placeOf } from './history.js';
import { FIRST_LINES, Streams } from './streams.js';
import { addPages, isBlind, isDone, take, timesOf } from './times.js';

/**
 * @typedef {import('./store.js').Block} Block
 * @typedef {import('./store.js').Mark} Mark
 * @typedef {import('./store.js').Pin} Pin
 * @typedef {import('./times.js').Queue} Queue
 * @typedef {import('./streams.js').Source} Source
 * @typedef {{ isFollowing(): boolean, nearIndex(): number, onLines(): void, onState(): void, onCleared(): void,
 *   onAttached(attached: boolean): void, onNotice(text: string): void }} Calls
 */

/** After a page could not be fetched. */
const FETCH_AGAIN = 3_000;

/** For finding the place of a time in the other files. */
const SEEK = 5_000;

export class Feed {
  /** Whether the run of lines ends where the log does. */
  attached = true;
  /** Lines that came since the reader paused, and of those the ones a filter lets pass. */
  fresh = { all: 0, shown: 0 };
  streams;
  loading = '';

  #store;
  #rows;
  #calls;
  /** What is before the run and behind it, a queue a file; null where nothing was fetched. @type {Queue[] | null} */
  #older = null;
  /** @type {Queue[] | null} */
  #newer = null;
  /** Files of which the run has no lines, as their place was not found. @type {Set<number>} */
  #left = new Set();
  /** Counts up when what is on its way is of no use any more. */
  #generation = 0;
  #notBefore = 0;

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
    this.streams = new Streams(files, {
      onLines: (source, lines, at) => this.#took(source, lines, at),
      onMark: (source, mark) => this.#mark(source, mark),
      onState: () => calls.onState(),
    });
  }

  get #sources() {
    return this.streams.sources;
  }

  get merged() {
    return this.#sources.length > 1;
  }

  /** Whether the run begins where the log does. */
  get beginning() {
    return this.#older !== null && isDone(this.#older);
  }

  open() {
    this.#clear();
    this.#setAttached(true);
    for (const source of this.#sources) {
      source.first = true;
      if (!this.merged) source.socket.open();
    }
    if (this.merged) this.#begin();
  }

  close() {
    this.#generation += 1;
    this.streams.close();
  }

  /** Goes on at the end of the log. */
  toEnd() {
    if (!this.attached) this.open();
  }

  /** Fetches what comes before the lines held. */
  async loadOlder() {
    if (this.beginning || this.#store.lines === 0 || !this.#mayLoad()) return;
    const queues = (this.#older ??= this.#queuesAt(1));
    await this.#load('older', async () => {
      const pages = await pagesFor(this.#sources, queues, 'before');
      return () => {
        // What was the first line may be gone meanwhile.
        if (queues !== this.#older) return;
        addPages(queues, pages, true);
        this.#putOlder(queues);
        this.#trimEnd();
      };
    });
  }

  /** Fetches what comes after the lines held, where that is not what streams in anyway. */
  async loadNewer() {
    const queues = this.#newer;
    if (this.attached || !queues || !this.#mayLoad()) return;
    await this.#load('newer', async () => {
      const pages = await pagesFor(this.#sources, queues, 'after');
      return () => {
        addPages(queues, pages, false);
        this.#putNewer(queues);
        while (this.#store.over && this.#calls.nearIndex() > 1) this.#dropFirst();
      };
    });
  }

  /**
   * Shows a line of anywhere in a log, with the lines around it; those of other files where the times in them tell their
   * place.
   * @param {import('./history.js').Hit} hit
   * @param {number} number its file's
   * @returns {Promise<Block | null>} its block, of which it is the first line
   */
  async openAt(hit, number) {
    if (this.loading === 'first') return null;
    this.#generation += 1;
    this.loading = '';
    this.#notBefore = 0;
    /** @type {Block | null} */
    let block = null;
    await this.#load('hit', async () => {
      const own = await pagesAround(this.#sources[number].file, hit.start, hit.end);
      const time = timesOf([...own.before.lines, hit.line]).at(-1) ?? -Infinity;
      const signal = AbortSignal.timeout(SEEK);
      /** @type {(import('./history.js').Pages | null | undefined)[]} */
      const all = [];
      // One after the other: the server has few places for searches.
      for (const { file } of this.#sources) {
        if (all.length === number) all.push(own);
        else all.push(await pagesAt(file, time, signal).catch((error) => (error.status === 404 ? undefined : null)));
      }
      return () => {
        this.#clear();
        this.#setAttached(false);
        const store = this.#store;
        /** @type {Pin[]} */
        const pins = [{ at: 1, source: number, position: hit.end, skip: 0 }];
        this.#older = [];
        this.#newer = [];
        for (const [source, pages] of all.entries()) {
          const { before, after } = pages ?? { before: NO_PAGE, after: NO_PAGE };
          const lines = [...before.lines, ...after.lines];
          const middle = before.lines.length;
          const later = timesOf(lines).findIndex((one) => one > time || (one === time && source > number));
          const split = source === number ? middle : later < 0 ? lines.length : later;
          this.#older.push({ lines: lines.slice(0, split), place: placeOf(before.start), more: before.more });
          this.#newer.push({ lines: lines.slice(split), place: placeOf(after.end), more: after.more });
          if (before.end) pins.unshift({ at: 0, source, position: before.end, skip: split - middle });
          if (pages !== null) continue;
          this.#left.add(source);
          store.addMark({ text: 'notAround', tone: 'warn', file: this.#sources[source].file });
        }
        [block] = store.insert(store.blocks.length, [hit.line], { source: number, pins });
        this.#putOlder(this.#older);
        this.#putNewer(this.#newer);
      };
    });
    return block;
  }

  /** Fetches lines before those that follow a mark. @param {Block} block the mark's */
  async loadGap(block) {
    const source = block.mark?.source ?? 0;
    const place = this.#store.placeAt(source, this.#store.blocks.indexOf(block) + 1, 1);
    if (!place || !this.#mayLoad()) return;
    await this.#load('older', async () => {
      const { lines, start, more } = await fetchBeside(this.#sources[source].file, place, 'before', PAGE_LINES);
      return () => {
        const index = this.#store.blocks.indexOf(block);
        if (index < 0) return;
        const pins = [{ at: 0, source, position: start, skip: 0 }];
        this.#rows.digestInserted(this.#store.insert(index + 1, lines, { source, pins }));
        if (!more && block.mark) block.mark = { ...block.mark, action: undefined };
      };
    });
  }

  /** The reader paused here. */
  startCounting() {
    this.fresh = { all: 0, shown: 0 };
  }

  /** The last lines of several files by their times, and from there on as they come. */
  async #begin() {
    for (const { socket } of this.#sources) socket.close();
    await this.#load('first', async () => {
      const ends = await Promise.all(this.#sources.map(({ file }) => fetchPage(file, { limit: FIRST_LINES }).catch(() => NO_PAGE)));
      /** @type {Queue[]} */
      const queues = ends.map(({ lines, start, more }) => ({ lines, place: placeOf(start), more }));
      const parts = [take(queues, true)];
      const [last] = parts;
      // A file that has just been rotated has few lines, and all of them are of today.
      for (let { length } = last.lines; length < FIRST_LINES && !isDone(queues); length += parts[0].lines.length) {
        const pages = await pagesFor(this.#sources, queues, 'before').catch(() => null);
        if (!pages) break;
        addPages(queues, pages, true);
        parts.unshift(take(queues, true));
      }
      return () => {
        this.#older = queues;
        for (const [source, { end }] of ends.entries()) {
          if (end) last.pins.push({ at: last.lines.length, source, position: end, skip: 0 });
        }
        for (const { lines, ...origin } of parts) this.#store.append(lines, origin);
        for (const source of this.#sources) {
          const { lines, end } = ends[source.number];
          source.lastAt = lines.length > 0 ? Date.now() : 0;
          source.lastOld = true;
          source.socket.open(end || null);
        }
      };
    });
  }

  #clear() {
    this.#generation += 1;
    this.loading = '';
    this.#older = this.#newer = null;
    this.#left.clear();
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
    if (this.attached) {
      const time = source.lastOld ? 0 : now;
      const { number } = source;
      const pin = (/** @type {number} */ at, /** @type {string} */ position) => ({ at, source: number, position, skip: 0 });
      this.#store.append(lines, { time, source: number, pins: [pin(0, start), pin(lines.length, end)] });
      // A file that had no lines may have some before these.
      if (this.#older && !this.#older[number].place && this.#store.placeAt(number, 0, 1)) this.#older = null;
      this.#trim();
    }
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
    const near = this.#calls.nearIndex();
    if (!store.over || store.blocks.length <= near + 3) return;
    while (store.over && store.blocks.length > near + 3) {
      const gone = store.dropLast();
      if (gone) this.#rows.forget(gone);
    }
    this.#detach();
  }

  #dropFirst() {
    const block = this.#store.dropFirst();
    if (block) this.#rows.forget(block);
    this.#older = null;
  }

  #detach() {
    this.#newer = this.#queuesAt(-1);
    this.#setAttached(false);
  }

  /** The streams go on where the run of lines ends. */
  #attach() {
    this.#setAttached(true);
    for (const source of this.#sources) {
      const { file, number } = source;
      // Nothing is known of what is between here and the lines that come.
      if (this.#left.delete(number)) this.#store.addMark({ text: 'gap', tone: 'warn', action: 'gap', file, source: number });
      source.again = true;
      source.socket.open(this.#newer?.[number].place?.position);
    }
    this.#newer = null;
  }

  /** @param {boolean} attached */
  #setAttached(attached) {
    if (this.attached === attached) return;
    this.attached = attached;
    this.#calls.onAttached(attached);
  }

  /** @param {Source} source @param {Mark} mark */
  #mark({ file, number }, mark) {
    const { blocks } = this.#store;
    // While the end is let go of, what happens there is told when the reader comes to it; without lines, in their place.
    if (!this.attached || blocks.length === 0) return;
    const behind = blocks.slice(blocks.findLastIndex((block) => !block.mark) + 1);
    const last = behind.findLast((block) => block.mark?.source === number)?.mark?.text;
    // Looking for a missing file again and again is told once.
    if (last === mark.text || (last === 'endRemoved' && mark.text === 'endMissing')) return;
    this.#store.addMark({ ...mark, source: number, file: this.merged ? file : undefined });
    this.#calls.onLines();
  }

  /** What is beyond an edge of the run: the first (1) or the last one (-1). @param {1 | -1} step @returns {Queue[]} */
  #queuesAt(step) {
    return this.#sources.map(({ number }) => {
      const place = this.#store.placeAt(number, step > 0 ? 0 : this.#store.blocks.length - 1, step);
      return { lines: [], place, more: place !== null };
    });
  }

  /** @param {Queue[]} queues */
  #putOlder(queues) {
    const { lines, ...origin } = take(queues, true);
    this.#rows.digestInserted(this.#store.insert(0, lines, origin));
  }

  /** @param {Queue[]} queues */
  #putNewer(queues) {
    const { lines, ...origin } = take(queues, false);
    this.#store.append(lines, origin);
    if (isDone(queues)) this.#attach();
  }

  #mayLoad() {
    return !this.loading && Date.now() >= this.#notBefore;
  }

  /**
   * @param {string} what
   * @param {() => Promise<() => void>} fetching its result puts in what was fetched
   */
  async #load(what, fetching) {
    const generation = this.#generation;
    this.loading = what;
    this.#calls.onState();
    try {
      const put = await fetching();
      if (generation !== this.#generation) return;
      this.loading = '';
      put();
      this.#calls.onLines();
    } catch {
      if (generation !== this.#generation) return;
      this.#calls.onNotice('fetchFailed');
      this.#notBefore = Date.now() + FETCH_AGAIN;
    } finally {
      if (generation === this.#generation) this.loading = '';
      this.#calls.onState();
    }
  }
}
