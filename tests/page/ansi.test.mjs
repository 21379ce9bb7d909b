import assert from 'node:assert/strict';
import test from 'node:test';
import { paint, parse, plain } from '../../src/ui/ansi.js';

const E = '\x1b[';
const text = (line) => parse(line).segments.map((segment) => segment.text).join('');
const names = (line) => parse(line).segments.map((segment) => [segment.text, segment.names]);

test('a plain line is one piece', () => {
  assert.deepEqual(names('nothing\tspecial 中文'), [['nothing\tspecial 中文', '']]);
  assert.deepEqual(names(''), []);
});

test('the sixteen colours and the type styles become classes', () => {
  assert.deepEqual(names(`${E}31mred${E}0m no ${E}1;3;4;94mall${E}m`), [
    ['red', 'fg1'],
    [' no ', ''],
    ['all', 'bold italic underline fg12'],
  ]);
  assert.deepEqual(names(`${E}2mdim${E}22mnot`), [
    ['dim', 'dim'],
    ['not', ''],
  ]);
  assert.deepEqual(names(`${E}4:0mno${E}4:3myes`), [
    ['no', ''],
    ['yes', 'underline'],
  ]);
});

test('256 and true colours become CSS colours, in both spellings', () => {
  const colours = (line) => parse(line).segments.map(({ colour, ground }) => colour ?? ground);
  assert.deepEqual(colours(`${E}38;5;196ma`), ['rgb(255,0,0)']);
  assert.deepEqual(colours(`${E}38;5;244ma`), ['rgb(128,128,128)']);
  assert.deepEqual(colours(`${E}38;2;1;2;3ma`), ['rgb(1,2,3)']);
  assert.deepEqual(colours(`${E}38:2::1:2:3ma`), ['rgb(1,2,3)']);
  assert.deepEqual(colours(`${E}38:2:1:2:3ma`), ['rgb(1,2,3)']);
  assert.deepEqual(colours(`${E}48;2;9;8;7ma`), ['rgb(9,8,7)']);
  assert.deepEqual(names(`${E}38;5;9ma`), [['a', 'fg9']]);
  assert.deepEqual(names(`${E}38;5;9;1ma`), [['a', 'bold fg9']]);
  assert.deepEqual(names(`${E}58;5;1;31ma`), [['a', 'fg1']]);
});

test('colours that do not exist change nothing', () => {
  for (const bad of ['38;5;256', '38;2;1;2;999', '38;5', '38', '99999999999']) {
    const [segment] = parse(`${E}${bad}ma`).segments;
    assert.equal(segment.text, 'a', bad);
    assert.equal(segment.colour, undefined, bad);
  }
});

test('text is never made invisible by its ground', () => {
  assert.deepEqual(names(`${E}31;41ma`), [['a', 'fg1']]);
  assert.deepEqual(names(`${E}30;42ma`), [['a', 'solid2']]);
  assert.deepEqual(names(`${E}7ma`), [['a', 'solid']]);
  assert.deepEqual(names(`${E}8ma`), [['a', '']]);
});

test('all other sequences vanish', () => {
  assert.equal(text(`a${E}2J${E}?25l${E}10;20Hb`), 'ab');
  assert.equal(text('a\x1b]0;title\x07b\x1b]8;;https://x\x1b\\c\x1b]8;;\x1b\\d'), 'abcd');
  assert.equal(text('a\x1bPq#0\x1b\\b\x1b_app\x1b\\c\x1b^pm\x1b\\d\x1bXsos\x1b\\e'), 'abcde');
  assert.equal(text('a\x1b(Bb\x1b7c\x1b=d\x1b#8e'), 'abcde');
  assert.equal(text('a\x9b31mb\x9d0;t\x9cc'), 'abc');
  assert.equal(text(`a${E}>4;2mb`), 'ab');
});

test('sequences without an end vanish as well', () => {
  assert.equal(text('a\x1b'), 'a');
  assert.equal(text('a\x1b['), 'a');
  assert.equal(text('a\x1b[31'), 'a');
  assert.equal(text('a\x1b]8;;http://evil'), 'a');
  assert.equal(text('a\x1bP never'), 'a');
  assert.equal(text('a\x1b[31中b'), 'a中b');
  assert.equal(text('a\x1b中b'), 'a中b');
});

test('control and bidi characters are made visible', () => {
  assert.equal(text('\0\x07\r\x7f'), '␀␇␍␡');
  assert.equal(text('a\u202eb\u2066c\u200b\ufeff\u2028\x85'), 'a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩⟨U+FEFF⟩⟨U+2028⟩⟨U+0085⟩');
  assert.deepEqual(names('a\0'), [
    ['a', ''],
    ['␀', 'ctl'],
  ]);
});

test('a long line is cut, between whole characters, and the rest is counted', () => {
  assert.deepEqual(parse('abcdef', 4), { segments: [{ text: 'abcd', names: '' }], hidden: 2 });
  assert.equal(parse('abcd', 4).hidden, 0);
  const cut = parse('abc😀d', 4);
  assert.equal(cut.segments[0].text, 'abc');
  assert.equal(cut.hidden, 3);
  assert.equal(parse(`abcd${E}31mef\0`, 4).hidden, 3);
});

test('plain text is what is seen', () => {
  assert.equal(plain('as it is'), 'as it is');
  assert.equal(plain(`${E}31mre${E}0md\r`), 'red␍');
});

test('a range can be painted across pieces', () => {
  const { segments } = parse(`ab${E}31mcd${E}0mef`);
  assert.deepEqual(
    paint(segments, 1, 5, 'hit').map((segment) => [segment.text, segment.names]),
    [
      ['a', ''],
      ['b', 'hit'],
      ['cd', 'fg1 hit'],
      ['e', 'hit'],
      ['f', ''],
    ],
  );
});

test('a hostile line takes no time', () => {
  const start = performance.now();
  for (const piece of ['\x1b[', '\x1b]', '\x1b', '\x1b[;', '\x1b[1m', '\0', '\x9b']) parse(piece.repeat(32_768), 2_000);
  parse(`\x1b[${'1;'.repeat(32_768)}m`);
  assert.ok(performance.now() - start < 2_000);
});
