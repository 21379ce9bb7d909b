import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import test from 'node:test';

const folder = new URL('../../src/ui/', import.meta.url);
const read = (name) => fs.readFileSync(new URL(name, folder), 'utf8');
const names = fs.readdirSync(folder);

/** What the server makes of several sources. */
const joined = ['page.js', 'page.css'];

/** What the server makes of a source before it sends it. */
function withoutComments(source) {
  let inComment = false;
  const out = [];
  for (const line of source.split('\n').map((text) => text.trim())) {
    inComment ||= line.startsWith('/*') && (line.endsWith('*/') || !line.includes('*/'));
    if (!inComment && line && !line.startsWith('//')) out.push(line.replaceAll(/\/\*\* @type.*?\*\/\s*/g, ''));
    if (line.endsWith('*/')) inComment = false;
  }
  return out.join('\n');
}

test('sources keep to the form in which comments can be left out', () => {
  for (const name of names.filter((file) => /\.(js|css)$/.test(file))) {
    const source = read(name);
    for (const line of source.split('\n')) {
      // A comment that begins behind code ends on its line, and has more code or nothing behind it.
      const opened = line.trim().startsWith('/*') ? '' : line.slice(line.search(/\/\*/) >= 0 ? line.indexOf('/*') : line.length);
      if (opened && !/['"`/]\/\*|\/\*'/.test(line)) assert.match(opened, /\*\//, `${name}: ${line}`);
    }
    // No text goes over lines: what stands in backticks begins and ends on its line, but for code within it.
    for (const line of withoutComments(source).split('\n')) {
      assert.equal(line.split('`').length % 2 === 1 || /\$\{[^}]*$|^[^`]*\}/.test(line), true, `${name}: ${line}`);
    }
  }
});

test('what is sent is code still', () => {
  for (const name of names.filter((file) => file.endsWith('.js') && file !== 'early.js')) {
    const checked = spawnSync(process.execPath, ['--check', '--input-type=module', '-'], { input: withoutComments(read(name)) });
    assert.equal(checked.status, 0, `${name}: ${checked.stderr}`);
  }
});

test('the page needs nothing that its content policy forbids, and only relative addresses', () => {
  const html = read('index.html');
  assert.doesNotMatch(html, /\sstyle=|\son\w+=|<style|javascript:/);
  assert.doesNotMatch(html, /<script(?![^>]*src=)/);
  for (const [, address] of html.matchAll(/(?:href|src)="([^"]*)"/g)) assert.match(address, /^(assets\/|api\/|#)/);
  for (const [, address] of html.matchAll(/"assets\/([^"]*)"/g)) assert.ok([...names, ...joined].includes(address), address);
  for (const name of names.filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/, name);
  }
});

test('modules keep to the form in which they can be joined', () => {
  const imports = /^import (\{ [\w$]+(?: as [\w$]+)?(?:, [\w$]+(?: as [\w$]+)?)* \}) from '\.\/([a-z]+\.js)';$/;
  const exports = /^export (?:async )?(?:class|function\*?|const) \w+/;
  const joinedSoFar = new Set();
  const join = (name, above) => {
    assert.ok(!above.includes(name), `in a circle: ${[...above, name].join(', ')}`);
    for (const line of withoutComments(read(name)).split('\n')) {
      // A value that changes behind its export would not be seen to.
      if (line.startsWith('export ')) assert.match(line, exports, name);
      assert.doesNotMatch(line, /\bimport[.(](?!.*\*\/)/, name);
      if (!line.startsWith('import ')) continue;
      assert.match(line, imports, name);
      join(imports.exec(line)[2], [...above, name]);
    }
    assert.doesNotMatch(read(name), /^(?:const .* = )?await /m, name);
    joinedSoFar.add(name);
  };
  join('app.js', []);
  // All of them are part of the page.
  assert.deepEqual(names.filter((file) => file.endsWith('.js') && file !== 'early.js' && !joinedSoFar.has(file)), []);
});
