//! Searching a log from its end to its beginning, in all its files.

use std::io;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::backward::line_ends;
use super::held::Held;
use super::lines::{Stretch, read_lines};
use super::page::{PageError, Spot};
use super::query::{MAX_LINE_BYTES, Query};
use super::{Archive, Budget, LogFile};
use crate::position::{Position, Within};

/// The least that is searched at a time.
const MIN_BLOCK_BYTES: usize = 16 << 10;
/// The most: as much as stays in a processor's cache, and of what is slowest to search for (2 MB/s) no more than 60 ms.
const MAX_BLOCK_BYTES: usize = 128 << 10;
/// A block that takes longer than this is too large: a search is not stopped inside one.
const BLOCK_TIME: Duration = Duration::from_millis(50);
/// Hits that are handed on together; what there is at the end of a block goes without waiting for more.
const BATCH_BYTES: usize = 16 << 10;
/// The time to say where the search ended once its time is over.
const GRACE: Duration = Duration::from_secs(1);

/// How a search ended.
#[derive(Debug, Serialize)]
pub struct Done {
    done: bool,
    complete: bool,
    /// Bytes searched, decompressed.
    scanned: u64,
    /// Before which to go on.
    #[serde(serialize_with = "as_text")]
    next: Option<Position>,
    /// Compressed files that are too large to be searched in the time.
    #[serde(skip_serializing_if = "is_zero")]
    skipped: u64,
}

fn as_text<S: serde::Serializer>(position: &Option<Position>, serializer: S) -> Result<S::Ok, S::Error> {
    match position {
        Some(position) => serializer.collect_str(position),
        None => serializer.serialize_none(),
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A search that is under way.
#[derive(Debug)]
pub struct Search {
    archive: Archive,
    query: Query,
    limit: usize,
    budget: Budget,
    /// Where it begins.
    from: Spot,
    found: usize,
    scanned: u64,
    /// Hits as NDJSON that were not handed on yet.
    batch: Vec<u8>,
    /// Everything behind this was searched, and its hits were handed on.
    reached: Spot,
    skipped: u64,
}

/// Why a search went no further.
#[derive(Debug)]
enum Stop {
    /// There are as many hits as were asked for, or nobody takes them.
    Enough,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Where hits go, as NDJSON; false when nobody takes them any more.
pub type Deliver<'a> = &'a mut dyn FnMut(Vec<u8>) -> bool;

impl Search {
    /// A search for up to `limit` lines before a position, or before the end of the log.
    ///
    /// # Errors
    ///
    /// [`PageError::Gone`] where the position can't be found; what reading returns.
    pub fn new(
        mut archive: Archive,
        query: Query,
        limit: usize,
        before: Option<&Position>,
        budget: Budget,
    ) -> Result<Self, PageError> {
        let from = archive.spot(before, &budget)?;
        Ok(Self {
            reached: from.clone(),
            archive,
            query,
            limit,
            budget,
            from,
            found: 0,
            scanned: 0,
            batch: Vec::new(),
            skipped: 0,
        })
    }

    /// Searches until all is searched, as much as was asked for is found, or the time is over.
    ///
    /// # Errors
    ///
    /// What reading returns.
    pub fn run(mut self, deliver: Deliver<'_>) -> io::Result<Done> {
        let complete = match self.search(deliver) {
            Ok(()) => true,
            Err(Stop::Enough) => false,
            Err(Stop::Io(error)) if error.kind() == io::ErrorKind::TimedOut => false,
            Err(Stop::Io(error)) => return Err(error),
        };
        let next = match complete {
            true => None,
            false => {
                let grace = Budget::new(Instant::now() + GRACE, CancellationToken::new());
                Some(self.reached.position(&grace)?)
            }
        };
        Ok(Done {
            done: true,
            complete,
            scanned: self.scanned,
            next,
            skipped: self.skipped,
        })
    }

    fn search(&mut self, deliver: Deliver<'_>) -> Result<(), Stop> {
        let Spot { mut file, offset, .. } = self.from.clone();
        let mut end = Some(offset);
        loop {
            match file.source.plain_file() {
                Some(_) => {
                    let end = match end {
                        Some(end) => end,
                        None => file.source.size(&self.budget)?,
                    };
                    self.search_backward(&file, end, deliver)?;
                }
                None => self.search_forward(&file, end, deliver)?,
            }
            match self.archive.older(file.age, &self.budget)? {
                Some(older) => file = older,
                None => return Ok(()),
            }
            end = None;
        }
    }

    /// Hands on what was found, and remembers how far all is done.
    fn deliver(&mut self, reached: Spot, deliver: Deliver<'_>) -> Result<(), Stop> {
        if !self.batch.is_empty() && !deliver(std::mem::take(&mut self.batch)) {
            return Err(Stop::Enough);
        }
        self.reached = reached;
        Ok(())
    }

    fn hit(&mut self, file: &LogFile, start: u64, json: &[u8], deliver: Deliver<'_>) -> Result<(), Stop> {
        self.batch.extend_from_slice(json);
        self.found += 1;
        let full = self.found >= self.limit;
        if full || self.batch.len() >= BATCH_BYTES {
            self.deliver(Spot::at(file, start), deliver)?;
        }
        match full {
            true => Err(Stop::Enough),
            false => Ok(()),
        }
    }

    /// Searches what is before `end` in a file that can be read anywhere, from there on.
    fn search_backward(&mut self, file: &LogFile, mut end: u64, deliver: Deliver<'_>) -> Result<(), Stop> {
        let unit = file.decoder.unit();
        let width = unit.width() as u64;
        let mut size = BlockSize::default();
        let mut buffer = Vec::new();
        while end > 0 {
            self.budget.check()?;
            let begun = Instant::now();
            let start = end.saturating_sub(size.bytes() as u64) / width * width;
            buffer.resize(usize::try_from(end - start).unwrap_or(size.bytes()), 0);
            if file.source.read_at(start, &mut buffer, &self.budget)? < buffer.len() {
                // It was truncated meanwhile, and what it holds now is not what was asked about.
                return Err(io::Error::from(io::ErrorKind::TimedOut).into());
            }
            // Where the first whole line of the block begins.
            let first = match start {
                0 => Some(0),
                _ => unit.find_line_end(&buffer).map(|at| at + unit.width()),
            };
            let Some(first) = first.filter(|first| *first < buffer.len()) else {
                if !size.grow() {
                    end = self.search_long_line(file, end, deliver)?;
                }
                continue;
            };
            let lines = buffer.get(first..).unwrap_or_default();
            let line_start = start + first as u64;
            self.scanned += lines.len() as u64;
            for (start, end) in self.lines_in(file, line_start, lines)?.into_iter().rev() {
                let json = self.json_of(file, start, end)?;
                self.hit(file, start, &json, deliver)?;
            }
            end = line_start;
            self.deliver(Spot::at(file, end), deliver)?;
            size.adapt(begun.elapsed());
        }
        Ok(())
    }

    /// Where lines in which it is found begin and end, of a block of whole lines that stands at `at` in the file.
    fn lines_in(&mut self, file: &LogFile, at: u64, block: &[u8]) -> io::Result<Vec<(u64, u64)>> {
        let mark_len = match at {
            0 => file.decoder.bom_len(block),
            _ => 0,
        };
        let text = block.get(mark_len..).unwrap_or_default();
        let lines = self.query.lines_in(text, file.decoder, &self.budget)?;
        let text_at = at + mark_len as u64;
        // A byte order mark is no part of the first line, but stands behind its beginning.
        let start_of = |start: usize| if start == 0 { at } else { text_at + start as u64 };
        let place = |(start, end)| (start_of(start), text_at + end as u64);
        Ok(lines.into_iter().map(place).collect())
    }

    /// Searches the line that ends at `end`, and returns where it begins.
    fn search_long_line(&mut self, file: &LogFile, end: u64, deliver: Deliver<'_>) -> Result<u64, Stop> {
        let mut start = 0;
        line_ends(file, end, &self.budget, &mut |at| {
            if at < end {
                start = at;
            }
            at == end
        })?;
        let mut found = false;
        read_lines(file, MAX_LINE_BYTES, stretch(start, end), &self.budget, &mut |placed| {
            found = self.query.is_in_line(placed.line, file.decoder);
            true
        })?;
        self.scanned += end - start;
        if found {
            let json = self.json_of(file, start, end)?;
            self.hit(file, start, &json, deliver)?;
        }
        self.deliver(Spot::at(file, start), deliver)?;
        Ok(start)
    }

    /// Searches a file that can only be read from its beginning, up to `end` or as far as it goes.
    fn search_forward(&mut self, file: &LogFile, end: Option<u64>, deliver: Deliver<'_>) -> Result<(), Stop> {
        let had_all_the_time = self.scanned == 0;
        let mut held = Held::new(self.limit - self.found);
        if let Err(error) = self.hold_hits(file, end.unwrap_or(u64::MAX), &mut held) {
            if had_all_the_time && error.kind() == io::ErrorKind::TimedOut {
                // The next search would not get further: it goes on before this file.
                self.skipped += 1;
                self.reached = Spot::at(file, 0);
            }
            return Err(error.into());
        }
        while let Some((start, end, json)) = held.pop_last() {
            let json = match json {
                Some(json) => json,
                None => self.json_of(file, start, end)?,
            };
            self.hit(file, start, &json, deliver)?;
            if held.is_at_cut() {
                self.deliver(Spot::at(file, start), deliver)?;
                return Err(Stop::Enough);
            }
        }
        self.deliver(Spot::at(file, 0), deliver)
    }

    /// Finds the last hits of a file, from its beginning to `end`.
    fn hold_hits(&mut self, file: &LogFile, end: u64, held: &mut Held) -> io::Result<()> {
        let unit = file.decoder.unit();
        let mut size = BlockSize::default();
        // Begins at a line, at `at` in the file.
        let mut buffer: Vec<u8> = Vec::new();
        let mut at = 0;
        loop {
            let begun = Instant::now();
            let (rest, room) = (buffer.len(), size.bytes());
            let read_at = at + rest as u64;
            let room = usize::try_from(end - read_at).map_or(room, |left| left.min(room));
            buffer.resize(rest + room, 0);
            let read = file
                .source
                .read_at(read_at, buffer.get_mut(rest..).unwrap_or_default(), &self.budget)?;
            buffer.truncate(rest + read);
            let is_last = read < room || room == 0;
            let lines_len = match is_last {
                true => buffer.len(),
                false => unit.rfind_line_end(&buffer).map_or(0, |at| at + unit.width()),
            };
            if lines_len == 0 && !is_last && buffer.len() >= MAX_BLOCK_BYTES {
                // Read on to the end of the line without holding it.
                let mut line_end = end;
                read_lines(file, MAX_LINE_BYTES, stretch(at, end), &self.budget, &mut |placed| {
                    line_end = placed.end;
                    if self.query.is_in_line(placed.line, file.decoder) {
                        held.push(placed.start, placed.end);
                    }
                    false
                })?;
                self.scanned += line_end - at;
                at = line_end;
                buffer.clear();
            } else {
                let lines = buffer.get(..lines_len).unwrap_or_default();
                for (start, end) in self.lines_in(file, at, lines)? {
                    held.push(start, end);
                }
                self.scanned += lines_len as u64;
                at += lines_len as u64;
                buffer.drain(..lines_len);
            }
            held.keep_up(at, |start, end| self.json_of(file, start, end))?;
            if is_last || at >= end {
                return Ok(());
            }
            size.adapt(begun.elapsed());
        }
    }

    /// A line of the answer.
    fn json_of(&self, file: &LogFile, start: u64, end: u64) -> io::Result<Vec<u8>> {
        let mut text = String::new();
        read_lines(
            file,
            self.archive.max_line(),
            stretch(start, end),
            &self.budget,
            &mut |placed| {
                text = file.decoder.decode(placed.line).into_owned();
                true
            },
        )?;
        let hit = Hit {
            line: &text,
            start: Spot::at(file, start).position(&self.budget)?.to_string(),
            end: Spot::at(file, end).position(&self.budget)?.to_string(),
        };
        let mut json = serde_json::to_vec(&hit)?;
        json.push(b'\n');
        Ok(json)
    }
}

/// A line in which it was found.
#[derive(Debug, Serialize)]
struct Hit<'a> {
    line: &'a str,
    start: String,
    end: String,
}

/// Bytes searched at a time: little at first, as what is at the end of the log is to be found at once, and then as much
/// as takes no longer than [`BLOCK_TIME`].
#[derive(Debug)]
struct BlockSize(usize);

impl Default for BlockSize {
    fn default() -> Self {
        Self(MIN_BLOCK_BYTES)
    }
}

impl BlockSize {
    fn bytes(&self) -> usize {
        self.0
    }

    /// Makes it larger; false where it is as large as it may be.
    fn grow(&mut self) -> bool {
        let may = self.0 < MAX_BLOCK_BYTES;
        self.0 = (self.0 * 2).min(MAX_BLOCK_BYTES);
        may
    }

    fn adapt(&mut self, took: Duration) {
        if took > BLOCK_TIME {
            self.0 = (self.0 / 2).max(MIN_BLOCK_BYTES);
        } else if took < BLOCK_TIME / 4 {
            self.grow();
        }
    }
}

fn stretch(start: u64, end: u64) -> Stretch {
    Stretch {
        start,
        within: Within::Nothing,
        end,
        with_rest: true,
    }
}
