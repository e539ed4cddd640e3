use super::super::target::ComponentName;
use super::*;

#[test]
fn every_word_in_the_store_is_read_back() {
    for (kind, word) in [(AlertEventKind::Fired, "fired"), (AlertEventKind::Refired, "held")] {
        assert_eq!((kind.word(), word.parse()), (word, Ok(kind)));
    }
    for (source, word) in [
        (Source::Notification, "notification"),
        (Source::Page, "page"),
        (Source::Repair(Reason::UnnotifiedAgain), "unnotified_again"),
    ] {
        assert_eq!((source.word(), Source::from_word(word)), (word, Some(source)));
    }
    assert_eq!(("fires".parse::<AlertEventKind>().ok(), Source::from_word("")), (None, None));
}

#[test]
fn the_word_of_an_event_is_the_one_in_its_json() {
    let events = [
        EventKind::Status { from: None, to: Some(ComponentStatus::MajorOutage) },
        EventKind::WriteFailed { change: "x".to_owned(), error: "y".to_owned() },
        EventKind::IncidentClosedByPerson { incident: IncidentId(3) },
        EventKind::OverrideSet {
            status: ComponentStatus::Operational,
            until_ms: 5,
            user: "ada".to_owned(),
            note: String::new(),
        },
        EventKind::OverrideEnded { user: "ada".to_owned() },
        EventKind::OverrideExpired,
        EventKind::IncidentSuppressed { maintenance: "x".to_owned() },
        EventKind::WatchdogMissing { since_ms: 5 },
        EventKind::NotRunning { since_ms: 5 },
    ];
    for event in events {
        let json = serde_json::to_value(&event).expect("JSON");
        assert_eq!(json["event"], event.word());
        assert_eq!(serde_json::from_value::<EventKind>(json).expect("read back"), event);
    }
}

#[test]
fn what_changes_nothing_is_not_kept() {
    assert_eq!(AlertEventKind::of_effect(Effect::Repeated), None);
    assert_eq!(AlertEventKind::of_effect(Effect::Outdated), None);
    assert_eq!(AlertEventKind::of_effect(Effect::FiredAgain), Some(AlertEventKind::Fired));
}

#[test]
fn the_last_of_what_is_ongoing_stays_and_all_else_is_forgotten() {
    use Standing::{Ongoing, Over};
    let old = [
        (1, Some("a"), Ongoing),
        (2, Some("b"), Ongoing),
        (3, None, Over),
        (4, Some("a"), Ongoing),
        (5, Some("b"), Over),
        (6, Some("c"), Over),
    ];
    // In the order in which it turns out.
    assert_eq!(forgotten(old), [3, 1, 2, 5, 6]);
    let again = [(1, Some("a"), Ongoing), (2, Some("a"), Over), (3, Some("a"), Ongoing)];
    assert_eq!(forgotten(again), [1, 2]);
}

#[test]
fn every_event_of_a_sequence_is_known_by_its_word() {
    use Standing::{Ongoing, Over};
    let status = ComponentStatus::Operational;
    let held = EventKind::OverrideSet { status, until_ms: 0, user: String::new(), note: String::new() };
    for (event, expected) in [
        (EventKind::Status { from: None, to: None }, Some(("status", Ongoing))),
        (held, Some(("override", Ongoing))),
        (EventKind::OverrideEnded { user: String::new() }, Some(("override", Over))),
        (EventKind::OverrideExpired, Some(("override", Over))),
        (EventKind::WatchdogMissing { since_ms: 0 }, Some(("watchdog", Ongoing))),
        (EventKind::WatchdogHeard, Some(("watchdog", Over))),
        (EventKind::NotRunning { since_ms: 0 }, None),
        (EventKind::WritableAgain, None),
    ] {
        assert_eq!(sequence_of(event.word()), expected, "{event}");
    }
    assert_eq!((AlertEventKind::Refired.standing(), AlertEventKind::Withdrawn.standing()), (Ongoing, Over));
}

#[test]
fn a_new_status_makes_findings_news_again() {
    let component = |name: &str| About::Component(ComponentName::try_from(name).expect("a name"));
    let happened = |about: &About, event: &EventKind| Event {
        at: Timestamp::from_millis(0),
        about: about.clone(),
        kind: event.clone(),
    };
    let (web, shop) = (component("Web"), component("Shop"));
    let status = EventKind::Status { from: None, to: Some(ComponentStatus::MajorOutage) };
    let closed = EventKind::IncidentClosedByPerson { incident: IncidentId(3) };
    let suppressed = EventKind::IncidentSuppressed { maintenance: "Move".to_owned() };
    let found = findings([
        happened(&web, &closed),
        happened(&shop, &closed),
        happened(&web, &status),
        happened(&web, &suppressed),
        happened(&shop, &EventKind::WritableAgain),
    ]);
    assert_eq!(found, BTreeSet::from([(shop, closed), (web, suppressed)]));
}
