//! One viewer's place in a channel.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast::{self, error::TryRecvError};

use super::Channel;
use crate::chunk::Chunk;

/// A viewer that took nothing for so long is not waited for by a source that reads a backlog.
const PATIENCE: Duration = Duration::from_secs(1);

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

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn reads(&self) -> bool {
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
    /// This chunk.
    Chunk(Arc<Chunk>),
    /// Nothing yet.
    Nothing,
    /// It fell behind: what it should have got is gone.
    Overrun,
}

/// A viewer's place between history and live lines. Dropping it leaves the channel.
#[derive(Debug)]
pub struct Subscription {
    channel: Arc<Channel>,
    id: u64,
    history: Option<Arc<Chunk>>,
    /// What was taken and given back, before what the receiver holds. It keeps no chunk alive.
    returned: VecDeque<Weak<Chunk>>,
    receiver: broadcast::Receiver<Weak<Chunk>>,
    progress: Arc<Progress>,
}

impl Subscription {
    pub(super) fn new(
        channel: Arc<Channel>,
        id: u64,
        history: Arc<Chunk>,
        receiver: broadcast::Receiver<Weak<Chunk>>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            channel,
            id,
            history: Some(history),
            returned: VecDeque::new(),
            receiver,
            progress,
        }
    }

    /// The channel it belongs to.
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// What waits next, without waiting for it.
    pub fn try_next(&mut self) -> Next {
        if let Some(history) = self.history.take() {
            return Next::Chunk(history);
        }
        if let Some(chunk) = self.returned.pop_front() {
            if self.returned.is_empty() {
                self.returned = VecDeque::new();
            }
            return held(&chunk);
        }
        match self.receiver.try_recv() {
            Ok(chunk) => held(&chunk),
            Err(TryRecvError::Empty) => Next::Nothing,
            Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => Next::Overrun,
        }
    }

    /// Waits until something waits, and takes it. Loses nothing when it is dropped before.
    pub async fn next(&mut self) -> Next {
        match self.try_next() {
            Next::Nothing => match self.receiver.recv().await {
                Ok(chunk) => held(&chunk),
                Err(_) => Next::Overrun,
            },
            next => next,
        }
    }

    /// Gives the chunk back that was taken last, to be taken again next. It may be pushed out until then.
    pub fn give_back(&mut self, chunk: &Arc<Chunk>) {
        self.returned.push_front(Arc::downgrade(chunk));
    }

    /// Whether what waits next has been pushed out of the backlog.
    pub fn is_overrun(&mut self) -> bool {
        if self.returned.is_empty() {
            match self.receiver.try_recv() {
                Ok(chunk) => self.returned.push_back(chunk),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return true,
            }
        }
        self.returned.front().is_some_and(|chunk| chunk.strong_count() == 0)
    }

    /// A whole chunk was handed to the kernel.
    pub fn took(&self, chunk: &Chunk) {
        self.progress.taken.store(chunk.next_sequence(), Ordering::Relaxed);
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

fn held(chunk: &Weak<Chunk>) -> Next {
    chunk.upgrade().map_or(Next::Overrun, Next::Chunk)
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.channel.leave(self.id);
    }
}
