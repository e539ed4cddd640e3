//! What the history kept, played again.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::history::{Source, Turn};
use crate::uptime::Span;

/// As a server keeps what `arrivals` tell of alerts.
fn as_kept(arrivals: &[Arrival]) -> Kept {
    let (mut known, mut alerts) = (BTreeMap::new(), Vec::new());
    for Arrival { at, told } in arrivals {
        for told in told {
            let Told::Alert(alert) = told else { panic!("no notification tells {told:?}") };
            let (record, effect) = AlertRecord::observe(known.get(&alert.fingerprint), alert, *at);
            let turn = Turn::of_effect(effect);
            alerts.extend(turn.map(|turn| AlertHappening::of(&record, turn, Source::Notification, *at)));
            known.insert(alert.fingerprint, record);
        }
    }
    Kept { from: at(0), alerts, events: Vec::new(), last_heartbeat: None }
}

fn with_events(events: &[(i64, About, Event)]) -> Kept {
    let events = events.iter().map(|(second, about, event)| Happening {
        at: at(*second),
        about: about.clone(),
        event: event.clone(),
    });
    Kept { from: at(0), alerts: Vec::new(), events: events.collect(), last_heartbeat: None }
}

fn watchdog(timeout: u64) -> Watchdog {
    Watchdog::new("Watchdog", Duration::from_secs(timeout)).expect("a watchdog")
}

fn missing(since: i64) -> Event {
    Event::WatchdogMissing { since_ms: at(since).as_millis() }
}

fn play_kept(kept: &Kept, watchdog: Option<&Watchdog>, end: i64) -> Vec<String> {
    let play = |rules: Rules<'_>| simulate(rules, &kept.arrivals(watchdog), Some(at(end)));
    seen(&over_page(watchdog, &["Web", "Mail"], 0, 600, play))
}

fn unknown(kept: &Kept, watchdog: Option<&Watchdog>, from: i64, until: i64) -> Vec<String> {
    let window = Span { from: at(from), until: at(until) };
    let unknown = over_page(watchdog, &["Web", "Mail"], 0, 600, |rules| kept.unknown(rules, window));
    unknown.iter().map(ToString::to_string).collect()
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (1..400_i64, prop::sample::select(vec!["a", "b", "c"]), any::<bool>(), 1..4_i64);
    prop::collection::vec(arrival, 0..20).prop_map(|told| {
        let mut second = 10;
        let arrivals = told.into_iter().map(|(passes, instance, is_firing, starts_at)| {
            second += passes;
            let status = if is_firing { AlertStatus::Firing } else { AlertStatus::Resolved };
            let mut arrival = super::told(second, instance, status);
            for told in &mut arrival.told {
                let Told::Alert(alert) = told else { continue };
                alert.starts_at = at(starts_at);
            }
            arrival
        });
        arrivals.collect()
    })
}

proptest! {
    #[test]
    fn what_was_kept_of_notifications_plays_as_they_do(arrivals in arrivals(), recovery_hold in 0..200_u64) {
        let told = |arrivals: &[Arrival]| {
            let story =
                over_page(None, &["Web"], recovery_hold, 600, |rules| simulate(rules, arrivals, Some(at(10_000))));
            let moments = story.moments.into_iter().map(|moment| (moment.at, moment.changes));
            (moments.collect::<Vec<_>>(), story.incidents, story.page)
        };
        prop_assert_eq!(told(&as_kept(&arrivals).arrivals(None)), told(&arrivals));
    }
}

#[test]
fn what_the_page_said_that_was_there_before_ends_with_what_is_known_of_the_same_alert() {
    let mut kept = as_kept(&[fires(20, "b"), ends(50, "a")]);
    let inherited = |instance: &str, second| AlertHappening {
        at: at(second),
        fingerprint: Fingerprint::of_text(&format!("the page's {instance}")),
        turn: Turn::Fired,
        source: Source::Page,
        target: target(instance),
        ..kept.alerts[0].clone()
    };
    let (a, b) = (inherited("a", 10), inherited("b", 30));
    kept.alerts.splice(0..0, [a]);
    kept.alerts.insert(2, b);
    assert_eq!(play_kept(&kept, None, 60), ["10: is 3", "20: is 4", "20: opens 1", "50: is 3", "50: closes 1"]);
}

#[test]
fn what_was_learned_later_counts_later_though_it_is_dated_earlier() {
    let mut kept = as_kept(&[fires(10, "a"), fires(30, "b"), ends(40, "a")]);
    kept.alerts[2].at = at(20);
    assert_eq!(
        play_kept(&kept, None, 60),
        ["10: is 3"].into_iter().map(str::to_owned).collect::<Vec<_>>(),
        "both are learned at second 30, of which the page shows what is left"
    );
}

#[test]
fn a_component_shows_what_an_operator_held_it_at_until_it_was_released_or_over() {
    let web = About::Component(component("Web"));
    let hold = |until: i64| Event::Held {
        status: ComponentStatus::PartialOutage,
        until_ms: at(until).as_millis(),
        user: "ada".to_owned(),
        note: String::new(),
    };
    let released = Event::Released { user: "ada".to_owned() };
    let events = [(10, web.clone(), hold(100)), (50, web.clone(), released), (60, web.clone(), hold(70))];
    let over = [&events[..], &[(70, web, Event::HoldExpired)]].concat();
    for events in [&events[..], &over] {
        let seen = play_kept(&with_events(events), None, 200);
        assert_eq!(seen[..3], ["10: is 3", "50: is 1", "60: is 3"], "{seen:?}");
        assert!(seen.len() == 4 && seen[3].starts_with("70: is 1"), "{seen:?}");
    }
}

#[test]
fn another_timeout_misses_the_watchdog_at_another_moment_of_an_absence_that_was_noticed() {
    let kept = with_events(&[(400, About::Everything, missing(100)), (1000, About::Everything, Event::WatchdogHeard)]);
    let opened = |second: i64| {
        let by_time = ["Mail is 5", "is 5", "opens 1"].map(|what| format!("{second}: {what} by time"));
        by_time.into_iter().chain(["Mail is 1", "is 1", "closes 1"].map(|what| format!("1000: {what}"))).collect()
    };
    let never: Vec<String> = Vec::new();
    for (timeout, expected) in [(300, opened(400)), (600, opened(700)), (60, opened(160)), (900, never)] {
        assert_eq!(play_kept(&kept, Some(&watchdog(timeout)), 2000), expected, "{timeout}");
    }
    assert!(play_kept(&kept, None, 2000).is_empty());
}

#[test]
fn a_watchdog_that_was_missing_to_the_end_is_missing_to_the_end() {
    let mut kept = with_events(&[(400, About::Everything, missing(100))]);
    kept.alerts = as_kept(&[fires(350, "a"), ends(410, "a")]).alerts;
    let watchdog = watchdog(600);
    // Nothing arrives after second 410, and yet it is missing from second 700 on.
    let seen = play_kept(&kept, Some(&watchdog), 2000);
    assert_eq!(seen.last().map(String::as_str), Some("700: opens 1 by time"), "{seen:?}");
}

#[test]
fn what_a_replay_does_not_know_is_told_if_it_concerns_the_time_that_is_looked_at() {
    let web = || About::Component(component("Web"));
    let overridden = Event::StatusOverridden { expected: ComponentStatus::Operational, found: None };
    let mut kept = with_events(&[
        (100, web(), overridden),
        (110, web(), Event::IncidentHeldBack { maintenance: "New switch".to_owned() }),
        (300, About::Everything, Event::NotRunning { since_ms: at(120).as_millis() }),
    ]);
    kept.alerts = as_kept(&[fires(100, "a"), fires(110, "elsewhere"), ends(120, "a")]).alerts;
    kept.alerts[2].source = Source::Unlisted;
    let all = unknown(&kept, Some(&watchdog(300)), -1, 1000);
    for (number, words) in [
        "the history begins",
        "was not running from 1970-01-01T00:02:00Z to 1970-01-01T00:05:00Z",
        "people changed in Cachet is not played: 1 ",
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
    let noticed = with_events(&[(400, About::Everything, missing(100))]);
    assert!(unknown(&noticed, Some(&watchdog(300)), 0, 1000).is_empty());
    assert!(unknown(&noticed, Some(&watchdog(299)), 0, 1000)[0].contains("stayed away for less is not known"));
    let heard = Kept { last_heartbeat: Some(at(5)), ..with_events(&[]) };
    assert!(unknown(&heard, Some(&watchdog(300)), 0, 1000)[0].contains("stayed away for less is not known"));
    let long_ago = Kept { last_heartbeat: Some(at(-5)), ..with_events(&[]) };
    assert!(unknown(&long_ago, Some(&watchdog(300)), 0, 1000)[0].contains("knows of no watchdog"));
}

#[test]
fn a_story_from_a_moment_on_begins_with_the_page_and_the_open_incidents_of_that_moment() {
    let arrivals = [fires(10, "a"), fires(20, "b"), ends(30, "b"), ends(100, "a")];
    let (_, story) = play(&["Web"], 0, 0, &arrivals);
    assert_eq!(story.before[&component("Web")], ComponentStatus::Operational);
    let from = story.clone().since(at(25));
    assert_eq!(from.before[&component("Web")], ComponentStatus::MajorOutage);
    assert_eq!(seen(&from), ["30: is 3", "30: closes 1", "100: is 1"]);
    assert_eq!(from.incidents, story.incidents);
    let from = story.since(at(31));
    assert_eq!((from.incidents.len(), from.before[&component("Web")]), (0, ComponentStatus::PartialOutage));
}

#[test]
fn nothing_is_played_that_is_not_before_the_end() {
    let arrivals = [fires(10, "a"), fires(20, "b"), ends(30, "b")];
    let play = |rules: Rules<'_>| simulate(rules, &arrivals, Some(at(30)));
    let story = over_page(None, &["Web"], 0, 0, play);
    assert_eq!(seen(&story), ["10: is 3", "20: is 4", "20: opens 1"]);
    let held = [fires(10, "a"), ends(20, "a"), fires(30, "a")];
    let story = over_page(None, &["Web"], 0, 0, |rules: Rules<'_>| simulate(rules, &held, Some(at(330))));
    assert_eq!(seen(&story), ["10: is 3", "20: is 1"]);
}
