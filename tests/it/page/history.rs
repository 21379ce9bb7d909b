//! Older lines, and searches in the whole file.

use super::View;
use crate::support::{Proxy, TestServer, numbered};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scrolling_up_loads_older_lines_to_the_first_and_nothing_moves_meanwhile() {
    let server = TestServer::start().await;
    server.log("a.log.1").lines(["rotated away"]);
    let mut log = server.log("a.log");
    log.write(numbered(1..=6_000).join("\n") + "\n");
    let view = View::open(&server, "").await;
    view.until_last("line 6000").await;
    let mut lowest: u64 = view.rows().await[0][5..].parse().unwrap();
    // What is in sight goes down line by line: no line is missing, none comes twice, however often more is loaded.
    for _ in 0..1_000 {
        view.wheel(-200).await;
        let rows = view.rows().await;
        let numbers: Vec<u64> = rows
            .iter()
            .filter_map(|row| row.strip_prefix("line ")?.parse().ok())
            .collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{rows:?}");
        if let (Some(first), Some(last)) = (numbers.first(), numbers.last()) {
            assert!(last + 1 >= lowest, "{first} to {last} below {lowest}");
            lowest = lowest.min(*first);
        }
        if rows[0] == "rotated away" {
            break;
        }
    }
    assert_eq!(lowest, 1);
    view.until_row("rotated away").await;
    view.keys("G").await;
    view.until_last("line 6000").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_goes_through_the_whole_file_and_a_hit_opens_at_its_place() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let lines: Vec<String> = (1..=30_000)
        .map(|n| {
            if n % 9_000 == 0 {
                format!("the needle {n}")
            } else {
                format!("hay {n}")
            }
        })
        .collect();
    log.write(lines.join("\n") + "\n");
    let view = View::open(&server, "").await;
    view.until_last("hay 30000").await;
    view.keys("/").await;
    view.press("needle").await;
    view.press("\u{e008}\u{e007}").await;
    view.until_text(".results-text", "3 hits").await;
    view.until_text(".results-text", "all of it").await;
    let hits = "return [...document.querySelectorAll('.hits li')].map((item) => item.textContent).join()";
    assert_eq!(
        view.run(hits).await,
        "the needle 27000,the needle 18000,the needle 9000"
    );
    view.click(".hits li:nth-child(2) button").await;
    view.until_row("the needle 18000").await;
    let rows = view.rows().await;
    let at = rows.iter().position(|row| row == "the needle 18000").unwrap();
    assert_eq!(
        (rows[at - 1].as_str(), rows[at + 1].as_str()),
        ("hay 17999", "hay 18001")
    );
    view.until_state("Paused").await;

    // From there downwards, line by line, to where the log is live.
    let mut next: u64 = rows.last().unwrap()[4..].parse().unwrap();
    for _ in 0..200 {
        view.wheel(100).await;
        for row in view.rows().await {
            let number: u64 = row.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(number <= next + 1, "a line between {next} and {number} is missing");
            next = next.max(number);
        }
    }
    assert!(next > 18_600, "{next}");
    view.keys("G").await;
    view.until_last("hay 30000").await;
    view.until_state("Live").await;
    log.lines(["and on"]);
    view.until_last("and on").await;
    view.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_can_be_cancelled() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["one", "last"]);
    // The answer never comes, as from a disk that hangs.
    let proxy = Proxy::start(server.address).await;
    let view = View::at(&format!("http://{}/?file=a.log&find=one", proxy.address), "en").await;
    view.until_last("last").await;
    proxy.hold();
    view.click(".whole").await;
    view.until_text(".results-text", "0 hits · searching").await;
    view.click(".results-stop").await;
    view.until_text(".results-text", "cancelled").await;
    view.until(
        "there is nothing to cancel",
        "return document.querySelector('.results-stop').hidden",
    )
    .await;
    view.click(".results-close").await;
    view.until(
        "the drawer is closed",
        "return document.querySelector('.results').hidden",
    )
    .await;
    view.end().await;
}
