//! Clients of which every byte is ours.

use std::net::SocketAddr;
use std::time::Duration;

use flate2::{Decompress, FlushDecompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{SOON, TestServer};

/// A whole HTTP answer.
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// Sends one request on a connection of its own; `Host` is the address unless a header says otherwise.
pub async fn request(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{line}\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str(&format!("Host: {address}\r\n"));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes))
        .await
        .expect("the answer comes")
        .unwrap();
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("a whole head")
        + 4;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunk(&bytes[end..])
    } else {
        bytes[end..].to_vec()
    };
    Response { status, head, body }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|window| window == b"\r\n").unwrap();
        let len = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if len == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + len]);
        bytes = &bytes[end + 4 + len..];
    }
}

/// A frame as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn close(code: u16, reason: &str) -> Self {
        Self {
            opcode: 8,
            payload: [&code.to_be_bytes(), reason.as_bytes()].concat(),
        }
    }

    pub fn pong(payload: &[u8]) -> Self {
        Self {
            opcode: 10,
            payload: payload.to_vec(),
        }
    }
}

/// A WebSocket client that reads only when told to.
pub struct RawViewer {
    pub stream: TcpStream,
    /// The head of the answer to its handshake.
    pub head: String,
    /// Messages that came compressed.
    pub deflated: u64,
    buffer: Vec<u8>,
}

const HANDSHAKE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl RawViewer {
    pub async fn connect(server: &TestServer, file: &str) -> Self {
        Self::connect_with(server, file, &[]).await
    }

    /// Sends `ahead` right behind the request, before the answer is there.
    pub async fn connect_with(server: &TestServer, file: &str, ahead: &[u8]) -> Self {
        Self::open(server, file, "", ahead).await
    }

    /// Sends these lines of a head, too, each with its line end.
    pub async fn connect_with_head(server: &TestServer, file: &str, head: &str) -> Self {
        Self::open(server, file, head, &[]).await
    }

    async fn open(server: &TestServer, file: &str, head: &str, ahead: &[u8]) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Small, so that a viewer that does not read is noticed early.
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let head = format!(
            "GET /api/v1/ws/logs?file={file} HTTP/1.1\r\nHost: {}\r\n{HANDSHAKE}{head}\r\n",
            server.address
        );
        stream.write_all(&[head.as_bytes(), ahead].concat()).await.unwrap();
        let mut viewer = Self {
            stream,
            head: String::new(),
            deflated: 0,
            buffer: Vec::new(),
        };
        let head = loop {
            if let Some(end) = viewer.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break viewer.buffer.drain(..end + 4).collect::<Vec<u8>>();
            }
            assert!(viewer.read_more().await, "the answer ended");
        };
        viewer.head = String::from_utf8(head).unwrap();
        let head = &viewer.head;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
        viewer
    }

    /// What the server answered about extensions.
    pub fn extensions(&self) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-extensions")
                .then_some(value.trim())
        })
    }

    async fn read_more(&mut self) -> bool {
        let read = timeout(SOON, self.stream.read_buf(&mut self.buffer)).await;
        read.expect("bytes come").unwrap() > 0
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends one masked frame; `first` is its first byte.
    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&masked(first, payload)).await;
    }

    /// The next bytes, as they come.
    pub async fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.buffer.len() < len {
            assert!(self.read_more().await, "the connection ended");
        }
        self.buffer.drain(..len).collect()
    }

    /// The next frame, or none at the end of the connection. A compressed message is shown as it was.
    pub async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((mut frame, reserved, len)) = parse(&self.buffer) {
                self.buffer.drain(..len);
                if reserved != 0 {
                    assert!(self.extensions().is_some() && frame.opcode == 1 && reserved == 0x40);
                    frame.payload = inflate(&frame.payload);
                    self.deflated += 1;
                }
                return Some(frame);
            }
            if !self.read_more().await {
                assert!(self.buffer.is_empty(), "the connection ended inside a frame");
                return None;
            }
        }
    }

    /// All that comes up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }

    /// Nothing comes for a while.
    pub async fn silence(&mut self, millis: u64) {
        if let Ok(frame) = timeout(Duration::from_millis(millis), self.frame()).await {
            panic!("silence was broken by {frame:?}");
        }
    }
}

pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [1, 2, 3, 4];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | len as u8),
        len @ 126..=65_535 => {
            out.push(0x80 | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ MASK[i % 4]));
    out
}

/// Takes a message out of permessage-deflate, on its own.
fn inflate(payload: &[u8]) -> Vec<u8> {
    let payload = [payload, &[0, 0, 0xff, 0xff]].concat();
    let mut inflater = Decompress::new(false);
    let mut out = Vec::new();
    while (inflater.total_in() as usize) < payload.len() || out.len() == out.capacity() {
        out.reserve(4096);
        let rest = &payload[inflater.total_in() as usize..];
        inflater.decompress_vec(rest, &mut out, FlushDecompress::None).unwrap();
    }
    out
}

/// The first frame, its reserved bits, and its length.
fn parse(bytes: &[u8]) -> Option<(Frame, u8, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    assert_eq!(first & 0x80, 0x80, "whole frames");
    assert_eq!(second & 0x80, 0, "a server does not mask");
    let (header, len) = match second {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        len => (2, usize::from(len)),
    };
    let payload = bytes.get(header..header + len)?.to_vec();
    let frame = Frame {
        opcode: first & 0x0f,
        payload,
    };
    Some((frame, first & 0x70, header + len))
}
