//! Pages of a log's lines: so many before or after a position, or the last ones, across all its files.

use std::collections::VecDeque;
use std::io;

use thiserror::Error;

use super::backward::{last_line_end, start_of_lines};
use super::lines::{Placed, Stretch, read_lines};
use super::{Archive, Budget, LogFile};
use crate::decode::Decoder;
use crate::position::{Position, Within};

/// Bytes of a page's lines as JSON, unless its only line is longer: 10,000 lines of 64 KiB would be 640 MB. A page that
/// would be larger has fewer lines.
pub const MAX_PAGE_BYTES: usize = 8 << 20;

/// Where a page is to be.
#[derive(Debug, Clone)]
pub enum From {
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
struct Spot {
    file: LogFile,
    offset: u64,
    within: Within,
}

impl Spot {
    /// A place between two lines.
    fn at(file: &LogFile, offset: u64) -> Self {
        Self {
            file: file.clone(),
            offset,
            within: Within::Nothing,
        }
    }

    fn is_at(&self, other: &Self) -> bool {
        self.file.age == other.file.age && self.offset == other.offset
    }

    fn position(&self, budget: &Budget) -> io::Result<Position> {
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
    pub fn page(&mut self, from: &From, limit: usize, budget: &Budget) -> Result<Page, PageError> {
        let position = match from {
            From::End => None,
            From::Before(position) | From::After(position) => Some(position),
        };
        let spot = match position {
            Some(position) => {
                let (file, place) = self.locate(position, budget)?.ok_or(PageError::Gone)?;
                Spot {
                    file,
                    offset: place.offset(),
                    within: place.within(),
                }
            }
            None => self.last_spot(budget)?,
        };
        Ok(match from {
            From::End | From::Before(_) => self.page_before(spot, limit, budget)?,
            From::After(_) => self.page_after(spot, limit, budget)?,
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
        let max_line = self.max_line();
        let mut lines = Lines::default();
        let (mut first, mut last) = (from.clone(), None);
        let (mut file, mut at) = (from.file.clone(), from.offset);
        loop {
            while at > 0 && !lines.is_full(limit) {
                let (room, max_bytes) = (limit - lines.len(), MAX_PAGE_BYTES - lines.bytes);
                let start = start_of_lines(&file, at, room, max_bytes as u64, budget)?;
                let stretch = Stretch {
                    start,
                    within: Within::Nothing,
                    end: at,
                    with_rest: true,
                };
                let mut earlier = Lines::default();
                let mut starts = VecDeque::new();
                let mut end = at;
                read_lines(&file, max_line, stretch, budget, &mut |placed| {
                    earlier.push(file.decoder, &placed);
                    starts.push_back(placed.start);
                    end = placed.end;
                    while earlier.len() > 1 && (earlier.len() > room || earlier.bytes > max_bytes) {
                        earlier.pop_first();
                        starts.pop_front();
                    }
                    true
                })?;
                lines.put_before(earlier);
                at = start;
                if let Some(start) = starts.front() {
                    at = *start;
                    first = Spot::at(&file, at);
                    last.get_or_insert_with(|| Spot::at(&file, end));
                }
            }
            if lines.is_full(limit) {
                break;
            }
            let Some(older) = self.older(file.age, budget)? else {
                break;
            };
            at = older.source.size(budget)?;
            file = older;
        }
        let more = first.offset > 0 || self.older(first.file.age, budget)?.is_some();
        // Where nothing lies between the last line and the place that was asked for, it is that place.
        let last = last.filter(|last| !last.is_at(&from)).unwrap_or(from);
        page(lines, &first, &last, more, budget)
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

fn page(lines: Lines, first: &Spot, last: &Spot, more: bool, budget: &Budget) -> io::Result<Page> {
    Ok(Page {
        lines: lines.into_json(),
        start: first.position(budget)?,
        end: last.position(budget)?,
        more,
    })
}
