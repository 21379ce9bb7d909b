//! A TCP stream for HTTP requests. Its writes have a deadline: a client that asks for a file and does not read it must
//! not hold its connection for ever. And it keeps back the head of an answer that upgrades the connection, so that who
//! takes the stream over sends it together with the first frames: in a storm of viewers that is half the system calls.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::Socket;

/// How long a client may take no byte of an answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The stream, the time until which its next write must succeed, and what was not yet written.
#[derive(Debug)]
pub struct Guarded {
    stream: TcpStream,
    /// Knows from when on what is written is the head of an upgrade. By its bytes that can't be told: those of a file may
    /// look the same.
    socket: Arc<Socket>,
    /// Set while a write waits.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The head of the answer that upgrades the connection, behind what hyper still held of an answer before it: no more
    /// than its buffer. Nothing follows on this side.
    upgrade_head: Vec<u8>,
}

impl Guarded {
    pub(super) fn new(stream: TcpStream, socket: Arc<Socket>) -> Self {
        Self {
            stream,
            socket,
            deadline: None,
            upgrade_head: Vec::new(),
        }
    }

    /// The stream, for those who have deadlines of their own, and what they have to write first.
    pub fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.upgrade_head)
    }

    /// Takes a write of a connection that is being upgraded.
    fn keep_back(&mut self, bytes: &[u8]) -> bool {
        let is_upgraded = self.socket.is_upgraded();
        if is_upgraded {
            self.upgrade_head.extend_from_slice(bytes);
        }
        is_upgraded
    }

    fn guard<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(STALL_TIMEOUT)));
        deadline
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.keep_back(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.guard(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = parts.iter().find(|part| !part.is_empty());
        if let Some(first) = first
            && self.keep_back(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.guard(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
