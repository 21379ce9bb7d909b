//! What clients send: a parser of masked frames that is fed bytes as they come and holds no more than one message.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close_code;
use super::frame::MAX_CONTROL_BYTES;

/// The most that a client's message may hold, over all its fragments.
pub const MAX_MESSAGE_BYTES: usize = 4096;
/// The opcode of a Close frame.
const CLOSE_OPCODE: u8 = 8;
/// Two bytes, eight of length, four of mask: the longest header (RFC 6455, section 5.2).
const MAX_HEADER_BYTES: usize = 14;

/// Something whole that a client sent and that wants an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A Ping frame with its payload, or the text `ping`, whose answer has none.
    Ping(Vec<u8>),
    /// A Close frame; the code where it had one.
    Close(Option<u16>),
}

/// How a client broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The close code that tells it.
    pub code: u16,
    /// What is wrong, for the reason of the Close frame.
    pub reason: &'static str,
}

const fn protocol(reason: &'static str) -> Violation {
    Violation {
        code: close_code::PROTOCOL_ERROR,
        reason,
    }
}

const TOO_BIG: Violation = Violation {
    code: close_code::TOO_BIG,
    reason: "message too big",
};

const INVALID_UTF8: Violation = Violation {
    code: close_code::INVALID_DATA,
    reason: "invalid UTF-8",
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Binary,
}

/// A frame whose payload has not come whole yet.
#[derive(Debug)]
struct Frame {
    op: OpCode,
    is_final: bool,
    mask: [u8; 4],
    /// Payload bytes still to come.
    remaining: usize,
    /// Payload bytes that came, which is where in the mask the next one stands.
    received: usize,
}

/// The reading side of one connection. Between two messages it holds nothing on the heap.
#[derive(Debug, Default)]
pub struct ClientFrames {
    /// The first bytes of a header that is not whole yet; never longer than [`MAX_HEADER_BYTES`].
    header: Vec<u8>,
    frame: Option<Frame>,
    /// The kind of the data message whose final fragment has not come yet.
    message: Option<Kind>,
    /// Payload of that message so far; never longer than [`MAX_MESSAGE_BYTES`].
    data: Vec<u8>,
    /// Payload of the control frame being read; never longer than [`MAX_CONTROL_BYTES`].
    control: Vec<u8>,
    closed: bool,
    /// Set by a violation: from then on only a Close frame is looked for.
    broken: bool,
    /// Payload bytes to pass over in that state.
    to_skip: u64,
}

impl ClientFrames {
    /// Takes the next bytes of the stream and hands on what became whole with them. What follows a Close is ignored.
    ///
    /// # Errors
    ///
    /// A [`Violation`] at the first byte that shows it. What is fed afterwards is passed over, up to a Close frame.
    pub fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Incoming)) -> Result<(), Violation> {
        if self.broken {
            self.skip_to_close(bytes, take);
            return Ok(());
        }
        let result = self.parse(&mut bytes, take);
        if result.is_err() {
            self.broken = true;
            self.message = None;
            self.data = Vec::new();
            self.control = Vec::new();
            self.skip_to_close(bytes, take);
        }
        result
    }

    /// Passes over frames by their lengths alone, whatever else is wrong with them.
    fn skip_to_close(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Incoming)) {
        while !self.closed {
            let skipped = usize::try_from(self.to_skip).map_or(bytes.len(), |len| len.min(bytes.len()));
            self.to_skip -= skipped as u64;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if self.to_skip > 0 {
                return;
            }
            if let Some((opcode, len)) = frame_length(&self.header) {
                self.header = Vec::new();
                self.to_skip = len;
                if opcode == CLOSE_OPCODE {
                    self.closed = true;
                    take(Incoming::Close(None));
                }
            } else if let Some((&byte, rest)) = bytes.split_first() {
                self.header.push(byte);
                bytes = rest;
            } else {
                return;
            }
        }
    }

    fn parse(&mut self, input: &mut &[u8], take: &mut impl FnMut(Incoming)) -> Result<(), Violation> {
        while !self.closed {
            match &mut self.frame {
                None => {
                    let Some((&byte, rest)) = input.split_first() else {
                        break;
                    };
                    *input = rest;
                    self.header.push(byte);
                    if let Some(frame) = self.parse_header()? {
                        self.header = Vec::new();
                        self.frame = Some(frame);
                    }
                }
                Some(frame) => {
                    let (part, rest) = input.split_at(frame.remaining.min(input.len()));
                    let payload = match frame.op {
                        OpCode::Control(_) => &mut self.control,
                        OpCode::Data(_) => &mut self.data,
                    };
                    let mask = frame.mask.iter().cycle().skip(frame.received % frame.mask.len());
                    payload.extend(part.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
                    frame.received += part.len();
                    frame.remaining -= part.len();
                    *input = rest;
                    if frame.remaining > 0 {
                        break;
                    }
                    let (op, is_final) = (frame.op, frame.is_final);
                    self.frame = None;
                    self.finish(op, is_final, take)?;
                }
            }
        }
        Ok(())
    }

    fn parse_header(&mut self) -> Result<Option<Frame>, Violation> {
        debug_assert!(self.header.len() <= MAX_HEADER_BYTES);
        // What the first two bytes show is answered without waiting for the rest of the header.
        if let &[first, second] = self.header.as_slice() {
            if first & 0x70 != 0 {
                return Err(protocol("reserved bit set"));
            }
            if second & 0x80 == 0 {
                return Err(protocol("frame not masked"));
            }
        }
        let (header, len) = match FrameHeader::parse(&mut Cursor::new(&self.header)) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(None),
            Err(_) => return Err(protocol("reserved opcode")),
        };
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return Err(protocol("fragmented control frame")),
            OpCode::Control(_) if len > MAX_CONTROL_BYTES => return Err(protocol("control frame too big")),
            OpCode::Control(_) => {}
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(protocol("continuation of nothing"));
            }
            OpCode::Data(Data::Continue) => {}
            OpCode::Data(_) if self.message.is_some() => return Err(protocol("message inside a message")),
            OpCode::Data(Data::Text) => self.message = Some(Kind::Text),
            OpCode::Data(_) => self.message = Some(Kind::Binary),
        }
        if matches!(header.opcode, OpCode::Data(_)) && len > MAX_MESSAGE_BYTES - self.data.len() {
            return Err(TOO_BIG);
        }
        Ok(Some(Frame {
            op: header.opcode,
            is_final: header.is_final,
            mask: header.mask.ok_or(protocol("frame not masked"))?,
            remaining: len,
            received: 0,
        }))
    }

    fn finish(&mut self, op: OpCode, is_final: bool, take: &mut impl FnMut(Incoming)) -> Result<(), Violation> {
        match op {
            OpCode::Control(control) => {
                let payload = std::mem::take(&mut self.control);
                match control {
                    Control::Ping => take(Incoming::Ping(payload)),
                    Control::Close => {
                        self.closed = true;
                        take(Incoming::Close(close_payload(&payload)?));
                    }
                    Control::Pong | Control::Reserved(_) => {}
                }
            }
            OpCode::Data(_) if is_final => {
                let payload = std::mem::take(&mut self.data);
                if self.message.take() == Some(Kind::Text) {
                    let text = std::str::from_utf8(&payload).map_err(|_| INVALID_UTF8)?;
                    if text == "ping" {
                        take(Incoming::Ping(Vec::new()));
                    }
                }
            }
            OpCode::Data(_) => {}
        }
        Ok(())
    }
}

/// Opcode and payload length of a header, once it is whole, whatever it says.
fn frame_length(header: &[u8]) -> Option<(u8, u64)> {
    let (&first, rest) = header.split_first()?;
    let (&second, rest) = rest.split_first()?;
    let (len, rest) = match second & 0x7f {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len), rest)
        }
        len => (u64::from(len), rest),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    (rest.len() >= mask).then_some((first & 0x0f, len))
}

/// Reads a Close frame's payload: nothing, or a code that may be sent and a reason in UTF-8 (RFC 6455, section 5.5.1).
fn close_payload(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return match payload {
            [] => Ok(None),
            _ => Err(protocol("close frame of one byte")),
        };
    };
    let code = u16::from_be_bytes(*code);
    // What RFC 6455, section 7.4, lets be sent, and what was registered since: 1012 to 1014.
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(protocol("close code not allowed"));
    }
    std::str::from_utf8(reason).map_err(|_| INVALID_UTF8)?;
    Ok(Some(code))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            len @ 0..=125 => out.push(0x80 | len as u8),
            len @ 126..=65_535 => {
                out.push(0x80 | 126);
                out.extend((len as u16).to_be_bytes());
            }
            len => {
                out.push(0x80 | 127);
                out.extend((len as u64).to_be_bytes());
            }
        }
        out.extend(MASK);
        out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ MASK[i % 4]));
        out
    }

    fn feed_in(cuts: usize, bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let mut frames = ClientFrames::default();
        let mut seen = Vec::new();
        for part in bytes.chunks(cuts) {
            frames.feed(part, &mut |incoming| seen.push(incoming))?;
        }
        Ok(seen)
    }

    fn feed(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let whole = feed_in(bytes.len().max(1), bytes);
        assert_eq!(feed_in(1, bytes), whole, "byte by byte it is the same");
        whole
    }

    fn code(bytes: &[u8]) -> u16 {
        feed(bytes).unwrap_err().code
    }

    #[test]
    fn the_rfcs_masked_hello_is_read() {
        // RFC 6455, section 5.7.
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(frame(0x81, b"Hello"), hello);
        assert_eq!(feed(&hello), Ok(vec![]));
    }

    #[test]
    fn pings_as_frame_and_as_text_want_an_answer_and_nothing_else_does() {
        let mut bytes = frame(0x89, b"abc");
        bytes.extend(frame(0x81, b"ping"));
        bytes.extend(frame(0x81, b"ping "));
        bytes.extend(frame(0x82, b"ping"));
        bytes.extend(frame(0x8a, b"pong"));
        bytes.extend(frame(0x81, &[b'x'; MAX_MESSAGE_BYTES]));
        bytes.extend(frame(0x89, &[7; MAX_CONTROL_BYTES]));
        let expected = vec![
            Incoming::Ping(b"abc".to_vec()),
            Incoming::Ping(vec![]),
            Incoming::Ping(vec![7; MAX_CONTROL_BYTES]),
        ];
        assert_eq!(feed(&bytes), Ok(expected));
    }

    #[test]
    fn fragments_with_a_ping_between_them_make_one_message() {
        let mut bytes = frame(0x01, b"pi");
        bytes.extend(frame(0x89, b"between"));
        bytes.extend(frame(0x00, b""));
        bytes.extend(frame(0x80, b"ng"));
        assert_eq!(
            feed(&bytes),
            Ok(vec![Incoming::Ping(b"between".to_vec()), Incoming::Ping(vec![])])
        );
    }

    #[test]
    fn a_character_may_be_cut_by_a_fragment() {
        let mut bytes = frame(0x01, &"日".as_bytes()[..1]);
        bytes.extend(frame(0x80, &"日".as_bytes()[1..]));
        assert_eq!(feed(&bytes), Ok(vec![]));
    }

    #[test]
    fn violations_get_the_code_of_the_rfc() {
        assert_eq!(code(&[0x81, 0x00]), 1002, "unmasked");
        for bit in [0x40, 0x20, 0x10] {
            assert_eq!(code(&frame(0x81 | bit, b"")), 1002, "reserved bit {bit:x}");
        }
        for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
            assert_eq!(code(&frame(0x80 | opcode, b"")), 1002, "reserved opcode {opcode}");
        }
        assert_eq!(code(&frame(0x09, b"")), 1002, "fragmented ping");
        assert_eq!(code(&frame(0x89, &[0; 126])), 1002, "long ping");
        assert_eq!(code(&frame(0x80, b"x")), 1002, "continuation of nothing");
        assert_eq!(
            code(&[frame(0x01, b"x"), frame(0x81, b"y")].concat()),
            1002,
            "message inside a message"
        );
        assert_eq!(code(&frame(0x81, &[0xff])), 1007);
        assert_eq!(
            code(&frame(0x81, &"日".as_bytes()[..2])),
            1007,
            "ends inside a character"
        );
        assert_eq!(code(&frame(0x81, &[b'x'; MAX_MESSAGE_BYTES + 1])), 1009);
        assert_eq!(code(&frame(0x82, &[0; 70_000])), 1009);
        assert_eq!(
            code(&[frame(0x01, &[b'x'; 4000]), frame(0x80, &[b'x'; 97])].concat()),
            1009,
            "over all fragments"
        );
    }

    #[test]
    fn a_close_is_taken_apart_and_ends_the_reading() {
        let close = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes(), reason].concat());
        assert_eq!(feed(&frame(0x88, b"")), Ok(vec![Incoming::Close(None)]));
        assert_eq!(
            feed(&close(1000, "再见".as_bytes())),
            Ok(vec![Incoming::Close(Some(1000))])
        );
        assert_eq!(
            feed(&[close(4999, b""), vec![0xff; 9]].concat()),
            Ok(vec![Incoming::Close(Some(4999))]),
            "what follows is ignored"
        );
        for bad in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
            assert_eq!(code(&close(bad, b"")), 1002, "{bad}");
        }
        assert_eq!(code(&frame(0x88, &[3])), 1002);
        assert_eq!(code(&close(1000, &[0xff])), 1007);
    }

    #[test]
    fn after_a_violation_only_a_close_is_looked_for() {
        for broken in [
            frame(0xc1, b"reserved bit"),
            frame(0x83, b"reserved opcode"),
            frame(0x82, &[0; 70_000]),
            frame(0x81, &[0xff]),
            vec![0x81, 0x05, b'h', b'e', b'l', b'l', b'o'],
        ] {
            for cuts in [1, 7, 100_000] {
                let mut frames = ClientFrames::default();
                let (mut seen, mut violations) = (Vec::new(), 0);
                let bytes = [broken.clone(), frame(0x89, b"no answer"), frame(0x88, &[0x03, 0xe8])].concat();
                for part in bytes.chunks(cuts) {
                    violations += usize::from(frames.feed(part, &mut |incoming| seen.push(incoming)).is_err());
                }
                assert_eq!(
                    (seen, violations),
                    (vec![Incoming::Close(None)], 1),
                    "{:x?}",
                    &broken[..2]
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_hold_more_than_a_message(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let mut frames = ClientFrames::default();
            for part in bytes.chunks(97) {
                let _ = frames.feed(part, &mut |_| {});
                prop_assert!(frames.data.len() <= MAX_MESSAGE_BYTES);
                prop_assert!(frames.control.len() <= MAX_CONTROL_BYTES);
                prop_assert!(frames.header.len() <= MAX_HEADER_BYTES);
            }
        }
    }
}
