//! Lines that want to be more than text.

use serde_json::{Value, json};

use tailcast::config::Size;

use super::View;
use crate::support::TestServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_lines_are_text() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let view = View::open(&server, "").await;
    view.until_state("Live").await;
    let markup = "<img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>";
    log.lines([
        markup,
        "\u{1b}]8;;javascript:window.hacked=1\u{1b}\\link\u{1b}]8;;\u{1b}\\ \u{1b}[31mred\u{1b}[0m",
        "user\u{202e}gnp.exe \u{2066}x",
        "a\u{0}b\u{7}c\u{1b}[2Jd\u{1b}[9999;9999He",
        "{\"<b>k</b>\":\"<script>window.hacked=1</script>\",\"__proto__\":{\"x\":1}}",
    ]);
    log.write("\u{1b}[31m\u{1b}[1m\u{1b}[4m".repeat(5_000) + "bomb\n");
    log.lines(["last"]);
    view.until_last("last").await;
    let rows = view.rows().await;
    assert_eq!(rows[0], markup);
    assert_eq!(rows[1], "link red", "escape sequences vanish");
    assert_eq!(rows[2], "user⟨U+202E⟩gnp.exe ⟨U+2066⟩x", "what reorders others is seen");
    assert_eq!(rows[3], "a␀b␇cde", "so are control characters");
    assert_eq!(rows[5], "bomb");
    // Opened as a tree as well.
    view.run("document.querySelector('.chip.tree').click()").await;
    view.until_text("div.tree", "<b>k</b>").await;
    assert_eq!(view.run("return window.hacked ?? null").await, Value::Null);
    let foreign = "return document.querySelectorAll('.log :is(img, a, script, b, iframe, style)').length";
    assert_eq!(view.run(foreign).await, json!(0));
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_is_cut_until_the_reader_wants_all_of_it() {
    let server = TestServer::with(|config| config.stream.max_line = Size::mib(2)).await;
    let mut log = server.log("a.log");
    let view = View::open(&server, "").await;
    view.until_state("Live").await;
    log.write("x".repeat(1 << 20) + "END\n");
    log.lines(["after"]);
    view.until_last("after").await;
    let shown = "return document.querySelector('.row .text').textContent.length";
    assert_eq!(view.run(shown).await, json!(2_000));
    view.until_text(".chip.whole", "show all 1.0 MiB").await;
    view.click(".chip.whole").await;
    view.until(
        "all of it is there",
        "return document.querySelector('.row .text')?.textContent.endsWith('END')",
    )
    .await;
    view.until_text(".chip.whole", "show less").await;
    view.end().await;
}

/// What the page may load and do is fixed by its policy: a script in it would not run, even where it got in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_refuses_inline_code() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one"]);
    let view = View::open(&server, "").await;
    view.until_last("one").await;
    let inject = "
        const script = document.createElement('script');
        script.textContent = 'window.hacked = 1';
        document.body.append(script);
        const div = document.createElement('div');
        div.setAttribute('onclick', 'window.hacked = 1');
        document.body.append(div);
        div.click();
        return window.hacked ?? null;
    ";
    assert_eq!(view.run(inject).await, Value::Null);
    view.end().await;
}
