//! The stream of lines: history, live lines, partial lines, long lines, who gets no stream.

use std::fs;
use std::time::{Duration, Instant};

use tailcast::config::{Config, FileEntry, Notices, Size, Span};

use crate::support::{TestServer, Viewer, numbered, until};

#[tokio::test]
async fn t01_history_is_the_last_fifty_lines_oldest_first() {
    let server = TestServer::start().await;
    server.log("a.log").lines(numbered(1..=60));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(50).await, numbered(11..=60));
    viewer.silence(100).await;
}

#[tokio::test]
async fn t02_t03_a_short_or_empty_file_has_a_short_or_empty_history() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one", "", "three"]);
    let mut empty = server.log("b.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(3).await, ["one", "", "three"]);
    let mut viewer = Viewer::connect(&server, "b.log").await;
    viewer.silence(50).await;
    empty.lines(["first"]);
    assert_eq!(viewer.line().await, "first");
}

#[tokio::test]
async fn t05_live_lines_come_once_and_in_order_at_both_paths() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewers = [
        Viewer::at(&format!("ws://{}/api/v1/ws/logs", server.address)).await,
        Viewer::at(&format!("ws://{}/v1/ws/logs?file=", server.address)).await,
        Viewer::at(&format!("ws://{}/v1/ws/logs?file=a%2Elog&unknown=1", server.address)).await,
    ];
    log.lines(numbered(1..=1000));
    for viewer in &mut viewers {
        assert_eq!(viewer.lines(1000).await, numbered(1..=1000));
    }
    log.write("x\r\n\r\n\u{1b}[31mred\u{1b}[0m\0end\n");
    for viewer in &mut viewers {
        assert_eq!(viewer.lines(3).await, ["x", "", "\u{1b}[31mred\u{1b}[0m\0end"]);
        viewer.silence(50).await;
    }
}

#[tokio::test]
async fn who_connects_gets_the_last_lines_that_were_written_before() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut first = Viewer::connect(&server, "a.log").await;
    for round in 0..20 {
        let start = round * 70 + 1;
        log.lines(numbered(start..=start + 69));
        // Without a pause: the tailer has not seen these lines by itself yet.
        let mut viewer = Viewer::connect(&server, "a.log").await;
        assert_eq!(viewer.lines(50).await, numbered(start + 20..=start + 69));
    }
    assert_eq!(first.lines(1400).await, numbered(1..=1400));
}

#[tokio::test]
async fn t06_t08_a_line_cut_by_writes_is_one_line() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    log.write("ab");
    tokio::time::sleep(Duration::from_millis(100)).await;
    log.write("c\r");
    tokio::time::sleep(Duration::from_millis(50)).await;
    log.write("\nd\n");
    assert_eq!(viewer.lines(2).await, ["abc", "d"]);
    for byte in "日志 𠀀\n".as_bytes() {
        log.write([*byte]);
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    assert_eq!(viewer.line().await, "日志 𠀀");
}

#[tokio::test]
async fn t07_a_last_line_without_its_end_is_sent_after_the_timeout() {
    let server = TestServer::with(|config| config.stream.partial_line_timeout = Span::millis(300)).await;
    let mut log = server.log("a.log");
    log.write("whole\npartial");
    let begun = Instant::now();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "whole", "the partial line is no history");
    assert_eq!(viewer.line().await, "partial");
    assert!(begun.elapsed() >= Duration::from_millis(300));

    log.write("\r\nnext\n");
    assert_eq!(viewer.line().await, "next", "a line end alone is no line");

    log.write(
        "日"
            .as_bytes()
            .iter()
            .chain(&"本".as_bytes()[..2])
            .copied()
            .collect::<Vec<_>>(),
    );
    assert_eq!(viewer.line().await, "日", "up to the last whole character");
    viewer.silence(400).await;
    log.write(&"本".as_bytes()[2..]);
    log.write("語\n");
    assert_eq!(viewer.line().await, "本語", "what is added is a line of its own");

    log.write("return\r");
    assert_eq!(viewer.line().await, "return");
    log.write("\n\n");
    assert_eq!(viewer.line().await, "");

    let mut late = Viewer::connect(&server, "a.log").await;
    assert_eq!(
        late.lines(7).await,
        ["whole", "partial", "next", "日", "本語", "return", ""]
    );
}

#[tokio::test]
async fn a_long_line_is_cut_on_a_character_and_says_how_much_is_left_out() {
    let server = TestServer::with(|config| {
        config.stream.max_line = Size(100);
        config.stream.partial_line_timeout = Span::millis(200);
    })
    .await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    log.write(format!("{}\r\nx\n", "日".repeat(50)));
    assert_eq!(viewer.line().await, format!("{} … [+51 bytes]", "日".repeat(33)));
    assert_eq!(viewer.line().await, "x");
    log.write(format!("{}\n", "y".repeat(100)));
    assert_eq!(viewer.line().await, "y".repeat(100), "exactly the limit is not over it");

    log.write("z".repeat(1000));
    assert_eq!(
        viewer.line().await,
        format!("{} … [+900 bytes]", "z".repeat(100)),
        "once, by the timeout"
    );
    log.write("z".repeat(1000));
    viewer.silence(400).await;
    log.write("\nafter\n");
    assert_eq!(viewer.line().await, "after", "the rest is skipped");
}

#[tokio::test]
async fn t10_a_line_of_two_mebibytes_is_cut_at_the_default_limit() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let long = 2 << 20;
    log.write("x".repeat(long));
    log.write("\nnext\n");
    let expected = format!("{} … [+{} bytes]", "x".repeat(65_536), long - 65_536);
    assert_eq!(viewer.line().await, expected);
    assert_eq!(viewer.line().await, "next");
    let mut late = Viewer::connect(&server, "a.log").await;
    assert_eq!(
        late.lines(2).await,
        [expected.as_str(), "next"],
        "history is cut the same way"
    );
}

#[tokio::test]
async fn t11_holes_are_skipped_and_a_huge_sparse_file_opens_at_once() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    // To read all of it would take longer than any viewer waits.
    log.truncate(1 << 40);
    log.lines(numbered(1..=50));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(50).await, numbered(1..=50));
    log.write([b"a".as_slice(), &[0; 200_000], b"b\n"].concat());
    assert_eq!(viewer.line().await, "ab");
    log.write([b"c".as_slice(), &[0; 63], b"d\n"].concat());
    assert_eq!(viewer.line().await, format!("c{}d", "\0".repeat(63)));
}

#[tokio::test]
async fn text_written_into_a_preallocated_tail_is_found() {
    use std::os::unix::fs::FileExt;
    let server = TestServer::start().await;
    let path = server.path("a.log");
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 20).unwrap();
    file.write_all_at(b"one\n", 0).unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "one");
    let mut at = 4;
    for n in 0..50 {
        let line = format!("line {n}\n");
        file.write_all_at(line.as_bytes(), at).unwrap();
        at += line.len() as u64;
        assert_eq!(viewer.line().await, format!("line {n}"));
    }
    viewer.silence(100).await;
}

#[tokio::test]
async fn text_is_found_in_front_of_nuls_that_were_looked_through_before() {
    use std::os::unix::fs::FileExt;
    // NULs that the file system knows as a hole, and such as were written.
    for written in [false, true] {
        let server = TestServer::start().await;
        let file = fs::File::create(server.path("a.log")).unwrap();
        file.write_all_at(b"one\n", 0).unwrap();
        let mut viewer = Viewer::connect(&server, "a.log").await;
        assert_eq!(viewer.line().await, "one");
        // More than is looked through in one turn.
        let len = 3 << 20;
        if written {
            file.write_all_at(&vec![0; len], 4).unwrap();
        } else {
            file.set_len(4 + len as u64).unwrap();
        }
        viewer.silence(400).await;
        // Anywhere in a hole, which then is none there any more; right behind the text where NULs stand already.
        let at = if written { 4 } else { 200_000 };
        file.write_all_at(b"two\n", at).unwrap();
        assert_eq!(viewer.line().await, "two", "written: {written}");
        viewer.silence(400).await;
        file.write_all_at(b"three\n", at + 4).unwrap();
        assert_eq!(viewer.line().await, "three");
    }
}

#[tokio::test]
async fn the_last_lines_are_found_in_front_of_a_hole_of_any_size() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=60));
    log.truncate(1 << 40);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(50).await, numbered(11..=60));
    log.lines(["behind it"]);
    assert_eq!(viewer.line().await, "behind it");
}

#[tokio::test]
async fn a_name_beyond_the_allow_list_is_refused_as_a_whole() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["secret"]);
    server.log("secret.log").lines(["secret"]);
    for (query, shown) in [
        ("secret.log", "secret.log"),
        ("..%2Fa.log", "../a.log"),
        (".%2Fa.log", "./a.log"),
        ("a.log%00", "a.log"),
        ("%0aa.log%1b[1m", "a.log[1m"),
        ("a.log%20", "a.log "),
    ] {
        let mut viewer = Viewer::connect(&server, query).await;
        assert_eq!(viewer.line().await, format!("不允许访问请求的文件: {shown}"));
        assert_eq!(viewer.closed().await, (1008, "file not allowed".to_owned()));
    }
    assert_eq!(
        server
            .metric("tailcast_connections_rejected_total{reason=\"forbidden\"}")
            .await,
        6.0
    );
}

#[tokio::test]
async fn t04_a_missing_file_is_looked_for_again_before_it_is_refused() {
    let server = TestServer::start().await;
    let begun = Instant::now();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "日志文件 a.log 不存在");
    assert!(begun.elapsed() >= Duration::from_millis(250));
    assert_eq!(viewer.closed().await, (4404, "file not found".to_owned()));

    let path = server.path("b.log");
    let writer = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(120));
        fs::write(path, "there\n").unwrap();
    });
    let mut viewer = Viewer::connect(&server, "b.log").await;
    assert_eq!(viewer.line().await, "there");
    writer.await.unwrap();
}

#[tokio::test]
async fn what_is_no_regular_file_can_not_be_read() {
    let server = TestServer::with(|config| config.notices = Notices::En).await;
    fs::create_dir(server.path("a.log")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(server.path("b.log"))
        .status()
        .unwrap();
    assert!(made.success());
    for name in ["a.log", "b.log"] {
        let mut viewer = Viewer::connect(&server, name).await;
        assert_eq!(viewer.line().await, format!("error: log file {name} cannot be read"));
        assert_eq!(viewer.closed().await, (1011, "file not readable".to_owned()));
    }
}

#[tokio::test]
async fn beyond_the_limit_connections_are_told_so_and_a_free_place_is_given() {
    let server = TestServer::with(|config| config.limits.max_connections = 2).await;
    let mut log = server.log("a.log");
    let mut first = Viewer::connect(&server, "a.log").await;
    let second = Viewer::connect(&server, "a.log").await;
    let mut third = Viewer::connect(&server, "a.log").await;
    assert_eq!(third.line().await, "错误: 连接过多，请稍后重试");
    assert_eq!(third.closed().await, (1013, "too many connections".to_owned()));
    second.leave().await;
    let mut fourth = Viewer::connect(&server, "a.log").await;
    log.lines(["live"]);
    assert_eq!(first.line().await, "live");
    assert_eq!(fourth.line().await, "live");
}

#[tokio::test]
async fn the_configuration_may_change_while_it_runs() {
    let server = TestServer::start().await;
    server.log("a.log").lines(numbered(1..=60));
    let mut viewer = Viewer::connect(&server, "no.log").await;
    assert_eq!(viewer.line().await, "不允许访问请求的文件: no.log");
    let mut config = Config::clone(&server.settings.current());
    config.notices = Notices::En;
    config.stream.history_lines = 5;
    config.files.push(FileEntry::named("d.log"));
    server.settings.replace(config);
    let mut viewer = Viewer::connect(&server, "no.log").await;
    assert_eq!(
        viewer.line().await,
        "access to the requested file is not allowed: no.log"
    );
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(5).await, numbered(56..=60));
}

#[tokio::test]
async fn one_file_has_one_tailer_however_many_viewers_come_and_go() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=10));
    let mut stays = Viewer::connect(&server, "a.log").await;
    assert_eq!(stays.lines(10).await, numbered(1..=10));
    for round in 0..5 {
        let mut viewers = Vec::new();
        for _ in 0..20 {
            viewers.push(Viewer::connect(&server, "a.log").await);
        }
        assert_eq!(server.metric("tailcast_tailers").await, 1.0);
        log.lines([format!("round {round}")]);
        for mut viewer in viewers {
            viewer.lines_to(&format!("round {round}")).await;
            viewer.leave().await;
        }
        assert_eq!(stays.line().await, format!("round {round}"));
    }
    let connected = "tailcast_connections{file=\"a.log\",protocol=\"plain\"}";
    until("all but one have left", async || server.metric(connected).await == 1.0).await;
    assert_eq!(
        server
            .metric("tailcast_connections_opened_total{file=\"a.log\",protocol=\"plain\"}")
            .await,
        101.0
    );
    assert_eq!(
        server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"client\"}")
            .await,
        100.0
    );
    assert_eq!(
        server.metric("tailcast_lines_read_total{file=\"a.log\"}").await,
        5.0,
        "history is not counted"
    );
}
