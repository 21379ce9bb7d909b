//! A WebSocket server that sends every message back, over the program's own frame reader, compression and closing
//! handshake: what a conformance suite needs to look at them. `scripts/autobahn.sh` runs one against it.
//!
//! `cargo run --example echo [ADDRESS]` prints the address it listens on.

#![allow(clippy::expect_used)]

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming as RequestBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tailcast::session::Closing;
use tailcast::ws::deflate::{Agreement, Deflater};
use tailcast::ws::handshake::Handshake;
use tailcast::ws::{Heard, Incoming, Terms, Transport, frame};
use tokio::net::{TcpListener, TcpStream};

/// The longest message of the suite has 16 MiB.
const MAX_MESSAGE_BYTES: usize = 16 << 20;
/// The smallest window that zlib makes.
const LEAST_WINDOW_BITS: u8 = 9;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(async |request| Ok::<_, io::Error>(upgrade(request)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection.with_upgrades());
    }
}

fn upgrade(mut request: Request<RequestBody>) -> Response<Body> {
    let Ok(handshake) = Handshake::of(request.headers()) else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
        return response;
    };
    let agreement = Agreement::of(request.headers(), LEAST_WINDOW_BITS);
    tokio::spawn(converse(hyper::upgrade::on(&mut request), agreement));
    handshake.response(agreement.as_ref())
}

async fn converse(upgrade: OnUpgrade, agreement: Option<Agreement>) {
    let upgraded = upgrade.await.expect("the connection becomes a WebSocket");
    let parts = upgraded.downcast::<TokioIo<TcpStream>>().expect("it came over TCP");
    let terms = Terms {
        max_message_bytes: MAX_MESSAGE_BYTES,
        deflate: agreement.is_some(),
        hand_on: true,
    };
    let transport = Transport::new(parts.io.into_inner(), &parts.read_buf, terms);
    let deflater = agreement.map(|agreement| Deflater::new(agreement.window_bits()));
    if let Some(mut closing) = echo(transport, deflater).await {
        closing.run().await;
    }
}

/// Sends back what comes, until one side closes. Returns the end of the connection where there is one to be said.
async fn echo(mut transport: Transport<TcpStream>, mut deflater: Option<Deflater>) -> Option<Closing<TcpStream>> {
    loop {
        let mut came = VecDeque::new();
        let heard = poll_fn(|cx| transport.poll_hear(cx, &mut |incoming| came.push_back(incoming))).await;
        let mut answer = Vec::new();
        for incoming in came {
            match incoming {
                Incoming::Ping(payload) => frame::push_pong(&mut answer, &payload),
                Incoming::Message(kind, message) => match deflater.as_mut().and_then(|it| it.deflate(&message)) {
                    Some(payload) => frame::push_message(&mut answer, kind, true, payload),
                    None => frame::push_message(&mut answer, kind, false, &message),
                },
                Incoming::Close(code) => {
                    match code {
                        Some(code) => frame::push_close(&mut answer, code, ""),
                        None => frame::push_empty_close(&mut answer),
                    }
                    return Some(Closing::new(transport, answer).answered());
                }
            }
        }
        match heard.ok()? {
            Heard::Something => send(&mut transport, &answer).await.ok()?,
            Heard::Violation(violation) => {
                frame::push_close(&mut answer, violation.code, violation.reason);
                return Some(Closing::new(transport, answer));
            }
            Heard::End => return None,
        }
    }
}

async fn send(transport: &mut Transport<TcpStream>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = poll_fn(|cx| transport.poll_write(cx, &[IoSlice::new(bytes)])).await?;
        bytes = bytes.get(sent..).unwrap_or_default();
    }
    Ok(())
}
