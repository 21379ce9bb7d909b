//! The clients that people have, each compared byte for byte with the file while it is rotated, truncated and removed,
//! and while a neighbour stalls.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tailcast::config::{Compression, Span};

use crate::support::{Browser, Log, RawViewer, SOON, TestServer, Viewer, numbered};

const TRUNCATED: &str = "日志文件被截断，重新加载...";
const REMOVED: &str = "日志文件 a.log 不再存在";
const DELIVERED: &str = "tailcast_bytes_delivered_total{file=\"a.log\"}";
const CLOSE: &str = "4410 file removed";

/// A client in a process of its own.
struct Stock {
    name: &'static str,
    process: Child,
    out: PathBuf,
}

impl Stock {
    fn start(name: &'static str, program: &str, script: &str, url: &str, dir: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/it/clients")
            .join(script);
        let out = dir.join(name);
        let process = Command::new(program)
            .args([script.as_os_str(), url.as_ref(), out.as_os_str()])
            .env("NODE_PATH", "/usr/share/nodejs")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self { name, process, out }
    }

    /// Bytes that it has got so far.
    fn seen(&self) -> u64 {
        fs::metadata(&self.out).map_or(0, |out| out.len())
    }

    /// Waits for its end, and returns what it got and how it was closed.
    fn finish(self) -> (&'static str, Vec<u8>, String) {
        let seen = self.out.clone();
        let output = self.process.wait_with_output().unwrap();
        let close = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
        (self.name, fs::read(seen).unwrap(), close)
    }
}

/// A page's own socket, collecting what it gets.
const COLLECT: &str = "
    window.seen = '';
    const socket = new WebSocket(`ws://${location.host}/api/v1/ws/logs?file=a.log`);
    socket.onmessage = (event) => { window.seen += event.data + '\\n'; };
    socket.onclose = (event) => { window.ended = `${event.code} ${event.reason}`; window.clean = event.wasClean; };
";

/// Lines of every kind, with numbers.
fn mixed(from: u64, to: u64) -> Vec<String> {
    (from..=to)
        .map(|n| match n % 7 {
            0 => String::new(),
            1 => format!("{n} 日志文件 𠀀 录制"),
            2 => format!("{n} \u{1b}[31mred\u{1b}[0m\ttab \u{7f}"),
            3 => format!("{n} {}", "long ".repeat(usize::try_from(n % 400).unwrap())),
            4 => format!("{n} 错误: <script>alert(1)</script>"),
            _ => format!("{n} plain"),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_the_bytes_of_the_file() {
    let share = check_clients(Compression::Remote).await;
    assert!(share > 4.9, "five of six got all bytes as they are, not {share}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_gets_the_bytes_of_the_file_where_most_agree_to_compression() {
    let share = check_clients(Compression::Always).await;
    assert!(share < 3.5, "three of six got compressed lines, {share}");
}

/// Returns how many times the bytes of the file were sent.
async fn check_clients(compression: Compression) -> f64 {
    let server = TestServer::with(|config| {
        config.stream.compression = compression;
        config.stream.rotate_grace = Span::millis(700);
        config.limits.stall_timeout = Span::secs(3);
    })
    .await;
    let outputs = tempfile::tempdir().unwrap();
    let mut log = server.log("a.log");
    let history = numbered(1..=60);
    log.lines(&history);
    let mut expected: Vec<String> = history[10..].to_vec();

    let url = format!("ws://{}/api/v1/ws/logs?file=a.log", server.address);
    let clients = [
        Stock::start(
            "websockets",
            "/usr/bin/python3",
            "python_websockets.py",
            &url,
            outputs.path(),
        ),
        Stock::start(
            "websocket-client",
            "/usr/bin/python3",
            "python_websocket_client.py",
            &url,
            outputs.path(),
        ),
        Stock::start("ws", "/usr/bin/node", "node_ws.cjs", &url, outputs.path()),
    ];
    // Reads all the time, as the others do.
    let mut library = Viewer::at(&url).await;
    let library = tokio::spawn(async move {
        let lines = library.lines_to(REMOVED).await;
        (lines, library.closed().await)
    });
    let browser = Browser::start("en").await;
    browser
        .page
        .goto(&format!("http://{}/?file=b.log", server.address))
        .await
        .unwrap();
    browser.run(COLLECT).await;
    // All have what was written so far; from here on they get everything live, and what follows waits for them where
    // unread lines would rightly be lost.
    let all_have = async |expected: &[String]| {
        let bytes = expected.join("\n").len() as u64 + 1;
        let (mut progress, mut progress_at) = (0, Instant::now());
        loop {
            let mut seen: Vec<u64> = clients.iter().map(Stock::seen).collect();
            let page = browser.run("return new TextEncoder().encode(window.seen).length").await;
            seen.push(page.as_u64().unwrap());
            if seen.iter().all(|seen| *seen >= bytes) {
                return;
            }
            let sum = seen.iter().sum();
            if sum > progress {
                (progress, progress_at) = (sum, Instant::now());
            }
            assert!(progress_at.elapsed() < SOON, "of {bytes} bytes there came {seen:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    all_have(&expected).await;
    let stalled = RawViewer::connect(&server, "a.log").await;

    let write = |log: &mut Log, lines: Vec<String>, expected: &mut Vec<String>| {
        log.lines(&lines);
        expected.extend(lines);
    };
    for round in 1..=3_u64 {
        write(&mut log, mixed(round * 10_000, round * 10_000 + 3000), &mut expected);
        log.rename(&format!(".{round}"));
        write(
            &mut log,
            mixed(round * 10_000 + 5000, round * 10_000 + 5100),
            &mut expected,
        );
        log = server.log("a.log");
        write(
            &mut log,
            mixed(round * 10_000 + 6000, round * 10_000 + 7000),
            &mut expected,
        );
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    // Enough that the one who does not read is dropped, and that nobody else notices.
    for n in 0..20 {
        write(&mut log, vec![format!("{n} {}", "x".repeat(60_000)); 10], &mut expected);
    }
    all_have(&expected).await;
    let lines = mixed(50_000, 51_000);
    fs::write(log.path(), lines.join("\n") + "\n").unwrap();
    expected.push(TRUNCATED.to_owned());
    expected.extend(lines);
    all_have(&expected).await;
    log.truncate(0);
    expected.push(TRUNCATED.to_owned());
    all_have(&expected).await;
    write(&mut log, mixed(60_000, 60_100), &mut expected);
    log.write("the end, without a line end");
    log.remove();
    expected.extend(["the end, without a line end".to_owned(), REMOVED.to_owned()]);

    let expected_bytes = (expected.join("\n") + "\n").into_bytes();
    let (lines, close) = library.await.unwrap();
    assert!(lines == expected, "tokio-tungstenite");
    assert_eq!(close, (4410, "file removed".to_owned()));
    for client in clients {
        let (name, seen, close) = client.finish();
        assert!(
            seen == expected_bytes,
            "{name} got {} bytes of {}",
            seen.len(),
            expected_bytes.len()
        );
        assert_eq!(close, CLOSE, "{name}");
    }
    browser
        .until("the page's socket is closed", "return window.ended !== undefined")
        .await;
    let seen = browser.run("return window.seen").await;
    assert!(seen.as_str().unwrap().as_bytes() == expected_bytes, "Chromium");
    assert_eq!(
        browser.run("return [window.ended, window.clean]").await,
        json!([CLOSE, true])
    );
    browser.end().await;
    drop(stalled);
    server.metric(DELIVERED).await / expected_bytes.len() as f64
}
