//! What proves that a file is still the one that was read: the bytes right before the offset.
//!
//! Size alone does not: most truncations under a fast writer are over before anyone looks, with the file longer than it
//! was.

use std::fs::File;
use std::io;

use super::file::read_up_to;
use crate::position::{MAX_MARKER_BYTES, marker_start};

/// Whether what was read is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// It is.
    Same,
    /// The file is too short for it, which may be a stale size or a truncation under way.
    Short,
    /// Other bytes are in its place.
    Other,
}

/// The last bytes that were read, and where they end.
#[derive(Debug, Default)]
pub(super) struct Marker {
    bytes: Vec<u8>,
    end: u64,
}

impl Marker {
    /// The marker of a file that will be read from `offset` on.
    pub(super) fn before(file: &File, offset: u64) -> io::Result<Self> {
        let start = offset.saturating_sub(MAX_MARKER_BYTES as u64);
        let len = usize::try_from(offset - start).unwrap_or(MAX_MARKER_BYTES);
        let mut marker = Self {
            bytes: Vec::new(),
            end: start,
        };
        marker.extend(start, &read_up_to(file, start, len)?);
        Ok(marker)
    }

    /// Compares the file with it.
    pub(super) fn check(&self, file: &File) -> io::Result<Content> {
        let start = self.end - self.bytes.len() as u64;
        let there = read_up_to(file, start, self.bytes.len())?;
        Ok(if there == self.bytes {
            Content::Same
        } else if there.len() < self.bytes.len() {
            Content::Short
        } else {
            Content::Other
        })
    }

    /// Takes in what was read at `offset`.
    pub(super) fn extend(&mut self, offset: u64, read: &[u8]) {
        if self.end != offset || read.len() >= MAX_MARKER_BYTES {
            // A hole was skipped in between, or nothing before matters any more.
            self.bytes.clear();
        }
        self.end = offset + read.len() as u64;
        let tail = read.len().saturating_sub(MAX_MARKER_BYTES);
        self.bytes.extend_from_slice(read.get(tail..).unwrap_or_default());
        let start = marker_start(&self.bytes);
        self.bytes.drain(..start);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn marker(parts: &[&[u8]]) -> Marker {
        let mut marker = Marker::default();
        for part in parts {
            marker.extend(marker.end, part);
        }
        marker
    }

    #[test]
    fn it_covers_a_full_line_and_at_least_256_bytes_and_no_more_than_8_kib() {
        assert_eq!(marker(&[b"a\n", b"b\n"]).bytes, b"a\nb\n");
        let short = b"0123456789\n".repeat(100);
        assert_eq!(marker(&[&short]).bytes.len(), 256);
        let long = [b"x\n".to_vec(), vec![b'y'; 2000], b"\n".to_vec()].concat();
        assert_eq!(marker(&[&long]).bytes.len(), 2001);
        assert_eq!(
            marker(&[&long, b"part"]).bytes.len(),
            2005,
            "a line that is not ended does not count"
        );
        assert_eq!(marker(&[&[b'z'; 70_000]]).bytes.len(), 8192);
        let bytewise: Vec<&[u8]> = long.chunks(1).collect();
        assert_eq!(marker(&bytewise).bytes, marker(&[&long]).bytes);
    }

    #[test]
    fn it_tells_what_became_of_the_bytes_before_the_offset() {
        let file = tempfile::tempfile().unwrap();
        let text = b"line of a log\n".repeat(50);
        file.write_all_at(&text, 0).unwrap();
        let marker = Marker::before(&file, text.len() as u64).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Content::Same);
        file.write_all_at(b"more", text.len() as u64).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Content::Same);
        file.set_len(600).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Content::Short);
        file.write_all_at(&b"other text of it\n".repeat(50), 0).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Content::Other);
    }

    #[test]
    fn a_hole_that_is_skipped_is_no_part_of_it() {
        let mut marker = marker(&[b"before\n"]);
        marker.extend(1000, b"after\n");
        assert_eq!((marker.bytes.as_slice(), marker.end), (b"after\n".as_slice(), 1006));
    }
}
