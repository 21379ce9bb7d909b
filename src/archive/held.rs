//! The last hits in a file that is searched forwards, as it can be read in no other way.

use std::collections::VecDeque;
use std::io;

/// Hits are made while what they are made of is still in memory: at the latest when it is so many bytes behind. Those
/// that are dropped before need not be made at all.
const LAG_BYTES: u64 = 8 << 20;
/// Bytes of hits; the oldest of more are dropped, and the search ends there.
const MAX_BYTES: usize = 8 << 20;

/// The last hits of a file that is searched forwards.
#[derive(Debug)]
pub(super) struct Held {
    /// Where each begins and ends, and what it is as JSON, once that was made.
    hits: VecDeque<(u64, u64, Option<Vec<u8>>)>,
    /// The most that are wanted.
    room: usize,
    /// How many of them, from the first, are made.
    made: usize,
    bytes: usize,
    /// Whether some were dropped for want of memory.
    is_cut: bool,
}

impl Held {
    pub(super) fn new(room: usize) -> Self {
        Self {
            hits: VecDeque::new(),
            room,
            made: 0,
            bytes: 0,
            is_cut: false,
        }
    }

    pub(super) fn push(&mut self, start: u64, end: u64) {
        self.hits.push_back((start, end, None));
        if self.hits.len() > self.room {
            self.pop_first();
        }
    }

    fn pop_first(&mut self) {
        if let Some((_, _, Some(json))) = self.hits.pop_front() {
            self.bytes -= json.len();
            self.made -= 1;
        }
    }

    /// The last of them, and what it is as JSON, where that was made.
    pub(super) fn pop_last(&mut self) -> Option<(u64, u64, Option<Vec<u8>>)> {
        self.hits.pop_back()
    }

    /// Whether those before the one that was popped last were dropped.
    pub(super) fn is_at_cut(&self) -> bool {
        self.is_cut && self.hits.is_empty()
    }

    /// Makes those that are about to be too far behind.
    pub(super) fn keep_up(&mut self, at: u64, make: impl Fn(u64, u64) -> io::Result<Vec<u8>>) -> io::Result<()> {
        while let Some((start, end, json)) = self.hits.get_mut(self.made)
            && at - *start > LAG_BYTES
        {
            let made = make(*start, *end)?;
            self.bytes += made.len();
            *json = Some(made);
            self.made += 1;
            while self.bytes > MAX_BYTES && self.hits.len() > 1 {
                self.pop_first();
                self.is_cut = true;
            }
        }
        Ok(())
    }
}
