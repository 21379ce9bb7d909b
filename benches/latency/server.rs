//! The server under test, a directory for its files, and what it takes of the machine.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::child::Child;

/// Starts a server for each scenario.
#[derive(Debug)]
pub struct Bench {
    pub program: PathBuf,
}

impl Bench {
    /// Serves these files, which are made empty, on a free port.
    pub fn serve(&self, names: &[String]) -> Result<Server> {
        if !self.program.is_file() {
            bail!("there is no server {}; name one by --server", self.program.display());
        }
        let dir = tempfile::Builder::new().prefix("tailcast-latency-").tempdir()?;
        let logs = dir.path().join("logs");
        fs::create_dir(&logs)?;
        for name in names {
            File::create(logs.join(name))?;
        }
        let mut command = Command::new(&self.program);
        command.args(["--listen", "127.0.0.1:0", "--dir"]).arg(&logs);
        command.args(names.iter().flat_map(|name| ["--file", name]));
        let mut child = Child::spawn(command, "tailcast", dir.path())?;
        let address = child.address()?;
        Ok(Server {
            child,
            address,
            logs,
            _dir: dir,
        })
    }
}

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    logs: PathBuf,
    _dir: TempDir,
}

impl Server {
    /// A file, to be appended to.
    pub fn log(&self, name: &str) -> Result<File> {
        let path = self.logs.join(name);
        let file = OpenOptions::new().append(true).open(&path);
        file.with_context(|| format!("can't open {}", path.display()))
    }

    /// Processor time so far; an error where it has ended.
    pub fn processor_time(&mut self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.child.pid().cast_signed()));
        let time = clock
            .and_then(clock_gettime)
            .context("can't read the server's processor clock");
        time.map(Duration::from)
            .map_err(|error| self.child.explain_running(error))
    }

    /// Its resident memory in KiB.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
            .with_context(|| format!("{path} has no VmRSS"))
    }

    /// Asks it to end and waits until it has.
    pub fn stop(self) -> Result<()> {
        self.child.stop(|status| status.success())
    }
}
