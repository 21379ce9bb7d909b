/**
 * The page: its panes, what they share, and the address that says what is shown. Everything with rules of its own
 * lives in a module of its own.
 */

import { FileList } from './files.js';
import { KEYS, listenForKeys } from './keys.js';
import { Pane } from './pane.js';
import { PaneGrid } from './panes.js';
import { FilePicker } from './picker.js';
import { nextTheme, recall, remember, set, settings, theme } from './settings.js';
import { closeEarly } from './socket.js';
import { htmlLanguage, languageFor, setLanguage, speakIn, t } from './texts.js';
import { TIME_MODES } from './times.js';
import { MAX_PANES, paneOf, readView, writeView } from './view.js';

/** Numbers are refreshed this often, and not with every line: flickering digits can't be read. */
const TICK = 250;

/** Without a list of files there is nothing to show, so it is asked for often. */
const LIST_AGAIN = 2_000;

/** The address is not rewritten with every letter. */
const ADDRESS_AFTER = 300;

/** Of a frame's sixteen milliseconds, what drawing may begin to use; laying out and painting come on top. */
const DRAWING = 5;

/** How long something that is told stays. */
const TOLD = 4_000;

/** @type {(id: string) => any} */
const get = (id) => document.getElementById(id);

const root = document.documentElement;
let view = readView(location.search);
/** @type {Pane[]} */
let panes = [];
let active = 0;
let frame = 0;
let addressTimer = 0;
let toldTimer = 0;
/** How long the last drawing took, for the next one to keep its distance. */
let drawnAt = 0;
let drawing = 0;
/** The pane that was drawn last. */
let turn = 0;

const files = new FileList((reached) => {
  for (const pane of panes) pane.looked(reached);
  adder.render();
});
const adder = new FilePicker(files, get('add'), get('add-files'), addPane);
const grid = new PaneGrid(get('panes'), () => t('border'), saveView);

/** @type {import('./pane.js').Page} */
const page = {
  files,
  requestFrame,
  count: () => panes.length,
  tell,
  say,
  onView: saveView,
  onSettings: settingsChanged,
  onClose: closePane,
  onFile: openFile,
};

// Drawing.

function requestFrame() {
  frame ||= requestAnimationFrame(draw);
}

/** @param {number} now */
function draw(now) {
  frame = 0;
  // Drawing takes half of the time at most: what the reader does comes in between.
  if (now - drawnAt < drawing * 2) {
    requestFrame();
    return;
  }
  drawnAt = now;
  const begun = performance.now();
  // Whoever finds no time in this frame is the first in the next one.
  for (let n = 0; n < panes.length; n += 1) {
    turn = (turn + 1) % panes.length;
    panes[turn].draw(now);
    if (performance.now() - begun < DRAWING) continue;
    requestFrame();
    break;
  }
  drawing = performance.now() - begun;
}

/** For ears alone. @param {string} text */
function say(text) {
  get('spoken').textContent = text;
}

/** For eyes and ears. @param {string} text */
function tell(text) {
  const told = get('told');
  told.textContent = text;
  say(text);
  clearTimeout(toldTimer);
  toldTimer = setTimeout(() => (told.textContent = ''), TOLD);
}

// What is shown.

/** Makes the panes that the view wants. */
function build() {
  for (const pane of panes) pane.close();
  panes = view.layout === 'merged' && view.panes.length > 1
    ? [new Pane(view.panes, page)]
    : view.panes.map((one) => new Pane([one], page));
  grid.take(panes.length === view.panes.length ? view.sizes : [], panes.length);
  arrange();
  for (const pane of panes) pane.open();
  setActive(Math.min(active, panes.length - 1));
  showLayout();
  saveView();
}

function arrange() {
  grid.show(panes.map(({ element }) => element), view.layout);
}

function saveView() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(writeAddress, ADDRESS_AFTER);
}

function writeAddress() {
  const merged = panes.length === 1 && panes[0].merged;
  view = {
    ...view,
    panes: panes.flatMap((pane) => pane.views),
    sizes: merged ? view.sizes : grid.sizes,
  };
  const query = writeView(view);
  remember('view', query);
  if (`?${query}` !== location.search) history.replaceState(null, '', `?${query}`);
  const names = view.panes.map(({ file }) => file);
  document.title = `${names.length > 3 ? `${names.slice(0, 3).join(', ')} …` : names.join(', ')} · tailcast`;
}

/** @param {Pane} pane @param {string} name */
function openFile(pane, name) {
  pane.setFile(name);
  pane.focus();
  writeAddress();
}

/** @param {string} name */
function addPane(name) {
  writeAddress();
  if (view.panes.length >= MAX_PANES) return;
  view.panes.push(paneOf(name));
  if (view.layout === 'merged') {
    view.sizes = [];
    build();
    return;
  }
  const pane = new Pane([view.panes[view.panes.length - 1]], page);
  panes.push(pane);
  arrange();
  pane.open();
  setActive(panes.length - 1);
  pane.focus();
  showLayout();
  writeAddress();
}

/** @param {Pane} pane */
function closePane(pane) {
  if (panes.length < 2) return;
  const at = panes.indexOf(pane);
  pane.close();
  panes.splice(at, 1);
  grid.drop(at);
  arrange();
  setActive(Math.max(0, at - 1));
  panes[active].focus();
  showLayout();
  writeAddress();
}

/** @param {number} at */
function setActive(at) {
  active = at;
  for (const [index, { element }] of panes.entries()) element.classList.toggle('active', index === at);
}

/** @param {number} step */
function toPane(step) {
  setActive((active + step + panes.length) % panes.length);
  panes[active].focus();
}

/** @param {1 | -1} step */
function toFile(step) {
  const pane = panes[active];
  const beside = pane && !pane.merged && files.beside(pane.files[0], step);
  if (beside) openFile(pane, beside);
}

function showLayout() {
  const many = panes.length > 1 || panes[0]?.merged;
  get('layouts').hidden = !many;
  for (const button of get('layouts').querySelectorAll('[data-layout]')) {
    const chosen = button.dataset.layout === view.layout;
    button.setAttribute('aria-checked', String(chosen));
    button.tabIndex = chosen ? 0 : -1;
  }
}

/** @param {import('./view.js').LayoutName} layout */
function setLayout(layout) {
  if (layout === view.layout) return;
  writeAddress();
  const rebuild = layout === 'merged' || view.layout === 'merged';
  view.layout = layout;
  if (rebuild) build();
  else arrange();
  showLayout();
  saveView();
}

// Settings, words and looks.

function settingsChanged() {
  for (const pane of panes) pane.applySettings();
  showSettings();
}

function showSettings() {
  get('wrap').setAttribute('aria-pressed', String(settings.wrap));
  const mode = TIME_MODES[settings.times];
  const name = mode ? t(`times_${mode.from}_${mode.zone}`) : t('times_none');
  get('times-name').textContent = mode ? name : '';
  label(get('times'), t('times', { mode: name }));
  get('max-lines').value = String(settings.maxLines);
  get('max-bytes').value = String(Math.round(settings.maxBytes / (1 << 20)));
}

function toggleWrap() {
  set('wrap', !settings.wrap);
  settingsChanged();
  tell(t(settings.wrap ? 'wrapOn' : 'wrapOff'));
}

function nextTimes() {
  set('times', (settings.times + 1) % TIME_MODES.length);
  settingsChanged();
  const mode = TIME_MODES[settings.times];
  tell(t('times', { mode: mode ? t(`times_${mode.from}_${mode.zone}`) : t('times_none') }));
}

/** @param {Element} element @param {string} text */
function label(element, text) {
  element.setAttribute('aria-label', text);
  element.setAttribute('title', text);
}

/** @param {import('./texts.js').Language} language */
function useLanguage(language) {
  setLanguage(language);
  showWords(language);
  arrange();
  for (const pane of panes) pane.setWords();
}

/** @param {import('./texts.js').Language} language */
function showWords(language) {
  root.lang = htmlLanguage();
  speakIn(document.body);
  const other = get('language');
  other.textContent = t('otherLanguage');
  other.lang = language === 'zh' ? 'en' : 'zh-CN';
  label(other, t('otherLanguageHint'));
  label(get('add'), t('addPane'));
  showTheme();
  showSettings();
  get('help-note').textContent = t('helpNote');
  get('keys').replaceChildren(...KEYS.flatMap(helpOf));
  adder.render();
}

function showTheme() {
  const name = theme();
  label(get('theme'), t(`theme${name[0].toUpperCase()}${name.slice(1)}`));
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

// The reader's hands.

function listen() {
  const help = /** @type {HTMLDialogElement} */ (get('help-dialog'));
  const on = (/** @type {string} */ id, /** @type {() => void} */ call) => get(id).addEventListener('click', call);
  on('wrap', toggleWrap);
  on('times', nextTimes);
  on('theme', () => {
    nextTheme();
    showTheme();
    for (const pane of panes) pane.applySettings();
  });
  on('language', () => {
    const other = root.lang.startsWith('zh') ? 'en' : 'zh';
    remember('language', other);
    useLanguage(other);
  });
  on('help', () => help.showModal());
  on('help-close', () => help.close());
  help.addEventListener('click', (event) => event.target === help && help.close());
  get('layouts').addEventListener('click', (/** @type {Event} */ event) => {
    const button = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest('[data-layout]'));
    if (button) setLayout(/** @type {any} */ (button.dataset.layout));
  });
  get('layouts').addEventListener('keydown', (/** @type {KeyboardEvent} */ event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const buttons = [...get('layouts').querySelectorAll('[data-layout]')];
    const at = buttons.findIndex((button) => button.dataset.layout === view.layout);
    const next = buttons[(at + by + buttons.length) % buttons.length];
    setLayout(next.dataset.layout);
    next.focus();
  });
  get('max-lines').addEventListener('change', (/** @type {any} */ { target }) => {
    if (target.checkValidity()) set('maxLines', Number(target.value));
    settingsChanged();
  });
  get('max-bytes').addEventListener('change', (/** @type {any} */ { target }) => {
    if (target.checkValidity()) set('maxBytes', Number(target.value) * (1 << 20));
    settingsChanged();
  });
  for (const type of ['focusin', 'pointerdown']) {
    get('panes').addEventListener(type, (/** @type {Event} */ event) => {
      const element = /** @type {Element} */ (event.target).closest('.pane');
      const at = panes.findIndex((pane) => pane.element === element);
      if (at >= 0 && at !== active) setActive(at);
    });
  }
  /** @param {(pane: Pane) => void} call */
  const inPane = (call) => () => {
    if (panes[active]) call(panes[active]);
  };
  listenForKeys({
    j: inPane((pane) => pane.list.moveCursor(1)),
    k: inPane((pane) => pane.list.moveCursor(-1)),
    g: inPane((pane) => pane.list.toTop()),
    G: inPane((pane) => pane.list.follow()),
    ' ': inPane((pane) => pane.does.togglePause()),
    '/': inPane((pane) => pane.fields.focusFind()),
    n: inPane((pane) => pane.does.toHit(1)),
    N: inPane((pane) => pane.does.toHit(-1)),
    e: inPane((pane) => pane.does.toLevel(1, 1)),
    E: inPane((pane) => pane.does.toLevel(1, -1)),
    w: inPane((pane) => pane.does.toLevel(2, 1)),
    W: inPane((pane) => pane.does.toLevel(2, -1)),
    f: () => toFile(1),
    F: () => toFile(-1),
    m: inPane((pane) => pane.does.mark()),
    c: inPane((pane) => pane.copier.copy()),
    '[': () => toPane(-1),
    ']': () => toPane(1),
    l: toggleWrap,
    t: nextTimes,
    '?': () => help.showModal(),
    Enter: inPane((pane) => pane.does.enter()),
    Escape: inPane((pane) => pane.does.escape()),
    Home: inPane((pane) => pane.list.toTop()),
    End: inPane((pane) => pane.list.follow()),
    PageUp: inPane((pane) => pane.list.scrollRows(1 - pane.list.page)),
    PageDown: inPane((pane) => pane.list.scrollRows(pane.list.page - 1)),
    ArrowUp: inPane((pane) => pane.list.scrollRows(-1)),
    ArrowDown: inPane((pane) => pane.list.scrollRows(1)),
  });
  const retry = () => {
    for (const pane of panes) pane.feed.streams.retryWaiting();
  };
  addEventListener('online', retry);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', settingsChanged);
  addEventListener('pagehide', () => panes.length > 0 && writeAddress());
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState !== 'visible') return;
    files.refresh();
    retry();
  });
}

async function start() {
  const remembered = recall('language');
  const language = remembered === 'zh' || remembered === 'en' ? remembered : languageFor(navigator.languages);
  setLanguage(language);
  // Lines and the list of files are on their way while the rest is done.
  if (view.panes.length > 0) build();
  let listed = files.refresh();
  showWords(language);
  listen();
  setInterval(() => {
    if (document.visibilityState !== 'visible') return;
    for (const pane of panes) pane.tick();
  }, TICK);
  while (!(await listed)) {
    const nothing = get('nothing');
    nothing.hidden = panes.length > 0;
    nothing.textContent = t('noFiles');
    await new Promise((resolve) => setTimeout(resolve, LIST_AGAIN));
    listed = files.refresh();
  }
  get('nothing').hidden = true;
  if (panes.length === 0) {
    // What was looked at last, where the server still has it; else its default file.
    const last = readView(recall('view') ?? '');
    const known = last.panes.length > 0 && last.panes.every(({ file }) => files.find(file));
    view = known ? last : { ...view, panes: [paneOf(/** @type {string} */ (files.standard))], sizes: [1] };
    build();
  }
  closeEarly();
}

start();
