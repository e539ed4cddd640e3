//! The history, the overrides and the watchdog.

use std::collections::BTreeSet;

use alertmanager_cachet_core::history::{About, AlertEventKind, Event, EventKind, Source};
use alertmanager_cachet_core::observed::IncidentId;
use alertmanager_cachet_core::overrides::Override;
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;
use alertmanager_cachet_store::{Store, StoreError};

use super::Place;
use crate::{NOW, after, alert, component, resolved};

const START: Timestamp = Timestamp::from_millis(0);

async fn happened(store: &Store, component_name: &str, kind: EventKind, at: Timestamp) {
    let about = About::Component(component(component_name));
    store.remember(&[], &[Event { at, about, kind }]).await.expect("remembered");
}

fn status(to: ComponentStatus) -> EventKind {
    EventKind::Status { from: None, to: Some(to) }
}

fn override_of(name: &str, since: Timestamp, until: Timestamp) -> Override {
    let status = ComponentStatus::PartialOutage;
    Override::new(component(name), status, until, ("ada", "a false alarm"), since).expect("an override")
}

pub async fn only_what_goes_on_outlives_the_limit_of_the_history(place: &Place) {
    use ComponentStatus::{MajorOutage, Operational};
    let store = place.open().await;
    let (fires, over) = (alert("a", "Web", NOW), alert("b", "Web", NOW));
    store.record(&[fires.clone(), over.clone(), resolved(&over)], NOW).await.expect("recorded");
    happened(&store, "Web", status(Operational), NOW).await;
    happened(&store, "Web", EventKind::WritableAgain, NOW).await;
    happened(&store, "Web", status(MajorOutage), NOW).await;
    store.set_override(&override_of("Shop", NOW, after(1000))).await.expect("set");
    store.set_override(&override_of("Web", NOW, after(1000))).await.expect("set");
    store.end_override(&component("Web"), "ada", NOW).await.expect("ended");
    store.record(&[resolved(&fires)], after(10)).await.expect("recorded");

    // b, its end, the first status, the write and the override of Web with its end.
    assert_eq!(store.forget_history(after(1)).await.expect("forgotten"), 6);
    assert_eq!(store.forget_history(after(1)).await.expect("forgotten"), 0);
    let alerts = store.alert_history(&component("Web"), START, 10).await.expect("read");
    let kinds: Vec<_> = alerts.iter().map(|event| (event.kind, event.source)).collect();
    assert_eq!(
        kinds,
        [(AlertEventKind::Resolved, Source::Notification), (AlertEventKind::Fired, Source::Notification)]
    );
    let events = async |name| -> Vec<EventKind> {
        let events = store.event_history(&component(name), START, 10).await.expect("read");
        events.into_iter().map(|event| event.kind).collect()
    };
    assert_eq!(events("Web").await, [status(MajorOutage)]);
    assert_eq!(events("Shop").await.len(), 1);
    // By then the alert is over, too.
    assert_eq!(store.forget_history(after(11)).await.expect("forgotten"), 2);
}

pub async fn a_finding_is_known_until_the_status_changes(place: &Place) {
    let store = place.open().await;
    let closed = EventKind::IncidentClosedByPerson { incident: IncidentId(3) };
    for name in ["Web", "Shop"] {
        happened(&store, name, status(ComponentStatus::MajorOutage), NOW).await;
        happened(&store, name, closed.clone(), NOW).await;
    }
    happened(&store, "Shop", status(ComponentStatus::Operational), NOW).await;
    let web = About::Component(component("Web"));
    assert_eq!(store.found_out().await.expect("read"), BTreeSet::from([(web, closed)]));
}

pub async fn a_history_begins_with_the_first_look(place: &Place) {
    let store = place.open().await;
    assert!(matches!(store.kept().await, Err(StoreError::NoHistory)));
    assert_eq!(store.look_at_the_clock(NOW).await.expect("kept"), None);
    assert_eq!(store.look_at_the_clock(after(60)).await.expect("kept"), Some(NOW));
    store.record(&[alert("a", "Web", NOW)], NOW).await.expect("recorded");
    let absence = EventKind::NotRunning { since_ms: NOW.as_millis() };
    let event = Event { at: after(60), about: About::Everything, kind: absence };
    store.remember(&[], std::slice::from_ref(&event)).await.expect("remembered");
    let kept = store.kept().await.expect("read");
    assert_eq!((kept.from, kept.alerts.len(), kept.events), (NOW, 1, vec![event]));
    let absences = store.absences(START).await.expect("read");
    assert_eq!(absences.iter().map(|span| (span.from, span.until)).collect::<Vec<_>>(), [(NOW, after(60))]);
}

pub async fn an_override_lasts_until_it_is_replaced_ended_or_over(place: &Place) {
    let store = place.open().await;
    let (first, second) = (override_of("Web", NOW, after(60)), override_of("Web", after(1), after(90)));
    for override_ in [&first, &second, &override_of("Shop", NOW, after(60))] {
        store.set_override(override_).await.expect("set");
    }
    assert_eq!(store.overrides().await.expect("read"), [override_of("Shop", NOW, after(60)), second.clone()]);
    assert_eq!(store.end_expired_overrides(after(59)).await.expect("none"), []);
    assert_eq!(store.end_expired_overrides(after(60)).await.expect("one"), [override_of("Shop", NOW, after(60))]);
    let web = component("Web");
    assert_eq!(store.end_override(&web, "bob", after(61)).await.expect("ended"), Some(second));
    assert_eq!(store.end_override(&web, "bob", after(61)).await.expect("nothing to end"), None);
    assert_eq!(store.overrides().await.expect("read"), []);
    let words = async |name| -> Vec<&'static str> {
        let events = store.event_history(&component(name), START, 10).await.expect("read");
        events.iter().map(|event| event.kind.word()).collect()
    };
    assert_eq!(words("Web").await, ["released", "held", "held"]);
    assert_eq!(words("Shop").await, ["hold_expired", "held"]);
}

pub async fn the_watchdog_is_missing_until_it_is_heard(place: &Place) {
    let store = place.open().await;
    assert!(!store.record_heartbeat(NOW).await.expect("kept"));
    let heard = store.record_missing_watchdog(START, NOW.before(std::time::Duration::from_secs(1))).await;
    assert_eq!(heard.expect("kept").missing_at, None, "it was heard meanwhile");
    let missing = store.record_missing_watchdog(NOW, after(300)).await.expect("kept");
    assert_eq!(missing, Pulse { last_heartbeat: Some(NOW), missing_at: Some(after(300)) });
    assert!(!store.record_heartbeat(after(299)).await.expect("kept"), "sent before it was missing");
    assert!(store.record_heartbeat(after(301)).await.expect("kept"));
    let events = store.event_history(&component("Web"), START, 10).await.expect("read");
    let words: Vec<_> = events.iter().map(|event| (event.kind.word(), event.at)).collect();
    assert_eq!(words, [("watchdog_heard", after(301)), ("watchdog_missing", after(300))]);
}

pub async fn overrides_and_the_watchdog_are_the_same_after_a_restart(place: &Place) {
    let store = place.open().await;
    store.set_override(&override_of("Web", NOW, after(60))).await.expect("set");
    let pulse = store.record_missing_watchdog(START, NOW).await.expect("kept");
    store.close().await;
    let store = place.open().await;
    assert_eq!(store.overrides().await.expect("read"), [override_of("Web", NOW, after(60))]);
    assert_eq!(store.pulse().await.expect("read"), pulse);
}

/// As `setup` does beside a server.
pub async fn two_processes_write_at_the_same_time(place: &Place) {
    let writers = [place.open().await, place.open().await];
    let tasks = (0..20).flat_map(|number| writers.iter().zip(["x", "y"]).map(move |(store, who)| (number, store, who)));
    let tasks: Vec<_> = tasks
        .map(|(number, store, who)| {
            let (store, override_) = (store.clone(), override_of(&format!("{who} {number}"), NOW, after(60)));
            tokio::spawn(async move { store.set_override(&override_).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("ran").expect("set");
    }
    for store in &writers {
        assert_eq!(store.overrides().await.expect("read").len(), 40);
    }
}
