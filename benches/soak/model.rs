//! What was written to each file, and what happened to it: the truth that viewers' streams are compared with.
//!
//! The life of a name is a row of contents. A content ends by a rotation, by a truncation or a rewriting in place, by
//! an editor's save, or by removal; then the next one begins. Everything is entered here before it is done to the file,
//! so that no viewer can see what is not here; what surely stands in the file is counted after it was written.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::lines::Id;

/// A line of a content. The same line may stand in several contents, where one is a copy.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    pub generation: u32,
    pub number: u32,
    /// When it was about to be written.
    pub millis: u32,
    pub blank: bool,
    /// With its end.
    pub bytes: u32,
}

/// How a content came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Another file took the name. What stood in the old one before, so many lines, has to come before the new one.
    Rotated { lines: usize },
    /// Truncated or rewritten in place. `seen`: the server had certainly read all of it, so that nothing may be
    /// missing.
    InPlace { seen: bool },
    /// Replaced by a file that begins alike, the old one linked nowhere.
    Saved,
    /// Gone for longer than the grace.
    Removed,
}

#[derive(Debug, Clone, Copy)]
pub struct End {
    pub ending: Ending,
    pub what: &'static str,
    pub begun: u32,
    /// When it was certainly over.
    pub done: Option<u32>,
}

#[derive(Debug)]
pub struct Content {
    pub lines: Vec<Line>,
    /// How many of them certainly stand in the file.
    pub written: usize,
    /// How many stood there when it began: lines copied from the one before.
    pub copied: usize,
    pub begun: u32,
    pub end: Option<End>,
    /// When it was certain that nothing more is written to it.
    pub closed: Option<u32>,
}

impl Content {
    /// Where a line stands.
    pub fn find(&self, id: Id) -> Option<usize> {
        let at = self.lines.binary_search_by_key(&id.number, |line| line.number).ok()?;
        (self.lines[at].generation == id.generation).then_some(at)
    }

    /// How many of the lines from `at` on are blank in a row.
    pub fn blanks_from(&self, at: usize) -> usize {
        self.lines.iter().skip(at).take_while(|line| line.blank).count()
    }
}

#[derive(Debug, Default)]
pub struct State {
    pub contents: Vec<Content>,
    /// What the viewer that is always there has got: a content and its lines.
    pub seen: Option<(usize, usize)>,
}

impl State {
    /// How many bytes the two contents have in common at the beginning; none where their first lines differ.
    pub fn common_bytes(&self, one: usize, other: usize) -> u64 {
        let pairs = self.contents[one].lines.iter().zip(&self.contents[other].lines);
        let alike = pairs.take_while(|(one, other)| one.number == other.number);
        alike.map(|(line, _)| u64::from(line.bytes)).sum()
    }
}

#[derive(Debug)]
pub struct Model {
    pub file: u32,
    pub name: String,
    pub seed: u64,
    began: Instant,
    state: Mutex<State>,
}

impl Model {
    pub fn new(file: u32, name: String, seed: u64, began: Instant) -> Self {
        Self {
            file,
            name,
            seed,
            began,
            state: Mutex::default(),
        }
    }

    /// Milliseconds since the beginning of the run.
    pub fn now(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a content that holds these lines from the beginning, and returns its number.
    pub fn begin(&self, lines: Vec<Line>) -> usize {
        let begun = self.now();
        let mut state = self.lock();
        state.contents.push(Content {
            written: lines.len(),
            copied: lines.len(),
            lines,
            begun,
            end: None,
            closed: None,
        });
        state.contents.len() - 1
    }

    /// Says how a content is about to end, and begins the next one.
    pub fn end(&self, content: usize, ending: Ending, what: &'static str, next: Option<Vec<Line>>) {
        let begun = self.now();
        self.lock().contents[content].end = Some(End {
            ending,
            what,
            begun,
            done: None,
        });
        if let Some(lines) = next {
            self.begin(lines);
        }
    }

    /// The end of a content is over.
    pub fn ended(&self, content: usize) {
        let now = self.now();
        if let Some(end) = &mut self.lock().contents[content].end {
            end.done = Some(now);
        }
    }

    /// Nothing more is written to a content.
    pub fn close(&self, content: usize) {
        let now = self.now();
        self.lock().contents[content].closed = Some(now);
    }

    pub fn len(&self, content: usize) -> usize {
        self.lock().contents[content].lines.len()
    }
}
