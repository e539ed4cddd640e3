//! In which order the history is played, and what it does not know.

use std::time::Duration;

use super::*;
use crate::alert::Fingerprint;
use crate::history::AlertEventKind;
use crate::status::ComponentStatus;
use crate::target::{ComponentList, ComponentName, KnownTarget, Target};

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn target(instance: &str) -> Target {
    Target::new(instance, ComponentList::parse("Web").names).expect("a target")
}

/// What was learned of the alert of an instance at a second.
fn learned(second: i64, instance: &str, kind: AlertEventKind) -> AlertEvent {
    AlertEvent {
        at: at(second),
        fingerprint: Fingerprint::of_text(instance),
        name: "Down".to_owned(),
        target: target(instance),
        critical: false,
        starts_at: at(1),
        kind,
        source: Source::Notification,
    }
}

fn kept(alerts: Vec<AlertEvent>, events: &[(i64, About, EventKind)]) -> Kept {
    let events = events.iter().map(|(second, about, event)| Event {
        at: at(*second),
        about: about.clone(),
        kind: event.clone(),
    });
    Kept { from: at(0), alerts, events: events.collect(), last_heartbeat: None }
}

fn watchdog(timeout: u64) -> Watchdog {
    Watchdog::new("Watchdog", Duration::from_secs(timeout)).expect("a watchdog")
}

fn missing(since: i64) -> EventKind {
    EventKind::WatchdogMissing { since_ms: at(since).as_millis() }
}

fn unknown(kept: &Kept, watchdog: Option<&Watchdog>, from: i64, until: i64) -> Vec<String> {
    let known = ["a", "b"].map(|instance| KnownTarget { target: target(instance), critical: false });
    let inventory = Inventory::new(InventorySource::File, known);
    let window = Span { from: at(from), until: at(until) };
    kept.unknown(watchdog, &inventory, window)
}

#[test]
fn what_was_learned_later_counts_later_though_it_is_dated_earlier() {
    let (first, second, late) = (
        learned(10, "a", AlertEventKind::Fired),
        learned(30, "b", AlertEventKind::Fired),
        learned(20, "a", AlertEventKind::Resolved),
    );
    let arrivals = kept(vec![first.clone(), second.clone(), late.clone()], &[]).arrivals(None);
    let expected = [
        Arrival { at: at(10), told: vec![Told::Learned(first)] },
        Arrival { at: at(30), told: vec![Told::Learned(second), Told::Learned(late)] },
    ];
    assert_eq!(arrivals, expected);
}

#[test]
fn an_absence_of_the_watchdog_counts_from_when_on_nothing_was_heard() {
    let kept = kept(Vec::new(), &[(400, About::Everything, missing(100))]);
    let times = kept.arrivals(Some(&watchdog(300))).into_iter().map(|arrival| arrival.at);
    assert_eq!(times.collect::<Vec<_>>(), [at(0), at(100)], "it is heard in the beginning");
}

#[test]
fn what_a_replay_does_not_know_is_told_if_it_concerns_the_time_that_is_looked_at() {
    let web = || About::Component(ComponentName::try_from("Web").expect("a name"));
    let overridden = EventKind::StatusOverridden { expected: ComponentStatus::Operational, found: None };
    let mut alerts = vec![learned(100, "a", AlertEventKind::Fired), learned(110, "elsewhere", AlertEventKind::Fired)];
    alerts.push(AlertEvent {
        source: Source::Repair(super::super::repair::Reason::Unlisted),
        ..learned(120, "a", AlertEventKind::Resolved)
    });
    let kept = kept(
        alerts,
        &[
            (100, web(), overridden),
            (110, web(), EventKind::IncidentSuppressed { maintenance: "New switch".to_owned() }),
            (300, About::Everything, EventKind::NotRunning { since_ms: at(120).as_millis() }),
        ],
    );
    let all = unknown(&kept, Some(&watchdog(300)), -1, 1000);
    for (number, words) in [
        "the history begins",
        "was not running from 1970-01-01T00:02:00Z to 1970-01-01T00:05:00Z",
        "people changed on the page is not played: 1 ",
        "held back 1 ",
        "without a notification is played as the server learned it",
        "knows of no watchdog, so the absence of \"Watchdog\" is not played",
        "does not name \"elsewhere | Web\"",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(all[number].contains(words), "{words}: {all:?}");
    }
    assert_eq!(all.len(), 7, "{all:?}");
    assert!(unknown(&kept, None, 500, 1000).is_empty());
}

#[test]
fn shorter_absences_are_unknown_unless_the_timeout_is_as_long_as_it_was() {
    let noticed = kept(Vec::new(), &[(400, About::Everything, missing(100))]);
    assert!(unknown(&noticed, Some(&watchdog(300)), 0, 1000).is_empty());
    assert!(unknown(&noticed, Some(&watchdog(299)), 0, 1000)[0].contains("stayed away for less is not known"));
    let heard = Kept { last_heartbeat: Some(at(5)), ..kept(Vec::new(), &[]) };
    assert!(unknown(&heard, Some(&watchdog(300)), 0, 1000)[0].contains("stayed away for less is not known"));
    let long_ago = Kept { last_heartbeat: Some(at(-5)), ..kept(Vec::new(), &[]) };
    assert!(unknown(&long_ago, Some(&watchdog(300)), 0, 1000)[0].contains("knows of no watchdog"));
}
