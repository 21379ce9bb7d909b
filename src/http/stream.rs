//! The log stream: from an HTTP request to a viewer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::debug;

use super::joining::join;
use super::parameters::Parameters;
use super::wanted::Wanted;
use super::{App, sentence};
use crate::access::Provenance;
use crate::config::Compression;
use crate::hub::Start;
use crate::server::{Guarded, Peer, Place, Socket};
use crate::session::{Closing, Protocol, Session};
use crate::v1;
use crate::ws::deflate::{Agreement, MAX_WINDOW_BITS};
use crate::ws::handshake::{Handshake, Refused};
use crate::ws::{Terms, Transport};

/// How long hyper may take to hand the connection over.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn stream(State(app): State<Arc<App>>, mut request: Request) -> Response<Body> {
    let mut handshake = match Handshake::of(request.headers()) {
        Ok(handshake) if request.method() == Method::GET && request.version() == Version::HTTP_11 => handshake,
        Err(Refused::BadKey) => {
            return sentence(
                StatusCode::BAD_REQUEST,
                "The header Sec-WebSocket-Key is missing or no key.",
            );
        }
        Ok(_) | Err(Refused::NotAsked) => return upgrade_required(),
    };
    let Wanted { file, start } = match Wanted::of(Parameters::of(request.uri().query())) {
        Ok(wanted) => wanted,
        Err(bad) => return sentence(StatusCode::BAD_REQUEST, &bad.to_string()),
    };
    let file = file.unwrap_or_else(|| app.settings.current().default_file().to_owned());
    let Some(peer) = request.extensions().get::<Peer>().cloned() else {
        return sentence(StatusCode::INTERNAL_SERVER_ERROR, "The connection has no address.");
    };
    let deflate = agree_on_compression(&app, &request, &peer);
    let protocol = match handshake.chosen(&[v1::NAME]) {
        Some(_) => Protocol::V1 {
            deflate: deflate.is_some(),
        },
        None => Protocol::Plain {
            deflate: deflate.is_some(),
        },
    };
    let upgrade = hyper::upgrade::on(&mut request);
    peer.socket.upgrade();
    app.tasks
        .spawn(begin(Arc::clone(&app), upgrade, protocol, file, start, peer));
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

/// Takes the connection over, joins, and leaves it to a task that holds nothing of what led to it: there are thousands
/// of them, for hours.
async fn begin(app: Arc<App>, upgrade: OnUpgrade, protocol: Protocol, file: String, start: Start, peer: Peer) {
    let deflate = match protocol {
        Protocol::Plain { deflate } | Protocol::V1 { deflate } => deflate,
    };
    let terms = Terms {
        deflate,
        ..Terms::OF_VIEWERS
    };
    let Some((transport, head)) = take_over(upgrade, terms).await else {
        return;
    };
    // Before the answer goes out: a client that sees its connection open gets every line from then on. And after hyper
    // is gone with its buffers: in a storm thousands wait here for one look at the file.
    match join(&app, &file, start).await {
        Ok((subscription, viewer)) => {
            let session = Session::new(protocol, transport, head, subscription);
            app.tasks.spawn(view(session, viewer, peer.socket));
        }
        Err(refusal) => {
            let mut last = head;
            let language = app.settings.current().notices;
            match refusal.farewell() {
                Some(farewell) => {
                    let text = farewell.text(language, &file);
                    protocol.push_farewell(&mut last, farewell, &text, false, None);
                }
                None => protocol.push_shutdown(&mut last, false, language),
            }
            let mut closing = Closing::new(transport, last);
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
fn view(mut session: Session<TcpStream>, viewer: Place, socket: Arc<Socket>) -> impl Future<Output = ()> {
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
