//! `GET /-/ready`: which parts of the server work, and whether it should be sent requests. No authentication, no secrets.
//!
//! Three ask. A reverse proxy and a container's health check look at the status code alone: one stops sending requests
//! here, the other starts the server again. Both would only do harm while Cachet is away or a file has a typo, for
//! notifications are stored all the same and take effect later; so 503 means one thing, that they **cannot be stored**.
//! A person reads the body, which says of each part whether it is good, and if not, what is wrong and the cure.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{App, health};
use crate::readiness::{Ability, Condition};

/// The body.
#[derive(Debug, Serialize)]
struct Answer {
    status: Status,
    parts: Parts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Everything works.
    Ready,
    /// Notifications are stored, but a person should look at a part.
    Degraded,
    /// Notifications cannot be stored.
    NotReady,
}

/// In the order of what matters.
#[derive(Debug, Serialize)]
struct Parts {
    store: Part,
    cachet: CachetPart,
    configuration: Part,
    /// Only where a watchdog is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<Part>,
}

#[derive(Debug, Serialize)]
struct CachetPart {
    #[serde(flatten)]
    part: Part,
    /// The abilities of the token. An unknown ability is not a problem: no call has needed it yet.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    abilities: BTreeMap<&'static str, Ability>,
}

#[derive(Debug, Serialize)]
struct Part {
    good: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Says how each part is.
pub(super) async fn ready(State(app): State<App>) -> Response {
    let parts = Parts {
        store: Part::from(health::store(&app).await),
        cachet: CachetPart {
            part: Part::known(app.readiness.cachet(), "the page was not asked yet: ask again in a moment"),
            abilities: app.readiness.abilities(),
        },
        configuration: Part::known(app.readiness.configuration(), "the configuration was not read yet: ask again"),
        monitoring: health::monitoring(&app).await.map(Part::from),
    };
    let status = parts.status();
    let code = if status == Status::NotReady { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(Answer { status, parts })).into_response()
}

impl Parts {
    fn status(&self) -> Status {
        let monitoring_is_good = self.monitoring.as_ref().is_none_or(|part| part.good);
        match (self.store.good, self.cachet.part.good && self.configuration.good && monitoring_is_good) {
            (false, _) => Status::NotReady,
            (true, false) => Status::Degraded,
            (true, true) => Status::Ready,
        }
    }
}

impl Part {
    fn known(condition: Condition, unknown: &str) -> Self {
        Self::from(match condition {
            Condition::Good => Ok(()),
            Condition::Bad(problem) => Err(problem),
            Condition::Unknown => Err(unknown.to_owned()),
        })
    }
}

impl From<health::Verdict> for Part {
    fn from(verdict: health::Verdict) -> Self {
        Self { good: verdict.is_ok(), problem: verdict.err() }
    }
}
