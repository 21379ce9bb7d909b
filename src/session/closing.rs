//! The end of a connection, by the book (RFC 6455, section 7).
//!
//! The server sends its last bytes and a Close frame, reads on until the client's Close, then ends its side of the TCP
//! connection and waits for the client's end. Reading on matters: a socket that is closed with unread input resets the
//! connection, and the client would never see what was sent last.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use crate::metrics::FileMetrics;
use crate::ws::{Heard, Incoming, Transport};

/// How long a client has to take the last bytes, and then to answer the Close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// How long a client has to end its side of the TCP connection after both Close frames.
const END_WAIT: Duration = Duration::from_secs(1);

/// A connection whose stream is over. It holds the last bytes and nothing else.
#[derive(Debug)]
pub struct Closing<S> {
    transport: Transport<S>,
    last: Vec<u8>,
    /// Whether the client has sent its Close frame, or will send nothing more.
    answered: bool,
    /// How long a client that does not read may take until it does.
    patience: Option<Duration>,
    /// Where the last bytes are counted, with the lines that they make whole.
    counted: Option<(Arc<FileMetrics>, u64)>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Closing<S> {
    /// Sends `last`, which ends in a Close frame.
    pub fn new(transport: Transport<S>, last: Vec<u8>) -> Self {
        Self {
            transport,
            last,
            answered: false,
            patience: None,
            counted: None,
        }
    }

    /// The client's Close frame has come already, or it is gone.
    pub fn answered(mut self) -> Self {
        self.answered = true;
        self
    }

    /// The client was too slow: keep the last bytes ready for so long, and end our side right behind them.
    pub(super) fn patient(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Counts the last bytes as delivered once they are, and the line that they make whole.
    pub(super) fn counted(mut self, metrics: Arc<FileMetrics>, lines: u64) -> Self {
        self.counted = Some((metrics, lines));
        self
    }

    /// Ends the connection; takes no longer than the waits above, or the patience and one of them.
    pub async fn run(&mut self) {
        let begun = Instant::now();
        let wait = self.patience.unwrap_or(CLOSE_WAIT);
        if !matches!(timeout_at(begun + wait, self.send()).await, Ok(Ok(()))) {
            return;
        }
        if let Some((metrics, lines)) = &self.counted {
            metrics.delivered(*lines, self.last.len() as u64);
        }
        self.last = Vec::new();
        let answer_by = match self.patience {
            Some(patience) => (begun + patience).max(Instant::now() + CLOSE_WAIT),
            None => Instant::now() + CLOSE_WAIT,
        };
        if self.patience.is_none() && !self.answered {
            // Whatever comes of it, the connection is ended next.
            let _ = timeout_at(answer_by, self.read_until_close()).await;
        }
        if poll_fn(|cx| self.transport.poll_end(cx)).await.is_err() {
            return;
        }
        let end_by = match self.patience {
            Some(_) => answer_by,
            None => Instant::now() + END_WAIT,
        };
        let _ = timeout_at(end_by, self.read_until_end()).await;
    }

    async fn send(&mut self) -> io::Result<()> {
        let Self { transport, last, .. } = self;
        let mut rest = last.as_slice();
        while !rest.is_empty() {
            let sent = poll_fn(|cx| transport.poll_write(cx, &[IoSlice::new(rest)])).await?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    async fn read_until_close(&mut self) {
        let mut closed = false;
        while !closed {
            let heard = poll_fn(|cx| {
                self.transport
                    .poll_hear(cx, &mut |incoming| closed |= matches!(incoming, Incoming::Close(_)))
            })
            .await;
            if matches!(heard, Ok(Heard::End) | Err(_)) {
                return;
            }
        }
    }

    async fn read_until_end(&mut self) {
        while !matches!(
            poll_fn(|cx| self.transport.poll_hear(cx, &mut |_| {})).await,
            Ok(Heard::End) | Err(_)
        ) {}
    }
}
