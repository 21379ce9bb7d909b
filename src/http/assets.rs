//! The viewer page, embedded in the binary.

use std::borrow::Cow;

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
    let is_code = matches!(name.rsplit_once('.'), Some((_, "js" | "css")));
    let body = match str::from_utf8(&data) {
        Ok(text) if is_code => Cow::Owned(without_comments(text).into_bytes()),
        _ => data,
    };
    (common, [(header::CONTENT_TYPE, mime)], body).into_response()
}

/// A module or style sheet without its comments and indentation, a quarter of what would be sent. No code has to be
/// understood for it, as the page's sources keep to a form: a comment has its lines to itself, or is a type within an
/// expression, and no text goes over lines. `tests/page/sources.test.mjs` holds them to it.
fn without_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut in_comment = false;
    for line in source.lines().map(str::trim) {
        // A comment with code behind it on its line is a type within an expression.
        in_comment |= line.starts_with("/*") && (line.ends_with("*/") || !line.contains("*/"));
        if !in_comment && !line.is_empty() && !line.starts_with("//") {
            push_without_types(line, &mut out);
            out.push('\n');
        }
        in_comment &= !line.ends_with("*/");
    }
    out
}

/// What a line says apart from types in comments.
fn push_without_types(mut line: &str, out: &mut String) {
    while let Some((before, rest)) = line.split_once("/** @type") {
        let Some((_, behind)) = rest.split_once("*/") else {
            break;
        };
        out.push_str(before);
        line = behind.trim_start();
    }
    out.push_str(line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_indentation_are_not_sent() {
        let source = "/**\n * What it is.\n */\n\n/* One. */\nconst a = 'http://x'; // kept\n  // Why.\n  let b = 1 / 2;\n/** @type {X} */ (b).y();\n";
        assert_eq!(
            without_comments(source),
            "const a = 'http://x'; // kept\nlet b = 1 / 2;\n(b).y();\n"
        );
    }
}
