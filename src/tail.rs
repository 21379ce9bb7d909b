//! The tailer: one per file with viewers, the only reader of the file's growth.
//!
//! It runs on a [`Reader`] thread, in turns. A turn compares the file with what was read of it, reads to its end or to
//! the budget, looks at the name and publishes into the file's [`Channel`]. Events of the file system only say when a
//! turn is worth while; what happened is told by the descriptor, the name and the bytes themselves.

mod content;
mod file;
mod generation;
mod history;
mod marker;
mod pace;
mod publisher;
mod reader;
mod replay;
mod rotation;
mod watch;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::chunk::{Event, Lines};
use crate::config::Config;
use crate::decode::Decoder;
use crate::hub::{Channel, Found, History, Past};
use crate::position::{Place, Position};
use generation::{Generation, Rules};
use marker::Compared;
use publisher::Publisher;
use replay::{Lineage, Shared};
use rotation::{Draining, Queued};
use watch::Mark;

pub(crate) use file::open;
pub use reader::Reader;
pub use watch::Wakeups;

/// How long a tailer stays after its last viewer, so that one who comes back finds it warm.
const LINGER: Duration = Duration::from_secs(30);
/// How long a file may be too short for what was read of it before it counts as truncated: network file systems show
/// stale sizes.
const SHORT_WAIT: Duration = Duration::from_millis(50);
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

/// Follows one name.
#[derive(Debug)]
struct Tail {
    channel: Arc<Channel>,
    path: PathBuf,
    label: Option<Decoder>,
    mark: Arc<Mark>,
    wakeups: Wakeups,
    /// What those who catch up go by.
    lineage: Arc<Lineage>,
    /// The file that is being sent.
    current: Generation,
    /// Files that took the name after it.
    queued: VecDeque<Queued>,
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
        shared: &Shared,
        buffer: &mut [u8],
    ) -> Result<Self, Found> {
        let config = channel.settings().current();
        let now = Instant::now();
        let mut found = mark.found();
        // What events opened before is older than the file that is opened now.
        found.clear();
        let opened = file::open(&path);
        drop(found);
        let opened = opened.and_then(|(file, metadata)| {
            let generation = Generation::from_start(file, &metadata, rules(&config, label));
            Self::with_history(generation, config.stream.history_lines, buffer, now)
        });
        let (current, start, lines) = opened.map_err(|error| {
            if is_missing(&error) {
                Found::Missing
            } else {
                warn!(file = %channel.name(), path = %path.display(), %error, "the file can't be read");
                Found::Unreadable
            }
        })?;
        let lineage = Arc::new(Lineage::new(channel, &path, label, &current, shared));
        let past: Arc<dyn Past> = Arc::clone(&lineage) as Arc<dyn Past>;
        if !channel.feed(
            &History { start, lines },
            Position::in_current(current.place()),
            Some(past),
        ) {
            return Err(Found::Fed);
        }
        channel.set_encoding(current.encoding());
        debug!(file = %channel.name(), path = %path.display(), "following");
        Ok(Self {
            channel: Arc::clone(channel),
            lineage,
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

    fn with_history(
        mut generation: Generation,
        lines: usize,
        buffer: &mut [u8],
        now: Instant,
    ) -> io::Result<(Generation, Place, Vec<Lines>)> {
        let end = generation.seek_last_lines(lines)?;
        let start = generation.place();
        let lines = generation.read_to(end, buffer, now, lines)?;
        Ok((generation, start, lines))
    }

    /// Behind all that was published.
    fn position(&self) -> Position {
        Position::new(self.current.place(), self.draining_places())
    }

    fn draining_places(&self) -> Vec<Place> {
        self.draining
            .iter()
            .map(|draining| draining.generation.place())
            .collect()
    }

    /// Tells those who catch up which files there are now.
    fn files_changed(&self) {
        let draining = self.draining.iter().map(|draining| &draining.generation);
        self.lineage.set(&self.current, draining);
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
        // While there is more to read, the end of the line may be in it.
        self.flush_partial_lines(&config, now, drained == Reading::AtEnd, reading == Reading::AtEnd);
        if self.grew_at != grew_at {
            self.announced = announced;
        } else {
            self.channel.trim();
        }
        let again_at = [drained, reading].into_iter().filter_map(|r| r.again_at(now)).min();
        let grace = config.stream.rotate_grace.0;
        if self.gone_since.is_some_and(|since| now.duration_since(since) >= grace) {
            if [drained, reading] == [Reading::AtEnd; 2] {
                self.finish();
                return Turn::Over;
            }
            self.come_to_an_end();
            return Turn::At(again_at.unwrap_or(now));
        }
        if reading == Reading::AtEnd {
            self.channel.looked(ticket, Found::Fed);
        }
        // Where there is more to read that is soon enough for everything else, a line that waits for its end included.
        Turn::At(again_at.unwrap_or_else(|| self.next_look(&config, now)))
    }

    /// The last turn of a server that stops: nothing is waited for any more.
    fn last_turn(&mut self, now: Instant, buffer: &mut [u8]) {
        self.stopping = true;
        self.turn(now, buffer);
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
        let limit = self.end.unwrap_or(u64::MAX);
        match self.current.check(limit)? {
            Compared::Same => self.short_since = None,
            Compared::Short => {
                let since = *self.short_since.get_or_insert(now);
                if now.duration_since(since) < SHORT_WAIT {
                    return Ok(Reading::Later(since + SHORT_WAIT));
                }
                self.truncated(config)?;
            }
            Compared::Other => self.truncated(config)?,
        }
        let draining = self.draining_places();
        let mut publisher = Publisher {
            channel: &self.channel,
            published_at: &mut self.published_at,
            standing: Standing::Current,
            position: &mut |place| Position::new(place, draining.clone()),
        };
        let (reading, grew) = publisher.read_on(&mut self.current, limit, now, buffer)?;
        if grew {
            self.grew_at = Some(now);
        }
        self.channel.set_encoding(self.current.encoding());
        Ok(reading)
    }

    fn truncated(&mut self, config: &Config) -> io::Result<()> {
        self.short_since = None;
        let restarted = self.current.restart(MAX_REWRITTEN_LINES, config.stream.history_lines);
        self.channel.publish_event(Event::Truncated, Some(self.position()));
        restarted
    }

    /// Sends last lines without an end that have stood unchanged for long enough, of files that are read to their end.
    fn flush_partial_lines(&mut self, config: &Config, now: Instant, draining: bool, current: bool) {
        let timeout = config.stream.partial_line_timeout.0;
        let due = |generation: &Generation| {
            generation
                .partial_since()
                .is_some_and(|since| now.duration_since(since) >= timeout)
        };
        if draining {
            self.flush_draining(&due, false);
        }
        if current && due(&self.current) {
            self.flush_current(false);
        }
    }

    fn flush_draining(&mut self, which: &dyn Fn(&Generation) -> bool, all: bool) {
        let mut places = self.draining_places();
        let current = self.current.place();
        for (index, draining) in self.draining.iter_mut().enumerate() {
            if which(&draining.generation) {
                let mut publisher = Publisher {
                    channel: &self.channel,
                    published_at: &mut self.published_at,
                    standing: Standing::Late,
                    position: &mut |place| {
                        if let Some(known) = places.get_mut(index) {
                            *known = place;
                        }
                        Position::new(current, places.clone())
                    },
                };
                publisher.flush(&mut draining.generation, all);
            }
        }
    }

    fn flush_current(&mut self, all: bool) {
        let draining = self.draining_places();
        let mut publisher = Publisher {
            channel: &self.channel,
            published_at: &mut self.published_at,
            standing: Standing::Current,
            position: &mut |place| Position::new(place, draining.clone()),
        };
        publisher.flush(&mut self.current, all);
    }

    /// The file is gone for good, and all that was in it is read.
    fn finish(&mut self) {
        self.flush_draining(&|_| true, true);
        self.flush_current(true);
        self.channel.publish_event(Event::Removed, Some(self.position()));
    }

    fn warn(&self, what: &str, error: &io::Error) {
        let path = self.path.display();
        warn!(file = %self.channel.name(), %path, %error, "{what}");
    }
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
