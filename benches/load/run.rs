//! One measured run: a scenario against one server, from an empty directory to the figures. The order of steps is the
//! measurement: everything is connected and quiet before the clocks are read, and they are read again when the last
//! viewer has the last line, not when the writer is done.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lines::{Clock, LineFormat, Stamp};
use crate::machine::{self, CpuMeter, CpuTimes, Memory};
use crate::report::{Delay, Figures, Outcome};
use crate::scenarios::Scenario;
use crate::server::{self, Launch, Server, Subject};
use crate::viewers::{Expected, StalledOutcome, Viewers};
use crate::writer::{self, Plan};

const FILE: &str = "load.log";
/// The lines the file has before anybody connects: as many as a server sends of them by default.
const HISTORY: u64 = 50;
/// Before the first connection, until the server has done what it does at its start.
const START_SETTLE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
const HISTORY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between the last connection and the first line.
const SETTLE: Duration = Duration::from_secs(1);
/// How long the last line may take after it was written.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a run can take apart from the time it writes; what only computes is left out.
pub const LONGEST_BESIDES: Duration = Duration::from_secs(
    server::START_TIMEOUT.as_secs()
        + CONNECT_TIMEOUT.as_secs()
        + HISTORY_TIMEOUT.as_secs()
        + SETTLE.as_secs()
        + FINISH_TIMEOUT.as_secs()
        + DRAIN_TIMEOUT.as_secs()
        + server::STOP_TIMEOUT.as_secs(),
);

pub fn run(scenario: &Scenario, subject: Subject, launch: &Launch, meter: CpuMeter) -> Result<Outcome> {
    let clock = Clock::start();
    let dir = tempfile::tempdir().context("can't make a temporary directory")?;
    let format = LineFormat::new(scenario.line_bytes);
    let mut history = Vec::new();
    for number in 0..HISTORY {
        format.push(&mut history, Stamp { number, nanos: 0 });
    }
    let path = dir.path().join(FILE);
    fs::write(&path, history).with_context(|| format!("can't write {}", path.display()))?;

    let mut server = Server::start(subject, launch, dir.path(), FILE)?;
    let plan = Plan {
        path,
        format: format.clone(),
        first: HISTORY,
        count: scenario.lines(),
        rate: scenario.rate,
    };
    let expected = Expected {
        first: (subject == Subject::Tailcast).then_some(0),
        first_live: HISTORY,
        end: HISTORY + scenario.lines(),
        whole_frames: subject == Subject::Tailcast,
    };
    let viewers = Viewers::new(clock, format, expected)?;
    let mut outcome = measure(scenario, subject, &server, viewers, plan, clock, meter)
        .map_err(|error| server.explain_running(error))?;
    // The figures are good all the same.
    if let Err(error) = server.stop() {
        outcome.figures.violations += 1.0;
        outcome.told.push(format!("{error:#}"));
    }
    Ok(outcome)
}

/// From the first connection on; the viewers leave when this returns.
fn measure(
    scenario: &Scenario,
    subject: Subject,
    server: &Server,
    mut viewers: Viewers,
    plan: Plan,
    clock: Clock,
    meter: CpuMeter,
) -> Result<Outcome> {
    thread::sleep(START_SETTLE);
    let memory_before = machine::memory(server.pid())?;
    let target = format!("/api/v1/ws/logs?file={FILE}");
    let deadline = Instant::now() + CONNECT_TIMEOUT;
    viewers.connect(
        server.address,
        &target,
        scenario.viewers,
        scenario.stalled_every,
        deadline,
    )?;
    let reading = viewers.reading();
    if subject == Subject::Tailcast {
        let deadline = Instant::now() + HISTORY_TIMEOUT;
        while viewers.tally.caught_up + viewers.tally.dropped < reading && Instant::now() < deadline {
            viewers.pump()?;
        }
        let without = reading.saturating_sub(viewers.tally.caught_up);
        if without > 0 {
            viewers.tally.violations += 1;
            viewers
                .tally
                .told
                .push(format!("{without} viewers did not get the last {HISTORY} lines"));
        }
    }
    pump_for(&mut viewers, SETTLE)?;
    let memory_connected = machine::memory(server.pid())?;

    let cpu_before = meter.read(server.pid())?;
    let start = Instant::now();
    let start_nanos = clock.nanos();
    let mut writer_late = None;
    if scenario.rate == 0 {
        pump_for(&mut viewers, Duration::from_secs(scenario.seconds))?;
    } else {
        let writer = writer::start(plan, clock)?;
        let mut deadline = None;
        while viewers.tally.complete + viewers.tally.dropped < reading || !writer.is_finished() {
            viewers.pump()?;
            if deadline.is_none() && writer.is_finished() {
                deadline = Some(Instant::now() + FINISH_TIMEOUT);
            }
            if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                break;
            }
        }
        let written = writer
            .join()
            .map_err(|_| anyhow::anyhow!("the writer's thread panicked"))??;
        writer_late = Some(written.latest);
    }
    let elapsed = start.elapsed();
    let cpu = meter.read(server.pid())?.since(cpu_before);
    let memory_loaded = machine::memory(server.pid())?;

    viewers.check_complete();
    let stalled = match scenario.stalled_every {
        Some(_) => Some(viewers.drain_stalled(Instant::now() + DRAIN_TIMEOUT)?),
        None => None,
    };
    Ok(outcome(
        scenario,
        subject,
        &viewers,
        stalled,
        writer_late,
        &Measured {
            elapsed,
            start_nanos,
            cpu,
            memory_before,
            memory_connected,
            memory_loaded,
        },
    ))
}

struct Measured {
    elapsed: Duration,
    start_nanos: u64,
    cpu: CpuTimes,
    memory_before: Memory,
    memory_connected: Memory,
    memory_loaded: Memory,
}

fn outcome(
    scenario: &Scenario,
    subject: Subject,
    viewers: &Viewers,
    stalled: Option<StalledOutcome>,
    writer_late: Option<Duration>,
    measured: &Measured,
) -> Outcome {
    let Measured {
        elapsed,
        start_nanos,
        cpu,
        memory_before,
        memory_connected,
        memory_loaded,
    } = *measured;
    let tally = &viewers.tally;
    let elapsed = elapsed.as_secs_f64();
    let delivered = tally.delivered as f64;
    let live = tally.delivered > 0;
    let delivering = tally.last_line_nanos.saturating_sub(start_nanos) as f64 / 1e9;
    let each = |after: f64, before: f64| (after - before) / scenario.viewers as f64;
    let anonymous_each = |after: Memory| Some(each(after.anonymous?, memory_before.anonymous?));
    let millis = |quantile: f64| tally.delay.value_at_quantile(quantile) as f64 / 1e3;
    let figures = Figures {
        viewers: scenario.viewers as f64,
        rate: scenario.rate as f64,
        line_bytes: scenario.line_bytes as f64,
        delivered,
        delivered_per_s: live.then(|| delivered / delivering),
        server_cpu_us_per_line: live.then(|| cpu.server * 1e6 / delivered),
        server_cpu_s: cpu.server,
        server_cores: cpu.server / elapsed,
        bench_cores: cpu.own / elapsed,
        other_cores: cpu.other() / elapsed,
        steal_cores: cpu.steal / elapsed,
        delay: live.then(|| Delay {
            p50: millis(0.50),
            p90: millis(0.90),
            p99: millis(0.99),
            p999: millis(0.999),
            max: tally.delay.max() as f64 / 1e3,
        }),
        writer_late_ms: writer_late.map(|late| late.as_secs_f64() * 1e3),
        server_kib: memory_before.resident,
        resident_connected: each(memory_connected.resident, memory_before.resident),
        resident_loaded: each(memory_loaded.resident, memory_before.resident),
        anonymous_connected: anonymous_each(memory_connected),
        anonymous_loaded: anonymous_each(memory_loaded),
        dropped: tally.dropped as f64,
        notices: tally.notices.values().sum::<u64>() as f64,
        violations: tally.violations as f64,
    };
    Outcome {
        scenario: scenario.name.text(),
        subject: subject.name(),
        figures,
        notices: tally.notices.clone(),
        told: tally.told.clone(),
        stalled,
    }
}

fn pump_for(viewers: &mut Viewers, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    while Instant::now() < end {
        viewers.pump()?;
    }
    Ok(())
}
