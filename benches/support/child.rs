//! A server as a child process of a bench: it tells where it listens, is ended by SIGTERM, and is never left behind,
//! whatever happens to the bench.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

pub const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A second more than a server may take that was asked to end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(6);
const STOP_POLL: Duration = Duration::from_millis(10);
/// How much of what the server said is shown when it failed, in bytes from the end.
const SHOWN_MAX: usize = 4_000;
/// What would change how the server runs.
const SETTINGS: [&str; 6] = [
    "TAILCAST_CONFIG",
    "TAILCAST_LISTEN",
    "TAILCAST_DIR",
    "TAILCAST_FILES",
    "TAILCAST_THREADS",
    "RUST_LOG",
];

/// The child that runs now, for `kill_running`.
static RUNNING: Mutex<Option<u32>> = Mutex::new(None);

#[derive(Debug)]
pub struct Child {
    process: Process,
    name: &'static str,
    said: PathBuf,
}

impl Child {
    /// Starts it in `dir`, where what it says on standard error goes to a file.
    pub fn spawn(mut command: Command, name: &'static str, dir: &Path) -> Result<Self> {
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        let said = dir.join("stderr.txt");
        let process = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&said).with_context(|| format!("can't create {}", said.display()))?)
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(process.id());
        Ok(Self { process, name, said })
    }

    /// Waits for the line that says where it listens.
    pub fn address(&mut self) -> Result<SocketAddr> {
        let stdout = self.process.stdout.take();
        self.await_address(stdout).map_err(|error| self.explain(error))
    }

    fn await_address(&mut self, stdout: Option<ChildStdout>) -> Result<SocketAddr> {
        let name = self.name;
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
        self.process.id()
    }

    /// Adds to an error that came up while it was to run: whether it still does, and what it said last.
    pub fn explain_running(&mut self, error: anyhow::Error) -> anyhow::Error {
        match self.process.try_wait() {
            Ok(Some(status)) => self.explain(error.context(format!("{} ended by itself: {status}", self.name))),
            _ => self.explain(error),
        }
    }

    /// Adds to an error what it said last.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let said = std::fs::read(&self.said).unwrap_or_default();
        let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN_MAX)..])
            .trim()
            .to_owned();
        if tail.is_empty() {
            return error;
        }
        let name = self.name;
        anyhow!("{error:#}\n--- the end of what {name} said on standard error:\n{tail}\n---")
    }

    /// Asks it to end and waits until it has; an error where that was not as it should.
    pub fn stop(mut self, fine: impl Fn(ExitStatus) -> bool) -> Result<()> {
        let ended = self.end().and_then(|status| {
            if !fine(status) {
                bail!("{} ended badly after SIGTERM: {status}", self.name);
            }
            Ok(())
        });
        ended.map_err(|error| self.explain(error))
    }

    fn end(&mut self) -> Result<ExitStatus> {
        let name = self.name;
        if let Some(status) = self.process.try_wait()? {
            bail!("{name} ended by itself: {status}");
        }
        kill_process(Pid::from_child(&self.process), Signal::TERM).with_context(|| format!("can't end {name}"))?;
        self.wait(STOP_TIMEOUT)?
            .with_context(|| format!("{name} did not end within {STOP_TIMEOUT:?} after SIGTERM, and was killed"))
    }

    /// Waits for its end, but no longer than this.
    fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.process.try_wait()?;
            if status.is_some() || Instant::now() > deadline {
                return Ok(status);
            }
            thread::sleep(STOP_POLL);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both do nothing but fail where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Ends the whole bench, and the server with it, should some part never end by itself.
pub fn start_watchdog(limit: Duration) -> Result<()> {
    thread::Builder::new()
        .name("watchdog".to_owned())
        .spawn(move || {
            thread::sleep(limit);
            eprintln!("error: not done after {limit:?}, which is longer than all parts may take together");
            kill_running();
            std::process::exit(1);
        })
        .context("can't start the watchdog")?;
    Ok(())
}

fn kill_running() {
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
