//! Finding the last lines of a file from its end, without reading the rest.

use std::io;

use rustix::io::Errno;

use super::content::ReadAt;
use super::file::read_full;
use super::generation::BLOCK_BYTES;
use crate::split::{HOLE_BYTES, Unit, leading_nuls, trailing_nuls};

/// How far back from its last text a file is looked through for its last lines: a thousand lines of the longest that is
/// sent whole, or fifty of a megabyte.
const MAX_BACK_BYTES: u64 = 64 << 20;
/// A hole of this size ends the search: in front of it there is another text.
const MAX_HOLE_BETWEEN_BYTES: u64 = 8 << 20;
/// How much of NULs at the end of a file, which are no text, is looked through before that, where its file system does
/// not know them as a hole.
const MAX_HOLE_BYTES: u64 = 64 << 20;
/// How much of a rewritten file is looked through for the number of its lines.
const MAX_COUNT_BYTES: u64 = 1 << 30;

/// Where the last lines begin, and where the last line end is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// At the beginning of a line.
    Line { start: u64, end: u64 },
    /// Somewhere in a line that began too far back; the next one is whole.
    InsideLine { start: u64, end: u64 },
}

/// Finds the last `lines` whole lines of the first `size` bytes; what stands behind the last line end is none.
pub(super) fn find_last_lines(file: &impl ReadAt, size: u64, unit: Unit, lines: usize) -> io::Result<Start> {
    let width = unit.width() as u64;
    let mut buffer = vec![0; BLOCK_BYTES];
    // The block being looked at ends here, on a unit.
    let begin = match ends_with_hole(file, size, &mut buffer)? {
        true => end_of_data(file, size).next_multiple_of(width).min(size),
        false => size,
    };
    let mut block_end = begin / width * width;
    // Behind the last text, once that was found.
    let mut text_end = None;
    let mut last_line_end = None;
    let mut line_ends = 0;
    // Where the hole that is being crossed ends.
    let mut hole_end = block_end;
    loop {
        let begun = text_end.unwrap_or(block_end);
        let out_of_reach = match text_end {
            Some(_) => begun - block_end >= MAX_BACK_BYTES || hole_end - block_end >= MAX_HOLE_BETWEEN_BYTES,
            None => begin - block_end >= MAX_HOLE_BYTES,
        };
        if block_end == 0 || out_of_reach {
            let end = last_line_end.unwrap_or(block_end);
            let start = block_end;
            let at_boundary = start == 0 || starts_with_hole(file, start, &mut buffer)?;
            return Ok(match at_boundary {
                true => Start::Line { start, end },
                false => Start::InsideLine { start, end },
            });
        }
        let block_start = block_end.saturating_sub(BLOCK_BYTES as u64);
        let len = usize::try_from(block_end - block_start).unwrap_or(BLOCK_BYTES);
        let read = read_full(file, block_start, buffer.get_mut(..len).unwrap_or_default())?;
        let mut block = buffer.get(..read).unwrap_or_default();
        if trailing_nuls(block) < block.len() {
            text_end.get_or_insert(block_end);
            hole_end = block_start;
        } else if text_end.is_some() && block_end == hole_end {
            // The first block in front of text: the file system may know that a hole goes far enough.
            let reach = hole_end.saturating_sub(MAX_HOLE_BETWEEN_BYTES) / width * width;
            if file.next_data(reach).is_ok_and(|data| data >= block_end) {
                block_end = reach;
                continue;
            }
        }
        while let Some(at) = unit.rfind_line_end(block) {
            let after = block_start + at as u64 + width;
            let end = *last_line_end.get_or_insert(after);
            if line_ends == lines {
                return Ok(Start::Line { start: after, end });
            }
            line_ends += 1;
            block = block.get(..at).unwrap_or_default();
        }
        block_end = block_start;
    }
}

fn ends_with_hole(file: &impl ReadAt, size: u64, buffer: &mut [u8]) -> io::Result<bool> {
    let start = size.saturating_sub(HOLE_BYTES as u64);
    let read = read_full(file, start, buffer.get_mut(..HOLE_BYTES).unwrap_or_default())?;
    Ok(buffer
        .get(..read)
        .is_some_and(|bytes| trailing_nuls(bytes) == HOLE_BYTES))
}

/// Where the hole at the end of a file begins, as far as its file system knows holes; else its size.
fn end_of_data(file: &impl ReadAt, size: u64) -> u64 {
    // There is data in front of the first, and none behind the second.
    let (mut some, mut none) = (0, size);
    while some < none {
        let middle = some + (none - some) / 2;
        match file.next_data(middle) {
            Ok(data) => some = data.max(middle) + 1,
            Err(Errno::NXIO) => none = middle,
            Err(_) => return size,
        }
    }
    some.min(size)
}

fn starts_with_hole(file: &impl ReadAt, start: u64, buffer: &mut [u8]) -> io::Result<bool> {
    let read = read_full(file, start, buffer.get_mut(..HOLE_BYTES).unwrap_or_default())?;
    Ok(buffer
        .get(..read)
        .is_some_and(|bytes| leading_nuls(bytes) == HOLE_BYTES))
}

/// Whether the first `size` bytes hold more than `lines` line ends, or are too many to tell.
pub(super) fn has_more_lines(file: &impl ReadAt, size: u64, unit: Unit, lines: usize) -> io::Result<bool> {
    let mut buffer = vec![0; BLOCK_BYTES];
    let (mut at, mut seen) = (0, 0);
    while at < size {
        if at >= MAX_COUNT_BYTES {
            return Ok(true);
        }
        let len = usize::try_from(size - at).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        let read = read_full(file, at, buffer.get_mut(..len).unwrap_or_default())?;
        if read == 0 {
            break;
        }
        let mut block = buffer.get(..read).unwrap_or_default();
        while let Some(end) = unit.find_line_end(block) {
            seen += 1;
            if seen > lines {
                return Ok(true);
            }
            block = block.get(end + unit.width()..).unwrap_or_default();
        }
        at += read as u64;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    fn file(parts: &[&[u8]]) -> (File, u64) {
        let mut file = tempfile::tempfile().unwrap();
        for part in parts {
            file.write_all(part).unwrap();
        }
        let size = file.metadata().unwrap().len();
        (file, size)
    }

    fn find(parts: &[&[u8]], lines: usize) -> Start {
        let (file, size) = file(parts);
        find_last_lines(&file, size, Unit::Byte, lines).unwrap()
    }

    #[test]
    fn the_last_lines_end_with_the_last_line_end() {
        assert_eq!(find(&[b""], 2), Start::Line { start: 0, end: 0 });
        assert_eq!(find(&[b"a\n"], 2), Start::Line { start: 0, end: 2 });
        assert_eq!(find(&[b"a\nb\nc\n"], 2), Start::Line { start: 2, end: 6 });
        assert_eq!(find(&[b"a\nb\nc\npart"], 2), Start::Line { start: 2, end: 6 });
        assert_eq!(find(&[b"part"], 2), Start::Line { start: 0, end: 0 });
        assert_eq!(find(&[b"a\nb\n"], 0), Start::Line { start: 4, end: 4 });
        assert_eq!(find(&[b"\n\n\n"], 2), Start::Line { start: 1, end: 3 });
    }

    #[test]
    fn they_are_found_across_blocks_and_not_beyond_the_limit() {
        let line = [vec![b'x'; 50_000], b"\n".to_vec()].concat();
        let lines = line.repeat(10);
        assert_eq!(
            find(&[&lines], 3),
            Start::Line {
                start: 50_001 * 7,
                end: 50_001 * 10
            }
        );
        let long = vec![b'x'; 65 << 20];
        let size = (65 << 20) + 3;
        let found = find(&[&long, b"\nb\n"], 5);
        assert!(
            matches!(found, Start::InsideLine { start, end } if end == size && size - start <= (64 << 20) + 65_536)
        );
    }

    #[test]
    fn a_hole_is_the_beginning_of_a_line_and_a_hole_at_the_end_is_no_text() {
        let (mut file, _) = file(&[]);
        file.seek(SeekFrom::Start(100 << 20)).unwrap();
        file.write_all(b"a\nb\n").unwrap();
        file.set_len(200 << 20).unwrap();
        let found = find_last_lines(&file, 200 << 20, Unit::Byte, 50).unwrap();
        let end = (100 << 20) + 4;
        assert!(
            matches!(found, Start::Line { start, end: e } if e == end && start < 100 << 20),
            "{found:?}"
        );
    }

    #[test]
    fn lines_are_counted_up_to_a_limit() {
        let (file, size) = file(&[b"a\nb\nc\npart"]);
        assert!(has_more_lines(&file, size, Unit::Byte, 2).unwrap());
        assert!(!has_more_lines(&file, size, Unit::Byte, 3).unwrap());
    }
}
