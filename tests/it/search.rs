//! Searching a log's whole past, the newest lines first.

use std::time::Duration;

use encoding_rs::GB18030;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::json;
use tailcast::config::Size;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::support::{Found, SOON, TestServer, ask, numbered, page, search, store, until};

fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn hits_come_newest_first_and_can_be_gone_on_from() {
    let server = TestServer::start().await;
    server.log("a.log").lines(numbered(1..=1000));
    server.log("a.log").write("line 7 is not ended");
    let answer = ask(&server, "a.log/search?q=7&limit=3").await;
    assert_eq!(answer.header("content-type"), Some("application/x-ndjson"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let found = Found::of(&answer.text());
    assert_eq!(found.lines, ["line 997", "line 987", "line 979"]);
    for hit in &found.hits {
        assert_eq!(hit.as_object().unwrap().len(), 3, "{hit}");
    }
    assert_eq!(found.done["complete"], false);
    assert_eq!(found.done["next"], found.hits[2]["start"], "before the last hit");
    let next = found.done["next"].as_str().unwrap();
    let more = search(&server, format!("q=7&limit=2&before={next}")).await;
    assert_eq!(more.lines, ["line 978", "line 977"]);
    // Hits lead into pages.
    let at = |position: &str| found.hits[1][position].as_str().unwrap().to_owned();
    let before = page(&server, format!("limit=1&before={}", at("end"))).await;
    assert_eq!(
        (before.lines, &before.start),
        (vec!["line 987".to_owned()], &at("start"))
    );
    let after = page(&server, format!("limit=1&after={}", at("end"))).await;
    assert_eq!(after.lines, ["line 988"]);

    let nothing = search(&server, "q=nowhere").await;
    let size = text_of(&numbered(1..=1000)).len();
    let done = json!({"done": true, "complete": true, "scanned": size, "next": null});
    assert_eq!((nothing.lines.len(), nothing.done), (0, done));
    let first = search(&server, "q=line+1&regex=false&limit=10000").await;
    assert_eq!(
        (first.lines.len(), first.lines.last().unwrap().as_str()),
        (112, "line 1")
    );
    assert_eq!(first.done["complete"], true);
    let none = search(
        &server,
        format!("q=line&before={}", page(&server, "limit=1000").await.start),
    )
    .await;
    assert_eq!((none.lines.len(), none.done["complete"].clone()), (0, json!(true)));
}

#[tokio::test]
async fn case_and_expressions_count_as_asked_for() {
    let server = TestServer::start().await;
    server.log("a.log").lines([
        "Error A",
        "error b",
        "日志 Ünder",
        "日志 ünder",
        "a.c",
        "abc",
        "tab\tend\r",
    ]);
    for (query, lines) in [
        ("q=error", vec!["error b", "Error A"]),
        ("q=Error", vec!["Error A"]),
        ("q=error&case=sensitive", vec!["error b"]),
        ("q=ERROR&case=insensitive", vec!["error b", "Error A"]),
        ("q=ERROR&case=smart", vec![]),
        ("q=%C3%BCnder", vec!["日志 ünder", "日志 Ünder"]),
        ("q=a.c", vec!["a.c"]),
        ("q=a.c&regex=true", vec!["abc", "a.c"]),
        ("q=%5Ea.*c%24&regex=true", vec!["abc", "a.c"]),
        ("q=%5CAa.c%5Cz&regex=true", vec!["abc", "a.c"]),
        ("q=end%24&regex=true", vec!["tab\tend"]),
        ("q=end%5Cr&regex=true", vec![]),
        ("q=end%0D", vec![]),
        ("q=%5E%5B%5E%20%5D*%24&regex=true", vec!["tab\tend", "abc", "a.c"]),
    ] {
        let found = search(&server, query).await;
        assert_eq!(found.lines, lines, "{query}");
    }
}

#[tokio::test]
async fn rotated_files_are_searched_too_whatever_they_are_packed_in() {
    let server = TestServer::start().await;
    store(server.path("a.log.3.zst"), text_of(&numbered(1..=1000)));
    store(server.path("a.log.2.gz"), text_of(&numbered(1001..=2000)));
    store(server.path("a.log.1"), text_of(&numbered(2001..=3000)));
    store(server.path("a.log"), text_of(&numbered(3001..=4000)));
    let expected: Vec<String> = [3777, 2777, 1777, 777].map(|n| format!("line {n}")).to_vec();
    let found = search(&server, "q=777").await;
    assert_eq!((&found.lines, &found.done["complete"]), (&expected, &json!(true)));
    assert_eq!(found.done["scanned"], text_of(&numbered(1..=4000)).len());
    let mut one_by_one = Vec::new();
    let mut before = String::new();
    while one_by_one.len() < 4 {
        let found = search(&server, format!("q=777&limit=1{before}")).await;
        before = format!("&before={}", found.done["next"].as_str().unwrap());
        one_by_one.extend(found.lines);
    }
    assert_eq!(one_by_one, expected);
    let rest = search(&server, format!("q=777{before}")).await;
    assert_eq!((rest.lines.len(), &rest.done["next"]), (0, &json!(null)));
    for hit in &found.hits {
        let at = page(&server, format!("limit=1&after={}", hit["start"].as_str().unwrap())).await;
        assert_eq!(
            (at.lines[0].as_str(), &at.end),
            (hit["line"].as_str().unwrap(), &hit["end"].as_str().unwrap().to_owned())
        );
    }
}

#[tokio::test]
async fn files_in_other_encodings_are_searched_as_their_text() {
    let server = TestServer::with(|config| config.files[1].encoding = Some("gb18030".to_owned())).await;
    let text = "\u{feff}开始下载 first\r\nplain\n\u{0a0a}完成 Second\n";
    for unit in [u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes] {
        store(
            server.path("a.log"),
            text.encode_utf16().flat_map(unit).collect::<Vec<u8>>(),
        );
        assert_eq!(
            search(&server, format!("q={}", encoded("下载"))).await.lines,
            ["开始下载 first"]
        );
        assert_eq!(search(&server, "q=second").await.lines, ["\u{0a0a}完成 Second"]);
        assert_eq!(search(&server, "q=first%24&regex=true").await.lines, ["开始下载 first"]);
        assert_eq!(
            search(&server, format!("q={}&regex=true", encoded("^开"))).await.lines,
            ["开始下载 first"]
        );
    }
    store(server.path("b.log"), GB18030.encode("开始下载\nplain\n上传完成\n").0);
    for (query, line) in [
        (encoded("下载"), "开始下载"),
        ("PLAIN&case=insensitive".to_owned(), "plain"),
    ] {
        let answer = ask(&server, format!("b.log/search?q={query}")).await;
        assert_eq!(Found::of(&answer.text()).lines, [line]);
    }
}

#[tokio::test]
async fn a_long_line_is_searched_far_beyond_what_is_shown_of_it() {
    let server = TestServer::with(|config| config.stream.max_line = Size(64)).await;
    let line = |len: usize| format!("{}needle{}", "x".repeat(len), "y".repeat(3 << 20));
    store(
        server.path("a.log"),
        format!("first\n{}\n{}\nlast\n", line(200_000), line(2 << 20)),
    );
    let shown = format!("{} … [+{} bytes]", "x".repeat(64), line(200_000).len() - 64);
    assert_eq!(search(&server, "q=needle").await.lines, std::slice::from_ref(&shown));
    assert_eq!(search(&server, "q=first").await.lines, ["first"]);
    assert_eq!(
        search(&server, "q=bytes").await.lines.len(),
        0,
        "the note is no part of it"
    );
    store(server.path("a.log.1.gz"), format!("{}\n", line(200_000)));
    assert_eq!(search(&server, "q=needle").await.lines, [shown.clone(), shown]);
}

#[tokio::test]
async fn a_bad_parameter_of_a_search_is_named() {
    let server = TestServer::start().await;
    server.log("a.log").lines(["x"]);
    for (query, name) in [
        ("", "q"),
        ("q=", "q"),
        ("q=%ff", "q"),
        ("q=a%0Ab", "q"),
        ("q=(a&regex=true", "q"),
        ("q=a%5Cn&regex=true", "q"),
        ("q=x%7B1000%7D%7B1000%7D&regex=true", "q"),
        (&format!("q={}", "x".repeat(1025)), "q"),
        (&format!("q={}&regex=true", "(".repeat(500)), "q"),
        ("q=a&regex=yes", "regex"),
        ("q=a&case=upper", "case"),
        ("q=a&limit=0", "limit"),
        ("q=a&before=x", "before"),
    ] {
        let answer = ask(&server, format!("a.log/search?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with(&format!("the parameter {name} ")), "{query}: {error}");
    }
    assert_eq!(
        ask(&server, format!("a.log/search?q={}", "x".repeat(1024)))
            .await
            .status,
        200
    );
    server.log("b.log").lines(["other"]);
    let foreign = search(&server, "q=x").await.hits[0]["end"].as_str().unwrap().to_owned();
    assert_eq!(
        ask(&server, format!("b.log/search?q=a&before={foreign}")).await.status,
        410
    );
}

/// A search and what it is in: a naive search through the lines as they are shown must find the same.
#[derive(Debug, Clone)]
struct Case {
    lines: Vec<Vec<u8>>,
    name: &'static str,
    query: String,
    is_regex: bool,
    case: &'static str,
    limit: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let part = prop_oneof![
        6 => "[abAB .k]{0,6}".prop_map(String::into_bytes),
        1 => Just("日ſK".as_bytes().to_vec()),
        1 => Just(vec![0xff]),
        1 => Just(vec![0xe6, 0x97]),
        1 => Just(b"\r".to_vec()),
        1 => Just(vec![0; 3]),
        1 => Just(vec![0; 70]),
        1 => (1000..40_000_usize).prop_map(|len| vec![b'b'; len]),
    ];
    let line = proptest::collection::vec(part, 0..4).prop_map(|parts| parts.concat());
    let lines = proptest::collection::vec(line, 0..80);
    let plain =
        prop_oneof!["[abAB .k]{1,3}", Just("日".to_owned()), Just("\u{fffd}".to_owned())].prop_map(|q| (q, false));
    let regexes = [
        "a.b", "^a", "b$", "^$", "a*", "[^a]b", r"\Ab", r"b\z", r"\bA", "a|B+", r"\s$", "(?-m)^a", ".", "\u{fffd}",
        r"a\x00*b",
    ];
    let regex = proptest::sample::select(regexes.to_vec()).prop_map(|q| (q.to_owned(), true));
    let names = proptest::sample::select(vec!["a.log", "a.log", "a.log.1", "a.log.1.gz", "a.log.1.zst"]);
    let cases = proptest::sample::select(vec!["smart", "sensitive", "insensitive"]);
    let limit = prop_oneof![1..5_usize, Just(10_000)];
    (lines, names, prop_oneof![plain, regex], cases, limit).prop_map(|(lines, name, (query, is_regex), case, limit)| {
        Case {
            lines,
            name,
            query,
            is_regex,
            case,
            limit,
        }
    })
}

/// What is shown of a line, as the contract has it.
fn shown(line: &[u8]) -> String {
    let mut text = Vec::new();
    for run in line.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
        if run[0] != 0 || run.len() < 64 {
            text.extend_from_slice(run);
        }
    }
    let text = text.strip_suffix(b"\r").unwrap_or(&text);
    String::from_utf8_lossy(text).into_owned()
}

async fn finds_the_same_as_a_naive_search(case: &Case) -> Result<(), TestCaseError> {
    let server = TestServer::with(|config| {
        config.files[0].encoding = Some("utf-8".to_owned());
        config.stream.max_line = Size::mib(1);
    })
    .await;
    store(server.path("a.log"), "");
    let bytes: Vec<u8> = case
        .lines
        .iter()
        .flat_map(|line| [line, b"\n".as_slice()].concat())
        .collect();
    store(server.path(case.name), bytes);
    let pattern = match case.is_regex {
        true => case.query.clone(),
        false => regex_syntax::escape(&case.query),
    };
    let insensitive = match case.case {
        "smart" => !case.query.chars().any(char::is_uppercase) || case.query.starts_with(r"\A") && case.query == r"\Ab",
        other => other == "insensitive",
    };
    let naive = regex_automata::meta::Builder::new()
        .syntax(
            regex_automata::util::syntax::Config::new()
                .case_insensitive(insensitive)
                .multi_line(true),
        )
        .build(&pattern)
        .unwrap();
    let lines = case.lines.iter().rev().map(|line| shown(line));
    let expected: Vec<String> = lines.filter(|line| naive.is_match(line)).collect();
    let mut found = Vec::new();
    let mut before = String::new();
    loop {
        let query = format!(
            "q={}&regex={}&case={}&limit={}{before}",
            encoded(&case.query),
            case.is_regex,
            case.case,
            case.limit
        );
        let answer = search(&server, query).await;
        prop_assert!(answer.lines.len() <= case.limit);
        found.extend(answer.lines);
        match answer.done["next"].as_str() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
        if found.len() > expected.len() {
            break;
        }
    }
    prop_assert_eq!(found, expected);
    server.stop().await;
    Ok(())
}

#[test]
fn a_search_finds_what_a_naive_one_finds_in_the_lines_as_they_are_shown() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases: 150,
        max_shrink_iters: 300,
        failure_persistence: None,
        ..Config::default()
    };
    let run = |case: Case| runtime.block_on(finds_the_same_as_a_naive_search(&case));
    TestRunner::new(config).run(&case(), run).unwrap();
}

/// Sends a search and reads nothing of the answer but its head.
async fn begin(server: &TestServer, query: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut stream = socket.connect(server.address).await.unwrap();
    let head = format!("GET /api/v1/logs/a.log/search?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    timeout(SOON, stream.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    stream
}

/// No literal helps with it, and on a text like the next no table: some megabytes a second at most.
const SLOW: &str = r"(?:a|b|c|d|e|f|g|h){1,80}\W(?:.{1,100}){1,2}\d{12}";

/// A text that takes much longer to search than a search may take. Its line ends have it searched line by line, so that
/// no step is long on the slowest machine.
fn slow_text() -> Vec<u8> {
    let mut state = 1_u32;
    let mut letter = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefgh stuvwxyz 0123-:"[(state >> 16) as usize % 24]
    };
    let lines = (0..10_000).flat_map(|_| (0..99).map(|_| letter()).chain(*b"\r\n").collect::<Vec<u8>>());
    lines.collect::<Vec<u8>>().repeat(64)
}

#[tokio::test]
async fn no_more_searches_run_than_are_allowed_and_one_ends_when_its_client_leaves() {
    let server = TestServer::with(|config| config.limits.max_searches = 1).await;
    store(server.path("a.log"), "x\n".repeat(100_000));
    // More hits than fit into the buffers of a client that reads none.
    let reader = begin(&server, "q=x&limit=10000").await;
    let refused = ask(&server, "a.log/search?q=x").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("2")));
    assert!(
        refused.json()["error"]
            .as_str()
            .unwrap()
            .contains("limits.max_searches"),
        "{}",
        refused.text()
    );
    assert_eq!(
        ask(&server, "a.log/search?q=").await.status,
        400,
        "what is bad is told anyway"
    );
    drop(reader);
    // Its own time would not be over before 10 s.
    let ended = async || {
        let free = until("the search has ended", async || {
            ask(&server, "a.log/search?q=x&limit=1").await.status == 200
        });
        timeout(Duration::from_secs(8), free)
            .await
            .expect("it ends with its client");
    };
    ended().await;
    // One that finds nothing ends as well.
    store(server.path("a.log"), slow_text());
    let searcher = begin(&server, &format!("q={}&regex=true", encoded(SLOW))).await;
    assert_eq!(ask(&server, "a.log/search?q=x").await.status, 429);
    drop(searcher);
    ended().await;
}

#[tokio::test]
async fn the_first_hits_come_at_once_and_a_search_ends_when_its_time_is_over() {
    let server = TestServer::with(|config| config.limits.max_searches = 1).await;
    let slow = encoded(SLOW);
    let text = slow_text();
    store(
        server.path("a.log"),
        [text.as_slice(), b"abc def 123456789012\n"].concat(),
    );
    let mut stream = begin(&server, &format!("q={slow}&regex=true")).await;
    let mut text = String::new();
    let mut buffer = vec![0; 4096];
    while !text.contains("abc def") {
        let read = timeout(SOON, stream.read(&mut buffer))
            .await
            .expect("the hit comes at once");
        text.push_str(&String::from_utf8_lossy(&buffer[..read.unwrap()]));
    }
    assert!(!text.contains("\"done\""), "{text}");
    assert_eq!(ask(&server, "a.log/search?q=x").await.status, 429, "it goes on");
    while !text.contains("\"done\"") {
        let read = timeout(2 * SOON, stream.read(&mut buffer)).await.expect("it ends");
        text.push_str(&String::from_utf8_lossy(&buffer[..read.unwrap()]));
    }
    let done = text.lines().find(|line| line.contains("\"done\"")).unwrap();
    let done: serde_json::Value = serde_json::from_str(done).unwrap();
    assert_eq!(done["complete"], false, "{done}");
    let next = done["next"].as_str().unwrap();
    let rest = page(&server, format!("limit=1&before={next}")).await;
    assert_eq!(rest.lines.len(), 1, "it can be gone on from");
}
