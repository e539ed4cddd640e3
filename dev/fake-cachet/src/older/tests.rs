//! The older release against its recordings, and the client against both.

use alertmanager_cachet_client::Cachet;
use alertmanager_cachet_core::observed::{
    AffectedComponent, ComponentId, ComponentUpdate, IncidentId, NewComponent, NewIncident,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::status_page::{Capabilities, IncidentSearch, PageWrite, StatusPage};
use alertmanager_cachet_core::time::Timestamp;

use super::*;
use crate::{FakeCachet, Options, TOKEN, in_process};

/// A Cachet of August 2026.
async fn current_cachet() -> Router {
    FakeCachet::open(Options::default()).await.expect("a database").router()
}

async fn ask(router: &Router, method: &str, path: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(body)
        .expect("a request");
    let answer = router.clone().oneshot(request).await.expect("infallible");
    let status = answer.status().as_u16();
    let bytes = to_bytes(answer.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

fn recording(file: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/cachet-2025-08").join(file);
    serde_json::from_slice(&std::fs::read(path).expect("a recording")).expect("JSON")
}

/// The body that was sent to that release.
fn requested(file: &str) -> Value {
    recording(file)["request"]["body"].take()
}

/// The answer of that release, as recorded.
fn recorded(file: &str) -> (u16, Value) {
    let recording = recording(file);
    let response = &recording["response"];
    (u16::try_from(response["status"].as_u64().expect("a status")).expect("a status"), response["body"].clone())
}

#[tokio::test]
async fn what_it_does_not_know_is_refused_in_its_words() {
    let older = older_cachet(current_cachet().await);
    for (path, file) in [
        ("/api/component-groups/2?include=meta,components", "030_group_get_include_meta_components.json"),
        ("/api/components?filter[meta][key]=k-1&include=meta", "106_component_list_filter_meta.json"),
        ("/api/components?filter[id]=1", "110_component_list_filter_id_not_allowed.json"),
        ("/api/incidents/1?include=components,components.group,updates,user,meta", "168_incident_get_include_all.json"),
        ("/api/incidents?filter[occurs_on]=2026-11-20", "239_incident_list_filter_occurs_on.json"),
    ] {
        assert_eq!(ask(&older, "GET", path, Value::Null).await, recorded(file), "{path}");
    }
    let maintenance = json!({"name": "st 6", "status": 6});
    assert_eq!(
        ask(&older, "POST", "/api/components", maintenance).await,
        recorded("063_component_create_status_6.json")
    );
}

#[tokio::test]
async fn a_schedule_that_it_does_not_take_is_refused_in_its_words() {
    let older = older_cachet(current_cachet().await);
    for file in ["266_schedule_create.json", "267_schedule_create_invalid.json", "268_schedule_create_in_progress.json"]
    {
        assert_eq!(ask(&older, "POST", "/api/schedules", requested(file)).await, recorded(file), "{file}");
    }
}

#[tokio::test]
async fn a_disabled_component_is_listed_and_a_change_without_enabled_enables_it() {
    let older = older_cachet(current_cachet().await);
    ask(&older, "POST", "/api/components", json!({"name": "dis", "status": 1, "enabled": false, "meta": {"a": 1}}))
        .await;
    let (_, list) = ask(&older, "GET", "/api/components?per_page=50", Value::Null).await;
    let attributes = &list["data"][0]["attributes"];
    assert_eq!((&attributes["enabled"], &attributes["meta"]), (&json!(false), &Value::Null));
    let (_, enabled_only) = ask(&older, "GET", "/api/components?filter[enabled]=1", Value::Null).await;
    assert_eq!(enabled_only["data"], json!([]), "a filter of its own is left alone");
    let (_, changed) = ask(&older, "PUT", "/api/components/1", json!({"status": 4})).await;
    assert_eq!(changed["data"]["attributes"]["enabled"], true);
    let (_, kept) = ask(&older, "PUT", "/api/components/1", json!({"status": 4, "enabled": false})).await;
    assert_eq!(kept["data"]["attributes"]["enabled"], false);
}

#[tokio::test]
async fn an_incident_names_its_component_and_does_not_colour_it() {
    let page = current_cachet().await;
    let older = older_cachet(page.clone());
    ask(&older, "POST", "/api/components", json!({"name": "web-1", "status": 1})).await;
    let incident = json!({"name": "n", "message": "m", "status": 1, "component_id": 1, "component_status": 4});
    let (status, made) = ask(&older, "POST", "/api/incidents", incident).await;
    assert_eq!((status, &made["data"]["attributes"]["component_id"]), (201, &json!(1)));
    let (_, component) = ask(&page, "GET", "/api/components/1", Value::Null).await;
    assert_eq!(component["data"]["attributes"]["latest_status"]["value"], 1);
    let (_, component) = ask(&older, "GET", "/api/components/1", Value::Null).await;
    assert_eq!(component["data"]["attributes"].get("latest_status"), None);
}

#[tokio::test]
async fn an_incident_shows_its_latest_update_and_keeps_its_own_status_behind_it() {
    let page = current_cachet().await;
    let older = older_cachet(page.clone());
    let shown = async |router: &Router| {
        ask(router, "GET", "/api/incidents/1", Value::Null).await.1["data"]["attributes"]["status"]["value"].clone()
    };
    ask(&older, "POST", "/api/incidents", json!({"name": "n", "message": "m", "status": 1})).await;
    ask(&older, "PUT", "/api/incidents/1", json!({"status": 2})).await;
    assert_eq!(shown(&older).await, 2, "without updates its own");
    ask(&older, "POST", "/api/incidents/1/updates", json!({"status": 4, "message": "fixed"})).await;
    assert_eq!((shown(&older).await, shown(&page).await), (json!(4), json!(2)));
    ask(&older, "PUT", "/api/incidents/1", json!({"status": 1})).await;
    assert_eq!((shown(&older).await, shown(&page).await), (json!(4), json!(1)));
}

async fn clients() -> [(Cachet, Capabilities); 2] {
    let client = |router| in_process(router, TOKEN, 50);
    [
        (client(current_cachet().await), Capabilities { meta: true }),
        (client(older_cachet(current_cachet().await)), Capabilities { meta: false }),
    ]
}

#[tokio::test]
async fn the_client_gets_on_with_both_releases() {
    for (cachet, capabilities) in clients().await {
        let component = NewComponent {
            name: "Database".into(),
            status: ComponentStatus::Operational,
            enabled: false,
            description: Some("critical: no\nno alerts".into()),
            group: None,
            order: None,
        };
        let id = cachet.create_component(&component).await.expect("made");
        let update = ComponentUpdate {
            status: Some(ComponentStatus::MajorOutage),
            enabled: false,
            description: None,
            group: None,
        };
        cachet.apply(&PageWrite::UpdateComponent(id, update)).await.expect("changed");
        let incident = NewIncident {
            name: "Outage of Database".into(),
            message: "m".into(),
            component: Some(AffectedComponent { id, name: "Database".into() }),
            outage: "e-1".into(),
            occurred_at: Timestamp::from_millis(1_800_000_000_000),
            notify_subscribers: false,
        };
        let incident_id = cachet.open_incident(&incident).await.expect("made");

        assert_eq!(cachet.capabilities().await, Ok(capabilities));
        let observed = cachet.observe(&[]).await.expect("read");
        assert_eq!(observed.components.len(), 1, "disabled ones too");
        let seen = &observed.components[0];
        assert_eq!((seen.status, seen.enabled), (Some(ComponentStatus::MajorOutage), false));
        assert_eq!(seen.managed, capabilities.meta);
        assert_eq!(observed.open_incidents[0].outage.is_some(), capabilities.meta);

        let search = IncidentSearch {
            outage: "e-1",
            name: "Outage of Database",
            component: Some(id),
            occurred_at: incident.occurred_at,
            created_not_before: Timestamp::from_millis(0),
        };
        let found = cachet.find_incident(&search).await.expect("read").expect("found");
        assert_eq!(found.id, incident_id);
        let other = IncidentSearch { outage: "e-2", component: Some(ComponentId(2)), ..search };
        assert_eq!(cachet.find_incident(&other).await, Ok(None));

        let status = IncidentStatus::Fixed;
        let over = PageWrite::UpdateIncident { id: incident_id, status, message: "over".into() };
        cachet.apply(&over).await.expect("closed");
        assert_eq!(cachet.observe(&[]).await.expect("read").open_incidents, []);
        let closed = cachet.incident(incident_id).await.expect("read").expect("there");
        assert_eq!(closed.status, Some(IncidentStatus::Fixed));
        assert_eq!(cachet.incident(IncidentId(99)).await, Ok(None));
    }
}
