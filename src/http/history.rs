//! What a log held before: pages of its lines, and searches, across its rotated files.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::{timeout, timeout_at};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::parameters::{BadParameter, Parameters};
use super::{App, error};
use crate::archive::{Anchor, Archive, Budget, Case, Log, PageError, Query, Search, Unpacked};
use crate::decode::Decoder;
use crate::position::Position;

/// How long reading a page may take; only a compressed file or a line of gigabytes takes more than moments.
pub(super) const PAGE_TIME: Duration = Duration::from_secs(10);
/// How long a search may take.
const SEARCH_TIME: Duration = Duration::from_secs(10);
/// How long opening the files for a search may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// What may be searched for is as long as this.
const MAX_QUERY_BYTES: usize = 1 << 10;
/// Lines that one request may ask for.
const MAX_LINES: usize = 10_000;
/// Lines of a page where nothing else is asked for.
const DEFAULT_PAGE_LINES: usize = 1000;
/// Hits of a search where nothing else is asked for.
const DEFAULT_HITS: usize = 100;
/// Batches of hits that wait for the client, and the last line, for which a place is kept free.
const WAITING_BATCHES: usize = 3;
/// When to try again where too many searches run, in seconds.
const RETRY_AFTER: &str = "2";

/// The log of a name that is on the allow-list, compared as a whole.
fn log_of(app: &App, name: &Result<Path<String>, PathRejection>) -> Option<Log> {
    // A name that can't be decoded is on no list.
    let Ok(Path(name)) = name else { return None };
    let config = app.settings.current();
    let file = config.files.iter().find(|file| file.name == *name)?;
    let found = app.registry.channel(name).and_then(|channel| channel.encoding());
    Some(Log {
        path: config.path_of(file),
        label: file.encoding.as_deref().and_then(Decoder::for_label),
        detected: found.and_then(Decoder::for_detected),
        max_line: usize::try_from(config.stream.max_line.0).unwrap_or(usize::MAX),
    })
}

fn no_such_file() -> Response<Body> {
    error(StatusCode::NOT_FOUND, "there is no such log file")
}

fn no_answer() -> Response<Body> {
    let text = "the log file could not be read in time; try again later, or nearer to its end";
    error(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn refusal(problem: &PageError) -> Response<Body> {
    match problem {
        PageError::Gone => {
            let text = "the place is gone: neither the file nor a rotated one beside it has it any more";
            error(StatusCode::GONE, text)
        }
        PageError::Io(io_error) => match io_error.kind() {
            io::ErrorKind::NotFound => no_such_file(),
            io::ErrorKind::TimedOut => no_answer(),
            _ => {
                warn!(error = %io_error, "a log file can't be read for its history");
                error(StatusCode::INTERNAL_SERVER_ERROR, "the log file can't be read")
            }
        },
    }
}

fn page_asked(parameters: Parameters<'_>) -> Result<(Anchor, usize), BadParameter> {
    let from = match (parameters.position("before")?, parameters.position("after")?) {
        (None, None) => Anchor::End,
        (Some(position), None) => Anchor::Before(position),
        (None, Some(position)) => Anchor::After(position),
        (Some(_), Some(_)) => return Err(BadParameter::new("after", "it can't be together with before")),
    };
    let limit = parameters.number("limit", 1..=MAX_LINES)?.unwrap_or(DEFAULT_PAGE_LINES);
    Ok((from, limit))
}

/// A page of lines.
pub(super) async fn lines(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let (from, limit) = match page_asked(Parameters::of(query.as_deref())) {
        Ok(asked) => asked,
        Err(bad) => return bad.response(),
    };
    let Some(log) = log_of(&app, &name) else {
        return no_such_file();
    };
    let cancelled = CancellationToken::new();
    let budget = Budget::new(Instant::now() + PAGE_TIME, cancelled.clone());
    let _while_waited_for = cancelled.drop_guard();
    let unpacked = Arc::clone(&app.unpacked);
    let read = move || {
        let page = Archive::open(log, &unpacked, &budget)?.page(&from, limit, &budget)?;
        Ok(page.into_json())
    };
    match app.archives.look(read).await {
        Some(Ok(json)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, json).into_response()
        }
        Some(Err(problem)) => refusal(&problem),
        None => no_answer(),
    }
}

/// What a search is asked for.
struct Asked {
    text: String,
    is_regex: bool,
    case: Case,
    limit: usize,
    before: Option<Position>,
}

fn search_asked(parameters: Parameters<'_>) -> Result<Asked, BadParameter> {
    let cases = [
        ("smart", Case::Smart),
        ("sensitive", Case::Sensitive),
        ("insensitive", Case::Insensitive),
    ];
    let text = parameters.text("q")?.unwrap_or_default();
    if text.is_empty() || text.len() > MAX_QUERY_BYTES {
        let problem = format!("it takes the text to search for, of 1 to {MAX_QUERY_BYTES} bytes");
        return Err(BadParameter::new("q", problem));
    }
    Ok(Asked {
        text,
        is_regex: parameters.one_of("regex", &[("true", true), ("false", false)], false)?,
        case: parameters.one_of("case", &cases, Case::Smart)?,
        limit: parameters.number("limit", 1..=MAX_LINES)?.unwrap_or(DEFAULT_HITS),
        before: parameters.position("before")?,
    })
}

/// Why a search did not begin.
enum Unbegun {
    Bad(BadParameter),
    Unreadable(PageError),
}

/// A search, the newest lines first, told while it goes on.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let asked = match search_asked(Parameters::of(query.as_deref())) {
        Ok(asked) => asked,
        Err(bad) => return bad.response(),
    };
    let Some(log) = log_of(&app, &name) else {
        return no_such_file();
    };
    let max_searches = app.settings.current().limits.max_searches;
    let Some(place) = app.searches.take(max_searches) else {
        return too_many(max_searches);
    };
    let cancelled = CancellationToken::new();
    let deadline = Instant::now() + SEARCH_TIME;
    let budget = Budget::new(deadline, cancelled.clone());
    // Dropped with the answer, also when the client leaves before its end.
    let guard = cancelled.drop_guard();
    let unpacked = Arc::clone(&app.unpacked);
    let (begun, beginning) = oneshot::channel();
    let (batches, answer) = mpsc::channel::<Bytes>(WAITING_BATCHES);
    let runtime = Handle::current();
    spawn_blocking(move || {
        let search = match begin(asked, log, &unpacked, budget) {
            Ok(search) => search,
            Err(unbegun) => {
                let _ = begun.send(Err(unbegun));
                return;
            }
        };
        // The last line finds room whether or not the client takes what is before it.
        let Ok(last) = batches.clone().try_reserve_owned() else {
            return;
        };
        if begun.send(Ok(())).is_err() {
            return;
        }
        let done = search.run(&mut |batch| {
            let sent = batches.send(batch.into());
            let sent = runtime.block_on(async { timeout_at(deadline.into(), sent).await });
            matches!(sent, Ok(Ok(())))
        });
        drop(place);
        match done {
            Ok(done) => {
                let mut line = serde_json::to_vec(&done).unwrap_or_default();
                line.push(b'\n');
                last.send(line.into());
            }
            // Without its last line an answer is known to be cut short.
            Err(error) => warn!(%error, "a log file can't be searched to its beginning"),
        }
    });
    match timeout(OPEN_TIMEOUT, beginning).await {
        Ok(Ok(Ok(()))) => {
            let body = ReceiverStream::new(answer).map(move |batch| {
                let _while_wanted = &guard;
                Ok::<_, Infallible>(batch)
            });
            let headers = [
                (header::CONTENT_TYPE, "application/x-ndjson"),
                (header::CACHE_CONTROL, "no-store"),
                // A proxy that gathers answers would keep the first hits back.
                (header::HeaderName::from_static("x-accel-buffering"), "no"),
            ];
            (headers, Body::from_stream(body)).into_response()
        }
        Ok(Ok(Err(Unbegun::Bad(bad)))) => bad.response(),
        Ok(Ok(Err(Unbegun::Unreadable(problem)))) => refusal(&problem),
        Ok(Err(_)) | Err(_) => no_answer(),
    }
}

fn begin(asked: Asked, log: Log, unpacked: &Arc<Unpacked>, budget: Budget) -> Result<Search, Unbegun> {
    let query = Query::new(&asked.text, asked.is_regex, asked.case)
        .map_err(|bad| Unbegun::Bad(BadParameter::new("q", bad.to_string())))?;
    let unreadable = |error: io::Error| Unbegun::Unreadable(error.into());
    let archive = Archive::open(log, unpacked, &budget).map_err(unreadable)?;
    Search::new(archive, query, asked.limit, asked.before.as_ref(), budget).map_err(Unbegun::Unreadable)
}

fn too_many(max_searches: usize) -> Response<Body> {
    let text = format!(
        "{max_searches} searches are under way, as many as `limits.max_searches` allows; try again in {RETRY_AFTER} s"
    );
    let mut response = error(StatusCode::TOO_MANY_REQUESTS, &text);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER));
    response
}
