//! Languages, themes, access for all, and what the page weighs.

use serde_json::{Value, json};
use tailcast::config::FileEntry;

use super::View;
use crate::support::{Program, TestServer, request};

const SAMPLE: [&str; 6] = [
    "2026-11-24 02:07:22 INFO a line",
    "2026-11-24 02:07:22 ERROR a failure",
    "2026-11-24 02:07:22 WARN slow",
    "2026-11-24 02:07:22 DEBUG \u{1b}[33myellow\u{1b}[0m \u{1b}[2mdim\u{1b}[0m \u{1b}[41mon red\u{1b}[0m \u{1b}[7mreverse\u{1b}[0m",
    "\u{1b}[30mblack\u{1b}[0m \u{1b}[97mwhite\u{1b}[0m \u{1b}[38;2;20;20;20mnight\u{1b}[0m \u{1b}[38;5;229mpale\u{1b}[0m",
    "{\"level\":\"trace\",\"msg\":\"searched for\"}",
];

/// Texts whose colour is too near to that of the ground behind them.
const PALE: &str = "
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const over = (ground, colour) => {
        context.fillStyle = `rgb(${ground})`;
        context.fillRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const light = (colour) => {
        const [r, g, b] = colour.map((value) => {
            const share = value / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const pale = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility({ checkOpacity: true })) continue;
        if (element.closest('noscript, template, script')) continue;
        const chain = [];
        for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at).backgroundColor);
        const ground = chain.reduce((below, colour) => over(below, colour), [255, 255, 255]);
        const front = over(ground, getComputedStyle(element).color);
        const [a, b] = [light(ground), light(front)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) pale.push(`${walker.currentNode.textContent}: ${ratio.toFixed(2)}, ${front} on ${ground}`);
    }
    return pale;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_text_can_be_read_in_every_theme() {
    let server = TestServer::start().await;
    server.log("a.log").lines(SAMPLE);
    let view = View::open(&server, "?file=a.log&file=b.log&find=searched+line+failure+a+slow+22").await;
    view.until_row("searched for").await;
    view.keys("k").await;
    for theme in ["light", "dark", "contrast"] {
        view.run(&format!("document.documentElement.dataset.theme = '{theme}'"))
            .await;
        let pale = view.run(PALE).await;
        assert_eq!(pale, json!([]), "theme {theme}");
        view.run("document.getElementById('help-dialog').showModal()").await;
        assert_eq!(view.run(PALE).await, json!([]), "help in theme {theme}");
        view.run("document.getElementById('help-dialog').close()").await;
    }
    view.end().await;
}

/// What assistive software needs: names for all that can be used, roles that belong together, one level of headings.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_can_be_used_has_a_name_and_a_role() {
    let server = TestServer::start().await;
    server.log("a.log").lines(SAMPLE);
    let view = View::open(&server, "?file=a.log&file=b.log&filter=line").await;
    view.until_row("a line").await;
    let problems = "
        const problems = [];
        const name = (element) => element.getAttribute('aria-label') || element.textContent.trim() || element.title;
        for (const element of document.querySelectorAll('button, a[href], input, [role], canvas, dialog')) {
            if (!element.checkVisibility() && !element.hidden) continue;
            const role = element.getAttribute('role');
            if (element.matches('canvas')) {
                if (element.getAttribute('aria-hidden') !== 'true') problems.push('a canvas that is read');
            } else if (element.matches('button, a, input, [role=log], [role=separator], [role=radiogroup]') && !name(element)) {
                problems.push(`without a name: ${element.outerHTML.slice(0, 80)}`);
            }
            if (role === 'log' && element.getAttribute('aria-live') !== 'off') problems.push('the log floods');
            if (role === 'radio' && !element.closest('[role=radiogroup]')) problems.push('a radio button alone');
        }
        const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
        if (new Set(ids).size !== ids.length) problems.push('an id twice');
        if (document.querySelectorAll('main').length !== 1) problems.push('not one main part');
        return problems;
    ";
    assert_eq!(view.run(problems).await, json!([]));
    // The focus is seen wherever it is.
    let mut unseen: Vec<Value> = Vec::new();
    for _ in 0..30 {
        view.press("\u{e004}").await;
        let outlined = "
            const element = document.activeElement;
            const ring = element.closest('.field') ?? element;
            const style = getComputedStyle(ring);
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1 ? null : element.outerHTML.slice(0, 90);
        ";
        let missing = view.run(outlined).await;
        if !missing.is_null() && !missing.as_str().unwrap().starts_with("<body") {
            unseen.push(missing);
        }
    }
    assert_eq!(unseen, Vec::<Value>::new());
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_language_follows_the_browser_and_can_be_switched() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one"]);
    let view = View::at(&format!("http://{}/", server.address), "zh-CN").await;
    view.until_state("实时").await;
    view.until_text(".pause-text", "暂停").await;
    view.click("#language").await;
    view.until_state("Live").await;
    assert_eq!(view.run("return document.documentElement.lang").await, "en");
    view.browser.page.refresh().await.unwrap();
    view.until_state("Live").await;
    // No word of the other language is left.
    let chinese = "return document.body.innerText.replace('中文', '').match(/[\\u4e00-\\u9fff]+/)?.[0] ?? null";
    assert_eq!(view.run(chinese).await, Value::Null);
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_theme_follows_the_system_and_can_be_switched() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one"]);
    let view = View::open(&server, "").await;
    view.until_last("one").await;
    let ground = "return getComputedStyle(document.body).backgroundColor";
    let mut grounds = vec![view.run(ground).await];
    for _ in 0..3 {
        view.click("#theme").await;
        grounds.push(view.run(ground).await);
    }
    assert_ne!(grounds[1], grounds[2], "light and dark");
    assert!(
        grounds[0] == grounds[1] || grounds[0] == grounds[2],
        "that of the system at first"
    );
    view.browser.page.refresh().await.unwrap();
    view.until_last("one").await;
    assert_eq!(
        view.run("return document.documentElement.dataset.theme").await,
        "contrast"
    );
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_help_lists_every_key() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one"]);
    let view = View::open(&server, "").await;
    view.until_last("one").await;
    view.keys("?").await;
    view.until("it is open", "return document.getElementById('help-dialog').open")
        .await;
    let keys = view
        .run("return [...document.querySelectorAll('#keys kbd')].map((key) => key.textContent).join(' ')")
        .await;
    for key in "j k g G Space / n N e E w W f F m c [ ] l t ?".split(' ') {
        assert!(
            keys.as_str().unwrap().split(' ').any(|listed| listed == key),
            "{key} in {keys}"
        );
    }
    view.end().await;
}

/// A telephone: nothing is wider than the screen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_fits_a_telephone() {
    let server = TestServer::start().await;
    server.log("a.log").lines(SAMPLE);
    let view = View::open(&server, "").await;
    view.browser.page.set_window_size(500, 844).await.unwrap();
    view.browser.page.refresh().await.unwrap();
    view.until_row("searched for").await;
    let wide = "
        return [...document.querySelectorAll('button, input, .state, .row')]
            .filter((element) => element.checkVisibility() && element.getBoundingClientRect().right > innerWidth + 1)
            .map((element) => element.className);
    ";
    assert_eq!(view.run(wide).await, json!([]));
    view.end().await;
}

/// As a browser gets them: below 60 KB, and with some room, as what is added comes from several sides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_parts_of_the_page_together_are_small() {
    const BUDGET: usize = 57_000;
    let server = TestServer::start().await;
    let accept = [("Accept-Encoding", "gzip")];
    let page = request(server.address, "GET / HTTP/1.1", &accept).await;
    let mut sizes = vec![("/".to_owned(), page.body.len())];
    let html = request(server.address, "GET / HTTP/1.1", &[]).await.text();
    for name in html
        .split('"')
        .filter(|part| part.starts_with("assets/"))
        .map(ToOwned::to_owned)
    {
        let part = request(server.address, &format!("GET /{name} HTTP/1.1"), &accept).await;
        assert_eq!(part.status, 200, "{name}");
        sizes.push((name, part.body.len()));
    }
    let total: usize = sizes.iter().map(|(_, size)| size).sum();
    assert!(sizes.len() >= 5 && total <= BUDGET, "{total} bytes: {sizes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_below_a_prefix() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.log"), "below\n").unwrap();
    std::fs::write(dir.path().join("tailcast.toml"), "base_path = \"/logs\"\n").unwrap();
    let program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "a.log"]);
    let view = View::at(&format!("http://{}/logs", program.address), "en").await;
    view.until_last("below").await;
    view.until_state("Live").await;
    view.end().await;
}

/// Whoever comes again asks for the page, the list of files and lines, and for no part of the page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_the_page_are_fetched_once() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one"]);
    let view = View::open(&server, "?file=a.log").await;
    view.until_last("one").await;
    let fetched = "
        return performance.getEntriesByType('resource')
            .filter(({ name }) => /\\/assets\\/.*(js|css)$/.test(name))
            .map(({ name, transferSize }) => [name.split('/').slice(-1)[0], name.split('/').length, transferSize > 0]);
    ";
    let parts = |loaded: bool| json!(["early.js", "page.css", "page.js"].map(|name| json!([name, 6, loaded])));
    assert_eq!(sorted(view.run(fetched).await), parts(true));
    view.goto("about:blank").await;
    view.goto(&format!("http://{}/?file=a.log", server.address)).await;
    view.until_last("one").await;
    assert_eq!(sorted(view.run(fetched).await), parts(false));
    view.end().await;
}

fn sorted(list: Value) -> Value {
    let Value::Array(mut list) = list else {
        panic!("no list: {list}");
    };
    list.sort_by_key(ToString::to_string);
    Value::Array(list)
}

/// The first connection is made before the modules are there, and it is the one that is used.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connection_is_made_for_a_pane() {
    let server =
        TestServer::with(|config| config.files = vec![FileEntry::named("a.log"), FileEntry::named("b.log")]).await;
    server.log("a.log").lines(["one"]);
    server.log("b.log").lines(["two"]);
    let view = View::open(&server, "?file=a.log&file=b.log").await;
    view.until_last("one").await;
    view.until_last_of(1, "two").await;
    assert_eq!(connections(&server).await, [1.0, 1.0]);
    view.until("it was taken over", "return window.early.socket.onclose !== null")
        .await;
    // Where it is remembered what to show, too; what the list does not have any more is let go of.
    view.goto(&format!("http://{}/", server.address)).await;
    view.until_last_of(1, "two").await;
    assert_eq!(connections(&server).await, [2.0, 2.0]);
    view.goto("about:blank").await;
    view.goto(&format!("http://{}/metrics", server.address)).await;
    view.run("localStorage.setItem('tailcast.view', 'file=b.log&file=gone.log')")
        .await;
    view.goto(&format!("http://{}/", server.address)).await;
    view.until_last("one").await;
    view.until("nobody wanted it", "return window.early.socket.readyState > 1")
        .await;
    // Merged files begin with pages of lines, and each has its one connection behind these.
    let before = connections(&server).await;
    view.goto(&format!(
        "http://{}/?file=a.log&file=b.log&layout=merged",
        server.address
    ))
    .await;
    view.until_state("Live").await;
    assert_eq!(connections(&server).await, before.map(|count| count + 1.0));
    view.end().await;
}

/// How many connections there have been to each of two files.
async fn connections(server: &TestServer) -> [f64; 2] {
    let opened = async |file: &str| {
        server
            .metric(&format!(
                "tailcast_connections_opened_total{{file=\"{file}\",protocol=\"v1\"}}"
            ))
            .await
    };
    [opened("a.log").await, opened("b.log").await]
}
