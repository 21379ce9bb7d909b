//! The figures of a run, each defined once for tables and JSON alike, and the doubts about a run that whoever reads them
//! should have.

use std::collections::BTreeMap;

use crate::scenarios::Scenario;
use crate::server::Subject;
use crate::viewers::StalledOutcome;

/// More than this of a core used by others, and the machine was too noisy to tell.
const NOISE_CORES: f64 = 0.15;
/// From here on the viewers may have been what was slow.
const BENCH_BUSY_CORES: f64 = 0.9;
/// From this part of its cores on a server had no time left, and delays are those of a queue.
const SERVER_BUSY: f64 = 0.97;
const WRITER_LATE_MS: f64 = 50.0;

/// What one run measured; units are those of `COLUMNS`.
#[derive(Debug, Clone)]
pub struct Figures {
    pub delivered: f64,
    pub delivered_per_s: Option<f64>,
    pub lost_percent: Option<f64>,
    pub all_have_ms: Option<f64>,
    pub server_cpu_us_per_line: Option<f64>,
    pub server_cpu_us_per_viewer: Option<f64>,
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
    pub anonymous_loaded: Option<f64>,
    pub sockets_loaded: f64,
    pub listen_overflows: f64,
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
    pub scenario: Scenario,
    pub subject: Subject,
    pub round: u64,
    /// That the server may use.
    pub cores: usize,
    pub figures: Figures,
    /// Viewers that still waited for lines at the end.
    pub waiting: usize,
    pub notices: BTreeMap<String, u64>,
    pub told: Vec<String>,
    pub stalled: Option<StalledOutcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    Work,
    Circumstances,
    /// In the JSON only.
    None,
}

pub struct Column {
    pub key: &'static str,
    pub head: &'static str,
    pub table: Table,
    pub decimals: usize,
    pub get: fn(&Figures) -> Option<f64>,
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

pub const CPU_PER_LINE: &str = "server_cpu_us_per_line";
pub const CPU_PER_VIEWER: &str = "server_cpu_us_per_viewer";
pub const SERVER_CORES: &str = "server_cores";
pub const P50: &str = "delay_ms_p50";
pub const P99: &str = "delay_ms_p99";
pub const ALL_HAVE: &str = "all_have_ms";
pub const RESIDENT: &str = "rss_kib_per_viewer_loaded";

/// A column without a value in any row of a table is left out of it.
pub const COLUMNS: [Column; 26] = [
    column(CPU_PER_LINE, "cpu µs/line", Table::Work, 3, |f| {
        f.server_cpu_us_per_line
    }),
    column(CPU_PER_VIEWER, "cpu µs/viewer", Table::Work, 1, |f| {
        f.server_cpu_us_per_viewer
    }),
    column(ALL_HAVE, "all have ms", Table::Work, 1, |f| f.all_have_ms),
    column(P50, "p50 ms", Table::Work, 2, |f| Some(f.delay?.p50)),
    column("delay_ms_p90", "p90", Table::Work, 2, |f| Some(f.delay?.p90)),
    column(P99, "p99 ms", Table::Work, 2, |f| Some(f.delay?.p99)),
    column("delay_ms_p999", "p99.9", Table::Work, 2, |f| Some(f.delay?.p999)),
    column("delay_ms_max", "max", Table::Work, 2, |f| Some(f.delay?.max)),
    column("lines_delivered", "", Table::None, 0, |f| Some(f.delivered)),
    column("lines_delivered_per_s", "delivered/s", Table::Work, 0, |f| {
        f.delivered_per_s
    }),
    column("lost_percent", "lost %", Table::Work, 2, |f| f.lost_percent),
    column(RESIDENT, "KiB/viewer", Table::Work, 2, |f| Some(f.resident_loaded)),
    column("violations", "violations", Table::Work, 0, |f| Some(f.violations)),
    column("dropped", "", Table::None, 0, |f| Some(f.dropped)),
    column("notices", "", Table::None, 0, |f| Some(f.notices)),
    column("server_cpu_s", "cpu s", Table::Circumstances, 3, |f| {
        Some(f.server_cpu_s)
    }),
    column(SERVER_CORES, "server cores", Table::Circumstances, 4, |f| {
        Some(f.server_cores)
    }),
    column("bench_cores", "bench cores", Table::Circumstances, 2, |f| {
        Some(f.bench_cores)
    }),
    column("other_cores", "other cores", Table::Circumstances, 2, |f| {
        Some(f.other_cores)
    }),
    column("steal_cores", "stolen", Table::Circumstances, 2, |f| {
        Some(f.steal_cores)
    }),
    column("writer_late_ms_max", "writer late ms", Table::Circumstances, 1, |f| {
        f.writer_late_ms
    }),
    column("server_rss_kib_before", "server KiB", Table::Circumstances, 0, |f| {
        Some(f.server_kib)
    }),
    column(
        "rss_kib_per_viewer_connected",
        "KiB/viewer at first",
        Table::Circumstances,
        2,
        |f| Some(f.resident_connected),
    ),
    column(
        "anon_kib_per_viewer_loaded",
        "anon KiB/viewer",
        Table::Circumstances,
        2,
        |f| f.anonymous_loaded,
    ),
    column(
        "socket_kib_per_viewer_loaded",
        "socket KiB/viewer",
        Table::Circumstances,
        2,
        |f| Some(f.sockets_loaded),
    ),
    column("listen_overflows", "overflows", Table::Circumstances, 0, |f| {
        Some(f.listen_overflows)
    }),
];

impl Figures {
    /// The figure with this key.
    pub fn get(&self, key: &str) -> Option<f64> {
        let column = COLUMNS.iter().find(|column| column.key == key)?;
        (column.get)(self)
    }

    /// Whether others took so much of the machine that the run tells nothing.
    pub fn is_noisy(&self) -> bool {
        self.other_cores > NOISE_CORES
    }
}

impl Outcome {
    /// Why not to believe its figures.
    pub fn doubts(&self) -> Vec<String> {
        let figures = &self.figures;
        let mut doubts = Vec::new();
        if figures.is_noisy() {
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
        if figures.server_cores > SERVER_BUSY * self.cores as f64 {
            doubts.push(format!(
                "the server used {:.2} of {} cores: it may have had no time left",
                figures.server_cores, self.cores
            ));
        }
        if let Some(late) = figures.writer_late_ms.filter(|late| *late > WRITER_LATE_MS) {
            doubts.push(format!(
                "the writer was up to {late:.0} ms late: bursts, not an even rate"
            ));
        }
        doubts
    }
}

/// The mean of the middle two where they are two.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 {
        upper
    } else {
        f64::midpoint(values[middle - 1], upper)
    })
}
