//! The parameters of a query: decoded once, each by its name, and what is told of a bad one.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::error;
use crate::position::Position;

/// The query of an address, in which the first of several parameters of a name counts and unknown ones do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters<'a>(&'a str);

/// A parameter with a value that is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadParameter {
    name: &'static str,
    problem: String,
}

impl BadParameter {
    pub(super) fn new(name: &'static str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        Self { name, problem }
    }

    /// 400 with a sentence that names it.
    pub(super) fn response(&self) -> Response<Body> {
        error(StatusCode::BAD_REQUEST, &self.to_string())
    }
}

impl fmt::Display for BadParameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, problem } = self;
        write!(f, "the parameter {name} is no good: {problem}")
    }
}

impl<'a> Parameters<'a> {
    pub(super) fn of(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    fn raw(self, name: &str) -> Option<&'a str> {
        let mut pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The value, percent-decoded and nothing else: a plus sign is one.
    pub(super) fn exact(self, name: &'static str) -> Result<Option<String>, BadParameter> {
        self.raw(name).map(|value| decode(name, value)).transpose()
    }

    /// The value as a form sends it, where a plus sign is a space.
    pub(super) fn text(self, name: &'static str) -> Result<Option<String>, BadParameter> {
        let spaced = self.raw(name).map(|value| value.replace('+', " "));
        spaced.map(|value| decode(name, &value)).transpose()
    }

    pub(super) fn number(
        self,
        name: &'static str,
        bounds: RangeInclusive<usize>,
    ) -> Result<Option<usize>, BadParameter> {
        let Some(text) = self.exact(name)? else {
            return Ok(None);
        };
        // A sign would be taken, too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
        number.map(Some).ok_or_else(|| {
            let problem = format!("it takes a number from {} to {}", bounds.start(), bounds.end());
            BadParameter::new(name, problem)
        })
    }

    pub(super) fn position(self, name: &'static str) -> Result<Option<Position>, BadParameter> {
        let Some(text) = self.exact(name)? else {
            return Ok(None);
        };
        match Position::from_str(&text) {
            Ok(position) => Ok(Some(position)),
            Err(problem) => Err(BadParameter::new(name, problem.to_string())),
        }
    }

    pub(super) fn one_of<T: Copy>(
        self,
        name: &'static str,
        values: &[(&'static str, T)],
        default: T,
    ) -> Result<T, BadParameter> {
        let Some(text) = self.exact(name)? else {
            return Ok(default);
        };
        let value = values.iter().find(|(value, _)| *value == text);
        value.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<&str> = values.iter().map(|(value, _)| *value).collect();
            BadParameter::new(name, format!("it takes {}", known.join(" or ")))
        })
    }
}

fn decode(name: &'static str, value: &str) -> Result<String, BadParameter> {
    match percent_decode_str(value).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(BadParameter::new(name, "it is not valid UTF-8 when percent-decoded")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once_and_as_forms_send_them() {
        let text = |query| Parameters::of(Some(query)).text("q");
        assert_eq!(text(""), Ok(None));
        assert_eq!(text("qq=1&Q=2"), Ok(None));
        assert_eq!(text("q"), Ok(Some(String::new())));
        assert_eq!(text("x=1&q=a&q=b"), Ok(Some("a".to_owned())));
        assert_eq!(
            text("q=a+b%2Bc%20d=%E6%97%A5%2541"),
            Ok(Some("a b+c d=日%41".to_owned()))
        );
        assert!(text("q=%ff").is_err());
        assert_eq!(
            Parameters::of(Some("q=a+b%20c")).exact("q"),
            Ok(Some("a+b c".to_owned()))
        );
    }

    #[test]
    fn a_bad_value_is_told_with_what_would_be_right() {
        fn number(query: &str) -> Result<Option<usize>, BadParameter> {
            Parameters::of(Some(query)).number("limit", 1..=10_000)
        }
        assert_eq!(number(""), Ok(None));
        assert_eq!(number("limit=10000"), Ok(Some(10_000)));
        for bad in [
            "0",
            "10001",
            "",
            "x",
            "-1",
            "+1",
            "%2B1",
            " 1",
            "١",
            "1.5",
            "99999999999999999999",
        ] {
            let bad = number(&format!("limit={bad}")).unwrap_err();
            assert_eq!(
                (bad.name, bad.problem.as_str()),
                ("limit", "it takes a number from 1 to 10000")
            );
        }
        let flag = |query| Parameters::of(Some(query)).one_of("regex", &[("true", true), ("false", false)], false);
        assert_eq!(flag("regex=true"), Ok(true));
        assert_eq!(flag("regex=1").unwrap_err().problem, "it takes true or false");
    }
}
