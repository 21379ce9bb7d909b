// A browser without a window, driven through chromedriver over plain HTTP, and the program beside it.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What Chromium needs in a container, and what keeps it from talking to anyone but us. */
const ARGUMENTS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--enable-precise-memory-info', '--js-flags=--expose-gc',
  '--hide-scrollbars=false',
];

/** A machine without a screen has no mouse either, and what shows under the pointer alone would always show. */
const MOUSE = '--blink-settings=availableHoverTypes=2,primaryHoverType=2,availablePointerTypes=4,primaryPointerType=4';

/** Starts a program and waits for a line of it that fits. */
async function start(command, args, options, wanted) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'], ...options });
  const ended = new Promise((_, reject) => child.on('error', reject).on('exit', () => reject(new Error(`${command} ended`))));
  ended.catch(() => {});
  const lines = createInterface({ input: child.stdout });
  const found = new Promise((resolve) => {
    lines.on('line', (line) => {
      const match = wanted.exec(line);
      if (match) resolve(match[1]);
    });
  });
  return { child, found: await Promise.race([found, ended]) };
}

/** The program, listening on a free port. */
export async function startServer(binary, args, cwd) {
  const { child, found } = await start(binary, [...args, '--listen', '127.0.0.1:0'], { cwd }, /listening on (http:\S+)/);
  return { address: found, end: () => child.kill() };
}

export async function startBrowser({ width, height, language = 'en', dark = false, mouse = true }) {
  const { child, found: port } = await start('chromedriver', ['--port=0'], {}, /started successfully on port (\d+)/);
  const profile = mkdtempSync(join(tmpdir(), 'tailcast-browser-'));
  const ask = async (method, path, body) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method, body: body && JSON.stringify(body) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(`${method} ${path}: ${value.message}`);
    return value;
  };
  const { sessionId } = await ask('POST', '/session', {
    capabilities: {
      alwaysMatch: {
        'goog:chromeOptions': {
          binary: '/usr/bin/chromium',
          args: [...ARGUMENTS, ...(mouse ? [MOUSE] : []), `--user-data-dir=${profile}`, `--lang=${language}`, `--window-size=${width},${height}`],
          prefs: { 'intl.accept_languages': language },
        },
      },
    },
  });
  const session = (method, path, body = method === 'POST' ? {} : undefined) => ask(method, `/session/${sessionId}${path}`, body);
  const tool = (cmd, params) => session('POST', '/goog/cdp/execute', { cmd, params });
  await tool('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
  const features = [{ name: 'prefers-color-scheme', value: dark ? 'dark' : 'light' }];
  await tool('Emulation.setEmulatedMedia', { features });
  return {
    tool,
    goto: (url) => session('POST', '/url', { url }),
    run: (script, ...args) => session('POST', '/execute/sync', { script, args }),
    async: (script, ...args) => session('POST', '/execute/async', { script, args }),
    async until(script, seconds = 20) {
      for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
        if (await this.run(`return ${script}`)) return;
        await sleep(50);
      }
      throw new Error(`waited in vain for ${script}`);
    },
    shot: async (file) => writeFileSync(file, Buffer.from(await session('GET', '/screenshot'), 'base64')),
    async end() {
      await session('DELETE', '').catch(() => {});
      child.kill();
      await new Promise((resolve) => child.on('exit', resolve));
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

export const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
