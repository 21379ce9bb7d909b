//! The allow-list with what is known of each file, and each file as it is.

use std::fs::{self, Metadata};
use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use encoding_rs::Encoding;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use tower::ServiceExt;
use tower_http::services::ServeFile;

use super::{App, error};

/// One allowed file; what is not known is null.
#[derive(Debug, Serialize)]
struct FileInfo {
    name: String,
    default: bool,
    exists: Option<bool>,
    size: Option<u64>,
    modified: Option<String>,
    encoding: Option<&'static str>,
    viewers: usize,
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Response<Body> {
    let config = app.settings.current();
    let paths: Vec<_> = config.files.iter().map(|file| config.path_of(file)).collect();
    let look = move || paths.iter().map(fs::metadata).collect::<Vec<_>>();
    let mut found = app.storage.look(look).await.unwrap_or_default().into_iter();
    let infos: Vec<FileInfo> = config
        .files
        .iter()
        .map(|file| {
            let metadata: Option<io::Result<Metadata>> = found.next();
            let channel = app.registry.channel(&file.name);
            let label = file.encoding.as_deref();
            let configured = label.and_then(|label| Encoding::for_label(label.as_bytes()));
            let found = metadata.as_ref().and_then(|metadata| metadata.as_ref().ok());
            let regular = found.filter(|metadata| metadata.is_file());
            FileInfo {
                name: file.name.clone(),
                default: file.name == config.default_file(),
                exists: match &metadata {
                    Some(Ok(_)) => Some(true),
                    Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Some(false),
                    Some(Err(_)) | None => None,
                },
                size: regular.map(Metadata::len),
                modified: regular
                    .and_then(|metadata| metadata.modified().ok())
                    .and_then(|modified| Timestamp::try_from(modified).ok())
                    .map(|modified| modified.to_string()),
                encoding: match configured {
                    Some(encoding) => Some(encoding.name()),
                    None => channel.as_ref().and_then(|channel| channel.encoding()),
                },
                viewers: channel.map_or(0, |channel| channel.viewers()),
            }
        })
        .collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(infos)).into_response()
}

/// The file as it is. Ranges and conditions are `ServeFile`'s; of several ranges at once, or in another unit, none is
/// served, which RFC 9110, section 14.2, allows: the answer is the whole file.
pub(super) async fn download(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    mut request: Request,
) -> Response<Body> {
    let not_found = || error(StatusCode::NOT_FOUND, "there is no such log file");
    let config = app.settings.current();
    let Some(file) = config.files.iter().find(|file| file.name == name) else {
        return not_found();
    };
    let path = config.path_of(file);
    let looked = path.clone();
    match app.storage.look(move || fs::metadata(looked)).await {
        Some(Ok(metadata)) if metadata.is_file() => {}
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => return not_found(),
        _ => return error(StatusCode::INTERNAL_SERVER_ERROR, "the log file can't be read"),
    }
    let unserved = |range: &HeaderValue| !range.as_bytes().starts_with(b"bytes=") || range.as_bytes().contains(&b',');
    if request.headers().get(header::RANGE).is_some_and(unserved) {
        request.headers_mut().remove(header::RANGE);
    }
    let Ok(response) = ServeFile::new(path).oneshot(request).await;
    let mut response = response.map(Body::new);
    if !response.status().is_success() && response.status() != StatusCode::NOT_MODIFIED {
        return match response.status() {
            // Its `Content-Range` tells the size.
            StatusCode::RANGE_NOT_SATISFIABLE => response,
            // It was there, so it is closed to us.
            _ => error(StatusCode::INTERNAL_SERVER_ERROR, "the log file can't be read"),
        };
    }
    let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename*=UTF-8''{encoded}")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
