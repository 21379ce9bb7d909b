//! The files behind a name that are held open, for those who catch up.

use std::fs::Metadata;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::super::content::Content;
use super::super::file::FileId;
use crate::chunk::Event;
use crate::decode::Decoder;
use crate::position::{Identity, Place};

/// Which content of which file it is: a truncation makes another of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Version {
    file: u64,
    epoch: u64,
}

static NEXT_FILE: AtomicU64 = AtomicU64::new(0);

/// What is known of the file that took the name next.
#[derive(Debug, Default)]
pub(super) enum Next {
    /// None has, or it was not told yet.
    #[default]
    None,
    /// This one, which is told by this event.
    Held(Event, Arc<Held>),
    /// One that is no longer held: it may be on disk.
    LetGo,
}

/// A file that its tailer reads, or read, and the one that took its name. Who reads on in it holds with it all that
/// came after it, as far as those are not let go.
#[derive(Debug)]
pub(in crate::tail) struct Held {
    number: u64,
    content: Arc<Content>,
    id: FileId,
    identity: Identity,
    /// Counts how often another content took the place of what was read.
    epoch: AtomicU64,
    decoder: Mutex<Option<Decoder>>,
    /// Where it got its name, as far as that was not at its beginning.
    begins_at: OnceLock<Place>,
    /// Where it is left for good, as it is followed again under another one of these.
    ends_at: OnceLock<u64>,
    next: Mutex<Next>,
}

impl Held {
    pub(in crate::tail) fn new(content: Arc<Content>, metadata: &Metadata, decoder: Option<Decoder>) -> Self {
        Self {
            number: NEXT_FILE.fetch_add(1, Ordering::Relaxed),
            content,
            id: FileId::of(metadata),
            identity: Identity::of(metadata),
            epoch: AtomicU64::new(0),
            decoder: Mutex::new(decoder),
            begins_at: OnceLock::new(),
            ends_at: OnceLock::new(),
            next: Mutex::default(),
        }
    }

    /// The same file, followed anew from a place.
    pub(in crate::tail) fn again_from(&self, place: Place) -> Self {
        Self {
            number: NEXT_FILE.fetch_add(1, Ordering::Relaxed),
            content: Arc::clone(&self.content),
            id: self.id,
            identity: self.identity,
            epoch: AtomicU64::new(0),
            decoder: Mutex::new(self.decoder()),
            begins_at: place.into(),
            ends_at: OnceLock::new(),
            next: Mutex::default(),
        }
    }

    /// Another content took the place of what was read.
    pub(in crate::tail) fn renew(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(in crate::tail) fn set_decoder(&self, decoder: Option<Decoder>) {
        *lock(&self.decoder) = decoder;
    }

    /// Its name begins to stand for it at this place, not at its beginning.
    pub(in crate::tail) fn begin_at(&self, place: Place) {
        let _ = self.begins_at.set(place);
    }

    pub(in crate::tail) fn end_at(&self, offset: u64) {
        let _ = self.ends_at.set(offset);
    }

    /// Another file took its name, which is told by this event.
    pub(in crate::tail) fn be_followed_by(&self, event: Event, next: Arc<Self>) {
        *lock(&self.next) = Next::Held(event, next);
    }

    pub(super) fn version(&self) -> Version {
        Version {
            file: self.number,
            epoch: self.epoch.load(Ordering::Acquire),
        }
    }

    pub(super) fn content(&self) -> &Arc<Content> {
        &self.content
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    pub(super) fn decoder(&self) -> Option<Decoder> {
        *lock(&self.decoder)
    }

    pub(super) fn start(&self) -> Place {
        self.begins_at
            .get()
            .copied()
            .unwrap_or_else(|| Place::start_of(self.identity))
    }

    pub(super) fn ends_at(&self) -> Option<u64> {
        self.ends_at.get().copied()
    }

    pub(super) fn next(&self) -> Next {
        match &*lock(&self.next) {
            Next::None => Next::None,
            Next::Held(event, next) => Next::Held(*event, Arc::clone(next)),
            Next::LetGo => Next::LetGo,
        }
    }

    /// Whether another file has taken its name.
    pub(super) fn is_followed(&self) -> bool {
        !matches!(*lock(&self.next), Next::None)
    }

    /// Holds the file that came after it no longer.
    pub(super) fn let_next_go(&self) {
        let next = std::mem::replace(&mut *lock(&self.next), Next::LetGo);
        // Without the lock: what goes with it may be a file that takes a while to close.
        drop(next);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
