//! When a file is looked at: how long lines gather, how often a quiet file is polled.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::generation::Generation;
use super::{Tail, Wakeups};
use crate::config::Config;

/// A file that grew within this time without an event that told so, as behind another mount, is polled: it is hot.
const HOT_FOR: Duration = Duration::from_secs(1);
/// The least time between two looks at a file, and with it between two system calls for nothing.
pub(super) const MIN_PAUSE: Duration = Duration::from_millis(2);
/// The window in which lines gather to be sent together, at least: what leaves a quiet file leaves at once, and what
/// follows within this time waits for its end.
pub(super) const MIN_WINDOW: Duration = Duration::from_millis(5);
/// The window grows with the time that sending to all viewers takes, a round: so many rounds, so that the viewers of a
/// file take an eighth of a core,
const WINDOW_ROUNDS: u32 = 8;
/// but no longer than this. Where a round takes longer, lines gather while the ones before are sent, whatever the
/// window: then it is the shortest, as each viewer that has its turn gets all that was read until then.
const MAX_WINDOW: Duration = Duration::from_millis(16);
/// Every file is looked at this often whatever the events say, all of them at the same moments: on a quiet machine a
/// wake-up costs more than a hundred looks.
const QUIET_BEAT: Duration = Duration::from_millis(250);
/// Since when the moments are counted.
static FIRST_BEAT: LazyLock<Instant> = LazyLock::new(Instant::now);
/// And this often where there are no events.
const UNWATCHED_POLL: Duration = Duration::from_millis(50);
/// As good as never.
const NO_POLL: Duration = Duration::from_secs(3600);

impl Tail {
    /// When the lines that gather now may be read at the earliest, given when the last turn was.
    pub(super) fn window_ends(&self, last_turn: Instant) -> Instant {
        (self.published_at + window(self.channel.round())).max(last_turn + MIN_PAUSE)
    }

    /// When the next turn is due if nothing happens.
    pub(super) fn next_look(&self, config: &Config, now: Instant) -> Instant {
        let hot = !self.announced && self.grew_at.is_some_and(|at| now.duration_since(at) < HOT_FOR);
        let mut next = match self.wakeups {
            Wakeups::EventsOnly | Wakeups::LossesOnly => now + NO_POLL,
            _ if hot => now + window(self.channel.round()),
            _ if self.mark.is_watched() => next_beat(now),
            _ => now + UNWATCHED_POLL,
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
}

/// How long lines gather when a round of sending takes so long.
fn window(round: Duration) -> Duration {
    if round >= MAX_WINDOW {
        return MIN_WINDOW;
    }
    (round * WINDOW_ROUNDS).clamp(MIN_WINDOW, MAX_WINDOW)
}

/// The next of the moments at which quiet files are looked at.
fn next_beat(now: Instant) -> Instant {
    let since = now.saturating_duration_since(*FIRST_BEAT).as_millis();
    let beat = QUIET_BEAT.as_millis();
    let missing = beat - since % beat;
    now + Duration::from_millis(u64::try_from(missing).unwrap_or(0))
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

    #[test]
    fn quiet_files_are_looked_at_together() {
        let first = next_beat(*FIRST_BEAT);
        let next = next_beat(first);
        assert!(next - first > QUIET_BEAT - Duration::from_millis(2) && next - first <= QUIET_BEAT);
        for part in 1..10 {
            let other = next_beat(first + QUIET_BEAT * part / 10);
            let apart = other.max(next) - other.min(next);
            assert!(apart < Duration::from_millis(2), "{apart:?}");
        }
    }
}
