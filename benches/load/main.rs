//! The load test: starts the real server, lets any number of viewers watch a log that grows at a fixed rate, checks
//! every line of every viewer, and tells what a delivered line costs and how long it takes. This file is the arguments
//! and the order of runs.

// A tool for those who build the server: a wrong index may end it.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::unwrap_used)]

mod frames;
mod lines;
mod machine;
mod rawlimit;
mod report;
mod run;
mod scenarios;
mod server;
mod viewers;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};

use crate::machine::CpuMeter;
use crate::report::Report;
use crate::scenarios::{Name, Scenario};
use crate::server::{Launch, Subject};

/// Descriptors of this process that are no viewer's connection.
const OWN_DESCRIPTORS: u64 = 64;
/// What a run writes at most.
const FILE_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// What the watchdog adds to the longest that the parts of a run may take.
const WATCHDOG_SLACK: Duration = Duration::from_secs(30);
/// As long as a server passes on uncut.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Load test of the tailcast server: what a delivered line costs, how long it takes, and whether every viewer gets all
/// of them. Exits with 1 when one doesn't.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    /// What to run; fanout and idle when nothing is named, fanout alone when only numbers are given
    #[arg(value_enum)]
    scenarios: Vec<Name>,
    /// Viewers, instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    viewers: Option<u64>,
    /// Lines written a second, instead of the scenario's number; 0 writes none
    #[arg(long, value_name = "LINES_PER_S", value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    rate: Option<u64>,
    /// How long to write, instead of the scenario's time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Bytes of a line with its end, instead of the scenario's number
    #[arg(
        long,
        value_parser = clap::value_parser!(u64).range(lines::MIN_LINE_BYTES as u64..=LINE_BYTES_MAX)
    )]
    line_bytes: Option<u64>,
    /// Run the yardstick beside the server, and tell how they compare
    #[arg(long, value_enum, value_name = "YARDSTICK", conflicts_with = "only")]
    compare: Option<Yardstick>,
    /// Run this alone
    #[arg(long, value_enum, value_name = "SERVER")]
    only: Option<Subject>,
    /// Run everything so often, in turns, and tell the medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Leave all processes on all cores
    #[arg(long)]
    no_pin: bool,
    /// Another tailcast than the one just built
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tailcast"), hide_default_value = true)]
    server: PathBuf,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo bench passes
    #[arg(long, hide = true)]
    bench: bool,
    /// Be the yardstick for this file
    #[arg(long, value_name = "FILE", hide = true)]
    serve_rawlimit: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Yardstick {
    Rawlimit,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.serve_rawlimit {
        Some(path) => rawlimit::serve(path).map(|()| true),
        None => bench(&args),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; true when every viewer got everything.
fn bench(args: &Args) -> Result<bool> {
    let scenarios = scenarios(args)?;
    if scenarios.is_empty() {
        println!("no load test without a scenario; `cargo bench --bench load` runs the usual ones");
        return Ok(true);
    }
    let subjects: &[Subject] = match (args.compare, args.only) {
        (Some(Yardstick::Rawlimit), _) => &[Subject::Tailcast, Subject::Rawlimit],
        (None, Some(Subject::Rawlimit)) => &[Subject::Rawlimit],
        (None, _) => &[Subject::Tailcast],
    };
    check_limits(&scenarios)?;
    let tailcast = std::path::absolute(&args.server).context("can't make the server's path absolute")?;
    let mut report = Report {
        machine: machine::facts()?,
        ..Report::default()
    };
    let core = if args.no_pin { None } else { pin() };
    report.pinned = core.is_some();
    let launch = Launch { tailcast, core };
    let meter = CpuMeter::new()?;

    println!("{}", report.machine);
    if let Some(core) = core {
        println!("server on core {core}, viewers and writer on another");
    }
    if cfg!(debug_assertions) {
        println!("warning: this is a debug build; its figures mean nothing");
    }
    start_watchdog(&scenarios, subjects.len() as u32 * args.rounds as u32)?;
    let result = run_all(&scenarios, subjects, args.rounds, &launch, meter, &mut report);
    // What was measured before something failed is told too.
    if !report.runs.is_empty() {
        print!("{}", report.text());
    }
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    result?;
    Ok(!report.failed())
}

fn run_all(
    scenarios: &[Scenario],
    subjects: &[Subject],
    rounds: u64,
    launch: &Launch,
    meter: CpuMeter,
    report: &mut Report,
) -> Result<()> {
    for scenario in scenarios {
        let Scenario {
            name,
            viewers,
            rate,
            seconds,
            line_bytes,
            ..
        } = *scenario;
        for round in 1..=rounds {
            for subject in subjects {
                let what = format!("{} {}, round {round} of {rounds}", name.text(), subject.name());
                eprintln!("{what}: {viewers} viewers, {rate} lines/s of {line_bytes} bytes, {seconds} s");
                report
                    .runs
                    .push(run::run(scenario, *subject, launch, meter).context(what)?);
            }
        }
    }
    Ok(())
}

/// The scenarios asked for, with the numbers asked for.
fn scenarios(args: &Args) -> Result<Vec<Scenario>> {
    let numbers = [args.viewers, args.rate, args.seconds, args.line_bytes]
        .iter()
        .any(Option::is_some);
    let names = match args.scenarios.as_slice() {
        [] if numbers => &[Name::Fanout],
        [] if args.bench || args.compare.is_some() || args.only.is_some() => &[Name::Fanout, Name::Idle][..],
        // Whoever runs all targets as tests doesn't want a minute of load.
        [] => &[],
        names => names,
    };
    let mut scenarios = Vec::new();
    for name in names {
        let mut scenario = name.scenario();
        if let Some(viewers) = args.viewers {
            scenario.viewers = usize::try_from(viewers)?;
        }
        if let Some(line_bytes) = args.line_bytes {
            scenario.line_bytes = usize::try_from(line_bytes)?;
        }
        scenario.seconds = args.seconds.unwrap_or(scenario.seconds);
        // An idle file stays idle, whatever is asked of others.
        if *name != Name::Idle {
            scenario.rate = args.rate.unwrap_or(scenario.rate);
        }
        scenarios.push(scenario);
    }
    Ok(scenarios)
}

/// Refuses what can't work before anything is started.
fn check_limits(scenarios: &[Scenario]) -> Result<()> {
    let files = machine::raise_open_files()?;
    for scenario in scenarios {
        let name = scenario.name.text();
        let needed = scenario.viewers as u64 + OWN_DESCRIPTORS;
        if needed > files {
            bail!("{name} needs {needed} open files, but a process may have {files}; raise `ulimit -Hn`");
        }
        let bytes = scenario.lines() * scenario.line_bytes as u64;
        if bytes > FILE_MAX {
            bail!("{name} would write {bytes} bytes, more than {FILE_MAX}; lower the rate or the time");
        }
    }
    Ok(())
}

/// Binds this process to one core, and tells the one that is left for the server; none where that can't be.
fn pin() -> Option<usize> {
    let cores = machine::allowed_cores().unwrap_or_default();
    let [server, viewers, ..] = cores[..] else {
        println!("warning: one core for all: the viewers take from the server what is measured");
        return None;
    };
    match machine::pin_self(viewers) {
        Ok(()) => Some(server),
        Err(error) => {
            println!("warning: nothing is bound to a core, which makes figures less steady: {error:#}");
            None
        }
    }
}

/// Ends everything should some part never end by itself.
fn start_watchdog(scenarios: &[Scenario], runs_each: u32) -> Result<()> {
    let longest = |scenario: &Scenario| Duration::from_secs(scenario.seconds) + run::LONGEST_BESIDES + WATCHDOG_SLACK;
    let limit = scenarios.iter().map(longest).sum::<Duration>() * runs_each;
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            thread::sleep(limit);
            eprintln!("error: not done after {limit:?}, which is longer than all parts may take together");
            server::kill_running();
            std::process::exit(1);
        })
        .context("can't start the watchdog")?;
    Ok(())
}
