//! RFC 6455 on the wire, for a server whose frames are ready-made.
//!
//! Towards viewers there is no encoder to run: [`frame`] writes headers in front of text once a chunk, for all viewers.
//! From viewers come small messages only, read by [`ClientFrames`]. [`handshake`] is the HTTP side, [`Transport`] the
//! byte stream after it, [`deflate`] the extension that compresses messages.

mod client;
pub mod deflate;
pub mod frame;
pub mod handshake;
mod transport;

pub use client::{ClientFrames, Incoming, Terms, Violation};
pub use transport::{Heard, Transport};

/// Close codes that the server sends (RFC 6455, section 7.4, and from 4000 on its own).
pub mod close_code {
    /// The server stops, or the client was silent for too long.
    pub const GOING_AWAY: u16 = 1001;
    /// The client broke the protocol.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// A text that is not UTF-8, or compressed data that is none.
    pub const INVALID_DATA: u16 = 1007;
    /// The file is not on the allow-list.
    pub const POLICY: u16 = 1008;
    /// A message beyond what a client's may hold.
    pub const TOO_BIG: u16 = 1009;
    /// The file can't be read.
    pub const INTERNAL: u16 = 1011;
    /// The viewer is too slow, or there are too many.
    pub const TRY_AGAIN: u16 = 1013;
    /// The file does not exist.
    pub const NOT_FOUND: u16 = 4404;
    /// The file is gone.
    pub const GONE: u16 = 4410;
}
