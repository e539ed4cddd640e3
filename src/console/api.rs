//! The read API. Every path and every answer stands in `docs/openapi.yaml`, which a test compares with this.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use super::asked::{Asked, Named};
use super::{API_PATHS, Console, Failure};
use crate::core::explain::{ComponentSummary, Explanation, HeldFiring, WaitingChange, held_refires, summaries};
use crate::insight::{self, Insight, TIMELINE_DAYS};
use crate::live::{Budget, Ignored, Poll, Repaired};
use crate::metrics::Metrics;

/// The routes of [`API_PATHS`].
pub fn routes() -> Router<Console> {
    let [components, component, changes, ignored, held, alertmanager, monitoring, page, openapi] = API_PATHS;
    Router::new()
        .route(components, get(list))
        .route(component, get(one))
        .route(changes, get(|State(console): State<Console>| async move { answer(changes_of(&console).await) }))
        .route(ignored, get(|State(console): State<Console>| async move { Json(ignored_of(&console)) }))
        .route(held, get(|State(console): State<Console>| async move { answer(held_of(&console).await) }))
        .route(alertmanager, get(|State(console): State<Console>| async move { Json(alertmanager_of(&console)) }))
        .route(monitoring, get(|State(console): State<Console>| async move { answer(monitoring_now(&console).await) }))
        .route(page, get(|State(console): State<Console>| async move { answer(super::page::state(&console).await) }))
        .route(openapi, get(document))
}

/// All components.
#[derive(Debug, Serialize)]
struct Components {
    components: Vec<ComponentSummary>,
}

/// What Cachet has not taken yet.
#[derive(Debug, Serialize)]
pub struct Changes {
    /// When the reconciler last went (RFC 3339).
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

/// The alerts that cannot be used.
#[derive(Debug, Serialize)]
struct IgnoredAlerts {
    ignored: Vec<Ignored>,
}

/// The firings that do not count yet.
#[derive(Debug, Serialize)]
struct HeldRefires {
    held: Vec<HeldFiring>,
}

/// What was learned by reading Alertmanager.
#[derive(Debug, Serialize)]
pub struct Alertmanager {
    /// The last reading; absent if there was none, as where ALERTMANAGER_URL is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_poll: Option<Poll>,
    /// What was corrected without a notification since the start, the latest first.
    pub repairs: Vec<Repaired>,
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

async fn list(State(console): State<Console>) -> Response {
    let insight = console.insight().await.map_err(Failure::from);
    answer(insight.map(|insight| Components { components: summaries(insight.facts()) }))
}

async fn one(State(console): State<Console>, Named(name): Named, asked: Asked) -> Response {
    answer(component(&console, &name, asked.days.as_deref()).await)
}

/// A component with its past; `days`: as somebody typed it.
pub async fn component(console: &Console, name: &str, days: Option<&str>) -> Result<Explanation, Failure> {
    let parts = &console.shared.parts;
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
    let past = insight::past(&parts.store, &settings, &component, days, insight.now()).await?;
    Ok(Explanation { past: Some(past), ..explanation })
}

async fn changes_of(console: &Console) -> Result<Changes, Failure> {
    let insight = console.insight().await?;
    Ok(changes(console, &insight))
}

/// What waits, with what the server knows of it.
pub fn changes(console: &Console, insight: &Insight) -> Changes {
    let writing = console.shared.parts.live.writing();
    let of = |change: &crate::core::plan::Change| WaitingChange {
        since: writing.waiting.get(&(Metrics::kind_of(change), change.key())).map(ToString::to_string),
        problem: writing.failing.get(&change.key()).cloned(),
        ..WaitingChange::of(change)
    };
    Changes {
        reconciled_at: writing.at.map(|at| at.to_string()),
        changes: insight.facts().plan.changes.iter().map(of).collect(),
        budget: writing.budget,
        problem: writing.problem,
    }
}

fn ignored_of(console: &Console) -> IgnoredAlerts {
    IgnoredAlerts { ignored: console.shared.parts.live.ignored() }
}

async fn held_of(console: &Console) -> Result<HeldRefires, Failure> {
    Ok(HeldRefires { held: held_refires(console.insight().await?.facts()) })
}

/// What was learned by reading Alertmanager.
pub fn alertmanager_of(console: &Console) -> Alertmanager {
    let live = &console.shared.parts.live;
    Alertmanager { last_poll: live.poll(), repairs: live.repairs() }
}

async fn monitoring_now(console: &Console) -> Result<MonitoringState, Failure> {
    let insight = console.insight().await?;
    Ok(monitoring(console, &insight))
}

/// Whether monitoring data comes in.
pub fn monitoring(console: &Console, insight: &Insight) -> MonitoringState {
    let settings = console.shared.parts.settings.borrow();
    let Some(watchdog) = settings.config.watchdog() else {
        return MonitoringState { watchdog: None, last_heard_at: None, missing_since: None };
    };
    let pulse = insight.pulse();
    MonitoringState {
        watchdog: Some(watchdog.alertname().to_owned()),
        last_heard_at: pulse.last_heartbeat.map(|moment| moment.to_string()),
        missing_since: pulse.missing_at.map(|moment| moment.to_string()),
    }
}

/// The document that describes all of this.
async fn document() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], include_str!("../../docs/openapi.yaml")).into_response()
}

fn answer<T: Serialize>(outcome: Result<T, Failure>) -> Response {
    outcome.map_or_else(IntoResponse::into_response, |value| Json(value).into_response())
}

impl Failure {
    /// The status code, wherever the failure is told.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Template(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::UnknownComponent { .. } | Self::UnknownOnPage(_) | Self::NoPage => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Problem {
            error: String,
        }
        (self.status(), Json(Problem { error: self.to_string() })).into_response()
    }
}
