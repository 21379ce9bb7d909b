//! Who owns what runs, and how many may.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

/// All tasks of a server. Whoever holds it awaits or aborts them; dropping it aborts them.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    set: Mutex<JoinSet<()>>,
}

impl Tasks {
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        // What has ended is let go of by those who come.
        while set.try_join_next().is_some() {}
        set.spawn(task);
    }

    fn take(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.set.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until all have ended, those included that are spawned meanwhile, or until `deadline`; then ends the rest.
    pub(crate) async fn end_by(&self, deadline: tokio::time::Instant) {
        loop {
            let mut set = self.take();
            if set.is_empty() {
                return;
            }
            while let Ok(Some(_)) = tokio::time::timeout_at(deadline, set.join_next()).await {}
            set.shutdown().await;
        }
    }
}

/// Counts those who hold a [`Place`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Places(Arc<AtomicUsize>);

/// One of a limited number; free again when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Places {
    /// Takes a place while fewer than `limit` are taken.
    pub(crate) fn take(&self, limit: usize) -> Option<Place> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < limit).then_some(taken + 1)
            })
            .ok()
            .map(|_| Place(Arc::clone(&self.0)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_taken_than_there_are() {
        let places = Places::default();
        let first = places.take(2);
        let second = places.take(2);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(2).is_none());
        drop(first);
        assert!(places.take(2).is_some(), "a place that was left is free");
    }
}
