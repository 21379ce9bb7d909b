//! What must hold whatever the order of things, against a model of what was written.
//!
//! For each viewer the lines between two notices are a contiguous run, nothing comes twice, there are gaps only at a
//! notice, and the last run goes up to the end. What is not promised is not asked: two rotations between two looks
//! where there are no events, and lines truncated away before anyone could read them.

use std::fs;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use tailcast::config::Span;
use tailcast::tail::Wakeups;

use crate::support::{Log, TestServer, Viewer, until};

const TRUNCATED: &str = "日志文件被截断，重新加载...";
/// The only line that is no number, and no late one.
const END: &str = "end";

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// So many lines, cut into writes of so many bytes.
    Append {
        lines: u64,
        cut: usize,
    },
    /// The beginning of a line, of so many bytes at most; the next write ends it, unless the file is truncated first.
    Begin {
        bytes: usize,
    },
    Connect,
    Wait {
        millis: u64,
    },
    /// Renamed and made anew; so many lines go to the old file before, and after the new one is there.
    Rotate {
        late: u64,
        later: u64,
    },
    /// So many lines to a file that lost the name some time ago.
    Late {
        file: usize,
        lines: u64,
    },
    /// Removed and made anew within the grace, with lines that nobody may have read.
    Recreate {
        unread: u64,
    },
    /// Emptied by its writer, or copied and emptied as `copytruncate` does it.
    Truncate {
        copy: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..150_u64, 1..3000_usize).prop_map(|(lines, cut)| Step::Append { lines, cut }),
        1 => (1..6_usize).prop_map(|bytes| Step::Begin { bytes }),
        2 => (0..30_usize, 1..60_u64).prop_map(|(file, lines)| Step::Late { file, lines }),
        3 => Just(Step::Connect),
        2 => (0..40_u64).prop_map(|millis| Step::Wait { millis }),
        2 => (0..30_u64, 0..30_u64).prop_map(|(late, later)| Step::Rotate { late, later }),
        1 => (0..30_u64).prop_map(|unread| Step::Recreate { unread }),
        1 => any::<bool>().prop_map(|copy| Step::Truncate { copy }),
    ];
    proptest::collection::vec(step, 1..25)
}

/// The file and what was written to it.
struct Model {
    log: Log,
    written: u64,
    /// Lines before the first one that the current file holds.
    before: u64,
    /// The rest of a line that was begun.
    begun: Option<String>,
    /// Whether anyone has connected, so that what happens is seen.
    followed: bool,
    /// Files that had the name.
    old: Vec<Old>,
}

/// A file that had the name.
struct Old {
    log: Log,
    /// Late lines that were written to it.
    late: u64,
    /// Whether it was followed when it lost the name; otherwise nobody knows of it.
    followed: bool,
}

impl Model {
    fn begin(&mut self, bytes: usize) {
        self.finish();
        let line = format!("{}\n", self.written + 1);
        let (start, rest) = line.split_at(bytes.min(line.len() - 1));
        self.log.write(start);
        self.begun = Some(rest.to_owned());
    }

    fn finish(&mut self) {
        if let Some(rest) = self.begun.take() {
            self.log.write(rest);
            self.written += 1;
        }
    }

    /// Waits until the server has found the file that has the name now: two changes between two looks are not promised.
    async fn is_seen(&self, server: &TestServer) {
        let rotations = self.old.iter().filter(|old| old.followed).count();
        until("the new file is found", async || {
            server
                .metric("tailcast_file_events_total{file=\"a.log\",event=\"rotated\"}")
                .await
                >= rotations as f64
        })
        .await;
    }

    /// Another file has taken the name.
    fn replace(&mut self, new: Log) {
        self.old.push(Old {
            log: std::mem::replace(&mut self.log, new),
            late: 0,
            followed: self.followed,
        });
        self.before = self.written;
    }

    fn append(&mut self, lines: u64, cut: usize) {
        self.finish();
        let text: String = (self.written + 1..=self.written + lines)
            .map(|n| format!("{n}\n"))
            .collect();
        text.as_bytes().chunks(cut).for_each(|part| self.log.write(part));
        self.written += lines;
    }
}

/// A viewer, and the first line that it must get of each file.
struct Joined {
    viewer: Viewer,
    first: u64,
    /// How many late lines each of the old files had before; of those that are none yet it gets all.
    late: Vec<u64>,
}

async fn pause(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

async fn run(steps: &[Step], wakeups: Wakeups) -> Result<(), TestCaseError> {
    let server = TestServer::with_wakeups(wakeups, |config| {
        config.stream.rotate_grace = Span::secs(60);
        config.stream.rotate_wait = Span::secs(60);
        config.stream.partial_line_timeout = Span::secs(60);
    })
    .await;
    let mut model = Model {
        log: server.log("a.log"),
        written: 0,
        before: 0,
        begun: None,
        followed: false,
        old: Vec::new(),
    };
    let mut joined: Vec<Joined> = Vec::new();
    for step in steps {
        match *step {
            Step::Append { lines, cut } => model.append(lines, cut),
            Step::Wait { millis } => pause(millis).await,
            Step::Begin { bytes } => model.begin(bytes),
            Step::Connect => {
                let viewer = Viewer::connect(&server, "a.log").await;
                let first = model.written.saturating_sub(50).max(model.before) + 1;
                let late = model.old.iter().map(|old| old.late).collect();
                model.followed = true;
                joined.push(Joined { viewer, first, late });
            }
            Step::Rotate { late, later } => {
                model.is_seen(&server).await;
                model.log.rename(&format!(".{}", model.old.len()));
                model.append(late, 1000);
                let new = server.log("a.log");
                // Told apart from the new file's lines by coming before them.
                model.append(later, 1000);
                model.replace(new);
            }
            Step::Late { file, lines } => {
                if !model.old.is_empty() {
                    let index = file % model.old.len();
                    let old = &mut model.old[index];
                    let text = (old.late + 1..=old.late + lines).map(|n| format!("{index}:{n}\n"));
                    old.log.write(text.collect::<String>());
                    old.late += lines;
                }
            }
            Step::Recreate { unread } => {
                model.is_seen(&server).await;
                model.append(unread, 1000);
                model.log.remove();
                model.replace(server.log("a.log"));
            }
            Step::Truncate { copy } => {
                model.is_seen(&server).await;
                // Who connects has the file read to its end first: nothing is truncated away that nobody has read.
                drop(Viewer::connect(&server, "a.log").await);
                model.followed = true;
                if copy {
                    fs::copy(model.log.path(), server.path("copy")).unwrap();
                }
                model.log.truncate(0);
                model.begun = None;
                model.before = model.written;
            }
        }
    }
    model.finish();
    // With events only nobody would look for late lines otherwise; with the last line of the current file they do.
    model.log.lines([END]);
    for Joined {
        mut viewer,
        first,
        late: before,
    } in joined
    {
        let lines = viewer.lines_to(END).await;
        check(&lines, first, model.written)?;
        check_late(&lines, &before, &model.old)?;
    }
    server.stop().await;
    Ok(())
}

/// Late lines come once, in order and all of them; before the last line of the file that bears the name, as that was
/// written after them.
fn check_late(lines: &[String], before: &[u64], old: &[Old]) -> Result<(), TestCaseError> {
    for (file, old) in old.iter().enumerate().filter(|(_, old)| old.followed) {
        let prefix = format!("{file}:");
        let got: Vec<u64> = lines
            .iter()
            .filter_map(|line| line.strip_prefix(&prefix)?.parse().ok())
            .collect();
        let first = before.get(file).copied().unwrap_or(0) + 1;
        let expected: Vec<u64> = (first..=old.late).collect();
        prop_assert_eq!(got, expected, "late lines of file {} in {:?}", file, lines);
    }
    Ok(())
}

fn check(lines: &[String], first: u64, written: u64) -> Result<(), TestCaseError> {
    let mut expected = Some(first);
    let mut last = first - 1;
    for line in lines {
        if line == TRUNCATED {
            expected = None;
        } else if line != END && !line.contains(':') {
            let number: u64 = line
                .parse()
                .map_err(|_| TestCaseError::fail(format!("a line {line:?}")))?;
            match expected {
                Some(expected) => prop_assert_eq!(number, expected, "in {:?}", lines),
                None => prop_assert!(number > last, "{} comes again in {:?}", number, lines),
            }
            last = number;
            expected = Some(number + 1);
        }
    }
    if let Some(expected) = expected {
        prop_assert_eq!(expected, written + 1, "the end is missing in {:?}", lines);
    }
    Ok(())
}

/// Runs random steps, and on a failure says with which seed (to be set as `TAILCAST_TEST_SEED`) and, shrunk, with which
/// steps.
fn random_steps(wakeups: Wakeups, cases: u32) {
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
    let bytes = [seed.to_le_bytes(), seed.to_le_bytes()].concat();
    let config = Config {
        cases,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    if let Err(error) = runner.run(&steps(), |steps| runtime.block_on(run(&steps, wakeups))) {
        panic!("TAILCAST_TEST_SEED={seed} {wakeups:?}: {error}");
    }
}

#[test]
fn t35_history_and_live_are_a_run_of_what_was_written_with_events_and_polling() {
    random_steps(Wakeups::EventsAndPolling, 40);
}

#[test]
fn t35_history_and_live_are_a_run_of_what_was_written_with_events_only() {
    random_steps(Wakeups::EventsOnly, 30);
}

#[test]
fn t35_history_and_live_are_a_run_of_what_was_written_with_every_event_lost() {
    random_steps(Wakeups::LossesOnly, 15);
}

#[test]
fn t35_history_and_live_are_a_run_of_what_was_written_with_polling_only() {
    random_steps(Wakeups::PollingOnly, 20);
}
