//! What readers see of the built-in page, and what they must not see.

use alertmanager_cachet::core::builtin::AffectedStatus;
use alertmanager_cachet::core::observed::{self, AffectedComponent, ComponentId, ComponentUpdate, GroupId};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::status_page::{PageWrite, StatusPage as _};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::store::{Announcement, ComponentChange, GroupChange, NewIncident, Store};
use reqwest::StatusCode;

use crate::page_server::{PageServer, START_MS};
use crate::support::installation::Installation;

const HOUR_MS: i64 = 3_600_000;

/// A page with a component, one of a target, and a maintenance of both from 03:00 to 05:00; it is 02:06:50.
async fn with_maintenance() -> (PageServer, Announcement) {
    let server = PageServer::start().await;
    let mut affected = Vec::new();
    for name in ["Database", "hidden | Database"] {
        let component = server.component(name, ComponentStatus::Operational, None).await;
        affected.push(AffectedStatus { component, status: ComponentStatus::UnderMaintenance });
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
    announcement.affected = vec![AffectedStatus { component: search, status: ComponentStatus::UnderMaintenance }];
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
    let affected = |component| AffectedStatus { component, status: ComponentStatus::PartialOutage };
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

#[tokio::test]
async fn an_incident_stays_on_the_page_when_the_clock_is_set_back() {
    let server = PageServer::start().await;
    let database = server.component("Database", ComponentStatus::MajorOutage, None).await;
    let incident = NewIncident {
        title: "Database is down".to_owned(),
        message: "m".to_owned(),
        status: IncidentStatus::Investigating,
        key: None,
        opened_for: None,
        began_at: server.now(),
        affected: vec![AffectedStatus { component: database, status: ComponentStatus::MajorOutage }],
    };
    let id = server.tables.open_incident(&incident, server.now()).await.expect("opened");
    server.set_clock(START_MS - 24 * HOUR_MS);
    let (_, open) = server.get("/").await;
    assert!(open.contains("Open incidents") && open.contains("Database is down"), "{open}");
    let fixed = server.tables.update_incident(id, IncidentStatus::Fixed, "It works.", server.now()).await;
    assert!(fixed.expect("fixed"));
    let (_, past) = server.get("/").await;
    assert!(!past.contains("Open incidents") && past.contains("Database is down"), "{past}");
}

#[tokio::test]
async fn every_address_of_the_api_says_that_it_is_gone() {
    let server = PageServer::start().await;
    for path in ["/api", "/api/", "/api/components", "/api/components/"] {
        assert_eq!(server.get(path).await.0, StatusCode::GONE, "{path}");
    }
}

#[tokio::test]
async fn a_status_that_was_planned_before_an_operator_showed_the_component_does_not_hide_it() {
    let server = PageServer::start().await;
    let database = server.component("Database", ComponentStatus::Operational, None).await;
    let status = Some(ComponentStatus::MajorOutage);
    let planned = ComponentUpdate { status, enabled: false, description: None, group: None };
    server.page.apply(&PageWrite::UpdateComponent(database, planned)).await.expect("written");
    let (_, html) = server.get("/").await;
    assert!(html.contains("Affected: Database."), "{html}");
}

#[tokio::test]
async fn an_incident_for_a_component_that_was_just_removed_concerns_that_one_alone() {
    let server = PageServer::start().await;
    let incident = observed::NewIncident {
        name: "Database is down".to_owned(),
        message: "m".to_owned(),
        component: Some(AffectedComponent { id: ComponentId(9), name: "Database".to_owned() }),
        outage: "9-1".to_owned(),
        occurred_at: server.now(),
        notify_subscribers: false,
    };
    let error = server.page.open_incident(&incident).await.expect_err("it is gone");
    assert!(error.is_not_found() && !error.concerns_everything(), "{error:?}");
    assert!(server.page.observe(&[]).await.expect("observed").open_incidents.is_empty());
}

#[tokio::test]
async fn setup_leaves_a_group_hidden_that_an_operator_has_hidden() {
    let installation = Installation::new();
    let setup = |arguments: &[&str]| installation.prints(&[&["setup"], arguments].concat());
    setup(&[]);
    let database = installation.folder.path().join("data/alertmanager-cachet.db");
    let store = Store::open(&format!("sqlite://{}", database.display())).await.expect("opened");
    let hide = GroupChange { visible: Some(false), ..GroupChange::default() };
    assert!(store.page().change_group(GroupId(1), &hide).await.expect("hidden"));
    let expected = "nothing to do: the page has everything that both files name\n";
    assert_eq!((setup(&["--dry-run"]).as_str(), setup(&[]).as_str()), (expected, expected));
    let now = Timestamp::from_millis(START_MS);
    assert!(!store.page().content(now, now).await.expect("read").groups[0].visible);
}

#[tokio::test]
async fn an_incident_that_lasted_for_weeks_is_shown_after_it_was_fixed() {
    let server = PageServer::start().await;
    let database = server.component("Database", ComponentStatus::Operational, None).await;
    let incident = server.incident("A long outage", "We are looking into it.", database).await;
    server.set_clock(START_MS + 20 * 24 * HOUR_MS);
    assert!(server.get("/").await.1.contains("A long outage"), "it is open");
    server.say(incident, IncidentStatus::Fixed, "It is over at last.").await;
    let (_, html) = server.get("/").await;
    assert!(html.contains("A long outage") && html.contains("It is over at last."), "{html}");
    server.set_clock(START_MS + 40 * 24 * HOUR_MS);
    assert!(!server.get("/").await.1.contains("A long outage"), "it was fixed long ago");
}
