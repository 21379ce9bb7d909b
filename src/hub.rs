//! Where lines meet viewers: a [`Registry`] of [`Channel`]s, one per allowed file.
//!
//! A channel does not know what feeds it: a [`Source`] publishes batches of lines and events. Publishing and subscribing
//! happen under one lock, so what a viewer gets is history ++ live without a gap and without an overlap.

mod catch_up;
mod channel;
mod past;
mod ring;
mod state;
mod subscription;

use std::sync::Arc;

use dashmap::DashMap;

pub use channel::{Channel, Found, Source, Unavailable};
pub use past::{Past, Replay, Start, Step};
pub use ring::History;
pub use subscription::{Next, Subscription};

use crate::chunk::Event;
use crate::config::Settings;
use crate::metrics::Metrics;

/// The channels of all allowed files, by name.
#[derive(Debug, Default)]
pub struct Registry {
    channels: DashMap<Arc<str>, Arc<Channel>>,
}

impl Registry {
    /// A channel for each file of the allow-list, fed by `source`.
    pub fn new(settings: &Settings, metrics: &Metrics, source: &Arc<dyn Source>) -> Self {
        let registry = Self::default();
        for file in &settings.current().files {
            let name: Arc<str> = file.name.as_str().into();
            let channel = Channel::new(
                Arc::clone(&name),
                settings.clone(),
                metrics.of_file(&name),
                Arc::clone(source),
            );
            registry.channels.insert(name, Arc::new(channel));
        }
        registry
    }

    /// The channel of a name that is on the allow-list, compared as a whole.
    pub fn channel(&self, name: &str) -> Option<Arc<Channel>> {
        self.channels.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Tells every viewer that nothing follows because the server stops.
    pub fn shut_down(&self) {
        for entry in &self.channels {
            entry.value().publish_event(Event::Shutdown, None);
        }
    }
}
