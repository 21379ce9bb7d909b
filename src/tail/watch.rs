//! Events of the file system, as hints for when to look.
//!
//! Directories are watched, never files: a watch on a file goes with it when it is renamed. One watcher serves two
//! needs. Appends wake the reader directly, since a debouncer hands out nothing while a writer writes without a pause.
//! What happens to names goes through `notify-debouncer-full`, which tells it once it has settled; that is when the
//! directories are watched anew, as one of them may have been replaced.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use notify_debouncer_full::notify::{
    self, Config, Event, EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind,
    event::{MetadataKind, ModifyKind},
};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use tracing::{debug, warn};

/// How long the names of a directory must have rested before they count as settled.
const SETTLE: Duration = Duration::from_millis(50);

/// What the events say about one file.
#[derive(Debug)]
pub(super) struct Mark {
    dirty: AtomicBool,
    /// Whether events were lost.
    lost: AtomicBool,
    hints: Weak<Hints>,
}

impl Mark {
    /// Whether something happened since the last time this was asked.
    pub(super) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Acquire)
    }

    /// Whether events were lost since the last time this was asked.
    pub(super) fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Asks for the directories to be watched anew.
    pub(super) fn renew(&self) {
        if let Some(hints) = self.hints.upgrade() {
            hints.renew.store(true, Ordering::Release);
        }
    }
}

/// Where the watcher's thread leaves what it heard.
pub(super) struct Hints {
    /// Marks by the last part of the path, which is what all ways to a directory have in common.
    marks: Mutex<HashMap<OsString, Vec<Weak<Mark>>>>,
    renew: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

impl Hints {
    /// Marks the files of a name, or all of them, and wakes the reader if it does not know yet.
    fn set_dirty(&self, name: Option<&OsStr>, lost: bool) {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wake = false;
        let mut set = |marks: &Vec<Weak<Mark>>| {
            for mark in marks.iter().filter_map(Weak::upgrade) {
                mark.lost.fetch_or(lost, Ordering::AcqRel);
                wake |= !mark.dirty.swap(true, Ordering::AcqRel);
            }
        };
        match name {
            Some(name) => {
                if let Some(marks) = marks.get(name) {
                    set(marks);
                }
            }
            None => marks.values().for_each(set),
        }
        drop(marks);
        if wake {
            (self.wake)();
        }
    }

    /// Takes an event as it comes and says whether it is about names.
    fn hear(&self, event: &Event) -> bool {
        if event.need_rescan() {
            // The queue overflowed: anything may have happened.
            self.set_dirty(None, true);
            self.renew.store(true, Ordering::Release);
            return false;
        }
        match event.kind {
            // Our own reading causes these.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => return false,
            _ => {}
        }
        for path in &event.paths {
            self.set_dirty(path.file_name(), false);
        }
        matches!(
            event.kind,
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        )
    }

    fn settled(&self, result: DebounceEventResult) {
        match result {
            Ok(events) => {
                for path in events.iter().flat_map(|event| &event.paths) {
                    self.set_dirty(path.file_name(), false);
                }
                self.renew.store(true, Ordering::Release);
            }
            Err(errors) => {
                debug!(?errors, "the file system watcher reported errors");
                self.set_dirty(None, true);
            }
        }
    }
}

thread_local! {
    /// The hints of the watcher that is being made on this thread: the debouncer makes its watcher itself and passes
    /// nothing through.
    static MAKING: RefCell<Option<Arc<Hints>>> = const { RefCell::new(None) };
}

/// The system's watcher, with its events taken on the way to the debouncer.
#[derive(Debug)]
struct Tee(RecommendedWatcher);

impl Watcher for Tee {
    fn new<F: EventHandler>(mut handler: F, config: Config) -> notify::Result<Self> {
        let hints = MAKING.with_borrow_mut(Option::take);
        let watcher = RecommendedWatcher::new(
            move |result: notify::Result<Event>| {
                let about_names = match (&result, &hints) {
                    (Ok(event), Some(hints)) => hints.hear(event),
                    _ => true,
                };
                if about_names {
                    handler.handle_event(result);
                }
            },
            config,
        )?;
        Ok(Self(watcher))
    }

    fn watch(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
        self.0.watch(path, mode)
    }

    fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
        self.0.unwatch(path)
    }

    fn configure(&mut self, config: Config) -> notify::Result<bool> {
        self.0.configure(config)
    }

    fn kind() -> WatcherKind {
        RecommendedWatcher::kind()
    }
}

/// Watches the directories of the files that are followed. To be used off the async threads: it waits for the
/// watcher's thread.
pub(super) struct DirectoryWatch {
    hints: Arc<Hints>,
    debouncer: Option<Debouncer<Tee, NoCache>>,
    directories: HashMap<PathBuf, usize>,
    warned: bool,
}

impl DirectoryWatch {
    /// Watches nothing yet; `wake` is called from the watcher's thread when a file should be looked at.
    pub(super) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            hints: Arc::new(Hints {
                marks: Mutex::default(),
                renew: AtomicBool::new(false),
                wake: Box::new(wake),
            }),
            debouncer: None,
            directories: HashMap::new(),
            warned: false,
        }
    }

    /// Watches the directory of a file. Where that can't be, the file is found changed by polling.
    pub(super) fn add(&mut self, path: &Path) -> Arc<Mark> {
        let mark = Arc::new(Mark {
            dirty: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            hints: Arc::downgrade(&self.hints),
        });
        if let Some(name) = path.file_name() {
            let mut marks = self.hints.marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.entry(name.to_owned()).or_default().push(Arc::downgrade(&mark));
        }
        let directory = directory_of(path);
        let users = self.directories.entry(directory.clone()).or_insert(0);
        *users += 1;
        if *users == 1 {
            self.watch(&directory);
        }
        mark
    }

    /// Lets go of a file; with the last one the watcher itself ends.
    pub(super) fn remove(&mut self, path: &Path) {
        let mut marks = self.hints.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.retain(|_, marks| {
            marks.retain(|mark| mark.strong_count() > 0);
            !marks.is_empty()
        });
        drop(marks);
        let directory = directory_of(path);
        if let Some(users) = self.directories.get_mut(&directory) {
            *users -= 1;
            if *users == 0 {
                self.directories.remove(&directory);
                self.unwatch(&directory);
            }
        }
        if self.directories.is_empty()
            && let Some(debouncer) = self.debouncer.take()
        {
            debouncer.stop_nonblocking();
        }
    }

    /// Watches all directories anew if one of them may be another one now.
    pub(super) fn renew(&mut self) {
        if self.hints.renew.swap(false, Ordering::AcqRel) {
            let directories: Vec<PathBuf> = self.directories.keys().cloned().collect();
            for directory in directories {
                self.unwatch(&directory);
                self.watch(&directory);
            }
            // What happened in between is found by looking.
            self.hints.set_dirty(None, false);
        }
    }

    fn watch(&mut self, directory: &Path) {
        let result = self.try_watch(directory);
        match result {
            Ok(()) => self.warned = false,
            Err(error) if !self.warned => {
                self.warned = true;
                let directory = directory.display();
                warn!(%directory, %error, "the directory can't be watched; its files are polled instead");
            }
            Err(_) => {}
        }
    }

    fn try_watch(&mut self, directory: &Path) -> notify::Result<()> {
        let debouncer = match &mut self.debouncer {
            Some(debouncer) => debouncer,
            none => {
                MAKING.set(Some(Arc::clone(&self.hints)));
                let hints = Arc::clone(&self.hints);
                none.insert(new_debouncer_opt::<_, Tee, NoCache>(
                    SETTLE,
                    Some(SETTLE),
                    move |result: DebounceEventResult| hints.settled(result),
                    NoCache,
                    Config::default(),
                )?)
            }
        };
        debouncer.watch(directory, RecursiveMode::NonRecursive)
    }

    fn unwatch(&mut self, directory: &Path) {
        if let Some(debouncer) = &mut self.debouncer {
            // An error means that the watch is gone already.
            let _ = debouncer.unwatch(directory);
        }
    }
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
