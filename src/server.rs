//! All parts put together, run until cancelled.

mod guarded;
mod tasks;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tracing::{debug, info, warn};

use crate::config::{Config, Settings, Size};
use crate::http::{self, App, Storage};
use crate::hub::{Registry, Source};
use crate::metrics::Metrics;
use crate::sizing::EXTRA_CONNECTIONS;
use crate::tail::{Reader, Wakeups};

pub use guarded::Guarded;
pub(crate) use tasks::{Place, Places, Tasks};

/// Connections that the kernel holds until they are accepted: a storm of thousands waits there instead of being
/// refused. The kernel cuts it to `net.core.somaxconn`.
const LISTEN_BACKLOG: u32 = 4096;
/// hyper's least: heads of requests are small, and the buffer is gone when the stream is taken over.
const HTTP_BUFFER_BYTES: usize = 8 << 10;
/// How long a client may take for the head of a request, idle time between two requests included.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, mostly for want of descriptors: trying on at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How often it is looked for what was unpacked and is not used any more.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// How long a stopping server waits for the reader's last look: a storage that hangs must not hold it up.
const READER_STOP: Duration = Duration::from_millis(500);
/// How long a stopping server takes in all; 5 s are promised.
const STOP_WITHIN: Duration = Duration::from_secs(4);

/// Why a server can't be started; the text is a sentence for the person who starts it.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address is taken or not this machine's.
    #[error("can't listen on {address}: {error}; choose another address with --listen, or end the program that has it")]
    Listen {
        /// What was configured.
        address: SocketAddr,
        /// What the system says.
        error: io::Error,
    },
    /// The directory of the files is missing or closed to us.
    #[error("the directory {} can't be read: {error}; name the directory of your logs with --dir", path.display())]
    Directory {
        /// What was configured.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A part could not be set up.
    #[error("the server can't be set up: {0}")]
    Setup(String),
}

/// A server that listens, but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    settings: Settings,
    app: Arc<App>,
    reader: Arc<Reader>,
}

impl Server {
    /// Binds the address and builds all parts. Must be called inside a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] with a sentence that says what to do.
    pub fn bind(config: Config) -> Result<Self, StartError> {
        Self::bind_with(config, Wakeups::default())
    }

    /// The same, with tailers that are woken in another way than they should be: for tests.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_with(config: Config, wakeups: Wakeups) -> Result<Self, StartError> {
        http::health::check_directory(&config).map_err(|error| StartError::Directory {
            path: config.dir.clone(),
            error,
        })?;
        let address = config.listen;
        let listener =
            listen(address, config.limits.send_buffer).map_err(|error| StartError::Listen { address, error })?;
        let address = listener
            .local_addr()
            .map_err(|error| StartError::Listen { address, error })?;
        let metrics = Arc::<Metrics>::default();
        let reader = Arc::new(Reader::new(Arc::clone(&metrics), wakeups));
        let settings = Settings::new(config);
        let source: Arc<dyn Source> = Arc::clone(&reader) as Arc<dyn Source>;
        let registry = Registry::new(&settings, &metrics, &source);
        let app = Arc::new(App {
            settings: settings.clone(),
            registry,
            metrics,
            reader: Arc::clone(&reader),
            viewers: Places::default(),
            storage: Storage::default(),
            archives: Storage::with_timeout(http::ARCHIVE_TIMEOUT),
            unpacked: Arc::default(),
            searches: Places::default(),
            tasks: Tasks::default(),
            listens_on_loopback: address.ip().to_canonical().is_loopback(),
        });
        Ok(Self {
            listener,
            address,
            settings,
            app,
            reader,
        })
    }

    /// The address that was bound, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The configuration in force, which can be replaced while the server runs.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Serves until `stop` is cancelled, then takes leave of everyone: sends what was read for up to a second, closes
    /// every stream, and is done within five seconds whatever its viewers do.
    pub async fn run(self, stop: CancellationToken) {
        let Self {
            listener, app, reader, ..
        } = self;
        stop.run_until_cancelled(accept(&listener, &app, &stop)).await;
        drop(listener);
        info!("stopping");
        let deadline = Instant::now() + STOP_WITHIN;
        let last_look = tokio::task::spawn_blocking(move || reader.stop());
        if timeout(READER_STOP, last_look).await.is_err() {
            warn!("a file could not be read once more in time");
        }
        app.registry.shut_down();
        app.tasks.end_by(deadline).await;
    }
}

/// Options that are set here are those of the connections, too: accepted sockets inherit them.
fn listen(address: SocketAddr, send_buffer: Size) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A restart must not wait for the connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    // Without it small frames wait for the client's acknowledgement.
    socket.set_nodelay(true)?;
    // Left to itself the kernel gives a viewer that does not read megabytes.
    socket.set_send_buffer_size(u32::try_from(send_buffer.0).unwrap_or(u32::MAX))?;
    socket.bind(address)?;
    socket.listen(LISTEN_BACKLOG)
}

async fn accept(listener: &TcpListener, app: &Arc<App>, stop: &CancellationToken) {
    let router = http::router(Arc::clone(app));
    let places = Places::default();
    let mut tidy = interval(TIDY_INTERVAL);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = tidy.tick() => {
                app.unpacked.drop_unused();
                continue;
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let limit = app.settings.current().limits.max_connections + EXTRA_CONNECTIONS;
        let Some(place) = places.take(limit) else {
            debug!(%peer, limit, "a connection beyond all limits was closed");
            continue;
        };
        let peer = Peer {
            address: peer.ip(),
            socket: Arc::new(Socket::new(place)),
        };
        let connection = serve(stream, peer, router.clone(), stop.clone());
        app.tasks.spawn(connection);
    }
}

/// Who is at the other end of a connection; with each request as an extension.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) address: IpAddr,
    /// Held for as long as it is open.
    pub(crate) socket: Arc<Socket>,
}

/// What is to be known of an open connection.
#[derive(Debug)]
pub(crate) struct Socket {
    _place: Place,
    upgraded: AtomicBool,
}

impl Socket {
    fn new(place: Place) -> Self {
        Self {
            _place: place,
            upgraded: AtomicBool::new(false),
        }
    }

    /// The answer that goes out next is the last one of HTTP.
    pub(crate) fn upgrade(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    fn is_upgraded(&self) -> bool {
        self.upgraded.load(Ordering::Acquire)
    }
}

async fn serve(stream: TcpStream, peer: Peer, router: axum::Router, stop: CancellationToken) {
    // Nothing is set up for a client that has yet to send its first byte: in a storm thousands are connected first.
    let readable = timeout(HEADER_TIMEOUT, stream.readable());
    if !matches!(stop.run_until_cancelled(readable).await, Some(Ok(Ok(())))) {
        return;
    }
    // On the heap, so that the task is small until then.
    Box::pin(serve_requests(stream, peer, router, stop)).await;
}

async fn serve_requests(stream: TcpStream, peer: Peer, router: axum::Router, stop: CancellationToken) {
    let address = peer.address;
    let guarded = Guarded::new(stream, Arc::clone(&peer.socket));
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().oneshot(Request::from(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(guarded), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = match stop.run_until_cancelled(connection.as_mut()).await {
        Some(served) => served,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%address, %error, "a connection ended early");
    }
}
