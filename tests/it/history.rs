//! Pages of a log's past: whole lines before and after a position, on into rotated files.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::process::Command;

use encoding_rs::GB18030;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;
use tailcast::config::Size;
use tailcast::position::{Place, Position, Within};

use crate::support::{Page, TestServer, Viewer, ask, numbered, page, request, search, store, walk_back};

fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[tokio::test]
async fn pages_are_whole_lines_that_meet_at_their_positions() {
    let server = TestServer::start().await;
    server.log("a.log").write("one\ntwo\r\n\nfour\nfive\nnot yet ended");
    let last = page(&server, "").await;
    assert_eq!(last.lines, ["one", "two", "", "four", "five"]);
    assert!(!last.more);
    let last = page(&server, "limit=2").await;
    assert_eq!(
        (last.lines.as_slice(), last.more),
        (["four", "five"].map(String::from).as_slice(), true)
    );
    let before = page(&server, format!("limit=2&before={}", last.start)).await;
    assert_eq!(before.lines, ["two", ""]);
    assert_eq!((&before.end, before.more), (&last.start, true));
    let first = page(&server, format!("limit=2&before={}", before.start)).await;
    assert_eq!(
        (first.lines.as_slice(), first.more),
        (["one".to_owned()].as_slice(), false)
    );
    let none = page(&server, format!("before={}", first.start)).await;
    assert_eq!((none.lines.len(), none.more), (0, false));
    assert_eq!((&none.start, &none.end), (&first.start, &first.start));

    let after = page(&server, format!("limit=2&after={}", first.end)).await;
    assert_eq!(
        (&after.lines, &after.start, &after.end),
        (&before.lines, &before.start, &before.end)
    );
    assert!(after.more);
    let rest = page(&server, format!("after={}", before.end)).await;
    assert_eq!((&rest.lines, &rest.end), (&last.lines, &last.end));
    assert!(!rest.more, "a line that is not ended is no part of it");
    let nothing = page(&server, format!("after={}", last.end)).await;
    assert_eq!((nothing.lines.len(), nothing.more), (0, false));
    server.log("a.log").write(" but now\nnext\n");
    let new = page(&server, format!("after={}", last.end)).await;
    assert_eq!(new.lines, ["not yet ended but now", "next"]);
    let again = page(&server, format!("limit=1&after={}", before.end)).await;
    assert_eq!(
        (again.start, again.lines),
        (last.start, vec!["four".to_owned()]),
        "growing changes no position"
    );
}

#[tokio::test]
async fn an_empty_log_has_an_empty_page_and_head_is_as_get() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    let empty = page(&server, "").await;
    assert_eq!((empty.lines.len(), empty.more), (0, false));
    assert_eq!(empty.start, empty.end);
    log.lines(["first"]);
    assert_eq!(page(&server, format!("after={}", empty.end)).await.lines, ["first"]);
    let head = request(server.address, "HEAD /api/v1/logs/a.log/lines HTTP/1.1", &[]).await;
    let whole = ask(&server, "a.log/lines").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(whole.header("content-type"), Some("application/json"));
    assert_eq!(whole.header("cache-control"), Some("no-store"));
    let packed = request(
        server.address,
        "GET /api/v1/logs/a.log/lines HTTP/1.1",
        &[("Accept-Encoding", "gzip")],
    )
    .await;
    assert_eq!(packed.status, 200);
}

/// What a log and its rotated files hold, the oldest first; and how they are called.
#[derive(Debug, Clone)]
struct Past {
    files: Vec<(String, Vec<Text>)>,
    limit: usize,
    crlf: bool,
}

/// A line, which may be a run of one letter.
#[derive(Debug, Clone)]
enum Text {
    Short(String),
    Run(char, usize),
}

impl Text {
    fn line(&self) -> String {
        match self {
            Self::Short(text) => text.clone(),
            Self::Run(letter, len) => letter.to_string().repeat(*len),
        }
    }
}

fn past() -> impl Strategy<Value = Past> {
    let line = prop_oneof![
        8 => "[a-zA-Z0-9 日志√\t\"\\\\]{0,40}".prop_map(Text::Short),
        2 => Just(Text::Short(String::new())),
        1 => (1..3000_usize).prop_map(|len| Text::Run('x', len)),
        1 => (60_000..70_000_usize).prop_map(|len| Text::Run('y', len)),
    ];
    let lines = proptest::collection::vec(line, 0..60);
    let names = prop_oneof![
        Just(vec!["a.log.4.zst", "a.log.3.gz", "a.log.2", "a.log.1", "a.log"]),
        Just(vec![
            "a.log-20260101.gz",
            "a.log-20260102-1735689600",
            "a.log-2026010301.zst",
            "a.log"
        ]),
        Just(vec![
            "a.log.2025-12-31",
            "a.log.2026-01-01_11.zst",
            "a.log.2026-01-01_12",
            "a.log"
        ]),
        Just(vec!["a.log"]),
    ];
    let limit = prop_oneof![3..20_usize, 20..400_usize];
    (names, proptest::collection::vec(lines, 5), limit, any::<bool>()).prop_map(|(names, lines, limit, crlf)| Past {
        files: names.into_iter().map(ToOwned::to_owned).zip(lines).collect(),
        limit,
        crlf,
    })
}

/// Says where lines begin to differ, without the rest.
fn same(lines: &[String], expected: &[String]) -> Result<(), TestCaseError> {
    let at = lines.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let start = |lines: &[String]| {
        lines
            .get(at)
            .map(|line| (line.len(), line.chars().take(50).collect::<String>()))
    };
    prop_assert_eq!(start(lines), start(expected), "line {} of {}", at, expected.len());
    Ok(())
}

async fn pages_give_all_lines_back(past: &Past) -> Result<(), TestCaseError> {
    let server = TestServer::with(|config| config.stream.max_line = Size::kib(128)).await;
    let end = if past.crlf { "\r\n" } else { "\n" };
    let mut expected: Vec<String> = Vec::new();
    for (name, lines) in &past.files {
        let lines: Vec<String> = lines.iter().map(Text::line).collect();
        let text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
        // The last line of a rotated file is one, ended or not.
        let is_cut = name != "a.log" && lines.last().is_some_and(|line| line.len() > 20);
        let text = match is_cut {
            true => text.strip_suffix(end).unwrap(),
            false => &text,
        };
        store(server.path(name), text);
        expected.extend(lines);
    }
    let (lines, pages) = walk_back(&server, past.limit).await;
    same(&lines, &expected)?;
    let full = &pages[..pages.len() - 1];
    prop_assert!(
        full.iter().all(|page| page.lines.len() == past.limit),
        "no page is short but the last"
    );

    let mut forward: Vec<Page> = Vec::new();
    let mut at = pages.last().unwrap().start.clone();
    loop {
        let next = page(&server, format!("limit={}&after={at}", past.limit)).await;
        prop_assert_eq!(&next.start, &at);
        at.clone_from(&next.end);
        let more = next.more;
        forward.push(next);
        if !more {
            break;
        }
    }
    let lines: Vec<String> = forward.iter().flat_map(|page| page.lines.clone()).collect();
    same(&lines, &expected)?;
    server.stop().await;
    Ok(())
}

#[test]
fn pages_walked_in_both_directions_give_all_lines_of_all_files_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases: 24,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new(config);
    let run = |past: Past| runtime.block_on(pages_give_all_lines_back(&past));
    if let Err(error) = runner.run(&past(), run) {
        panic!("{error}");
    }
}

#[tokio::test]
async fn lines_are_decoded_as_the_stream_shows_them() {
    let server = TestServer::with(|config| {
        config.files[1].encoding = Some("gb18030".to_owned());
        config.stream.max_line = Size(100);
    })
    .await;
    let long = "日志".repeat(100);
    let hole = "\0".repeat(200);
    let text = format!("\u{feff}first\nstray\nab{hole}cd\n{long}\nshort \0\0 run\n{hole}last\n");
    let text = text.replace("stray", "stray\u{1}").into_bytes();
    let stray = text.iter().position(|&b| b == 1).unwrap();
    let mut bytes = text;
    bytes[stray] = 0xff;
    let utf16 = |unit: fn(u16) -> [u8; 2]| {
        let lines = format!("\u{feff}plain\r\n\u{0a0a}开\n{long}\n\nlast\n");
        lines.encode_utf16().flat_map(unit).collect::<Vec<u8>>()
    };
    let gb = GB18030
        .encode(&format!("下载 𠀀 完成\n\n{long}\nlast\n"))
        .0
        .into_owned();
    for (file, bytes) in [
        ("a.log", bytes),
        ("a.log", utf16(u16::to_le_bytes)),
        ("a.log", utf16(u16::to_be_bytes)),
        ("b.log", gb),
    ] {
        store(server.path(file), bytes);
        let mut viewer = Viewer::connect(&server, file).await;
        let shown = viewer.lines_to("last").await;
        viewer.leave().await;
        assert!(shown.iter().any(|line| line.ends_with("bytes]")), "{shown:?}");
        for limit in [1, 2, 100] {
            let mut lines = Vec::new();
            let mut at = String::new();
            loop {
                let answer = ask(&server, format!("{file}/lines?limit={limit}{at}")).await.json();
                let page = answer["lines"].as_array().unwrap().clone();
                lines.splice(0..0, page.iter().map(|line| line.as_str().unwrap().to_owned()));
                if answer["more"] == false {
                    break;
                }
                at = format!("&before={}", answer["start"].as_str().unwrap());
            }
            assert_eq!(lines, shown, "{file}, {limit} at a time");
        }
        fs::remove_file(server.path(file)).unwrap();
    }
}

#[tokio::test]
async fn a_page_of_a_huge_sparse_file_reads_only_what_it_needs() {
    let server = TestServer::start().await;
    let mut file = File::create(server.path("a.log")).unwrap();
    let write_at = |file: &mut File, at: u64, lines: &[String]| {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(text_of(lines).as_bytes()).unwrap();
    };
    write_at(&mut file, 0, &numbered(1..=2000));
    write_at(&mut file, 5 << 30, &numbered(2001..=4000));
    write_at(&mut file, 10 << 30, &numbered(4001..=4010));
    let last = page(&server, "limit=10").await;
    assert_eq!(last.lines, numbered(4001..=4010));
    let middle = page(&server, format!("limit=1000&before={}", last.start)).await;
    assert_eq!(middle.lines, numbered(3001..=4000));
    let middle = page(&server, format!("limit=1500&before={}", middle.start)).await;
    assert_eq!(middle.lines, numbered(1501..=3000), "across the hole");
    let forward = page(&server, format!("limit=3000&after={}", middle.start)).await;
    assert_eq!(forward.lines, numbered(1501..=4010), "and back over both");
    let (lines, _) = walk_back(&server, 1000).await;
    assert_eq!(lines, numbered(1..=4010));
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let server = TestServer::start().await;
    // Each byte takes six as JSON, so 24 of these lines take more than 8 MiB.
    let line = "\u{1}".repeat(60_000);
    store(
        server.path("a.log"),
        format!("first\n{}last\n", format!("{line}\n").repeat(26)),
    );
    let start = search(&server, "q=first").await.hits[0]["start"]
        .as_str()
        .unwrap()
        .to_owned();
    for query in [String::new(), format!("&after={start}")] {
        let page = ask(&server, format!("a.log/lines?limit=10000{query}")).await;
        assert_eq!(page.status, 200);
        let sizes = (8 << 20) - 361_000..(8 << 20) + 361_000;
        assert!(sizes.contains(&page.body.len()), "{}", page.body.len());
        assert!(page.body.ends_with(b"\"more\":true}"));
    }
}

#[tokio::test]
async fn a_position_is_found_again_in_rotated_copied_and_compressed_files() {
    let server = TestServer::start().await;
    let old = numbered(1..=500);
    server.log("a.log").lines(&old);
    let middle = page(&server, "limit=200").await;
    assert_eq!(middle.lines, numbered(301..=500));
    let asked = async |what: &str| {
        let before = page(&server, format!("limit=50&before={}", middle.start)).await;
        assert_eq!(before.lines, numbered(251..=300), "{what}");
        let after = page(&server, format!("limit=1000&after={}", middle.start)).await;
        assert_eq!(after.lines, numbered(301..=520), "{what}");
    };
    let new = text_of(&numbered(501..=520));
    // Copied and emptied.
    fs::copy(server.path("a.log"), server.path("a.log.1")).unwrap();
    OpenOptions::new()
        .write(true)
        .open(server.path("a.log"))
        .unwrap()
        .set_len(0)
        .unwrap();
    server.log("a.log").write(&new);
    asked("a copy").await;
    // Compressed, while what is compressed is still there, and after.
    store(server.path("a.log.1.gz"), text_of(&old));
    asked("being compressed").await;
    fs::remove_file(server.path("a.log.1")).unwrap();
    asked("gzip").await;
    store(server.path("a.log.1.zst"), text_of(&old));
    fs::remove_file(server.path("a.log.1.gz")).unwrap();
    asked("zstd").await;
    // Renamed.
    fs::rename(server.path("a.log.1.zst"), server.path("a.log.7.zst")).unwrap();
    asked("renamed").await;
    let (lines, _) = walk_back(&server, 77).await;
    assert_eq!(lines, numbered(1..=520));
    // Gone.
    fs::remove_file(server.path("a.log.7.zst")).unwrap();
    let answer = ask(&server, format!("a.log/lines?before={}", middle.start)).await;
    assert_eq!(answer.status, 410);
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .starts_with("the place is gone")
    );
}

#[tokio::test]
async fn a_copy_that_is_being_made_is_not_shown_twice() {
    let server = TestServer::start().await;
    let lines = numbered(1..=500);
    store(server.path("a.log"), text_of(&lines));
    let text = text_of(&lines);
    store(server.path("a.log.1"), &text[..3000]);
    assert_eq!(walk_back(&server, 100).await.0, lines);
    fs::remove_file(server.path("a.log.1")).unwrap();
    fs::hard_link(server.path("a.log"), server.path("a.log.1")).unwrap();
    assert_eq!(walk_back(&server, 100).await.0, lines, "another name of the same file");
}

#[tokio::test]
async fn places_of_other_files_and_of_what_was_truncated_are_gone() {
    let server = TestServer::start().await;
    let mut log = server.log("a.log");
    log.lines(numbered(1..=100));
    server.log("b.log").lines(numbered(1..=99));
    let here = page(&server, "limit=10").await;
    let answer = ask(&server, format!("b.log/lines?before={}", here.end)).await;
    assert_eq!(answer.status, 410, "{}", answer.text());
    log.truncate(0);
    log.lines(["new"]);
    for query in [format!("before={}", here.end), format!("after={}", here.start)] {
        assert_eq!(ask(&server, format!("a.log/lines?{query}")).await.status, 410);
    }
    assert_eq!(page(&server, "").await.lines, ["new"]);
    // Rewritten with the same beginning and the same size.
    store(server.path("c.log"), text_of(&numbered(100..=900)));
    let answer = ask(&server, "c.log/lines?limit=1").await.json();
    let at = answer["start"].as_str().unwrap();
    assert_eq!(ask(&server, format!("c.log/lines?before={at}")).await.status, 200);
    let mut other = numbered(100..=900);
    other[700..].iter_mut().for_each(|line| *line = line.to_uppercase());
    store(server.path("c.log"), text_of(&other));
    assert_eq!(ask(&server, format!("c.log/lines?before={at}")).await.status, 410);
}

#[tokio::test]
async fn only_regular_files_of_the_shapes_of_rotations_are_siblings() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["allowed"]);
    let outside = tempfile::tempdir().unwrap();
    store(outside.path().join("secret"), "secret\n");
    store(server.path("hidden.log"), "secret\n");
    symlink(outside.path().join("secret"), server.path("a.log.1")).unwrap();
    symlink("hidden.log", server.path("a.log.2")).unwrap();
    fs::create_dir(server.path("a.log.3")).unwrap();
    let made = Command::new("mkfifo").arg(server.path("a.log.4")).status().unwrap();
    assert!(made.success());
    for name in [
        "a.log.bak",
        "a.log.1.orig",
        "a.log~",
        "a.log.secret",
        "xa.log.1",
        "a.log.5.bz2",
    ] {
        store(server.path(name), "secret\n");
    }
    store(server.path("a.log.6.gz"), "");
    fs::write(server.path("a.log.7.gz"), "no gzip at all").unwrap();
    fs::write(server.path("a.log.8.zst"), "").unwrap();
    let (lines, pages) = walk_back(&server, 10).await;
    assert_eq!((lines, pages.len()), (vec!["allowed".to_owned()], 1));
    store(server.path("a.log.9"), "older\n");
    assert_eq!(walk_back(&server, 1).await.0, ["older", "allowed"]);
}

#[tokio::test]
async fn siblings_are_sought_where_a_linked_log_really_lies() {
    let server = TestServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    store(elsewhere.path().join("app.log"), "new\n");
    store(elsewhere.path().join("app.log.1"), "old\n");
    store(server.path("a.log.1"), "not its own\n");
    symlink(elsewhere.path().join("app.log"), server.path("a.log")).unwrap();
    assert_eq!(walk_back(&server, 10).await.0, ["old", "new"]);
}

#[tokio::test]
async fn damaged_archives_are_read_as_far_as_they_go() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["new"]);
    let lines = numbered(1..=100_000);
    for name in ["a.log.1.gz", "a.log.1.zst"] {
        store(server.path(name), text_of(&lines));
        let stored = fs::read(server.path(name)).unwrap();
        fs::write(server.path(name), &stored[..stored.len() / 2]).unwrap();
        let last = page(&server, "limit=1000").await;
        assert_eq!(last.lines.len(), 1000, "{name}");
        let whole = &last.lines[..998];
        let first: u64 = whole[0].strip_prefix("line ").unwrap().parse().unwrap();
        assert_eq!(whole, numbered(first..=first + 997), "{name}");
        fs::remove_file(server.path(name)).unwrap();
    }
    // What is compressed in parts is one.
    store(server.path("part.gz"), text_of(&lines[..10]));
    store(server.path("rest.gz"), text_of(&lines[10..20]));
    let parts = [
        fs::read(server.path("part.gz")).unwrap(),
        fs::read(server.path("rest.gz")).unwrap(),
    ];
    fs::write(server.path("a.log.1.gz"), parts.concat()).unwrap();
    assert_eq!(page(&server, "").await.lines[..20], lines[..20]);
}

#[tokio::test]
async fn a_log_that_is_away_for_a_while_has_its_past() {
    let server = TestServer::start().await;
    store(server.path("a.log.1"), "one\ntwo");
    store(server.path("a.log.2"), "zero\n");
    assert_eq!(walk_back(&server, 2).await.0, ["zero", "one", "two"]);
    let last = page(&server, "limit=1").await;
    server.log("a.log").lines(["three"]);
    assert_eq!(page(&server, format!("after={}", last.end)).await.lines, ["three"]);
}

#[tokio::test]
async fn what_is_not_allowed_or_not_there_is_all_the_same() {
    let server = TestServer::start().await;
    store(server.path("hidden.log"), "secret\n");
    fs::create_dir(server.path("c.log")).unwrap();
    for name in [
        "b.log",
        "hidden.log",
        "nothing",
        "..%2Fa.log",
        "a.log.1",
        "%ff",
        "A.LOG",
    ] {
        for what in ["lines", "search?q=x"] {
            let answer = ask(&server, format!("{name}/{what}")).await;
            assert_eq!(answer.status, 404, "{name}");
            assert_eq!(answer.json(), json!({"error": "there is no such log file"}));
        }
    }
    assert_eq!(ask(&server, "c.log/lines").await.status, 500);
}

#[tokio::test]
async fn a_bad_parameter_is_named() {
    let server = TestServer::start().await;
    server.log("a.log").lines(numbered(1..=10));
    let good = page(&server, "limit=3").await.start;
    let flipped = format!("{}{}", if good.starts_with('B') { 'C' } else { 'B' }, &good[1..]);
    for (query, name) in [
        ("limit=0".to_owned(), "limit"),
        ("limit=10001".to_owned(), "limit"),
        ("limit=x".to_owned(), "limit"),
        ("limit=".to_owned(), "limit"),
        ("limit=-1".to_owned(), "limit"),
        ("before=".to_owned(), "before"),
        ("before=x".to_owned(), "before"),
        (format!("before={good}x"), "before"),
        (format!("before={flipped}"), "before"),
        (format!("after={}", &good[1..]), "after"),
        (format!("after={}", "A".repeat(5000)), "after"),
        ("after=%ff".to_owned(), "after"),
        (format!("after={good}&before={good}"), "after"),
    ] {
        let answer = ask(&server, format!("a.log/lines?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(&format!("the parameter {name} ")), "{query}: {error}");
    }
    assert_eq!(page(&server, "limit=3&unknown=%ff&limit=x").await.lines.len(), 3);
}

#[test]
fn no_query_breaks_anything_or_shows_foreign_bytes() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::start());
    server.log("a.log").lines(numbered(1..=300));
    store(server.path("a.log.1.gz"), "line 0\n");
    store(server.path("hidden.log"), "secret\n");
    let good = runtime.block_on(page(&server, "limit=150")).start;
    let value = prop_oneof![
        "[ -~]{0,60}",
        Just(good.clone()),
        (0..good.len(), any::<char>()).prop_map(move |(at, c)| format!("{}{c}{}", &good[..at], &good[at + 1..])),
        (0..20_000_u32).prop_map(|number| number.to_string()),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| {
            use base64::Engine;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
        }),
    ];
    let name = prop_oneof![
        Just("before"),
        Just("after"),
        Just("limit"),
        Just("q"),
        Just("regex"),
        Just("case")
    ];
    let pairs = proptest::collection::vec((name, value), 0..4);
    let what = prop_oneof![Just("lines"), Just("search")];
    let config = Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |(what, pairs): (&str, Vec<(&str, String)>)| {
        let encode = |(name, value): &(&str, String)| {
            let value = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
            format!("{name}={value}")
        };
        let query: Vec<String> = pairs.iter().map(encode).collect();
        let answer = runtime.block_on(ask(&server, format!("a.log/{what}?{}", query.join("&"))));
        prop_assert!(
            [200, 400, 410].contains(&answer.status),
            "{} {}",
            answer.status,
            answer.text()
        );
        prop_assert!(!answer.text().contains("\"secret"));
        Ok(())
    };
    TestRunner::new(config).run(&(what, pairs), run).unwrap();
}

#[tokio::test]
async fn a_place_inside_a_line_stands_where_the_stream_sent_a_part_of_it() {
    let server = TestServer::with(|config| config.stream.max_line = Size(16)).await;
    let text = "one\nabcdef\nghi\nlong line that was cut and goes on\nlast\n";
    store(server.path("a.log"), text);
    let at = |after: &str, within| {
        let offset = (text.find(after).unwrap() + after.len()) as u64;
        let file = File::open(server.path("a.log")).unwrap();
        Position::in_current(Place::in_file(&file, offset, within).unwrap())
    };
    let long = "long line that w … [+18 bytes]".to_owned();
    let part = at("abc", Within::PartialLine);
    let before = page(&server, format!("before={part}")).await;
    assert_eq!(
        (before.lines, before.end),
        (vec!["one".to_owned(), "abc".to_owned()], part.to_string())
    );
    let after = page(&server, format!("after={part}")).await;
    assert_eq!(after.lines, ["def", "ghi", &long, "last"]);
    let whole = at("abcdef", Within::PartialLine);
    let before = page(&server, format!("before={whole}")).await;
    assert_eq!(before.lines, ["one", "abcdef"]);
    let after = page(&server, format!("limit=1&after={whole}")).await;
    assert_eq!(after.lines, ["ghi"], "the line end alone is no line");
    let cut = at("and goes", Within::CutLine);
    let before = page(&server, format!("limit=1&before={cut}")).await;
    assert_eq!(before.lines, ["long line that w … [+15 bytes]"], "what was sent of it");
    assert_eq!(page(&server, format!("after={cut}")).await.lines, ["last"]);
}
