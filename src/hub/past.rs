//! Lines from before those that a channel holds: what its source can read again, for one viewer at its own pace.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::chunk::Chunk;
use crate::position::Position;

/// Where a viewer wants its stream to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At the last lines, as many as are configured.
    History,
    /// At so many last lines.
    LastLines(usize),
    /// Behind a position.
    Since(Position),
    /// Behind something that is no position: it can't be found.
    Nowhere,
}

/// Earlier lines of what feeds a channel.
pub trait Past: Any + Send + Sync + Debug {
    /// Begins to read them, which nothing is looked at for yet.
    fn replay(self: Arc<Self>, start: Start) -> Box<dyn Replay>;

    /// How many may be read at a time: a step waits for its turn here, in the order of asking.
    fn permits(&self) -> Arc<Semaphore>;

    /// How many viewers may have packed files unpacked at a time: who gets [`Step::Queued`] waits for its turn here.
    fn unpacking(&self) -> Arc<Semaphore>;
}

/// One viewer's way through earlier lines.
pub trait Replay: Send + Debug {
    /// Goes on towards `target`, where the channel is, by a chunk at most. Blocks while it reads. `past` is what the
    /// channel has now, which may be another than the one it began with.
    fn step(&mut self, past: &Arc<dyn Past>, target: &Arc<Position>) -> Step;

    /// The same, where nothing has to be read for it; else none.
    fn step_without_reading(&mut self, past: &Arc<dyn Past>, target: &Arc<Position>) -> Option<Step>;

    /// It may have files unpacked, from the next step on and for as long as it has any.
    fn may_unpack(&mut self, turn: OwnedSemaphorePermit);
}

/// What a step came to.
#[derive(Debug)]
pub enum Step {
    /// The next lines or an event between them, and whether the target is reached with it.
    Chunk(Arc<Chunk>, bool),
    /// The target is reached already.
    Arrived,
    /// Nothing yet, but it is worth while to go on.
    Working,
    /// The viewer is here, beyond the target: it has of a line what the source has yet to hand out.
    Ahead(Arc<Position>),
    /// The target can't be reached before the source has looked again.
    Waiting,
    /// It is to wait for its turn to have a file unpacked.
    Queued,
    /// Where the viewer wants to begin, or go on, can't be found.
    Gap,
}
