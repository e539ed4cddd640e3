//! Between the socket and the store: the webhook, and whether the server is healthy.
//!
//! Nothing here knows Cachet. The webhook stores what it got, wakes the reconciler and answers.

pub mod auth;
mod client_address;
pub(crate) mod guard;
mod health;
pub mod places;
pub(crate) mod reload;
pub mod serve;
pub mod webhook;

use std::ops::Deref;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use ipnet::IpNet;

use crate::clock;
use crate::core::expiry::ResolveRule;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::{self, Metrics};
use crate::readiness::Readiness;
use crate::reconcile::Wake;
use crate::settings::SettingsInForce;
use crate::store::Store;
use auth::{Authenticator, NoRandomness};
use health::StoreHealth;
pub use serve::{Listener, serve};

/// How the server behaves towards those who post.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many bytes of a notification's body are logged; 0: none.
    pub logged_body_limit_bytes: usize,
    /// What is configured and may change.
    pub in_force: SettingsInForce,
}

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
    /// How it behaves.
    pub settings: Settings,
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
pub struct App(Arc<Shared>);

/// What the clones of an [`App`] share.
pub struct Shared {
    parts: Parts,
    /// Who knows who may come in, for others that ask for a password as well.
    pub authenticator: Authenticator,
    store_health: StoreHealth,
}

impl Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// The server's state.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random numbers.
    pub fn new(parts: Parts) -> Result<Self, NoRandomness> {
        let authenticator = Authenticator::new(parts.settings.in_force.clone())?;
        Ok(Self(Arc::new(Shared { parts, authenticator, store_health: StoreHealth::default() })))
    }

    /// How resolves are judged, by which watchdog.
    fn resolve_rule(&self) -> Option<ResolveRule> {
        self.parts.settings.in_force.borrow().resolve_rule()
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
        .route("/-/healthy", get(health::alive))
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
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
