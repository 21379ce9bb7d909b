//! Looks at the file system on behalf of requests, off the async threads and with an end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// How long a file system may take to answer a look.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Looks at a time. One at a file system that hangs is never over and keeps its thread; no request may start more of
/// them than these.
const MAX_LOOKS: usize = 8;

/// Bounds the looks that are under way.
#[derive(Debug)]
pub(crate) struct Storage {
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl Default for Storage {
    fn default() -> Self {
        Self::with_timeout(TIMEOUT)
    }
}

impl Storage {
    /// For looks that may take longer, which are counted by themselves.
    pub(crate) fn with_timeout(timeout: Duration) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(MAX_LOOKS)),
            timeout,
        }
    }

    /// Runs one look; none where the file system does not answer in time.
    pub(super) async fn look<T: Send + 'static>(&self, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let permits = Arc::clone(&self.permits);
        timeout(self.timeout, async {
            let permit = permits.acquire_owned().await.ok()?;
            let looking = spawn_blocking(move || {
                let found = look();
                drop(permit);
                found
            });
            looking.await.ok()
        })
        .await
        .ok()
        .flatten()
    }
}
