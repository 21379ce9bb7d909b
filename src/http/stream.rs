//! The log stream: from an HTTP request to a viewer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::{App, sentence};
use crate::access::Provenance;
use crate::chunk::Form;
use crate::config::Compression;
use crate::hub::{Subscription, Unavailable};
use crate::metrics::Rejection;
use crate::notices::Farewell;
use crate::server::{Guarded, Peer, Place};
use crate::session::{Closing, Session};
use crate::ws::deflate::{Agreement, MAX_WINDOW_BITS};
use crate::ws::handshake::{Handshake, Refused};
use crate::ws::{Terms, Transport, close_code, frame};

/// How long hyper may take to hand the connection over.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn stream(State(app): State<Arc<App>>, mut request: Request) -> Response<Body> {
    let handshake = match Handshake::of(request.headers()) {
        Ok(handshake) if request.method() == Method::GET && request.version() == Version::HTTP_11 => handshake,
        Err(Refused::BadKey) => {
            return sentence(
                StatusCode::BAD_REQUEST,
                "The header Sec-WebSocket-Key is missing or no key.",
            );
        }
        Ok(_) | Err(Refused::NotAsked) => return upgrade_required(),
    };
    let file = match requested_file(request.uri().query().unwrap_or_default()) {
        Ok(file) => file.map(Cow::into_owned),
        Err(problem) => return sentence(StatusCode::BAD_REQUEST, problem),
    };
    let file = file.unwrap_or_else(|| app.settings.current().default_file().to_owned());
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return sentence(StatusCode::INTERNAL_SERVER_ERROR, "The connection has no address.");
    };
    let deflate = agree_on_compression(&app, &request, &peer);
    let upgrade = hyper::upgrade::on(&mut request);
    app.tasks
        .spawn(begin(Arc::clone(&app), upgrade, file, peer, deflate.is_some()));
    handshake.response(deflate.as_ref())
}

/// What compression this viewer gets, if any: one on this machine would pay for it and save nothing.
fn agree_on_compression(app: &App, request: &Request, peer: &Peer) -> Option<Agreement> {
    let provenance = Provenance {
        peer: peer.address,
        listens_on_loopback: app.listens_on_loopback,
        uri: request.uri(),
        headers: request.headers(),
    };
    let compresses = match app.settings.current().stream.compression {
        Compression::Always => true,
        Compression::Remote => provenance.is_remote(),
        Compression::Never => false,
    };
    compresses
        .then(|| Agreement::of(request.headers(), MAX_WINDOW_BITS))
        .flatten()
}

fn upgrade_required() -> Response<Body> {
    let mut response = sentence(
        StatusCode::UPGRADE_REQUIRED,
        "This address is a WebSocket; connect with a WebSocket client, version 13.",
    );
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    response
}

/// The `file` of a query, percent-decoded once; none where it is missing or empty.
fn requested_file(query: &str) -> Result<Option<Cow<'_, str>>, &'static str> {
    let value = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(name, _)| *name == "file")
        .map(|(_, value)| value);
    match value {
        None | Some("") => Ok(None),
        Some(value) => percent_decode_str(value)
            .decode_utf8()
            .map(Some)
            .map_err(|_| "The parameter file is not valid UTF-8 when percent-decoded."),
    }
}

/// Takes the connection over, joins, and leaves it to a task that holds nothing of what led to it: there are thousands
/// of them, for hours.
async fn begin(app: Arc<App>, upgrade: OnUpgrade, file: String, peer: Peer, deflate: bool) {
    let terms = Terms {
        deflate,
        ..Terms::OF_VIEWERS
    };
    let Some((transport, head)) = take_over(upgrade, terms).await else {
        return;
    };
    // Before the answer goes out: a client that sees its connection open gets every line from then on. And after hyper
    // is gone with its buffers: in a storm thousands wait here for one look at the file.
    match join(&app, file).await {
        Ok((subscription, viewer)) => {
            let form = if deflate { Form::PlainDeflated } else { Form::Plain };
            let session = Session::new(transport, head, subscription, form);
            app.tasks.spawn(view(session, viewer, peer.place));
        }
        Err(last) => {
            let mut closing = Closing::new(transport, [head, last].concat());
            app.tasks.spawn(async move {
                closing.run().await;
                drop(peer);
            });
        }
    }
}

/// One viewer from the beginning of its stream to the end of its connection.
// An `async fn` would hold its arguments twice.
#[allow(clippy::manual_async_fn)]
fn view(mut session: Session<TcpStream>, viewer: Place, socket: Arc<Place>) -> impl Future<Output = ()> {
    async move {
        let end = session.run().await;
        let mut closing = session.part(&end);
        drop(viewer);
        // On the heap, as a viewer would else hold the room for its end from the beginning.
        Box::pin(async move { closing.run().await }).await;
        drop(socket);
    }
}

/// Takes the TCP stream away from hyper, with what it read ahead but without its buffer, and with the head of the answer,
/// which is yet to be written.
async fn take_over(upgrade: OnUpgrade, terms: Terms) -> Option<(Transport<TcpStream>, Vec<u8>)> {
    let upgraded = match timeout(UPGRADE_TIMEOUT, upgrade).await {
        Ok(Ok(upgraded)) => upgraded,
        Ok(Err(error)) => {
            debug!(%error, "a handshake was not finished");
            return None;
        }
        Err(_) => return None,
    };
    let parts = upgraded.downcast::<TokioIo<Guarded>>().ok()?;
    let (stream, head) = parts.io.into_inner().into_parts();
    Some((Transport::new(stream, &parts.read_buf, terms), head))
}

/// Joins the channel of the file, or makes the frames that are sent instead.
async fn join(app: &App, file: String) -> Result<(Subscription, Place), Vec<u8>> {
    let config = app.settings.current();
    let (farewell, rejection) = match app.viewers.take(config.limits.max_connections) {
        None => (Farewell::TooMany, Rejection::Limit),
        Some(place) => match app.registry.channel(&file) {
            None => (Farewell::Forbidden, Rejection::Forbidden),
            Some(channel) => match channel.subscribe().await {
                Ok(subscription) => return Ok((subscription, place)),
                Err(Unavailable::Missing) => (Farewell::Missing, Rejection::Missing),
                Err(Unavailable::Unreadable) => (Farewell::Unreadable, Rejection::Unreadable),
                Err(Unavailable::Stopping) => {
                    let mut last = Vec::new();
                    frame::push_close(&mut last, close_code::GOING_AWAY, "shutting down");
                    return Err(last);
                }
            },
        },
    };
    app.metrics.reject(rejection);
    let mut last = Vec::new();
    frame::push_text(&mut last, &farewell.text(config.notices, &file));
    let (code, reason) = farewell.close();
    frame::push_close(&mut last, code, reason);
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_percent_decoded_once() {
        let file = |query| requested_file(query).map(|file| file.map(Cow::into_owned));
        assert_eq!(file(""), Ok(None));
        assert_eq!(file("file="), Ok(None));
        assert_eq!(file("file"), Ok(None));
        assert_eq!(file("x=1&file=a.log&file=b.log"), Ok(Some("a.log".to_owned())));
        assert_eq!(file("file=%E6%97%A5%20b.log"), Ok(Some("日 b.log".to_owned())));
        assert_eq!(file("file=%252e"), Ok(Some("%2e".to_owned())));
        assert_eq!(file("file=a+b"), Ok(Some("a+b".to_owned())));
        assert!(file("file=%ff").is_err());
    }
}
