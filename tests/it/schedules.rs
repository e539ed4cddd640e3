//! Planned maintenance on the embedded page: what guests are shown.

use serde_json::{Value, json};

use crate::page_server::{PageServer, START_MS};

const HOUR_MS: i64 = 3_600_000;

/// A page with a component and the number of a maintenance of it, from 03:00 to 05:00; it is 02:06:50.
async fn with_maintenance(fields: Value) -> (PageServer, i64) {
    let server = PageServer::start().await;
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

#[tokio::test]
async fn guests_see_what_is_planned_and_in_progress_and_nothing_that_is_hidden() {
    let (server, id) = with_maintenance(json!({})).await;
    let (_, planned) = server.get("/").await;
    for text in ["Planned maintenance", "New switch", "Upcoming", "affects Database", "No data is lost."] {
        assert!(planned.contains(text), "{text}: {planned}");
    }
    assert!(
        planned.contains(r#"from <time datetime="2026-11-21T03:00:00Z">21 Nov 2026, 03:00 UTC</time>"#),
        "{planned}"
    );
    assert!(planned.contains("All systems operational"), "{planned}");

    server.set_clock(START_MS + HOUR_MS);
    server.create(&format!("/api/schedules/{id}/updates"), json!({"message": "<b>Half</b> done."})).await;
    let (_, running) = server.get("/").await;
    for text in ["Maintenance in progress", "In progress", "Under maintenance", "&lt;b&gt;Half", "Affected: Database."]
    {
        assert!(running.contains(text), "{text}: {running}");
    }
    assert!(!running.contains("Planned maintenance"), "{running}");
    assert!(running.find("Half") < running.find("Short breaks"), "the newest comes first: {running}");

    server.set_clock(START_MS + 3 * HOUR_MS);
    let (_, over) = server.get("/").await;
    assert!(!over.contains("New switch"), "{over}");
    for page in [planned, running, over, server.get("/api/schedules?include=components").await.1] {
        assert!(!page.contains("hidden-target"), "{page}");
    }
}

#[tokio::test]
async fn what_is_not_published_yet_is_shown_to_nobody() {
    let later = json!({"published_at": "2026-11-21 04:00:00", "scheduled_at": "2026-11-21 02:00:00"});
    let (server, _) = with_maintenance(later).await;
    let (_, page) = server.get("/").await;
    assert!(!page.contains("New switch"), "{page}");
}
