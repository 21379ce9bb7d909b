//! The command line of `tailcast watch`.

use std::path::PathBuf;

use clap::Parser;
use regex::Regex;

/// Where a server of this machine listens when nothing else was said.
const DEFAULT_URL: &str = "http://127.0.0.1:19159";
/// The most history lines that a server gives.
const MAX_LINES: i64 = 10_000;

/// Print a log of a tailcast server as it is written, going on behind the last line after any break.
///
/// Lines go to standard output as they are, everything else to standard error. On a terminal levels are coloured (not
/// with NO_COLOR set) and control characters other than colours are shown instead of obeyed. Ends with status 0 on Ctrl-C.
#[derive(Parser, Debug, Clone)]
pub struct WatchArgs {
    /// Address of the server, with the scheme and the prefix under which a proxy has it
    #[arg(value_name = "URL", default_value = DEFAULT_URL)]
    pub url: String,

    /// Name of the file [default: the default file of the server]
    #[arg(short, long, value_name = "NAME")]
    pub file: Option<String>,

    /// How many lines to begin with, up to 10,000 [default: as many as the server likes, usually 50]
    #[arg(short = 'n', long, value_name = "LINES", value_parser = clap::value_parser!(u16).range(0..=MAX_LINES))]
    pub lines: Option<u16>,

    /// Begin behind this place, which --json has shown as `end` or `position`; wins over -n
    #[arg(long, value_name = "POSITION")]
    pub since: Option<String>,

    /// Print only lines that match this regular expression (repeatable: one of them is enough)
    #[arg(long, value_name = "RE")]
    pub include: Vec<Regex>,

    /// Leave out lines that match this regular expression (repeatable)
    #[arg(long, value_name = "RE")]
    pub exclude: Vec<Regex>,

    /// Print the objects of tailcast.v1, one a line: batches of lines with positions, and events
    #[arg(long)]
    pub json: bool,

    /// Send the token in this file (Authorization: Bearer), for a proxy in front of the server
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub token_file: Option<PathBuf>,

    /// Send this name with the password in TAILCAST_PASSWORD, or one that is asked for (Authorization: Basic)
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,

    /// Trust the certificates in this PEM file instead of the system's
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,
}
