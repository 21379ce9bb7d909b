import assert from 'node:assert/strict';
import test from 'node:test';
import { Filter, Finder, parseTerms, queryOf, takeText } from '../../src/ui/terms.js';

const passes = (text, line) => new Filter(parseTerms(text)).test(line);
const seen = (text) => parseTerms(text).map(({ source, exclude, pattern }) => `${exclude ? '-' : ''}${source}${pattern ? '' : ' bad'}`);

test('terms are plain text, quoted text or expressions', () => {
  assert.deepEqual(seen('  error -debug "two words" -"no no" /a b+/ -/x\\/y/ '), [
    'error', '-debug', 'two words', '-no no', 'a b+', '-x\\/y',
  ]);
  assert.deepEqual(seen('/var/log/x'), ['/var/log/x'], 'a path is no expression');
  assert.deepEqual(seen('a-b - -'), ['a-b', '-', '-']);
  assert.deepEqual(seen('"open'), ['open']);
  assert.deepEqual(seen(''), []);
  assert.deepEqual(seen('""'), []);
});

test('smart case, and nothing in a plain term is special', () => {
  assert.ok(passes('err', 'an ERROR'));
  assert.ok(passes('Err', 'an Error'));
  assert.ok(!passes('Err', 'an error'));
  assert.ok(passes('a.b*[c]', 'xa.b*[c]'));
  assert.ok(!passes('a.b', 'axb'));
  assert.ok(passes('错误', '有错误'));
  assert.ok(passes('/\\S+\\d/', 'A1'), 'what follows a backslash is no capital');
  assert.ok(passes('/err/', 'ERR'));
  assert.ok(!passes('/Err/', 'ERR'));
});

test('every term has to be there, and none that is excluded', () => {
  assert.ok(passes('a b', 'b a'));
  assert.ok(!passes('a b', 'a'));
  assert.ok(!passes('a -b', 'a b'));
  assert.ok(passes('-b', 'a'));
});

test('a bad expression keeps what was there, and says what is wrong', () => {
  const make = (terms) => new Filter(terms);
  const good = takeText('/a+/', make, null);
  const bad = takeText('/a(/', make, good.value);
  assert.equal(bad.value, good.value);
  assert.ok(bad.error.length > 3);
  assert.deepEqual(takeText('', make, good.value), { value: null, error: '' });
});

test('spans of several terms, each with a colour', () => {
  const finder = new Finder(parseTerms('a /b+/'));
  assert.deepEqual(finder.spans('abba'), [
    { from: 0, to: 1, colour: 0 },
    { from: 3, to: 4, colour: 0 },
    { from: 1, to: 3, colour: 1 },
  ]);
  assert.ok(new Finder(parseTerms('/x*/')).spans('aaa').length === 0, 'nothing is no hit');
  assert.ok(new Finder(parseTerms('a')).spans('a'.repeat(9_999)).length <= 500);
});

test('terms are one search of the server, which finds what any of them finds', () => {
  const query = (text) => queryOf(new Finder(parseTerms(text)).terms);
  assert.deepEqual(query('err'), { text: 'err', regex: false, case: 'insensitive' });
  assert.deepEqual(query('-x Err'), { text: 'Err', regex: false, case: 'sensitive' });
  assert.deepEqual(query('a.b Err'), { text: '(?i:a\\.b)|(?-i:Err)', regex: true, case: 'sensitive' });
  assert.deepEqual(query('/x\\d\\w\\\\b/').text, '(?i:x\\d[0-9A-Za-z_]\\\\b)');
  assert.deepEqual(query('/[\\d.]+ms\\b/ "two words"').text, '(?i:[\\d.]+ms(?-u:\\b))|(?i:two words)');
});
