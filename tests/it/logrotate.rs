//! The real logrotate in its modes, with a program that goes on writing as programs do.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{TestServer, Viewer, numbered, page, walk_back};

const TRUNCATED: &str = "日志文件被截断，重新加载...";

/// Rotates `a.log` of a directory now.
fn rotate(dir: &Path, options: &str) {
    let configuration = dir.join("logrotate.conf");
    let log = dir.join("a.log");
    fs::write(
        &configuration,
        format!("{} {{\n su root root\n rotate 5\n{options}\n}}\n", log.display()),
    )
    .unwrap();
    let output = Command::new("/usr/sbin/logrotate")
        .args(["--force", "--state"])
        .arg(dir.join("logrotate.state"))
        .arg(&configuration)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// Rotations after which the program reopens its file a little later.
async fn rotations_lose_nothing(options: &str) {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let mut expected = Vec::new();
    for round in 1..=4_u64 {
        let lines = numbered(round * 1000..=round * 1000 + 300);
        log.lines(&lines);
        expected.extend(lines);
        rotate(server.dir(), options);
        // Written before the program has heard of it, then after.
        log.lines([format!("late {round}")]);
        expected.push(format!("late {round}"));
        pause(60).await;
        log = server.log("a.log");
        // logrotate names by the second with dateext.
        pause(1000).await;
    }
    log.lines(["end"]);
    expected.push("end".to_owned());
    assert_eq!(viewer.lines(expected.len()).await, expected, "{options}");
    viewer.silence(100).await;
}

/// Rotations after each of which all that was ever written is found again, page by page, and by its positions.
async fn rotations_keep_the_past(options: &str) {
    let server = TestServer::start().await;
    let mut expected = Vec::new();
    let mut places = Vec::new();
    for round in 1..=4_u64 {
        let lines = numbered(round * 1000..=round * 1000 + 300);
        server.log("a.log").lines(&lines);
        expected.extend(lines);
        places.push((expected.len(), page(&server, "limit=1").await.end));
        rotate(server.dir(), options);
        // logrotate names by the second with dateext.
        pause(1000).await;
        assert_eq!(walk_back(&server, 170).await.0, expected, "{options}");
        for (count, place) in &places {
            let before = page(&server, format!("limit=200&before={place}")).await;
            assert_eq!(before.lines, expected[count - 200..*count], "{options}");
        }
    }
}

#[tokio::test]
async fn the_past_is_kept_with_create_and_compress() {
    rotations_keep_the_past(" create\n compress").await;
}

#[tokio::test]
async fn the_past_is_kept_with_zstd_and_delaycompress() {
    let zstd = " create\n compress\n delaycompress\n compresscmd /usr/bin/zstd\n compressext .zst";
    rotations_keep_the_past(&format!("{zstd}\n compressoptions -q --rm")).await;
}

#[tokio::test]
async fn the_past_is_kept_with_dateext() {
    rotations_keep_the_past(" create\n compress\n dateext\n dateformat -%Y%m%d-%s").await;
}

#[tokio::test]
async fn the_past_is_kept_with_copytruncate() {
    rotations_keep_the_past(" copytruncate\n compress\n delaycompress").await;
}

#[tokio::test]
async fn create_loses_and_repeats_nothing() {
    rotations_lose_nothing(" create").await;
}

#[tokio::test]
async fn nocreate_loses_and_repeats_nothing() {
    rotations_lose_nothing(" nocreate").await;
}

#[tokio::test]
async fn delaycompress_loses_and_repeats_nothing() {
    rotations_lose_nothing(" create\n compress\n delaycompress").await;
}

#[tokio::test]
async fn dateext_loses_and_repeats_nothing() {
    rotations_lose_nothing(" create\n dateext\n dateformat -%Y%m%d-%s").await;
}

#[tokio::test]
async fn copytruncate_is_a_truncation_and_loses_nothing_that_was_there_before() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    for round in 1..=4_u64 {
        let lines = numbered(round * 1000..=round * 1000 + 300);
        log.lines(&lines);
        assert_eq!(viewer.lines(301).await, lines);
        rotate(server.dir(), " copytruncate");
        assert_eq!(viewer.line().await, TRUNCATED);
    }
    log.lines(["end"]);
    assert_eq!(viewer.line().await, "end");
}
