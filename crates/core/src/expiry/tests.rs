//! The rule alone: which resolves count, which are held, and what the watchdog makes of those.

use super::*;
use crate::target::{ComponentList, Target};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(300);
const REFIRE_DELAY: Duration = Duration::from_secs(300);
const START: Timestamp = Timestamp::from_millis(1_000_000_000);

fn at(seconds: u32) -> Timestamp {
    START.after(seconds * SECOND)
}

fn alert(status: AlertStatus, ends_at: Option<Timestamp>) -> Alert {
    Alert {
        fingerprint: Fingerprint::of_text("TargetDown"),
        name: "TargetDown".to_owned(),
        target: Target::new("db-1:9100", ComponentList::parse("Database").names).expect("a target"),
        critical: false,
        status,
        starts_at: START,
        ends_at,
    }
}

fn watchdog(name: &str, status: AlertStatus, starts_at: Timestamp, ends_at: Option<Timestamp>) -> WatchdogAlert {
    WatchdogAlert { fingerprint: Fingerprint::of_text(name), status, starts_at, ends_at }
}

/// What a server knows of one alert and of the watchdog.
struct Server {
    rule: ResolveRule,
    pulse: Pulse,
    routed: RoutedWatchdogs,
    leases: Leases,
    record: Option<AlertRecord>,
}

impl Server {
    fn new(source: WatchdogSource) -> Self {
        let watchdog = Watchdog::new("Watchdog", TIMEOUT).expect("a watchdog");
        let rule = ResolveRule { watchdog, source, refire_delay: REFIRE_DELAY };
        let (pulse, routed, leases) = (Pulse::default(), RoutedWatchdogs::default(), Leases::default());
        let mut server = Self { rule, pulse, routed, leases, record: None };
        server.tell(&alert(AlertStatus::Firing, None), START);
        server
    }

    fn tell(&mut self, alert: &Alert, now: Timestamp) -> Effect {
        let evidence = Evidence { pulse: self.pulse, routed: self.routed.clone(), leases: &self.leases };
        let (record, effect) = ResolveRule::observe(Some(&self.rule), self.record.as_ref(), alert, &evidence, now);
        self.record = Some(record);
        effect
    }

    fn ends(&mut self, ended_at: Timestamp, now: Timestamp) -> Effect {
        self.tell(&alert(AlertStatus::Resolved, Some(ended_at)), now)
    }

    fn receives(&mut self, watchdogs: &[WatchdogAlert], now: Timestamp) -> Option<Reason> {
        let mut evidence = Evidence { pulse: self.pulse, routed: self.routed.clone(), leases: &self.leases };
        let verdict = self.rule.observe_watchdogs(watchdogs, &mut evidence, now);
        (self.pulse, self.routed) = (evidence.pulse, evidence.routed);
        let repair = verdict.corrects(self.record.as_ref()?, now)?;
        self.record = Some(repair.record);
        Some(repair.reason)
    }

    fn beat(&mut self, name: &str, now: Timestamp) -> Option<Reason> {
        self.receives(&[watchdog(name, AlertStatus::Firing, START, None)], now)
    }

    fn fires(&self, now: Timestamp) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_firing(now, REFIRE_DELAY))
    }
}

#[test]
fn with_the_list_a_resolve_counts_within_75_seconds_of_the_last_sending_and_is_held_after_that() {
    for (ended_at, effect) in [(60, Effect::Resolved), (135, Effect::Resolved), (136, Effect::HeldResolve)] {
        let mut server = Server::new(WatchdogSource::List);
        server.pulse = server.pulse.beat(at(60));
        assert_eq!(server.ends(at(ended_at), at(300)), effect, "{ended_at}");
        assert_eq!(server.fires(at(300)), effect == Effect::HeldResolve);
    }
}

#[test]
fn with_the_list_a_resolve_that_equals_the_lease_listed_last_is_held_whatever_lives() {
    let mut server = Server::new(WatchdogSource::List);
    server.pulse = server.pulse.beat(at(240));
    let fingerprint = Fingerprint::of_text("TargetDown");
    let lease = |ends_at| Lease { ends_at, length: LeaseLength::default() };
    server.leases.of_alerts.insert(fingerprint, vec![lease(at(200)), lease(at(240))]);
    assert_eq!(server.ends(at(240), at(250)), Effect::HeldResolve);
    assert_eq!(server.ends(at(239), at(250)), Effect::Resolved);
    let mut never_heard = Server { leases: server.leases, ..Server::new(WatchdogSource::List) };
    assert_eq!(never_heard.ends(at(240), at(250)), Effect::HeldResolve);
}

#[test]
fn a_watchdog_that_is_evaluated_more_rarely_than_the_alert_proves_no_more_than_the_alerts_lease() {
    let long = LeaseLength::between(START, START.after(20 * MINUTE));
    let sent = WatchdogSent { sent_at: START, lease: long };
    let mut leases = Leases { of_watchdog: long, ..Leases::default() };
    let fingerprint = Fingerprint::of_text("TargetDown");
    // What is not known is the default lease.
    for (length, proven, recent) in [(None, 75, 119), (Some(LeaseLength::default()), 75, 119), (Some(long), 375, 599)] {
        let lease = length.map(|length| Lease { ends_at: at(0), length });
        leases.of_alerts.insert(fingerprint, lease.into_iter().collect());
        let bounded = leases.for_alert(fingerprint, sent);
        assert!(bounded.proves_resolve(at(proven)) && !bounded.proves_resolve(at(proven + 1)), "{length:?}");
        assert!(bounded.is_alive(at(recent)) && !bounded.is_alive(at(recent + 1)), "{length:?}");
        let mut server = Server { leases: leases.clone(), ..Server::new(WatchdogSource::List) };
        server.pulse = server.pulse.beat(START);
        assert_eq!(server.ends(at(proven + 1), at(900)), Effect::HeldResolve);
    }
}

#[test]
fn with_the_list_a_notification_of_the_watchdog_proves_nothing() {
    let mut server = Server::new(WatchdogSource::List);
    server.pulse = server.pulse.beat(at(0));
    assert_eq!(server.beat("Watchdog", at(290)), None);
    assert_eq!(server.ends(at(240), at(291)), Effect::HeldResolve);
    assert_eq!(server.beat("Watchdog", at(350)), None);
    let ended = watchdog("Watchdog", AlertStatus::Resolved, START, Some(at(240)));
    assert_eq!(server.receives(&[ended], at(360)), None);
    assert_eq!((server.pulse, server.fires(at(400))), (Pulse::default().beat(at(0)), true));
}

#[test]
fn a_longer_lease_makes_for_more_patience() {
    let length = LeaseLength::between(START, START.after(20 * MINUTE));
    let sent = WatchdogSent { sent_at: START, lease: length };
    assert!(sent.proves_resolve(at(375)) && !sent.proves_resolve(at(376)));
    assert!(sent.is_alive(at(599)) && !sent.is_alive(at(600)));
}

#[test]
fn where_the_watchdog_was_never_heard_resolves_count_unless_the_page_said_that_it_is_missing() {
    for source in [WatchdogSource::List, WatchdogSource::Notifications] {
        assert_eq!(Server::new(source).ends(at(100), at(101)), Effect::Resolved);
        let mut server = Server::new(source);
        server.pulse = server.pulse.miss(at(50));
        assert_eq!(server.ends(at(100), at(101)), Effect::HeldResolve);
    }
}

#[test]
fn by_notifications_a_resolve_is_held_while_the_next_repeat_is_overdue_and_counts_with_the_repeat() {
    let mut server = Server::new(WatchdogSource::Notifications);
    for beat in [0, 60, 120] {
        assert_eq!(server.beat("Watchdog", at(beat)), None);
    }
    // One and a half times as long as from one to the next.
    assert_eq!(server.ends(at(205), at(210)), Effect::Resolved);
    assert_eq!(
        server.tell(&Alert { starts_at: at(206), ..alert(AlertStatus::Firing, None) }, at(206)),
        Effect::FiredAgain
    );
    let resolve = Alert { starts_at: at(206), ..alert(AlertStatus::Resolved, Some(at(207))) };
    assert_eq!(server.tell(&resolve, at(211)), Effect::HeldResolve);
    assert!(server.fires(at(211)));
    assert_eq!(server.beat("Watchdog", at(230)), Some(Reason::ResolveConfirmed));
    assert!(!server.fires(at(230)));
}

#[test]
fn by_notifications_the_end_of_the_watchdog_is_a_death_four_minutes_before_and_takes_later_resolves_back() {
    for (ended_at, taken_back) in [(59, false), (60, false), (61, true), (290, true)] {
        let mut server = Server::new(WatchdogSource::Notifications);
        server.beat("Watchdog", at(0));
        server.beat("Watchdog", at(60));
        server.beat("Watchdog", at(280));
        assert_eq!(server.ends(at(ended_at), at(290)), Effect::Resolved);
        let ended = watchdog("Watchdog", AlertStatus::Resolved, START, Some(at(300)));
        let reason = server.receives(std::slice::from_ref(&ended), at(305));
        assert_eq!(reason, taken_back.then_some(Reason::TakenBack), "{ended_at}");
        assert_eq!((server.fires(at(306)), server.pulse.last_heartbeat), (taken_back, Some(at(60))));
        // The other member of a cluster says the same.
        assert_eq!(server.receives(&[ended], at(306)), None);
        assert_eq!(server.fires(at(306)), taken_back);
    }
}

#[test]
fn after_a_death_resolves_are_held_until_the_watchdog_has_come_twice() {
    let mut server = Server::new(WatchdogSource::Notifications);
    server.beat("Watchdog", at(0));
    server.receives(&[watchdog("Watchdog", AlertStatus::Resolved, START, Some(at(300)))], at(305));
    assert_eq!(server.ends(at(310), at(310)), Effect::HeldResolve);
    let back = |now| [watchdog("Watchdog", AlertStatus::Firing, at(900), None)].map(|watchdog| (watchdog, now));
    let [(first, now)] = back(at(900));
    assert_eq!(server.receives(&[first], now), None, "its alerts may fire again any moment");
    let [(second, now)] = back(at(960));
    assert_eq!(server.receives(&[second], now), Some(Reason::ResolveConfirmed));
    // News of the death that is over.
    let late = watchdog("Watchdog", AlertStatus::Resolved, START, Some(at(300)));
    assert_eq!(server.receives(&[late], at(961)), None);
    assert_eq!((server.fires(at(961)), server.pulse.last_heartbeat), (false, Some(at(960))));
}

#[test]
fn one_of_two_watchdogs_may_end_and_the_last_one_decides() {
    let mut server = Server::new(WatchdogSource::Notifications);
    for beat in [0, 60, 120] {
        server.beat("one", at(beat));
        server.beat("other", at(beat + 10));
    }
    assert_eq!(server.ends(at(140), at(145)), Effect::Resolved);
    let ended = |name, ends_at| watchdog(name, AlertStatus::Resolved, START, Some(ends_at));
    assert_eq!(server.receives(&[ended("one", at(150))], at(151)), None);
    assert!(!server.fires(at(151)));
    assert_eq!(server.receives(&[ended("other", at(160))], at(161)), Some(Reason::TakenBack));
    assert!(server.fires(at(161)));
}

#[test]
fn of_a_pair_of_prometheus_servers_each_start_is_that_of_the_same_watchdog() {
    let mut server = Server::new(WatchdogSource::Notifications);
    let firing = |starts_at| watchdog("Watchdog", AlertStatus::Firing, starts_at, None);
    // Two Alertmanagers heard of the pair in another order.
    let (one, other) = (at(1), at(9));
    for (starts_at, now) in [(one, 60), (other, 61), (one, 120), (other, 121)] {
        server.receives(&[firing(starts_at)], at(now));
    }
    assert_eq!(server.ends(at(300), at(300)), Effect::HeldResolve);
    let reasons = [(one, 310), (other, 311)].map(|(starts_at, now)| server.receives(&[firing(starts_at)], at(now)));
    assert_eq!(reasons, [Some(Reason::ResolveConfirmed), None]);
    let ended = |starts_at, ends_at| watchdog("Watchdog", AlertStatus::Resolved, starts_at, Some(ends_at));
    assert_eq!(server.receives(&[ended(one, at(9))], at(400)), None, "news of a death that is over");
    assert_eq!(server.receives(&[ended(one, at(420))], at(421)), Some(Reason::TakenBack));
}

#[test]
fn a_firing_that_followed_its_resolve_is_taken_back_like_any_other() {
    let (firing, end) = (alert(AlertStatus::Firing, None), watchdog("Watchdog", AlertStatus::Resolved, START, None));
    let ended = |ends_at| WatchdogAlert { ends_at: Some(ends_at), ..end.clone() };
    // It counts after the refire delay, and then its lease runs out.
    let mut server = Server::new(WatchdogSource::Notifications);
    server.beat("Watchdog", at(300));
    server.ends(at(10), at(11));
    assert_eq!(server.tell(&firing, at(20)), Effect::Refired);
    server.beat("Watchdog", at(540));
    assert!(server.fires(at(560)));
    assert_eq!(server.ends(at(570), at(571)), Effect::RefireWithdrawn);
    assert_eq!(server.receives(&[ended(at(580))], at(581)), Some(Reason::TakenBack));
    assert!(server.fires(at(581)));
    // Its lease runs out, and the other member of a cluster says late that it fires.
    let mut server = Server::new(WatchdogSource::Notifications);
    server.beat("Watchdog", at(300));
    assert_eq!(server.ends(at(310), at(311)), Effect::Resolved);
    assert_eq!(server.tell(&firing, at(312)), Effect::Refired);
    assert_eq!(server.receives(&[ended(at(320))], at(321)), Some(Reason::TakenBack));
    assert!(server.fires(at(321)));
    assert_eq!(server.ends(at(310), at(340)), Effect::HeldResolve);
}

#[test]
fn an_alert_that_never_fired_here_is_neither_held_nor_taken_back() {
    let mut server = Server::new(WatchdogSource::Notifications);
    server.record = None;
    server.beat("Watchdog", at(0));
    assert_eq!(server.ends(at(10), at(10)), Effect::ResolvedUnknown);
    let ended = watchdog("Watchdog", AlertStatus::Resolved, START, Some(at(240)));
    assert_eq!(server.receives(&[ended], at(241)), None);
    server.record = None;
    assert_eq!(server.ends(at(250), at(250)), Effect::ResolvedUnknown);
    assert!(!server.fires(at(250)));
}

#[test]
fn a_held_resolve_is_forgotten_when_the_alert_fires_and_counts_when_a_true_one_comes() {
    for firing in [alert(AlertStatus::Firing, None), Alert { starts_at: at(100), ..alert(AlertStatus::Firing, None) }] {
        let mut server = Server::new(WatchdogSource::List);
        server.pulse = server.pulse.beat(at(0));
        assert_eq!(server.ends(at(240), at(241)), Effect::HeldResolve);
        server.tell(&firing, at(250));
        assert_eq!(server.record.as_ref().map(|record| record.state), Some(AlertState::Firing));
    }
    let mut server = Server::new(WatchdogSource::List);
    server.pulse = server.pulse.beat(at(0));
    assert_eq!(server.ends(at(240), at(241)), Effect::HeldResolve);
    assert_eq!(server.ends(at(70), at(242)), Effect::Resolved);
}

#[test]
fn a_refire_that_counts_is_held_as_well_and_one_that_does_not_is_withdrawn() {
    for (delay, effect) in [(REFIRE_DELAY, Effect::RefireWithdrawn), (Duration::ZERO, Effect::HeldResolve)] {
        let mut server = Server::new(WatchdogSource::List);
        server.rule.refire_delay = delay;
        server.pulse = server.pulse.beat(at(0));
        assert_eq!(server.ends(at(60), at(61)), Effect::Resolved);
        assert_eq!(server.tell(&alert(AlertStatus::Firing, None), at(70)), Effect::Refired);
        assert_eq!(server.ends(at(240), at(241)), effect);
    }
}

#[test]
fn of_many_watchdogs_those_that_were_heard_last_are_remembered() {
    let mut server = Server::new(WatchdogSource::Notifications);
    for number in 0..1000 {
        server.beat(&format!("watchdog {number}"), at(number));
    }
    assert_eq!(server.routed.0.len(), WATCHDOGS_MAX);
    assert!(server.routed.0.iter().all(|(_, watchdog)| watchdog.notified_at >= at(936)));
}
