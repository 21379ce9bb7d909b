//! A batch of lines as one immutable allocation that all viewers share.
//!
//! The lines are held in the form in which most viewers get them, a run of WebSocket text frames; each other [`Form`] is
//! made of it once, when the first viewer needs it. Handing a chunk to ten thousand viewers encodes nothing and copies
//! nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::position::{Mark, Place, Position};
use crate::v1;
use crate::ws::deflate::deflated;
use crate::ws::frame;

/// The most text that is put into one chunk, unless a single line is longer.
pub const CHUNK_BYTES: usize = 64 << 10;

/// A batch of more than this gets the room for a whole chunk,
const SMALL_BYTES: usize = 4 << 10;
/// which is this, with the headers of its frames.
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
    /// What a viewer asked for can't be found any more; the last lines follow.
    Gap,
}

impl Event {
    /// Its name in `tailcast.v1`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Rotated => "rotated",
            Self::Removed => "removed",
            Self::Shutdown => "shutdown",
            Self::Gap => "gap",
        }
    }

    /// Whether nothing follows it.
    pub fn ends_stream(self) -> bool {
        matches!(self, Self::Removed | Self::Shutdown)
    }
}

/// Lines on their way into a chunk, in the order of the file.
#[derive(Debug, Default)]
pub struct Batch {
    frames: Vec<u8>,
    text_bytes: usize,
    /// Where in the file each line ends, behind its line end.
    ends: Vec<u64>,
}

impl Batch {
    /// Appends one line that ends, with its line end, at this offset of the file.
    pub fn push(&mut self, text: &str, end: u64) {
        if self.frames.len() >= SMALL_BYTES && self.frames.capacity() < ROOM_BYTES {
            // More than a few lines are most often a whole chunk.
            self.frames.reserve_exact(ROOM_BYTES - self.frames.len());
        }
        frame::push_text(&mut self.frames, text);
        self.text_bytes += text.len();
        self.ends.push(end);
    }

    /// Whether it holds no line.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether this line may still be added: a chunk has no more than [`CHUNK_BYTES`] of text, or one line.
    pub fn has_room_for(&self, text: &str) -> bool {
        self.is_empty() || self.text_bytes + text.len() <= CHUNK_BYTES
    }

    /// Where in the file each of its lines ends.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// The lines, with the place behind them and the marks behind the last few of them.
    pub fn into_lines(mut self, end: Place, marks: Vec<Mark>) -> Lines {
        // Chunks wait in the backlog, which counts what they hold, not the room that they were given.
        if self.frames.capacity() - self.frames.len() > self.frames.len() / SPARE_DIVISOR {
            self.frames.shrink_to_fit();
        }
        Lines {
            count: self.ends.len() as u64,
            frames: self.frames.into(),
            end,
            marks,
        }
    }
}

/// Lines as they came out of a file, encoded once.
#[derive(Debug, Clone)]
pub struct Lines {
    frames: Bytes,
    count: u64,
    end: Place,
    marks: Vec<Mark>,
}

impl Lines {
    /// As a run of text frames.
    pub fn frames(&self) -> &Bytes {
        &self.frames
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The place behind the last one.
    pub fn end(&self) -> Place {
        self.end
    }

    /// The same lines with other marks.
    #[cfg(test)]
    pub(crate) fn with_marks(mut self, marks: Vec<Mark>) -> Self {
        self.marks = marks;
        self
    }

    /// The places behind the last few of them, in order.
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

/// How a chunk goes out. Each form but the last is a run of whole WebSocket frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text frame a line.
    Plain,
    /// The same, the lines that get smaller by it compressed each for itself (RFC 7692).
    PlainDeflated,
    /// One text frame with a message of `tailcast.v1`.
    V1 {
        /// More history follows at once.
        backlog: bool,
        /// Compressed, where that makes it smaller.
        deflate: bool,
    },
    /// The same message as a Server-Sent Event.
    Sse {
        /// More history follows at once.
        backlog: bool,
    },
}

/// The places before and after a chunk.
#[derive(Debug, Clone)]
pub struct Span {
    /// Before its first line.
    pub start: Arc<Position>,
    /// After its last one; after an event, where the stream goes on.
    pub end: Arc<Position>,
}

/// Where a chunk stands among those that were published in its channel.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// The number of its first line, or of the line after an event.
    pub first_line: LineNumber,
    /// The running number of the chunk after it.
    pub next_sequence: u64,
}

/// The forms that are made on demand; of two the second is the one that more history follows.
#[derive(Debug, Default)]
struct Forms {
    plain_deflated: OnceLock<Bytes>,
    v1: [OnceLock<Bytes>; 2],
    v1_deflated: [OnceLock<Bytes>; 2],
    sse: [OnceLock<Bytes>; 2],
}

/// Lines, or an event between lines, in the order in which viewers see them.
///
/// What all who take it write to comes first, beside the counts of its `Arc`: cores that serve viewers pass this one line
/// of their caches to each other, and have the others for themselves.
#[derive(Debug)]
#[repr(C)]
pub struct Chunk {
    /// Viewers to whom it was handed whole.
    taken: AtomicUsize,
    /// With so many of them it counts as sent; never with 0.
    quorum: usize,
    read_at: Option<Instant>,
    /// What happened, and what a person is told of it.
    event: Option<(Event, String)>,
    frames: Bytes,
    lines: u64,
    span: Span,
    /// None where it was read for one viewer alone.
    numbers: Option<Numbers>,
    /// Whether it went to all viewers.
    published: bool,
    /// The other forms, each made when it is first asked for; on the heap, as most chunks go out in the one above alone.
    forms: OnceLock<Box<Forms>>,
}

impl Chunk {
    /// A chunk of lines that were just read, for so many viewers.
    pub fn live(lines: &Lines, span: Span, numbers: Numbers, read_at: Instant, viewers: usize) -> Self {
        Self {
            published: true,
            read_at: Some(read_at),
            quorum: viewers - viewers / STRAGGLERS_DIVISOR,
            ..Self::history(lines.frames.clone(), lines.count, span, Some(numbers))
        }
    }

    /// A chunk of lines from before what a viewer gets live.
    pub fn history(frames: Bytes, lines: u64, span: Span, numbers: Option<Numbers>) -> Self {
        Self {
            event: None,
            frames,
            lines,
            span,
            numbers,
            published: false,
            read_at: None,
            forms: OnceLock::new(),
            taken: AtomicUsize::new(0),
            quorum: 0,
        }
    }

    /// An event between lines, with what a person is told of it. On the plain protocol it is told where it has to be.
    pub fn of_event(event: Event, message: String, span: Span, numbers: Option<Numbers>) -> Self {
        let mut frames = Vec::new();
        if matches!(event, Event::Truncated | Event::Removed) {
            frame::push_text(&mut frames, &message);
        }
        Self {
            event: Some((event, message)),
            published: numbers.is_some(),
            ..Self::history(frames.into(), 0, span, numbers)
        }
    }

    /// What happened, where it is an event.
    pub fn event(&self) -> Option<Event> {
        self.event.as_ref().map(|(event, _)| *event)
    }

    /// Its bytes in a form, which is made where it [is not](Self::has) yet: that takes some milliseconds at most.
    pub fn frames(&self, form: Form) -> &Bytes {
        let Some(cell) = self.cell(form) else {
            return &self.frames;
        };
        cell.get_or_init(|| match form {
            Form::Plain => self.frames.clone(),
            Form::PlainDeflated => deflated(&self.frames),
            Form::V1 {
                backlog,
                deflate: false,
            } => self.to_v1(backlog),
            Form::V1 { backlog, deflate: true } => deflated(self.frames(Form::V1 {
                backlog,
                deflate: false,
            })),
            Form::Sse { backlog } => v1::server_sent(&self.to_message(backlog), Some(&self.span.end)).into(),
        })
    }

    /// Whether a form was made already.
    pub fn has(&self, form: Form) -> bool {
        self.cell(form).is_none_or(|cell| cell.get().is_some())
    }

    /// Where a form is kept that is not the one that the chunk is made of. An event is the same whatever follows.
    fn cell(&self, form: Form) -> Option<&OnceLock<Bytes>> {
        let forms = match form {
            Form::Plain => return None,
            _ => self.forms.get_or_init(Box::default),
        };
        let more = |backlog: bool| usize::from(backlog && self.event.is_none());
        match form {
            Form::Plain => None,
            Form::PlainDeflated => Some(&forms.plain_deflated),
            Form::V1 {
                backlog,
                deflate: false,
            } => forms.v1.get(more(backlog)),
            Form::V1 { backlog, deflate: true } => forms.v1_deflated.get(more(backlog)),
            Form::Sse { backlog } => forms.sse.get(more(backlog)),
        }
    }

    fn to_message(&self, backlog: bool) -> Vec<u8> {
        match &self.event {
            Some((event, message)) => v1::event(event.name(), message, None, Some(&self.span.end)).into_bytes(),
            None => v1::lines(&self.frames, self.lines, &self.span.start, &self.span.end, backlog),
        }
    }

    fn to_v1(&self, backlog: bool) -> Bytes {
        let message = self.to_message(backlog);
        let mut frame = Vec::with_capacity(message.len() + frame::MAX_HEADER_BYTES);
        frame::push_text_bytes(&mut frame, &message);
        frame.into()
    }

    /// How many lines it holds.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The places before and after it.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Where it stands among those that were published; none where it was read for one viewer alone.
    pub fn numbers(&self) -> Option<Numbers> {
        self.numbers
    }

    /// Whether it went to all viewers, and is held by the channel.
    pub fn is_published(&self) -> bool {
        self.published
    }

    /// The number of the line after its last one, where its lines are numbered.
    pub fn next_line(&self) -> Option<LineNumber> {
        Some(self.numbers?.first_line.plus(self.lines))
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
        match form {
            Form::Plain | Form::PlainDeflated => frames.min(self.lines),
            Form::V1 { .. } | Form::Sse { .. } => frames.min(1) * self.lines,
        }
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
pub(crate) mod testing {
    //! Lines and chunks of files that are not there.

    use super::*;
    use crate::position::{Identity, Within};

    /// A place of which nothing but the offset matters.
    pub(crate) fn place(offset: u64) -> Place {
        let file = Identity { inode: 1, born: 1 };
        Place::new(file, offset, Within::Nothing, &[b'x'; 1024], &[b'x'; 256])
    }

    pub(crate) fn position(offset: u64) -> Arc<Position> {
        Arc::new(Position::in_current(place(offset)))
    }

    pub(crate) fn span(start: u64, end: u64) -> Span {
        Span {
            start: position(start),
            end: position(end),
        }
    }

    /// Lines that follow those up to an offset, each with a mark behind it.
    pub(crate) fn lines_from(start: u64, texts: &[&str]) -> Lines {
        let mut batch = Batch::default();
        let mut end = start;
        for text in texts {
            end += text.len() as u64 + 1;
            batch.push(text, end);
        }
        let marks = batch.ends().iter().map(|&end| Mark::At(place(end))).collect();
        batch.into_lines(place(end), marks)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{lines_from, span};
    use super::*;

    fn numbers(line: u64) -> Numbers {
        Numbers {
            first_line: LineNumber(line),
            next_sequence: 1,
        }
    }

    fn chunk(viewers: usize) -> Chunk {
        let lines = lines_from(0, &["ab", "", "cde"]);
        Chunk::live(&lines, span(0, 8), numbers(7), Instant::now(), viewers)
    }

    #[test]
    fn a_chunk_knows_what_a_cut_write_left_of_it() {
        let chunk = chunk(1);
        // Frames of 4, 2 and 5 bytes.
        let within: Vec<u64> = (0..=11).map(|sent| chunk.lines_within(Form::Plain, sent)).collect();
        assert_eq!(within, [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]);
        let rest: Vec<usize> = (0..=11)
            .map(|sent| chunk.rest_of_frame(Form::Plain, sent).len())
            .collect();
        assert_eq!(rest, [0, 3, 2, 1, 0, 1, 0, 4, 3, 2, 1, 0]);
        assert_eq!(chunk.next_line().map(|line| line.since(LineNumber(7))), Some(3));
        let form = Form::V1 {
            backlog: false,
            deflate: false,
        };
        let len = chunk.frames(form).len();
        assert_eq!(
            (chunk.lines_within(form, len - 1), chunk.lines_within(form, len)),
            (0, 3)
        );
        assert_eq!(chunk.rest_of_frame(form, 1).len(), len - 1);
    }

    #[test]
    fn each_form_is_made_once_and_says_whether_more_follows() {
        let chunk = chunk(1);
        for (form, backlog) in [
            (
                Form::V1 {
                    backlog: true,
                    deflate: false,
                },
                "true",
            ),
            (
                Form::V1 {
                    backlog: false,
                    deflate: false,
                },
                "false",
            ),
            (Form::Sse { backlog: true }, "true"),
            (Form::Sse { backlog: false }, "false"),
        ] {
            let text = String::from_utf8_lossy(chunk.frames(form));
            assert!(text.contains(&format!("\"backlog\":{backlog}")), "{text}");
            assert!(text.contains(r#""lines":["ab","","cde"]"#), "{text}");
            assert!(std::ptr::eq(chunk.frames(form).as_ptr(), chunk.frames(form).as_ptr()));
        }
        let end = &chunk.span().end;
        let sse = String::from_utf8(chunk.frames(Form::Sse { backlog: false }).to_vec()).unwrap();
        assert!(
            sse.starts_with(&format!("id: {end}\ndata: {{\"type\":\"lines\"")),
            "{sse}"
        );
        assert!(sse.ends_with("]}\n\n"), "{sse}");
    }

    #[test]
    fn its_compressed_form_is_made_once_and_cut_at_frames_as_well() {
        let lines = lines_from(0, &["ab", &"c".repeat(1000), "de"]);
        let chunk = Chunk::live(&lines, span(0, 8), numbers(7), Instant::now(), 1);
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
        let form = |deflate| Form::V1 {
            backlog: false,
            deflate,
        };
        assert!(chunk.frames(form(true)).len() < chunk.frames(form(false)).len() / 2);
        assert_eq!(chunk.frames(form(true)).first(), Some(&0xc1));
        assert_eq!(chunk.lines_within(form(true), chunk.frames(form(true)).len()), 3);
    }

    #[test]
    fn it_counts_as_sent_when_all_but_an_eighth_have_it() {
        let sent_at = |viewers, takes| {
            let chunk = chunk(viewers);
            (1..=takes).filter(|_| chunk.count_taken().is_some()).count()
        };
        assert_eq!((sent_at(1, 0), sent_at(1, 1)), (0, 1));
        assert_eq!((sent_at(16, 13), sent_at(16, 14), sent_at(16, 16)), (0, 1, 1));
        let history = Chunk::history(Bytes::new(), 0, span(0, 0), None);
        assert_eq!(history.count_taken(), None);
    }

    #[test]
    fn a_notice_is_a_frame_but_no_line() {
        let event = |event, message: &str| Chunk::of_event(event, message.to_owned(), span(3, 9), Some(numbers(3)));
        let chunk = event(Event::Truncated, "cut");
        assert_eq!(chunk.frames(Form::Plain).as_ref(), b"\x81\x03cut");
        assert_eq!((chunk.lines(), chunk.lines_within(Form::Plain, 5)), (0, 0));
        let position = &chunk.span().end;
        for backlog in [true, false] {
            let text = String::from_utf8_lossy(chunk.frames(Form::V1 {
                backlog,
                deflate: false,
            }));
            assert!(
                text.ends_with(&format!(
                    r#"{{"type":"event","event":"truncated","message":"cut","position":"{position}"}}"#
                )),
                "{text}"
            );
        }
        assert!(event(Event::Rotated, "a new file").frames(Form::Plain).is_empty());
    }

    #[test]
    fn a_batch_takes_64_kib_of_text_or_one_line() {
        let mut batch = Batch::default();
        assert!(batch.has_room_for(&"x".repeat(CHUNK_BYTES * 2)));
        batch.push(&"x".repeat(CHUNK_BYTES - 1), 0);
        assert!(batch.has_room_for("y"));
        assert!(!batch.has_room_for("yz"));
    }
}
