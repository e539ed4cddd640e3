//! Cachet in memory: as much of its API as the client uses, as the release of August 2026 answers it.
//!
//! Thousands of simulations need thousands of pages, and each fake Cachet is a database. That this one behaves
//! alike is tested: the same simulations give the same calls and the same page on both.

mod schedules;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use alertmanager_cachet::clock::Clock;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

/// The page, empty.
pub fn page(clock: Clock) -> Router {
    let page =
        Arc::new(Mutex::new(Page { clock, next_id: BTreeMap::new(), tables: BTreeMap::new(), updates: Vec::new() }));
    Router::new().fallback(move |request: Request| async move {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let path = head.uri.path().strip_prefix("/api/").expect("the API").to_owned();
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let mut page = page.lock().expect("no test panics while it holds the lock");
        page.answer(head.method.as_str(), &path.split('/').collect::<Vec<_>>(), &query, body)
    })
}

/// Things by kind and number, each with its attributes.
struct Page {
    clock: Clock,
    next_id: BTreeMap<String, i64>,
    tables: BTreeMap<String, BTreeMap<i64, Map<String, Value>>>,
    /// Each with the number of its incident.
    updates: Vec<(i64, Value)>,
}

impl Page {
    fn answer(&mut self, method: &str, path: &[&str], query: &BTreeMap<String, String>, body: Value) -> Response {
        let id = path.get(1).and_then(|id| id.parse::<i64>().ok()).unwrap_or_default();
        match (method, path) {
            ("GET", ["schedules"]) => self.schedules(query),
            ("GET", [kind]) => self.list(kind, query),
            ("GET", ["incidents", _, "updates"]) => self.updates_of(id),
            ("POST", [kind]) => self.create(kind, body),
            ("GET", [kind, _]) => match self.rows(kind).get(&id) {
                Some(row) => (StatusCode::OK, Json(json!({"data": document(kind, id, row)}))).into_response(),
                None => not_found(),
            },
            ("PUT", [kind, _]) => match self.rows(kind).get_mut(&id) {
                Some(row) => {
                    row.extend(fields(body));
                    (StatusCode::OK, Json(json!({"data": document(kind, id, row)}))).into_response()
                }
                None => not_found(),
            },
            ("DELETE", [kind, _]) => match self.rows(kind).remove(&id) {
                Some(_) => StatusCode::NO_CONTENT.into_response(),
                None => not_found(),
            },
            ("POST", ["incidents", _, "updates"]) => self.update(id, body),
            _ => panic!("the simulated Cachet knows no {method} {path:?}"),
        }
    }

    fn rows(&mut self, kind: &str) -> &mut BTreeMap<i64, Map<String, Value>> {
        self.tables.entry(kind.to_owned()).or_default()
    }

    fn list(&mut self, kind: &str, query: &BTreeMap<String, String>) -> Response {
        let statuses = query.get("filter[status]").map(|list| list.split(',').collect::<Vec<_>>());
        let episode = query.get("filter[meta][episode]").map(String::as_str);
        let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or(1);
        let (size, page) = (number("per_page"), number("page"));
        let rows = self.rows(kind).iter().filter(|(_, row)| {
            let status = row.get("status").map(|status| status["value"].to_string()).unwrap_or_default();
            statuses.as_ref().is_none_or(|statuses| statuses.contains(&status.as_str()))
                && episode.is_none_or(|episode| row["meta"]["episode"] == episode)
        });
        let mut rows: Vec<Value> =
            rows.skip((page - 1) * size).take(size + 1).map(|(id, row)| document(kind, *id, row)).collect();
        let next = (rows.len() > size).then_some("there is more");
        rows.truncate(size);
        (StatusCode::OK, Json(json!({"data": rows, "links": {"next": next}}))).into_response()
    }

    fn create(&mut self, kind: &str, body: Value) -> Response {
        let next_id = self.next_id.entry(kind.to_owned()).or_default();
        *next_id += 1;
        let id = *next_id;
        let created = jiff::Timestamp::from_millisecond(self.clock.now().as_millis()).expect("a time");
        let mut row = Map::from_iter([
            ("enabled".to_owned(), json!(true)),
            ("created".to_owned(), json!({"string": created.strftime("%Y-%m-%d %H:%M:%S").to_string()})),
            ("meta".to_owned(), json!([])),
        ]);
        row.extend(fields(body));
        let answer = (StatusCode::CREATED, Json(json!({"data": document(kind, id, &row)}))).into_response();
        self.rows(kind).insert(id, row);
        answer
    }

    fn updates_of(&self, incident: i64) -> Response {
        let updates: Vec<&Value> =
            self.updates.iter().filter(|(of, _)| *of == incident).map(|(_, said)| said).collect();
        (StatusCode::OK, Json(json!({"data": updates, "links": {}}))).into_response()
    }

    /// The incident takes the update's status.
    fn update(&mut self, incident: i64, body: Value) -> Response {
        let Some(row) = self.rows("incidents").get_mut(&incident) else { return not_found() };
        let update = fields(body);
        row.insert("status".to_owned(), update["status"].clone());
        let next = i64::try_from(self.updates.len()).expect("few") + 1;
        self.updates.push((incident, document("updates", next, &update)));
        (StatusCode::CREATED, Json(json!({"data": document("updates", next, &update)}))).into_response()
    }
}

/// What a body says, as a document shows it. The component that an incident was posted with is attached to it, and not
/// shown.
fn fields(body: Value) -> Map<String, Value> {
    let Value::Object(mut fields) = body else { return Map::new() };
    fields.remove("component_id");
    if let Some(status) = fields.get_mut("status") {
        *status = json!({"value": status.take()});
    }
    fields
}

fn document(kind: &str, id: i64, row: &Map<String, Value>) -> Value {
    let group = row.get("component_group_id").map(|id| json!({"type": "componentGroups", "id": id.to_string()}));
    json!({"id": id.to_string(), "type": kind, "attributes": row, "relationships": {"group": {"data": group}}})
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Json(json!({"message": "Resource not found."}))).into_response()
}
