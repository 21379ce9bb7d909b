//! The viewer page in a real browser, against a real server and real files.

use std::time::Duration;

use fantoccini::Locator;
use serde_json::{Value, json};
use tailcast::config::Span;

use crate::support::{Browser, Log, Program, TestServer, numbered};

/// The text of the rows that are on the screen, in their order there.
const ROWS: &str = "
    const log = document.getElementById('log').getBoundingClientRect();
    const rows = [...document.querySelectorAll('#log .row')]
        .map((row) => [row.getBoundingClientRect(), row.textContent])
        .filter(([box]) => box.top >= log.top && box.bottom <= log.bottom);
    rows.sort(([a], [b]) => a.top - b.top);
    return rows.map(([, text]) => text);
";

async fn rows(browser: &Browser) -> Vec<String> {
    serde_json::from_value(browser.run(ROWS).await).unwrap()
}

/// Waits until the last row on the screen is `text`.
async fn until_last(browser: &Browser, text: &str) {
    let script = format!(
        "const rows = (() => {{ {ROWS} }})(); return rows.at(-1) === {};",
        json!(text)
    );
    browser.until(&format!("the last row is {text}"), &script).await;
}

/// Waits until the state reads so; the reader's language is English.
async fn until_state(browser: &Browser, part: &str) {
    let script = format!(
        "return document.getElementById('state-text').textContent.toLowerCase().includes({});",
        json!(part)
    );
    browser.until(&format!("the state is {part}"), &script).await;
}

async fn key(browser: &Browser, key: &str) {
    let log = browser.page.find(Locator::Css("#log")).await.unwrap();
    log.send_keys(key).await.unwrap();
}

/// Nothing may have been refused by the policy or thrown; what the network says of a server that is away is no fault.
async fn no_errors(browser: &Browser) {
    let script = "return performance.getEntriesByType('resource').map((entry) => entry.name)";
    let resources: Vec<String> = serde_json::from_value(browser.run(script).await).unwrap();
    let here = browser.page.current_url().await.unwrap();
    let origin = here.origin().ascii_serialization();
    assert!(resources.iter().all(|name| name.starts_with(&origin)), "{resources:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_shows_history_and_live_lines_and_follows_them() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=60));
    let browser = Browser::start("en").await;
    browser.page.goto(&format!("http://{}/", server.address)).await.unwrap();
    until_last(&browser, "line 60").await;
    until_state(&browser, "live").await;
    log.lines(numbered(61..=500));
    until_last(&browser, "line 500").await;
    assert!(
        rows(&browser).await.len() < 150,
        "only what is in sight is in the document"
    );

    // Paused, nothing on the screen moves, and the reader is told what came.
    key(&browser, " ").await;
    until_state(&browser, "paused").await;
    let before = rows(&browser).await;
    log.lines(numbered(501..=1704));
    browser
        .until(
            "the pill counts",
            "return document.getElementById('pill-text').textContent.includes('1,204');",
        )
        .await;
    assert_eq!(rows(&browser).await, before);
    browser
        .page
        .find(Locator::Css("#pill"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    until_last(&browser, "line 1704").await;
    no_errors(&browser).await;
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_lines_are_text() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let browser = Browser::start("en").await;
    browser.page.goto(&format!("http://{}/", server.address)).await.unwrap();
    until_state(&browser, "live").await;
    log.lines([
        "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>",
        "\u{1b}]8;;javascript:window.hacked=1\u{1b}\\link\u{1b}]8;;\u{1b}\\ \u{1b}[31mred\u{1b}[0m",
        "last",
    ]);
    until_last(&browser, "last").await;
    let rows = rows(&browser).await;
    assert!(rows.contains(&"<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>".to_owned()));
    assert!(
        rows.contains(&"link red".to_owned()),
        "escape sequences vanish: {rows:?}"
    );
    assert_eq!(browser.run("return window.hacked ?? null").await, Value::Null);
    assert_eq!(
        browser
            .run("return document.querySelectorAll('#log img, #log a, #log script').length")
            .await,
        json!(0)
    );
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_file_can_be_picked_and_is_in_the_address() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["in a"]);
    server.log("b.log").lines(["in b"]);
    let browser = Browser::start("en").await;
    browser
        .page
        .goto(&format!("http://{}/?file=b.log", server.address))
        .await
        .unwrap();
    until_last(&browser, "in b").await;
    browser
        .page
        .find(Locator::Css("#file"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    let first = browser.page.find(Locator::Css("#files [role=option]")).await.unwrap();
    first.click().await.unwrap();
    until_last(&browser, "in a").await;
    let address = browser.page.current_url().await.unwrap();
    assert_eq!(address.query(), Some("file=a.log"));
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reconnects_when_the_server_is_back_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::create(dir.path().join("a.log"));
    log.lines(["before"]);
    let mut program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "a.log"]);
    let address = program.address.clone();
    let browser = Browser::start("en").await;
    browser.page.goto(&format!("http://{address}/")).await.unwrap();
    until_last(&browser, "before").await;
    program.signal(rustix::process::Signal::TERM);
    assert_eq!(program.wait(), 0);
    until_state(&browser, "reconnecting").await;
    log.lines(["while away"]);
    let _again = Program::start(dir.path(), &["-l", &address, "a.log"]);
    until_state(&browser, "live").await;
    until_last(&browser, "while away").await;
    log.lines(["after"]);
    until_last(&browser, "after").await;
    let rows = rows(&browser).await;
    assert!(rows.len() > 4, "a row says what happened between: {rows:?}");
    browser.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncation_and_removal_are_told_in_the_readers_language() {
    let server = TestServer::with(|config| config.stream.rotate_grace = Span::millis(300)).await;
    let mut log = server.log("a.log");
    log.lines(["one"]);
    let browser = Browser::start("zh-CN").await;
    browser.page.goto(&format!("http://{}/", server.address)).await.unwrap();
    until_last(&browser, "one").await;
    assert_eq!(
        browser.run("return document.documentElement.lang").await,
        json!("zh-CN")
    );
    log.truncate(0);
    log.lines(["two"]);
    until_last(&browser, "two").await;
    let shown = rows(&browser).await;
    assert!(shown.iter().any(|row| row.contains("截断")), "{shown:?}");
    assert!(
        !shown.iter().any(|row| row.contains("重新加载...")),
        "in words of its own: {shown:?}"
    );
    log.remove();
    tokio::time::sleep(Duration::from_millis(300)).await;
    browser
        .until(
            "the removal is shown",
            "return document.getElementById('state').className.includes('live') === false;",
        )
        .await;
    browser.end().await;
}
