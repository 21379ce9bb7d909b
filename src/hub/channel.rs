//! One file's lines on their way to its viewers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, watch};
use tokio::time;

use super::catch_up::CatchUp;
use super::past::{Past, Start};
use super::ring::{History, Ring};
use super::state::{State, no_lines};
use super::subscription::{Attached, Progress, Subscription};
use crate::chunk::{CHUNK_BYTES, Chunk, Event, LineNumber, Lines, Span};
use crate::config::{Limits, Settings};
use crate::metrics::FileMetrics;
use crate::notices;
use crate::position::Position;

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
    /// Sequence number behind the last chunk that was published, for viewers to see without a lock.
    published: AtomicU64,
    state: Mutex<State>,
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
            published: AtomicU64::new(0),
            state: Mutex::new(State::default()),
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

    /// Joins as a viewer: what there is from `start` on, or the last lines of the file that bears the name now, then
    /// all that is published.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] where there is nothing to join.
    pub async fn subscribe(self: &Arc<Self>, start: Start) -> Result<Subscription, Unavailable> {
        let asked_at = time::Instant::now();
        for _ in 0..ATTEMPTS {
            let found = self.ask_for_look().await;
            if self.stopping_for().is_some() {
                return Err(Unavailable::Stopping);
            }
            match found {
                Found::Fed => {
                    if let Some(subscription) = self.join(&start) {
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

    pub(super) async fn ask_for_look(self: &Arc<Self>) -> Found {
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

    fn join(self: &Arc<Self>, start: &Start) -> Option<Subscription> {
        let config = self.settings.current();
        let state = &mut *self.lock();
        let (true, Some(position)) = (state.fed, state.position.clone()) else {
            return None;
        };
        let next_line = state.next_line;
        let mut attached = match start {
            Start::Since(since) => state.attach_at(since, &config.limits),
            Start::History | Start::LastLines(_) | Start::Nowhere => Some(state.attach()),
        };
        let mut gap = None;
        let mut replay = None;
        let history = match start {
            Start::History => Some(state.snapshot(&position)),
            // Where the ring is not full the file has no more.
            Start::LastLines(lines)
                if state.ring.len().max(config.stream.history_lines) >= *lines
                    || state.ring.len() < config.stream.history_lines =>
            {
                let numbers = state.numbers_before();
                Some(state.ring.last(*lines, &position, numbers))
            }
            Start::Nowhere => {
                let snapshot = state.snapshot(&position);
                gap = Some(self.gap_before(&snapshot));
                Some(snapshot)
            }
            Start::Since(_) if attached.is_some() => None,
            Start::LastLines(_) | Start::Since(_) => match state.past.clone() {
                Some(past) => {
                    attached = None;
                    replay = Some(past.replay(start.clone()));
                    None
                }
                None => {
                    attached = Some(state.attach());
                    let snapshot = state.snapshot(&position);
                    gap = Some(self.gap_before(&snapshot));
                    Some(snapshot)
                }
            },
        };
        let progress = Arc::new(match &attached {
            Some(attached) => Progress::new(attached.taken),
            None => Progress::of_catching_up(),
        });
        let id = state.next_viewer;
        state.next_viewer += 1;
        state.viewers.insert(id, Arc::clone(&progress));
        state.catching_up += usize::from(replay.is_some());
        let catch_up = replay.map(|replay| CatchUp::new(replay, next_line));
        let mut subscription = Subscription::new(Arc::clone(self), id, attached, catch_up, progress);
        match (history, start) {
            (Some(history), _) => subscription.begin_with(gap.into_iter().chain(history.iter().cloned())),
            // The first message is lines, also where there are none.
            (None, Start::Since(since)) if !subscription.begins_with_lines() => {
                subscription.begin_with([no_lines(&Arc::new(since.clone()))]);
            }
            (None, _) => {}
        }
        Some(subscription)
    }

    /// Makes a viewer that was catching up a live one, if what follows its position is still held.
    pub(super) fn attach_at(&self, position: &Position, progress: &Progress) -> Option<Attached> {
        let limits = &self.settings.current().limits;
        let mut state = self.lock();
        let attached = state.attach_at(position, limits)?;
        state.catching_up -= 1;
        progress.attach(attached.taken);
        Some(attached)
    }

    /// Makes a viewer that was catching up a live one at the last lines, which are not those that it wanted.
    pub(super) fn attach_behind_gap(&self, progress: &Progress) -> Option<(Attached, Vec<Arc<Chunk>>)> {
        let mut state = self.lock();
        let position = state.position.clone()?;
        let attached = state.attach();
        state.catching_up -= 1;
        progress.attach(attached.taken);
        let snapshot = state.snapshot(&position);
        let chunks = [self.gap_before(&snapshot)].into_iter();
        Some((attached, chunks.chain(snapshot.iter().cloned()).collect()))
    }

    fn gap_before(&self, history: &[Arc<Chunk>]) -> Arc<Chunk> {
        let config = self.settings.current();
        let message = notices::of_event(Event::Gap, config.notices, &self.name);
        let start = history.first().map(|chunk| Arc::clone(&chunk.span().start));
        let start = start.unwrap_or_default();
        let span = Span {
            start: Arc::clone(&start),
            end: start,
        };
        Arc::new(Chunk::of_event(Event::Gap, message, span, None))
    }

    /// Waits until the stream is elsewhere, but not longer than so long.
    pub(super) async fn moved_on(&self, from: &Arc<Position>, wait: Duration) {
        let mut receiver = {
            let state = self.lock();
            if state.position.as_ref() != Some(from) {
                return;
            }
            state.sender.subscribe()
        };
        // Whatever comes of it, it is looked again.
        let _ = time::timeout(wait, receiver.recv()).await;
    }

    /// Where the stream is, and what its source keeps of earlier lines.
    pub(super) fn past(&self) -> Option<(Arc<dyn Past>, Arc<Position>)> {
        let state = self.lock();
        Some((state.past.clone()?, state.position.clone()?))
    }

    pub(super) fn leave(&self, id: u64) {
        let mut state = self.lock();
        let progress = state.viewers.remove(&id);
        if progress.is_some_and(|progress| progress.is_catching_up()) {
            state.catching_up -= 1;
        }
        if state.viewers.is_empty() {
            state.empty_since = Instant::now();
            if !state.fed {
                state.forget();
            }
        }
    }

    /// Sequence number behind the last chunk that was published, or is about to be.
    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
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

    /// Begins to be fed by what has come to `position`, with its last lines, and earlier ones where it keeps any. Says no
    /// where another source feeds it.
    #[must_use]
    pub fn feed(&self, history: &History, position: Position, past: Option<Arc<dyn Past>>) -> bool {
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
        let lines = history.lines.iter().map(Lines::count).sum();
        state.next_line = state.next_line.plus(lines);
        state.ring = Ring::of(history, config.stream.history_lines);
        state.position = Some(Arc::new(position));
        state.run_begins_at = state.next_sequence;
        state.past = past;
        true
    }

    /// Replaces the last lines by those of a file that is followed again, which were sent before.
    pub fn set_history(&self, history: &History) {
        let config = self.settings.current();
        self.lock().ring = Ring::of(history, config.stream.history_lines);
    }

    /// Says where the stream is now, with nothing between there and where it was.
    pub fn set_position(&self, position: Position) {
        self.lock().position = Some(Arc::new(position));
    }

    /// Sends lines to all viewers, behind which the stream is at `position`. Lines that are no `history` are for those
    /// connected alone.
    pub fn publish(&self, lines: &Lines, position: Position, read_at: Instant, history: bool) {
        let config = self.settings.current();
        let mut state = self.lock();
        if history {
            state.ring.push(lines, config.stream.history_lines);
        }
        let Some(span) = state.move_to(Some(position)) else {
            return;
        };
        let viewers = state.viewers.len() - state.catching_up;
        let chunk = Chunk::live(lines, span, state.numbers(), read_at, viewers);
        self.send(&mut state, chunk, &config.limits);
    }

    fn send(&self, state: &mut State, chunk: Chunk, limits: &Limits) {
        // Before any viewer can be woken: what it sees never runs behind what it was given.
        self.published.store(state.next_sequence + 1, Ordering::Release);
        state.send(chunk, limits);
    }

    /// Tells all viewers what happened before the next line, and where the stream goes on if that is elsewhere.
    pub fn publish_event(&self, event: Event, position: Option<Position>) {
        let config = self.settings.current();
        match event {
            Event::Truncated => self.metrics.truncated.increment(1),
            Event::Rotated => self.metrics.rotated.increment(1),
            Event::Removed => self.metrics.removed.increment(1),
            Event::Shutdown => {
                self.stopping_since.get_or_init(Instant::now);
            }
            // For one viewer alone.
            Event::Gap => return,
        }
        let mut state = self.lock();
        if event.ends_stream() {
            state.unfeed();
        }
        let Some(span) = state.move_to(position) else {
            // Nothing has fed it yet, so nobody is there to be told.
            return;
        };
        state.ring = Ring::at(*span.end.current());
        let message = notices::of_event(event, config.notices, &self.name);
        let chunk = Chunk::of_event(event, message, span, Some(state.numbers()));
        self.send(&mut state, chunk, &config.limits);
    }

    /// Ends the feeding if there has been no viewer for `linger`, and says whether it did.
    pub fn unfeed_if_empty_for(&self, linger: Duration) -> bool {
        let mut state = self.lock();
        let empty = state.viewers.is_empty() && state.empty_since.elapsed() >= linger;
        if empty {
            state.unfeed();
            state.forget();
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
        self.lock().drop_taken_beyond_window();
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
