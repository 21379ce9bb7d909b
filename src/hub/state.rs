//! What a channel's lock protects: the last lines, the backlog, and who waits for what of it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::broadcast;

use super::past::Past;
use super::ring::{Ring, Snapshot};
use super::subscription::{Attached, Progress};
use crate::chunk::{Chunk, Event, Form, LineNumber, Numbers, Span};
use crate::config::Limits;
use crate::position::{Place, Position};

/// So many chunks are kept whatever their bytes: one that is being sent, one that waits, and two that a source adds
/// before it sees that it should pause. The smallest backlog that can be set is one chunk, and a long line is more.
const MIN_BACKLOG_CHUNKS: usize = 4;
/// Growth of the backlog after which it is looked what all viewers have taken: rare enough that looking at each of ten
/// thousand viewers costs nothing next to sending them so much.
const TRIM_BYTES: u64 = 1 << 20;
/// The same, counted in chunks.
const TRIM_CHUNKS: usize = 256;
/// Chunks that all viewers have taken are kept up to so many bytes, and
const WINDOW_BYTES: u64 = 1 << 20;
/// so many chunks, of a few hundred bytes beside their lines: the window in which whoever catches up meets those who
/// are live. It is no more than the backlog may hold.
const WINDOW_CHUNKS: usize = 2048;

#[derive(Debug)]
pub(super) struct State {
    /// Whether a source publishes into it.
    pub(super) fed: bool,
    /// Earlier lines of the source that feeds it, or fed it last.
    pub(super) past: Option<Arc<dyn Past>>,
    /// Where the stream is; none before anything has fed it.
    pub(super) position: Option<Arc<Position>>,
    pub(super) ring: Ring,
    /// The chunks that some viewer has yet to take and the window before them, the only strong references but for
    /// writes under way. What is pushed out of it is gone for viewers that still wait for it, which is how they learn
    /// that they are too slow.
    pub(super) backlog: VecDeque<Arc<Chunk>>,
    pub(super) backlog_bytes: u64,
    /// When the backlog reaches one of these, it is looked what all viewers have taken.
    pub(super) trim_at_bytes: u64,
    pub(super) trim_at_chunks: usize,
    pub(super) sender: broadcast::Sender<Weak<Chunk>>,
    /// Slots that the sender was made with.
    pub(super) slots: usize,
    pub(super) next_line: LineNumber,
    pub(super) next_sequence: u64,
    /// Chunks before this one are no part of a run with those from it on.
    pub(super) run_begins_at: u64,
    pub(super) viewers: HashMap<u64, Arc<Progress>>,
    pub(super) next_viewer: u64,
    /// How many of the viewers are catching up.
    pub(super) catching_up: usize,
    /// Since when it has had no viewer.
    pub(super) empty_since: Instant,
    pub(super) encoding: Option<&'static str>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            fed: false,
            past: None,
            position: None,
            ring: Ring::at(Place::default()),
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            trim_at_bytes: TRIM_BYTES,
            trim_at_chunks: TRIM_CHUNKS,
            // Made anew with the configured number of slots when it is fed: an idle file costs no memory.
            sender: broadcast::Sender::new(1),
            slots: 1,
            next_line: LineNumber::default(),
            next_sequence: 0,
            run_begins_at: 0,
            viewers: HashMap::new(),
            next_viewer: 0,
            catching_up: 0,
            empty_since: Instant::now(),
            encoding: None,
        }
    }
}

impl State {
    /// Moves the stream on, and returns from where to where. None before anything has fed it.
    pub(super) fn move_to(&mut self, position: Option<Position>) -> Option<Span> {
        let start = self.position.clone()?;
        let end = position.map_or_else(|| Arc::clone(&start), Arc::new);
        self.position = Some(Arc::clone(&end));
        Some(Span { start, end })
    }

    /// Those of the next chunk.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers {
            first_line: self.next_line,
            next_sequence: self.next_sequence + 1,
        }
    }

    /// Those of chunks of lines that were published before the next one.
    pub(super) fn numbers_before(&self) -> impl Fn(u64) -> Numbers + use<> {
        let (next_line, next_sequence) = (self.next_line, self.next_sequence);
        move |lines| Numbers {
            first_line: next_line.minus(lines),
            next_sequence,
        }
    }

    pub(super) fn snapshot(&mut self, position: &Arc<Position>) -> Snapshot {
        let numbers = self.numbers_before();
        self.ring.snapshot(position, numbers)
    }

    /// A place behind all that was published.
    pub(super) fn attach(&self) -> Attached {
        Attached {
            waiting: Vec::new(),
            taken: self.next_sequence,
            next_line: self.next_line,
            receiver: self.sender.subscribe(),
        }
    }

    /// A place at a position, with what was published since then; none where that is not known or not all of it held.
    pub(super) fn attach_at(&self, position: &Position, limits: &Limits) -> Option<Attached> {
        let last_ends_stream = self
            .backlog
            .back()
            .is_some_and(|chunk| chunk.event().is_some_and(Event::ends_stream));
        let here = self.position.as_deref() == Some(position);
        if here && (self.fed || !last_ends_stream) {
            return Some(self.attach());
        }
        let follows = |chunk: &Arc<Chunk>| {
            let sequence = chunk.numbers().map_or(0, |numbers| numbers.next_sequence);
            sequence > self.run_begins_at && *chunk.span().start == *position
        };
        let index = self.backlog.iter().rposition(follows)?;
        let waiting = self.backlog.range(index..);
        let bytes: usize = waiting.clone().map(|chunk| chunk.frames(Form::Plain).len()).sum();
        // One that has as much to take as the backlog holds would be behind before it begins.
        if bytes as u64 > limits.backlog.0 / 2 || waiting.len() > limits.backlog_chunks.div_ceil(2) {
            return None;
        }
        let numbers = waiting.clone().next()?.numbers()?;
        Some(Attached {
            waiting: waiting.map(Arc::downgrade).collect(),
            taken: numbers.next_sequence - 1,
            next_line: numbers.first_line,
            receiver: self.sender.subscribe(),
        })
    }

    pub(super) fn send(&mut self, chunk: Chunk, limits: &Limits) {
        self.next_line = chunk.next_line().unwrap_or(self.next_line);
        self.next_sequence += 1;
        let chunk = Arc::new(chunk);
        // An error means that nobody listens, which is fine.
        let _ = self.sender.send(Arc::downgrade(&chunk));
        self.backlog_bytes += bytes_of(&chunk);
        self.backlog.push_back(chunk);
        self.trim(limits);
    }

    /// Drops what is beyond the limits, whoever waits for it; and, once there is enough of it to be worth a look at
    /// every viewer, what all of them have taken.
    fn trim(&mut self, limits: &Limits) {
        while self.backlog.len() > limits.backlog_chunks
            || self.backlog_bytes > limits.backlog.0 && self.backlog.len() > MIN_BACKLOG_CHUNKS
        {
            self.drop_oldest();
        }
        if self.backlog_bytes >= self.trim_at_bytes || self.backlog.len() >= self.trim_at_chunks {
            self.drop_taken();
        }
    }

    /// Drops what all viewers have taken, where there is more than the window keeps anyway.
    pub(super) fn drop_taken_beyond_window(&mut self) {
        if self.backlog_bytes > WINDOW_BYTES || self.backlog.len() > WINDOW_CHUNKS {
            self.drop_taken();
        }
    }

    fn drop_taken(&mut self) {
        // What a viewer has taken it holds itself until it is written, so the count runs behind rather than ahead.
        let taken = self.viewers.values().map(|progress| progress.taken()).min();
        let taken = taken.unwrap_or(self.next_sequence);
        while let Some(chunk) = self.backlog.front() {
            let was_taken = chunk.numbers().is_none_or(|numbers| numbers.next_sequence <= taken);
            let beyond_window =
                self.backlog_bytes - bytes_of(chunk) >= WINDOW_BYTES || self.backlog.len() > WINDOW_CHUNKS;
            if !(was_taken && beyond_window) {
                break;
            }
            self.drop_oldest();
        }
        self.trim_at_bytes = self.backlog_bytes + TRIM_BYTES;
        self.trim_at_chunks = self.backlog.len() + TRIM_CHUNKS;
    }

    fn drop_oldest(&mut self) {
        if let Some(chunk) = self.backlog.pop_front() {
            self.backlog_bytes -= bytes_of(&chunk);
        }
    }

    pub(super) fn unfeed(&mut self) {
        self.fed = false;
        self.encoding = None;
    }

    /// Lets go of everything that was kept for viewers, of whom there are none.
    pub(super) fn forget(&mut self) {
        self.backlog = VecDeque::new();
        self.backlog_bytes = 0;
        self.past = None;
        self.ring = Ring::at(Place::default());
    }
}

/// What a chunk counts as in the backlog.
fn bytes_of(chunk: &Chunk) -> u64 {
    chunk.frames(Form::Plain).len() as u64
}

/// A chunk of no lines, for a stream that begins with none.
pub(super) fn no_lines(position: &Arc<Position>) -> Arc<Chunk> {
    let span = Span {
        start: Arc::clone(position),
        end: Arc::clone(position),
    };
    Arc::new(Chunk::history(Bytes::new(), 0, span, None))
}
