//! Turns the API of August 2026 into that of August 2025, in everything that the client can notice. The recordings of
//! that release show each difference.
//!
//! | difference | recordings |
//! | --- | --- |
//! | no meta: asking for it is 400, sending it is ignored, components show `null` | 030, 106, 199, 077 |
//! | lists hold disabled components unless `filter[enabled]` says otherwise | 089 |
//! | a PUT on a component without `enabled` enables it | 503 |
//! | status 6 is refused | 063, 266 |
//! | a schedule has to say when it ends | 268 |
//! | an incident is not attached, and shows its `component_id` | 161, 162 |
//! | an incident shows the status of its latest update, and keeps its own behind it | 172, 177, 508, 509 |
//! | no `latest_status`, `published`, `collapsed` and order columns | 042, 021, 161 |
//! | of `occurred_at` the digits are kept, whatever offset is behind them | 215 |
//!
//! All times are shown and read in the time zone of the installation; see [`Zone`].
//!
//! Not imitated: of two updates within one second that release shows the first, on which no test could rely; and it
//! answers 500 to the first change of a component made without a status (131), for which there is
//! `Faults::on(…).answer_after(500)`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, to_bytes};
use axum::extract::{Query, Request};
use axum::http::header::{CONTENT_LENGTH, DATE};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Clock, system_clock};

/// The clock of a Cachet, which every answer shows in UTC (`Date`), and its time zone.
#[derive(Clone)]
pub struct Zone {
    clock: Clock,
    ahead_of_utc_minutes: Arc<AtomicI64>,
}

impl Zone {
    /// UTC, until [`Zone::is_ahead_of_utc_by`] says otherwise.
    pub fn new(clock: Clock) -> Self {
        Self { clock, ahead_of_utc_minutes: Arc::default() }
    }

    /// Sets the offset, as the beginning or end of summer time does.
    pub fn is_ahead_of_utc_by(&self, minutes: i64) {
        self.ahead_of_utc_minutes.store(minutes, Ordering::SeqCst);
    }

    fn ahead_of_utc(&self) -> SignedDuration {
        SignedDuration::from_mins(self.ahead_of_utc_minutes.load(Ordering::SeqCst))
    }

    /// Every time in `answer`, `{human, string}`, from UTC to this zone.
    fn tell(&self, answer: &mut Value) {
        match answer {
            Value::Array(values) => values.iter_mut().for_each(|value| self.tell(value)),
            Value::Object(fields) if fields.contains_key("human") && fields.contains_key("string") => {
                if let Some(utc) = fields["string"].as_str() {
                    let local = utc.parse::<DateTime>().expect("a time") + self.ahead_of_utc();
                    fields.insert("string".into(), json!(local.strftime("%Y-%m-%d %H:%M:%S").to_string()));
                }
            }
            Value::Object(fields) => fields.values_mut().for_each(|value| self.tell(value)),
            _ => {}
        }
    }

    /// `occurred_at`, whose digits are taken to be of this zone (215), to UTC.
    fn take(&self, body: &mut Value) {
        let digits = body["occurred_at"].as_str().and_then(|text| text.get(..19)?.parse::<DateTime>().ok());
        if let Some(local) = digits {
            let utc = local - self.ahead_of_utc();
            body["occurred_at"] = json!(utc.strftime("%Y-%m-%d %H:%M:%S").to_string());
        }
    }

    fn date(&self) -> String {
        let now = Timestamp::from_millisecond((self.clock)().as_millis()).expect("a time");
        DateTimePrinter::new().timestamp_to_rfc9110_string(&now).expect("after year 0")
    }
}

/// `page` as a Cachet of August 2025 in UTC.
pub fn older_cachet(page: Router) -> Router {
    older_cachet_in(page, Zone::new(system_clock()))
}

/// `page` as a Cachet of August 2025 in `zone`.
pub fn older_cachet_in(page: Router, zone: Zone) -> Router {
    let older = Older { page, zone, incidents: Arc::default() };
    Router::new().fallback(move |request: Request| async move {
        let mut response = older.answer(request).await;
        response.headers_mut().insert(DATE, older.zone.date().parse().expect("a header"));
        response
    })
}

#[derive(Clone)]
struct Older {
    page: Router,
    zone: Zone,
    incidents: Arc<Mutex<BTreeMap<i64, Incident>>>,
}

/// What this release knows of an incident and the newer one does not.
#[derive(Default)]
struct Incident {
    component_id: Option<i64>,
    /// The status of its latest update.
    shown: Option<Value>,
}

/// The includes and filters that a resource takes (030, 079, 109; 168, 238). Which filters groups take was not
/// recorded beyond `name` (033).
const ALLOWED: [(&str, &str, &str); 3] = [
    ("component-groups", "components, componentsCount, componentsExists", "name"),
    (
        "components",
        "group, groupCount, groupExists, incidents, incidentsCount, incidentsExists",
        "name, status, enabled",
    ),
    (
        "incidents",
        "components, componentsCount, componentsExists, updates, updatesCount, updatesExists, user, userCount, \
         userExists",
        "name, status, occurred_at",
    ),
];

impl Older {
    async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let Some(api_path) = path.strip_prefix("/api/") else {
            return self.page.clone().oneshot(request).await.into_response();
        };
        let segments: Vec<&str> = api_path.split('/').collect();
        let (mut parts, body) = request.into_parts();
        let mut body: Value =
            serde_json::from_slice(&to_bytes(body, usize::MAX).await.expect("a body")).unwrap_or_default();
        if parts.method == Method::GET {
            if let Some(refusal) = refuse_query(segments[0], &parts) {
                return refusal;
            }
            if segments == ["components"] {
                list_disabled_too(&mut parts);
            }
            return self.forward(&parts, &body).await;
        }
        if let Some(fields) = body.as_object_mut() {
            fields.remove("meta");
        }
        if segments[0] == "incidents" {
            self.zone.take(&mut body);
        }
        match (parts.method.as_str(), segments.as_slice()) {
            ("POST" | "PUT" | "PATCH", ["components", ..]) if body["status"] == 6 => refuse_status(),
            ("PUT" | "PATCH", ["components", _]) => {
                if let Some(fields) = body.as_object_mut() {
                    fields.entry("enabled").or_insert(json!(true));
                }
                self.forward(&parts, &body).await
            }
            ("POST", ["schedules"]) if let Some(refusal) = refuse_schedule(&body) => refusal,
            ("POST", ["incidents"]) => self.open(&parts, body).await,
            ("POST", ["incidents", id, "updates"]) => self.update(&parts, id, &body).await,
            _ => self.forward(&parts, &body).await,
        }
    }

    /// Opens an incident without attaching it.
    async fn open(&self, parts: &Parts, mut body: Value) -> Response {
        let component_id = body["component_id"].as_i64();
        if let (Some(fields), Some(_)) = (body.as_object_mut(), component_id) {
            // without a status, the request is refused below (206)
            if fields.remove("component_status").is_some() {
                fields.remove("component_id");
            }
        }
        let (status, mut answer) = self.ask(parts, &body).await;
        if let Some(id) = number(&answer["data"]) {
            self.incidents().insert(id, Incident { component_id, shown: None });
        }
        self.age(&mut answer);
        (status, Json(answer)).into_response()
    }

    /// Posts an update: its status is shown, and the incident's own stays as it was.
    async fn update(&self, parts: &Parts, id: &str, body: &Value) -> Response {
        let mut of_incident = parts.clone();
        of_incident.uri = format!("/api/incidents/{id}").parse().expect("a path");
        of_incident.method = Method::GET;
        let (_, incident) = self.ask(&of_incident, &Value::Null).await;
        let (status, mut update) = self.ask(parts, body).await;
        if let (StatusCode::CREATED, Some(id)) = (status, number(&incident["data"])) {
            self.incidents().entry(id).or_default().shown = Some(update["data"]["attributes"]["status"].clone());
            of_incident.method = Method::PUT;
            let own_status = &incident["data"]["attributes"]["status"]["value"];
            self.ask(&of_incident, &json!({"status": own_status})).await;
        }
        self.zone.tell(&mut update);
        (status, Json(update)).into_response()
    }

    async fn forward(&self, parts: &Parts, body: &Value) -> Response {
        let (status, mut answer) = self.ask(parts, body).await;
        if answer.is_null() {
            return status.into_response();
        }
        self.age(&mut answer);
        (status, Json(answer)).into_response()
    }

    /// The answer of the current release.
    async fn ask(&self, parts: &Parts, body: &Value) -> (StatusCode, Value) {
        let mut parts = parts.clone();
        parts.headers.remove(CONTENT_LENGTH);
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let answer = self.page.clone().oneshot(Request::from_parts(parts, body)).await.into_response();
        let status = answer.status();
        let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Makes every document in `answer` look as this release shows it.
    fn age(&self, answer: &mut Value) {
        self.zone.tell(answer);
        let incidents = self.incidents();
        for part in ["data", "included"] {
            let documents = match answer.get_mut(part) {
                Some(Value::Array(list)) => list.as_mut_slice(),
                Some(document) => std::slice::from_mut(document),
                None => continue,
            };
            for document in documents {
                let incident = number(document).and_then(|id| incidents.get(&id));
                let kind = document["type"].as_str().unwrap_or_default().to_owned();
                let Some(attributes) = document["attributes"].as_object_mut() else { continue };
                for unknown in ["latest_status", "published", "collapsed", "order_column", "order_direction"] {
                    attributes.remove(unknown);
                }
                if kind == "components" {
                    attributes.insert("meta".into(), Value::Null);
                }
                if kind == "incidents" {
                    attributes.insert("component_id".into(), json!(incident.and_then(|known| known.component_id)));
                    if let Some(shown) = incident.and_then(|known| known.shown.clone()) {
                        attributes.insert("status".into(), shown);
                    }
                }
            }
        }
    }

    fn incidents(&self) -> MutexGuard<'_, BTreeMap<i64, Incident>> {
        self.incidents.lock().expect("no test panics while it holds the lock")
    }
}

fn number(document: &Value) -> Option<i64> {
    document["id"].as_str()?.parse().ok()
}

fn query(parts: &Parts) -> Vec<(String, String)> {
    Query::try_from_uri(&parts.uri).map(|Query(pairs)| pairs).unwrap_or_default()
}

/// The 400 for the first include or filter that this release does not know, includes first (106).
fn refuse_query(resource: &str, parts: &Parts) -> Option<Response> {
    let (_, includes, filters) = ALLOWED.into_iter().find(|(name, ..)| *name == resource)?;
    let query = query(parts);
    let asked = query.iter().filter(|(key, _)| key == "include").flat_map(|(_, value)| value.split(','));
    let filtered = query.iter().filter_map(|(key, _)| key.strip_prefix("filter[")?.split(']').next());
    refuse("include", asked, includes).or_else(|| refuse("filter", filtered, filters))
}

fn refuse<'a>(what: &str, asked: impl Iterator<Item = &'a str>, allowed: &str) -> Option<Response> {
    let unknown: Vec<_> = asked.filter(|name| !allowed.split(", ").any(|known| known == *name)).collect();
    if unknown.is_empty() {
        return None;
    }
    let unknown = unknown.join(", ");
    let message = format!("Requested {what}(s) `{unknown}` are not allowed. Allowed {what}(s) are `{allowed}`.");
    Some((StatusCode::BAD_REQUEST, Json(json!({"message": message}))).into_response())
}

fn refuse_status() -> Response {
    let message = "The selected status is invalid.";
    let body = json!({"message": message, "errors": {"status": [message]}});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

/// The 422 for a schedule without an end or with a status that this release does not know (266, 267, 268).
fn refuse_schedule(body: &Value) -> Option<Response> {
    let missing = ["message", "scheduled_at", "completed_at"].into_iter().filter(|field| body[field].is_null());
    let missing =
        missing.map(|field| (field.to_owned(), format!("The {} field is required.", field.replace('_', " "))));
    let unknown = body["components"].as_array().into_iter().flatten().enumerate();
    let unknown = unknown.filter(|(_, component)| component["status"] == 6).map(|(at, _)| {
        let field = format!("components.{at}.status");
        let fault = format!("The selected {field} is invalid.");
        (field, fault)
    });
    let faults: Vec<(String, String)> = missing.chain(unknown).collect();
    let message = match faults.len() {
        0 => return None,
        1 => faults[0].1.clone(),
        2 => format!("{} (and 1 more error)", faults[0].1),
        count => format!("{} (and {} more errors)", faults[0].1, count - 1),
    };
    let errors: serde_json::Map<_, _> = faults.into_iter().map(|(field, fault)| (field, json!([fault]))).collect();
    Some((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"message": message, "errors": errors}))).into_response())
}

fn list_disabled_too(parts: &mut Parts) {
    if query(parts).iter().any(|(key, _)| key == "filter[enabled]") {
        return;
    }
    let uri = match parts.uri.query() {
        Some(query) => format!("{}?{query}&filter%5Benabled%5D=0,1", parts.uri.path()),
        None => format!("{}?filter%5Benabled%5D=0,1", parts.uri.path()),
    };
    parts.uri = uri.parse().expect("a URI with more of a query is one");
}

#[cfg(test)]
mod tests;
