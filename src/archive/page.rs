//! Pages of a log's lines: so many before or after a position, or the last ones, across all its files.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use thiserror::Error;

use super::backward::{last_line_end, start_of_lines};
use super::lines::{Placed, Stretch, read_lines};
use super::{Archive, Budget, LogFile};
use crate::decode::Decoder;
use crate::position::{Position, Within};

/// Bytes of a page's lines as JSON, unless its only line is longer: 10,000 lines of 64 KiB would be 640 MB. A page that
/// would be larger has fewer lines.
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// How long a page with some lines waits for those of an older file that has to be decompressed.
const WAIT_FOR_MORE: Duration = Duration::from_secs(1);

/// Where a page is to be.
#[derive(Debug, Clone)]
pub enum Anchor {
    /// At the end of the log.
    End,
    /// Before this position.
    Before(Position),
    /// Behind this position.
    After(Position),
}

/// Why there is no page.
#[derive(Debug, Error)]
pub enum PageError {
    /// The position is of another file, or of one that is not there any more.
    #[error("the position is in no file of this log any more")]
    Gone,
    /// The files can't be read; `TimedOut` where that takes too long.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whole lines, the oldest first.
#[derive(Debug)]
pub struct Page {
    /// The lines as JSON strings with commas between them.
    lines: Vec<u8>,
    start: Position,
    end: Position,
    more: bool,
}

impl Page {
    /// `{"lines":[…],"start":…,"end":…,"more":…}`. A position needs no escapes in JSON.
    pub fn into_json(self) -> Vec<u8> {
        let Self {
            lines,
            start,
            end,
            more,
        } = self;
        let rest = format!("],\"start\":\"{start}\",\"end\":\"{end}\",\"more\":{more}}}");
        [b"{\"lines\":[".as_slice(), &lines, rest.as_bytes()].concat()
    }
}

/// A place as the page comes by it: cheap, as most of them are of no further use.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) file: LogFile,
    pub(super) offset: u64,
    pub(super) within: Within,
}

impl Spot {
    /// A place between two lines.
    pub(super) fn at(file: &LogFile, offset: u64) -> Self {
        Self {
            file: file.clone(),
            offset,
            within: Within::Nothing,
        }
    }

    pub(super) fn position(&self, budget: &Budget) -> io::Result<Position> {
        let place = self.file.source.place(self.offset, self.within, budget)?;
        Ok(Position::in_current(place))
    }
}

/// Lines and how many bytes they are as JSON.
#[derive(Debug, Default)]
struct Lines {
    texts: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Lines {
    fn push(&mut self, decoder: Decoder, placed: &Placed<'_>) {
        // Text can always be written as JSON, into memory.
        let json = serde_json::to_vec(&decoder.decode(placed.line)).unwrap_or_default();
        self.bytes += json.len();
        self.texts.push_back(json);
    }

    fn pop_first(&mut self) {
        if let Some(text) = self.texts.pop_front() {
            self.bytes -= text.len();
        }
    }

    fn put_before(&mut self, mut earlier: Self) {
        earlier.bytes += self.bytes;
        earlier.texts.append(&mut self.texts);
        *self = earlier;
    }

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn is_full(&self, limit: usize) -> bool {
        self.len() >= limit || self.bytes >= MAX_PAGE_BYTES
    }

    fn into_json(self) -> Vec<u8> {
        let mut json = Vec::with_capacity(self.bytes + self.texts.len());
        for text in self.texts {
            if !json.is_empty() {
                json.push(b',');
            }
            json.extend_from_slice(&text);
        }
        json
    }
}

impl Archive {
    /// Up to `limit` lines from a place on, in the one direction or the other.
    ///
    /// # Errors
    ///
    /// [`PageError::Gone`] where the position can't be found; what reading returns.
    pub fn page(&mut self, from: &Anchor, limit: usize, budget: &Budget) -> Result<Page, PageError> {
        let position = match from {
            Anchor::End => None,
            Anchor::Before(position) | Anchor::After(position) => Some(position),
        };
        let spot = self.spot(position, budget)?;
        Ok(match from {
            Anchor::End | Anchor::Before(_) => self.page_before(spot, limit, budget)?,
            Anchor::After(_) => self.page_after(spot, limit, budget)?,
        })
    }

    /// Where a position is, or the end of the log.
    pub(super) fn spot(&mut self, position: Option<&Position>, budget: &Budget) -> Result<Spot, PageError> {
        let Some(position) = position else {
            return Ok(self.last_spot(budget)?);
        };
        let (file, place) = self.locate(position, budget)?.ok_or(PageError::Gone)?;
        Ok(Spot {
            file,
            offset: place.offset(),
            within: place.within(),
        })
    }

    /// Behind the last whole line of the youngest file.
    fn last_spot(&mut self, budget: &Budget) -> io::Result<Spot> {
        let file = self.youngest(budget)?.ok_or(io::ErrorKind::NotFound)?;
        let size = file.source.size(budget)?;
        let offset = match file.is_rotated {
            true => size,
            false => last_line_end(&file, size, budget)?,
        };
        Ok(Spot {
            file,
            offset,
            within: Within::Nothing,
        })
    }

    fn page_before(&mut self, from: Spot, limit: usize, budget: &Budget) -> io::Result<Page> {
        let mut reading = ReadingBack {
            limit,
            max_line: self.max_line(),
            lines: Lines::default(),
            first: from.clone(),
        };
        reading.read(&from.file, from.offset, budget)?;
        let mut age = from.file.age;
        while !reading.lines.is_full(limit)
            && let Some(older) = self.older(age, budget)?
        {
            // What there is must not wait for a file that takes long to decompress: that is for the next page.
            let patience = match reading.lines.len() {
                0 => budget.clone(),
                _ => budget.within(WAIT_FOR_MORE),
            };
            let size = older.source.size(&patience);
            match size.and_then(|size| reading.read(&older, size, &patience)) {
                Err(error) if error.kind() == io::ErrorKind::TimedOut && reading.lines.len() > 0 => break,
                read => read?,
            }
            age = older.age;
        }
        let ReadingBack { lines, first, .. } = reading;
        let more = first.offset > 0 || self.older(first.file.age, budget)?.is_some();
        page(lines, &first, &from, more, budget)
    }

    fn page_after(&mut self, from: Spot, limit: usize, budget: &Budget) -> io::Result<Page> {
        let max_line = self.max_line();
        let mut lines = Lines::default();
        let mut last = from.clone();
        let mut more = false;
        let mut next = Some(from.clone());
        while let Some(Spot { file, offset, within }) = next.take() {
            let stretch = Stretch {
                start: offset,
                within,
                // What is packed is read as far as it goes: its size is not known before.
                end: match file.source.plain_file() {
                    Some(_) => file.source.size(budget)?,
                    None => u64::MAX,
                },
                with_rest: file.is_rotated,
            };
            read_lines(&file, max_line, stretch, budget, &mut |placed| {
                more = lines.is_full(limit);
                if !more {
                    lines.push(file.decoder, &placed);
                    last = Spot::at(&file, placed.end);
                }
                !more
            })?;
            if !more {
                next = self.younger(file.age, budget)?.map(|younger| Spot::at(&younger, 0));
            }
        }
        page(lines, &from, &last, more, budget)
    }
}

/// The lines before a place, as far as they are read.
#[derive(Debug)]
struct ReadingBack {
    limit: usize,
    max_line: usize,
    lines: Lines,
    /// Where the first of them begins.
    first: Spot,
}

impl ReadingBack {
    /// Puts the lines of a file up to `end` before those that are there.
    fn read(&mut self, file: &LogFile, end: u64, budget: &Budget) -> io::Result<()> {
        let mut at = end;
        while at > 0 && !self.lines.is_full(self.limit) {
            let room = self.limit - self.lines.len();
            let max_bytes = MAX_PAGE_BYTES - self.lines.bytes;
            let start = start_of_lines(file, at, room, max_bytes as u64, budget)?;
            let stretch = Stretch {
                start,
                within: Within::Nothing,
                end: at,
                with_rest: true,
            };
            let mut earlier = Lines::default();
            let mut starts = VecDeque::new();
            read_lines(file, self.max_line, stretch, budget, &mut |placed| {
                earlier.push(file.decoder, &placed);
                starts.push_back(placed.start);
                while earlier.len() > 1 && (earlier.len() > room || earlier.bytes > max_bytes) {
                    earlier.pop_first();
                    starts.pop_front();
                }
                true
            })?;
            self.lines.put_before(earlier);
            at = start;
            if let Some(start) = starts.front() {
                at = *start;
                self.first = Spot::at(file, at);
            }
        }
        Ok(())
    }
}

fn page(lines: Lines, first: &Spot, last: &Spot, more: bool, budget: &Budget) -> io::Result<Page> {
    Ok(Page {
        lines: lines.into_json(),
        start: first.position(budget)?,
        end: last.position(budget)?,
        more,
    })
}
