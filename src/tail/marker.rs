//! What proves that a file is still the one that was read: the bytes right before the offset.
//!
//! Size alone does not: most truncations under a fast writer are over before anyone looks, with the file longer than it
//! was.

use std::io;

use super::content::ReadAt;
use super::file::read_up_to;
use crate::position::{MAX_MARKER_BYTES, marker_start};

/// Whether what was read is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// It is.
    Same,
    /// The file is too short for it, which may be a stale size or a truncation under way.
    Short,
    /// Other bytes are in its place.
    Other,
}

/// Bytes that are kept beyond what the marker covers: a partial line may be sent without the last few, the beginning
/// of a character and a `\r`, and the place behind it has a marker too.
const SLACK_BYTES: usize = 8;
/// The most that is kept.
const KEPT_BYTES: usize = MAX_MARKER_BYTES + SLACK_BYTES;

/// The last bytes that were read, and where they end.
#[derive(Debug, Default)]
pub(super) struct Marker {
    /// As they stand in the file, the marker of every place behind the last line included.
    bytes: Vec<u8>,
    end: u64,
    /// Those before this index were not read but skipped as a hole, which someone may yet fill.
    read_from: usize,
}

impl Marker {
    /// The marker of a file that will be read from `offset` on.
    pub(super) fn before(file: &impl ReadAt, offset: u64) -> io::Result<Self> {
        let start = offset.saturating_sub(KEPT_BYTES as u64);
        let len = usize::try_from(offset - start).unwrap_or(KEPT_BYTES);
        let mut marker = Self {
            bytes: Vec::new(),
            end: start,
            read_from: 0,
        };
        marker.extend(&read_up_to(file, start, len)?);
        Ok(marker)
    }

    /// The same where a hole is skipped up to there, which is no part of what is compared.
    pub(super) fn behind_hole(file: &impl ReadAt, offset: u64) -> io::Result<Self> {
        let mut marker = Self::before(file, offset)?;
        marker.read_from = marker.bytes.len();
        Ok(marker)
    }

    /// Compares the file with it.
    pub(super) fn check(&self, file: &impl ReadAt) -> io::Result<Compared> {
        let compared = self.compared();
        let there = read_up_to(file, self.end - compared.len() as u64, compared.len())?;
        Ok(if there == compared {
            Compared::Same
        } else if there.len() < compared.len() {
            Compared::Short
        } else {
            Compared::Other
        })
    }

    fn compared(&self) -> &[u8] {
        let start = marker_start(&self.bytes).max(self.read_from);
        self.bytes.get(start..).unwrap_or_default()
    }

    /// The bytes before the end, at least as many as the marker of a place there or in the line being read covers.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes in what was read behind it.
    pub(super) fn extend(&mut self, read: &[u8]) {
        if read.len() >= KEPT_BYTES {
            // Nothing before matters any more.
            self.bytes.clear();
            self.read_from = 0;
        }
        self.end += read.len() as u64;
        let tail = read.len().saturating_sub(KEPT_BYTES);
        self.bytes.extend_from_slice(read.get(tail..).unwrap_or_default());
        let start = marker_start(&self.bytes).saturating_sub(SLACK_BYTES);
        self.bytes.drain(..start);
        self.read_from = self.read_from.saturating_sub(start);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use proptest::prelude::*;

    use super::*;
    use crate::position::{Identity, Place, Within};

    fn marker(parts: &[&[u8]]) -> Marker {
        let mut marker = Marker::default();
        for part in parts {
            marker.extend(part);
        }
        marker
    }

    #[test]
    fn it_covers_a_full_line_and_at_least_256_bytes_and_no_more_than_8_kib() {
        assert_eq!(marker(&[b"a\n", b"b\n"]).compared(), b"a\nb\n");
        let short = b"0123456789\n".repeat(100);
        assert_eq!(marker(&[&short]).compared().len(), 256);
        let long = [b"x\n".to_vec(), vec![b'y'; 2000], b"\n".to_vec()].concat();
        assert_eq!(marker(&[&long]).compared().len(), 2001);
        assert_eq!(
            marker(&[&long, b"part"]).compared().len(),
            2005,
            "a line that is not ended does not count"
        );
        assert_eq!(marker(&[&[b'z'; 70_000]]).compared().len(), 8192);
        let bytewise: Vec<&[u8]> = long.chunks(1).collect();
        assert_eq!(marker(&bytewise).bytes, marker(&[&long]).bytes);
    }

    #[test]
    fn it_tells_what_became_of_the_bytes_before_the_offset() {
        let file = tempfile::tempfile().unwrap();
        let text = b"line of a log\n".repeat(50);
        file.write_all_at(&text, 0).unwrap();
        let marker = Marker::before(&file, text.len() as u64).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Compared::Same);
        file.write_all_at(b"more", text.len() as u64).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Compared::Same);
        file.set_len(600).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Compared::Short);
        file.write_all_at(&b"other text of it\n".repeat(50), 0).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Compared::Other);
    }

    #[test]
    fn a_hole_that_is_skipped_is_not_compared() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"before\n", 0).unwrap();
        file.write_all_at(b"after\n", 1000).unwrap();
        let mut marker = Marker::behind_hole(&file, 1000).unwrap();
        assert_eq!(marker.compared(), b"");
        marker.extend(b"after\n");
        assert_eq!((marker.compared(), marker.end), (b"after\n".as_slice(), 1006));
        file.write_all_at(b"late", 500).unwrap();
        assert_eq!(marker.check(&file).unwrap(), Compared::Same);
    }

    proptest! {
        #[test]
        fn it_knows_every_place_behind_the_last_line_as_the_file_does(
            lengths in proptest::collection::vec(prop_oneof![0..5_usize, 0..400_usize, 3000..9000_usize], 1..40),
            cut in 1..3000_usize,
            back in 0..SLACK_BYTES,
        ) {
            let mut text: Vec<u8> = Vec::new();
            for (index, len) in lengths.iter().enumerate() {
                text.extend(std::iter::repeat_n(b'a' + (index % 26) as u8, *len));
                text.push(b'\n');
            }
            text.extend_from_slice(b"partial line");
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&text, 0).unwrap();
            let identity = Identity::of(&file.metadata().unwrap());
            let mut marker = Marker::default();
            for part in text.chunks(cut) {
                marker.extend(part);
                let back = part.iter().rev().take(back).take_while(|&&b| b != b'\n').count();
                let offset = marker.end - back as u64;
                let before = &marker.bytes()[..marker.bytes().len() - back];
                let place = Place::new(identity, offset, Within::Nothing, &text, before);
                prop_assert_eq!(place, Place::in_file(&file, offset, Within::Nothing).unwrap());
            }
        }
    }
}
