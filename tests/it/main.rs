//! The program seen from outside: real files, real sockets, real clients.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

mod access;
mod clients;
mod compression;
mod encoding;
mod events;
mod files;
mod history;
mod http;
mod logrotate;
mod mounts;
mod names;
mod page;
mod program;
mod properties;
mod protocol;
mod resume;
mod search;
mod slow;
mod stream;
mod survival;
mod truncation;
mod watch;
