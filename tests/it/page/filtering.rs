//! Filters, highlights, and walking through hits.

use serde_json::json;

use super::View;
use crate::support::TestServer;

const FRUIT: [&str; 6] = [
    "INFO apple one",
    "DEBUG apple two",
    "INFO Pear three",
    "ERROR apple four",
    "INFO plum five",
    "DEBUG pear six",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terms_include_and_exclude_and_count() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(FRUIT);
    let view = View::open(&server, "").await;
    view.until_last("DEBUG pear six").await;
    view.fill("input.filter", "apple -debug").await;
    view.until_last("ERROR apple four").await;
    assert_eq!(view.rows().await, ["INFO apple one", "ERROR apple four"]);
    view.until_text(".filter-count", "2 of 6").await;
    log.lines(["INFO apple seven", "DEBUG apple eight", "INFO Apple nine"]);
    view.until_last("INFO Apple nine").await;
    view.until_text(".filter-count", "4 of 9").await;

    // Smart case, and an expression.
    view.fill("input.filter", "Apple").await;
    view.until_text(".filter-count", "1 of 9").await;
    view.fill("input.filter", "/p(ea|lu)/").await;
    view.until_text(".filter-count", "3 of 9").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_expression_is_coloured_and_the_last_good_one_stays() {
    let server = TestServer::start().await;
    server.log("a.log").lines(FRUIT);
    let view = View::open(&server, "").await;
    view.until_last("DEBUG pear six").await;
    view.fill("input.filter", "/plum/").await;
    view.until_text(".filter-count", "1 of 6").await;
    // In between, at the place before the last slash.
    view.press("\u{e010}\u{e012}(").await;
    view.until(
        "the field is coloured",
        "return !!document.querySelector('.field.bad input.filter')",
    )
    .await;
    let colours = "
        const style = (name) => getComputedStyle(document.querySelector(name)).borderColor;
        return style('.field.bad') !== style('.field:not(.bad)');
    ";
    assert_eq!(view.run(colours).await, json!(true));
    assert_eq!(view.rows().await, ["INFO plum five"]);
    view.until_text(".field-error", "No regular expression").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filtered_row_is_shown_in_context() {
    let server = TestServer::start().await;
    let lines = (1..=300).map(|n| {
        if n == 150 {
            "the needle".to_owned()
        } else {
            format!("hay {n}")
        }
    });
    server.log("a.log").lines(lines);
    let view = View::open(&server, "?file=a.log&filter=needle").await;
    view.until_last("the needle").await;
    view.click(".chip.context").await;
    view.until_row("hay 149").await;
    let rows = view.rows().await;
    let at = rows
        .iter()
        .position(|row| row == "the needle")
        .expect("the line itself is in sight");
    assert_eq!((rows[at - 1].as_str(), rows[at + 1].as_str()), ("hay 149", "hay 151"));
    assert_eq!(
        view.run("return document.querySelector('.row.cursor .text').textContent")
            .await,
        "the needle"
    );
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn highlights_are_apart_from_the_filter_in_a_colour_a_term() {
    let server = TestServer::start().await;
    server.log("a.log").lines(FRUIT);
    let view = View::open(&server, "?file=a.log&find=apple+pear").await;
    view.until_last("DEBUG pear six").await;
    view.until_text(".find-count", "5").await;
    assert_eq!(view.rows().await, FRUIT, "all lines are there");
    let colours = "
        const colour = (name) => getComputedStyle(document.querySelector(name)).backgroundColor;
        return [document.querySelectorAll('.hit').length, colour('.hit0') === colour('.hit1')];
    ";
    assert_eq!(view.run(colours).await, json!([5, false]));

    // n and N walk through them.
    let cursor = "return document.querySelector('.row.cursor .text')?.textContent ?? ''";
    view.keys("g").await;
    let mut walked = Vec::new();
    for key in ["n", "n", "n", "N"] {
        view.keys(key).await;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        walked.push(view.run(cursor).await.as_str().unwrap().to_owned());
    }
    assert_eq!(walked, [FRUIT[0], FRUIT[1], FRUIT[2], FRUIT[1]]);
    view.until_text(".find-count", "2 of 5").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_shares_the_view() {
    let server = TestServer::start().await;
    server.log("a.log").lines(FRUIT);
    let view = View::open(&server, "").await;
    view.until_last("DEBUG pear six").await;
    view.fill("input.filter", "-debug").await;
    view.fill("input.find", "\"apple four\"").await;
    view.until("the address has both", "return location.search.includes('find=')")
        .await;
    let address = view.browser.page.current_url().await.unwrap();
    assert_eq!(address.query(), Some("file=a.log&filter=-debug&find=%22apple+four%22"));
    let other = View::at(address.as_str(), "en").await;
    other.until_last("INFO plum five").await;
    other.until_text(".filter-count", "4 of 6").await;
    other.until_text(".hit", "apple four").await;
    other.end().await;
    view.end().await;
}

/// Typing goes on while fifty thousand lines are looked at: a change of the filter is taken in slices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_over_all_that_is_held_finds_every_line() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let view = View::open(&server, "").await;
    view.until_state("Live").await;
    let lines: Vec<String> = (1..=40_000)
        .map(|n| format!("request {n} of worker {}", n % 7))
        .collect();
    log.write(lines.join("\n") + "\n");
    view.until_last(&lines[39_999]).await;
    view.fill("input.filter", "\"worker 3\"").await;
    let expected = (1..=40_000).filter(|n| n % 7 == 3).count();
    let text = format!("{},{:03} of 40,000", expected / 1000, expected % 1000);
    view.until_text(".filter-count", &text).await;
    view.end().await;
}
