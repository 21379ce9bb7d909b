//! What a request for a stream asks for: which file, and from where on.

use axum::http::HeaderMap;

use super::parameters::{BadParameter, Parameters};
use crate::hub::Start;

/// The most history lines that can be asked for.
const MAX_LINES: usize = 10_000;

/// The header by which a browser's `EventSource` says what it has got.
const LAST_EVENT_ID: &str = "last-event-id";

/// What the query of a stream says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The file; none where it is missing or empty.
    pub(super) file: Option<String>,
    /// Where the stream is to begin.
    pub(super) start: Start,
}

impl Wanted {
    /// Reads what the parameters say.
    ///
    /// # Errors
    ///
    /// The parameter that is no good, also where another one wins over it.
    pub(super) fn of(parameters: Parameters<'_>) -> Result<Self, BadParameter> {
        let file = parameters.exact("file")?.filter(|file| !file.is_empty());
        let since = parameters.position("since")?;
        let lines = parameters.number("lines", 0..=MAX_LINES)?;
        let start = match (since, lines) {
            (Some(since), _) => Start::Since(since),
            (None, Some(lines)) => Start::LastLines(lines),
            (None, None) => Start::History,
        };
        Ok(Self { file, start })
    }

    /// Lets a browser that connects again go on where it was: its header wins over the query. One that is no position is
    /// no error, as a browser would give up on that.
    pub(super) fn resumed_by(self, headers: &HeaderMap) -> Self {
        let Some(id) = headers.get(LAST_EVENT_ID) else {
            return self;
        };
        let position = id.to_str().ok().and_then(|id| id.parse().ok());
        Self {
            start: position.map_or(Start::Nowhere, Start::Since),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::position::{Place, Position};

    fn wanted(query: &str) -> Result<Wanted, String> {
        Wanted::of(Parameters::of(Some(query))).map_err(|bad| bad.to_string())
    }

    fn file(query: &str) -> Result<Option<String>, String> {
        wanted(query).map(|wanted| wanted.file)
    }

    fn start(query: &str) -> Result<Start, String> {
        wanted(query).map(|wanted| wanted.start)
    }

    #[test]
    fn the_file_is_percent_decoded_once() {
        assert_eq!(file(""), Ok(None));
        assert_eq!(file("file="), Ok(None));
        assert_eq!(file("file"), Ok(None));
        assert_eq!(file("x=1&file=a.log&file=b.log"), Ok(Some("a.log".to_owned())));
        assert_eq!(file("file=%E6%97%A5%20b.log"), Ok(Some("日 b.log".to_owned())));
        assert_eq!(file("file=%252e"), Ok(Some("%2e".to_owned())));
        assert_eq!(file("file=a+b"), Ok(Some("a+b".to_owned())));
        assert!(file("file=%ff").unwrap_err().contains("parameter file"));
    }

    #[test]
    fn a_position_wins_over_a_number_of_lines_and_both_must_be_good() {
        let position = Position::in_current(Place::default());
        assert_eq!(start("x"), Ok(Start::History));
        assert_eq!(start("lines=0"), Ok(Start::LastLines(0)));
        assert_eq!(start("lines=10000"), Ok(Start::LastLines(10_000)));
        assert_eq!(
            start(&format!("lines=5&since={position}")),
            Ok(Start::Since(position.clone()))
        );
        for bad in ["", "10001", "-1", "+1", "1.0", " 1", "١", "99999999999999999999999"] {
            assert!(
                start(&format!("since={position}&lines={bad}"))
                    .unwrap_err()
                    .contains("lines"),
                "{bad}"
            );
        }
        for bad in ["", "0", "latest", "%ff", &"A".repeat(5000)] {
            assert!(start(&format!("since={bad}")).unwrap_err().contains("since"), "{bad}");
        }
    }

    #[test]
    fn a_browsers_header_wins_and_is_never_an_error() {
        let position = Position::in_current(Place::default());
        let resumed = |id: Option<&[u8]>| {
            let mut headers = HeaderMap::new();
            if let Some(id) = id {
                headers.insert(LAST_EVENT_ID, id.try_into().unwrap());
            }
            wanted("lines=5").unwrap().resumed_by(&headers).start
        };
        assert_eq!(resumed(None), Start::LastLines(5));
        assert_eq!(resumed(Some(position.to_string().as_bytes())), Start::Since(position));
        for bad in [b"".as_slice(), b"7", b"\xff"] {
            assert_eq!(resumed(Some(bad)), Start::Nowhere);
        }
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in ".{0,200}", lines in "[0-9]{0,30}", since in "[A-Za-z0-9_%-]{0,300}") {
            let _ = wanted(&query);
            let asked = wanted(&format!("lines={lines}"));
            prop_assert_eq!(asked.is_ok(), lines.parse::<usize>().is_ok_and(|lines| lines <= MAX_LINES));
            let since = wanted(&format!("since={since}"));
            prop_assert!(since.is_err());
        }
    }
}
