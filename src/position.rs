//! Places in files that prove themselves: a [`Position`] is all that a client needs to go on where it stopped.
//!
//! It names bytes that an append never changes, by their hashes, so neither a restart nor a rotation takes its meaning
//! away, and nothing has to be stored: the server looks at the file and its rotated siblings and takes the one whose
//! bytes agree.
//!
//! Its text is URL-safe base64 (RFC 4648, section 5, without padding) of a version byte, one to [`MAX_PLACES`] places
//! of 33 bytes, that of the current file first, and a checksum of 4 bytes over all of that. Numbers are little-endian,
//! hashes XXH3 with 64 bits, the checksum its lower half.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The head of a file: as much of it as an offset has before it, up to this.
pub const HEAD_BYTES: usize = 1024;
/// The marker before an offset covers at least this much, and a full line where that is longer: lines often end alike.
pub const MIN_MARKER_BYTES: usize = 256;
/// But no more than this of a line.
pub const MAX_MARKER_BYTES: usize = 8192;

const VERSION: u8 = 1;
const PLACE_BYTES: usize = 33;
const CHECKSUM_BYTES: usize = 4;
/// Files that a position can name: 1 + 5 × 33 + 4 = 170 bytes are 227 characters, of 256 that are promised to suffice.
/// A name whose file was rotated more than four times within `rotate_wait` loses the late lines of the oldest on
/// resuming.
pub const MAX_PLACES: usize = 5;

/// Which file it is, as far as can be told without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The number of the inode.
    pub inode: u64,
    /// When it was made, in nanoseconds since 1970; 0 where the file system does not tell. It tells a file from a later
    /// one that got its inode, as ext4 gives it to the next one.
    pub born: u64,
}

impl Identity {
    /// The identity of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let born = metadata
            .created()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Self::new(metadata.ino(), born)
    }

    /// The identity of the file of an inode that was made so long after 1970.
    pub(crate) fn new(inode: u64, born: Option<Duration>) -> Self {
        Self {
            inode,
            born: born.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0)),
        }
    }

    /// Both as one number.
    fn number(self) -> u64 {
        xxh3_64_with_seed(&self.inode.to_le_bytes(), self.born)
    }
}

/// What stands before a place and was not sent with the line that ended there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Within {
    /// Nothing: the place is between two lines.
    #[default]
    Nothing,
    /// A partial line that was sent: what follows up to the line end is a line of its own, unless it is nothing.
    PartialLine,
    /// The beginning of a line that was cut and sent: the rest of it is skipped.
    CutLine,
}

/// A place in one file. The default is one in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Place {
    /// The [`Identity`] of the file, as a number.
    file: u64,
    offset: u64,
    head: u64,
    marker: u64,
    within: Within,
}

impl Place {
    /// The place `offset` bytes (of the decompressed file) behind its first one. `head` is at least what
    /// [`head_len`](Self::head_len) says of the file's beginning, `before` the bytes right before
    /// the offset, at least as many as the marker covers: [`before_len`](Self::before_len) always suffice, more of either
    /// changes nothing.
    pub fn new(file: Identity, offset: u64, within: Within, head: &[u8], before: &[u8]) -> Self {
        let marker = before.get(marker_start(before)..).unwrap_or_default();
        Self {
            file: file.number(),
            offset,
            head: xxh3_64(head.get(..Self::head_len(offset)).unwrap_or(head)),
            marker: xxh3_64(marker),
            within,
        }
    }

    /// The place before the first byte of a file.
    pub fn start_of(file: Identity) -> Self {
        Self::new(file, 0, Within::Nothing, &[], &[])
    }

    /// The same, with the bytes read from the file.
    ///
    /// # Errors
    ///
    /// What reading the file returns; `UnexpectedEof` where it is shorter.
    pub fn in_file(file: &File, offset: u64, within: Within) -> io::Result<Self> {
        let identity = Identity::of(&file.metadata()?);
        let (head, before) = read_around(file, offset)?;
        Ok(Self::new(identity, offset, within, &head, &before))
    }

    /// Whether it is in this file, and not in a copy of it or what it was compressed from.
    pub fn is_of(&self, file: Identity) -> bool {
        self.file == file.number()
    }

    /// Bytes of the file before the place.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it stands in.
    pub fn within(&self) -> Within {
        self.within
    }

    /// How many bytes of a file's beginning are its head as seen from an offset.
    pub fn head_len(offset: u64) -> usize {
        usize::try_from(offset).map_or(HEAD_BYTES, |offset| offset.min(HEAD_BYTES))
    }

    /// How many bytes before an offset can tell its marker.
    pub fn before_len(offset: u64) -> usize {
        usize::try_from(offset).map_or(MAX_MARKER_BYTES, |offset| offset.min(MAX_MARKER_BYTES))
    }

    /// Whether it is the very beginning of this file: there are no bytes to look at, and only the same file will do.
    pub fn is_at_start_of(&self, file: Identity) -> bool {
        self.offset == 0 && self.is_of(file)
    }

    /// Whether a file that begins with `head` (see [`head_len`](Self::head_len)) can be the one. Says yes to any at the
    /// very beginning.
    pub fn agrees_with_head(&self, head: &[u8]) -> bool {
        let len = Self::head_len(self.offset);
        head.get(..len).is_some_and(|head| xxh3_64(head) == self.head)
    }

    /// Whether a file with this beginning and these bytes before the offset (see [`before_len`](Self::before_len)) is
    /// the one. At offset 0 no bytes can tell, see [`is_at_start_of`](Self::is_at_start_of).
    pub fn agrees_with(&self, head: &[u8], before: &[u8]) -> bool {
        self.offset > 0 && hashes(self.offset, head, before) == Some((self.head, self.marker))
    }

    /// The same place in a file that holds the same bytes.
    pub fn in_copy(&self, copy: Identity) -> Self {
        Self {
            file: copy.number(),
            ..*self
        }
    }

    /// Whether the same bytes stand before both, in the same file.
    pub fn has_bytes_of(&self, other: &Self) -> bool {
        let within = other.within;
        Self { within, ..*self } == *other
    }

    /// Whether it is a place in this file.
    ///
    /// # Errors
    ///
    /// What reading the file returns; a file that is too short is no error.
    pub fn agrees(&self, file: &File) -> io::Result<bool> {
        if self.offset == 0 {
            return Ok(self.is_at_start_of(Identity::of(&file.metadata()?)));
        }
        match read_around(file, self.offset) {
            Ok((head, before)) => Ok(self.agrees_with(&head, &before)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.file, self.offset, self.head, self.marker] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.push(match self.within {
            Within::Nothing => 0,
            Within::PartialLine => 1,
            Within::CutLine => 2,
        });
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (numbers, within) = bytes.split_first_chunk::<32>()?;
        let (numbers, _) = numbers.as_chunks::<8>();
        let [file, offset, head, marker] = *numbers else {
            return None;
        };
        let within = match within {
            [0] => Within::Nothing,
            [1] => Within::PartialLine,
            [2] => Within::CutLine,
            _ => return None,
        };
        let offset = u64::from_le_bytes(offset);
        // No file is longer than an `off_t` can tell.
        i64::try_from(offset).ok()?;
        Some(Self {
            file: u64::from_le_bytes(file),
            offset,
            head: u64::from_le_bytes(head),
            marker: u64::from_le_bytes(marker),
            within,
        })
    }
}

/// Hashes of the head and the marker; none where there are too few bytes.
fn hashes(offset: u64, head: &[u8], before: &[u8]) -> Option<(u64, u64)> {
    let head = head.get(..Place::head_len(offset))?;
    let before = before.get(before.len().checked_sub(Place::before_len(offset))?..)?;
    let marker = before.get(marker_start(before)..)?;
    Some((xxh3_64(head), xxh3_64(marker)))
}

/// Where the marker begins in the bytes before an offset: with the last full line, or with
/// [`MIN_MARKER_BYTES`] where that is shorter, and in no case more than [`MAX_MARKER_BYTES`] before their end.
pub(crate) fn marker_start(before: &[u8]) -> usize {
    let begin = before.len().saturating_sub(MAX_MARKER_BYTES);
    let reach = before.get(begin..).unwrap_or_default();
    // The last full line begins behind the line end before the one that ends it.
    let last_end = memchr::memrchr(b'\n', reach);
    let end_before = last_end.and_then(|end| memchr::memrchr(b'\n', reach.get(..end).unwrap_or_default()));
    let line_start = begin + end_before.map_or(0, |end| end + 1);
    line_start.min(before.len().saturating_sub(MIN_MARKER_BYTES))
}

fn read_around(file: &File, offset: u64) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let mut head = vec![0; Place::head_len(offset)];
    file.read_exact_at(&mut head, 0)?;
    let mut before = vec![0; Place::before_len(offset)];
    let start = offset - before.len() as u64;
    file.read_exact_at(&mut before, start)?;
    Ok((head, before))
}

/// A stretch of a file as it stands there, from which the places in it can be told later.
#[derive(Debug)]
pub struct Trace {
    file: Identity,
    head: Arc<[u8]>,
    /// Where in the file the bytes begin: far enough before the first place for its marker.
    start: u64,
    bytes: Vec<u8>,
}

impl Trace {
    /// `bytes` that begin at the offset `start`, in a file that begins with `head`, its first [`HEAD_BYTES`] as far as
    /// it has so many before the places.
    pub fn new(file: Identity, head: Arc<[u8]>, start: u64, bytes: Vec<u8>) -> Self {
        Self {
            file,
            head,
            start,
            bytes,
        }
    }

    /// The place between two lines at an offset within the bytes.
    pub fn place(&self, offset: u64) -> Place {
        let len = usize::try_from(offset.saturating_sub(self.start)).unwrap_or(usize::MAX);
        let before = self.bytes.get(..len).unwrap_or(&self.bytes);
        Place::new(self.file, offset, Within::Nothing, &self.head, before)
    }
}

/// A place that need not be made out before someone asks for it.
#[derive(Debug, Clone)]
pub enum Mark {
    /// It is known.
    At(Place),
    /// It is the one at this offset.
    In(Arc<Trace>, u64),
}

impl Mark {
    /// The place.
    pub fn place(&self) -> Place {
        match self {
            Self::At(place) => *place,
            Self::In(trace, offset) => trace.place(*offset),
        }
    }
}

/// A place between two lines of a stream: in the current file, and in those that lost the name and may still get late
/// lines. The default is in no file.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Position {
    current: Place,
    draining: Vec<Place>,
}

impl Position {
    /// A position in the current file alone.
    pub fn in_current(current: Place) -> Self {
        Self {
            current,
            draining: Vec::new(),
        }
    }

    /// A position in the current file and in older ones, the oldest first. Of more than fit the newest are kept.
    pub fn new(current: Place, mut draining: Vec<Place>) -> Self {
        let excess = draining.len().saturating_sub(MAX_PLACES - 1);
        draining.drain(..excess);
        Self { current, draining }
    }

    /// The same in the older files, with another place in the current one.
    pub fn with_current(&self, current: Place) -> Self {
        Self {
            current,
            draining: self.draining.clone(),
        }
    }

    /// The same with another place in one of the older files.
    pub fn with_draining(&self, index: usize, place: Place) -> Self {
        let mut position = self.clone();
        if let Some(known) = position.draining.get_mut(index) {
            *known = place;
        }
        position
    }

    /// The place in the file that bore the name.
    pub fn current(&self) -> &Place {
        &self.current
    }

    /// The places in files that had lost it, the oldest first.
    pub fn draining(&self) -> &[Place] {
        &self.draining
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = 1 + self.draining.len();
        let mut bytes = Vec::with_capacity(1 + places * PLACE_BYTES + CHECKSUM_BYTES);
        bytes.push(VERSION);
        self.current.write(&mut bytes);
        for place in &self.draining {
            place.write(&mut bytes);
        }
        let checksum = checksum(&bytes);
        bytes.extend_from_slice(&checksum);
        f.write_str(&URL_SAFE_NO_PAD.encode(&bytes))
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = xxh3_64(bytes).to_le_bytes();
    [a, b, c, d]
}

/// A text that is no position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is no position; positions are the values of start, end and position that the server sent, unchanged")]
pub struct NotAPosition;

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        let longest = 1 + MAX_PLACES * PLACE_BYTES + CHECKSUM_BYTES;
        if text.len() > longest.div_ceil(3) * 4 {
            return Err(NotAPosition);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotAPosition)?;
        let (rest, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(NotAPosition)?;
        let (&version, rest_places) = rest.split_first().ok_or(NotAPosition)?;
        if version != VERSION || *sum != checksum(rest) {
            return Err(NotAPosition);
        }
        let (places, extra) = rest_places.as_chunks::<PLACE_BYTES>();
        if !extra.is_empty() || places.len() > MAX_PLACES {
            return Err(NotAPosition);
        }
        let mut places = places.iter().map(|place| Place::read(place).ok_or(NotAPosition));
        let current = places.next().ok_or(NotAPosition)??;
        let draining = places.collect::<Result<_, _>>()?;
        Ok(Self { current, draining })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: Identity = Identity { inode: 7, born: 9 };

    fn file_of(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(bytes, 0).unwrap();
        file
    }

    fn lines(count: usize) -> Vec<u8> {
        (0..count).flat_map(|n| format!("line {n}\n").into_bytes()).collect()
    }

    #[test]
    fn the_text_and_the_hashes_are_the_same_for_ever() {
        let place = Place::new(FILE, 4, Within::PartialLine, b"a\nbc", b"a\nbc");
        let position = Position::in_current(place);
        assert_eq!(
            position.to_string(),
            "AQ4Oo2FN3PyRBAAAAAAAAAAvU13xnnO2oi9TXfGec7aiASO20dM"
        );
    }

    #[test]
    fn an_append_changes_nothing_and_other_bytes_before_it_do() {
        let text = lines(2000);
        let file = file_of(&text);
        for offset in [7, 14, 300, 1024, 1500, 9000, text.len() as u64] {
            let place = Place::in_file(&file, offset, Within::Nothing).unwrap();
            assert!(place.agrees(&file).unwrap(), "{offset}");
            file.write_all_at(b"more\n", text.len() as u64).unwrap();
            assert!(place.agrees(&file).unwrap(), "{offset}");
            for changed in [0, offset.min(1024) - 1, offset - 1, offset - offset.min(256)] {
                let other = file_of(&text);
                other.write_all_at(b"!", changed).unwrap();
                assert!(!place.agrees(&other).unwrap(), "{offset} {changed}");
            }
            file.set_len(offset - 1).unwrap();
            assert!(!place.agrees(&file).unwrap(), "a file that is shorter, {offset}");
            file.write_all_at(text.get(offset as usize - 1..).unwrap(), offset - 1)
                .unwrap();
        }
    }

    #[test]
    fn a_copy_or_a_compressed_sibling_agrees_whatever_its_inode() {
        let text = lines(500);
        let place = Place::in_file(&file_of(&text), 1500, Within::Nothing).unwrap();
        assert!(place.agrees(&file_of(&text)).unwrap());
        assert!(place.agrees_with(&text, &text[..1500]), "more bytes than needed");
        assert!(place.agrees_with_head(&text));
        assert!(!place.agrees_with(&text, &text[1000..1500]), "too few bytes");
        assert!(!place.agrees_with_head(&text[..1000]), "too few bytes");
    }

    #[test]
    fn at_the_beginning_only_the_same_file_will_do() {
        let file = file_of(b"");
        let place = Place::in_file(&file, 0, Within::Nothing).unwrap();
        assert!(place.agrees(&file).unwrap());
        file.write_all_at(b"first\n", 0).unwrap();
        assert!(place.agrees(&file).unwrap());
        assert!(!place.agrees(&file_of(b"")).unwrap());
        assert!(!place.agrees_with(b"", b""));
        let place = Place::new(FILE, 0, Within::Nothing, b"", b"");
        assert!(place.is_at_start_of(FILE));
        let reused = Identity { inode: 7, born: 10 };
        assert!(!place.is_at_start_of(reused), "a later file that got the inode");
    }

    #[test]
    fn the_marker_is_a_full_line_or_256_bytes_and_no_more_than_8_kib() {
        assert_eq!(marker_start(b""), 0);
        assert_eq!(marker_start(b"a\nb\n"), 0);
        assert_eq!(marker_start(&b"0123456789\n".repeat(100)), 1100 - 256);
        let long = [b"x\n".to_vec(), vec![b'y'; 2000], b"\npart".to_vec()].concat();
        assert_eq!(marker_start(&long), 2);
        assert_eq!(marker_start(&vec![b'z'; 70_000]), 70_000 - 8192);
        let far = [b"\n".to_vec(), vec![b'z'; 9_000], b"\n".to_vec()].concat();
        assert_eq!(marker_start(&far), far.len() - 8192);
    }

    #[test]
    fn as_many_files_are_named_as_fit() {
        let place = |offset| Place::new(FILE, offset, Within::Nothing, &[b'x'; 1024], &[b'x'; 8192]);
        let position = Position::new(place(u64::from(u32::MAX)), (1..20).map(place).collect());
        let text = position.to_string();
        assert!(text.len() <= 256, "{}", text.len());
        let parsed: Position = text.parse().unwrap();
        assert_eq!(parsed, position);
        let offsets: Vec<u64> = parsed.draining().iter().map(Place::offset).collect();
        assert_eq!(offsets, [16, 17, 18, 19], "the newest");
    }

    #[test]
    fn what_is_no_position_is_refused() {
        let position = Position::in_current(Place::new(FILE, 4, Within::Nothing, b"a\nbc", b"a\nbc")).to_string();
        for text in [
            "",
            "0",
            "12",
            "latest",
            &position[1..],
            &position[..position.len() - 1],
            &format!("{position}A"),
            &format!("{position}="),
            &format!(" {position}"),
            &position.replace('A', "+"),
            &"A".repeat(100_000),
        ] {
            assert_eq!(text.parse::<Position>(), Err(NotAPosition), "{text}");
        }
        let with_sum = |mut bytes: Vec<u8>| {
            let sum = checksum(&bytes);
            bytes.extend_from_slice(&sum);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        let too_far = [vec![VERSION], vec![0xff; 32], vec![0]].concat();
        for bytes in [
            vec![],
            vec![VERSION],
            vec![2; 34],
            vec![VERSION; 33],
            vec![VERSION; 35],
            too_far,
            vec![3; 1 + 6 * 33],
        ] {
            assert_eq!(
                with_sum(bytes.clone()).parse::<Position>(),
                Err(NotAPosition),
                "{bytes:?}"
            );
        }
    }

    fn places() -> impl Strategy<Value = Place> {
        let within = prop_oneof![Just(Within::Nothing), Just(Within::PartialLine), Just(Within::CutLine)];
        (any::<u64>(), 0..=i64::MAX as u64, any::<u64>(), any::<u64>(), within).prop_map(
            |(file, offset, head, marker, within)| Place {
                file,
                offset,
                head,
                marker,
                within,
            },
        )
    }

    proptest! {
        #[test]
        fn any_position_survives_its_text(
            current in places(),
            draining in proptest::collection::vec(places(), 0..MAX_PLACES),
        ) {
            let position = Position::new(current, draining);
            let text = position.to_string();
            prop_assert!(text.len() <= 256);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(text.parse::<Position>(), Ok(position));
        }

        #[test]
        fn flipped_bits_are_no_position(current in places(), bit in 0_usize..1000) {
            let text = Position::in_current(current).to_string();
            let mut bytes = URL_SAFE_NO_PAD.decode(&text).unwrap();
            let at = bit % (bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
            prop_assert_eq!(URL_SAFE_NO_PAD.encode(&bytes).parse::<Position>(), Err(NotAPosition));
            let mut text = text.into_bytes();
            let at = bit % (text.len() * 8);
            text[at / 8] ^= 1 << (at % 8);
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(text.parse::<Position>(), Err(NotAPosition));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,300}", base64 in "[A-Za-z0-9_-]{0,300}") {
            let _ = text.parse::<Position>();
            let _ = base64.parse::<Position>();
        }
    }
}
