//! The encoding of a file: configured, told by a mark, or shown by its bytes as they come.

use std::io;

use super::super::file::read_up_to;
use super::Generation;
use crate::decode::{Decoder, SAMPLE_BYTES};
use crate::split::Splitter;

impl Generation {
    /// Name of its encoding, once that shows.
    pub(in super::super) fn encoding(&self) -> Option<&'static str> {
        self.decoder.map(Decoder::name)
    }

    pub(super) fn decoder(&self) -> Decoder {
        self.decoder.unwrap_or(Decoder::UTF_8)
    }

    /// Looks at both ends of the file for its encoding.
    pub(super) fn detect_from_file(&mut self, size: u64) -> io::Result<()> {
        if self.decoder.is_none() {
            let head = read_up_to(&self.file, 0, SAMPLE_BYTES)?;
            let tail_start = size.saturating_sub(SAMPLE_BYTES as u64).max(head.len() as u64) & !1;
            let tail = read_up_to(&self.file, tail_start, SAMPLE_BYTES)?;
            self.decoder = Decoder::detect(&[&head, &tail], true);
            if self.decoder.is_none() {
                self.sample = [head, tail].into_iter().flatten().filter(|b| !b.is_ascii()).collect();
            }
            let unit = self.decoder().unit();
            self.splitter = Splitter::new(unit, self.rules.max_line);
        }
        Ok(())
    }

    /// Lets new bytes show the encoding. Where they make it UTF-16, the line being read begins anew and the answer is
    /// true.
    pub(super) fn observe(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.decoder.is_some() || bytes.is_ascii() && !bytes.contains(&0) {
            return Ok(false);
        }
        if self.sample.len() + bytes.len() > 2 * SAMPLE_BYTES {
            self.sample.clear();
        }
        self.sample.extend_from_slice(bytes);
        let at_start = self.offset == 0;
        self.decoder = Decoder::detect(&[&self.sample], at_start);
        let Some(decoder) = self.decoder else {
            return Ok(false);
        };
        self.sample = Vec::new();
        let moved = decoder.unit() != self.splitter.unit();
        if moved {
            let line_start = self.offset - self.splitter.held() as u64;
            self.splitter = Splitter::new(decoder.unit(), self.rules.max_line);
            if !at_start {
                self.offset = line_start.next_multiple_of(2);
            }
        }
        Ok(moved && !at_start)
    }
}
