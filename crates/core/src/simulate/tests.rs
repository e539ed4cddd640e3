mod kept;

use super::*;
use crate::alert::AlertStatus;
use crate::names::GroupName;
use crate::rules::{CloseIncidentWhen, Drift};
use crate::target::{ComponentList, InventorySource, KnownTarget, Target};

const HOLD: Duration = Duration::from_secs(300);

fn component(name: &str) -> ComponentName {
    ComponentName::try_from(name).expect("a name")
}

fn target(instance: &str) -> Target {
    Target::new(instance, ComponentList::parse("Web").names).expect("a target")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

/// The alert of an instance, as it is told at a second; it began at second 1.
fn told(second: i64, instance: &str, status: AlertStatus) -> Arrival {
    let alert = Alert {
        fingerprint: Fingerprint::of_text(instance),
        name: "Down".to_owned(),
        target: target(instance),
        critical: false,
        status,
        starts_at: at(1),
        ends_at: None,
    };
    Arrival { at: at(second), told: vec![Told::Alert(alert)] }
}

/// The watchdog fires.
fn beats(second: i64) -> Arrival {
    watchdog_told(second, AlertStatus::Firing, None)
}

/// The watchdog is said to have ended.
fn watchdog_ends(second: i64) -> Arrival {
    watchdog_told(second, AlertStatus::Resolved, Some(at(second)))
}

fn watchdog_told(second: i64, status: AlertStatus, ends_at: Option<Timestamp>) -> Arrival {
    let fingerprint = Fingerprint::of_text("Watchdog");
    let watchdog = WatchdogAlert { fingerprint, status, starts_at: at(1), ends_at };
    Arrival { at: at(second), told: vec![Told::Watchdogs(vec![watchdog])] }
}

fn fires(second: i64, instance: &str) -> Arrival {
    told(second, instance, AlertStatus::Firing)
}

fn ends(second: i64, instance: &str) -> Arrival {
    told(second, instance, AlertStatus::Resolved)
}

/// Plays over a page of `groups` with the targets `a` and `b`, and says in a line each what was seen.
fn play(groups: &[&str], recovery_hold: u64, reopen_within: u64, arrivals: &[Arrival]) -> (Vec<String>, Story) {
    play_with(None, groups, recovery_hold, reopen_within, arrivals)
}

/// As [`play`], where a watchdog is listened for.
fn play_watched(arrivals: &[Arrival]) -> (Vec<String>, Story) {
    let watchdog = Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog");
    play_with(Some(&watchdog), &["Web", "Mail"], 0, 600, arrivals)
}

fn play_with(
    watchdog: Option<&Watchdog>,
    groups: &[&str],
    recovery_hold: u64,
    reopen_within: u64,
    arrivals: &[Arrival],
) -> (Vec<String>, Story) {
    let story = over_page(watchdog, groups, recovery_hold, reopen_within, |rules| simulate(rules, arrivals, None));
    (seen(&story), story)
}

/// Answers with what `look` makes of the rules.
fn over_page<T>(
    watchdog: Option<&Watchdog>,
    groups: &[&str],
    recovery_hold: u64,
    reopen_within: u64,
    look: impl FnOnce(Rules<'_>) -> T,
) -> T {
    let components = groups.iter().map(|name| component(name)).collect();
    let groups = [Group { name: GroupName::try_from("Group").expect("a name"), components }];
    let known = ["a", "b"].map(|instance| KnownTarget { target: target(instance), critical: false });
    let inventory = Inventory::new(InventorySource::File, known);
    let policy = Policy {
        close_incident_when: CloseIncidentWhen::NotMajorOutage,
        drift: Drift::Respect,
        recovery_hold: Duration::from_secs(recovery_hold),
        reopen_within: Duration::from_secs(reopen_within),
        takes_unknown: true,
        posting_patience: Duration::ZERO,
        inventory: InventorySource::File,
    };
    look(Rules { groups: &groups, inventory: &inventory, refire_hold: HOLD, watchdog, policy })
}

/// What was seen, in a line each.
fn seen(story: &Story) -> Vec<String> {
    let seen = story.moments.iter().flat_map(|moment| {
        moment.changes.iter().map(|change| {
            let what = match change {
                Seen::Component { name, to, .. } if name.as_str() == "Web" => format!("is {}", to.value()),
                Seen::Component { name, to, .. } => format!("{name} is {}", to.value()),
                Seen::Opened(id, _) => format!("opens {}", id.0),
                Seen::Closed(id, _) => format!("closes {}", id.0),
                Seen::Reopened(id, _) => format!("reopens {}", id.0),
            };
            let cause = if moment.arrival.is_some() { "" } else { " by time" };
            format!("{}: {what}{cause}", moment.at.as_millis() / 1000)
        })
    });
    seen.collect()
}

#[test]
fn an_outage_is_told_from_its_beginning_to_its_end() {
    let arrivals = [fires(10, "a"), fires(20, "b"), fires(30, "b"), ends(40, "b"), ends(50, "a")];
    let (seen, story) = play(&["Web"], 0, 600, &arrivals);
    assert_eq!(seen, ["10: is 3", "20: is 4", "20: opens 1", "40: is 3", "40: closes 1", "50: is 1"]);
    let [incident] = &story.incidents[..] else { panic!("one incident: {:?}", story.incidents) };
    assert_eq!((incident.occurred_at, incident.opened_at, incident.closed_at), (at(1), at(20), Some(at(40))));
    assert_eq!(story.page[&component("Web")], ComponentStatus::Operational);
}

#[test]
fn a_held_firing_counts_at_its_very_second_and_after_the_last_arrival_too() {
    let arrivals = [fires(10, "a"), ends(20, "a"), fires(30, "a")];
    let (seen, _) = play(&["Web"], 0, 600, &arrivals);
    assert_eq!(seen, ["10: is 3", "20: is 1", "330: is 3 by time"]);
}

#[test]
fn a_recovery_is_waited_out_and_a_relapse_opens_the_same_incident_again() {
    let down = [fires(10, "a"), fires(10, "b")];
    let again = |second| {
        let mut arrival = fires(second, "b");
        for told in &mut arrival.told {
            let Told::Alert(alert) = told else { panic!("it tells of an alert: {told:?}") };
            alert.starts_at = at(second);
        }
        arrival
    };
    let relapse = |second| [&down[..], &[ends(20, "b"), again(second)]].concat();
    let reopened =
        ["10: is 3", "10: is 4", "10: opens 1", "20: is 3", "80: closes 1 by time", "100: is 4", "100: reopens 1"];
    let (seen, story) = play(&["Web"], 60, 600, &relapse(100));
    assert_eq!(seen, reopened);
    assert_eq!((story.incidents[0].reopened, story.incidents[0].closed_at), (1, None));
    let (seen, story) = play(&["Web"], 60, 600, &relapse(680));
    assert_eq!(seen.last().map(String::as_str), Some("680: opens 2"));
    assert_eq!(story.incidents.len(), 2);
}

#[test]
fn a_component_in_no_group_shows_nowhere_and_is_named() {
    let (seen, story) = play(&["Mail"], 0, 0, &[fires(10, "a"), fires(20, "b")]);
    assert!(seen.is_empty(), "{seen:?}");
    assert_eq!(story.missing, BTreeSet::from([component("Web")]));
}

#[test]
fn nothing_that_arrives_is_a_quiet_page() {
    let (seen, story) = play(&["Web"], 0, 0, &[]);
    assert!(seen.is_empty() && story.incidents.is_empty());
    assert_eq!(story.page, BTreeMap::from([(component("Web"), ComponentStatus::Operational)]));
}

#[test]
fn when_the_watchdog_ends_resolves_since_four_minutes_before_are_taken_back_until_it_has_come_twice() {
    let (seen, _) = play_watched(&[
        beats(300),
        fires(310, "a"),
        fires(310, "b"),
        beats(360),
        ends(400, "a"),
        ends(400, "b"),
        watchdog_ends(420),
        beats(900),
        beats(960),
    ]);
    let of_the_outage = |line: &&String| !line.contains("Mail") && !line.contains(" 2");
    let outage = seen.iter().filter(of_the_outage).collect::<Vec<_>>();
    let expected = [
        "310: is 3",
        "310: is 4",
        "310: opens 1",
        "400: is 3",
        "400: closes 1",
        "400: is 1",
        "420: is 4",
        "420: reopens 1",
        "960: is 1",
        "960: closes 1",
    ];
    assert_eq!(outage, expected, "{seen:?}");
}

#[test]
fn while_the_watchdog_is_missing_what_was_green_is_unknown_and_one_incident_says_so() {
    let (seen, story) = play_watched(&[beats(10), fires(20, "a"), beats(100), beats(1000), ends(1010, "a")]);
    assert_eq!(
        seen,
        [
            "20: is 3",
            "400: Mail is 5 by time",
            "400: opens 1 by time",
            "1000: Mail is 1",
            "1000: closes 1",
            "1010: is 1"
        ]
    );
    let [incident] = &story.incidents[..] else { panic!("one incident: {:?}", story.incidents) };
    let expected = (&EpisodeSubject::Monitoring, at(100), at(400), Some(at(1000)));
    assert_eq!((&incident.subject, incident.occurred_at, incident.opened_at, incident.closed_at), expected);
}

#[test]
fn a_watchdog_counts_from_its_first_arrival_to_the_last_one_of_all() {
    let (seen, story) = play_watched(&[fires(10, "a"), ends(5000, "a"), beats(6000), fires(6200, "a")]);
    // The same occurrence fires again, which is held, and counts though the watchdog would be missing by then.
    assert_eq!(seen, ["10: is 3", "5000: is 1", "6500: is 3 by time"]);
    assert!(story.incidents.is_empty());
    let (seen, story) = play_watched(&[beats(10), fires(1000, "a")]);
    assert_eq!(seen.last().map(String::as_str), Some("1000: is 3"), "{seen:?}");
    assert_eq!(story.incidents[0].closed_at, None, "it stays missing");
}
