//! The log stream as Server-Sent Events, for clients and proxies without WebSocket, and for `curl -N`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tokio_stream::StreamExt;

use super::joining::{Refusal, join};
use super::parameters::Parameters;
use super::wanted::Wanted;
use super::{App, error};
use crate::session::Events;

/// By which nginx is told not to hold the stream back.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// When to try again where there are too many viewers, in seconds.
const RETRY_AFTER: &str = "5";

pub(super) async fn events(
    State(app): State<Arc<App>>,
    file: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response<Body> {
    // A name that can't be decoded is on no list.
    let Ok(Path(file)) = file else {
        return refuse(Refusal::Forbidden);
    };
    let wanted = match Wanted::of(Parameters::of(request.uri().query())) {
        Ok(wanted) => wanted.resumed_by(request.headers()),
        Err(bad) => return bad.response(),
    };
    match join(&app, &file, wanted.start).await {
        Ok((subscription, place)) => {
            let (viewer, stream) = Events::new(subscription);
            app.tasks.spawn(async move {
                viewer.run().await;
                drop(place);
            });
            let mut response = Response::new(Body::from_stream(stream.map(Ok::<_, Infallible>)));
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(
                header::CACHE_CONTROL,
                HeaderValue::from_static("no-cache, no-transform"),
            );
            headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
            response
        }
        Err(refusal) => refuse(refusal),
    }
}

fn refuse(refusal: Refusal) -> Response<Body> {
    match refusal {
        // One sentence for both: nothing tells whether a file outside the allow-list exists.
        Refusal::Forbidden => error(StatusCode::NOT_FOUND, "there is no such log file"),
        Refusal::Missing => error(StatusCode::NOT_FOUND, "the log file does not exist"),
        Refusal::Unreadable => error(StatusCode::INTERNAL_SERVER_ERROR, "the log file can't be read"),
        Refusal::Stopping => error(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down"),
        Refusal::TooMany => {
            let mut response = error(
                StatusCode::SERVICE_UNAVAILABLE,
                "there are too many viewers; try again later, or raise limits.max_connections",
            );
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
            response
        }
    }
}
