//! The soak test: writers that rotate, truncate, replace and remove their files while they write, viewers that come, go
//! and stall, and a checker of every line that each of them gets. This file is the arguments and the order of things.

// A tool for those who build the server: a wrong index may end it.
#![allow(clippy::indexing_slicing)]

mod check;
#[path = "../support/child.rs"]
mod child;
mod lines;
mod model;
mod rng;
mod run;
mod server;
mod viewers;
mod writer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::model::Model;
use crate::run::{Plan, Sabotage, Shared};
use crate::server::Server;
use crate::viewers::Viewer;
use crate::writer::Writer;

const GRACE_MILLIS: u32 = 1_000;
/// How often the server is looked at.
const RSS_EVERY: Duration = Duration::from_millis(250);
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How long all may take beside the time that is asked for.
const BESIDES_MAX: Duration = Duration::from_secs(60);
/// For how long late lines of the last rotations may come.
const QUIET: Duration = Duration::from_secs(2);
const BACKLOG_MIB: u64 = 16;
/// What the server may take besides the backlogs of all files.
const RSS_BASE_MIB: u64 = 64;
/// Memory that is higher in the last quarter than in the second one by more than this grows.
const RSS_GROWTH_MIB: u64 = 32;

/// Soak test of the tailcast server: whether every viewer gets every line once, whatever is done to the files. Exits
/// with 1 when one doesn't.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Args {
    /// How long to write; 2 when nothing is said
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: Option<u64>,
    /// How long to write
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    seconds: Option<u64>,
    /// Repeats the faults of another run, as far as times allow
    #[arg(long)]
    seed: Option<u64>,
    /// Files; the last of several is a symlink
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    files: u32,
    /// Viewers, besides one for each file that always stays
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(..=1_000))]
    viewers: u64,
    /// Lines a second and file over all; bursts are as fast as can be
    #[arg(long, default_value_t = 1_500, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: u64,
    /// The shortest time between two faults of a file
    #[arg(long, value_name = "MILLIS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    gap: u64,
    /// The usual time between two faults of a file
    #[arg(long, value_name = "MILLIS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(10..))]
    fault_every: u64,
    /// Meddle with what viewers receive, which has to be found: this is to fail
    #[arg(long, value_enum, value_name = "KIND")]
    sabotage: Option<Sabotage>,
    /// Another tailcast than the one just built
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
    /// What cargo bench passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    // Whoever runs all targets as tests doesn't want minutes of load.
    if !args.bench && args.minutes.is_none() && args.seconds.is_none() {
        println!("no soak test without a time; `cargo bench --bench soak` runs 2 minutes");
        return ExitCode::SUCCESS;
    }
    match soak(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it; true when nothing was wrong.
fn soak(args: &Args) -> Result<bool> {
    let length = Duration::from_secs(args.seconds.unwrap_or(args.minutes.unwrap_or(2) * 60));
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let plan = Plan {
        seed: args.seed.unwrap_or(time.as_nanos() as u64 % 1_000_000),
        files: args.files,
        viewers: usize::try_from(args.viewers)?,
        rate: args.rate,
        gap: args.gap,
        fault_every: args.fault_every,
        grace: GRACE_MILLIS,
        sabotage: args.sabotage,
    };
    let built = option_env!("CARGO_BIN_EXE_tailcast").map(PathBuf::from);
    let program = args.server.clone().or(built).context("name a server by --server")?;
    let program = std::path::absolute(program).context("can't make the server's path absolute")?;
    println!(
        "seed {}: {} s, {} files of {} lines/s, {} viewers, faults at least {} ms apart",
        plan.seed,
        length.as_secs(),
        plan.files,
        plan.rate,
        plan.viewers,
        plan.gap
    );
    child::start_watchdog(length + BESIDES_MAX)?;

    let dir = tempfile::Builder::new().prefix("tailcast-soak-").tempdir()?;
    let logs = dir.path().join("logs");
    std::fs::create_dir(&logs)?;
    let shared = Arc::new(Shared::default());
    let began = Instant::now();
    let names: Vec<String> = (0..plan.files).map(|file| format!("f{file}.log")).collect();
    let models = names.iter().zip(0..);
    let models: Vec<Arc<Model>> = models
        .map(|(name, file)| Arc::new(Model::new(file, name.clone(), plan.seed, began)))
        .collect();
    let mut writers = Vec::new();
    for model in &models {
        let linked = plan.files > 1 && model.file + 1 == plan.files;
        writers.push(Writer::new(
            Arc::clone(model),
            Arc::clone(&shared),
            plan,
            &logs,
            linked,
        )?);
    }
    let mut config = format!(
        "listen = \"127.0.0.1:0\"\ndir = {:?}\nnotices = \"en\"\n\
         [stream]\nrotate_grace = \"{}ms\"\npartial_line_timeout = \"5s\"\n\
         [limits]\nbacklog = \"{BACKLOG_MIB}MiB\"\nstall_timeout = \"2s\"\n",
        logs.display().to_string(),
        plan.grace
    );
    for name in &names {
        config.push_str(&format!("[[file]]\nname = {name:?}\n"));
    }
    let mut server = Server::start(&program, dir.path(), &config)?;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let viewers: Vec<_> = (0..models.len() + plan.viewers)
        .map(|number| {
            let viewer = Viewer {
                number,
                models: models.clone(),
                shared: Arc::clone(&shared),
                plan,
                address: server.address,
            };
            runtime.spawn(viewer.run())
        })
        .collect();
    let writers: Vec<_> = writers
        .into_iter()
        .map(|writer| thread::spawn(move || writer.run()))
        .collect();

    let samples = watch(&mut server, &shared, length, began);
    shared.stop();
    for writer in writers {
        match writer.join() {
            Ok(result) => result.context("a writer failed")?,
            Err(_) => bail!("a writer panicked"),
        }
    }
    thread::sleep(QUIET);
    shared.finish();
    for viewer in viewers {
        runtime.block_on(viewer).context("a viewer panicked")?;
    }
    let Samples {
        resident,
        waited,
        failure,
    } = samples;
    let stopped = match failure {
        Some(error) => Err(error),
        None => server.stop(),
    };
    let (longest, at) = waited;
    println!(
        "the server's reader waited for a core {} ms of {} ms at most, at {} ms",
        longest.as_millis(),
        RSS_EVERY.as_millis(),
        at.as_millis()
    );
    Ok(report(args, &plan, &shared, &resident, stopped, began.elapsed()))
}

/// What was seen of the server while it ran.
#[derive(Debug, Default)]
struct Samples {
    /// Resident memory in KiB.
    resident: Vec<u64>,
    /// The longest that its reader waited for a core between two samples, and when: a reader that gets no time can miss
    /// a file that was there for a moment only.
    waited: (Duration, Duration),
    failure: Option<anyhow::Error>,
}

/// Waits for the time to pass, and samples the server meanwhile.
fn watch(server: &mut Server, shared: &Shared, length: Duration, epoch: Instant) -> Samples {
    let began = Instant::now();
    let mut samples = Samples::default();
    let mut waited = server.waited();
    let mut told_at = began;
    while began.elapsed() < length {
        match server.resident() {
            Ok(kib) => samples.resident.push(kib),
            Err(error) => {
                samples.failure = Some(error);
                break;
            }
        }
        let before = std::mem::replace(&mut waited, server.waited());
        samples.waited = samples.waited.max((waited.saturating_sub(before), epoch.elapsed()));
        if told_at.elapsed() >= REPORT_EVERY {
            told_at = Instant::now();
            eprintln!(
                "{} s: {} lines written, {} checked, {} MiB resident",
                began.elapsed().as_secs(),
                shared.lines_written.load(Ordering::Relaxed),
                shared.lines_checked.load(Ordering::Relaxed),
                samples.resident.last().copied().unwrap_or(0) >> 10
            );
        }
        thread::sleep(RSS_EVERY);
    }
    samples
}

fn report(args: &Args, plan: &Plan, shared: &Shared, resident: &[u64], stopped: Result<()>, took: Duration) -> bool {
    let counts = shared.counts();
    let list = |map: &mut dyn Iterator<Item = (String, u64)>| {
        map.map(|(what, count)| format!("{what} {count}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let named = |(what, count): (&&str, &u64)| (what.to_string(), *count);
    println!("seed {}, {} s", plan.seed, took.as_secs());
    println!(
        "written: {} lines, {} MiB",
        shared.lines_written.load(Ordering::Relaxed),
        shared.bytes_written.load(Ordering::Relaxed) >> 20
    );
    println!("faults: {}", list(&mut counts.faults.iter().map(named)));
    println!("sessions: {}", list(&mut counts.sessions.iter().map(named)));
    let mut messages = counts.messages.iter().map(|(what, count)| (what.clone(), *count));
    println!("notices: {}", list(&mut messages));
    println!(
        "checked: {} lines, {} lost, {} doubled",
        shared.lines_checked.load(Ordering::Relaxed),
        counts.lost,
        counts.doubled
    );
    let mut fine = counts.violations.is_empty();
    if !fine {
        println!("violations: {}", list(&mut counts.violations.iter().map(named)));
    }
    if args.sabotage.is_some() {
        println!("sabotaged: {}", shared.sabotaged.load(Ordering::Relaxed));
    }
    let max = resident.iter().copied().max().unwrap_or(0) >> 10;
    let bound = RSS_BASE_MIB + u64::from(plan.files) * BACKLOG_MIB;
    println!("server's resident memory: at most {max} MiB (bound {bound} MiB)");
    if max > bound {
        println!("violation: the server takes more memory than its limits allow");
        fine = false;
    }
    let quarter = resident.len() / 4;
    let typical = |part: &[u64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0) >> 10
    };
    let (early, late) = (
        typical(&resident[quarter..2 * quarter]),
        typical(&resident[3 * quarter..]),
    );
    println!("its median was {early} MiB in the second quarter, {late} MiB in the last one");
    if late > early + RSS_GROWTH_MIB {
        println!("violation: the server's memory grows");
        fine = false;
    }
    if let Err(error) = stopped {
        println!("violation: {error:#}");
        fine = false;
    }
    println!("{}", if fine { "ok" } else { "FAILED" });
    fine
}
