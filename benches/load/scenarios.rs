//! The loads by name. Each is there for one question; the numbers are chosen so that a good server on one core of a
//! small machine has an answer.

use clap::ValueEnum;

/// Every tenth viewer, where some don't read.
const STALLED_EVERY: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// 500 viewers, 1,000 lines/s: what a delivered line costs
    Fanout,
    /// 200 viewers, 200 lines/s: an ordinary day
    Small,
    /// 500 viewers, 4,000 lines/s: a log that runs wild
    Heavy,
    /// 5,000 viewers, 100 lines/s: many viewers of a busy log
    Wide,
    /// 10,000 viewers, 20 lines/s: the cost of a wake-up
    Many,
    /// 5,000 viewers, nothing written: what a viewer costs that just watches
    Idle,
    /// 500 viewers, every tenth of which never reads, 1,000 lines/s of 1 KiB: whether the others notice
    Stalled,
}

#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: Name,
    pub viewers: usize,
    /// Lines a second.
    pub rate: u64,
    pub seconds: u64,
    /// With the line end.
    pub line_bytes: usize,
    pub stalled_every: Option<usize>,
}

impl Name {
    pub fn scenario(self) -> Scenario {
        let common = Scenario {
            name: self,
            viewers: 500,
            rate: 1_000,
            seconds: 10,
            line_bytes: 120,
            stalled_every: None,
        };
        match self {
            Self::Fanout => common,
            Self::Small => Scenario {
                viewers: 200,
                rate: 200,
                ..common
            },
            Self::Heavy => Scenario { rate: 4_000, ..common },
            Self::Wide => Scenario {
                viewers: 5_000,
                rate: 100,
                ..common
            },
            Self::Many => Scenario {
                viewers: 10_000,
                rate: 20,
                ..common
            },
            Self::Idle => Scenario {
                viewers: 5_000,
                rate: 0,
                ..common
            },
            Self::Stalled => Scenario {
                seconds: 20,
                line_bytes: 1_024,
                stalled_every: Some(STALLED_EVERY),
                ..common
            },
        }
    }

    pub fn text(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

impl Scenario {
    pub fn lines(&self) -> u64 {
        self.rate * self.seconds
    }
}
