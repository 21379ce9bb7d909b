//! The way of one file's lines into the channel.

use std::io;
use std::time::{Duration, Instant};

use super::generation::{Generation, Step};
use super::{Reading, Standing};
use crate::chunk::Lines;
use crate::hub::Channel;
use crate::position::{Place, Position};

/// Bytes read of one file in a turn, so that it does not keep others waiting.
const TURN_BYTES: usize = 1 << 20;
/// How long viewers that read are waited for with each chunk of a backlog on disk.
const PAUSE: Duration = Duration::from_millis(20);
/// How soon it is looked whether they have caught up.
const PAUSE_STEP: Duration = Duration::from_millis(2);

/// Publishes what is read of one file.
pub(super) struct Publisher<'a> {
    pub(super) channel: &'a Channel,
    pub(super) published_at: &'a mut Instant,
    pub(super) standing: Standing,
    /// The position of the stream once this file has come to a place.
    pub(super) position: &'a mut dyn FnMut(Place) -> Position,
}

impl Publisher<'_> {
    /// Reads a file to its end or `limit`, or as much as it may in a turn, and sends the lines. Also says whether there
    /// was anything to read.
    pub(super) fn read_on(
        &mut self,
        generation: &mut Generation,
        limit: u64,
        now: Instant,
        buffer: &mut [u8],
    ) -> io::Result<(Reading, bool)> {
        let keep = match self.standing {
            Standing::Current => self.channel.settings().current().stream.history_lines,
            Standing::Late => 0,
        };
        let mut taken = 0;
        let reading = loop {
            if generation.is_behind() && self.channel.wants_pause() && self.published_at.elapsed() < PAUSE {
                break Reading::Later(now + PAUSE_STEP);
            }
            if taken >= TURN_BYTES {
                break Reading::More;
            }
            let replays = generation.replays();
            let step = generation.read(buffer, limit, now, keep, &mut |lines| self.publish(&lines, replays))?;
            match step {
                Step::Took(len) => {
                    taken += len.max(1);
                    if !replays {
                        self.channel.metrics().bytes_read.increment(len as u64);
                    }
                    if len > 0 && generation.is_at_seen_end() {
                        break Reading::AtEnd;
                    }
                }
                Step::Skipped => {
                    taken += 1;
                    break Reading::More;
                }
                Step::End => break Reading::AtEnd,
                Step::Changed => break Reading::Changed,
            }
        };
        Ok((reading, taken > 0))
    }

    /// Sends the last line without its end, where there is one.
    pub(super) fn flush(&mut self, generation: &mut Generation, all: bool) {
        if let Some(lines) = generation.flush_partial(all) {
            self.publish(&lines, false);
        }
    }

    /// Sends lines, which count as read unless the file is being read again.
    fn publish(&mut self, lines: &Lines, replays: bool) {
        if !replays {
            self.channel.metrics().lines_read.increment(lines.count());
        }
        let position = (self.position)(lines.end());
        let now = Instant::now();
        self.channel
            .publish(lines, position, now, self.standing == Standing::Current);
        *self.published_at = now;
    }
}
