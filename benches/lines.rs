//! Bytes of a file to lines in frames, without the network: reading, splitting, decoding, encoding once.
//!
//! Run with `cargo bench --bench lines`; the throughput column counts bytes of the file.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::os::unix::fs::FileExt;

use divan::counter::BytesCount;
use tailcast::chunk::{Batch, CHUNK_BYTES};
use tailcast::decode::Decoder;
use tailcast::lines;
use tailcast::split::Splitter;

/// Enough for a stable figure, little enough to stay in the page cache.
const FILE_BYTES: usize = 64 << 20;
/// The default of `stream.max_line`.
const MAX_LINE: usize = 64 << 10;

fn main() {
    divan::main();
}

/// A file of lines of 120 bytes with their ends.
fn file(text: &str) -> File {
    let mut line = text.repeat(120 / text.len());
    line.push_str(&"x".repeat(119 - line.len()));
    line.push('\n');
    let mut file = tempfile::tempfile().unwrap_or_else(|error| panic!("no temporary file: {error}"));
    let block = line.repeat(FILE_BYTES / line.len());
    if let Err(error) = file.write_all(block.as_bytes()) {
        panic!("the file can't be written: {error}");
    }
    file
}

fn read_lines(bencher: divan::Bencher<'_, '_>, text: &str) {
    let file = file(text);
    bencher.counter(BytesCount::new(FILE_BYTES)).bench_local(|| {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut splitter = Splitter::new(Decoder::UTF_8.unit(), MAX_LINE);
        let mut batch = Batch::default();
        let mut offset = 0;
        while let Ok(len @ 1..) = file.read_at(&mut buffer, offset) {
            offset += len as u64;
            let block = buffer.get(..len).unwrap_or_default();
            lines::feed(&mut splitter, Decoder::UTF_8, block, &mut |text| {
                batch.push(text);
                if batch.is_full() {
                    black_box(std::mem::take(&mut batch).into_frames());
                }
            });
        }
        black_box(batch.into_frames())
    });
}

#[divan::bench]
fn ascii(bencher: divan::Bencher<'_, '_>) {
    read_lines(bencher, "2026-01-01 12:00:00 INFO part-0001.flv 17 MiB ");
}

#[divan::bench]
fn chinese(bencher: divan::Bencher<'_, '_>) {
    read_lines(bencher, "开始下载 第一段视频 ");
}
