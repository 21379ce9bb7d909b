//! What is measured, one function each.

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;

use crate::server::{Bench, Server};
use crate::viewer::Viewer;

/// Single lines of a quiet file.
const QUIET_LINES: u32 = 60;
/// Their distance: longer than a file stays hot, on no beat of anything that looks at times.
const QUIET_GAP: Duration = Duration::from_millis(1_117);
/// How many are written for comparison with those beside a busy file,
const ALONE_LINES: u32 = 200;
/// and their distance.
const BESIDE_GAP: Duration = Duration::from_millis(23);
const STEADY_LINES: u32 = 10_000;
const STEADY_GAP: Duration = Duration::from_millis(1);
/// Bytes of a line with its end.
const LINE_BYTES: usize = 120;
const IDLE_FILES: usize = 3;
const IDLE_VIEWERS: usize = 1_000;
/// How often idle viewers look whether they were asked anything.
const ANSWER_EVERY: Duration = Duration::from_secs(5);
/// How long a server that has just started is let alone before its time is taken.
const SETTLE: Duration = Duration::from_secs(2);
const HUGE_BYTES: u64 = 10 << 30;
const HUGE_FILES: usize = 20;
const HISTORY_LINES: usize = 50;
const BLOCK_BYTES: usize = 1 << 20;
const RESIDENT_EVERY: Duration = Duration::from_millis(50);

/// Delays in microseconds.
type Delays = Histogram<u64>;

fn delays() -> Result<Delays> {
    Ok(Histogram::new(3)?)
}

fn show(what: &str, delays: &Delays, asked: &str) {
    let millis = |micros: u64| micros as f64 / 1_000.0;
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms of {} ({asked})",
        millis(delays.value_at_quantile(0.5)),
        millis(delays.value_at_quantile(0.99)),
        millis(delays.max()),
        delays.len()
    );
}

/// Writes lines of a file, which is empty, so far apart while `goes_on`, and takes the time from the write of each to when it was read
/// from the viewer's socket.
fn measure(server: &Server, name: &str, gap: Duration, goes_on: impl Fn(u32) -> bool) -> Result<Delays> {
    let mut viewer = Viewer::connect(server.address, name)?;
    let mut log = server.log(name)?;
    let epoch = Instant::now();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| -> Result<Delays> {
            let mut delays = delays()?;
            loop {
                let line = viewer.line()?;
                let now = epoch.elapsed().as_micros() as u64;
                let written = line.split(' ').next().and_then(|micros| micros.parse::<u64>().ok());
                match written {
                    Some(written) => delays.record(now - written)?,
                    None if done.load(Ordering::Acquire) => return Ok(delays),
                    None => bail!("not a line of ours: {line:?}"),
                }
            }
        });
        let mut lines = 0;
        while goes_on(lines) {
            // By the clock, so that late lines are not followed by more of them.
            thread::sleep((gap * (lines + 1)).saturating_sub(epoch.elapsed()));
            write_line(&mut log, epoch)?;
            lines += 1;
        }
        done.store(true, Ordering::Release);
        log.write_all(b"end\n")?;
        let delays = match reader.join() {
            Ok(delays) => delays?,
            Err(_) => bail!("the viewer panicked"),
        };
        if delays.len() != u64::from(lines) {
            bail!("{lines} lines were written, {} came", delays.len());
        }
        Ok(delays)
    })
}

fn write_line(log: &mut File, epoch: Instant) -> Result<()> {
    let mut line = format!("{:020} ", epoch.elapsed().as_micros());
    line.push_str(&"x".repeat(LINE_BYTES - 1 - line.len()));
    line.push('\n');
    log.write_all(line.as_bytes()).context("can't write")
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number}.log")).collect()
}

/// Single lines of a quiet file.
pub fn quiet(bench: &Bench) -> Result<()> {
    let server = bench.serve(&names(1))?;
    let delays = measure(&server, "0.log", QUIET_GAP, |lines| lines < QUIET_LINES)?;
    show(
        "a quiet file's single line",
        &delays,
        "asked: p50 under 10 ms, p99 under 30 ms",
    );
    server.stop()
}

/// A thousand lines a second.
pub fn steady(bench: &Bench) -> Result<()> {
    let server = bench.serve(&names(1))?;
    let delays = measure(&server, "0.log", STEADY_GAP, |lines| lines < STEADY_LINES)?;
    show("1,000 lines/s", &delays, "asked: p50 under 10 ms, p99 under 30 ms");
    server.stop()
}

/// Nothing written, first without viewers, then with many.
pub fn idle(bench: &Bench, time: Duration) -> Result<()> {
    let names = names(IDLE_FILES);
    let mut server = bench.serve(&names)?;
    let percent = |server: &mut Server, viewers: &mut [Viewer]| -> Result<f64> {
        thread::sleep(SETTLE);
        let (began, before) = (Instant::now(), server.processor_time()?);
        while began.elapsed() < time {
            thread::sleep(ANSWER_EVERY.min(time.saturating_sub(began.elapsed())));
            for viewer in &mut *viewers {
                viewer.answer_pings()?;
            }
        }
        let used = server.processor_time()?.saturating_sub(before);
        Ok(used.as_secs_f64() * 100.0 / began.elapsed().as_secs_f64())
    };
    println!(
        "{IDLE_FILES} quiet files, no viewer: {:.3} % of a core (asked: next to nothing)",
        percent(&mut server, &mut [])?
    );
    let resident = server.resident()?;
    let mut viewers = Vec::new();
    for number in 0..IDLE_VIEWERS {
        let mut viewer = Viewer::connect(server.address, &names[number % IDLE_FILES])?;
        viewer.stop_waiting()?;
        viewers.push(viewer);
    }
    let used = percent(&mut server, &mut viewers)?;
    let each = (server.resident()?.saturating_sub(resident)) as f64 / IDLE_VIEWERS as f64;
    println!(
        "{IDLE_FILES} quiet files, {IDLE_VIEWERS} viewers: {used:.3} % of a core (asked: under 0.3), {each:.2} KiB each"
    );
    drop(viewers);
    server.stop()
}

/// The last lines of files of 10 GiB that nobody has opened yet.
pub fn open(bench: &Bench) -> Result<()> {
    let names = names(HUGE_FILES);
    let server = bench.serve(&names)?;
    let mut delays = delays()?;
    for name in &names {
        let mut log = server.log(name)?;
        log.set_len(HUGE_BYTES)?;
        for _ in 0..HISTORY_LINES {
            write_line(&mut log, Instant::now())?;
        }
        let began = Instant::now();
        let mut viewer = Viewer::connect(server.address, name)?;
        for _ in 0..HISTORY_LINES {
            viewer.line()?;
        }
        delays.record(began.elapsed().as_micros() as u64)?;
    }
    show(
        "the last 50 lines of a file of 10 GiB, from connecting on",
        &delays,
        "asked: under 20 ms",
    );
    server.stop()
}

/// Lines of one file while another one is written as fast as its disk takes it.
pub fn beside(bench: &Bench, bytes: u64) -> Result<()> {
    let server = bench.serve(&names(3))?;
    let alone = measure(&server, "2.log", BESIDE_GAP, |lines| lines < ALONE_LINES)?;
    show("lines with nothing beside them", &alone, "for comparison");
    let mut watching = Viewer::connect(server.address, "1.log")?;
    let mut fast = server.log("1.log")?;
    let writing = Arc::new(AtomicBool::new(true));
    let mut resident = server.resident()?;
    let before = resident;
    let epoch = Instant::now();
    let (delays, read) = thread::scope(|scope| -> Result<_> {
        // Reads what it gets as fast as it can.
        let reader = scope.spawn(|| {
            let mut lines = 0_u64;
            while let Ok(line) = watching.line() {
                lines += 1;
                if line == "end" {
                    break;
                }
            }
            lines
        });
        let writer = scope.spawn(|| -> Result<Duration> {
            let mut block = "y".repeat(LINE_BYTES - 1) + "\n";
            block = block.repeat(BLOCK_BYTES / LINE_BYTES);
            let mut written = 0;
            while written < bytes {
                fast.write_all(block.as_bytes()).context("can't write")?;
                written += block.len() as u64;
            }
            let took = epoch.elapsed();
            fast.write_all(b"end\n")?;
            Ok(took)
        });
        let sampler = scope.spawn(|| -> Result<u64> {
            let mut most = 0;
            while writing.load(Ordering::Acquire) {
                most = most.max(server.resident()?);
                thread::sleep(RESIDENT_EVERY);
            }
            Ok(most)
        });
        // Until the viewer of the fast file has all of it, or has been given up.
        let delays = measure(&server, "0.log", BESIDE_GAP, |_| !reader.is_finished());
        writing.store(false, Ordering::Release);
        let panicked = "a thread panicked";
        resident = sampler.join().ok().context(panicked)??;
        let took = writer.join().ok().context(panicked)??;
        let lines = reader.join().ok().context(panicked)?;
        Ok((delays?, (took, lines)))
    })?;
    show(
        "lines beside a file written at full speed",
        &delays,
        "asked: not delayed by more than 50 ms",
    );
    let (took, lines) = read;
    println!(
        "    {} MiB were written in {:.1} s, its viewer got {lines} lines by {:.1} s; the server's memory went from {} to \
         {} MiB at most",
        bytes >> 20,
        took.as_secs_f64(),
        epoch.elapsed().as_secs_f64(),
        before >> 10,
        resident >> 10
    );
    server.stop()
}
