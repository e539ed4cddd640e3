//! The rule alone, case by case.

mod laws;

use std::collections::BTreeSet;

use super::*;
use crate::alert::AlertStatus;
use crate::expiry::{Lease, LeaseLength};
use crate::target::{ComponentList, Target};

const MINUTE: Duration = Duration::from_secs(60);
const CONFIG: AlertConfig = AlertConfig {
    refire_delay: REFIRE_DELAY,
    stale_after: None,
    max_stored: 100,
    poll: Duration::from_secs(60),
    settle: Duration::from_secs(300),
};
const REFIRE_DELAY: Duration = Duration::from_secs(300);
const SETTLED: Duration = Duration::from_secs(3600);
const YOUNG: Duration = Duration::from_secs(299);

/// What is stored, what the last poll left, and a clock that only goes forward.
#[derive(Debug, Clone)]
struct World {
    stored: BTreeMap<Fingerprint, AlertRecord>,
    missing: Missing,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self { stored: BTreeMap::new(), missing: Missing::new(), now: Timestamp::from_millis(1_000_000) }
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
    }

    fn notify(&mut self, alert: &Alert) {
        let (record, _) = AlertRecord::observe(self.stored.get(&alert.fingerprint), alert, self.now);
        self.stored.insert(alert.fingerprint, record);
    }

    fn plan(&self, poll: &Poll) -> Plan {
        plan(
            poll,
            &self.stored.values().cloned().map(Arc::new).collect::<Vec<_>>(),
            &self.missing,
            &Leases::default(),
            &CONFIG,
        )
    }

    fn carry_out(&mut self, poll: &Poll) -> Vec<Reason> {
        let plan = self.plan(poll);
        self.missing = plan.missing;
        let reasons = plan.repairs.iter().map(|repair| repair.reason).collect();
        self.stored.extend(plan.repairs.into_iter().map(|repair| (repair.record.fingerprint, repair.record)));
        reasons
    }

    /// A minute passes, and Alertmanager is read.
    fn poll(&mut self, members: &[Member]) -> Vec<Reason> {
        self.pass(MINUTE);
        let poll = Poll { began_at: self.now, members: members.to_vec(), watchdog: WatchdogListing::NotConfigured };
        let reasons = self.carry_out(&poll);
        self.pass(Duration::from_millis(1));
        reasons
    }

    fn fires(&self, alert: &Alert) -> bool {
        self.stored.get(&alert.fingerprint).is_some_and(|record| record.is_firing(self.now, REFIRE_DELAY))
    }
}

fn alert(number: u64, starts_at: i64) -> Alert {
    Alert {
        fingerprint: format!("{number:016x}").parse().expect("a fingerprint"),
        name: "TargetDown".to_owned(),
        target: Target::new(&format!("host-{number}"), ComponentList::parse("Web").names).expect("a target"),
        critical: false,
        status: AlertStatus::Firing,
        starts_at: Timestamp::from_millis(starts_at),
        ends_at: None,
    }
}

fn resolved(alert: &Alert) -> Alert {
    Alert { status: AlertStatus::Resolved, ..alert.clone() }
}

fn active(alert: &Alert) -> ListedAlert {
    ListedAlert { alert: alert.clone(), standing: Standing::Active, lease: None }
}

fn suppressed(alert: &Alert) -> ListedAlert {
    ListedAlert { alert: alert.clone(), standing: Standing::Suppressed, lease: None }
}

fn heard(listed: &[ListedAlert]) -> Member {
    Member { up_for: SETTLED, listed: listed.to_vec() }
}

fn young(listed: &[ListedAlert]) -> Member {
    Member { up_for: YOUNG, listed: listed.to_vec() }
}

/// What a page said before us of the alert: by target and name, for nobody knew its fingerprint.
fn adopted(alert: &Alert, now: Timestamp) -> AlertRecord {
    let (record, _) = AlertRecord::observe(None, alert, now);
    AlertRecord { fingerprint: Fingerprint::of_text("inherited"), state: AlertState::Adopted, ..record }
}

#[test]
fn what_was_adopted_goes_on_under_its_own_fingerprint_if_it_is_listed_even_suppressed_and_ends_if_it_is_not() {
    let listed = alert(1, 5);
    for (members, fires) in [
        (vec![heard(&[active(&listed)])], true),
        (vec![heard(&[suppressed(&listed)])], true),
        (vec![heard(&[])], false),
    ] {
        let mut world = World::new();
        let before = adopted(&listed, world.now);
        world.stored.insert(before.fingerprint, before.clone());
        world.pass(MINUTE);
        for _ in 0..3 {
            world.poll(&members);
            let still = world.stored[&before.fingerprint].is_firing(world.now, REFIRE_DELAY);
            assert!(!fires || still || world.fires(&listed), "{members:?}");
        }
        assert_eq!(world.fires(&listed), fires, "{members:?}");
        assert_eq!(world.stored[&before.fingerprint].state, AlertState::Resolved);
    }
}

#[test]
fn without_a_list_only_silence_and_a_missing_watchdog_end_alerts() {
    let now = Timestamp::from_millis(1_000_000);
    let (record, _) = AlertRecord::observe(None, &alert(1, 5), now);
    assert_eq!(stale(&record, now), None);
    let ended = stale(&record, now.after(MINUTE)).expect("stale");
    assert_eq!((ended.reason, ended.record.state), (Reason::Stale, AlertState::Resolved));
    assert_eq!((ended.record.ends_at, ended.record.last_seen_at), (Some(now), now));

    assert_eq!(resolved_without_watchdog(&record, now), None);
    let held = AlertRecord { state: AlertState::ResolveHeld, ends_at: Some(now), ..record };
    let resolved = resolved_without_watchdog(&held, now.after(MINUTE)).expect("resolved");
    assert_eq!((resolved.reason, resolved.record.state), (Reason::ResolveConfirmed, AlertState::Resolved));
    assert_eq!(resolved.record.ends_at, Some(now), "as the resolve says");
}

#[test]
fn every_reason_reads_on_behind_an_alerts_name() {
    use Reason::{
        Confirmed, Reappeared, Refuted, ResolveConfirmed, Stale, TakenBack, Unlisted, Unnotified, UnnotifiedAgain,
    };
    let listed = [Unnotified, UnnotifiedAgain, Reappeared, Confirmed, Refuted, Unlisted];
    let reasons = [listed.as_slice(), &[ResolveConfirmed, TakenBack, Stale]].concat();
    let texts: BTreeSet<String> = reasons.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), reasons.len(), "each says something else");
    assert!(texts.iter().all(|text| text.contains(": ")), "what follows, and why: {texts:?}");
}

#[test]
fn what_is_listed_and_was_not_notified_fires() {
    let mut world = World::new();
    let alert = alert(1, 5);
    assert_eq!(world.poll(&[heard(&[active(&alert)])]), [Reason::Unnotified]);
    assert!(world.fires(&alert));
    assert_eq!(world.poll(&[heard(&[active(&alert)])]), []);
}

#[test]
fn a_newer_occurrence_in_the_list_wins_and_an_older_one_does_not() {
    let mut world = World::new();
    let (first, second) = (alert(1, 5), alert(1, 9));
    world.notify(&first);
    world.notify(&resolved(&first));
    assert_eq!(world.poll(&[heard(&[active(&second)])]), [Reason::UnnotifiedAgain]);
    assert!(world.fires(&second));
    assert_eq!(world.poll(&[heard(&[active(&first)])]), []);
}

/// As of a pair of Prometheus servers that could not reach Alertmanager until it took the alert for ended.
#[test]
fn what_ended_under_an_earlier_beginning_and_is_listed_under_it_fires_again() {
    let mut world = World::new();
    let (told, earlier) = (alert(1, 9), alert(1, 5));
    world.notify(&told);
    world.notify(&Alert { ends_at: Some(Timestamp::from_millis(10)), ..resolved(&earlier) });
    assert!(!world.fires(&told));
    assert_eq!(world.poll(&[heard(&[active(&earlier)])]), [Reason::Reappeared]);
    assert!(world.fires(&told));
    assert_eq!(world.poll(&[heard(&[active(&earlier)])]), []);
}

/// Prometheus B fired later than A and is over; A, which was cut off meanwhile, still fires.
#[test]
fn what_one_prometheus_resolved_and_another_fires_for_longer_fires_once_it_is_listed() {
    for notified in [false, true] {
        let mut world = World::new();
        let (later, earlier) = (alert(1, 9), alert(1, 5));
        world.notify(&later);
        world.notify(&resolved(&later));
        if notified {
            world.notify(&earlier);
        }
        let reason = if notified { Reason::Confirmed } else { Reason::Reappeared };
        assert_eq!(world.poll(&[heard(&[active(&earlier)])]), [reason]);
        world.notify(&resolved(&later));
        assert!(world.fires(&earlier), "a late resolve of the other one does not end it");
        world.notify(&resolved(&earlier));
        assert!(!world.fires(&earlier));
    }
}

#[test]
fn a_beginning_in_the_future_hides_no_later_outage() {
    let mut world = World::new();
    let (ahead, later) = (alert(1, 86_400_000), alert(1, 1_030_000));
    world.notify(&ahead);
    world.notify(&resolved(&ahead));
    assert!(!world.fires(&ahead));
    assert_eq!(world.poll(&[heard(&[active(&later)])]), [Reason::UnnotifiedAgain]);
    assert!(world.fires(&later));
    assert_eq!(world.poll(&[heard(&[active(&later)])]), []);
}

#[test]
fn what_is_unlisted_twice_in_a_row_has_ended_and_its_occurrence_stays_known() {
    let mut world = World::new();
    let alert = alert(1, 5);
    world.notify(&alert);
    assert_eq!(world.poll(&[heard(&[])]), []);
    assert!(world.fires(&alert));
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
    assert!(!world.fires(&alert));
    assert_eq!(world.stored[&alert.fingerprint].starts_at, alert.starts_at);
    assert!(world.missing.is_empty());
    assert_eq!(world.poll(&[heard(&[])]), []);
}

#[test]
fn readings_on_demand_do_not_make_two_of_one_gap() {
    let mut world = World::new();
    let alert = alert(1, 5);
    world.notify(&alert);
    world.poll(&[heard(&[])]);
    for _ in 0..29 {
        world.pass(Duration::from_secs(1));
        let poll = Poll { began_at: world.now, members: vec![heard(&[])], watchdog: WatchdogListing::NotConfigured };
        assert_eq!(world.carry_out(&poll), []);
    }
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

#[test]
fn what_came_between_two_readings_starts_the_count_anew() {
    let alert = alert(1, 5);
    let interruptions = [vec![heard(&[active(&alert)])], vec![heard(&[suppressed(&alert)])], vec![young(&[])], vec![]];
    for interruption in interruptions {
        let mut world = World::new();
        world.notify(&alert);
        assert_eq!(world.poll(&[heard(&[])]), []);
        assert_eq!(world.poll(&interruption), []);
        assert_eq!(world.poll(&[heard(&[])]), []);
        assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
    }
    let mut world = World::new();
    world.notify(&alert);
    assert_eq!(world.poll(&[heard(&[])]), []);
    world.notify(&alert);
    assert_eq!(world.poll(&[heard(&[])]), []);
}

#[test]
fn what_came_within_the_same_millisecond_as_a_reading_starts_the_count_anew() {
    let mut world = World::new();
    let alert = alert(1, 5);
    world.notify(&alert);
    assert_eq!(world.poll(&[heard(&[])]), []);
    world.now = world.now.before(Duration::from_millis(1));
    world.notify(&alert);
    assert_eq!(world.poll(&[heard(&[])]), []);
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

#[test]
fn a_clock_that_is_set_back_between_two_readings_starts_the_count_anew() {
    let mut world = World::new();
    let alert = alert(1, 5);
    let mut before = adopted(&alert, world.now);
    before.last_seen_at = Timestamp::from_millis(0);
    world.stored.insert(before.fingerprint, before);
    world.pass(Duration::from_secs(3600));
    assert_eq!(world.poll(&[heard(&[])]), []);
    world.now = world.now.before(Duration::from_secs(3000));
    assert_eq!(world.poll(&[heard(&[])]), [], "unlisted for the first time by this clock");
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

#[test]
fn a_member_that_just_started_proves_nothing_but_by_what_it_lists() {
    let mut world = World::new();
    let (known, unknown) = (alert(1, 5), alert(2, 5));
    world.notify(&known);
    for _ in 0..5 {
        world.poll(&[young(&[active(&unknown)])]);
    }
    assert!(world.fires(&known) && world.fires(&unknown));
}

#[test]
fn a_member_has_settled_once_it_was_up_for_the_time_to_settle() {
    for (up_for, proves) in [(CONFIG.settle, true), (CONFIG.settle - Duration::from_millis(1), false)] {
        let mut world = World::new();
        world.notify(&alert(1, 5));
        let member = [Member { up_for, listed: Vec::new() }];
        world.poll(&member);
        assert_eq!(world.poll(&member).as_slice(), if proves { &[Reason::Unlisted][..] } else { &[] });
    }
}

#[test]
fn silence_says_something_only_after_we_listened_for_so_long_ourselves() {
    let started = Timestamp::from_millis(1_000_000);
    let day = Duration::from_secs(86_400);
    assert_eq!(stale_before(started.after(day / 2), started, day), None);
    assert_eq!(stale_before(started.after(day), started, day), Some(started));
    assert_eq!(stale_before(started.after(day * 2), started, day), Some(started.after(day)));
}

#[test]
fn an_alert_that_one_member_lists_has_not_ended_whatever_the_other_says() {
    let mut world = World::new();
    let alert = alert(1, 5);
    world.notify(&alert);
    for other in [heard(&[active(&alert)]), heard(&[suppressed(&alert)]), young(&[active(&alert)])] {
        for _ in 0..3 {
            assert_eq!(world.poll(&[heard(&[]), other.clone()]), []);
        }
    }
    assert!(world.fires(&alert));
}

#[test]
fn one_member_that_would_know_is_enough_to_see_an_end() {
    for other in [vec![], vec![young(&[])]] {
        let mut world = World::new();
        let alert = alert(1, 5);
        world.notify(&alert);
        let members = [vec![heard(&[])], other].concat();
        world.poll(&members);
        assert_eq!(world.poll(&members), [Reason::Unlisted]);
    }
}

#[test]
fn a_silence_neither_reddens_nor_greens_and_the_end_of_its_alert_heals() {
    let mut world = World::new();
    let (red, green) = (alert(1, 5), alert(2, 5));
    world.notify(&red);
    for _ in 0..3 {
        assert_eq!(world.poll(&[heard(&[suppressed(&red), suppressed(&green)])]), []);
    }
    assert!(world.fires(&red) && !world.fires(&green));
    world.poll(&[heard(&[])]);
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

#[test]
fn what_one_member_suppresses_and_another_does_not_is_active() {
    let mut world = World::new();
    let alert = alert(1, 5);
    let members = [heard(&[suppressed(&alert)]), heard(&[active(&alert)])];
    assert_eq!(world.poll(&members), [Reason::Unnotified]);
}

#[test]
fn a_held_firing_counts_as_soon_as_it_is_listed() {
    let mut world = World::new();
    let alert = alert(1, 5);
    for told in [&alert, &resolved(&alert), &alert] {
        world.notify(told);
    }
    assert!(!world.fires(&alert));
    assert_eq!(world.poll(&[heard(&[active(&alert)])]), [Reason::Confirmed]);
    assert!(world.fires(&alert));
}

#[test]
fn a_held_firing_counts_whichever_occurrence_is_listed() {
    for (listed, reasons) in [(alert(1, 3), [Reason::Confirmed]), (alert(1, 9), [Reason::UnnotifiedAgain])] {
        let mut world = World::new();
        let held = alert(1, 5);
        for told in [&held, &resolved(&held), &held] {
            world.notify(told);
        }
        assert_eq!(world.poll(&[heard(&[active(&listed)])]), reasons);
        assert!(world.fires(&held));
        assert_eq!(world.stored[&held.fingerprint].starts_at, held.starts_at.max(listed.starts_at));
    }
}

#[test]
fn a_held_firing_that_is_not_listed_is_an_echo_if_the_member_would_know() {
    let mut world = World::new();
    let alert = alert(1, 5);
    for told in [&alert, &resolved(&alert), &alert] {
        world.notify(told);
    }
    assert_eq!(world.poll(&[young(&[])]), []);
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Refuted]);
    world.pass(REFIRE_DELAY);
    assert!(!world.fires(&alert));
}

#[test]
fn a_held_firing_that_counts_already_takes_two_readings_to_end_as_any_other() {
    let mut world = World::new();
    let alert = alert(1, 5);
    for told in [&alert, &resolved(&alert), &alert] {
        world.notify(told);
    }
    world.pass(REFIRE_DELAY);
    assert!(world.fires(&alert));
    assert_eq!(world.poll(&[heard(&[])]), []);
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

#[test]
fn what_is_listed_after_its_resolve_fires_at_once() {
    let mut world = World::new();
    let alert = alert(1, 5);
    world.notify(&alert);
    world.notify(&resolved(&alert));
    let lists = [heard(&[]), heard(&[active(&alert)])];
    assert_eq!(world.poll(&lists), [Reason::Reappeared]);
    assert!(world.fires(&alert));
    assert_eq!(world.poll(&lists), []);
}

#[test]
fn what_arrives_while_a_poll_is_under_way_is_not_undone_by_it() {
    let mut world = World::new();
    let (fresh, over, held) = (alert(1, 5), alert(2, 5), alert(3, 5));
    for told in [&over, &held, &resolved(&held)] {
        world.notify(told);
    }
    world.poll(&[heard(&[active(&over)])]);
    world.pass(MINUTE);
    // Read first, answered later.
    let poll =
        Poll { began_at: world.now, members: vec![heard(&[active(&over)])], watchdog: WatchdogListing::NotConfigured };
    world.notify(&fresh);
    world.notify(&resolved(&over));
    world.notify(&held);
    assert_eq!(world.carry_out(&poll), []);
    assert!(world.fires(&fresh) && !world.fires(&over));
    assert!(world.missing.is_empty());
}

/// A listed watchdog that was sent at `sent_at`, with a lease of four minutes.
fn alive(sent_at: Timestamp) -> WatchdogListing {
    WatchdogListing::Sent(WatchdogSent { sent_at, lease: LeaseLength::default() })
}

/// The repairs of a firing alert that is absent from two polls, each `seconds` after the last sending of the watchdog.
fn unlisted_after(seconds: u64) -> Vec<Reason> {
    let mut world = World::new();
    world.notify(&alert(1, 5));
    world.pass(MINUTE);
    let mut reasons = Vec::new();
    for _ in 0..3 {
        world.pass(MINUTE);
        let watchdog = alive(world.now.before(Duration::from_secs(seconds)));
        let poll = Poll { began_at: world.now, members: vec![heard(&[])], watchdog };
        reasons.extend(world.carry_out(&poll));
    }
    reasons
}

#[test]
fn an_alert_that_vanishes_from_the_list_has_ended_only_if_the_watchdog_is_alive() {
    assert_eq!(unlisted_after(0), [Reason::Unlisted]);
    assert_eq!(unlisted_after(119), [Reason::Unlisted]);
    // A dead Prometheus: its alerts vanish when their leases run out.
    assert_eq!(unlisted_after(120), []);
    let mut world = World::new();
    world.notify(&alert(1, 5));
    for _ in 0..3 {
        world.pass(MINUTE);
        let poll = Poll { began_at: world.now, members: vec![heard(&[])], watchdog: WatchdogListing::Unlisted };
        assert_eq!(world.carry_out(&poll), []);
    }
}

#[test]
fn a_watchdog_that_is_late_at_every_other_poll_does_not_keep_alerts_from_ending() {
    // Sent every two minutes, by a clock that is half a minute behind: every other reading finds it too old.
    let lease = LeaseLength::between(Timestamp::from_millis(0), Timestamp::from_millis(210_000));
    let mut world = World::new();
    world.notify(&alert(1, 5));
    let mut reasons = Vec::new();
    for age in [50, 110, 50] {
        world.pass(MINUTE);
        let sent = WatchdogSent { sent_at: world.now.before(Duration::from_secs(age)), lease };
        let poll = Poll { began_at: world.now, members: vec![heard(&[])], watchdog: WatchdogListing::Sent(sent) };
        reasons.push(world.carry_out(&poll));
    }
    assert_eq!(reasons, [vec![], vec![], vec![Reason::Unlisted]]);
}

#[test]
fn a_listed_alert_with_a_held_resolve_fires_and_the_resolve_is_dropped() {
    let mut world = World::new();
    let fires = alert(1, 5);
    world.notify(&fires);
    let stored = world.stored.values_mut().next().expect("it is stored");
    *stored = AlertRecord { state: AlertState::ResolveHeld, ends_at: Some(world.now), ..stored.clone() };
    assert_eq!(world.poll(&[heard(&[suppressed(&fires)])]), []);
    assert_eq!(world.poll(&[heard(&[active(&fires)])]), [Reason::Confirmed]);
    assert_eq!(world.stored[&fires.fingerprint].state, AlertState::Firing);
    // It takes two readings to end, like any other.
    assert_eq!(world.poll(&[heard(&[])]), []);
    assert_eq!(world.poll(&[heard(&[])]), [Reason::Unlisted]);
}

/// The repairs of a held resolve whose `endsAt` is 240 seconds after the last sending of the watchdog. The watchdog is sent
/// again later, and the alert is not listed.
fn held(leases: &Leases) -> Vec<Vec<Reason>> {
    let mut world = World::new();
    let fires = alert(1, 5);
    world.notify(&fires);
    let sent_at = world.now;
    let ends_at = Some(sent_at.after(4 * MINUTE));
    let stored = world.stored.values_mut().next().expect("it is stored");
    *stored = AlertRecord { state: AlertState::ResolveHeld, ends_at, ..stored.clone() };
    let mut reasons = Vec::new();
    for (minute, sent_at) in
        [(5, sent_at), (6, sent_at), (60, world.now.after(60 * MINUTE)), (61, world.now.after(61 * MINUTE))]
    {
        let began_at =
            sent_at.max(Timestamp::from_millis(1_000_000)).max(Timestamp::from_millis(1_000_000 + minute * 60_000));
        let poll = Poll { began_at, members: vec![heard(&[])], watchdog: alive(sent_at) };
        let plan = plan(
            &poll,
            &world.stored.values().cloned().map(Arc::new).collect::<Vec<_>>(),
            &world.missing,
            leases,
            &CONFIG,
        );
        world.missing = plan.missing;
        reasons.push(plan.repairs.iter().map(|repair| repair.reason).collect());
        world.stored.extend(plan.repairs.into_iter().map(|repair| (repair.record.fingerprint, repair.record)));
    }
    reasons
}

#[test]
fn a_held_resolve_counts_after_a_newer_sending_and_an_expired_lease_after_two_absences() {
    let none = Vec::new();
    let known = |minutes| {
        let ends_at = Timestamp::from_millis(1_000_000).after(minutes * MINUTE);
        let lease = Lease { ends_at, length: LeaseLength::default() };
        Leases { of_alerts: [(alert(1, 5).fingerprint, vec![lease])].into(), ..Leases::default() }
    };
    assert_eq!(held(&known(3)), [none.clone(), none.clone(), vec![Reason::ResolveConfirmed], none.clone()]);
    // After a restart, the lease is not known.
    for leases in [known(4), Leases::default()] {
        assert_eq!(held(&leases), [none.clone(), none.clone(), none.clone(), vec![Reason::ResolveConfirmed]]);
    }
}

#[test]
fn leases_are_those_of_the_latest_list_and_a_vanished_firing_alert_keeps_its_own() {
    let (listed, vanished, over) = (alert(1, 5), alert(2, 5), alert(3, 5));
    let lease = |minutes| Lease {
        ends_at: Timestamp::from_millis(1_000_000).after(minutes * MINUTE),
        length: LeaseLength::default(),
    };
    let mut before = Leases::default();
    for alert in [&listed, &vanished, &over] {
        before.of_alerts.insert(alert.fingerprint, vec![lease(1)]);
    }
    let mut world = World::new();
    for alert in [&listed, &vanished, &over, &resolved(&over)] {
        world.notify(alert);
    }
    let members = [lease(2), lease(3)].map(|lease| heard(&[ListedAlert { lease: Some(lease), ..active(&listed) }]));
    let poll = Poll { began_at: world.now, members: members.to_vec(), watchdog: WatchdogListing::Unlisted };
    let after = poll.leases_after(&before, &world.stored.values().cloned().map(Arc::new).collect::<Vec<_>>());
    let ends = [(listed.fingerprint, vec![lease(2), lease(3)]), (vanished.fingerprint, vec![lease(1)])];
    assert_eq!(after, Leases { of_alerts: ends.into(), of_watchdog: LeaseLength::default() });
}
