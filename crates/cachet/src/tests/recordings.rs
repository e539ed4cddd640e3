//! Each answer of both recorded releases that decides something, through the whole client.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::super::wire::{Incident, Row};
use super::super::{Cachet, Error, Fault};
use super::in_process;
use alertmanager_cachet_core::observed::{
    AffectedComponent, ComponentId, ComponentUpdate, GroupId, IncidentId, Maintenance, NewComponent, NewGroup,
    NewIncident, ObservedComponent, ObservedGroup,
};
use alertmanager_cachet_core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet_core::status_page::{
    Capabilities, Failure, IncidentSearch, PageError, PageWrite, StatusPage as _,
};
use alertmanager_cachet_core::time::Timestamp;

const CURRENT: &str = "cachet-2026-08";
const OLDER: &str = "cachet-2025-08";

/// The recorded call `number` of `release`.
fn recording(release: &str, number: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures").join(release);
    let file = fs::read_dir(&folder)
        .expect("the folder of recordings")
        .map(|entry| entry.expect("a file").path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(number)))
        .unwrap_or_else(|| panic!("no recording {number} in {}", folder.display()));
    serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON")
}

/// A client, past its probe, to whom every call is answered as in the recording; every further page is empty.
fn answering(release: &'static str, number: &'static str) -> Cachet {
    let cachet = unprobed(release, number);
    cachet.shared.capabilities.set(Capabilities { meta: release == CURRENT }).expect("fresh");
    cachet
}

fn unprobed(release: &'static str, number: &'static str) -> Cachet {
    in_process(Router::new().fallback(move |request: Request| async move {
        let query = request.uri().query().unwrap_or_default();
        let first = query.split('&').filter_map(|pair| pair.strip_prefix("page=")).all(|page| page == "1");
        replay(&recording(release, if first { number } else { "127" }))
    }))
}

fn replay(recording: &Value) -> Response {
    let response = &recording["response"];
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
    let body = match &response["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let mut answer = (StatusCode::from_u16(status).expect("a status"), body).into_response();
    if let Some(seconds) = response["headers"]["retry-after"].as_str() {
        answer.headers_mut().insert("retry-after", seconds.parse().expect("a header"));
    }
    answer
}

#[tokio::test]
async fn meta_is_probed_by_an_include_and_asked_for_once() {
    let current = unprobed(CURRENT, "031");
    assert_eq!(current.probe().await, Ok(Capabilities { meta: true }));
    let older = unprobed(OLDER, "030");
    assert_eq!(older.probe().await, Ok(Capabilities { meta: false }));
    older.clone().probe().await.expect("remembered");
    assert_eq!(older.learned().calls, 1);
}

#[tokio::test]
async fn a_probe_that_fails_for_another_reason_says_so_and_is_made_again() {
    let cachet = unprobed(CURRENT, "408");
    assert!(matches!(cachet.probe().await, Err(Error { fault: Fault::Unavailable { .. }, .. })));
    assert!(cachet.groups().await.is_err());
    assert_eq!(cachet.learned().calls, 2);
}

#[tokio::test]
async fn groups_are_read_from_both_releases() {
    let group = |id, name: &str, visible| ObservedGroup {
        id: GroupId(id),
        name: name.to_owned(),
        visible,
        managed: false, // whose they are is not guessed
    };
    let shared = [
        group(1, "Group A", false),
        group(2, "Group B", true),
        group(3, "Group A", false),
        group(4, "Private group", false),
    ];
    for release in [CURRENT, OLDER] {
        let groups = answering(release, "031").groups().await.expect("groups");
        assert_eq!(groups[..4], shared, "{release}: by number, twice the same name kept, hidden ones too");
        assert!(groups[4].visible, "{release}: 1 is true");
    }
}

#[tokio::test]
async fn components_are_read_with_their_group_and_whether_they_are_shown() {
    for release in [CURRENT, OLDER] {
        let components = answering(release, "116").components().await.expect("components");
        let expected = ObservedComponent {
            id: ComponentId(2),
            name: "api|eu-west|prod".to_owned(),
            status: Some(ComponentStatus::Operational),
            enabled: true,
            description: Some("API **server**".to_owned()),
            group: Some(GroupId(1)),
            managed: false,
        };
        assert_eq!(components[0], expected, "{release}");
        assert_eq!((components[1].id, components[1].group), (ComponentId(3), None), "{release}");

        let disabled = answering(release, "090").components().await.expect("components");
        assert!(!disabled[0].enabled, "{release}");
        assert_eq!(disabled[0].status, Some(ComponentStatus::MajorOutage), "{release}");
    }
}

#[tokio::test]
async fn a_component_without_a_status_is_one_of_an_unknown_status() {
    let components = answering(OLDER, "088").components().await.expect("components");
    assert_eq!((components[0].name.as_str(), components[0].status), ("web-1", None));
}

#[tokio::test]
async fn the_meta_of_others_makes_nothing_ours() {
    let components = answering(CURRENT, "106").components().await.expect("components");
    assert_eq!((components.len(), components[0].managed), (1, false));
    let empty = answering(CURRENT, "168").incident(IncidentId(1)).await.expect("an answer").expect("there");
    assert_eq!(empty.outage, None, "empty meta is []");
}

#[tokio::test]
async fn open_incidents_are_those_that_cachet_shows_as_open() {
    let ids = |incidents: Vec<Row<Incident>>| incidents.iter().map(|incident| incident.id).collect::<Vec<_>>();
    let current = answering(CURRENT, "235").open_incidents().await.expect("incidents");
    assert_eq!(ids(current), [2, 3], "1 is fixed");
    let older = answering(OLDER, "235").open_incidents().await.expect("incidents");
    assert_eq!(ids(older), [1, 2, 3]);
    let shown_as_fixed = answering(OLDER, "509").open_incidents().await.expect("incidents");
    assert_eq!(ids(shown_as_fixed), [0; 0], "its own status is 1, but its latest update says that it is fixed");
}

#[tokio::test]
async fn the_maintenance_in_progress_is_read_with_its_components_and_its_end() {
    let in_progress = answering(CURRENT, "272").maintenance().await.expect("maintenance");
    let expected = Maintenance { name: "Now".to_owned(), components: vec![ComponentId(1)], ends_if_utc_ms: None };
    assert_eq!(in_progress, [expected], "what is upcoming is none yet, whatever was asked for");
    for number in ["272", "273"] {
        assert_eq!(answering(OLDER, number).maintenance().await, Ok(Vec::new()), "{number}");
    }
}

#[tokio::test]
async fn that_maintenance_cannot_be_read_says_why() {
    let refused = answering(CURRENT, "006").maintenance().await.expect_err("no such route");
    assert_eq!(refused.failure, Failure::NotThePage { done: false }, "{refused}");
}

/// Read as if nothing were related, it would end maintenance and move components.
#[test]
fn what_is_related_in_another_form_is_an_error_and_not_nothing() {
    let row = |relationships: &str| {
        let row = format!(r#"{{"id": "1", "attributes": {{"name": "Now"}}, "relationships": {relationships}}}"#);
        (
            serde_json::from_str::<Row<crate::wire::Schedule>>(&row).is_ok(),
            serde_json::from_str::<Row<crate::wire::Group>>(&row).is_ok(),
        )
    };
    for good in ["{}", r#"{"group": null}"#, r#"{"group": {"data": null}}"#, r#"{"components": {"data": [{"id": 5}]}}"#]
    {
        assert_eq!(row(good), (true, true), "{good}");
    }
    for bad in [
        r#"{"components": {"data": {}}}"#,
        r#"{"components": {"data": null}}"#,
        r#"{"components": {"data": [{"name": "Web"}]}}"#,
        r#"{"group": {"data": {"id": "x"}}}"#,
        r#"{"group": 3}"#,
    ] {
        assert_eq!(row(bad), (false, false), "{bad}");
    }
}

#[tokio::test]
async fn an_incident_is_read_with_the_status_that_is_shown() {
    for (release, number, status) in [
        (CURRENT, "167", IncidentStatus::Investigating),
        (CURRENT, "177", IncidentStatus::Fixed),
        (OLDER, "167", IncidentStatus::Investigating),
        (OLDER, "172", IncidentStatus::Identified),
    ] {
        let incident = answering(release, number).incident(IncidentId(1)).await.expect("an answer").expect("there");
        assert_eq!((incident.name.as_str(), incident.status), ("Outage|web-1", Some(status)), "{release} {number}");
    }
}

#[tokio::test]
async fn a_lost_incident_is_found_again_without_meta_by_name_component_and_time() {
    let cachet = answering(OLDER, "237");
    // made at 02:06:57 of a clock in an unknown zone
    let called_at = Timestamp::parse_rfc3339("2026-11-21T12:00:00Z").expect("valid");
    let search = IncidentSearch {
        outage: "e",
        name: " EMBARGO ",
        component: Some(ComponentId(1)),
        occurred_at: Timestamp::from_millis(0),
        created_not_before: called_at,
    };
    let found = cachet.find_incident(&search).await.expect("an answer").expect("found");
    assert_eq!((found.id, found.outage), (IncidentId(15), None));

    let tomorrow = Timestamp::parse_rfc3339("2026-11-22T02:00:00Z").expect("valid");
    for (what, other) in [
        ("another component", IncidentSearch { component: Some(ComponentId(2)), ..search }),
        ("no component", IncidentSearch { component: None, ..search }),
        ("another name, of which this is a part", IncidentSearch { name: "EMBARGO!", ..search }),
        ("the same name in other letters", IncidentSearch { name: "embargo", ..search }),
        ("made too long before", IncidentSearch { created_not_before: tomorrow, ..search }),
    ] {
        assert_eq!(cachet.find_incident(&other).await, Ok(None), "{what}");
    }
}

#[tokio::test]
async fn an_incident_with_the_episodes_key_but_of_another_owner_is_not_found() {
    let cachet = answering(CURRENT, "199");
    let search = IncidentSearch {
        outage: "fp-123",
        name: "Multi",
        component: Some(ComponentId(1)),
        occurred_at: Timestamp::from_millis(0),
        created_not_before: Timestamp::from_millis(0),
    };
    assert_eq!(cachet.find_incident(&search).await, Ok(None));
}

#[tokio::test]
async fn what_was_made_is_known_by_its_number() {
    let group = NewGroup { name: "Group A".into(), order: 0 };
    let component = NewComponent {
        name: "web-1".into(),
        status: ComponentStatus::Operational,
        enabled: false,
        description: None,
        group: None,
        order: None,
    };
    let incident = NewIncident {
        name: "Outage|web-1".into(),
        message: "It is **down**".into(),
        component: Some(AffectedComponent { id: ComponentId(1), name: "web-1".into() }),
        outage: "e-1".into(),
        occurred_at: Timestamp::from_millis(0),
        notify_subscribers: false,
    };
    for release in [CURRENT, OLDER] {
        assert_eq!(answering(release, "021").create_group(&group).await, Ok(GroupId(1)), "{release}");
        assert_eq!(answering(release, "041").create_component(&component).await, Ok(ComponentId(1)), "{release}");
        assert_eq!(answering(release, "161").open_incident(&incident).await, Ok(IncidentId(1)), "{release}");
        let about_nothing = NewIncident { component: None, ..incident.clone() };
        assert_eq!(answering(release, "194").open_incident(&about_nothing).await, Ok(IncidentId(2)), "{release}");
    }
}

#[tokio::test]
async fn unknown_is_taken_until_it_is_refused_once() {
    let to = |status| {
        let update = ComponentUpdate { status: Some(status), enabled: true, description: None, group: None };
        PageWrite::UpdateComponent(ComponentId(1), update)
    };
    for release in [CURRENT, OLDER] {
        let takes_it = answering(release, "062");
        assert_eq!(takes_it.apply(&to(ComponentStatus::Unknown)).await, Ok(()), "{release}");
        assert!(!takes_it.known().refuses_unknown, "{release}");

        // What it says of a status that it does not know.
        let refuses_it = answering(release, "064");
        refuses_it.apply(&to(ComponentStatus::MajorOutage)).await.expect_err("refused");
        assert!(!refuses_it.known().refuses_unknown, "{release}: another status was refused");
        refuses_it.apply(&to(ComponentStatus::Unknown)).await.expect_err("refused");
        assert!(refuses_it.known().refuses_unknown, "{release}");
    }
}

#[tokio::test]
async fn removing_what_is_gone_is_done_and_a_missing_incident_is_none() {
    for release in [CURRENT, OLDER] {
        let removal = PageWrite::RemoveComponent(ComponentId(3));
        assert_eq!(answering(release, "156").apply(&removal).await, Ok(()), "{release}: 204");
        assert_eq!(answering(release, "157").apply(&removal).await, Ok(()), "{release}: 404");
        assert_eq!(answering(release, "152").incident(IncidentId(99999)).await, Ok(None), "{release}");
    }
}

#[tokio::test]
async fn a_wrong_base_or_a_switched_off_api_is_not_taken_for_a_missing_object() {
    for (number, said) in [("006", "The route api/nope"), ("406", "is the API enabled")] {
        let cachet = answering(CURRENT, number);
        for error in [
            cachet.apply(&PageWrite::RemoveComponent(ComponentId(3))).await.expect_err("not done"),
            cachet.incident(IncidentId(3)).await.expect_err("not told"),
            cachet.check_token().await.expect_err("not told").into(),
        ] {
            assert_eq!(error.failure, Failure::NotThePage { done: false }, "{error}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}

#[tokio::test]
async fn the_token_is_checked_by_a_write_that_cannot_change_anything() {
    for release in [CURRENT, OLDER] {
        assert_eq!(answering(release, "152").check_token().await, Ok(()), "{release}: 404");
        let refused = answering(release, "153").check_token().await.expect_err("refused");
        assert_eq!(
            refused.to_string(),
            "PUT /components/0: Cachet refused the token (HTTP 401): check CACHET_API_TOKEN",
            "{release}"
        );
        assert!(PageError::from(refused.clone()).concerns_everything());
        assert!(!PageError::from(refused.clone()).failure.may_have_been_applied());
    }
}

fn outage(id: i64) -> PageWrite {
    let status = Some(ComponentStatus::MajorOutage);
    PageWrite::UpdateComponent(
        ComponentId(id),
        ComponentUpdate { status, enabled: true, description: None, group: None },
    )
}

#[tokio::test]
async fn each_refusal_has_its_own_error_with_its_cure() {
    for (release, number, message) in [
        (
            CURRENT,
            "152",
            "PUT /components/12: Cachet has no such object (HTTP 404): it was removed there; run `setup` if it should exist",
        ),
        (
            CURRENT,
            "154",
            "PUT /components/12: the token lacks the ability components.manage (HTTP 403): make a token with it in \
             Cachet's dashboard and set CACHET_API_TOKEN",
        ),
        (
            CURRENT,
            "217",
            "PUT /components/12: Cachet refused the request (HTTP 422: The occurred at field must be a valid date.): \
             correct what it names",
        ),
        (
            CURRENT,
            "415",
            "PUT /components/12: Cachet refused the request (HTTP 413: the text is too long): correct what it names",
        ),
        (
            CURRENT,
            "408",
            "PUT /components/12: Cachet is not available (HTTP 503, Retry-After: 60 s): check that it is running, or \
             end its maintenance mode (php artisan up)",
        ),
        (OLDER, "131", "PUT /components/12: Cachet failed (HTTP 500: Server Error): see Cachet's own log"),
    ] {
        let error = answering(release, number).apply(&outage(12)).await.expect_err(number);
        assert_eq!(error.to_string(), message);
    }
}

#[tokio::test]
async fn a_500_may_have_been_applied_for_older_releases_save_and_then_fail() {
    let error = answering(OLDER, "131").apply(&outage(1)).await.expect_err("500");
    assert!(error.failure.may_have_been_applied() && !error.concerns_everything());
}
