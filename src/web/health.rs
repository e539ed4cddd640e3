//! Whether the server works, for those who restart it or send it requests. No authentication, no details.
//!
//! Healthy is a server that can store notifications. Its last write tells; where that was a while ago, one is tried.
//! That monitoring data is missing is told, but no reason to be unhealthy: a server that nobody sends requests to would
//! never hear the watchdog again.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, error, info};

use super::App;

/// How long a write may take before the store counts as broken. Longer than a write waits for a lock, so that this is
/// what is said of a locked store; shorter than `healthcheck` waits.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long the outcome of a write counts. So often at most is a write tried, however many ask.
const OUTCOME_COUNTS_FOR: Duration = Duration::from_secs(5);

/// What came of the last write to the store, a notification's or one that was tried for the asking.
#[derive(Default)]
pub(super) struct StoreHealth {
    last: Mutex<Option<Outcome>>,
    /// Held while a write is tried, so that all who ask meanwhile share it.
    trying: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy)]
struct Outcome {
    at: Instant,
    works: bool,
}

impl StoreHealth {
    /// Takes note of what came of a write. Says once that the store does not work, with the cause, and once that it is
    /// over.
    pub(super) fn note<E: Display>(&self, outcome: &Result<(), E>) {
        let works = outcome.is_ok();
        let last = self.lock().replace(Outcome { at: Instant::now(), works });
        let worked = last.is_none_or(|last| last.works);
        match outcome {
            Err(error) if worked => {
                error!(%error, "notifications cannot be stored: they are answered with 503, Alertmanager sends them again");
            }
            Err(error) => debug!(%error, "the store still cannot be written"),
            Ok(()) if !worked => info!("notifications can be stored again"),
            Ok(()) => {}
        }
    }

    /// What is known without trying.
    fn known(&self) -> Option<bool> {
        self.lock().filter(|last| last.at.elapsed() < OUTCOME_COUNTS_FOR).map(|last| last.works)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Outcome>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /health`, `GET /-/ready`: whether notifications can be stored, and whether monitoring data comes in.
pub(super) async fn health(State(app): State<App>) -> Response {
    let store = &app.shared.store_health;
    let works = match timeout(WRITE_TIMEOUT, can_store(&app)).await {
        Ok(works) => works,
        Err(_) => {
            store.note(&Err(format!("the store did not answer within {WRITE_TIMEOUT:?}: check its disk")));
            false
        }
    };
    if !works {
        return answer(StatusCode::SERVICE_UNAVAILABLE, "store unavailable");
    }
    match monitoring(&app).await {
        Some(monitoring) => Json(json!({ "status": "ok", "monitoring": monitoring })).into_response(),
        None => answer(StatusCode::OK, "ok"),
    }
}

/// How the monitoring is, in a word; `None` if no watchdog is configured, or the store does not tell in time.
async fn monitoring(app: &App) -> Option<&'static str> {
    app.shared.watchdog.as_ref()?;
    let pulse = timeout(WRITE_TIMEOUT, app.shared.store.pulse()).await.ok()?.ok()?;
    Some(if pulse.missing_at.is_some() { "missing" } else { "ok" })
}

/// Looks at the last write, or tries one. A task of its own does it: whoever asks may go before it is done, and there is
/// never more than one that waits for a disk.
async fn can_store(app: &App) -> bool {
    let store = &app.shared.store_health;
    if let Some(works) = store.known() {
        return works;
    }
    let turn = Arc::clone(&store.trying).lock_owned().await;
    if let Some(works) = store.known() {
        return works;
    }
    let app = app.clone();
    let tried = tokio::spawn(async move {
        let _turn = turn;
        let outcome = app.shared.store.try_write().await;
        app.shared.store_health.note(&outcome);
        outcome.is_ok()
    });
    tried.await.unwrap_or(false)
}

/// `GET /-/healthy`: whether the process answers at all.
pub(super) async fn alive() -> Response {
    answer(StatusCode::OK, "ok")
}

fn answer(status: StatusCode, word: &str) -> Response {
    (status, Json(json!({ "status": word }))).into_response()
}
