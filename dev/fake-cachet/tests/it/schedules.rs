//! Planned maintenance, beyond what was recorded.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::server::{START_MS, Server};

const HOUR_MS: i64 = 3_600_000;

/// A page with a component and the number of a maintenance of it, from 03:00 to 05:00; it is 02:06:50.
async fn with_maintenance(fields: Value) -> (Server, i64) {
    let server = Server::start().await;
    for (name, enabled) in [("Database", true), ("hidden-target", false)] {
        server.create("/api/components", json!({"name": name, "status": 1, "enabled": enabled})).await;
    }
    let mut body = json!({"name": "New switch", "message": "Short breaks.\n\nNo data is lost.",
        "scheduled_at": "2026-11-21 03:00:00", "completed_at": "2026-11-21T06:00:00+01:00",
        "components": [{"id": 1, "status": 6}, {"id": 2, "status": 6}]});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let id = server.create("/api/schedules", body).await;
    (server, id)
}

impl Server {
    async fn shown_status(&self) -> Value {
        self.call("GET", "/api/components/1", None).await.1["data"]["attributes"]["latest_status"]["value"].clone()
    }

    async fn listed(&self, query: &str) -> usize {
        let (status, list) = self.call("GET", &format!("/api/schedules?{query}"), None).await;
        assert_eq!(status, StatusCode::OK, "{query}: {list}");
        list["data"].as_array().expect("a list").len()
    }

    async fn put(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.call("PUT", path, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        answer
    }
}

#[tokio::test]
async fn a_component_is_under_maintenance_from_its_beginning_to_its_end() {
    let (server, _) = with_maintenance(json!({})).await;
    // 02:06:50, 03:06:50, …
    for (hours, status, filter) in [(0, 1, "0"), (1, 6, "1"), (2, 6, "1"), (3, 1, "2")] {
        server.set_clock(START_MS + hours * HOUR_MS);
        assert_eq!(server.shown_status().await, status, "after {hours} hours");
        for other in ["0", "1", "2"] {
            assert_eq!(
                server.listed(&format!("filter[status]={other}")).await,
                usize::from(other == filter),
                "{hours}"
            );
        }
        assert_eq!(server.listed("filter[status]=0,1,2&filter[name]=switch&sort=-scheduled_at").await, 1);
    }
}

#[tokio::test]
async fn an_open_incident_shows_through_maintenance() {
    let (server, _) = with_maintenance(json!({})).await;
    server.set_clock(START_MS + HOUR_MS);
    let body = json!({"name": "Down", "message": "m", "status": 1, "visible": true, "component_id": 1,
        "component_status": 4});
    server.create("/api/incidents", body).await;
    assert_eq!(server.shown_status().await, 4);
}

#[tokio::test]
async fn the_end_can_be_taken_back_and_the_components_be_replaced() {
    let (server, id) = with_maintenance(json!({})).await;
    server.set_clock(START_MS + 3 * HOUR_MS);
    let path = format!("/api/schedules/{id}");
    let reopened = server.put(&path, json!({"completed_at": null})).await;
    assert_eq!(reopened["data"]["attributes"]["status"]["human"], "In progress");
    assert_eq!(
        (reopened["data"]["attributes"]["completed"]["string"].clone(), server.shown_status().await),
        (Value::Null, json!(6))
    );
    server.put(&path, json!({"components": [{"id": 2, "status": 6}]})).await;
    assert_eq!(server.shown_status().await, 1);
    assert_eq!(server.call("DELETE", &path, None).await.0, StatusCode::NO_CONTENT);
    assert_eq!(server.call("GET", &path, None).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_update_can_be_corrected_and_removed_and_ends_the_maintenance_if_it_says_so() {
    let (server, id) = with_maintenance(json!({})).await;
    server.set_clock(START_MS + HOUR_MS);
    let updates = format!("/api/schedules/{id}/updates");
    let update = server.create(&updates, json!({"message": "Hlaf done."})).await;
    server.put(&format!("{updates}/{update}"), json!({"message": "Half done."})).await;
    let (_, shown) = server.call("GET", &format!("{updates}/{update}?include=schedule"), None).await;
    assert_eq!(shown["data"]["attributes"]["message"], "Half done.");
    assert_eq!(shown["included"][0]["attributes"]["name"], "New switch");
    assert_eq!(server.shown_status().await, 6);
    let done = json!({"message": "All done.", "completed_at": "2026-11-21 03:06:00"});
    server.create(&updates, done).await;
    assert_eq!(server.shown_status().await, 1);
    assert_eq!(server.call("DELETE", &format!("{updates}/{update}"), None).await.0, StatusCode::NO_CONTENT);
    let (_, list) = server.call("GET", &updates, None).await;
    assert_eq!(list["data"].as_array().expect("a list").len(), 1);
    let other = server.call("GET", &format!("/api/schedules/{id}/updates/{update}"), None).await;
    assert_eq!(other.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_every_reason() {
    let server = Server::start().await;
    for (body, faults) in [
        (json!({}), vec!["name", "message", "scheduled_at"]),
        (
            json!({"name": "n", "message": "m", "scheduled_at": "soon", "completed_at": "later"}),
            vec!["scheduled_at", "completed_at"],
        ),
        (
            json!({"name": "n", "message": "m", "scheduled_at": "2026-11-21", "components": [{"id": 9, "status": 7}]}),
            vec!["components.0.id", "components.0.status"],
        ),
    ] {
        let (status, answer) = server.call("POST", "/api/schedules", Some(body)).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        let found: Vec<&String> = answer["errors"].as_object().expect("errors").keys().collect();
        let mut expected = faults;
        expected.sort_unstable();
        assert_eq!(found, expected, "{answer}");
    }
    assert_eq!(server.call("GET", "/api/schedules?sort=message", None).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.call("GET", "/api/schedules?include=incidents", None).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.call("POST", "/api/schedules/1/updates", Some(json!({}))).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_published_yet_has_no_effect_and_is_hidden_from_guests() {
    let later = json!({"published_at": "2026-11-21 04:00:00", "scheduled_at": "2026-11-21 02:00:00"});
    let (server, id) = with_maintenance(later).await;
    assert_eq!(server.shown_status().await, 1);
    assert_eq!(server.get(&format!("/api/schedules/{id}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.listed("").await, 1, "with the token it is listed");
    server.set_clock(START_MS + 2 * HOUR_MS);
    assert_eq!(server.shown_status().await, 6);
    assert_eq!(server.get(&format!("/api/schedules/{id}")).await.0, StatusCode::OK);
}
