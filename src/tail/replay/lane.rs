//! One file on the way, and how far a viewer has come in it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::super::content::Content;
use super::super::file::FileId;
use super::super::generation::{Generation, Rules, Step};
use super::held::{Held, Version};
use crate::archive::LogFile;
use crate::chunk::Lines;
use crate::decode::Decoder;
use crate::position::{Identity, Place};

/// Chunks end with the last line before a multiple of this, so that viewers who begin in different places soon read the
/// same ones. With what a line before and up to a quarter of it adds, the text of one is below 64 KiB.
const BLOCK_BYTES: u64 = 48 << 10;
/// What is nearer to such an end than this goes on to the next one.
const MIN_BLOCK_BYTES: u64 = BLOCK_BYTES / 4;
/// Bytes of a line that are read through before others have their turn.
const STEP_BYTES: usize = 8 << 20;
/// What a part of a hole counts as that was looked through.
const SKIPPED_BYTES: usize = 1 << 20;

/// What is known of the file beside its bytes.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// Its tailer holds it open, or held it, in this version.
    Held(Arc<Held>, Version),
    /// It is a rotated sibling on disk.
    Sibling,
}

/// What reading in one came to.
#[derive(Debug)]
pub(super) enum Read {
    /// Lines, and whether they end where others may begin to share.
    Lines(VecDeque<Lines>, bool),
    /// The limit, or the end of a file that is complete.
    Done,
    /// The end of the file before the limit.
    TooShort,
    /// Nothing yet.
    Working,
    /// The file does not hold what stood before the place.
    Other,
}

/// A file and a place in it.
#[derive(Debug)]
pub(super) struct Lane {
    origin: Origin,
    content: Arc<Content>,
    id: FileId,
    identity: Identity,
    decoder: Decoder,
    place: Place,
    /// A reader in the middle of a line of many megabytes.
    reader: Option<Box<Generation>>,
}

impl Lane {
    pub(super) fn held(held: &Arc<Held>, place: Place) -> Self {
        Self {
            origin: Origin::Held(Arc::clone(held), held.version()),
            content: Arc::clone(held.content()),
            id: held.id(),
            identity: held.identity(),
            decoder: held.decoder().unwrap_or(Decoder::UTF_8),
            place: place.in_copy(held.identity()),
            reader: None,
        }
    }

    /// A rotated sibling from a place on, or from its beginning.
    ///
    /// # Errors
    ///
    /// What looking at the file returns.
    pub(super) fn sibling(file: &LogFile, place: Option<Place>) -> io::Result<Self> {
        let metadata = file.source.file().metadata()?;
        let identity = Identity::of(&metadata);
        let content = match file.source.unpack()? {
            Some(stream) => Content::packed(Arc::clone(file.source.file()), stream),
            None => Content::Plain(Arc::clone(file.source.file())),
        };
        Ok(Self {
            origin: Origin::Sibling,
            content: Arc::new(content),
            id: FileId::of(&metadata),
            identity,
            decoder: file.decoder,
            place: place.map_or_else(|| Place::start_of(identity), |place| place.in_copy(identity)),
            reader: None,
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn is(&self, held: &Arc<Held>) -> bool {
        matches!(&self.origin, Origin::Held(own, _) if Arc::ptr_eq(own, held))
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    pub(super) fn content(&self) -> &Content {
        &self.content
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Goes to a place that the live stream came to in the same file.
    pub(super) fn go_to(&mut self, place: Place) {
        self.place = place;
        self.reader = None;
    }

    /// A reader of the file, at its beginning.
    pub(super) fn reader(&self, max_line: usize) -> Generation {
        let rules = Rules {
            decoder: Some(self.decoder),
            max_line,
        };
        Generation::reader(Arc::clone(&self.content), self.id, self.identity, rules)
    }

    /// Reads on, but not beyond `limit`. At the limit, and at the end where the file is `complete`, a line without its
    /// end is one.
    ///
    /// # Errors
    ///
    /// What reading the file returns.
    pub(super) fn read(&mut self, limit: u64, complete: bool, max_line: usize, buffer: &mut [u8]) -> io::Result<Read> {
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => {
                if !self.content.approach(self.place.offset())? {
                    return Ok(Read::Working);
                }
                let mut reader = Box::new(self.reader(max_line));
                reader.go_to(self.place.offset(), self.place.within())?;
                let width = self.decoder.unit().width() as u64;
                if !reader.place().has_bytes_of(&self.place) || !self.place.offset().is_multiple_of(width) {
                    return Ok(Read::Other);
                }
                reader
            }
        };
        let now = Instant::now();
        let mut lines = VecDeque::new();
        let mut block_end = block_end(self.place.offset());
        let mut taken = 0;
        loop {
            let (before, stop) = (reader.offset(), block_end.min(limit));
            match reader.read(buffer, stop, now, 0, &mut |read| lines.push_back(read))? {
                // A run of NULs that goes on behind the block.
                Step::Took(0) if reader.offset() == before && stop < limit => block_end += BLOCK_BYTES,
                Step::Took(len) => taken += len.max(1),
                Step::Skipped => taken += SKIPPED_BYTES,
                Step::Changed => return Ok(Read::Other),
                Step::End if !lines.is_empty() => break,
                Step::End if reader.offset() >= stop && stop < limit => block_end += BLOCK_BYTES,
                Step::End if reader.offset() >= limit || complete => {
                    let Some(rest) = reader.flush_partial(true) else {
                        return Ok(Read::Done);
                    };
                    lines.push_back(rest);
                    break;
                }
                Step::End => return Ok(Read::TooShort),
            }
            if lines.is_empty() && taken >= STEP_BYTES {
                self.reader = Some(reader);
                return Ok(Read::Working);
            }
        }
        self.place = reader.place();
        Ok(Read::Lines(lines, block_end <= limit))
    }
}

/// Where a chunk that begins at an offset ends at the latest, if a line ends before.
fn block_end(offset: u64) -> u64 {
    (offset + MIN_BLOCK_BYTES).next_multiple_of(BLOCK_BYTES)
}
