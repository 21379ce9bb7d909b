//! One viewer by Server-Sent Events (WHATWG HTML, section 9.2): the same stream as `tailcast.v1`, in one direction.
//!
//! What goes out is handed to whoever answers the request, an event at a time and the next one only when that has been
//! taken. So a viewer that does not read waits here, where it is given up as any other.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};

use super::{BLOCKED_TICK, SHUTDOWN_FLUSH};
use crate::chunk::{Chunk, Event, Form};
use crate::hub::{Next, Subscription};
use crate::metrics::{Ending, Protocol};
use crate::notices::{self, Farewell};
use crate::position::Position;
use crate::v1;

/// A comment, which clients pass over. It keeps proxies from taking a quiet stream for a dead one, and lets the server
/// notice that a client is gone.
const HEARTBEAT: &[u8] = b":\n\n";

/// What goes out to a viewer, and where it comes from.
pub struct Events {
    subscription: Subscription,
    /// Holds one event, which hyper takes when it has room.
    events: mpsc::Sender<Bytes>,
    /// The last event, for which there is room whatever waits before it.
    last: oneshot::Sender<Bytes>,
    /// The place behind the last chunk that was handed out.
    position: Option<Position>,
}

/// Why the stream ends.
enum End {
    Left,
    Slow,
    Removed,
    Shutdown,
    /// The server stops, and the viewer did not take what came before in time.
    CutShort,
}

impl Events {
    /// A viewer at the beginning of its stream, and the stream.
    pub fn new(subscription: Subscription) -> (Self, impl Stream<Item = Bytes> + Send + 'static) {
        let (events, receiver) = mpsc::channel(1);
        let (last, end) = oneshot::channel();
        let viewer = Self {
            subscription,
            events,
            last,
            position: None,
        };
        let end = tokio_stream::once(end).then(async |end: oneshot::Receiver<Bytes>| end.await.ok());
        (viewer, ReceiverStream::new(receiver).chain(end.filter_map(|end| end)))
    }

    /// Streams until the end, whatever it is.
    pub async fn run(mut self) {
        let metrics = self.subscription.channel().metrics().clone();
        metrics.opened(Protocol::Sse);
        let mut current = None;
        let end = self.stream(&mut current).await;
        let config = self.subscription.channel().settings().current();
        let (ending, lost) = match end {
            End::Left => (Ending::Client, 0),
            End::Removed => (Ending::Removed, 0),
            End::Shutdown | End::CutShort => (Ending::Shutdown, 0),
            End::Slow => (Ending::Slow, self.lost(current.as_ref())),
        };
        metrics.closed(Protocol::Sse, ending, lost);
        let position = self.position.as_ref();
        let last = match end {
            End::Slow => {
                let farewell = Farewell::TooSlow(lost);
                let text = farewell.text(config.notices, self.subscription.channel().name());
                let lost = (!self.subscription.is_catching_up()).then_some(lost);
                Some(v1::event(farewell.name(), &text, lost, position))
            }
            End::CutShort => {
                let text = notices::of_event(Event::Shutdown, config.notices, "");
                Some(v1::event(Event::Shutdown.name(), &text, None, position))
            }
            End::Left | End::Removed | End::Shutdown => None,
        };
        if let Some(last) = last {
            // A client that is gone needs none.
            let _ = self.last.send(v1::server_sent(last.as_bytes(), position).into());
        }
    }

    /// How many lines the viewer does not get.
    fn lost(&self, current: Option<&Waiting>) -> u64 {
        match current {
            Some(Waiting {
                numbers: Some(first), ..
            }) => self.subscription.lost(Some(*first)),
            Some(Waiting { lines, .. }) => lines + self.subscription.lost(None),
            None => self.subscription.lost(None),
        }
    }

    /// Hands out one event after the other. What could not be handed out is left in `current`.
    async fn stream(&mut self, current: &mut Option<Waiting>) -> End {
        loop {
            let ping_interval = self.subscription.channel().settings().current().stream.ping_interval.0;
            let next = tokio::select! {
                next = self.subscription.next() => next,
                () = self.events.closed() => return End::Left,
                () = sleep_until(Instant::now() + ping_interval) => {
                    // Where there is no room something is on its way, which does as well.
                    let _ = self.events.try_send(Bytes::from_static(HEARTBEAT));
                    continue;
                }
            };
            let (chunk, backlog) = match next {
                Next::Chunk { chunk, backlog } => (chunk, backlog),
                Next::Nothing => continue,
                Next::Overrun => return End::Slow,
            };
            let bytes = chunk.frames(Form::Sse { backlog }).clone();
            let len = bytes.len() as u64;
            *current = Some(Waiting::of(&chunk));
            if let Err(end) = self.hand_out(bytes).await {
                return end;
            }
            *current = None;
            self.took(&chunk, len);
            match chunk.event() {
                Some(Event::Removed) => return End::Removed,
                Some(Event::Shutdown) => return End::Shutdown,
                _ => {}
            }
        }
    }

    /// Waits until there is room for an event. A viewer is too slow by the rules of every other one.
    async fn hand_out(&mut self, bytes: Bytes) -> Result<(), End> {
        let since = Instant::now();
        loop {
            let Self {
                subscription, events, ..
            } = self;
            match timeout(BLOCKED_TICK, events.reserve()).await {
                Ok(Ok(room)) => {
                    subscription.set_blocked(false);
                    room.send(bytes);
                    return Ok(());
                }
                Ok(Err(_)) => return Err(End::Left),
                Err(_) => {}
            }
            subscription.set_blocked(true);
            let channel = subscription.channel();
            let stall_timeout: Duration = channel.settings().current().limits.stall_timeout.0;
            if channel.stopping_for().is_some_and(|since| since >= SHUTDOWN_FLUSH) {
                return Err(End::CutShort);
            }
            if since.elapsed() >= stall_timeout || subscription.is_overrun() {
                return Err(End::Slow);
            }
        }
    }

    fn took(&mut self, chunk: &Chunk, bytes: u64) {
        let metrics = self.subscription.channel().metrics();
        metrics.delivered(chunk.lines(), bytes);
        if let Some(read_at) = chunk.read_at() {
            metrics.delivered_since(read_at);
        }
        self.position = Some(chunk.span().end.as_ref().clone());
        self.subscription.took(chunk);
    }
}

/// A chunk that was not handed out. It keeps nothing alive.
struct Waiting {
    /// The number of its first line, where its lines are numbered.
    numbers: Option<crate::chunk::LineNumber>,
    lines: u64,
}

impl Waiting {
    fn of(chunk: &Chunk) -> Self {
        Self {
            numbers: chunk.numbers().map(|numbers| numbers.first_line),
            lines: chunk.lines(),
        }
    }
}
