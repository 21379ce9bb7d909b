//! The routes, and what every request goes through before it gets to one.

mod assets;
mod events;
mod files;
pub mod health;
mod history;
mod joining;
mod parameters;
mod storage;
mod stream;
mod wanted;

pub(crate) use storage::Storage;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::get;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::access::{Provenance, Refusal};
use crate::archive::Unpacked;
use crate::config::Settings;
use crate::hub::Registry;
use crate::metrics::{Metrics, Rejection};
use crate::server::{Peer, Places, Tasks};
use crate::tail::Reader;

/// How long a page of a log may take: what reading it may, and a wait for its turn.
pub(crate) const ARCHIVE_TIMEOUT: std::time::Duration =
    history::PAGE_TIME.saturating_add(std::time::Duration::from_secs(2));
/// What an answer that is no page may do in a browser: nothing.
const NO_PAGE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// What the routes work with.
#[derive(Debug)]
pub struct App {
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) reader: Arc<Reader>,
    /// Viewers that are connected.
    pub(crate) viewers: Places,
    pub(crate) storage: Storage,
    /// Reads pages of logs.
    pub(crate) archives: Storage,
    /// Compressed files that were read last.
    pub(crate) unpacked: Arc<Unpacked>,
    /// Searches that are under way.
    pub(crate) searches: Places,
    pub(crate) tasks: Tasks,
    pub(crate) listens_on_loopback: bool,
}

/// All routes below the configured prefix.
pub fn router(app: Arc<App>) -> Router {
    let base = app.settings.current().base_path.clone();
    let at = |path: &str| format!("{base}{path}");
    let compressed = Router::new()
        .route(&at("/api/v1/files"), get(files::list))
        .route(&at("/api/v1/logs/{file}/lines"), get(history::lines))
        .route(&at("/metrics"), get(health::metrics))
        .layer(CompressionLayer::new().quality(CompressionLevel::Best));
    let mut router = Router::new()
        .route(&at("/"), get(assets::index))
        .route(&at("/assets/{name}"), get(assets::asset))
        .route(&at("/assets/{version}/{name}"), get(assets::versioned))
        .route(&at("/api/v1/ws/logs"), get(stream::stream))
        .route(&at("/v1/ws/logs"), get(stream::stream))
        .route(&at("/api/v1/logs/{file}/download"), get(files::download))
        .route(&at("/api/v1/logs/{file}/events"), get(events::events))
        .route(&at("/api/v1/logs/{file}/search"), get(history::search))
        .route(&at(health::ALIVE), get(health::alive))
        .route(&at(health::READY), get(health::ready))
        .merge(compressed);
    if let Some((_, last)) = base.rsplit_once('/') {
        let below = format!("{last}/");
        router = router.route(
            &base,
            get(async move |uri: Uri| {
                let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
                (
                    StatusCode::PERMANENT_REDIRECT,
                    [(header::LOCATION, format!("{below}{query}"))],
                )
            }),
        );
    }
    let set = |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    router
        .method_not_allowed_fallback(async || sentence(StatusCode::METHOD_NOT_ALLOWED, "Only GET is answered here."))
        .fallback(async || sentence(StatusCode::NOT_FOUND, "There is nothing at this address."))
        .layer(from_fn_with_state(Arc::clone(&app), check_access))
        .layer(set(header::CONTENT_SECURITY_POLICY, NO_PAGE_POLICY))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .with_state(app)
}

/// Lets through who may ask, and tells browsers which foreign page may read the answer.
async fn check_access(State(app): State<Arc<App>>, request: Request, next: Next) -> Response<Body> {
    let config = app.settings.current();
    let Some(peer) = request.extensions().get::<Peer>() else {
        return sentence(StatusCode::INTERNAL_SERVER_ERROR, "The connection has no address.");
    };
    let provenance = Provenance {
        peer: peer.address,
        listens_on_loopback: app.listens_on_loopback,
        uri: request.uri(),
        headers: request.headers(),
    };
    let path = request.uri().path().strip_prefix(config.base_path.as_str());
    let exempt = matches!(path, Some(health::ALIVE | health::READY));
    let checked = match exempt {
        true => Ok(()),
        false => provenance.check_host(&config),
    };
    let foreign = match checked.and_then(|()| provenance.check_origin(&config)) {
        Ok(foreign) => foreign,
        Err(refusal) => {
            app.metrics.reject(match refusal.status {
                StatusCode::MISDIRECTED_REQUEST => Rejection::Host,
                _ => Rejection::Origin,
            });
            let Refusal { status, message, .. } = refusal;
            return sentence(status, &message);
        }
    };
    let Some(origin) = foreign.and_then(|origin| HeaderValue::try_from(origin).ok()) else {
        return next.run(request).await;
    };
    let asks_first =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match asks_first {
        true => preflight(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    response
}

fn preflight() -> Response<Body> {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Range, Last-Event-ID"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// An answer that is one sentence for a person.
fn sentence(status: StatusCode, text: &str) -> Response<Body> {
    (status, format!("{text}\n")).into_response()
}

/// An answer for programs: `{"error":…}`.
fn error(status: StatusCode, text: &str) -> Response<Body> {
    (status, axum::Json(serde_json::json!({ "error": text }))).into_response()
}
