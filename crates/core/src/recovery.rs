//! What stays valid of stored state after the clock was set back, a backup was restored, or the page moved.
//!
//! In each case the store is right about some of what it holds and wrong about the rest. The functions take what is
//! stored and return what is to be stored instead.

use super::alert::{AlertRecord, AlertState};
use super::expiry::{RoutedWatchdog, RoutedWatchdogs};
use super::ledger::{Delivery, Ledger, Recorded, Update};
use super::outage::{Ended, EndedBy, IncidentValue, Outage};
use super::time::Timestamp;
use super::watchdog::Pulse;

/// The ledger for a page at another address than before.
///
/// Numbers of components and incidents mean nothing there. Every status counts as unconfirmed. The incident of an outage is
/// looked up by its key, and opened if it does not exist. No write to the other page is awaited any longer.
pub fn ledger_of_another_page(ledger: Ledger) -> Ledger {
    let mut moved = unconfirmed(&ledger);
    moved.rows_mut().for_each(|(_, row)| row.unanswered.clear());
    for outage in ledger.outages().filter(|outage| outage.is_active()) {
        let delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
        let value = IncidentValue::Created { title: String::new() };
        let incident = Recorded { page_id: None, value, delivery, unanswered: Vec::new() };
        moved.record(Outage { incident: Some(incident), ..outage.clone() }.into());
    }
    moved
}

/// The ledger in a store that is older than what was last written to the page: a restored backup.
///
/// The page is right then. Every status counts as unconfirmed, and every outage has ended: the open incidents are adopted
/// from the page.
pub fn ledger_of_newer_page(ledger: Ledger) -> Ledger {
    let mut older = unconfirmed(&ledger);
    let ended = Some(Ended { at: Timestamp::from_millis(0), by: EndedBy::Recovery });
    for outage in ledger.outages().filter(|outage| !outage.unanswered().is_empty()) {
        let mut outage = Outage { ended, ..outage.clone() };
        // What opens its incident again after this was sent before the store was copied.
        if let Some(row) = outage.incident.as_mut().filter(|row| row.page_id.is_some()) {
            (row.value, row.delivery) = (IncidentValue::Fixed, Delivery::Confirmed);
        }
        older.record(outage.into());
    }
    older
}

/// From when on a restored backup has heard of alerts after it was restored; `None` if the store is none. The last server
/// looked at the page at `looked_at`, the store says that this was at `known`, and the server that runs now began at `start`.
///
/// A store that knows of an earlier look, or of none, is a backup. Of the look and the start, the earlier one counts: a
/// server that stopped before its first look may have received notifications. What was resolved before may have fired again
/// since, and is forgotten.
pub fn heard_since(known: Option<Timestamp>, looked_at: Timestamp, start: Timestamp) -> Option<Timestamp> {
    known.is_none_or(|known| known < looked_at).then(|| looked_at.min(start))
}

/// The pulse in a restored store: unknown, unless the watchdog was received after `heard_since`.
pub fn pulse_after_restore(pulse: Pulse, heard_since: Timestamp) -> Pulse {
    if pulse.last_heartbeat.is_some_and(|last| last >= heard_since) { pulse } else { Pulse::default() }
}

/// An alert by a clock that was set back to `now`.
///
/// If it were last heard of in the future, every poll of Alertmanager would be older than it and could not end it.
pub fn clamp_alert(record: &AlertRecord, now: Timestamp) -> AlertRecord {
    let state = match record.state {
        AlertState::Refired { since } => AlertState::Refired { since: since.min(now) },
        state => state,
    };
    let ends_at = record.ends_at.map(|ends_at| ends_at.min(now));
    AlertRecord { state, ends_at, last_seen_at: record.last_seen_at.min(now), ..record.clone() }
}

/// The ledger by a clock that was set back to `now`: every wait in it begins at `now` at the latest.
pub fn clamp_ledger(mut ledger: Ledger, now: Timestamp) -> Ledger {
    ledger.rows_mut().for_each(|(_, row)| row.clamp(now));
    for outage in ledger.outages_mut() {
        outage.calm_since = outage.calm_since.map(|since| since.min(now));
        outage.ended = outage.ended.map(|ended| Ended { at: ended.at.min(now), ..ended });
        outage.incident.iter_mut().for_each(|row| row.clamp(now));
    }
    ledger
}

/// The watchdogs of notifications by a clock that was set back to `now`.
pub fn clamp_watchdogs(watchdogs: &RoutedWatchdogs, now: Timestamp) -> RoutedWatchdogs {
    let clamped = watchdogs.0.iter().map(|(fingerprint, watchdog)| {
        (*fingerprint, RoutedWatchdog { notified_at: watchdog.notified_at.min(now), ..*watchdog })
    });
    RoutedWatchdogs(clamped.collect())
}

/// The rows of the components, every value in doubt since the beginning of time.
fn unconfirmed(ledger: &Ledger) -> Ledger {
    let mut unconfirmed = Ledger::default();
    for (key, row) in ledger.rows() {
        let mut row = row.clone();
        if row.is_confirmed() {
            row.delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
        }
        unconfirmed.record(Update::Component(key.clone(), Some(row)));
    }
    unconfirmed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::alert::Fingerprint;
    use super::super::ledger::{ComponentValue, ResourceKey, Unanswered};
    use super::super::observed::{ComponentId, IncidentId};
    use super::super::outage::{OutageKey, OutageSubject, RecordedIncident};
    use super::super::status::ComponentStatus;
    use super::super::target::{ComponentList, ComponentName, Target};
    use super::*;

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
            key: OutageKey::new(ComponentId(id), NOW),
            subject: OutageSubject::Component { name: name(component), id: ComponentId(id) },
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
        let (key, subject) = (OutageKey::of_monitoring(NOW), OutageSubject::Monitoring);
        ledger.record(Outage { key, subject, ..outage(0, "Web", None, created(0)) }.into());
        ledger.record(outage(3, "Mail", Some(Ended { at: LATER, by: EndedBy::Unopened }), created(1)).into());
        ledger
    }

    fn are_unconfirmed(ledger: &Ledger) -> bool {
        ledger.rows().count() == 2 && ledger.rows().all(|(_, row)| !row.is_confirmed())
    }

    #[test]
    fn on_another_page_active_outages_are_looked_up_again_and_nothing_is_awaited() {
        let moved = ledger_of_another_page(ledger());
        assert!(are_unconfirmed(&moved));
        let keys: Vec<_> = moved.outages().map(|it| (it.key.as_str(), it.incident_id(), it.is_active())).collect();
        assert_eq!(keys, [("0-1000000", None, true), ("1-1000000", None, true)]);
        assert!(moved.outages().all(|outage| outage.incident.is_some() && outage.unanswered().is_empty()));
        assert!(moved.rows().all(|(_, row)| row.unanswered.is_empty()));
    }

    #[test]
    fn after_a_restore_every_outage_has_ended_and_lost_writes_are_still_awaited() {
        let restored = ledger_of_newer_page(ledger());
        assert!(are_unconfirmed(&restored));
        assert!(restored.outages().all(|outage| !outage.is_active()));
        let awaited: Vec<_> = restored.outages().map(|it| (it.key.as_str(), it.unanswered().len())).collect();
        assert_eq!(awaited, [("1-1000000", 2), ("3-1000000", 1)]);

        let reopening = Recorded::sent(None, Some(IncidentId(5)), IncidentValue::Reopened, LATER);
        let mut ledger = Ledger::default();
        ledger.record(outage(1, "Web", None, reopening).into());
        let restored = ledger_of_newer_page(ledger);
        let outage = restored.outages().next().expect("it is awaited");
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
        for outage in clamped.outages() {
            assert_eq!(outage.calm_since, Some(NOW));
            assert!(outage.ended.is_none_or(|ended| ended.at == NOW));
            let row = outage.incident.as_ref().expect("an incident");
            assert!(!matches!(row.delivery, Delivery::InDoubt { since } if since != NOW));
            assert!(outage.unanswered().iter().all(|sent| sent.sent_at == NOW));
        }
        let sent = clamped.rows().flat_map(|(_, row)| &row.unanswered);
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
}
