//! Between the socket and the store: the webhook, and whether the server is healthy.
//!
//! Nothing here knows Cachet. The webhook stores what it got, wakes the reconciler and answers.

pub mod auth;
mod client_address;
pub mod guard;
mod health;
mod metrics;
mod places;
mod ready;
pub mod reload;
mod serve;
pub mod tls;
mod webhook;

use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use ipnet::IpNet;

use crate::core::expiry::ResolveRule;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::reconcile::Wake;
use crate::store::Store;
use auth::{Authenticator, NoRandomness, Users};
use health::StoreHealth;
pub use metrics::metrics_router;
pub use places::Limits;
pub use serve::{HEADERS_LIMIT_BYTES, HEADERS_TIMEOUT, Listener, serve};
pub use webhook::BODY_LIMIT_BYTES;

/// How the server behaves towards those who post.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who may post.
    pub users: Users,
    /// Networks whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// How many bytes of a notification's body are logged; 0: none.
    pub logged_body_limit_bytes: usize,
    /// How resolves are judged, with which watchdog. `None`: every resolve counts.
    pub resolve_rule: Option<ResolveRule>,
}

/// Whom the webhook tells.
#[derive(Debug, Clone, Default)]
pub struct Wakes {
    /// That alerts were stored.
    pub reconciler: Wake,
    /// That Alertmanager should be asked: it cut alerts off, they could not be stored, or they contradict a resolve.
    pub repairer: Wake,
}

/// What the handlers share. Clones are cheap and share it, too.
#[derive(Clone)]
pub struct App {
    shared: Arc<Shared>,
    metrics: Metrics,
    readiness: Readiness,
    live: Live,
}

/// What answers carry that do not say otherwise themselves.
type Headers = Arc<[(HeaderName, HeaderValue)]>;

struct Shared {
    authenticator: Authenticator,
    headers: RwLock<Headers>,
    trusted_proxies: Vec<IpNet>,
    logged_body_limit_bytes: usize,
    resolve_rule: RwLock<Option<ResolveRule>>,
    store: Store,
    store_health: StoreHealth,
    wakes: Wakes,
    log: Log,
}

impl App {
    /// The server's state: alerts go to `store`, then `wakes` are called; `log` gets a line a request.
    ///
    /// # Errors
    /// [`NoRandomness`] if the system gives no random numbers.
    pub fn new(settings: Settings, store: Store, wakes: Wakes, log: Log) -> Result<Self, NoRandomness> {
        let shared = Shared {
            authenticator: Authenticator::new(settings.users)?,
            headers: RwLock::default(),
            trusted_proxies: settings.trusted_proxies,
            logged_body_limit_bytes: settings.logged_body_limit_bytes,
            resolve_rule: RwLock::new(settings.resolve_rule),
            store,
            store_health: StoreHealth::default(),
            wakes,
            log,
        };
        let (metrics, readiness, live) = (Metrics::default(), Readiness::default(), Live::default());
        Ok(Self { shared: Arc::new(shared), metrics, readiness, live })
    }

    /// Has it tell the console what arrives and cannot be used.
    pub fn shown_by(self, live: Live) -> Self {
        Self { live, ..self }
    }

    /// Who knows who may come in, for others that ask for a password.
    pub fn authenticator(&self) -> &Authenticator {
        &self.shared.authenticator
    }

    /// Has it tell what is posted, and tell others how the parts are that it does not see.
    pub fn watched_by(self, metrics: Metrics, readiness: Readiness) -> Self {
        Self { metrics, readiness, ..self }
    }

    /// From now on lets `users` in and nobody else, and adds `headers` to answers that do not have them.
    pub fn go_on_with(&self, users: Users, headers: Vec<(HeaderName, HeaderValue)>) {
        self.shared.authenticator.replace_users(users);
        *self.shared.headers.write().unwrap_or_else(PoisonError::into_inner) = headers.into();
    }

    /// Replaces the rule for resolves, and with it the watchdog.
    pub fn judge_resolves_by(&self, rule: Option<ResolveRule>) {
        *self.shared.resolve_rule.write().unwrap_or_else(PoisonError::into_inner) = rule;
    }

    fn resolve_rule(&self) -> Option<ResolveRule> {
        self.shared.resolve_rule.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn headers(&self) -> Headers {
        Arc::clone(&self.shared.headers.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many passwords were verified the slow way since the start.
    pub fn password_verifications(&self) -> u64 {
        self.shared.authenticator.verifications()
    }
}

/// `router` with the headers that the configuration adds to every answer.
pub fn with_headers(router: Router, app: App) -> Router {
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
        .route("/-/ready", get(ready::ready))
        .route("/-/healthy", get(health::alive))
        .route_layer(from_fn_with_state(app.clone(), guard::operators_only))
        .with_state(app)
}
