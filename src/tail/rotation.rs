//! The name and the files behind it: who has it, who had it, and for how long those are read on.

use std::fs::{File, Metadata};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use super::file::{self, FileId};
use super::generation::{Beginning, Generation};
use super::publisher::Publisher;
use super::{MAX_GENERATIONS, Reading, Standing, Tail, is_missing, rules};
use crate::chunk::Event;
use crate::config::Config;
use crate::hub::History;
use crate::position::Position;

/// How long a new file is looked at before it counts as a new one where it may be an editor's save.
const REWRITE_WAIT: Duration = Duration::from_millis(200);
/// How often it is looked at.
const REWRITE_STEP: Duration = Duration::from_millis(5);

/// A rotated file that may still be written to.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) generation: Generation,
    pub(super) until: Instant,
    /// Its size when the time was over, or the name was gone for good, which is as far as it is read.
    pub(super) end: Option<u64>,
}

/// A file that took the name.
#[derive(Debug)]
pub(super) enum Next {
    /// One that was not held before.
    New(Box<Generation>),
    /// One that had the name before and is held as a draining one by the time that it is its turn: it is read on from
    /// where it was.
    Again(FileId),
}

impl Next {
    fn id(&self) -> FileId {
        match self {
            Self::New(generation) => generation.id(),
            Self::Again(id) => *id,
        }
    }
}

/// A file whose turn comes when the ones before it are read.
#[derive(Debug)]
pub(super) struct Queued {
    next: Next,
    found_at: Instant,
}

impl Tail {
    /// Reads what is still written to files that lost the name, and lets go of those whose time is over.
    pub(super) fn drain(&mut self, now: Instant, buffer: &mut [u8]) -> Reading {
        let mut soonest = Reading::AtEnd;
        let mut places = self.draining_places();
        let current = self.current.place();
        let (channel, published_at) = (&self.channel, &mut self.published_at);
        let mut index = 0;
        self.draining.retain_mut(|Draining { generation, until, end }| {
            if now >= *until && end.is_none() {
                *end = generation.size().ok();
            }
            let mut publisher = Publisher {
                channel,
                published_at,
                standing: Standing::Late,
                position: &mut |place| {
                    if let Some(known) = places.get_mut(index) {
                        *known = place;
                    }
                    Position::new(current, places.clone())
                },
            };
            let reading = publisher.read_on(generation, end.unwrap_or(u64::MAX), now, buffer);
            let ended = match reading {
                // What can't be read now may be read a moment later.
                Ok((Reading::AtEnd, _)) | Err(_) => now >= *until,
                Ok((Reading::Changed, _)) => true,
                Ok((more, _)) => {
                    let at = [soonest, more].into_iter().filter_map(|r| r.again_at(now)).min();
                    soonest = at.map_or(Reading::AtEnd, Reading::Later);
                    false
                }
            };
            if ended {
                publisher.flush(generation, true);
            }
            index += 1;
            !ended
        });
        if self.draining.len() < index {
            self.files_changed();
            self.channel.set_position(self.position());
        }
        soonest
    }

    /// Has all files read as far as they are written now, and no further, unless the name comes back.
    pub(super) fn come_to_an_end(&mut self) {
        if self.end.is_none() {
            self.end = self.current.size().ok();
            for draining in &mut self.draining {
                draining.end = draining.end.or_else(|| draining.generation.size().ok());
            }
        }
    }

    /// Looks which file the name leads to now, and which ones have borne it since the last time.
    pub(super) fn look_at_name(&mut self, config: &Config, now: Instant) {
        let mark = Arc::clone(&self.mark);
        // Held until the file of now is opened, so that events open theirs before or after it, never in between.
        let mut found = mark.found();
        if !found.is_empty() {
            // It was there in between.
            self.is_there();
        }
        for (file, metadata) in found.drain(..) {
            self.took_name(file, &metadata, config, now);
        }
        match fs::metadata(&self.path) {
            Ok(metadata) if !metadata.is_file() => self.gone(now),
            Ok(metadata) if FileId::of(&metadata) == self.newest() => {
                self.is_there();
                self.name_warned = false;
            }
            Ok(_) if self.queued.len() >= MAX_GENERATIONS => self.is_there(),
            Ok(_) => match file::open(&self.path) {
                Ok((file, metadata)) => {
                    self.is_there();
                    self.took_name(file, &metadata, config, now);
                }
                Err(error) if is_missing(&error) => self.gone(now),
                Err(error) => {
                    self.is_there();
                    self.warn_of_name("the new file of the name can't be opened", &error);
                }
            },
            Err(error) if is_missing(&error) => self.gone(now),
            Err(error) => {
                self.is_there();
                self.warn_of_name("the name can't be looked at", &error);
            }
        }
    }

    /// Queues a file that took the name after those that are known to have done so.
    fn took_name(&mut self, file: File, metadata: &Metadata, config: &Config, now: Instant) {
        let id = FileId::of(metadata);
        if id == self.newest() || self.queued.len() >= MAX_GENERATIONS {
            return;
        }
        let next = if self.holds(id) {
            Next::Again(id)
        } else {
            Next::New(Box::new(Generation::from_start(
                file,
                metadata,
                rules(config, self.label),
            )))
        };
        self.queued.push_back(Queued { next, found_at: now });
    }

    /// The last file that is known to have taken the name.
    fn newest(&self) -> FileId {
        self.queued.back().map_or(self.current.id(), |queued| queued.next.id())
    }

    /// Whether the file is open, so that what has this number is no other one.
    fn holds(&self, id: FileId) -> bool {
        let draining = self.draining.iter().map(|draining| draining.generation.id());
        let queued = self.queued.iter().map(|queued| queued.next.id());
        draining.chain(queued).chain([self.current.id()]).any(|held| held == id)
    }

    /// The name leads somewhere: nothing comes to an end.
    fn is_there(&mut self) {
        self.gone_since = None;
        if self.end.take().is_some() {
            for draining in &mut self.draining {
                draining.end = None;
            }
        }
    }

    fn gone(&mut self, now: Instant) {
        self.gone_since.get_or_insert(now);
    }

    /// Until when it can't be told whether the next file is a new one or the old one written anew: an editor's backup
    /// may still be linked, or too little of the new file be written. None once it can.
    pub(super) fn undecided_until(&self, now: Instant) -> Option<Instant> {
        let Queued { next, found_at } = self.queued.front()?;
        let Next::New(next) = next else {
            return None;
        };
        if self.stopping || self.queued.len() > 1 || now.duration_since(*found_at) >= REWRITE_WAIT {
            return None;
        }
        let open = match self.current.compare_beginning(next).unwrap_or(Beginning::Other) {
            Beginning::Open => true,
            Beginning::Same => self.current.is_linked().unwrap_or(false),
            Beginning::Other => false,
        };
        open.then(|| now + REWRITE_STEP)
    }

    /// Goes on with the next file that took the name; the one before is read on for a while.
    pub(super) fn pass_on(&mut self, config: &Config, now: Instant, buffer: &mut [u8]) {
        let Some(Queued { next, found_at }) = self.queued.pop_front() else {
            return;
        };
        let (next, again) = match next {
            Next::New(generation) => (*generation, false),
            Next::Again(id) => match self.draining.iter().position(|draining| draining.generation.id() == id) {
                Some(index) => {
                    let mut generation = self.draining.remove(index).generation;
                    generation.begin_again();
                    (generation, true)
                }
                // Let go of by now, or current still: the next look at the name tells.
                None => return,
            },
        };
        let mut before = std::mem::replace(&mut self.current, next);
        before.is_compared_no_more();
        let rewritten = !again
            && !before.is_linked().unwrap_or(true)
            && matches!(before.compare_beginning(&self.current), Ok(Beginning::Same));
        let event = match rewritten {
            true => Event::Truncated,
            false => Event::Rotated,
        };
        if rewritten && let Err(error) = self.current.replay_last_lines(config.stream.history_lines) {
            self.warn("the rewritten file can't be read", &error);
        }
        if let (Some(before), Some(next)) = (before.held(), self.current.held()) {
            next.begin_at(self.current.place());
            before.be_followed_by(event, next.clone());
        }
        if !rewritten {
            self.draining.push(Draining {
                generation: before,
                until: found_at + config.stream.rotate_wait.0,
                end: None,
            });
        }
        self.files_changed();
        self.channel.publish_event(event, Some(self.position()));
        if again {
            match self.current.history(config.stream.history_lines, buffer, now) {
                Ok((start, lines)) => self.channel.set_history(&History { start, lines }),
                Err(error) => self.warn("the file that has its name again can't be read", &error),
            }
        }
        if self.draining.len() > MAX_GENERATIONS {
            let mut oldest = self.draining.remove(0);
            let position = self.position();
            let mut publisher = Publisher {
                channel: &self.channel,
                published_at: &mut self.published_at,
                standing: Standing::Late,
                position: &mut |_| position.clone(),
            };
            publisher.flush(&mut oldest.generation, true);
            self.files_changed();
            self.channel.set_position(position);
        }
        self.short_since = None;
        self.mark.renew();
    }

    fn warn_of_name(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.name_warned, true) {
            self.warn(what, error);
        }
    }
}
