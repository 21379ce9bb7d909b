//! The command line and the environment, as text that [`Config::load`](super::Config::load) puts together.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{CommandFactory, Parser, Subcommand};

use crate::client::WatchArgs;

/// Watch log files live: each allowed file is tailed once, its lines go to any number of viewers.
///
/// Without arguments it serves ds_update.log, download.log and upload.log of the current directory on
/// http://127.0.0.1:19159. Flags beat the environment (TAILCAST_CONFIG, TAILCAST_LISTEN, TAILCAST_DIR,
/// TAILCAST_FILES, TAILCAST_THREADS, RUST_LOG), which beats the configuration file.
#[derive(Parser, Debug, Default, Clone)]
#[command(name = "tailcast", version, max_term_width = 100)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_precedence_over_arg = true,
    disable_help_subcommand = true
)]
pub struct Args {
    /// Something else than to serve
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Serve these files, from wherever they are, each under its base name; the first is the default file
    #[arg(value_name = "PATH", value_parser = PathBufValueParser::new().try_map(not_a_subcommand), conflicts_with_all = ["dir", "files", "demo"])]
    pub paths: Vec<PathBuf>,

    /// Configuration file [default: tailcast.toml where it exists]
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:19159]
    #[arg(short, long, value_name = "ADDR")]
    pub listen: Option<String>,

    /// Directory of the files [default: .]
    #[arg(short, long, value_name = "DIR", conflicts_with = "demo")]
    pub dir: Option<PathBuf>,

    /// Allow this file of the directory (repeatable) [default: ds_update.log, download.log, upload.log]
    #[arg(short, long = "file", value_name = "NAME", conflicts_with = "demo")]
    pub files: Vec<String>,

    /// Threads that serve viewers [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    pub threads: Option<String>,

    /// Verbosity of its own diagnostics: off, error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Serve three log files in a temporary directory that the program itself keeps writing
    #[arg(long)]
    pub demo: bool,

    /// Print the effective configuration as TOML and exit
    #[arg(long)]
    pub check_config: bool,
}

/// A subcommand that stands behind other arguments would be taken for a file.
fn not_a_subcommand(path: PathBuf) -> Result<PathBuf, String> {
    match Args::command().find_subcommand(&path) {
        Some(command) => Err(format!(
            "that is a subcommand, which stands first; a file of this name is given as ./{}",
            command.get_name()
        )),
        None => Ok(path),
    }
}

/// What the program does besides serving. A file of such a name is served as `./watch`.
#[derive(Subcommand, Debug, Clone)]
pub enum Command {
    /// Print a log of a tailcast server as it is written
    Watch(WatchArgs),
}

/// What the environment sets; a variable that is empty counts as not set.
#[derive(Debug, Default, Clone)]
pub struct Environment {
    /// `TAILCAST_CONFIG`
    pub config: Option<OsString>,
    /// `TAILCAST_LISTEN`
    pub listen: Option<OsString>,
    /// `TAILCAST_DIR`
    pub dir: Option<OsString>,
    /// `TAILCAST_FILES`, comma-separated
    pub files: Option<OsString>,
    /// `TAILCAST_THREADS`
    pub threads: Option<OsString>,
    /// `RUST_LOG`
    pub log_level: Option<OsString>,
}

impl Environment {
    /// Reads the variables of this process.
    pub fn of_process() -> Self {
        let read = |name| env::var_os(name).filter(|value| !value.is_empty());
        Self {
            config: read("TAILCAST_CONFIG"),
            listen: read("TAILCAST_LISTEN"),
            dir: read("TAILCAST_DIR"),
            files: read("TAILCAST_FILES"),
            threads: read("TAILCAST_THREADS"),
            log_level: read("RUST_LOG"),
        }
    }
}
