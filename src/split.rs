//! Bytes to lines: a pure function of the bytes, however they are cut.
//!
//! `\n` and `\r\n` end a line. In every encoding of the WHATWG standard but UTF-16 the byte 0x0A is nothing but a line
//! end; in UTF-16 it is one only as a whole unit of two bytes. Memory is bounded by `max_line`, whatever the file holds.

use memchr::memchr;

/// In what a line end is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Single bytes: ASCII-compatible encodings.
    Byte,
    /// Units of two bytes, the low one first: UTF-16LE.
    Little,
    /// Units of two bytes, the high one first: UTF-16BE.
    Big,
}

impl Unit {
    /// Bytes of a unit.
    pub fn width(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Little | Self::Big => 2,
        }
    }

    /// Offset of the first line end in bytes that begin on a unit.
    pub fn find_line_end(self, bytes: &[u8]) -> Option<usize> {
        if self == Self::Byte {
            return memchr(b'\n', bytes);
        }
        memchr::memchr_iter(b'\n', bytes).find_map(|at| {
            let start = at & !1;
            (bytes.get(start..start + 2)? == self.encode(b'\n')).then_some(start)
        })
    }

    /// Offset of the last line end in bytes that begin on a unit.
    pub fn rfind_line_end(self, bytes: &[u8]) -> Option<usize> {
        if self == Self::Byte {
            return memchr::memrchr(b'\n', bytes);
        }
        memchr::memrchr_iter(b'\n', bytes).find_map(|at| {
            let start = at & !1;
            (bytes.get(start..start + 2)? == self.encode(b'\n')).then_some(start)
        })
    }

    fn encode(self, ascii: u8) -> &'static [u8] {
        match (self, ascii) {
            (Self::Byte, b'\n') => b"\n",
            (Self::Byte, _) => b"\r",
            (Self::Little, b'\n') => b"\n\0",
            (Self::Little, _) => b"\r\0",
            (Self::Big, b'\n') => b"\0\n",
            (Self::Big, _) => b"\0\r",
        }
    }

    /// Bytes without one `\r` at their end.
    fn strip_return(self, bytes: &[u8]) -> &[u8] {
        match bytes.strip_suffix(self.encode(b'\r')) {
            Some(stripped) if stripped.len().is_multiple_of(self.width()) => stripped,
            _ => bytes,
        }
    }
}

/// A line as it stands in the file, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line, or its first `max_line` bytes where it is longer.
    pub bytes: &'a [u8],
    /// How long the whole line is, in bytes of the file.
    pub len: u64,
}

/// Cuts a stream of bytes into lines.
///
/// Holds the beginning of the line that has no end yet. It wants bytes that begin on a unit and in which every run of
/// NULs that could be a hole (see [`skip_holes`]) is whole.
#[derive(Debug)]
pub struct Splitter {
    unit: Unit,
    max_line: usize,
    /// The line so far: never longer than `max_line` and a `\r`, which may yet turn out to be part of the line end.
    carry: Vec<u8>,
    /// Bytes of the line that came after the carry was full.
    beyond: u64,
    /// The last unit that came after the carry was full, which may be a `\r` before the line end.
    beyond_last: [u8; 2],
    /// Part of this line was sent already as one of its own: if only the line end follows, it is no line.
    continued: bool,
    /// The line was cut and sent before its end came: skip up to there.
    skipping: bool,
}

impl Splitter {
    /// A splitter at the beginning of a line.
    pub fn new(unit: Unit, max_line: usize) -> Self {
        Self {
            unit,
            max_line,
            carry: Vec::new(),
            beyond: 0,
            beyond_last: [0; 2],
            continued: false,
            skipping: false,
        }
    }

    /// A splitter somewhere in a line that is not to be sent: it begins with the next one.
    pub fn inside_line(unit: Unit, max_line: usize) -> Self {
        Self {
            skipping: true,
            ..Self::new(unit, max_line)
        }
    }

    /// Bytes after which a line is cut.
    pub fn max_line(&self) -> usize {
        self.max_line
    }

    /// Whether what comes next begins a line, so that nothing which came before matters.
    pub fn is_at_line_start(&self) -> bool {
        self.carry.is_empty() && !self.skipping && !self.continued
    }

    /// A splitter behind a partial line that was sent: what follows is a line of its own, unless it is only the end.
    pub fn after_partial_line(unit: Unit, max_line: usize) -> Self {
        Self {
            continued: true,
            ..Self::new(unit, max_line)
        }
    }

    /// In what it looks for line ends.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Takes the next bytes of the file and hands on the lines that they end, each with where among these bytes its end
    /// was.
    pub fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Line<'_>, usize)) {
        let fed = bytes.len();
        while let Some(end) = self.unit.find_line_end(bytes) {
            let (line, rest) = bytes.split_at(end);
            bytes = rest.get(self.unit.width()..).unwrap_or_default();
            let behind = fed - bytes.len();
            if self.skipping {
                self.skipping = false;
            } else if self.carry.is_empty() {
                let whole = self.unit.strip_return(line);
                if !(whole.is_empty() && self.continued) {
                    take(Line::cut(whole, whole.len() as u64, self.max_line), behind);
                }
            } else {
                self.hold(line);
                let len = self.len_at_end();
                if !(len == 0 && self.continued) {
                    let held = usize::try_from(len).map_or(self.carry.len(), |len| len.min(self.carry.len()));
                    let line = Line::cut(self.carry.get(..held).unwrap_or_default(), len, self.max_line);
                    take(line, behind);
                }
                self.carry.clear();
                self.beyond = 0;
            }
            self.continued = false;
        }
        if !self.skipping {
            self.hold(bytes);
        }
        if self.carry.is_empty() {
            // A quiet file holds no memory for lines that are gone.
            self.carry = Vec::new();
        }
    }

    fn hold(&mut self, bytes: &[u8]) {
        let room = (self.max_line + self.unit.width()).saturating_sub(self.carry.len());
        let (kept, beyond) = bytes.split_at(room.min(bytes.len()));
        self.carry.extend_from_slice(kept);
        self.beyond += beyond.len() as u64;
        match *beyond {
            [.., high, low] => self.beyond_last = [high, low],
            [only] => self.beyond_last = [self.beyond_last[1], only],
            [] => {}
        }
    }

    /// Length of the held line if its end came now.
    fn len_at_end(&self) -> u64 {
        let (len, last) = if self.beyond == 0 {
            (self.carry.len() as u64, self.carry.as_slice())
        } else {
            let last = match self.unit {
                Unit::Byte => self.beyond_last.get(1..),
                Unit::Little | Unit::Big => self.beyond_last.get(..),
            };
            (self.carry.len() as u64 + self.beyond, last.unwrap_or_default())
        };
        len - (last.len() - self.unit.strip_return(last).len()) as u64
    }

    /// The line so far, without a final `\r`; none where nothing is held or the rest of a cut line is being skipped.
    pub fn partial(&self) -> Option<Line<'_>> {
        let len = self.len_at_end();
        if self.skipping || len == 0 {
            return None;
        }
        let held = usize::try_from(len).map_or(self.carry.len(), |len| len.min(self.carry.len()));
        Some(Line::cut(self.carry.get(..held)?, len, self.max_line))
    }

    /// Whether bytes of a line without its end are held.
    pub fn holds_partial(&self) -> bool {
        !self.carry.is_empty()
    }

    /// Whether the rest of a line is being skipped.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Bytes held of the line without its end, as far as they are kept.
    pub fn held(&self) -> usize {
        self.carry.len()
    }

    /// Makes the first `sent` bytes of [`partial`](Self::partial) a line of their own, which was sent. Where that line
    /// was cut, the rest of it will be skipped.
    pub fn part(&mut self, sent: usize) {
        if self.beyond > 0 || self.len_at_end() > self.max_line as u64 {
            self.skipping = true;
            self.carry = Vec::new();
            self.beyond = 0;
        } else {
            self.carry.drain(..sent.min(self.carry.len()));
            self.continued = true;
        }
    }
}

impl<'a> Line<'a> {
    /// A line of `len` bytes, of which these were held.
    pub fn cut(held: &'a [u8], len: u64, max_line: usize) -> Self {
        Self {
            bytes: held.get(..max_line).unwrap_or(held),
            len,
        }
    }
}

/// A run of so many NULs or more is a hole in the file, not text.
pub const HOLE_BYTES: usize = 64;

/// Length of the run of NULs at the beginning.
pub fn leading_nuls(bytes: &[u8]) -> usize {
    let whole: usize = bytes.chunks(HOLE_BYTES).take_while(all_nuls).map(<[u8]>::len).sum();
    let mut rest = bytes.iter().skip(whole);
    whole + rest.position(|&b| b != 0).unwrap_or(0)
}

/// Length of the run of NULs at the end.
pub fn trailing_nuls(bytes: &[u8]) -> usize {
    let whole: usize = bytes.rchunks(HOLE_BYTES).take_while(all_nuls).map(<[u8]>::len).sum();
    let mut rest = bytes.iter().rev().skip(whole);
    whole + rest.position(|&b| b != 0).unwrap_or(0)
}

/// Without an early end, which lets the processor take many bytes at a time.
fn all_nuls(bytes: &&[u8]) -> bool {
    bytes.iter().fold(0, |seen, byte| seen | byte) == 0
}

/// Hands on the bytes between holes, each part with where it begins. In units of two bytes a hole begins and ends on a
/// unit.
pub fn skip_holes<'a>(unit: Unit, bytes: &'a [u8], take: &mut impl FnMut(usize, &'a [u8])) {
    let width = unit.width();
    let mut text_start = 0;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr(0, rest)) {
        let start = (at + found).next_multiple_of(width);
        let run = bytes.get(start..).map_or(0, leading_nuls) / width * width;
        if run >= HOLE_BYTES {
            take(text_start, bytes.get(text_start..start).unwrap_or_default());
            text_start = start + run;
        }
        at = start + run.max(1);
    }
    take(text_start, bytes.get(text_start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Lines as (held bytes, length), fed in parts that end at `cuts`.
    fn split(splitter: &mut Splitter, parts: &[&[u8]]) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Vec::new();
        for part in parts {
            splitter.feed(part, &mut |line, _| lines.push((line.bytes.to_vec(), line.len)));
        }
        lines
    }

    fn texts(max_line: usize, parts: &[&str]) -> Vec<String> {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        split(&mut Splitter::new(Unit::Byte, max_line), &parts)
            .into_iter()
            .map(|(bytes, _)| String::from_utf8(bytes).unwrap())
            .collect()
    }

    #[test]
    fn both_line_ends_end_a_line_and_an_empty_line_is_one() {
        assert_eq!(texts(99, &["a\nb\r\n\n\r\nc"]), ["a", "b", "", ""]);
        assert_eq!(texts(99, &["a\r", "\nb\n"]), ["a", "b"]);
        assert_eq!(
            texts(99, &["a\rb\r\r\n"]),
            ["a\rb\r"],
            "only the last \\r belongs to the end"
        );
        assert_eq!(texts(99, &["", "a", "", "b", "\n"]), ["ab"]);
    }

    #[test]
    fn a_long_line_is_held_up_to_the_limit_and_counted_whole() {
        let mut splitter = Splitter::new(Unit::Byte, 16);
        let long = [b'x'; 100];
        let lines = split(&mut splitter, &[&long, &long, b"\r", b"\nshort\n"]);
        assert_eq!(lines, [(vec![b'x'; 16], 200), (b"short".to_vec(), 5)]);
        assert_eq!(
            split(&mut splitter, &[&[b'y'; 16], b"\r\n"]),
            [(vec![b'y'; 16], 16)],
            "exactly the limit"
        );
        assert_eq!(split(&mut splitter, &[&[b'y'; 17], b"\n"]), [(vec![b'y'; 16], 17)]);
        assert_eq!(split(&mut splitter, &[&[b'z'; 40], b"\n"]), [(vec![b'z'; 16], 40)]);
        splitter.feed(&[b'x'; 100_000], &mut |_, _| {});
        assert!(splitter.held() <= 17);
    }

    #[test]
    fn what_follows_a_partial_line_that_was_sent_is_a_line_of_its_own_unless_it_is_only_the_end() {
        let mut splitter = Splitter::new(Unit::Byte, 99);
        for (end, expected) in [
            ("\n", vec![]),
            ("\r\n", vec![]),
            ("more\n", vec![(b"more".to_vec(), 4)]),
        ] {
            split(&mut splitter, &[b"part"]);
            assert_eq!(splitter.partial().map(|line| line.bytes), Some(&b"part"[..]));
            splitter.part(4);
            assert_eq!(splitter.partial(), None);
            assert_eq!(split(&mut splitter, &[end.as_bytes()]), expected, "{end:?}");
            assert_eq!(
                split(&mut splitter, &[b"\n"]),
                [(vec![], 0)],
                "the next empty line is one"
            );
        }
    }

    #[test]
    fn where_lines_end_is_told_in_bytes_of_what_is_fed() {
        let ends = |unit, parts: &[&[u8]]| {
            let mut splitter = Splitter::new(unit, 8);
            let mut ends = Vec::new();
            for part in parts {
                splitter.feed(part, &mut |_, end| ends.push(end));
            }
            ends
        };
        assert_eq!(ends(Unit::Byte, &[b"a\nbc\r\n\nd", b"e\nf", b"\n"]), [2, 6, 7, 2, 1]);
        assert_eq!(ends(Unit::Byte, &[&[b'x'; 100], b"xx\n"]), [3], "a cut line");
        assert_eq!(ends(Unit::Little, &[b"a\0\n\0", b"\n\0"]), [4, 2]);
        let mut at = Vec::new();
        skip_holes(
            Unit::Byte,
            &[b"ab".to_vec(), vec![0; 64], b"c".to_vec()].concat(),
            &mut |start, _| at.push(start),
        );
        assert_eq!(at, [0, 66]);
    }

    #[test]
    fn behind_a_partial_line_only_the_line_end_is_no_line() {
        for (text, expected) in [("\na\n", vec!["a"]), ("\r\na\n", vec!["a"]), ("b\na\n", vec!["b", "a"])] {
            let mut splitter = Splitter::after_partial_line(Unit::Byte, 99);
            let lines = split(&mut splitter, &[text.as_bytes()]);
            let lines: Vec<_> = lines
                .into_iter()
                .map(|(line, _)| String::from_utf8(line).unwrap())
                .collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }

    #[test]
    fn a_final_return_is_kept_back_from_a_partial_line() {
        let mut splitter = Splitter::new(Unit::Byte, 99);
        split(&mut splitter, &[b"part\r"]);
        assert_eq!(splitter.partial().map(|line| line.bytes), Some(&b"part"[..]));
        splitter.part(4);
        assert_eq!(split(&mut splitter, &[b"\n"]), []);
    }

    #[test]
    fn a_cut_line_sent_early_is_skipped_to_its_end() {
        let mut splitter = Splitter::new(Unit::Byte, 16);
        split(&mut splitter, &[&[b'x'; 40]]);
        assert_eq!(
            splitter.partial(),
            Some(Line {
                bytes: &[b'x'; 16],
                len: 40
            })
        );
        splitter.part(16);
        assert_eq!(
            split(&mut splitter, &[&[b'x'; 40], b"\nnext\n"]),
            [(b"next".to_vec(), 4)]
        );
    }

    #[test]
    fn utf16_line_ends_are_whole_units() {
        for (unit, encode) in [
            (Unit::Little, u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (Unit::Big, u16::to_be_bytes as fn(u16) -> [u8; 2]),
        ] {
            let bytes = |text: &str| text.encode_utf16().flat_map(encode).collect::<Vec<u8>>();
            // U+0A0A and U+0A00 U+000D hold the bytes of line ends in other places.
            let text = bytes("a\u{0a0a}b\r\n\u{010a}\u{0a00}\u{0a01}\n\r\n");
            let lines = split(&mut Splitter::new(unit, 99), &[&text]);
            let expected: Vec<Vec<u8>> = ["a\u{0a0a}b", "\u{010a}\u{0a00}\u{0a01}", ""]
                .iter()
                .map(|text| bytes(text))
                .collect();
            assert_eq!(
                lines.into_iter().map(|(bytes, _)| bytes).collect::<Vec<_>>(),
                expected,
                "{unit:?}"
            );
            assert_eq!(unit.rfind_line_end(&text), Some(text.len() - 2));
        }
    }

    #[test]
    fn holes_are_skipped_and_short_runs_of_nul_are_passed_on() {
        let parts = |unit, bytes: &[u8]| {
            let mut out = Vec::new();
            skip_holes(unit, bytes, &mut |_, part: &[u8]| out.extend_from_slice(part));
            out
        };
        let run = |len: usize| vec![0_u8; len];
        assert_eq!(
            parts(Unit::Byte, &[b"a".to_vec(), run(64), b"b".to_vec()].concat()),
            b"ab"
        );
        assert_eq!(parts(Unit::Byte, &[run(1000), b"b".to_vec(), run(70)].concat()), b"b");
        for len in [0, 1, 63, 64, 65, 1000] {
            let nuls = run(len);
            let [before, after] = [
                [nuls.clone(), b"a".to_vec()].concat(),
                [b"a".to_vec(), nuls.clone()].concat(),
            ];
            assert_eq!((leading_nuls(&nuls), trailing_nuls(&nuls)), (len, len));
            assert_eq!((leading_nuls(&before), trailing_nuls(&before)), (len, 0));
            assert_eq!((leading_nuls(&after), trailing_nuls(&after)), (0, len));
        }
        let short = [b"a".to_vec(), run(63), b"b".to_vec()].concat();
        assert_eq!(parts(Unit::Byte, &short), short);
        assert_eq!(
            parts(Unit::Little, &[b"\n\0".to_vec(), run(64), b"b\0".to_vec()].concat()),
            b"\n\0b\0"
        );
        assert_eq!(
            parts(Unit::Big, &[b"\0\n".to_vec(), run(64), b"\0b".to_vec()].concat()),
            b"\0\n\0b"
        );
        let text = b"h\0i\0\n\0".to_vec();
        assert_eq!(parts(Unit::Little, &text), text);
    }

    proptest! {
        #[test]
        fn whatever_the_cuts_the_lines_are_the_same(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(b'b')], 0..300),
            cuts in proptest::collection::vec(1_usize..40, 1..50),
            max_line in 16_usize..40,
        ) {
            let whole = split(&mut Splitter::new(Unit::Byte, max_line), &[&text]);
            let mut rest = text.as_slice();
            let mut parts = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                parts.push(part);
                rest = after;
            }
            let mut splitter = Splitter::new(Unit::Byte, max_line);
            prop_assert_eq!(&split(&mut splitter, &parts), &whole);
            let expected: Vec<(Vec<u8>, u64)> = {
                let mut lines: Vec<&[u8]> = text.split(|&b| b == b'\n').collect();
                lines.pop();
                lines.iter().map(|line| {
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    (line[..line.len().min(max_line)].to_vec(), line.len() as u64)
                }).collect()
            };
            prop_assert_eq!(whole, expected);
        }
    }
}
