//! One file's lines on their way to its viewers.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tokio::time;

use super::ring::Ring;
use super::subscription::{Progress, Subscription};
use crate::chunk::{Batch, CHUNK_BYTES, Chunk, Event, Form, LineNumber};
use crate::config::{Limits, Settings};
use crate::metrics::FileMetrics;
use crate::notices;

/// How long a missing file is looked for again before a viewer is told so.
const MISSING_WAIT: Duration = Duration::from_millis(250);
/// Pause between two such looks.
const MISSING_STEP: Duration = Duration::from_millis(25);
/// How long a viewer waits for its source to look while the channel is being fed: a source that is busy with a backlog
/// keeps nobody waiting.
const BUSY_WAIT: Duration = Duration::from_secs(1);
/// How long it waits for a source that feeds nothing yet; beyond that its storage does not answer.
const HUNG_WAIT: Duration = Duration::from_secs(2);
/// How often a viewer tries again when a file that was there is gone before the viewer could join.
const ATTEMPTS: usize = 50;
/// The part of the backlog (one over this) by which a source that reads a backlog of its own may run ahead of the
/// viewers: the rest is for those of them that are slower than others.
const LEAD_DIVISOR: usize = 4;

/// So many chunks are kept whatever their bytes: one that is being sent, one that waits, and two that a source adds
/// before it sees that it should pause. The smallest backlog that can be set is one chunk, and a long line is more.
const MIN_BACKLOG_CHUNKS: usize = 4;
/// Growth of the backlog after which it is looked what all viewers have taken: rare enough that looking at each of ten
/// thousand viewers costs nothing next to sending them so much.
const TRIM_BYTES: u64 = 1 << 20;
/// The same, counted in chunks.
const TRIM_CHUNKS: usize = 256;

/// What feeds channels.
pub trait Source: Send + Sync + std::fmt::Debug {
    /// Asks for a look at what lies behind the channel; one that is not fed yet is fed from then on. Does not wait: the
    /// answer is a call of [`Channel::looked`].
    fn look(&self, channel: &Arc<Channel>);
}

/// What a source found when it looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Lines, or an empty file: the channel is being fed.
    Fed,
    /// No file.
    Missing,
    /// Something that can't be read, or is no regular file.
    Unreadable,
}

/// Why nobody can join a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The file does not exist.
    Missing,
    /// It can't be read.
    Unreadable,
    /// The server stops.
    Stopping,
}

/// The last look of the source.
#[derive(Debug, Clone, Copy)]
struct Look {
    ticket: u64,
    found: Found,
}

/// The last lines of one file and the way of the next ones to its viewers.
#[derive(Debug)]
pub struct Channel {
    name: Arc<str>,
    settings: Settings,
    metrics: Arc<FileMetrics>,
    source: Arc<dyn Source>,
    /// Looks asked for so far; the number of one is its ticket.
    asked: AtomicU64,
    last_look: watch::Sender<Look>,
    stopping_since: OnceLock<Instant>,
    /// How long the last chunk took to its viewers, in nanoseconds.
    round: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Whether a source publishes into it.
    fed: bool,
    ring: Ring,
    /// The chunks that some viewer has yet to take, the only strong references but for writes under way. What is pushed
    /// out of it is gone for viewers that still wait for it, which is how they learn that they are too slow.
    backlog: VecDeque<Arc<Chunk>>,
    backlog_bytes: u64,
    /// When the backlog reaches one of these, it is looked what all viewers have taken.
    trim_at_bytes: u64,
    trim_at_chunks: usize,
    sender: broadcast::Sender<Weak<Chunk>>,
    /// Slots that the sender was made with.
    slots: usize,
    next_line: LineNumber,
    next_sequence: u64,
    viewers: HashMap<u64, Arc<Progress>>,
    next_viewer: u64,
    /// Since when it has had no viewer.
    empty_since: Instant,
    encoding: Option<&'static str>,
}

impl Channel {
    pub(super) fn new(name: Arc<str>, settings: Settings, metrics: Arc<FileMetrics>, source: Arc<dyn Source>) -> Self {
        Self {
            name,
            settings,
            metrics,
            source,
            asked: AtomicU64::new(0),
            last_look: watch::Sender::new(Look {
                ticket: 0,
                found: Found::Missing,
            }),
            stopping_since: OnceLock::new(),
            round: AtomicU64::new(0),
            state: Mutex::new(State {
                fed: false,
                ring: Ring::default(),
                backlog: VecDeque::new(),
                backlog_bytes: 0,
                trim_at_bytes: TRIM_BYTES,
                trim_at_chunks: TRIM_CHUNKS,
                // Made anew with the configured number of slots when it is fed: an idle file costs no memory.
                sender: broadcast::Sender::new(1),
                slots: 1,
                next_line: LineNumber::default(),
                next_sequence: 0,
                viewers: HashMap::new(),
                next_viewer: 0,
                empty_since: Instant::now(),
                encoding: None,
            }),
        }
    }

    /// The name of its file.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is counted for its file.
    pub fn metrics(&self) -> &Arc<FileMetrics> {
        &self.metrics
    }

    /// The configuration in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock; if something did, serving goes on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The side of the viewers.

    /// Joins as a viewer: the last lines of the file that bears the name now, then all that is published.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where there is nothing to join.
    pub async fn subscribe(self: &Arc<Self>) -> Result<Subscription, Unavailable> {
        let asked_at = time::Instant::now();
        for _ in 0..ATTEMPTS {
            let found = self.ask_for_look().await;
            if self.stopping_for().is_some() {
                return Err(Unavailable::Stopping);
            }
            match found {
                Found::Fed => {
                    if let Some(subscription) = self.join() {
                        return Ok(subscription);
                    }
                }
                Found::Missing if asked_at.elapsed() < MISSING_WAIT => time::sleep(MISSING_STEP).await,
                Found::Missing => return Err(Unavailable::Missing),
                Found::Unreadable => return Err(Unavailable::Unreadable),
            }
        }
        Err(Unavailable::Missing)
    }

    async fn ask_for_look(self: &Arc<Self>) -> Found {
        let mut last_look = self.last_look.subscribe();
        let ticket = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.source.look(self);
        let mut answer = async |wait| {
            let look = last_look.wait_for(|look| look.ticket >= ticket);
            match time::timeout(wait, look).await {
                Ok(Ok(look)) => Some(look.found),
                _ => None,
            }
        };
        match answer(BUSY_WAIT).await {
            Some(found) => found,
            None if self.is_fed() => Found::Fed,
            None => answer(HUNG_WAIT).await.unwrap_or(Found::Unreadable),
        }
    }

    fn join(self: &Arc<Self>) -> Option<Subscription> {
        let mut state = self.lock();
        if !state.fed {
            return None;
        }
        let state = &mut *state;
        let next_line = state.next_line;
        let history = state.ring.snapshot(|count| next_line.minus(count), state.next_sequence);
        let progress = Arc::new(Progress::new(state.next_sequence));
        let id = state.next_viewer;
        state.next_viewer += 1;
        state.viewers.insert(id, Arc::clone(&progress));
        Some(Subscription::new(
            Arc::clone(self),
            id,
            history,
            state.sender.subscribe(),
            progress,
        ))
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.lock();
        state.viewers.remove(&id);
        if state.viewers.is_empty() {
            state.empty_since = Instant::now();
        }
    }

    /// Number of viewers now.
    pub fn viewers(&self) -> usize {
        self.lock().viewers.len()
    }

    /// The number of the line that will be published next.
    pub fn next_line(&self) -> LineNumber {
        self.lock().next_line
    }

    /// For how long the server has been stopping, if it is.
    pub fn stopping_for(&self) -> Option<Duration> {
        self.stopping_since.get().map(Instant::elapsed)
    }

    /// Whether a source publishes into it.
    pub fn is_fed(&self) -> bool {
        self.lock().fed
    }

    // The side of the source.

    /// The ticket of the last look that was asked for; a look that begins now answers it and all before it.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Answers all who asked for a look up to `ticket`.
    pub fn looked(&self, ticket: u64, found: Found) {
        self.last_look.send_if_modified(|look| {
            let news = look.ticket < ticket;
            if news {
                *look = Look { ticket, found };
            }
            news
        });
    }

    /// Begins to be fed, with the last lines of what feeds it. Says no where another source feeds it.
    #[must_use]
    pub fn feed(&self, history: Batch) -> bool {
        let config = self.settings.current();
        let slots = config.limits.backlog_chunks;
        let mut state = self.lock();
        if state.fed {
            return false;
        }
        if state.sender.receiver_count() == 0 && state.slots != slots {
            state.sender = broadcast::Sender::new(slots);
            state.slots = slots;
        }
        state.fed = true;
        state.empty_since = Instant::now();
        state.next_line = state.next_line.plus(history.lines());
        state.ring.replace(history, config.stream.history_lines);
        true
    }

    /// Replaces the last lines by those of a file that is followed again, which were sent before.
    pub fn set_history(&self, history: Batch) {
        let config = self.settings.current();
        self.lock().ring.replace(history, config.stream.history_lines);
    }

    /// Sends lines to all viewers. Lines that are no `history` are for those connected alone.
    pub fn publish(&self, batch: Batch, read_at: Instant, history: bool) {
        if batch.is_empty() {
            return;
        }
        let config = self.settings.current();
        let lines = batch.lines();
        let frames = batch.into_frames();
        let mut state = self.lock();
        if history {
            state.ring.push(&frames, lines, config.stream.history_lines);
        }
        let viewers = state.viewers.len();
        let chunk = Chunk::live(frames, state.next_line, lines, state.next_sequence, read_at, viewers);
        state.send(chunk, &config.limits);
    }

    /// Tells all viewers what happened before the next line.
    pub fn publish_event(&self, event: Event) {
        let config = self.settings.current();
        let notice = match event {
            Event::Truncated => Some(notices::truncated(config.notices).to_owned()),
            Event::Removed => Some(notices::Farewell::Removed.text(config.notices, &self.name)),
            Event::Rotated | Event::Shutdown => None,
        };
        match event {
            Event::Truncated => self.metrics.truncated.increment(1),
            Event::Rotated => self.metrics.rotated.increment(1),
            Event::Removed => self.metrics.removed.increment(1),
            Event::Shutdown => {
                self.stopping_since.get_or_init(Instant::now);
            }
        }
        let mut state = self.lock();
        state.ring.clear();
        if matches!(event, Event::Removed | Event::Shutdown) {
            state.unfeed();
        }
        let chunk = Chunk::of_event(event, notice.as_deref(), state.next_line, state.next_sequence);
        state.send(chunk, &config.limits);
    }

    /// Ends the feeding if there has been no viewer for `linger`, and says whether it did.
    pub fn unfeed_if_empty_for(&self, linger: Duration) -> bool {
        let mut state = self.lock();
        let empty = state.viewers.is_empty() && state.empty_since.elapsed() >= linger;
        if empty {
            state.unfeed();
            state.ring.clear();
            state.sender = broadcast::Sender::new(1);
            state.slots = 1;
        }
        empty
    }

    /// Whether even the fastest of the viewers that read is so far behind that a source with a backlog of its own should
    /// let it catch up. Slower ones have the rest of the backlog and are not waited for, nor is one that took nothing for
    /// a while.
    pub fn wants_pause(&self) -> bool {
        let limits = &self.settings.current().limits;
        let backlog_chunks = usize::try_from(limits.backlog.0).unwrap_or(usize::MAX) / CHUNK_BYTES;
        let lead = limits.backlog_chunks.min(backlog_chunks) / LEAD_DIVISOR;
        let lead = lead.max(1) as u64;
        let state = self.lock();
        let reading = state.viewers.values().filter(|progress| progress.reads());
        let fastest = reading.map(|progress| progress.taken()).max();
        fastest.is_some_and(|taken| state.next_sequence.saturating_sub(taken) > lead)
    }

    /// How long it took the last time until lines were handed to the kernel for all viewers but the last few.
    pub fn round(&self) -> Duration {
        Duration::from_nanos(self.round.load(Ordering::Relaxed))
    }

    pub(super) fn set_round(&self, round: Duration) {
        let nanos = u64::try_from(round.as_nanos()).unwrap_or(u64::MAX);
        self.round.store(nanos, Ordering::Relaxed);
    }

    /// Lets go of chunks that all viewers have taken.
    pub fn trim(&self) {
        let mut state = self.lock();
        if !state.backlog.is_empty() {
            state.drop_taken();
        }
    }

    /// Sets the encoding that is reported for the file.
    pub fn set_encoding(&self, encoding: Option<&'static str>) {
        self.lock().encoding = encoding;
    }

    /// The encoding of the file, where it is being followed and shows one.
    pub fn encoding(&self) -> Option<&'static str> {
        self.lock().encoding
    }
}

impl State {
    fn send(&mut self, chunk: Chunk, limits: &Limits) {
        self.next_line = chunk.next_line();
        self.next_sequence += 1;
        let chunk = Arc::new(chunk);
        // An error means that nobody listens, which is fine.
        if self.sender.send(Arc::downgrade(&chunk)).is_ok() {
            self.backlog_bytes += chunk.frames(Form::Plain).len() as u64;
            self.backlog.push_back(chunk);
        }
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

    fn drop_taken(&mut self) {
        // What a viewer has taken it holds itself until it is written, so the count runs behind rather than ahead.
        let taken = self.viewers.values().map(|progress| progress.taken()).min();
        let taken = taken.unwrap_or(self.next_sequence);
        while self.backlog.front().is_some_and(|chunk| chunk.next_sequence() <= taken) {
            self.drop_oldest();
        }
        if self.backlog.is_empty() {
            self.backlog = VecDeque::new();
        }
        self.trim_at_bytes = self.backlog_bytes + TRIM_BYTES;
        self.trim_at_chunks = self.backlog.len() + TRIM_CHUNKS;
    }

    fn drop_oldest(&mut self) {
        if let Some(chunk) = self.backlog.pop_front() {
            self.backlog_bytes -= chunk.frames(Form::Plain).len() as u64;
        }
    }

    fn unfeed(&mut self) {
        self.fed = false;
        self.encoding = None;
    }
}
