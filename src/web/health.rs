//! Whether the server works: for those who restart it, without details (`/health`, `/-/healthy`), and which parts of it do
//! (`/-/ready`). No authentication, no secrets.
//!
//! Healthy is a server that can store notifications. Its last write tells; where that was a while ago, one is tried.
//! That monitoring data is missing is no reason to be unhealthy: a server that nobody sends requests to would never hear
//! the watchdog again.
//!
//! Three ask whether it is ready. A reverse proxy and a container's health check look at the status code alone: one stops
//! sending requests here, the other starts the server again. Both would only do harm while Cachet is away or a file has a
//! typo, for notifications are stored all the same and take effect later; so 503 means one thing, that they **cannot be
//! stored**. A person reads the body, which says of each part whether it is good, and if not, what is wrong and the cure.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;
use tracing::{debug, error, info};

use super::App;
use crate::readiness::Condition;

/// How long a write may take before the store counts as broken. Longer than a write waits for a lock, so that this is
/// what is said of a locked store; shorter than `healthcheck` waits.
const WRITE_TIMEOUT: Duration = Duration::from_millis(2500);

/// How long the outcome of a write counts. So often at most is a write tried, however many ask.
const OUTCOME_COUNTS_FOR: Duration = Duration::from_secs(5);

/// What came of the last write to the store, a notification's or one that was tried for the asking.
#[derive(Default)]
pub(super) struct StoreHealth {
    last: Mutex<Option<(Instant, Verdict)>>,
    /// Held while a write is tried, so that all who ask meanwhile share it.
    trying: Arc<tokio::sync::Mutex<()>>,
}

/// Whether the store can be written; else why not, and the cure.
type Verdict = Result<(), String>;

impl StoreHealth {
    /// Takes note of what came of a write. Says once that the store does not work, with the cause, and once that it is
    /// over.
    pub(super) fn note<E: Display>(&self, outcome: &Result<(), E>) {
        let verdict = outcome.as_ref().copied().map_err(ToString::to_string);
        let worked = self.last.lock().replace((Instant::now(), verdict)).is_none_or(|(_, last)| last.is_ok());
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
    fn known(&self) -> Option<Verdict> {
        self.last
            .lock()
            .as_ref()
            .filter(|(at, _)| at.elapsed() < OUTCOME_COUNTS_FOR)
            .map(|(_, verdict)| verdict.clone())
    }
}

/// `GET /health`: whether notifications can be stored.
pub(super) async fn health(State(app): State<App>) -> Response {
    let works = store(&app).await.is_ok();
    if works { answer(StatusCode::OK, "ok") } else { answer(StatusCode::SERVICE_UNAVAILABLE, "store unavailable") }
}

/// Whether monitoring data comes in; `None` if no watchdog is configured, or the store does not tell in time.
async fn monitoring(app: &App) -> Option<Verdict> {
    let watchdog = app.parts.settings.borrow().resolve_rule()?.watchdog;
    let pulse = timeout(WRITE_TIMEOUT, app.parts.store.pulse()).await.ok()?.ok()?;
    Some(match pulse.missing_at {
        None => Ok(()),
        Some(since) => Err(format!(
            "the alert {:?} is missing since {since}, so monitoring data may be: check that Prometheus runs, and that \
             Alertmanager sends it here",
            watchdog.alertname()
        )),
    })
}

/// Whether notifications can be stored: looks at the last write, or tries one. A task of its own does it: whoever asks may go
/// before it is done, and there is never more than one that waits for a disk.
async fn store(app: &App) -> Verdict {
    let health = &app.store_health;
    let looked_at = async {
        if let Some(verdict) = health.known() {
            return verdict;
        }
        let turn = Arc::clone(&health.trying).lock_owned().await;
        if let Some(verdict) = health.known() {
            return verdict;
        }
        let app = app.clone();
        let tried = tokio::spawn(async move {
            let _turn = turn;
            let outcome = app.parts.store.try_write().await;
            app.store_health.note(&outcome);
            outcome.map_err(|error| error.to_string())
        });
        tried.await.unwrap_or_else(|_| Err("the attempt to write to the store ended early: see the log".to_owned()))
    };
    timeout(WRITE_TIMEOUT, looked_at).await.unwrap_or_else(|_| {
        let verdict = Err(format!("the store did not answer within {WRITE_TIMEOUT:?}: check its disk"));
        health.note(&verdict);
        verdict
    })
}

/// What `/-/ready` answers.
#[derive(Debug, Serialize)]
struct Ready {
    /// `ready`; `degraded`: notifications are stored, but a person should look at a part; `not_ready`: they cannot be stored.
    status: &'static str,
    parts: Parts,
}

/// In the order of what matters.
#[derive(Debug, Serialize)]
struct Parts {
    store: Part,
    cachet: Part,
    configuration: Part,
    /// Only where a watchdog is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<Part>,
}

#[derive(Debug, Serialize)]
struct Part {
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The abilities of Cachet's token, each `works`, `missing` or `unknown`. An unknown one is not a problem: no call has needed
    /// it yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    abilities: BTreeMap<&'static str, &'static str>,
}

/// `GET /-/ready`: how each part is.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let part = |verdict: Verdict| Part { good: verdict.is_ok(), problem: verdict.err(), abilities: BTreeMap::new() };
    let known = |condition: &Condition, unknown: &str| part(condition.clone().unwrap_or(Err(unknown.to_owned())));
    let (cachet, configuration) = {
        let parts = app.parts.readiness.lock();
        let word = |ability| match ability {
            None => "unknown",
            Some(true) => "works",
            Some(false) => "missing",
        };
        let abilities = parts.abilities.iter().map(|(name, ability)| (*name, word(*ability))).collect();
        let cachet = known(&parts.cachet, "the page was not asked yet: ask again in a moment");
        let configuration = known(&parts.configuration, "the configuration was not read yet: ask again");
        (Part { abilities, ..cachet }, configuration)
    };
    let (store, monitoring) = (part(store(&app).await), monitoring(&app).await.map(part));
    let parts = Parts { store, cachet, configuration, monitoring };
    let others = [Some(&parts.cachet), Some(&parts.configuration), parts.monitoring.as_ref()];
    let (code, status) = match (parts.store.good, others.into_iter().flatten().all(|part| part.good)) {
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
        (true, false) => (StatusCode::OK, "degraded"),
        (true, true) => (StatusCode::OK, "ready"),
    };
    (code, Json(Ready { status, parts })).into_response()
}

/// Whether it works, in a word. With `ok` also the answer to `GET /-/healthy`, which asks whether the process answers at all.
pub(super) fn answer(status: StatusCode, word: &str) -> Response {
    (status, Json(json!({ "status": word }))).into_response()
}
