//! The parts of the way from a file to its viewers, each alone and without the network.
//!
//! Run with `cargo bench --bench micro`, or with a part of a name behind it: `cargo bench --bench micro -- publish`.

// A tool for those who build the server: what can't go on may end it.
#![allow(clippy::expect_used)]

use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use tailcast::chunk::{Batch, CHUNK_BYTES, Lines};
use tailcast::config::{Config, Settings};
use tailcast::decode::Decoder;
use tailcast::hub::{Channel, Found, History, Next, Registry, Source, Start};
use tailcast::lines;
use tailcast::metrics::Metrics;
use tailcast::position::{Mark, Place, Position};
use tailcast::split::Splitter;
use tokio::runtime::{self, Runtime};

/// Allocations are told beside times: on the way of a line to a viewer there is to be none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Enough for a stable figure, little enough to stay in the page cache.
const FILE_BYTES: usize = 64 << 20;
/// The default of `stream.max_line`.
const MAX_LINE: usize = 64 << 10;
/// With its end.
const LINE_BYTES: usize = 120;
const TEXTS: [&str; 2] = ["ascii", "chinese"];
const FILE: &str = "ds_update.log";

fn main() {
    divan::main();
}

/// A line of `LINE_BYTES` bytes without its end, in one of `TEXTS`.
fn line(text: &str) -> String {
    let text = match text {
        "chinese" => "开始下载 第一段视频 ",
        _ => "2026-01-01 12:00:00 INFO part-0001.flv 17 MiB ",
    };
    let mut line = text.repeat((LINE_BYTES - 1) / text.len());
    line.push_str(&"x".repeat(LINE_BYTES - 1 - line.len()));
    line
}

/// Lines of text to a run of frames.
#[divan::bench(args = TEXTS)]
fn encode(bencher: Bencher<'_, '_>, text: &str) {
    const LINES: usize = 500;
    let line = line(text);
    bencher.counter(ItemsCount::new(LINES)).bench_local(|| {
        let mut batch = Batch::default();
        for _ in 0..LINES {
            batch.push(black_box(&line), 0);
        }
        batch.into_lines(Place::default(), Vec::new())
    });
}

/// Bytes of a file to lines in frames: reading, splitting, decoding, encoding. Throughput counts bytes of the file.
#[divan::bench(args = TEXTS)]
fn read(bencher: Bencher<'_, '_>, text: &str) {
    let mut line = line(text);
    line.push('\n');
    let mut file = tempfile::tempfile().expect("a temporary file");
    let lines = FILE_BYTES / line.len();
    file.write_all(line.repeat(lines).as_bytes())
        .expect("room for the file");
    bencher.counter(BytesCount::new(lines * line.len())).bench_local(|| {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut splitter = Splitter::new(Decoder::UTF_8.unit(), MAX_LINE);
        let mut batch = Batch::default();
        let mut offset = 0;
        while let Ok(len @ 1..) = file.read_at(&mut buffer, offset) {
            offset += len as u64;
            let block = buffer.get(..len).unwrap_or_default();
            let start = offset - len as u64;
            lines::feed(&mut splitter, Decoder::UTF_8, block, &mut |text, end| {
                if !batch.has_room_for(text) {
                    black_box(std::mem::take(&mut batch).into_lines(Place::default(), Vec::new()));
                }
                batch.push(text, start + end as u64);
            });
        }
        black_box(batch.into_lines(Place::default(), Vec::new()))
    });
}

/// A source that has looked already, whenever it is asked to.
#[derive(Debug)]
struct Ready;

impl Source for Ready {
    fn look(&self, channel: &Arc<Channel>) {
        channel.looked(channel.asked(), Found::Fed);
    }
}

/// A channel with 50 lines of history, and the one thread on which its viewers run.
fn channel() -> (Runtime, Arc<Channel>) {
    let metrics = Metrics::default();
    let source: Arc<dyn Source> = Arc::new(Ready);
    let registry = Registry::new(&Settings::new(Config::default()), &metrics, &source);
    let channel = registry.channel(FILE).expect("a file that is allowed by default");
    let history = History {
        start: Place::default(),
        lines: vec![batch(50)],
    };
    let fed = channel.feed(&history, Position::default(), None);
    assert!(fed, "nobody else feeds it");
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    (runtime, channel)
}

fn batch(lines: usize) -> Lines {
    let line = line("ascii");
    let mut batch = Batch::default();
    for _ in 0..lines {
        batch.push(&line, 0);
    }
    let marks = vec![Mark::At(Place::default()); lines];
    batch.into_lines(Place::default(), marks)
}

/// A viewer that joins and leaves, between two lines: it shares the history that was made for the one before.
#[divan::bench]
fn snapshot_shared(bencher: Bencher<'_, '_>) {
    let (runtime, channel) = channel();
    bencher.bench_local(|| runtime.block_on(channel.subscribe(Start::History)).expect("it is fed"));
}

/// The same, after a line: the history is made anew.
#[divan::bench]
fn snapshot_made(bencher: Bencher<'_, '_>) {
    let (runtime, channel) = channel();
    bencher
        .with_inputs(|| channel.publish(&batch(1), Position::default(), Instant::now(), true))
        .bench_local_refs(|()| runtime.block_on(channel.subscribe(Start::History)).expect("it is fed"));
}

/// A batch of eight lines, until a task for each viewer has taken it. Throughput counts those.
#[divan::bench(args = [1, 100, 10_000])]
fn publish(bencher: Bencher<'_, '_>, viewers: usize) {
    let (runtime, channel) = channel();
    let taken = Arc::new(AtomicUsize::new(0));
    for _ in 0..viewers {
        let mut subscription = runtime.block_on(channel.subscribe(Start::History)).expect("it is fed");
        let taken = Arc::clone(&taken);
        runtime.spawn(async move {
            while let Next::Chunk { chunk, .. } = subscription.next().await {
                subscription.took(&chunk);
                taken.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let all_take = || {
        runtime.block_on(async {
            while taken.load(Ordering::Relaxed) < viewers {
                tokio::task::yield_now().await;
            }
        });
        taken.store(0, Ordering::Relaxed);
    };
    // The history of each.
    all_take();
    bencher
        .counter(ItemsCount::new(viewers))
        .with_inputs(|| batch(8))
        .bench_local_values(|batch| {
            channel.publish(&batch, Position::default(), Instant::now(), true);
            all_take();
        });
}
