//! The loads by name. Each is there for one question; the numbers are chosen so that a good server on one core of a
//! small machine has an answer.

use clap::ValueEnum;

use crate::server::Subject;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// 200 viewers, 200 lines/s: an ordinary day
    Small,
    /// 500 viewers, 1,000 lines/s: what a delivered line costs
    Fanout,
    /// 500 viewers, 4,000 lines/s: a log that runs wild
    Heavy,
    /// 5,000 viewers, 100 lines/s: many viewers of a busy log
    Wide,
    /// 10,000 viewers, 20 lines/s: the cost of a wake-up
    Many,
    /// 100 files, 20 viewers of each, 20 lines/s in each: many small logs
    Files,
    /// 100 viewers, 100,000 lines in one write: whether a burst is lost on anybody
    Burst,
    /// 5,000 viewers that connect at once to a file of 1 GiB: how long until all have its last lines
    Storm,
    /// 10,000 viewers, nothing written: the memory of a viewer that just watches
    Idle,
    /// 500 viewers, 1,000 lines/s of 1 KiB, of whom none, 1 % and 10 % never read: whether the others notice
    Stalled,
    /// 1,000 viewers, nothing written for a minute: the processor time of watching
    Quiet,
    /// 5,000 viewers, 100 lines/s, the server on two cores with one worker and with two: what a second one brings
    Workers,
}

/// What is done while the viewers watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Lines are written at a fixed rate.
    Paced,
    /// All lines are written by one call.
    Burst,
    /// Nothing is written.
    Nothing,
    /// Nothing is written; that the viewers connect, all at once, is the work.
    Storm,
}

#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called in tables: the name of its scenario, or of its part of one.
    pub label: &'static str,
    pub work: Work,
    pub viewers: usize,
    /// Viewers are spread over them evenly.
    pub files: usize,
    /// Lines a second, in each file.
    pub rate: u64,
    pub seconds: u64,
    /// Lines of a burst.
    pub burst: u64,
    /// With the line end.
    pub line_bytes: usize,
    /// The size of the file before anybody connects, where it is not that of the history alone.
    pub file_bytes: u64,
    /// Every so many viewers one never reads.
    pub stalled_every: Option<usize>,
    /// Whether one round is enough, and several would take too long.
    pub once: bool,
    /// The servers that run when none are named.
    pub subjects: &'static [Subject],
}

const ALL: &[Subject] = &[
    Subject::Tailcast,
    Subject::Rawlimit,
    Subject::Naive,
    Subject::Websocketd,
];
/// Without the program that starts a process for each viewer, where that is no match.
const THREE: &[Subject] = &[Subject::Tailcast, Subject::Rawlimit, Subject::Naive];
const OURS: &[Subject] = &[Subject::Tailcast];

const COMMON: Scenario = Scenario {
    label: "fanout",
    work: Work::Paced,
    viewers: 500,
    files: 1,
    rate: 1_000,
    seconds: 5,
    burst: 0,
    line_bytes: 120,
    file_bytes: 0,
    stalled_every: None,
    once: false,
    subjects: ALL,
};

/// Long enough for the sockets of those who don't read to fill, at 1 MiB/s in 3 s or so, and for a server to lose its
/// patience with them.
const STALLED: Scenario = Scenario {
    label: "stalled-none",
    seconds: 15,
    line_bytes: 1_024,
    subjects: OURS,
    ..COMMON
};

const WIDE: Scenario = Scenario {
    label: "wide",
    viewers: 5_000,
    rate: 100,
    subjects: THREE,
    ..COMMON
};

/// What runs when no scenario is named, in the order of running.
pub const USUAL: [Name; 11] = [
    Name::Small,
    Name::Fanout,
    Name::Heavy,
    Name::Wide,
    Name::Many,
    Name::Files,
    Name::Burst,
    Name::Storm,
    Name::Idle,
    Name::Stalled,
    Name::Quiet,
];

impl Name {
    /// The loads that belong to it; they run in turns within a round.
    pub fn scenarios(self) -> &'static [Scenario] {
        match self {
            Self::Small => &[Scenario {
                label: "small",
                viewers: 200,
                rate: 200,
                ..COMMON
            }],
            Self::Fanout => &[COMMON],
            Self::Heavy => &[Scenario {
                label: "heavy",
                rate: 4_000,
                subjects: THREE,
                ..COMMON
            }],
            Self::Wide => &[WIDE],
            Self::Many => &[Scenario {
                label: "many",
                viewers: 10_000,
                rate: 20,
                ..WIDE
            }],
            Self::Files => &[Scenario {
                label: "files",
                viewers: 2_000,
                files: 100,
                rate: 20,
                subjects: THREE,
                ..COMMON
            }],
            Self::Burst => &[Scenario {
                label: "burst",
                work: Work::Burst,
                viewers: 100,
                rate: 0,
                burst: 100_000,
                subjects: THREE,
                ..COMMON
            }],
            Self::Storm => &[Scenario {
                label: "storm",
                work: Work::Storm,
                viewers: 5_000,
                rate: 0,
                seconds: 0,
                file_bytes: 1 << 30,
                subjects: THREE,
                ..COMMON
            }],
            Self::Idle => &[Scenario {
                label: "idle",
                work: Work::Nothing,
                viewers: 10_000,
                rate: 0,
                subjects: THREE,
                ..COMMON
            }],
            Self::Stalled => &[
                STALLED,
                Scenario {
                    label: "stalled-1%",
                    stalled_every: Some(100),
                    ..STALLED
                },
                Scenario {
                    label: "stalled-10%",
                    stalled_every: Some(10),
                    ..STALLED
                },
            ],
            Self::Quiet => &[Scenario {
                label: "quiet",
                work: Work::Nothing,
                viewers: 1_000,
                rate: 0,
                seconds: 60,
                once: true,
                subjects: OURS,
                ..COMMON
            }],
            Self::Workers => &[Scenario {
                label: "workers",
                subjects: &[Subject::OneWorker, Subject::TwoWorkers],
                ..WIDE
            }],
        }
    }
}

impl Scenario {
    /// Lines written into each file while the viewers watch.
    pub fn lines(&self) -> u64 {
        match self.work {
            Work::Paced => self.rate * self.seconds,
            Work::Burst => self.burst,
            Work::Nothing | Work::Storm => 0,
        }
    }

    /// What viewers have at their beginning: as many lines as a server sends of a file by default.
    pub fn history(&self) -> u64 {
        50
    }

    /// Lines of each file before anybody connects.
    pub fn lines_before(&self) -> u64 {
        (self.file_bytes / self.line_bytes as u64).max(self.history())
    }
}
