//! The byte stream of one viewer after the handshake: vectored writes out, small messages in.
//!
//! Works on any stream, since under TLS it is another type. It keeps no buffer of its own: reads go through one on the
//! stack, writes come from memory that all viewers share.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{ClientFrames, Incoming, Terms, Violation};

/// Bytes taken from a client at a time, on the stack; clients send a few bytes now and then.
const READ_BYTES: usize = 2048;

/// What one look at a client brought.
#[derive(Debug)]
pub enum Heard {
    /// It sent something; what wants an answer was handed on.
    Something,
    /// It sent what it must not.
    Violation(Violation),
    /// It will send no more.
    End,
}

/// A stream on which frames go out and messages come in.
#[derive(Debug)]
pub struct Transport<S> {
    stream: S,
    /// What was read together with the request's head, before the stream was taken over.
    ahead: Bytes,
    frames: ClientFrames,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Takes over a stream and the client's first bytes, where some were read already.
    pub fn new(stream: S, ahead: &[u8], terms: Terms) -> Self {
        Self {
            stream,
            ahead: Bytes::copy_from_slice(ahead),
            frames: ClientFrames::new(terms),
        }
    }

    /// Reads once and hands on the messages that became whole.
    ///
    /// # Errors
    ///
    /// What the stream's `read` returns.
    pub fn poll_hear(&mut self, cx: &mut Context<'_>, take: &mut impl FnMut(Incoming)) -> Poll<io::Result<Heard>> {
        if !self.ahead.is_empty() {
            let ahead = std::mem::take(&mut self.ahead);
            return Poll::Ready(Ok(self.feed(&ahead, take)));
        }
        let mut memory = [MaybeUninit::uninit(); READ_BYTES];
        let mut buffer = ReadBuf::uninit(&mut memory);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(match buffer.filled() {
            [] => Heard::End,
            bytes => self.feed(bytes, take),
        }))
    }

    fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(Incoming)) -> Heard {
        match self.frames.feed(bytes, take) {
            Ok(()) => Heard::Something,
            Err(violation) => Heard::Violation(violation),
        }
    }

    /// Writes as much as the stream takes at once.
    ///
    /// # Errors
    ///
    /// What the stream's `write` returns, and `WriteZero` where it takes nothing without an error.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let stream = Pin::new(&mut self.stream);
        let written = match parts {
            // The common case has a cheaper system call.
            [only] => stream.poll_write(cx, only),
            parts => stream.poll_write_vectored(cx, parts),
        };
        match ready!(written) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            result => Poll::Ready(result),
        }
    }

    /// Ends the writing side, so that the client sees the end behind the last byte.
    ///
    /// # Errors
    ///
    /// What the stream's `shutdown` returns.
    pub fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
