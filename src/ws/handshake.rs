//! The opening handshake, server side (RFC 6455, section 4.2).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use tungstenite::handshake::derive_accept_key;

use super::deflate::Agreement;

/// Base64 of 16 bytes: 22 characters of them and two of padding.
const KEY_CHARS: usize = 24;

/// A request that asks for an upgrade and may get it.
#[derive(Debug)]
pub struct Handshake {
    accept: String,
    /// The subprotocols that the client offers, in its order.
    offered: Vec<String>,
    chosen: Option<&'static str>,
}

/// Why a request can't become a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// It does not ask for one, or for another version: 426.
    NotAsked,
    /// Its key is none: 400.
    BadKey,
}

impl Handshake {
    /// Looks at the headers of a GET request.
    ///
    /// # Errors
    ///
    /// [`Refused`] where they are not those of an opening handshake.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refused> {
        let asked = lists(headers, header::CONNECTION, "upgrade")
            && lists(headers, header::UPGRADE, "websocket")
            && lists(headers, header::SEC_WEBSOCKET_VERSION, "13");
        if !asked {
            return Err(Refused::NotAsked);
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
        match key {
            Some(key) if is_key(key) => Ok(Self {
                accept: derive_accept_key(key),
                offered: values(headers, header::SEC_WEBSOCKET_PROTOCOL)
                    .map(str::to_owned)
                    .collect(),
                chosen: None,
            }),
            _ => Err(Refused::BadKey),
        }
    }

    /// Chooses a subprotocol: of those that the client offers the first that is known. None where it offers none of
    /// them, which is no error (RFC 6455, section 4.2.2).
    pub fn chosen(&mut self, known: &[&'static str]) -> Option<&'static str> {
        let is_known = |offered: &String| known.iter().find(|known| *known == offered).copied();
        self.chosen = self.offered.iter().find_map(is_known);
        self.chosen
    }

    /// The answer after which the connection is a WebSocket, with what was agreed about compression.
    pub fn response(self, deflate: Option<&Agreement>) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::try_from(self.accept) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        }
        if let Some(chosen) = self.chosen {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(chosen));
        }
        if let Some(agreement) = deflate {
            headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, agreement.answer());
        }
        response
    }
}

/// Whether a comma-separated header has a value, without regard to case.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    values(headers, name).any(|value| value.eq_ignore_ascii_case(wanted))
}

/// The values of a comma-separated header.
fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|value| !value.is_empty())
}

fn is_key(key: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'+' || *b == b'/';
    key.len() == KEY_CHARS && key.strip_suffix(b"==").is_some_and(|digits| digits.iter().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(changes)
        {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_rfcs_key_gets_the_rfcs_answer() {
        // RFC 6455, section 1.3.
        let response = Handshake::of(&headers(&[])).unwrap().response(None);
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
    }

    #[test]
    fn the_first_subprotocol_that_is_known_is_chosen() {
        for (offered, chosen) in [
            ("b", Some("b")),
            ("x, b, a", Some("b")),
            ("a,b", Some("a")),
            ("A", None),
            ("x", None),
            (", ,", None),
        ] {
            let mut handshake = Handshake::of(&headers(&[("sec-websocket-protocol", offered)])).unwrap();
            assert_eq!(handshake.chosen(&["a", "b"]), chosen, "{offered}");
            let response = handshake.response(None);
            let answered = response.headers().get("sec-websocket-protocol");
            assert_eq!(answered.and_then(|value| value.to_str().ok()), chosen, "{offered}");
        }
        let mut several = headers(&[]);
        for offered in ["x", "b"] {
            several.append("sec-websocket-protocol", HeaderValue::from_static(offered));
        }
        assert_eq!(Handshake::of(&several).unwrap().chosen(&["a", "b"]), Some("b"));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        for change in [
            ("connection", "keep-alive"),
            ("upgrade", "h2c"),
            ("sec-websocket-version", "8"),
        ] {
            assert_eq!(
                Handshake::of(&headers(&[change])).unwrap_err(),
                Refused::NotAsked,
                "{change:?}"
            );
        }
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "!GhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert_eq!(
                Handshake::of(&headers(&[("sec-websocket-key", key)])).unwrap_err(),
                Refused::BadKey,
                "{key}"
            );
        }
    }
}
