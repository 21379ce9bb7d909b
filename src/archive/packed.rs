//! Reading compressed files at offsets of their decompressed content.
//!
//! gzip and zstd can only be read from the beginning. What is kept is the decoder where it stands and the last
//! [`WINDOW_BYTES`] that came out of it: pages that walk back through a file find most of what they ask for there, and
//! the file is decompressed from its start once a window instead of once a page.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use tracing::debug;
use zstd::stream::read::Decoder as ZstdDecoder;

use super::budget::Budget;
use super::names::Packing;
use super::source::FileId;

/// Decompressed bytes that are kept of one file.
const WINDOW_BYTES: usize = 16 << 20;
/// Bytes that are decompressed in one step.
const STEP_BYTES: usize = 256 << 10;
/// The largest window of a zstd frame, as a power of two: the 8 MiB that every decoder should support (RFC 8878,
/// section 3.1.1.1.2), and up to `zstd -19` no frame has more.
const ZSTD_WINDOW_LOG: u32 = 23;
/// Compressed bytes read at a time.
const INPUT_BYTES: usize = 64 << 10;

/// A file read by offset, whatever its own offset is.
struct Input {
    file: Arc<File>,
    at: u64,
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read_at(buffer, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// The decompressed content of a file, from its beginning, all of its members or frames one after the other.
///
/// # Errors
///
/// None but for want of memory; what is wrong with the file shows when it is read.
pub(super) fn unpack(file: Arc<File>, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let input = BufReader::with_capacity(INPUT_BYTES, Input { file, at: 0 });
    Ok(match packing {
        Packing::Plain => Box::new(input),
        Packing::Gzip => Box::new(MultiGzDecoder::new(input)),
        Packing::Zstd => {
            let mut decoder = ZstdDecoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Fills as much of the buffer as there is. A file that is cut or damaged ends where it can't be read on, as one does
/// that is still being compressed; the answer also says whether it ended in this way.
pub(super) fn fill(stream: &mut dyn Read, buffer: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_damage(&error) => {
                debug!(%error, "a compressed log can't be read to its end");
                return Ok((len, true));
            }
            Err(error) => return Err(error),
        }
    }
    Ok((len, false))
}

/// Whether an error tells of the content; those of the system have a number.
fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// A compressed file of which the content can be read at offsets.
pub(super) struct Packed {
    file: Arc<File>,
    packing: Packing,
    /// Set while the content was not read to its end.
    stream: Option<Box<dyn Read + Send>>,
    /// Where the stream stands, in decompressed bytes.
    at: u64,
    /// The bytes right before that, in parts of [`STEP_BYTES`] but for the last of a file.
    window: VecDeque<Vec<u8>>,
    window_bytes: usize,
    /// Bytes in all, once the end was seen.
    size: Option<u64>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Packed")
            .field("file", &self.file)
            .field("packing", &self.packing)
            .field("at", &self.at)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl Packed {
    pub(super) fn new(file: Arc<File>, packing: Packing) -> Self {
        Self {
            file,
            packing,
            stream: None,
            at: 0,
            window: VecDeque::new(),
            window_bytes: 0,
            size: None,
        }
    }

    /// Bytes of the whole content. Decompresses all of it where that was not done yet.
    pub(super) fn size(&mut self, budget: &Budget) -> io::Result<u64> {
        loop {
            if let Some(size) = self.size {
                return Ok(size);
            }
            self.step(budget)?;
        }
    }

    /// Fills as much of the buffer as there is from an offset on.
    pub(super) fn read_at(&mut self, offset: u64, buffer: &mut [u8], budget: &Budget) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        if offset < self.at - self.window_bytes as u64 {
            self.rewind();
        }
        while self.at < end && self.size.is_none_or(|size| self.at < size) {
            self.step(budget)?;
        }
        Ok(self.copy(offset, buffer))
    }

    fn copy(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let mut part_start = self.at - self.window_bytes as u64;
        let mut len = 0;
        for part in &self.window {
            let part_end = part_start + part.len() as u64;
            let from = offset + len as u64;
            if from < part_end {
                let skip = usize::try_from(from.saturating_sub(part_start)).unwrap_or(usize::MAX);
                let bytes = part.get(skip..).unwrap_or_default();
                let Some(rest) = buffer.get_mut(len..) else { break };
                let taken = bytes.len().min(rest.len());
                if let (Some(to), Some(bytes)) = (rest.get_mut(..taken), bytes.get(..taken)) {
                    to.copy_from_slice(bytes);
                }
                len += taken;
            }
            part_start = part_end;
        }
        len
    }

    fn rewind(&mut self) {
        self.stream = None;
        self.at = 0;
        self.window = VecDeque::new();
        self.window_bytes = 0;
    }

    /// Decompresses some more.
    fn step(&mut self, budget: &Budget) -> io::Result<()> {
        budget.check()?;
        if self.stream.is_none() {
            self.rewind();
            self.stream = Some(unpack(Arc::clone(&self.file), self.packing)?);
        }
        let mut part = match self.window_bytes >= WINDOW_BYTES {
            true => self.window.pop_front().unwrap_or_default(),
            false => Vec::new(),
        };
        self.window_bytes -= part.len();
        part.resize(STEP_BYTES, 0);
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let filled = fill(stream, &mut part);
        let (len, damaged) = match filled {
            Ok(filled) => filled,
            Err(error) => {
                self.rewind();
                return Err(error);
            }
        };
        part.truncate(len);
        self.at += len as u64;
        self.window_bytes += len;
        if len > 0 {
            self.window.push_back(part);
        }
        if len < STEP_BYTES || damaged {
            self.size = Some(self.at);
            self.stream = None;
        }
        Ok(())
    }
}

/// Files that are kept at a time: with their windows and what zstd needs for its own, 4 × (16 MiB + 8 MiB).
const MAX_KEPT: usize = 4;
/// How long one is kept that nobody reads.
const KEEP_FOR: Duration = Duration::from_secs(60);

/// Which content it is: compressing anew makes another file or another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    id: FileId,
    size: u64,
    modified: (i64, i64),
}

impl Key {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            id: FileId::of(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[derive(Debug)]
struct Kept {
    key: Key,
    packed: Arc<Mutex<Packed>>,
    used_at: Instant,
}

/// The packed files that were read last, for the next request.
#[derive(Debug, Default)]
pub struct Unpacked(Mutex<Vec<Kept>>);

impl Unpacked {
    /// The file, as far as it was decompressed before.
    pub(super) fn take(&self, key: Key, file: &Arc<File>, packing: Packing) -> Arc<Mutex<Packed>> {
        let mut kept = self.lock();
        let known = kept.iter().position(|kept| kept.key == key);
        let mut entry = match known {
            Some(index) => kept.remove(index),
            None => Kept {
                key,
                packed: Arc::new(Mutex::new(Packed::new(Arc::clone(file), packing))),
                used_at: Instant::now(),
            },
        };
        entry.used_at = Instant::now();
        let packed = Arc::clone(&entry.packed);
        kept.insert(0, entry);
        kept.truncate(MAX_KEPT);
        packed
    }

    /// Lets go of files that nobody has read for a while.
    pub fn drop_unused(&self) {
        self.lock().retain(|kept| kept.used_at.elapsed() < KEEP_FOR);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn what_is_read_at_any_offset_is_what_was_packed() {
        // Larger than the window, each 8 bytes of it others.
        let len = WINDOW_BYTES + (5 << 20) + 3;
        let content: Vec<u8> = (0..len as u64 / 8 + 1).flat_map(u64::to_be_bytes).take(len).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&zstd::encode_all(content.as_slice(), 1).unwrap())
            .unwrap();
        let mut packed = Packed::new(Arc::new(file), Packing::Zstd);
        let budget = Budget::new(Instant::now() + Duration::from_secs(60), CancellationToken::new());
        let mut read = |offset: usize, len: usize| {
            let mut buffer = vec![0; len];
            let read = packed.read_at(offset as u64, &mut buffer, &budget).unwrap();
            let end = (offset + len).min(content.len());
            assert!(buffer[..read] == content[offset.min(end)..end], "{len} at {offset}");
        };
        for offset in [
            0,
            7,
            STEP_BYTES - 3,
            3 << 20,
            len - 10,
            len - WINDOW_BYTES / 2,
            5,
            len,
            len + 9,
            1 << 20,
        ] {
            read(offset, 20);
            read(offset, STEP_BYTES + 1);
        }
        assert_eq!(packed.size(&budget).unwrap(), len as u64);
        assert!(packed.window_bytes <= WINDOW_BYTES + STEP_BYTES);
    }

    #[test]
    fn of_many_files_the_last_ones_are_kept() {
        let unpacked = Unpacked::default();
        let file = Arc::new(tempfile::tempfile().unwrap());
        let key = |size| Key {
            size,
            ..Key::of(&file.metadata().unwrap())
        };
        let first = unpacked.take(key(0), &file, Packing::Gzip);
        for size in 1..MAX_KEPT as u64 {
            unpacked.take(key(size), &file, Packing::Gzip);
        }
        assert!(Arc::ptr_eq(&first, &unpacked.take(key(0), &file, Packing::Gzip)));
        unpacked.take(key(99), &file, Packing::Gzip);
        assert_eq!(unpacked.lock().len(), MAX_KEPT);
        assert!(
            Arc::ptr_eq(&first, &unpacked.take(key(0), &file, Packing::Gzip)),
            "it was read last"
        );
    }
}
