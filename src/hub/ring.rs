//! The last lines of a file, for those who connect.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::chunk::{CHUNK_BYTES, Chunk, Lines, Numbers, Span};
use crate::position::{Mark, Place, Position};
use crate::ws::frame;

/// The last lines of what feeds a channel.
#[derive(Debug, Default)]
pub struct History {
    /// The place before them.
    pub start: Place,
    /// The lines, with marks behind each of them that may be among the last.
    pub lines: Vec<Lines>,
}

/// The last lines in chunks, which all who connect between two lines share.
pub(super) type Snapshot = Arc<[Arc<Chunk>]>;

/// A ring of the last lines, each a slice of the chunk that brought it.
///
/// A line keeps its chunk in memory, and of the file what its place is told by: at most `history_lines` chunks of
/// 64 KiB, or of one long line, and as much of the file.
#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Line>,
    /// Before the first line.
    start: Mark,
    /// All lines, made at the first request and kept until the next line.
    snapshot: Option<Snapshot>,
}

#[derive(Debug)]
struct Line {
    frame: Bytes,
    /// Behind it in the file.
    end: Mark,
}

impl Ring {
    /// A ring without lines in a file that has been read up to a place.
    pub(super) fn at(place: Place) -> Self {
        Self {
            lines: VecDeque::new(),
            start: Mark::At(place),
            snapshot: None,
        }
    }

    /// A ring that holds these lines.
    pub(super) fn of(history: &History, capacity: usize) -> Self {
        let mut ring = Self::at(history.start);
        for lines in &history.lines {
            ring.push(lines, capacity);
        }
        ring
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Appends lines and drops those beyond the last `capacity`.
    pub(super) fn push(&mut self, lines: &Lines, capacity: usize) {
        self.snapshot = None;
        let count = usize::try_from(lines.count()).unwrap_or(usize::MAX);
        let unmarked = count.saturating_sub(lines.marks().len());
        let mut marks = lines.marks().iter();
        let mut begin = 0;
        // The last few have marks; a capacity that has grown meanwhile has to wait for the next lines.
        for (index, end) in frame::ends(lines.frames()).enumerate() {
            let frame = begin..end;
            begin = end;
            if index < unmarked {
                continue;
            }
            let Some(mark) = marks.next() else {
                break;
            };
            if index == unmarked && unmarked > 0 || index + capacity < count {
                self.lines.clear();
                self.start = mark.clone();
            } else {
                self.lines.push_back(Line {
                    frame: lines.frames().slice(frame),
                    end: mark.clone(),
                });
            }
        }
        while self.lines.len() > capacity {
            if let Some(line) = self.lines.pop_front() {
                self.start = line.end;
            }
        }
    }

    /// The lines in chunks of 64 KiB; `position` is the one of the stream behind them, `numbers` those of a chunk that
    /// begins so many lines before the next one.
    pub(super) fn snapshot(&mut self, position: &Arc<Position>, numbers: impl Fn(u64) -> Numbers) -> Snapshot {
        if let Some(snapshot) = &self.snapshot
            && snapshot.last().is_some_and(|chunk| chunk.span().end == *position)
        {
            return Arc::clone(snapshot);
        }
        let snapshot = self.last(self.lines.len(), position, numbers);
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    /// The same with no more than the last few of the lines.
    pub(super) fn last(&self, count: usize, position: &Arc<Position>, numbers: impl Fn(u64) -> Numbers) -> Snapshot {
        let skipped = self.lines.len().saturating_sub(count);
        let first = skipped.checked_sub(1).and_then(|index| self.lines.get(index));
        let start = first.map_or(&self.start, |line| &line.end);
        let at = |mark: &Mark| Arc::new(position.with_current(mark.place()));
        let mut start = at(start);
        let mut chunks = Vec::new();
        let mut frames = BytesMut::new();
        let mut lines = 0;
        let mut waiting = self.lines.iter().skip(skipped).peekable();
        let mut left = waiting.len() as u64;
        while let Some(line) = waiting.next() {
            frames.extend_from_slice(&line.frame);
            lines += 1;
            let more = waiting.peek();
            if more.is_some_and(|next| frames.len() + next.frame.len() <= CHUNK_BYTES) {
                continue;
            }
            let end = match more {
                Some(_) => at(&line.end),
                None => Arc::clone(position),
            };
            let span = Span {
                start: std::mem::replace(&mut start, Arc::clone(&end)),
                end,
            };
            let whole = std::mem::take(&mut frames).freeze();
            chunks.push(Arc::new(Chunk::history(whole, lines, span, Some(numbers(left)))));
            left -= std::mem::take(&mut lines);
        }
        if chunks.is_empty() {
            let span = Span {
                start: Arc::clone(position),
                end: Arc::clone(position),
            };
            chunks.push(Arc::new(Chunk::history(Bytes::new(), 0, span, Some(numbers(0)))));
        }
        chunks.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::testing::{lines_from, place, position};
    use crate::chunk::{Form, LineNumber};

    fn ring() -> Ring {
        Ring::at(place(0))
    }

    fn end(ring: &Ring) -> u64 {
        let last = ring.lines.back().map_or(&ring.start, |line| &line.end);
        last.place().offset()
    }

    fn push(ring: &mut Ring, texts: &[&str], capacity: usize) {
        let lines = lines_from(end(ring), texts);
        ring.push(&lines, capacity);
    }

    fn numbers(_: u64) -> Numbers {
        Numbers {
            first_line: LineNumber::default(),
            next_sequence: 0,
        }
    }

    fn texts(snapshot: &Snapshot) -> Vec<String> {
        snapshot
            .iter()
            .flat_map(|chunk| frame::payloads(chunk.frames(Form::Plain)))
            .map(|payload| String::from_utf8(payload.to_vec()).unwrap())
            .collect()
    }

    /// The lines, and the offset where they begin.
    fn held(ring: &mut Ring) -> (Vec<String>, u64) {
        let position = position(end(ring));
        let snapshot = ring.snapshot(&position, numbers);
        let span = |index: usize| snapshot.get(index).unwrap().span();
        for index in 1..snapshot.len() {
            assert_eq!(span(index - 1).end, span(index).start);
        }
        assert_eq!(span(snapshot.len() - 1).end, position);
        (texts(&snapshot), span(0).start.current().offset())
    }

    #[test]
    fn it_holds_the_last_lines_whatever_the_chunks() {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let mut ring = ring();
        assert_eq!(held(&mut ring), (owned(&[]), 0));
        push(&mut ring, &["a", "b"], 3);
        assert_eq!(held(&mut ring), (owned(&["a", "b"]), 0));
        push(&mut ring, &["", "d"], 3);
        assert_eq!(held(&mut ring), (owned(&["b", "", "d"]), 2));
        push(&mut ring, &["1", "2", "3", "4", "5"], 3);
        assert_eq!(held(&mut ring), (owned(&["3", "4", "5"]), 11));
        push(&mut ring, &["6"], 1);
        assert_eq!(
            held(&mut ring),
            (owned(&["6"]), 17),
            "a smaller capacity is in force at once"
        );
        push(&mut ring, &["7"], 0);
        assert_eq!(held(&mut ring), (owned(&[]), 21));
    }

    #[test]
    fn of_lines_of_which_only_the_last_have_marks_it_holds_those() {
        let mut ring = ring();
        push(&mut ring, &["old"], 9);
        let lines = lines_from(4, &["a", "b", "c", "d"]);
        let marks = lines.marks()[1..].to_vec();
        ring.push(&lines.with_marks(marks), 9);
        assert_eq!(held(&mut ring), (vec!["c".to_owned(), "d".to_owned()], 8));
    }

    #[test]
    fn a_snapshot_has_chunks_of_64_kib_and_may_be_of_fewer_lines() {
        let mut ring = ring();
        let long = "x".repeat(30_000);
        push(&mut ring, &[&long, &long, &long, "a", "b"], 9);
        let snapshot = ring.snapshot(&position(end(&ring)), numbers);
        let lines: Vec<u64> = snapshot.iter().map(|chunk| chunk.lines()).collect();
        assert_eq!(lines, [2, 3]);
        let last = ring.last(2, &position(end(&ring)), numbers);
        assert_eq!(texts(&last), ["a", "b"]);
        assert_eq!(last[0].span().start.current().offset(), end(&ring) - 4);
        assert_eq!(texts(&ring.last(0, &position(end(&ring)), numbers)), [""; 0]);
        assert_eq!(ring.last(99, &position(end(&ring)), numbers).len(), 2);
    }

    #[test]
    fn those_who_connect_between_two_lines_share_one_snapshot() {
        let mut ring = ring();
        push(&mut ring, &["a"], 3);
        let at = position(2);
        let first = ring.snapshot(&at, numbers);
        assert!(Arc::ptr_eq(&first, &ring.snapshot(&at, numbers)));
        push(&mut ring, &["b"], 3);
        assert!(!Arc::ptr_eq(&first, &ring.snapshot(&position(4), numbers)));
    }
}
