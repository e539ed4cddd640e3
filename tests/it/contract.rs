//! What the embedded page shows, and its token. How Cachet's API answers is tested with `dev/fake-cachet`.

use alertmanager_cachet::embedded::EmbeddedPage;
use alertmanager_cachet::store::Store;
use axum::http::StatusCode;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::page_server::PageServer;

#[tokio::test]
async fn a_group_is_hidden_until_it_is_made_visible() {
    let recorded: Value =
        serde_json::from_str(include_str!("../fixtures/cachet-2026-08/901_public_page_group_visibility.json"))
            .expect("JSON");
    let server = PageServer::start().await;
    let made = [
        ("/api/component-groups", json!({"name": "Default-visibility group"})),
        ("/api/component-groups", json!({"name": "Public group", "visible": true})),
        ("/api/components", json!({"name": "comp-in-default-group", "status": 1, "component_group_id": 1})),
        ("/api/components", json!({"name": "comp-in-public-group", "status": 1, "component_group_id": 2})),
        ("/api/components", json!({"name": "comp-ungrouped", "status": 1})),
        ("/api/components", json!({"name": "comp-disabled", "status": 1, "enabled": false})),
        (
            "/api/incidents",
            json!({"name": "inc-visible", "message": "m", "status": 1, "visible": true, "component_id": 3,
                "component_status": 4}),
        ),
        (
            "/api/incidents",
            json!({"name": "inc-default-visibility", "message": "m", "status": 1, "component_id": 2,
                "component_status": 3}),
        ),
    ];
    for (path, body) in made {
        server.create(path, body).await;
    }
    server.check_page(&recorded["shown_on_public_page"]).await;
    assert_eq!(server.call("GET", "/api/status", None).await.1, recorded["api_status"]);
}

#[tokio::test]
async fn a_page_of_which_nobody_knows_says_so_with_an_incident_about_no_component() {
    let server = PageServer::start().await;
    for name in ["Database", "Web"] {
        server.create("/api/components", json!({"name": name, "status": 5})).await;
    }
    let incident = json!({"name": "Monitoring data is missing", "message": "m", "status": 1, "visible": true});
    server.create("/api/incidents", incident).await;
    let (_, page) = server.get("/").await;
    for text in ["Status unknown", "All 2 components are not known at the moment.", "Monitoring data is missing"] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    assert!(!page.contains("affects"), "{page}");
    server.call("PUT", "/api/components/1", Some(json!({"status": 4}))).await;
    let (_, page) = server.get("/").await;
    assert!(page.contains("Major outage") && page.contains("Affected: Database."), "{page}");
}

#[tokio::test]
async fn the_token_is_made_once_and_can_be_read_without_writing() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite://{}", folder.path().join("store.db").display());
    let store = Store::open(&url).await.expect("opens");
    assert!(alertmanager_cachet::embedded::token(&store).await.expect("reads").is_none());
    let first = EmbeddedPage::open(&store).await.expect("opens").token();
    let again = EmbeddedPage::open(&store).await.expect("opens").token();
    assert_eq!(first.expose_secret(), again.expose_secret());
    let reader = Store::open_read_only(&url).await.expect("opens");
    let read = alertmanager_cachet::embedded::token(&reader).await.expect("reads").expect("made");
    assert_eq!(first.expose_secret(), read.expose_secret());
}

#[tokio::test]
async fn a_guest_does_not_learn_of_hidden_things_from_the_page() {
    let server = PageServer::start().await;
    let made = [
        ("/api/component-groups", json!({"name": "open", "visible": true})),
        ("/api/components", json!({"name": "shown", "component_group_id": 1})),
        ("/api/components", json!({"name": "secret-target", "component_group_id": 1, "enabled": false})),
        (
            "/api/incidents",
            json!({"name": "i", "message": "m", "status": 1, "visible": true,
                "components": [{"id": 1, "status": 4}, {"id": 2, "status": 4}]}),
        ),
        (
            "/api/incidents",
            json!({"name": "secret-incident", "message": "m", "status": 1, "component_id": 1, "component_status": 2}),
        ),
    ];
    for (path, body) in made {
        server.create(path, body).await;
    }
    let (status, text) = server.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("shown"), "{text}");
    assert!(!text.contains("secret"), "{text}");
}

impl PageServer {
    /// Whether the page shows what it must and nothing that it must not.
    async fn check_page(&self, checks: &Value) {
        let (status, html) = self.get("/").await;
        for (check, wanted) in checks.as_object().expect("checks") {
            if check == "status" {
                assert_eq!(json!(status.as_u16()), *wanted);
                continue;
            }
            // as they were noted: "web-1 (enabled) shown", "incident Multi shown", "escaped name <b>x</b> raw"
            let text = check.trim_start_matches("incident ").trim_start_matches("escaped name ");
            let text = text.trim_end_matches(" shown").trim_end_matches(" raw");
            let text = text.split(" (").next().unwrap_or(text);
            assert_eq!(json!(html.contains(text)), *wanted, "{check}: {html}");
        }
    }
}
