//! What was read for one viewer that catches up, for the next ones: after a restart they all come at once, and from
//! similar places.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::held::Version;
use crate::chunk::{Chunk, Form};
use crate::position::Place;

/// Text that is kept of all files together: two hundred chunks and more. The other forms, which come with it where
/// viewers need them, are as large again each.
const MAX_BYTES: usize = 16 << 20;

/// Where a chunk was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) version: Version,
    pub(super) start: Place,
}

/// Chunks by where they begin, the oldest of which go first.
#[derive(Debug, Default)]
pub(super) struct Cache {
    chunks: Mutex<Chunks>,
    readers: AtomicUsize,
}

#[derive(Debug, Default)]
struct Chunks {
    by_key: HashMap<Key, Arc<Chunk>>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Cache {
    fn lock(&self) -> MutexGuard<'_, Chunks> {
        self.chunks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<Chunk>> {
        self.lock().by_key.get(key).map(Arc::clone)
    }

    pub(super) fn put(&self, key: Key, chunk: &Arc<Chunk>) {
        let mut chunks = self.lock();
        let bytes = |chunk: &Chunk| chunk.frames(Form::Plain).len();
        chunks.bytes += bytes(chunk);
        match chunks.by_key.insert(key, Arc::clone(chunk)) {
            Some(before) => chunks.bytes -= bytes(&before),
            None => chunks.order.push_back(key),
        }
        while chunks.bytes > MAX_BYTES {
            let Some(oldest) = chunks.order.pop_front() else {
                break;
            };
            if let Some(gone) = chunks.by_key.remove(&oldest) {
                chunks.bytes -= bytes(&gone);
            }
        }
    }
}

/// One of those who use the cache; when the last of them goes, so does what is in it.
#[derive(Debug)]
pub(super) struct Reader(Arc<Cache>);

impl Reader {
    pub(super) fn of(cache: &Arc<Cache>) -> Self {
        cache.readers.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(cache))
    }
}

impl std::ops::Deref for Reader {
    type Target = Cache;

    fn deref(&self) -> &Cache {
        &self.0
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if self.0.readers.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.0.lock() = Chunks::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::testing::{lines_from, place, span};

    fn chunk(bytes: usize) -> Arc<Chunk> {
        let lines = lines_from(0, &[&"x".repeat(bytes)]);
        Arc::new(Chunk::history(lines.frames().clone(), 1, span(0, 1), None))
    }

    fn key(offset: u64) -> Key {
        Key {
            version: Version::default(),
            start: place(offset),
        }
    }

    #[test]
    fn it_keeps_the_newest_chunks_for_as_long_as_someone_reads() {
        let cache = Arc::new(Cache::default());
        let reader = Reader::of(&cache);
        let other = Reader::of(&cache);
        for index in 0..20 {
            reader.put(key(index), &chunk(1 << 20));
            reader.put(key(index), &chunk(1 << 20));
        }
        assert!(other.get(&key(4)).is_none());
        assert!(other.get(&key(5)).is_some() && other.get(&key(19)).is_some());
        assert!(cache.lock().bytes <= MAX_BYTES);
        drop(reader);
        assert!(other.get(&key(19)).is_some());
        drop(other);
        assert!(cache.get(&key(19)).is_none());
        assert_eq!(cache.lock().bytes, 0);
    }
}
