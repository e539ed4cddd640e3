use std::collections::BTreeSet;
use std::time::Duration;

use super::catalogue::{DEFINITIONS, Definition};
use super::*;
use crate::cachet::CallObserver as _;
use crate::core::alert::{AlertRecord, AlertState, Fingerprint, signals};
use crate::core::ledger::Ledger;
use crate::core::observed::{ComponentId, ComponentIndex, IncidentId, Observed, ObservedComponent, ObservedIncident};
use crate::core::page::desired;
use crate::core::plan::{Plan, Report, Views};
use crate::core::status::ComponentStatus;
use crate::core::status_page::RateBudget;
use crate::core::target::{ComponentName, Inventory, InventorySource, KnownTarget, Target};

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_500);
const REFIRE_DELAY: Duration = Duration::from_secs(300);

fn text(metrics: &Metrics) -> String {
    metrics.text(NOW).expect("a text")
}

/// The value of a series as the text has it, such as `targets` or `repairs_total{reason="stale"}`.
fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    let start = format!("alertmanager_cachet_{series} ");
    let text = text(metrics);
    text.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().expect("a number"))
}

#[test]
fn every_name_says_what_it_is() {
    let mut names = BTreeSet::new();
    let text = text(&Metrics::default());
    for Definition { name, labels, help } in DEFINITIONS {
        assert!(names.insert(name), "{name} is defined twice");
        assert!(name.starts_with("alertmanager_cachet_"), "{name}");
        assert_eq!(name.ends_with("_total"), text.contains(&format!("# TYPE {name} counter\n")), "{name}");
        assert!(name.ends_with("_seconds") || !text.contains(&format!("# TYPE {name} histogram\n")), "{name}");
        assert!(!name.contains("_ms") && !name.contains("millis"), "{name} is not in base units");
        assert!(help.ends_with('.') && help.starts_with(char::is_uppercase), "{name}: {help}");
        assert!(labels.iter().all(|label| !["component", "target", "instance", "job"].contains(&label.name)), "{name}");
    }
}

#[test]
fn series_whose_labels_are_known_are_there_from_the_start() {
    let metrics = Metrics::default();
    assert_eq!(value(&metrics, r#"notifications_total{result="stored"}"#), Some(0.0));
    assert_eq!(value(&metrics, r#"changes_waiting{kind="open_incident"}"#), Some(0.0));
    assert_eq!(value(&metrics, r#"store_operation_duration_seconds_count{operation="record"}"#), Some(0.0));
    assert_eq!(value(&metrics, "notification_last_success_timestamp_seconds"), Some(0.0));
}

#[test]
fn what_is_told_to_one_clone_is_told_by_all() {
    let metrics = Metrics::default();
    metrics.clone().notification(NotificationResult::Stored, Duration::from_millis(7), NOW);
    assert_eq!(value(&metrics, r#"notifications_total{result="stored"}"#), Some(1.0));
    assert_eq!(value(&metrics, "notification_last_success_timestamp_seconds"), Some(1_795_226_400.5));
}

#[test]
fn a_refused_notification_is_no_success() {
    let metrics = Metrics::default();
    metrics.notification(NotificationResult::Unauthorized, Duration::ZERO, NOW);
    assert_eq!(value(&metrics, "notification_last_success_timestamp_seconds"), Some(0.0));
}

#[test]
fn the_age_of_the_oldest_waiting_change_grows_from_scrape_to_scrape() {
    let metrics = Metrics::default();
    let age = "changes_oldest_waiting_age_seconds";
    assert_eq!(value(&metrics, age), Some(0.0));
    metrics.changes_waiting(["set_component"].into_iter(), Some(NOW.before(Duration::from_secs(90))));
    assert_eq!(value(&metrics, age), Some(90.0));
    let later = metrics.text(NOW.after(Duration::from_secs(10))).expect("a text");
    assert!(later.contains(&format!("alertmanager_cachet_{age} 100\n")), "{later}");
    metrics.changes_waiting(std::iter::empty(), None);
    assert_eq!(value(&metrics, age), Some(0.0));
    assert_eq!(value(&metrics, r#"changes_waiting{kind="set_component"}"#), Some(0.0));
}

#[test]
fn a_limit_that_is_not_known_is_not_told() {
    let metrics = Metrics::default();
    assert_eq!(value(&metrics, "cachet_budget_remaining"), None);
    metrics.cachet_budget(Some(RateBudget { limit: 300, remaining: 0 }));
    assert_eq!(value(&metrics, "cachet_budget_remaining"), Some(0.0));
    assert_eq!(value(&metrics, "cachet_budget_limit"), Some(300.0));
    metrics.cachet_budget(None);
    assert_eq!(value(&metrics, "cachet_budget_limit"), None);
}

#[test]
fn calls_are_counted_by_endpoint_and_not_by_object() {
    let metrics = Metrics::default();
    for id in 1..=3 {
        metrics.called("POST", &format!("/incidents/{id}/updates"), Ok(201), Duration::from_millis(30));
    }
    metrics.called("GET", "/components", Err("unreachable"), Duration::ZERO);
    metrics.called("GET", "/components", Ok(999), Duration::ZERO);
    let series = |code: &str, endpoint: &str, method: &str| {
        let labels = format!(r#"{{code="{code}",endpoint="{endpoint}",method="{method}"}}"#);
        value(&metrics, &format!("cachet_request_duration_seconds_count{labels}"))
    };
    assert_eq!(series("201", "/incidents/{id}/updates", "POST"), Some(3.0));
    assert_eq!(series("unreachable", "/components", "GET"), Some(1.0));
    assert_eq!(series("other", "/components", "GET"), Some(1.0));
}

#[test]
fn a_member_that_is_not_heard_is_counted_and_only_a_list_that_was_compared_is_a_success() {
    let metrics = Metrics::default();
    metrics.polled(PollResult::NotStored, 2, 1, NOW);
    assert_eq!(value(&metrics, "alertmanager_members_unheard"), Some(1.0));
    assert_eq!(value(&metrics, "alertmanager_poll_last_success_timestamp_seconds"), Some(0.0));
    metrics.polled(PollResult::Incomplete, 2, 1, NOW);
    assert_eq!(value(&metrics, "alertmanager_poll_last_success_timestamp_seconds"), Some(1_795_226_400.5));
}

#[test]
fn a_refused_configuration_leaves_the_moment_of_the_last_good_one() {
    let metrics = Metrics::default();
    metrics.configuration_read(Some(NOW));
    metrics.configuration_read(None);
    assert_eq!(value(&metrics, "config_last_reload_successful"), Some(0.0));
    assert_eq!(value(&metrics, "config_last_reload_success_timestamp_seconds"), Some(1_795_226_400.5));
}

fn component(id: i64, name: &str, status: ComponentStatus) -> ObservedComponent {
    ObservedComponent {
        id: ComponentId(id),
        name: name.to_owned(),
        status: Some(status),
        enabled: true,
        description: None,
        group: None,
        managed: true,
    }
}

fn incident(id: i64, outage: Option<&str>) -> ObservedIncident {
    ObservedIncident {
        id: IncidentId(id),
        name: String::new(),
        status: None,
        outage: outage.map(str::to_owned),
        component: None,
        component_id: None,
        is_anonymous: false,
        is_hidden: false,
    }
}

fn component_name(name: &str) -> ComponentName {
    ComponentName::try_from(name).expect("a name")
}

fn target(instance: &str, components: &str) -> Target {
    Target::new(instance, components.split(", ").map(component_name).collect::<Vec<_>>()).expect("a target")
}

fn alert(number: u8, target: Target, state: AlertState) -> AlertRecord {
    let fingerprint: Fingerprint = format!("{number:016x}").parse().expect("a fingerprint");
    let (name, critical) = ("Down".to_owned(), false);
    AlertRecord {
        fingerprint,
        name,
        target,
        critical,
        starts_at: NOW,
        reported_starts_at: NOW,
        state,
        ends_at: None,
        last_seen_at: NOW,
    }
}

#[test]
fn the_page_is_counted_as_it_is_shown_and_as_it_should_be() {
    let (a, b, c) = (target("a", "Database"), target("b", "Database, Mail"), target("c", "Forgotten"));
    let known = [&a, &b, &c].map(|target| KnownTarget { target: target.clone(), critical: false });
    let inventory = Inventory::new(InventorySource::File, known);
    let alerts = [alert(1, a, AlertState::Firing), alert(2, b, AlertState::Refired { since: NOW })];
    let said = signals(&alerts, REFIRE_DELAY, NOW);
    let desired = desired(&inventory, &said);
    let observed = Observed {
        groups: Vec::new(),
        components: vec![
            component(7, "Database", ComponentStatus::Operational),
            component(3, "Database", ComponentStatus::MajorOutage),
            component(4, "Mail", ComponentStatus::UnderMaintenance),
            component(5, "Nobody's", ComponentStatus::MajorOutage),
        ],
        open_incidents: vec![incident(1, Some("3-1")), incident(2, None)],
        maintenance: Vec::new(),
    };
    let name = component_name("Mail");
    let (expected, found) = (ComponentStatus::Operational, Some(ComponentStatus::UnderMaintenance));
    let overridden = Report::ComponentDrifted { component: name, expected, found };
    let plan = Plan { reports: BTreeSet::from([overridden]), ..Plan::default() };
    let metrics = Metrics::default();
    let (ledger, index) = (Ledger::default(), ComponentIndex::of(&observed, &[]));
    let views = Views { desired: &desired, ledger: &ledger, observed: &observed, index: &index };
    metrics.page(views, &plan, 1);
    for (series, expected) in [
        // Of two with one name, the first is the one that is written.
        (r#"components{status="major_outage"}"#, 1.0),
        (r#"components{status="under_maintenance"}"#, 1.0),
        (r#"components{status="operational"}"#, 0.0),
        (r#"components{status="partial_outage"}"#, 0.0),
        (r#"components{status="performance_issues"}"#, 0.0),
        (r#"components{status="unknown"}"#, 0.0),
        (r#"components_desired{status="partial_outage"}"#, 1.0),
        (r#"components_desired{status="operational"}"#, 2.0),
        (r#"components_desired{status="major_outage"}"#, 0.0),
        (r#"components_desired{status="performance_issues"}"#, 0.0),
        (r#"components_desired{status="unknown"}"#, 0.0),
        (r#"components_desired{status="under_maintenance"}"#, 0.0),
        ("components_missing", 1.0),
        ("targets", 3.0),
        ("targets_down", 1.0),
        ("alerts_firing", 1.0),
        ("held_refires", 1.0),
        (r#"incidents_open{owner="ours"}"#, 1.0),
        (r#"incidents_open{owner="others"}"#, 1.0),
        (r#"overrides{kind="component_status"}"#, 1.0),
        (r#"overrides{kind="incident_closed"}"#, 0.0),
        ("holds", 0.0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}");
    }
}
