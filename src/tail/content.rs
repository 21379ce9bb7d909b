//! Bytes at offsets: of a file as it is, or of what a packed one holds.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::position::MAX_MARKER_BYTES;

/// Something that is read at offsets.
pub(super) trait ReadAt {
    /// Reads some bytes at an offset, none at the end.
    ///
    /// # Errors
    ///
    /// As of `pread`.
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Where there is data from an offset on, as far as that is known without reading.
    ///
    /// # Errors
    ///
    /// As of `lseek` with `SEEK_DATA`: `NXIO` where there is none.
    fn next_data(&self, offset: u64) -> Result<u64, Errno>;
}

impl ReadAt for File {
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }

    fn next_data(&self, offset: u64) -> Result<u64, Errno> {
        seek(self, SeekFrom::Data(offset))
    }
}

/// What a file holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Its bytes.
    Plain(Arc<File>),
    /// What its bytes stand for.
    Packed(Arc<File>, Mutex<Unpacking>),
}

impl Content {
    /// A packed file, of which `stream` is the content from its beginning on.
    pub(super) fn packed(file: Arc<File>, stream: Box<dyn Read + Send>) -> Self {
        Self::Packed(file, Mutex::new(Unpacking::of(stream)))
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Self::Plain(file) => file.metadata(),
            Self::Packed(file, _) => file.metadata(),
        }
    }

    /// How many bytes it holds; of a packed file, which is complete, it is not known and does not matter.
    pub(super) fn size(&self) -> io::Result<u64> {
        match self {
            Self::Plain(file) => Ok(file.metadata()?.len()),
            Self::Packed(..) => Ok(u64::MAX),
        }
    }

    /// The file, where its bytes are the content.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::Plain(file) => Some(file),
            Self::Packed(..) => None,
        }
    }

    /// Goes on towards an offset by some bytes, where they have to be unpacked before it can be read there. Says
    /// whether it can be.
    ///
    /// # Errors
    ///
    /// What reading the file returns.
    pub(super) fn approach(&self, offset: u64) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Packed(_, unpacking) => {
                let mut unpacking = unpacking.lock().unwrap_or_else(PoisonError::into_inner);
                unpacking.approach(offset)
            }
        }
    }
}

impl ReadAt for Content {
    fn read_some_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read_at(buffer, offset),
            Self::Packed(_, unpacking) => {
                let mut unpacking = unpacking.lock().unwrap_or_else(PoisonError::into_inner);
                unpacking.read_at(buffer, offset)
            }
        }
    }

    fn next_data(&self, offset: u64) -> Result<u64, Errno> {
        match self {
            Self::Plain(file) => file.next_data(offset),
            Self::Packed(..) => Err(Errno::NOTSUP),
        }
    }
}

/// Bytes of the beginning that stay readable: more than any head.
const HEAD_BYTES: usize = 4096;
/// Bytes before where the stream stands that stay readable: a block that is looked at again, and the marker before it.
const RECENT_BYTES: usize = (256 << 10) + 2 * MAX_MARKER_BYTES;
/// Bytes unpacked at a time.
const STEP_BYTES: usize = 64 << 10;
/// Bytes unpacked before others have their turn.
const APPROACH_BYTES: u64 = 16 << 20;

/// A packed file on the way from its beginning to its end, for one reader that goes the same way.
pub(super) struct Unpacking {
    stream: Box<dyn Read + Send>,
    /// How much came out of it.
    at: u64,
    head: Vec<u8>,
    /// The last bytes that came out of it.
    recent: Vec<u8>,
    ended: bool,
}

impl std::fmt::Debug for Unpacking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacking")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Unpacking {
    fn of(stream: Box<dyn Read + Send>) -> Self {
        Self {
            stream,
            at: 0,
            head: Vec::new(),
            recent: Vec::new(),
            ended: false,
        }
    }

    fn approach(&mut self, offset: u64) -> io::Result<bool> {
        let end = self.at.saturating_add(APPROACH_BYTES);
        while self.at < offset && !self.ended {
            if self.at >= end {
                return Ok(false);
            }
            self.step()?;
        }
        Ok(true)
    }

    fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        while self.at <= offset && !self.ended {
            self.step()?;
        }
        if offset >= self.at {
            return Ok(0);
        }
        let recent_start = self.at - self.recent.len() as u64;
        let (start, bytes) = match offset < recent_start {
            true => (0, &self.head),
            false => (recent_start, &self.recent),
        };
        let there = usize::try_from(offset - start)
            .ok()
            .and_then(|index| bytes.get(index..));
        let Some(there) = there.filter(|there| !there.is_empty()) else {
            return Err(io::Error::other("a packed file is not read backwards"));
        };
        let len = there.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(there) {
            *to = *from;
        }
        Ok(len)
    }

    fn step(&mut self) -> io::Result<()> {
        if self.recent.len() + STEP_BYTES > 2 * RECENT_BYTES {
            self.recent.drain(..self.recent.len() - RECENT_BYTES);
        }
        let before = self.recent.len();
        let read = Read::by_ref(&mut self.stream)
            .take(STEP_BYTES as u64)
            .read_to_end(&mut self.recent);
        // A file that is cut or damaged ends where it can't be read on; errors of the system have a number.
        match read {
            Err(error) if error.raw_os_error().is_some() => {
                self.recent.truncate(before);
                return Err(error);
            }
            Err(_) => self.ended = true,
            Ok(len) => self.ended = len < STEP_BYTES,
        }
        let new = self.recent.get(before..).unwrap_or_default();
        self.at += new.len() as u64;
        let room = HEAD_BYTES - self.head.len().min(HEAD_BYTES);
        self.head.extend_from_slice(new.get(..room).unwrap_or(new));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::{read_full, read_up_to};
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        let file = Arc::new(tempfile::tempfile().unwrap());
        Content::packed(file, Box::new(io::Cursor::new(bytes.to_vec())))
    }

    #[test]
    fn what_is_unpacked_is_read_forward_with_a_look_back_and_at_the_head() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let content = content(&bytes);
        let mut buffer = vec![0; 64 << 10];
        let mut offset = 0;
        loop {
            let len = read_full(&content, offset as u64, &mut buffer).unwrap();
            assert_eq!(buffer[..len], bytes[offset..offset + len]);
            assert_eq!(read_up_to(&content, 0, 1024).unwrap(), bytes[..1024]);
            let back = offset.saturating_sub(8200);
            assert_eq!(
                read_up_to(&content, back as u64, offset - back).unwrap(),
                bytes[back..offset]
            );
            if len < buffer.len() {
                break;
            }
            offset += len;
        }
        assert!(content.read_some_at(&mut buffer, 1_000_000).is_err(), "too far back");
        assert_eq!(content.read_some_at(&mut buffer, 3_000_000).unwrap(), 0);
        assert_eq!(content.read_some_at(&mut buffer, 5_000_000).unwrap(), 0);
    }

    #[test]
    fn a_far_offset_is_approached_in_steps() {
        let content = content(&vec![7; 40 << 20]);
        let steps = (0..10).take_while(|_| !content.approach(39 << 20).unwrap()).count();
        assert_eq!(steps, 2);
        assert_eq!(read_up_to(&content, (39 << 20) - 8192, 3).unwrap(), [7, 7, 7]);
    }
}
