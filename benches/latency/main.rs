//! How long a line takes from its write to a viewer's socket, and what a server takes that has nothing to do: the
//! figures that the reading of files is held to. Each is printed beside what is asked.
//!
//! Run with `cargo bench --bench latency`, on a machine that does nothing else; `--help` tells what can be chosen.

// A tool for those who build the server: a wrong index may end it.
#![allow(clippy::indexing_slicing)]

#[path = "../support/child.rs"]
mod child;
mod scenarios;
mod server;
mod viewer;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::server::Bench;

/// How long all scenarios may take together, beside the time that is asked for.
const BESIDES_MAX: Duration = Duration::from_secs(240);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// The delay of single lines of a quiet file
    Quiet,
    /// The delay of lines at 1,000 a second
    Steady,
    /// Processor time with three quiet files and no viewer, then with 1,000
    Idle,
    /// From connecting to the last of the 50 last lines of a file of 10 GiB
    Open,
    /// The delay of lines beside a file that is written at full speed
    Beside,
}

/// Delays and idle costs of the tailcast server.
#[derive(Debug, Parser)]
#[command(name = "latency")]
struct Args {
    /// Only this, instead of all; may be given several times
    #[arg(long, value_enum)]
    only: Vec<Scenario>,
    /// How long nothing is written when processor time is measured
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=70))]
    idle_seconds: u64,
    /// How much is written at full speed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=20))]
    gib: u64,
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
    if !args.bench && args.only.is_empty() {
        println!("nothing is measured; `cargo bench --bench latency` does");
        return ExitCode::SUCCESS;
    }
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let built = option_env!("CARGO_BIN_EXE_tailcast").map(PathBuf::from);
    let program = args.server.clone().or(built).context("name a server by --server")?;
    let bench = Bench {
        program: std::path::absolute(program).context("can't make the server's path absolute")?,
    };
    child::start_watchdog(BESIDES_MAX + Duration::from_secs(2 * args.idle_seconds))?;
    let all = Scenario::value_variants();
    for scenario in all
        .iter()
        .filter(|scenario| args.only.is_empty() || args.only.contains(scenario))
    {
        match scenario {
            Scenario::Quiet => scenarios::quiet(&bench)?,
            Scenario::Steady => scenarios::steady(&bench)?,
            Scenario::Idle => scenarios::idle(&bench, Duration::from_secs(args.idle_seconds))?,
            Scenario::Open => scenarios::open(&bench)?,
            Scenario::Beside => scenarios::beside(&bench, args.gib << 30)?,
        }
    }
    Ok(())
}
