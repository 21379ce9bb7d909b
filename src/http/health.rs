//! Whether it serves, whether it can do its work, and what it has counted.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;

use super::{App, sentence};
use crate::config::Config;

/// Where it is told that the process serves.
pub const ALIVE: &str = "/healthz";
/// Where it is told whether it can do its work.
pub const READY: &str = "/readyz";

pub(super) async fn alive() -> &'static str {
    "ok"
}

pub(super) async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    let unready = |reason: &str| sentence(StatusCode::SERVICE_UNAVAILABLE, reason);
    if !app.reader.is_running() {
        return unready("The reader of the files has stopped.");
    }
    let config = app.settings.current();
    let directory = config.dir.clone();
    match app.storage.look(move || check_directory(&config)).await {
        Some(Ok(())) => "ok".into_response(),
        Some(Err(error)) => unready(&format!(
            "The directory {} can't be read: {error}.",
            directory.display()
        )),
        None => unready(&format!("The directory {} does not answer.", directory.display())),
    }
}

/// Looks whether the directory of the files can be read, where some file is looked for in it.
///
/// # Errors
///
/// What reading it returns.
pub fn check_directory(config: &Config) -> io::Result<()> {
    if config.files.iter().any(|file| file.path.is_none()) {
        config.dir.read_dir()?;
    }
    Ok(())
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response<Body> {
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, app.metrics.render()).into_response()
}
