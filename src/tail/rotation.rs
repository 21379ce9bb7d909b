//! The name and the files behind it: who has it, who had it, and for how long those are read on.

use std::time::{Duration, Instant};
use std::{fs, io};

use super::file::{self, FileId};
use super::generation::Generation;
use super::{MAX_GENERATIONS, Reading, Standing, Tail, is_missing, publish, read_on, rules};
use crate::chunk::{Batch, Event};
use crate::config::Config;

/// How long a new file is looked at before it counts as a new one where it may be an editor's save.
const REWRITE_WAIT: Duration = Duration::from_millis(200);
/// How often it is looked at.
const REWRITE_STEP: Duration = Duration::from_millis(5);

/// A rotated file that may still be written to.
#[derive(Debug)]
pub(super) struct Draining {
    pub(super) generation: Generation,
    pub(super) until: Instant,
    /// Its size when the time was over, which is as far as it is read.
    pub(super) end: Option<u64>,
}

impl Tail {
    /// Reads what is still written to files that lost the name, and lets go of those whose time is over.
    pub(super) fn drain(&mut self, now: Instant, buffer: &mut [u8]) -> Reading {
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
    pub(super) fn come_to_an_end(&mut self, now: Instant) {
        if self.end.is_none() {
            self.end = self.current.size().ok();
            for draining in &mut self.draining {
                draining.until = draining.until.min(now);
            }
        }
    }

    /// Looks which file the name leads to now.
    pub(super) fn look_at_name(&mut self, config: &Config, now: Instant) {
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
            Ok(_) => match file::open(&self.path) {
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
    pub(super) fn undecided_until(&self, now: Instant) -> Option<Instant> {
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
    pub(super) fn pass_on(&mut self, config: &Config, now: Instant, buffer: &mut [u8]) {
        let Some((next, found_at)) = self.queued.pop_front() else {
            return;
        };
        let mut before = std::mem::replace(&mut self.current, next);
        before.is_compared_no_more();
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

    fn warn_of_name(&mut self, what: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.name_warned, true) {
            self.warn(what, error);
        }
    }
}
