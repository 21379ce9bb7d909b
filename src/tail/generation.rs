//! One file behind a name: its descriptor, how far it was read, and what proves that it is still the same content.
//!
//! A name lives on while files come and go behind it; each of them is a generation. Its identity is the descriptor
//! that is held open (nobody else can get its inode number meanwhile) and the bytes that were read last.

mod block;
mod encoding;
mod holes;

use std::fs::{File, Metadata};
use std::io;
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Instant;

use super::content::{Content, ReadAt};
use super::file::{FileId, Stamp, read_full, read_up_to};
use super::history::{self, Start};
use super::marker::{Compared, Marker};
use super::replay::Held;
use crate::chunk::{Batch, CHUNK_BYTES, Lines};
use crate::decode::Decoder;
use crate::lines;
use crate::position::{HEAD_BYTES, Identity, Mark, Place, Within};
use crate::split::{HOLE_BYTES, Splitter, Unit, leading_nuls};
use block::Block;

/// The largest block in which usual file systems keep data beside a hole.
const HOLE_BLOCK_BYTES: usize = 4096;
/// Bytes read at a time: as much as a chunk holds.
pub(super) const BLOCK_BYTES: usize = CHUNK_BYTES;

/// What one step of reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes were taken; a whole block where there is probably more.
    Took(usize),
    /// A part of a hole was looked through, as much as is good for one turn.
    Skipped,
    /// Nothing new.
    End,
    /// The content changed while it was read; nothing was taken.
    Changed,
}

/// How the beginning of a new file compares with that of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// It holds nothing, or less than a first line.
    Open,
    /// It begins with the same first line.
    Same,
    /// It does not.
    Other,
}

/// How lines are to be made of the bytes.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    /// The configured encoding, where there is one.
    pub(super) decoder: Option<Decoder>,
    /// Bytes after which a line is cut.
    pub(super) max_line: usize,
}

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Generation {
    file: Arc<Content>,
    id: FileId,
    identity: Identity,
    /// What those who catch up know of it; none where it is read for one of them.
    held: Option<Arc<Held>>,
    rules: Rules,
    /// Where the next byte is read.
    offset: u64,
    /// Behind the last line that was handed on, or where reading began.
    place: Place,
    /// The first bytes of the file as they were read; as many as there are before the offset, up to [`HEAD_BYTES`].
    head: Arc<[u8]>,
    /// Where the file begins with a hole: the first text behind it and where that stands, as far as it was there when the
    /// hole was passed.
    first_text: Option<(u64, Vec<u8>)>,
    marker: Marker,
    /// From the offset up to here there are only NULs, as far as they were looked at.
    hole_end: u64,
    stamp: Option<Stamp>,
    /// Whether other bytes were found before the offset when it was read on, which tells no more than that.
    changed: bool,
    /// None until the bytes have shown the encoding.
    decoder: Option<Decoder>,
    /// What they have shown so far; each byte on the parity that it has in the file.
    sample: Vec<u8>,
    /// Up to here the file was looked at for it.
    sampled_to: u64,
    splitter: Splitter,
    /// When the last line without its end was last added to, until it is sent.
    partial_since: Option<Instant>,
    /// Up to here it is read again after a truncation.
    replay_end: u64,
    /// Whether the last read was a full block, so that more is probably waiting on disk.
    behind: bool,
}

impl Generation {
    /// A file at its first byte.
    pub(super) fn from_start(file: File, metadata: &Metadata, rules: Rules) -> Self {
        let file = Arc::new(Content::Plain(Arc::new(file)));
        let held = Held::new(Arc::clone(&file), metadata, rules.decoder);
        Self {
            held: Some(Arc::new(held)),
            ..Self::reader(file, FileId::of(metadata), Identity::of(metadata), rules)
        }
    }

    /// A reader of a file at its first byte, which nobody else knows of.
    pub(super) fn reader(file: Arc<Content>, id: FileId, identity: Identity, rules: Rules) -> Self {
        let decoder = rules.decoder;
        let unit = decoder.map_or(Unit::Byte, Decoder::unit);
        let splitter = Splitter::new(unit, rules.max_line);
        Self {
            file,
            id,
            identity,
            held: None,
            rules,
            offset: 0,
            place: Place::start_of(identity),
            head: Arc::default(),
            first_text: None,
            marker: Marker::default(),
            hole_end: 0,
            stamp: None,
            changed: false,
            decoder,
            sample: Vec::new(),
            sampled_to: 0,
            splitter,
            partial_since: None,
            replay_end: 0,
            behind: false,
        }
    }

    /// Which file it is.
    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// What those who catch up know of it; none where it is read for one of them.
    pub(super) fn held(&self) -> Option<&Arc<Held>> {
        self.held.as_ref()
    }

    /// Makes it known to those who catch up as one that begins again where it is.
    pub(super) fn begin_again(&mut self) {
        let again = self.held.as_ref().map(|held| {
            held.end_at(self.place.offset());
            Arc::new(held.again_from(self.place))
        });
        self.held = again;
    }

    /// Where the next byte is read.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The place behind the last line that was handed on, or where reading began.
    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// Whether it is being read again after a truncation.
    pub(super) fn replays(&self) -> bool {
        self.offset < self.replay_end
    }

    /// Whether more is probably waiting on disk.
    pub(super) fn is_behind(&self) -> bool {
        self.behind
    }

    /// Bytes it holds now.
    pub(super) fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    /// When its last line without an end was last added to, where it is waiting to be sent.
    pub(super) fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// Whether any name leads to it.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    /// Compares the beginning of a new file with that of this one: its first line at least.
    pub(super) fn compare_beginning(&self, other: &Self) -> io::Result<Beginning> {
        let line_end = self.head.iter().position(|&b| b == b'\n');
        let first_line = line_end.map_or(&*self.head, |end| self.head.get(..=end).unwrap_or_default());
        if first_line.is_empty() {
            return Ok(Beginning::Other);
        }
        let start = read_up_to(&*other.file, 0, first_line.len())?;
        Ok(match first_line.strip_prefix(start.as_slice()) {
            Some([]) => Beginning::Same,
            Some(_) => Beginning::Open,
            None => Beginning::Other,
        })
    }

    /// Compares the file with what was read of it, unless that is left to reading on: what has grown is compared once it
    /// is read, before anything is handed on. `limit` is how far it is read.
    pub(super) fn check(&mut self, limit: u64) -> io::Result<Compared> {
        let stamp = Stamp::of(&self.file.metadata()?);
        let before = self.stamp.replace(stamp);
        // Not one that merely holds more than was read, as it does in front of NULs: what is told there needs its stamp.
        let grew = before.is_some_and(|before| before.size < stamp.size) && stamp.size.min(limit) > self.offset;
        if grew && self.offset > 0 && !mem::take(&mut self.changed) {
            return Ok(Compared::Same);
        }
        let content = self.marker.check(&*self.file)?;
        let touched = before.is_some_and(|before| before != stamp && before.size == stamp.size);
        if content == Compared::Same && touched && read_up_to(&*self.file, 0, self.head.len())? != *self.head {
            return Ok(Compared::Other);
        }
        Ok(content)
    }

    /// The last whole lines before what is to be read next, for those who connect, and the place before them.
    pub(super) fn history(&self, lines: usize, buffer: &mut [u8], now: Instant) -> io::Result<(Place, Vec<Lines>)> {
        let mut reader = Self::reader(Arc::clone(&self.file), self.id, self.identity, self.rules.clone());
        let end = self.offset - (self.splitter.held() as u64).min(self.offset);
        let end = reader.seek_last_lines_before(end, lines)?;
        let start = reader.place;
        Ok((start, reader.read_to(end, buffer, now, lines)?))
    }

    /// Reads up to `end`; the last `keep` lines get marks.
    pub(super) fn read_to(&mut self, end: u64, buffer: &mut [u8], now: Instant, keep: usize) -> io::Result<Vec<Lines>> {
        let mut all = Vec::new();
        loop {
            match self.read(buffer, end, now, keep, &mut |lines| all.push(lines))? {
                Step::Took(_) | Step::Skipped => {}
                Step::End | Step::Changed => return Ok(all),
            }
        }
    }

    /// Goes back to where the last `lines` whole lines begin, and returns where they end.
    pub(super) fn seek_last_lines(&mut self, lines: usize) -> io::Result<u64> {
        let size = self.size()?;
        self.seek_last_lines_before(size, lines)
    }

    /// The same of the first `size` bytes.
    pub(super) fn seek_last_lines_before(&mut self, size: u64, lines: usize) -> io::Result<u64> {
        self.detect_from_file(size)?;
        let unit = self.splitter.unit();
        let (start, end, within) = match history::find_last_lines(&*self.file, size, unit, lines)? {
            Start::Line { start, end } => (start, end, Within::Nothing),
            Start::InsideLine { start, end } => (start, end, Within::CutLine),
        };
        self.go_to(start, within)?;
        Ok(end)
    }

    /// Goes to an offset, where reading begins.
    pub(super) fn go_to(&mut self, offset: u64, within: Within) -> io::Result<()> {
        let (unit, max_line) = (self.splitter.unit(), self.rules.max_line);
        self.splitter = match within {
            Within::Nothing => Splitter::new(unit, max_line),
            Within::PartialLine => Splitter::after_partial_line(unit, max_line),
            Within::CutLine => Splitter::inside_line(unit, max_line),
        };
        self.offset = offset;
        self.hole_end = offset;
        self.partial_since = None;
        self.remember_head()?;
        self.marker = Marker::before(&*self.file, offset)?;
        self.place = Place::new(self.identity, offset, within, &self.head, self.marker.bytes());
        Ok(())
    }

    /// Begins anew after a truncation: at the first byte where the file begins with other bytes than before and holds no
    /// more than `max_lines`, else at the last lines.
    pub(super) fn restart(&mut self, max_lines: usize, last_lines: usize) -> io::Result<()> {
        if let Some(held) = &self.held {
            held.renew();
        }
        self.place = Place::start_of(self.identity);
        let size = self.size()?;
        let begins_as_before = self.begins_as_before()?;
        if !begins_as_before {
            // What was only cut keeps its encoding.
            self.set_decoder(self.rules.decoder);
            self.sample = Vec::new();
            self.sampled_to = 0;
            self.detect_from_file(size)?;
        }
        let unit = self.decoder().unit();
        self.splitter = Splitter::new(unit, self.rules.max_line);
        self.partial_since = None;
        self.offset = 0;
        self.hole_end = 0;
        self.head = Arc::default();
        self.first_text = None;
        self.marker = Marker::default();
        if begins_as_before || history::has_more_lines(&*self.file, size, unit, max_lines)? {
            self.seek_last_lines(last_lines)?;
        }
        self.replay_end = size;
        Ok(())
    }

    /// Makes what it holds now count as read again.
    pub(super) fn replay_last_lines(&mut self, last_lines: usize) -> io::Result<()> {
        self.replay_end = self.seek_last_lines(last_lines)?;
        Ok(())
    }

    /// Reads one block, but not beyond `limit`, and hands on the lines that it ends. The last `keep` of them get marks.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        limit: u64,
        now: Instant,
        keep: usize,
        take: &mut impl FnMut(Lines),
    ) -> io::Result<Step> {
        let room = usize::try_from(limit.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let room = room.min(buffer.len());
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let len = self.read_block(buffer)?;
        self.behind = len >= BLOCK_BYTES;
        let bytes = buffer.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Step::End);
        }
        if !self.is_still(bytes)? {
            self.changed = true;
            return Ok(Step::Changed);
        }
        if self.offset == 0 && Decoder::is_cut_bom(self.rules.decoder, bytes) {
            return Ok(Step::End);
        }
        if self.observe(bytes)? {
            return Ok(Step::Took(0));
        }
        let text = self.without_hole(bytes);
        if text.is_empty() {
            return self.cross_hole(bytes);
        }
        self.split(text, keep, take);
        if self.head.len() as u64 == self.offset && self.head.len() < HEAD_BYTES {
            // From what was read, not from the file, which may be another by the time that it is looked at again.
            let room = HEAD_BYTES - self.head.len();
            self.head = [&*self.head, text.get(..room).unwrap_or(text)].concat().into();
            if self.offset == 0 {
                self.first_text = first_text(text).filter(|(at, _)| *at >= HOLE_BYTES as u64);
            }
        }
        self.marker.extend(text);
        self.offset += text.len() as u64;
        self.hole_end = self.hole_end.max(self.offset);
        self.remember_head()?;
        self.partial_since = self.splitter.holds_partial().then_some(now);
        Ok(Step::Took(text.len()))
    }

    /// Makes lines of the next bytes.
    fn split(&mut self, text: &[u8], keep: usize, take: &mut impl FnMut(Lines)) {
        let decoder = self.decoder();
        let bom = match self.offset {
            0 => decoder.bom_len(text),
            _ => 0,
        };
        let block = Block {
            identity: self.identity,
            head: &self.head,
            before: self.marker.bytes(),
            offset: self.offset,
            bytes: text,
        };
        let (splitter, place) = (&mut self.splitter, &mut self.place);
        let mut batch = Batch::default();
        let mut hand_on = |batch: &mut Batch| {
            let lines = block.seal(std::mem::take(batch), keep);
            *place = lines.end();
            take(lines);
        };
        let text_offset = block.offset + bom as u64;
        lines::feed(
            splitter,
            decoder,
            text.get(bom..).unwrap_or_default(),
            &mut |line, end| {
                if !batch.has_room_for(line) {
                    hand_on(&mut batch);
                }
                batch.push(line, text_offset + end as u64);
            },
        );
        if !batch.is_empty() {
            hand_on(&mut batch);
        }
    }

    /// Hands out the last line without its end as it is: up to its last whole character, or all of it when nothing more
    /// can come.
    pub(super) fn flush_partial(&mut self, all: bool) -> Option<Lines> {
        self.partial_since = None;
        let decoder = self.decoder();
        let mut line = self.splitter.partial()?;
        if !all && line.len == line.bytes.len() as u64 {
            line.bytes = line
                .bytes
                .get(..decoder.whole_characters(line.bytes))
                .unwrap_or_default();
            line.len = line.bytes.len() as u64;
        }
        if line.bytes.is_empty() {
            return None;
        }
        let sent = line.bytes.len();
        let text = decoder.decode(line).into_owned();
        self.splitter.part(sent);
        // Of a cut line the rest is skipped; of another what was held back is still to come.
        let within = match self.splitter.is_skipping() {
            true => Within::CutLine,
            false => Within::PartialLine,
        };
        let held = self.splitter.held();
        let offset = self.offset - (held as u64).min(self.offset);
        let before = self.marker.bytes();
        let before = before.get(..before.len().saturating_sub(held)).unwrap_or_default();
        self.place = Place::new(self.identity, offset, within, &self.head, before);
        let mut batch = Batch::default();
        batch.push(&text, offset);
        Some(batch.into_lines(self.place, vec![Mark::At(self.place)]))
    }

    /// From now on it is read without being compared before: its end is where nothing is read.
    pub(super) fn is_compared_no_more(&mut self) {
        self.stamp = None;
    }

    /// Reads from the offset on: all that there is, as far as the buffer takes it, or all that was there when the content
    /// was last compared. To find the end by reading nothing costs a call.
    fn read_block(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let seen_size = self.stamp.map_or(0, |stamp| stamp.size);
        let first = match self.file.read_some_at(buffer, self.offset) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        if first > 0 && self.offset + first as u64 >= seen_size && seen_size > self.offset {
            return Ok(first);
        }
        let rest = buffer.get_mut(first..).unwrap_or_default();
        Ok(first + read_full(&*self.file, self.offset + first as u64, rest)?)
    }

    /// Whether all is read that was there when the content was last compared.
    pub(super) fn is_at_seen_end(&self) -> bool {
        self.stamp.is_some_and(|stamp| self.offset >= stamp.size)
    }

    /// Whether what was just read followed what was read before. At the beginning, where nothing was, whether it is
    /// still there.
    fn is_still(&self, read: &[u8]) -> io::Result<bool> {
        if self.offset == 0 {
            let head = read.get(..HEAD_BYTES).unwrap_or(read);
            return Ok(read_up_to(&*self.file, 0, head.len())? == head && self.size()? >= read.len() as u64);
        }
        Ok(self.marker.check(&*self.file)? == Compared::Same)
    }

    fn remember_head(&mut self) -> io::Result<()> {
        if self.head.len() < HEAD_BYTES && (self.head.len() as u64) < self.offset {
            let len = usize::try_from(self.offset).map_or(HEAD_BYTES, |offset| offset.min(HEAD_BYTES));
            self.head = read_up_to(&*self.file, 0, len)?.into();
            self.first_text = self.find_first_text()?;
        }
        Ok(())
    }

    fn find_first_text(&self) -> io::Result<Option<(u64, Vec<u8>)>> {
        if leading_nuls(&self.head) < HOLE_BYTES {
            return Ok(None);
        }
        // Where the file system knows holes, data begins on a block of it, with NULs up to the text.
        let data = self.file.next_data(0).unwrap_or(0);
        let bytes = read_up_to(&*self.file, data, HOLE_BLOCK_BYTES + HEAD_BYTES)?;
        Ok(first_text(&bytes).map(|(at, text)| (data + at, text)))
    }

    /// Whether the file begins with the bytes that it began with. A hole tells nothing, as each truncation under a writer
    /// without `O_APPEND` leaves one: there the first text counts, and where it stands.
    fn begins_as_before(&self) -> io::Result<bool> {
        let start = read_up_to(&*self.file, 0, self.head.len())?;
        if leading_nuls(&start) < HOLE_BYTES {
            return Ok(!start.is_empty() && self.head.starts_with(&start));
        }
        let Some((offset, text)) = &self.first_text else {
            return Ok(false);
        };
        let there = read_up_to(&*self.file, *offset, text.len())?;
        Ok(!there.is_empty() && text.starts_with(&there))
    }
}

/// The first text behind NULs, up to the length of a head, and where it begins.
fn first_text(bytes: &[u8]) -> Option<(u64, Vec<u8>)> {
    let nuls = leading_nuls(bytes);
    let text = bytes.get(nuls..).unwrap_or_default();
    let text = text.get(..HEAD_BYTES).unwrap_or(text);
    (!text.is_empty()).then(|| (nuls as u64, text.to_vec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn generation(text: &[u8]) -> Generation {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(text, 0).unwrap();
        let metadata = file.metadata().unwrap();
        let rules = Rules {
            decoder: None,
            max_line: 1 << 16,
        };
        Generation::from_start(file, &metadata, rules)
    }

    #[test]
    fn the_first_block_is_still_there_or_not() {
        let old = b"old line\n".repeat(200);
        let generation = generation(&old);
        let file = generation.file.file().unwrap();
        assert!(generation.is_still(&old).unwrap());
        file.write_all_at(b"appended", old.len() as u64).unwrap();
        assert!(generation.is_still(&old).unwrap());
        file.set_len(1200).unwrap();
        assert!(!generation.is_still(&old).unwrap(), "cut behind the first KiB");
        file.set_len(0).unwrap();
        file.write_all_at(&b"new line\n".repeat(300), 0).unwrap();
        assert!(!generation.is_still(&old).unwrap(), "written anew");
    }

    #[test]
    fn what_was_written_anew_before_nuls_that_are_not_read_is_another_content() {
        let text = b"a line of it\n".repeat(100);
        let mut generation = generation(&[text.clone(), vec![0; 8192]].concat());
        let mut buffer = vec![0; BLOCK_BYTES];
        assert_eq!(generation.check(u64::MAX).unwrap(), Compared::Same);
        generation.read_to(u64::MAX, &mut buffer, Instant::now(), 0).unwrap();
        assert_eq!(generation.offset(), text.len() as u64, "in front of the NULs");
        assert_eq!(generation.check(u64::MAX).unwrap(), Compared::Same);
        // The kernel's clock of files moves on every few milliseconds.
        std::thread::sleep(std::time::Duration::from_millis(20));
        generation.file.file().unwrap().write_all_at(b"another", 0).unwrap();
        assert_eq!(generation.check(u64::MAX).unwrap(), Compared::Other);
    }

    #[test]
    fn a_new_file_is_compared_with_the_first_line_of_the_one_before() {
        let mut before = generation(b"first\nsecond\n");
        let other = |text: &[u8]| generation(text);
        assert_eq!(
            before.compare_beginning(&other(b"first\n")).unwrap(),
            Beginning::Other,
            "nothing of it was read"
        );
        let mut buffer = vec![0; BLOCK_BYTES];
        before.read_to(u64::MAX, &mut buffer, Instant::now(), 0).unwrap();
        for (text, beginning) in [
            (b"".as_slice(), Beginning::Open),
            (b"fir", Beginning::Open),
            (b"first\n", Beginning::Same),
            (b"first\nother\n", Beginning::Same),
            (b"fist\n", Beginning::Other),
            (b"f\n", Beginning::Other),
        ] {
            assert_eq!(before.compare_beginning(&other(text)).unwrap(), beginning, "{text:?}");
        }
    }
}
