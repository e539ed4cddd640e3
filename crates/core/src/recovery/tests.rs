use std::time::Duration;

use super::super::expiry::RoutedWatchdog;
use super::super::ledger::{ComponentValue, RecordedIncident, ResourceKey};
use super::super::observed::IncidentId;
use super::super::status::IncidentStatus;
use super::super::target::{ComponentList, InventorySource, KnownTarget};
use super::*;

/// The title of the incident of the monitoring.
const MONITORING: &str = "Monitoring data is missing";

const NOW: Timestamp = Timestamp::from_millis(1_000_000);
const EARLIER: Timestamp = Timestamp::from_millis(900_000);
const LATER: Timestamp = Timestamp::from_millis(1_100_000);

fn name(text: &str) -> ComponentName {
    ComponentName::try_from(text).expect("a name")
}

fn created(count: usize) -> RecordedIncident {
    let value = IncidentValue::Created { title: "Down".to_owned() };
    let unanswered = vec![Unanswered { value: value.clone(), sent_at: LATER }; count];
    Recorded { page_id: None, value, delivery: Delivery::InDoubt { since: LATER }, unanswered }
}

fn outage(id: i64, component: &str, ended: Option<Ended>, incident: RecordedIncident) -> Outage {
    Outage {
        key: outage_key(Some(ComponentId(id)), NOW),
        subject: OutageSubject::Component(name(component)),
        component_id: Some(ComponentId(id)),
        occurred_at: NOW,
        began_at: NOW,
        calm_since: Some(LATER),
        ended,
        incident: Some(incident),
    }
}

/// An outage that goes on (1), a closed one (2), one of which only lost creates are left (3), and one of the monitoring.
fn ledger() -> Ledger {
    let status = ComponentStatus::MajorOutage;
    let mut ledger = Ledger::default();
    let value = ComponentValue::of_component(status);
    let unanswered = vec![Unanswered { value: value.clone(), sent_at: LATER }];
    let row = Recorded { unanswered, ..Recorded::confirmed(ComponentId(1), value) };
    ledger.record(Update::Component(ResourceKey::Component(name("Web")), Some(row)));
    let target = Target::new("a", ComponentList::parse("Web").names).expect("a target").name();
    let value = ComponentValue::of_target(status, "critical: no\nTargetDown".to_owned());
    let row = Recorded::confirmed(ComponentId(9), value);
    ledger.record(Update::Component(ResourceKey::Target(target), Some(row)));
    let open = Recorded { page_id: Some(IncidentId(5)), delivery: Delivery::Confirmed, ..created(2) };
    ledger.record(outage(1, "Web", None, open).into());
    let closed = Recorded::confirmed(IncidentId(6), IncidentValue::Fixed);
    ledger.record(outage(2, "Shop", Some(Ended { at: LATER, by: EndedBy::Person }), closed).into());
    let (key, subject, component_id) = (outage_key(None, NOW), OutageSubject::Monitoring, None);
    ledger.record(Outage { key, subject, component_id, ..outage(0, "Web", None, created(0)) }.into());
    ledger.record(outage(3, "Mail", Some(Ended { at: LATER, by: EndedBy::Unopened }), created(1)).into());
    ledger
}

fn are_unconfirmed(ledger: &Ledger) -> bool {
    ledger.rows.len() == 2 && ledger.rows.values().all(|row| !row.is_confirmed())
}

#[test]
fn on_another_page_active_outages_are_looked_up_again_and_nothing_is_awaited() {
    let moved = ledger_of_another_page(ledger());
    assert!(are_unconfirmed(&moved));
    let keys: Vec<_> = moved.outages.values().map(|it| (it.key.as_str(), it.incident_id(), it.is_active())).collect();
    assert_eq!(keys, [("0-1000000", None, true), ("1-1000000", None, true)]);
    assert!(moved.outages.values().all(|outage| outage.incident.is_some() && outage.unanswered().is_empty()));
    assert!(moved.rows.values().all(|row| row.unanswered.is_empty()));
}

#[test]
fn after_a_restore_every_outage_has_ended_and_lost_writes_are_still_awaited() {
    let restored = ledger_of_newer_page(ledger());
    assert!(are_unconfirmed(&restored));
    assert!(restored.outages.values().all(|outage| !outage.is_active()));
    let awaited: Vec<_> = restored.outages.values().map(|it| (it.key.as_str(), it.unanswered().len())).collect();
    assert_eq!(awaited, [("1-1000000", 2), ("3-1000000", 1)]);

    let reopening = Recorded::sent(None, Some(IncidentId(5)), IncidentValue::Reopened, LATER);
    let mut ledger = Ledger::default();
    ledger.record(outage(1, "Web", None, reopening).into());
    let restored = ledger_of_newer_page(ledger);
    let outage = restored.outages.values().next().expect("it is awaited");
    assert!(outage.late(true).is_some(), "a reopening that is carried out late is undone");
}

#[test]
fn after_a_restore_only_what_was_heard_since_is_believed() {
    assert_eq!((heard_since(None, NOW, LATER), heard_since(None, LATER, NOW)), (Some(NOW), Some(NOW)));
    assert_eq!((heard_since(Some(EARLIER), NOW, NOW), heard_since(Some(NOW), NOW, NOW)), (Some(NOW), None));
    let heard = |last_heartbeat| Pulse { last_heartbeat, missing_at: Some(EARLIER) };
    assert_eq!(pulse_after_restore(heard(Some(NOW)), NOW), heard(Some(NOW)));
    assert_eq!(pulse_after_restore(heard(Some(EARLIER)), NOW), Pulse::default());
    assert_eq!(pulse_after_restore(heard(None), NOW), Pulse::default());
}

fn record(last_seen_at: Timestamp) -> AlertRecord {
    AlertRecord {
        fingerprint: Fingerprint::of_text("a"),
        name: "TargetDown".to_owned(),
        target: Target::new("a", ComponentList::parse("Web").names).expect("a target"),
        critical: false,
        starts_at: LATER,
        reported_starts_at: LATER,
        state: AlertState::Firing,
        ends_at: None,
        last_seen_at,
    }
}

#[test]
fn after_the_clock_was_set_back_no_wait_begins_in_the_future() {
    let later = AlertRecord { state: AlertState::Refired { since: LATER }, ends_at: Some(LATER), ..record(LATER) };
    let clamped = clamp_alert(&later, NOW);
    let refired = AlertState::Refired { since: NOW };
    assert_eq!((clamped.state, clamped.ends_at, clamped.last_seen_at), (refired, Some(NOW), NOW));
    assert_eq!(clamped.starts_at, LATER, "which occurrence it is does not depend on the clock");
    assert_eq!(clamp_alert(&record(EARLIER), NOW), record(EARLIER));

    let clamped = clamp_ledger(ledger(), NOW);
    for outage in clamped.outages.values() {
        assert_eq!(outage.calm_since, Some(NOW));
        assert!(outage.ended.is_none_or(|ended| ended.at == NOW));
        let row = outage.incident.as_ref().expect("an incident");
        assert!(!matches!(row.delivery, Delivery::InDoubt { since } if since != NOW));
        assert!(outage.unanswered().iter().all(|sent| sent.sent_at == NOW));
    }
    let sent = clamped.rows.values().flat_map(|row| &row.unanswered);
    assert_eq!(sent.map(|sent| sent.sent_at).collect::<Vec<_>>(), [NOW]);
    assert_eq!(clamp_ledger(ledger(), LATER), ledger());

    let watchdog = |notified_at| {
        let interval = Some(Duration::from_secs(60));
        let watchdog = RoutedWatchdog { starts_at: EARLIER, notified_at, interval };
        RoutedWatchdogs([(Fingerprint::of_text("a"), watchdog)].into())
    };
    assert_eq!(clamp_watchdogs(&watchdog(LATER), NOW), watchdog(NOW));
    assert_eq!(clamp_watchdogs(&watchdog(EARLIER), NOW), watchdog(EARLIER));
}

fn component(id: i64, name: &str, enabled: bool, status: ComponentStatus, description: &str) -> ObservedComponent {
    ObservedComponent {
        id: ComponentId(id),
        name: name.to_owned(),
        status: Some(status),
        enabled,
        description: Some(description.to_owned()),
        group: None,
        managed: false,
    }
}

fn incident(id: i64, name: &str) -> ObservedIncident {
    ObservedIncident {
        id: IncidentId(id),
        name: name.to_owned(),
        status: Some(IncidentStatus::Investigating),
        outage: None,
        component: None,
        component_id: None,
        is_anonymous: false,
        is_hidden: false,
    }
}

fn title(subject: &OutageSubject) -> String {
    subject.component().map_or(MONITORING.to_owned(), |name| format!("{name} is down"))
}

fn adopted(components: Vec<ObservedComponent>, open_incidents: Vec<ObservedIncident>) -> Adoption {
    let known = ["a:1", "b:1"].map(|instance| KnownTarget {
        target: Target::new(instance, ComponentList::parse("Web").names).expect("a target"),
        critical: false,
    });
    let inventory = Inventory::new(InventorySource::File, known);
    adopt(&inventory, &Observed { components, open_incidents, ..Observed::default() }, title, NOW)
}

fn names(adoption: &Adoption) -> Vec<String> {
    adoption.alerts.iter().map(|alert| format!("{} of {}", alert.name, alert.target.instance())).collect()
}

#[test]
fn what_the_older_middleware_left_red_is_taken_over_by_target_and_alert_name() {
    use ComponentStatus::{MajorOutage, Operational};
    let adoption = adopted(
        vec![
            component(1, "a:1 | Web", false, MajorOutage, "critical: no\nTargetDown,DiskFull"),
            component(2, "b:1 | Web", false, Operational, "critical: no\nno alerts"),
            component(3, "gone:1 | Web", false, MajorOutage, "critical: no\nTargetDown"),
            component(4, "Web", true, MajorOutage, "TargetDown"),
        ],
        vec![],
    );
    assert_eq!(names(&adoption), ["TargetDown of a:1", "DiskFull of a:1"]);
    assert!(adoption.alerts.iter().all(|alert| alert.is_firing(NOW, Duration::ZERO)));
    assert_ne!(adoption.alerts[0].fingerprint, adoption.alerts[1].fingerprint);
}

#[test]
fn half_a_name_is_not_taken_over_where_there_are_whole_ones() {
    let long = format!("critical: no\nTargetDown, {}", "x".repeat(300));
    let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
    let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
    assert_eq!(names(&adopted(vec![red], vec![])), ["TargetDown of a:1"]);
}

#[test]
fn a_single_name_is_taken_over_however_long() {
    let long = format!("critical: no\n{}", "x".repeat(DESCRIPTION_LIMIT));
    let cut: String = long.chars().take(DESCRIPTION_LIMIT).collect();
    let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, &cut);
    assert_eq!(adopted(vec![red], vec![]).alerts.len(), 1);
}

#[test]
fn a_component_that_the_public_sees_is_no_targets_own() {
    let shown = component(1, "a:1 | Web", true, ComponentStatus::MajorOutage, "critical: no\nTargetDown");
    assert_eq!(names(&adopted(vec![shown], vec![])), [] as [&str; 0]);
}

#[test]
fn red_without_a_name_leaves_nothing_that_could_ever_end() {
    for description in ["", "critical: yes", "critical: yes\nno alerts"] {
        let red = component(1, "a:1 | Web", false, ComponentStatus::MajorOutage, description);
        assert_eq!(names(&adopted(vec![red], vec![])), [] as [&str; 0], "{description:?}");
    }
}

#[test]
fn an_open_incident_of_ours_is_taken_over_and_a_persons_is_not() {
    let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
    let marked = ObservedIncident {
        component: Some("Web".to_owned()),
        outage: Some("4-1".to_owned()),
        ..incident(9, "renamed by a person")
    };
    let later = ObservedIncident { id: IncidentId(11), ..marked.clone() };
    let by_hand = incident(2, "Web is down");
    let outages = adopted(vec![web.clone()], vec![by_hand.clone(), later, marked]).outages;
    assert_eq!(outages.len(), 1);
    assert_eq!((outages[0].key.as_str(), outages[0].incident_id()), ("4-1", Some(IncidentId(9))));
    assert_eq!(adopted(vec![web.clone()], vec![by_hand.clone()]).outages, []);
    let older = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand };
    assert_eq!(adopted(vec![web], vec![older]).outages[0].incident_id(), Some(IncidentId(2)));
}

#[test]
fn of_several_incidents_of_one_outage_the_first_is_taken_over_and_the_others_count_as_lost() {
    let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
    let of_outage = |id, key: &str| ObservedIncident {
        component: Some("Web".to_owned()),
        outage: Some(key.to_owned()),
        ..incident(id, "Web is down")
    };
    let open = vec![of_outage(9, "4-1"), of_outage(7, "4-1"), of_outage(8, "4-1"), of_outage(10, "4-2")];
    let outages = adopted(vec![web], open).outages;
    assert_eq!(outages.len(), 1);
    assert_eq!(outages[0].incident_id(), Some(IncidentId(7)));
    assert_eq!(outages[0].unanswered().len(), 2);
}

#[test]
fn an_incident_of_ours_whose_component_is_gone_is_taken_over_so_that_it_is_closed() {
    let incident_of = |id, component: &str, key: &str| ObservedIncident {
        component: Some(component.to_owned()),
        outage: Some(key.to_owned()),
        ..incident(id, "Web is down")
    };
    let renamed = component(4, "Web (old)", true, ComponentStatus::MajorOutage, "");
    let open = [incident_of(9, "Web", "4-2"), incident_of(7, "Web", "4-1"), incident_of(8, "Shop", "5-1")];
    let by_hand = incident(2, "Web is down");
    let outages = adopted(vec![renamed], [open.to_vec(), vec![by_hand]].concat()).outages;
    let taken: Vec<_> = outages.iter().map(|outage| (outage.key.as_str(), outage.incident_id())).collect();
    assert_eq!(taken, [("5-1", Some(IncidentId(8))), ("4-1", Some(IncidentId(7)))]);
    assert_eq!(outages[0].subject.component().map(ComponentName::as_str), Some("Shop"));
}

#[test]
fn of_the_monitoring_an_incident_is_taken_over_that_is_ours_and_about_no_component() {
    let by_hand = incident(1, MONITORING);
    let of_component = ObservedIncident {
        outage: Some("4-1".to_owned()),
        component: Some("Web".to_owned()),
        ..incident(2, MONITORING)
    };
    let ours = ObservedIncident { outage: Some("0-7".to_owned()), ..incident(3, "Another title by now") };
    let monitoring = |incidents: &[&ObservedIncident]| {
        let outages = adopted(Vec::new(), incidents.iter().copied().cloned().collect()).outages;
        outages.into_iter().find(|outage| outage.subject == OutageSubject::Monitoring)
    };
    assert_eq!(monitoring(&[&by_hand, &of_component]), None);
    let outage = monitoring(&[&by_hand, &of_component, &ours]).expect("taken over");
    assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-7", Some(IncidentId(3))));
    assert_eq!(outage.subject, OutageSubject::Monitoring);

    // A page that cannot say who opened it, where only the title tells.
    let of_component = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..by_hand.clone() };
    let by_hand = ObservedIncident { is_anonymous: true, ..by_hand };
    assert_eq!(monitoring(&[&of_component]), None);
    let outage = monitoring(&[&of_component, &by_hand]).expect("taken over");
    assert_eq!((outage.key.as_str(), outage.incident_id()), ("0-1000000", Some(IncidentId(1))));
}

#[test]
fn the_incident_of_a_component_that_a_person_has_hidden_is_taken_over_as_well() {
    let hidden = component(4, "Web", false, ComponentStatus::MajorOutage, "");
    let ours = ObservedIncident { component: Some("Web".to_owned()), ..incident(9, "Web is down") };
    assert_eq!(adopted(vec![hidden], vec![ours]).outages[0].incident_id(), Some(IncidentId(9)));
}

#[test]
fn an_adopted_outage_takes_over_the_lost_writes_of_the_one_that_a_backup_has_ended() {
    let web = component(4, "Web", true, ComponentStatus::MajorOutage, "");
    let title = "Web is down";
    let ours = ObservedIncident { component_id: Some(ComponentId(4)), is_anonymous: true, ..incident(9, title) };
    let mut adoption = adopted(vec![web], vec![ours]);
    let adopted = adoption.outages[0].clone();
    let of = |id: i64, incident, ended| {
        let row = Recorded::sent(None, Some(IncidentId(incident)), IncidentValue::Reopened, NOW);
        Outage {
            key: outage_key(Some(ComponentId(id)), Timestamp::from_millis(1)),
            subject: OutageSubject::Component(name("Web")),
            component_id: Some(ComponentId(id)),
            ended,
            incident: Some(row),
            ..adopted.clone()
        }
    };
    let ended = Some(Ended { at: NOW, by: EndedBy::Recovery });
    let (same, other) = (of(4, 9, ended), of(5, 3, ended));
    let mut known = Ledger::default();
    known.record(same.clone().into());
    known.record(other.into());
    assert_eq!(adoption.take_over(&known), [Update::Outage(same.key, None)]);
    assert_eq!(adoption.outages[0].unanswered().len(), 1);
    known.record(of(6, 3, None).into());
    adoption.take_over(&known);
    assert_eq!(adoption.outages, [], "the store knows that the component is in an outage");
}
