//! Several files as one: their older lines, and searches in all of them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::View;
use crate::support::{TestServer, store};

const MERGED: &str = "?file=a.log&file=b.log&layout=merged";

/// A line that says which of all it is, with a time that says so too.
fn line(n: u64) -> String {
    let (minutes, seconds) = (n / 600, n / 10 % 60);
    format!(
        "2026-11-24T{:02}:{:02}:{seconds:02}.{}00Z line {n}",
        2 + minutes / 60,
        minutes % 60,
        n % 10
    )
}

/// In which file it is: now this one, now that one, for some lines or for many.
fn is_in_a(n: u64) -> bool {
    (n * 7 % 11 < 4) != (n / 900).is_multiple_of(2) || n / 1_300 % 3 == 1
}

fn text_of(range: std::ops::RangeInclusive<u64>, of_a: bool) -> String {
    range
        .filter(|n| is_in_a(*n) == of_a)
        .fold(String::new(), |mut text, n| {
            writeln!(text, "{}", line(n)).unwrap();
            text
        })
}

/// Two logs with the lines up to 8,000, the first 3,000 of one of them in a rotated file.
async fn logs() -> TestServer {
    let server = TestServer::start().await;
    store(server.path("a.log.1"), text_of(1..=3_000, true));
    store(server.path("a.log"), text_of(3_001..=8_000, true));
    store(server.path("b.log"), text_of(1..=8_000, false));
    server
}

fn numbers(rows: &[String]) -> Vec<u64> {
    rows.iter()
        .filter_map(|row| row.rsplit_once(" line ")?.1.parse().ok())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrolling_up_merges_older_lines_to_the_first_while_new_ones_come() {
    let server = logs().await;
    let view = View::open(&server, MERGED).await;
    view.until_row("line 8000").await;
    view.until_state("Live").await;
    let mut log = server.log("b.log");
    let mut lowest = numbers(&view.rows().await)[0];
    let mut written = 8_000;
    for turn in 0..1_000 {
        view.wheel(-500).await;
        if turn % 10 == 0 {
            written += 1;
            log.lines([line(written)]);
        }
        let seen = numbers(&view.rows().await);
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
        let (first, last) = (seen[0], seen[seen.len() - 1]);
        assert!(last + 1 >= lowest, "{first} to {last} below {lowest}");
        lowest = lowest.min(first);
        if lowest == 1 {
            break;
        }
    }
    assert_eq!(lowest, 1);
    view.until_text(".edge", "The log begins here").await;
    view.until_text(".pill-text", &format!("{} new", written - 8_000)).await;
    view.keys("G").await;
    view.until_row(&format!("line {written}")).await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_stays_where_it_is_while_older_lines_are_merged_in() {
    let server = logs().await;
    let view = View::open(&server, MERGED).await;
    view.until_row("line 8000").await;
    view.until_state("Live").await;
    // What is asked for waits.
    let hold = "
        const { fetch } = window;
        const opened = new Promise((open) => (window.release = open));
        window.fetch = async (...how) => (await opened, fetch(...how));
    ";
    view.run(hold).await;
    view.keys("g").await;
    let height = "return document.querySelector('.log').scrollHeight";
    let before = view.placed_rows(0).await;
    let low = view.run(height).await.as_f64().unwrap();
    view.until_text(".edge", "Loading older lines").await;
    view.run("window.release()").await;
    view.until("older lines are there", &format!("{height} > {low} + 1000;"))
        .await;
    assert_eq!(view.placed_rows(0).await, before);
    view.end().await;
}

/// More lines than may be held: the end is let go of, and fetched again on the way down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_were_let_go_of_below_are_merged_in_again() {
    let server = logs().await;
    let view = View::open(&server, MERGED).await;
    view.remember("maxLines", "2000").await;
    view.until_row("line 8000").await;
    while numbers(&view.rows().await)[0] > 4_000 {
        view.wheel(-15_000).await;
    }
    let mut next = numbers(&view.rows().await)[0];
    while next < 6_500 {
        let seen = numbers(&view.rows().await);
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seen:?}");
        assert!(seen[0] <= next, "{next} is missing before {}", seen[0]);
        next = seen[seen.len() - 1] + 1;
        view.wheel(500).await;
    }
    while numbers(&view.rows().await).last() != Some(&8_000) {
        view.wheel(20_000).await;
    }
    view.wheel(20_000).await;
    view.until_state("Live").await;
    server.log("a.log").lines(["and on"]);
    view.until_last("and on").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_files_are_searched_for_all_terms_and_a_hit_opens_among_the_lines_of_both() {
    let server = logs().await;
    let view = View::open(&server, MERGED).await;
    view.until_row("line 8000").await;
    view.fill("input.find", r#"-x "LINE 77" "line 1234" /line 3\d10$/ "line 5001""#)
        .await;
    view.press("\u{e008}\u{e007}").await;
    view.until_text(".results-text", "all of it").await;
    let hits = "return [...document.querySelectorAll('.hits button')].map((hit) => hit.textContent)";
    let found: Vec<String> = serde_json::from_value(view.run(hits).await).unwrap();
    let expected: Vec<String> = (1..=8_000_u64)
        .rev()
        .filter(|n| [1_234, 5_001].contains(n) || (n / 1_000 == 3 && n % 100 == 10))
        .map(|n| format!("{}.log{}", if is_in_a(n) { 'a' } else { 'b' }, line(n)))
        .collect();
    assert_eq!(expected.len(), 12);
    assert_eq!(found, expected);
    // The same as find marks in the pane: lines with any of the terms, each in its colour.
    let colours = "return [...document.querySelectorAll('.hits .hit')].map((hit) => hit.className.at(-1)).join('')";
    assert_eq!(view.run(colours).await, json!("322222222221"));
    view.click(".hits li:last-child button").await;
    view.until_row("line 1234").await;
    let seen = numbers(&view.rows().await);
    assert!(
        seen.contains(&1_234) && seen.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{seen:?}"
    );
    let files = "return new Set([...document.querySelectorAll('.row')].map((row) => row.dataset.file)).size";
    assert_eq!(view.run(files).await, json!(2));

    // What the server's expressions don't have is told.
    view.fill("input.find", "/line(?= 12)/").await;
    view.until_text(".whole", "all files").await;
    view.press("\u{e008}\u{e007}").await;
    view.until_text(".results-text", "failed: look-around, including look-ahead")
        .await;
    assert_eq!(view.run(hits).await, Value::Array(Vec::new()));
    view.end().await;
}
