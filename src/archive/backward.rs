//! Finding where lines begin, from a place in a file towards its beginning, reading no more than they take.

use std::fs::File;
use std::io;

use rustix::fs::{SeekFrom, seek};

use super::LogFile;
use super::budget::Budget;
use super::lines::BLOCK_BYTES;
use crate::split::trailing_nuls;

/// Calls `found` with the offset behind each line end before `end`, the last one first, until it is told to stop by a
/// false. True when the beginning of the file was reached.
///
/// # Errors
///
/// What reading returns; `TimedOut` when the budget is used up.
pub(super) fn line_ends(
    file: &LogFile,
    end: u64,
    budget: &Budget,
    found: &mut impl FnMut(u64) -> bool,
) -> io::Result<bool> {
    let unit = file.decoder.unit();
    let width = unit.width() as u64;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut block_end = end / width * width;
    while block_end > 0 {
        let block_start = block_end.saturating_sub(BLOCK_BYTES as u64);
        let len = usize::try_from(block_end - block_start).unwrap_or(BLOCK_BYTES);
        let read = file
            .source
            .read_at(block_start, buffer.get_mut(..len).unwrap_or_default(), budget)?;
        let mut block = buffer.get(..read).unwrap_or_default();
        if trailing_nuls(block) == block.len() {
            block_end = match file.source.plain_file() {
                Some(file) => data_end(file, block_start) / width * width,
                None => block_start,
            };
            continue;
        }
        while let Some(at) = unit.rfind_line_end(block) {
            if !found(block_start + at as u64 + width) {
                return Ok(false);
            }
            block = block.get(..at).unwrap_or_default();
        }
        block_end = block_start;
    }
    Ok(true)
}

/// An offset up to `before` with nothing but a hole between the two, as far as the file system knows holes.
fn data_end(file: &File, before: u64) -> u64 {
    let has_data = |from: u64, to: u64| match seek(file, SeekFrom::Data(from)) {
        Ok(data) => data < to,
        Err(rustix::io::Errno::NXIO) => false,
        // Not known: it has to be read.
        Err(_) => true,
    };
    // There is none in `[free, before)`.
    let mut free = before;
    let mut step = BLOCK_BYTES as u64;
    let mut data = loop {
        let from = free.saturating_sub(step);
        if has_data(from, free) {
            break from;
        }
        if from == 0 {
            return 0;
        }
        free = from;
        step = step.saturating_mul(2);
    };
    while free - data > BLOCK_BYTES as u64 {
        let middle = data + (free - data) / 2;
        match has_data(middle, free) {
            true => data = middle,
            false => free = middle,
        }
    }
    free
}

/// Where `lines` lines before `end` begin, or fewer where that many would take more than `max_bytes` of the file.
pub(super) fn start_of_lines(
    file: &LogFile,
    end: u64,
    lines: usize,
    max_bytes: u64,
    budget: &Budget,
) -> io::Result<u64> {
    let mut start = end;
    let mut count = 0;
    let reached = line_ends(file, end, budget, &mut |at| {
        // The line end right before `end` ends the last line and begins none.
        if at < end {
            count += 1;
            start = at;
        }
        count < lines && end - start < max_bytes
    })?;
    Ok(if reached { 0 } else { start })
}

/// Where the last whole line ends.
pub(super) fn last_line_end(file: &LogFile, size: u64, budget: &Budget) -> io::Result<u64> {
    let mut end = 0;
    line_ends(file, size, budget, &mut |at| {
        end = at;
        false
    })?;
    Ok(end)
}
