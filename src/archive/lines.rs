//! The lines of a stretch of a file, one after the other, each with where it stands.

use std::io;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use super::LogFile;
use super::budget::Budget;
use crate::position::Within;
use crate::split::{Line, Splitter, leading_nuls, skip_holes, trailing_nuls};

/// Bytes read at a time.
pub(super) const BLOCK_BYTES: usize = 64 << 10;

/// A stretch of a file that begins at a line, or inside one as `within` says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: u64,
    pub(super) within: Within,
    pub(super) end: u64,
    /// Whether what stands behind its last line end is a line.
    pub(super) with_rest: bool,
}

/// A line and where it begins and ends, its line end included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) line: Line<'a>,
}

/// Hands on the lines of a stretch, until it is told to stop by a false.
///
/// # Errors
///
/// What reading returns; `TimedOut` when the budget is used up.
pub(super) fn read_lines(
    file: &LogFile,
    max_line: usize,
    stretch: Stretch,
    budget: &Budget,
    take: &mut impl FnMut(Placed<'_>) -> bool,
) -> io::Result<()> {
    let unit = file.decoder.unit();
    let width = unit.width();
    let mut splitter = match stretch.within {
        Within::Nothing => Splitter::new(unit, max_line),
        Within::PartialLine => Splitter::after_partial_line(unit, max_line),
        Within::CutLine => Splitter::inside_line(unit, max_line),
    };
    let block_len = usize::try_from(stretch.end.saturating_sub(stretch.start)).unwrap_or(BLOCK_BYTES);
    let mut block = vec![0; block_len.min(BLOCK_BYTES)];
    let mut line_start = stretch.start;
    let mut at = stretch.start;
    while at < stretch.end {
        let room = usize::try_from(stretch.end - at).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        let len = file
            .source
            .read_at(at, block.get_mut(..room).unwrap_or_default(), budget)?;
        let bytes = block.get(..len).unwrap_or_default();
        // A run of NULs at the end of a block may go on in the next one: it is left to that.
        let text_len = (len - trailing_nuls(bytes))
            .next_multiple_of(width)
            .min(len / width * width);
        let mut text = bytes.get(..text_len).unwrap_or_default();
        if text.is_empty() {
            match len == BLOCK_BYTES {
                true => at = hole_end(file, at, stretch.end, budget)? / width as u64 * width as u64,
                false => break,
            }
            continue;
        }
        let next = at + text_len as u64;
        if at == 0 {
            text = text.get(file.decoder.bom_len(text)..).unwrap_or_default();
        }
        while !text.is_empty() {
            let line_end = unit.find_line_end(text);
            let (piece, rest) = text.split_at(line_end.map_or(text.len(), |end| end + width));
            text = rest;
            let end = next - text.len() as u64;
            let mut goes_on = true;
            skip_holes(unit, piece, &mut |_, part| {
                splitter.feed(part, &mut |line, _| {
                    goes_on = take(Placed {
                        start: line_start,
                        end,
                        line,
                    });
                });
            });
            if !goes_on {
                return Ok(());
            }
            if line_end.is_some() {
                line_start = end;
            }
        }
        at = next;
    }
    if stretch.with_rest
        && let Some(line) = splitter.partial()
    {
        take(Placed {
            start: line_start,
            end: at,
            line,
        });
    }
    Ok(())
}

/// Where the run of NULs at `at` ends, as far as the stretch goes.
fn hole_end(file: &LogFile, mut at: u64, end: u64, budget: &Budget) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    while at < end {
        // Where the file system knows holes, they need not be read.
        match file.source.plain_file().map(|file| seek(file, SeekFrom::Data(at))) {
            Some(Ok(data)) => at = data.max(at),
            Some(Err(Errno::NXIO)) => return Ok(end),
            _ => {}
        }
        let room = usize::try_from(end.saturating_sub(at)).map_or(BLOCK_BYTES, |rest| rest.min(BLOCK_BYTES));
        let len = file
            .source
            .read_at(at, block.get_mut(..room).unwrap_or_default(), budget)?;
        let nuls = block.get(..len).map_or(0, leading_nuls);
        at += nuls as u64;
        if nuls < len {
            return Ok(at);
        }
        if len == 0 {
            return Ok(end);
        }
    }
    Ok(end)
}
