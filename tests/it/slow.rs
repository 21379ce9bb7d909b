//! Viewers that read too slowly, and their neighbours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tailcast::chunk::Batch;
use tailcast::config::{Compression, Config, FileEntry, Settings, Size, Span};
use tailcast::hub::{Channel, Found, History, Next, Registry, Source, Start, Subscription};
use tailcast::metrics::Metrics;
use tailcast::position::{Place, Position};
use tokio::io::AsyncReadExt;

use crate::support::{Frame, RawViewer, TestServer, Viewer, until};

const CLOSED_SLOW: &str = "tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"}";
const DROPPED: &str = "tailcast_lines_dropped_total{file=\"a.log\"}";

/// Lines of a kilobyte that begin with their number.
fn wide(lines: std::ops::RangeInclusive<u64>) -> Vec<String> {
    lines.map(|n| format!("{n:08} {}", "x".repeat(1000))).collect()
}

/// Reads what a dropped viewer has, and checks it: whole lines in order, then the notice with the exact number, then
/// the close.
async fn check_parting(viewer: &mut RawViewer, published: u64) -> u64 {
    let mut frames = viewer.rest().await;
    assert_eq!(frames.pop(), Some(Frame::close(1013, "too slow")));
    let notice = String::from_utf8(frames.pop().unwrap().payload).unwrap();
    let sent = frames.len() as u64;
    for (n, frame) in (1..).zip(&frames) {
        assert!(
            frame.payload.starts_with(format!("{n:08} ").as_bytes()),
            "line {n} of {sent}"
        );
        assert_eq!(frame.payload.len(), 1009);
    }
    let lost = notice.strip_prefix("错误: 客户端接收过慢，丢失 ").unwrap();
    let lost: u64 = lost.strip_suffix(" 行，连接即将关闭").unwrap().parse().unwrap();
    assert!(lost > 0 && sent + lost <= published, "{sent} sent, {lost} lost");
    lost
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_never_reads_is_dropped_by_the_stall_timeout_and_fifty_others_miss_nothing() {
    let server = TestServer::with(|config| config.limits.stall_timeout = Span::secs(6)).await;
    let mut log = server.log("a.log");
    let mut stalled = RawViewer::connect(&server, "a.log").await;
    let mut readers = Vec::new();
    for _ in 0..50 {
        readers.push(Viewer::connect(&server, "a.log").await);
    }
    let readers: Vec<_> = readers
        .into_iter()
        .map(|mut viewer| {
            tokio::spawn(async move {
                let mut seen = 0_u64;
                while seen < 12_000 {
                    let line = viewer.line().await;
                    seen += 1;
                    assert!(line.starts_with(&format!("{seen:08} ")), "line {seen}");
                }
                viewer.silence(50).await;
            })
        })
        .collect();
    let writer = tokio::task::spawn_blocking(move || {
        for start in (1..=12_000).step_by(100) {
            log.write(wide(start..=start + 99).join("\n") + "\n");
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    for reader in readers {
        reader.await.unwrap();
    }
    writer.await.unwrap();
    until("the stalled one is dropped", async || {
        server.metric(CLOSED_SLOW).await == 1.0
    })
    .await;
    let lost = check_parting(&mut stalled, 12_000).await;
    assert_eq!(server.metric(DROPPED).await, lost as f64);
}

/// What feeds a channel by hand.
#[derive(Debug)]
struct ByHand;

impl Source for ByHand {
    fn look(&self, channel: &Arc<Channel>) {
        let _ = channel.feed(&History::default(), Position::default(), None);
        channel.looked(channel.asked(), Found::Fed);
    }
}

#[tokio::test]
async fn a_backlog_on_disk_waits_for_the_fastest_viewer_and_for_no_slower_one() {
    let settings = Settings::new(Config {
        files: vec![FileEntry::named("a.log")],
        ..Config::default()
    });
    let source: Arc<dyn Source> = Arc::new(ByHand);
    let registry = Registry::new(&settings, &Metrics::default(), &source);
    let channel = registry.channel("a.log").unwrap();
    let mut fast = channel.subscribe(Start::History).await.unwrap();
    let slow = channel.subscribe(Start::History).await.unwrap();
    let take_all = |viewer: &mut Subscription| {
        while let Next::Chunk { chunk, .. } = viewer.try_next() {
            viewer.took(&chunk);
        }
    };
    let mut published = 0;
    while !channel.wants_pause() {
        let mut batch = Batch::default();
        batch.push("line", 0);
        let lines = batch.into_lines(Place::default(), Vec::new());
        channel.publish(&lines, Position::default(), Instant::now(), true);
        published += 1;
        assert!(published < 10_000, "nobody reads, and it goes on");
    }
    take_all(&mut fast);
    assert!(!channel.wants_pause(), "the slow one is not waited for");
    drop(fast);
    assert!(channel.wants_pause(), "now it is the fastest");
    slow.set_blocked(true);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(
        !channel.wants_pause(),
        "one that takes nothing for a second is not waited for"
    );
}

#[tokio::test]
async fn counters_include_the_line_that_was_cut_when_its_viewer_was_given_up() {
    let server = TestServer::with(|config| config.limits.stall_timeout = Span::millis(300)).await;
    let mut log = server.log("a.log");
    // Several, as the kernel may stop taking bytes just between two lines.
    let mut sent = 0;
    for _ in 0..3 {
        log.truncate(0);
        let mut viewer = RawViewer::connect(&server, "a.log").await;
        log.write(wide(1..=12_000).join("\n") + "\n");
        let closed = server.metric(CLOSED_SLOW).await;
        until("it is dropped", async || server.metric(CLOSED_SLOW).await > closed).await;
        let frames = viewer.rest().await;
        // Without the notice and the Close frame.
        sent += frames.len() - 2;
        let delivered = server.metric("tailcast_lines_delivered_total{file=\"a.log\"}").await;
        assert_eq!(delivered, sent as f64);
    }
}

/// Lines of the same length that compression halves.
fn noisy(lines: std::ops::RangeInclusive<u64>) -> Vec<String> {
    lines
        .map(|n| {
            let mut noise = n;
            let digits = std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(n | 1);
                char::from_digit((noise >> 60) as u32, 16).unwrap()
            });
            format!("{n:08} {}", digits.take(1000).collect::<String>())
        })
        .collect()
}

#[tokio::test]
async fn a_viewer_of_compressed_lines_is_dropped_between_two_of_them_with_the_right_count() {
    let server = TestServer::with(|config| {
        config.stream.compression = Compression::Always;
        config.limits.backlog = Size::mib(1);
        config.limits.stall_timeout = Span::secs(60);
    })
    .await;
    let mut log = server.log("a.log");
    let offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut stalled = RawViewer::connect_with_head(&server, "a.log", offer).await;
    let mut reader = RawViewer::connect_with_head(&server, "a.log", offer).await;
    for start in (1..=12_000).step_by(100) {
        let lines = noisy(start..=start + 99);
        log.write(lines.join("\n") + "\n");
        for line in lines {
            let frame = reader.frame().await.unwrap();
            assert!(frame.payload == line.as_bytes(), "{line}, not {frame:?}");
        }
    }
    assert_eq!(reader.deflated, 12_000);
    until("the stalled one is dropped", async || {
        server.metric(CLOSED_SLOW).await == 1.0
    })
    .await;
    let delivered = server.metric("tailcast_lines_delivered_total{file=\"a.log\"}").await;
    let lost = check_parting(&mut stalled, 12_000).await;
    assert_eq!(server.metric(DROPPED).await, lost as f64);
    // What went out whole while it was watching; the line that was cut is counted when its rest is taken.
    let sent = stalled.deflated as f64;
    assert!(
        (0.0..=1.0).contains(&(sent - (delivered - 12_000.0))),
        "{sent} sent, {delivered} delivered in all"
    );
}

#[tokio::test]
async fn a_viewer_is_dropped_when_the_backlog_overruns_it() {
    let server = TestServer::with(|config| {
        config.limits.backlog = Size::mib(1);
        config.limits.stall_timeout = Span::secs(60);
    })
    .await;
    let mut log = server.log("a.log");
    let mut stalled = RawViewer::connect(&server, "a.log").await;
    let mut reader = Viewer::connect(&server, "a.log").await;
    for start in (1..=12_000).step_by(100) {
        let lines = wide(start..=start + 99);
        log.write(lines.join("\n") + "\n");
        assert_eq!(reader.lines(100).await, lines);
    }
    until("the stalled one is dropped", async || {
        server.metric(CLOSED_SLOW).await == 1.0
    })
    .await;
    check_parting(&mut stalled, 12_000).await;
}

#[tokio::test]
async fn a_viewer_is_dropped_when_too_many_chunks_wait_for_it() {
    let server = TestServer::with(|config| {
        config.limits.backlog_chunks = 5;
        config.limits.stall_timeout = Span::secs(60);
    })
    .await;
    let mut log = server.log("a.log");
    let mut stalled = RawViewer::connect(&server, "a.log").await;
    let mut reader = Viewer::connect(&server, "a.log").await;
    for start in (1..=12_000).step_by(50) {
        let lines = wide(start..=start + 49);
        log.write(lines.join("\n") + "\n");
        assert_eq!(reader.lines(50).await, lines);
    }
    until("the stalled one is dropped", async || {
        server.metric(CLOSED_SLOW).await == 1.0
    })
    .await;
    check_parting(&mut stalled, 12_000).await;
}

#[tokio::test]
async fn the_notice_waits_for_a_viewer_that_begins_to_read_and_not_for_ever() {
    let server = TestServer::with(|config| {
        config.limits.stall_timeout = Span::millis(200);
        config.limits.parting_timeout = Span::millis(1500);
    })
    .await;
    let mut log = server.log("a.log");
    let mut wakes = RawViewer::connect(&server, "a.log").await;
    let mut sleeps = RawViewer::connect(&server, "a.log").await;
    log.write(wide(1..=12_000).join("\n") + "\n");
    until("both are dropped", async || server.metric(CLOSED_SLOW).await == 2.0).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    check_parting(&mut wakes, 12_000).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = Instant::now();
    // What is still in the kernel comes, but nobody waits with the rest any more: the connection ends.
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), sleeps.stream.read_to_end(&mut bytes))
        .await
        .expect("the connection ends");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_viewer_that_reads_slowly_but_keeps_up_with_the_backlog_misses_nothing() {
    let server = TestServer::with(|config| config.limits.stall_timeout = Span::secs(6)).await;
    let mut log = server.log("a.log");
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    log.write(wide(1..=10_000).join("\n") + "\n");
    let mut seen = 0;
    while seen < 10_000 {
        for _ in 0..500 {
            let frame = viewer.frame().await.unwrap();
            seen += 1;
            assert!(
                frame.payload.starts_with(format!("{seen:08} ").as_bytes()),
                "line {seen}"
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.metric(CLOSED_SLOW).await, 0.0);
}

#[tokio::test]
async fn a_pong_to_a_viewer_that_is_behind_goes_between_two_frames() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = RawViewer::connect(&server, "a.log").await;
    log.write(wide(1..=12_000).join("\n") + "\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The kernel takes no more by now, and has a frame in part.
    for n in 0..3_u8 {
        viewer.send_frame(0x89, &[n; 100]).await;
    }
    let (mut lines, mut pongs) = (0, 0);
    while lines < 12_000 || pongs < 3 {
        let frame = viewer.frame().await.unwrap();
        if frame == Frame::pong(&[pongs; 100]) {
            pongs += 1;
        } else {
            lines += 1;
            assert!(
                frame.payload.starts_with(format!("{lines:08} ").as_bytes()),
                "line {lines}"
            );
            assert_eq!(frame.payload.len(), 1009);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_far_beyond_the_backlog_is_paced_on_the_viewers_that_read() {
    let server = TestServer::with(|config| {
        config.limits.backlog = Size::mib(8);
        config.limits.stall_timeout = Span::secs(6);
    })
    .await;
    let mut log = server.log("a.log");
    let mut stalled = RawViewer::connect(&server, "a.log").await;
    let mut reader = RawViewer::connect(&server, "a.log").await;
    log.write(wide(1..=40_000).join("\n") + "\n");
    for n in 1..=40_000_u64 {
        let frame = reader.frame().await.unwrap();
        assert!(frame.payload.starts_with(format!("{n:08} ").as_bytes()), "line {n}");
        if n % 40 == 0 {
            // Slower than a file is read, faster than it waits for anyone.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    log.lines(wide(40_001..=40_002));
    assert_eq!(
        reader.frame().await.unwrap().payload,
        wide(40_001..=40_001)[0].as_bytes()
    );
    until("the stalled one is dropped", async || {
        server.metric(CLOSED_SLOW).await == 1.0
    })
    .await;
    check_parting(&mut stalled, 40_002).await;
}
