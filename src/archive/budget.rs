//! How long reading on behalf of a request may go on.

use std::io;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// An end in time, and whether anyone still waits for the result. Asked between two blocks.
#[derive(Debug, Clone)]
pub struct Budget {
    deadline: Instant,
    cancelled: CancellationToken,
}

impl Budget {
    /// Reading may go on until `deadline`, or until the token is cancelled.
    pub fn new(deadline: Instant, cancelled: CancellationToken) -> Self {
        Self { deadline, cancelled }
    }

    /// The same, but for no longer than `time` from now.
    pub(super) fn within(&self, time: Duration) -> Self {
        Self {
            deadline: self.deadline.min(Instant::now() + time),
            cancelled: self.cancelled.clone(),
        }
    }

    /// Whether it is used up.
    pub fn is_over(&self) -> bool {
        self.cancelled.is_cancelled() || Instant::now() >= self.deadline
    }

    /// # Errors
    ///
    /// `TimedOut` once it is used up.
    pub fn check(&self) -> io::Result<()> {
        if self.is_over() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the time for reading is over"));
        }
        Ok(())
    }
}
