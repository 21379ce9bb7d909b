/**
 * The page: it puts the parts together and shows what they report. Everything with rules of its own lives in a module
 * of its own; here are only the wires, and the few words and numbers around the log.
 */

import { addressOf } from './address.js';
import { FileList, FilePicker } from './files.js';
import { Matches, patternOf } from './filter.js';
import { KEYS, listenForKeys } from './keys.js';
import { LogList } from './list.js';
import { NEXT_THEME, recall, remember, setTheme, theme } from './settings.js';
import { LogSocket } from './socket.js';
import { LineStore, MAX_LINES } from './store.js';
import { htmlLanguage, languageFor, setLanguage, size, span, t } from './texts.js';

/** @typedef {import('./backoff.js').Why} Why */

/** Numbers are refreshed this often, and not with every line: flickering digits can't be read. */
const TICK = 250;

/** A connection that is up again within so long is not worth a flicker of the state. */
const FLICKER = 400;

/** Without a list of files there is nothing to show, so it is asked for often. */
const LIST_AGAIN = 2_000;

/** What comes so soon after connecting are the last lines of before. */
const HISTORY = 250;

/** While every drawing would replace all that is on the screen, nobody can read more than so many: one in this time. */
const FLOOD = 40;

/** The server's notice that the file was cut; on the plain protocol nothing but its text tells it from a line. */
const TRUNCATED = new Set(['日志文件被截断，重新加载...', 'log file was truncated, reloading...']);

/**
 * What an empty log says while waiting, where it is not just the server that can't be reached.
 * @type {Record<string, string>}
 */
const EMPTY_WAITING = {
  missing: 'emptyMissing',
  removed: 'emptyMissing',
  unreadable: 'emptyUnreadable',
  crowded: 'emptyCrowded',
};

/**
 * And what comes of it, where the page does not just go on trying.
 * @type {Record<string, string>}
 */
const EMPTY_MORE = {
  emptyLive: 'emptyLiveMore',
  emptyFilter: 'emptyFilterMore',
  emptyForbidden: 'emptyForbiddenMore',
  emptyMissing: 'emptyMissingMore',
};

/** @type {(id: string) => any} */
const get = (id) => document.getElementById(id);

const page = document.documentElement;
const log = get('log');
const filterField = /** @type {HTMLInputElement} */ (get('filter'));
const spoken = get('spoken');

const store = new LineStore();
/** @type {Matches | null} */
let matches = null;
/** @type {LogSocket | null} */
let socket = null;
let file = '';
/** When the last line came, and whether it was there before: then the file's own time tells. */
let lastLine = { at: 0, old: false };
let liveSince = 0;
/** Where the log was paused: how many lines there had been, and the next number. */
let pausedAt = { added: 0, number: 0 };
let frame = 0;
/** When the log was last drawn, and how far it went. */
let drawn = { at: 0, end: 0 };
let flicker = 0;
/** Whether the server gave no list, so that there is no file to begin with. */
let listFailed = false;
/**
 * What the state shows, which lags behind the connection's own by a flicker.
 * @type {import('./socket.js').State}
 */
let state = { phase: 'connecting' };

const list = new LogList(log, store, { onFollow: followed, onWish: requestFrame });
const files = new FileList(() => picker.render());
const picker = new FilePicker(files, { button: get('file'), box: get('files'), label: get('file-name') }, (name) => {
  openFile(name);
  log.focus({ preventScroll: true });
});

// Drawing.

function requestFrame() {
  frame ||= requestAnimationFrame(draw);
}

/** @param {number} now */
function draw(now) {
  frame = 0;
  const replaced = list.following && store.end - drawn.end > list.page;
  if (replaced && now - drawn.at < FLOOD) return requestFrame();
  drawn = { at: now, end: store.end };
  if (matches && !matches.advance()) requestFrame();
  list.render();
  showEmpty();
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// The connection.

/** @param {string} name */
function openFile(name) {
  if (name === file && socket) return;
  file = name;
  socket?.close();
  store.clear();
  list.resetWidth();
  applyFilter();
  list.follow();
  lastLine = { at: 0, old: false };

  const here = new URL(location.href);
  here.searchParams.set('file', name);
  history.replaceState(null, '', here);
  document.title = `${name} · tailcast`;
  picker.current = name;
  get('download').href = `api/v1/logs/${encodeURIComponent(name)}/download`;
  log.setAttribute('aria-label', t('logOf', { file: name }));

  const address = addressOf(`api/v1/ws/logs?file=${encodeURIComponent(name)}`);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  socket = new LogSocket(address.href, { onLine, onState, onEnd, onBack });
  socket.open();
  requestFrame();
}

/** @param {string} line */
function onLine(line) {
  if (TRUNCATED.has(line)) {
    store.push({ mark: 'truncated', tone: 'warn' });
  } else {
    store.push(line);
    const now = Date.now();
    lastLine = { at: now, old: now - liveSince < HISTORY };
  }
  requestFrame();
}

/** @param {import('./socket.js').State} next */
function onState(next) {
  if (next.phase === 'live') liveSince = Date.now();
  clearTimeout(flicker);
  if (next.phase === 'connecting' && state.phase === 'waiting') {
    flicker = setTimeout(() => showState(next), FLICKER);
  } else {
    showState(next);
  }
}

/**
 * @param {Why} why
 * @param {boolean} tookLine
 */
function onEnd(why, tookLine) {
  const mark = nameOf('end', why);
  const last = store.last();
  const told = typeof last === 'object' && (last.mark === mark || (last.mark === 'endRemoved' && why === 'missing'));
  if (tookLine) {
    store.replaceLast({ mark, tone: 'error' });
    matches?.lastReplaced();
  } else if (store.lines > 0 && !told) {
    // Looking for a missing file again and again is told once, and where there are no lines, in their place.
    store.push({ mark, tone: 'error' });
  }
  files.refresh();
  requestFrame();
}

/**
 * @param {Why} why
 * @param {number} seconds
 */
function onBack(why, seconds) {
  if (why === 'removed') {
    store.push({ mark: 'backThere' });
  } else {
    store.push({ mark: 'back', tone: 'warn', vars: { n: Math.max(1, seconds) } });
    store.push({ mark: 'backAgain', tone: 'warn' });
  }
  files.refresh();
}

/**
 * @param {string} prefix
 * @param {string} name
 */
function nameOf(prefix, name) {
  return prefix + name[0].toUpperCase() + name.slice(1);
}

// State.

/** @param {import('./socket.js').State} next */
function showState(next) {
  const changed = next.phase !== state.phase || ('why' in next && 'why' in state && next.why !== state.why);
  state = next;
  showNumbers();
  showEmpty();
  const waits = state.phase === 'waiting' || state.phase === 'stopped';
  const retry = get('retry');
  if (!waits && document.activeElement === retry) log.focus();
  retry.hidden = !waits;
  if (changed) speak(stateText(false));
}

/** @param {boolean} counting whether to count down, which is not for ears */
function stateText(counting) {
  if (state.phase === 'live') return t(list.following ? 'live' : 'paused');
  if (state.phase === 'connecting') return t('connecting');
  const why = t(nameOf('why', state.why));
  if (state.phase === 'stopped') return `${t('stopped')} · ${why}`;
  if (!counting) return `${why}. ${t('reconnecting')}`;
  const left = Math.max(0, Math.ceil((state.until - Date.now()) / 1000));
  // As wide with one digit as with two, or the button behind it would move.
  const filler = left < 10 ? '\u2007' : '';
  return `${t(state.looking ? 'looking' : 'waiting', { n: left })} · ${why}${filler}`;
}

/** @param {string} text */
function speak(text) {
  write(spoken, text);
}

function showNumbers() {
  write(get('state-text'), stateText(true));
  get('state').className = `state ${state.phase === 'live' && !list.following ? 'paused' : state.phase}`;
  const lastAt = (lastLine.old && files.modified(file)) || lastLine.at;
  write(get('last-line'), lastAt ? t('lastLine', { ago: span(Date.now() - lastAt) }) : '');
  write(get('held'), t('held', { n: store.lines }));
  write(get('held-size'), store.lines ? size(store.bytes) : '');
  write(get('counts'), matches ? t('counts', { n: matches.lines, total: store.lines }) : '');
  const fresh = matches ? matches.since(pausedAt.number) : store.added - pausedAt.added;
  if (!list.following) write(get('pill-text'), t('pill', { n: fresh }));
}

function showEmpty() {
  const empty = get('empty');
  empty.hidden = matches ? matches.lines > 0 : store.lines > 0;
  if (empty.hidden) return;
  let name = 'emptyLive';
  if (listFailed && !file) name = 'noFiles';
  else if (matches && store.lines > 0) name = 'emptyFilter';
  else if (state.phase === 'connecting') name = 'emptyConnecting';
  else if (state.phase === 'stopped') name = 'emptyForbidden';
  else if (state.phase === 'waiting') name = EMPTY_WAITING[state.why] ?? 'emptyWaiting';
  const vars = { file, term: filterField.value };
  write(get('empty-text'), t(name, vars));
  write(get('empty-more'), name === 'emptyConnecting' ? '' : t(EMPTY_MORE[name] ?? 'emptyWaitingMore'));
}

// Following and pausing.

/** @param {boolean} following */
function followed(following) {
  pausedAt = { added: store.added, number: store.end };
  page.classList.toggle('paused', !following);
  const pill = get('pill');
  if (following && document.activeElement === pill) log.focus({ preventScroll: true });
  pill.hidden = following;
  showPause();
  showNumbers();
  speak(t(following ? 'following' : 'paused'));
}

function showPause() {
  write(get('pause-text'), t(list.following ? 'pause' : 'follow'));
}

function togglePause() {
  if (list.following) list.pause();
  else list.follow();
}

// The filter.

function applyFilter() {
  const term = filterField.value;
  get('filter-clear').hidden = !term;
  if (term) {
    matches = new Matches(store, patternOf(term));
    matches.advance();
    list.highlight = patternOf(term, 'g');
    list.follow();
    list.setView(matches);
  } else if (matches) {
    // Whoever paused at a match wants to see what stands around it.
    const place = list.following || matches.lines === 0 ? undefined : matches.numberAt(list.topPlace);
    matches = null;
    list.highlight = null;
    list.setView(store, place);
  }
  showNumbers();
  requestFrame();
}

function clearFilter() {
  filterField.value = '';
  applyFilter();
}

// Words and looks.

/** @param {import('./texts.js').Language} language */
function speakIn(language) {
  setLanguage(language);
  page.lang = htmlLanguage();
  for (const element of document.querySelectorAll('[data-text]')) {
    element.textContent = t(/** @type {any} */ (element).dataset.text);
  }
  for (const element of document.querySelectorAll('[data-label]')) {
    name(element, t(/** @type {any} */ (element).dataset.label));
  }
  filterField.placeholder = t('filter');
  const other = get('language');
  other.textContent = t('otherLanguage');
  other.lang = language === 'zh' ? 'en' : 'zh-CN';
  name(other, t('otherLanguageHint'));
  name(get('theme'), t(nameOf('theme', theme())));
  name(get('pill'), '', t('pillHint'));
  write(get('help-note'), t('helpNote', { lines: MAX_LINES }));
  get('keys').replaceChildren(...KEYS.flatMap(helpOf));
  if (file) log.setAttribute('aria-label', t('logOf', { file }));
  showPause();
  showNumbers();
  showEmpty();
  picker.render();
  list.refresh();
}

/**
 * @param {Element} element
 * @param {string} label
 * @param {string} [hint]
 */
function name(element, label, hint = label) {
  if (label) element.setAttribute('aria-label', label);
  element.setAttribute('title', hint);
}

/** @param {{ keys: string[], text: string }} entry */
function helpOf({ keys, text }) {
  const term = document.createElement('dt');
  for (const key of keys) {
    const cap = document.createElement('kbd');
    cap.textContent = key;
    term.append(cap);
  }
  const meaning = document.createElement('dd');
  meaning.textContent = t(text);
  return [term, meaning];
}

function switchLanguage() {
  const other = page.lang.startsWith('zh') ? 'en' : 'zh';
  remember('language', other);
  speakIn(other);
}

function switchTheme() {
  setTheme(NEXT_THEME[theme()]);
  name(get('theme'), t(nameOf('theme', theme())));
}

// The reader's hands.

/** @param {1 | -1} step */
function openBeside(step) {
  const beside = files.beside(file, step);
  if (beside) openFile(beside);
}

function listen() {
  get('pause').addEventListener('click', togglePause);
  get('pill').addEventListener('click', () => list.follow());
  get('retry').addEventListener('click', () => socket?.retryNow());
  get('language').addEventListener('click', switchLanguage);
  get('theme').addEventListener('click', switchTheme);
  get('filter-clear').addEventListener('click', () => {
    clearFilter();
    filterField.focus();
  });
  filterField.addEventListener('input', applyFilter);
  filterField.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') log.focus();
    if (event.key !== 'Escape') return;
    if (filterField.value) clearFilter();
    else log.focus();
  });

  const help = /** @type {HTMLDialogElement} */ (get('help-dialog'));
  get('help').addEventListener('click', () => help.showModal());
  get('help-close').addEventListener('click', () => help.close());
  help.addEventListener('click', (event) => event.target === help && help.close());

  listenForKeys({
    ' ': togglePause,
    g: () => list.toTop(),
    G: () => list.follow(),
    j: () => list.moveCursor(1),
    k: () => list.moveCursor(-1),
    f: () => openBeside(1),
    F: () => openBeside(-1),
    '/': () => filterField.select(),
    '?': () => help.showModal(),
    Escape: () => {
      list.clearCursor();
      if (filterField.value) clearFilter();
    },
    Home: () => list.toTop(),
    End: () => list.follow(),
    PageUp: () => list.scrollRows(1 - list.page),
    PageDown: () => list.scrollRows(list.page - 1),
    ArrowUp: () => list.scrollRows(-1),
    ArrowDown: () => list.scrollRows(1),
  });

  addEventListener('online', () => retryIfWaiting());
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible') return;
    files.refresh();
    retryIfWaiting();
  });
}

function retryIfWaiting() {
  if (socket?.state.phase === 'waiting') socket.retryNow();
}

async function start() {
  const remembered = recall('language');
  speakIn(remembered === 'zh' || remembered === 'en' ? remembered : languageFor(navigator.languages));
  listen();
  setInterval(() => document.visibilityState === 'visible' && showNumbers(), TICK);

  const wanted = new URLSearchParams(location.search).get('file');
  if (wanted) openFile(wanted);
  while (!(await files.refresh())) {
    listFailed = true;
    showEmpty();
    await new Promise((resolve) => setTimeout(resolve, LIST_AGAIN));
  }
  if (!file) openFile(/** @type {string} */ (files.standard));
}

start();
