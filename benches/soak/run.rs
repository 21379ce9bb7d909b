//! What all parts of a run share: its plan, its counts, its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::check::Violation;

/// Violations that are told in full.
const TOLD_MAX: usize = 20;

#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub files: u32,
    pub viewers: usize,
    /// Lines a second and file, over all.
    pub rate: u64,
    /// Milliseconds between two faults of a file: at least this, and at most twice the next one.
    pub gap: u64,
    pub fault_every: u64,
    /// The server's `rotate_grace` in milliseconds.
    pub grace: u32,
    pub sabotage: Option<Sabotage>,
}

/// What is done to received lines to see whether it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    Drop,
    Double,
    Swap,
    Alter,
    Blank,
    Notice,
}

#[derive(Debug, Default)]
pub struct Counts {
    pub faults: BTreeMap<&'static str, u64>,
    pub messages: BTreeMap<String, u64>,
    pub sessions: BTreeMap<&'static str, u64>,
    pub violations: BTreeMap<&'static str, u64>,
    pub lost: u64,
    pub doubled: u64,
    pub told: Vec<String>,
}

#[derive(Debug, Default)]
pub struct Shared {
    stopping: AtomicBool,
    finishing: AtomicBool,
    pub lines_written: AtomicU64,
    pub bytes_written: AtomicU64,
    pub lines_checked: AtomicU64,
    pub sabotaged: AtomicU64,
    counts: Mutex<Counts>,
}

impl Shared {
    pub fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the writing.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Nothing more will be written: viewers wait for the rest and end.
    pub fn finish(&self) {
        self.finishing.store(true, Ordering::Release);
    }

    pub fn is_finishing(&self) -> bool {
        self.finishing.load(Ordering::Acquire)
    }

    pub fn count_written(&self, lines: usize, bytes: usize) {
        self.lines_written.fetch_add(lines as u64, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn count_fault(&self, what: &'static str, times: u64) {
        *self.counts().faults.entry(what).or_default() += times;
    }

    pub fn count_session(&self, what: &'static str) {
        *self.counts().sessions.entry(what).or_default() += 1;
    }

    pub fn count_message(&self, what: &str) {
        *self.counts().messages.entry(what.to_owned()).or_default() += 1;
    }

    pub fn violation(&self, violation: Violation, told: String) {
        let mut counts = self.counts();
        let what = match violation {
            Violation::Lost(lines) => {
                counts.lost += lines as u64;
                "lines lost"
            }
            Violation::Doubled => {
                counts.doubled += 1;
                "lines doubled"
            }
            Violation::Misplaced => "lines out of place",
            Violation::Garbled => "texts that are no line",
            Violation::Notice => "notices and closings",
        };
        *counts.violations.entry(what).or_default() += 1;
        if counts.told.len() < TOLD_MAX {
            eprintln!("VIOLATION ({what}): {told}");
            counts.told.push(told);
        }
    }
}
