//! Events of the file system, as hints for when to look.
//!
//! Directories are watched, never files: a watch on a file goes with it when it is renamed. One watcher serves two
//! needs. Appends wake the reader directly, since a debouncer hands out nothing while a writer writes without a pause.
//! What happens to names goes through `notify-debouncer-full`, which tells it once it has settled; that is when the
//! directories are watched anew, as one of them may have been replaced.

mod hints;
mod tee;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify_debouncer_full::notify::{self, Config, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, Debouncer, NoCache, new_debouncer_opt};
use tracing::warn;

use hints::{DirectoryId, Hints};
use tee::{MAKING, Tee};

pub(super) use hints::Mark;

/// How long the names of a directory must have rested before they count as settled. The debouncer looks as often, which
/// is half of what the program does while nothing happens; nothing that a viewer sees waits for it.
const SETTLE: Duration = Duration::from_millis(100);

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
    /// Each event is told as a loss of events, as where the queue of the system is always full, and there are no looks.
    LossesOnly,
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
                losing: wakeups == Wakeups::LossesOnly,
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
    use std::fs;
    use std::sync::atomic::AtomicUsize;

    use notify_debouncer_full::notify::event::{CreateKind, DataChange, Flag, ModifyKind};
    use notify_debouncer_full::notify::{Event, EventKind};

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
        let texts: Vec<String> = mark
            .found()
            .drain(..)
            .map(|(file, _)| std::io::read_to_string(file).unwrap())
            .collect();
        assert_eq!(texts, ["0", "1", "2"]);
    }
}
