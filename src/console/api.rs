//! The read API. Every path and every answer stands in `docs/openapi.yaml`, which a test compares with this.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::json;

use super::gate::Visit;
use super::{API_PATHS, Console, Failure};
use crate::core::explain::{Explanation, WaitingChange, summaries, waiting_firings};
use crate::insight::{self, Insight, TIMELINE_DAYS};
use crate::live::{Budget, Correction, Poll};
use crate::metrics::change_kind;

/// The routes of [`API_PATHS`].
pub fn routes() -> Router<Console> {
    let [components, one_component, waiting, ignored, held, polled, watchdog, page, openapi] = API_PATHS;
    let list = async |State(console): State<Console>| {
        let insight = console.insight().await.map_err(Failure::from);
        answer(insight.map(|insight| json!({ "components": summaries(insight.facts()) })))
    };
    let one = async |visit: Visit| {
        answer(component(&visit.console, &visit.name, visit.query.0.get("days").map(String::as_str)).await)
    };
    let changes = async |State(console): State<Console>| {
        answer(console.insight().await.map(|insight| changes(&console, &insight)).map_err(Failure::from))
    };
    let ignored_alerts =
        async |State(console): State<Console>| Json(json!({ "ignored": console.parts.live.ignored() }));
    let held_refires = async |State(console): State<Console>| {
        let insight = console.insight().await.map_err(Failure::from);
        answer(insight.map(|insight| json!({ "held": waiting_firings(insight.facts()) })))
    };
    let alertmanager = async |State(console): State<Console>| Json(alertmanager(&console));
    let monitoring = async |State(console): State<Console>| {
        answer(console.insight().await.map(|insight| monitoring(&console, &insight)).map_err(Failure::from))
    };
    let document = ([(header::CONTENT_TYPE, "application/yaml")], include_str!("../../docs/openapi.yaml"));
    Router::new()
        .route(components, get(list))
        .route(one_component, get(one))
        .route(waiting, get(changes))
        .route(ignored, get(ignored_alerts))
        .route(held, get(held_refires))
        .route(polled, get(alertmanager))
        .route(watchdog, get(monitoring))
        .route(page, get(async |State(console): State<Console>| answer(super::page::state(&console).await)))
        .route(openapi, get(document))
}

/// What the page has not taken yet.
#[derive(Debug, Serialize)]
pub struct Changes {
    /// When the last reconcile run was (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciled_at: Option<String>,
    /// Why nothing can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What Cachet's rate limit allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What waits, in the order in which it is written.
    pub changes: Vec<WaitingChange>,
}

/// What was learned by reading Alertmanager.
#[derive(Debug, Serialize)]
pub struct Alertmanager {
    /// The last reading; absent if there was none, as where ALERTMANAGER_URL is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<Poll>,
    /// What was corrected without a notification since the start, the latest first.
    pub corrections: Vec<Correction>,
    /// Its earlier name.
    pub repairs: Vec<Correction>,
}

/// Whether monitoring data comes in.
#[derive(Debug, Serialize)]
pub struct MonitoringState {
    /// The alert that must keep coming; absent where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watchdog: Option<String>,
    /// When it was last heard (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_heard_at: Option<String>,
    /// Since when it is missing (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<String>,
}

/// A component with its past; `days`: as somebody typed it.
pub async fn component(console: &Console, name: &str, days: Option<&str>) -> Result<Explanation, Failure> {
    let parts = &console.parts;
    let settings = parts.settings.borrow().clone();
    let longest = settings.config.history_days;
    let days = match days {
        None => TIMELINE_DAYS.min(longest),
        Some(text) => text.parse().ok().filter(|days| (1..=longest).contains(days)).ok_or_else(|| {
            let text: String = text.chars().take(20).collect();
            Failure::Bad(format!("days={text:?} cannot be told: ask for 1 to {longest} (history_days)"))
        })?,
    };
    let (component, explanation, insight) = console.explained(name).await?;
    let past = insight::past(&parts.store, &settings, &component, days, insight.now).await?;
    Ok(Explanation { past: Some(past), ..explanation })
}

/// What waits, with what the server knows of it.
pub fn changes(console: &Console, insight: &Insight) -> Changes {
    let writing = console.parts.live.writing();
    let of = |change: &crate::core::operation::Operation| WaitingChange {
        since: writing.waiting.get(&(change_kind(change), change.key())).map(ToString::to_string),
        problem: writing.failing.get(&change.key()).cloned(),
        ..WaitingChange::of(change)
    };
    Changes {
        reconciled_at: writing.at.map(|at| at.to_string()),
        changes: insight.facts().plan.operations.iter().map(of).collect(),
        budget: writing.budget,
        problem: writing.problem,
    }
}

/// What was learned by reading Alertmanager.
pub fn alertmanager(console: &Console) -> Alertmanager {
    let live = &console.parts.live;
    Alertmanager { last_poll: live.poll(), corrections: live.corrections(), repairs: live.corrections() }
}

/// Whether monitoring data comes in.
pub fn monitoring(console: &Console, insight: &Insight) -> MonitoringState {
    let settings = console.parts.settings.borrow();
    let Some(watchdog) = settings.config.watchdog() else {
        return MonitoringState { watchdog: None, last_heard_at: None, missing_since: None };
    };
    let pulse = insight.pulse;
    MonitoringState {
        watchdog: Some(watchdog.alertname().to_owned()),
        last_heard_at: pulse.last_heartbeat.map(|moment| moment.to_string()),
        missing_since: pulse.missing_at.map(|moment| moment.to_string()),
    }
}

fn answer<T: Serialize>(outcome: Result<T, Failure>) -> Response {
    outcome.map_or_else(IntoResponse::into_response, |value| Json(value).into_response())
}
