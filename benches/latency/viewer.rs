//! Viewers, each a socket.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, Message, WebSocket};

/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Viewer {
    socket: WebSocket<TcpStream>,
}

impl Viewer {
    pub fn connect(address: SocketAddr, file: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).context("can't connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let url = format!("ws://{address}/api/v1/ws/logs?file={file}");
        // A small buffer: there may be a thousand viewers.
        let config = WebSocketConfig::default().read_buffer_size(8 << 10);
        let (socket, _) = tungstenite::client::client_with_config(url, stream, Some(config))
            .map_err(|error| anyhow!("no handshake: {error}"))?;
        Ok(Self { socket })
    }

    /// Waits for the next line.
    pub fn line(&mut self) -> Result<String> {
        loop {
            match self.socket.read().context("no line came")? {
                Message::Text(text) => return Ok(text.as_str().to_owned()),
                Message::Close(close) => bail!("the server closed: {close:?}"),
                _ => {}
            }
        }
    }

    /// Makes `answer_pings` return where there is nothing.
    pub fn stop_waiting(&mut self) -> Result<()> {
        Ok(self.socket.get_ref().set_nonblocking(true)?)
    }

    /// Answers what the server asks, of a viewer that waits for nothing.
    pub fn answer_pings(&mut self) -> Result<()> {
        loop {
            match self.socket.read() {
                Ok(Message::Close(close)) => bail!("the server closed: {close:?}"),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
