//! The system's watcher, with its events taken on their way to the debouncer.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use notify_debouncer_full::notify::{
    self, Config, Event, EventHandler, RecommendedWatcher, RecursiveMode, Watcher, WatcherKind,
};

use super::hints::Hints;

thread_local! {
    /// The hints of the watcher that is being made on this thread: the debouncer makes its watcher itself and passes
    /// nothing through.
    pub(super) static MAKING: RefCell<Option<Arc<Hints>>> = const { RefCell::new(None) };
}

/// The system's watcher, with its events taken on the way to the debouncer.
#[derive(Debug)]
pub(super) struct Tee(RecommendedWatcher);

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
