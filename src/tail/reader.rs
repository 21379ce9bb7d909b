//! The threads on which files are read: blocking reads have no place on the async threads, and a pool of blocking tasks
//! could be used up by one storage that hangs. Each mounted file system has one, so that it stops no other.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{fs, io, mem};

use tracing::error;

use super::generation::BLOCK_BYTES;
use super::pace::{MIN_PAUSE, MIN_WINDOW};
use super::replay;
use super::watch::{DirectoryWatch, Mark};
use super::{Tail, Turn, Wakeups};
use crate::decode::Decoder;
use crate::hub::{Channel, Found, Source};
use crate::metrics::Metrics;

/// How long the thread sleeps at most, so that a lost wake-up costs no more than that.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Threads at most: one a mount, and those beyond share the last.
const MAX_THREADS: usize = 8;

/// Reads files on threads of its own, one per mounted file system, and feeds their channels.
#[derive(Debug)]
pub struct Reader {
    metrics: Arc<Metrics>,
    wakeups: Wakeups,
    replays: replay::Shared,
    threads: Arc<Mutex<Threads>>,
}

#[derive(Debug, Default)]
struct Threads {
    /// Where each one's file system is mounted.
    running: Vec<(PathBuf, Thread)>,
    places: HashMap<Arc<str>, Place>,
    stopped: bool,
}

/// Who reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is being found out.
    Sought,
    /// This one of the threads, until it lets go of the file.
    Thread(usize),
}

#[derive(Debug)]
struct Thread {
    shared: Arc<Shared>,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    changed: Condvar,
    running: AtomicBool,
}

#[derive(Debug, Default)]
struct Inbox {
    /// Channels whose files are to be looked at.
    looks: Vec<Arc<Channel>>,
    /// Whether some file's mark was set.
    woken: bool,
    /// Whether a mark that is set is worth waking for: not while lines gather, which has its own end.
    listens: bool,
    stop: bool,
}

impl Shared {
    fn ask(&self, channel: &Arc<Channel>) {
        let mut inbox = self.lock();
        // One look answers all who asked before it begins, however many connect at a time.
        if !inbox.looks.iter().any(|asked| Arc::ptr_eq(asked, channel)) {
            inbox.looks.push(Arc::clone(channel));
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that the thread has ended, however it did.
struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.store(false, Ordering::Release);
    }
}

impl Thread {
    fn start(metrics: Arc<Metrics>, wakeups: Wakeups, replays: replay::Shared) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            changed: Condvar::new(),
            running: AtomicBool::new(true),
        });
        let running = Running(Arc::clone(&shared));
        let handle = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || Files::new(&running.0, metrics, wakeups, replays).run(&running.0))?;
        Ok(Self {
            shared,
            handle: Some(handle),
        })
    }
}

impl Reader {
    /// A reader without a thread; the first file of a file system starts one.
    pub fn new(metrics: Arc<Metrics>, wakeups: Wakeups) -> Self {
        Self {
            metrics,
            wakeups,
            replays: replay::Shared::default(),
            threads: Arc::default(),
        }
    }

    /// Whether all threads that were started run.
    pub fn is_running(&self) -> bool {
        let threads = lock(&self.threads);
        let alive = |thread: &Thread| thread.shared.running.load(Ordering::Acquire);
        !threads.stopped && threads.running.iter().all(|(_, thread)| alive(thread))
    }

    /// Reads every file once more, then ends the threads. Blocks until that is done, which it never is where a file
    /// system hangs.
    pub fn stop(&self) {
        let mut threads = lock(&self.threads);
        threads.stopped = true;
        let running = mem::take(&mut threads.running);
        drop(threads);
        for (_, thread) in &running {
            thread.shared.lock().stop = true;
            thread.shared.changed.notify_one();
        }
        for handle in running.into_iter().filter_map(|(_, thread)| thread.handle) {
            // A thread that panicked has ended as well, which `is_running` told.
            let _ = handle.join();
        }
    }
}

impl Source for Reader {
    fn look(&self, channel: &Arc<Channel>) {
        let mut threads = lock(&self.threads);
        if threads.stopped {
            return;
        }
        match threads.places.get(channel.name()) {
            // The answer will be for all who asked until then.
            Some(Place::Sought) => return,
            Some(Place::Thread(index)) if channel.is_fed() => {
                if let Some((_, thread)) = threads.running.get(*index) {
                    thread.shared.ask(channel);
                }
                return;
            }
            _ => threads.places.insert(Arc::clone(channel.name()), Place::Sought),
        };
        drop(threads);
        let seeker = Seeker {
            channel: Arc::clone(channel),
            threads: Arc::clone(&self.threads),
            metrics: Arc::clone(&self.metrics),
            wakeups: self.wakeups,
            replays: self.replays.clone(),
        };
        // On a thread of its own: a link may lead into a file system that hangs, which is found out by hanging.
        let seeking = thread::Builder::new().name("seeker".to_owned());
        if let Err(error) = seeking.spawn(move || seeker.seek()) {
            fail(channel, &error);
            lock(&self.threads).places.remove(channel.name());
        }
    }
}

/// Finds the thread for a file.
struct Seeker {
    channel: Arc<Channel>,
    threads: Arc<Mutex<Threads>>,
    metrics: Arc<Metrics>,
    wakeups: Wakeups,
    replays: replay::Shared,
}

impl Seeker {
    fn seek(self) {
        let config = self.channel.settings().current();
        let file = config.files.iter().find(|file| *file.name == **self.channel.name());
        let mount = mount_of(&real_path(&file.map(|file| config.path_of(file)).unwrap_or_default()));
        let mut threads = lock(&self.threads);
        if threads.stopped {
            return;
        }
        let same = threads.running.iter().position(|(other, _)| *other == mount);
        let index = match same {
            Some(index) => index,
            None if threads.running.len() >= MAX_THREADS => MAX_THREADS - 1,
            None => match Thread::start(self.metrics, self.wakeups, self.replays.for_another_mount()) {
                Ok(thread) => {
                    threads.running.push((mount, thread));
                    threads.running.len() - 1
                }
                Err(error) => {
                    threads.places.remove(self.channel.name());
                    return fail(&self.channel, &error);
                }
            },
        };
        let name = Arc::clone(self.channel.name());
        threads.places.insert(name, Place::Thread(index));
        if let Some((_, thread)) = threads.running.get(index) {
            thread.shared.ask(&self.channel);
        }
    }
}

fn fail(channel: &Arc<Channel>, error: &io::Error) {
    error!(%error, "no thread can be started to read files");
    channel.looked(channel.asked(), Found::Unreadable);
}

fn lock(threads: &Mutex<Threads>) -> MutexGuard<'_, Threads> {
    threads.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a path leads, links followed; for a file that is missing, where its directory is.
fn real_path(path: &Path) -> PathBuf {
    let parent = || fs::canonicalize(path.parent().filter(|parent| *parent != Path::new(""))?).ok();
    let real = fs::canonicalize(path).ok().or_else(parent);
    real.unwrap_or_else(|| std::path::absolute(path).unwrap_or_default())
}

/// Where the file system of an absolute path without links is mounted.
fn mount_of(path: &Path) -> PathBuf {
    let mounts = fs::read("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .split(|&b| b == b'\n')
        .filter_map(|line| line.split(|&b| b == b' ').nth(4).map(unescape))
        .filter(|mount| path.starts_with(mount))
        .max_by_key(|mount| mount.as_os_str().len())
        .unwrap_or_else(|| PathBuf::from("/"))
}

/// A field of `mountinfo`, in which blanks and backslashes stand as three octal digits (`proc_pid_mountinfo(5)`).
fn unescape(field: &[u8]) -> PathBuf {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        let code = match (byte, after.split_first_chunk::<3>()) {
            (b'\\', Some((digits, tail))) => std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 8).ok())
                .map(|code| (code, tail)),
            _ => None,
        };
        let (byte, after) = code.unwrap_or((byte, after));
        path.push(byte);
        rest = after;
    }
    PathBuf::from(OsString::from_vec(path))
}

/// A tail and when its next turn is due.
struct Scheduled {
    tail: Tail,
    due: Instant,
    /// When its last turn was.
    last: Instant,
}

impl Scheduled {
    /// When the next turn is due, given what events say. They bring it forward, but not into the window in which lines
    /// of this file gather, nor into the one of all files.
    fn due(&self, gathered_by: Instant) -> Instant {
        if self.tail.mark.is_dirty() {
            self.due.min(self.tail.window_ends(self.last).max(gathered_by))
        } else {
            self.due
        }
    }
}

/// What the thread works with.
struct Files {
    /// When files were last looked at because someone asked.
    looked_at: Instant,
    /// Until when lines of all files gather: thousands of small logs are then read a few at a time.
    gathered_by: Instant,
    metrics: Arc<Metrics>,
    wakeups: Wakeups,
    replays: replay::Shared,
    watch: DirectoryWatch,
    tails: Vec<Scheduled>,
    buffer: Vec<u8>,
}

impl Files {
    fn new(shared: &Arc<Shared>, metrics: Arc<Metrics>, wakeups: Wakeups, replays: replay::Shared) -> Self {
        let shared = Arc::downgrade(shared);
        let wake = move || {
            if let Some(shared) = shared.upgrade() {
                let mut inbox = shared.lock();
                inbox.woken = true;
                if inbox.listens {
                    shared.changed.notify_one();
                }
            }
        };
        Self {
            looked_at: Instant::now(),
            gathered_by: Instant::now(),
            metrics,
            wakeups,
            replays,
            watch: DirectoryWatch::new(wakeups, wake),
            tails: Vec::new(),
            buffer: vec![0; BLOCK_BYTES],
        }
    }

    fn run(mut self, shared: &Shared) {
        loop {
            let Some(looks) = self.wait(shared) else {
                break;
            };
            self.watch.renew();
            if !looks.is_empty() {
                self.looked_at = Instant::now();
            }
            for channel in looks {
                self.look(&channel);
            }
            let now = Instant::now();
            for index in (0..self.tails.len()).rev() {
                let gathered_by = self.gathered_by;
                if self
                    .tails
                    .get(index)
                    .is_some_and(|scheduled| scheduled.due(gathered_by) <= now)
                {
                    self.turn(index);
                }
            }
            // Not while it lasts: a file that grows without a pause would put off all others.
            if self.gathered_by <= now && self.tails.iter().any(|scheduled| scheduled.tail.published_at >= now) {
                self.gathered_by = now + MIN_WINDOW;
            }
        }
        for scheduled in &mut self.tails {
            scheduled.tail.last_turn(Instant::now(), &mut self.buffer);
        }
        self.metrics.tailers.decrement(self.tails.len() as f64);
    }

    /// Waits until something is to be done. Returns the channels to look at, or nothing at the end.
    fn wait(&self, shared: &Shared) -> Option<Vec<Arc<Channel>>> {
        let mut inbox = shared.lock();
        loop {
            if inbox.stop {
                return None;
            }
            let now = Instant::now();
            // In a storm of viewers all who ask within a moment are answered by one look.
            let looks_due = (!inbox.looks.is_empty()).then(|| self.looked_at + MIN_PAUSE);
            let dues = self.tails.iter().map(|scheduled| scheduled.due(self.gathered_by));
            let due = dues.chain(looks_due).min();
            if due.is_some_and(|due| due <= now) {
                inbox.woken = false;
                let looks = match looks_due {
                    Some(due) if due <= now => mem::take(&mut inbox.looks),
                    _ => Vec::new(),
                };
                return Some(looks);
            }
            if mem::take(&mut inbox.woken) {
                // A mark was set after the times were looked at.
                continue;
            }
            inbox.listens = self.gathered_by <= now;
            let due = match inbox.listens {
                true => due,
                false => due.into_iter().chain([self.gathered_by]).min(),
            };
            let sleep = due.map_or(MAX_SLEEP, |due| due.duration_since(now)).min(MAX_SLEEP);
            (inbox, _) = shared
                .changed
                .wait_timeout(inbox, sleep)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Looks at the file of a channel now, and begins to follow it if nothing does.
    fn look(&mut self, channel: &Arc<Channel>) {
        let followed = self
            .tails
            .iter()
            .position(|scheduled| Arc::ptr_eq(&scheduled.tail.channel, channel));
        if let Some(index) = followed
            && self.turn(index)
        {
            return;
        }
        let ticket = channel.asked();
        let config = channel.settings().current();
        let Some(file) = config.files.iter().find(|file| *file.name == **channel.name()) else {
            return channel.looked(ticket, Found::Missing);
        };
        let path = config.path_of(file);
        let label = file.encoding.as_deref().and_then(Decoder::for_label);
        let mark: Arc<Mark> = self.watch.add(&path);
        let opened = Tail::open(
            channel,
            path.clone(),
            label,
            mark,
            self.wakeups,
            &self.replays,
            &mut self.buffer,
        );
        match opened {
            Ok(tail) => {
                let now = Instant::now();
                self.tails.push(Scheduled {
                    tail,
                    due: now,
                    last: now,
                });
                self.metrics.tailers.increment(1);
                self.turn(self.tails.len() - 1);
            }
            Err(found) => {
                self.watch.remove(&path);
                channel.looked(ticket, found);
            }
        }
    }

    /// Gives one tail its turn and says whether it goes on.
    fn turn(&mut self, index: usize) -> bool {
        let Some(scheduled) = self.tails.get_mut(index) else {
            return false;
        };
        let now = Instant::now();
        scheduled.last = now;
        match scheduled.tail.turn(now, &mut self.buffer) {
            Turn::At(due) => {
                scheduled.due = due;
                true
            }
            Turn::Over => {
                let ended = self.tails.swap_remove(index);
                let path = ended.tail.path.clone();
                drop(ended);
                self.watch.remove(&path);
                self.metrics.tailers.decrement(1);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_a_path_is_the_nearest_above_it() {
        assert_eq!(mount_of(Path::new("/proc/self/status")), Path::new("/proc"));
        assert_eq!(mount_of(Path::new("/no such/file")), Path::new("/"));
        assert_eq!(
            real_path(Path::new("/proc/self/none")).parent(),
            Some(Path::new("/proc"))
        );
        assert_eq!(unescape(b"/a\\040b\\134c\\9"), Path::new("/a b\\c\\9"));
    }
}
