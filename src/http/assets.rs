//! The viewer page, embedded in the binary.
//!
//! Its parts have the page's version in their addresses, `assets/<version>/page.js`, and may be kept for ever by whoever
//! got them so: somebody who comes again asks for the page and for nothing else. What the page is made of, see `parts`.

mod parts;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use rust_embed::RustEmbed;

use self::parts::{Part, Parts};
use super::sentence;

/// What the page may load and connect to: the server itself and nothing else, and no inline code.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// To be asked for again each time, with the tag of what is there.
const ASK_AGAIN: &str = "no-cache";
/// Never changes at its address.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

#[derive(RustEmbed)]
#[folder = "src/ui"]
struct Ui;

pub(super) async fn index(headers: HeaderMap) -> Response<Body> {
    serve(parts::INDEX, None, &headers)
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    serve(&name, None, &headers)
}

pub(super) async fn versioned(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response<Body> {
    serve(&name, Some(&version), &headers)
}

/// A part of another version is answered with what there is, not to be kept: behind a proxy for several servers, one of
/// which is newer, the page may have come from another one.
fn serve(name: &str, version: Option<&str>, headers: &HeaderMap) -> Response<Body> {
    let parts = Parts::now();
    let Some(part) = parts.get(name) else {
        return sentence(StatusCode::NOT_FOUND, "The page has no such part.");
    };
    // Weak, since the bytes differ by their compression.
    let tag = format!("W/\"{}\"", parts.version);
    let known = listed(headers, &header::IF_NONE_MATCH).any(|value| value == tag);
    let lasting = version == Some(parts.version.as_str());
    let common = [
        (header::ETAG, tag),
        (
            header::CACHE_CONTROL,
            if lasting { FOR_EVER } else { ASK_AGAIN }.to_owned(),
        ),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY.to_owned()),
        (header::VARY, header::ACCEPT_ENCODING.to_string()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, part.kind.clone())];
    match packed_for(part, headers) {
        Some(packed) => (common, kind, [(header::CONTENT_ENCODING, "gzip")], packed).into_response(),
        None => (common, kind, part.plain.clone()).into_response(),
    }
}

/// The compressed form, where there is one and it is taken.
fn packed_for(part: &Part, headers: &HeaderMap) -> Option<bytes::Bytes> {
    let takes = listed(headers, &header::ACCEPT_ENCODING).any(|value| {
        let (name, quality) = value.split_once(';').unwrap_or((value, ""));
        let refused = quality.trim().strip_prefix("q=").and_then(|q| q.parse().ok()) == Some(0.0);
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    });
    takes.then(|| part.packed()).flatten()
}

/// The values of a header that is a list.
fn listed<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}
