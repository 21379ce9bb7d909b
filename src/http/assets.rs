//! The viewer page, embedded in the binary.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::sentence;

/// What the page may load and connect to: the server itself and nothing else, and no inline code.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(RustEmbed)]
#[folder = "src/ui"]
struct Ui;

pub(super) async fn index(headers: HeaderMap) -> Response<Body> {
    serve("index.html", &headers)
}

pub(super) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    serve(&name, &headers)
}

fn serve(name: &str, headers: &HeaderMap) -> Response<Body> {
    let Some(EmbeddedFile { data, metadata }) = Ui::get(name) else {
        return sentence(StatusCode::NOT_FOUND, "The page has no such part.");
    };
    let hash: String = metadata
        .sha256_hash()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    // Weak, since the bytes differ by their compression.
    let tag = format!("W/\"{hash}\"");
    let known = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim() == tag);
    let common = [
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY.to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let mime = match metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    (common, [(header::CONTENT_TYPE, mime)], data).into_response()
}
