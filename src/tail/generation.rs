//! One file behind a name: its descriptor, how far it was read, and what proves that it is still the same content.
//!
//! A name lives on while files come and go behind it; each of them is a generation. Its identity is the descriptor
//! that is held open (nobody else can get its inode number meanwhile) and the bytes that were read last.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;

use super::history::{self, Start};
use super::marker::{Content, Marker};
use crate::chunk::{Batch, CHUNK_BYTES};
use crate::decode::{Decoder, SAMPLE_BYTES};
use crate::split::{HOLE_BYTES, Splitter, Unit, leading_nuls, skip_holes, trailing_nuls};

/// Bytes read at a time: as much as a chunk holds.
pub(super) const BLOCK_BYTES: usize = CHUNK_BYTES;
/// The beginning of a file by which a rewritten one is told from one that was cut.
pub(super) const HEAD_BYTES: usize = 1024;
/// How much of a hole is read through in one step.
const HOLE_STEP_BYTES: u64 = 64 << 20;

/// Which file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    dev: u64,
    ino: u64,
}

impl FileId {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            dev: metadata.dev(),
            ino: metadata.ino(),
        }
    }
}

/// Times and size, as far as a change of content changes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What one step of reading came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// So many bytes were taken; a whole block where there is probably more.
    Took(usize),
    /// Nothing new.
    End,
    /// The content changed while it was read; nothing was taken.
    Changed,
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
    file: File,
    id: FileId,
    rules: Rules,
    /// Where the next byte is read.
    offset: u64,
    /// The first bytes of the file as they were read; as many as there are before the offset, up to [`HEAD_BYTES`].
    head: Vec<u8>,
    marker: Marker,
    /// From the offset up to here there are only NULs, as far as they were looked at.
    hole_end: u64,
    stamp: Option<Stamp>,
    /// None until the bytes have shown the encoding.
    decoder: Option<Decoder>,
    /// What they have shown so far.
    sample: Vec<u8>,
    splitter: Splitter,
    /// When the last line without its end was last added to, until it is sent.
    partial_since: Option<Instant>,
    /// Up to here it is read again after a truncation.
    replay_end: u64,
    /// Whether the last read was a full block, so that more is probably waiting on disk.
    behind: bool,
}

/// Opens a regular file for reading. Does not wait for a FIFO or device, and does not follow into one.
///
/// # Errors
///
/// What `stat` and `open` return; `InvalidInput` where it is no regular file.
pub(super) fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    if !path.metadata()?.is_file() {
        return Err(no_file());
    }
    let flags = i32::try_from((OFlags::NONBLOCK | OFlags::NOCTTY).bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok((file, metadata))
    } else {
        Err(no_file())
    }
}

impl Generation {
    /// A file at its first byte.
    pub(super) fn from_start(file: File, metadata: &Metadata, rules: Rules) -> Self {
        let decoder = rules.decoder;
        let unit = decoder.map_or(Unit::Byte, Decoder::unit);
        let splitter = Splitter::new(unit, rules.max_line);
        Self {
            file,
            id: FileId::of(metadata),
            rules,
            offset: 0,
            head: Vec::new(),
            marker: Marker::default(),
            hole_end: 0,
            stamp: None,
            decoder,
            sample: Vec::new(),
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

    /// Name of its encoding, once that shows.
    pub(super) fn encoding(&self) -> Option<&'static str> {
        self.decoder.map(Decoder::name)
    }

    /// Whether nothing was read of it yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.offset == 0
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
        Ok(self.file.metadata()?.size())
    }

    /// When its last line without an end was last added to, where it is waiting to be sent.
    pub(super) fn partial_since(&self) -> Option<Instant> {
        self.partial_since
    }

    /// Whether any name leads to it.
    pub(super) fn is_linked(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.nlink() > 0)
    }

    /// Whether a new file begins like this one: with its first line at least.
    pub(super) fn begins_like(&self, other: &Self) -> io::Result<bool> {
        let line_end = self.head.iter().position(|&b| b == b'\n');
        let first_line = line_end.map_or(self.head.as_slice(), |end| self.head.get(..=end).unwrap_or_default());
        let start = read_up_to(&other.file, 0, first_line.len())?;
        Ok(!first_line.is_empty() && start == first_line)
    }

    /// Compares the file with what was read of it.
    pub(super) fn check(&mut self) -> io::Result<Content> {
        let stamp = Stamp::of(&self.file.metadata()?);
        let before = self.stamp.replace(stamp);
        let content = self.marker.check(&self.file)?;
        let touched = before.is_some_and(|before| before != stamp && before.size == stamp.size);
        if content == Content::Same && touched && read_up_to(&self.file, 0, self.head.len())? != self.head {
            return Ok(Content::Other);
        }
        Ok(content)
    }

    /// Whether it holds nothing.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.size()? == 0)
    }

    /// The last whole lines before what is to be read next, for those who connect.
    pub(super) fn history(&self, lines: usize, buffer: &mut [u8], now: Instant) -> io::Result<Batch> {
        let file = self.file.try_clone()?;
        let mut reader = Self::from_start(file, &self.file.metadata()?, self.rules.clone());
        let end = self.offset - (self.splitter.held() as u64).min(self.offset);
        let end = reader.seek_last_lines_before(end, lines)?;
        reader.read_to(end, buffer, now)
    }

    /// Reads up to `end`, into one batch.
    pub(super) fn read_to(&mut self, end: u64, buffer: &mut [u8], now: Instant) -> io::Result<Batch> {
        let mut batch = Batch::default();
        while let Step::Took(_) = self.read(buffer, end, now, &mut |text| batch.push(text))? {}
        Ok(batch)
    }

    /// Goes back to where the last `lines` whole lines begin, and returns where they end.
    pub(super) fn seek_last_lines(&mut self, lines: usize) -> io::Result<u64> {
        let size = self.size()?;
        self.seek_last_lines_before(size, lines)
    }

    fn seek_last_lines_before(&mut self, size: u64, lines: usize) -> io::Result<u64> {
        self.detect_from_file(size)?;
        let unit = self.splitter.unit();
        let (start, end) = match history::find_last_lines(&self.file, size, unit, lines)? {
            Start::Line { start, end } => {
                self.splitter = Splitter::new(unit, self.rules.max_line);
                (start, end)
            }
            Start::InsideLine { start, end } => {
                self.splitter = Splitter::inside_line(unit, self.rules.max_line);
                (start, end)
            }
        };
        self.offset = start;
        self.hole_end = start;
        self.partial_since = None;
        self.remember_head()?;
        self.marker = Marker::before(&self.file, start)?;
        Ok(end)
    }

    /// Begins anew after a truncation, at the first byte or at the last lines, and returns whether the beginning of the
    /// file is another one than before.
    pub(super) fn restart(&mut self, max_lines: usize, last_lines: usize) -> io::Result<()> {
        let old_head = std::mem::take(&mut self.head);
        let size = self.size()?;
        self.decoder = self.rules.decoder;
        self.sample = Vec::new();
        let unit = self.decoder.map_or(Unit::Byte, Decoder::unit);
        self.splitter = Splitter::new(unit, self.rules.max_line);
        self.partial_since = None;
        self.offset = 0;
        self.hole_end = 0;
        self.marker = Marker::default();
        let start = read_up_to(&self.file, 0, old_head.len())?;
        let begins_as_before = !start.is_empty() && old_head.starts_with(&start);
        if begins_as_before || history::has_more_lines(&self.file, size, unit, max_lines)? {
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

    /// Reads one block, but not beyond `limit`, and hands on the lines that it ends.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        limit: u64,
        now: Instant,
        take: &mut impl FnMut(&str),
    ) -> io::Result<Step> {
        let room = usize::try_from(limit.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let room = room.min(buffer.len());
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        let len = read_full(&self.file, self.offset, buffer)?;
        self.behind = len >= BLOCK_BYTES;
        let bytes = buffer.get(..len).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(Step::End);
        }
        if !self.is_still(bytes)? {
            return Ok(Step::Changed);
        }
        if self.offset == 0 && is_cut_bom(bytes) {
            return Ok(Step::End);
        }
        if self.observe(bytes)? {
            return Ok(Step::Took(0));
        }
        let text = self.without_hole(bytes);
        if text.is_empty() {
            return self.cross_hole(bytes);
        }
        let bom = match self.offset {
            0 => self.decoder().bom_len(text),
            _ => 0,
        };
        let (decoder, splitter) = (self.decoder(), &mut self.splitter);
        skip_holes(splitter.unit(), text.get(bom..).unwrap_or_default(), &mut |part| {
            splitter.feed(part, &mut |line| take(&decoder.decode(line)));
        });
        if self.head.len() as u64 == self.offset {
            // From what was read, not from the file, which may be another by the time that it is looked at again.
            let room = HEAD_BYTES - self.head.len().min(HEAD_BYTES);
            self.head.extend_from_slice(text.get(..room).unwrap_or(text));
        }
        self.marker.extend(self.offset, text);
        self.offset += text.len() as u64;
        self.hole_end = self.hole_end.max(self.offset);
        self.remember_head()?;
        self.partial_since = self.splitter.holds_partial().then_some(now);
        Ok(Step::Took(text.len()))
    }

    /// Sends the last line without its end as it is: up to its last whole character, or all of it when nothing more
    /// can come.
    pub(super) fn flush_partial(&mut self, all: bool, take: &mut impl FnMut(&str)) {
        self.partial_since = None;
        let decoder = self.decoder();
        let Some(mut line) = self.splitter.partial() else {
            return;
        };
        if !all && line.len == line.bytes.len() as u64 {
            line.bytes = line
                .bytes
                .get(..decoder.whole_characters(line.bytes))
                .unwrap_or_default();
            line.len = line.bytes.len() as u64;
        }
        if line.bytes.is_empty() {
            return;
        }
        take(&decoder.decode(line));
        let sent = line.bytes.len();
        self.splitter.part(sent);
    }

    /// Whether what was just read followed what was read before. At the beginning, where nothing was, whether it is
    /// still there.
    fn is_still(&self, read: &[u8]) -> io::Result<bool> {
        if self.offset == 0 {
            let head = read.get(..HEAD_BYTES).unwrap_or(read);
            return Ok(read_up_to(&self.file, 0, head.len())? == head && self.size()? >= read.len() as u64);
        }
        Ok(self.marker.check(&self.file)? == Content::Same)
    }

    fn decoder(&self) -> Decoder {
        self.decoder.unwrap_or(Decoder::UTF_8)
    }

    /// Looks at both ends of the file for its encoding.
    fn detect_from_file(&mut self, size: u64) -> io::Result<()> {
        if self.decoder.is_none() {
            let head = read_up_to(&self.file, 0, SAMPLE_BYTES)?;
            let tail_start = size.saturating_sub(SAMPLE_BYTES as u64).max(head.len() as u64) & !1;
            let tail = read_up_to(&self.file, tail_start, SAMPLE_BYTES)?;
            self.decoder = Decoder::detect(&[&head, &tail], true);
            if self.decoder.is_none() {
                self.sample = [head, tail].into_iter().flatten().filter(|b| !b.is_ascii()).collect();
            }
            let unit = self.decoder().unit();
            self.splitter = Splitter::new(unit, self.rules.max_line);
        }
        Ok(())
    }

    /// Lets new bytes show the encoding. Where they make it UTF-16, the line being read begins anew and the answer is
    /// true.
    fn observe(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if self.decoder.is_some() || bytes.is_ascii() && !bytes.contains(&0) {
            return Ok(false);
        }
        if self.sample.len() + bytes.len() > 2 * SAMPLE_BYTES {
            self.sample.clear();
        }
        self.sample.extend_from_slice(bytes);
        let at_start = self.offset == 0;
        self.decoder = Decoder::detect(&[&self.sample], at_start);
        let Some(decoder) = self.decoder else {
            return Ok(false);
        };
        self.sample = Vec::new();
        let moved = decoder.unit() != self.splitter.unit();
        if moved {
            let line_start = self.offset - self.splitter.held() as u64;
            self.splitter = Splitter::new(decoder.unit(), self.rules.max_line);
            if !at_start {
                self.offset = line_start.next_multiple_of(2);
            }
        }
        Ok(moved && !at_start)
    }

    /// A block without the NULs at its end, which may be a hole that is still being written to, and without half a
    /// unit.
    fn without_hole<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let text_len = bytes.len() - trailing_nuls(bytes);
        let end = match self.splitter.unit() {
            Unit::Byte => text_len,
            Unit::Little | Unit::Big => {
                let text_end = text_len.next_multiple_of(2).min(bytes.len());
                if bytes.len() - text_end >= HOLE_BYTES {
                    text_end
                } else {
                    bytes.len() & !1
                }
            }
        };
        bytes.get(..end).unwrap_or_default()
    }

    /// Looks for text behind a block of NULs. A hole with text behind it is skipped; one that reaches the end of the
    /// file is held back until text comes.
    fn cross_hole(&mut self, block: &[u8]) -> io::Result<Step> {
        let block_end = self.offset + block.len() as u64;
        let size = self.size()?;
        // What was looked through is not looked through again, unless the file system knows of data there that it did
        // not know of before, or the file has shrunk.
        let at = self.hole_end.min(size).max(block_end);
        let mut at = match seek(&self.file, SeekFrom::Data(block_end)) {
            Ok(data) if data > block_end => data.min(at),
            _ => at,
        };
        let budget_end = at + HOLE_STEP_BYTES;
        let mut buffer = vec![0; BLOCK_BYTES];
        while at < budget_end {
            // Where the file system knows holes, they need not be read; an error means that it does not.
            match seek(&self.file, SeekFrom::Data(at)) {
                Ok(data) => at = data.max(at),
                // No data up to the end.
                Err(Errno::NXIO) => {
                    self.hole_end = size.max(at);
                    return Ok(Step::End);
                }
                Err(_) => {}
            }
            let len = read_full(&self.file, at, &mut buffer)?;
            if len == 0 {
                self.hole_end = at;
                return Ok(Step::End);
            }
            let nuls = buffer.get(..len).map_or(0, leading_nuls);
            at += nuls as u64;
            if nuls < len {
                let hole = at - self.offset;
                if hole < HOLE_BYTES as u64 {
                    return Ok(Step::Took(0));
                }
                let width = self.splitter.unit().width() as u64;
                self.offset = at / width * width;
                self.hole_end = self.offset;
                return Ok(Step::Took(0));
            }
        }
        self.hole_end = at;
        Ok(Step::Took(BLOCK_BYTES))
    }

    fn remember_head(&mut self) -> io::Result<()> {
        if self.head.len() < HEAD_BYTES && (self.head.len() as u64) < self.offset {
            let len = usize::try_from(self.offset).map_or(HEAD_BYTES, |offset| offset.min(HEAD_BYTES));
            self.head = read_up_to(&self.file, 0, len)?;
        }
        Ok(())
    }
}

/// Whether these first bytes may be the beginning of a byte order mark that has not come whole.
fn is_cut_bom(bytes: &[u8]) -> bool {
    matches!(bytes, [0xEF] | [0xEF, 0xBB] | [0xFE] | [0xFF])
}

/// Reads as much as there is at an offset, up to the length of the buffer.
pub(super) fn read_full(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + len as u64) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

pub(super) fn read_up_to(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let read = read_full(file, offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
