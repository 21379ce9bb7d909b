//! Several files at a time.

use serde_json::json;
use tailcast::config::{FileEntry, Span};

use super::View;
use crate::support::{TestServer, numbered};

async fn three() -> TestServer {
    let server = TestServer::start().await;
    for name in ["a", "b", "c"] {
        let lines = (1..=3).map(|n| format!("2026-11-24T02:07:{n}0.{}Z {name} {n}", u32::from(name.as_bytes()[0])));
        server.log(&format!("{name}.log")).lines(lines);
    }
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_stand_side_by_side_or_one_above_the_other() {
    let server = three().await;
    let view = View::open(&server, "?file=a.log&file=b.log&file=c.log").await;
    for (pane, text) in [(0, "a 3"), (1, "b 3"), (2, "c 3")] {
        let script = format!(
            "return document.querySelectorAll('.pane')[{pane}].querySelector('.row:last-child .text')?.textContent.endsWith('{text}')"
        );
        view.until(text, &script).await;
    }
    let boxes = "return [...document.querySelectorAll('.pane')].map((pane) => {
        const { left, top, width, height } = pane.getBoundingClientRect();
        return [left, top, width, height].map(Math.round);
    })";
    let columns: Vec<[f64; 4]> = serde_json::from_value(view.run(boxes).await).unwrap();
    assert!(
        columns
            .windows(2)
            .all(|pair| pair[1][0] > pair[0][0] && pair[0][1] == pair[1][1]),
        "{columns:?}"
    );
    view.click("[data-layout=rows]").await;
    view.until("the address says so", "return location.search.endsWith('&layout=rows')")
        .await;
    let rows: Vec<[f64; 4]> = serde_json::from_value(view.run(boxes).await).unwrap();
    assert!(
        rows.windows(2)
            .all(|pair| pair[1][1] > pair[0][1] && pair[0][0] == pair[1][0]),
        "{rows:?}"
    );

    // Keys go to the pane that has the focus, brackets change it, f changes its file.
    view.keys("]").await;
    view.press("f").await;
    view.until(
        "the second pane has another file",
        "return location.search.includes('file=a.log&file=c.log&file=c.log')",
    )
    .await;
    view.press(" ").await;
    view.until("only that pane is paused", "return document.querySelectorAll('.pane')[1].matches('.paused') && !document.querySelector('.pane').matches('.paused')").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_dragged_and_kept() {
    let server = three().await;
    let view = View::open(&server, "?file=a.log&file=b.log").await;
    view.until_row("a 3").await;
    let widths =
        "return [...document.querySelectorAll('.pane')].map((pane) => Math.round(pane.getBoundingClientRect().width))";
    let border = view
        .run("return document.querySelector('.border').getBoundingClientRect().left")
        .await
        .as_f64()
        .unwrap();
    view.drag((border, 400.0), (300.0, 400.0)).await;
    let dragged = view.run(widths).await;
    assert!((dragged[0].as_f64().unwrap() - 300.0).abs() < 4.0, "{dragged}");
    view.until("the address has it", "return location.search.includes('sizes=')")
        .await;
    // By keyboard too.
    view.run("document.querySelector('.border').focus()").await;
    view.press("\u{e014}").await;
    assert!(view.run(widths).await[0].as_f64().unwrap() > 310.0);
    view.until(
        "and it is remembered",
        "return localStorage.getItem('tailcast.view')?.includes('sizes=')",
    )
    .await;
    let kept = view.run(widths).await;
    view.goto(&format!("http://{}/", server.address)).await;
    view.until_row("a 3").await;
    let again = view.run(widths).await;
    assert!(
        (again[0].as_f64().unwrap() - kept[0].as_f64().unwrap()).abs() < 4.0,
        "{again} {kept}"
    );
    view.end().await;
}

/// Six panes stand in two rows of three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_in_rows_of_panes_are_dragged_and_kept() {
    let server = TestServer::with(|config| {
        config.files = (1..=7).map(|n| FileEntry::named(&format!("{n}.log"))).collect();
    })
    .await;
    for n in 1..=7 {
        server.log(&format!("{n}.log")).lines(numbered(1..=200));
    }
    let query: Vec<String> = (1..=6).map(|n| format!("file={n}.log")).collect();
    let view = View::open(&server, &format!("?{}", query.join("&"))).await;
    view.until_last_of(5, "line 200").await;
    // A reader in the last pane, who must not be moved by any of it.
    view.run("document.querySelectorAll('.log')[5].focus()").await;
    view.press("g").await;
    view.until(
        "it is at the top",
        "return document.querySelectorAll('.log')[5].scrollTop === 0",
    )
    .await;
    view.run("document.querySelectorAll('.log')[5].scrollTop = 200").await;

    let even = boxes(&view).await;
    assert_eq!(even.len(), 6);
    assert!(even[0][0] == even[3][0] && even[1][2] == even[4][2], "{even:?}");
    // The border between the first two, in the upper row alone.
    view.drag((even[1][0] - 0.5, 100.0), (250.0, 100.0)).await;
    let dragged = boxes(&view).await;
    assert!((dragged[1][0] - 250.0).abs() < 3.0, "{dragged:?}");
    assert_eq!(dragged[2..], even[2..]);
    // That between the rows, all along.
    view.drag((900.0, even[3][1] - 0.5), (900.0, 300.0)).await;
    let lower = boxes(&view).await;
    assert!((lower[3][1] - 300.0).abs() < 3.0, "{lower:?}");
    assert!(lower[3][1] == lower[5][1] && lower[3][0] == even[3][0], "{lower:?}");
    assert!(
        lower[..3].iter().all(|pane| pane[3] < even[0][3]) && lower[3..].iter().all(|pane| pane[3] > even[0][3]),
        "{lower:?}"
    );
    // By keyboard too: Tab goes through them in the order of the panes.
    for (border, orientation, key, pane, side) in
        [(0, "vertical", "\u{e014}", 1, 0), (2, "horizontal", "\u{e015}", 3, 1)]
    {
        let focused = format!(
            "const border = document.querySelectorAll('[role=separator]')[{border}]; border.focus();
             return [border.getAttribute('aria-orientation'), border.getAttribute('aria-valuenow')]"
        );
        let before = (view.run(&focused).await, boxes(&view).await);
        assert_eq!(before.0[0], orientation);
        view.press(key).await;
        assert!(boxes(&view).await[pane][side] > before.1[pane][side] + 10.0);
        assert_ne!(view.run(&focused).await[1], before.0[1]);
    }
    let kept = boxes(&view).await;
    view.until(
        "the address has them all, the last one too",
        "const sizes = new URLSearchParams(location.search).get('sizes')?.split(',').map(Number) ?? [];
         const share = document.querySelectorAll('[role=separator]')[2].getAttribute('aria-valuenow');
         return sizes.length === 8 && Math.round(sizes[6] / (sizes[6] + sizes[7]) * 100) === Number(share)",
    )
    .await;
    assert_eq!(
        view.run("return document.querySelectorAll('.log')[5].scrollTop > 150")
            .await,
        json!(true)
    );

    view.browser.page.refresh().await.unwrap();
    view.until_last_of(5, "line 200").await;
    assert!(near(&boxes(&view).await, &kept), "in the address");
    view.goto(&format!("http://{}/", server.address)).await;
    view.until_last_of(5, "line 200").await;
    assert!(near(&boxes(&view).await, &kept), "and remembered");

    // One more, and none of those that were there is moved in the document.
    view.run("window.moved = 0; new MutationObserver((all) => all.forEach(({ removedNodes }) => removedNodes.forEach((node) => {
            window.moved += node.matches('.pane') ? 1 : 0;
        }))).observe(document.getElementById('panes'), { childList: true })")
        .await;
    view.click("#add").await;
    view.until(
        "the files are there",
        "return !!document.querySelector('#add-files [role=option]')",
    )
    .await;
    view.click("#add-files [role=option]:nth-child(7)").await;
    view.until_last_of(6, "line 200").await;
    assert_eq!(view.run("return window.moved").await, 0);
    let seven = boxes(&view).await;
    assert!(seven[3][1] == seven[0][1] && seven[4][1] == seven[6][1], "{seven:?}");
    assert!(
        (seven[4][1] - kept[3][1]).abs() < 2.0,
        "rows keep their heights: {seven:?}"
    );
    view.end().await;
}

/// Where panes are: left, top, width and height.
async fn boxes(view: &View) -> Vec<[f64; 4]> {
    let boxes = "return [...document.querySelectorAll('.pane')].map((pane) => {
        const { left, top, width, height } = pane.getBoundingClientRect();
        return [left, top, width, height];
    })";
    serde_json::from_value(view.run(boxes).await).unwrap()
}

fn near(one: &[[f64; 4]], other: &[[f64; 4]]) -> bool {
    one.len() == other.len()
        && one
            .as_flattened()
            .iter()
            .zip(other.as_flattened())
            .all(|(a, b)| (a - b).abs() < 2.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_merged_by_time_with_a_colour_each() {
    let server = three().await;
    let view = View::open(&server, "?file=a.log&file=b.log&layout=merged").await;
    view.until_row("b 3").await;
    let rows: Vec<String> = view
        .rows()
        .await
        .iter()
        .map(|row| row[row.len() - 3..].to_owned())
        .collect();
    assert_eq!(rows, ["a 1", "b 1", "a 2", "b 2", "a 3", "b 3"]);
    let colours = "
        const colour = (row) => getComputedStyle(row).borderLeftColor;
        const rows = [...document.querySelectorAll('.row')];
        return [colour(rows[0]) === colour(rows[2]), colour(rows[0]) === colour(rows[1]), rows[1].dataset.file];
    ";
    assert_eq!(view.run(colours).await, json!([true, false, "b.log"]));
    server.log("a.log").lines(["live in a"]);
    view.until_last("live in a").await;
    server.log("b.log").lines(["live in b"]);
    view.until_last("live in b").await;
    // And apart again.
    view.click("[data-layout=columns]").await;
    view.until("two panes", "return document.querySelectorAll('.pane').length === 2")
        .await;
    view.until_last_of(1, "live in b").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panes_are_added_and_closed_and_files_picked() {
    let server = three().await;
    let view = View::open(&server, "").await;
    view.until_row("a 3").await;
    view.click("#add").await;
    view.until(
        "the files are there",
        "return !!document.querySelector('#add-files [role=option]')",
    )
    .await;
    view.click("#add-files [role=option]:nth-child(2)").await;
    view.until(
        "there are two",
        "return document.querySelectorAll('.pane').length === 2",
    )
    .await;
    view.until(
        "it is in the address",
        "return location.search === '?file=a.log&file=b.log'",
    )
    .await;
    view.click(".pane .file").await;
    view.until(
        "the files are there",
        "return !!document.querySelector('.pane [role=option]')",
    )
    .await;
    view.click(".pane .files [role=option]:nth-child(3)").await;
    view.until_row("c 3").await;
    view.click(".pane .close").await;
    view.until("one is left", "return location.search === '?file=b.log'")
        .await;
    view.until_row("b 3").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_panes_are_live_at_once() {
    let server = TestServer::with(|config| {
        config.stream.partial_line_timeout = Span::millis(500);
        config.files = (1..=20)
            .map(|n| tailcast::config::FileEntry::named(&format!("{n}.log")))
            .collect();
    })
    .await;
    let query: Vec<String> = (1..=20).map(|n| format!("file={n}.log")).collect();
    for n in 1..=20 {
        server.log(&format!("{n}.log")).lines([format!("first of {n}")]);
    }
    let view = View::open(&server, &format!("?{}", query.join("&"))).await;
    for n in 1..=20 {
        view.until_last_of(n - 1, &format!("first of {n}")).await;
        server.log(&format!("{n}.log")).lines([format!("second of {n}")]);
        view.until_last_of(n - 1, &format!("second of {n}")).await;
    }
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_low_pane_shows_its_fields_while_they_are_used() {
    let server = three().await;
    let query = ["file=a.log"; 20].join("&");
    let view = View::open(&server, &format!("?{query}")).await;
    view.until_last_of(5, "2026-11-24T02:07:30.97Z a 3").await;
    let shown = "return [...document.querySelectorAll('.pane')].flatMap((pane, at) =>
        pane.querySelector('.fields').getBoundingClientRect().height > 10 ? [at] : []);";
    assert_eq!(view.run(shown).await, json!([]));
    view.click(".pane:nth-of-type(6) .seek").await;
    assert_eq!(view.run(shown).await, json!([5]));
    view.press("3").await;
    view.until_text(".pane:nth-of-type(6) .hit", "3").await;
    view.click(".pane:nth-of-type(2) .log").await;
    assert_eq!(view.run(shown).await, json!([5]), "they hold something");
    view.press("/").await;
    assert_eq!(view.run(shown).await, json!([1, 5]));
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_may_have_any_characters() {
    let name = "a b+c&d=日#%20.log";
    let server = TestServer::with(|config| config.files = vec![FileEntry::named(name)]).await;
    server.log(name).lines(numbered(1..=2000));
    let view = View::open(&server, "?file=a%20b%2Bc%26d%3D%E6%97%A5%23%2520.log").await;
    view.until_last("line 2000").await;
    view.wheel(-100_000).await;
    // It began with 500 lines; those above come from the history.
    view.until(
        "older lines are there",
        "return document.body.innerText.includes('line 1499')",
    )
    .await;
    view.end().await;
}
