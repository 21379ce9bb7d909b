//! Lost connections, and what is said of them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tailcast::config::Span;

use super::View;
use crate::support::{Log, Program, Proxy, TestServer, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_or_doubled_over_a_restart_and_the_log_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path().join("a.log"));
    log.lines(numbered(1..=20));
    let mut program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "a.log"]);
    let address = program.address.clone();
    let view = View::at(&format!("http://{address}/"), "en").await;
    view.until_last("line 20").await;
    program.signal(Signal::TERM);
    assert_eq!(program.wait(), 0);
    view.until_state("Reconnecting in").await;
    log.lines(numbered(21..=24));
    let _again = Program::start(dir.path(), &["-l", &address, "a.log"]);
    view.until_state("Live").await;
    log.lines(["after"]);
    view.until_last("after").await;
    let rows = view.rows().await;
    let mut expected = numbered(1..=24);
    expected.push("after".to_owned());
    let lines: Vec<_> = rows
        .iter()
        .filter(|row| !row.contains("reconnected"))
        .cloned()
        .collect();
    assert_eq!(lines, expected);
    let said = rows
        .iter()
        .position(|row| row.contains("nothing missed"))
        .expect("a row says so");
    assert_eq!(said, 20, "between what was before and after: {rows:?}");
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_told_and_can_be_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let mut log = Log::create(&path);
    log.lines(numbered(1..=5));
    let program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "a.log"]);
    let address = program.address.clone();
    let view = View::at(&format!("http://{address}/"), "en").await;
    view.until_last("line 5").await;
    program.signal(Signal::KILL);
    view.until_state("Reconnecting in").await;
    // Another file takes the name, and the one of before is nowhere.
    log.remove();
    let mut other = Log::create(&path);
    other.lines((1..=200).map(|n| format!("other {n}")));
    let _again = Program::start(dir.path(), &["-l", &address, "a.log"]);
    view.until_last("other 200").await;
    view.keys("g").await;
    view.until_row("missing").await;
    assert!(!view.rows().await.iter().any(|row| row == "other 1"));
    view.click(".chip.gap").await;
    view.until(
        "the first is there",
        "return [...document.querySelectorAll('.text')].some((text) => text.textContent === 'other 1')",
    )
    .await;
    let rows = view.rows().await;
    let mark = rows.iter().position(|row| row.contains("missing")).unwrap();
    assert_eq!(rows[mark - 1], "line 5");
    assert_eq!(rows[mark + 1], "other 1", "{rows:?}");
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_rotation_and_removal_are_told_in_the_readers_language() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(300)).await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let view = View::at(&format!("http://{}/", server.address), "zh-CN").await;
    view.until_last("one").await;
    assert_eq!(view.run("return document.documentElement.lang").await, json!("zh-CN"));
    log.truncate(0);
    log.lines(["two"]);
    view.until_last("two").await;
    view.until_row("文件被截断").await;
    let shown = view.rows().await;
    assert!(
        !shown.iter().any(|row| row.contains("重新加载...")),
        "in words of its own: {shown:?}"
    );
    log.rename(".1");
    let mut next = server.log("a.log");
    next.lines(["three"]);
    view.until_last("three").await;
    view.until_row("文件已轮转").await;
    next.remove();
    view.until_row("文件已被删除").await;
    view.until_state("再次查找").await;
    server.log("a.log").lines(["four"]);
    view.click(".retry").await;
    view.until_last("four").await;
    view.until_state("实时").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_stops_with_the_reason_and_what_is_missing_is_looked_for() {
    let server = TestServer::start().await;
    let view = View::open(&server, "?file=secret.log").await;
    view.until_state("Stopped · file not allowed").await;
    view.until_text(".empty-text", "secret.log is not on the server’s list")
        .await;
    view.goto(&format!("http://{}/?file=b.log", server.address)).await;
    view.until_state("Looking again in").await;
    view.until_text(".empty-text", "b.log is not there yet").await;
    server.log("b.log").lines(["now it is"]);
    view.click(".retry").await;
    view.until_last("now it is").await;
    view.end().await;
}

/// The link is cut between the two without a word to either, as when a laptop changes networks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_went_silent_is_noticed_and_made_anew() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["before"]);
    let proxy = Proxy::start(server.address).await;
    let view = View::at(&format!("http://{}/", proxy.address), "en").await;
    view.until_last("before").await;
    view.until_state("Live").await;
    // What is connected now is silent for good; what connects later works.
    proxy.silence();
    let begun = Instant::now();
    let mut written = 0;
    while view.rows().await.len() < 5 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it was never noticed");
        written += 1;
        log.lines([format!("meanwhile {written}")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    view.until_row("meanwhile 1").await;
    view.until_row("nothing missed").await;
    view.end().await;
}
