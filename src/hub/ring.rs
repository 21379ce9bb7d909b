//! The last lines of a file, for those who connect.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::chunk::{Batch, Chunk, LineNumber};
use crate::ws::frame;

/// A ring of the last lines, each a slice of the chunk that brought it.
///
/// A line keeps its chunk in memory: at most `history_lines` chunks of 64 KiB, or of one long line.
#[derive(Debug, Default)]
pub(super) struct Ring {
    lines: VecDeque<Bytes>,
    /// All lines as one, made at the first request and kept until the next line.
    snapshot: Option<Arc<Chunk>>,
}

impl Ring {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Holds these lines alone.
    pub(super) fn replace(&mut self, lines: Batch, capacity: usize) {
        self.clear();
        let count = lines.lines();
        self.push(&lines.into_frames(), count, capacity);
    }

    /// Appends the lines of a chunk and drops those beyond the last `capacity`.
    pub(super) fn push(&mut self, frames: &Bytes, lines: u64, capacity: usize) {
        self.snapshot = None;
        let beyond = usize::try_from(lines).unwrap_or(usize::MAX).saturating_sub(capacity);
        let mut start = 0;
        for (index, end) in frame::ends(frames).enumerate() {
            if index >= beyond {
                self.lines.push_back(frames.slice(start..end));
            }
            start = end;
        }
        let excess = self.lines.len().saturating_sub(capacity);
        self.lines.drain(..excess);
    }

    /// The lines as one chunk that all who connect now share; `next_line` is the number of the line after them.
    pub(super) fn snapshot(&mut self, first_line: impl Fn(u64) -> LineNumber, sequence: u64) -> Arc<Chunk> {
        let Self { lines, snapshot } = self;
        let chunk = snapshot.get_or_insert_with(|| {
            let mut frames = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
            for line in &*lines {
                frames.extend_from_slice(line);
            }
            let count = lines.len() as u64;
            Arc::new(Chunk::history(frames.freeze(), first_line(count), count, sequence))
        });
        Arc::clone(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Form;

    fn push(ring: &mut Ring, texts: &[&str], capacity: usize) {
        let mut batch = Batch::default();
        for text in texts {
            batch.push(text);
        }
        let lines = batch.lines();
        ring.push(&batch.into_frames(), lines, capacity);
    }

    fn held(ring: &mut Ring) -> Vec<String> {
        let snapshot = ring.snapshot(|_| LineNumber::default(), 0);
        frame::payloads(snapshot.frames(Form::Plain))
            .map(|payload| String::from_utf8(payload.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn it_holds_the_last_lines_whatever_the_chunks() {
        let mut ring = Ring::default();
        assert!(held(&mut ring).is_empty());
        push(&mut ring, &["a", "b"], 3);
        assert_eq!(held(&mut ring), ["a", "b"]);
        push(&mut ring, &["", "d"], 3);
        assert_eq!(held(&mut ring), ["b", "", "d"]);
        push(&mut ring, &["1", "2", "3", "4", "5"], 3);
        assert_eq!(held(&mut ring), ["3", "4", "5"]);
        push(&mut ring, &["6"], 1);
        assert_eq!(held(&mut ring), ["6"], "a smaller capacity is in force at once");
        push(&mut ring, &["7"], 0);
        assert!(held(&mut ring).is_empty());
    }

    #[test]
    fn those_who_connect_between_two_lines_share_one_snapshot() {
        let mut ring = Ring::default();
        push(&mut ring, &["a"], 3);
        let first = ring.snapshot(|_| LineNumber::default(), 0);
        assert!(Arc::ptr_eq(&first, &ring.snapshot(|_| LineNumber::default(), 0)));
        push(&mut ring, &["b"], 3);
        assert!(!Arc::ptr_eq(&first, &ring.snapshot(|_| LineNumber::default(), 0)));
    }
}
