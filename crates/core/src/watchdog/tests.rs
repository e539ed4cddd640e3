//! The switch alone, and its laws over any history of heartbeats, restarts and looks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::alert::signals;
use crate::page::{DesiredPage, desired};
use crate::status::ComponentStatus;
use crate::target::{ComponentList, ComponentName, Inventory, InventorySource, KnownTarget, Target};

const MINUTE: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_millis(1_000_000);

fn watchdog() -> Watchdog {
    Watchdog::new("Watchdog", 5 * MINUTE).expect("a watchdog")
}

fn minute(number: u32) -> Timestamp {
    START.after(number * MINUTE)
}

fn name(text: &str) -> ComponentName {
    ComponentName::try_from(text).expect("a name")
}

#[test]
fn a_watchdog_has_a_name_and_a_timeout() {
    assert_eq!(Watchdog::new(" \t", MINUTE), Err(WatchdogError::NoName));
    assert_eq!(Watchdog::new("a\nb", MINUTE), Err(WatchdogError::Character("a\nb".to_owned())));
    assert_eq!(Watchdog::new("Watchdog", Duration::ZERO), Err(WatchdogError::NoTimeout));
    assert_eq!(Watchdog::new(" Watchdog ", 5 * MINUTE), Ok(watchdog()));
}

#[test]
fn its_name_cannot_break_out_of_the_matcher() {
    let odd = Watchdog::new(r#"a"} or {b\"#, MINUTE).expect("a watchdog");
    assert_eq!(odd.matcher(), r#"alertname="a\"} or {b\\""#);
}

#[test]
fn it_is_missing_at_the_very_moment_when_the_timeout_has_passed() {
    let pulse = Pulse::default().beat(minute(10));
    let judged = |now| watchdog().judge(pulse, START, now);
    assert_eq!(judged(minute(10)), Monitoring::Heard { until: minute(15) });
    assert_eq!(judged(minute(15).before(Duration::from_millis(1))), Monitoring::Heard { until: minute(15) });
    assert_eq!(judged(minute(15)), Monitoring::Missing { since: minute(10), at: minute(15) });
}

#[test]
fn silence_while_we_were_down_says_nothing() {
    let pulse = Pulse::default().beat(minute(0));
    assert_eq!(watchdog().judge(pulse, minute(60), minute(61)), Monitoring::Heard { until: minute(65) });
    let never = Pulse::default();
    assert_eq!(
        watchdog().judge(never, minute(60), minute(65)),
        Monitoring::Missing { since: minute(60), at: minute(65) }
    );
}

#[test]
fn that_it_is_missing_outlives_a_restart_and_ends_with_a_heartbeat() {
    let missing = Pulse::default().beat(minute(0)).miss(minute(5));
    let restarted = watchdog().judge(missing, minute(60), minute(60));
    assert_eq!(restarted, Monitoring::Missing { since: minute(0), at: minute(5) });
    let back = missing.beat(minute(61));
    assert_eq!(watchdog().judge(back, minute(60), minute(61)), Monitoring::Heard { until: minute(66) });
}

#[test]
fn news_of_an_older_heartbeat_does_not_end_the_absence() {
    let missing = Pulse::default().beat(minute(0)).miss(minute(5));
    for late in [minute(0), minute(3), minute(5)] {
        assert!(watchdog().judge(missing.beat(late), START, minute(6)).is_missing(), "{late}");
    }
}

#[test]
fn a_heartbeat_that_came_while_its_absence_was_noted_counts() {
    let heard_meanwhile = Pulse::default().beat(minute(6));
    assert_eq!(heard_meanwhile.miss(minute(5)), heard_meanwhile);
}

#[test]
fn a_pulse_turns_when_the_watchdog_is_missing_and_when_it_is_received_again() {
    let heard = Pulse::default().beat(minute(1));
    let missing = heard.miss(minute(6));
    assert_eq!(heard.turned_at(missing), Some(minute(6)));
    assert_eq!(missing.turned_at(missing.beat(minute(7))), Some(minute(7)));
    assert_eq!(heard.turned_at(heard.beat(minute(2))), None);
    assert_eq!(missing.turned_at(missing.beat(minute(5))), None);
}

#[test]
fn a_clock_that_is_set_back_neither_forgets_nor_holds_up() {
    let missing = Pulse::default().beat(minute(60)).miss(minute(65)).clamped_to(minute(10));
    assert!(watchdog().judge(missing, START, minute(10)).is_missing());
    assert!(!watchdog().judge(missing.beat(minute(11)), START, minute(11)).is_missing());
    let heard = Pulse::default().beat(minute(60)).clamped_to(minute(10));
    assert_eq!(watchdog().judge(heard, START, minute(10)), Monitoring::Heard { until: minute(15) });
}

/// One component with one target; `Database` is down if `down`.
fn page(down: &[&str]) -> DesiredPage {
    let known = |component| KnownTarget {
        target: Target::new("host", ComponentList::parse(component).names).expect("a target"),
        critical: false,
    };
    let inventory = Inventory::new(InventorySource::File, ["Database", "Web"].map(known));
    let mut page = desired(&inventory, &signals(&[], MINUTE, START));
    for component in down {
        page.components.get_mut(&name(component)).expect("a component").status = ComponentStatus::PartialOutage;
    }
    page
}

#[test]
fn what_would_be_operational_is_unknown_and_what_is_broken_stays_so() {
    use ComponentStatus::{Operational, PartialOutage, Unknown};
    let named = BTreeSet::from([name("Web"), name("Mail")]);
    let statuses = |monitoring| -> BTreeMap<String, ComponentStatus> {
        let page = page(&["Database"]).apply_watchdog(monitoring, &named);
        page.components.iter().map(|(name, component)| (name.to_string(), component.status)).collect()
    };
    let of = |statuses: &[(&str, ComponentStatus)]| {
        statuses.iter().map(|(name, status)| ((*name).to_owned(), *status)).collect::<BTreeMap<_, _>>()
    };
    let seen = of(&[("Database", PartialOutage), ("Web", Operational)]);
    assert_eq!(statuses(Monitoring::Unwatched), seen);
    assert_eq!(statuses(Monitoring::Heard { until: minute(1) }), seen);
    let blind = of(&[("Database", PartialOutage), ("Mail", Unknown), ("Web", Unknown)]);
    assert_eq!(statuses(Monitoring::Missing { since: START, at: minute(5) }), blind);
}

#[test]
fn the_page_is_looked_at_again_when_the_timeout_passes() {
    let page = page(&[]).apply_watchdog(Monitoring::Heard { until: minute(3) }, &BTreeSet::new());
    assert_eq!(page.revisit_at, Some(minute(3)));
}

/// What may happen to a watchdog, a while after what happened before.
#[derive(Debug, Clone, Copy)]
enum Event {
    Heartbeat,
    Restart,
    Look,
}

fn history() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let event = prop_oneof![Just(Event::Heartbeat), Just(Event::Restart), Just(Event::Look)];
    prop::collection::vec((0..400_u64, event), 1..40)
}

proptest! {
    /// The server looks whenever something happens, as it does when a moment to revisit comes.
    #[test]
    fn it_is_missing_exactly_from_a_silence_that_was_listened_to_until_a_heartbeat(history in history()) {
        let (mut pulse, mut now, mut started) = (Pulse::default(), START, START);
        let (mut quiet_since, mut expected) = (START, false);
        for (seconds, event) in history {
            now = now.after(Duration::from_secs(seconds));
            expected |= now >= quiet_since.after(watchdog().timeout());
            if let Monitoring::Missing { at, .. } = watchdog().judge(pulse, started, now) {
                pulse = pulse.miss(at);
            }
            match event {
                Event::Heartbeat => {
                    // In the very millisecond in which it was found missing, it is too late.
                    now = now.after(Duration::from_millis(1));
                    (pulse, quiet_since, expected) = (pulse.beat(now), now, false);
                }
                Event::Restart => (started, quiet_since) = (now, now),
                Event::Look => {}
            }
            prop_assert_eq!(watchdog().judge(pulse, started, now).is_missing(), expected);
        }
    }

    #[test]
    fn order_and_repetition_of_heartbeats_do_not_matter(beats in prop::collection::vec(0..20_u32, 0..8), missed in 0..20_u32) {
        let told = |beats: &mut dyn Iterator<Item = &u32>| {
            beats.fold(Pulse::default().miss(minute(missed)), |pulse, beat| pulse.beat(minute(*beat)))
        };
        prop_assert_eq!(told(&mut beats.iter()), told(&mut beats.iter().rev()));
        prop_assert_eq!(told(&mut beats.iter()), told(&mut beats.iter().chain(&beats)));
    }
}
