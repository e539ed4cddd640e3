//! Between the socket and the store: the webhook, and whether the server is healthy.
//!
//! Nothing here knows Cachet. The webhook stores what it got, wakes the reconciler and answers.

pub mod auth;
mod client_address;
mod health;
mod metrics;
mod ready;
mod serve;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use ipnet::IpNet;

use crate::core::watchdog::Watchdog;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::reconcile::Wake;
use crate::store::Store;
use auth::{Authenticator, NoRandomness, Users};
use health::StoreHealth;
pub use metrics::metrics_router;
pub use serve::serve;
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
    /// The alert that is a sign of life.
    pub watchdog: Option<Watchdog>,
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

struct Shared {
    authenticator: Authenticator,
    trusted_proxies: Vec<IpNet>,
    logged_body_limit_bytes: usize,
    watchdog: Option<Watchdog>,
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
            trusted_proxies: settings.trusted_proxies,
            logged_body_limit_bytes: settings.logged_body_limit_bytes,
            watchdog: settings.watchdog,
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

    /// How many passwords were verified the slow way since the start.
    pub fn password_verifications(&self) -> u64 {
        self.shared.authenticator.verifications()
    }
}

/// The paths of the server itself. Others may be merged to it; it has no fallback.
pub fn router(app: App) -> Router {
    Router::new()
        .route("/webhook", any(webhook::receive))
        // A slash too many in Alertmanager's configuration would be a 404, and every alert lost.
        .route("/webhook/", any(webhook::receive))
        .route("/health", get(health::health))
        .route("/-/ready", get(ready::ready))
        .route("/-/healthy", get(health::alive))
        .with_state(app)
}
