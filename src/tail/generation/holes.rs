//! Runs of NULs: what a sparse, preallocated or truncated file holds where nothing was written.

use std::io;

use rustix::io::Errno;

use super::super::content::ReadAt;
use super::super::file::read_full;
use super::super::marker::Marker;
use super::{BLOCK_BYTES, Generation, Step};
use crate::split::{HOLE_BYTES, Unit, leading_nuls, trailing_nuls};

/// How much of a hole that its file system does not know as one is read through in one step: as much as of text in a
/// turn.
const HOLE_STEP_BYTES: usize = 1 << 20;

impl Generation {
    /// A block without the NULs at its end, which may be a hole that is still being written to, and without half a
    /// unit.
    pub(super) fn without_hole<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let text_len = bytes.len() - trailing_nuls(bytes);
        let end = match self.splitter.unit() {
            Unit::Byte => text_len,
            Unit::Little | Unit::Big => {
                let text_end = text_len.next_multiple_of(2).min(bytes.len());
                if bytes.len() - text_end >= HOLE_BYTES {
                    text_end
                } else {
                    bytes.len() & !1
                }
            }
        };
        bytes.get(..end).unwrap_or_default()
    }

    /// Looks for text behind a block of NULs. A hole with text behind it is skipped; one that reaches the end of the
    /// file is held back until text comes.
    pub(super) fn cross_hole(&mut self, block: &[u8]) -> io::Result<Step> {
        let block_end = self.offset + block.len() as u64;
        let size = self.size()?;
        // What was looked through is not looked through again, unless the file system knows of data there that it did
        // not know of before, or the file has shrunk.
        let at = self.hole_end.min(size).max(block_end);
        let mut at = match self.file.next_data(block_end) {
            Ok(data) if data > block_end => data.min(at),
            _ => at,
        };
        let mut buffer = vec![0; BLOCK_BYTES];
        let mut read = 0;
        while read < HOLE_STEP_BYTES {
            // Where the file system knows holes, they need not be read; an error means that it does not.
            match self.file.next_data(at) {
                Ok(data) => at = data.max(at),
                // No data up to the end.
                Err(Errno::NXIO) => {
                    self.hole_end = size.max(at);
                    return Ok(Step::End);
                }
                Err(_) => {}
            }
            let len = read_full(&*self.file, at, &mut buffer)?;
            read += len;
            if len == 0 {
                self.hole_end = at;
                return Ok(Step::End);
            }
            let nuls = buffer.get(..len).map_or(0, leading_nuls);
            at += nuls as u64;
            if nuls < len {
                let hole = at - self.offset;
                if hole < HOLE_BYTES as u64 {
                    return Ok(Step::Took(0));
                }
                let width = self.splitter.unit().width() as u64;
                self.offset = at / width * width;
                self.hole_end = self.offset;
                self.marker = Marker::behind_hole(&*self.file, self.offset)?;
                return Ok(Step::Took(0));
            }
        }
        self.hole_end = at;
        Ok(Step::Skipped)
    }
}
