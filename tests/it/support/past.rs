//! Rotated files beside a log, and what is asked about a log's past.

use std::fmt::Display;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::{Response, TestServer, request};

/// Writes a file, compressed as the end of its name says.
pub fn store(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let (path, bytes) = (path.as_ref(), bytes.as_ref());
    let stored = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Some("zst") => zstd::encode_all(bytes, 1).unwrap(),
        _ => bytes.to_vec(),
    };
    fs::write(path, stored).unwrap();
}

/// A page as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub lines: Vec<String>,
    pub start: String,
    pub end: String,
    pub more: bool,
}

/// Asks for something of a log, such as `lines?limit=3`.
pub async fn ask(server: &TestServer, what: impl Display) -> Response {
    request(server.address, &format!("GET /api/v1/logs/{what} HTTP/1.1"), &[]).await
}

pub fn texts(value: &Value) -> Vec<String> {
    let lines = value.as_array().unwrap().iter();
    lines.map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// A page of `a.log`, such as `before=…&limit=3`.
pub async fn page(server: &TestServer, query: impl Display) -> Page {
    let answer = ask(server, format!("a.log/lines?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = answer.json();
    assert_eq!(page.as_object().unwrap().len(), 4, "{page}");
    Page {
        lines: texts(&page["lines"]),
        start: page["start"].as_str().unwrap().to_owned(),
        end: page["end"].as_str().unwrap().to_owned(),
        more: page["more"].as_bool().unwrap(),
    }
}

/// All lines of `a.log`, page by page from its end to its beginning.
pub async fn walk_back(server: &TestServer, limit: usize) -> (Vec<String>, Vec<Page>) {
    let mut pages = vec![page(server, format!("limit={limit}")).await];
    while let Some(last) = pages.last().filter(|page| page.more) {
        let earlier = page(server, format!("limit={limit}&before={}", last.start)).await;
        assert_eq!(earlier.end, last.start, "pages meet");
        pages.push(earlier);
    }
    let lines = pages.iter().rev().flat_map(|page| page.lines.clone()).collect();
    (lines, pages)
}

/// What a search told.
#[derive(Debug)]
pub struct Found {
    /// The newest first.
    pub lines: Vec<String>,
    pub hits: Vec<Value>,
    pub done: Value,
}

impl Found {
    pub fn of(text: &str) -> Self {
        let mut hits: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let done = hits.pop().unwrap();
        assert_eq!(done["done"], true, "{text}");
        let lines = hits
            .iter()
            .map(|hit| hit["line"].as_str().unwrap().to_owned())
            .collect();
        Self { lines, hits, done }
    }
}

/// Searches `a.log`, such as for `q=x&regex=true`.
pub async fn search(server: &TestServer, query: impl Display) -> Found {
    let answer = ask(server, format!("a.log/search?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Found::of(&answer.text())
}
