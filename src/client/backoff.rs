//! How long to wait before the next attempt to connect.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait: a server that was only restarted is back by then.
const FIRST: Duration = Duration::from_millis(250);
/// Who watches wants the lines soon after the server is back.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits that double, each made up to a quarter shorter at random, so that many clients of one server do not all come
/// back in the same moment.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
}

impl Backoff {
    /// Begins with the shortest wait.
    pub fn new() -> Self {
        Self { next: FIRST }
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(LONGEST);
        // A hasher with random keys is the standard library's source of random numbers.
        let random = RandomState::new().hash_one(()) % 256;
        wait.mul_f64(1.0 - random as f64 / 1024.0)
    }

    /// The server is there: begins with the shortest wait again.
    pub fn reset(&mut self) {
        self.next = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit_and_differ() {
        let mut backoff = Backoff::new();
        let mut expected = FIRST;
        for _ in 0..20 {
            let wait = backoff.wait();
            assert!(
                wait <= expected && wait >= expected.mul_f64(0.75),
                "{wait:?} of {expected:?}"
            );
            expected = (expected * 2).min(LONGEST);
        }
        let waits: std::collections::HashSet<_> = (0..50).map(|_| backoff.wait()).collect();
        assert!(waits.len() > 10, "{waits:?}");
        backoff.reset();
        assert!(backoff.wait() <= FIRST);
    }
}
