//! What a log's past costs: a page from the middle of a huge file, a search for a word that is not there, against `grep`
//! on the same file, and a thousand viewers that resume at once, against plain reads and writes. See README.md.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
// Each bench uses a part of what they share.
#![allow(dead_code)]

#[path = "../support/child.rs"]
mod child;
mod resume;

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use child::Child;

/// The file that is searched.
const SEARCHED_BYTES: u64 = 1 << 30;
/// The file of which a page is read, and the stretch of it that is text.
const HUGE_BYTES: u64 = 10 << 30;
const TEXT_BYTES: u64 = 256 << 20;
const PAGES: usize = 200;
const ROUNDS: usize = 7;
const WORDS: [&str; 16] = [
    "download",
    "started",
    "segment",
    "of",
    "room",
    "1024",
    "INFO",
    "WARN",
    "upload",
    "finished",
    "in",
    "ms",
    "retry",
    "connection",
    "closed",
    "by",
];

fn main() -> Result<()> {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, yardstick, path, offset] = arguments.as_slice()
        && yardstick == resume::YARDSTICK
    {
        return resume::be_yardstick(Path::new(path), offset.parse()?);
    }
    let dir = tempfile::tempdir()?;
    write_text(&dir.path().join("searched.log"), 0, SEARCHED_BYTES)?;
    write_text(&dir.path().join("huge.log"), HUGE_BYTES / 2, TEXT_BYTES)?;
    let huge = File::options().append(true).open(dir.path().join("huge.log"))?;
    huge.set_len(HUGE_BYTES)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailcast"));
    command.args(["--listen", "127.0.0.1:0", "--dir"]).arg(dir.path());
    command.args(["--file", "searched.log", "--file", "huge.log"]);
    let mut server = Child::spawn(command, "tailcast", dir.path())?;
    let address = server.address()?;
    pages(address)?;
    let searched = dir.path().join("searched.log");
    searches(address, &searched)?;
    resume::resumes(&server, address, &searched, dir.path())?;
    server.stop(|status| status.success())
}

/// Lines of words, the same in every run, from an offset on.
fn write_text(path: &Path, from: u64, len: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.seek(SeekFrom::Start(from))?;
    let (mut state, mut written, mut number) = (1_u32, 0, 0_u64);
    while written < len {
        let mut line = format!("2026-01-01 12:00:00.{:03} {number}", number % 1000);
        for _ in 0..4 + state % 9 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            line.push(' ');
            line.push_str(WORDS[(state >> 24) as usize % WORDS.len()]);
        }
        line.push('\n');
        file.write_all(line.as_bytes())?;
        written += line.len() as u64;
        number += 1;
    }
    file.flush()?;
    Ok(())
}

/// The body of an answer, and how long it took from the connection on.
fn get(address: SocketAddr, path: &str) -> Result<(String, Duration)> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /api/v1/logs/{path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let took = begun.elapsed();
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
    ensure!(head.contains(" 200 "), "{head}\n{body}");
    Ok((body.to_owned(), took))
}

fn pages(address: SocketAddr) -> Result<()> {
    // A line in the middle of the text, and pages from there on towards the beginning.
    let (hits, _) = get(address, "huge.log/search?q=.999%201234999&limit=1")?;
    let hit: serde_json::Value = serde_json::from_str(hits.lines().next().context("no hit")?)?;
    let mut at = hit["start"].as_str().context("the line is not there")?.to_owned();
    let mut times = Vec::new();
    for _ in 0..PAGES {
        let (body, took) = get(address, &format!("huge.log/lines?limit=1000&before={at}"))?;
        let page: serde_json::Value = serde_json::from_str(&body)?;
        ensure!(page["lines"].as_array().map(Vec::len) == Some(1000), "not a whole page");
        at = page["start"].as_str().context("a page without a start")?.to_owned();
        times.push(took);
    }
    times.sort();
    println!("a page of 1,000 lines from the middle of a file of 10 GiB, {PAGES} pages");
    println!(
        "  median {:.2} ms, 99 % {:.2} ms, longest {:.2} ms",
        millis(times[PAGES / 2]),
        millis(times[PAGES * 99 / 100]),
        millis(times[PAGES - 1])
    );
    Ok(())
}

fn searches(address: SocketAddr, path: &Path) -> Result<()> {
    println!("a search of 1 GiB for a word that is not there, {ROUNDS} rounds, medians");
    let mut grep = Vec::new();
    let queries = [
        ("as it is", "q=xylophone&case=sensitive"),
        ("whatever its case", "q=xylophone"),
        ("an expression", "q=xylo.*phone%5Cd&regex=true"),
    ];
    let mut ours = vec![Vec::new(); queries.len()];
    // In turns, so that what else the machine does hits all alike; the first round fills the page cache.
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let found = Command::new("grep")
            .args(["-cF", "xylophone"])
            .arg(path)
            .env("LC_ALL", "C")
            .stdout(Stdio::piped())
            .output()
            .context("grep can't be run")?;
        ensure!(found.stdout == b"0\n", "grep found something");
        let took = begun.elapsed();
        if round > 0 {
            grep.push(took);
        }
        for (times, (_, query)) in ours.iter_mut().zip(queries) {
            let (body, took) = get(address, &format!("searched.log/search?{query}"))?;
            if !body.starts_with("{\"done\":true,\"complete\":true") {
                bail!("the search did not end as it should: {body}");
            }
            if round > 0 {
                times.push(took);
            }
        }
    }
    let grep = median(grep);
    println!("  LC_ALL=C grep -cF   {:7.1} ms", millis(grep));
    for ((name, _), times) in queries.into_iter().zip(ours) {
        let took = median(times);
        let ratio = took.as_secs_f64() / grep.as_secs_f64();
        println!("  {name:19} {:7.1} ms   {ratio:.2} times grep's", millis(took));
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
