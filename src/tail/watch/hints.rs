//! What events say about files and directories, from the watcher's thread to the reader.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use notify_debouncer_full::DebounceEventResult;
use notify_debouncer_full::notify::{
    Event, EventKind,
    event::{MetadataKind, ModifyKind},
};
use tracing::debug;

use super::super::MAX_GENERATIONS;
use super::super::file::{self, FileId};

/// What the events say about one file.
#[derive(Debug)]
pub(in super::super) struct Mark {
    pub(super) path: PathBuf,
    pub(super) dirty: AtomicBool,
    /// Whether events were lost.
    pub(super) lost: AtomicBool,
    /// Whether events come at all.
    pub(super) watched: AtomicBool,
    /// Files that took the name, opened in the moment when an event told so: the next one may take it before the next
    /// look.
    pub(super) found: Mutex<VecDeque<(File, Metadata)>>,
    pub(super) hints: Weak<Hints>,
}

impl Mark {
    /// Whether something happened since the last time this was asked.
    pub(in super::super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    pub(in super::super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Whether events were lost since the last time this was asked.
    pub(in super::super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Whether events tell what happens, so that looking now and then is enough.
    pub(in super::super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// The files that took the name since the last time this was asked, in order. While it is held no event opens one,
    /// so that one that is opened meanwhile is newer than all of them and older than those to come.
    pub(in super::super) fn found(&self) -> MutexGuard<'_, VecDeque<(File, Metadata)>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_now(&self) {
        let mut found = self.found();
        // Where it can't be opened, the look at the name says why.
        let Ok((file, metadata)) = file::open(&self.path) else {
            return;
        };
        let known = found
            .back()
            .is_some_and(|(_, last)| FileId::of(last) == FileId::of(&metadata));
        if !known && found.len() < MAX_GENERATIONS {
            found.push_back((file, metadata));
        }
    }

    /// Asks for the directories to be watched anew.
    pub(in super::super) fn renew(&self) {
        if let Some(hints) = self.hints.upgrade() {
            hints.renew.store(true, Ordering::Release);
        }
    }
}

/// What is watched for.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Marks by the last part of the path, which is what all ways to a directory have in common.
    pub(super) marks: HashMap<OsString, Vec<Weak<Mark>>>,
    pub(super) directories: HashMap<PathBuf, Watched>,
}

/// A directory that is watched.
#[derive(Debug, Clone, Default)]
pub(super) struct Watched {
    /// Number of files in it that are followed.
    pub(super) users: usize,
    /// Which directory it was when the watch was set; none where it could not be.
    pub(super) id: Option<DirectoryId>,
}

/// Which directory it is. The time of its birth is part of that: a new one may have the number of one that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DirectoryId {
    file: FileId,
    born: Option<SystemTime>,
}

impl DirectoryId {
    pub(super) fn of(directory: &Path) -> Option<Self> {
        let metadata = fs::metadata(directory).ok()?;
        Some(Self {
            file: FileId::of(&metadata),
            born: metadata.created().ok(),
        })
    }
}

impl Names {
    pub(super) fn marks_of(&self, path: &Path) -> impl Iterator<Item = Arc<Mark>> + '_ {
        let marks = path.file_name().and_then(|name| self.marks.get(name));
        marks.into_iter().flatten().filter_map(Weak::upgrade)
    }

    pub(super) fn all_marks(&self) -> impl Iterator<Item = Arc<Mark>> + '_ {
        self.marks.values().flatten().filter_map(Weak::upgrade)
    }
}

/// Where the watcher's thread leaves what it heard.
pub(super) struct Hints {
    pub(super) names: Mutex<Names>,
    pub(super) renew: AtomicBool,
    /// Whether every event counts as a loss of events.
    pub(super) losing: bool,
    pub(super) wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

impl Hints {
    pub(super) fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets marks, and wakes the reader if it does not know yet.
    pub(super) fn set_dirty(&self, marks: impl Iterator<Item = Arc<Mark>>) {
        let mut wake = false;
        for mark in marks {
            wake |= !mark.dirty.swap(true, Ordering::AcqRel);
        }
        if wake {
            (self.wake)();
        }
    }

    /// Events were lost: anything may have happened.
    pub(super) fn hear_loss(&self) {
        let marks: Vec<Arc<Mark>> = self.lock().all_marks().collect();
        for mark in &marks {
            mark.lost.store(true, Ordering::Release);
        }
        self.renew.store(true, Ordering::Release);
        self.set_dirty(marks.into_iter());
    }

    /// Takes an event as it comes and says whether it is about a name that matters.
    pub(super) fn hear(&self, event: &Event) -> bool {
        if event.need_rescan() {
            self.hear_loss();
            return false;
        }
        let takes_name = match event.kind {
            // Our own reading causes these.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => return false,
            _ if self.losing => {
                self.hear_loss();
                return false;
            }
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_)) => true,
            _ => false,
        };
        let about_name = takes_name || matches!(event.kind, EventKind::Remove(_));
        let names = self.lock();
        let marks: Vec<Arc<Mark>> = event.paths.iter().flat_map(|path| names.marks_of(path)).collect();
        let directory = event.paths.iter().any(|path| names.directories.contains_key(path));
        drop(names);
        if takes_name {
            marks.iter().for_each(|mark| mark.open_now());
        }
        let matters = about_name && (directory || !marks.is_empty());
        self.set_dirty(marks.into_iter());
        matters
    }

    pub(super) fn settled(&self, result: DebounceEventResult) {
        let events = match result {
            Ok(events) => events,
            Err(errors) => {
                debug!(?errors, "the file system watcher reported errors");
                return self.hear_loss();
            }
        };
        let names = self.lock();
        let paths = || events.iter().flat_map(|event| &event.paths);
        let marks: Vec<Arc<Mark>> = paths().flat_map(|path| names.marks_of(path)).collect();
        if paths().any(|path| names.directories.contains_key(path)) {
            self.renew.store(true, Ordering::Release);
        }
        drop(names);
        self.set_dirty(marks.into_iter());
    }
}
