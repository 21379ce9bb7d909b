//! The server's frames: unmasked, never fragmented (RFC 6455, section 5.2).
//!
//! A run of text frames is also how a chunk holds its lines, so that sending needs no work and no second copy; the
//! functions at the end walk along such a run.

/// `FIN` and opcode 1.
const TEXT: u8 = 0x81;
/// `FIN` and opcode 2.
const BINARY: u8 = 0x82;
/// The first reserved bit, which marks a compressed message (RFC 7692, section 6).
const DEFLATED: u8 = 0x40;
/// `FIN` and opcode 8.
const CLOSE: u8 = 0x88;
/// `FIN` and opcode 9.
const PING: u8 = 0x89;
/// `FIN` and opcode 10.
const PONG: u8 = 0x8A;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text in UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// The most that a control frame may carry (RFC 6455, section 5.5).
pub const MAX_CONTROL_BYTES: usize = 125;

/// The longest header of the server's frames: a payload length of eight bytes.
pub const MAX_HEADER_BYTES: usize = 10;

/// Appends one text frame.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    push_text_bytes(out, text.as_bytes());
}

/// The same, of text that is known to be valid UTF-8.
pub fn push_text_bytes(out: &mut Vec<u8>, text: &[u8]) {
    push_header(out, TEXT, text.len());
    out.extend_from_slice(text);
}

/// Appends a message of either kind, whose payload may be compressed.
pub fn push_message(out: &mut Vec<u8>, kind: Kind, deflated: bool, payload: &[u8]) {
    let first = match kind {
        Kind::Text => TEXT,
        Kind::Binary => BINARY,
    };
    push_header(out, if deflated { first | DEFLATED } else { first }, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a Close frame; a reason beyond what a control frame holds is cut on a character boundary.
pub fn push_close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_BYTES - 2)];
    push_header(out, CLOSE, 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends a Close frame without a code, the answer to one without a code.
pub fn push_empty_close(out: &mut Vec<u8>) {
    push_header(out, CLOSE, 0);
}

/// Appends a Ping without payload.
pub fn push_ping(out: &mut Vec<u8>) {
    push_header(out, PING, 0);
}

/// Appends a Pong with the payload of the Ping that it answers, at most [`MAX_CONTROL_BYTES`].
pub fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_CONTROL_BYTES);
    push_header(out, PONG, payload.len());
    out.extend_from_slice(payload);
}

fn push_header(out: &mut Vec<u8>, first: u8, len: usize) {
    // The three forms of the payload length, each used where it is the shortest.
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(len @ ..=125), _) => out.extend_from_slice(&[first, len]),
        (_, Ok(len)) => {
            let [high, low] = len.to_be_bytes();
            out.extend_from_slice(&[first, 126, high, low]);
        }
        _ => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// Length of the header and of the payload of the frame at the beginning of `frames`; none where it is empty.
fn measure(frames: &[u8]) -> Option<(usize, usize)> {
    match *frames.get(1)? {
        126 => {
            let bytes = frames.get(2..4)?.try_into().ok()?;
            Some((4, usize::from(u16::from_be_bytes(bytes))))
        }
        127 => {
            let bytes = frames.get(2..10)?.try_into().ok()?;
            Some((10, usize::try_from(u64::from_be_bytes(bytes)).ok()?))
        }
        len => Some((2, usize::from(len))),
    }
}

/// Iterates over the ends of whole frames in a run of them, as offsets from its beginning.
pub fn ends(frames: &[u8]) -> impl Iterator<Item = usize> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (header, payload) = measure(frames.get(at..)?)?;
        at += header + payload;
        (at <= frames.len()).then_some(at)
    })
}

/// Iterates over the payloads of a run of frames, compressed ones as they are.
pub fn payloads(frames: &[u8]) -> impl Iterator<Item = &[u8]> + '_ {
    let mut rest = frames;
    std::iter::from_fn(move || {
        let (header, payload) = measure(rest)?;
        let (frame, after) = rest.split_at_checked(header + payload)?;
        rest = after;
        frame.get(header..)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        out
    }

    #[test]
    fn frames_have_the_bytes_of_the_rfc() {
        // RFC 6455, section 5.7: a single-frame unmasked text message.
        assert_eq!(
            bytes(|out| push_text(out, "Hello")),
            [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        assert_eq!(bytes(|out| push_text(out, "")), [0x81, 0x00]);
        assert_eq!(
            bytes(|out| push_pong(out, b"Hello")),
            [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]
        );
        assert_eq!(bytes(push_ping), [0x89, 0x00]);
        assert_eq!(bytes(push_empty_close), [0x88, 0x00]);
        assert_eq!(
            bytes(|out| push_close(out, 4410, "ok")),
            [0x88, 0x04, 0x11, 0x3a, b'o', b'k']
        );
    }

    #[test]
    fn the_length_takes_its_shortest_form() {
        let header = |len: usize| {
            let frame = bytes(|out| push_text(out, &"x".repeat(len)));
            frame[..frame.len() - len].to_vec()
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(256), [0x81, 126, 1, 0]);
        assert_eq!(header(65_535), [0x81, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_long_close_reason_is_cut_between_characters() {
        let frame = bytes(|out| push_close(out, 1000, &"日".repeat(100)));
        // 123 bytes of reason are 41 characters of three.
        assert_eq!(frame[1], 2 + 41 * 3);
        assert!(std::str::from_utf8(&frame[4..]).is_ok());
    }

    #[test]
    fn a_run_of_frames_is_walked_by_whole_frames() {
        let lengths = [0, 1, 125, 126, 65_535, 65_536, 3];
        let run = bytes(|out| {
            for len in lengths {
                push_text(out, &"y".repeat(len));
            }
        });
        assert_eq!(payloads(&run).map(<[u8]>::len).collect::<Vec<_>>(), lengths);
        let all: Vec<usize> = ends(&run).collect();
        assert_eq!(all.len(), lengths.len());
        assert_eq!(all.last(), Some(&run.len()));
        assert_eq!(
            ends(&run[..run.len() - 1]).count(),
            lengths.len() - 1,
            "a cut frame does not count"
        );
        assert_eq!(payloads(&run[..run.len() - 1]).count(), lengths.len() - 1);
        assert_eq!(ends(&[]).count(), 0);
    }
}
