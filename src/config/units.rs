//! Durations and sizes as people write them: `"250ms"`, `"5s"`, `"64KiB"`.
//!
//! Parsing is left to well-kept crates; what is ours is that a value is printed in the form in which the reference
//! shows it (`75s`, not `1m 15s`), so that the output of `--check-config` can be compared with it and read back.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time, written as a number with a unit: `"250ms"`, `"5s"`, `"2m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    /// A span of whole seconds.
    pub const fn secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    /// A span of whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(span) = self;
        if span.subsec_nanos() == 0 {
            write!(f, "{}s", span.as_secs())
        } else if span.subsec_nanos() % 1_000_000 == 0 {
            write!(f, "{}ms", span.as_millis())
        } else {
            write!(f, "{}ns", span.as_nanos())
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|_| {
            de::Error::custom(format_args!(
                "`{text}` is no duration; write a number with a unit, such as \"250ms\" or \"5s\""
            ))
        })
    }
}

/// A number of bytes, written with a unit: `"64KiB"`, `"64MiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// A size of whole kibibytes (1,024 bytes).
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A size of whole mebibytes (1,048,576 bytes).
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if bytes > 0 && bytes.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", bytes >> shift);
            }
        }
        write!(f, "{bytes}B")
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<ByteSize>().map(|size| Self(size.0)).map_err(|_| {
            de::Error::custom(format_args!(
                "`{text}` is no size; write a number with a unit, such as \"64KiB\" or \"64MiB\""
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Serialize, PartialEq, Debug)]
    struct Both {
        span: Span,
        size: Size,
    }

    fn read(text: &str) -> Result<Both, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn values_are_printed_as_the_reference_shows_them() {
        let texts: Vec<String> = [
            Span::secs(75),
            Span::millis(250),
            Span::secs(120),
            Span(Duration::from_nanos(1)),
        ]
        .iter()
        .map(Span::to_string)
        .collect();
        assert_eq!(texts, ["75s", "250ms", "120s", "1ns"]);
        let texts: Vec<String> = [Size::kib(64), Size::mib(64), Size(1000), Size(0)]
            .iter()
            .map(Size::to_string)
            .collect();
        assert_eq!(texts, ["64KiB", "64MiB", "1000B", "0B"]);
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let value = Both {
            span: Span::millis(1500),
            size: Size(65_537),
        };
        let text = toml::to_string(&value).unwrap();
        assert_eq!(read(&text), Ok(value));
    }

    #[test]
    fn a_bad_value_is_named_with_what_would_be_right() {
        let error = read("span = \"soon\"\nsize = \"1KiB\"").unwrap_err();
        assert_eq!(
            error,
            "`soon` is no duration; write a number with a unit, such as \"250ms\" or \"5s\""
        );
        let error = read("span = \"1s\"\nsize = \"big\"").unwrap_err();
        assert_eq!(
            error,
            "`big` is no size; write a number with a unit, such as \"64KiB\" or \"64MiB\""
        );
    }
}
