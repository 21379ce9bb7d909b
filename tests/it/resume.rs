//! `tailcast.v1` and going on from a position, whatever happened to the file or the server meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use tailcast::config::{Size, Span};
use tokio_tungstenite::tungstenite::Error;

use crate::support::{Log, Said, TestServer, V1Viewer, Viewer, numbered, until};

/// So many lines from one number on, with which a window of 1 MiB is left far behind.
fn many(lines: std::ops::RangeInclusive<u64>) -> Vec<String> {
    lines.map(|n| format!("{n:07} {}", "x".repeat(92))).collect()
}

fn write(log: &mut Log, lines: &[String]) {
    log.write(lines.join("\n") + "\n");
}

async fn since(server: &TestServer, position: &str) -> V1Viewer {
    V1Viewer::connect(server.address, &format!("since={position}")).await
}

/// A viewer that has seen all of what is there, and its place.
async fn position_behind(server: &TestServer, last: &str) -> String {
    let mut viewer = V1Viewer::connect(server.address, "lines=10").await;
    viewer.lines_to(last).await;
    viewer.position()
}

#[tokio::test]
async fn the_first_message_is_lines_and_each_begins_where_the_one_before_ended() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=60));
    let mut viewer = V1Viewer::connect(server.address, "").await;
    match viewer.next().await {
        Said::Lines {
            lines,
            start,
            end,
            backlog,
        } => {
            assert_eq!(lines, numbered(11..=60));
            assert_ne!(start, end);
            assert!(!backlog);
        }
        other => panic!("{other:?}"),
    }
    log.lines(["a \"quoted\" \\ line", "日本\u{1b}[31m"]);
    assert_eq!(
        viewer.lines_to("日本\u{1b}[31m").await,
        ["a \"quoted\" \\ line", "日本\u{1b}[31m"]
    );
}

#[tokio::test]
async fn of_an_empty_file_the_first_message_is_empty() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = V1Viewer::connect(server.address, "").await;
    assert_eq!(viewer.lines().await, [""; 0]);
    let empty = viewer.position();
    log.lines(["first"]);
    assert_eq!(viewer.lines().await, ["first"]);
    let mut again = since(&server, &empty).await;
    assert_eq!(again.lines().await, ["first"]);
    let mut at_end = since(&server, &again.position()).await;
    assert_eq!(at_end.lines().await, [""; 0]);
    log.lines(["second"]);
    assert_eq!(at_end.lines().await, ["second"]);
    let server = server.restarted(|_| {}).await;
    assert_eq!(since(&server, &empty).await.lines().await, ["first", "second"]);
}

#[tokio::test]
async fn who_comes_back_gets_every_line_since_on_both_protocols() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let position = position_behind(&server, "line 100").await;
    log.lines(numbered(101..=400));
    let mut viewer = since(&server, &position).await;
    assert_eq!(viewer.lines_to("line 400").await, numbered(101..=400));
    let mut plain = Viewer::at(&format!("ws://{}/api/v1/ws/logs?since={position}", server.address)).await;
    assert_eq!(plain.lines(300).await, numbered(101..=400));
    log.lines(["live"]);
    assert_eq!(plain.line().await, "live");
    assert_eq!(viewer.lines().await, ["live"]);
}

#[tokio::test]
async fn from_far_back_the_file_is_read_and_then_the_stream_goes_on() {
    // They read one after the other.
    let server = TestServer::with(|config| config.limits.stall_timeout = Span::secs(60)).await;
    let mut log = server.log("a.log");
    let lines = many(1..=100_000);
    write(&mut log, &lines[..70]);
    let position = position_behind(&server, &lines[69]).await;
    write(&mut log, &lines[70..]);
    let mut viewers = Vec::new();
    {
        for _ in 0..3 {
            viewers.push(since(&server, &position).await);
        }
        for viewer in &mut viewers {
            let mut seen = Vec::new();
            while seen.len() < lines.len() - 70 {
                seen.extend(viewer.lines().await);
            }
            assert!(seen == lines[70..], "{} lines", seen.len());
        }
    }
    log.lines(["live"]);
    for mut viewer in viewers {
        assert_eq!(viewer.lines().await, ["live"]);
    }
}

#[tokio::test]
async fn a_number_of_lines_may_be_asked_for() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let lines = many(1..=12_000);
    write(&mut log, &lines);
    for count in [1, 49, 50, 51, 3000, 10_000] {
        let mut viewer = V1Viewer::connect(server.address, &format!("lines={count}")).await;
        let seen = viewer.lines_to(&lines[11_999]).await;
        assert!(seen == lines[12_000 - count..], "{count}: {} lines", seen.len());
        let mut plain = Viewer::at(&format!("ws://{}/v1/ws/logs?lines={count}", server.address)).await;
        assert!(
            plain.lines_to(&lines[11_999]).await == lines[12_000 - count..],
            "{count}"
        );
    }
    let mut none = V1Viewer::connect(server.address, "lines=0").await;
    assert_eq!(none.lines().await, [""; 0]);
    log.lines(["live"]);
    assert_eq!(none.lines().await, ["live"]);
    server.log("b.log").lines(numbered(1..=3));
    let mut few = V1Viewer::connect(server.address, "file=b.log&lines=1000").await;
    assert_eq!(few.lines().await, numbered(1..=3));
}

#[tokio::test]
async fn a_bad_parameter_is_refused_with_its_name() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["a"]);
    let mut viewer = V1Viewer::connect(server.address, "").await;
    viewer.lines().await;
    let position = viewer.position();
    let mut flipped = position.clone().into_bytes();
    flipped[20] = if flipped[20] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    for (query, name) in [
        ("since=latest".to_owned(), "since"),
        ("since=".to_owned(), "since"),
        (format!("since={flipped}"), "since"),
        (format!("since={}", &position[1..]), "since"),
        (format!("since={position}{position}"), "since"),
        ("lines=-1".to_owned(), "lines"),
        ("lines=10001".to_owned(), "lines"),
        (format!("since={position}&lines=x"), "lines"),
    ] {
        match V1Viewer::try_connect(server.address, &query).await.map(|_| ()) {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), 400, "{query}");
                let body = String::from_utf8(response.body().clone().unwrap()).unwrap();
                assert!(body.contains(&format!("parameter {name} ")), "{body}");
            }
            other => panic!("{query}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_position_of_elsewhere_is_a_gap_and_then_the_last_lines() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut other = server.log("b.log");
    log.lines(numbered(1..=100));
    other.lines((1..=100).map(|n| format!("other {n}")));
    let mut viewer = V1Viewer::connect(server.address, "file=b.log").await;
    viewer.lines().await;
    let foreign = viewer.position();
    for _ in 0..2 {
        let mut viewer = since(&server, &foreign).await;
        assert_eq!(viewer.event().await, "gap");
        assert_eq!(viewer.lines().await, numbered(51..=100));
        let mut plain = Viewer::at(&format!("ws://{}/api/v1/ws/logs?since={foreign}", server.address)).await;
        assert_eq!(plain.lines(50).await, numbered(51..=100));
        // A sibling of another name is none of this log.
        fs::copy(server.path("b.log"), server.path("a.log.secret")).unwrap();
    }
    // From the future: the file was cut to before the position.
    let future = position_behind(&server, "line 100").await;
    let server = server.restarted(|_| {}).await;
    log.truncate(9 * 7 + 91 * 8 - 24);
    let mut viewer = since(&server, &future).await;
    assert_eq!(viewer.event().await, "gap");
    assert_eq!(viewer.lines_to("line 97").await.len(), 50);
}

#[tokio::test]
async fn a_rotation_is_crossed_with_an_event_while_the_server_runs_and_while_it_does_not() {
    for restart in [false, true] {
        let mut server = TestServer::start().await;
        let mut log = server.log("a.log");
        log.lines(numbered(1..=100));
        let position = position_behind(&server, "line 100").await;
        if restart {
            server = server.restarted(|_| {}).await;
        }
        log.lines(numbered(101..=150));
        log.rename(".1");
        log.lines(numbered(151..=160));
        let mut new = server.log("a.log");
        new.lines(numbered(161..=200));
        let mut viewer = since(&server, &position).await;
        let seen = viewer.lines_to("line 200").await;
        let expected = [numbered(101..=160), vec!["<rotated>".to_owned()], numbered(161..=200)].concat();
        assert_eq!(seen, expected, "restart {restart}");
        new.lines(["live"]);
        assert_eq!(viewer.lines().await, ["live"]);
        let mut plain = Viewer::at(&format!("ws://{}/api/v1/ws/logs?since={position}", server.address)).await;
        assert_eq!(
            plain.lines(101).await,
            [numbered(101..=200), vec!["live".to_owned()]].concat()
        );
    }
}

/// Runs a program over a file.
fn run(program: &str, args: &[&str]) {
    assert!(
        Command::new(program).args(args).status().unwrap().success(),
        "{program}"
    );
}

#[tokio::test]
async fn several_rotations_are_crossed_also_where_the_old_files_are_compressed() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let position = position_behind(&server, "line 100").await;
    let server = server.restarted(|_| {}).await;
    let path = |name: &str| server.path(name).to_str().unwrap().to_owned();
    let mut expected = numbered(101..=110);
    log.lines(numbered(101..=110));
    for (round, packer) in [(1, Some("gzip")), (2, Some("zstd")), (3, None)] {
        for (from, to) in [
            ("a.log.2.gz", "a.log.3.gz"),
            ("a.log.1.gz", "a.log.2.gz"),
            ("a.log.1.zst", "a.log.2.zst"),
        ] {
            let _ = fs::rename(path(from), path(to));
        }
        log.rename(".1");
        match packer {
            Some("gzip") => run("gzip", &[&path("a.log.1")]),
            Some(zstd) => run(zstd, &["-q", "--rm", &path("a.log.1")]),
            None => {}
        }
        log = server.log("a.log");
        let lines = many(round * 20_000..=round * 20_000 + 9_999);
        write(&mut log, &lines);
        expected.push("<rotated>".to_owned());
        expected.extend(lines);
    }
    let seen = since(&server, &position).await.lines_to(expected.last().unwrap()).await;
    assert!(seen == expected, "{} of {}", seen.len(), expected.len());
}

#[tokio::test]
async fn a_copy_of_a_truncated_file_is_read_to_its_end() {
    for restart in [false, true] {
        let mut server = TestServer::start().await;
        let mut log = server.log("a.log");
        log.lines(numbered(1..=100));
        let position = position_behind(&server, "line 100").await;
        if restart {
            server = server.restarted(|_| {}).await;
        }
        log.lines(numbered(101..=120));
        if !restart {
            // What is truncated away before anyone has read it is lost to the live stream.
            position_behind(&server, "line 120").await;
        }
        fs::copy(server.path("a.log"), server.path("a.log.1")).unwrap();
        log.truncate(0);
        log.lines(["new 1", "new 2"]);
        let seen = since(&server, &position).await.lines_to("new 2").await;
        let expected = [
            numbered(101..=120),
            [if restart { "<rotated>" } else { "<truncated>" }, "new 1", "new 2"]
                .map(str::to_owned)
                .to_vec(),
        ];
        assert_eq!(seen, expected.concat(), "restart {restart}");
    }
}

#[tokio::test]
async fn where_the_old_file_is_gone_there_is_a_gap() {
    let server = TestServer::with(|config| config.stream.rotate_wait = Span::secs(0)).await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let position = position_behind(&server, "line 100").await;
    log.lines(numbered(101..=120));
    let server = server.restarted(|_| {}).await;
    fs::remove_file(server.path("a.log")).unwrap();
    server.log("a.log").lines(["new"]);
    let mut viewer = since(&server, &position).await;
    assert_eq!(viewer.event().await, "gap");
    assert_eq!(viewer.lines().await, ["new"]);
}

#[tokio::test]
async fn a_position_at_the_beginning_means_this_file_alone() {
    let server = TestServer::start().await;
    let log = server.log("a.log");
    let mut viewer = V1Viewer::connect(server.address, "").await;
    assert_eq!(viewer.lines().await, [""; 0]);
    let beginning = viewer.position();
    log.rename(".1");
    let mut new = server.log("a.log");
    assert_eq!(viewer.event().await, "rotated");
    new.lines(["new"]);
    assert_eq!(viewer.lines().await, ["new"]);
    // The old one is still there, and was empty.
    let mut again = since(&server, &beginning).await;
    assert_eq!(again.lines_to("new").await, ["<rotated>", "new"]);
    let server = server.restarted(|_| {}).await;
    fs::remove_file(server.path("a.log.1")).unwrap();
    assert_eq!(since(&server, &beginning).await.event().await, "gap");
}

#[tokio::test]
async fn late_lines_of_a_rotated_file_are_resumed_beside_those_of_the_new_one() {
    for restart in [false, true] {
        let mut server = TestServer::start().await;
        let mut old = server.log("a.log");
        old.lines(["old 1"]);
        let mut viewer = V1Viewer::connect(server.address, "").await;
        viewer.lines().await;
        old.rename(".1");
        let mut new = server.log("a.log");
        assert_eq!(viewer.event().await, "rotated");
        new.lines(["new 1"]);
        assert_eq!(viewer.lines().await, ["new 1"]);
        old.lines(["late 1"]);
        assert_eq!(viewer.lines().await, ["late 1"]);
        let position = viewer.position();
        drop(viewer);
        if restart {
            server = server.restarted(|_| {}).await;
        }
        old.lines(["late 2"]);
        new.lines(["new 2"]);
        let mut viewer = since(&server, &position).await;
        let mut seen = vec![];
        while seen.len() < 2 {
            seen.extend(viewer.lines().await);
        }
        seen.sort();
        assert_eq!(seen, ["late 2", "new 2"], "restart {restart}");
        new.lines(["new 3"]);
        assert_eq!(viewer.lines().await, ["new 3"], "restart {restart}");
    }
}

#[tokio::test]
async fn behind_a_partial_line_that_was_sent_its_rest_is_a_line() {
    for restart in [false, true] {
        let mut server = TestServer::with(|config| config.stream.partial_line_timeout = Span::millis(50)).await;
        let mut log = server.log("a.log");
        log.write("whole\npart");
        let mut viewer = V1Viewer::connect(server.address, "").await;
        assert_eq!(viewer.lines_to("part").await, ["whole", "part"]);
        let inside = viewer.position();
        drop(viewer);
        if restart {
            server = server.restarted(|_| {}).await;
        }
        let mut same = since(&server, &inside).await;
        assert_eq!(same.lines().await, [""; 0]);
        log.write("\nnext\n");
        assert_eq!(same.lines_to("next").await, ["next"], "restart {restart}");
        log.write("again");
        assert_eq!(same.lines().await, ["again"]);
        let inside = same.position();
        log.write(" and more\nlast\n");
        let mut viewer = since(&server, &inside).await;
        assert_eq!(
            viewer.lines_to("last").await,
            [" and more", "last"],
            "restart {restart}"
        );
    }
}

#[tokio::test]
async fn of_a_cut_line_that_was_sent_the_rest_is_skipped_also_after_a_restart() {
    let short = |config: &mut tailcast::config::Config| {
        config.stream.partial_line_timeout = Span::millis(50);
        config.stream.max_line = Size(1024);
    };
    let server = TestServer::with(short).await;
    let mut log = server.log("a.log");
    let mut viewer = V1Viewer::connect(server.address, "").await;
    viewer.lines().await;
    log.write("x".repeat(3000));
    assert_eq!(viewer.lines().await, [format!("{} … [+1976 bytes]", "x".repeat(1024))]);
    let inside = viewer.position();
    let server = server.restarted(short).await;
    log.write(format!("{}\nnext\n", "y".repeat(3000)));
    assert_eq!(since(&server, &inside).await.lines_to("next").await, ["next"]);
}

#[tokio::test]
async fn holes_marks_and_two_byte_units_are_crossed_by_positions() {
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.write([&[0xff, 0xfe], utf16("one\r\ntwo\n").as_slice()].concat());
    let mut bom = server.log("b.log");
    bom.write(b"\xef\xbb\xbffirst\n");
    let mut positions = Vec::new();
    for (file, last) in [("a.log", "two"), ("b.log", "first")] {
        let mut viewer = V1Viewer::connect(server.address, &format!("file={file}")).await;
        viewer.lines_to(last).await;
        positions.push((file, viewer.position()));
    }
    let server = server.restarted(|_| {}).await;
    log.write(utf16("three ਊ\nend\n"));
    bom.write(vec![0; 5000]);
    bom.write("behind the hole\nend\n");
    let expected = [["three ਊ", "end"], ["behind the hole", "end"]];
    for ((file, position), expected) in positions.iter().zip(expected) {
        let mut viewer = V1Viewer::connect(server.address, &format!("file={file}&since={position}")).await;
        assert_eq!(viewer.lines_to("end").await, expected, "{file}");
        let behind = viewer.position();
        let mut again = V1Viewer::connect(server.address, &format!("file={file}&since={behind}")).await;
        assert_eq!(again.lines().await, [""; 0], "{file}");
    }
}

#[tokio::test]
async fn every_event_that_ends_a_stream_is_told_and_then_closed() {
    let server = TestServer::with(|config| {
        config.limits.max_connections = 1;
        config.stream.rotate_grace = Span::millis(100);
    })
    .await;
    let log = server.log("a.log");
    fs::create_dir(server.path("c.log")).unwrap();
    let told = async |query: &str, expected: &str, code: u16, reason: &str| {
        let mut viewer = V1Viewer::connect(server.address, query).await;
        match viewer.next().await {
            Said::Event { event, message, .. } => {
                assert_eq!(event, expected);
                assert!(!message.is_empty());
            }
            other => panic!("{expected}: {other:?}"),
        }
        assert_eq!(viewer.next().await, Said::Close(code, reason.to_owned()));
    };
    told("file=x.log", "forbidden", 1008, "file not allowed").await;
    told("file=b.log", "missing", 4404, "file not found").await;
    told("file=c.log", "unreadable", 1011, "file not readable").await;
    let mut viewer = V1Viewer::connect(server.address, "").await;
    viewer.lines().await;
    told("", "too_many", 1013, "too many connections").await;
    log.remove();
    assert_eq!(viewer.event().await, "removed");
    assert_eq!(viewer.next().await, Said::Close(4410, "file removed".to_owned()));
    drop(viewer);
    server.log("a.log");
    until("there is a place again", async || {
        server
            .metric("tailcast_connections{file=\"a.log\",protocol=\"v1\"}")
            .await
            == 0.0
    })
    .await;
    let mut viewer = V1Viewer::connect(server.address, "").await;
    viewer.lines().await;
    assert_eq!(
        server
            .metric("tailcast_connections{file=\"a.log\",protocol=\"v1\"}")
            .await,
        1.0
    );
    server.begin_stop();
    assert_eq!(viewer.event().await, "shutdown");
    assert_eq!(viewer.next().await, Said::Close(1001, "shutting down".to_owned()));
}

#[tokio::test]
async fn a_truncation_is_an_event_behind_which_the_stream_is_resumed() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=10));
    let mut viewer = V1Viewer::connect(server.address, "").await;
    viewer.lines().await;
    log.truncate(0);
    log.lines(["new 1"]);
    assert_eq!(viewer.event().await, "truncated");
    let behind_event = viewer.position();
    assert_eq!(viewer.lines().await, ["new 1"]);
    let position = viewer.position();
    log.lines(["new 2"]);
    assert_eq!(since(&server, &position).await.lines_to("new 2").await, ["new 2"]);
    assert_eq!(
        since(&server, &behind_event).await.lines_to("new 2").await,
        ["new 1", "new 2"]
    );
}

#[tokio::test]
async fn who_was_too_slow_is_told_exactly_what_is_lost_and_goes_on_right_behind_what_it_got() {
    let server = TestServer::with(|config| {
        config.limits.stall_timeout = Span::secs(60);
        config.limits.backlog = Size(256 << 10);
        config.notices = tailcast::config::Notices::En;
    })
    .await;
    let mut log = server.log("a.log");
    let head = "Sec-WebSocket-Protocol: tailcast.v1\r\n";
    let mut slow = crate::support::RawViewer::connect_with_head(&server, "a.log", head).await;
    let lines = many(1..=200_000);
    for part in lines.chunks(1000) {
        write(&mut log, part);
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        if server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"slow\"}")
            .await
            == 1.0
        {
            break;
        }
    }
    let written = fs::read_to_string(server.path("a.log")).unwrap().lines().count();
    let mut frames = slow.rest().await;
    assert_eq!(frames.pop(), Some(crate::support::Frame::close(1013, "too slow")));
    let mut seen = 0;
    let mut parting = None;
    for frame in frames {
        match crate::support::parse(std::str::from_utf8(&frame.payload).unwrap()) {
            Said::Lines { lines: got, end, .. } => {
                assert!(got == lines[seen..seen + got.len()]);
                seen += got.len();
                parting = Some((end, None));
            }
            Said::Event {
                event,
                message,
                lost,
                position,
            } => {
                assert_eq!(event, "too_slow");
                let lost = lost.unwrap();
                assert_eq!(message, format!("error: client too slow, {lost} lines lost, closing"));
                assert_eq!(position, parting.map(|(end, _)| end), "the end of the last lines sent");
                parting = Some((position.unwrap(), Some(lost)));
            }
            Said::Close(..) => unreachable!(),
        }
    }
    let (position, lost) = parting.unwrap();
    let lost = usize::try_from(lost.unwrap()).unwrap();
    assert!(
        lost > 0 && seen + lost <= written,
        "{seen} seen, {lost} lost, {written} written"
    );
    assert_eq!(
        server.metric("tailcast_lines_dropped_total{file=\"a.log\"}").await,
        lost as f64
    );
    let rest = since(&server, &position).await.lines_to(&lines[written - 1]).await;
    assert!(rest == lines[seen..written]);
}

#[tokio::test]
async fn who_reads_slowly_while_it_catches_up_is_not_too_slow_and_delays_nobody() {
    let server = TestServer::with(|config| {
        config.limits.backlog = Size(256 << 10);
        config.limits.stall_timeout = Span::secs(60);
    })
    .await;
    let mut log = server.log("a.log");
    let lines = many(1..=100_000);
    write(&mut log, &lines[..10]);
    let position = position_behind(&server, &lines[9]).await;
    write(&mut log, &lines[10..50_000]);
    let mut live = V1Viewer::connect(server.address, "lines=0").await;
    let mut slow = since(&server, &position).await;
    let mut seen = slow.lines().await;
    // Far more than its backlog could hold passes by meanwhile.
    for part in lines[50_000..].chunks(500) {
        write(&mut log, part);
        live.lines_to(part.last().unwrap()).await;
    }
    seen.extend(slow.lines_to(lines.last().unwrap()).await);
    assert!(seen == lines[10..], "{}", seen.len());
    log.lines(["live"]);
    assert_eq!(slow.lines().await, ["live"]);
}

#[tokio::test]
async fn a_truncation_under_a_viewer_that_catches_up_is_told() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let lines = many(1..=100_000);
    write(&mut log, &lines[..10]);
    let position = position_behind(&server, &lines[9]).await;
    write(&mut log, &lines[10..]);
    let mut slow = since(&server, &position).await;
    let seen = slow.lines().await;
    assert!(seen == lines[10..10 + seen.len()]);
    let mut live = V1Viewer::connect(server.address, "lines=1").await;
    live.lines_to(&lines[99_999]).await;
    OpenOptions::new().write(true).truncate(true).open(log.path()).unwrap();
    log.lines(["new 1", "new 2"]);
    assert_eq!(live.lines_to("new 2").await, ["<truncated>", "new 1", "new 2"]);
    let rest = slow.lines_to("new 2").await;
    let told = rest.iter().position(|line| line == "<truncated>").unwrap();
    assert!(rest[..told] == lines[10 + seen.len()..10 + seen.len() + told]);
    assert!(
        rest[told + 1..] == ["new 1", "new 2"],
        "{} lines more",
        rest.len() - told
    );
}

#[tokio::test]
async fn a_file_is_never_read_beside_the_log_and_its_siblings() {
    // A link that looks like a sibling leads to a file with the very bytes of a position.
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let position = position_behind(&server, "line 100").await;
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    fs::copy(log.path(), &secret).unwrap();
    let mut file = OpenOptions::new().append(true).open(&secret).unwrap();
    file.write_all(b"secret\n").unwrap();
    let server = server.restarted(|_| {}).await;
    fs::remove_file(server.path("a.log")).unwrap();
    std::os::unix::fs::symlink(&secret, server.path("a.log.1")).unwrap();
    server.log("a.log").lines(["new"]);
    let mut viewer = since(&server, &position).await;
    assert_eq!(viewer.event().await, "gap");
    assert_eq!(viewer.lines().await, ["new"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_many_rotations_behind_holds_few_files_open_and_misses_nothing() {
    let server = TestServer::with(|config| {
        config.stream.rotate_wait = Span::millis(50);
        config.limits.stall_timeout = Span::secs(60);
        config.limits.send_buffer = Size(64 << 10);
    })
    .await;
    let mut log = server.log("a.log");
    let lines = many(1..=100_000);
    write(&mut log, &lines[..10]);
    let position = position_behind(&server, &lines[9]).await;
    write(&mut log, &lines[10..50_000]);
    // It reads the first lines of a file that is larger than what sockets hold, and no more for now.
    let mut slow = since(&server, &position).await;
    let seen = slow.lines().await;
    let mut live = V1Viewer::connect(server.address, "lines=1").await;
    live.lines_to(&lines[49_999]).await;
    let rotations = 40;
    for rotation in 0..rotations {
        for number in (0..rotation).rev() {
            let name = |number| server.path(&format!("a.log.{number}"));
            fs::rename(name(number + 1), name(number + 2)).unwrap();
        }
        log.rename(".1");
        log = server.log("a.log");
        let from = 50_000 + rotation * 1000;
        write(&mut log, &lines[from..from + 1000]);
        live.lines_to(&lines[from + 999]).await;
    }
    let open = || {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| target.starts_with(server.dir()) && *target != *server.dir())
            .count()
    };
    // Those that hold each other, the writer's own, and those of the last rotations.
    until("old files are let go", async || open() <= 16 + 4).await;
    write(&mut log, &lines[50_000 + rotations * 1000..]);
    let rest = slow.lines_to(&lines[99_999]).await;
    let rotated = rest.iter().filter(|line| *line == "<rotated>").count();
    assert_eq!(rotated, rotations);
    let rest: Vec<_> = rest.into_iter().filter(|line| line != "<rotated>").collect();
    assert!(
        rest == lines[10 + seen.len()..],
        "{} lines of {}",
        rest.len(),
        lines.len()
    );
}

/// What follows the lines with which an old and a new file begin alike, behind those of the old one.
fn old_rest_and_new(head: &[String]) -> Vec<String> {
    let rest = ["of the old file".to_owned(), "<rotated>".to_owned()];
    let new = head.iter().cloned().chain(["of the new file".to_owned()]);
    rest.into_iter().chain(new).collect()
}

#[tokio::test]
async fn a_new_file_that_begins_like_the_packed_one_is_not_taken_for_it() {
    // Programs write the same first lines into each of their logs.
    let head = numbered(1..=300);
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(&head);
    let position = position_behind(&server, "line 300").await;
    log.lines(["of the old file"]);
    for program in [&["gzip"][..], &["zstd", "-q", "--rm"]] {
        let server = TestServer::start().await;
        fs::copy(log.path(), server.path("a.log.1")).unwrap();
        run(
            program[0],
            &[&program[1..], &[server.path("a.log.1").to_str().unwrap()]].concat(),
        );
        let mut new = server.log("a.log");
        new.lines(&head);
        new.lines(["of the new file"]);
        let mut viewer = since(&server, &position).await;
        assert_eq!(viewer.lines_to("of the new file").await, old_rest_and_new(&head));
    }
}

#[tokio::test]
async fn a_new_file_with_the_inode_of_the_packed_one_is_not_taken_for_it() {
    let head = numbered(1..=300);
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(&head);
    let position = position_behind(&server, "line 300").await;
    log.lines(["of the old file"]);
    // Stopped, as a server that runs holds the file, and with it the inode.
    let server = server.restarted(|_| {}).await;
    let inode = fs::metadata(log.path()).unwrap().ino();
    log.rename(".1");
    drop(log);
    run("gzip", &[server.path("a.log.1").to_str().unwrap()]);
    // Most file systems give it to one of the next files; where none gets it, there is nothing to be taken for another.
    for attempt in 0..200 {
        let path = server.path(&format!("new.{attempt}"));
        fs::write(&path, "").unwrap();
        if attempt == 199 || fs::metadata(&path).unwrap().ino() == inode {
            fs::rename(&path, server.path("a.log")).unwrap();
            break;
        }
    }
    let mut new = server.log("a.log");
    new.lines(&head);
    new.lines(["of the new file"]);
    let mut viewer = since(&server, &position).await;
    assert_eq!(viewer.lines_to("of the new file").await, old_rest_and_new(&head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_resume_in_a_packed_file_wait_for_their_turn_and_miss_nothing() {
    let server = TestServer::with(|config| {
        config.limits.stall_timeout = Span::secs(60);
        config.limits.send_buffer = Size(64 << 10);
    })
    .await;
    let lines = many(1..=60_000);
    let mut log = server.log("a.log");
    write(&mut log, &lines[..10]);
    let position = position_behind(&server, &lines[9]).await;
    write(&mut log, &lines[10..]);
    let server = server
        .restarted(|config| config.limits.stall_timeout = Span::secs(60))
        .await;
    log.rename(".1");
    run("gzip", &[server.path("a.log.1").to_str().unwrap()]);
    server.log("a.log").lines(["new"]);
    let mut expected = lines[10..].to_vec();
    expected.extend(["<rotated>".to_owned(), "new".to_owned()]);
    // More than are served at a time, and for longer than a place is looked for: the first ones read nothing for now.
    let mut viewers = Vec::new();
    for _ in 0..40 {
        viewers.push(since(&server, &position).await);
    }
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    for viewer in &mut viewers {
        let got = viewer.lines_to("new").await;
        assert!(got == expected, "{} lines, first {:?}", got.len(), got.first());
    }
}
