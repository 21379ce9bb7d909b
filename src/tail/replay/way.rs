//! The way of one viewer through the files of a log.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::super::MAX_REWRITTEN_LINES;
use super::super::file::{FileId, read_up_to};
use super::super::generation::BLOCK_BYTES;
use super::super::history::has_more_lines;
use super::cache::{self, Key};
use super::held::{Held, Next};
use super::lane::{Lane, Origin, Read};
use super::lineage::{Files, Lineage};
use crate::archive::{Archive, Budget};
use crate::chunk::{Chunk, Event, Lines, Span};
use crate::hub::{Past, Replay, Start, Step};
use crate::notices;
use crate::position::{HEAD_BYTES, Place, Position};

/// How long looking for a place on disk may go on before others have their turn.
const LOOK_TIME: Duration = Duration::from_millis(200);

/// A viewer on its way.
#[derive(Debug)]
pub(super) struct Way {
    /// Where it wants to begin, until that was found.
    start: Option<Start>,
    current: Option<Lane>,
    /// Files that had lost the name before, the oldest first, in which there may be more.
    draining: Vec<Lane>,
    /// Chunks that were read and not yet handed out.
    ready: VecDeque<Arc<Chunk>>,
    /// Behind the last chunk that was read: where the next one begins, also if that is in a copy of the file by now.
    end: Option<Arc<Position>>,
    cache: cache::Reader,
    /// Its turn to have files unpacked, until it has one.
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

/// What a step works with.
struct Surroundings<'a> {
    lineage: &'a Lineage,
    files: Files,
    target: &'a Position,
    max_line: usize,
    /// The viewer's turn to have files unpacked.
    turn: Option<Arc<OwnedSemaphorePermit>>,
}

impl Surroundings<'_> {
    /// The file in which the live stream is.
    fn target_file(&self) -> Option<&Arc<Held>> {
        self.files.of_target(self.target.current())
    }

    /// Where the live stream is in a file that lost the name.
    fn target_in(&self, lane: &Lane) -> Option<Place> {
        let is_in = |place: &&Place| self.files.of_target(place).is_some_and(|held| lane.is(held));
        self.target.draining().iter().find(is_in).copied()
    }

    fn held(&self, id: FileId) -> Option<&Arc<Held>> {
        self.files.iter().rev().find(|held| held.id() == id)
    }

    fn archive(&self) -> io::Result<Archive> {
        let log = self.lineage.log(self.files.current.decoder(), self.max_line);
        Archive::open(log, self.lineage.unpacked(), &budget())
    }
}

fn budget() -> Budget {
    Budget::new(Instant::now() + LOOK_TIME, CancellationToken::new())
}

impl Way {
    pub(super) fn new(start: Start, cache: cache::Reader) -> Self {
        Self {
            start: Some(start),
            current: None,
            draining: Vec::new(),
            ready: VecDeque::new(),
            end: None,
            cache,
            turn: None,
        }
    }

    fn position(&self) -> Option<Position> {
        let draining = self.draining.iter().map(Lane::place).collect();
        Some(Position::new(self.current.as_ref()?.place(), draining))
    }

    fn try_step(&mut self, around: &Surroundings<'_>) -> io::Result<Step> {
        if let Some(chunk) = self.ready.pop_front() {
            return Ok(self.hand_out(chunk, around));
        }
        match self.start.take() {
            Some(Start::Since(since)) => match self.locate(&since, around) {
                Ok(true) => {}
                Ok(false) => return Ok(Step::Gap),
                Err(error) => {
                    self.start = Some(Start::Since(since));
                    return Err(error);
                }
            },
            Some(Start::LastLines(lines)) => match self.seek_last_lines(lines, around) {
                Ok(true) => {}
                other => {
                    self.start = Some(Start::LastLines(lines));
                    return other.map(|_| Step::Waiting);
                }
            },
            Some(Start::History | Start::Nowhere) => return Ok(Step::Gap),
            None => {}
        }
        if let Some(step) = self.cached_step(around) {
            return Ok(step);
        }
        let mut buffer = vec![0; BLOCK_BYTES];
        match self.go_on_in_draining(around, &mut buffer)? {
            Some(step) => Ok(step),
            None => self.go_on_in_current(around, &mut buffer),
        }
    }

    // Where it begins.

    /// Finds the files that a position is in. Says no where one of them can't be found.
    fn locate(&mut self, since: &Position, around: &Surroundings<'_>) -> io::Result<bool> {
        let mut archive = None;
        let Some(current) = find(since.current(), around, &mut archive)? else {
            return Ok(false);
        };
        let mut draining: Vec<Lane> = Vec::new();
        for place in since.draining() {
            let Some(lane) = find(place, around, &mut archive)? else {
                return Ok(false);
            };
            let known = draining.iter().chain([&current]).any(|other| other.id() == lane.id());
            if !known {
                draining.push(lane);
            }
        }
        self.current = Some(current);
        self.draining = draining;
        Ok(true)
    }

    fn seek_last_lines(&mut self, lines: usize, around: &Surroundings<'_>) -> io::Result<bool> {
        let Some(held) = around.target_file() else {
            return Ok(false);
        };
        let lane = Lane::held(held, *around.target.current());
        let mut reader = lane.reader(around.max_line);
        reader.seek_last_lines_before(around.target.current().offset(), lines)?;
        self.current = Some(Lane::held(held, reader.place()));
        Ok(true)
    }

    // How it goes on.

    /// A chunk that another viewer has read, where the next one is such.
    fn cached_step(&mut self, around: &Surroundings<'_>) -> Option<Step> {
        let lane = self.current.as_mut()?;
        let Origin::Held(held, version) = lane.origin() else {
            return None;
        };
        if !self.draining.is_empty() || *version != held.version() {
            return None;
        }
        let key = Key {
            version: *version,
            start: lane.place(),
        };
        let chunk = self.cache.get(&key)?;
        if self.end.as_ref().is_some_and(|end| *end != chunk.span().start) {
            return None;
        }
        let end = *chunk.span().end.current();
        let limit = match around.target_file() {
            Some(target) if lane.is(target) => Some(*around.target.current()),
            _ => around.target_in(lane),
        };
        let within = match limit {
            Some(limit) => end.offset() < limit.offset() || end == limit,
            None => held.is_followed() && held.ends_at().is_none_or(|limit| end.offset() <= limit),
        };
        if !within {
            return None;
        }
        lane.go_to(end);
        self.end = Some(Arc::clone(&chunk.span().end));
        Some(self.hand_out(chunk, around))
    }

    /// Reads what was written late to files that had lost the name. None once there is no more of that.
    fn go_on_in_draining(&mut self, around: &Surroundings<'_>, buffer: &mut [u8]) -> io::Result<Option<Step>> {
        let mut index = 0;
        while let Some(lane) = self.draining.get_mut(index) {
            let target = around.target_in(lane);
            if target.is_some_and(|target| lane.place().has_bytes_of(&target)) {
                index += 1;
                continue;
            }
            if let Some(target) = target
                && lane.place().offset() >= target.offset()
            {
                return Ok(Some(self.ahead()));
            }
            let ends_at = match lane.origin() {
                Origin::Held(held, _) => held.ends_at(),
                Origin::Sibling => None,
            };
            let limit = target.map(|target| target.offset()).or(ends_at).unwrap_or(u64::MAX);
            let before = self.position();
            let Some(lane) = self.draining.get_mut(index) else {
                break;
            };
            match lane.read(limit, target.is_none(), around.max_line, buffer)? {
                Read::Lines(lines, _) => return Ok(self.read(before, lines, Some(index), around)),
                Read::Working => return Ok(Some(Step::Working)),
                Read::TooShort => return Ok(Some(Step::Waiting)),
                Read::Other => return Ok(Some(Step::Gap)),
                Read::Done => match target {
                    Some(target) => lane.go_to(target),
                    None => drop(self.draining.remove(index)),
                },
            }
        }
        Ok(None)
    }

    fn go_on_in_current(&mut self, around: &Surroundings<'_>, buffer: &mut [u8]) -> io::Result<Step> {
        let before = self.position();
        let Some(lane) = self.current.as_mut() else {
            return Ok(Step::Gap);
        };
        if let Origin::Held(held, version) = lane.origin()
            && *version != held.version()
        {
            return self.begin_again(around);
        }
        let is_target = around.target_file().is_some_and(|target| lane.is(target));
        let target = match is_target {
            true => Some(*around.target.current()),
            false => around.target_in(lane),
        };
        if let Some(target) = target
            && lane.place().offset() >= target.offset()
            && !lane.place().has_bytes_of(&target)
        {
            return Ok(match lane.place().offset() > target.offset() {
                true => self.ahead(),
                false => Step::Waiting,
            });
        }
        let arrived = target.is_some_and(|target| lane.place().has_bytes_of(&target));
        let read = match (arrived, lane.origin()) {
            (true, _) => Read::Done,
            (false, Origin::Held(held, _)) => {
                let followed = held.is_followed();
                // One that is neither followed nor the live one lost its name for good, or is about to be followed.
                let orphaned = !followed && !around.files.iter().any(|known| lane.is(known));
                if target.is_none() && !followed && !orphaned {
                    return Ok(Step::Waiting);
                }
                let ends_at = held.ends_at();
                let limit = target.map(|target| target.offset()).or(ends_at).unwrap_or(u64::MAX);
                lane.read(limit, target.is_none(), around.max_line, buffer)?
            }
            (false, Origin::Sibling) => lane.read(u64::MAX, true, around.max_line, buffer)?,
        };
        match read {
            Read::Lines(lines, shareable) => {
                let key = match (lane.origin(), before.as_ref()) {
                    (Origin::Held(_, version), Some(before)) if shareable && lines.len() == 1 => Some(Key {
                        version: *version,
                        start: *before.current(),
                    }),
                    _ => None,
                };
                let step = self.read(before, lines, None, around).unwrap_or(Step::Working);
                if let (Some(key), Step::Chunk(chunk, _), true) = (key, &step, self.draining.is_empty()) {
                    self.cache.put(key, chunk);
                }
                Ok(step)
            }
            Read::Working => Ok(Step::Working),
            Read::TooShort => Ok(Step::Waiting),
            Read::Other => Ok(match lane.origin() {
                Origin::Held(..) if is_target => Step::Waiting,
                _ => Step::Gap,
            }),
            Read::Done => {
                if let Some(target) = target {
                    lane.go_to(target);
                }
                match is_target {
                    true => Ok(Step::Arrived),
                    false => self.pass_on(target, around),
                }
            }
        }
    }

    /// Another content took the place of what was read. A copy of the old one goes on; without one it is told.
    fn begin_again(&mut self, around: &Surroundings<'_>) -> io::Result<Step> {
        let Some(lane) = self.current.as_ref() else {
            return Ok(Step::Gap);
        };
        let mut archive = None;
        if let Some(copy) = find(&lane.place(), around, &mut archive)?
            && copy.id() != lane.id()
        {
            self.current = Some(copy);
            return Ok(Step::Working);
        }
        let Origin::Held(held, _) = lane.origin() else {
            return Ok(Step::Gap);
        };
        let size = match around.target_file() {
            Some(target) if lane.is(target) => around.target.current().offset(),
            _ => lane.content().size()?,
        };
        let head = read_up_to(lane.content(), 0, HEAD_BYTES)?;
        let begins_as_before = lane.place().offset() > 0 && lane.place().agrees_with_head(&head);
        let now = Lane::held(held, held.start());
        let mut reader = now.reader(around.max_line);
        let unit = held.decoder().unwrap_or(crate::decode::Decoder::UTF_8).unit();
        if begins_as_before || has_more_lines(lane.content(), size, unit, MAX_REWRITTEN_LINES)? {
            reader.seek_last_lines_before(size, around.lineage.config().stream.history_lines)?;
        }
        let now = Lane::held(held, reader.place());
        Ok(self.tell(Event::Truncated, now, None, around))
    }

    /// Goes on in the file that took the name next. The one before may get more where the live stream says so.
    fn pass_on(&mut self, late: Option<Place>, around: &Surroundings<'_>) -> io::Result<Step> {
        let Some(lane) = self.current.as_ref() else {
            return Ok(Step::Gap);
        };
        let followed = match lane.origin() {
            Origin::Held(held, _) => held.next(),
            Origin::Sibling => Next::LetGo,
        };
        let (event, next) = match followed {
            Next::Held(event, next) => (event, Lane::held(&next, next.start())),
            Next::None => {
                let oldest = around.files.oldest();
                (Event::Rotated, Lane::held(oldest, oldest.start()))
            }
            Next::LetGo => {
                let mut archive = around.archive()?;
                let Some(age) = archive.age_of(&lane.content().metadata()?)? else {
                    return Ok(Step::Gap);
                };
                let next = match archive.younger(age, &budget())? {
                    Some(file) => {
                        let id = FileId::of(&file.source.file().metadata()?);
                        match around.held(id) {
                            Some(held) => Lane::held(held, held.start()),
                            // The tailer has yet to find it.
                            None if file.age == 0 => return Ok(Step::Waiting),
                            None => Lane::sibling(&file, None, around.turn.as_ref())?,
                        }
                    }
                    None => Lane::held(around.files.oldest(), around.files.oldest().start()),
                };
                (Event::Rotated, next)
            }
        };
        Ok(self.tell(event, next, late, around))
    }

    /// Goes on in another lane, with the event that tells why.
    fn tell(&mut self, event: Event, next: Lane, late: Option<Place>, around: &Surroundings<'_>) -> Step {
        let before = self.position();
        if let Some(mut lane) = self.current.replace(next)
            && let Some(late) = late
        {
            lane.go_to(late);
            self.draining.push(lane);
        }
        let (Some(before), Some(after)) = (before, self.position()) else {
            return Step::Gap;
        };
        let span = Span {
            start: self.end.take().unwrap_or_else(|| Arc::new(before)),
            end: Arc::new(after),
        };
        self.end = Some(Arc::clone(&span.end));
        let message = notices::of_event(event, around.lineage.config().notices, around.lineage.name());
        let chunk = Arc::new(Chunk::of_event(event, message, span, None));
        self.hand_out(chunk, around)
    }

    /// Makes chunks of lines that were read in the current file, or in the draining one of this index.
    fn read(
        &mut self,
        before: Option<Position>,
        lines: VecDeque<Lines>,
        draining: Option<usize>,
        around: &Surroundings<'_>,
    ) -> Option<Step> {
        let before = before?;
        let mut start = self.end.take().unwrap_or_else(|| Arc::new(before.clone()));
        for lines in lines {
            let end = match draining {
                None => before.with_current(lines.end()),
                Some(index) => before.with_draining(index, lines.end()),
            };
            let span = Span {
                start,
                end: Arc::new(end),
            };
            start = Arc::clone(&span.end);
            self.end = Some(Arc::clone(&start));
            let chunk = Chunk::history(lines.frames().clone(), lines.count(), span, None);
            self.ready.push_back(Arc::new(chunk));
        }
        let chunk = self.ready.pop_front()?;
        Some(self.hand_out(chunk, around))
    }

    fn hand_out(&self, chunk: Arc<Chunk>, around: &Surroundings<'_>) -> Step {
        let arrived = self.ready.is_empty() && self.is_at_target(around);
        Step::Chunk(chunk, arrived)
    }

    /// Whether nothing lies between here and the live stream. Of files that a viewer has nothing of it needs no late
    /// lines.
    fn is_at_target(&self, around: &Surroundings<'_>) -> bool {
        let Some(lane) = &self.current else {
            return false;
        };
        let in_current = around.target_file().is_some_and(|target| lane.is(target))
            && lane.place().has_bytes_of(around.target.current());
        let at_target = |lane: &Lane| {
            let target = around.target_in(lane);
            target.is_some_and(|target| lane.place().has_bytes_of(&target))
        };
        in_current && self.draining.iter().all(at_target)
    }

    /// It is beyond where the live stream has come to: in a line that has no end yet.
    fn ahead(&self) -> Step {
        match self.position() {
            Some(position) => Step::Ahead(Arc::new(position)),
            None => Step::Gap,
        }
    }
}

/// Finds the file that a place is in: the same one first, where it is held, then as [`Archive::locate`] does,
/// then among those that are held and have lost their names.
fn find(place: &Place, around: &Surroundings<'_>, archive: &mut Option<Archive>) -> io::Result<Option<Lane>> {
    let (same, others): (Vec<_>, Vec<_>) = around.files.iter().rev().partition(|held| place.is_of(held.identity()));
    let among = |files: Vec<&Arc<Held>>| {
        for held in files {
            if let Some(file) = held.content().file()
                && place.agrees(file)?
            {
                return Ok(Some(Lane::held(held, *place)));
            }
        }
        io::Result::Ok(None)
    };
    if let Some(lane) = among(same)? {
        return Ok(Some(lane));
    }
    match find_on_disk(place, around, archive)? {
        Some(lane) => Ok(Some(lane)),
        None => among(others),
    }
}

fn find_on_disk(place: &Place, around: &Surroundings<'_>, archive: &mut Option<Archive>) -> io::Result<Option<Lane>> {
    let archive = match archive {
        Some(archive) => archive,
        None => match around.archive() {
            Ok(opened) => archive.insert(opened),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        },
    };
    let Some((file, _)) = archive.locate(&Position::in_current(*place), &budget())? else {
        return Ok(None);
    };
    let id = FileId::of(&file.source.file().metadata()?);
    match around.held(id) {
        Some(held) => Ok(Some(Lane::held(held, *place))),
        // The tailer has yet to find it.
        None if file.age == 0 => Err(io::ErrorKind::WouldBlock.into()),
        None => Lane::sibling(&file, Some(*place), around.turn.as_ref()).map(Some),
    }
}

/// What the tailer of a channel keeps for those who catch up; nothing else feeds channels from files.
fn surroundings<'a>(
    past: &'a Arc<dyn Past>,
    target: &'a Position,
    turn: Option<Arc<OwnedSemaphorePermit>>,
) -> Option<Surroundings<'a>> {
    let past: &dyn Any = &**past;
    let lineage = past.downcast_ref::<Lineage>()?;
    let max_line = lineage.config().stream.max_line.0;
    Some(Surroundings {
        lineage,
        files: lineage.files()?,
        target,
        max_line: usize::try_from(max_line).unwrap_or(usize::MAX),
        turn,
    })
}

impl Replay for Way {
    fn step(&mut self, past: &Arc<dyn Past>, target: &Arc<Position>) -> Step {
        // One turn for all its files: who waited for a second one while it has the first could wait for ever.
        let lanes = self.current.iter().chain(&self.draining);
        let turn = self
            .turn
            .take()
            .or_else(|| lanes.filter_map(Lane::turn).next().cloned());
        let Some(around) = surroundings(past, target, turn) else {
            return Step::Gap;
        };
        match self.try_step(&around) {
            Ok(step) => step,
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Step::Queued,
            // It was looked for as long as one may before others have their turn.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Step::Working,
            Err(error) => {
                debug!(file = around.lineage.name(), %error, "a viewer can't catch up here yet");
                Step::Waiting
            }
        }
    }

    fn step_without_reading(&mut self, past: &Arc<dyn Past>, target: &Arc<Position>) -> Option<Step> {
        if self.start.is_some() {
            return None;
        }
        let around = surroundings(past, target, None)?;
        match self.ready.pop_front() {
            Some(chunk) => Some(self.hand_out(chunk, &around)),
            None => self.cached_step(&around),
        }
    }

    fn may_unpack(&mut self, turn: OwnedSemaphorePermit) {
        self.turn = Some(Arc::new(turn));
    }
}
