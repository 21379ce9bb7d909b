//! One file on the way, and how far a viewer has come in it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;

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
    /// Its viewer's turn to have files unpacked, where this is such a file.
    turn: Option<Arc<OwnedSemaphorePermit>>,
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
            turn: None,
        }
    }

    /// A rotated sibling from a place on, or from its beginning.
    ///
    /// # Errors
    ///
    /// What looking at the file returns; `ResourceBusy` where it is packed and it is not the viewer's turn.
    pub(super) fn sibling(
        file: &LogFile,
        place: Option<Place>,
        turn: Option<&Arc<OwnedSemaphorePermit>>,
    ) -> io::Result<Self> {
        let metadata = file.source.file().metadata()?;
        let identity = Identity::of(&metadata);
        let (content, turn) = match file.source.unpack()? {
            Some(stream) => {
                let turn = turn.ok_or(io::ErrorKind::ResourceBusy)?;
                let content = Content::packed(Arc::clone(file.source.file()), stream);
                (content, Some(Arc::clone(turn)))
            }
            None => (Content::Plain(Arc::clone(file.source.file())), None),
        };
        Ok(Self {
            origin: Origin::Sibling,
            content: Arc::new(content),
            id: FileId::of(&metadata),
            identity,
            decoder: file.decoder,
            place: place.map_or_else(|| Place::start_of(identity), |place| place.in_copy(identity)),
            reader: None,
            turn,
        })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn is(&self, held: &Arc<Held>) -> bool {
        matches!(&self.origin, Origin::Held(own, _) if Arc::ptr_eq(own, held))
    }

    pub(super) fn turn(&self) -> Option<&Arc<OwnedSemaphorePermit>> {
        self.turn.as_ref()
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::position::Within;
    use crate::ws::frame;

    const MAX_LINE: usize = 64 << 10;

    fn lane(bytes: &[u8], offset: u64, within: Within) -> (Lane, Arc<File>) {
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.write_all_at(bytes, 0).unwrap();
        let place = Place::in_file(&file, offset, within).unwrap();
        let content = Arc::new(Content::Plain(Arc::clone(&file)));
        let held = Held::new(content, &file.metadata().unwrap(), None);
        (Lane::held(&Arc::new(held), place), file)
    }

    fn read(lane: &mut Lane, limit: u64, complete: bool) -> Read {
        lane.read(limit, complete, MAX_LINE, &mut vec![0; 64 << 10]).unwrap()
    }

    /// All lines up to the limit, as texts, and what the last read came to.
    fn texts(lane: &mut Lane, limit: u64, complete: bool) -> (Vec<String>, Read) {
        let mut texts = Vec::new();
        loop {
            match read(lane, limit, complete) {
                Read::Lines(lines, _) => {
                    for lines in lines {
                        let payloads = frame::payloads(lines.frames());
                        texts.extend(payloads.map(|text| String::from_utf8(text.to_vec()).unwrap()));
                    }
                }
                Read::Working => {}
                last => return (texts, last),
            }
        }
    }

    #[test]
    fn what_does_not_hold_the_bytes_before_the_place_is_another_file() {
        let text = b"one\ntwo\nthree\n";
        let (mut whole, _) = lane(text, 4, Within::Nothing);
        assert_eq!(texts(&mut whole, 14, false).0, ["two", "three"]);
        let (mut changed, file) = lane(text, 4, Within::Nothing);
        file.write_all_at(b"ONE", 0).unwrap();
        assert!(matches!(read(&mut changed, 14, false), Read::Other));
        let (mut cut, file) = lane(text, 8, Within::Nothing);
        file.set_len(4).unwrap();
        assert!(matches!(read(&mut cut, 14, false), Read::Other));
    }

    #[test]
    fn a_line_without_its_end_is_one_at_the_limit_and_at_the_end_of_a_complete_file() {
        let text = b"one\ntwo";
        for (limit, complete, expected) in [
            (6, false, vec!["one", "tw"]),
            (u64::MAX, true, vec!["one", "two"]),
            (u64::MAX, false, vec!["one"]),
        ] {
            let (mut lane, _) = lane(text, 0, Within::Nothing);
            let (lines, last) = texts(&mut lane, limit, complete);
            assert_eq!(lines, expected, "{limit} {complete}");
            assert_eq!(
                matches!(last, Read::TooShort),
                limit == u64::MAX && !complete,
                "{last:?}"
            );
        }
        let (mut behind, _) = lane(b"one\ntwo\n", 6, Within::PartialLine);
        assert_eq!(texts(&mut behind, 8, false).0, ["o"]);
        let (mut inside, _) = lane(b"one\ntwo\nlast\n", 6, Within::CutLine);
        assert_eq!(texts(&mut inside, 13, false).0, ["last"]);
    }

    #[test]
    fn viewers_from_different_places_soon_read_the_same_chunks() {
        let line = |n: usize| format!("line {n:05} {}\n", "x".repeat(n % 90)).into_bytes();
        let text: Vec<u8> = (0..5000).flat_map(line).collect();
        let ends = |start: usize| {
            let line_end = text[..start].iter().rposition(|&b| b == b'\n');
            let (mut lane, _) = lane(&text, line_end.map_or(0, |at| at as u64 + 1), Within::Nothing);
            let mut ends = Vec::new();
            while let Read::Lines(lines, _) = read(&mut lane, text.len() as u64, false) {
                assert_eq!(lines.len(), 1, "one chunk at a time");
                ends.push(lane.place().offset());
            }
            ends
        };
        let from_start = ends(0);
        for start in [100, 10_000, 47_000, 60_000, 100_000] {
            let shared = ends(start);
            assert!(from_start.ends_with(&shared[2..]), "{start}");
        }
    }

    #[test]
    fn a_line_of_many_megabytes_and_a_hole_are_read_in_steps() {
        let (mut lane, file) = lane(b"one\n", 4, Within::Nothing);
        file.write_all_at(&vec![b'x'; 20 << 20], 4).unwrap();
        file.write_all_at(b"\n", 4 + (20 << 20)).unwrap();
        let far = 100 << 20;
        file.write_all_at(b"behind\n", far).unwrap();
        let mut steps = 0;
        let first = loop {
            match read(&mut lane, far + 7, false) {
                Read::Working => steps += 1,
                Read::Lines(lines, _) => break lines,
                other => panic!("{other:?}"),
            }
        };
        assert!(steps >= 2, "{steps}");
        assert_eq!(first.front().unwrap().count(), 1);
        assert_eq!(texts(&mut lane, far + 7, false).0, ["behind"]);
    }
}
