//! The servers under test: ours, the two yardsticks that this program itself is, and websocketd where it is installed.
//! Each is started on a free port of loopback, bound to a core of its own before its first instruction.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::process::Signal;

use crate::child::{self, Child};
use crate::rawlimit::Sabotage;

const LISTEN_POLL: Duration = Duration::from_millis(20);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// The server of this project
    Tailcast,
    /// One thread that writes to every socket: what the kernel takes
    Rawlimit,
    /// axum's WebSocket and a broadcast of strings: what one would write in an afternoon
    Naive,
    /// The program websocketd with `tail -F`, where it is installed
    Websocketd,
    /// The server of this project with one worker, on all cores
    #[value(skip)]
    OneWorker,
    /// The same with two
    #[value(skip)]
    TwoWorkers,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tailcast => "tailcast",
            Self::Rawlimit => "rawlimit",
            Self::Naive => "naive",
            Self::Websocketd => "websocketd",
            Self::OneWorker => "1 worker",
            Self::TwoWorkers => "2 workers",
        }
    }

    /// Whether it is this project's server.
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Tailcast | Self::OneWorker | Self::TwoWorkers)
    }

    /// Whether a lost line is a fault of the run, and no figure of the server's.
    pub fn is_lossless(self) -> bool {
        self.is_ours() || self == Self::Rawlimit
    }
}

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub tailcast: PathBuf,
    /// Added to the arguments of tailcast.
    pub args: Vec<String>,
    /// The cores to bind servers to, as taskset takes them; none where nothing is bound.
    pub cores: Option<String>,
    /// All that this program may use.
    pub all_cores: Option<String>,
    pub sabotage: Option<Sabotage>,
    pub show_pid: bool,
}

impl Launch {
    /// Why this server can't run here, where it can't.
    pub fn obstacle(&self, subject: Subject) -> Option<String> {
        let says = |program: &Path, arg: &str| {
            let output = Command::new(program).arg(arg).stdin(Stdio::null()).output().ok()?;
            Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
        };
        match subject {
            Subject::Websocketd if says(Path::new("websocketd"), "--version").is_none() => {
                Some("websocketd is not installed (Debian's package of that name)".to_owned())
            }
            Subject::OneWorker | Subject::TwoWorkers
                if !says(&self.tailcast, "--help").is_some_and(|help| help.contains("--threads")) =>
            {
                Some("this tailcast has no --threads".to_owned())
            }
            _ => None,
        }
    }

    /// How many cores it may use.
    pub fn cores_of(&self, subject: Subject) -> usize {
        match self.bound_to(subject) {
            Some(cores) => cores.split(',').count(),
            None => thread::available_parallelism().map_or(1, usize::from),
        }
    }

    fn bound_to(&self, subject: Subject) -> Option<&str> {
        match subject {
            Subject::OneWorker | Subject::TwoWorkers => self.all_cores.as_deref(),
            _ => self.cores.as_deref(),
        }
    }

    fn command(&self, subject: Subject, program: &Path) -> Command {
        match self.bound_to(subject) {
            // It replaces itself by the program, so the process id stays.
            Some(cores) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", cores]).arg(program);
                taskset
            }
            None => Command::new(program),
        }
    }
}

pub struct Server {
    child: Child,
    subject: Subject,
    pub address: SocketAddr,
}

impl Server {
    /// Starts a server of the files in `dir`; what it says goes to a file in `said`.
    pub fn start(subject: Subject, launch: &Launch, dir: &Path, files: &[String], said: &Path) -> Result<Self> {
        let paths = files.iter().map(|name| dir.join(name));
        let mut port = None;
        let command = match subject {
            Subject::Tailcast | Subject::OneWorker | Subject::TwoWorkers => {
                if !launch.tailcast.is_file() {
                    bail!("there is no server {}; name one by --server", launch.tailcast.display());
                }
                let mut command = launch.command(subject, &launch.tailcast);
                command.args(["--listen", "127.0.0.1:0", "--dir"]).arg(dir);
                command.args(files.iter().flat_map(|name| ["--file", name]));
                match subject {
                    Subject::OneWorker => command.args(["--threads", "1"]),
                    Subject::TwoWorkers => command.args(["--threads", "2"]),
                    _ => command.args(&launch.args),
                };
                command
            }
            Subject::Rawlimit | Subject::Naive => {
                let own = std::env::current_exe().context("can't find the bench's own program")?;
                let mut command = launch.command(subject, &own);
                command.args(["--serve", subject.name()]);
                if let Some(sabotage) = launch.sabotage.and_then(|kind| kind.to_possible_value()) {
                    command.args(["--sabotage", sabotage.get_name()]);
                }
                command.arg("--").args(paths);
                command
            }
            Subject::Websocketd => {
                // It does not tell a port that it chose itself.
                let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
                let mut command = launch.command(subject, Path::new("websocketd"));
                command.args([
                    "--address=127.0.0.1",
                    &format!("--port={}", free.port()),
                    "--loglevel=error",
                ]);
                command.args(["tail", "-n", "50", "-F"]).args(paths);
                port = Some(free);
                command
            }
        };
        let name = if subject.is_ours() { "tailcast" } else { subject.name() };
        let mut child = Child::spawn(command, name, said)?;
        let address = match port {
            Some(address) => await_listener(address).map_err(|error| child.explain_running(error))?,
            None => child.address()?,
        };
        if launch.show_pid {
            eprintln!("{} is process {}", subject.name(), child.pid());
        }
        Ok(Self {
            child,
            subject,
            address,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// Whether its children do its work too.
    pub fn has_children(&self) -> bool {
        self.subject == Subject::Websocketd
    }

    /// Adds to an error that came up while it was to run: whether it still does, and what it said last.
    pub fn explain_running(&mut self, error: anyhow::Error) -> anyhow::Error {
        self.child.explain_running(error)
    }

    /// Asks it to end and waits until it has.
    pub fn stop(self) -> Result<()> {
        let ours = self.subject.is_ours();
        self.child.stop(|status| {
            // The others have no handler of signals, or one that is their own affair.
            status.success() || !ours && (status.signal() == Some(Signal::TERM.as_raw()) || status.code().is_some())
        })
    }
}

fn await_listener(address: SocketAddr) -> Result<SocketAddr> {
    let deadline = Instant::now() + child::START_TIMEOUT;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            bail!("nobody listens on {address}");
        }
        thread::sleep(LISTEN_POLL);
    }
    Ok(address)
}
