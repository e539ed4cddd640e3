//! What readers see of the built-in page, and what they must not see.

use alertmanager_cachet::core::builtin::Affected;
use alertmanager_cachet::core::observed::ComponentId;
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::{Announcement, ComponentChange, GroupChange, NewIncident};

use crate::page_server::{PageServer, START_MS};

const HOUR_MS: i64 = 3_600_000;

/// A page with a component, one of a target, and a maintenance of both from 03:00 to 05:00; it is 02:06:50.
async fn with_maintenance() -> (PageServer, Announcement) {
    let server = PageServer::start().await;
    let mut affected = Vec::new();
    for name in ["Database", "hidden | Database"] {
        let component = server.component(name, ComponentStatus::Operational, None).await;
        affected.push(Affected { component, status: ComponentStatus::UnderMaintenance });
    }
    let at = |text| Timestamp::parse_rfc3339(text).expect("a time");
    let announcement = Announcement {
        title: "New switch".to_owned(),
        message: "Short breaks.\n\nNo data is lost.".to_owned(),
        begins_at: at("2026-11-21T03:00:00Z"),
        ends_at: Some(at("2026-11-21T06:00:00+01:00")),
        affected,
    };
    (server, announcement)
}

#[tokio::test]
async fn readers_see_what_is_planned_and_in_progress_and_no_targets() {
    let (server, announcement) = with_maintenance().await;
    let id = server.tables.announce(&announcement, server.now()).await.expect("announced");
    let (_, planned) = server.get("/").await;
    for text in ["Planned maintenance", "New switch", "Upcoming", "affects Database", "No data is lost."] {
        assert!(planned.contains(text), "{text}: {planned}");
    }
    let from = r#"from <time datetime="2026-11-21T03:00:00Z">21 Nov 2026, 03:00 UTC</time>"#;
    assert!(planned.contains(from), "{planned}");
    assert!(planned.contains("All systems operational"), "{planned}");

    server.set_clock(START_MS + HOUR_MS);
    let said = server.tables.update_maintenance(id, "<b>Half</b> done.", None, server.now()).await;
    assert!(said.expect("said"));
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
    for page in [planned, running, over] {
        assert!(!page.contains("hidden |"), "{page}");
    }
}

#[tokio::test]
async fn a_maintenance_can_be_changed_and_ended_and_its_components_be_replaced() {
    let (server, mut announcement) = with_maintenance().await;
    let search = server.component("Search", ComponentStatus::Operational, None).await;
    let id = server.tables.announce(&announcement, server.now()).await.expect("announced");
    announcement.ends_at = None;
    announcement.affected = vec![Affected { component: search, status: ComponentStatus::UnderMaintenance }];
    assert!(server.tables.change_maintenance(id, &announcement).await.expect("changed"));
    server.set_clock(START_MS + 24 * HOUR_MS);
    let (_, running) = server.get("/").await;
    assert!(running.contains("Affected: Search."), "it lasts until somebody ends it: {running}");
    let ended = server.tables.update_maintenance(id, "Done.", Some(server.now()), server.now()).await;
    assert!(ended.expect("ended"));
    server.set_clock(START_MS + 24 * HOUR_MS + 1);
    let (_, over) = server.get("/").await;
    assert!(over.contains("All systems operational") && !over.contains("New switch"), "{over}");
}

#[tokio::test]
async fn what_is_hidden_is_named_nowhere() {
    let server = PageServer::start().await;
    let (open, closed) = (server.group("open").await, server.group("secret-group").await);
    let hide = GroupChange { visible: Some(false), ..GroupChange::default() };
    assert!(server.tables.change_group(closed, &hide).await.expect("hidden"));
    let shown = server.component("shown", ComponentStatus::Operational, Some(open)).await;
    let in_hidden_group = server.component("secret-in-group", ComponentStatus::MajorOutage, Some(closed)).await;
    let hidden = server.component("secret-component", ComponentStatus::MajorOutage, Some(open)).await;
    let hide = ComponentChange { visible: Some(false), ..ComponentChange::default() };
    assert!(server.tables.change_component(hidden, &hide).await.expect("hidden"));
    let affected = |component| Affected { component, status: ComponentStatus::PartialOutage };
    let incident = NewIncident {
        title: "An incident".to_owned(),
        message: "m".to_owned(),
        status: IncidentStatus::Investigating,
        key: None,
        opened_for: None,
        began_at: server.now(),
        affected: vec![affected(shown), affected(in_hidden_group), affected(hidden)],
    };
    server.tables.open_incident(&incident, server.now()).await.expect("opened");
    let (_, html) = server.get("/").await;
    assert!(html.contains("Affected: shown.") && html.contains("affects shown"), "{html}");
    assert!(!html.contains("secret"), "{html}");
}

#[tokio::test]
async fn readers_see_the_title_that_an_operator_gave_in_place_of_the_name() {
    let server = PageServer::start().await;
    let group = server.group("Platform").await;
    let database = server.component("db", ComponentStatus::MajorOutage, Some(group)).await;
    let titled = ComponentChange { title: Some("Databases & <caches>".to_owned()), ..ComponentChange::default() };
    assert!(server.tables.change_component(database, &titled).await.expect("titled"));
    let titled = GroupChange { title: Some("Our platform".to_owned()), ..GroupChange::default() };
    assert!(server.tables.change_group(group, &titled).await.expect("titled"));
    let (_, html) = server.get("/").await;
    assert!(html.contains("Affected: Databases &amp; &lt;caches&gt;.") && html.contains("Our platform"), "{html}");
    assert!(!html.contains("Platform"), "{html}");
    let own_name = ComponentChange { title: Some(String::new()), ..ComponentChange::default() };
    assert!(server.tables.change_component(database, &own_name).await.expect("its name again"));
    assert!(server.get("/").await.1.contains("Affected: db."));
}

#[tokio::test]
async fn a_page_of_which_nobody_knows_says_so_with_an_incident_about_no_component() {
    let server = PageServer::start().await;
    for name in ["Database", "Web"] {
        server.component(name, ComponentStatus::Unknown, None).await;
    }
    let incident = NewIncident {
        title: "Monitoring data is missing".to_owned(),
        message: "m".to_owned(),
        status: IncidentStatus::Investigating,
        key: None,
        opened_for: None,
        began_at: server.now(),
        affected: Vec::new(),
    };
    server.tables.open_incident(&incident, server.now()).await.expect("opened");
    let (_, page) = server.get("/").await;
    for text in ["Status unknown", "All 2 components are not known at the moment.", "Monitoring data is missing"] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    assert!(!page.contains("affects"), "{page}");
    server.set_status(ComponentId(1), ComponentStatus::MajorOutage).await;
    let (_, page) = server.get("/").await;
    assert!(page.contains("Major outage") && page.contains("Affected: Database."), "{page}");
}
