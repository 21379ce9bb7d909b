//! Names that change hands in ways that are easily taken for others: back to a file that had it, by an editor, closed
//! to us, or without anyone being told.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use tailcast::config::Span;
use tailcast::tail::Wakeups;

use crate::support::{Log, TestServer, Viewer, numbered, until};

const TRUNCATED: &str = "日志文件被截断，重新加载...";

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test]
async fn a_name_that_goes_back_to_a_file_still_kept_open_goes_on_where_that_was() {
    let server = TestServer::start().await;
    let mut first = server.log("a.log");
    first.lines(numbered(1..=60));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    let kept = first.rename(".kept");
    let mut second = server.log("a.log");
    second.lines(["second"]);
    assert_eq!(viewer.line().await, "second");
    fs::rename(&kept, first.path()).unwrap();
    first.lines(["back"]);
    assert_eq!(viewer.line().await, "back");
    second.lines(["late"]);
    assert_eq!(viewer.line().await, "late", "the other one is kept open now");
    viewer.silence(300).await;
    let mut joined = Viewer::connect(&server, "a.log").await;
    let mut history = numbered(12..=60);
    history.push("back".to_owned());
    assert_eq!(joined.lines(50).await, history, "of the file that bears the name");
    joined.silence(50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_goes_away_and_comes_back_at_once_repeats_nothing() {
    let server = TestServer::start().await;
    let mut logs = ["first", "second"].map(|name| Log::create(server.path(name)));
    let lead = |to: &str| {
        symlink(server.path(to), server.path("link")).unwrap();
        fs::rename(server.path("link"), server.path("a.log")).unwrap();
    };
    logs[0].lines(["first begins"]);
    logs[1].lines(["second begins"]);
    lead("first");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "first begins");
    let mut seen = Vec::new();
    for round in 0..30 {
        lead("second");
        logs[1].lines([format!("second {round}")]);
        // Sometimes within one look, sometimes not.
        std::thread::sleep(Duration::from_millis(round % 4));
        lead("first");
        let last = format!("first {round}");
        logs[0].lines([&last]);
        seen.extend(viewer.lines_to(&last).await);
    }
    // A file that had the name for less than a look may be missed, but none is read twice, and no line is.
    let of = |name: &str| -> Vec<u32> {
        let numbers = seen.iter().filter_map(|line| line.strip_prefix(name)?.parse().ok());
        numbers.collect()
    };
    assert_eq!(of("first "), (0..30).collect::<Vec<_>>(), "{seen:?}");
    let second = of("second ");
    assert!(second.is_sorted_by(|one, next| one < next), "{seen:?}");
    assert!(seen.iter().filter(|line| *line == "second begins").count() <= 1);
}

#[tokio::test]
async fn an_editors_save_is_one_while_its_backup_is_still_linked_and_its_file_half_written() {
    // An editor is waited for 200 ms, which a machine without time to spare may use up: one of several has to be one.
    for _ in 0..5 {
        if is_recognised_as_a_save().await {
            return;
        }
    }
    panic!("it counts as a rotation each time");
}

async fn is_recognised_as_a_save() -> bool {
    let server = TestServer::start().await;
    let log = server.log("a.log");
    fs::write(log.path(), numbered(1..=100).join("\n") + "\n").unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    let mut lines = numbered(1..=100);
    lines[95] = "edited".to_owned();
    let text = lines.join("\n") + "\n";
    let backup = log.rename("~");
    let mut saved = server.log("a.log");
    pause(20).await;
    saved.write(&text[..3]);
    pause(20).await;
    saved.write(&text[3..]);
    pause(80).await;
    fs::remove_file(backup).unwrap();
    if viewer.line().await != TRUNCATED {
        return false;
    }
    assert_eq!(viewer.lines(50).await, lines[50..]);
    saved.lines(["live"]);
    assert_eq!(viewer.line().await, "live");
    true
}

#[tokio::test]
async fn a_file_that_begins_like_a_rotated_one_is_a_new_one() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["header", "old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(2).await;
    log.rename(".1");
    server.log("a.log").lines(["header", "new"]);
    assert_eq!(
        viewer.lines(2).await,
        ["header", "new"],
        "no notice: the old one is kept"
    );
    log.lines(["late"]);
    assert_eq!(viewer.line().await, "late");
}

#[tokio::test]
async fn a_stopping_server_waits_for_no_editor_and_sends_the_new_file() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["header", "old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(2).await;
    // For 200 ms this may be an editor's save whose backup is still linked.
    log.rename(".1");
    server.log("a.log").lines(["header", "new"]);
    pause(20).await;
    server.begin_stop();
    assert_eq!(viewer.lines(2).await, ["header", "new"]);
    assert_eq!(viewer.closed().await, (1001, "shutting down".to_owned()));
}

#[tokio::test]
async fn while_the_name_leads_to_what_can_not_be_opened_the_old_file_is_read_on() {
    // A link to itself can't be looked at, and what may only be written can't be opened by anyone.
    for closed in ["a.log", "/proc/sys/vm/compact_memory"] {
        let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(100)).await;
        let mut log = server.log("a.log");
        log.lines(["one"]);
        let mut viewer = Viewer::connect(&server, "a.log").await;
        viewer.line().await;
        let lead = |to: &str| {
            symlink(to, server.path("link")).unwrap();
            fs::rename(server.path("link"), server.path("a.log")).unwrap();
        };
        log.rename(".1");
        lead(closed);
        pause(500).await;
        log.lines(["two"]);
        assert_eq!(viewer.line().await, "two", "{closed} is no removal");
        Log::create(server.path("new")).lines(["three"]);
        lead("new");
        assert_eq!(viewer.line().await, "three");
    }
}

#[tokio::test]
async fn t31_events_that_are_lost_are_made_up_for_by_looking() {
    let server = TestServer::with_wakeups(Wakeups::LossesOnly, |config| {
        config.stream.rotate_grace = Span::millis(300);
    })
    .await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let rescan = "tailcast_file_events_total{file=\"a.log\",event=\"rescan\"}";
    // Those that are heard between two looks count once, so each is waited for.
    let counted =
        async |losses: f64| until("the loss is counted", async || server.metric(rescan).await >= losses).await;
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    log.lines(["two"]);
    assert_eq!(viewer.line().await, "two");
    counted(1.0).await;
    log.rename(".1");
    log.lines(["late"]);
    log = server.log("a.log");
    log.lines(["new"]);
    assert_eq!(viewer.lines(2).await, ["late", "new"]);
    counted(2.0).await;
    fs::write(log.path(), "rewritten\n").unwrap();
    assert_eq!(viewer.lines(2).await, [TRUNCATED, "rewritten"]);
    counted(3.0).await;
    log.remove();
    assert_eq!(viewer.line().await, "日志文件 a.log 不再存在");
}
