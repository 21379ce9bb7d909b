//! What the tailer of one name keeps for those who catch up.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use super::super::generation::Generation;
use super::cache::{self, Cache};
use super::held::Held;
use super::way::Way;
use crate::archive::{Log, Unpacked};
use crate::config::{Config, Settings};
use crate::decode::Decoder;
use crate::hub::{Channel, Past, Replay, Start};
use crate::position::Place;

/// Files of one mounted file system that are read at a time for those who catch up: enough to keep a processor and a
/// disk busy, and no more threads than that where the file system hangs.
const READERS: usize = 4;

/// Files of one name that are held open for those who are far behind: who is further behind finds the next ones on disk,
/// as after a restart.
const MAX_HELD: usize = 16;
/// Viewers that catch up in packed files at a time, each with a decoder of its own of up to 8 MiB. Others wait for their
/// turn.
const MAX_UNPACKING: usize = 16;

/// What all files of a mounted file system share.
#[derive(Debug, Clone)]
pub(in crate::tail) struct Shared {
    permits: Arc<Semaphore>,
    cache: Arc<Cache>,
    unpacked: Arc<Unpacked>,
    unpacking: Arc<Semaphore>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(READERS)),
            cache: Arc::default(),
            unpacked: Arc::default(),
            unpacking: Arc::new(Semaphore::new(MAX_UNPACKING)),
        }
    }
}

impl Shared {
    /// The same for another mounted file system, which may hang without this one.
    pub(in crate::tail) fn for_another_mount(&self) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(READERS)),
            ..self.clone()
        }
    }
}

/// The files of one name that are held open.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) current: Arc<Held>,
    /// Those that lost the name and may still be written to, the oldest first.
    pub(super) draining: Vec<Arc<Held>>,
}

impl Files {
    /// The oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<Held>> {
        self.draining.iter().chain([&self.current])
    }

    /// The one in which a place of the live stream is.
    pub(super) fn of_target(&self, place: &Place) -> Option<&Arc<Held>> {
        self.iter().rev().find(|held| place.is_of(held.identity()))
    }

    pub(super) fn oldest(&self) -> &Arc<Held> {
        self.draining.first().unwrap_or(&self.current)
    }
}

/// The files of one name, as its tailer goes through them.
#[derive(Debug)]
pub(in crate::tail) struct Lineage {
    name: Arc<str>,
    path: PathBuf,
    label: Option<Decoder>,
    settings: Settings,
    shared: Shared,
    files: Mutex<Option<Files>>,
    /// Those that had the name, in order, for as long as anyone holds them.
    held: Mutex<VecDeque<Weak<Held>>>,
}

impl Lineage {
    pub(in crate::tail) fn new(
        channel: &Channel,
        path: &Path,
        label: Option<Decoder>,
        current: &Generation,
        shared: &Shared,
    ) -> Self {
        let lineage = Self {
            name: Arc::clone(channel.name()),
            path: path.to_owned(),
            label,
            settings: channel.settings().clone(),
            shared: shared.clone(),
            files: Mutex::new(None),
            held: Mutex::default(),
        };
        lineage.set(current, []);
        lineage
    }

    /// Says which files there are now.
    pub(in crate::tail) fn set<'a>(&self, current: &Generation, draining: impl IntoIterator<Item = &'a Generation>) {
        let draining = draining.into_iter().filter_map(Generation::held).cloned().collect();
        let files = current.held().cloned().map(|current| Files { current, draining });
        if let Some(files) = &files {
            self.let_oldest_go(&files.current);
        }
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    /// Breaks the row of files that hold each other, at its beginning, where it has become too long.
    fn let_oldest_go(&self, current: &Arc<Held>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.back().is_none_or(|last| last.as_ptr() != Arc::as_ptr(current)) {
            held.push_back(Arc::downgrade(current));
        }
        held.retain(|file| file.strong_count() > 0);
        while held.len() > MAX_HELD {
            if let Some(oldest) = held.pop_front().and_then(|file| file.upgrade()) {
                oldest.let_next_go();
            }
        }
    }

    pub(super) fn files(&self) -> Option<Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.settings.current()
    }

    pub(super) fn unpacked(&self) -> &Arc<Unpacked> {
        &self.shared.unpacked
    }

    /// How the log is to be looked at on disk.
    pub(super) fn log(&self, detected: Option<Decoder>, max_line: usize) -> Log {
        Log {
            path: self.path.clone(),
            label: self.label,
            detected,
            max_line,
        }
    }
}

impl Past for Lineage {
    fn replay(self: Arc<Self>, start: Start) -> Box<dyn Replay> {
        Box::new(Way::new(start, cache::Reader::of(&self.shared.cache)))
    }

    fn permits(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.permits)
    }

    fn unpacking(&self) -> Arc<Semaphore> {
        Arc::clone(&self.shared.unpacking)
    }
}
