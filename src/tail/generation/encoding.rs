//! The encoding of a file: configured, told by a mark, or shown by its bytes as they come.

use std::io;

use super::super::file::read_up_to;
use super::super::marker::Marker;
use super::Generation;
use crate::decode::{Decoder, ENOUGH_FOR_UTF16, SAMPLE_BYTES};
use crate::split::Splitter;

impl Generation {
    /// Name of its encoding, once that shows.
    pub(in super::super) fn encoding(&self) -> Option<&'static str> {
        self.decoder.map(Decoder::name)
    }

    pub(super) fn set_decoder(&mut self, decoder: Option<Decoder>) {
        self.decoder = decoder;
        if let Some(held) = &self.held {
            held.set_decoder(decoder);
        }
    }

    pub(super) fn decoder(&self) -> Decoder {
        self.decoder.unwrap_or(Decoder::UTF_8)
    }

    /// Looks at both ends of the file for its encoding.
    pub(super) fn detect_from_file(&mut self, size: u64) -> io::Result<()> {
        if self.decoder.is_none() {
            let head = read_up_to(&*self.file, 0, SAMPLE_BYTES)?;
            let tail_start = size.saturating_sub(SAMPLE_BYTES as u64).max(head.len() as u64) & !1;
            let tail = read_up_to(&*self.file, tail_start, SAMPLE_BYTES)?;
            self.set_decoder(Decoder::detect(&[&head, &tail], true));
            if self.decoder.is_none() {
                self.sampled_to = size;
                self.sample = if size < ENOUGH_FOR_UTF16 as u64 {
                    head
                } else {
                    // Enough to see that it is not UTF-16: ASCII shows nothing more.
                    [head, tail].into_iter().flatten().filter(|b| !b.is_ascii()).collect()
                };
            }
            let unit = self.decoder().unit();
            self.splitter = Splitter::new(unit, self.rules.max_line);
        }
        Ok(())
    }

    /// Lets new bytes show the encoding. Where they make it UTF-16, the line being read begins anew and the answer is
    /// true.
    pub(super) fn observe(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.decoder.is_some() {
            return Ok(false);
        }
        // NULs at the end of a block are read again with the next one.
        let seen = usize::try_from(self.sampled_to.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let news = bytes.get(seen..).unwrap_or_default();
        let news_at = self.offset + seen as u64;
        if news.is_ascii() && !news.contains(&0) {
            return Ok(false);
        }
        self.sampled_to = news_at + news.len() as u64;
        if self.sample.len() + news.len() > 2 * SAMPLE_BYTES {
            self.sample.clear();
        }
        if !(self.sample.len() as u64).abs_diff(news_at).is_multiple_of(2) {
            self.sample.push(b' ');
        }
        self.sample.extend_from_slice(news);
        let at_start = self.offset == 0;
        self.set_decoder(Decoder::detect(&[&self.sample], at_start));
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
                self.marker = Marker::before(&*self.file, self.offset)?;
            }
        }
        Ok(moved && !at_start)
    }
}
