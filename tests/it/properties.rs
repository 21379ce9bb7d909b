//! What must hold whatever the order of things: snapshot ++ live is a run of what was written up to its end.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{TestServer, Viewer};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// Lines, cut into writes of so many bytes.
    Write {
        lines: u64,
        cut: usize,
    },
    Connect,
    /// Milliseconds.
    Wait(u64),
    Rotate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..200_u64, 1..5000_usize).prop_map(|(lines, cut)| Step::Write { lines, cut }),
        2 => Just(Step::Connect),
        2 => (0..15_u64).prop_map(Step::Wait),
        1 => Just(Step::Rotate),
    ];
    proptest::collection::vec(step, 1..30)
}

#[test]
fn snapshot_and_live_are_a_run_of_what_was_written_whoever_connects_when() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 40,
        max_shrink_iters: 60,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&steps(), |steps| {
            runtime.block_on(async {
                let server = TestServer::start().await;
                let mut log = server.log("a.log");
                // All lines written, and how many of them before the current file.
                let (mut written, mut before) = (0_u64, 0_u64);
                let mut rotations = 0;
                let mut viewers = Vec::new();
                for step in &steps {
                    match *step {
                        Step::Write { lines, cut } => {
                            let text: String = (written + 1..=written + lines).map(|n| format!("{n}\n")).collect();
                            text.as_bytes().chunks(cut).for_each(|part| log.write(part));
                            written += lines;
                        }
                        Step::Connect => {
                            let viewer = Viewer::connect(&server, "a.log").await;
                            viewers.push((viewer, before, written));
                        }
                        Step::Wait(millis) => tokio::time::sleep(std::time::Duration::from_millis(millis)).await,
                        Step::Rotate => {
                            rotations += 1;
                            log.rename(&format!(".{rotations}"));
                            log = server.log("a.log");
                            before = written;
                        }
                    }
                    if matches!(step, Step::Rotate) {
                        // Two rotations between two looks are another promise.
                        tokio::time::sleep(std::time::Duration::from_millis(320)).await;
                    }
                }
                log.lines(["end"]);
                for (mut viewer, before, at_connect) in viewers {
                    let mut lines = viewer.lines_to("end").await;
                    lines.pop();
                    let first = at_connect.saturating_sub(50).max(before) + 1;
                    let expected: Vec<String> = (first..=written).map(|n| n.to_string()).collect();
                    prop_assert_eq!(lines, expected);
                }
                server.stop().await;
                Ok(())
            })
        })
        .unwrap();
}
