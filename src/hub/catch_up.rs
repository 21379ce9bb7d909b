//! A viewer on its way from where it wants to begin to where the channel is.
//!
//! It reads at its own pace, a chunk at a time and the next one only when that has been taken, off the async threads.
//! Until it has arrived it holds no receiver and holds nothing back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::state::no_lines;
use super::subscription::{Next, Subscription};
use super::{Channel, Replay, Step};
use crate::chunk::LineNumber;
use crate::position::Position;

/// How often in a row the source may look again for a place that can't be reached, with a pause between; then it is
/// gone.
const MAX_LOOKS: usize = 40;
/// The pause.
const LOOK_PAUSE: Duration = Duration::from_millis(25);
/// How long something published is waited for at a time by a viewer that is ahead of the channel.
const AHEAD_PAUSE: Duration = Duration::from_secs(1);

/// What is waited for before the next step.
#[derive(Debug, Clone)]
enum Wait {
    No,
    ForLook,
    /// Until a file may be unpacked for it.
    ForTurn,
    /// Until the channel is elsewhere.
    ForLines(Arc<Position>),
}

/// The way, what a step on it came to, and where the channel was.
type Stepped = (Box<dyn Replay>, Step, Arc<Position>);

/// What a viewer has of its way.
pub(super) struct CatchUp {
    /// None while it takes a step.
    replay: Option<Box<dyn Replay>>,
    step: Option<Pin<Box<dyn Future<Output = Option<Stepped>> + Send>>>,
    /// Whether anything was handed out.
    begun: bool,
    wait: Wait,
    /// How often the source has looked without avail.
    looks: usize,
    /// The number of the line that the channel published next when it joined.
    pub(super) joined_at: LineNumber,
}

impl std::fmt::Debug for CatchUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatchUp")
            .field("replay", &self.replay)
            .finish_non_exhaustive()
    }
}

impl CatchUp {
    pub(super) fn new(replay: Box<dyn Replay>, joined_at: LineNumber) -> Self {
        Self {
            replay: Some(replay),
            step: None,
            begun: false,
            wait: Wait::No,
            looks: 0,
            joined_at,
        }
    }
}

/// Takes one step, once it is this viewer's turn. None where nothing can be read any more.
async fn take_step(channel: Arc<Channel>, mut replay: Box<dyn Replay>, wait: Wait) -> Option<Stepped> {
    match wait {
        Wait::No => {}
        Wait::ForLook => {
            sleep(LOOK_PAUSE).await;
            channel.ask_for_look().await;
        }
        Wait::ForTurn => {
            let (past, _) = channel.past()?;
            // Never closed, so never an error.
            replay.may_unpack(past.unpacking().acquire_owned().await.ok()?);
        }
        Wait::ForLines(from) => channel.moved_on(&from, AHEAD_PAUSE).await,
    }
    let (past, target) = channel.past()?;
    // Never closed, so never an error.
    let permit = past.permits().acquire_owned().await.ok()?;
    // Those who waited with it may have read the same by now: when all come back at once, one reads and the others follow.
    if let Some(step) = replay.step_without_reading(&past, &target) {
        return Some((replay, step, target));
    }
    let stepping = spawn_blocking(move || {
        let step = replay.step(&past, &target);
        // Held to the end of the reading, also where nobody waits for it any more: a storage that hangs gets no more of
        // them than there are.
        drop(permit);
        (replay, step, target)
    });
    stepping.await.ok()
}

impl Subscription {
    /// Goes on catching up, by one step. Loses nothing when it is dropped before.
    pub(super) async fn catch_up(&mut self) -> Next {
        let channel = Arc::clone(self.channel());
        let Some(catch_up) = self.catch_up_mut() else {
            return Next::Nothing;
        };
        let step = match (&mut catch_up.step, catch_up.replay.take()) {
            (Some(step), _) => step,
            (step, Some(replay)) => step.insert(Box::pin(take_step(channel, replay, catch_up.wait.clone()))),
            (None, None) => return self.give_up(),
        };
        let stepped = step.await;
        catch_up.step = None;
        match stepped {
            Some((replay, step, target)) => {
                catch_up.replay = Some(replay);
                self.stepped(step, &target)
            }
            None => self.give_up(),
        }
    }

    /// The same where nothing has to be read for it; else nothing happens.
    pub(super) fn step_without_reading(&mut self) -> Next {
        let Some((past, target)) = self.channel().past() else {
            return Next::Nothing;
        };
        let replay = self.catch_up_mut().and_then(|catch_up| catch_up.replay.as_mut());
        match replay.and_then(|replay| replay.step_without_reading(&past, &target)) {
            Some(step) => self.stepped(step, &target),
            None => Next::Nothing,
        }
    }

    fn stepped(&mut self, step: Step, target: &Arc<Position>) -> Next {
        let Some(catch_up) = self.catch_up_mut() else {
            return Next::Nothing;
        };
        let first = !catch_up.begun;
        catch_up.wait = match step {
            Step::Waiting => Wait::ForLook,
            Step::Queued => Wait::ForTurn,
            Step::Ahead(_) => Wait::ForLines(Arc::clone(target)),
            _ => Wait::No,
        };
        if !matches!(step, Step::Waiting) {
            catch_up.looks = 0;
        }
        match step {
            Step::Chunk(chunk, arrived) => {
                catch_up.begun = true;
                if arrived {
                    self.arrive(target);
                }
                if first && chunk.event().is_some() {
                    // The first message is lines, also where there are none.
                    let none = no_lines(&chunk.span().start);
                    self.begin_with([none, chunk]);
                } else {
                    self.begin_with([chunk]);
                }
            }
            Step::Arrived => {
                if self.arrive(target) && first && !self.begins_with_lines() {
                    self.begin_with([no_lines(target)]);
                }
            }
            Step::Working | Step::Queued => {}
            Step::Ahead(position) => {
                catch_up.begun = true;
                if first {
                    self.begin_with([no_lines(&position)]);
                }
            }
            Step::Waiting if catch_up.looks < MAX_LOOKS => catch_up.looks += 1,
            Step::Waiting | Step::Gap => return self.give_up(),
        }
        self.take_waiting().unwrap_or(Next::Nothing)
    }

    /// Becomes live at the target, if what was published since is still held.
    fn arrive(&mut self, target: &Position) -> bool {
        let attached = self.channel().attach_at(target, self.progress());
        let arrived = attached.is_some();
        if let Some(attached) = attached {
            self.attach(attached);
        }
        arrived
    }

    /// Becomes live at the last lines, with the event that tells so before them.
    fn give_up(&mut self) -> Next {
        match self.channel().attach_behind_gap(self.progress()) {
            Some((attached, chunks)) => {
                self.attach(attached);
                self.begin_with(chunks);
                self.take_waiting().unwrap_or(Next::Nothing)
            }
            None => Next::Overrun,
        }
    }
}
