use std::time::Duration;

use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{SOON, TestServer};

/// A viewer with the client library that Rust programs use.
pub struct Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Viewer {
    pub async fn connect(server: &TestServer, file: &str) -> Self {
        Self::at(&format!("ws://{}/api/v1/ws/logs?file={file}", server.address)).await
    }

    pub async fn at(url: &str) -> Self {
        let (socket, _) = timeout(SOON, connect_async(url)).await.unwrap().unwrap();
        Self { socket }
    }

    /// The next message that is no ping or pong.
    async fn next(&mut self) -> Message {
        loop {
            let message = timeout(SOON, self.socket.next()).await.expect("a message comes");
            let message = message.expect("the connection is open").unwrap();
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }

    pub async fn line(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("no line, but {other:?}"),
        }
    }

    pub async fn lines(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            lines.push(self.line().await);
        }
        lines
    }

    /// Lines up to and with one that is `last`.
    pub async fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line| line != last) {
            lines.push(self.line().await);
        }
        lines
    }

    /// Nothing comes for a while.
    pub async fn silence(&mut self, millis: u64) {
        if let Ok(message) = timeout(Duration::from_millis(millis), self.next()).await {
            panic!("silence was broken by {message:?}");
        }
    }

    /// Code and reason of the Close frame that comes next; then the connection ends cleanly.
    pub async fn closed(&mut self) -> (u16, String) {
        let close = match self.next().await {
            Message::Close(Some(close)) => (close.code.into(), close.reason.as_str().to_owned()),
            other => panic!("no close, but {other:?}"),
        };
        let end = timeout(SOON, self.socket.next()).await.expect("the connection ends");
        assert!(end.is_none(), "the end is clean, not {end:?}");
        close
    }

    /// Closes from this side and waits for the answer.
    pub async fn leave(mut self) {
        self.socket.close(None).await.unwrap();
        while timeout(SOON, self.socket.next())
            .await
            .expect("the answer comes")
            .is_some()
        {}
    }
}
