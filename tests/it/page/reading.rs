//! Following, pausing, and never moving what is read.

use std::time::{Duration, Instant};

use serde_json::json;

use super::View;
use crate::support::{TestServer, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_history_and_live_lines_and_follows_them() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=60));
    let view = View::open(&server, "").await;
    view.until_last("line 60").await;
    view.until_state("Live").await;
    log.lines(numbered(61..=500));
    view.until_last("line 500").await;
    view.until_text(".last-long", "last line ").await;
    let rows = view.run("return document.querySelectorAll('.row').length").await;
    assert!(
        rows.as_u64().unwrap() < 150,
        "only what is in sight is in the document: {rows}"
    );
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_pauses_and_the_pill_counts_and_takes_one_back() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=500));
    let view = View::open(&server, "").await;
    view.until_last("line 500").await;
    view.keys(" ").await;
    view.until_state("Paused").await;
    let before = view.placed_rows(0).await;
    log.lines(numbered(501..=1704));
    view.until_text(".pill-text", "Paused · 1,204 new").await;
    assert_eq!(view.placed_rows(0).await, before, "nothing moves");
    view.click(".pill-end").await;
    view.until_last("line 1704").await;
    view.until_state("Live").await;

    // And back where one stood, however far one went.
    view.keys(" ").await;
    let stood = view.rows().await;
    view.keys("g").await;
    view.until_row("line 1").await;
    view.click(".pill-stood").await;
    view.until_row(&stood[0]).await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrolling_up_pauses_beyond_ten_pixels_and_coming_back_follows() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=300));
    let view = View::open(&server, "").await;
    view.until_last("line 300").await;
    view.wheel(-8).await;
    log.lines(["a little is no wish to stop"]);
    view.until_last("a little is no wish to stop").await;
    view.until_state("Live").await;
    view.wheel(-200).await;
    view.until_state("Paused").await;
    log.lines(["not in sight"]);
    view.until_text(".pill-text", "1 new").await;
    assert!(!view.rows().await.iter().any(|row| row == "not in sight"));
    for _ in 0..4 {
        view.wheel(400).await;
    }
    view.until_state("Live").await;
    view.until_last("not in sight").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn selecting_text_pauses() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    let view = View::open(&server, "").await;
    view.until_last("line 100").await;
    view.drag((20.0, 300.0), (60.0, 380.0)).await;
    view.until_state("Paused").await;
    let selected = view.run("return getSelection().toString()").await;
    log.lines(numbered(101..=400));
    view.until_text(".pill-text", "300 new").await;
    assert_eq!(view.run("return getSelection().toString()").await, selected);
    assert!(selected.as_str().unwrap().contains('\n'), "{selected}");
    view.end().await;
}

/// More lines than are held come while one reads in the middle: the oldest are let go of above, the newest are only
/// counted, and nothing on the screen moves by a pixel. All of it is there when one goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reading_position_is_kept_to_the_pixel_while_old_lines_are_dropped() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let view = View::open(&server, "").await;
    view.remember("maxLines", "3000").await;
    view.until_state("Live").await;
    log.write(numbered(1..=2900).join("\n") + "\n");
    view.until_last("line 2900").await;
    view.wheel(-555).await;
    view.until_state("Paused").await;
    let before = view.placed_rows(0).await;
    assert!(before.len() > 20);
    for start in (2901..=12_900).step_by(500) {
        log.write(numbered(start..=start + 499).join("\n") + "\n");
        assert_eq!(view.placed_rows(0).await, before);
    }
    view.until_text(".pill-text", "10,000 new").await;
    assert_eq!(view.placed_rows(0).await, before);

    // Downwards from here every line follows, though most of them were let go of.
    let mut next: u64 = before[0].1[5..].parse().unwrap();
    let begun = Instant::now();
    while next <= 4_700 {
        for row in view.rows().await {
            let number: u64 = row[5..].parse().unwrap();
            assert!(number <= next, "line {next} is missing before {number}");
            next = next.max(number + 1);
        }
        view.wheel(200).await;
        assert!(begun.elapsed() < Duration::from_secs(60), "at line {next}");
    }
    // On to the end by scrolling alone, where it follows again.
    while view.rows().await.last().is_none_or(|row| row != "line 12900") {
        view.wheel(20_000).await;
        assert!(begun.elapsed() < Duration::from_secs(90), "the end never came");
    }
    view.wheel(20_000).await;
    view.until_state("Live").await;
    log.lines(["and on"]);
    view.until_last("and on").await;
    view.end().await;
}

/// With rows of unequal height as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrapped_rows_stay_where_they_are_too() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let line = |n: u64| format!("line {n} {}", "word ".repeat(usize::try_from(n * 7 % 90).unwrap()));
    log.lines((1..=400).map(line));
    let view = View::open(&server, "").await;
    view.remember("wrap", "true").await;
    view.until_row("line 400 ").await;
    view.wheel(-1111).await;
    view.until_state("Paused").await;
    let before = view.placed_rows(0).await;
    log.lines((401..=1200).map(line));
    view.until_text(".pill-text", "800 new").await;
    assert_eq!(view.placed_rows(0).await, before);
    // Rows touch each other, and none covers another.
    let gaps = "
        const boxes = [...document.querySelectorAll('.row')].map((row) => row.getBoundingClientRect());
        return boxes.slice(1).every((box, at) => Math.abs(box.top - boxes[at].bottom) < 0.6);
    ";
    assert_eq!(view.run(gaps).await, json!(true));
    view.click(".pill-end").await;
    view.until_row("line 1200 ").await;
    view.end().await;
}

/// Ten thousand lines a second for half a minute, with the browser's own figures: once as many lines are held as may
/// be, the heap is flat and few rows are in the document.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_leaves_the_heap_flat() {
    const RATE: u64 = 10_000;
    const SECONDS: u64 = 30;
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let view = View::open(&server, "").await;
    view.until_state("Live").await;
    let writer = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        for tick in 0..SECONDS * 50 {
            let start = tick * RATE / 50;
            let lines: Vec<String> = (start..start + RATE / 50)
                .map(|n| {
                    format!(
                        "2026-11-24 02:07:22.113 INFO worker-{} request {n} took {} ms",
                        n % 16,
                        n % 977
                    )
                })
                .collect();
            log.write(lines.join("\n") + "\n");
            let due = begun + Duration::from_millis((tick + 1) * 20);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    let heap = "gc(); return [performance.memory.usedJSHeapSize, document.querySelectorAll('.row').length]";
    let mut figures: Vec<(f64, u64)> = Vec::new();
    for _ in 0..SECONDS / 5 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        figures.push(serde_json::from_value(view.run(heap).await).unwrap());
    }
    writer.await.unwrap();
    view.until_row(&format!("request {} took", RATE * SECONDS - 1)).await;
    assert!(figures.iter().all(|(_, rows)| *rows < 200), "{figures:?}");
    // 50,000 lines are there after five seconds; a busy machine gets more time to see them all.
    let (settled, last) = (figures[figures.len() / 2].0, figures[figures.len() - 1].0);
    assert!(last < settled * 1.25, "{figures:?}");
    assert!(last < 64.0 * 1024.0 * 1024.0, "{figures:?}");
    view.end().await;
}

/// All rows are made anew then, and none is gone before its successor is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrapping_leaves_no_moment_without_rows() {
    let server = TestServer::start().await;
    let long = "word ".repeat(60);
    server.log("a.log").lines((1..=200).map(|n| format!("{n} {long}")));
    let view = View::open(&server, "").await;
    view.until_row("200 word").await;
    view.run(
        "
        const body = document.querySelector('.rows');
        window.fewest = Infinity;
        const count = () => { window.fewest = Math.min(window.fewest, body.childElementCount); };
        new MutationObserver(count).observe(body, { childList: true });
        // And between any two tasks.
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => { count(); port2.postMessage(0); };
        port2.postMessage(0);
        ",
    )
    .await;
    for height in ["> 30", "< 30"] {
        view.keys("l").await;
        let drawn = format!("return document.querySelector('.row').getBoundingClientRect().height {height}");
        view.until("rows are drawn anew", &drawn).await;
    }
    let fewest = view.run("return window.fewest").await;
    assert!(fewest.as_u64().unwrap() >= 10, "{fewest}");
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_whose_height_changes_goes_on_following() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=200));
    let view = View::open(&server, "?file=a.log").await;
    view.until_last("line 200").await;
    // What stands above it comes and goes, as a second row of the head does: in every other frame it is away while lines
    // are drawn, and back before the list hears that it was moved.
    view.run(
        "const head = document.querySelector('.head');
        let away = false;
        const frame = () => {
            away = !away;
            head.style.paddingBottom = away ? '' : '60px';
            if (away) setTimeout(() => (head.style.paddingBottom = '60px'));
            window.toggling = requestAnimationFrame(frame);
        };
        frame();",
    )
    .await;
    for n in 201..=320 {
        log.lines([format!("line {n}")]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    view.run("cancelAnimationFrame(window.toggling)").await;
    view.until_last("line 320").await;
    assert_eq!(
        view.run("return document.querySelectorAll('.paused').length").await,
        json!(0)
    );
    view.end().await;
}
