//! What goes out to one viewer: chunks in order, and between two of their frames what answers the client.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use arrayvec::ArrayVec;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::chunk::{Chunk, Event, Form, LineNumber};
use crate::hub::{Next, Subscription};
use crate::position::Position;
use crate::ws::Transport;

use super::Protocol;

/// Chunks handed to the kernel in one call.
const MAX_CHUNKS: usize = 64;
/// Bytes after which no more chunks are added, about as much as a socket takes at a time with twice the usual
/// `limits.send_buffer`: those beyond would be taken only to be given back.
const ENOUGH_BYTES: usize = 1 << 20;
/// A chunk each, one more for a first one that is split, and one for what answers the client.
const MAX_SLICES: usize = MAX_CHUNKS + 2;
/// Chunks that were made for one viewer alone are no part of the backlog, so it holds few of them.
const MAX_OWN_CHUNKS: usize = 4;
/// From here on answers wait until the client has read some: eight of the longest Pongs.
const MUCH_CONTROL_BYTES: usize = 1024;

/// What a flush came to.
#[derive(Debug)]
pub(super) enum Flushed {
    /// Something went out, the event that was its last chunk included.
    Wrote(Option<Event>),
    /// What waited next is gone.
    Overrun,
    /// The connection is broken.
    Failed(io::Error),
}

/// A chunk on its way out.
#[derive(Debug)]
struct Parcel {
    chunk: Arc<Chunk>,
    form: Form,
}

impl Parcel {
    fn frames(&self) -> &[u8] {
        self.chunk.frames(self.form)
    }

    fn rest_of_frame(&self, sent: usize) -> &[u8] {
        self.chunk.rest_of_frame(self.form, sent)
    }

    fn lines_within(&self, sent: usize) -> u64 {
        self.chunk.lines_within(self.form, sent)
    }
}

/// The chunk being written, and frames of our own that wait for its next frame boundary.
#[derive(Debug)]
pub(super) struct Outbox {
    protocol: Protocol,
    current: Option<Parcel>,
    /// Bytes of the current chunk that went out.
    offset: usize,
    overrun: bool,
    /// The answer to the handshake, then whole control frames; the first of them begins where `control_sent` is 0.
    control: Vec<u8>,
    control_sent: usize,
    /// Bytes of the answer to the handshake that are yet to go out, which count as delivered to nobody.
    uncounted: usize,
    /// The number of the line after the last one that went out whole in a whole chunk.
    next_line: Option<LineNumber>,
    /// The place behind the last chunk that went out whole, where the protocol tells it.
    position: Option<Box<Position>>,
}

impl Outbox {
    /// An outbox that sends `head` before all else; it ends where a frame may begin.
    pub(super) fn new(protocol: Protocol, head: Vec<u8>) -> Self {
        Self {
            protocol,
            current: None,
            offset: 0,
            overrun: false,
            uncounted: head.len(),
            control: head,
            control_sent: 0,
            next_line: None,
            position: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.current.is_none() && self.control.is_empty() && !self.overrun
    }

    pub(super) fn push_control(&mut self, push: impl FnOnce(&mut Vec<u8>)) {
        push(&mut self.control);
    }

    pub(super) fn has_much_control(&self) -> bool {
        self.control.len() - self.control_sent >= MUCH_CONTROL_BYTES
    }

    /// Takes what waits next, if anything does.
    pub(super) fn fill(&mut self, subscription: &mut Subscription) -> bool {
        if self.current.is_none() {
            self.put(subscription.try_next());
        }
        !self.is_empty()
    }

    pub(super) fn put(&mut self, next: Next) {
        match next {
            Next::Chunk { chunk, backlog } => {
                if self.next_line.is_none() {
                    self.next_line = chunk.numbers().map(|numbers| numbers.first_line);
                }
                let form = self.protocol.form(backlog);
                self.current = Some(Parcel { chunk, form });
                self.offset = 0;
            }
            Next::Overrun => self.overrun = true,
            Next::Nothing => {}
        }
    }

    /// Writes once: all that waits, as far as one call takes it.
    pub(super) fn poll_flush<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport<S>,
        subscription: &mut Subscription,
    ) -> Poll<Flushed> {
        let gathered = self.gather(subscription);
        if self.overrun {
            self.current = gathered.into_iter().next();
            return Poll::Ready(Flushed::Overrun);
        }
        match self.poll_write(cx, transport, &gathered) {
            Poll::Ready(Ok(sent)) => Poll::Ready(Flushed::Wrote(self.consume(sent, gathered, subscription))),
            Poll::Ready(Err(error)) => {
                self.current = gathered.into_iter().next();
                Poll::Ready(Flushed::Failed(error))
            }
            Poll::Pending => {
                self.consume(0, gathered, subscription);
                Poll::Pending
            }
        }
    }

    /// The current chunk and all that wait behind it, up to one that ends the stream.
    fn gather(&mut self, subscription: &mut Subscription) -> Gathered {
        let mut gathered = Gathered::new();
        if !self.fill(subscription) {
            return gathered;
        }
        let mut next = self.current.take();
        let mut own = 0;
        let mut bytes = 0;
        while let Some(parcel) = next.take() {
            // A form that must be made takes a while: one at a time, and only when there is room for it.
            let ready = gathered.is_empty() || parcel.chunk.has(parcel.form);
            if gathered.is_full() || !ready {
                subscription.give_back(parcel.chunk);
                break;
            }
            let ends_stream = parcel.chunk.event().is_some_and(Event::ends_stream);
            own += usize::from(!parcel.chunk.is_published());
            bytes += parcel.frames().len();
            gathered.push(parcel);
            if ends_stream || own >= MAX_OWN_CHUNKS || bytes >= ENOUGH_BYTES {
                break;
            }
            match subscription.try_next() {
                Next::Chunk { chunk, backlog } => {
                    let form = self.protocol.form(backlog);
                    next = Some(Parcel { chunk, form });
                }
                Next::Overrun => self.overrun = true,
                Next::Nothing => {}
            }
        }
        gathered
    }

    fn poll_write<'a, S: AsyncRead + AsyncWrite + Unpin>(
        &'a self,
        cx: &mut Context<'_>,
        transport: &mut Transport<S>,
        gathered: &'a Gathered,
    ) -> Poll<io::Result<usize>> {
        let mut slices = ArrayVec::<_, MAX_SLICES>::new();
        let mut add = |bytes: &'a [u8]| {
            if !bytes.is_empty() {
                slices.push(IoSlice::new(bytes));
            }
        };
        let (before_control, after_control) = self.split_current(gathered);
        add(before_control);
        add(self.control.get(self.control_sent..).unwrap_or_default());
        add(after_control);
        for parcel in gathered.iter().skip(1) {
            add(parcel.frames());
        }
        match slices.as_slice() {
            // Chunks without bytes, such as an event that the plain protocol does not tell.
            [] => Poll::Ready(Ok(0)),
            parts => transport.poll_write(cx, parts),
        }
    }

    /// The rest of the current chunk, split where control frames may go out.
    fn split_current<'a>(&self, gathered: &'a Gathered) -> (&'a [u8], &'a [u8]) {
        let Some(parcel) = gathered.first() else {
            return (&[], &[]);
        };
        let rest = parcel.frames().get(self.offset..).unwrap_or_default();
        let cut = match self.control.is_empty() || self.control_sent > 0 {
            true => 0,
            false => parcel.rest_of_frame(self.offset).len(),
        };
        rest.split_at_checked(cut).unwrap_or((rest, &[]))
    }

    /// Accounts for bytes that went out, in the order in which [`poll_write`](Self::poll_write) put them, and gives
    /// back what was not begun. Returns the event that ends the stream, where it was sent.
    fn consume(&mut self, mut sent: usize, gathered: Gathered, subscription: &mut Subscription) -> Option<Event> {
        let uncounted = self.uncounted.min(sent);
        self.uncounted -= uncounted;
        let bytes = (sent - uncounted) as u64;

        let before_control = self.split_current(&gathered).0.len().min(sent);
        self.offset += before_control;
        sent -= before_control;
        let control = (self.control.len() - self.control_sent).min(sent);
        self.control_sent += control;
        sent -= control;
        if self.control_sent == self.control.len() {
            self.control = Vec::new();
            self.control_sent = 0;
        }

        let mut event = None;
        let mut read_at = None;
        let mut lines = 0;
        let mut waiting = gathered.into_iter();
        for parcel in waiting.by_ref() {
            let rest = parcel.frames().len() - self.offset;
            if sent < rest || rest > 0 && sent == 0 {
                self.offset += sent;
                self.current = Some(parcel);
                break;
            }
            sent -= rest;
            self.offset = 0;
            let chunk = parcel.chunk;
            self.next_line = chunk.next_line().or(self.next_line);
            if self.protocol.tells_positions() {
                let end = &chunk.span().end;
                match &mut self.position {
                    Some(position) => position.as_mut().clone_from(end),
                    None => self.position = Some(Box::new(end.as_ref().clone())),
                }
            }
            read_at = read_at.or(chunk.read_at());
            event = chunk.event();
            lines += chunk.lines();
            subscription.took(&chunk);
        }
        for parcel in waiting.rev() {
            subscription.give_back(parcel.chunk);
        }
        let metrics = subscription.channel().metrics();
        metrics.delivered(lines, bytes);
        if let Some(read_at) = read_at {
            metrics.delivered_since(read_at);
        }
        event
    }

    /// How many lines of the chunk that is being written went out whole, and how many are whole with the rest of a frame
    /// that is cut.
    pub(super) fn lines_within_current(&self) -> (u64, u64) {
        self.current.as_ref().map_or((0, 0), |parcel| {
            let whole_at = self.offset + parcel.rest_of_frame(self.offset).len();
            (parcel.lines_within(self.offset), parcel.lines_within(whole_at))
        })
    }

    /// How many lines the viewer does not get, when a frame that is cut is still sent whole.
    pub(super) fn lines_lost(&self, subscription: &Subscription) -> u64 {
        let (_, whole) = self.lines_within_current();
        match &self.current {
            Some(Parcel { chunk, .. }) => match chunk.numbers() {
                Some(numbers) => subscription.lost(Some(numbers.first_line.plus(whole))),
                None => chunk.lines() - whole + subscription.lost(self.next_line),
            },
            None => subscription.lost(self.next_line),
        }
    }

    /// The place behind the last lines that the viewer gets, when a frame that is cut is still sent whole. None where
    /// it gets none, or the protocol does not tell.
    pub(super) fn position(&self) -> Option<&Position> {
        match &self.current {
            Some(parcel) if self.protocol.tells_positions() && !parcel.rest_of_frame(self.offset).is_empty() => {
                Some(&parcel.chunk.span().end)
            }
            _ => self.position.as_deref(),
        }
    }

    /// What must still go out before anything else may: the rest of a frame that is cut, then whole control frames.
    pub(super) fn into_rest(self) -> Vec<u8> {
        let mut rest = match &self.current {
            Some(parcel) => parcel.rest_of_frame(self.offset).to_vec(),
            None => Vec::new(),
        };
        rest.extend_from_slice(self.control.get(self.control_sent..).unwrap_or_default());
        rest
    }
}

/// What one write is made of.
type Gathered = ArrayVec<Parcel, MAX_CHUNKS>;
