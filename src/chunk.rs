//! A batch of lines as one immutable allocation that all viewers share.
//!
//! The lines are held in the form in which most viewers get them, a run of WebSocket text frames; any other [`Form`] is
//! made of it once, for all viewers. Handing a chunk to ten thousand viewers encodes nothing and copies nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::ws::deflate::deflated;
use crate::ws::frame;

/// The most text that is put into one chunk, unless a single line is longer.
pub const CHUNK_BYTES: usize = 64 << 10;

/// A batch of more than this gets the room for a whole chunk,
const SMALL_BYTES: usize = 4 << 10;
/// which is this, with the line that makes it full.
const ROOM_BYTES: usize = CHUNK_BYTES + (4 << 10);
/// The part of its bytes (one over this) that a chunk may have in room to spare.
const SPARE_DIVISOR: usize = 8;

/// One of so many viewers may be behind when a chunk counts as sent: those that do not read say nothing about how long
/// sending takes.
const STRAGGLERS_DIVISOR: usize = 8;

/// The running number of a line in its channel: the first line ever published is 0. It never goes back, also not when
/// the file is truncated or another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct LineNumber(u64);

impl LineNumber {
    /// The number of the line that comes `lines` later.
    pub fn plus(self, lines: u64) -> Self {
        Self(self.0 + lines)
    }

    /// The number of the line that came `lines` earlier; there is none before the first.
    pub fn minus(self, lines: u64) -> Self {
        Self(self.0.saturating_sub(lines))
    }

    /// How many lines there are from `earlier` up to this one.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What happened to a file between two lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It was truncated or rewritten; what it holds now follows.
    Truncated,
    /// Another file bears its name; that one follows from its first byte.
    Rotated,
    /// It is gone; nothing follows.
    Removed,
    /// The server stops; nothing follows.
    Shutdown,
}

/// Lines on their way into a channel, encoded once.
#[derive(Debug, Default)]
pub struct Batch {
    frames: Vec<u8>,
    lines: u64,
}

impl Batch {
    /// Appends one line.
    pub fn push(&mut self, text: &str) {
        if self.frames.len() >= SMALL_BYTES && self.frames.capacity() < ROOM_BYTES {
            // More than a few lines are most often a whole chunk.
            self.frames.reserve_exact(ROOM_BYTES - self.frames.len());
        }
        frame::push_text(&mut self.frames, text);
        self.lines += 1;
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.lines == 0
    }

    /// Whether it holds as much as a chunk should.
    pub fn is_full(&self) -> bool {
        self.frames.len() >= CHUNK_BYTES
    }

    /// How many lines it holds.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The lines as a run of text frames.
    pub fn into_frames(mut self) -> Bytes {
        // Chunks wait in the backlog, which counts what they hold, not the room that they were given.
        if self.frames.capacity() - self.frames.len() > self.frames.len() / SPARE_DIVISOR {
            self.frames.shrink_to_fit();
        }
        self.frames.into()
    }
}

/// How a chunk goes out. Each form is a run of whole WebSocket frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text frame a line.
    Plain,
    /// The same, the lines that get smaller by it compressed each for itself (RFC 7692).
    PlainDeflated,
}

/// Lines, or an event between lines, in the order in which viewers see them.
#[derive(Debug)]
pub struct Chunk {
    event: Option<Event>,
    frames: Bytes,
    /// [`Form::PlainDeflated`], made when it is first asked for.
    deflated: OnceLock<Bytes>,
    first_line: LineNumber,
    lines: u64,
    next_sequence: u64,
    read_at: Option<Instant>,
    /// Viewers to whom it was handed whole.
    taken: AtomicUsize,
    /// With so many of them it counts as sent; never with 0.
    quorum: usize,
}

impl Chunk {
    /// A chunk of lines that were just read, the first of which has the number `first_line`, for so many viewers.
    pub fn live(
        frames: Bytes,
        first_line: LineNumber,
        lines: u64,
        sequence: u64,
        read_at: Instant,
        viewers: usize,
    ) -> Self {
        Self {
            event: None,
            frames,
            deflated: OnceLock::new(),
            first_line,
            lines,
            next_sequence: sequence + 1,
            read_at: Some(read_at),
            taken: AtomicUsize::new(0),
            quorum: viewers - viewers / STRAGGLERS_DIVISOR,
        }
    }

    /// A chunk of the last lines before what a viewer gets live, which begins with the chunk `next_sequence`.
    pub fn history(frames: Bytes, first_line: LineNumber, lines: u64, next_sequence: u64) -> Self {
        Self {
            event: None,
            frames,
            deflated: OnceLock::new(),
            first_line,
            lines,
            next_sequence,
            read_at: None,
            taken: AtomicUsize::new(0),
            quorum: 0,
        }
    }

    /// An event before the line `next_line`, with the notice that tells it on the plain protocol, where one does.
    pub fn of_event(event: Event, notice: Option<&str>, next_line: LineNumber, sequence: u64) -> Self {
        let mut frames = Vec::new();
        if let Some(notice) = notice {
            frame::push_text(&mut frames, notice);
        }
        Self {
            event: Some(event),
            frames: frames.into(),
            deflated: OnceLock::new(),
            first_line: next_line,
            lines: 0,
            next_sequence: sequence + 1,
            read_at: None,
            taken: AtomicUsize::new(0),
            quorum: 0,
        }
    }

    /// What happened, where it is an event.
    pub fn event(&self) -> Option<Event> {
        self.event
    }

    /// Its bytes in a form, which is made where it [is not](Self::has) yet: that takes some milliseconds at most.
    pub fn frames(&self, form: Form) -> &Bytes {
        match form {
            Form::Plain => &self.frames,
            Form::PlainDeflated => self.deflated.get_or_init(|| deflated(&self.frames)),
        }
    }

    /// Whether a form was made already.
    pub fn has(&self, form: Form) -> bool {
        match form {
            Form::Plain => true,
            Form::PlainDeflated => self.deflated.get().is_some(),
        }
    }

    /// How many lines it holds.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The number of its first line.
    pub fn first_line(&self) -> LineNumber {
        self.first_line
    }

    /// The number of the line after its last one.
    pub fn next_line(&self) -> LineNumber {
        self.first_line.plus(self.lines)
    }

    /// The running number in the channel of the chunk after it.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// When it was read from the file, where it is live.
    pub fn read_at(&self) -> Option<Instant> {
        self.read_at
    }

    /// Counts one more viewer to whom it was handed whole. With the one that makes it sent to all but the last few, it
    /// returns how long that took since it was read.
    pub fn count_taken(&self) -> Option<Duration> {
        let taken = self.taken.fetch_add(1, Ordering::Relaxed) + 1;
        (taken == self.quorum).then(|| self.read_at.map(|at| at.elapsed()))?
    }

    /// How many of its lines are whole in the first `sent` bytes of its frames.
    pub fn lines_within(&self, form: Form, sent: usize) -> u64 {
        let frames = frame::ends(self.frames(form)).take_while(|&end| end <= sent).count() as u64;
        frames.min(self.lines)
    }

    /// What is missing behind the first `sent` bytes to the end of the frame that they cut; empty where they cut none.
    pub fn rest_of_frame(&self, form: Form, sent: usize) -> &[u8] {
        let frames = self.frames(form);
        let end = frame::ends(frames).find(|&end| end >= sent);
        match end {
            Some(end) if sent > 0 => frames.get(sent..end).unwrap_or_default(),
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_knows_what_a_cut_write_left_of_it() {
        let mut batch = Batch::default();
        batch.push("ab");
        batch.push("");
        batch.push("cde");
        let lines = batch.lines();
        let chunk = Chunk::live(batch.into_frames(), LineNumber(7), lines, 0, Instant::now(), 1);
        // Frames of 4, 2 and 5 bytes.
        let within: Vec<u64> = (0..=11).map(|sent| chunk.lines_within(Form::Plain, sent)).collect();
        assert_eq!(within, [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]);
        let rest: Vec<usize> = (0..=11)
            .map(|sent| chunk.rest_of_frame(Form::Plain, sent).len())
            .collect();
        assert_eq!(rest, [0, 3, 2, 1, 0, 1, 0, 4, 3, 2, 1, 0]);
        assert_eq!(chunk.next_line().since(LineNumber(7)), 3);
    }

    #[test]
    fn its_compressed_form_is_made_once_and_cut_at_frames_as_well() {
        let mut batch = Batch::default();
        batch.push("ab");
        batch.push(&"c".repeat(1000));
        batch.push("de");
        let lines = batch.lines();
        let chunk = Chunk::live(batch.into_frames(), LineNumber(7), lines, 0, Instant::now(), 1);
        let form = Form::PlainDeflated;
        assert!(chunk.has(Form::Plain) && !chunk.has(form));
        let frames = chunk.frames(form).clone();
        assert!(chunk.has(form));
        assert_eq!(frames.as_ptr(), chunk.frames(form).as_ptr());
        // A plain frame of 4 bytes, a compressed one of 11 or so, a plain one of 4.
        let len = frames.len();
        assert!((15..30).contains(&len), "{len}");
        assert_eq!((frames[0], frames[4], frames[len - 4]), (0x81, 0xc1, 0x81));
        for (sent, whole, rest) in [
            (3, 0, 1),
            (4, 1, 0),
            (5, 1, len - 9),
            (len - 5, 1, 1),
            (len - 4, 2, 0),
            (len, 3, 0),
        ] {
            assert_eq!(chunk.lines_within(form, sent), whole, "{sent}");
            assert_eq!(chunk.rest_of_frame(form, sent).len(), rest, "{sent}");
        }
    }

    #[test]
    fn it_counts_as_sent_when_all_but_an_eighth_have_it() {
        let sent_at = |viewers, takes| {
            let chunk = Chunk::live(Bytes::new(), LineNumber(0), 0, 0, Instant::now(), viewers);
            (1..=takes).filter(|_| chunk.count_taken().is_some()).count()
        };
        assert_eq!((sent_at(1, 0), sent_at(1, 1)), (0, 1));
        assert_eq!((sent_at(16, 13), sent_at(16, 14), sent_at(16, 16)), (0, 1, 1));
        let history = Chunk::history(Bytes::new(), LineNumber(0), 0, 0);
        assert_eq!(history.count_taken(), None);
    }

    #[test]
    fn a_notice_is_a_frame_but_no_line() {
        let chunk = Chunk::of_event(Event::Truncated, Some("cut"), LineNumber(3), 1);
        assert_eq!(chunk.frames(Form::Plain).as_ref(), b"\x81\x03cut");
        assert_eq!((chunk.lines(), chunk.lines_within(Form::Plain, 5)), (0, 0));
        assert!(
            Chunk::of_event(Event::Rotated, None, LineNumber(3), 1)
                .frames(Form::Plain)
                .is_empty()
        );
    }
}
