//! The thread on which files are read: blocking reads have no place on the async threads, and a pool of blocking tasks
//! could be used up by one storage that hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, mem};

use super::generation::BLOCK_BYTES;
use super::watch::{DirectoryWatch, Mark};
use super::{HOT_POLL, Tail, Turn, Wakeups};
use crate::decode::Decoder;
use crate::hub::{Channel, Found, Source};
use crate::metrics::Metrics;

/// How long the thread sleeps at most, so that a lost wake-up costs no more than that.
const MAX_SLEEP: Duration = Duration::from_secs(1);

/// Reads files on a thread of its own and feeds their channels.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
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
    stop: bool,
}

impl Shared {
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

impl Reader {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// Where the system has no thread left.
    pub fn start(metrics: Arc<Metrics>, wakeups: Wakeups) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            changed: Condvar::new(),
            running: AtomicBool::new(true),
        });
        let running = Running(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("reader".to_owned())
            .spawn(move || Files::new(&running.0, metrics, wakeups).run(&running.0))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Whether the thread runs.
    pub fn is_running(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
    }

    /// Reads every file once more, then ends the thread. Blocks until that is done.
    pub fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.changed.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A thread that panicked has ended as well, which `is_running` told.
            let _ = thread.join();
        }
    }
}

impl Source for Reader {
    fn look(&self, channel: &Arc<Channel>) {
        let mut inbox = self.shared.lock();
        // One look answers all who asked before it begins, however many connect at a time.
        if !inbox.looks.iter().any(|asked| Arc::ptr_eq(asked, channel)) {
            inbox.looks.push(Arc::clone(channel));
            self.shared.changed.notify_one();
        }
    }
}

/// A tail and when its next turn is due.
struct Scheduled {
    tail: Tail,
    due: Instant,
    /// When its last turn was.
    last: Instant,
}

impl Scheduled {
    /// When the next turn is due, given what events say. They bring it forward, but not closer to the last turn than
    /// two reads of a hot file are.
    fn due(&self) -> Instant {
        if self.tail.mark.is_dirty() {
            self.due.min(self.last + HOT_POLL)
        } else {
            self.due
        }
    }
}

/// What the thread works with.
struct Files {
    metrics: Arc<Metrics>,
    wakeups: Wakeups,
    watch: DirectoryWatch,
    tails: Vec<Scheduled>,
    buffer: Vec<u8>,
}

impl Files {
    fn new(shared: &Arc<Shared>, metrics: Arc<Metrics>, wakeups: Wakeups) -> Self {
        let shared = Arc::downgrade(shared);
        let wake = move || {
            if let Some(shared) = shared.upgrade() {
                shared.lock().woken = true;
                shared.changed.notify_one();
            }
        };
        Self {
            metrics,
            wakeups,
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
            for channel in looks {
                self.look(&channel);
            }
            let now = Instant::now();
            for index in (0..self.tails.len()).rev() {
                if self.tails.get(index).is_some_and(|scheduled| scheduled.due() <= now) {
                    self.turn(index);
                }
            }
        }
        for index in (0..self.tails.len()).rev() {
            self.turn(index);
        }
        self.metrics.tailers.set(0);
    }

    /// Waits until something is to be done. Returns the channels to look at, or nothing at the end.
    fn wait(&self, shared: &Shared) -> Option<Vec<Arc<Channel>>> {
        let mut inbox = shared.lock();
        loop {
            if inbox.stop {
                return None;
            }
            let now = Instant::now();
            let due = self.tails.iter().map(Scheduled::due).min();
            if !inbox.looks.is_empty() || due.is_some_and(|due| due <= now) {
                inbox.woken = false;
                return Some(mem::take(&mut inbox.looks));
            }
            if mem::take(&mut inbox.woken) {
                // A mark was set after the times were looked at.
                continue;
            }
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
        match Tail::open(channel, path.clone(), label, mark, self.wakeups, &mut self.buffer) {
            Ok(tail) => {
                let now = Instant::now();
                self.tails.push(Scheduled {
                    tail,
                    due: now,
                    last: now,
                });
                self.metrics.tailers.set(self.tails.len() as f64);
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
                self.metrics.tailers.set(self.tails.len() as f64);
                false
            }
        }
    }
}
