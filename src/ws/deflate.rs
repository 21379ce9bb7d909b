//! permessage-deflate (RFC 7692): messages compressed each for itself.
//!
//! The server never compresses with what it sent before (`server_no_context_takeover`), so one compressed message serves
//! every viewer who agreed to the extension. Clients are asked for the same, so that nothing is kept of them between two
//! messages.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::{self, Kind};

/// The name of the extension.
const NAME: &str = "permessage-deflate";
/// The largest window, 32 KiB, which is what compressed frames are made with unless a handshake says otherwise.
pub const MAX_WINDOW_BITS: u8 = 15;
/// The smallest window that the RFC knows.
const MIN_WINDOW_BITS: u8 = 8;

/// Of zlib-rs's levels the one at which a message of 64 KiB comes within 6 % of the size of level 6 in a third of its
/// time, some half a millisecond; short ones come out the same.
const LEVEL: u32 = 4;
/// A message below this is sent as it is: of 120 bytes of a log there remain nine tenths, of 256 less than three
/// quarters, and each costs some 10 µs.
const MIN_MESSAGE_BYTES: usize = 256;
/// How much is compressed in one go at most, some 10 ms of work: a viewer's task does it, and others wait for its thread.
const MAX_RUN_BYTES: usize = 1 << 20;

/// What ends each compressed message and is left out (section 7.2.1): an empty stored block without its first byte.
const FLUSH: [u8; 4] = [0, 0, 0xff, 0xff];
/// The same, and an empty stored block that is the last one. With it a stream ends exactly here, or it was cut or broken.
const FLUSH_AND_END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];
/// Room that is made for an inflated message at first.
const FIRST_ROOM_BYTES: usize = 512;

/// What a handshake agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    /// The window of the server's messages, where the client bounds it.
    server_window_bits: Option<u8>,
}

impl Agreement {
    /// The first of a client's offers that can be honoured with windows of `least_window_bits` or more (section 5).
    ///
    /// An offer is declined that has an unknown or repeated parameter or a value that is none, that asks for a smaller
    /// window, or that is malformed: without the extension the connection works as well.
    pub fn of(headers: &HeaderMap, least_window_bits: u8) -> Option<Self> {
        headers
            .get_all(header::SEC_WEBSOCKET_EXTENSIONS)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| split(value, ','))
            .filter_map(Self::of_offer)
            .find(|agreement| agreement.window_bits() >= least_window_bits)
    }

    fn of_offer(offer: &str) -> Option<Self> {
        let mut parts = split(offer, ';').map(str::trim);
        if parts.next() != Some(NAME) {
            return None;
        }
        let mut seen = Vec::new();
        let mut server_window_bits = None;
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(unquote(value.trim_start())?)),
                None => (part, None),
            };
            match (name, value) {
                ("server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits", None) => {}
                ("client_max_window_bits", Some(value)) => {
                    window_bits(&value)?;
                }
                ("server_max_window_bits", Some(value)) => server_window_bits = Some(window_bits(&value)?),
                _ => return None,
            }
            if seen.contains(&name) {
                return None;
            }
            seen.push(name);
        }
        Some(Self { server_window_bits })
    }

    /// The window of the server's messages, as a power of two.
    pub fn window_bits(&self) -> u8 {
        self.server_window_bits.unwrap_or(MAX_WINDOW_BITS)
    }

    /// The value of `Sec-WebSocket-Extensions` in the answer.
    ///
    /// A server may ask for `client_no_context_takeover` whatever the client offers (section 7.1.1.2).
    pub fn answer(&self) -> HeaderValue {
        const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
        self.server_window_bits
            .and_then(|bits| HeaderValue::try_from(format!("{ANSWER}; server_max_window_bits={bits}")).ok())
            .unwrap_or(HeaderValue::from_static(ANSWER))
    }
}

/// Splits a header's value where `separator` stands outside of quotes.
fn split(value: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |c| {
        let separates = c == separator && !quoted;
        if escaped {
            escaped = false;
        } else if c == '"' {
            quoted = !quoted;
        } else {
            escaped = quoted && c == '\\';
        }
        separates
    })
}

/// The value of a parameter, which may be a quoted string (RFC 6455, section 9.1).
fn unquote(value: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = value.strip_prefix('"') else {
        return Some(value.into());
    };
    let mut text = String::new();
    let mut chars = rest.strip_suffix('"')?.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
    Some(text.into())
}

/// A window as the RFC writes it: 8 to 15, without leading zeros (section 7.1.2).
fn window_bits(value: &str) -> Option<u8> {
    let bits = value.parse().ok()?;
    ((MIN_WINDOW_BITS..=MAX_WINDOW_BITS).contains(&bits) && !value.starts_with(['0', '+'])).then_some(bits)
}

/// Compresses messages, each for itself.
#[derive(Debug)]
pub struct Deflater {
    compress: Compress,
    out: Vec<u8>,
}

impl Deflater {
    /// A compressor whose messages refer back no further than 2 to the power of `window_bits` bytes, 9 to 15.
    pub fn new(window_bits: u8) -> Self {
        Self {
            compress: Compress::new_with_window_bits(Compression::new(LEVEL), false, window_bits),
            out: Vec::new(),
        }
    }

    /// The payload of a compressed message, which may be longer than the message; none where the compressor fails.
    pub fn deflate(&mut self, message: &[u8]) -> Option<&[u8]> {
        self.compress.reset();
        self.out.clear();
        // What zlib needs at most with any window (`deflateBound`), and some more.
        self.out
            .reserve(message.len() + message.len() / 8 + message.len() / 64 + 64);
        let status = self.compress.compress_vec(message, &mut self.out, FlushCompress::Sync);
        // Where no room is left, there may be more to come.
        let whole = matches!(status, Ok(Status::Ok)) && self.out.len() < self.out.capacity();
        self.out.strip_suffix(&FLUSH).filter(|_| whole)
    }
}

/// A run of text frames with those compressed that get smaller by it; where none does, it is the same run.
pub fn deflated(frames: &Bytes) -> Bytes {
    let mut out = Vec::new();
    let mut deflater = None;
    let (mut start, mut copied, mut run) = (0, 0, 0);
    for (end, message) in frame::ends(frames).zip(frame::payloads(frames)) {
        if message.len() >= MIN_MESSAGE_BYTES && run + message.len() <= MAX_RUN_BYTES {
            run += message.len();
            let deflater = deflater.get_or_insert_with(|| Deflater::new(MAX_WINDOW_BITS));
            if let Some(payload) = deflater.deflate(message).filter(|it| it.len() < message.len()) {
                out.extend_from_slice(frames.get(copied..start).unwrap_or_default());
                frame::push_message(&mut out, Kind::Text, true, payload);
                copied = end;
            }
        }
        start = end;
    }
    if copied == 0 {
        return frames.clone();
    }
    out.extend_from_slice(frames.get(copied..).unwrap_or_default());
    out.shrink_to_fit();
    out.into()
}

/// Why a message can't be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uninflatable {
    /// It holds more than it may.
    TooBig,
    /// It is no compressed data, or not all of it.
    Broken,
}

/// Inflates the payload of a compressed message that holds at most `limit` bytes.
///
/// # Errors
///
/// [`Uninflatable`], before more than `limit` bytes and one were made.
pub fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, Uninflatable> {
    if payload.is_empty() {
        // Not what the RFC asks for (section 7.2.3.6), but what comes of a compressor that had nothing to do.
        return Ok(Vec::new());
    }
    let mut inflater = Decompress::new(false);
    let mut out = Vec::new();
    let mut ended = false;
    for mut input in [payload, &FLUSH_AND_END] {
        while !input.is_empty() {
            if ended {
                // A client may end its message with a last block (section 7.2.3.4); what follows begins anew.
                inflater.reset(false);
            }
            if out.len() == out.capacity() {
                let room = out.len().max(FIRST_ROOM_BYTES);
                out.reserve_exact(room.min(limit + 1 - out.len()));
            }
            let (taken, made) = (inflater.total_in(), out.len());
            let status = inflater
                .decompress_vec(input, &mut out, FlushDecompress::None)
                .map_err(|_| Uninflatable::Broken)?;
            if out.len() > limit {
                return Err(Uninflatable::TooBig);
            }
            let taken = usize::try_from(inflater.total_in() - taken).unwrap_or(usize::MAX);
            ended = status == Status::StreamEnd;
            if taken == 0 && out.len() == made && !ended {
                return Err(Uninflatable::Broken);
            }
            input = input.get(taken..).unwrap_or_default();
        }
    }
    match ended {
        true => Ok(out),
        false => Err(Uninflatable::Broken),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agreed(offers: &[&'static str], least_window_bits: u8) -> Option<String> {
        let mut headers = HeaderMap::new();
        for offer in offers {
            headers.append(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
        }
        let agreement = Agreement::of(&headers, least_window_bits)?;
        Some(agreement.answer().to_str().unwrap().to_owned())
    }

    const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    #[test]
    fn an_offer_that_shared_frames_can_honour_is_accepted() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; client_max_window_bits=10",
            " permessage-deflate ;server_no_context_takeover ; client_no_context_takeover;client_max_window_bits = 8 ",
            "permessage-deflate; client_max_window_bits=\"1\\0\"",
            "x-webkit-deflate-frame, permessage-deflate",
            "permessage-bzip2; a=\"quoted, with \\\" and ; in it\", permessage-deflate",
        ] {
            assert_eq!(agreed(&[offer], 15).as_deref(), Some(ANSWER), "{offer}");
        }
        assert_eq!(
            agreed(&["permessage-deflate; server_max_window_bits=15"], 15),
            Some(format!("{ANSWER}; server_max_window_bits=15"))
        );
        assert_eq!(
            agreed(&["a, b; c=d", "permessage-deflate"], 15).as_deref(),
            Some(ANSWER)
        );
    }

    #[test]
    fn an_offer_that_is_declined_gives_way_to_the_next() {
        for offer in [
            "",
            ";",
            "permessage-deflate;",
            "permessage-deflates",
            "permessage-deflate; unknown",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=14",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=08",
            "permessage-deflate; client_max_window_bits=+8",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; client_max_window_bits=\"9",
            "permessage-deflate; client_max_window_bits=\"9\\\"",
        ] {
            assert_eq!(agreed(&[offer], 15), None, "{offer}");
            let second = [offer, "permessage-deflate"];
            let unended = offer.ends_with("\"9") || offer.ends_with("\\\"");
            assert_eq!(agreed(&second, 15).as_deref(), Some(ANSWER), "{offer} in two headers");
            if !unended {
                let both: &'static str = second.join(",").leak();
                assert_eq!(agreed(&[both], 15).as_deref(), Some(ANSWER), "{both}");
            }
        }
        let windows = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9";
        assert_eq!(agreed(&[windows], 15), None);
        assert_eq!(
            agreed(&[windows], 9),
            Some(format!("{ANSWER}; server_max_window_bits=9"))
        );
    }

    #[test]
    fn the_rfcs_examples_inflate() {
        // RFC 7692, section 7.2.3: one block, stored, with a last block, in two blocks.
        for payload in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(inflate(payload, 5).as_deref(), Ok(&b"Hello"[..]), "{payload:x?}");
            assert_eq!(inflate(payload, 4), Err(Uninflatable::TooBig), "{payload:x?}");
        }
        // An empty message, section 7.2.3.6.
        assert_eq!(inflate(&[0x00], 0), Ok(vec![]));
        assert_eq!(inflate(&[], 0), Ok(vec![]));
    }

    #[test]
    fn what_is_cut_or_no_deflate_data_is_broken() {
        let whole = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        for len in 1..whole.len() - 1 {
            assert_eq!(inflate(&whole[..len], 99), Err(Uninflatable::Broken), "{len}");
        }
        for broken in [
            &b"Hello"[..],
            &[0x06],
            &[0xff; 9],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xff],
        ] {
            assert_eq!(inflate(broken, 99), Err(Uninflatable::Broken), "{broken:x?}");
        }
    }

    #[test]
    fn a_bomb_is_given_up_at_the_limit() {
        let bomb = vec![0; 2 << 20];
        let mut deflater = Deflater::new(15);
        let payload = deflater.deflate(&bomb).unwrap();
        assert!(payload.len() < 4096);
        assert_eq!(inflate(payload, 4096), Err(Uninflatable::TooBig));
        assert_eq!(inflate(payload, bomb.len() - 1), Err(Uninflatable::TooBig));
        assert_eq!(inflate(payload, bomb.len()).map(|out| out.len()), Ok(bomb.len()));
    }

    /// A log's lines: words that come again, numbers, and now and then noise that does not compress.
    fn lines() -> impl Strategy<Value = Vec<String>> {
        let word = prop_oneof!["[a-f]{1,9} ", "[0-9]{1,6} ", "日志|录制|错误: ", "\\PC{1,3}"];
        let line = proptest::collection::vec(word, 0..90).prop_map(|words| words.concat());
        proptest::collection::vec(line, 0..6)
    }

    /// Bytes that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut noise = 1_u64;
        let next = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            noise.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    fn run(lines: &[String]) -> Bytes {
        let mut frames = Vec::new();
        for line in lines {
            frame::push_text(&mut frames, line);
        }
        frames.into()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn deflated_frames_hold_the_same_lines_and_no_more_bytes(lines in lines()) {
            let frames = run(&lines);
            let deflated = deflated(&frames);
            prop_assert!(deflated.len() <= frames.len());
            prop_assert_eq!(frame::ends(&deflated).last().unwrap_or(0), deflated.len());
            let mut start = 0;
            let mut inflated = Vec::new();
            for (end, payload) in frame::ends(&deflated).zip(frame::payloads(&deflated)) {
                inflated.push(match deflated[start] {
                    0x81 => payload.to_vec(),
                    0xc1 => inflate(payload, 1 << 20).unwrap(),
                    first => panic!("a frame begins with {first:x}"),
                });
                start = end;
            }
            let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
            prop_assert_eq!(inflated, lines);
        }

        #[test]
        fn what_no_bits_of_window_reach_is_not_referred_to(line in "[ab]{2000}", bits in 9..=15_u8) {
            let mut deflater = Deflater::new(bits);
            let payload = deflater.deflate(line.as_bytes()).unwrap().to_vec();
            let mut inflater = Decompress::new_with_window_bits(false, bits);
            let mut out = Vec::with_capacity(4000);
            inflater.decompress_vec(&payload, &mut out, FlushDecompress::None).unwrap();
            prop_assert_eq!(out, line.into_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic_or_inflate_beyond_the_limit(
            bytes in proptest::collection::vec(any::<u8>(), 0..600),
            limit in 0..2000_usize,
        ) {
            if let Ok(out) = inflate(&bytes, limit) {
                prop_assert!(out.len() <= limit);
            }
        }
    }

    #[test]
    fn short_and_random_messages_share_the_plain_bytes() {
        let short = run(&vec!["x".repeat(MIN_MESSAGE_BYTES - 1); 9]);
        assert_eq!(deflated(&short).as_ptr(), short.as_ptr());
        let long = run(&["x".repeat(MIN_MESSAGE_BYTES)]);
        assert!(deflated(&long).len() < 30);
        let mut frames = Vec::new();
        frame::push_message(&mut frames, Kind::Binary, false, &noise(1000));
        let random = Bytes::from(frames);
        assert_eq!(deflated(&random).as_ptr(), random.as_ptr());
    }

    #[test]
    fn any_message_can_be_compressed() {
        for bits in 9..=MAX_WINDOW_BITS {
            let mut deflater = Deflater::new(bits);
            for len in [0, 1, 255, 70_000] {
                let message = noise(len);
                let payload = deflater.deflate(&message).unwrap();
                assert_eq!(inflate(payload, len), Ok(message), "{len} bytes with {bits} bits");
            }
        }
    }

    #[test]
    fn no_more_is_compressed_in_one_go_than_a_thread_may_be_held_up_by() {
        let line = "x".repeat(MAX_RUN_BYTES / 2);
        let frames = run(&[line.clone(), line.clone(), line.clone()]);
        let firsts: Vec<u8> = {
            let deflated = deflated(&frames);
            let starts = std::iter::once(0).chain(frame::ends(&deflated));
            starts.filter_map(|at| deflated.get(at).copied()).collect()
        };
        assert_eq!(firsts, [0xc1, 0xc1, 0x81]);
    }
}
