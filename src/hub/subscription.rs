//! One viewer's place in a channel.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::{self, error::TryRecvError};

use super::Channel;
use super::catch_up::CatchUp;
use crate::chunk::{Chunk, LineNumber};

/// A viewer that took nothing for so long is not waited for by a source that reads a backlog.
const PATIENCE: Duration = Duration::from_secs(1);

/// What counts as taken by a viewer that catches up: it holds back nothing that is published meanwhile.
const CATCHING_UP: u64 = u64::MAX;

/// Times are kept as milliseconds since this one, to fit an atomic.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// How far a viewer has come, for the source to see.
#[derive(Debug)]
pub(super) struct Progress {
    /// Sequence number behind the last chunk that was written whole.
    taken: AtomicU64,
    /// Since when its socket has taken nothing, in milliseconds since [`EPOCH`] plus one; 0 while it takes.
    blocked_since: AtomicU64,
}

impl Progress {
    pub(super) fn new(taken: u64) -> Self {
        Self {
            taken: AtomicU64::new(taken),
            blocked_since: AtomicU64::new(0),
        }
    }

    pub(super) fn of_catching_up() -> Self {
        Self::new(CATCHING_UP)
    }

    pub(super) fn is_catching_up(&self) -> bool {
        self.taken() == CATCHING_UP
    }

    pub(super) fn attach(&self, taken: u64) {
        self.taken.store(taken, Ordering::Relaxed);
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether a source may wait for it.
    pub(super) fn reads(&self) -> bool {
        if self.is_catching_up() {
            return false;
        }
        match self.blocked_since.load(Ordering::Relaxed) {
            0 => true,
            since => Duration::from_millis(now_millis().saturating_sub(since)) < PATIENCE,
        }
    }
}

fn now_millis() -> u64 {
    u64::try_from(EPOCH.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1
}

/// What waits for a viewer.
#[derive(Debug)]
pub enum Next {
    /// A chunk.
    Chunk {
        /// The chunk.
        chunk: Arc<Chunk>,
        /// Whether more history follows it at once.
        backlog: bool,
    },
    /// Nothing yet.
    Nothing,
    /// It fell behind: what it should have got is gone.
    Overrun,
}

/// A place in the run of what is published.
#[derive(Debug)]
pub(super) struct Attached {
    /// What was published behind the place already.
    pub(super) waiting: Vec<Weak<Chunk>>,
    /// Sequence number behind the last chunk before the place.
    pub(super) taken: u64,
    /// The number of the first line behind it.
    pub(super) next_line: LineNumber,
    /// Gets what is published from now on.
    pub(super) receiver: broadcast::Receiver<Weak<Chunk>>,
}

/// A chunk that was not taken by the receiver, or given back.
#[derive(Debug)]
enum Waiting {
    /// It is kept alive by the channel for as long as that has room.
    Published(Weak<Chunk>),
    /// It was made for this viewer, or for those who joined with it.
    Own(Arc<Chunk>),
}

/// A viewer's place between history and live lines. Dropping it leaves the channel.
#[derive(Debug)]
pub struct Subscription {
    channel: Arc<Channel>,
    id: u64,
    /// What comes before what the receiver holds. Of what was published it keeps nothing alive.
    waiting: VecDeque<Waiting>,
    /// None while it catches up.
    receiver: Option<broadcast::Receiver<Weak<Chunk>>>,
    /// Sequence number behind the last chunk that the receiver gave, or began behind.
    received: u64,
    catch_up: Option<Box<CatchUp>>,
    /// Published chunks before this one are history to the viewer.
    history_ends_at: u64,
    /// The number of the first line that it gets of those that are published.
    next_line: LineNumber,
    progress: Arc<Progress>,
}

impl Subscription {
    pub(super) fn new(
        channel: Arc<Channel>,
        id: u64,
        attached: Option<Attached>,
        catch_up: Option<CatchUp>,
        progress: Arc<Progress>,
    ) -> Self {
        let mut subscription = Self {
            channel,
            id,
            waiting: VecDeque::new(),
            receiver: None,
            received: 0,
            next_line: catch_up
                .as_ref()
                .map_or_else(LineNumber::default, |catch_up| catch_up.joined_at),
            catch_up: catch_up.map(Box::new),
            history_ends_at: 0,
            progress,
        };
        if let Some(attached) = attached {
            subscription.attach(attached);
        }
        subscription
    }

    /// Puts chunks before all that waits.
    pub(super) fn begin_with(&mut self, chunks: impl IntoIterator<Item = Arc<Chunk>>) {
        let mut waiting: VecDeque<_> = chunks.into_iter().map(Waiting::Own).collect();
        waiting.append(&mut self.waiting);
        self.waiting = waiting;
    }

    /// Whether lines are the first that waits, or will be.
    pub(super) fn begins_with_lines(&self) -> bool {
        self.catch_up.is_some() || self.waiting.front().is_some_and(Waiting::is_lines)
    }

    pub(super) fn catch_up_mut(&mut self) -> Option<&mut CatchUp> {
        self.catch_up.as_deref_mut()
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Becomes live.
    pub(super) fn attach(&mut self, attached: Attached) {
        self.history_ends_at = attached.taken + attached.waiting.len() as u64;
        self.received = self.history_ends_at;
        self.next_line = attached.next_line;
        self.waiting
            .extend(attached.waiting.into_iter().map(Waiting::Published));
        self.receiver = Some(attached.receiver);
        self.catch_up = None;
    }

    /// The channel it belongs to.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// What waits next, without waiting for it.
    pub fn try_next(&mut self) -> Next {
        if let Some(next) = self.take_waiting() {
            return next;
        }
        if self.catch_up.is_some() {
            return self.step_without_reading();
        }
        match self.try_recv() {
            Ok(chunk) => self.held(&chunk),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => Next::Overrun,
        }
    }

    /// What the receiver has. Most calls find nothing, for which its lock, one for all viewers of the file, is not
    /// taken.
    fn try_recv(&mut self) -> Result<Weak<Chunk>, TryRecvError> {
        let receiver = self.receiver.as_mut().ok_or(TryRecvError::Closed)?;
        if self.channel.published() == self.received {
            return Err(TryRecvError::Empty);
        }
        let chunk = receiver.try_recv()?;
        self.received += 1;
        Ok(chunk)
    }

    pub(super) fn take_waiting(&mut self) -> Option<Next> {
        let next = match self.waiting.pop_front()? {
            Waiting::Published(chunk) => self.held(&chunk),
            Waiting::Own(chunk) => Next::Chunk {
                chunk,
                backlog: self.has_history(),
            },
        };
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(next)
    }

    /// Whether what comes next is from before the viewer joined.
    fn has_history(&self) -> bool {
        self.catch_up.is_some()
            || match self.waiting.front() {
                Some(Waiting::Own(_)) => true,
                Some(Waiting::Published(chunk)) => chunk.upgrade().is_some_and(|chunk| self.is_history(&chunk)),
                None => false,
            }
    }

    fn is_history(&self, chunk: &Chunk) -> bool {
        chunk
            .numbers()
            .is_some_and(|numbers| numbers.next_sequence <= self.history_ends_at)
    }

    fn held(&self, chunk: &Weak<Chunk>) -> Next {
        let Some(chunk) = chunk.upgrade() else {
            return Next::Overrun;
        };
        let last = chunk
            .numbers()
            .is_none_or(|numbers| numbers.next_sequence >= self.history_ends_at);
        Next::Chunk { chunk, backlog: !last }
    }

    /// Waits until something waits, and takes it. Loses nothing when it is dropped before.
    pub async fn next(&mut self) -> Next {
        loop {
            match self.try_next() {
                Next::Nothing => {}
                next => return next,
            }
            if self.catch_up.is_some() {
                match self.catch_up().await {
                    Next::Nothing => continue,
                    next => return next,
                }
            }
            let Some(receiver) = &mut self.receiver else {
                return Next::Overrun;
            };
            return match receiver.recv().await {
                Ok(chunk) => {
                    self.received += 1;
                    self.held(&chunk)
                }
                Err(_) => Next::Overrun,
            };
        }
    }

    /// Gives the chunk back that was taken last, to be taken again next. It may be pushed out until then, if it was
    /// published.
    pub fn give_back(&mut self, chunk: Arc<Chunk>) {
        self.waiting.push_front(match chunk.is_published() {
            true => Waiting::Published(Arc::downgrade(&chunk)),
            false => Waiting::Own(chunk),
        });
    }

    /// Whether what waits next has been pushed out of the backlog.
    pub fn is_overrun(&mut self) -> bool {
        if self.waiting.is_empty() && self.receiver.is_some() {
            match self.try_recv() {
                Ok(chunk) => self.waiting.push_back(Waiting::Published(chunk)),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return true,
            }
        }
        match self.waiting.front() {
            Some(Waiting::Published(chunk)) => chunk.strong_count() == 0,
            Some(Waiting::Own(_)) | None => false,
        }
    }

    /// How many lines it has not been given of those that were published up to now, when it has been given those before
    /// `next_line`, or none where that is none. Not the exact number but the least it can be where it was catching up.
    pub fn lost(&self, next_line: Option<LineNumber>) -> u64 {
        let published = self.channel.next_line().since(next_line.unwrap_or(self.next_line));
        let own: u64 = self
            .waiting
            .iter()
            .map(|waiting| match waiting {
                Waiting::Own(chunk) if chunk.numbers().is_none() => chunk.lines(),
                Waiting::Own(_) | Waiting::Published(_) => 0,
            })
            .sum();
        published + own
    }

    /// Whether it reads lines from before the ones that the channel holds.
    pub fn is_catching_up(&self) -> bool {
        self.catch_up.is_some()
    }

    /// A whole chunk was handed to the kernel.
    pub fn took(&self, chunk: &Chunk) {
        let Some(numbers) = chunk.numbers() else {
            return;
        };
        self.progress.taken.store(numbers.next_sequence, Ordering::Relaxed);
        if let Some(round) = chunk.count_taken() {
            self.channel.set_round(round);
        }
    }

    /// The viewer's socket takes bytes, or takes none.
    pub fn set_blocked(&self, blocked: bool) {
        let since = if blocked { now_millis() } else { 0 };
        self.progress.blocked_since.store(since, Ordering::Relaxed);
    }
}

impl Waiting {
    fn is_lines(&self) -> bool {
        match self {
            Self::Published(chunk) => chunk.upgrade().is_some_and(|chunk| chunk.event().is_none()),
            Self::Own(chunk) => chunk.event().is_none(),
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.leave(self.id);
    }
}
