//! What happens to files: truncation, rotation, removal.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tailcast::config::{Notices, Span};
use tailcast::tail::Wakeups;

use crate::support::{Log, TestServer, Viewer, numbered, request, until};

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
}

#[tokio::test]
async fn t12_t13_rotation_by_rename_loses_and_repeats_nothing() {
    let server = TestServer::start().await;
    let mut expected = Vec::new();
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    for round in 1..=10_u64 {
        let lines = numbered(round * 1000..=round * 1000 + 99);
        log.lines(&lines);
        expected.extend(lines);
        log.rename(&format!(".{round}"));
        // The writer has not noticed yet.
        log.lines([format!("late {round}")]);
        expected.push(format!("late {round}"));
        log = server.log("a.log");
        log.lines([format!("new {round}")]);
        expected.push(format!("new {round}"));
        pause(20).await;
    }
    assert_eq!(viewer.lines(expected.len()).await, expected);
    viewer.silence(200).await;
    let mut late = Viewer::connect(&server, "a.log").await;
    assert_eq!(late.line().await, "new 10", "history is of the new file only");
    late.silence(50).await;
}

#[tokio::test]
async fn t16_what_is_written_to_the_rotated_file_within_the_wait_is_sent_to_those_connected() {
    let server = TestServer::with(|config| config.stream.rotate_wait = Span::millis(1500)).await;
    let mut old = server.log("a.log");
    old.lines(["one"]);
    old.write("par");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "one");
    old.rename(".1");
    let mut new = server.log("a.log");
    new.lines(["two"]);
    assert_eq!(viewer.line().await, "two");
    old.write("tial\n");
    assert_eq!(
        viewer.line().await,
        "partial",
        "a line begun before is ended in the old file"
    );
    pause(500).await;
    old.lines(["late"]);
    assert_eq!(viewer.line().await, "late");
    new.lines(["three"]);
    assert_eq!(viewer.line().await, "three");
    let mut late = Viewer::connect(&server, "a.log").await;
    assert_eq!(
        late.lines(2).await,
        ["two", "three"],
        "late lines are no history of others"
    );
    old.write("let go");
    pause(1500).await;
    old.lines(["too late"]);
    assert_eq!(
        viewer.line().await,
        "let go",
        "a partial line is sent when the file is let go"
    );
    viewer.silence(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t15_two_rotations_within_five_milliseconds_send_all_generations() {
    const ROUNDS: usize = 20;
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["first"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "first");
    let mut whole = 0;
    for round in 0..ROUNDS {
        log.lines([format!("{round} rest of first")]);
        log.rename(&format!(".{round}a"));
        log = server.log("a.log");
        log.lines([format!("{round} second")]);
        // Less than two reads of a growing file are apart: what sees the second file is the event, not a look.
        std::thread::sleep(Duration::from_millis(2));
        log.rename(&format!(".{round}b"));
        log = server.log("a.log");
        log.lines([format!("{round} third")]);
        let lines = viewer.lines_to(&format!("{round} third")).await;
        let expected = ["rest of first", "second", "third"].map(|text| format!("{round} {text}"));
        if lines == expected {
            whole += 1;
        } else {
            assert_eq!(
                lines,
                [&expected[0], &expected[2]].map(String::clone),
                "nothing else may be missing"
            );
        }
    }
    // On a busy machine an event may come too late to open the file that it tells of.
    assert!(whole * 10 >= ROUNDS * 7, "{whole} of {ROUNDS} rounds were whole");
}

#[tokio::test]
async fn t27_an_editors_save_by_rename_counts_as_rewritten() {
    let server = TestServer::start().await;
    let log = server.log("a.log");
    fs::write(log.path(), numbered(1..=100).join("\n") + "\n").unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.lines(50).await;
    let mut lines = numbered(1..=100);
    lines[95] = "edited".to_owned();
    fs::write(server.path("a.tmp"), lines.join("\n") + "\n").unwrap();
    fs::rename(server.path("a.tmp"), log.path()).unwrap();
    assert_eq!(viewer.line().await, TRUNCATED);
    assert_eq!(viewer.lines(50).await, lines[50..]);
    server.log("a.log").lines(["live"]);
    assert_eq!(viewer.line().await, "live");
}

#[tokio::test]
async fn t09_t25_a_removed_file_ends_the_stream_after_the_rest_and_the_grace() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(600)).await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "one");
    log.lines(["unread"]);
    log.write("no line end");
    log.remove();
    let removed = Instant::now();
    assert_eq!(viewer.line().await, "unread");
    let mut joined = Viewer::connect(&server, "a.log").await;
    assert_eq!(
        joined.lines(2).await,
        ["one", "unread"],
        "within the grace it is as if the file were there"
    );
    log.lines([" until now", "late"]);
    for viewer in [&mut viewer, &mut joined] {
        assert_eq!(viewer.lines(2).await, ["no line end until now", "late"]);
    }
    log.write("the last");
    for viewer in [&mut viewer, &mut joined] {
        assert_eq!(viewer.lines(2).await, ["the last", "日志文件 a.log 不再存在"]);
        assert_eq!(viewer.closed().await, (4410, "file removed".to_owned()));
    }
    assert!(removed.elapsed() >= Duration::from_millis(600));
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(
        viewer.line().await,
        "日志文件 a.log 不存在",
        "afterwards it is just missing"
    );
    server.log("a.log").lines(["anew"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "anew");
}

#[tokio::test]
async fn t28_a_file_moved_away_for_good_ends_the_stream_too() {
    let server = TestServer::with(|config| {
        config.stream.rotate_grace = Span::millis(300);
        config.notices = Notices::En;
    })
    .await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    log.rename(".gone");
    assert_eq!(viewer.line().await, "log file a.log no longer exists");
    assert_eq!(viewer.closed().await, (4410, "file removed".to_owned()));
    assert_eq!(
        server
            .metric("tailcast_connections_closed_total{file=\"a.log\",reason=\"removed\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn t26_a_file_made_anew_within_the_grace_is_a_rotation() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    log.remove();
    pause(400).await;
    viewer.silence(50).await;
    server.log("a.log").lines(["new 1", "new 2"]);
    assert_eq!(viewer.lines(2).await, ["new 1", "new 2"]);
    assert_eq!(
        server
            .metric("tailcast_file_events_total{file=\"a.log\",event=\"rotated\"}")
            .await,
        1.0
    );
}

#[tokio::test]
async fn t29_a_symlink_is_followed_and_may_be_switched_both_ways() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let first = elsewhere.path().join("first");
    let second = elsewhere.path().join("second");
    fs::write(&first, "first\n").unwrap();
    fs::write(&second, "second\n").unwrap();
    std::os::unix::fs::symlink(&first, server.path("a.log")).unwrap();
    let mut viewer = Viewer::connect(&server, "a.log").await;
    assert_eq!(viewer.line().await, "first");
    OpenOptions::new()
        .append(true)
        .open(&first)
        .unwrap()
        .write_all(b"more\n")
        .unwrap();
    assert_eq!(viewer.line().await, "more");
    std::os::unix::fs::symlink(&second, server.path("tmp")).unwrap();
    fs::rename(server.path("tmp"), server.path("a.log")).unwrap();
    assert_eq!(viewer.line().await, "second");
    // The other way: removed, then made anew.
    let third = elsewhere.path().join("third");
    fs::write(&third, "third\n").unwrap();
    OpenOptions::new()
        .append(true)
        .open(&second)
        .unwrap()
        .write_all(b"rest of second\n")
        .unwrap();
    fs::remove_file(server.path("a.log")).unwrap();
    pause(20).await;
    std::os::unix::fs::symlink(&third, server.path("a.log")).unwrap();
    assert_eq!(viewer.lines(2).await, ["rest of second", "third"]);
}

#[tokio::test]
async fn t14_a_late_write_three_seconds_after_the_new_file_is_sent() {
    let server = TestServer::start().await;
    let mut old = server.log("a.log");
    old.lines(["old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    old.rename(".1");
    server.log("a.log").lines(["new"]);
    assert_eq!(viewer.line().await, "new");
    pause(3000).await;
    old.lines(["late"]);
    assert_eq!(viewer.line().await, "late");
}

#[tokio::test]
async fn late_lines_of_many_mebibytes_come_before_the_notice_of_the_removal() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(1)).await;
    let mut old = server.log("a.log");
    old.lines(["old"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    old.rename(".1");
    let mut new = server.log("a.log");
    new.lines(["new"]);
    assert_eq!(viewer.line().await, "new");
    let late: Vec<String> = (0..40_000).map(|n| format!("{n:0200}")).collect();
    old.write(late.join("\n") + "\n");
    new.lines(["last"]);
    new.remove();
    let mut got = viewer.lines(late.len() + 1).await;
    got.retain(|line| line != "last");
    assert!(got == late, "late lines are missing");
    assert_eq!(viewer.line().await, "日志文件 a.log 不再存在");
    assert_eq!(viewer.closed().await, (4410, "file removed".to_owned()));
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

#[tokio::test]
async fn t30_a_file_closed_to_us_and_opened_again_goes_on() {
    use std::os::unix::fs::PermissionsExt;
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    let set_mode = |mode| fs::set_permissions(log.path(), fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o000);
    pause(300).await;
    set_mode(0o644);
    viewer.silence(100).await;
    log.lines(["two"]);
    assert_eq!(viewer.line().await, "two");
}

#[tokio::test]
async fn t32_without_a_watcher_everything_is_found_by_polling() {
    let server = TestServer::with_wakeups(Wakeups::PollingOnly, |config| {
        config.stream.rotate_grace = Span::millis(400);
    })
    .await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    let begun = Instant::now();
    log.lines(["two"]);
    assert_eq!(viewer.line().await, "two");
    assert!(begun.elapsed() < Duration::from_millis(1000));
    log.rename(".1");
    log.lines(["late"]);
    log = server.log("a.log");
    log.lines(["new"]);
    assert_eq!(viewer.lines(2).await, ["late", "new"]);
    fs::write(log.path(), "rewritten\n").unwrap();
    assert_eq!(viewer.lines(2).await, [TRUNCATED, "rewritten"]);
    log.remove();
    assert_eq!(viewer.line().await, "日志文件 a.log 不再存在");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_grows_as_fast_as_it_can_holds_up_no_other() {
    let server = TestServer::start().await;
    let mut fast = server.log("a.log");
    let mut slow = server.log("b.log");
    let mut viewer = Viewer::connect(&server, "b.log").await;
    let fast_viewer = Viewer::connect(&server, "a.log").await;
    let done = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&done);
    let writer = std::thread::spawn(move || {
        let block = format!("{}\n", "x".repeat(119)).repeat(10_000);
        let mut blocks = 0;
        while !stop.load(Ordering::Relaxed) && blocks < 400 {
            fast.write(&block);
            blocks += 1;
        }
        blocks
    });
    for n in 0..50 {
        slow.lines([format!("{n}")]);
        assert_eq!(viewer.line().await, format!("{n}"));
    }
    done.store(true, Ordering::Relaxed);
    let written = writer.join().unwrap();
    assert!(written > 0);
    drop(fast_viewer);
}

#[tokio::test]
async fn what_becomes_a_directory_or_a_fifo_is_gone() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(300)).await;
    for name in ["a.log", "b.log"] {
        let mut log = server.log(name);
        log.lines(["one"]);
        let mut viewer = Viewer::connect(&server, name).await;
        viewer.line().await;
        log.lines(["last"]);
        log.rename(".1");
        if name == "a.log" {
            fs::create_dir(log.path()).unwrap();
        } else {
            assert!(
                std::process::Command::new("mkfifo")
                    .arg(log.path())
                    .status()
                    .unwrap()
                    .success()
            );
        }
        assert_eq!(
            viewer.lines(2).await,
            ["last".to_owned(), format!("日志文件 {name} 不再存在")]
        );
        assert_eq!(viewer.closed().await.0, 4410);
    }
}

#[tokio::test]
async fn a_parent_directory_renamed_and_made_anew_is_a_rotation_of_its_files() {
    let server = TestServer::with(|config| config.files[0].path = Some(config.dir.join("sub/a.log"))).await;
    let sub = server.path("sub");
    fs::create_dir(&sub).unwrap();
    let mut log = Log::create(sub.join("a.log"));
    log.lines(["one"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    viewer.line().await;
    fs::rename(&sub, server.path("old")).unwrap();
    log.lines(["late"]);
    fs::create_dir(&sub).unwrap();
    let mut log = Log::create(sub.join("a.log"));
    log.lines(["two"]);
    assert_eq!(viewer.lines(2).await, ["late", "two"]);
    // The new directory is watched: lines come by events, not four times a second.
    pause(1500).await;
    let begun = Instant::now();
    for n in 0..10 {
        log.lines([format!("{n}")]);
        assert_eq!(viewer.line().await, format!("{n}"));
        pause(10).await;
    }
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_that_hangs_stops_only_its_own_files() {
    hang_mount_of("mount/b.log").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_into_a_mount_that_hangs_stops_no_other_file() {
    hang_mount_of("link").await;
}

async fn hang_mount_of(path: &str) {
    let server = TestServer::with(|config| config.files[1].path = Some(config.dir.join(path))).await;
    std::os::unix::fs::symlink("mount/b.log", server.path("link")).unwrap();
    fs::create_dir(server.path("source")).unwrap();
    fs::create_dir(server.path("mount")).unwrap();
    let mount = FuseMount::new(&server.path("source"), &server.path("mount")).await;
    let mut local = server.log("a.log");
    let mut remote = Log::create(server.path("source/b.log"));
    remote.lines(["there"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let mut hanging = Viewer::connect(&server, "b.log").await;
    assert_eq!(hanging.line().await, "there");
    mount.stop();
    // What the kernel has remembered of the file is forgotten after a second.
    pause(1500).await;
    let begun = Instant::now();
    local.lines(["one"]);
    assert_eq!(viewer.line().await, "one");
    let mut another = Viewer::connect(&server, "a.log").await;
    assert_eq!(another.line().await, "one");
    let files = request(server.address, "GET /healthz HTTP/1.1", &[]).await;
    assert_eq!(files.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let list = request(server.address, "GET /api/v1/files HTTP/1.1", &[]).await;
    assert_eq!(
        list.json()[1]["exists"],
        serde_json::json!(null),
        "not known, but answered"
    );
    mount.go_on();
    remote.lines(["back"]);
    assert_eq!(hanging.line().await, "back");
    drop(mount);
}

/// A file system in a process of its own, which can be stopped.
struct FuseMount {
    process: std::process::Child,
    at: std::path::PathBuf,
}

impl FuseMount {
    async fn new(source: &std::path::Path, at: &std::path::Path) -> Self {
        let mount = Self {
            process: std::process::Command::new("bindfs")
                .arg("-f")
                .args([source, at])
                .spawn()
                .unwrap(),
            at: at.to_owned(),
        };
        let marker = source.join("marker");
        fs::write(&marker, "").unwrap();
        until("the file system is mounted", async || at.join("marker").exists()).await;
        mount
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn stop(&self) {
        self.signal(Signal::STOP);
    }

    fn go_on(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for FuseMount {
    fn drop(&mut self) {
        self.go_on();
        let _ = std::process::Command::new("fusermount")
            .args(["-u", "-z"])
            .arg(&self.at)
            .status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t33_a_held_descriptor_written_without_a_pause_is_read_without_one() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let writer = std::thread::spawn(move || {
        let begun = Instant::now();
        for n in 1..=25_000_u32 {
            log.lines([format!("line {n}")]);
            let next = begun + Duration::from_micros(200) * n;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    });
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    for n in 1..=25_000 {
        assert_eq!(viewer.line().await, format!("line {n}"));
        longest = longest.max(last.elapsed());
        last = Instant::now();
    }
    writer.join().unwrap();
    // What starves on events waits for whole seconds; a busy machine for less.
    assert!(longest < Duration::from_secs(1), "a pause of {longest:?}");
}
