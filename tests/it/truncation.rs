//! What is truncated, rewritten or only touched.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Duration;

use crate::support::{TestServer, Viewer, numbered};

const TRUNCATED: &str = "日志文件被截断，重新加载...";

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test]
async fn t17_a_file_emptied_and_written_anew_is_sent_whole() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    fs::write(log.path(), numbered(1001..=1200).join("\n") + "\n").unwrap();
    let lines = viewer.lines_to("line 1200").await;
    assert_eq!(lines[0], TRUNCATED);
    assert_eq!(lines[1..], numbered(1001..=1200));
    log.lines(["live"]);
    assert_eq!(viewer.line().await, "live");
    let mut late = Viewer::connect(&server, "a.log").await;
    assert_eq!(late.lines(50).await[49], "live");
    assert_eq!(
        server
            .metric("tailcast_file_events_total{file=\"a.log\",event=\"truncated\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn a_file_found_empty_gets_the_notice_alone_and_all_that_follows_is_live() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=3));
    log.write("partial that is dropped");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(3).await;
    log.truncate(0);
    assert_eq!(viewer.line().await, TRUNCATED);
    let mut late = Viewer::connect(&server, "a.log").await;
    late.silence(100).await;
    log.lines(numbered(1..=3));
    assert_eq!(viewer.lines(3).await, numbered(1..=3));
    assert_eq!(late.lines(3).await, numbered(1..=3));
    viewer.silence(1200).await;
}

#[tokio::test]
async fn a_file_cut_in_the_middle_sends_its_last_fifty_lines() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines((1..=200).map(|n| format!("line {n:05}")));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    log.truncate(11 * 120);
    let lines = viewer.lines_to("line 00120").await;
    assert_eq!(lines[0], TRUNCATED);
    assert_eq!(
        lines[1..],
        (71..=120).map(|n| format!("line {n:05}")).collect::<Vec<_>>()
    );
    log.lines(["live"]);
    assert_eq!(viewer.line().await, "live");
}

#[tokio::test]
async fn t18_t19_a_file_truncated_and_grown_beyond_the_old_end_is_noticed() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines((1..=100).map(|n| format!("old {n:04} ends alike")));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    let new: Vec<String> = (1..=300).map(|n| format!("new {n:04} ends alike")).collect();
    fs::write(log.path(), new.join("\n") + "\n").unwrap();
    let lines = viewer.lines_to("new 0300 ends alike").await;
    assert_eq!(lines[0], TRUNCATED);
    assert_eq!(lines[1..], new);
}

#[tokio::test]
async fn t20_a_file_overwritten_with_the_same_size_is_noticed() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines((1..=20).map(|n| format!("old {n:04}")));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(20).await;
    let new: Vec<String> = (1..=20).map(|n| format!("new {n:04}")).collect();
    let mut file = OpenOptions::new().write(true).open(log.path()).unwrap();
    file.write_all((new.join("\n") + "\n").as_bytes()).unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.lines(20).await, new);
    log.lines(["live"]);
    assert_eq!(viewer.line().await, "live");
}

#[tokio::test]
async fn more_than_ten_thousand_new_lines_send_the_last_fifty() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    fs::write(log.path(), numbered(1..=10_001).join("\n") + "\n").unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.lines(50).await, numbered(9_952..=10_001));
    fs::write(log.path(), (1..=10_000).map(|n| format!("{n}\n")).collect::<String>()).unwrap();
    let lines = viewer.lines_to("10000").await;
    assert_eq!(lines.len(), 10_001, "exactly ten thousand are sent whole");
    log.lines(["live"]);
    assert_eq!(viewer.line().await, "live");
}

#[tokio::test]
async fn t22_touching_a_file_changes_nothing() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    for n in 0..100 {
        let time = std::time::SystemTime::now() + Duration::from_secs(n);
        fs::File::open(log.path()).unwrap().set_modified(time).unwrap();
        pause(2).await;
    }
    viewer.silence(300).await;
    log.lines(["two"]);
    assert_eq!(viewer.line().await, "two");
}

#[tokio::test]
async fn t23_a_writer_without_append_leaves_a_hole_that_is_skipped() {
    let server = TestServer::start().await;
    let path = server.path("a.log");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all((numbered(1..=500).join("\n") + "\n").as_bytes())
        .unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    file.write_all(b"after the hole\n").unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.line().await, "after the hole");
    file.write_all(b"and on\n").unwrap();
    assert_eq!(viewer.line().await, "and on");
    // That the file begins with a hole again does not make it the same: all that is behind the hole is new.
    OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
    file.write_all((numbered(1..=80).join("\n") + "\n").as_bytes()).unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.lines(80).await, numbered(1..=80));
    // But where it was only cut, its beginning is the same.
    let size = file.metadata().unwrap().len();
    file.set_len(size - "80\n".len() as u64).unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.lines(50).await, numbered(30..=79));
}

#[tokio::test]
async fn t21_a_file_truncated_in_the_middle_of_a_line_drops_the_partial_line_that_was_held() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.write("one\ntwo\nthree, not ended");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.lines(2).await, ["one", "two"]);
    log.truncate(6);
    let lines = viewer.lines(2).await;
    assert_eq!(lines, [TRUNCATED, "one"]);
    log.write("elve\n");
    assert_eq!(viewer.line().await, "twelve");
    viewer.silence(1200).await;
}

#[tokio::test]
async fn t24_a_file_emptied_again_and_again_loses_nothing_that_stood_for_a_while() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["start"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    for round in 0..20 {
        fs::write(log.path(), "").unwrap();
        log.lines([format!("round {round}")]);
        pause(100).await;
    }
    for round in 0..20 {
        assert_eq!(viewer.lines(2).await, [TRUNCATED.to_owned(), format!("round {round}")]);
    }
    viewer.silence(100).await;
}
