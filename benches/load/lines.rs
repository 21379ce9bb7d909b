//! The lines of the load: what the writer puts into each and the viewers check in each. A line is its number, the time
//! it was written, and padding, so that a viewer alone can tell a lost, repeated, misplaced, cut or altered line and
//! how long it took to come.

use std::time::Instant;

/// Lines up to 10^10, more than any run writes.
const NUMBER_DIGITS: usize = 10;
/// Nanoseconds up to 10^16, that is 115 days.
const TIME_DIGITS: usize = 16;
/// Both with a space after each.
const PREFIX: usize = NUMBER_DIGITS + 1 + TIME_DIGITS + 1;
/// The shortest line: the prefix, one byte of padding, and the line end.
pub const MIN_LINE_BYTES: usize = PREFIX + 1 + 1;
const PADDING: &[u8] = b"the quick brown fox jumps over the lazy dog; ";

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

    /// The stamp of a line that arrived whole and unaltered.
    #[inline]
    pub fn parse(&self, payload: &[u8]) -> Option<Stamp> {
        let (number, rest) = split_digits::<NUMBER_DIGITS>(payload)?;
        let (nanos, padding) = split_digits::<TIME_DIGITS>(rest)?;
        (padding == self.padding).then_some(Stamp { number, nanos })
    }
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

/// Takes `N` digits and a space off the front.
#[inline]
fn split_digits<const N: usize>(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (digits, rest) = bytes.split_first_chunk::<N>()?;
    let rest = rest.strip_prefix(b" ")?;
    let mut value = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some((value, rest))
}
