//! One measured run: a load on one server, from an empty directory to the figures. The order of steps is the
//! measurement: everything is connected and quiet before the clocks are read, and they are read again when the last
//! viewer has the last line, not when the writer is done.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use tempfile::TempDir;

use crate::child;
use crate::figures::{Delay, Figures, Outcome};
use crate::lines::{Clock, FILE_STEP, LineFormat, Stamp};
use crate::machine::{self, CpuMeter, CpuTimes, Memory};
use crate::scenarios::{Scenario, Work};
use crate::server::{Launch, Server, Subject};
use crate::viewer::Expected;
use crate::viewers::{StalledOutcome, Viewers};
use crate::writer::{self, Plan};

/// Before the first connection, until the server has done what it does at its start.
const START_SETTLE: Duration = Duration::from_millis(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);
const HISTORY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections waiting for their answer at a time, where connecting is not what is measured: below the shortest queue a
/// listener is commonly given, since who finds it full only tries again a second later.
const CONNECTING_MAX: usize = 100;
/// Between the last connection and the first line.
const SETTLE: Duration = Duration::from_secs(1);
/// How long it may take after the last write until the last line is there, and for how long nothing may come meanwhile:
/// a machine that others use is slow, which is no loss of lines.
const FINISH_TIMEOUT: Duration = Duration::from_secs(60);
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for a server that is known to fall behind: how far is told by what it delivered until then.
const FINISH_TIMEOUT_LOSSY: Duration = Duration::from_secs(10);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest a run can take apart from the time it writes; what only computes is left out.
pub const LONGEST_BESIDES: Duration = Duration::from_secs(
    child::START_TIMEOUT.as_secs()
        + CONNECT_TIMEOUT.as_secs()
        + HISTORY_TIMEOUT.as_secs()
        + SETTLE.as_secs()
        + FINISH_TIMEOUT.as_secs()
        + DRAIN_TIMEOUT.as_secs()
        + child::STOP_TIMEOUT.as_secs(),
);

/// The files of a run, as they are before anybody connects.
pub struct Site {
    dir: TempDir,
    names: Vec<String>,
    format: LineFormat,
}

impl Site {
    pub fn prepare(scenario: &Scenario) -> Result<Self> {
        let dir = tempfile::tempdir().context("can't make a temporary directory")?;
        let format = LineFormat::new(scenario.line_bytes);
        let names: Vec<String> = match scenario.files {
            1 => vec!["load.log".to_owned()],
            files => (0..files).map(|file| format!("load{file}.log")).collect(),
        };
        for (name, file) in names.iter().zip(0..) {
            let path = dir.path().join(name);
            let write = || {
                let mut out = BufWriter::new(File::create(&path)?);
                let mut line = Vec::new();
                for number in 0..scenario.lines_before() {
                    line.clear();
                    let number = file * FILE_STEP + number;
                    format.push(&mut line, Stamp { number, nanos: 0 });
                    out.write_all(&line)?;
                }
                // What the kernel writes to the disk later would be noise.
                out.into_inner()?.sync_all()
            };
            write().with_context(|| format!("can't write {}", path.display()))?;
        }
        Ok(Self { dir, names, format })
    }

    fn paths(&self) -> Vec<PathBuf> {
        self.names.iter().map(|name| self.dir.path().join(name)).collect()
    }
}

/// Runs a load on a site that was prepared for it.
pub fn run(
    scenario: &Scenario,
    subject: Subject,
    round: u64,
    site: &Site,
    launch: &Launch,
    meter: CpuMeter,
) -> Result<Outcome> {
    let said = tempfile::tempdir().context("can't make a temporary directory")?;
    let mut server = Server::start(subject, launch, site.dir.path(), &site.names, said.path())?;
    let run = Run {
        scenario,
        subject,
        round,
        cores: launch.cores_of(subject),
        site,
        meter,
        clock: Clock::start(),
    };
    let mut outcome = run.measure(&server).map_err(|error| server.explain_running(error))?;
    // The figures are good all the same.
    if let Err(error) = server.stop() {
        outcome.figures.violations += 1.0;
        outcome.told.push(format!("{error:#}"));
    }
    Ok(outcome)
}

struct Run<'a> {
    scenario: &'a Scenario,
    subject: Subject,
    round: u64,
    cores: usize,
    site: &'a Site,
    meter: CpuMeter,
    clock: Clock,
}

/// What the kernel told at some moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    memory: Memory,
    sockets: f64,
    cpu: CpuTimes,
    overflows: u64,
    at: Instant,
    nanos: u64,
}

struct Measured {
    /// Before the first connection, when all were connected, before the work and after it.
    empty: Reading,
    connected: Reading,
    start: Reading,
    end: Reading,
    writer_late: Option<Duration>,
    waiting: usize,
    stalled: Option<StalledOutcome>,
}

impl Run<'_> {
    /// From the first connection on; the viewers leave when this returns.
    fn measure(&self, server: &Server) -> Result<Outcome> {
        let scenario = self.scenario;
        thread::sleep(START_SETTLE);
        let first_live = scenario.lines_before();
        let expected = Expected {
            first: first_live - scenario.history(),
            first_live,
            end: first_live + scenario.lines(),
            lossless: self.subject.is_lossless(),
            whole_frames: self.subject.is_ours(),
        };
        let common = (self.clock, self.site.format.clone(), expected);
        let names = &self.site.names;
        let mut viewers = Viewers::prepare(common, server.address, names, scenario.viewers, scenario.stalled_every)?;
        let empty = self.read(server)?;
        let at_once = match scenario.work {
            Work::Storm => scenario.viewers,
            _ => CONNECTING_MAX,
        };
        viewers.connect(at_once, Instant::now() + CONNECT_TIMEOUT)?;
        self.await_history(&mut viewers)?;

        let measured = if scenario.work == Work::Storm {
            let end = self.read(server)?;
            Measured {
                empty,
                connected: end,
                start: empty,
                end,
                writer_late: None,
                waiting: 0,
                stalled: None,
            }
        } else {
            viewers.pump_for(SETTLE)?;
            let connected = self.read(server)?;
            let writer_late = self.work(&mut viewers)?;
            let end = self.read(server)?;
            let waiting = viewers.check_complete();
            let stalled = match scenario.stalled_every {
                Some(_) => Some(viewers.drain_stalled(Instant::now() + DRAIN_TIMEOUT)?),
                None => None,
            };
            Measured {
                empty,
                connected,
                start: connected,
                end,
                writer_late,
                waiting,
                stalled,
            }
        };
        Ok(self.outcome(&viewers, &measured))
    }

    fn read(&self, server: &Server) -> Result<Reading> {
        Ok(Reading {
            memory: machine::memory(server.pid())?,
            sockets: machine::socket_memory(),
            cpu: self.meter.read(server.pid(), server.has_children())?,
            overflows: machine::listen_overflows(),
            at: Instant::now(),
            nanos: self.clock.nanos(),
        })
    }

    fn await_history(&self, viewers: &mut Viewers) -> Result<()> {
        let reading = viewers.reading();
        let deadline = Instant::now() + HISTORY_TIMEOUT;
        while viewers.tally.caught_up + viewers.tally.dropped < reading && Instant::now() < deadline {
            viewers.pump()?;
        }
        let without = reading.saturating_sub(viewers.tally.caught_up);
        if without > 0 {
            viewers.tally.violations += 1;
            let history = self.scenario.history();
            viewers
                .tally
                .told
                .push(format!("{without} viewers did not get the last {history} lines"));
        }
        Ok(())
    }

    /// Does what is to be done while the viewers watch, until all have what they wait for; tells how late the writer was.
    fn work(&self, viewers: &mut Viewers) -> Result<Option<Duration>> {
        let scenario = self.scenario;
        if scenario.lines() == 0 {
            viewers.pump_for(Duration::from_secs(scenario.seconds))?;
            return Ok(None);
        }
        let plan = Plan {
            paths: self.site.paths(),
            format: self.site.format.clone(),
            first: scenario.lines_before(),
            count: scenario.lines(),
            rate: (scenario.work == Work::Paced).then_some(scenario.rate),
        };
        let writer = writer::start(plan, self.clock)?;
        let reading = viewers.reading();
        let timeout = match self.subject.is_lossless() {
            true => FINISH_TIMEOUT,
            false => FINISH_TIMEOUT_LOSSY,
        };
        let mut finished = None;
        let mut last = (viewers.tally.delivered, Instant::now());
        while viewers.tally.complete + viewers.tally.dropped < reading || !writer.is_finished() {
            viewers.pump()?;
            let now = Instant::now();
            if finished.is_none() && writer.is_finished() {
                finished = Some(now);
            }
            if viewers.tally.delivered > last.0 {
                last = (viewers.tally.delivered, now);
            }
            if finished.is_some_and(|finished| now > (finished + timeout).min(finished.max(last.1) + SILENCE_TIMEOUT)) {
                break;
            }
        }
        let written = writer.join().map_err(|_| anyhow!("the writer's thread panicked"))??;
        Ok(Some(written.latest))
    }

    fn outcome(&self, viewers: &Viewers, measured: &Measured) -> Outcome {
        let Measured {
            empty,
            connected,
            start,
            end,
            ..
        } = *measured;
        let scenario = self.scenario;
        let tally = &viewers.tally;
        let cpu = end.cpu.since(start.cpu);
        let elapsed = end.at.duration_since(start.at).as_secs_f64();
        let delivered = tally.delivered as f64;
        let live = tally.delivered > 0;
        let expected = viewers.reading() as f64 * scenario.lines() as f64;
        let delivering = tally.last_line_nanos.saturating_sub(start.nanos) as f64 / 1e9;
        let each = |after: f64, before: f64| (after - before) / scenario.viewers as f64;
        let millis = |quantile: f64| tally.delay.value_at_quantile(quantile) as f64 / 1e3;
        let figures = Figures {
            delivered,
            delivered_per_s: live.then(|| delivered / delivering),
            lost_percent: (expected > 0.0).then(|| 100.0 * (1.0 - delivered / expected)),
            all_have_ms: match scenario.work {
                Work::Burst if measured.waiting == 0 => Some(delivering * 1e3),
                Work::Storm => Some(tally.last_caught_up_nanos.saturating_sub(start.nanos) as f64 / 1e6),
                _ => None,
            },
            server_cpu_us_per_line: live.then(|| cpu.server * 1e6 / delivered),
            server_cpu_us_per_viewer: (scenario.work == Work::Storm)
                .then(|| cpu.server * 1e6 / scenario.viewers as f64),
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
            writer_late_ms: measured.writer_late.map(|late| late.as_secs_f64() * 1e3),
            server_kib: empty.memory.resident,
            resident_connected: each(connected.memory.resident, empty.memory.resident),
            resident_loaded: each(end.memory.resident, empty.memory.resident),
            anonymous_loaded: end
                .memory
                .anonymous
                .zip(empty.memory.anonymous)
                .map(|(after, before)| each(after, before)),
            sockets_loaded: each(end.sockets, empty.sockets),
            listen_overflows: (end.overflows - empty.overflows) as f64,
            dropped: tally.dropped as f64,
            notices: tally.notices.values().sum::<u64>() as f64,
            violations: tally.violations as f64,
        };
        Outcome {
            scenario: *scenario,
            subject: self.subject,
            round: self.round,
            cores: self.cores,
            figures,
            waiting: measured.waiting,
            notices: tally.notices.clone(),
            told: tally.told.clone(),
            stalled: measured.stalled,
        }
    }
}
