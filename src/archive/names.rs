//! Which names beside a log are those of its rotated siblings, and how they are ordered by age.
//!
//! The shapes are those of logrotate (`name.1`, `name-20260101`, hourly `name-2026010113`, each date with `-%s` behind
//! it) and of Python's `TimedRotatingFileHandler` (`name.2026-01-01`, `name.2026-01-01_12`, down to seconds), as they
//! are or with `.gz` or `.zst` behind.

use std::cmp::Ordering;

/// More digits than this are no running number.
const MAX_NUMBER_DIGITS: usize = 6;
/// Seconds since 1970 have ten digits from 2001 to 2286.
const EPOCH_DIGITS: usize = 10;

/// How the content of a file is packed, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// By what a rotation tells its files apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Scheme {
    /// `.1` is younger than `.2`.
    Numbers,
    /// `-20260102` is younger than `-20260101`.
    DashedDates,
    /// `.2026-01-02` is younger than `.2026-01-01`.
    DottedDates,
}

/// What stands behind the log's own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Suffix {
    pub(super) scheme: Scheme,
    pub(super) packing: Packing,
    /// A number counts up with age, a date down: greater is younger in both cases.
    youth: (i64, i64),
}

impl Suffix {
    /// Reads the name of a sibling of `base`; none where it is not one.
    pub(super) fn of(name: &[u8], base: &[u8]) -> Option<Self> {
        let suffix = name.strip_prefix(base)?;
        let (suffix, packing) = match suffix {
            [rest @ .., b'.', b'g', b'z'] => (rest, Packing::Gzip),
            [rest @ .., b'.', b'z', b's', b't'] => (rest, Packing::Zstd),
            _ => (suffix, Packing::Plain),
        };
        let (mark, rest) = suffix.split_first()?;
        let rest = std::str::from_utf8(rest).ok()?;
        let (scheme, youth) = match mark {
            b'.' if rest.len() <= MAX_NUMBER_DIGITS => (Scheme::Numbers, (-number(rest)?, 0)),
            b'.' => (Scheme::DottedDates, (dotted_date(rest)?, 0)),
            b'-' => (Scheme::DashedDates, dashed_date(rest)?),
            _ => return None,
        };
        Some(Self { scheme, packing, youth })
    }

    /// Whether both are the same file, one of them packed.
    pub(super) fn is_of_same_file(self, other: Self) -> bool {
        self.scheme == other.scheme && self.youth == other.youth
    }

    /// The younger one first, and of the same file the one that is not packed, as packing may be under way.
    pub(super) fn cmp_age(self, other: Self) -> Ordering {
        let packed = |suffix: Self| suffix.packing != Packing::Plain;
        other.youth.cmp(&self.youth).then(packed(self).cmp(&packed(other)))
    }
}

fn number(digits: &str) -> Option<i64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok())?
}

/// A part of a date, of two digits within its bounds.
fn part(digits: &str, least: i64, most: i64) -> Option<i64> {
    number(digits).filter(|part| digits.len() == 2 && (least..=most).contains(part))
}

/// Day and time as one number that grows with them.
fn moment(year: &str, parts: [Option<&str>; 5]) -> Option<i64> {
    let bounds = [(1, 12), (1, 31), (0, 23), (0, 59), (0, 59)];
    let year = number(year).filter(|_| year.len() == 4)?;
    parts
        .into_iter()
        .zip(bounds)
        .try_fold(year, |sum, (digits, (least, most))| {
            let value = match digits {
                Some(digits) => part(digits, least, most)?,
                None => 0,
            };
            Some(sum * 100 + value)
        })
}

/// `20260101` or `2026010113`, with seconds since 1970 behind a dash or without.
fn dashed_date(text: &str) -> Option<(i64, i64)> {
    let (date, seconds) = match text.split_once('-') {
        Some((date, seconds)) => (date, number(seconds).filter(|_| seconds.len() == EPOCH_DIGITS)?),
        None => (text, 0),
    };
    let hour = match date.len() {
        8 => None,
        10 => Some(date.get(8..)?),
        _ => return None,
    };
    let date = moment(
        date.get(..4)?,
        [Some(date.get(4..6)?), Some(date.get(6..8)?), hour, None, None],
    )?;
    Some((date, seconds))
}

/// `2026-01-01`, `2026-01-01_12`, `2026-01-01_12-30` or `2026-01-01_12-30-59`.
fn dotted_date(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('_') {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let mut days = date.split('-');
    let (year, month, day) = (days.next()?, days.next()?, days.next()?);
    let mut times = time.into_iter().flat_map(|time| time.split('-'));
    let parts = [Some(month), Some(day), times.next(), times.next(), times.next()];
    let whole = days.next().is_none() && times.next().is_none();
    moment(year, parts).filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn suffix(name: &str) -> Option<Suffix> {
        Suffix::of(name.as_bytes(), b"a.log")
    }

    #[test]
    fn the_shapes_of_rotations_are_known_and_nothing_else() {
        for (name, scheme, packing) in [
            ("a.log.1", Scheme::Numbers, Packing::Plain),
            ("a.log.0", Scheme::Numbers, Packing::Plain),
            ("a.log.12.gz", Scheme::Numbers, Packing::Gzip),
            ("a.log-20260101", Scheme::DashedDates, Packing::Plain),
            ("a.log-2026010123.zst", Scheme::DashedDates, Packing::Zstd),
            ("a.log-20260101-1735689600.gz", Scheme::DashedDates, Packing::Gzip),
            ("a.log.2026-01-01", Scheme::DottedDates, Packing::Plain),
            ("a.log.2026-01-01_12.zst", Scheme::DottedDates, Packing::Zstd),
            ("a.log.2026-01-01_12-30-59", Scheme::DottedDates, Packing::Plain),
        ] {
            let found = suffix(name).map(|suffix| (suffix.scheme, suffix.packing));
            assert_eq!(found, Some((scheme, packing)), "{name}");
        }
        for name in [
            "a.log",
            "a.log.",
            "a.log.gz",
            "a.log.1.bz2",
            "a.log.-1",
            "a.log.+1",
            "a.log.1x",
            "a.log.1234567",
            "a.log.1.1",
            "b.log.1",
            "xa.log.1",
            "a.log1",
            "a.log-2026",
            "a.log-20261301",
            "a.log-20260132",
            "a.log-20260101-",
            "a.log-20260101-1",
            "a.log-2026010124",
            "a.log.2026-1-1",
            "a.log.2026-01",
            "a.log.2026-01-01-01",
            "a.log.2026-01-01_",
            "a.log.2026-01-01_24",
            "a.log.2026-01-01_12-30-59-1",
            "a.log.secret",
            "a.log.bak",
            "a.log.1.gz.gz",
            "a.log-２０２６0101",
        ] {
            assert_eq!(suffix(name), None, "{name}");
        }
    }

    #[test]
    fn the_younger_file_comes_first() {
        for names in [
            ["a.log.1", "a.log.2.gz", "a.log.10"].as_slice(),
            &["a.log.3", "a.log.3.gz"],
            &[
                "a.log-20260102",
                "a.log-20260101-1735689601",
                "a.log-20260101-1735689600",
                "a.log-20251231",
            ],
            &["a.log-2026010123", "a.log-2026010101"],
            &["a.log.2026-01-01_12", "a.log.2026-01-01_02", "a.log.2025-12-31"],
        ] {
            let suffixes: Vec<Suffix> = names.iter().filter_map(|name| suffix(name)).collect();
            assert_eq!(suffixes.len(), names.len());
            assert!(
                suffixes.is_sorted_by(|a, b| a.cmp_age(*b) == Ordering::Less),
                "{names:?}"
            );
        }
        let same = |a, b| suffix(a).unwrap().is_of_same_file(suffix(b).unwrap());
        assert!(same("a.log.1", "a.log.1.zst"));
        assert!(!same("a.log.1", "a.log.2.gz"));
    }

    proptest! {
        #[test]
        fn no_name_is_too_strange(name in proptest::collection::vec(any::<u8>(), 0..40), tail in "[-._0-9gzst]{0,30}") {
            Suffix::of(&name, b"a");
            Suffix::of(format!("a{tail}").as_bytes(), b"a");
        }
    }
}
