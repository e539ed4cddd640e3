//! Between the socket and the store: the webhook, and whether the server is healthy.
//!
//! Nothing here knows Cachet. The webhook stores what it got, wakes the reconciler and answers.

pub mod auth;
pub(crate) mod guard;
mod health;
pub mod places;
pub mod serve;
pub mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use ipnet::IpNet;
use tokio::sync::{mpsc, oneshot};

use crate::clock;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::{self, Metrics, Refusal};
use crate::readiness::Readiness;
use crate::reconcile::Wake;
use crate::settings::SettingsInForce;
use crate::store::Store;
use auth::{Authenticator, NoRandomness};
use guard::is_from_here;
use health::StoreHealth;
pub use serve::serve;

/// Whom the webhook tells.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// That alerts were stored.
    pub reconciler: Wake,
    /// That Alertmanager should be asked: it cut alerts off, they could not be stored, or they contradict a resolve.
    pub repairer: Wake,
}

/// What the server works with.
#[derive(Clone)]
pub struct Parts {
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many bytes of a notification's body are logged; 0: none.
    pub logged_body_limit_bytes: usize,
    /// What is configured and may change.
    pub settings: SettingsInForce,
    /// Where alerts go.
    pub store: Store,
    /// Whom it tells of them.
    pub wakes: Wakes,
    /// What gets a line a request.
    pub log: Log,
    /// What counts the requests.
    pub metrics: Metrics,
    /// How the parts are that it does not see.
    pub readiness: Readiness,
    /// What tells the console what arrives and cannot be used.
    pub live: Live,
}

/// What the handlers share. Clones are cheap and share it, too.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
    /// Who knows who may come in, for others that ask for a password as well.
    pub(crate) authenticator: Arc<Authenticator>,
    store_health: Arc<StoreHealth>,
}

impl App {
    /// The server's state.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random numbers.
    pub fn new(parts: Parts) -> Result<Self, NoRandomness> {
        let authenticator = Authenticator::new(parts.settings.clone())?;
        Ok(Self { parts: Arc::new(parts), authenticator, store_health: Arc::default() })
    }
}

/// `router` with the headers that the configuration adds to every answer.
pub(crate) fn with_headers(router: Router, app: App) -> Router {
    router.layer(from_fn_with_state(app, guard::add_headers))
}

/// The paths of the server itself. Others may be merged to it; it has no fallback. Whatever is added here is for
/// operators alone, where there are some, unless `guard` names it.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/webhook", any(webhook::receive))
        // A slash too many in Alertmanager's configuration would be a 404, and every alert lost.
        .route("/webhook/", any(webhook::receive))
        .route("/health", get(health::health))
        .route("/-/ready", get(health::ready))
        .route("/-/healthy", get(async || health::answer(StatusCode::OK, "ok")))
        .route_layer(from_fn_with_state(app.clone(), guard::operators_only))
        .with_state(app)
}

/// `/metrics`, to be merged to the other paths or served on a port of its own.
///
/// Where there are operators (`basic_auth_users`), it is for them; else without authentication, as is usual. Whoever may
/// reach the listen address may read it, so a reverse proxy forwards `/webhook` only.
pub(crate) fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/metrics", get(metrics_text))
        .route_layer(from_fn_with_state(app.clone(), guard::operators_only))
        .with_state(app)
}

async fn metrics_text(State(app): State<App>) -> Response {
    match app.parts.metrics.text(clock::now()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            let text = format!("the metrics cannot be told ({error}): report this with the version of the program\n");
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// How many requests for a reload wait for their turn; more wait for a place. They are served one after the other.
pub(crate) const RELOADS_WAITING: usize = 16;

/// A request for a reload: where to send what came of it, a line or more. That is what is in effect; or what is wrong, and
/// everything is as it was.
pub(crate) type ReloadRequest = oneshot::Sender<Result<String, String>>;

/// Asks for a reload, and waits for what comes of it; `None` if the server ends before.
pub(crate) async fn ask_for_reload(requests: &mpsc::Sender<ReloadRequest>) -> Option<Result<String, String>> {
    let (answer, answered) = oneshot::channel();
    requests.send(answer).await.ok()?;
    answered.await.ok()
}

/// `POST /-/reload`: has the configuration read again by whoever receives the requests. To be merged to the other paths.
pub(crate) fn reload_router(app: App, requests: mpsc::Sender<ReloadRequest>) -> Router {
    Router::new().route("/-/reload", any(reload)).with_state((app, requests))
}

/// 200 once the new configuration is in effect; 500, as Prometheus answers, with every problem of one that is not good.
async fn reload(
    State((app, requests)): State<(App, mpsc::Sender<ReloadRequest>)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    if method != Method::POST && method != Method::PUT {
        let text = "a reload is asked for with POST\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST, PUT")], text).into_response();
    }
    if !is_from_here(&headers) {
        return app.parts.metrics.refused(Refusal::CrossSite).into_response();
    }
    if let Err(refusal) = app.authenticator.check(headers.get(AUTHORIZATION), None).await {
        return app.parts.metrics.refused(refusal).into_response();
    }
    // In a task of its own, so that it comes to its end though whoever asked hangs up.
    match tokio::spawn(async move { ask_for_reload(&requests).await }).await {
        Ok(Some(Ok(text))) => (StatusCode::OK, text).into_response(),
        Ok(Some(Err(text))) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        Ok(None) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response(),
    }
}
