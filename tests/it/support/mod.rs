//! A server on port 0 over a directory of its own, writers that fill its files, and viewers of several kinds.

mod browser;
mod log;
mod past;
mod program;
mod proxy;
mod raw;
mod server;
mod v1;
mod viewer;

use std::time::{Duration, Instant};

pub use browser::Browser;
pub use log::Log;
pub use past::{Found, Page, ask, page, search, store, walk_back};
pub use program::{Program, tailcast};
pub use proxy::Proxy;
pub use raw::{Frame, RawViewer, Response, masked, request};
pub use server::TestServer;
pub use v1::{Said, V1Viewer, parse};
pub use viewer::Viewer;

/// How long anything that must happen may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Waits until something holds, and fails when it does not come to hold.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < SOON, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The lines `from..=to`, as numbered texts.
pub fn numbered(lines: std::ops::RangeInclusive<u64>) -> Vec<String> {
    lines.map(|n| format!("line {n}")).collect()
}
