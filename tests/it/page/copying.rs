//! What is taken out of the page: selections, marks, exports.

use super::View;
use crate::support::{TestServer, numbered};

/// Keeps what a copy puts on the clipboard, as the page's own handler left it.
const WATCH: &str = "
    addEventListener('copy', (event) => (window.copied = event.clipboardData.getData('text/plain')));
";

/// Selects from the first row in sight on; further by scrolling and selecting on, as with a pressed mouse.
const SELECT: &str = "
    const rows = [...document.querySelectorAll('.row')].map((row) => [row.getBoundingClientRect().top, row]);
    const log = document.querySelector('.log').getBoundingClientRect().top;
    rows.sort(([a], [b]) => a - b);
    const [, row] = rows.find(([top]) => top >= log);
    getSelection().collapse(row.querySelector('.text span').firstChild, 2);
    return row.querySelector('.text').textContent;
";
const EXTEND: &str = "
    const log = document.querySelector('.log').getBoundingClientRect();
    const rows = [...document.querySelectorAll('.row:not(.pinned)')]
        .map((row) => [row.getBoundingClientRect().bottom, row])
        .filter(([bottom]) => bottom <= log.bottom)
        .sort(([a], [b]) => a - b);
    const text = rows.at(-1)[1].querySelector('.text');
    getSelection().extend(text.querySelector('span').firstChild, 4);
    return text.textContent;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_over_rows_that_are_no_longer_there_is_copied_whole() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines((1..=900).map(|n| format!("\u{1b}[32mline\u{1b}[0m {n}")));
    let view = View::open(&server, "").await;
    view.until_last("line 900").await;
    view.run(WATCH).await;
    view.keys("t").await;
    view.wheel(-6000).await;
    view.until_state("Paused").await;
    view.until_row("line 5").await;
    let first = view.run(SELECT).await.as_str().unwrap().to_owned();
    let mut last = String::new();
    for _ in 0..10 {
        view.wheel(500).await;
        last = view.run(EXTEND).await.as_str().unwrap().to_owned();
    }
    view.keys("\u{e009}c").await;
    view.until("it is copied", "return !!window.copied").await;
    let copied = view.run("return window.copied").await.as_str().unwrap().to_owned();
    // What is seen begins with a coloured word, so that the place within is one of what is seen.
    let from: u64 = first.trim_start_matches("line ").parse().unwrap();
    let lines: Vec<&str> = copied.lines().collect();
    assert!(lines.len() > 100, "{} lines, {first} to {last}", lines.len());
    assert_eq!(lines[0], format!("ne {from}"));
    for (at, line) in lines.iter().enumerate().skip(1).take(lines.len() - 2) {
        assert_eq!(*line, format!("line {}", from + at as u64));
    }
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marked_lines_are_copied_with_or_without_colours() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["\u{1b}[31mred\u{1b}[0m", "two", "three"]);
    let view = View::open(&server, "").await;
    view.until_last("three").await;
    // What a page may put on the clipboard without asking is what execCommand copies.
    view.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        .await;
    view.run(WATCH).await;
    view.keys("kkmkkm").await;
    view.until_text("#told", "2 lines marked").await;
    let copied = "
        const copied = document.querySelector('textarea')?.value;
        return copied ?? null;
    ";
    view.run("document.execCommand = () => { window.copied = document.querySelector('textarea').value; return true; }")
        .await;
    view.keys("c").await;
    view.until(
        "copied",
        "return window.copied === 'red\\ntwo' || window.copied === 'red\\nthree'",
    )
    .await;
    view.until_text("#told", "2 lines copied").await;
    assert!(view.run(copied).await.is_null());
    view.run("localStorage.setItem('tailcast.ansi', 'true')").await;
    view.browser.page.refresh().await.unwrap();
    view.until_last("three").await;
    view.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
        .await;
    view.run("document.execCommand = () => { window.copied = document.querySelector('textarea').value; return true; }")
        .await;
    view.keys("gkkkmc").await;
    view.until("with colours", "return window.copied === '\\x1b[31mred\\x1b[0m'")
        .await;
    view.end().await;
}

/// From loading to an export of what a filter leaves, without a mouse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_reached_by_keyboard_alone() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=30));
    let view = View::open(&server, "").await;
    view.until_last("line 30").await;
    let focused = "const { className, id, tagName } = document.activeElement; return `${tagName}.${className}#${id}`";
    let mut way = Vec::new();
    // Tab goes to the filter, and on to the menu behind it.
    for wanted in ["filter", "more-button"] {
        for _ in 0..20 {
            view.press("\u{e004}").await;
            let at = view.run(focused).await.as_str().unwrap().to_owned();
            way.push(at.clone());
            if at.contains(wanted) {
                break;
            }
        }
        assert!(way.last().unwrap().contains(wanted), "{wanted} by {way:?}");
        if wanted == "filter" {
            view.press("/line 2./").await;
            view.until_text(".filter-count", "10 of 30").await;
        }
    }
    view.press("\u{e007}").await;
    for _ in 0..12 {
        let item = view.run("return document.activeElement.textContent").await;
        if item == "Export the filtered lines as text" {
            break;
        }
        view.press("\u{e015}").await;
    }
    view.press("\u{e007}").await;
    let path = view.browser.downloaded().await;
    assert!(
        path.file_name().unwrap().to_str().unwrap().starts_with("a.log-"),
        "{path:?}"
    );
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        numbered(20..=29).join("\n") + "\n"
    );
    view.end().await;
}
