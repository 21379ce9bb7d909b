//! RFC 6455 as bytes: frames, answers, violations, the two ends of a connection.

use std::time::{Duration, Instant};

use tailcast::config::Span;

use crate::support::{Frame, RawViewer, TestServer, Viewer, masked, until};

async fn closes_with(server: &TestServer, bytes: &[u8], code: u16) {
    let mut viewer = RawViewer::connect(server, "a.log").await;
    viewer.send(bytes).await;
    let close = viewer.frame().await.expect("a close frame");
    assert_eq!((close.opcode, &close.payload[..2]), (8, code.to_be_bytes().as_slice()));
    // The client's own close is understood whatever came before it.
    viewer.send_frame(0x88, &close.payload[..2]).await;
    assert_eq!(viewer.rest().await, []);
}

#[tokio::test]
async fn lines_are_whole_unmasked_text_frames() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["one", ""]);
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    log.write(format!("日\n{}\n{}\n", "x".repeat(126), "y".repeat(65_536)));
    let expected = [
        b"\x81\x03one\x81\x00\x81\x03\xe6\x97\xa5\x81\x7e\x00\x7e".as_slice(),
        &[b'x'; 126],
        b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
        &[b'y'; 65_536],
    ]
    .concat();
    assert!(viewer.bytes(expected.len()).await == expected);
}

#[tokio::test]
async fn pings_and_the_text_ping_are_answered_by_pongs() {
    let server = TestServer::start().await;
    server.log("a.log");
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    viewer.send_frame(0x89, b"payload").await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"payload")));
    viewer.send_frame(0x89, &[7; 125]).await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(&[7; 125])));
    viewer.send_frame(0x81, b"ping").await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"")));
    viewer.send_frame(0x81, b"hello").await;
    viewer.send_frame(0x82, &[0; 4096]).await;
    viewer.send_frame(0x8a, b"unasked").await;
    viewer.silence(100).await;
    for n in 0..2000_u32 {
        viewer.send_frame(0x89, &n.to_be_bytes()).await;
    }
    for n in 0..2000_u32 {
        assert_eq!(viewer.frame().await, Some(Frame::pong(&n.to_be_bytes())));
    }
}

#[tokio::test]
async fn a_client_that_sends_while_lines_flow_is_answered_between_them() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    let (mut pongs, mut lines) = (0, 0);
    for round in 0..100 {
        log.write(format!("line {round} {}\n", "x".repeat(2000)).repeat(10));
        viewer.send_frame(0x89, b"p").await;
        while lines < (round + 1) * 10 {
            match viewer.frame().await.unwrap() {
                frame if frame == Frame::pong(b"p") => pongs += 1,
                frame => {
                    assert_eq!((frame.opcode, frame.payload.len() / 2000), (1, 1));
                    lines += 1;
                }
            }
        }
    }
    while pongs < 100 {
        assert_eq!(viewer.frame().await, Some(Frame::pong(b"p")));
        pongs += 1;
    }
}

#[tokio::test]
async fn what_the_client_sent_right_behind_its_request_is_not_lost() {
    let server = TestServer::start().await;
    server.log("a.log");
    let ahead = [masked(0x89, b"early"), masked(0x89, b"bird")].concat();
    let mut viewer = RawViewer::connect_with(&server, "a.log", &ahead).await;
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"early")));
    assert_eq!(viewer.frame().await, Some(Frame::pong(b"bird")));
}

#[tokio::test]
async fn a_close_is_answered_with_its_code() {
    let server = TestServer::start().await;
    server.log("a.log");
    for payload in [&b""[..], &[0x03, 0xe8], &[0x0f, 0xa1, b'x']] {
        let mut viewer = RawViewer::connect(&server, "a.log").await;
        viewer.send_frame(0x88, payload).await;
        let answer = Frame {
            opcode: 8,
            payload: payload.iter().take(2).copied().collect(),
        };
        assert_eq!(viewer.rest().await, [answer]);
    }
    let mut log = server.log("b.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "b.log").await;
    viewer.line().await;
    viewer.leave().await;
}

#[tokio::test]
async fn violations_get_the_code_of_the_rfc_and_the_server_lives_on() {
    let server = TestServer::start().await;
    server.log("a.log");
    for (bytes, code) in [
        (vec![0x81, 0x01, b'x'], 1002),
        (masked(0xc1, b"x"), 1002),
        (masked(0x83, b"x"), 1002),
        (masked(0x8b, b"x"), 1002),
        (masked(0x09, b"x"), 1002),
        (masked(0x89, &[0; 126]), 1002),
        (masked(0x80, b"x"), 1002),
        (masked(0x88, &[3]), 1002),
        (masked(0x88, &[0x03, 0xed]), 1002),
        (masked(0x81, &[0xff]), 1007),
        (masked(0x81, &[b'x'; 4097]), 1009),
        (masked(0x82, &[0; 100_000]), 1009),
        ([masked(0x01, &[b'x'; 4096]), masked(0x80, b"y")].concat(), 1009),
    ] {
        closes_with(&server, &bytes, code).await;
    }
    assert_eq!(
        server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"error\"}")
            .await,
        13.0
    );
}

#[tokio::test]
async fn a_silent_client_is_pinged_and_one_that_does_not_answer_is_let_go() {
    let server = TestServer::with(|config| {
        config.stream.ping_interval = Span::millis(150);
        config.stream.idle_timeout = Span::millis(500);
    })
    .await;
    server.log("a.log");
    let begun = Instant::now();
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    let frames = viewer.rest().await;
    let pings = frames.iter().filter(|frame| frame.opcode == 9).count();
    assert!((1..=3).contains(&pings), "{frames:?}");
    assert_eq!(frames.last(), Some(&Frame::close(1001, "idle")));
    assert!(begun.elapsed() >= Duration::from_millis(500));
    assert_eq!(
        server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"idle\"}")
            .await,
        1.0
    );

    // The library's client answers pings by itself, as long as it is polled.
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.silence(1200).await;
    server.log("a.log").lines(["still there"]);
    assert_eq!(viewer.line().await, "still there");
}

#[tokio::test]
async fn a_stopping_server_sends_what_it_has_read_and_closes() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewers = [
        Viewer::connect(&server, "a.log").await,
        Viewer::connect(&server, "a.log").await,
    ];
    log.lines(["last words"]);
    let begun = Instant::now();
    server.begin_stop();
    for viewer in &mut viewers {
        assert_eq!(viewer.line().await, "last words");
        assert_eq!(viewer.closed().await, (1001, "shutting down".to_owned()));
    }
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody held it up");
}

#[tokio::test]
async fn a_stop_takes_five_seconds_at_most_whatever_clients_do() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut never_reads = RawViewer::connect(&server, "a.log").await;
    let _never_answers = RawViewer::connect(&server, "a.log").await;
    let _never_asks = tokio::net::TcpStream::connect(server.address).await.unwrap();
    log.write(format!("{}\n", "x".repeat(1000)).repeat(20_000));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    never_reads.send_frame(0x89, b"").await;
}

#[tokio::test]
async fn a_client_that_vanishes_is_forgotten() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let viewer = RawViewer::connect(&server, "a.log").await;
    drop(viewer);
    let connected = "tailcast_connections{file=\"a.log\",protocol=\"plain\"}";
    until("it has left", async || server.metric(connected).await == 0.0).await;
    log.lines(["nobody looks"]);
}
