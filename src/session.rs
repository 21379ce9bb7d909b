//! One viewer: history, live, parting.
//!
//! A session moves chunks from its subscription to its transport and answers what the client sends. It knows no file
//! and no HTTP. Every wait of it has an end: the next ping, the idle timeout, the stall timeout, the deadlines of the
//! closing handshake.

mod closing;
mod events;
mod outbox;

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::chunk::{Event, Form};
use crate::config::Notices;
use crate::hub::Subscription;
use crate::metrics::{self, Ending};
use crate::notices::{self, Farewell};
use crate::position::Position;
use crate::v1;
use crate::ws::{Heard, Incoming, Transport, Violation, close_code, frame};

pub use closing::Closing;
pub use events::Events;
use outbox::{Flushed, Outbox};

/// How often a viewer that takes nothing is looked at: whether what waits for it was pushed out, whether the server
/// stops.
const BLOCKED_TICK: Duration = Duration::from_millis(250);
/// Pings are due at multiples of this part of their interval, so that those of many viewers go out together: a wake-up of
/// a quiet machine costs more than a ping.
const PING_PARTS: u32 = 64;
/// Since when the multiples are counted.
static FIRST_PING: LazyLock<Instant> = LazyLock::new(Instant::now);
/// How long a stopping server goes on sending what it has read.
const SHUTDOWN_FLUSH: Duration = Duration::from_secs(1);

/// What a viewer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A text message a line.
    Plain {
        /// Compressed, where that makes it smaller.
        deflate: bool,
    },
    /// `tailcast.v1`.
    V1 {
        /// Compressed, where that makes it smaller.
        deflate: bool,
    },
}

impl Protocol {
    fn form(self, backlog: bool) -> Form {
        match self {
            Self::Plain { deflate: false } => Form::Plain,
            Self::Plain { deflate: true } => Form::PlainDeflated,
            Self::V1 { deflate } => Form::V1 { backlog, deflate },
        }
    }

    fn label(self) -> metrics::Protocol {
        match self {
            Self::Plain { .. } => metrics::Protocol::Plain,
            Self::V1 { .. } => metrics::Protocol::V1,
        }
    }

    fn tells_positions(self) -> bool {
        matches!(self, Self::V1 { .. })
    }

    /// Appends what a viewer is told before its connection is closed, and the Close frame. `position` is where it can
    /// go on, where there is such a place; `counted` says whether the number of lines that it does not get is exact.
    pub fn push_farewell(
        self,
        out: &mut Vec<u8>,
        farewell: Farewell,
        text: &str,
        counted: bool,
        position: Option<&Position>,
    ) {
        match self {
            Self::Plain { .. } => frame::push_text(out, text),
            Self::V1 { .. } => {
                let lost = match farewell {
                    Farewell::TooSlow(lost) if counted => Some(lost),
                    _ => None,
                };
                frame::push_text(out, &v1::event(farewell.name(), text, lost, position));
            }
        }
        let (code, reason) = farewell.close();
        frame::push_close(out, code, reason);
    }

    /// Appends the end of the stream of a stopping server; `told` says whether the viewer knows of it already.
    pub fn push_shutdown(self, out: &mut Vec<u8>, told: bool, language: Notices) {
        if self.tells_positions() && !told {
            let text = notices::of_event(Event::Shutdown, language, "");
            frame::push_text(out, &v1::event(Event::Shutdown.name(), &text, None, None));
        }
        frame::push_close(out, close_code::GOING_AWAY, "shutting down");
    }
}

/// Why the stream to a viewer ends.
#[derive(Debug)]
pub enum End {
    /// The client sent a Close frame, with this code.
    Closed(Option<u16>),
    /// The client went away without one.
    Left,
    /// The client broke the protocol.
    Violation(Violation),
    /// It reads too slowly.
    Slow,
    /// It was silent for too long.
    Idle,
    /// The file is gone; the notice was sent as the last chunk.
    Removed,
    /// The server stops, which was sent as the last chunk.
    Shutdown,
    /// The server stops, and the viewer did not take what came before in time.
    CutShort,
    /// The connection broke.
    Broken,
}

/// What woke a session that waited.
enum Wake {
    /// The socket took something.
    Written(Flushed),
    /// It takes nothing now, which it did before.
    Blocked,
    /// The client sent something.
    Heard(io::Result<Heard>),
    /// The channel has something.
    Waiting,
    /// It is time to look.
    Timer,
}

/// A viewer that got as far as the stream.
pub struct Session<S> {
    protocol: Protocol,
    transport: Transport<S>,
    subscription: Subscription,
    outbox: Outbox,
    /// When the client was last heard.
    heard_at: Instant,
    pinged_at: Instant,
    /// When to look at the time again at the latest.
    look_at: Instant,
    /// Since when the socket has taken nothing of what waits.
    blocked_since: Option<Instant>,
    /// The client's Close frame, with its code.
    close: Option<Option<u16>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A viewer at the beginning of its stream, to whom `head`, the answer to the handshake, is yet to be written.
    pub fn new(protocol: Protocol, transport: Transport<S>, head: Vec<u8>, subscription: Subscription) -> Self {
        let now = Instant::now();
        Self {
            protocol,
            transport,
            subscription,
            outbox: Outbox::new(protocol, head),
            heard_at: now,
            pinged_at: now,
            look_at: now,
            blocked_since: None,
            close: None,
        }
    }

    /// Streams until the end, whatever it is, which is then to be told by [`part`](Self::part).
    pub async fn run(&mut self) -> End {
        self.subscription.channel().metrics().opened(self.protocol.label());
        self.stream().await
    }

    /// Leaves the channel and returns what is left to do: the closing handshake, which holds neither a place in the
    /// channel nor any of its lines. It begins with the last bytes for the client: the rest of a frame that is cut, the
    /// notice, the Close frame.
    pub fn part(self, end: &End) -> Closing<S> {
        let metrics = self.subscription.channel().metrics().clone();
        let (sent, whole) = self.outbox.lines_within_current();
        metrics.delivered(sent, 0);
        let lost = match end {
            End::Slow => self.outbox.lines_lost(&self.subscription),
            _ => 0,
        };
        let counted = !self.subscription.is_catching_up();
        let position = self.outbox.position().cloned();
        let ending = match end {
            End::Closed(_) | End::Left => Ending::Client,
            End::Violation(_) | End::Broken => Ending::Error,
            End::Slow => Ending::Slow,
            End::Idle => Ending::Idle,
            End::Removed => Ending::Removed,
            End::Shutdown | End::CutShort => Ending::Shutdown,
        };
        metrics.closed(self.protocol.label(), ending, lost);
        let channel = self.subscription.channel();
        let config = channel.settings().current();
        let mut last = self.outbox.into_rest();
        match *end {
            End::Closed(Some(code)) => frame::push_close(&mut last, code, ""),
            End::Closed(None) => frame::push_empty_close(&mut last),
            End::Violation(violation) => frame::push_close(&mut last, violation.code, violation.reason),
            End::Idle => frame::push_close(&mut last, close_code::GOING_AWAY, "idle"),
            End::Shutdown => self.protocol.push_shutdown(&mut last, true, config.notices),
            End::CutShort => self.protocol.push_shutdown(&mut last, false, config.notices),
            End::Slow => {
                let farewell = Farewell::TooSlow(lost);
                let text = farewell.text(config.notices, channel.name());
                let position = position.as_ref();
                self.protocol
                    .push_farewell(&mut last, farewell, &text, counted, position);
            }
            End::Removed => {
                let (code, reason) = Farewell::Removed.close();
                frame::push_close(&mut last, code, reason);
            }
            End::Left | End::Broken => last.clear(),
        }
        let closing = Closing::new(self.transport, last).counted(metrics, whole - sent);
        match end {
            End::Closed(_) | End::Left | End::Broken => closing.answered(),
            End::Violation(_) if self.close.is_some() => closing.answered(),
            End::Slow => closing.patient(config.limits.parting_timeout.0),
            _ => closing,
        }
    }

    async fn stream(&mut self) -> End {
        let mut timer = pin!(sleep_until(self.look_at));
        // Writing and reading take turns at being first, so that neither can keep the other from happening.
        let mut read_first = false;
        loop {
            if let Err(end) = self.check_time() {
                return end;
            }
            let wake = loop {
                match self.wait(timer.as_mut(), read_first).await {
                    // It is written at once, before another look at the time.
                    Wake::Waiting => {}
                    wake => break wake,
                }
            };
            read_first = !matches!(wake, Wake::Heard(_));
            let end = match wake {
                Wake::Written(flushed) => self.written(flushed),
                Wake::Heard(heard) => self.heard(heard),
                Wake::Blocked => {
                    self.set_blocked(true);
                    Ok(())
                }
                Wake::Waiting | Wake::Timer => Ok(()),
            };
            if let Err(end) = end {
                return end;
            }
        }
    }

    /// Does what the time asks for and sets when to look again.
    fn check_time(&mut self) -> Result<(), End> {
        let channel = self.subscription.channel();
        if channel
            .stopping_for()
            .is_some_and(|stopping| stopping >= SHUTDOWN_FLUSH)
        {
            return Err(End::CutShort);
        }
        let now = Instant::now();
        if now < self.look_at && self.blocked_since.is_none() {
            return Ok(());
        }
        let config = channel.settings().current();
        let idle_at = self.heard_at + config.stream.idle_timeout.0;
        if now >= idle_at {
            return Err(End::Idle);
        }
        let ping_interval = config.stream.ping_interval.0;
        let mut ping_at = next_ping(self.heard_at.max(self.pinged_at), ping_interval);
        if now >= ping_at {
            self.outbox.push_control(frame::push_ping);
            self.pinged_at = now;
            ping_at = next_ping(now, ping_interval);
        }
        self.look_at = idle_at.min(ping_at);
        if let Some(since) = self.blocked_since {
            let stalled_at = since + config.limits.stall_timeout.0;
            if now >= stalled_at || self.subscription.is_overrun() {
                return Err(End::Slow);
            }
            self.look_at = self.look_at.min(stalled_at).min(now + BLOCKED_TICK);
        }
        Ok(())
    }

    /// Waits for whatever comes first.
    async fn wait(&mut self, mut timer: Pin<&mut Sleep>, read_first: bool) -> Wake {
        // A timer that fires too early costs one look; one that is set anew for each line costs more.
        if timer.is_elapsed() || self.look_at < timer.deadline() {
            timer.as_mut().reset(self.look_at);
        }
        let Self {
            transport,
            subscription,
            outbox,
            close,
            ..
        } = self;
        let blocked = self.blocked_since.is_some();
        if outbox.is_empty() && !outbox.fill(subscription) {
            let mut next = pin!(subscription.next());
            return poll_fn(|cx| {
                if let Poll::Ready(next) = next.as_mut().poll(cx) {
                    outbox.put(next);
                    return Poll::Ready(Wake::Waiting);
                }
                if let Poll::Ready(heard) = poll_hear(cx, transport, outbox, close) {
                    return Poll::Ready(Wake::Heard(heard));
                }
                timer.as_mut().poll(cx).map(|()| Wake::Timer)
            })
            .await;
        }
        poll_fn(|cx| {
            if read_first && let Poll::Ready(heard) = poll_hear(cx, transport, outbox, close) {
                return Poll::Ready(Wake::Heard(heard));
            }
            match outbox.poll_flush(cx, transport, subscription) {
                Poll::Ready(flushed) => return Poll::Ready(Wake::Written(flushed)),
                Poll::Pending if !blocked => return Poll::Ready(Wake::Blocked),
                Poll::Pending => {}
            }
            if !read_first && let Poll::Ready(heard) = poll_hear(cx, transport, outbox, close) {
                return Poll::Ready(Wake::Heard(heard));
            }
            timer.as_mut().poll(cx).map(|()| Wake::Timer)
        })
        .await
    }

    fn written(&mut self, flushed: Flushed) -> Result<(), End> {
        match flushed {
            Flushed::Wrote(event) => {
                self.set_blocked(false);
                match event {
                    Some(Event::Removed) => Err(End::Removed),
                    Some(Event::Shutdown) => Err(End::Shutdown),
                    Some(Event::Truncated | Event::Rotated | Event::Gap) | None => Ok(()),
                }
            }
            Flushed::Overrun => Err(End::Slow),
            Flushed::Failed(error) => Err(end_of(&error)),
        }
    }

    fn set_blocked(&mut self, blocked: bool) {
        if self.blocked_since.is_some() != blocked {
            self.subscription.set_blocked(blocked);
            self.blocked_since = blocked.then(Instant::now);
        }
    }

    fn heard(&mut self, heard: io::Result<Heard>) -> Result<(), End> {
        match heard {
            Ok(Heard::Something) => self.heard_at = Instant::now(),
            Ok(Heard::Violation(violation)) => return Err(End::Violation(violation)),
            Ok(Heard::End) => return Err(End::Left),
            Err(error) => return Err(end_of(&error)),
        }
        match self.close {
            Some(code) => Err(End::Closed(code)),
            None => Ok(()),
        }
    }
}

/// Reads from the client, unless many answers wait for it already: one that sends pings and reads no pongs is not read
/// on until it does.
fn poll_hear<S: AsyncRead + AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    transport: &mut Transport<S>,
    outbox: &mut Outbox,
    close: &mut Option<Option<u16>>,
) -> Poll<io::Result<Heard>> {
    if outbox.has_much_control() {
        return Poll::Pending;
    }
    transport.poll_hear(cx, &mut |incoming| match incoming {
        Incoming::Ping(payload) => outbox.push_control(|out| frame::push_pong(out, &payload)),
        Incoming::Close(code) => *close = Some(code),
        // Viewers' messages are not asked for.
        Incoming::Message(..) => {}
    })
}

/// When a client is pinged that was quiet from `since` on.
fn next_ping(since: Instant, interval: Duration) -> Instant {
    let part = (interval / PING_PARTS).as_millis().max(1);
    let at = since + interval;
    let late = at.saturating_duration_since(*FIRST_PING).as_millis() % part;
    at + Duration::from_millis(u64::try_from(part - late).unwrap_or(0))
}

/// A client that goes away without a word has left; anything else is a broken connection.
fn end_of(error: &io::Error) -> End {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => End::Left,
        _ => End::Broken,
    }
}
