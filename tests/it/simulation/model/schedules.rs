//! Maintenance on the page in memory: how far it is follows from its times.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::Page;

impl Page {
    pub(super) fn schedules(&mut self, query: &BTreeMap<String, String>) -> Response {
        let now_ms = self.clock.now().as_millis();
        let asked = query.get("filter[status]").expect("the client asks for what is in progress");
        let asked: i64 = asked.parse().expect("one status");
        let rows = self.rows("schedules").iter().map(|(id, row)| document(*id, row, now_ms));
        let rows: Vec<Value> = rows.filter(|row| row["attributes"]["status"]["value"] == asked).collect();
        (StatusCode::OK, Json(json!({"data": rows, "links": {}}))).into_response()
    }
}

fn document(id: i64, row: &Map<String, Value>, now_ms: i64) -> Value {
    let time = |name: &str| row.get(name).and_then(Value::as_str).map(|text| text.parse().expect("a time"));
    let time_ms = |name: &str| time(name).map(jiff::Timestamp::as_millisecond);
    let status = match (time_ms("scheduled_at"), time_ms("completed_at")) {
        (Some(begins_ms), _) if begins_ms >= now_ms => 0,
        (_, Some(ends_ms)) if ends_ms < now_ms => 2,
        _ => 1,
    };
    let ends = time("completed_at").map(|moment| moment.strftime("%Y-%m-%d %H:%M:%S").to_string());
    let components = row["components"].as_array().expect("a list").iter();
    let components: Vec<Value> =
        components.map(|one| json!({"type": "components", "id": one["id"].to_string()})).collect();
    json!({
        "id": id.to_string(),
        "type": "schedules",
        "attributes": {"name": row["name"], "status": {"value": status}, "completed": {"string": ends}},
        "relationships": {"components": {"data": components}},
    })
}
