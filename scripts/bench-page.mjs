// Measures the page in a browser while a file grows at some rates: frames, long tasks, heap, and the delay from the
// write of a line to its pixel; then how long it takes from opening it to the first lines. The yardstick is a bare page
// whose rows of text all change in every frame.

import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBrowser, startServer, sleep } from './browser.mjs';

const [binary, seconds = '10'] = process.argv.slice(2);
const SECONDS = Number(seconds);
const PANES = 20;

/** Lines are written so often, as a busy program does. */
const TICK = 10;

const folder = mkdtempSync(join(tmpdir(), 'tailcast-bench-'));
const names = Array.from({ length: PANES }, (_, at) => `${at + 1}.log`);
const files = names.map((name) => openSync(join(folder, name), 'a'));

/** Writes to some files, so many lines a second in all, each with the time of its write. */
async function write(targets, rate) {
  const begun = performance.now();
  let written = 0;
  while (performance.now() - begun < SECONDS * 1000) {
    const due = Math.floor(((performance.now() - begun) / 1000) * rate);
    const texts = targets.map(() => '');
    for (; written < due; written += 1) {
      const level = written % 50 === 0 ? 'ERROR' : written % 9 === 0 ? 'DEBUG' : 'INFO';
      const now = performance.timeOrigin + performance.now();
      texts[written % targets.length] += `${now.toFixed(2)} ${level} worker-${written % 16} request ${written} took 12 ms\n`;
    }
    for (const [at, text] of texts.entries()) if (text) writeSync(targets[at], text);
    await sleep(TICK);
  }
}

/** Counts in the page what is seen of it. */
const WATCH = `
  const watch = (window.watch = { frames: 0, begun: performance.now(), delays: [], long: 0, longest: 0, observer: null });
  watch.observer = new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      watch.long += 1;
      watch.longest = Math.max(watch.longest, duration);
    }
  });
  watch.observer.observe({ type: 'longtask' });
  let last = '';
  const painted = new MessageChannel();
  let seen = 0;
  painted.port1.onmessage = () => {
    if (seen) watch.delays.push(performance.timeOrigin + performance.now() - seen);
    seen = 0;
  };
  const frame = () => {
    watch.frames += 1;
    const text = document.querySelector('.pane .row:last-child .text')?.textContent ?? '';
    if (text !== last) {
      last = text;
      seen = Number(text.split(' ')[0]);
      painted.port2.postMessage(0);
    }
    watch.request = requestAnimationFrame(frame);
  };
  frame();
`;
const COUNT = `
  const { frames, begun, delays, long, longest, observer, request } = window.watch;
  cancelAnimationFrame(request);
  observer.disconnect();
  gc();
  delays.sort((a, b) => a - b);
  const at = (share) => delays[Math.min(delays.length - 1, Math.floor(delays.length * share))] ?? NaN;
  return {
    fps: (frames / (performance.now() - begun)) * 1000,
    long, longest,
    heap: performance.memory.usedJSHeapSize / 1048576,
    median: at(0.5), p99: at(0.99), samples: delays.length,
    rows: document.querySelectorAll('.row').length,
  };
`;
const BARE = `
  document.body.style.cssText = 'margin:0;font:13px/19px monospace;white-space:pre;overflow:hidden';
  const rows = Array.from({ length: arguments[0] }, () => document.body.appendChild(document.createElement('div')));
  let n = 0;
  const frame = () => {
    n += 1;
    for (const [at, row] of rows.entries()) row.textContent = n + ' INFO worker-' + at + ' request ' + (n + at) + ' took 12 ms';
    requestAnimationFrame(frame);
  };
  frame();
`;

/** From the beginning of each page on: milliseconds from the beginning of the navigation until lines are painted. */
const FIRST = `
  window.firstLines = new Promise((resolve) => {
    const painted = new MessageChannel();
    painted.port1.onmessage = () => resolve(performance.now());
    const frame = () => {
      if (document.querySelector('.pane .row .text')) painted.port2.postMessage(0);
      else requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  });
`;
const OPENINGS = 9;

/** Opens the page at a file that has some lines. */
async function open(browser, address) {
  await browser.goto('about:blank');
  const { identifier } = await browser.tool('Page.addScriptToEvaluateOnNewDocument', { source: FIRST });
  await browser.goto(address);
  await browser.tool('Page.removeScriptToEvaluateOnNewDocument', { identifier });
  return browser.run('return window.firstLines');
}

/** The same in a browser that has just been started and has nothing in its cache. */
async function openFirst(address) {
  const fresh = await startBrowser({ width: 1280, height: 800, dark: true });
  try {
    return await open(fresh, address);
  } finally {
    await fresh.end();
  }
}

/** Says how long some openings took. */
async function measureOpenings(name, opening) {
  const times = [];
  for (let count = 0; count < OPENINGS; count += 1) times.push(await opening());
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  console.log(`first lines on screen, ${name}: ${number(median)} ms, at most ${number(times.at(-1))} ms (${OPENINGS} openings)`);
}

const number = (value, digits = 0) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
const columns = ['lines/s', 'panes', 'fps', 'of bare', 'long tasks', 'longest ms', 'heap MiB', 'delay p50 ms', 'p99 ms'];
const line = (cells) => console.log(cells.map((cell, at) => String(cell).padStart(Math.max(columns[at].length, 7))).join('  '));

const server = await startServer(binary, names.flatMap((name) => ['--file', name]), folder);
const browser = await startBrowser({ width: 1280, height: 800, dark: true });
try {
  /** Frames a second of a bare page. */
  const bare = async (rows) => {
    await browser.goto('about:blank');
    await browser.run(BARE, rows);
    await browser.run(WATCH);
    await sleep(3_000);
    return (await browser.run(COUNT)).fps;
  };
  line(columns);
  for (const [rate, panes] of [[100, 1], [1_000, 1], [10_000, 1], [10_000, 3], [10_000, PANES]]) {
    const shown = names.slice(0, panes);
    await browser.goto(`${server.address}/?${shown.map((name) => `file=${name}`).join('&')}`);
    await browser.until(`document.querySelectorAll('.state.live').length === ${panes}`);
    const writing = write(files.slice(0, panes), rate);
    await sleep(1_000);
    await browser.run(WATCH);
    await writing;
    const { fps, long, longest, heap, median, p99, rows } = await browser.run(COUNT);
    const yardstick = await bare(rows);
    line([rate, panes, number(fps), number(fps / yardstick, 2), long, number(longest), number(heap, 1), number(median, 1), number(p99, 1)]);
  }
  const address = `${server.address}/?file=${names[0]}`;
  await open(browser, address);
  await measureOpenings('opened again', () => open(browser, address));
  await measureOpenings('in an empty cache', async () => {
    await browser.tool('Network.clearBrowserCache', {});
    return open(browser, address);
  });
  await measureOpenings('in a new browser', () => openFirst(address));
} finally {
  await browser.end();
  server.end();
  files.forEach((file) => closeSync(file));
  rmSync(folder, { recursive: true, force: true });
}
