//! Mounts that hang.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Log, TestServer, Viewer, request, until};

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mount_that_hangs_stops_only_its_own_files() {
    hang_mount_of("mount/b.log").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_into_a_mount_that_hangs_stops_no_other_file() {
    hang_mount_of("link").await;
}

async fn hang_mount_of(path: &str) {
    let server = TestServer::with(|config| config.files[1].path = Some(config.dir.join(path))).await;
    std::os::unix::fs::symlink("mount/b.log", server.path("link")).unwrap();
    fs::create_dir(server.path("source")).unwrap();
    fs::create_dir(server.path("mount")).unwrap();
    let mount = FuseMount::new(&server.path("source"), &server.path("mount")).await;
    let mut local = server.log("a.log");
    let mut remote = Log::create(server.path("source/b.log"));
    remote.lines(["there"]);
    let mut viewer = Viewer::connect(&server, "a.log").await;
    let mut hanging = Viewer::connect(&server, "b.log").await;
    assert_eq!(hanging.line().await, "there");
    mount.stop();
    // What the kernel has remembered of the file is forgotten after a second.
    pause(1500).await;
    let begun = Instant::now();
    local.lines(["one"]);
    assert_eq!(viewer.line().await, "one");
    let mut another = Viewer::connect(&server, "a.log").await;
    assert_eq!(another.line().await, "one");
    let files = request(server.address, "GET /healthz HTTP/1.1", &[]).await;
    assert_eq!(files.status, 200);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let list = request(server.address, "GET /api/v1/files HTTP/1.1", &[]).await;
    assert_eq!(
        list.json()[1]["exists"],
        serde_json::json!(null),
        "not known, but answered"
    );
    mount.go_on();
    remote.lines(["back"]);
    assert_eq!(hanging.line().await, "back");
    drop(mount);
}

/// A file system in a process of its own, which can be stopped.
struct FuseMount {
    process: std::process::Child,
    at: std::path::PathBuf,
}

impl FuseMount {
    async fn new(source: &std::path::Path, at: &std::path::Path) -> Self {
        let mount = Self {
            process: std::process::Command::new("bindfs")
                .arg("-f")
                .args([source, at])
                .spawn()
                .unwrap(),
            at: at.to_owned(),
        };
        let marker = source.join("marker");
        fs::write(&marker, "").unwrap();
        until("the file system is mounted", async || at.join("marker").exists()).await;
        mount
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn stop(&self) {
        self.signal(Signal::STOP);
    }

    fn go_on(&self) {
        self.signal(Signal::CONT);
    }
}

impl Drop for FuseMount {
    fn drop(&mut self) {
        self.go_on();
        let _ = std::process::Command::new("fusermount")
            .args(["-u", "-z"])
            .arg(&self.at)
            .status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
