//! What the server is to reach, and whether it did: figures by themselves, or as ratios to another server or another
//! load of the same round.

use serde_json::{Value, json};

use crate::figures::{
    ALL_HAVE, COLUMNS, CPU_PER_LINE, CPU_PER_VIEWER, Outcome, P50, P99, RESIDENT, SERVER_CORES, median,
};
use crate::scenarios::Work;
use crate::server::Subject;

/// With the highest of the rounds so many times the lowest, the median is little more than a guess.
const SPREAD_MAX: f64 = 1.3;

/// What a figure is divided by, in the same round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Against {
    /// The same figure of another server.
    Server(Subject),
    /// The same figure of the same server under another load.
    Load(&'static str),
    /// Nothing: the figure itself is meant.
    Nothing,
}

use Against::{Load, Nothing, Server};

struct Target {
    scenario: &'static str,
    figure: &'static str,
    against: Against,
    most: f64,
}

const fn target(scenario: &'static str, figure: &'static str, against: Against, most: f64) -> Target {
    Target {
        scenario,
        figure,
        against,
        most,
    }
}

const RAWLIMIT: Against = Server(Subject::Rawlimit);
const NAIVE: Against = Server(Subject::Naive);

/// Each says how much it may be at most. Ratios to the yardstick below 1 are there because gathering lines for longer
/// saves writes; how long is bounded by the delays.
const TARGETS: [Target; 20] = [
    target("small", CPU_PER_LINE, RAWLIMIT, 1.1),
    target("fanout", CPU_PER_LINE, RAWLIMIT, 0.7),
    target("fanout", CPU_PER_LINE, NAIVE, 1.0 / 5.0),
    target("fanout", P99, Nothing, 30.0),
    target("heavy", CPU_PER_LINE, RAWLIMIT, 0.9),
    target("heavy", CPU_PER_LINE, NAIVE, 1.0 / 20.0),
    target("wide", P50, RAWLIMIT, 1.1),
    target("wide", P99, RAWLIMIT, 1.1),
    target("many", P50, RAWLIMIT, 1.1),
    target("many", P99, RAWLIMIT, 1.1),
    target("files", CPU_PER_LINE, RAWLIMIT, 1.2),
    target("burst", ALL_HAVE, RAWLIMIT, 1.0),
    target("storm", ALL_HAVE, RAWLIMIT, 1.5),
    target("storm", CPU_PER_VIEWER, RAWLIMIT, 2.5),
    target("idle", RESIDENT, Nothing, 2.0),
    target("stalled-1%", P99, Load("stalled-none"), 1.1),
    target("stalled-10%", P99, Load("stalled-none"), 1.3),
    // 0.2 % of a core.
    target("quiet", SERVER_CORES, Nothing, 0.002),
    target("workers", CPU_PER_LINE, Server(Subject::OneWorker), 1.1),
    target("workers", P50, Server(Subject::OneWorker), 1.0),
];

/// A figure of the server beside what it is compared with.
pub struct Comparison {
    pub scenario: &'static str,
    subject: Subject,
    figure: &'static str,
    against: Against,
    /// Over the rounds, as are the next two.
    median: f64,
    lowest: f64,
    highest: f64,
    most: Option<f64>,
    /// Whether others took so much of the machine in one of the runs that it tells nothing.
    pub noisy: bool,
}

/// The comparisons of all runs of one load.
pub fn comparisons(all: &[Outcome], scenario: &'static str) -> Vec<Comparison> {
    let runs: Vec<&Outcome> = all.iter().filter(|run| run.scenario.label == scenario).collect();
    let Some(subject) = runs.iter().map(|run| run.subject).rfind(|subject| subject.is_ours()) else {
        return Vec::new();
    };
    let work = runs[0].scenario.work;
    let figures: &[&'static str] = match work {
        Work::Paced => &[CPU_PER_LINE, P50, P99],
        Work::Burst => &[ALL_HAVE, CPU_PER_LINE],
        Work::Storm => &[ALL_HAVE, CPU_PER_VIEWER],
        Work::Nothing => &[RESIDENT, SERVER_CORES],
    };
    let mut wanted: Vec<(&'static str, Against)> = Vec::new();
    for figure in figures {
        let mut add = |against| {
            if !wanted.contains(&(*figure, against)) {
                wanted.push((*figure, against));
            }
        };
        // A ratio of figures next to nothing tells nothing.
        if work != Work::Nothing {
            runs.iter()
                .filter(|run| run.subject != subject)
                .for_each(|run| add(Server(run.subject)));
        }
        TARGETS
            .iter()
            .filter(|target| target.scenario == scenario && target.figure == *figure)
            .for_each(|target| add(target.against));
    }
    wanted
        .into_iter()
        .filter_map(|(figure, against)| compare(all, scenario, subject, figure, against))
        .collect()
}

fn compare(
    all: &[Outcome],
    scenario: &'static str,
    subject: Subject,
    figure: &'static str,
    against: Against,
) -> Option<Comparison> {
    let mut values = Vec::new();
    let mut noisy = false;
    let find = |label: &str, subject: Subject, round: u64| {
        all.iter()
            .find(|run| run.scenario.label == label && run.subject == subject && run.round == round)
    };
    for run in all
        .iter()
        .filter(|run| run.scenario.label == scenario && run.subject == subject)
    {
        let other = match against {
            Server(other) => Some(find(scenario, other, run.round)),
            Load(other) => Some(find(other, subject, run.round)),
            Nothing => None,
        };
        let value = run.figures.get(figure);
        let value = match other {
            None => value,
            Some(other) => {
                noisy |= other.is_some_and(|other| other.figures.is_noisy());
                value
                    .zip(other.and_then(|other| other.figures.get(figure)))
                    .map(|(value, other)| value / other)
            }
        };
        noisy |= run.figures.is_noisy();
        values.extend(value.filter(|value| value.is_finite()));
    }
    values.sort_by(f64::total_cmp);
    let most = TARGETS
        .iter()
        .find(|target| target.scenario == scenario && target.figure == figure && target.against == against)
        .map(|target| target.most);
    Some(Comparison {
        scenario,
        subject,
        figure,
        against,
        lowest: *values.first()?,
        highest: *values.last()?,
        median: median(values)?,
        most,
        noisy,
    })
}

impl Comparison {
    /// Whether the target is held, where there is one.
    pub fn held(&self) -> Option<bool> {
        Some(self.median <= self.most?)
    }

    /// Whether rounds lie on both sides of the target.
    fn is_close(&self) -> bool {
        self.most.is_some_and(|most| self.lowest <= most && most < self.highest)
    }

    fn is_spread(&self) -> bool {
        self.highest > SPREAD_MAX * self.lowest
    }

    fn verdict(&self) -> Option<String> {
        let mut verdict = if self.held()? { "held" } else { "missed" }.to_owned();
        if self.noisy {
            verdict.push_str(", but the machine was too noisy to tell");
        } else if self.is_close() {
            verdict.push_str(", with rounds on both sides");
        } else if self.is_spread() {
            verdict.push_str(", with rounds far apart");
        }
        Some(verdict)
    }

    /// The cells of its line: the figure, its value, the rounds, the target, the verdict.
    pub fn cells(&self) -> [String; 5] {
        let column = COLUMNS.iter().find(|column| column.key == self.figure);
        let head = column.map_or(self.figure, |column| column.head);
        let (unit, decimals) = match self.against {
            Server(other) => (format!(" × {}", other.name()), 2),
            Load(other) => (format!(" × {other}"), 2),
            Nothing => (String::new(), column.map_or(2, |column| column.decimals)),
        };
        let decimals = match self.most {
            Some(most) if most < 0.1 => decimals.max(3),
            _ => decimals,
        };
        let shown = |value: f64| format!("{value:.decimals$}");
        [
            format!("{} {head}", self.subject.name()),
            format!("{}{unit}", shown(self.median)),
            format!("rounds {} to {}", shown(self.lowest), shown(self.highest)),
            self.most
                .map_or_else(String::new, |most| format!("at most {}", shown(most))),
            self.verdict().unwrap_or_default(),
        ]
    }

    pub fn json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "server": self.subject.name(),
            "figure": self.figure,
            "to_server": match self.against { Server(other) => Some(other.name()), _ => None },
            "to_scenario": match self.against { Load(other) => Some(other), _ => None },
            "median": self.median,
            "lowest": self.lowest,
            "highest": self.highest,
            "at_most": self.most,
            "held": self.held(),
            "rounds_on_both_sides": self.is_close(),
            "rounds_far_apart": self.is_spread(),
            "noisy": self.noisy,
        })
    }
}
