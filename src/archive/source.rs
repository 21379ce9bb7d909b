//! One file of a log: its content by offset, whether it is packed or not, and the places in it.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::thread::sleep;
use std::time::Duration;

use super::budget::Budget;
use super::names::Packing;
use super::packed::{Key, Packed, Unpacked, fill, unpack};
use crate::decode::SAMPLE_BYTES;
use crate::position::{Identity, Place, Within};

/// How often it is tried again to get at a packed file that another request is reading.
const TRY_AGAIN: Duration = Duration::from_millis(2);

/// Which file it is while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    pub(super) fn new(dev: u64, ino: u64) -> Self {
        Self { dev, ino }
    }

    pub(super) fn of(metadata: &Metadata) -> Self {
        Self::new(metadata.dev(), metadata.ino())
    }
}

/// A file that is read at offsets of its content, decompressed where it is packed.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    identity: Identity,
    packing: Packing,
    file: Arc<File>,
    /// Bytes on disk when it was opened.
    stored_bytes: u64,
    unpacking: Option<Unpacking>,
}

/// How a packed file is read: taken from those that are kept, once it is.
#[derive(Debug, Clone)]
struct Unpacking {
    unpacked: Arc<Unpacked>,
    key: Key,
    packed: OnceLock<Arc<Mutex<Packed>>>,
    /// Its first bytes, which every place needs, and which are far behind by the time that others are read.
    head: OnceLock<Vec<u8>>,
}

impl Source {
    pub(super) fn plain(file: File, metadata: &Metadata) -> Self {
        Self {
            identity: Identity::of(metadata),
            packing: Packing::Plain,
            file: Arc::new(file),
            stored_bytes: metadata.size(),
            unpacking: None,
        }
    }

    pub(super) fn new(file: File, metadata: &Metadata, packing: Packing, unpacked: &Arc<Unpacked>) -> Self {
        let unpacking = (packing != Packing::Plain).then(|| Unpacking {
            unpacked: Arc::clone(unpacked),
            key: Key::of(metadata),
            packed: OnceLock::new(),
            head: OnceLock::new(),
        });
        Self {
            packing,
            unpacking,
            ..Self::plain(file, metadata)
        }
    }

    fn packed(&self) -> Option<&Mutex<Packed>> {
        let unpacking = self.unpacking.as_ref()?;
        let take = || unpacking.unpacked.take(unpacking.key, &self.file, self.packing);
        Some(unpacking.packed.get_or_init(take))
    }

    /// Which file it is, in positions.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The file, where its bytes are its content.
    pub(crate) fn plain_file(&self) -> Option<&File> {
        self.unpacking.is_none().then_some(&*self.file)
    }

    /// The file itself.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Its content as a stream from its beginning, where it is packed.
    ///
    /// # Errors
    ///
    /// As of [`unpack`].
    pub(crate) fn unpack(&self) -> io::Result<Option<Box<dyn Read + Send>>> {
        match self.packing {
            Packing::Plain => Ok(None),
            packing => unpack(Arc::clone(&self.file), packing).map(Some),
        }
    }

    pub(super) fn packing(&self) -> Packing {
        self.packing
    }

    /// Whether there is nothing in it. Of a packed file it may take reading its beginning to know.
    pub(crate) fn is_empty(&self, budget: &Budget) -> io::Result<bool> {
        match self.unpacking {
            None => Ok(self.stored_bytes == 0),
            Some(_) => Ok(self.head(1, budget)?.is_empty()),
        }
    }

    /// Bytes of its content: of a plain file those it had when it was opened, of a packed one all of them, which may
    /// take decompressing it.
    ///
    /// # Errors
    ///
    /// What reading returns; `TimedOut` when the budget is used up.
    pub(crate) fn size(&self, budget: &Budget) -> io::Result<u64> {
        match self.packed() {
            None => Ok(self.stored_bytes),
            Some(packed) => lock(packed, budget)?.size(budget),
        }
    }

    /// Fills as much of the buffer as there is from an offset on.
    ///
    /// # Errors
    ///
    /// As of [`size`](Self::size).
    pub(crate) fn read_at(&self, offset: u64, buffer: &mut [u8], budget: &Budget) -> io::Result<usize> {
        if let Some(packed) = self.packed() {
            return lock(packed, budget)?.read_at(offset, buffer, budget);
        }
        budget.check()?;
        let mut len = 0;
        while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + len as u64) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(len)
    }

    /// The first bytes of its content, up to [`SAMPLE_BYTES`]. A packed file is not kept for it as one that is read on
    /// is.
    pub(super) fn head(&self, len: usize, budget: &Budget) -> io::Result<Vec<u8>> {
        let Some(Unpacking { head, .. }) = &self.unpacking else {
            return self.read_up_to(0, len, budget);
        };
        if head.get().is_none() {
            budget.check()?;
            let mut bytes = vec![0; SAMPLE_BYTES];
            let (read, _) = fill(&mut *unpack(Arc::clone(&self.file), self.packing)?, &mut bytes)?;
            bytes.truncate(read);
            head.get_or_init(|| bytes);
        }
        let head = head.get().map(Vec::as_slice).unwrap_or_default();
        Ok(head.get(..len).unwrap_or(head).to_vec())
    }

    pub(super) fn read_up_to(&self, offset: u64, len: usize, budget: &Budget) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = self.read_at(offset, &mut bytes, budget)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// The head of the file and what stands before an offset, as far as places need them.
    fn around(&self, offset: u64, budget: &Budget) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let before_len = Place::before_len(offset);
        let before = self.read_up_to(offset - before_len as u64, before_len, budget)?;
        let head = match offset == before_len as u64 {
            true => before.clone(),
            false => self.head(Place::head_len(offset), budget)?,
        };
        Ok((head, before))
    }

    /// The place at an offset.
    ///
    /// # Errors
    ///
    /// As of [`size`](Self::size).
    pub(crate) fn place(&self, offset: u64, within: Within, budget: &Budget) -> io::Result<Place> {
        let (head, before) = self.around(offset, budget)?;
        Ok(Place::new(self.identity, offset, within, &head, &before))
    }

    /// Whether its bytes say that a place is one in this file.
    ///
    /// # Errors
    ///
    /// As of [`size`](Self::size).
    pub(crate) fn holds(&self, place: &Place, budget: &Budget) -> io::Result<bool> {
        if place.offset() == 0 {
            return Ok(place.is_at_start_of(self.identity));
        }
        // Of a packed file the beginning is cheap and the rest is not.
        let head = self.head(Place::head_len(place.offset()), budget)?;
        if !place.agrees_with_head(&head) {
            return Ok(false);
        }
        let len = Place::before_len(place.offset());
        let before = self.read_up_to(place.offset() - len as u64, len, budget)?;
        Ok(place.agrees_with(&head, &before))
    }

    /// Whether this is a copy of the beginning of a younger file, as `copytruncate` makes one before it empties the
    /// file. Says no for what is too small to tell.
    pub(super) fn is_copied_from(&self, younger: &Self, budget: &Budget) -> io::Result<bool> {
        let size = self.stored_bytes;
        let (Some(_), Some(_)) = (self.plain_file(), younger.plain_file()) else {
            return Ok(false);
        };
        if size < crate::position::HEAD_BYTES as u64 || size > younger.stored_bytes {
            return Ok(false);
        }
        Ok(self.around(size, budget)? == younger.around(size, budget)?)
    }
}

/// A packed file is read by one request at a time; the others wait, each for as long as it may.
fn lock<'a>(packed: &'a Mutex<Packed>, budget: &Budget) -> io::Result<MutexGuard<'a, Packed>> {
    loop {
        match packed.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => {
                budget.check()?;
                sleep(TRY_AGAIN);
            }
        }
    }
}
