//! The server under test, as a user would start it, on a free port, watched for its memory and its reader.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::child::Child;

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
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
        command.arg("--config").arg(&path);
        let mut child = Child::spawn(command, "tailcast", dir)?;
        let address = child.address()?;
        Ok(Self { child, address })
    }

    /// Its resident memory in KiB; an error where it has ended.
    pub fn resident(&mut self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok())
            .ok_or_else(|| self.child.explain_running(anyhow!("{path} has no VmRSS")))
    }

    /// For how long its reading thread has waited for a core so far; 0 where the kernel doesn't tell.
    pub fn waited(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.pid()));
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

    /// Asks it to end and waits until it has.
    pub fn stop(self) -> Result<()> {
        self.child.stop(|status| status.success())
    }
}
