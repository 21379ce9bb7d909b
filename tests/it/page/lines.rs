//! What is made of single lines: levels, times, folds, trees and columns.

use serde_json::json;

use super::View;
use crate::support::TestServer;

const CURSOR: &str = "return document.querySelector('.row.cursor .text')?.textContent ?? ''";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_are_coloured_walked_through_and_mapped() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines((1..=400).map(|n| match n {
        50 => "ERROR first".to_owned(),
        120 => "[警告] 慢".to_owned(),
        300 => "{\"level\":\"error\",\"msg\":\"second\"}".to_owned(),
        _ => format!("INFO line {n}"),
    }));
    let view = View::open(&server, "").await;
    view.until_last("INFO line 400").await;
    view.keys("e").await;
    view.until(
        "at the last error",
        &format!("return (() => {{ {CURSOR} }})().includes('second')"),
    )
    .await;
    view.keys("E").await;
    view.until(
        "at the first error",
        &format!("return (() => {{ {CURSOR} }})() === 'ERROR first'"),
    )
    .await;
    let coloured = "
        const colour = (name) => getComputedStyle(document.querySelector(name)).color;
        return colour('.row.error .level') !== colour('.row.info .level');
    ";
    assert_eq!(view.run(coloured).await, json!(true));
    view.keys("w").await;
    view.until(
        "at the warning",
        &format!("return (() => {{ {CURSOR} }})().includes('警告')"),
    )
    .await;
    view.keys("e").await;
    view.until(
        "on to the next error",
        &format!("return (() => {{ {CURSOR} }})().includes('second')"),
    )
    .await;
    // The map has a mark for each of the three, at their heights.
    let marks = "
        const canvas = document.querySelector('.map');
        const { data } = canvas.getContext('2d').getImageData(4, 0, 1, canvas.height);
        const found = [];
        for (let y = 0; y < canvas.height; y += 2) if (data[y * 4 + 3] > 0) found.push(Math.round(y / canvas.height * 20));
        return found;
    ";
    view.until(
        "the map is drawn",
        &format!("return (() => {{ {marks} }})().join() === '2,6,15'"),
    )
    .await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stack_traces_fold_under_their_first_line() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines([
        "ERROR request failed",
        "Traceback (most recent call last):",
        "  File \"a.py\", line 1, in run",
        "httpx.ReadTimeout: 读取超时",
        "INFO on",
    ]);
    let view = View::open(&server, "").await;
    view.until_last("INFO on").await;
    assert_eq!(view.rows().await, ["ERROR request failed", "INFO on"]);
    view.until_text(".chip.fold", "+3 lines").await;
    view.click(".chip.fold").await;
    view.until_row("读取超时").await;
    assert_eq!(view.rows().await.len(), 5);
    view.click(".chip.fold").await;
    view.until("folded again", "return document.querySelectorAll('.row').length === 2")
        .await;
    // What comes later goes where it belongs.
    log.lines(["ERROR again", "    at one", "    at two"]);
    view.keys("G").await;
    view.until_last("ERROR again").await;
    view.until_text(".row:last-child .chip.fold", "+2 lines").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_json_line_opens_as_a_tree_and_fields_become_columns() {
    let server = TestServer::start().await;
    server.log("a.log").lines([
        "{\"time\":\"2026-11-24T02:07:22Z\",\"level\":\"info\",\"http\":{\"status\":200},\"msg\":\"first\"}",
        "{\"time\":\"2026-11-24T02:07:23Z\",\"level\":\"warn\",\"http\":{\"status\":503},\"msg\":\"second\"}",
        "no JSON",
    ]);
    let view = View::open(&server, "").await;
    view.until_last("no JSON").await;
    view.keys("kkk").await;
    view.press("\u{e007}").await;
    view.until_text("div.tree", "status").await;
    view.run("document.querySelector('[data-field=\"http.status\"]').click()")
        .await;
    view.run("document.querySelector('[data-field=\"msg\"]').click()").await;
    let cells = "return [...document.querySelectorAll('.cell')].map((cell) => cell.textContent).join()";
    view.until(
        "both are columns",
        &format!("return (() => {{ {cells} }})() === '200,first,503,second'"),
    )
    .await;
    view.until_row("no JSON").await;
    view.until(
        "in the address",
        "return location.search.includes('column=http.status&column=msg')",
    )
    .await;
    view.click(".taken-column").await;
    view.until(
        "one less",
        &format!("return (() => {{ {cells} }})() === 'first,second'"),
    )
    .await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_stand_beside_lines_in_local_time_or_utc() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(["2026-11-24T02:07:22.113+08:00 old"]);
    let view = View::open(&server, "").await;
    view.until_row("old").await;
    log.lines(["live"]);
    view.until_last("live").await;
    let times = "return [...document.querySelectorAll('.row')].map((row) => row.dataset.time ?? '').join('|')";
    assert_eq!(view.run(times).await, "|");
    view.keys("t").await;
    let arrived = r"/^··:··:··\.···\|\d\d:\d\d:\d\d\.\d{3}$/";
    view.until(
        "arrival, local",
        &format!("return {arrived}.test((() => {{ {times} }})())"),
    )
    .await;
    view.keys("ttt").await;
    view.until_text("#times-name", "of the line, UTC").await;
    view.until(
        "of the line, UTC",
        &format!("return (() => {{ {times} }})().startsWith('18:07:22.113|')"),
    )
    .await;
    // They are no part of what the line says.
    assert_eq!(view.rows().await[1], "live");
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lines_wrap_at_a_key() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["word ".repeat(100), "last".to_owned()]);
    let view = View::open(&server, "").await;
    view.until_last("last").await;
    // Between the key and the next frame there may be no row.
    let height = "return document.querySelector('.row')?.getBoundingClientRect().height ?? 0";
    assert_eq!(view.run(height).await, json!(19));
    view.keys("l").await;
    view.until("it is wrapped", &format!("return (() => {{ {height} }})() > 19 * 3"))
        .await;
    view.until_last("last").await;
    view.keys("l").await;
    view.until("it is not", &format!("return (() => {{ {height} }})() === 19"))
        .await;
    view.end().await;
}
