//! The program as people start it: arguments, exit statuses, signals.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Program, Viewer, tailcast};

fn run(dir: &Path, args: &[&str]) -> Output {
    tailcast(dir).args(args).output().unwrap()
}

/// The one sentence of a failure.
fn failure(output: &Output, status: i32) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert_eq!(text.matches('\n').count(), 1, "one sentence: {text}");
    assert!(output.stdout.is_empty());
    text
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn it_serves_the_three_files_of_the_current_directory() {
    let dir = directory();
    fs::write(dir.path().join("ds_update.log"), "default\n").unwrap();
    fs::write(dir.path().join("upload.log"), "upload\n").unwrap();
    let mut program = Program::start(dir.path(), &["--listen", "127.0.0.1:0"]);
    let mut viewer = Viewer::at(&format!("ws://{}/v1/ws/logs", program.address)).await;
    assert_eq!(viewer.line().await, "default");
    let mut viewer = Viewer::at(&format!("ws://{}/v1/ws/logs?file=upload.log", program.address)).await;
    assert_eq!(viewer.line().await, "upload");
    program.signal(Signal::TERM);
    assert_eq!(viewer.closed().await, (1001, "shutting down".to_owned()));
    assert_eq!(program.wait(), 0);
}

#[test]
fn the_kernel_has_room_for_all_descriptors_before_anybody_connects() {
    let dir = directory();
    let config = dir.path().join("few.toml");
    fs::write(&config, "[limits]\nmax_connections = 700\n").unwrap();
    let program = Program::start(dir.path(), &["-l", "127.0.0.1:0", "-c", config.to_str().unwrap()]);
    // 700 viewers, 1,024 other connections, 9 for three files and 64 of its own; the kernel doubles the table.
    assert_eq!(program.status("FDSize"), "2048");
}

#[tokio::test]
async fn it_serves_files_from_wherever_they_are() {
    let dir = directory();
    let other = directory();
    fs::write(dir.path().join("x.log"), "x\n").unwrap();
    fs::write(other.path().join("y.log"), "y\n").unwrap();
    let elsewhere = other.path().join("y.log");
    let mut program = Program::start(dir.path(), &["-l", "127.0.0.1:0", elsewhere.to_str().unwrap(), "x.log"]);
    let mut viewer = Viewer::at(&format!("ws://{}/v1/ws/logs", program.address)).await;
    assert_eq!(viewer.line().await, "y", "the first is the default");
    let mut viewer = Viewer::at(&format!("ws://{}/v1/ws/logs?file=x.log", program.address)).await;
    assert_eq!(viewer.line().await, "x");
    program.signal(Signal::INT);
    assert_eq!(program.wait(), 0);
}

#[tokio::test]
async fn the_demo_writes_three_files_and_leaves_nothing_behind() {
    let dir = directory();
    for (signals, status) in [(1, 0), (2, 128 + 15)] {
        let mut program = Program::start(dir.path(), &["--demo", "-l", "127.0.0.1:0"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let mut idle = Viewer::at(&format!("ws://{}/v1/ws/logs", program.address)).await;
        for file in ["ds_update.log", "download.log", "upload.log"] {
            let mut viewer = Viewer::at(&format!("ws://{}/v1/ws/logs?file={file}", program.address)).await;
            viewer.lines(55).await;
        }
        let begun = Instant::now();
        for n in 0..signals {
            program.signal(Signal::TERM);
            if n == 0 && signals == 2 {
                idle.line().await;
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        assert_eq!(program.wait(), status);
        assert!(begun.elapsed() < Duration::from_secs(6));
        let left: Vec<PathBuf> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn bad_usage_is_one_sentence_and_status_two() {
    let dir = directory();
    fs::write(dir.path().join("bad.toml"), "\n[stream]\nhistroy_lines = 3\n").unwrap();
    for (args, part) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["--listen"], "--listen"),
        (&["--listen", "nowhere"], "`nowhere` (--listen)"),
        (&["--log-level", "loud"], "`loud` (--log-level)"),
        (&["--file", "a/b"], "`a/b`"),
        (&["--file", "a", "--file", "a"], "twice"),
        (&["x/a.log", "y/a.log"], "`a.log` is on the allow-list twice"),
        (&["a.log", "--dir", "x"], "cannot be used with"),
        (&["a.log", "--file", "x"], "cannot be used with"),
        (&["a.log", "--demo"], "cannot be used with"),
        (
            &["--config", "bad.toml"],
            "bad.toml, line 3: unknown field `histroy_lines`",
        ),
        (&["--config", "none.toml"], "none.toml"),
        (&["--listen", "0.0.0.0:0"], "allow_anonymous"),
        (&["--listen", "0.0.0.0:0", "--check-config"], "auth"),
    ] {
        let text = failure(&run(dir.path(), args), 2);
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn what_can_not_be_done_is_one_sentence_and_status_one() {
    let dir = directory();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = failure(&run(dir.path(), &["--listen", &address]), 1);
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
    let text = failure(&run(dir.path(), &["-l", "127.0.0.1:0", "--dir", "nowhere"]), 1);
    assert!(text.contains("nowhere") && text.contains("--dir"), "{text}");
}

#[test]
fn the_effective_configuration_is_printed_and_can_be_read_back() {
    let dir = directory();
    fs::write(
        dir.path().join("tailcast.toml"),
        "notices = \"en\"\n[[file]]\nname = \"x.log\"\n",
    )
    .unwrap();
    let output = tailcast(dir.path())
        .args(["--check-config", "--listen", "127.0.0.1:7"])
        .env("TAILCAST_DIR", "/tmp")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    for part in [
        "listen = \"127.0.0.1:7\"",
        "dir = \"/tmp\"",
        "notices = \"en\"",
        "backlog = \"64MiB\"",
        "x.log",
    ] {
        assert!(printed.contains(part), "{part} is not in\n{printed}");
    }
    fs::write(dir.path().join("printed.toml"), &printed).unwrap();
    let output = run(dir.path(), &["--check-config", "--config", "printed.toml"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), printed);
    let help = run(dir.path(), &["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8(help.stdout).unwrap().contains("--check-config"));
}

#[test]
fn it_goes_on_without_a_standard_output() {
    let dir = directory();
    let mut child = tailcast(dir.path())
        .args(["-l", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it runs");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
