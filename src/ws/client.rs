//! What clients send: a parser of masked frames that is fed bytes as they come and holds no more than one message.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::close_code;
use super::deflate::{Uninflatable, inflate};
use super::frame::{Kind, MAX_CONTROL_BYTES};

/// What a client may send.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The most that a message may hold, over all its fragments and inflated.
    pub max_message_bytes: usize,
    /// Whether the handshake agreed that messages may be compressed.
    pub deflate: bool,
    /// Whether messages are handed on whole, instead of being looked at for the text `ping` alone.
    pub hand_on: bool,
}

impl Terms {
    /// What viewers may send: nobody needs what they say, and few say anything.
    pub const OF_VIEWERS: Self = Self {
        max_message_bytes: 4096,
        deflate: false,
        hand_on: false,
    };

    /// The most that a message's fragments may hold. Compressed, no byte takes more than the 9 bits of the fixed code
    /// (RFC 1951, section 3.2.6), or is stored as it is; the rest is for the heads of blocks.
    fn max_payload_bytes(&self, deflated: bool) -> usize {
        match deflated {
            true => self.max_message_bytes + self.max_message_bytes / 8 + 64,
            false => self.max_message_bytes,
        }
    }
}
/// The opcode of a text message, or of its first fragment.
const TEXT_OPCODE: u8 = 1;
/// The opcode of a binary message, or of its first fragment.
const BINARY_OPCODE: u8 = 2;
/// The opcode of a Close frame.
const CLOSE_OPCODE: u8 = 8;
/// The bits of a header that extensions give a meaning (RFC 6455, section 5.2).
const RESERVED_BITS: u8 = 0x70;
/// The one that marks a compressed message on its first fragment (RFC 7692, section 6).
const DEFLATED_BIT: u8 = 0x40;
/// Two bytes, eight of length, four of mask: the longest header (RFC 6455, section 5.2).
const MAX_HEADER_BYTES: usize = 14;

/// Something whole that a client sent and that wants an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A Ping frame with its payload, or the text `ping`, whose answer has none.
    Ping(Vec<u8>),
    /// A Close frame; the code where it had one.
    Close(Option<u16>),
    /// A message, where the [`Terms`] ask for them.
    Message(Kind, Vec<u8>),
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

/// RFC 7692 names no code; this one is for data that does not fit what it claims to be (RFC 6455, section 7.4.1).
const BAD_DEFLATE: Violation = Violation {
    code: close_code::INVALID_DATA,
    reason: "invalid compressed data",
};

/// A data message whose final fragment has not come yet.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: Kind,
    deflated: bool,
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
#[derive(Debug)]
pub struct ClientFrames {
    terms: Terms,
    /// The first bytes of a header that is not whole yet; never longer than [`MAX_HEADER_BYTES`].
    header: Vec<u8>,
    frame: Option<Frame>,
    message: Option<Message>,
    /// Payload of that message so far; never longer than the terms allow.
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
    /// The reading side of a connection that has just begun.
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            header: Vec::new(),
            frame: None,
            message: None,
            data: Vec::new(),
            control: Vec::new(),
            closed: false,
            broken: false,
            to_skip: 0,
        }
    }

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
            let allowed = match first & 0x0f {
                TEXT_OPCODE | BINARY_OPCODE if self.terms.deflate => DEFLATED_BIT,
                _ => 0,
            };
            if first & RESERVED_BITS & !allowed != 0 {
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
        let message = |kind| {
            Some(Message {
                kind,
                deflated: header.rsv1,
            })
        };
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return Err(protocol("fragmented control frame")),
            OpCode::Control(_) if len > MAX_CONTROL_BYTES => return Err(protocol("control frame too big")),
            OpCode::Control(_) => {}
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return Err(protocol("continuation of nothing"));
            }
            OpCode::Data(Data::Continue) => {}
            OpCode::Data(_) if self.message.is_some() => return Err(protocol("message inside a message")),
            OpCode::Data(Data::Text) => self.message = message(Kind::Text),
            OpCode::Data(_) => self.message = message(Kind::Binary),
        }
        if let (OpCode::Data(_), Some(message)) = (header.opcode, self.message) {
            let room = self
                .terms
                .max_payload_bytes(message.deflated)
                .saturating_sub(self.data.len());
            if len > room {
                return Err(TOO_BIG);
            }
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
                if let Some(message) = self.message.take() {
                    self.finish_message(message, payload, take)?;
                }
            }
            OpCode::Data(_) => {}
        }
        Ok(())
    }

    fn finish_message(
        &self,
        Message { kind, deflated }: Message,
        mut payload: Vec<u8>,
        take: &mut impl FnMut(Incoming),
    ) -> Result<(), Violation> {
        if deflated {
            payload = inflate(&payload, self.terms.max_message_bytes).map_err(|error| match error {
                Uninflatable::TooBig => TOO_BIG,
                Uninflatable::Broken => BAD_DEFLATE,
            })?;
        }
        if kind == Kind::Text && std::str::from_utf8(&payload).is_err() {
            return Err(INVALID_UTF8);
        }
        if self.terms.hand_on {
            take(Incoming::Message(kind, payload));
        } else if kind == Kind::Text && payload == b"ping" {
            take(Incoming::Ping(Vec::new()));
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
    use crate::ws::deflate::Deflater;

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

    const MAX_MESSAGE_BYTES: usize = Terms::OF_VIEWERS.max_message_bytes;
    const DEFLATE: Terms = Terms {
        deflate: true,
        ..Terms::OF_VIEWERS
    };

    fn feed_in(terms: Terms, cuts: usize, bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let mut frames = ClientFrames::new(terms);
        let mut seen = Vec::new();
        for part in bytes.chunks(cuts) {
            frames.feed(part, &mut |incoming| seen.push(incoming))?;
        }
        Ok(seen)
    }

    fn feed_on(terms: Terms, bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        let whole = feed_in(terms, bytes.len().max(1), bytes);
        assert_eq!(feed_in(terms, 1, bytes), whole, "byte by byte it is the same");
        whole
    }

    fn feed(bytes: &[u8]) -> Result<Vec<Incoming>, Violation> {
        feed_on(Terms::OF_VIEWERS, bytes)
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
    fn compressed_messages_are_read_where_that_was_agreed_on() {
        let mut deflater = Deflater::new(15);
        let ping = [0x2a, 0xc8, 0xcc, 0x4b, 0x07, 0x00];
        let fits = deflater.deflate(&[b'x'; MAX_MESSAGE_BYTES]).unwrap().to_vec();
        let bytes = [
            frame(0xc1, &ping),
            frame(0x81, b"ping"),
            frame(0x41, &ping[..2]),
            frame(0x89, b"between"),
            frame(0x80, &ping[2..]),
            frame(0xc2, &ping),
            frame(0xc1, &fits),
        ];
        let pings = [&b""[..], b"", b"between", b""].map(|payload| Incoming::Ping(payload.to_vec()));
        assert_eq!(feed_on(DEFLATE, &bytes.concat()), Ok(pings.to_vec()));
        let hand_on = Terms {
            hand_on: true,
            ..DEFLATE
        };
        let text = Incoming::Message(Kind::Text, b"ping".to_vec());
        assert_eq!(feed_on(hand_on, &bytes[0]), Ok(vec![text]));
        let binary = Incoming::Message(Kind::Binary, b"ping".to_vec());
        assert_eq!(feed_on(hand_on, &bytes[5]), Ok(vec![binary]));
    }

    #[test]
    fn compressed_messages_are_bounded_and_checked() {
        let code = |bytes: &[u8]| feed_on(DEFLATE, bytes).unwrap_err().code;
        let mut deflater = Deflater::new(15);
        let big = deflater.deflate(&[b'x'; MAX_MESSAGE_BYTES + 1]).unwrap().to_vec();
        assert_eq!(code(&frame(0xc1, &big)), 1009);
        assert_eq!(code(&frame(0xc2, &[0; 4096 + 512 + 65])), 1009, "not inflated at all");
        let (begin, end) = big.split_at(3);
        assert_eq!(code(&[frame(0x41, begin), frame(0x80, end)].concat()), 1009);
        assert_eq!(code(&frame(0x81, &[b'x'; MAX_MESSAGE_BYTES + 1])), 1009);
        assert_eq!(code(&frame(0xc2, b"Hello")), 1007, "no compressed data");
        assert_eq!(
            code(&frame(0xc1, &[0x00, 0x01, 0x00, 0xfe, 0xff, 0xff, 0x00])),
            1007,
            "no text"
        );
        let ping = [0x2a, 0xc8, 0xcc, 0x4b, 0x07, 0x00];
        assert_eq!(code(&[frame(0x41, &ping[..2]), frame(0xc0, &ping[2..])].concat()), 1002);
        for first in [0xc8, 0xc9, 0xca, 0xa1, 0x91, 0xe1, 0xc3] {
            assert_eq!(code(&frame(first, b"")), 1002, "{first:x}");
        }
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
                let mut frames = ClientFrames::new(Terms::OF_VIEWERS);
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
        fn no_bytes_make_it_panic_or_hold_more_than_a_message(
            bytes in proptest::collection::vec(any::<u8>(), 0..9000),
            deflate: bool,
        ) {
            let terms = Terms { deflate, ..Terms::OF_VIEWERS };
            let mut frames = ClientFrames::new(terms);
            for part in bytes.chunks(97) {
                let _ = frames.feed(part, &mut |_| {});
                prop_assert!(frames.data.len() <= terms.max_payload_bytes(deflate));
                prop_assert!(frames.control.len() <= MAX_CONTROL_BYTES);
                prop_assert!(frames.header.len() <= MAX_HEADER_BYTES);
            }
        }
    }
}
