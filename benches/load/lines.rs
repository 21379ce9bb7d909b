//! The lines of the load: what the writer puts into each and the viewers check in each. A line is its number, the time
//! it was written, and padding, so that a viewer alone can tell a lost, repeated, misplaced, cut or altered line and
//! how long it took to come.

use std::time::Instant;

/// Lines up to 10^10, more than any run writes.
const NUMBER_DIGITS: usize = 10;
/// Nanoseconds up to 10^16, that is 115 days.
pub const TIME_DIGITS: usize = 16;
/// Both with a space after each.
const PREFIX: usize = NUMBER_DIGITS + 1 + TIME_DIGITS + 1;
/// The shortest line: the prefix, one byte of padding, and the line end.
pub const MIN_LINE_BYTES: usize = PREFIX + 1 + 1;
const PADDING: &[u8] = b"the quick brown fox jumps over the lazy dog; ";
/// The lines of each further file are numbered from so many more on: a line of another file is one out of place.
pub const FILE_STEP: u64 = 10_000_000;

/// The time all parts of the bench process measure by: nanoseconds of the monotonic clock since its start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    base: Instant,
}

impl Clock {
    pub fn start() -> Self {
        Self { base: Instant::now() }
    }

    pub fn nanos(self) -> u64 {
        self.base.elapsed().as_nanos() as u64
    }
}

/// What a line says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub number: u64,
    pub nanos: u64,
}

/// A line as a viewer gets it, taken apart. Its time stays text, as most lines bear the time of the one before.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    pub number: u64,
    pub time: &'a [u8; TIME_DIGITS],
    pub padding: &'a [u8],
}

#[derive(Debug, Clone)]
pub struct LineFormat {
    padding: Vec<u8>,
}

impl LineFormat {
    /// Lines of `line_bytes` bytes with their line end.
    pub fn new(line_bytes: usize) -> Self {
        let padding = line_bytes.saturating_sub(PREFIX + 1);
        Self {
            padding: PADDING.iter().copied().cycle().take(padding).collect(),
        }
    }

    /// What a viewer gets of a line: all but its end.
    pub fn payload_bytes(&self) -> usize {
        PREFIX + self.padding.len()
    }

    /// Appends a line with its end.
    pub fn push(&self, out: &mut Vec<u8>, stamp: Stamp) {
        push_digits::<NUMBER_DIGITS>(out, stamp.number);
        push_digits::<TIME_DIGITS>(out, stamp.nanos);
        out.extend_from_slice(&self.padding);
        out.push(b'\n');
    }

    /// A line of this length with a number; its time and padding are not looked at.
    #[inline(always)]
    pub fn split<'a>(&self, payload: &'a [u8]) -> Option<Line<'a>> {
        let (digits, rest) = payload.split_first_chunk::<NUMBER_DIGITS>()?;
        let (time, rest) = rest.strip_prefix(b" ")?.split_first_chunk::<TIME_DIGITS>()?;
        let padding = rest.strip_prefix(b" ")?;
        let (high, low) = digits.split_last_chunk::<8>()?;
        let number = value_of(high)? * 100_000_000 + value_of_eight(*low)?;
        (padding.len() == self.padding.len()).then_some(Line { number, time, padding })
    }

    /// Whether the padding arrived unaltered.
    pub fn is_whole(&self, line: &Line<'_>) -> bool {
        line.padding == self.padding
    }
}

/// When a line was written, as its text says.
pub fn nanos(time: &[u8; TIME_DIGITS]) -> Option<u64> {
    value_of(time)
}

/// Appends `value` in `N` digits and a space.
fn push_digits<const N: usize>(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
    out.push(b' ');
}

#[inline]
fn value_of(digits: &[u8]) -> Option<u64> {
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Eight digits at once: the numbers of a burst are ten million, of which each viewer checks each.
#[inline]
fn value_of_eight(digits: [u8; 8]) -> Option<u64> {
    let values = u64::from_le_bytes(digits) ^ 0x3030_3030_3030_3030;
    // A byte above 9 reaches the highest bit, by itself or with 0x76 added.
    if (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080 != 0 {
        return None;
    }
    // Neighbours are added up in pairs, fours and eights, the first digit in the lowest byte.
    let pairs = (values * 10 + (values >> 8)) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((fours * 10_000 + (fours >> 32)) & 0xFFFF_FFFF)
}
