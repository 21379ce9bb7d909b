use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tailcast::config::{Config, FileEntry, Settings};
use tailcast::server::Server;
use tailcast::tail::Wakeups;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Log, request};

/// The server as `main` starts it, on port 0.
pub struct TestServer {
    pub address: SocketAddr,
    pub settings: Settings,
    directory: Option<TempDir>,
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Allows `a.log` (the default file), `b.log` and `c.log`.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_wakeups(Wakeups::default(), change).await
    }

    pub async fn with_wakeups(wakeups: Wakeups, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), wakeups, change)
    }

    fn start_in(directory: TempDir, wakeups: Wakeups, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir: directory.path().to_owned(),
            files: ["a.log", "b.log", "c.log"].map(FileEntry::named).to_vec(),
            ..Config::default()
        };
        change(&mut config);
        let server = Server::bind_with(config, wakeups).unwrap();
        let stop = CancellationToken::new();
        Self {
            address: server.address(),
            settings: server.settings().clone(),
            directory: Some(directory),
            task: Some(tokio::spawn(server.run(stop.clone()))),
            stop,
        }
    }

    /// Stops it and starts another one over the same files.
    pub async fn restarted(mut self, change: impl FnOnce(&mut Config)) -> Self {
        let directory = self.directory.take().unwrap();
        self.stop().await;
        Self::start_in(directory, Wakeups::default(), change)
    }

    pub fn dir(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    /// A file of the directory, made if it is not there.
    pub fn log(&self, name: &str) -> Log {
        Log::create(self.path(name))
    }

    /// The value of one series of `/metrics`, as it is written there.
    pub async fn metric(&self, series: &str) -> f64 {
        let answer = request(self.address, "GET /metrics HTTP/1.1", &[]).await;
        let text = answer.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in\n{text}"))
            .parse()
            .unwrap()
    }

    /// Tells it to stop, without waiting.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops it and waits until it has ended, which takes 5 s at most.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(5), task)
            .await
            .expect("it ends within 5 s")
            .unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
