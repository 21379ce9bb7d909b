//! The program that would write the log: a thread that appends numbered lines at a fixed rate. It follows an absolute
//! schedule, so that being late once doesn't lower the rate, and reports how late it was, because a late writer makes
//! bursts that the server is not to blame for.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lines::{Clock, LineFormat, Stamp};

/// Above this rate the lines that fall into one tick are one write, as of a program that buffers.
const SINGLE_WRITE_RATE: u64 = 1_000;
const TICK: Duration = Duration::from_millis(1);

#[derive(Debug, Clone)]
pub struct Plan {
    pub path: PathBuf,
    pub format: LineFormat,
    /// The number of the first line.
    pub first: u64,
    pub count: u64,
    /// Lines a second.
    pub rate: u64,
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
        .spawn(move || write(&plan, clock))
        .context("can't start the writer's thread")
}

fn write(plan: &Plan, clock: Clock) -> Result<Written> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(&plan.path)
        .with_context(|| format!("can't append to {}", plan.path.display()))?;
    let start = Instant::now();
    let mut latest = Duration::ZERO;
    let mut batch = Vec::new();
    let mut written = 0;
    while written < plan.count {
        let first_due = due(written, plan.rate);
        let wake = if plan.rate > SINGLE_WRITE_RATE {
            next_tick(first_due)
        } else {
            first_due
        };
        thread::sleep(wake.saturating_sub(start.elapsed()));
        let elapsed = start.elapsed();
        latest = latest.max(elapsed.saturating_sub(wake));

        let lines = if plan.rate > SINGLE_WRITE_RATE {
            // All that is due by now, also what a late wake-up has added to it.
            let by_now = (elapsed.as_nanos() * u128::from(plan.rate) / 1_000_000_000) as u64 + 1;
            by_now.min(plan.count) - written
        } else {
            1
        };
        batch.clear();
        let nanos = clock.nanos();
        for number in written..written + lines {
            plan.format.push(
                &mut batch,
                Stamp {
                    number: plan.first + number,
                    nanos,
                },
            );
        }
        file.write_all(&batch)
            .with_context(|| format!("can't append to {}", plan.path.display()))?;
        written += lines;
    }
    Ok(Written { latest })
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
