//! permessage-deflate (RFC 7692): who gets it, and what goes over the wire.

use flate2::{Compress, Compression as Level, FlushCompress};
use tailcast::config::Compression;

use crate::support::{Frame, RawViewer, TestServer};

const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

async fn server(compression: Compression) -> TestServer {
    let server = TestServer::with(|config| config.stream.compression = compression).await;
    server.log("a.log");
    server
}

async fn answer(server: &TestServer, head: &str) -> Option<String> {
    let viewer = RawViewer::connect_with_head(server, "a.log", head).await;
    viewer.extensions().map(str::to_owned)
}

/// A message as a client compresses it.
fn deflate(message: &[u8]) -> Vec<u8> {
    let mut compress = Compress::new(Level::best(), false);
    let mut out = Vec::with_capacity(message.len() + 64);
    compress.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

#[tokio::test]
async fn it_is_for_viewers_elsewhere_unless_configured_otherwise() {
    let through_proxy = format!("{OFFER}X-Forwarded-For: 192.0.2.7\r\n");
    for (compression, local, remote) in [
        (Compression::Remote, None, Some(ANSWER)),
        (Compression::Always, Some(ANSWER), Some(ANSWER)),
        (Compression::Never, None, None),
    ] {
        let server = server(compression).await;
        assert_eq!(answer(&server, OFFER).await.as_deref(), local, "{compression:?}");
        assert_eq!(
            answer(&server, &through_proxy).await.as_deref(),
            remote,
            "{compression:?}"
        );
        assert_eq!(answer(&server, "").await, None, "nobody gets it who does not offer it");
    }
}

#[tokio::test]
async fn a_smaller_window_is_declined_and_the_next_offer_taken() {
    let server = server(Compression::Always).await;
    let offer = |offers: &str| format!("Sec-WebSocket-Extensions: {offers}\r\n");
    let small = "permessage-deflate; server_max_window_bits=10";
    assert_eq!(answer(&server, &offer(small)).await, None);
    let both = format!("{small}, permessage-deflate; server_max_window_bits=\"15\"");
    assert_eq!(
        answer(&server, &offer(&both)).await,
        Some(format!("{ANSWER}; server_max_window_bits=15"))
    );
    assert_eq!(answer(&server, &offer("\"\\,;=permessage-deflate")).await, None);
}

#[tokio::test]
async fn long_lines_come_compressed_and_short_ones_and_notices_as_they_are() {
    let server = server(Compression::Always).await;
    let mut log = server.log("a.log");
    let long = |n: usize| format!("{n} 录制 ").repeat(100);
    let lines = ["short".to_owned(), long(1), String::new(), long(2)];
    log.lines(&lines);
    let mut viewer = RawViewer::connect_with_head(&server, "a.log", OFFER).await;
    let mut plain = RawViewer::connect(&server, "a.log").await;
    log.lines([long(3), "z".repeat(65_536)]);
    let mut expect = async |line: String| {
        let before = viewer.deflated;
        let frame = Frame {
            opcode: 1,
            payload: line.clone().into_bytes(),
        };
        assert_eq!(viewer.frame().await.as_ref(), Some(&frame));
        assert_eq!(plain.frame().await, Some(frame));
        assert_eq!(viewer.deflated - before, u64::from(line.len() >= 256), "{line}");
    };
    for line in lines.into_iter().chain([long(3), "z".repeat(65_536)]) {
        expect(line).await;
    }
    log.truncate(0);
    expect("日志文件被截断，重新加载...".to_owned()).await;
    log.remove();
    let frames = viewer.rest().await;
    assert_eq!(frames.last(), Some(&Frame::close(4410, "file removed")));
    assert_eq!(plain.rest().await, frames);
}

#[tokio::test]
async fn what_a_client_sends_compressed_is_read_bounded_and_checked() {
    let server = server(Compression::Always).await;
    let mut viewer = RawViewer::connect_with_head(&server, "a.log", OFFER).await;
    viewer.send_frame(0xc1, &deflate(b"ping")).await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"")));
    viewer.send_frame(0xc2, &deflate(&[7; 4096])).await;
    viewer.send_frame(0x81, b"ping").await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"")));

    let bomb = deflate(&vec![b'x'; 4 << 20]);
    let long = deflate(&[b'x'; 4097]);
    for (head, first, payload, code) in [
        (OFFER, 0xc1, &bomb[..], 1009_u16),
        (OFFER, 0xc1, &long, 1009),
        (OFFER, 0xc1, b"no compressed data", 1007),
        (OFFER, 0xc1, &long[..5], 1007),
        (OFFER, 0xc9, b"a ping", 1002),
        (OFFER, 0xc0, b"a continuation", 1002),
        ("", 0xc1, &deflate(b"ping"), 1002),
    ] {
        let mut viewer = RawViewer::connect_with_head(&server, "a.log", head).await;
        viewer.send_frame(first, payload).await;
        let close = viewer.frame().await.unwrap();
        assert_eq!((close.opcode, &close.payload[..2]), (8, code.to_be_bytes().as_slice()));
    }
}
