//! A real browser: Chromium without a window, driven through chromedriver.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::SOON;

/// What Chromium needs in a container, and what keeps it from talking to anyone but us.
const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,800",
    // A turn of the wheel has scrolled when it is over.
    "--disable-smooth-scrolling",
    // Exact figures of the heap, after a collection that a test may ask for.
    "--enable-precise-memory-info",
    "--js-flags=--expose-gc",
];

/// A browser with one page; ended when dropped.
pub struct Browser {
    pub page: Client,
    driver: Child,
    profile: TempDir,
}

/// Where downloads go, in the profile.
const DOWNLOADS: &str = "downloads";

impl Browser {
    pub async fn start(language: &str) -> Self {
        // Two that start in the same moment may choose the same port, and then one of them ends.
        let (driver, port) = (0..5).find_map(|_| start_driver()).expect("chromedriver starts");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments: Vec<String> = ARGUMENTS.iter().map(ToString::to_string).collect();
        arguments.push(user_data_dir(&profile));
        arguments.push(format!("--lang={language}"));
        let options = json!({
            "binary": "/usr/bin/chromium",
            "args": arguments,
            "prefs": {
                "intl.accept_languages": language,
                "download.default_directory": profile.path().join(DOWNLOADS),
            },
        });
        let mut capabilities = Map::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "browser": "ALL" }));
        let page = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("the browser starts");
        Self { page, driver, profile }
    }

    /// Waits for the first whole download.
    pub async fn downloaded(&self) -> PathBuf {
        let folder = self.profile.path().join(DOWNLOADS);
        let begun = Instant::now();
        loop {
            let files = fs::read_dir(&folder)
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().path());
            let whole = files.into_iter().find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                // A download under way has another name; the file itself is there before anything is in it.
                !name.starts_with('.') && !name.ends_with(".crdownload") && fs::metadata(path).unwrap().len() > 0
            });
            if let Some(path) = whole {
                return path;
            }
            assert!(begun.elapsed() < SOON, "nothing was downloaded");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Runs a script in the page.
    pub async fn run(&self, script: &str) -> Value {
        self.page.execute(script, vec![]).await.unwrap()
    }

    /// Runs a script until it returns true. One that fails has not found yet what it looks at: the page may be about to
    /// make it.
    pub async fn until(&self, what: &str, script: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.page.execute(script, vec![]).await;
            if answer.as_ref().is_ok_and(|answer| *answer == json!(true)) {
                return;
            }
            if begun.elapsed() > SOON {
                let shown = self.run("return document.body.innerText").await;
                panic!("waited in vain until {what}, last {answer:?}; the page shows {shown}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it; to be called at the end of a test that passed.
    pub async fn end(self) {
        self.page.clone().close().await.unwrap();
    }
}

fn start_driver() -> Option<(Child, String)> {
    let mut driver = Command::new("/usr/bin/chromedriver")
        .arg("--port=0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromedriver is installed");
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.find_map(|line| {
        let line = line.unwrap();
        let rest = line.split("started successfully on port ").nth(1)?;
        Some(rest.trim_end_matches('.').to_owned())
    });
    let Some(port) = port else {
        let _ = driver.wait();
        return None;
    };
    // It must not block on a pipe that nobody reads.
    std::thread::spawn(move || lines.for_each(drop));
    Some((driver, port))
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // After a test that failed its driver ends without it. Nothing else has this profile.
        let argument = user_data_dir(&self.profile);
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        for process in processes {
            let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let name = process.file_name();
            let pid = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
            if let Some(pid) = pid
                && arguments.split(|&b| b == 0).any(|one| one == argument.as_bytes())
            {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}

fn user_data_dir(profile: &TempDir) -> String {
    format!("--user-data-dir={}", profile.path().display())
}
