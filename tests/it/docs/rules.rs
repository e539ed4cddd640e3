//! The tables of `docs/rules.md`, row by row through the real thing.

use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertRecord, AlertState, AlertStatus};
use alertmanager_cachet::core::notification::Notification;
use alertmanager_cachet::core::rules::CloseIncidentWhen;
use alertmanager_cachet::core::target::{ComponentList, Target};
use alertmanager_cachet::core::time::Timestamp;
use fake_cachet::Release;
use serde_json::{Map, json};

use super::page;
use super::page::code;
use crate::support::world::{TargetSpec, World, group};

const PAGE: &str = "docs/rules.md";

/// Longer than the watchdog of a [`World`] may stay away.
const SILENCE: Duration = Duration::from_secs(301);

/// `1 Operational`, as the tables have it.
fn status(number: u8) -> String {
    let word = match number {
        1 => "Operational",
        3 => "Partial Outage",
        4 => "Major Outage",
        5 => "Unknown",
        _ => "?",
    };
    format!("{number} {word}")
}

/// One target of a row: `critical down`, `up`, `unlisted down`.
struct Row<'a> {
    listed: Vec<TargetSpec<'a>>,
    down: Vec<&'a str>,
}

/// The names of targets, by their place in a row.
const NAMES: [&str; 4] = ["a:1", "b:1", "c:1", "d:1"];

fn targets(cell: &str) -> Row<'static> {
    let mut row = Row { listed: Vec::new(), down: Vec::new() };
    for (target, name) in cell.split(", ").filter(|cell| *cell != "none").zip(NAMES) {
        let (kind, state) = target.rsplit_once(' ').unwrap_or(("", target));
        match kind {
            "" => row.listed.push((name, "Database", false)),
            "critical" => row.listed.push((name, "Database", true)),
            "unlisted" => {}
            other => panic!("{other:?} is no target"),
        }
        match state {
            "up" => {}
            "down" => row.down.push(name),
            other => panic!("{other:?} is no state"),
        }
    }
    row
}

/// The status of the component, and the titles of the open incidents.
async fn shown(world: &World) -> (String, Vec<String>) {
    let incidents = world.shown().await.open_incidents.into_iter().map(|incident| incident.name).collect();
    (status(world.status("Database").await), incidents)
}

#[tokio::test]
async fn every_case_of_the_table_is_what_the_page_then_shows() {
    let page = page(PAGE);
    let columns = ["its targets", "watchdog", "the component", "its incident", "incident of the monitoring"];
    let table = page.table("the-table-of-cases", &columns);
    assert!(table.rows.len() >= 15);
    for row in &table.rows {
        let [targets_cell, watchdog, component, incident, monitoring] = &row[..] else { panic!("{row:?}") };
        let found = targets(targets_cell);
        // Another component of the same target, so that this one exists where it has no target.
        let world_targets = [&found.listed[..], &[("z:1", "Website", false)]].concat();
        let mut world = World::empty(Release::Current, &world_targets).await;
        world.make_by_hand("Database").await;
        world.settings.config.page.groups = vec![group("Database, Website")];
        world.restart();
        world.run_setup().await;
        match watchdog.as_str() {
            "–" => {}
            "received" | "missing" => world.watch(),
            other => panic!("{other:?}"),
        }
        world.settle().await;
        for instance in &found.down {
            world.fire(instance, "Database").await;
        }
        match watchdog.as_str() {
            "received" => world.heartbeat().await,
            "missing" => world.pass(SILENCE),
            _ => {}
        }
        world.settle().await;
        let (status, incidents) = shown(&world).await;
        let has = |name: &str| if incidents.iter().any(|title| title == name) { "open" } else { "–" };
        let page_shows = [status.as_str(), has("Database is down"), has("Monitoring data is missing")];
        assert_eq!(page_shows, [component, incident, monitoring].map(String::as_str), "{row:?}: {incidents:?}");
    }
}

/// Brings the component, which two targets feed, to a status, whatever it was.
async fn bring_to(world: &mut World, down: &mut Vec<Alert>, status_cell: &str) {
    let wanted = match status_cell {
        "1 Operational" | "5 Unknown" => 0,
        "3 Partial Outage" => 1,
        "4 Major Outage" => 2,
        other => panic!("{other:?}"),
    };
    world.pass(SILENCE);
    if status_cell != "5 Unknown" {
        world.heartbeat().await;
    } else {
        // What is missing is noticed before the alerts end.
        world.settle().await;
    }
    while down.len() > wanted {
        let alert = down.pop().expect("one is down");
        world.resolve(&alert).await;
    }
    while down.len() < wanted {
        down.push(world.fire(NAMES[down.len()], "Database").await);
    }
    world.settle().await;
    assert_eq!(status(world.status("Database").await), status_cell);
}

async fn becomes(was: &str, is_now: &str, close_incident_when: CloseIncidentWhen) -> &'static str {
    let mut world = World::set_up(Release::Current, &[("a:1", "Database", false), ("b:1", "Database", false)]).await;
    world.settings.config.incidents.close_when = close_incident_when;
    world.watch();
    let mut down = Vec::new();
    let ours = async |world: &World| shown(world).await.1.iter().any(|title| title == "Database is down");
    // From green, as a day begins.
    bring_to(&mut world, &mut down, "1 Operational").await;
    bring_to(&mut world, &mut down, was).await;
    let before = ours(&world).await;
    bring_to(&mut world, &mut down, is_now).await;
    match (before, ours(&world).await) {
        (false, false) => "–",
        (false, true) => "opens",
        (true, true) => "stays open",
        (true, false) => "closes",
    }
}

#[tokio::test]
async fn every_change_of_a_status_does_to_the_incident_what_the_table_says() {
    let page = page(PAGE);
    let columns = ["was", "is now", "`\"not_major_outage\"`", "`\"operational\"`"];
    let table = page.table("when-an-incident-opens-and-closes", &columns);
    assert!(table.rows.len() >= 8);
    for row in &table.rows {
        for (cell, policy) in [(&row[2], CloseIncidentWhen::NotMajorOutage), (&row[3], CloseIncidentWhen::Operational)]
        {
            assert_eq!(becomes(&row[0], &row[1], policy).await, cell, "{row:?} {policy:?}");
        }
    }
}

/// `firing 1`: a statement about the occurrence that began in second 1. `resolved 1–3`: it ended in second 3.
fn statement(text: &str) -> Alert {
    let (status, span) = text.trim().split_once(' ').expect("a status and an occurrence");
    let (begin, end) = span.split_once('–').map_or((span, None), |(begin, end)| (begin, Some(end)));
    let second = |text: &str| Timestamp::from_millis(1000 * text.parse::<i64>().expect("a number"));
    Alert {
        fingerprint: "e029c70b1b64731f".parse().expect("a fingerprint"),
        name: "TargetDown".to_owned(),
        target: Target::new("a:1", ComponentList::parse("Database").names).expect("a target"),
        critical: false,
        status: match status {
            "firing" => AlertStatus::Firing,
            "resolved" => AlertStatus::Resolved,
            other => panic!("{other:?} is no status"),
        },
        starts_at: second(begin),
        ends_at: end.map(second),
    }
}

#[test]
fn every_order_of_statements_leaves_the_alert_as_the_table_says() {
    let page = page(PAGE);
    let table = page.table("which-statement-counts", &["statements received, in this order", "the alert", "why"]);
    assert!(table.rows.len() >= 8);
    for row in &table.rows {
        let mut known: Option<AlertRecord> = None;
        for text in row[0].split(',') {
            known = Some(AlertRecord::observe(known.as_ref(), &statement(text), Timestamp::from_millis(100_000)).0);
        }
        let said = match known.expect("something is heard").state {
            AlertState::Firing => "fires",
            AlertState::Resolved => "has ended",
            AlertState::Refired { .. } => "waits",
            AlertState::Adopted => "is adopted",
            AlertState::ResolveHeld => "goes on firing",
        };
        assert_eq!(said, row[1], "{row:?}");
    }
}

#[test]
fn every_set_of_labels_is_taken_as_the_table_says() {
    let page = page(PAGE);
    let table = page.table("which-alerts-count", &["labels beside `alertname`", "the alert"]);
    assert!(table.rows.len() >= 6);
    for row in &table.rows {
        let mut labels = Map::from_iter([("alertname".to_owned(), json!("TargetDown"))]);
        for label in code(&row[0]) {
            let (name, value) = label.split_once('=').expect("a label");
            labels.insert(name.to_owned(), json!(value.trim_matches('"')));
        }
        let alert = json!({"status": "firing", "fingerprint": "00000000000000aa", "startsAt": "2026-11-21T01:00:00Z", "labels": labels});
        let body = json!({"version": "4", "status": "firing", "alerts": [alert]}).to_string();
        let read = Notification::parse(body.as_bytes(), None).expect("a notification");
        let said = match (&read.alerts[..], read.ignored.is_empty(), read.not_ours) {
            ([alert], true, 0) => {
                let names: Vec<String> = alert.target.components().iter().map(ToString::to_string).collect();
                let critical = if alert.critical { ", critical" } else { "" };
                let partly = if read.partly_ignored.is_empty() { "" } else { ", and the other name is reported" };
                format!("counts for {}{critical}{partly}", names.join(" and "))
            }
            ([], false, 0) => "is ignored, and reported".to_owned(),
            ([], true, 1) => "is not for the page".to_owned(),
            other => panic!("{row:?}: {other:?}"),
        };
        assert_eq!(said, row[1], "{row:?}");
    }
}
