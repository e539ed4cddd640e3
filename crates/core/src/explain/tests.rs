//! Explanations, as a person reads them.

use super::*;
use crate::alert::{Alert, AlertStatus, Fingerprint, signals};
use crate::ledger::{IncidentValue, Outage, OutageSubject, Recorded, outage_key};
use crate::observed::{ComponentId, IncidentId, Maintenance, ObservedComponent, ObservedIncident};
use crate::page::desired;
use crate::plan::{Policy, Views, plan};
use crate::rules::{CloseIncidentWhen, Drift};
use crate::status::IncidentStatus;
use crate::target::{ComponentList, Inventory, InventorySource, KnownTarget, Target};

const REFIRE_DELAY: Duration = Duration::from_secs(300);
const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

fn name(text: &str) -> ComponentName {
    ComponentName::try_from(text).expect("component name")
}

fn target(instance: &str) -> Target {
    Target::new(instance, ComponentList::parse("Database").names).expect("target")
}

fn record(instance: &str, statuses: &[AlertStatus]) -> AlertRecord {
    let mut known = None;
    for status in statuses {
        let alert = Alert {
            fingerprint: Fingerprint::of_text(instance),
            name: "TargetDown".to_owned(),
            target: target(instance),
            critical: false,
            status: *status,
            starts_at: Timestamp::from_millis(NOW.as_millis() - 60_000),
            ends_at: None,
        };
        known = Some(AlertRecord::observe(known.as_ref(), &alert, NOW).0);
    }
    known.expect("a statement")
}

fn explained(alerts: &[AlertRecord], ledger: &Ledger, observed: &Observed) -> Option<Explanation> {
    let known = |(instance, critical)| KnownTarget { target: target(instance), critical };
    let inventory = Inventory::new(InventorySource::File, [("db-1:9100", true), ("db-22:9100", false)].map(known));
    let page = desired(&inventory, &signals(alerts, REFIRE_DELAY, NOW));
    let policy = Policy {
        close_incident_when: CloseIncidentWhen::NotMajorOutage,
        drift: Drift::Respect,
        recovery_hold: Duration::ZERO,
        reopen_within: Duration::ZERO,
        takes_unknown: true,
        inventory: InventorySource::File,
    };
    let index = ComponentIndex::of(observed, &[]);
    let plan = plan(Views { desired: &page, ledger, observed, index: &index }, policy, NOW);
    let facts = Facts {
        page,
        alerts: alerts.to_vec(),
        ledger: ledger.clone(),
        observed: Some((observed.clone(), NOW)),
        index,
        plan,
        pulse: Pulse::default(),
        refire_delay: REFIRE_DELAY,
        now: NOW,
    };
    facts.explain(&name("Database"))
}

fn page_with_database() -> Observed {
    let component = ObservedComponent {
        id: ComponentId(1),
        name: "Database".to_owned(),
        status: Some(ComponentStatus::Operational),
        enabled: true,
        description: None,
        group: None,
        managed: true,
    };
    Observed { components: vec![component], ..Observed::default() }
}

#[test]
fn an_outage_is_explained_by_its_targets_and_alerts_and_by_what_still_waits() {
    let alerts = [record("db-1:9100", &[AlertStatus::Firing])];
    let text = explained(&alerts, &Ledger::default(), &page_with_database()).expect("known").to_string();
    assert_eq!(
        text,
        "\
Database: 4 (Outage)
  because its critical target db-1:9100 is down, since 2026-11-21T01:59:00Z

Targets
  DOWN  db-1:9100, critical
        TargetDown since 2026-11-21T01:59:00Z
  up    db-22:9100

Page
  showed 1 (Operational) at 2026-11-21T02:00:00Z
  no incident
  waits: set component \"Database\" from 1 (Operational) to 4 (Outage)
  waits: open an incident for component \"Database\"
  waits: make target component \"db-1:9100 | Database\" as 4 (Outage)

Note: the page lacks 1 target component of the inventory (\"db-22:9100 | Database\"): run `setup`
"
    );
}

#[test]
fn an_open_incident_and_a_held_firing_are_named() {
    let alerts = [record("db-22:9100", &[AlertStatus::Firing, AlertStatus::Resolved, AlertStatus::Firing])];
    let mut ledger = Ledger::default();
    let outage = Outage {
        key: outage_key(Some(ComponentId(1)), NOW),
        subject: OutageSubject::Component(name("Database")),
        component_id: Some(ComponentId(1)),
        occurred_at: NOW,
        began_at: NOW,
        calm_since: None,
        ended: None,
        incident: Some(Recorded::confirmed(IncidentId(12), IncidentValue::Reopened)),
    };
    ledger.record(outage.into());
    let open = ObservedIncident {
        id: IncidentId(12),
        name: "Database is down".to_owned(),
        status: Some(IncidentStatus::Investigating),
        outage: None,
        component: None,
        component_id: Some(ComponentId(1)),
        is_anonymous: true,
        is_hidden: false,
    };
    let page = Observed { open_incidents: vec![open], ..page_with_database() };
    let explanation = explained(&alerts, &ledger, &page).expect("known");
    assert_eq!(explanation.reason, "all its 2 targets are up");
    let text = explanation.to_string();
    for line in [
        "  held  db-22:9100: TargetDown fires again, counts from 2026-11-21T02:05:00Z unless resolved\n",
        "  incident 12 is open, outage since 2026-11-21T02:00:00Z\n",
        "  waits: close incident 12 of component \"Database\"\n",
    ] {
        assert!(text.contains(line), "{line}\nin\n{text}");
    }
}

#[test]
fn an_incident_that_is_held_back_is_explained_by_the_maintenance() {
    let alerts = [record("db-1:9100", &[AlertStatus::Firing])];
    let maintenance =
        Maintenance { name: "New switch".to_owned(), components: vec![ComponentId(1)], ends_if_utc_ms: None };
    let observed = Observed { maintenance: vec![maintenance], ..page_with_database() };
    let text = explained(&alerts, &Ledger::default(), &observed).expect("known").to_string();
    for line in [
        "  no incident\n  maintenance \"New switch\" is in progress\n",
        "Note: component \"Database\" is down during the maintenance \"New switch\", so no incident is opened: if it \
         is still down when that is over, one will be\n",
    ] {
        assert!(text.contains(line), "{line}\nin\n{text}");
    }
    assert!(!text.contains("waits: open an incident"), "{text}");
}

#[test]
fn a_component_that_nobody_knows_has_no_explanation() {
    let facts = Facts {
        page: desired(&Inventory::new(InventorySource::File, []), &signals(&[], REFIRE_DELAY, NOW)),
        alerts: Vec::new(),
        ledger: Ledger::default(),
        observed: Some((Observed::default(), NOW)),
        index: ComponentIndex::default(),
        plan: Plan::default(),
        pulse: Pulse::default(),
        refire_delay: REFIRE_DELAY,
        now: NOW,
    };
    assert_eq!(facts.explain(&name("Database")), None);
}

#[test]
fn the_reason_counts_the_targets_and_names_the_critical_ones_that_are_down() {
    use ComponentStatus::{MajorOutage, Operational, PartialOutage};
    for (status, targets, expected) in [
        (Operational, &[][..], "no target feeds it"),
        (Operational, &[("a", false, false)], "its only target is up"),
        (Operational, &[("a", false, false), ("b", true, false)], "all its 2 targets are up"),
        (MajorOutage, &[("a", false, true)], "its only target is down"),
        (MajorOutage, &[("a", true, true)], "its critical target a is down"),
        (MajorOutage, &[("a", true, true), ("b", true, true)], "its critical targets a, b are down"),
        (MajorOutage, &[("a", false, true), ("b", false, true)], "all its 2 targets are down"),
        (MajorOutage, &[("a", true, true), ("b", false, false)], "its critical target a is down"),
        (PartialOutage, &[("a", false, true), ("b", true, false)], "1 of its 2 targets is down"),
        (PartialOutage, &[("a", false, true), ("b", false, true), ("c", false, false)], "2 of its 3 targets are down"),
    ] {
        let known = |&(instance, critical, _): &(&str, bool, bool)| KnownTarget { target: target(instance), critical };
        let inventory = Inventory::new(InventorySource::File, targets.iter().map(known));
        let down = targets.iter().filter(|(_, _, down)| *down);
        let alerts: Vec<AlertRecord> = down.map(|(instance, ..)| record(instance, &[AlertStatus::Firing])).collect();
        let page = desired(&inventory, &signals(&alerts, REFIRE_DELAY, NOW));
        let targets: Vec<&DesiredTarget> = page.targets.values().collect();
        let targets: Vec<_> = targets.into_iter().map(Cow::Borrowed).collect();
        assert_eq!(reason(status, &targets), expected);
    }
}

#[test]
fn a_component_is_explained_if_anything_knows_it() {
    let unseen = explained(&[], &Ledger::default(), &Observed::default()).expect("targets feed it");
    assert_eq!(unseen.reason, "all its 2 targets are up");
    assert_eq!(unseen.shown.expect("Cachet was read").status, None);
}

#[test]
fn only_changes_of_its_own_targets_are_waited_for() {
    let of_another = Target::new("shop-1:9100", ComponentList::parse("Shop").names).expect("target");
    let another = AlertRecord {
        fingerprint: "1".repeat(16).parse().expect("fingerprint"),
        target: of_another,
        ..record("db-1:9100", &[AlertStatus::Firing])
    };
    let alerts = [record("db-1:9100", &[AlertStatus::Firing]), another];
    let waiting = explained(&alerts, &Ledger::default(), &page_with_database()).expect("known").waiting;
    let starts: Vec<&str> = waiting.iter().map(|line| line.split(" as ").next().unwrap_or_default()).collect();
    assert_eq!(
        starts,
        [
            "set component \"Database\" from 1 (Operational) to 4 (Outage)",
            "open an incident for component \"Database\"",
            "make target component \"db-1:9100 | Database\"",
        ]
    );
}
