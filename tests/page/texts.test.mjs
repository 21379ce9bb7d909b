import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { languageFor, setLanguage, size, span, t } from '../../src/ui/texts.js';

const folder = new URL('../../src/ui/', import.meta.url);
const read = (name) => fs.readFileSync(new URL(name, folder), 'utf8');
const names = fs.readdirSync(folder);

test('the language follows the browser', () => {
  assert.equal(languageFor(['de', 'zh-TW', 'en']), 'zh');
  assert.equal(languageFor(['en-GB', 'zh']), 'en');
  assert.equal(languageFor(['fr']), 'en');
});

test('numbers, sizes and spans', () => {
  setLanguage('en');
  assert.equal(t('pill', { n: 1204 }), 'Paused · 1,204 new');
  assert.equal(t('emptyMissing', { file: '{n}' }), '{n} is not there yet.');
  assert.equal(size(0), '0 B');
  assert.equal(size(1_300), '1.3 KiB');
  assert.equal(size(48_213_377), '46 MiB');
  assert.equal(span(12_900), '12 s');
  assert.equal(span(-5), '0 s');
  assert.equal(span(3_700_000), '1 h');
  setLanguage('zh');
  assert.equal(span(61_000), '1 分钟');
  setLanguage('en');
});

test('every text the page asks for exists, in both languages', () => {
  const used = [...read('index.html').matchAll(/data-(?:text|label|placeholder|title)="(\w+)"/g)].map((match) => match[1]);
  for (const name of names.filter((file) => file.endsWith('.js'))) {
    for (const match of read(name).matchAll(/\bt\('(\w+)'|(?:mark|text): '(\w+)'|'((?:empty|no|search)[A-Z]\w+)'/g)) {
      used.push(match[1] ?? match[2] ?? match[3]);
    }
    for (const [, action] of read(name).matchAll(/button\('\w+', [^;]*?, '(\w+)'/g)) used.push(action);
  }
  const whys = ['Forbidden', 'Missing', 'Unreadable', 'Removed', 'Slow', 'Crowded', 'Shutdown', 'Idle', 'Asleep', 'Silent', 'Lost'];
  used.push(...whys.map((why) => `why${why}`));
  for (const mode of ['none', 'arrival_local', 'arrival_utc', 'line_local', 'line_utc']) used.push(`times_${mode}`);
  for (const theme of ['Auto', 'Light', 'Dark', 'Contrast']) used.push(`theme${theme}`);
  for (const what of ['Held', 'Filtered']) used.push(`export${what}Text`, `export${what}Json`);
  assert.ok(used.length > 100);
  for (const language of ['en', 'zh']) {
    setLanguage(language);
    for (const name of used) assert.ok(t(name), name);
  }
  setLanguage('en');
});
