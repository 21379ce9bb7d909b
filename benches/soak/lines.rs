//! The lines that are written. The text of a line is a function of the seed and of what stands at its beginning, so
//! that it can be checked whole without being kept: `file.generation.number.kind-and-length padding`.

use crate::rng::{Rng, mix};

/// Bytes after which the server cuts a line, as it is configured.
pub const MAX_LINE: usize = 64 * 1024;

/// Which line it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id {
    pub file: u32,
    /// The content of the file that it was first written to.
    pub generation: u32,
    /// Running number in the file, over all generations.
    pub number: u32,
}

/// What it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// `a` ASCII, `c` CJK, `r` colours.
    pub kind: char,
    /// Characters of padding.
    pub len: usize,
}

impl Form {
    /// The form of an ordinary log's next line, with a rare one now and then; or, in `bulk`, a long one.
    pub fn random(rng: &mut Rng, bulk: bool) -> Self {
        if bulk {
            let len = 8_000 + rng.below(6_000);
            return Self { kind: 'a', len };
        }
        let kind = match rng.below(10) {
            0 | 1 => 'c',
            2 => 'r',
            _ => 'a',
        };
        let len = match rng.below(20_000) {
            0 => MAX_LINE - 100 + rng.below(20_000),
            1..=60 => 2_000 + rng.below(12_000),
            61..=2_000 => 0,
            _ => 20 + rng.below(130),
        };
        // What is cut is ASCII: where exactly other characters are cut is tested elsewhere.
        let kind = if len > 15_000 { 'a' } else { kind };
        Self { kind, len }
    }
}

/// The text of a line, as it stands in the file.
pub fn text(seed: u64, id: Id, form: Form) -> String {
    let Id {
        file,
        generation,
        number,
    } = id;
    let Form { kind, len } = form;
    let mut text = format!("{file}.{generation}.{number}.{kind}{len}");
    if len == 0 {
        return text;
    }
    text.push(' ');
    let mut state = mix(seed ^ (u64::from(file) << 56) ^ (u64::from(generation) << 32) ^ u64::from(number));
    let mut bits = 0;
    for at in 0..len {
        if at % 8 == 0 {
            state = mix(state);
            bits = state;
        }
        let byte = (bits & 0xFF) as u32;
        bits >>= 8;
        match kind {
            'c' => text.push(char::from_u32(0x4E00 + byte * 64 + (at as u32 & 63)).unwrap_or('?')),
            'r' if byte < 16 => text.push_str("\x1b[31m"),
            _ => text.push(char::from(b'a' + (byte % 26) as u8)),
        }
    }
    text
}

/// The text of a line as the server sends it.
pub fn sent(seed: u64, id: Id, form: Form) -> String {
    let mut text = text(seed, id, form);
    if text.len() > MAX_LINE {
        let beyond = text.len() - MAX_LINE;
        text.truncate(MAX_LINE);
        text.push_str(&format!(" … [+{beyond} bytes]"));
    }
    text
}

/// Which line a text is, if it is whole and unaltered.
pub fn recognize(seed: u64, received: &str) -> Option<Id> {
    let head = received.split(' ').next()?;
    let mut parts = head.split('.');
    let mut number = || parts.next()?.parse::<u32>().ok();
    let id = Id {
        file: number()?,
        generation: number()?,
        number: number()?,
    };
    let form = parts.next()?;
    let mut chars = form.chars();
    let form = Form {
        kind: chars.next()?,
        len: chars.as_str().parse().ok().filter(|&len| len <= 2 * MAX_LINE)?,
    };
    (parts.next().is_none() && sent(seed, id, form) == received).then_some(id)
}
