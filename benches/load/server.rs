//! The server under test as a child process: started as a user would, on a free port, bound to a core of its own
//! before its first instruction, ended by SIGTERM, and never left behind, whatever happens to the bench.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

pub const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A second more than a server may take that was asked to end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(6);
const STOP_POLL: Duration = Duration::from_millis(10);
/// How much of what the server said is shown when it failed, in bytes from the end.
const SHOWN_MAX: usize = 4_000;
const SETTINGS: [&str; 5] = [
    "TAILCAST_CONFIG",
    "TAILCAST_LISTEN",
    "TAILCAST_DIR",
    "TAILCAST_FILES",
    "RUST_LOG",
];

/// The child that runs now, for `kill_running`.
static RUNNING: Mutex<Option<u32>> = Mutex::new(None);

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    Tailcast,
    Rawlimit,
}

impl Subject {
    pub fn name(self) -> &'static str {
        match self {
            Self::Tailcast => "tailcast",
            Self::Rawlimit => "rawlimit",
        }
    }
}

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub tailcast: PathBuf,
    /// The core to bind them to.
    pub core: Option<usize>,
}

pub struct Server {
    child: Child,
    subject: Subject,
    pub address: SocketAddr,
    said: PathBuf,
}

impl Server {
    /// Starts a server of the file `name` in `dir`; what it says goes to a file beside.
    pub fn start(subject: Subject, launch: &Launch, dir: &Path, name: &str) -> Result<Self> {
        let program = match subject {
            Subject::Tailcast => launch.tailcast.clone(),
            Subject::Rawlimit => std::env::current_exe().context("can't find the bench's own program")?,
        };
        if !program.is_file() {
            bail!("there is no server {}; name one by --server", program.display());
        }
        let mut command = match launch.core {
            // It replaces itself by the program, so the process id stays.
            Some(core) => {
                let mut taskset = Command::new("taskset");
                taskset.args(["-c", &core.to_string()]).arg(program);
                taskset
            }
            None => Command::new(program),
        };
        match subject {
            Subject::Tailcast => command
                .args(["--listen", "127.0.0.1:0", "--dir"])
                .arg(dir)
                .args(["--file", name]),
            Subject::Rawlimit => command.arg("--serve-rawlimit").arg(dir.join(name)),
        };
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        let said = dir.join("stderr.txt");
        let mut child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&said).with_context(|| format!("can't create {}", said.display()))?)
            .spawn()
            .with_context(|| format!("can't start {}", subject.name()))?;
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(child.id());
        let stdout = child.stdout.take();
        let mut server = Self {
            child,
            subject,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            said,
        };
        match server.await_ready(stdout) {
            Ok(address) => {
                server.address = address;
                Ok(server)
            }
            Err(error) => Err(server.explain(error)),
        }
    }

    fn await_ready(&mut self, stdout: Option<ChildStdout>) -> Result<SocketAddr> {
        let name = self.subject.name();
        let lines = read_lines(stdout.context("the server has no standard output")?)?;
        let line = match lines.recv_timeout(START_TIMEOUT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => {
                bail!("{name} was not ready within {START_TIMEOUT:?}")
            }
            Err(RecvTimeoutError::Disconnected) => match self.wait(STOP_TIMEOUT)? {
                Some(status) => bail!("{name} ended before it was ready: {status}"),
                None => bail!("{name} closed its standard output before it was ready"),
            },
        };
        line.strip_prefix(&format!("{name} listening on http://"))
            .and_then(|address| address.parse().ok())
            .ok_or_else(|| anyhow!("{name} said {line:?} instead of where it listens"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Adds to an error that came up while the server was to run: whether it still does, and what it said last.
    pub fn explain_running(&mut self, error: anyhow::Error) -> anyhow::Error {
        match self.child.try_wait() {
            Ok(Some(status)) => {
                self.explain(error.context(format!("{} ended by itself: {status}", self.subject.name())))
            }
            _ => self.explain(error),
        }
    }

    /// Adds to an error what the server said last.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = std::fs::read(&self.said).unwrap_or_default();
        let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN_MAX)..])
            .trim()
            .to_owned();
        if tail.is_empty() {
            return error;
        }
        anyhow!(
            "{error:#}\n--- the end of what {} said on standard error:\n{tail}\n---",
            self.subject.name()
        )
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        let status = self.end().map_err(|error| self.explain(error))?;
        // The yardstick has no handler of signals.
        let fine = match self.subject {
            Subject::Tailcast => status.success(),
            Subject::Rawlimit => status.signal() == Some(Signal::TERM.as_raw()),
        };
        if !fine {
            return Err(self.explain(anyhow!("{} ended badly after SIGTERM: {status}", self.subject.name())));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<ExitStatus> {
        let name = self.subject.name();
        if let Some(status) = self.child.try_wait()? {
            bail!("{name} ended by itself: {status}");
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).with_context(|| format!("can't end {name}"))?;
        self.wait(STOP_TIMEOUT)?
            .with_context(|| format!("{name} did not end within {STOP_TIMEOUT:?} after SIGTERM, and was killed"))
    }

    /// Waits for its end, but no longer than this.
    fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.child.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            thread::sleep(STOP_POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both do nothing but fail where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Kills the server that runs now, where one does; for a bench that has to end at once.
pub fn kill_running() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pid) = running.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The lines of a server's standard output, which are read to the end so that it never waits for a reader.
fn read_lines(stdout: ChildStdout) -> Result<Receiver<String>> {
    let (sender, lines) = mpsc::channel();
    thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Only the first one is waited for.
                let _ = sender.send(line);
            }
        })
        .context("can't start a thread")?;
    Ok(lines)
}
