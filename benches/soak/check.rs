//! Compares what one viewer receives with what was written.
//!
//! What a viewer may see is not one sequence: it depends on when the server looked. So the place of a viewer is a set
//! of possible states, of which each message leaves those that it fits; a message that fits none is a violation.
//! Usually there is one state. Blank lines bear no number: they are counted, and must be accounted for by the next line
//! that does.

use crate::lines::{self, Id};
use crate::model::{Content, Ending, Model, State as Truth};

/// Lines of history at connect and after a truncation.
pub const HISTORY: usize = 50;
/// Up to so many lines a rewritten file is sent whole.
const MAX_REWRITTEN: usize = 10_000;
/// The beginning by which a rewritten file is told from a cut one.
const HEAD_BYTES: u64 = 1024;
/// Late lines of a rotated file may be under way for so long when a viewer joins.
const LATE_SLACK: u32 = 1_000;
/// From here on a handshake has been waited for in vain.
const BUSY_WAIT: u32 = 295;
/// So far behind a busy server may be.
const BUSY_BEHIND: u32 = 10_000;

/// Which line of a content may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// The first one.
    zero: bool,
    /// Or one of these.
    low: usize,
    /// None: up to the one that begins the last lines of what is written by now.
    high: Option<usize>,
}

impl Place {
    fn at(line: usize) -> Self {
        Self {
            zero: false,
            low: line,
            high: Some(line),
        }
    }

    /// The last lines of a content that held so many at least.
    fn last_of(lines: usize) -> Self {
        let low = lines.saturating_sub(HISTORY);
        Self {
            zero: low == 0,
            low,
            high: None,
        }
    }

    fn high(self, content: &Content) -> usize {
        self.high.unwrap_or(content.lines.len().saturating_sub(HISTORY))
    }

    fn accepts(self, line: usize, content: &Content) -> bool {
        self.zero && line == 0 || self.low <= line && line <= self.high(content)
    }

    fn farthest(self, content: &Content) -> usize {
        let high = self.high(content);
        if high < self.low && self.zero { 0 } else { high }
    }

    fn is_exact(self) -> bool {
        !self.zero && self.high == Some(self.low)
    }

    /// How many blank lines have to be counted in for the place to be behind the first `lines`.
    fn blanks_up_to(self, lines: usize, content: &Content, blanks: usize) -> Option<usize> {
        let at = self.farthest(content);
        let missing = lines.saturating_sub(at);
        (missing == 0 || missing <= blanks && content.blanks_from(at) >= missing).then_some(missing)
    }

    /// How many of the blank lines received stand before this line, if it may be the next one with a number.
    fn blanks_before(self, line: usize, content: &Content, blanks: usize) -> Option<usize> {
        let mut found = None;
        for used in 0..=blanks.min(line) {
            if used > 0 && !content.lines[line - used].blank {
                break;
            }
            if self.accepts(line - used, content) {
                found = Some(used);
            }
        }
        found
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    main: usize,
    place: Place,
    /// Whether something of the main content was received.
    begun: bool,
    /// Rotated contents that may still bring late lines.
    late: Vec<(usize, Place)>,
    blanks: usize,
}

/// What a received text was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    Lost(usize),
    Doubled,
    Misplaced,
    Garbled,
    Notice,
}

/// What is known of a file when a viewer begins to connect.
#[derive(Debug)]
pub struct Before {
    millis: u32,
    written: Vec<(usize, usize)>,
}

impl Before {
    pub fn take(model: &Model) -> Self {
        let millis = model.now();
        let truth = model.lock();
        let contents = truth.contents.iter().enumerate().rev().take(8);
        Self {
            millis,
            written: contents.map(|(at, content)| (at, content.written)).collect(),
        }
    }

    pub fn millis(&self) -> u32 {
        self.millis
    }
}

#[derive(Debug)]
pub struct Checker {
    states: Vec<State>,
}

impl Checker {
    /// A viewer whose handshake has just ended. `grace`: how long a removed file can still be joined.
    ///
    /// A server that is busy with a backlog keeps nobody waiting for longer than [`BUSY_WAIT`]; after that, history is
    /// of what it has read so far.
    pub fn new(model: &Model, before: &Before, grace: u32) -> Self {
        let busy = model.now() - before.millis >= BUSY_WAIT;
        let since = before.millis.saturating_sub(if busy { BUSY_BEHIND } else { 0 });
        let truth = model.lock();
        let mut states = Vec::new();
        for (at, content) in truth.contents.iter().enumerate().rev() {
            let ended = content.end.and_then(|end| {
                let grace = if end.ending == Ending::Removed { grace } else { 0 };
                end.done.map(|done| done + grace)
            });
            if ended.is_some_and(|ended| ended < since) {
                break;
            }
            let known = before.written.iter().find(|(number, _)| *number == at);
            let sure = known.map_or(content.copied, |(_, written)| if busy { 0 } else { *written });
            let mut place = Place::last_of(sure);
            place.high = Some(content.lines.len().saturating_sub(HISTORY));
            let rotated = truth.contents.iter().enumerate().take(at).rev().take(8).rev();
            let late = rotated.filter(|(_, old)| {
                let rotated = matches!(old.end, Some(end) if matches!(end.ending, Ending::Rotated { .. }));
                rotated && old.closed.is_none_or(|closed| closed + LATE_SLACK >= since)
            });
            let late = late.map(|(number, old)| {
                let since = since.saturating_sub(LATE_SLACK);
                let place = Place {
                    zero: false,
                    low: old.lines.partition_point(|line| line.millis < since),
                    high: Some(old.lines.len()),
                };
                (number, place)
            });
            states.push(State {
                main: at,
                place,
                begun: false,
                late: late.collect(),
                blanks: 0,
            });
        }
        Self { states }
    }

    /// Takes a line. An error says what is wrong with it.
    pub fn line(&mut self, model: &Model, text: &str) -> Result<(), (Violation, String)> {
        if text.is_empty() {
            let truth = model.lock();
            let next: Vec<State> = self
                .states
                .iter()
                .filter_map(|state| state.after_blank(&truth))
                .collect();
            if next.is_empty() {
                let told = format!("a blank line too many; {}", self.expected(&truth));
                return Err((Violation::Doubled, told));
            }
            self.states = next;
            return Ok(());
        }
        let Some(id) = lines::recognize(model.seed, text).filter(|id| id.file == model.file) else {
            let shown: String = text.chars().take(200).collect();
            return Err((Violation::Garbled, format!("no line of this file: {shown:?}")));
        };
        let truth = model.lock();
        let mut next: Vec<State> = Vec::new();
        for state in &self.states {
            for state in state.after_line(&truth, id) {
                if !next.contains(&state) {
                    next.push(state);
                }
            }
        }
        if next.is_empty() {
            return Err(self.explain(&truth, id));
        }
        self.states = next;
        Ok(())
    }

    /// Takes the notice of a truncation.
    pub fn truncated(&mut self, model: &Model) -> Result<(), (Violation, String)> {
        let truth = model.lock();
        let mut next: Vec<State> = Vec::new();
        for state in &self.states {
            for state in state.after_truncation(&truth) {
                if !next.contains(&state) {
                    next.push(state);
                }
            }
        }
        if next.is_empty() {
            let text = format!("a truncation notice; {}", self.expected(&truth));
            return Err((Violation::Notice, text));
        }
        self.states = next;
        Ok(())
    }

    /// Takes the notice of a removal.
    pub fn removed(&self, model: &Model) -> Result<(), (Violation, String)> {
        let truth = model.lock();
        let fits = self.states.iter().any(|state| {
            state.with_silent(&truth).into_iter().any(|state| {
                let end = truth.contents[state.main].end;
                end.is_some_and(|end| end.ending == Ending::Removed) && state.has_all(&truth)
            })
        });
        if fits {
            return Ok(());
        }
        let text = format!("a notice of removal; {}", self.expected(&truth));
        Err((Violation::Notice, text))
    }

    /// Whether everything that was written has come.
    pub fn is_complete(&self, model: &Model) -> bool {
        let truth = model.lock();
        self.states.iter().any(|state| {
            let states = state.with_silent(&truth);
            states
                .iter()
                .any(|state| state.main + 1 == truth.contents.len() && state.has_all(&truth))
        })
    }

    /// Since when what comes next has been due, in every case.
    pub fn due_since(&self, model: &Model, grace: u32) -> Option<u32> {
        let truth = model.lock();
        let due = |state: &State| {
            let mut due = state.next_due(&truth, grace);
            for &(number, place) in &state.late {
                let content = &truth.contents[number];
                if let Some(line) = content.lines.get(place.farthest(content) + state.blanks) {
                    due = Some(due.map_or(line.millis, |due| due.min(line.millis)));
                }
            }
            due
        };
        let dues: Option<Vec<u32>> = self.states.iter().map(due).collect();
        dues?.into_iter().max()
    }

    /// The most lines that may still be published for it, for the count of a too-slow notice.
    pub fn most_lines_left(&self, model: &Model) -> usize {
        let truth = model.lock();
        let left = |state: &State| {
            let main: usize = truth.contents[state.main..].iter().map(|c| c.lines.len()).sum();
            let late: usize = state.late.iter().map(|(at, _)| truth.contents[*at].lines.len()).sum();
            main + late - state.place.low.min(main)
        };
        self.states.iter().map(left).max().unwrap_or(0)
    }

    /// The least: what was written to the file it receives before this time.
    pub fn least_lines_left(&self, model: &Model, millis: u32) -> usize {
        let truth = model.lock();
        let left = |state: &State| {
            let content = &truth.contents[state.main];
            let lost = matches!(content.end, Some(end) if end.ending == (Ending::InPlace { seen: false }));
            if lost || !state.place.is_exact() {
                return 0;
            }
            let lines = content.lines.partition_point(|line| line.millis < millis);
            lines.saturating_sub(state.place.low + state.blanks)
        };
        self.states.iter().map(left).min().unwrap_or(0)
    }

    /// The content that is being received and how many lines of it have come, where that is certain.
    pub fn seen(&self) -> Option<(usize, usize)> {
        match self.states.as_slice() {
            [state] if state.place.is_exact() && state.blanks == 0 => Some((state.main, state.place.low)),
            _ => None,
        }
    }

    pub fn expectation(&self, model: &Model) -> String {
        self.expected(&model.lock())
    }

    fn explain(&self, truth: &Truth, id: Id) -> (Violation, String) {
        let mut violation = Violation::Misplaced;
        for state in &self.states {
            let places = state.late.iter().copied().chain([(state.main, state.place)]);
            for (number, place) in places {
                let content = &truth.contents[number];
                match content.find(id) {
                    Some(at) if at < place.low => violation = Violation::Doubled,
                    Some(at) => violation = Violation::Lost((at - place.farthest(content).min(at)).max(1)),
                    None => {}
                }
            }
        }
        if violation == Violation::Misplaced {
            let left: usize = self
                .states
                .iter()
                .map(|state| state.required_left(truth))
                .min()
                .unwrap_or(0);
            violation = Violation::Lost(left.max(1));
        }
        let Id { generation, number, .. } = id;
        let places: Vec<String> = truth
            .contents
            .iter()
            .enumerate()
            .filter_map(|(at, content)| Some(format!("content {at} line {}", content.find(id)?)))
            .collect();
        let text = format!(
            "got line {generation}.{number}, which is {}; {}",
            places.join(" and "),
            self.expected(truth)
        );
        (violation, text)
    }

    fn expected(&self, truth: &Truth) -> String {
        let mut text = String::new();
        for state in &self.states {
            let State {
                main,
                place,
                begun,
                late,
                blanks,
            } = state;
            let content = &truth.contents[*main];
            text.push_str(&format!(
                "\n    expected content {main} line {}{}..={}{}, {blanks} blank lines pending, late {:?}",
                if place.zero { "0 or " } else { "" },
                place.low,
                place.high(content),
                if *begun { "" } else { " (nothing of it so far)" },
                late.iter()
                    .map(|(at, place)| format!("{at}:{}..={}", place.low, place.high(&truth.contents[*at])))
                    .collect::<Vec<_>>()
            ));
        }
        let first = self.states.iter().map(|state| state.main).min().unwrap_or(0);
        for (at, content) in truth.contents.iter().enumerate().skip(first.saturating_sub(2)).take(6) {
            let end = content.end.map_or("goes on".to_owned(), |end| {
                format!("{} ({:?}) {}..{:?} ms", end.what, end.ending, end.begun, end.done)
            });
            text.push_str(&format!(
                "\n    content {at}: from {} ms, {} lines ({} written, {} copied), {end}, closed {:?}",
                content.begun,
                content.lines.len(),
                content.written,
                content.copied,
                content.closed
            ));
        }
        text
    }
}

impl State {
    /// This state and those that it leads to without any message.
    fn with_silent(&self, truth: &Truth) -> Vec<Self> {
        let mut states = vec![self.clone()];
        while let Some(next) = states.last().and_then(|state| state.silent(truth)) {
            states.push(next);
        }
        states
    }

    fn silent(&self, truth: &Truth) -> Option<Self> {
        let content = &truth.contents[self.main];
        let next = self.main + 1;
        truth.contents.get(next)?;
        let mut state = Self {
            main: next,
            place: Place::at(0),
            begun: false,
            ..self.clone()
        };
        match content.end?.ending {
            Ending::Rotated { lines } => {
                let used = self.place.blanks_up_to(lines, content, self.blanks)?;
                state.blanks -= used;
                let at = self.place.farthest(content) + used;
                state.late.push((
                    self.main,
                    Place {
                        zero: false,
                        low: if self.place.is_exact() { at } else { lines },
                        high: Some(at),
                    },
                ));
                state.forget_complete(truth);
                Some(state)
            }
            // Nothing of it was read before it was overwritten: nobody can tell.
            Ending::InPlace { seen: false } if !self.begun && self.place.accepts(0, content) => Some(state),
            _ => None,
        }
    }

    fn forget_complete(&mut self, truth: &Truth) {
        self.late.retain(|(at, place)| {
            let content = &truth.contents[*at];
            content.closed.is_none() || place.low < content.lines.len()
        });
    }

    /// Counts a blank line, or takes it where there is but one place for it; none where there is no place.
    fn after_blank(&self, truth: &Truth) -> Option<Self> {
        let mut state = self.clone();
        state.blanks += 1;
        let exact = self.place.is_exact() && self.late.iter().all(|(_, place)| place.is_exact());
        if self.blanks > 0 || !exact {
            return Some(state);
        }
        let is_next = |at: usize, place: Place| truth.contents[at].blanks_from(place.low) > 0;
        let main = is_next(self.main, self.place);
        let late: Vec<usize> = (0..self.late.len())
            .filter(|&index| is_next(self.late[index].0, self.late[index].1))
            .collect();
        match (main, late.as_slice()) {
            (true, []) => {
                state.place = Place::at(self.place.low + 1);
                state.begun = true;
                state.blanks = 0;
            }
            (false, [index]) => {
                let place = &mut state.late[*index].1;
                *place = Place::at(place.low + 1);
                state.blanks = 0;
                state.forget_complete(truth);
            }
            (false, []) => return None,
            _ => {}
        }
        Some(state)
    }

    fn after_line(&self, truth: &Truth, id: Id) -> Vec<Self> {
        let mut found = Vec::new();
        for (index, &(number, place)) in self.late.iter().enumerate() {
            let content = &truth.contents[number];
            if let Some(line) = content.find(id)
                && let Some(used) = place.blanks_before(line, content, self.blanks)
            {
                let mut state = self.clone();
                state.late[index].1 = Place::at(line + 1);
                state.blanks -= used;
                state.forget_complete(truth);
                found.push(state);
            }
        }
        for mut state in self.with_silent(truth) {
            let content = &truth.contents[state.main];
            if let Some(line) = content.find(id)
                && let Some(used) = state.place.blanks_before(line, content, state.blanks)
            {
                state.place = Place::at(line + 1);
                state.begun = true;
                state.blanks -= used;
                if state.blanks <= state.late_blanks(truth) {
                    found.push(state);
                }
            }
        }
        found
    }

    /// How many blank lines may be late ones.
    fn late_blanks(&self, truth: &Truth) -> usize {
        let late = self.late.iter();
        late.map(|(at, place)| {
            let content = &truth.contents[*at];
            if place.is_exact() {
                content.blanks_from(place.low)
            } else {
                content.lines.iter().skip(place.low).filter(|line| line.blank).count()
            }
        })
        .sum()
    }

    fn after_truncation(&self, truth: &Truth) -> Vec<Self> {
        let mut found = Vec::new();
        for state in self.with_silent(truth) {
            let main = state.main;
            let content = &truth.contents[main];
            let Some(end) = content.end.filter(|_| !content.lines.is_empty()) else {
                continue;
            };
            let all = state.place.blanks_up_to(content.lines.len(), content, state.blanks);
            let late_blanks = state.late_blanks(truth);
            // How many of the blank lines may be of this content. Where nobody saw how far it was read, each of them may
            // be a late one as well.
            let used = match (end.ending, all) {
                (Ending::InPlace { seen: true } | Ending::Saved, Some(used)) => used..=used,
                (Ending::InPlace { seen: false }, _) => {
                    let most = match state.place.is_exact() {
                        true => state.blanks.min(content.blanks_from(state.place.low)),
                        false => state.blanks,
                    };
                    state.blanks.saturating_sub(late_blanks)..=most
                }
                _ => continue,
            };
            let in_place = matches!(end.ending, Ending::InPlace { .. });
            for next in main + 1..truth.contents.len() {
                let content = &truth.contents[next];
                let common = truth.common_bytes(main, next);
                let mut place = Place::last_of(if common > 0 { content.copied } else { MAX_REWRITTEN + 1 });
                place.zero |= in_place && common < HEAD_BYTES;
                let left = used.clone().map(|used| state.blanks - used);
                found.extend(left.filter(|left| *left <= late_blanks).map(|blanks| Self {
                    main: next,
                    place,
                    begun: false,
                    blanks,
                    ..state.clone()
                }));
                // Several truncations may look like one, unless the content between them was certainly read.
                if !in_place || !matches!(content.end, Some(end) if end.ending == (Ending::InPlace { seen: false })) {
                    break;
                }
            }
        }
        found
    }

    fn has_all(&self, truth: &Truth) -> bool {
        let mut blanks = self.blanks;
        let mut places = self.late.iter().copied().chain([(self.main, self.place)]);
        places.all(|(at, place)| {
            let content = &truth.contents[at];
            match place.blanks_up_to(content.lines.len(), content, blanks) {
                Some(used) => {
                    blanks -= used;
                    true
                }
                None => false,
            }
        })
    }

    fn required_left(&self, truth: &Truth) -> usize {
        let content = &truth.contents[self.main];
        let required = match content.end.map(|end| end.ending) {
            Some(Ending::Rotated { lines }) => lines,
            Some(Ending::InPlace { seen: false }) => 0,
            _ => content.lines.len(),
        };
        required.saturating_sub(self.place.farthest(content))
    }

    fn next_due(&self, truth: &Truth, grace: u32) -> Option<u32> {
        let content = &truth.contents[self.main];
        if self.required_left(truth) > self.blanks {
            return content.lines.get(self.place.farthest(content)).map(|line| line.millis);
        }
        match content.end {
            Some(end) => match end.ending {
                Ending::Rotated { .. } => truth.contents.get(self.main + 1)?.lines.first().map(|line| line.millis),
                Ending::InPlace { seen: true } | Ending::Saved => Some(end.done?),
                Ending::InPlace { seen: false } => end.done.filter(|_| self.begun),
                Ending::Removed => Some(end.done? + grace),
            },
            None => None,
        }
    }
}
