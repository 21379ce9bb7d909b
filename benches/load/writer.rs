//! The program that would write the log: a thread that appends numbered lines at a fixed rate,
//! or all at once. It follows an absolute
//! schedule, so that being late once doesn't lower the rate, and reports how late it was, because a late writer makes
//! bursts that the server is not to blame for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::lines::{Clock, FILE_STEP, LineFormat, Stamp};

/// Above this rate the lines that fall into one tick are one write, as of a program that buffers.
const SINGLE_WRITE_RATE: u64 = 1_000;
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
pub struct Plan {
    /// Written in turns, each line in the next one.
    pub paths: Vec<PathBuf>,
    pub format: LineFormat,
    /// The number of the first line in each file.
    pub first: u64,
    /// Lines in each file.
    pub count: u64,
    /// Lines a second in each file; none where all are to be written by one call.
    pub rate: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// The longest time between a line's place in the schedule and its write.
    pub latest: Duration,
}

/// Starts the thread; it ends by itself when all lines are written.
pub fn start(plan: Plan, clock: Clock) -> Result<JoinHandle<Result<Written>>> {
    thread::Builder::new()
        .name("writer".to_owned())
        .spawn(move || {
            let mut files = plan.paths.iter().map(append).collect::<Result<Vec<_>>>()?;
            match plan.rate {
                Some(rate) => pace(&plan, &mut files, rate, clock),
                None => burst(&plan, &mut files, clock),
            }
        })
        .context("can't start the writer's thread")
}

fn append(path: &PathBuf) -> Result<File> {
    let file = OpenOptions::new().append(true).open(path);
    file.with_context(|| format!("can't append to {}", path.display()))
}

fn pace(plan: &Plan, files: &mut [File], rate: u64, clock: Clock) -> Result<Written> {
    let rate = rate * files.len() as u64;
    let count = plan.count * files.len() as u64;
    let batched = files.len() == 1 && rate > SINGLE_WRITE_RATE;
    let start = Instant::now();
    let mut latest = Duration::ZERO;
    let mut batch = Vec::new();
    let mut written = 0;
    while written < count {
        let first_due = due(written, rate);
        let wake = if batched { next_tick(first_due) } else { first_due };
        thread::sleep(wake.saturating_sub(start.elapsed()));
        let elapsed = start.elapsed();
        latest = latest.max(elapsed.saturating_sub(wake));

        let lines = if batched {
            // All that is due by now, also what a late wake-up has added to it.
            let by_now = (elapsed.as_nanos() * u128::from(rate) / 1_000_000_000) as u64 + 1;
            by_now.min(count) - written
        } else {
            1
        };
        let turn = files.len() as u64;
        let file = (written % turn) as usize;
        fill(&mut batch, plan, file, written / turn, lines, clock.nanos());
        files[file].write_all(&batch).context("can't append to a file")?;
        written += lines;
    }
    Ok(Written { latest })
}

fn burst(plan: &Plan, files: &mut [File], clock: Clock) -> Result<Written> {
    let mut batch = Vec::with_capacity(plan.count as usize * (plan.format.payload_bytes() + 1));
    for (index, file) in files.iter_mut().enumerate() {
        fill(&mut batch, plan, index, 0, plan.count, clock.nanos());
        let written = file.write(&batch).context("can't append to a file")?;
        if written < batch.len() {
            bail!("only {written} of {} bytes were taken at once", batch.len());
        }
    }
    Ok(Written { latest: Duration::ZERO })
}

/// Makes lines of a file, from the one with this index on.
fn fill(batch: &mut Vec<u8>, plan: &Plan, file: usize, index: u64, lines: u64, nanos: u64) {
    batch.clear();
    for number in index..index + lines {
        let number = file as u64 * FILE_STEP + plan.first + number;
        plan.format.push(batch, Stamp { number, nanos });
    }
}

/// When the line of this index is to be written, from the start on.
fn due(index: u64, rate: u64) -> Duration {
    Duration::from_nanos((u128::from(index) * 1_000_000_000).div_ceil(u128::from(rate)) as u64)
}

/// The first end of a tick at or after a moment.
fn next_tick(moment: Duration) -> Duration {
    let tick = TICK.as_nanos();
    Duration::from_nanos((moment.as_nanos().div_ceil(tick) * tick) as u64)
}
