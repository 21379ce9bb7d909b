//! Lines to valid UTF-8, and which encoding a file is in.
//!
//! Pure functions of bytes. Every line is decoded by itself, together with its `\n`, so that a malformed character
//! at its end can't swallow the line end and history read backwards equals the live stream.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::split::{Line, Unit};

/// Bytes looked at from each end of a file to tell its encoding.
pub const SAMPLE_BYTES: usize = 64 << 10;
/// Fewer bytes beyond ASCII than this tell nothing: the encoding stays open.
const ENOUGH_NON_ASCII: usize = 16;
/// Fewer bytes than this tell nothing about UTF-16 without a byte order mark.
pub const ENOUGH_FOR_UTF16: usize = 64;
/// UTF-16 of mostly ASCII text has NULs on one parity; this share of the units, in percent, makes it so.
const UTF16_NUL_PERCENT: usize = 30;
/// On the other parity there are few: not none, since characters such as U+5F00 (开) have a NUL there.
const UTF16_OTHER_DIVISOR: usize = 10;
/// A UTF-8 file may have stray bytes: so many valid multi-byte sequences for each invalid one make it UTF-8. In GBK text
/// about one in six looks valid, in other legacy encodings fewer; a small sample of UTF-8 with one stray byte has more.
const UTF8_VALID_FOR_INVALID: usize = 4;
/// U+FEFF in GB18030.
const GB18030_BOM: [u8; 4] = [0x84, 0x31, 0x95, 0x33];
/// So many multi-byte sequences, all of them valid, make a line UTF-8 whatever the rest of the file was taken for.
const UTF8_LINE_SEQUENCES: usize = 3;

/// How the lines of one file become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoder {
    encoding: &'static Encoding,
    /// Whether a line that is clearly UTF-8 is taken as such in a file of another encoding.
    detected: bool,
}

impl Decoder {
    /// Decodes by a configured label of the WHATWG standard; none where it is not known.
    pub fn for_label(label: &str) -> Option<Self> {
        Some(Self {
            encoding: Encoding::for_label(label.as_bytes())?,
            detected: false,
        })
    }

    /// Decodes by the name of an encoding that was detected; none where it is not known.
    pub fn for_detected(name: &str) -> Option<Self> {
        Some(Self {
            encoding: Encoding::for_label(name.as_bytes())?,
            detected: true,
        })
    }

    /// Decodes UTF-8.
    pub const UTF_8: Self = Self {
        encoding: UTF_8,
        detected: true,
    };

    /// Tells the encoding from samples of a file; none where they don't show it yet.
    ///
    /// `at_start` says that the first sample is the beginning of the file, where a byte order mark may stand; the
    /// others may begin and end inside a character.
    pub fn detect(samples: &[&[u8]], at_start: bool) -> Option<Self> {
        let detected = |encoding| {
            Some(Self {
                encoding,
                detected: true,
            })
        };
        if at_start && let Some((encoding, _)) = samples.first().and_then(|sample| Encoding::for_bom(sample)) {
            return detected(encoding);
        }
        if let Some(encoding) = detect_utf16(samples) {
            return detected(encoding);
        }
        let non_ascii: usize = samples
            .iter()
            .map(|sample| sample.iter().filter(|b| !b.is_ascii()).count())
            .sum();
        if non_ascii < ENOUGH_NON_ASCII {
            return None;
        }
        let (valid, invalid) = samples
            .iter()
            .map(|sample| count_utf8(sample))
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        if valid >= invalid * UTF8_VALID_FOR_INVALID {
            return detected(UTF_8);
        }
        let mut detector = EncodingDetector::new(Iso2022JpDetection::Allow);
        for sample in samples {
            detector.feed(sample, false);
        }
        detector.feed(b"", true);
        detected(detector.guess(None, Utf8Detection::Deny))
    }

    /// Name of the encoding in the WHATWG standard.
    pub fn name(self) -> &'static str {
        self.encoding.name()
    }

    /// Whether it is UTF-8.
    pub fn is_utf8(self) -> bool {
        self.encoding == UTF_8
    }

    /// Whether bytes are all ASCII and mean that in this encoding, so that they are shown as they stand.
    pub fn shows_ascii(self, bytes: &[u8]) -> bool {
        // An escape byte may begin a sequence of ISO-2022-JP, where ASCII bytes are not what they seem.
        self.encoding.is_ascii_compatible() && bytes.is_ascii() && !bytes.contains(&0x1b)
    }

    /// In what line ends of this encoding are looked for.
    pub fn unit(self) -> Unit {
        if self.encoding == UTF_16LE {
            Unit::Little
        } else if self.encoding == UTF_16BE {
            Unit::Big
        } else {
            Unit::Byte
        }
    }

    /// Length of the byte order mark at the beginning of a file, which is no text.
    pub fn bom_len(self, start: &[u8]) -> usize {
        if self.encoding == GB18030 && start.starts_with(&GB18030_BOM) {
            return GB18030_BOM.len();
        }
        match Encoding::for_bom(start) {
            // UTF-8's mark is none of the text in whatever encoding the rest is said to be.
            Some((encoding, len)) if encoding == self.encoding || encoding == UTF_8 && self.unit() == Unit::Byte => len,
            _ => 0,
        }
    }

    /// Whether the first bytes of a file, in a configured encoding or none, may be the beginning of a byte order mark that
    /// has not come whole.
    pub fn is_cut_bom(configured: Option<Self>, start: &[u8]) -> bool {
        let may_stand = |encoding| match configured {
            Some(decoder) => decoder.encoding == encoding || encoding == UTF_8 && decoder.unit() == Unit::Byte,
            None => encoding != GB18030,
        };
        let marks: [(_, &[u8]); 4] = [
            (UTF_8, &[0xEF, 0xBB, 0xBF]),
            (UTF_16LE, &[0xFF, 0xFE]),
            (UTF_16BE, &[0xFE, 0xFF]),
            (GB18030, &GB18030_BOM),
        ];
        marks
            .iter()
            .any(|&(encoding, mark)| start.len() < mark.len() && mark.starts_with(start) && may_stand(encoding))
    }

    /// Decodes one line, replacing what can't be decoded by U+FFFD. A line that was held only in part is cut on a
    /// character boundary and says how many bytes of the file were left out.
    pub fn decode<'a>(self, line: Line<'a>) -> Cow<'a, str> {
        if line.len == line.bytes.len() as u64 {
            return self.decode_bytes(line.bytes);
        }
        let kept = self.whole_characters(line.bytes);
        let text = self.decode_bytes(line.bytes.get(..kept).unwrap_or_default());
        Cow::Owned(format!("{text} … [+{} bytes]", line.len - kept as u64))
    }

    fn decode_bytes(self, bytes: &[u8]) -> Cow<'_, str> {
        if self.encoding == UTF_8 {
            return String::from_utf8_lossy(bytes);
        }
        if self.shows_ascii(bytes) {
            return String::from_utf8_lossy(bytes);
        }
        if self.detected && self.unit() == Unit::Byte && is_clearly_utf8(bytes) {
            return String::from_utf8_lossy(bytes);
        }
        let line_end: &[u8] = match self.unit() {
            Unit::Byte => b"\n",
            Unit::Little => b"\n\0",
            Unit::Big => b"\0\n",
        };
        let bytes = [bytes, line_end].concat();
        let (text, _) = self.encoding.decode_without_bom_handling(&bytes);
        Cow::Owned(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Length of the longest beginning that ends on a character.
    pub fn whole_characters(self, bytes: &[u8]) -> usize {
        let unfinished = self.decode_unfinished(bytes);
        // No character of any encoding takes more than four bytes, so at most three of them can be its beginning.
        (0..=3)
            .filter_map(|back| bytes.len().checked_sub(back))
            .find(|&len| {
                bytes.get(..len).is_some_and(|start| {
                    let (text, _) = self.encoding.decode_without_bom_handling(start);
                    text == unfinished
                })
            })
            .unwrap_or(bytes.len())
    }

    /// Decodes a beginning, without what may be the first bytes of a character that goes on.
    fn decode_unfinished(self, bytes: &[u8]) -> String {
        let mut decoder = self.encoding.new_decoder_without_bom_handling();
        let mut text = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or(0));
        let (..) = decoder.decode_to_string(bytes, &mut text, false);
        text
    }
}

/// Finds UTF-16 by its NULs: many on one parity, few on the other.
fn detect_utf16(samples: &[&[u8]]) -> Option<&'static Encoding> {
    let len: usize = samples.iter().map(|sample| sample.len()).sum();
    if len < ENOUGH_FOR_UTF16 {
        return None;
    }
    let nuls = |parity: usize| -> usize {
        samples
            .iter()
            .map(|sample| sample.iter().skip(parity).step_by(2).filter(|&&b| b == 0).count())
            .sum()
    };
    let units = len / 2;
    let (even, odd) = (nuls(0), nuls(1));
    let much = |nuls: usize| nuls * 100 >= units * UTF16_NUL_PERCENT;
    if much(odd) && even <= odd / UTF16_OTHER_DIVISOR {
        Some(UTF_16LE)
    } else if much(even) && odd <= even / UTF16_OTHER_DIVISOR {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// Counts valid and invalid multi-byte sequences, leaving out what the ends of the sample may have cut.
fn count_utf8(sample: &[u8]) -> (usize, usize) {
    let start = sample.iter().take(3).take_while(|&&b| b & 0xC0 == 0x80).count();
    let mut rest = sample.get(start..).unwrap_or_default();
    let (mut valid, mut invalid) = (0, 0);
    loop {
        let (good, bad) = match std::str::from_utf8(rest) {
            Ok(text) => (text, None),
            Err(error) => {
                let (good, _) = rest.split_at(error.valid_up_to());
                (std::str::from_utf8(good).unwrap_or_default(), error.error_len())
            }
        };
        valid += good.chars().filter(|c| !c.is_ascii()).count();
        match bad {
            Some(len) => {
                invalid += 1;
                rest = rest.get(good.len() + len..).unwrap_or_default();
            }
            None => return (valid, invalid),
        }
    }
}

fn is_clearly_utf8(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        text.chars()
            .filter(|c| !c.is_ascii())
            .nth(UTF8_LINE_SEQUENCES - 1)
            .is_some()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(bytes: &[u8]) -> Line<'_> {
        Line {
            bytes,
            len: bytes.len() as u64,
        }
    }

    fn detect(sample: &[u8]) -> Option<&'static str> {
        Decoder::detect(&[sample], true).map(Decoder::name)
    }

    const CHINESE: &str = "2026-01-01 12:00:00 [信息] 开始下载 第一段视频, 正在录制直播间 1024\n";

    fn gb18030(text: &str) -> Vec<u8> {
        encoding_rs::GB18030.encode(text).0.into_owned()
    }

    fn utf16(text: &str, encode: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(encode).collect()
    }

    #[test]
    fn stray_bytes_become_replacement_characters() {
        let decode = |bytes| Decoder::UTF_8.decode(line(bytes)).into_owned();
        assert_eq!(decode("日志".as_bytes()), "日志");
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decode(b"\xe6\x97"), "\u{fffd}");
        assert_eq!(
            decode(b"\x1b[31m\0"),
            "\u{1b}[31m\0",
            "control characters are passed on"
        );
    }

    #[test]
    fn configured_labels_decode_and_keep_their_lines_apart() {
        let gbk = Decoder::for_label("gb18030").unwrap();
        assert_eq!(gbk.decode(line(&gb18030("下载 𠀀 完成"))), "下载 𠀀 完成");
        // A lead byte at the end of a line takes nothing of the next one.
        assert_eq!(gbk.decode(line(b"ok \x81")), "ok \u{fffd}");
        assert_eq!(gbk.decode(line(b"ok \x81\x30")), "ok \u{fffd}0");
        assert_eq!(Decoder::for_label("latin1").unwrap().decode(line(b"caf\xe9")), "café");
        assert_eq!(
            Decoder::for_label("iso-2022-jp")
                .unwrap()
                .decode(line(b"\x1b$B$\"\x1b(B.")),
            "あ."
        );
        assert_eq!(
            Decoder::for_label("utf-16be")
                .unwrap()
                .decode(line(&utf16("a日", u16::to_be_bytes))),
            "a日"
        );
        assert_eq!(Decoder::for_label("klingon"), None);
    }

    #[test]
    fn detection_tells_the_usual_encodings_apart() {
        assert_eq!(detect(b"plain ascii tells nothing"), None);
        assert_eq!(detect("日志".as_bytes()), None, "six bytes tell nothing yet");
        assert_eq!(detect(CHINESE.as_bytes()), Some("UTF-8"));
        let mut stray = CHINESE.repeat(20).into_bytes();
        stray.insert(40, 0xff);
        assert_eq!(detect(&stray), Some("UTF-8"), "a stray byte changes nothing");
        assert_eq!(
            detect(
                "日志a\n"
                    .as_bytes()
                    .iter()
                    .chain(b"stray \xff\n")
                    .chain("日志b下\n开始\n".as_bytes())
                    .copied()
                    .collect::<Vec<_>>()
                    .as_slice()
            ),
            Some("UTF-8")
        );
        for text in [
            "开始下载 完成",
            "录制直播间，上传成功！",
            "错误：文件不存在",
            "处理器占用过高",
        ] {
            assert_ne!(detect(&gb18030(&text.repeat(3))), Some("UTF-8"), "{text}");
        }
        assert!(matches!(detect(&gb18030(&CHINESE.repeat(5))), Some("GBK" | "gb18030")));
        assert_eq!(detect(&utf16(CHINESE, u16::to_le_bytes)), Some("UTF-16LE"));
        assert_eq!(detect(&utf16(CHINESE, u16::to_be_bytes)), Some("UTF-16BE"));
        assert_eq!(detect(b"\xff\xfea\0"), Some("UTF-16LE"), "a byte order mark");
        assert_eq!(detect(b"\xef\xbb\xbfa"), Some("UTF-8"));
        let (_, cut) = CHINESE.as_bytes().split_at(22);
        assert_eq!(
            detect(cut.strip_suffix(b"\n").unwrap()),
            Some("UTF-8"),
            "a sample cut inside characters"
        );
    }

    #[test]
    fn a_line_that_is_clearly_utf8_stays_so_in_a_detected_legacy_file() {
        let detected = Decoder::detect(&[&gb18030(&CHINESE.repeat(5))], true).unwrap();
        assert_eq!(detected.decode(line("日志文件".as_bytes())), "日志文件");
        let configured = Decoder::for_label("gbk").unwrap();
        assert_ne!(
            configured.decode(line("日志文件".as_bytes())),
            "日志文件",
            "a label is obeyed"
        );
    }

    #[test]
    fn a_cut_line_ends_on_a_character_and_counts_the_rest() {
        let text = "日".repeat(6);
        let held = Line {
            bytes: &text.as_bytes()[..16],
            len: 100,
        };
        assert_eq!(Decoder::UTF_8.decode(held), "日日日日日 … [+85 bytes]");
        let bytes = gb18030("日日日");
        let held = Line {
            bytes: &bytes[..5],
            len: 6,
        };
        assert_eq!(Decoder::for_label("gbk").unwrap().decode(held), "日日 … [+2 bytes]");
    }

    #[test]
    fn the_beginning_of_a_character_is_no_whole_one() {
        let text = "a日𠀀";
        let ends = [0, 1, 1, 1, 4, 4, 4, 4, 8];
        for (len, end) in ends.into_iter().enumerate() {
            assert_eq!(Decoder::UTF_8.whole_characters(&text.as_bytes()[..len]), end, "{len}");
        }
        assert_eq!(
            Decoder::UTF_8.whole_characters(b"a\xff"),
            2,
            "a stray byte is no beginning"
        );
        let bytes = gb18030("𠀀");
        assert_eq!(bytes.len(), 4);
        let gb = Decoder::for_label("gb18030").unwrap();
        assert_eq!(
            (0..=4)
                .map(|len| gb.whole_characters(&bytes[..len]))
                .collect::<Vec<_>>(),
            [0, 0, 0, 0, 4]
        );
        assert_eq!(Decoder::for_label("utf-16le").unwrap().whole_characters(b"a\0b"), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_line_of_valid_utf8(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for label in ["utf-8", "gb18030", "shift_jis", "big5", "euc-kr", "windows-1252", "utf-16le", "iso-2022-jp"] {
                let decoder = Decoder::for_label(label).unwrap();
                let kept = decoder.whole_characters(&bytes);
                prop_assert!(bytes.len() - kept <= 3);
                let text = decoder.decode(Line { bytes: &bytes, len: bytes.len() as u64 + 7 });
                prop_assert!(text.ends_with("bytes]"));
            }
        }
    }
}
