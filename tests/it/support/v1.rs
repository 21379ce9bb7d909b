//! A client of `tailcast.v1`, written from the reference.

use futures_util::StreamExt;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::SOON;

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Lines {
        lines: Vec<String>,
        start: String,
        end: String,
        backlog: bool,
    },
    Event {
        event: String,
        message: String,
        lost: Option<u64>,
        position: Option<String>,
    },
    Close(u16, String),
}

/// Reads one JSON object of `tailcast.v1`.
pub fn parse(text: &str) -> Said {
    let value: Value = serde_json::from_str(text).unwrap();
    let string = |name: &str| value[name].as_str().map(str::to_owned);
    match value["type"].as_str().unwrap() {
        "lines" => Said::Lines {
            lines: value["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| line.as_str().unwrap().to_owned())
                .collect(),
            start: string("start").unwrap(),
            end: string("end").unwrap(),
            backlog: value["backlog"].as_bool().unwrap(),
        },
        "event" => Said::Event {
            event: string("event").unwrap(),
            message: string("message").unwrap(),
            lost: value["lost"].as_u64(),
            position: string("position"),
        },
        other => panic!("a message of type {other}"),
    }
}

/// A connection, and the place behind all that came over it.
pub struct V1Viewer {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub position: Option<String>,
}

impl V1Viewer {
    /// Connects; `query` is what stands behind the file.
    pub async fn connect(address: impl std::fmt::Display, query: &str) -> Self {
        Self::try_connect(address, query).await.unwrap()
    }

    pub async fn try_connect(
        address: impl std::fmt::Display,
        query: &str,
    ) -> Result<Self, tokio_tungstenite::tungstenite::Error> {
        let url = format!("ws://{address}/api/v1/ws/logs?{query}");
        let mut request = url.into_client_request().unwrap();
        let offered = "unknown, tailcast.v1".parse().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered);
        let (socket, response) = timeout(SOON, connect_async(request)).await.expect("an answer comes")?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "tailcast.v1");
        Ok(Self { socket, position: None })
    }

    /// The next message; none where the connection broke.
    pub async fn try_next(&mut self) -> Option<Said> {
        loop {
            let said = match timeout(SOON, self.socket.next())
                .await
                .expect("a message comes")?
                .ok()?
            {
                Message::Text(text) => parse(text.as_str()),
                Message::Close(close) => {
                    let close = close?;
                    return Some(Said::Close(close.code.into(), close.reason.as_str().to_owned()));
                }
                _ => continue,
            };
            match &said {
                Said::Lines { lines, start, end, .. } => {
                    // A rotated file that gets no more late lines is left out from then on.
                    if let Some(position) = &self.position
                        && position.len() == start.len()
                    {
                        assert_eq!(position, start, "lines begin where the ones before ended");
                    }
                    let bytes: usize = lines.iter().map(String::len).sum();
                    assert!(
                        bytes <= 64 << 10 || lines.len() == 1,
                        "{bytes} bytes in {} lines",
                        lines.len()
                    );
                    self.position = Some(end.clone());
                }
                Said::Event { position, .. } => self.position = position.clone().or(self.position.take()),
                Said::Close(..) => {}
            }
            return Some(said);
        }
    }

    pub async fn next(&mut self) -> Said {
        self.try_next().await.expect("the connection is open")
    }

    /// The next message, which has lines.
    pub async fn lines(&mut self) -> Vec<String> {
        match self.next().await {
            Said::Lines { lines, .. } => lines,
            other => panic!("no lines, but {other:?}"),
        }
    }

    /// All lines up to and with one that is `last`, of however many messages; events stand between them as `<event>`.
    pub async fn lines_to(&mut self, last: &str) -> Vec<String> {
        let mut all = Vec::new();
        while all.last().is_none_or(|line| line != last) {
            match self.next().await {
                Said::Lines { lines, .. } => all.extend(lines),
                Said::Event { event, .. } => all.push(format!("<{event}>")),
                Said::Close(code, reason) => panic!("closed with {code} {reason} after {:?}", all.last()),
            }
        }
        all
    }

    /// The next message, which is an event.
    pub async fn event(&mut self) -> String {
        match self.next().await {
            Said::Event { event, .. } => event,
            other => panic!("no event, but {other:?}"),
        }
    }

    pub fn position(&self) -> String {
        self.position.clone().expect("something came")
    }
}
