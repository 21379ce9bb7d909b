//! What is told of the runs: the figures, each defined once for table and JSON alike, the medians of several rounds,
//! the comparison with the yardstick, and the doubts about a figure that whoever reads it should have.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::viewers::StalledOutcome;

/// More than this of a core used by others, and the machine was too noisy to tell.
const NOISE_CORES: f64 = 0.15;
/// From here on the viewers may have been what was slow.
const BENCH_BUSY_CORES: f64 = 0.9;
/// From here on a server of one core had no time left, and delays are those of a queue.
const SERVER_BUSY_CORES: f64 = 0.97;
const WRITER_LATE_MS: f64 = 50.0;

/// What one run measured; units are those of `COLUMNS`.
#[derive(Debug, Clone)]
pub struct Figures {
    pub viewers: f64,
    pub rate: f64,
    pub line_bytes: f64,
    pub delivered: f64,
    pub delivered_per_s: Option<f64>,
    pub server_cpu_us_per_line: Option<f64>,
    pub server_cpu_s: f64,
    pub server_cores: f64,
    pub bench_cores: f64,
    pub other_cores: f64,
    pub steal_cores: f64,
    pub delay: Option<Delay>,
    pub writer_late_ms: Option<f64>,
    pub server_kib: f64,
    pub resident_connected: f64,
    pub resident_loaded: f64,
    pub anonymous_connected: Option<f64>,
    pub anonymous_loaded: Option<f64>,
    pub dropped: f64,
    pub notices: f64,
    pub violations: f64,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

/// A run with all there is to say about it.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub scenario: String,
    pub subject: &'static str,
    pub figures: Figures,
    pub notices: BTreeMap<String, u64>,
    pub told: Vec<String>,
    pub stalled: Option<StalledOutcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Work,
    Circumstances,
    /// In the JSON only.
    None,
}

struct Column {
    key: &'static str,
    head: &'static str,
    table: Table,
    decimals: usize,
    get: fn(&Figures) -> Option<f64>,
}

const fn column(
    key: &'static str,
    head: &'static str,
    table: Table,
    decimals: usize,
    get: fn(&Figures) -> Option<f64>,
) -> Column {
    Column {
        key,
        head,
        table,
        decimals,
        get,
    }
}

const CPU_PER_LINE: &str = "server_cpu_us_per_line";

const COLUMNS: [Column; 25] = [
    column("viewers", "viewers", Table::Work, 0, |f| Some(f.viewers)),
    column("lines_written_per_s", "lines/s", Table::Work, 0, |f| Some(f.rate)),
    column("line_bytes", "bytes", Table::Work, 0, |f| Some(f.line_bytes)),
    column("lines_delivered", "", Table::None, 0, |f| Some(f.delivered)),
    column("lines_delivered_per_s", "delivered/s", Table::Work, 0, |f| {
        f.delivered_per_s
    }),
    column(CPU_PER_LINE, "cpu µs/line", Table::Work, 3, |f| {
        f.server_cpu_us_per_line
    }),
    column("delay_ms_p50", "p50 ms", Table::Work, 2, |f| Some(f.delay?.p50)),
    column("delay_ms_p90", "p90", Table::Work, 2, |f| Some(f.delay?.p90)),
    column("delay_ms_p99", "p99", Table::Work, 2, |f| Some(f.delay?.p99)),
    column("delay_ms_p999", "p99.9", Table::Work, 2, |f| Some(f.delay?.p999)),
    column("delay_ms_max", "max", Table::Work, 2, |f| Some(f.delay?.max)),
    column("dropped", "dropped", Table::Work, 0, |f| Some(f.dropped)),
    column("notices", "notices", Table::Work, 0, |f| Some(f.notices)),
    column("violations", "violations", Table::Work, 0, |f| Some(f.violations)),
    column("server_cpu_s", "cpu s", Table::Circumstances, 2, |f| {
        Some(f.server_cpu_s)
    }),
    column("server_cores", "server cores", Table::Circumstances, 3, |f| {
        Some(f.server_cores)
    }),
    column("bench_cores", "bench cores", Table::Circumstances, 2, |f| {
        Some(f.bench_cores)
    }),
    column("other_cores", "other cores", Table::Circumstances, 2, |f| {
        Some(f.other_cores)
    }),
    column("steal_cores", "", Table::None, 2, |f| Some(f.steal_cores)),
    column("writer_late_ms_max", "writer late ms", Table::Circumstances, 1, |f| {
        f.writer_late_ms
    }),
    column("server_rss_kib_before", "server KiB", Table::Circumstances, 0, |f| {
        Some(f.server_kib)
    }),
    column(
        "rss_kib_per_viewer_connected",
        "KiB/viewer",
        Table::Circumstances,
        2,
        |f| Some(f.resident_connected),
    ),
    column(
        "rss_kib_per_viewer_loaded",
        "after load",
        Table::Circumstances,
        2,
        |f| Some(f.resident_loaded),
    ),
    column(
        "anon_kib_per_viewer_connected",
        "anon/viewer",
        Table::Circumstances,
        2,
        |f| f.anonymous_connected,
    ),
    column(
        "anon_kib_per_viewer_loaded",
        "after load",
        Table::Circumstances,
        2,
        |f| f.anonymous_loaded,
    ),
];

/// A line of the tables: a run, or the medians of several.
pub struct Row {
    scenario: String,
    subject: &'static str,
    values: Vec<Option<f64>>,
}

impl Row {
    /// The medians of the runs of one scenario and one server, figure by figure.
    fn median_of(runs: &[&Outcome]) -> Option<Self> {
        let first = runs.first()?;
        let values = COLUMNS
            .iter()
            .map(|column| median(runs.iter().filter_map(|run| (column.get)(&run.figures)).collect()))
            .collect();
        Some(Self {
            scenario: first.scenario.clone(),
            subject: first.subject,
            values,
        })
    }
}

/// How much more processor time than the yardstick the server took a line, round by round.
pub struct Ratio {
    scenario: String,
    median: f64,
    lowest: f64,
    highest: f64,
}

#[derive(Default)]
pub struct Report {
    pub machine: String,
    pub pinned: bool,
    pub runs: Vec<Outcome>,
}

impl Report {
    pub fn failed(&self) -> bool {
        self.runs.iter().any(|run| run.figures.violations > 0.0)
    }

    /// Scenarios and servers in the order they were first run, each with its runs.
    fn groups(&self) -> Vec<Vec<&Outcome>> {
        let mut groups: Vec<Vec<&Outcome>> = Vec::new();
        for run in &self.runs {
            let same = |group: &&mut Vec<&Outcome>| {
                group
                    .first()
                    .is_some_and(|first| first.scenario == run.scenario && first.subject == run.subject)
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        groups
    }

    fn rows(&self) -> Vec<Row> {
        self.groups().iter().filter_map(|group| Row::median_of(group)).collect()
    }

    fn ratios(&self) -> Vec<Ratio> {
        let groups = self.groups();
        let find = |scenario: &str, subject: &str| {
            groups
                .iter()
                .find(|group| group[0].scenario == scenario && group[0].subject == subject)
        };
        let mut ratios = Vec::new();
        for group in groups.iter().filter(|group| group[0].subject == "tailcast") {
            let scenario = &group[0].scenario;
            let Some(yardstick) = find(scenario, "rawlimit") else {
                continue;
            };
            let mut rounds: Vec<f64> = group
                .iter()
                .zip(yardstick)
                .filter_map(|(server, yardstick)| {
                    Some(server.figures.server_cpu_us_per_line? / yardstick.figures.server_cpu_us_per_line?)
                })
                .collect();
            rounds.sort_by(f64::total_cmp);
            if let (Some(lowest), Some(highest)) = (rounds.first().copied(), rounds.last().copied()) {
                let median = median(rounds).unwrap_or_default();
                ratios.push(Ratio {
                    scenario: scenario.clone(),
                    median,
                    lowest,
                    highest,
                });
            }
        }
        ratios
    }

    /// Everything for the eye.
    pub fn text(&self) -> String {
        let rows = self.rows();
        let mut text = format!("\n{}\n", table(&rows, Table::Work));
        let _ = writeln!(text, "{}", table(&rows, Table::Circumstances));
        for ratio in self.ratios() {
            let Ratio {
                scenario,
                median,
                lowest,
                highest,
            } = ratio;
            let _ = writeln!(
                text,
                "{scenario}: tailcast takes {median:.2} times the processor time of rawlimit a line \
                 (rounds from {lowest:.2} to {highest:.2})"
            );
        }
        for run in &self.runs {
            let _ = write!(text, "{}", remarks(run));
        }
        text
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
                "scenario": run.scenario,
                "server": run.subject,
                "figures": named(COLUMNS.iter().map(|column| (column.get)(&run.figures)).collect()),
                "notices": run.notices,
                "violations_told": run.told,
                "stalled": run.stalled.map(|stalled| json!({
                    "noticed": stalled.noticed,
                    "complete": stalled.complete,
                    "ended_without_notice": stalled.ended,
                    "open": stalled.open,
                })),
                "doubts": doubts(&run.figures),
            })
        });
        let medians = self
            .rows()
            .into_iter()
            .map(|row| json!({ "scenario": row.scenario, "server": row.subject, "figures": named(row.values) }));
        let ratios = self.ratios().into_iter().map(|ratio| {
            json!({
                "scenario": ratio.scenario,
                "figure": CPU_PER_LINE,
                "median": ratio.median,
                "lowest": ratio.lowest,
                "highest": ratio.highest,
            })
        });
        json!({
            "machine": self.machine,
            "pinned": self.pinned,
            "runs": runs.collect::<Vec<_>>(),
            "medians": medians.collect::<Vec<_>>(),
            "tailcast_to_rawlimit": ratios.collect::<Vec<_>>(),
        })
    }
}

/// What is to be said of a run beside its figures.
pub fn remarks(run: &Outcome) -> String {
    let name = format!("{} {}", run.scenario, run.subject);
    let mut text = String::new();
    for doubt in doubts(&run.figures) {
        let _ = writeln!(text, "warning: {name}: {doubt}");
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

fn doubts(figures: &Figures) -> Vec<String> {
    let mut doubts = Vec::new();
    if figures.other_cores > NOISE_CORES {
        doubts.push(format!(
            "others used {:.2} of a core (stolen {:.2}): too noisy to tell",
            figures.other_cores, figures.steal_cores
        ));
    }
    if figures.bench_cores > BENCH_BUSY_CORES {
        doubts.push(format!(
            "the viewers used {:.2} of a core: part of the delay is theirs",
            figures.bench_cores
        ));
    }
    if figures.server_cores > SERVER_BUSY_CORES {
        doubts.push(format!(
            "the server used {:.2} of a core: it may have had no time left",
            figures.server_cores
        ));
    }
    if let Some(late) = figures.writer_late_ms.filter(|late| *late > WRITER_LATE_MS) {
        doubts.push(format!(
            "the writer was up to {late:.0} ms late: bursts, not an even rate"
        ));
    }
    doubts
}

/// The mean of the middle two where they are two.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(values[middle - 1], upper)
    })
}

/// The columns of one table, aligned to the right but for the names.
fn table(rows: &[Row], wanted: Table) -> String {
    let columns: Vec<usize> = COLUMNS
        .iter()
        .enumerate()
        .filter(|(_, column)| column.table == wanted)
        .map(|(index, _)| index)
        .collect();
    let mut lines = vec![vec!["scenario".to_owned(), "server".to_owned()]];
    lines[0].extend(columns.iter().map(|index| COLUMNS[*index].head.to_owned()));
    for row in rows {
        let mut line = vec![row.scenario.clone(), row.subject.to_owned()];
        line.extend(columns.iter().map(|index| match row.values[*index] {
            Some(value) => format!("{value:.*}", COLUMNS[*index].decimals),
            None => "-".to_owned(),
        }));
        lines.push(line);
    }
    let widths: Vec<usize> = (0..lines[0].len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let _ = if column < 2 {
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
