//! Catching up: the lines from where a viewer stopped to where the live stream is, read again from the files.
//!
//! A [`Way`](way::Way) leads from a place in some file of a log, through the files that took the name after it, to the target that
//! the channel sets. It goes in steps of a chunk, each of which begins by proving that the file still holds what stood
//! before the place. The files are those that the tailer holds open, in a [`Lineage`], and before them the rotated
//! siblings on disk.

mod cache;
mod held;
mod lane;
mod lineage;
mod way;

pub(super) use held::Held;
pub(super) use lineage::{Lineage, Shared};
