//! The program as people start it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The program in a directory, with nothing of our environment.
pub fn tailcast(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailcast"));
    command
        .current_dir(dir)
        .env_clear()
        .env("TMPDIR", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running program; ended when dropped.
pub struct Program {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Program {
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = tailcast(dir).args(args).stderr(Stdio::null()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line
            .strip_prefix("tailcast listening on http://")
            .expect("the ready line");
        let address = address.trim_end().to_owned();
        Self { child, stdout, address }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// What the system says of the process under this name in its `status`.
    pub fn status(&self, name: &str) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.unwrap().trim().to_owned()
    }

    /// Waits for the end and returns its status, having checked that nothing more was printed.
    pub fn wait(&mut self) -> i32 {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "exactly one line on standard output");
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
