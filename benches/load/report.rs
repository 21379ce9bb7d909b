//! What is told of the runs: a table for each load with the medians of its rounds, what the server is to reach beside
//! what it did, and the same as JSON.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::figures::{COLUMNS, Outcome, Table, median};
use crate::scenarios::{Scenario, Work};
use crate::server::Subject;
use crate::targets::{self, Comparison};
use crate::viewers::StalledOutcome;

/// A line of the tables: the medians of the runs of one server under one load, figure by figure.
struct Row {
    scenario: Scenario,
    subject: Subject,
    values: Vec<Option<f64>>,
}

pub struct Report {
    machine: String,
    pub pinned: bool,
    pub runs: Vec<Outcome>,
    /// Runs that came to no figures: what, and why.
    pub failures: Vec<(String, String)>,
    /// Loads that are told already.
    told: Vec<&'static str>,
}

impl Report {
    pub fn new(machine: String) -> Self {
        Self {
            machine,
            pinned: false,
            runs: Vec::new(),
            failures: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Whether a server failed that must not.
    pub fn failed(&self) -> bool {
        self.runs
            .iter()
            .any(|run| run.subject.is_lossless() && run.figures.violations > 0.0)
    }

    /// The medians of one load, server by server in the order of running; of all where none is named.
    fn rows(&self, label: Option<&str>) -> Vec<Row> {
        let mut groups: Vec<Vec<&Outcome>> = Vec::new();
        let runs = self.runs.iter();
        for run in runs.filter(|run| label.is_none_or(|label| run.scenario.label == label)) {
            let same = |group: &&mut Vec<&Outcome>| {
                group[0].scenario.label == run.scenario.label && group[0].subject == run.subject
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        let row = |group: &Vec<&Outcome>| {
            let values = COLUMNS
                .iter()
                .map(|column| median(group.iter().filter_map(|run| (column.get)(&run.figures)).collect()));
            Row {
                scenario: group[0].scenario,
                subject: group[0].subject,
                values: values.collect(),
            }
        };
        groups.iter().map(row).collect()
    }

    fn labels(&self) -> Vec<&'static str> {
        let mut labels = Vec::new();
        for run in &self.runs {
            if !labels.contains(&run.scenario.label) {
                labels.push(run.scenario.label);
            }
        }
        labels
    }

    /// What hasn't been told yet, for the eye.
    pub fn news(&mut self) -> String {
        let mut text = String::new();
        for label in self.labels() {
            if !self.told.contains(&label) {
                self.told.push(label);
                self.describe(label, &mut text);
            }
        }
        text
    }

    fn describe(&self, label: &'static str, text: &mut String) {
        let rows = self.rows(Some(label));
        let rounds = self.runs.iter().filter(|run| run.scenario.label == label);
        let rounds = rounds.map(|run| run.round).max().unwrap_or_default();
        let _ = writeln!(text, "\n{label}: {}, {rounds} rounds", load(&rows[0].scenario));
        let _ = writeln!(text, "{}", figures(&rows, Table::Work));
        let _ = writeln!(text, "{}", figures(&rows, Table::Circumstances));
        let comparisons = targets::comparisons(&self.runs, label);
        let lines: Vec<Vec<String>> = comparisons.iter().map(|line| line.cells().to_vec()).collect();
        let _ = write!(text, "{}", aligned(&lines, 5));
        for run in self.runs.iter().filter(|run| run.scenario.label == label) {
            let _ = write!(text, "{}", remarks(run));
        }
    }

    /// The end of the whole.
    pub fn summary(&self) -> String {
        let comparisons = self.comparisons();
        let mut text = String::new();
        for (what, why) in &self.failures {
            let _ = writeln!(text, "{what}: {why}");
        }
        let judged: Vec<&Comparison> = comparisons.iter().filter(|line| line.held().is_some()).collect();
        if judged.is_empty() {
            return text;
        }
        let lines: Vec<Vec<String>> = judged
            .iter()
            .map(|line| {
                let mut cells = vec![line.scenario.to_owned()];
                cells.extend(line.cells());
                cells
            })
            .collect();
        let held = judged.iter().filter(|line| line.held() == Some(true)).count();
        let noisy = judged.iter().filter(|line| line.noisy).count();
        let _ = write!(text, "\ntargets\n{}", aligned(&lines, 6));
        let _ = writeln!(
            text,
            "{held} of {} targets held, {noisy} on a machine too noisy to tell",
            judged.len()
        );
        text
    }

    fn comparisons(&self) -> Vec<Comparison> {
        let labels = self.labels().into_iter();
        labels
            .flat_map(|label| targets::comparisons(&self.runs, label))
            .collect()
    }

    pub fn json(&self) -> Value {
        let named = |values: Vec<Option<f64>>| {
            let figures = COLUMNS.iter().zip(values);
            Value::Object(
                figures
                    .map(|(column, value)| (column.key.to_owned(), json!(value)))
                    .collect::<Map<_, _>>(),
            )
        };
        let runs = self.runs.iter().map(|run| {
            json!({
                "scenario": run.scenario.label,
                "server": run.subject.name(),
                "round": run.round,
                "figures": named(COLUMNS.iter().map(|column| (column.get)(&run.figures)).collect()),
                "viewers_waiting_at_the_end": run.waiting,
                "notices": run.notices,
                "violations_told": run.told,
                "stalled": run.stalled.map(|stalled| json!({
                    "noticed": stalled.noticed,
                    "complete": stalled.complete,
                    "ended_without_notice": stalled.ended,
                    "open": stalled.open,
                })),
                "doubts": run.doubts(),
            })
        });
        let medians = self.rows(None).into_iter().map(|row| {
            json!({
                "scenario": row.scenario.label,
                "server": row.subject.name(),
                "load": {
                    "viewers": row.scenario.viewers,
                    "files": row.scenario.files,
                    "lines_written_per_s_and_file": row.scenario.rate,
                    "lines_in_one_write": row.scenario.burst,
                    "line_bytes": row.scenario.line_bytes,
                    "seconds": row.scenario.seconds,
                },
                "figures": named(row.values),
            })
        });
        let failures = self
            .failures
            .iter()
            .map(|(what, why)| json!({ "run": what, "why": why }));
        json!({
            "machine": self.machine,
            "pinned": self.pinned,
            "runs": runs.collect::<Vec<_>>(),
            "medians": medians.collect::<Vec<_>>(),
            "comparisons": self.comparisons().iter().map(Comparison::json).collect::<Vec<_>>(),
            "failures": failures.collect::<Vec<_>>(),
        })
    }
}

/// A load in words.
pub fn load(scenario: &Scenario) -> String {
    let Scenario {
        viewers,
        files,
        rate,
        seconds,
        burst,
        line_bytes,
        ..
    } = *scenario;
    let mut text = format!("{viewers} viewers");
    if files > 1 {
        let _ = write!(text, " of {files} files");
    }
    let _ = match scenario.work {
        Work::Paced if files > 1 => {
            write!(text, ", {rate} lines/s of {line_bytes} bytes in each, {seconds} s")
        }
        Work::Paced => write!(text, ", {rate} lines/s of {line_bytes} bytes, {seconds} s"),
        Work::Burst => write!(text, ", {burst} lines of {line_bytes} bytes in one write"),
        Work::Nothing => write!(text, ", nothing written for {seconds} s"),
        Work::Storm => write!(text, " at once, a file of {} MiB", scenario.file_bytes >> 20),
    };
    if let Some(every) = scenario.stalled_every {
        let _ = write!(text, ", one of {every} viewers never reads");
    }
    text
}

/// What is to be said of a run beside its figures.
fn remarks(run: &Outcome) -> String {
    let name = format!("{} {} {}", run.scenario.label, run.subject.name(), run.round);
    let mut text = String::new();
    for doubt in run.doubts() {
        let _ = writeln!(text, "warning: {name}: {doubt}");
    }
    if run.waiting > 0 {
        let _ = writeln!(
            text,
            "{name}: {} viewers still waited for lines at the end",
            run.waiting
        );
    }
    if let Some(StalledOutcome {
        noticed,
        complete,
        ended,
        open,
    }) = run.stalled
    {
        let _ = writeln!(
            text,
            "{name}: of the viewers that did not read, {noticed} then got a notice, {complete} got every line, {ended} \
             found the connection ended without a word, {open} were still getting lines",
        );
    }
    for (notice, count) in &run.notices {
        let _ = writeln!(text, "{name}: {count} times the notice {notice:?}");
    }
    if run.figures.violations > 0.0 {
        for violation in &run.told {
            let _ = writeln!(text, "VIOLATION: {name}: {violation}");
        }
        let _ = writeln!(
            text,
            "{name}: {} violations in all, {} of them told",
            run.figures.violations,
            run.told.len()
        );
    }
    text
}

/// The columns of one table that have a value.
fn figures(rows: &[Row], wanted: Table) -> String {
    let columns: Vec<usize> = (0..COLUMNS.len())
        .filter(|index| COLUMNS[*index].table == wanted && rows.iter().any(|row| row.values[*index].is_some()))
        .collect();
    let mut lines = vec![vec!["server".to_owned()]];
    lines[0].extend(columns.iter().map(|index| COLUMNS[*index].head.to_owned()));
    for row in rows {
        let mut line = vec![row.subject.name().to_owned()];
        line.extend(columns.iter().map(|index| match row.values[*index] {
            Some(value) => format!("{value:.*}", COLUMNS[*index].decimals),
            None => "-".to_owned(),
        }));
        lines.push(line);
    }
    aligned(&lines, 1)
}

/// Lines of cells, the first `left` of them aligned to the left, the others to the right.
fn aligned(lines: &[Vec<String>], left: usize) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column < left {
                write!(text, "{cell:<width$}  ")
            } else {
                write!(text, "{cell:>width$}  ")
            };
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}
