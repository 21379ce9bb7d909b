//! The tailer: one per file with viewers, the only reader of the file's growth.
//!
//! It runs on a [`Reader`] thread, in turns. A turn compares the file with what was read of it, reads to its end or to
//! the budget, looks at the name and publishes into the file's [`Channel`]. Events of the file system only say when a
//! turn is worth while; what happened is told by the descriptor, the name and the bytes themselves.

mod generation;
mod history;
mod marker;
mod reader;
mod watch;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::chunk::{Batch, Event};
use crate::config::Config;
use crate::decode::Decoder;
use crate::hub::{Channel, Found};
use generation::{FileId, Generation, Rules, Step};
use marker::Content;
use watch::Mark;

pub use reader::Reader;
pub use watch::Wakeups;

/// How long a tailer stays after its last viewer, so that one who comes back finds it warm.
const LINGER: Duration = Duration::from_secs(30);
/// A file that grew within this time without an event that told so, as behind another mount, is polled: it is hot.
const HOT_FOR: Duration = Duration::from_secs(1);
/// The least time between two looks at a file, and with it between two system calls for nothing.
const MIN_PAUSE: Duration = Duration::from_millis(2);
/// The window in which lines gather to be sent together, at least: what leaves a quiet file leaves at once, and what
/// follows within this time waits for its end.
const MIN_WINDOW: Duration = Duration::from_millis(5);
/// The window grows with the time that sending to all viewers takes, a round: so many rounds, so that the viewers of a
/// file take an eighth of a core,
const WINDOW_ROUNDS: u32 = 8;
/// but no longer than this. Where a round takes longer, lines gather while the ones before are sent, whatever the
/// window: then it is the shortest, as each viewer that has its turn gets all that was read until then.
const MAX_WINDOW: Duration = Duration::from_millis(16);
/// Every file is looked at this often whatever the events say.
const QUIET_POLL: Duration = Duration::from_millis(225);
/// Such looks happen at multiples of this.
const QUIET_BEAT: Duration = Duration::from_millis(50);
/// Since when they are counted.
static FIRST_BEAT: LazyLock<Instant> = LazyLock::new(Instant::now);
/// And this often where there are no events.
const UNWATCHED_POLL: Duration = Duration::from_millis(50);
/// As good as never.
const NO_POLL: Duration = Duration::from_secs(3600);
/// How long a file may be too short for what was read of it before it counts as truncated: network file systems show
/// stale sizes.
const SHORT_WAIT: Duration = Duration::from_millis(50);
/// How long a new file is looked at before it counts as a new one where it may be an editor's save.
const REWRITE_WAIT: Duration = Duration::from_millis(200);
/// How often it is looked at.
const REWRITE_STEP: Duration = Duration::from_millis(5);
/// Bytes read of one file in a turn, so that it does not keep others waiting.
const TURN_BYTES: usize = 1 << 20;
/// How long viewers that read are waited for with each chunk of a backlog on disk.
const PAUSE: Duration = Duration::from_millis(20);
/// How soon it is looked whether they have caught up.
const PAUSE_STEP: Duration = Duration::from_millis(2);
/// A rewritten file is sent whole up to so many lines.
const MAX_REWRITTEN_LINES: usize = 10_000;
/// Rotated files that are kept open at a time, for one name: a descriptor each.
const MAX_GENERATIONS: usize = 32;

/// What is left to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Another turn at this time, or earlier if something happens.
    At(Instant),
    /// Nothing: the file is gone, or nobody looks at it.
    Over,
}

/// What reading the current file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Its end.
    AtEnd,
    /// There is more, now.
    More,
    /// There is more, or may be, at this time.
    Later(Instant),
    /// Not the content that was read before.
    Changed,
}

impl Reading {
    /// When to go on, where that is not left to what happens.
    fn again_at(self, now: Instant) -> Option<Instant> {
        match self {
            Self::AtEnd => None,
            Self::More | Self::Changed => Some(now),
            Self::Later(at) => Some(at),
        }
    }
}

/// What the lines of a file count as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Lines of the file that bears the name.
    Current,
    /// Lines of a file that lost the name, which are no part of the new one's history.
    Late,
}

/// A rotated file that may still be written to.
#[derive(Debug)]
struct Draining {
    generation: Generation,
    until: Instant,
    /// Its size when the time was over, which is as far as it is read.
    end: Option<u64>,
}

/// Follows one name.
#[derive(Debug)]
struct Tail {
    channel: Arc<Channel>,
    path: PathBuf,
    label: Option<Decoder>,
    mark: Arc<Mark>,
    wakeups: Wakeups,
    /// The file that is being sent.
    current: Generation,
    /// Files that took the name after it, with the time when each was found.
    queued: VecDeque<(Generation, Instant)>,
    /// Files that had the name before it.
    draining: Vec<Draining>,
    grew_at: Option<Instant>,
    /// Whether an event told that it grew, the last time it did: then the next one will, too.
    announced: bool,
    /// Since when the file has been too short for what was read of it.
    short_since: Option<Instant>,
    /// Since when the name has led nowhere.
    gone_since: Option<Instant>,
    /// How far the file is read once the name is gone for good: a writer that never pauses would put off its end.
    end: Option<u64>,
    published_at: Instant,
    /// Whether the server stops, so that nothing is waited for.
    stopping: bool,
    /// Whether it was said that the name can't be looked at.
    name_warned: bool,
    /// Whether it was said that the file can't be read.
    read_warned: bool,
}

impl Tail {
    /// Opens the file of a channel and feeds the channel its last lines.
    ///
    /// # Errors
    ///
    /// [`Found`] as anything but fed.
    fn open(
        channel: &Arc<Channel>,
        path: PathBuf,
        label: Option<Decoder>,
        mark: Arc<Mark>,
        wakeups: Wakeups,
        buffer: &mut [u8],
    ) -> Result<Self, Found> {
        let config = channel.settings().current();
        let now = Instant::now();
        let opened = Self::open_with_history(&path, rules(&config, label), config.stream.history_lines, buffer, now);
        let (current, history) = opened.map_err(|error| {
            if is_missing(&error) {
                Found::Missing
            } else {
                warn!(file = %channel.name(), path = %path.display(), %error, "the file can't be read");
                Found::Unreadable
            }
        })?;
        // What events opened before this file was is older than it, or this one.
        mark.take_found();
        if !channel.feed(history) {
            return Err(Found::Fed);
        }
        channel.set_encoding(current.encoding());
        debug!(file = %channel.name(), path = %path.display(), "following");
        Ok(Self {
            channel: Arc::clone(channel),
            path,
            label,
            mark,
            wakeups,
            current,
            queued: VecDeque::new(),
            draining: Vec::new(),
            grew_at: None,
            announced: false,
            short_since: None,
            gone_since: None,
            end: None,
            published_at: now,
            stopping: false,
            name_warned: false,
            read_warned: false,
        })
    }

    fn open_with_history(
        path: &std::path::Path,
        rules: Rules,
        lines: usize,
        buffer: &mut [u8],
        now: Instant,
    ) -> io::Result<(Generation, Batch)> {
        let (file, metadata) = generation::open(path)?;
        let mut generation = Generation::from_start(file, &metadata, rules);
        let end = generation.seek_last_lines(lines)?;
        let history = generation.read_to(end, buffer, now)?;
        Ok((generation, history))
    }

    /// One turn.
    fn turn(&mut self, now: Instant, buffer: &mut [u8]) -> Turn {
        if self.channel.unfeed_if_empty_for(LINGER) {
            return Turn::Over;
        }
        let announced = self.mark.take_dirty();
        if self.mark.take_lost() {
            self.channel.metrics().rescan.increment(1);
        }
        let grew_at = self.grew_at;
        let ticket = self.channel.asked();
        let config = self.channel.settings().current();
        let (mut drained, mut reading);
        loop {
            drained = self.drain(now, buffer);
            reading = self.follow(&config, now, buffer);
            self.look_at_name(&config, now);
            // The name may have changed hands after the last read: what came before that is read first.
            if reading != Reading::AtEnd || self.queued.is_empty() {
                break;
            }
            reading = self.follow(&config, now, buffer);
            if reading != Reading::AtEnd {
                break;
            }
            if let Some(at) = self.undecided_until(now) {
                reading = Reading::Later(at);
                break;
            }
            self.pass_on(&config, now, buffer);
        }
        self.flush_partial_lines(&config, now);
        if self.grew_at != grew_at {
            self.announced = announced;
        } else {
            self.channel.trim();
        }
        let again_at = [drained, reading].into_iter().filter_map(|r| r.again_at(now)).min();
        let grace = config.stream.rotate_grace.0;
        if self.gone_since.is_some_and(|since| now.duration_since(since) >= grace) {
            if reading == Reading::AtEnd && self.draining.is_empty() {
                self.finish();
                return Turn::Over;
            }
            self.come_to_an_end(now);
            return Turn::At(again_at.unwrap_or(now));
        }
        self.end = None;
        if reading == Reading::AtEnd {
            self.channel.looked(ticket, Found::Fed);
        }
        let next_look = self.next_look(&config, now);
        Turn::At(again_at.map_or(next_look, |at| at.min(next_look)))
    }

    /// The last turn of a server that stops: nothing is waited for any more.
    fn last_turn(&mut self, now: Instant, buffer: &mut [u8]) {
        self.stopping = true;
        self.turn(now, buffer);
    }

    /// When the lines that gather now may be read at the earliest, given when the last turn was.
    fn window_ends(&self, last_turn: Instant) -> Instant {
        (self.published_at + window(self.channel.round())).max(last_turn + MIN_PAUSE)
    }

    /// When the next turn is due if nothing happens.
    fn next_look(&self, config: &Config, now: Instant) -> Instant {
        let hot = !self.announced && self.grew_at.is_some_and(|at| now.duration_since(at) < HOT_FOR);
        let pause = match self.wakeups {
            Wakeups::EventsOnly => NO_POLL,
            _ if hot => window(self.channel.round()),
            _ if self.mark.is_watched() => QUIET_POLL,
            _ => UNWATCHED_POLL,
        };
        let mut next = match pause {
            QUIET_POLL => next_beat(now + pause),
            _ => now + pause,
        };
        let partial_timeout = config.stream.partial_line_timeout.0;
        let generations = self.draining.iter().map(|draining| &draining.generation);
        for since in generations.chain([&self.current]).filter_map(Generation::partial_since) {
            next = next.min(since + partial_timeout);
        }
        if let Some(since) = self.gone_since {
            next = next.min(since + config.stream.rotate_grace.0);
        }
        for draining in &self.draining {
            next = next.min(draining.until);
        }
        next.max(now)
    }

    /// Reads what is still written to files that lost the name, and lets go of those whose time is over.
    fn drain(&mut self, now: Instant, buffer: &mut [u8]) -> Reading {
        let mut soonest = Reading::AtEnd;
        let (channel, published_at) = (&self.channel, &mut self.published_at);
        self.draining.retain_mut(|Draining { generation, until, end }| {
            if now >= *until && end.is_none() {
                *end = generation.size().ok();
            }
            let limit = end.unwrap_or(u64::MAX);
            let reading = read_on(channel, published_at, generation, limit, Standing::Late, now, buffer);
            let ended = match reading {
                Ok((Reading::AtEnd, _)) => now >= *until,
                Ok((Reading::Changed, _)) | Err(_) => true,
                Ok((more, _)) => {
                    let at = [soonest, more].into_iter().filter_map(|r| r.again_at(now)).min();
                    soonest = at.map_or(Reading::AtEnd, Reading::Later);
                    false
                }
            };
            if ended {
                let mut batch = Batch::default();
                generation.flush_partial(true, &mut |text| batch.push(text));
                publish(channel, &mut batch, Standing::Late, false);
            }
            !ended
        });
        soonest
    }

    /// Has all files read as far as they are written now, and no further.
    fn come_to_an_end(&mut self, now: Instant) {
        if self.end.is_none() {
            self.end = self.current.size().ok();
            for draining in &mut self.draining {
                draining.until = draining.until.min(now);
            }
        }
    }

    /// Compares the current file with what was read of it and reads on.
    fn follow(&mut self, config: &Config, now: Instant, buffer: &mut [u8]) -> Reading {
        match self.try_follow(config, now, buffer) {
            Ok(reading) => {
                self.read_warned = false;
                reading
            }
            Err(error) => {
                if !std::mem::replace(&mut self.read_warned, true) {
                    self.warn("the file can't be read on; it is tried again", &error);
                }
                Reading::AtEnd
            }
        }
    }

    fn try_follow(&mut self, config: &Config, now: Instant, buffer: &mut [u8]) -> io::Result<Reading> {
        match self.current.check()? {
            Content::Same => self.short_since = None,
            Content::Short => {
                let since = *self.short_since.get_or_insert(now);
                if now.duration_since(since) < SHORT_WAIT {
                    return Ok(Reading::Later(since + SHORT_WAIT));
                }
                self.truncated(config)?;
            }
            Content::Other => self.truncated(config)?,
        }
        let (channel, published_at, current) = (&self.channel, &mut self.published_at, &mut self.current);
        let limit = self.end.unwrap_or(u64::MAX);
        let (reading, grew) = read_on(channel, published_at, current, limit, Standing::Current, now, buffer)?;
        if grew {
            self.grew_at = Some(now);
        }
        self.channel.set_encoding(self.current.encoding());
        Ok(reading)
    }

    fn truncated(&mut self, config: &Config) -> io::Result<()> {
        self.short_since = None;
        self.channel.publish_event(Event::Truncated);
        self.current.restart(MAX_REWRITTEN_LINES, config.stream.history_lines)
    }

    /// Looks which file the name leads to now.
    fn look_at_name(&mut self, config: &Config, now: Instant) {
        for (file, metadata) in self.mark.take_found() {
            let id = FileId::of(&metadata);
            let queued = self.queued.iter().map(|(generation, _)| generation);
            let draining = self.draining.iter().map(|draining| &draining.generation);
            let known = queued
                .chain(draining)
                .chain([&self.current])
                .any(|generation| generation.id() == id);
            if !known && self.queued.len() < MAX_GENERATIONS {
                let generation = Generation::from_start(file, &metadata, rules(config, self.label));
                self.queued.push_back((generation, now));
            }
        }
        let newest = self
            .queued
            .back()
            .map_or(&self.current, |(generation, _)| generation)
            .id();
        match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => self.gone(now),
            Ok(metadata) if FileId::of(&metadata) == newest => {
                self.gone_since = None;
                self.name_warned = false;
            }
            Ok(_) if self.queued.len() >= MAX_GENERATIONS => self.gone_since = None,
            Ok(metadata) if self.is_draining(FileId::of(&metadata)) => {
                self.gone_since = None;
                self.take_back(FileId::of(&metadata), now);
            }
            Ok(_) => match generation::open(&self.path) {
                Ok((file, metadata)) => {
                    self.gone_since = None;
                    let id = FileId::of(&metadata);
                    if id != newest {
                        let generation = Generation::from_start(file, &metadata, rules(config, self.label));
                        self.queued.push_back((generation, now));
                    }
                }
                Err(error) if is_missing(&error) => self.gone(now),
                Err(error) => {
                    self.gone_since = None;
                    self.warn_of_name("the new file of the name can't be opened", &error);
                }
            },
            Err(error) if is_missing(&error) => self.gone(now),
            Err(error) => {
                self.gone_since = None;
                self.warn_of_name("the name can't be looked at", &error);
            }
        }
    }

    fn is_draining(&self, id: FileId) -> bool {
        self.draining.iter().any(|draining| draining.generation.id() == id)
    }

    /// A file that lost the name has it again: it is read on from where it was.
    fn take_back(&mut self, id: FileId, now: Instant) {
        let index = self.draining.iter().position(|draining| draining.generation.id() == id);
        if let Some(index) = index {
            self.queued.push_back((self.draining.remove(index).generation, now));
        }
    }

    fn gone(&mut self, now: Instant) {
        self.gone_since.get_or_insert(now);
    }

    /// Until when it can't be told whether the next file is a new one or the old one written anew: an editor's backup
    /// may still be linked, or the new file still empty. None once it can.
    fn undecided_until(&self, now: Instant) -> Option<Instant> {
        let (next, found_at) = self.queued.front()?;
        if self.stopping
            || self.queued.len() > 1
            || now.duration_since(*found_at) >= REWRITE_WAIT
            || !next.is_untouched()
        {
            return None;
        }
        let empty = next.is_empty().unwrap_or(false);
        let alike = self.current.begins_like(next).unwrap_or(false);
        let linked = self.current.is_linked().unwrap_or(false);
        (empty || alike && linked).then(|| now + REWRITE_STEP)
    }

    /// Goes on with the next file that took the name; the one before is read on for a while.
    fn pass_on(&mut self, config: &Config, now: Instant, buffer: &mut [u8]) {
        let Some((next, found_at)) = self.queued.pop_front() else {
            return;
        };
        let before = std::mem::replace(&mut self.current, next);
        let again = !self.current.is_untouched();
        let rewritten =
            !again && !before.is_linked().unwrap_or(true) && before.begins_like(&self.current).unwrap_or(false);
        if rewritten {
            self.channel.publish_event(Event::Truncated);
            if let Err(error) = self.current.replay_last_lines(config.stream.history_lines) {
                self.warn("the rewritten file can't be read", &error);
            }
        } else {
            self.channel.publish_event(Event::Rotated);
            if again {
                match self.current.history(config.stream.history_lines, buffer, now) {
                    Ok(history) => self.channel.set_history(history),
                    Err(error) => self.warn("the file that has its name again can't be read", &error),
                }
            }
            if self.draining.len() >= MAX_GENERATIONS {
                let mut oldest = self.draining.remove(0);
                let mut batch = Batch::default();
                oldest.generation.flush_partial(true, &mut |text| batch.push(text));
                publish(&self.channel, &mut batch, Standing::Late, false);
            }
            self.draining.push(Draining {
                generation: before,
                until: found_at + config.stream.rotate_wait.0,
                end: None,
            });
        }
        self.short_since = None;
        self.mark.renew();
    }

    /// Sends last lines without an end that have stood unchanged for long enough.
    fn flush_partial_lines(&mut self, config: &Config, now: Instant) {
        let timeout = config.stream.partial_line_timeout.0;
        let due = |generation: &Generation| {
            generation
                .partial_since()
                .is_some_and(|since| now.duration_since(since) >= timeout)
        };
        let mut batch = Batch::default();
        for draining in &mut self.draining {
            if due(&draining.generation) {
                draining.generation.flush_partial(false, &mut |text| batch.push(text));
            }
        }
        publish(&self.channel, &mut batch, Standing::Late, false);
        if due(&self.current) {
            self.current.flush_partial(false, &mut |text| batch.push(text));
            publish(&self.channel, &mut batch, Standing::Current, false);
        }
    }

    /// The file is gone for good, and all that was in it is read.
    fn finish(&mut self) {
        let mut batch = Batch::default();
        self.current.flush_partial(true, &mut |text| batch.push(text));
        publish(&self.channel, &mut batch, Standing::Current, false);
        self.channel.publish_event(Event::Removed);
    }

    fn warn_of_name(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.name_warned, true) {
            self.warn(what, error);
        }
    }

    fn warn(&self, what: &str, error: &io::Error) {
        let path = self.path.display();
        warn!(file = %self.channel.name(), %path, %error, "{what}");
    }
}

/// How long lines gather when a round of sending takes so long.
fn window(round: Duration) -> Duration {
    if round >= MAX_WINDOW {
        return MIN_WINDOW;
    }
    (round * WINDOW_ROUNDS).clamp(MIN_WINDOW, MAX_WINDOW)
}

/// The next of the times at which quiet files are looked at, all together, so that a thousand of them do not wake the
/// thread a thousand times.
fn next_beat(time: Instant) -> Instant {
    let since = time.saturating_duration_since(*FIRST_BEAT).as_millis();
    let beat = QUIET_BEAT.as_millis();
    let missing = since.next_multiple_of(beat) - since;
    time + Duration::from_millis(u64::try_from(missing).unwrap_or(0))
}

/// Reads a file to its end or `limit`, or as much as it may in a turn, and sends the lines. Also says whether there was
/// anything to read.
fn read_on(
    channel: &Channel,
    published_at: &mut Instant,
    generation: &mut Generation,
    limit: u64,
    standing: Standing,
    now: Instant,
    buffer: &mut [u8],
) -> io::Result<(Reading, bool)> {
    let mut taken = 0;
    let reading = loop {
        if generation.is_behind() && channel.wants_pause() && published_at.elapsed() < PAUSE {
            break Reading::Later(now + PAUSE_STEP);
        }
        if taken >= TURN_BYTES {
            break Reading::More;
        }
        let replays = generation.replays();
        let mut batch = Batch::default();
        let step = generation.read(buffer, limit, now, &mut |text| {
            batch.push(text);
            if batch.is_full() {
                publish(channel, &mut batch, standing, replays);
                *published_at = Instant::now();
            }
        })?;
        if !batch.is_empty() {
            publish(channel, &mut batch, standing, replays);
            *published_at = Instant::now();
        }
        match step {
            Step::Took(len) => {
                taken += len.max(1);
                if !replays {
                    channel.metrics().bytes_read.increment(len as u64);
                }
            }
            Step::End => break Reading::AtEnd,
            Step::Changed => break Reading::Changed,
        }
    };
    Ok((reading, taken > 0))
}

/// Sends lines, which count as read unless the file is being read again.
fn publish(channel: &Channel, batch: &mut Batch, standing: Standing, replays: bool) {
    let batch = std::mem::take(batch);
    if !replays {
        channel.metrics().lines_read.increment(batch.lines());
    }
    channel.publish(batch, Instant::now(), standing == Standing::Current);
}

fn rules(config: &Config, label: Option<Decoder>) -> Rules {
    Rules {
        decoder: label,
        max_line: usize::try_from(config.stream.max_line.0).unwrap_or(usize::MAX),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_the_round_until_rounds_fill_it() {
        let millis = |round| window(Duration::from_micros(round)).as_micros();
        assert_eq!(millis(0), 5_000, "few viewers");
        assert_eq!(millis(1_000), 8_000);
        assert_eq!(millis(3_000), 16_000);
        assert_eq!(millis(15_999), 16_000);
        assert_eq!(millis(16_000), 5_000, "the core is full");
        assert_eq!(window(Duration::MAX), MIN_WINDOW);
    }
}
