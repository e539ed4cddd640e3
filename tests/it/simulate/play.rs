//! What is seen of arrivals that are played, by the engine over a page and a store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alertmanager_cachet::commands::simulate::{Seen, Story, play};
use alertmanager_cachet::core::alert::{Alert, AlertRecord, AlertStatus, Fingerprint};
use alertmanager_cachet::core::config::WatchdogConfig;
use alertmanager_cachet::core::expiry::WatchdogAlert;
use alertmanager_cachet::core::history::{About, AlertEvent, AlertEventKind, Event, EventKind, Source};
use alertmanager_cachet::core::simulate::{Arrival, Kept, Told};
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::target::{
    ComponentList, ComponentName, Inventory, InventorySource, KnownTarget, Target,
};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::{MonitoringTexts, Watchdog};
use alertmanager_cachet::settings::Settings;
use proptest::prelude::*;

use crate::support::world::{config, group};

const DAY_S: i64 = 24 * 3600;

fn component(name: &str) -> ComponentName {
    ComponentName::try_from(name).expect("a name")
}

fn target(instance: &str) -> Target {
    Target::new(instance, ComponentList::parse("Web").names).expect("a target")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

/// The alert of an instance, as it is told at a second; it began at another.
fn told_of(second: i64, instance: &str, status: AlertStatus, starts_at: i64) -> Arrival {
    let alert = Alert {
        fingerprint: Fingerprint::of_text(instance),
        name: "Down".to_owned(),
        target: target(instance),
        critical: false,
        status,
        starts_at: at(starts_at),
        ends_at: None,
    };
    Arrival {
        at: at(second),
        told: vec![Told::Notified { place: String::new(), alerts: vec![alert], watchdogs: Vec::new() }],
    }
}

fn fires(second: i64, instance: &str) -> Arrival {
    told_of(second, instance, AlertStatus::Firing, 1)
}

fn ends(second: i64, instance: &str) -> Arrival {
    told_of(second, instance, AlertStatus::Resolved, 1)
}

fn watchdog_told(second: i64, status: AlertStatus, ends_at: Option<Timestamp>) -> Arrival {
    let fingerprint = Fingerprint::of_text("Watchdog");
    let watchdogs = vec![WatchdogAlert { fingerprint, status, starts_at: at(1), ends_at }];
    Arrival { at: at(second), told: vec![Told::Notified { place: String::new(), alerts: Vec::new(), watchdogs }] }
}

/// The watchdog fires.
fn beats(second: i64) -> Arrival {
    watchdog_told(second, AlertStatus::Firing, None)
}

/// The watchdog is said to have ended.
fn watchdog_ends(second: i64) -> Arrival {
    watchdog_told(second, AlertStatus::Resolved, Some(at(second)))
}

/// A page with these components, the targets `a` and `b`, and a watchdog that may stay away for less than `timeout` seconds.
struct Trial {
    settings: Settings,
    targets: Inventory,
}

impl Trial {
    fn new(components: &str, watchdog_timeout: Option<u64>) -> Self {
        let known = ["a", "b"].map(|instance| KnownTarget { target: target(instance), critical: false });
        let targets = Inventory::new(InventorySource::File, known);
        let mut config = config();
        config.page.groups = vec![group(components)];
        config.incidents.reopen_within = Duration::from_secs(600);
        config.watchdog = watchdog_timeout.map(|timeout| WatchdogConfig {
            watchdog: Watchdog::new("Watchdog", Duration::from_secs(timeout)).expect("a watchdog"),
            texts: MonitoringTexts::default(),
        });
        let settings = Settings { inventory: Some(targets.clone()), ..Settings::from(config) };
        Self { settings, targets }
    }

    fn recovery_hold(mut self, seconds: u64) -> Self {
        self.settings.config.incidents.recovery_hold = Duration::from_secs(seconds);
        self
    }

    fn reopen_within(mut self, seconds: u64) -> Self {
        self.settings.config.incidents.reopen_within = Duration::from_secs(seconds);
        self
    }

    async fn play_until(&self, arrivals: &[Arrival], end: Option<i64>) -> Story {
        play(&self.settings, &self.targets, arrivals, end.map(at)).await.expect("it is played")
    }

    async fn play(&self, arrivals: &[Arrival]) -> Story {
        self.play_until(arrivals, None).await
    }

    /// What is seen of what a history kept, in a line each.
    async fn replay(&self, kept: &Kept, end: i64) -> Vec<String> {
        let arrivals = kept.arrivals(self.settings.config.watchdog());
        seen(&self.play_until(&arrivals, Some(end)).await)
    }
}

/// What was seen, in a line each.
fn seen(story: &Story) -> Vec<String> {
    let seen = story.moments.iter().flat_map(|moment| {
        moment.changes.iter().map(|change| {
            let what = match change {
                Seen::Status { component, to, .. } if component.as_str() == "Web" => format!("is {}", to.value()),
                Seen::Status { component, to, .. } => format!("{component} is {}", to.value()),
                Seen::IncidentOpened { incident, .. } => format!("opens {}", incident.0),
                Seen::IncidentClosed { incident, .. } => format!("closes {}", incident.0),
                Seen::IncidentReopened { incident, .. } => format!("reopens {}", incident.0),
            };
            let cause = if moment.notification.is_none() && moment.learned.is_empty() { " by time" } else { "" };
            format!("{}: {what}{cause}", moment.at.as_millis() / 1000)
        })
    });
    seen.collect()
}

#[tokio::test]
async fn an_outage_is_told_from_its_beginning_to_its_end() {
    let arrivals = [fires(10, "a"), fires(20, "b"), fires(30, "b"), ends(40, "b"), ends(50, "a")];
    let story = Trial::new("Web", None).play(&arrivals).await;
    assert_eq!(seen(&story), ["10: is 3", "20: is 4", "20: opens 1", "40: is 3", "40: closes 1", "50: is 1"]);
    let [incident] = &story.incidents[..] else { panic!("one incident: {:?}", story.incidents) };
    assert_eq!((incident.occurred_at, incident.opened_at, incident.closed_at), (at(1), at(20), Some(at(40))));
    assert_eq!((incident.name.as_str(), &incident.component), ("Web is down", &Some(component("Web"))));
    assert_eq!(story.page[&component("Web")], ComponentStatus::Operational);
}

#[tokio::test]
async fn a_held_firing_counts_at_its_very_second_and_after_the_last_arrival_too() {
    let arrivals = [fires(10, "a"), ends(20, "a"), fires(30, "a")];
    let story = Trial::new("Web", None).play(&arrivals).await;
    assert_eq!(seen(&story), ["10: is 3", "20: is 1", "330: is 3 by time"]);
}

#[tokio::test]
async fn a_resolve_is_remembered_for_seven_days_as_by_a_server() {
    let echo = |second| [fires(10, "a"), ends(20, "a"), fires(second, "a")];
    let trial = Trial::new("Web", None);
    let late = 20 + 7 * DAY_S;
    let held = seen(&trial.play(&echo(late)).await);
    assert_eq!(held.last(), Some(&format!("{}: is 3 by time", late + 300)), "it is held");
    let forgotten = seen(&trial.play(&echo(late + 1)).await);
    assert_eq!(forgotten.last(), Some(&format!("{}: is 3", late + 1)), "it is a new one");
}

#[tokio::test]
async fn a_recovery_is_waited_out_and_a_relapse_opens_the_same_incident_again() {
    let relapse =
        |second| [fires(10, "a"), fires(11, "b"), ends(20, "b"), told_of(second, "b", AlertStatus::Firing, second)];
    let reopened =
        ["10: is 3", "11: is 4", "11: opens 1", "20: is 3", "80: closes 1 by time", "100: is 4", "100: reopens 1"];
    let trial = Trial::new("Web", None).recovery_hold(60);
    let story = trial.play(&relapse(100)).await;
    assert_eq!(seen(&story), reopened);
    assert_eq!((story.incidents[0].reopened, story.incidents[0].closed_at), (1, None));
    let story = trial.play(&relapse(680)).await;
    assert_eq!(seen(&story).last().map(String::as_str), Some("680: opens 2"));
    assert_eq!(story.incidents.len(), 2);
}

#[tokio::test]
async fn of_what_arrives_at_one_moment_the_page_shows_what_is_left() {
    let moment =
        Arrival { at: at(10), told: [fires(10, "a"), fires(10, "b")].into_iter().flat_map(|it| it.told).collect() };
    let story = Trial::new("Web", None).play(&[moment]).await;
    assert_eq!(seen(&story), ["10: is 4", "10: opens 1"]);
}

#[tokio::test]
async fn a_component_in_no_group_shows_nowhere_and_is_named() {
    let story = Trial::new("Mail", None).play(&[fires(10, "a"), fires(20, "b")]).await;
    assert!(seen(&story).is_empty(), "{:?}", story.moments);
    assert_eq!(story.missing, BTreeSet::from([component("Web")]));
}

#[tokio::test]
async fn nothing_that_arrives_is_a_quiet_page() {
    let story = Trial::new("Web", None).play(&[]).await;
    assert!(story.moments.is_empty() && story.incidents.is_empty());
    assert_eq!(story.page, BTreeMap::from([(component("Web"), ComponentStatus::Operational)]));
}

#[tokio::test]
async fn without_a_targets_file_a_target_counts_from_its_first_alert_on() {
    let mut trial = Trial::new("Web", None);
    (trial.settings.inventory, trial.targets) = (None, Inventory::new(InventorySource::Cachet, []));
    let story = trial.play(&[fires(10, "a"), ends(20, "a"), fires(30, "b")]).await;
    // The component of a target that is made when its alert fires is one of the page's targets from then on.
    assert_eq!(seen(&story), ["10: is 4", "10: opens 1", "20: is 1", "20: closes 1", "30: is 3"]);
}

#[tokio::test]
async fn when_the_watchdog_ends_resolves_since_four_minutes_before_are_taken_back_until_it_has_come_twice() {
    let story = Trial::new("Web, Mail", Some(300))
        .play(&[
            beats(300),
            fires(309, "a"),
            fires(310, "b"),
            beats(360),
            ends(399, "a"),
            ends(400, "b"),
            watchdog_ends(420),
            beats(900),
            beats(960),
        ])
        .await;
    let seen = seen(&story);
    let of_the_outage = |line: &&String| !line.contains("Mail") && !line.contains(" 2");
    let outage = seen.iter().filter(of_the_outage).collect::<Vec<_>>();
    let expected = [
        "309: is 3",
        "310: is 4",
        "310: opens 1",
        "399: is 3",
        "399: closes 1",
        "400: is 1",
        "420: is 4",
        "420: reopens 1",
        "960: is 1",
        "960: closes 1",
    ];
    assert_eq!(outage, expected, "{seen:?}");
}

#[tokio::test]
async fn while_the_watchdog_is_missing_what_was_green_is_unknown_and_one_incident_says_so() {
    let trial = Trial::new("Web, Mail", Some(300));
    let story = trial.play(&[beats(10), fires(20, "a"), beats(100), beats(1000), ends(1010, "a")]).await;
    assert_eq!(
        seen(&story),
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
    let expected = (&None, at(100), at(400), Some(at(1000)));
    assert_eq!((&incident.component, incident.occurred_at, incident.opened_at, incident.closed_at), expected);
}

#[tokio::test]
async fn a_watchdog_counts_from_its_first_arrival_to_the_last_one_of_all() {
    let trial = Trial::new("Web, Mail", Some(300));
    let story = trial.play(&[fires(10, "a"), ends(5000, "a"), beats(6000), fires(6200, "a")]).await;
    // The same occurrence fires again, which is held, and counts though the watchdog would be missing by then.
    assert_eq!(seen(&story), ["10: is 3", "5000: is 1", "6500: is 3 by time"]);
    assert!(story.incidents.is_empty());
    let story = trial.play(&[beats(10), fires(1000, "a")]).await;
    assert_eq!(seen(&story).last().map(String::as_str), Some("1000: is 3"), "{:?}", story.moments);
    assert_eq!(story.incidents[0].closed_at, None, "it stays missing");
    let story = trial.play_until(&[beats(10), beats(1000)], Some(500)).await;
    assert_eq!(story.incidents[0].opened_at, at(310), "it is missing before the end, for more arrives after it");
}

/// As a server keeps what `arrivals` tell of alerts.
fn as_kept(arrivals: &[Arrival]) -> Kept {
    let (mut known, mut alerts) = (BTreeMap::new(), Vec::new());
    for Arrival { at, told } in arrivals {
        for told in told {
            let Told::Notified { alerts: notified, .. } = told else { panic!("no notification tells {told:?}") };
            for alert in notified {
                let (record, effect) = AlertRecord::observe(known.get(&alert.fingerprint), alert, *at);
                let kind = AlertEventKind::of_effect(effect);
                alerts.extend(kind.map(|kind| AlertEvent::of(&record, kind, Source::Notification, *at)));
                known.insert(alert.fingerprint, record);
            }
        }
    }
    Kept { from: at(0), alerts, events: Vec::new(), last_heartbeat: None }
}

fn with_events(events: &[(i64, About, EventKind)]) -> Kept {
    let events = events.iter().map(|(second, about, event)| Event {
        at: at(*second),
        about: about.clone(),
        kind: event.clone(),
    });
    Kept { from: at(0), alerts: Vec::new(), events: events.collect(), last_heartbeat: None }
}

fn missing(since: i64) -> EventKind {
    EventKind::WatchdogMissing { since_ms: at(since).as_millis() }
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (1..400_i64, prop::sample::select(vec!["a", "b", "c"]), any::<bool>(), 1..4_i64);
    prop::collection::vec(arrival, 0..20).prop_map(|told| {
        let mut second = 10;
        let arrivals = told.into_iter().map(|(passes, instance, is_firing, starts_at)| {
            second += passes;
            let status = if is_firing { AlertStatus::Firing } else { AlertStatus::Resolved };
            told_of(second, instance, status, starts_at)
        });
        arrivals.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_was_kept_of_notifications_plays_as_they_do(arrivals in arrivals(), recovery_hold in 0..200_u64) {
        let trial = Trial::new("Web", None).recovery_hold(recovery_hold);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let told = |arrivals: &[Arrival]| {
            let story = runtime.block_on(trial.play_until(arrivals, Some(10_000)));
            let moments = story.moments.into_iter().map(|moment| (moment.at, moment.changes));
            (moments.collect::<Vec<_>>(), story.incidents, story.page)
        };
        prop_assert_eq!(told(&as_kept(&arrivals).arrivals(None)), told(&arrivals));
    }
}

#[tokio::test]
async fn what_the_page_said_that_was_there_before_ends_with_what_is_known_of_the_same_alert() {
    let mut kept = as_kept(&[fires(20, "b"), ends(50, "a")]);
    let adopted = |instance: &str, second| AlertEvent {
        at: at(second),
        fingerprint: Fingerprint::of_text(&format!("the page's {instance}")),
        kind: AlertEventKind::Fired,
        source: Source::Page,
        target: target(instance),
        ..kept.alerts[0].clone()
    };
    let (a, b) = (adopted("a", 10), adopted("b", 30));
    kept.alerts.splice(0..0, [a]);
    kept.alerts.insert(2, b);
    let seen = Trial::new("Web", None).replay(&kept, 60).await;
    assert_eq!(seen, ["10: is 3", "20: is 4", "20: opens 1", "50: is 3", "50: closes 1"]);
}

#[tokio::test]
async fn a_component_shows_what_an_operator_held_it_at_until_it_was_released_or_over() {
    let web = About::Component(component("Web"));
    let override_of = |until: i64| EventKind::OverrideSet {
        status: ComponentStatus::PartialOutage,
        until_ms: at(until).as_millis(),
        user: "ada".to_owned(),
        note: String::new(),
    };
    let released = EventKind::OverrideEnded { user: "ada".to_owned() };
    let events = [(10, web.clone(), override_of(100)), (50, web.clone(), released), (60, web.clone(), override_of(70))];
    let over = [&events[..], &[(70, web, EventKind::OverrideExpired)]].concat();
    for events in [&events[..], &over] {
        let seen = Trial::new("Web, Mail", None).replay(&with_events(events), 200).await;
        assert_eq!(seen[..3], ["10: is 3", "50: is 1", "60: is 3"], "{seen:?}");
        assert!(seen.len() == 4 && seen[3].starts_with("70: is 1"), "{seen:?}");
    }
}

#[tokio::test]
async fn another_timeout_misses_the_watchdog_at_another_moment_of_an_absence_that_was_noticed() {
    let kept =
        with_events(&[(400, About::Everything, missing(100)), (1000, About::Everything, EventKind::WatchdogHeard)]);
    let opened = |second: i64| {
        let by_time = ["Mail is 5", "is 5", "opens 1"].map(|what| format!("{second}: {what} by time"));
        by_time.into_iter().chain(["Mail is 1", "is 1", "closes 1"].map(|what| format!("1000: {what}"))).collect()
    };
    let never: Vec<String> = Vec::new();
    for (timeout, expected) in [(300, opened(400)), (600, opened(700)), (60, opened(160)), (900, never)] {
        let seen = Trial::new("Web, Mail", Some(timeout)).replay(&kept, 2000).await;
        assert_eq!(seen, expected, "{timeout}");
    }
    assert!(Trial::new("Web, Mail", None).replay(&kept, 2000).await.is_empty());
}

#[tokio::test]
async fn a_watchdog_that_was_missing_to_the_end_is_missing_to_the_end() {
    let mut kept = with_events(&[(400, About::Everything, missing(100))]);
    kept.alerts = as_kept(&[fires(350, "a"), ends(410, "a")]).alerts;
    // Nothing arrives after second 410, and yet it is missing from second 700 on.
    let seen = Trial::new("Web, Mail", Some(600)).replay(&kept, 2000).await;
    assert_eq!(seen.last().map(String::as_str), Some("700: opens 1 by time"), "{seen:?}");
}

#[tokio::test]
async fn a_story_from_a_moment_on_begins_with_the_page_and_the_open_incidents_of_that_moment() {
    let arrivals = [fires(10, "a"), fires(20, "b"), ends(30, "b"), ends(100, "a")];
    let story = Trial::new("Web", None).reopen_within(0).play(&arrivals).await;
    assert_eq!(story.before[&component("Web")], ComponentStatus::Operational);
    let from = story.clone().since(at(25));
    assert_eq!(from.before[&component("Web")], ComponentStatus::MajorOutage);
    assert_eq!(seen(&from), ["30: is 3", "30: closes 1", "100: is 1"]);
    assert_eq!(from.incidents, story.incidents);
    let from = story.since(at(31));
    assert_eq!((from.incidents.len(), from.before[&component("Web")]), (0, ComponentStatus::PartialOutage));
}

#[tokio::test]
async fn nothing_is_played_that_is_not_before_the_end() {
    let trial = Trial::new("Web", None);
    let story = trial.play_until(&[fires(10, "a"), fires(20, "b"), ends(30, "b")], Some(30)).await;
    assert_eq!(seen(&story), ["10: is 3", "20: is 4", "20: opens 1"]);
    let held = [fires(10, "a"), ends(20, "a"), fires(30, "a")];
    let story = trial.play_until(&held, Some(330)).await;
    assert_eq!(seen(&story), ["10: is 3", "20: is 1"]);
}
