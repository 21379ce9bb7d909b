//! One client that always resumes, against a model of what was written, while everything around it is killed, cut,
//! rotated and truncated at random.
//!
//! Its lines are exactly what was written, in order and once, but for the places where it was told otherwise: behind a
//! `gap` or a `truncated` the run may begin elsewhere.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};

use crate::support::{Log, Program, Said, V1Viewer};

/// The only line that is no number.
const END: &str = "end";
/// Rotated files that are kept.
const KEPT: u64 = 6;
const CONFIG: &str = "[stream]\nrotate_wait = \"500ms\"\nrotate_grace = \"20s\"\npartial_line_timeout = \"30ms\"\n";

#[derive(Debug, Clone)]
enum Step {
    /// So many lines, cut into writes of so many bytes; now and then more than the channel keeps in memory.
    Append {
        lines: u64,
        cut: usize,
    },
    Wait {
        millis: u64,
    },
    /// The connection breaks.
    Cut,
    /// The server is killed, and so many lines later started again.
    Kill {
        lines: u64,
    },
    /// Renamed and made anew, with so many late lines for the old file.
    Rotate {
        late: u64,
    },
    /// The same while nobody is there: the client is cut and the server dead.
    RotateAlone {
        late: u64,
        kill: bool,
    },
    /// Copied and emptied.
    CopyTruncate {
        cut: bool,
    },
    /// Emptied.
    Truncate,
    /// The second of the rotated files is compressed.
    Compress {
        zstd: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lines = || prop_oneof![8 => 1..200_u64, 1 => 20_000..60_000_u64];
    let step = prop_oneof![
        6 => (lines(), 1..100_000_usize).prop_map(|(lines, cut)| Step::Append { lines, cut }),
        3 => (0..60_u64).prop_map(|millis| Step::Wait { millis }),
        4 => Just(Step::Cut),
        2 => lines().prop_map(|lines| Step::Kill { lines }),
        2 => (0..30_u64).prop_map(|late| Step::Rotate { late }),
        2 => (0..30_u64, any::<bool>()).prop_map(|(late, kill)| Step::RotateAlone { late, kill }),
        1 => any::<bool>().prop_map(|cut| Step::CopyTruncate { cut }),
        1 => Just(Step::Truncate),
        2 => any::<bool>().prop_map(|zstd| Step::Compress { zstd }),
    ];
    proptest::collection::vec(step, 3..25)
}

/// What the client has got, and where it stopped.
#[derive(Debug, Default)]
struct Got {
    lines: Vec<String>,
    position: Option<String>,
    /// The highest number it has seen.
    last: u64,
}

/// Resumes until the end comes.
async fn collect(address: watch::Receiver<String>, got: Arc<Mutex<Got>>, cut: Arc<Notify>) {
    loop {
        let query = match &got.lock().unwrap().position {
            Some(position) => format!("since={position}"),
            None => "lines=10000".to_owned(),
        };
        let to = address.borrow().clone();
        let Ok(mut viewer) = V1Viewer::try_connect(to, &query).await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        loop {
            let said = tokio::select! {
                said = viewer.try_next() => said,
                () = cut.notified() => break,
            };
            let mut got = got.lock().unwrap();
            match said {
                Some(Said::Lines { lines, .. }) => {
                    got.last = lines
                        .iter()
                        .filter_map(|line| line.parse().ok())
                        .fold(got.last, u64::max);
                    got.lines.extend(lines);
                }
                Some(Said::Event { event, .. }) => got.lines.push(format!("<{event}>")),
                Some(Said::Close(..)) | None => break,
            }
            got.position = viewer.position.clone().or(got.position.take());
            if got.lines.last().is_some_and(|line| line == END) {
                return;
            }
        }
    }
}

/// The files, the server and what was written.
struct World {
    dir: tempfile::TempDir,
    log: Log,
    server: Option<Program>,
    address: watch::Sender<String>,
    written: u64,
    /// Lines before the first one of the current file.
    before: u64,
    got: Arc<Mutex<Got>>,
    cut: Arc<Notify>,
}

impl World {
    fn start(&mut self) {
        let config = self.dir.path().join("tailcast.toml");
        let config = config.to_str().unwrap();
        let server = Program::start(self.dir.path(), &["-c", config, "-l", "127.0.0.1:0", "-f", "a.log"]);
        self.address.send_replace(server.address.clone());
        self.server = Some(server);
    }

    fn append(&mut self, lines: u64, cut: usize) {
        let text: String = (self.written + 1..=self.written + lines)
            .map(|n| format!("{n}\n"))
            .collect();
        text.as_bytes().chunks(cut).for_each(|part| self.log.write(part));
        self.written += lines;
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Makes room for `a.log.1`.
    fn shift(&self) {
        for number in (1..=KEPT).rev() {
            for packed in ["", ".gz", ".zst"] {
                let from = self.path(&format!("a.log.{number}{packed}"));
                if number == KEPT {
                    let _ = fs::remove_file(from);
                } else {
                    let _ = fs::rename(from, self.path(&format!("a.log.{}{packed}", number + 1)));
                }
            }
        }
    }

    fn rotate(&mut self, late: u64) {
        self.shift();
        self.log.rename(".1");
        self.append(late, 1000);
        self.log = Log::create(self.path("a.log"));
        self.before = self.written;
    }

    /// Waits until the client has something of the current file: before the first line there is nothing that could tell
    /// one content from the next.
    async fn be_inside(&mut self) {
        self.append(1, 100);
        let begun = Instant::now();
        while self.got.lock().unwrap().last <= self.before {
            assert!(begun.elapsed() < Duration::from_secs(20), "the client gets nothing");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn take(&mut self, step: &Step) {
        match *step {
            Step::Append { lines, cut } => self.append(lines, cut),
            Step::Wait { millis } => sleep(Duration::from_millis(millis)).await,
            Step::Cut => self.cut.notify_waiters(),
            Step::Kill { lines } => {
                self.server = None;
                self.append(lines, 1000);
                self.start();
            }
            Step::Rotate { late } => {
                self.rotate(late);
                // Two rotations between two looks can't be seen where the events of the first come too late.
                sleep(Duration::from_millis(100)).await;
            }
            Step::RotateAlone { late, kill } => {
                if kill {
                    self.server = None;
                }
                self.cut.notify_waiters();
                self.rotate(late);
                if kill {
                    self.start();
                } else {
                    sleep(Duration::from_millis(100)).await;
                }
            }
            Step::CopyTruncate { cut } => {
                self.be_inside().await;
                if cut {
                    self.cut.notify_waiters();
                }
                self.shift();
                fs::copy(self.log.path(), self.path("a.log.1")).unwrap();
                self.log.truncate(0);
                self.before = self.written;
            }
            Step::Truncate => {
                self.be_inside().await;
                self.log.truncate(0);
                self.before = self.written;
            }
            Step::Compress { zstd } => {
                let (file, packed) = (self.path("a.log.2"), if zstd { "zstd" } else { "gzip" });
                if file.exists() {
                    let args: &[&str] = if zstd { &["-q", "--rm", "-f"] } else { &["-f"] };
                    assert!(Command::new(packed).args(args).arg(file).status().unwrap().success());
                }
            }
        }
    }
}

async fn run(steps: &[Step]) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tailcast.toml"), CONFIG).unwrap();
    let log = Log::create(dir.path().join("a.log"));
    let (address, watched) = watch::channel(String::new());
    let (got, cut) = (Arc::default(), Arc::default());
    let mut world = World {
        dir,
        log,
        server: None,
        address,
        written: 0,
        before: 0,
        got: Arc::clone(&got),
        cut: Arc::clone(&cut),
    };
    world.start();
    let client = tokio::spawn(collect(watched, Arc::clone(&got), cut));
    world.be_inside().await;
    for step in steps {
        world.take(step).await;
    }
    world.log.lines([END]);
    if timeout(Duration::from_secs(30), client).await.is_err() {
        return Err(TestCaseError::fail(format!(
            "the end does not come, after {:?}",
            got.lock().unwrap().lines.iter().rev().take(5).collect::<Vec<_>>()
        )));
    }
    check(&got.lock().unwrap().lines, world.written)
}

fn check(lines: &[String], written: u64) -> Result<(), TestCaseError> {
    let mut expected = Some(1);
    for (index, line) in lines.iter().enumerate() {
        let around = &lines[index.saturating_sub(3)..(index + 3).min(lines.len())];
        match line.as_str() {
            "<gap>" | "<truncated>" => expected = None,
            "<rotated>" | "<shutdown>" => {}
            END => prop_assert!(
                expected.is_none_or(|expected| expected == written + 1),
                "the end is missing in {around:?}"
            ),
            line => {
                let number: u64 = line
                    .parse()
                    .map_err(|_| TestCaseError::fail(format!("a line {line:?} in {around:?}")))?;
                if let Some(expected) = expected {
                    prop_assert_eq!(number, expected, "in {:?}", around);
                }
                expected = Some(number + 1);
            }
        }
    }
    Ok(())
}

#[test]
fn a_client_that_resumes_gets_exactly_what_was_written_whatever_happens() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let seed = match std::env::var("TAILCAST_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_nanos(),
    };
    let cases = std::env::var("TAILCAST_TEST_CASES").map_or(12, |cases| cases.parse().unwrap());
    let bytes = [seed.to_le_bytes(), seed.to_le_bytes()].concat();
    let config = Config {
        cases,
        max_shrink_iters: 0,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&steps(), |steps| runtime.block_on(run(&steps))) {
        panic!("TAILCAST_TEST_SEED={seed}: {error}");
    }
}
