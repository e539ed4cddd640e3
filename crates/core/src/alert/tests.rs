use proptest::prelude::*;

use super::super::target::ComponentList;
use super::*;

const REFIRE_DELAY: Duration = Duration::from_secs(300);

fn alert(status: AlertStatus, starts_at: i64) -> Alert {
    Alert {
        fingerprint: "e029c70b1b64731f".parse().expect("fingerprint"),
        name: "TargetDown".to_owned(),
        target: Target::new("10.0.0.5:9100", ComponentList::parse("Database").names).expect("target"),
        critical: false,
        status,
        starts_at: Timestamp::from_millis(starts_at),
        ends_at: None,
    }
}

fn firing(starts_at: i64) -> Alert {
    alert(AlertStatus::Firing, starts_at)
}

fn resolved(starts_at: i64) -> Alert {
    alert(AlertStatus::Resolved, starts_at)
}

fn lasted(starts_at: i64, ends_at: i64) -> Alert {
    Alert { ends_at: Some(Timestamp::from_millis(ends_at)), ..resolved(starts_at) }
}

/// What is known after `alerts` arrived, one a second from second 1, and what the last one changed.
fn after(alerts: &[Alert]) -> (AlertRecord, Effect) {
    let mut known = None;
    for (second, alert) in alerts.iter().enumerate() {
        let now = Timestamp::from_millis(1000 * i64::try_from(second + 1).expect("few"));
        known = Some(AlertRecord::observe(known.as_ref().map(|(record, _)| record), alert, now));
    }
    known.expect("at least one alert")
}

fn is_firing_soon(alerts: &[Alert]) -> bool {
    let (record, _) = after(alerts);
    record.is_firing(record.last_seen_at, REFIRE_DELAY)
}

#[test]
fn a_firing_fires_and_its_resolve_ends_it() {
    assert!(is_firing_soon(&[firing(1)]));
    assert!(!is_firing_soon(&[firing(1), resolved(1)]));
}

#[test]
fn a_repeat_changes_nothing() {
    assert_eq!(after(&[firing(1), firing(1)]).1, Effect::Repeated);
    assert_eq!(after(&[firing(1), resolved(1), resolved(1)]).1, Effect::Repeated);
}

#[test]
fn a_resolve_of_an_unknown_alert_changes_nothing_and_makes_its_late_firing_suspect() {
    assert_eq!(after(&[resolved(1)]).1, Effect::ResolvedUnknown);
    assert!(!is_firing_soon(&[resolved(1), firing(1)]));
}

#[test]
fn a_newer_occurrence_wins_whatever_its_status() {
    assert!(is_firing_soon(&[resolved(1), firing(2)]));
    // resolved and fired again between two flushes: only the second resolve arrives (recording 16)
    assert!(!is_firing_soon(&[firing(1), resolved(2)]));
}

#[test]
fn an_older_occurrence_is_ignored() {
    assert_eq!(after(&[firing(2), resolved(1)]).1, Effect::Outdated);
    assert!(is_firing_soon(&[firing(2), resolved(1)]));
    assert!(!is_firing_soon(&[resolved(2), firing(1)]));
}

#[test]
fn a_resolve_that_spans_the_known_beginning_ends_that_occurrence() {
    assert_eq!(after(&[firing(2), lasted(1, 3)]).1, Effect::Resolved);
    let (record, effect) = after(&[firing(2), lasted(1, 3), firing(2)]);
    assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2), Effect::Refired));
    assert_eq!(after(&[firing(2), lasted(1, 3), firing(2), lasted(1, 3)]).1, Effect::RefireWithdrawn);
    // two members of a cluster that heard of it in another order
    assert!(!is_firing_soon(&[firing(1), firing(2), lasted(1, 3)]));
}

/// Nothing tells it from an echo, so it waits as that of any other alert is.
#[test]
fn what_ended_under_an_earlier_beginning_may_fire_again_under_it() {
    for told in [&[firing(2), lasted(1, 3)][..], &[firing(2), resolved(2), lasted(1, 3)]] {
        let (record, effect) = after(&[told, &[firing(1)]].concat());
        assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2), Effect::Refired));
        assert!(record.is_firing(record.last_seen_at.after(REFIRE_DELAY), REFIRE_DELAY));
        assert_eq!(after(&[told, &[firing(1), lasted(1, 4)]].concat()).1, Effect::RefireWithdrawn);
        assert_eq!(after(&[told, &[firing(1), firing(2)]].concat()).1, Effect::Repeated);
    }
}

/// One Prometheus of a pair fired later than the other and is over; the other one still fires.
#[test]
fn a_firing_under_an_earlier_beginning_than_the_resolve_is_a_refire() {
    let told = [firing(2), resolved(2), firing(1)];
    let (record, effect) = after(&told);
    assert_eq!(effect, Effect::Refired);
    assert!(record.is_firing(record.last_seen_at.after(REFIRE_DELAY), REFIRE_DELAY));
    for later in [&[resolved(2)][..], &[lasted(2, 3)], &[firing(2), resolved(2)]] {
        let (record, effect) = after(&[&told[..], later].concat());
        assert_eq!(effect, Effect::Outdated, "{later:?}");
        assert!(record.is_firing(record.last_seen_at.after(REFIRE_DELAY), REFIRE_DELAY), "{later:?}");
    }
    assert_eq!(after(&[&told[..], &[resolved(1)]].concat()).1, Effect::RefireWithdrawn);
    let echo_first = [firing(2), resolved(2), firing(2), firing(1), resolved(2)];
    assert!(matches!(after(&echo_first).0.state, AlertState::Refired { .. }));
}

#[test]
fn what_fires_stays_as_it_is_when_an_earlier_beginning_is_told() {
    let (record, _) = after(&[firing(2), firing(1)]);
    assert_eq!(AlertRecord { last_seen_at: Timestamp::from_millis(1000), ..record }, after(&[firing(2)]).0);
}

#[test]
fn a_beginning_in_the_future_is_cut_to_the_time_of_arrival() {
    const AHEAD: i64 = 86_400_000;
    let (record, effect) = after(&[firing(AHEAD), firing(AHEAD)]);
    assert_eq!((record.starts_at, effect), (Timestamp::from_millis(1000), Effect::Repeated));
    assert!(!is_firing_soon(&[firing(AHEAD), resolved(AHEAD)]));
    // the clock is right again
    assert!(is_firing_soon(&[firing(AHEAD), resolved(AHEAD), firing(2500)]));
    assert!(!is_firing_soon(&[firing(AHEAD), resolved(AHEAD), firing(2500), resolved(2500)]));
}

#[test]
fn a_beginning_in_the_future_is_a_repeat_when_the_clock_has_passed_it() {
    let told = [firing(3500), firing(3500), firing(3500), firing(3500), firing(3500)];
    for count in 2..=told.len() {
        let (record, effect) = after(&told[..count]);
        assert_eq!((effect, record.starts_at), (Effect::Repeated, Timestamp::from_millis(1000)), "{count}");
    }
    let (record, effect) = after(&[&told[..], &[resolved(3500)]].concat());
    assert_eq!((effect, record.state), (Effect::Resolved, AlertState::Resolved));
    assert_eq!(after(&[&told[..], &[resolved(3500), firing(3500)]].concat()).1, Effect::Refired);
    assert_eq!(after(&[&told[..], &[firing(3600)]].concat()).1, Effect::FiredAgain);
}

/// Of a pair, the clock of one is ahead; Alertmanager makes one alert of both, with the earlier beginning.
#[test]
fn a_beginning_in_the_future_ends_with_a_resolve_of_the_earlier_beginning_that_spans_its_arrival() {
    const AHEAD: i64 = 86_400_000;
    for told in [&[firing(AHEAD), firing(AHEAD)][..], &[firing(AHEAD), firing(500)]] {
        assert_eq!(after(&[told, &[lasted(500, 2500)]].concat()).1, Effect::Resolved, "{told:?}");
        // One that ended before is of an occurrence before, and so may be one whose own end is in the future.
        assert_eq!(after(&[told, &[lasted(500, 900)]].concat()).1, Effect::Outdated, "{told:?}");
        assert_eq!(after(&[told, &[lasted(500, AHEAD - 1)]].concat()).1, Effect::Outdated, "{told:?}");
    }
    // A resolve that is told again does not end what came after it.
    let held = [firing(900), lasted(500, 1500), firing(AHEAD)];
    assert_eq!(after(&[&held[..], &[lasted(500, 1500)]].concat()).1, Effect::Outdated);
    assert_eq!(after(&[&held[..], &[lasted(500, 3500)]].concat()).1, Effect::RefireWithdrawn);
}

#[test]
fn a_firing_in_the_future_that_follows_a_resolve_waits() {
    const AHEAD: i64 = 86_400_000;
    for told in [&[firing(1), resolved(1)][..], &[firing(AHEAD), resolved(AHEAD)], &[firing(2), resolved(AHEAD)]] {
        let (record, effect) = after(&[told, &[firing(AHEAD)]].concat());
        let held = AlertState::Refired { since: Timestamp::from_millis(3000) };
        assert_eq!((effect, record.state), (Effect::Refired, held), "{told:?}");
        assert!(record.fires_since() <= Timestamp::from_millis(3000), "{told:?}");
        assert_eq!(after(&[told, &[firing(AHEAD), firing(AHEAD + 1)]].concat()).0.state, held, "{told:?}");
        assert_eq!(after(&[told, &[firing(AHEAD), resolved(AHEAD)]].concat()).1, Effect::RefireWithdrawn, "{told:?}");
        // what truly outranks the resolve counts at once
        assert_eq!(after(&[told, &[firing(AHEAD), firing(2500)]].concat()).1, Effect::FiredAgain, "{told:?}");
    }
    // that resolve is not of the one that fires
    assert_eq!(after(&[firing(1), resolved(1), firing(AHEAD), resolved(1)]).1, Effect::Outdated);
    // … also when the clock has passed it
    let passed = [firing(1), resolved(1), firing(3500), firing(3500), firing(3500)];
    let (record, effect) = after(&passed);
    assert_eq!((effect, record.state), (Effect::Repeated, AlertState::Refired { since: Timestamp::from_millis(3000) }));
}

#[test]
fn of_two_beginnings_in_the_future_the_later_one_is_newer() {
    const AHEAD: i64 = 86_400_000;
    assert_eq!(after(&[firing(AHEAD + 1), resolved(AHEAD)]).1, Effect::Outdated);
    assert_eq!(after(&[firing(AHEAD), resolved(AHEAD + 1)]).1, Effect::Resolved);
    assert_eq!(after(&[firing(AHEAD), firing(AHEAD + 1), resolved(AHEAD + 1)]).1, Effect::Resolved);
    // The occurrence before, resolved late: by that clock it ended before this one began.
    assert_eq!(after(&[firing(AHEAD), lasted(AHEAD - 9, AHEAD - 1)]).1, Effect::Outdated);
    assert_eq!(after(&[firing(AHEAD), lasted(500, 5000)]).1, Effect::Outdated);
    assert_eq!(after(&[firing(AHEAD), lasted(AHEAD - 9, AHEAD + 1)]).1, Effect::Resolved);
}

#[test]
fn what_is_listed_in_the_future_is_a_repeat_afterwards() {
    let (held, _) = after(&[firing(1), resolved(1), firing(9000)]);
    let listed_at = Timestamp::from_millis(4000);
    let confirmed = held.confirmed(Timestamp::from_millis(9000), listed_at);
    assert_eq!((confirmed.state, confirmed.fires_since()), (AlertState::Firing, listed_at));
    for now in [5000, 10_000] {
        let (_, effect) = AlertRecord::observe(Some(&confirmed), &firing(9000), Timestamp::from_millis(now));
        assert_eq!(effect, Effect::Repeated, "{now}");
    }
}

#[test]
fn a_beginning_in_the_future_that_an_earlier_version_stored_hides_nothing() {
    let future = Timestamp::from_millis(86_400_000);
    let (ended, _) = after(&[firing(1), resolved(1)]);
    let stored = AlertRecord { starts_at: future, reported_starts_at: future, ..ended };
    let (record, effect) = AlertRecord::observe(Some(&stored), &firing(2500), Timestamp::from_millis(3000));
    assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2500), Effect::FiredAgain));
}

#[test]
fn a_late_resolve_of_an_occurrence_that_ended_before_is_ignored() {
    assert_eq!(after(&[firing(3), lasted(1, 2)]).1, Effect::Outdated);
    assert_eq!(after(&[firing(3), lasted(1, 3)]).1, Effect::Outdated);
    // as Go writes a time that is not set
    assert_eq!(after(&[firing(3), lasted(1, -62_135_596_800_000)]).1, Effect::Outdated);
}

#[test]
fn a_late_firing_does_not_undo_a_resolve_until_it_stood_for_the_refire_delay() {
    let (record, effect) = after(&[firing(1), resolved(1), firing(1)]);
    assert_eq!(effect, Effect::Refired);
    let held_since = Timestamp::from_millis(3000);
    let due = held_since.after(REFIRE_DELAY);
    assert!(!record.is_firing(held_since, REFIRE_DELAY));
    assert_eq!(record.counts_from(held_since, REFIRE_DELAY), Some(due));
    assert!(!record.is_firing(Timestamp::from_millis(due.as_millis() - 1), REFIRE_DELAY));
    assert!(record.is_firing(due, REFIRE_DELAY));
    assert_eq!(record.counts_from(due, REFIRE_DELAY), None);
}

#[test]
fn a_repeated_echo_does_not_prolong_the_refire_delay() {
    let (record, _) = after(&[firing(1), resolved(1), firing(1), firing(1), firing(1)]);
    assert_eq!(record.state, AlertState::Refired { since: Timestamp::from_millis(3000) });
}

#[test]
fn the_other_members_resolve_takes_the_echo_back() {
    let (record, effect) = after(&[firing(1), resolved(1), firing(1), resolved(1)]);
    assert_eq!(effect, Effect::RefireWithdrawn);
    assert!(!record.is_firing(Timestamp::from_millis(i64::MAX), REFIRE_DELAY));
}

#[test]
fn fingerprints_are_sixteen_hexadecimal_digits() {
    let fingerprint: Fingerprint = "00ff00ff00ff00ff".parse().expect("valid");
    assert_eq!(fingerprint.to_string(), "00ff00ff00ff00ff");
    for text in ["", "e029c70b1b64731", "e029c70b1b64731ff", "+029c70b1b64731f", "g029c70b1b64731f", "é029c70b1b6473"]
    {
        assert!(text.parse::<Fingerprint>().is_err(), "{text}");
    }
}

#[test]
fn a_text_stands_for_the_same_alert_in_every_release() {
    // the published vectors of FNV-1a; another number would adopt the same alert twice after an upgrade
    for (text, fingerprint) in [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")] {
        assert_eq!(Fingerprint::of_text(text).to_string(), fingerprint);
    }
}

fn statements() -> impl Strategy<Value = Vec<Alert>> {
    let statement = (any::<bool>(), 1..5_i64).prop_map(
        |(fires, starts_at)| {
            if fires { firing(starts_at) } else { resolved(starts_at) }
        },
    );
    prop::collection::vec(statement, 1..12)
}

/// The same, some of which are in the future for some time, or for ever.
fn statements_of_any_clock() -> impl Strategy<Value = Vec<Alert>> {
    let begin = prop_oneof![1..5_i64, prop::sample::select(vec![2500, 3500, 5500, 8500, 86_400_000])];
    let statement = (any::<bool>(), begin)
        .prop_map(|(fires, starts_at)| if fires { firing(starts_at) } else { resolved(starts_at) });
    prop::collection::vec(statement, 1..12)
}

proptest! {
    #[test]
    fn any_order_and_repetition_of_the_same_statements_ends_alike(
        (told, retold) in statements().prop_flat_map(|told| {
            let repeated: Vec<Alert> = told.iter().chain(&told).cloned().collect();
            (Just(told), Just(repeated).prop_shuffle())
        })
    ) {
        prop_assert_eq!(after(&told).0.starts_at, after(&retold).0.starts_at);
        prop_assert_eq!(is_firing_soon(&told), is_firing_soon(&retold));
    }

    #[test]
    fn what_is_told_again_is_no_news_whenever_it_is(told in statements_of_any_clock(), later in 0..10_000_i64) {
        let (record, effect) = after(&told);
        let last = told.last().expect("not empty");
        let now = Timestamp::from_millis(record.last_seen_at.as_millis() + later);
        let (again, repeated) = AlertRecord::observe(Some(&record), last, now);
        if effect != Effect::Outdated {
            prop_assert!(matches!(repeated, Effect::Repeated | Effect::Outdated), "{:?}", repeated);
            prop_assert_eq!(AlertRecord { last_seen_at: record.last_seen_at, ..again }, record);
        }
    }

    #[test]
    fn nothing_in_the_future_fires_at_once_after_a_resolve(told in statements_of_any_clock(), ahead in 1..10_000_i64) {
        let (record, _) = after(&told);
        prop_assume!(record.state == AlertState::Resolved);
        let now = record.last_seen_at;
        let (next, effect) = AlertRecord::observe(Some(&record), &firing(now.as_millis() + ahead), now);
        prop_assert_eq!(effect, Effect::Refired);
        prop_assert!(!next.is_firing(now, REFIRE_DELAY) && next.is_firing(now.after(REFIRE_DELAY), REFIRE_DELAY));
        prop_assert!(next.fires_since() <= now && next.starts_at <= now);
    }

    /// Alerts that change, a clock that goes on or is set back, and another delay: what is said is always what the records
    /// say when they are read from nothing.
    #[test]
    fn signals_that_follow_changes_are_those_computed_from_nothing(
        steps in prop::collection::vec((0_usize..4, 0_i64..1_000, 0_u64..400, 0_u8..3), 1..40)
    ) {
        let (mut followed, mut records, mut said) = (AlertSignals::default(), HashMap::new(), BTreeMap::new());
        for (alert, now_s, delay_s, state) in steps {
            let (now, delay) = (Timestamp::from_millis(now_s * 1000), Duration::from_secs(delay_s));
            let (record, _) = AlertRecord::observe(None, &firing(now.as_millis()), now);
            let state = match state {
                0 => AlertState::Firing,
                1 => AlertState::Resolved,
                _ => AlertState::Refired { since: now },
            };
            let fingerprint = Fingerprint(alert as u64);
            let record = AlertRecord { fingerprint, state, ..record };
            let (id, signal) = followed.set(fingerprint, Some(&record));
            said.insert(id, signal);
            records.insert(fingerprint, record);
            said.extend(followed.advance(delay, now));
            let records: Vec<AlertRecord> = records.values().cloned().collect();
            let Signals { signals, changes_at } = signals(&records, delay, now);
            let expected: BTreeMap<_, _> = signals.into_iter().map(|signal| (signal.id, signal)).collect();
            let followed_to: BTreeMap<_, _> = said.iter().filter_map(|(id, it)| Some((*id, it.clone()?))).collect();
            prop_assert_eq!(followed_to, expected);
            prop_assert_eq!(followed.changes_at(delay), changes_at);
            let waiting = records.iter().filter(|it| matches!(it.state, AlertState::Refired { .. }) && !it.is_firing(now, delay));
            prop_assert_eq!(followed.waiting(), waiting.count());
        }
    }

    #[test]
    fn the_last_occurrence_alone_decides(told in statements()) {
        let newest = told.iter().map(|alert| alert.starts_at).max().expect("not empty");
        let resolved = told.iter().any(|alert| alert.starts_at == newest && alert.status == AlertStatus::Resolved);
        prop_assert_eq!(is_firing_soon(&told), !resolved);
    }
}
