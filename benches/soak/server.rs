//! The server as a child process: started as a user would, on a free port, watched for its memory, ended by SIGTERM,
//! and never left behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

const START_TIMEOUT: Duration = Duration::from_secs(10);
/// A second more than a server may take that was asked to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);
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

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    said: PathBuf,
}

impl Server {
    /// Starts a server in `dir` with this configuration.
    pub fn start(program: &Path, dir: &Path, config: &str) -> Result<Self> {
        if !program.is_file() {
            bail!("there is no server {}; name one by --server", program.display());
        }
        let path = dir.join("tailcast.toml");
        fs::write(&path, config).with_context(|| format!("can't write {}", path.display()))?;
        let mut command = Command::new(program);
        for setting in SETTINGS {
            command.env_remove(setting);
        }
        let said = dir.join("stderr.txt");
        let mut child = command
            .arg("--config")
            .arg(&path)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&said).with_context(|| format!("can't create {}", said.display()))?)
            .spawn()
            .context("can't start the server")?;
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(child.id());
        let stdout = child.stdout.take().context("the server has no standard output")?;
        let mut server = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            said,
        };
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
        let line = lines
            .recv_timeout(START_TIMEOUT)
            .with_context(|| format!("the server was not ready in time{}", server.said()))?;
        server.address = line
            .strip_prefix("tailcast listening on http://")
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("the server said {line:?} instead of where it listens"))?;
        Ok(server)
    }

    /// Its resident memory in KiB; an error where it has ended.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
            .with_context(|| format!("the server has ended by itself{}", self.said()))
    }

    /// For how long its reading thread has waited for a core so far; 0 where the kernel doesn't tell.
    pub fn waited(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id()));
        let reader = tasks
            .into_iter()
            .flatten()
            .flatten()
            .map(|task| task.path())
            .find(|path| {
                let name = fs::read_to_string(path.join("comm"));
                name.is_ok_and(|name| name.trim() == "reader")
            });
        // Nanoseconds on a core, nanoseconds waiting for one, and how often.
        let stat = reader.and_then(|path| fs::read_to_string(path.join("schedstat")).ok());
        let nanos = stat.and_then(|stat| stat.split_ascii_whitespace().nth(1)?.parse().ok());
        Duration::from_nanos(nanos.unwrap_or(0))
    }

    /// What it said on standard error, the end of it.
    pub fn said(&self) -> String {
        let said = fs::read(&self.said).unwrap_or_default();
        let tail = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN_MAX)..])
            .trim()
            .to_owned();
        if tail.is_empty() {
            return tail;
        }
        format!("\n--- the end of what the server said:\n{tail}\n---")
    }

    /// Asks it to end and waits until it has.
    pub fn stop(mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the server ended by itself: {status}{}", self.said());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM).context("can't end the server")?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the server ended badly after SIGTERM: {status}{}", self.said());
                }
                return Ok(());
            }
            thread::sleep(Duration::from_millis(10));
        }
        bail!("the server did not end within {STOP_TIMEOUT:?} after SIGTERM, and was killed")
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
