//! Blocks of a file to lines of valid UTF-8: splitting and decoding together.
//!
//! Most of what is read is whole lines of UTF-8, which are validated as one and cut at their ends without being copied.
//! Everything else goes line by line through the [`Splitter`] and the [`Decoder`], with the same result.

use memchr::{memchr, memchr_iter, memrchr};

use crate::decode::Decoder;
use crate::split::{Line, Splitter, skip_holes};

/// Takes the next bytes of a file, in which every run of NULs that could be a hole is whole, and hands on the lines
/// that they end, decoded, each with where among these bytes its end was. Holes are passed over.
pub fn feed(splitter: &mut Splitter, decoder: Decoder, bytes: &[u8], take: &mut impl FnMut(&str, usize)) {
    skip_holes(splitter.unit(), bytes, &mut |start, part| {
        let slow = |splitter: &mut Splitter, start, bytes, take: &mut _| {
            feed_slowly(splitter, decoder, start, bytes, take);
        };
        let ends = decoder.is_utf8().then(|| memchr(b'\n', part).zip(memrchr(b'\n', part)));
        let Some((first_end, last_end)) = ends.flatten() else {
            return slow(splitter, start, part, take);
        };
        let begun = if splitter.is_at_line_start() { 0 } else { first_end + 1 };
        let (part, rest) = part.split_at(last_end + 1);
        let rest_start = start + part.len();
        let (begun, whole) = part.split_at(begun);
        let whole_start = start + begun.len();
        slow(splitter, start, begun, take);
        match simdutf8::basic::from_utf8(whole) {
            Ok(text) => hand_on(text, splitter.max_line(), &mut |line, end| {
                take(line, whole_start + end)
            }),
            Err(_) => slow(splitter, whole_start, whole, take),
        }
        slow(splitter, rest_start, rest, take);
    });
}

fn feed_slowly(
    splitter: &mut Splitter,
    decoder: Decoder,
    start: usize,
    bytes: &[u8],
    take: &mut impl FnMut(&str, usize),
) {
    splitter.feed(bytes, &mut |line, end| take(&decoder.decode(line), start + end));
}

/// Hands on whole lines, each with its end.
fn hand_on(text: &str, max_line: usize, take: &mut impl FnMut(&str, usize)) {
    let mut start = 0;
    for end in memchr_iter(b'\n', text.as_bytes()) {
        let line = text.get(start..end).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        start = end + 1;
        if line.len() <= max_line {
            take(line, start);
        } else {
            let line = Line::cut(line.as_bytes(), line.len() as u64, max_line);
            take(&Decoder::UTF_8.decode(line), start);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::split::Unit;

    fn parts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let piece = prop_oneof![
            4 => Just(b"\n".to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => Just(b"\r".to_vec()),
            4 => Just(b"line".to_vec()),
            4 => Just("日志".as_bytes().to_vec()),
            1 => Just("日".repeat(20).into_bytes()),
            1 => Just(vec![0xff]),
            1 => Just(vec![0xe6, 0x97]),
            1 => Just(vec![0x97]),
            1 => Just(vec![0; 64]),
            1 => Just(vec![0; 3]),
        ];
        let block = proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat());
        proptest::collection::vec(block, 1..6)
    }

    proptest! {
        #[test]
        fn the_fast_way_gives_what_the_slow_one_does(
            parts in parts(),
            max_line in 16_usize..60,
            part_at in 0_usize..6,
            label in prop_oneof![Just("utf-8"), Just("gb18030")],
        ) {
            let decoder = Decoder::for_label(label).unwrap();
            let mut fast = Splitter::new(Unit::Byte, max_line);
            let mut slow = Splitter::new(Unit::Byte, max_line);
            let (mut fast_lines, mut slow_lines) = (Vec::new(), Vec::new());
            for (index, part) in parts.iter().enumerate() {
                feed(&mut fast, decoder, part, &mut |line, end| fast_lines.push((line.to_owned(), end)));
                skip_holes(Unit::Byte, part, &mut |start, part| {
                    let mut take = |line: &str, end| slow_lines.push((line.to_owned(), end));
                    feed_slowly(&mut slow, decoder, start, part, &mut take);
                });
                prop_assert_eq!(fast.partial(), slow.partial());
                if index == part_at {
                    // A line without its end is sent.
                    let sent = fast.partial().map_or(0, |line| line.bytes.len());
                    fast.part(sent);
                    slow.part(sent);
                }
            }
            prop_assert_eq!(fast_lines, slow_lines);
        }
    }
}
