//! `tailcast watch`: a stream of `tailcast.v1` in a terminal or a pipe, without a gap.
//!
//! One loop: connect behind the last line that was printed, print what comes, and begin anew when the connection ends,
//! however it does. What can't get better by waiting (a file that is not allowed, wrong credentials, a bad parameter)
//! ends it. In its order: `args` is what can be asked for, `endpoint` where the server is, `backoff` how long to
//! wait for it, `printer` what is shown of the stream, `levels` how bad a line is.

mod args;
mod backoff;
mod endpoint;
mod levels;
mod printer;

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::header::RETRY_AFTER;
use tokio_tungstenite::tungstenite::http::{Response, StatusCode};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

use backoff::Backoff;
use endpoint::{Endpoint, Stream};
use printer::{Message, Printer};

pub use args::WatchArgs;

/// After so long without a word from the server it is asked for one. It pings every 30 s itself where it is tailcast.
const QUIET: Duration = Duration::from_secs(35);
/// It is given up when it does not answer for so long.
const ANSWER: Duration = Duration::from_secs(15);
/// To connect, handshakes included.
const CONNECT: Duration = Duration::from_secs(20);
/// The longest wait that a server may ask for.
const LONGEST_RETRY: u64 = 300;

/// Why it ended by itself.
#[derive(Debug)]
pub struct Failure {
    /// Exit status: 2 for bad usage, else 1.
    pub status: u8,
    /// A sentence.
    pub message: String,
}

impl Failure {
    fn usage(message: impl Into<String>) -> Self {
        Self {
            status: 2,
            message: message.into(),
        }
    }

    fn other(message: impl Into<String>) -> Self {
        Self {
            status: 1,
            message: message.into(),
        }
    }
}

/// How a connection ended.
enum End {
    /// It may be better later: why, and how long the server wants us to wait.
    Later(String, Option<Duration>),
    /// It won't be.
    Never(Failure),
    /// Nobody reads what is printed.
    Unread,
}

/// A watch that is ready to begin: its arguments are good, its password known.
pub struct Watch {
    endpoint: Endpoint,
    printer: Printer,
    /// Behind the last line that was printed.
    position: Option<String>,
    /// History lines of a first connection without a position.
    lines: Option<String>,
}

impl Watch {
    /// Reads the files that the arguments name, and asks for a password where one is needed; blocks meanwhile.
    ///
    /// # Errors
    ///
    /// What is wrong with an argument.
    pub fn new(args: &WatchArgs) -> Result<Self, Failure> {
        Ok(Self {
            endpoint: Endpoint::new(args)?,
            printer: Printer::new(args),
            position: args.since.clone(),
            lines: args.lines.map(|lines| lines.to_string()),
        })
    }

    /// Prints until it can't go on, or nobody reads what it prints. Needs a runtime of several threads, as it blocks while
    /// it prints.
    ///
    /// # Errors
    ///
    /// What won't get better by waiting.
    pub async fn run(mut self) -> Result<(), Failure> {
        if self.endpoint.tells_secrets() {
            self.printer
                .say("the connection is not encrypted: others on the way can read the password or token; use https://");
        }
        let mut backoff = Backoff::new();
        loop {
            match self.connection(&mut backoff).await {
                End::Later(why, asked) => {
                    self.printer.say(&format!("{why}; trying again"));
                    let wait = backoff.wait();
                    sleep(asked.unwrap_or(wait)).await;
                }
                End::Never(failure) => return Err(failure),
                End::Unread => return Ok(()),
            }
        }
    }

    /// One connection, from its beginning to its end.
    async fn connection(&mut self, backoff: &mut Backoff) -> End {
        let parameters: Vec<(&str, &str)> = match (&self.position, &self.lines) {
            (Some(position), _) => vec![("since", position)],
            (None, Some(lines)) => vec![("lines", lines)],
            (None, None) => vec![],
        };
        let shown = self.endpoint.shown();
        let mut stream = match timeout(CONNECT, self.endpoint.connect(&parameters)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return refused(&shown, error),
            Err(_) => return End::Later(format!("{shown} does not answer"), None),
        };
        loop {
            let frame = match next(&mut stream).await {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return End::Later(format!("the connection to {shown} is lost: {error}"), None),
                None => return End::Later(format!("the connection to {shown} is lost"), None),
            };
            let printed = match frame {
                // Writing may take as long as a pager likes; meanwhile another thread has to hear signals.
                Frame::Text(text) => block_in_place(|| self.message(&text, backoff)),
                Frame::Close(Some(close)) if close.code == CloseCode::Policy => {
                    return End::Never(Failure::other(format!("the server refuses: {}", close.reason)));
                }
                // Its reason was told by an event before it. The end of the connection follows.
                Frame::Close(close) => {
                    let reason = close.map(|close| close.reason.to_string()).unwrap_or_default();
                    return End::Later(format!("{shown} closed the connection: {reason}"), None);
                }
                Frame::Binary(_) | Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => Ok(()),
            };
            match printed {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return End::Unread,
                Err(error) => {
                    return End::Never(Failure::other(format!("standard output can't be written: {error}")));
                }
            }
        }
    }

    /// Prints a message, and only then remembers the place behind it.
    fn message(&mut self, text: &str, backoff: &mut Backoff) -> io::Result<()> {
        match serde_json::from_str(text) {
            Ok(Message::Lines(lines)) => {
                backoff.reset();
                let end = lines.end.clone();
                self.printer.lines(lines)?;
                self.position = Some(end);
            }
            Ok(Message::Event(event)) => {
                let position = event.position.clone();
                self.printer.event(event)?;
                self.position = position.or(self.position.take());
            }
            Ok(Message::Unknown) => {}
            Err(error) => self
                .printer
                .say(&format!("the server sent what is no tailcast.v1: {error}")),
        }
        Ok(())
    }
}

/// The next frame; `None` where the server gives no sign of life any more, or the connection has ended.
async fn next(stream: &mut Stream) -> Option<Result<Frame, Error>> {
    if let Ok(frame) = timeout(QUIET, stream.next()).await {
        return frame;
    }
    if let Err(error) = stream.send(Frame::Ping(Bytes::new())).await {
        return Some(Err(error));
    }
    timeout(ANSWER, stream.next()).await.ok().flatten()
}

/// What an attempt to connect has failed of.
fn refused(shown: &str, error: Error) -> End {
    match error {
        Error::Http(response) => refused_by_status(shown, &response),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(SubProtocolError::NoSubProtocol)) => {
            End::Never(Failure::other(format!(
                "{shown} does not speak tailcast.v1: it is no tailcast, or one of an older version"
            )))
        }
        Error::Url(error) => End::Never(Failure::usage(format!("the address can't be used: {error}"))),
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => End::Never(Failure::other(format!(
            "{shown} can't be trusted: {error}; see --cacert"
        ))),
        Error::Io(error) => End::Later(format!("{shown} can't be reached: {error}"), None),
        error => End::Later(format!("{shown} does not answer as a server should: {error}"), None),
    }
}

/// A refusal before the upgrade: by the server itself, or by a proxy in front of it.
fn refused_by_status(shown: &str, response: &Response<Option<Vec<u8>>>) -> End {
    let status = response.status();
    let said = response
        .body()
        .as_deref()
        .map(String::from_utf8_lossy)
        .unwrap_or_default();
    // The server's own refusals are one sentence; of a proxy's page nothing is told.
    let sentence = match said.trim() {
        text if !text.is_empty() && text.len() < 500 && !text.contains('<') => format!(": {text}"),
        _ => String::new(),
    };
    let message = format!("{shown} answers {status}{sentence}");
    match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            End::Later(message, retry_after(response))
        }
        _ if status.is_server_error() => End::Later(message, retry_after(response)),
        StatusCode::BAD_REQUEST => End::Never(Failure::usage(message)),
        StatusCode::UNAUTHORIZED => End::Never(Failure::other(format!("{message}; see --user and --token-file"))),
        _ => End::Never(Failure::other(message)),
    }
}

fn retry_after(response: &Response<Option<Vec<u8>>>) -> Option<Duration> {
    let seconds: u64 = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST_RETRY)))
}
