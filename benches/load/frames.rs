//! The WebSocket wire format, as far as this bench speaks it: reading the headers of a server's frames (which are never
//! masked), and building the few frames it sends itself. A complete WebSocket library would copy and check every
//! payload, and thousands of viewers on one core can't afford that.

use std::fmt;

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

/// The longest payload accepted; twice the longest line a server passes on, so that only nonsense is refused.
pub const MAX_PAYLOAD: usize = 128 * 1024;
/// The longest header of an unmasked frame: two bytes and a length of 64 bits.
pub const MAX_HEADER: usize = 2 + 8;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0F;
const MASKED: u8 = 0x80;
/// The longest payload of a control frame, and the longest whose length fits in the second byte.
const SHORT_MAX: usize = 125;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;
/// Any key will do: nothing between the two ends of a loopback connection could be led astray by what is sent.
const MASK: [u8; 4] = [0x5A, 0xC3, 0x3C, 0xA5];

/// A frame of which the header and the whole payload are there.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
    /// Header and payload, in bytes.
    pub total: usize,
}

/// Why bytes are no frame that a server may send.
#[derive(Debug, Clone, Copy)]
pub enum Wrong {
    /// With the first byte.
    FragmentOrReserved(u8),
    Masked,
    /// With the length.
    TooLong(u64),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FragmentOrReserved(first) => write!(f, "a fragment or a reserved bit (first byte {first:#04x})"),
            Self::Masked => write!(f, "a masked frame from the server"),
            Self::TooLong(length) => write!(f, "a frame of {length} bytes"),
        }
    }
}

/// The first frame in `bytes`, `None` where it isn't complete yet, or what is wrong with it.
// Always: a result that goes through memory costs the viewers as much as all they check in a line.
#[inline(always)]
pub fn first(bytes: &[u8]) -> Result<Option<Frame<'_>>, Wrong> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & (FIN | RESERVED) != FIN {
        return Err(Wrong::FragmentOrReserved(*first));
    }
    if second & MASKED != 0 {
        return Err(Wrong::Masked);
    }
    let (length, header) = match *second {
        LENGTH_16 => match rest.first_chunk::<2>() {
            Some(length) => (u64::from(u16::from_be_bytes(*length)), 4),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length), MAX_HEADER),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    if length > MAX_PAYLOAD as u64 {
        return Err(Wrong::TooLong(length));
    }
    let end = header + length as usize;
    Ok(bytes.get(header..end).map(|payload| Frame {
        opcode: first & OPCODE,
        payload,
        total: end,
    }))
}

/// Appends an unmasked text frame, as a server sends it.
pub fn push_text(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(FIN | TEXT);
    if payload.len() <= SHORT_MAX {
        out.push(payload.len() as u8);
    } else if let Ok(length) = u16::try_from(payload.len()) {
        out.push(LENGTH_16);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(LENGTH_64);
        out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    }
    out.extend_from_slice(payload);
}

/// A masked control frame, as a client sends it; what is longer than such a frame may be is left out.
pub fn client_control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(SHORT_MAX)];
    let mut frame = vec![FIN | opcode, MASKED | payload.len() as u8];
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
