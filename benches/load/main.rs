//! The load test: starts real servers in turns, lets any number of viewers watch logs that grow, checks every line of
//! every viewer, and tells what a delivered line costs and how long it takes. This file is the arguments and the order
//! of runs.

// A tool for those who build the server: a wrong index may end it.
#![allow(clippy::indexing_slicing, clippy::expect_used, clippy::unwrap_used)]

#[path = "../support/child.rs"]
mod child;
mod figures;
mod frames;
mod lines;
mod machine;
mod naive;
mod rawlimit;
mod report;
mod run;
mod scenarios;
mod server;
mod targets;
mod viewer;
mod viewers;
mod writer;
mod yardstick;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::machine::CpuMeter;
use crate::rawlimit::Sabotage;
use crate::report::Report;
use crate::run::Site;
use crate::scenarios::{Name, Scenario, USUAL, Work};
use crate::server::{Launch, Subject};

/// Descriptors of this process that are no viewer's connection.
const OWN_DESCRIPTORS: u64 = 128;
/// What a run writes at most.
const FILE_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// What the watchdog adds to the longest that the parts of a run may take.
const WATCHDOG_SLACK: Duration = Duration::from_secs(30);
/// As long as a server passes on uncut.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Load test of the tailcast server beside others: what a delivered line costs, how long it takes, and whether every
/// viewer gets all of them. Exits with 1 when one doesn't.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Args {
    /// What to run; all but `workers` when nothing is named, fanout alone when only numbers are given
    #[arg(value_enum)]
    scenarios: Vec<Name>,
    /// Viewers, instead of the scenario's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    viewers: Option<u64>,
    /// Lines written a second into each file, or in the one write of a burst, instead of the scenario's number
    #[arg(long, value_name = "LINES", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: Option<u64>,
    /// How long to write or to watch, instead of the scenario's time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: Option<u64>,
    /// Bytes of a line with its end, instead of the scenario's number
    #[arg(
        long,
        value_parser = clap::value_parser!(u64).range(lines::MIN_LINE_BYTES as u64..=LINE_BYTES_MAX)
    )]
    line_bytes: Option<u64>,
    /// Run these servers alone (comma-separated), instead of the scenario's
    #[arg(long, value_enum, value_name = "SERVERS", value_delimiter = ',')]
    only: Vec<Subject>,
    /// Run everything so often, in turns, and tell the medians
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    rounds: u64,
    /// Leave all processes on all cores
    #[arg(long)]
    no_pin: bool,
    /// How many cores the server may use, the viewers' one being the last of them
    #[arg(long, default_value_t = 1, conflicts_with = "no_pin")]
    server_cores: usize,
    /// Another tailcast than the one just built
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_tailcast"), hide_default_value = true)]
    server: PathBuf,
    /// Arguments for tailcast, separated by spaces
    #[arg(long, value_name = "ARGS", default_value = "", allow_hyphen_values = true)]
    server_args: String,
    /// Print the process id of each server that is started, for a profiler
    #[arg(long)]
    show_pid: bool,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Let rawlimit meddle with one line, which has to be found: this is to fail
    #[arg(long, value_enum, value_name = "KIND")]
    sabotage: Option<Sabotage>,
    /// What cargo bench passes
    #[arg(long, hide = true)]
    bench: bool,
    /// Be this server, for these files
    #[arg(long, value_enum, hide = true)]
    serve: Option<Subject>,
    #[arg(last = true, hide = true)]
    files: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.serve {
        Some(Subject::Naive) => naive::serve(&args.files).map(|()| true),
        Some(_) => rawlimit::serve(&args.files, args.sabotage).map(|()| true),
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
    let loads = loads(args)?;
    if loads.is_empty() {
        println!("no load test without a scenario; `cargo bench --bench load` runs the usual ones");
        return Ok(true);
    }
    check_limits(loads.iter().flatten())?;
    let machine = machine::facts()?;
    println!("{machine}");
    let mut report = Report::new(machine);
    if cfg!(debug_assertions) {
        println!("warning: this is a debug build; its figures mean nothing");
    }
    let cores = if args.no_pin { None } else { pin(args.server_cores) };
    report.pinned = cores.is_some();
    let (cores, all_cores) = cores.unzip();
    let launch = Launch {
        tailcast: std::path::absolute(&args.server).context("can't make the server's path absolute")?,
        args: args.server_args.split_whitespace().map(str::to_owned).collect(),
        cores,
        all_cores,
        sabotage: args.sabotage,
        show_pid: args.show_pid,
    };
    let plan = plan(args, loads, &launch);
    start_watchdog(&plan, args.rounds)?;
    let meter = CpuMeter::new()?;
    let result = run_all(&plan, args.rounds, &launch, meter, &mut report);
    // What was measured before something failed is told too.
    print!("{}{}", report.news(), report.summary());
    if let Some(path) = &args.json {
        std::fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("can't write {}", path.display()))?;
    }
    result?;
    Ok(!report.failed())
}

/// Loads that run in turns, each on its servers.
type Turns = Vec<(Scenario, Vec<Subject>)>;

/// Finds the servers of each load that can run here, and says which can't.
fn plan(args: &Args, loads: Vec<Vec<Scenario>>, launch: &Launch) -> Vec<Turns> {
    let mut told = Vec::new();
    let mut can = |subject: &Subject| match launch.obstacle(*subject) {
        Some(obstacle) => {
            if !told.contains(&obstacle) {
                println!("{} is left out: {obstacle}", subject.name());
                told.push(obstacle);
            }
            false
        }
        None => true,
    };
    let mut plan = Vec::new();
    for turns in loads {
        let mut servers = |scenario: &Scenario| {
            let wanted = match (args.sabotage, args.only.as_slice()) {
                (Some(_), _) => &[Subject::Rawlimit],
                (None, []) => scenario.subjects,
                (None, only) => only,
            };
            wanted.iter().copied().filter(&mut can).collect::<Vec<_>>()
        };
        plan.push(
            turns
                .into_iter()
                .map(|scenario| (scenario, servers(&scenario)))
                .collect(),
        );
    }
    plan
}

fn run_all(plan: &[Turns], rounds: u64, launch: &Launch, meter: CpuMeter, report: &mut Report) -> Result<()> {
    for turns in plan {
        // A large file is made once; nothing is written to it.
        let mut large = None;
        for round in 1..=rounds {
            for (scenario, servers) in turns {
                for subject in servers {
                    // What is compared with nothing, or beyond comparison.
                    if round > 1 && (scenario.once || *subject == Subject::Websocketd) {
                        continue;
                    }
                    let name = format!("{} {} {round}", scenario.label, subject.name());
                    eprintln!("{name} of {rounds}: {}", report::load(scenario));
                    let small;
                    let site = if scenario.work == Work::Storm {
                        if large.is_none() {
                            large = Some(Site::prepare(scenario)?);
                        }
                        large.as_ref().expect("it was just made")
                    } else {
                        small = Site::prepare(scenario)?;
                        &small
                    };
                    match run::run(scenario, *subject, round, site, launch, meter) {
                        Ok(outcome) => report.runs.push(outcome),
                        // What others can't bear is no reason to stop.
                        Err(error) if !subject.is_lossless() => {
                            report.failures.push((name, format!("{error:#}")));
                        }
                        Err(error) => return Err(error.context(name)),
                    }
                }
            }
        }
        print!("{}", report.news());
    }
    Ok(())
}

/// The loads asked for, scenario by scenario, with the numbers asked for.
fn loads(args: &Args) -> Result<Vec<Vec<Scenario>>> {
    let numbers = [args.viewers, args.rate, args.seconds, args.line_bytes]
        .iter()
        .any(Option::is_some);
    let names = match args.scenarios.as_slice() {
        [] if numbers || args.sabotage.is_some() => &[Name::Fanout],
        [] if args.bench || !args.only.is_empty() => &USUAL[..],
        // Whoever runs all targets as tests doesn't want minutes of load.
        [] => &[],
        names => names,
    };
    let mut loads = Vec::new();
    for name in names {
        let mut turns = Vec::new();
        for scenario in name.scenarios() {
            let mut scenario = *scenario;
            if let Some(viewers) = args.viewers {
                scenario.viewers = usize::try_from(viewers)?;
            }
            if let Some(line_bytes) = args.line_bytes {
                scenario.line_bytes = usize::try_from(line_bytes)?;
            }
            scenario.seconds = args.seconds.unwrap_or(scenario.seconds);
            match (scenario.work, args.rate) {
                (Work::Paced, Some(rate)) => scenario.rate = rate,
                (Work::Burst, Some(lines)) => scenario.burst = lines,
                _ => {}
            }
            turns.push(scenario);
        }
        loads.push(turns);
    }
    Ok(loads)
}

/// Refuses what can't work before anything is started.
fn check_limits<'a>(scenarios: impl Iterator<Item = &'a Scenario>) -> Result<()> {
    let files = machine::raise_open_files()?;
    for scenario in scenarios {
        let name = scenario.label;
        let needed = (scenario.viewers + scenario.files) as u64 + OWN_DESCRIPTORS;
        if needed > files {
            bail!("{name} needs {needed} open files, but a process may have {files}; raise `ulimit -Hn`");
        }
        let lines = scenario.lines_before() + scenario.lines();
        let bytes = lines * scenario.line_bytes as u64 * scenario.files as u64;
        if bytes > FILE_MAX {
            bail!("{name} would write {bytes} bytes, more than {FILE_MAX}; lower the rate or the time");
        }
        if scenario.files > 1 && lines > lines::FILE_STEP {
            bail!("{name} would write {lines} lines into a file; lower the rate or the time");
        }
    }
    Ok(())
}

/// Binds this process to the last core, and tells those for the server, and all; none where that can't be.
fn pin(server_cores: usize) -> Option<(String, String)> {
    let cores = machine::allowed_cores().unwrap_or_default();
    let [_, .., viewers] = cores[..] else {
        println!("warning: one core for all: the viewers take from the server what is measured");
        return None;
    };
    let list = |cores: &[usize]| cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    match machine::pin_self(viewers) {
        Ok(()) => {
            let server = list(&cores[..server_cores.clamp(1, cores.len())]);
            println!("server on core {server}, viewers and writer on core {viewers}");
            Some((server, list(&cores)))
        }
        Err(error) => {
            println!("warning: nothing is bound to a core, which makes figures less steady: {error:#}");
            None
        }
    }
}

/// Ends everything should some part never end by itself.
fn start_watchdog(plan: &[Turns], rounds: u64) -> Result<()> {
    let longest = |(scenario, servers): &(Scenario, Vec<Subject>)| {
        let one = Duration::from_secs(scenario.seconds) + run::LONGEST_BESIDES + WATCHDOG_SLACK;
        one * servers.len() as u32
    };
    let limit = plan.iter().flatten().map(longest).sum::<Duration>() * rounds as u32;
    child::start_watchdog(limit)
}
