//! The log stream as Server-Sent Events.

use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use tailcast::config::{Size, Span};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::{SOON, Said, TestServer, numbered, parse, request, until};

/// A client that reads when told to.
struct EventSource {
    stream: TcpStream,
    head: String,
    /// The body, without its chunking.
    text: String,
    raw: Vec<u8>,
    ended: bool,
}

impl EventSource {
    async fn connect(server: &TestServer, path: &str, headers: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut source = Self {
            stream,
            head: String::new(),
            text: String::new(),
            raw: Vec::new(),
            ended: false,
        };
        loop {
            if let Some(end) = source.raw.windows(4).position(|window| window == b"\r\n\r\n") {
                source.head = String::from_utf8(source.raw.drain(..end + 4).collect()).unwrap();
                return source;
            }
            assert!(source.read().await, "the answer ended");
        }
    }

    /// Reads some; says no at the end.
    async fn read(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        let len = timeout(SOON, self.stream.read(&mut buffer))
            .await
            .expect("bytes come")
            .unwrap();
        self.raw.extend_from_slice(&buffer[..len]);
        len > 0
    }

    /// The next event: its id and what it says. None at the end of the stream.
    async fn next(&mut self) -> Option<(Option<String>, Said)> {
        loop {
            while let Some(line_end) = self.raw.windows(2).position(|window| window == b"\r\n") {
                let size = std::str::from_utf8(&self.raw[..line_end]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if size == 0 {
                    self.ended = true;
                    break;
                }
                if self.raw.len() < line_end + 2 + size + 2 {
                    break;
                }
                let body = self.raw.drain(..line_end + 2 + size + 2).collect::<Vec<u8>>();
                self.text
                    .push_str(std::str::from_utf8(&body[line_end + 2..line_end + 2 + size]).unwrap());
            }
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(str::to_owned)
                };
                if let Some(data) = field("data: ") {
                    return Some((field("id: "), parse(&data)));
                }
                assert_eq!(event, ":\n\n", "a comment");
                continue;
            }
            if self.ended {
                return None;
            }
            assert!(self.read().await, "the stream is cut");
        }
    }

    /// The next event, which has lines, and its id.
    async fn lines(&mut self) -> (String, Vec<String>) {
        match self.next().await.expect("the stream goes on") {
            (Some(id), Said::Lines { lines, end, .. }) => {
                assert_eq!(id, end, "the id is the end");
                (id, lines)
            }
            other => panic!("no lines, but {other:?}"),
        }
    }

    async fn event(&mut self) -> String {
        match self.next().await.expect("the stream goes on") {
            (_, Said::Event { event, .. }) => event,
            other => panic!("no event, but {other:?}"),
        }
    }
}

const PATH: &str = "/api/v1/logs/a.log/events";

#[tokio::test]
async fn lines_come_as_events_whose_id_resumes_behind_them() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=60));
    let mut source = EventSource::connect(&server, PATH, "").await;
    let head = source.head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200"), "{head}");
    for header in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-cache, no-transform\r\n",
        "x-accel-buffering: no\r\n",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    let (id, lines) = source.lines().await;
    assert_eq!(lines, numbered(11..=60));
    log.lines(["live"]);
    assert_eq!(source.lines().await.1, ["live"]);
    assert_eq!(
        server
            .metric("tailcast_connections{file=\"a.log\",protocol=\"sse\"}")
            .await,
        1.0
    );
    drop(source);
    until("it is let go", async || {
        server
            .metric("tailcast_connections{file=\"a.log\",protocol=\"sse\"}")
            .await
            == 0.0
    })
    .await;
    log.lines(["missed"]);
    let resumed = format!("Last-Event-ID: {id}\r\n");
    let mut source = EventSource::connect(&server, &format!("{PATH}?lines=1"), &resumed).await;
    let mut all = Vec::new();
    while all.len() < 2 {
        all.extend(source.lines().await.1);
    }
    assert_eq!(all, ["live", "missed"]);
    let mut source = EventSource::connect(&server, &format!("{PATH}?since={id}"), "").await;
    assert_eq!(source.lines().await.1[0], "live");
    let mut source = EventSource::connect(&server, &format!("{PATH}?since={id}"), "Last-Event-ID: 7\r\n").await;
    assert_eq!(source.event().await, "gap");
    assert_eq!(source.lines().await.1.len(), 50);
}

#[tokio::test]
async fn what_is_no_stream_is_an_answer_in_json() {
    let server = TestServer::with(|config| config.limits.max_connections = 1).await;
    server.log("a.log");
    fs::create_dir(server.path("c.log")).unwrap();
    let get = async |path: &str| request(server.address, &format!("GET {path} HTTP/1.1"), &[]).await;
    for (path, status) in [
        ("/api/v1/logs/x.log/events", 404),
        ("/api/v1/logs/b.log/events", 404),
        ("/api/v1/logs/%ff/events", 404),
        ("/api/v1/logs/c.log/events", 500),
        ("/api/v1/logs/a.log/events?since=x", 400),
        ("/api/v1/logs/a.log/events?lines=x", 400),
    ] {
        let answer = get(path).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(answer.json()["error"].is_string(), "{path}");
    }
    let mut source = EventSource::connect(&server, PATH, "").await;
    source.lines().await;
    let answer = get(PATH).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
}

#[tokio::test]
async fn it_ends_with_the_file_and_with_the_server() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(100)).await;
    let mut log = server.log("a.log");
    let mut source = EventSource::connect(&server, PATH, "").await;
    source.lines().await;
    log.lines(["last"]);
    log.remove();
    assert_eq!(source.lines().await.1, ["last"]);
    assert_eq!(source.event().await, "removed");
    assert!(source.next().await.is_none());
    server.log("a.log");
    let mut source = EventSource::connect(&server, PATH, "").await;
    source.lines().await;
    let stopping = tokio::spawn(server.stop());
    assert_eq!(source.event().await, "shutdown");
    assert!(source.next().await.is_none());
    stopping.await.unwrap();
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive_by_comments() {
    let server = TestServer::with(|config| config.stream.ping_interval = Span::millis(50)).await;
    server.log("a.log");
    let mut source = EventSource::connect(&server, PATH, "").await;
    source.lines().await;
    while source.raw.windows(3).filter(|window| window == b":\n\n").count() < 2 {
        source.read().await;
    }
}

#[tokio::test]
async fn who_does_not_read_is_dropped_and_can_go_on_behind_what_it_got() {
    let server = TestServer::with(|config| {
        config.limits.stall_timeout = Span::millis(500);
        config.limits.backlog = Size(1 << 20);
    })
    .await;
    let mut log = server.log("a.log");
    let mut source = EventSource::connect(&server, PATH, "").await;
    source.lines().await;
    let lines: Vec<String> = (1..=150_000).map(|n| format!("{n:07} {}", "x".repeat(92))).collect();
    for part in lines.chunks(2000) {
        log.write(part.join("\n") + "\n");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let slow = "tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"}";
    until("it is given up", async || server.metric(slow).await == 1.0).await;
    let mut seen = Vec::new();
    let position = loop {
        match source.next().await.unwrap() {
            (_, Said::Lines { lines, .. }) => seen.extend(lines),
            (
                _,
                Said::Event {
                    event, lost, position, ..
                },
            ) => {
                assert_eq!(event, "too_slow");
                assert!(lost.unwrap() > 0);
                break position.unwrap();
            }
            (_, Said::Close(..)) => unreachable!(),
        }
    };
    assert!(source.next().await.is_none());
    assert!(seen == lines[..seen.len()]);
    let mut source = EventSource::connect(&server, &format!("{PATH}?since={position}"), "").await;
    while seen.len() < lines.len() {
        seen.extend(source.lines().await.1);
    }
    assert!(seen == lines);
}

#[tokio::test]
async fn curl_prints_each_line_as_it_comes() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let url = format!("http://{}{PATH}", server.address);
    let mut curl = Command::new("curl")
        .args(["-sN", &url])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = curl.stdout.take().unwrap();
    let mut seen = String::new();
    for line in ["first", "second"] {
        log.lines([line]);
        while !seen.contains(&format!("\"{line}\"")) {
            let reading = tokio::task::spawn_blocking(move || {
                let mut buffer = [0; 4096];
                let len = out.read(&mut buffer).unwrap();
                (out, buffer[..len].to_vec())
            });
            let (back, bytes) = timeout(SOON, reading).await.expect("it comes").unwrap();
            out = back;
            assert!(!bytes.is_empty());
            seen.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
    curl.kill().unwrap();
    curl.wait().unwrap();
}
