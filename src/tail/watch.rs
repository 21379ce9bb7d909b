//! Events of the file system, as hints for when to look.
//!
//! Directories are watched, never files: a watch on a file goes with it when it is renamed. One watcher serves two
//! needs. Appends wake the reader directly, since a debouncer hands out nothing while a writer writes without a pause.
//! What happens to names goes through `notify-debouncer-full`, which tells it once it has settled; that is when the
//! directories are watched anew, as one of them may have been replaced.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use notify_debouncer_full::notify::{
    self, Config, Event, EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind,
    event::{MetadataKind, ModifyKind},
};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use tracing::{debug, warn};

use super::MAX_GENERATIONS;
use super::generation::{self, FileId};

/// How long the names of a directory must have rested before they count as settled.
const SETTLE: Duration = Duration::from_millis(50);

/// What wakes the tailers. All there is, but for tests of one without the other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wakeups {
    /// Events of the file system, and looks now and then.
    #[default]
    EventsAndPolling,
    /// Events alone: what they do not tell is not seen.
    EventsOnly,
    /// Looks alone, as where the system has no watches left.
    PollingOnly,
}

/// What the events say about one file.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    dirty: AtomicBool,
    /// Whether events were lost.
    lost: AtomicBool,
    /// Whether events come at all.
    watched: AtomicBool,
    /// Files that took the name, opened in the moment when an event told so: the next one may take it before the next
    /// look.
    found: Mutex<VecDeque<(File, Metadata)>>,
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

    /// Whether events tell what happens, so that looking now and then is enough.
    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// The files that took the name since the last time this was asked, in order.
    pub(super) fn take_found(&self) -> VecDeque<(File, Metadata)> {
        mem::take(&mut *self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn open_now(&self) {
        // Where it can't be opened, the look at the name says why.
        let Ok((file, metadata)) = generation::open(&self.path) else {
            return;
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let known = found
            .back()
            .is_some_and(|(_, last)| FileId::of(last) == FileId::of(&metadata));
        if !known && found.len() < MAX_GENERATIONS {
            found.push_back((file, metadata));
        }
    }

    /// Asks for the directories to be watched anew.
    pub(super) fn renew(&self) {
        if let Some(hints) = self.hints.upgrade() {
            hints.renew.store(true, Ordering::Release);
        }
    }
}

/// What is watched for.
#[derive(Debug, Default)]
struct Names {
    /// Marks by the last part of the path, which is what all ways to a directory have in common.
    marks: HashMap<OsString, Vec<Weak<Mark>>>,
    directories: HashMap<PathBuf, Watched>,
}

/// A directory that is watched.
#[derive(Debug, Clone, Default)]
struct Watched {
    /// Number of files in it that are followed.
    users: usize,
    /// Which directory it was when the watch was set; none where it could not be.
    id: Option<DirectoryId>,
}

/// Which directory it is. The time of its birth is part of that: a new one may have the number of one that was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct DirectoryId {
    file: FileId,
    born: Option<SystemTime>,
}

impl DirectoryId {
    fn of(directory: &Path) -> Option<Self> {
        let metadata = fs::metadata(directory).ok()?;
        Some(Self {
            file: FileId::of(&metadata),
            born: metadata.created().ok(),
        })
    }
}

impl Names {
    fn marks_of(&self, path: &Path) -> impl Iterator<Item = Arc<Mark>> + '_ {
        let marks = path.file_name().and_then(|name| self.marks.get(name));
        marks.into_iter().flatten().filter_map(Weak::upgrade)
    }

    fn all_marks(&self) -> impl Iterator<Item = Arc<Mark>> + '_ {
        self.marks.values().flatten().filter_map(Weak::upgrade)
    }
}

/// Where the watcher's thread leaves what it heard.
pub(super) struct Hints {
    names: Mutex<Names>,
    renew: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Hints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hints").finish_non_exhaustive()
    }
}

impl Hints {
    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets marks, and wakes the reader if it does not know yet.
    fn set_dirty(&self, marks: impl Iterator<Item = Arc<Mark>>) {
        let mut wake = false;
        for mark in marks {
            wake |= !mark.dirty.swap(true, Ordering::AcqRel);
        }
        if wake {
            (self.wake)();
        }
    }

    /// Events were lost: anything may have happened.
    fn hear_loss(&self) {
        let marks: Vec<Arc<Mark>> = self.lock().all_marks().collect();
        for mark in &marks {
            mark.lost.store(true, Ordering::Release);
        }
        self.renew.store(true, Ordering::Release);
        self.set_dirty(marks.into_iter());
    }

    /// Takes an event as it comes and says whether it is about a name that matters.
    fn hear(&self, event: &Event) -> bool {
        if event.need_rescan() {
            self.hear_loss();
            return false;
        }
        let takes_name = match event.kind {
            // Our own reading causes these.
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(MetadataKind::AccessTime)) => return false,
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

    fn settled(&self, result: DebounceEventResult) {
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
    wakeups: Wakeups,
    hints: Arc<Hints>,
    debouncer: Option<Debouncer<Tee, NoCache>>,
    warned: bool,
}

impl DirectoryWatch {
    /// Watches nothing yet; `wake` is called from the watcher's thread when a file should be looked at.
    pub(super) fn new(wakeups: Wakeups, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            wakeups,
            hints: Arc::new(Hints {
                names: Mutex::default(),
                renew: AtomicBool::new(false),
                wake: Box::new(wake),
            }),
            debouncer: None,
            warned: false,
        }
    }

    /// Watches the directory of a file. Where that can't be, the file is found changed by polling.
    pub(super) fn add(&mut self, path: &Path) -> Arc<Mark> {
        let mark = Arc::new(Mark {
            path: path.to_owned(),
            dirty: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            watched: AtomicBool::new(true),
            found: Mutex::default(),
            hints: Arc::downgrade(&self.hints),
        });
        let directory = directory_of(path);
        let mut names = self.hints.lock();
        if let Some(name) = path.file_name() {
            names
                .marks
                .entry(name.to_owned())
                .or_default()
                .push(Arc::downgrade(&mark));
        }
        names.directories.entry(directory.clone()).or_default().users += 1;
        drop(names);
        // Also for one that is watched already: whether that works is known afterwards.
        self.watch(&directory);
        mark
    }

    /// Lets go of a file; with the last one the watcher itself ends.
    pub(super) fn remove(&mut self, path: &Path) {
        let directory = directory_of(path);
        let mut names = self.hints.lock();
        names.marks.retain(|_, marks| {
            marks.retain(|mark| mark.strong_count() > 0);
            !marks.is_empty()
        });
        let users = names.directories.get_mut(&directory).map_or(0, |watched| {
            watched.users -= 1;
            watched.users
        });
        if users == 0 {
            names.directories.remove(&directory);
        }
        let unused = names.directories.is_empty();
        drop(names);
        if users == 0 {
            self.unwatch(&directory);
        }
        if unused && let Some(debouncer) = self.debouncer.take() {
            debouncer.stop_nonblocking();
        }
    }

    /// Watches those directories anew that are others now, or could not be watched before.
    pub(super) fn renew(&mut self) {
        if !self.hints.renew.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut moved = self.hints.lock().directories.clone();
        // One that is the same is left alone: between two watches events would be missed.
        moved.retain(|directory, watched| watched.id.is_none() || DirectoryId::of(directory) != watched.id);
        for directory in moved.keys() {
            self.unwatch(directory);
            self.watch(directory);
        }
        if !moved.is_empty() {
            // What happened in between is found by looking.
            let marks: Vec<Arc<Mark>> = self.hints.lock().all_marks().collect();
            self.hints.set_dirty(marks.into_iter());
        }
    }

    fn watch(&mut self, directory: &Path) {
        // Asked before the watch is set: if it is another one after that, the next look finds that out.
        let id = DirectoryId::of(directory);
        let result = self.try_watch(directory);
        let watched = result.is_ok();
        let mut names = self.hints.lock();
        if let Some(entry) = names.directories.get_mut(directory) {
            entry.id = id.filter(|_| watched);
        }
        for mark in names.all_marks() {
            if directory_of(&mark.path) == directory {
                mark.watched.store(watched, Ordering::Release);
            }
        }
        drop(names);
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
        if self.wakeups == Wakeups::PollingOnly {
            return Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use notify_debouncer_full::notify::event::{CreateKind, DataChange, Flag};

    use super::*;

    fn watch() -> (DirectoryWatch, Arc<AtomicUsize>) {
        let woken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&woken);
        let watch = DirectoryWatch::new(Wakeups::PollingOnly, move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        (watch, woken)
    }

    fn event(kind: EventKind, path: &Path) -> Event {
        Event::new(kind).add_path(path.to_owned())
    }

    #[test]
    fn an_overflow_of_the_queue_marks_every_file() {
        let (mut watch, woken) = watch();
        let marks = [watch.add(Path::new("/x/a.log")), watch.add(Path::new("/y/b.log"))];
        assert!(!watch.hints.hear(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        for mark in &marks {
            assert!(mark.take_dirty() && mark.take_lost());
            assert!(!mark.take_dirty() && !mark.take_lost());
        }
        assert_eq!(woken.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn only_events_of_names_that_matter_mark_and_pass_on() {
        let (mut watch, woken) = watch();
        let mark = watch.add(Path::new("/x/a.log"));
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        assert!(
            !watch.hints.hear(&event(data, Path::new("/x/a.log"))),
            "data is nothing for the debouncer"
        );
        assert!(!watch.hints.hear(&event(data, Path::new("/x/a.log"))));
        assert_eq!(
            woken.load(Ordering::Relaxed),
            1,
            "a reader that knows is not woken again"
        );
        assert!(mark.take_dirty());
        let create = EventKind::Create(CreateKind::File);
        assert!(!watch.hints.hear(&event(create, Path::new("/x/other"))));
        assert!(!mark.take_dirty());
        assert!(
            watch.hints.hear(&event(create, Path::new("/x"))),
            "the directory itself"
        );
        assert!(
            watch.hints.hear(&event(create, Path::new("/elsewhere/a.log"))),
            "another way to the directory"
        );
        assert!(mark.take_dirty());
    }

    #[test]
    fn files_that_take_the_name_are_held_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let (mut watch, _) = watch();
        let mark = watch.add(&path);
        let create = event(EventKind::Create(CreateKind::File), &path);
        for round in 0..3 {
            fs::write(&path, format!("{round}")).unwrap();
            watch.hints.hear(&create);
            watch.hints.hear(&create);
            fs::rename(&path, directory.path().join(format!("a.{round}"))).unwrap();
        }
        let found = mark.take_found();
        let texts: Vec<String> = found
            .into_iter()
            .map(|(file, _)| std::io::read_to_string(file).unwrap())
            .collect();
        assert_eq!(texts, ["0", "1", "2"]);
    }
}
