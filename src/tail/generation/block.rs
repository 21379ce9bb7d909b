//! The places in a block that is being made into lines.

use std::sync::Arc;

use crate::chunk::{Batch, Lines};
use crate::position::{HEAD_BYTES, Identity, MAX_MARKER_BYTES, Mark, Trace, marker_start};

/// Bytes being made into lines, and what is known of the file before them.
pub(super) struct Block<'a> {
    pub(super) identity: Identity,
    pub(super) head: &'a Arc<[u8]>,
    /// The bytes before the offset, as many as a marker needs.
    pub(super) before: &'a [u8],
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl Block<'_> {
    /// Lines that end in it, with the place behind them and marks behind the last `keep` of them and the line before
    /// those.
    pub(super) fn seal(&self, batch: Batch, keep: usize) -> Lines {
        let ends = batch.ends();
        let end = ends.last().copied().unwrap_or(self.offset);
        let marked = match keep {
            0 => &[],
            _ => ends.get(ends.len().saturating_sub(keep + 1)..).unwrap_or_default(),
        };
        let trace = self.trace(marked.first().copied().unwrap_or(end), end);
        let place = trace.place(end);
        let marks = match marked {
            [] => Vec::new(),
            marked => {
                let trace = Arc::new(trace);
                let mark = |&end| Mark::In(Arc::clone(&trace), end);
                marked.iter().map(mark).collect()
            }
        };
        batch.into_lines(place, marks)
    }

    /// The bytes by which the places from one offset to another can be told.
    fn trace(&self, first: u64, last: u64) -> Trace {
        let at = |offset: u64| usize::try_from(offset - self.offset).unwrap_or(usize::MAX);
        let read = self.bytes.get(..at(last)).unwrap_or(self.bytes);
        let before_first = read.get(..at(first)).unwrap_or(read);
        let (start, bytes) = if before_first.len() > MAX_MARKER_BYTES {
            let start = marker_start(before_first);
            (
                self.offset + start as u64,
                read.get(start..).unwrap_or_default().to_vec(),
            )
        } else {
            let all = [self.before, read].concat();
            let begin = self.offset - self.before.len() as u64;
            let start = marker_start(all.get(..self.before.len() + before_first.len()).unwrap_or(&all));
            (begin + start as u64, all.get(start..).unwrap_or_default().to_vec())
        };
        let head = match self.head.len() {
            HEAD_BYTES.. => Arc::clone(self.head),
            len => [self.head, read.get(..HEAD_BYTES - len).unwrap_or(read)]
                .concat()
                .into(),
        };
        Trace::new(self.identity, head, start, bytes)
    }
}
