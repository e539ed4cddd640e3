//! The read API. Every path and every answer stands in `docs/openapi.yaml`, which a test compares with this.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::gate::Visit;
use super::{API_PATHS, Console, Failure};
use crate::core::explain::{Explanation, Facts, Summary};
use crate::core::operation::Operation;
use crate::core::watchdog::Pulse;
use crate::insight::{self, TIMELINE_DAYS};
use crate::metrics::change_kind;

/// The routes of [`API_PATHS`].
pub(super) fn routes() -> Router<Arc<Console>> {
    let [components, one_component, waiting, ignored, held, polled, watchdog, page, openapi] = API_PATHS;
    let known_now = |of: fn(&Console, &Facts) -> Value| {
        get(async move |State(console): State<Arc<Console>>| {
            answer(console.facts().await.map(|facts| of(&console, &facts)).map_err(Failure::from))
        })
    };
    let one = async |visit: Visit| {
        answer(component(&visit.console, &visit.name, visit.query.0.get("days").map(String::as_str)).await)
    };
    let ignored_alerts =
        async |State(console): State<Arc<Console>>| Json(json!({ "ignored": console.parts.live.told().ignored }));
    let watched = async |State(console): State<Arc<Console>>| {
        answer(console.parts.store.pulse().await.map(|pulse| monitoring(&console, pulse)).map_err(Failure::from))
    };
    let document = ([(header::CONTENT_TYPE, "application/yaml")], include_str!("../../docs/openapi.yaml"));
    Router::new()
        .route(components, known_now(|_, facts| json!({ "components": summaries(&facts.summaries()) })))
        .route(one_component, get(one))
        .route(waiting, known_now(changes))
        .route(ignored, get(ignored_alerts))
        .route(held, known_now(|_, facts| json!({ "held": facts.waiting_firings() })))
        .route(polled, get(async |State(console): State<Arc<Console>>| Json(alertmanager(&console))))
        .route(watchdog, get(watched))
        .route(page, get(async |State(console): State<Arc<Console>>| answer(super::page::state(&console).await)))
        .route(openapi, get(document))
}

/// A component with its past; `days`: as somebody typed it.
pub(super) async fn component(console: &Console, name: &str, days: Option<&str>) -> Result<Explanation, Failure> {
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
    let (component, explanation, now) = console.explained(name).await?;
    let past = insight::past(&parts.store, &settings, &component, days, now).await?;
    Ok(Explanation { past: Some(past), ..explanation })
}

/// Components in a list.
pub(super) fn summaries(components: &[Summary]) -> Vec<Value> {
    let summary = |Summary { it, targets, targets_down }: &Summary| {
        let by = it.operator_override.as_ref();
        let (user, until) = (by.map(|by| &by.user), by.map(|by| &by.until));
        known(json!({
            "component": it.component,
            "group": it.group,
            "status": it.status,
            "reason": it.reason,
            "since": it.since,
            "shown": it.shown.as_ref().and_then(|shown| shown.status.as_ref()),
            "incident": it.incident,
            "overridden_by": user,
            "overridden_until": until,
            // Their earlier names.
            "held_by": user,
            "held_until": until,
            "rules_status": by.map(|by| &by.rules_status),
            "targets": targets,
            "targets_down": targets_down,
            "waiting": it.waiting.len(),
            "remarks": it.remarks,
        }))
    };
    components.iter().map(summary).collect()
}

/// What the page has not taken yet, in the order in which it is written, with what the server knows of it.
pub(super) fn changes(console: &Console, facts: &Facts) -> Value {
    let writing = console.parts.live.told().writing.clone();
    let change = |change: &Operation| {
        known(json!({
            "change": change.to_string(),
            "since": writing.waiting.get(&(change_kind(change), change.key())).map(ToString::to_string),
            "problem": writing.failing.get(&change.key()),
        }))
    };
    known(json!({
        "reconciled_at": writing.at.map(|at| at.to_string()),
        "problem": writing.problem,
        "budget": writing.budget.map(|budget| json!({ "limit": budget.limit, "remaining": budget.remaining })),
        "changes": facts.plan.operations.iter().map(change).collect::<Vec<_>>(),
    }))
}

/// What was learned by reading Alertmanager: the last reading, which is absent if there was none, as where
/// ALERTMANAGER_URL is not set; and what was corrected without a notification since the start, the latest first.
pub(super) fn alertmanager(console: &Console) -> Value {
    let told = console.parts.live.told();
    let poll = told.poll.as_ref().map(|poll| {
        let unheard = poll.unheard.iter();
        let unheard = unheard.map(|(address, problem)| json!({ "address": address, "problem": problem }));
        known(json!({
            "at": poll.at.to_string(),
            "members": poll.members,
            "unheard": unheard.collect::<Vec<_>>(),
            "corrected": poll.corrected,
            // Its earlier name.
            "repaired": poll.corrected,
            "problem": poll.problem,
        }))
    });
    // `repairs`: the earlier name of the corrections.
    known(json!({ "last_poll": poll, "corrections": told.corrections, "repairs": told.corrections }))
}

/// Whether monitoring data comes in: the alert that must keep coming, which is absent where none is configured, when it was
/// last heard, and since when it is missing.
pub(super) fn monitoring(console: &Console, pulse: Pulse) -> Value {
    let settings = console.parts.settings.borrow();
    let Some(watchdog) = settings.config.watchdog() else { return json!({}) };
    known(json!({
        "watchdog": watchdog.alertname(),
        "last_heard_at": pulse.last_heartbeat.map(|moment| moment.to_string()),
        "missing_since": pulse.missing_at.map(|moment| moment.to_string()),
    }))
}

/// An object without its fields that are null: what is not known is absent from an answer.
pub(super) fn known(mut object: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

fn answer<T: Serialize>(outcome: Result<T, Failure>) -> Response {
    outcome.map_or_else(IntoResponse::into_response, |value| Json(value).into_response())
}
