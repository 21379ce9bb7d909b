//! Watching log files live: each allowed file is tailed once, its lines go to any number of viewers.
//!
//! The data path has one direction; each arrow is the only way from one part to the next:
//!
//! ```text
//! log file ──bytes──▶ Tail ──lines──▶ Chunk ──Arc──▶ Channel ──Arc──▶ Session ──bytes──▶ viewer's socket
//!                     one per file    encoded once   ring of 50 +     one task per viewer
//!                     with viewers                   broadcast        never waits for another
//!                                                    in the Registry
//! ```
//!
//! In its order: [`tail`] reads files on a thread of its own, [`lines`] makes lines of bytes by [`split`] and
//! [`decode`], [`chunk`] holds a batch of them in the form in which they are sent, [`position`] names the places between
//! them, [`hub`] has the channels where lines meet viewers, [`session`] is one viewer, [`ws`] the WebSocket on the wire.
//! Beside it: [`archive`] is what a log held before, for those who ask for it. Around it: [`config`] is what can be set,
//! [`access`] who may ask, [`http`] the routes, [`metrics`] what is counted, [`notices`] what viewers are told,
//! [`sizing`] what a configuration takes of the machine, [`server`] all of it put together, [`demo`] a writer of example
//! logs. From the outside, [`client`] is a viewer in the terminal.

pub mod access;
pub mod archive;
pub mod chunk;
pub mod client;
pub mod config;
pub mod decode;
pub mod demo;
pub mod http;
pub mod hub;
pub mod lines;
pub mod metrics;
pub mod notices;
pub mod position;
pub mod server;
pub mod session;
pub mod sizing;
pub mod split;
pub mod tail;
pub mod v1;
pub mod ws;
