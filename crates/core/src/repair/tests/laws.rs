//! The laws of the rule, over any sequence of polls and notifications.

use proptest::prelude::*;

use super::*;

/// What may happen to three alerts of four occurrences.
#[derive(Debug, Clone)]
enum Step {
    Notify(Alert),
    Poll(Vec<Member>),
    Pass(Duration),
}

fn any_alert() -> impl Strategy<Value = Alert> {
    // The last one begins in the future.
    let starts_at = prop_oneof![4 => 1..5_i64, 1 => Just(100_000_000_000)];
    (1..4_u64, starts_at).prop_map(|(number, starts_at)| alert(number, starts_at))
}

fn any_listed() -> impl Strategy<Value = ListedAlert> {
    (any_alert(), any::<bool>())
        .prop_map(|(alert, is_active)| if is_active { active(&alert) } else { suppressed(&alert) })
}

fn any_member() -> impl Strategy<Value = Member> {
    let up_for = prop::sample::select(vec![YOUNG, SETTLED]);
    (up_for, prop::collection::vec(any_listed(), 0..4)).prop_map(|(up_for, listed)| Member { up_for, listed })
}

fn any_members() -> impl Strategy<Value = Vec<Member>> {
    prop::collection::vec(any_member(), 0..4)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any_alert(), any::<bool>()).prop_map(|(alert, fires)| Step::Notify(if fires {
            alert
        } else {
            resolved(&alert)
        })),
        any_members().prop_map(Step::Poll),
        prop::sample::select(vec![1, 40, 400]).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
    ]
}

/// Any state that notifications and polls lead to.
fn any_world() -> impl Strategy<Value = World> {
    prop::collection::vec(any_step(), 0..12).prop_map(|steps| {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Notify(alert) => world.notify(&alert),
                Step::Poll(members) => drop(world.poll(&members)),
                Step::Pass(span) => world.pass(span),
            }
            world.pass(Duration::from_millis(1));
        }
        world
    })
}

fn is_listed(members: &[Member], fingerprint: Fingerprint) -> bool {
    members.iter().flat_map(|member| &member.listed).any(|listed| listed.alert.fingerprint == fingerprint)
}

proptest! {
    #[test]
    fn the_same_truth_read_again_changes_nothing_after_the_second_time(
        mut world in any_world(), members in any_members()
    ) {
        world.poll(&members);
        world.poll(&members);
        prop_assert_eq!(world.poll(&members), []);
    }

    #[test]
    fn what_any_member_lists_is_never_made_to_end(mut world in any_world(), members in any_members()) {
        let before = world.clone();
        world.poll(&members);
        for (fingerprint, record) in &before.stored {
            if is_listed(&members, *fingerprint) && record.is_firing(before.now, REFIRE_DELAY) {
                prop_assert!(world.stored[fingerprint].is_firing(world.now, REFIRE_DELAY));
            }
        }
    }

    #[test]
    fn members_that_are_young_or_unreachable_never_end_anything(
        mut world in any_world(), listed in prop::collection::vec(any_listed(), 0..4), polls in 1..5_usize
    ) {
        let before = world.clone();
        for _ in 0..polls {
            world.poll(&[young(&listed)]);
        }
        for (fingerprint, record) in &before.stored {
            if record.is_firing(before.now, REFIRE_DELAY) {
                prop_assert!(world.stored[fingerprint].is_firing(world.now, REFIRE_DELAY));
            }
        }
    }

    #[test]
    fn all_members_unreachable_change_nothing(world in any_world()) {
        let poll = Poll { began_at: world.now.after(MINUTE), members: Vec::new(), watchdog: WatchdogListing::NotConfigured };
        prop_assert_eq!(world.plan(&poll), Plan::default());
    }

    #[test]
    fn it_does_not_matter_which_member_says_it(world in any_world(), mut members in any_members()) {
        let poll = |members: Vec<Member>| Poll { began_at: world.now.after(MINUTE), members, watchdog: WatchdogListing::NotConfigured };
        let told = world.plan(&poll(members.clone()));
        members.reverse();
        prop_assert_eq!(&world.plan(&poll(members.clone())), &told);
        members.push(young(&[]));
        prop_assert_eq!(&world.plan(&poll(members.clone())), &told);
        // One settled member that lists everything says the same.
        if members.iter().any(|member| member.up_for >= CONFIG.settle) {
            let all: Vec<ListedAlert> = members.iter().flat_map(|member| &member.listed).cloned().collect();
            prop_assert_eq!(&world.plan(&poll(vec![heard(&all)])), &told);
        }
    }

    #[test]
    fn what_the_list_says_is_active_counts_as_firing_after_the_poll(mut world in any_world(), members in any_members()) {
        world.poll(&members);
        let active = members.iter().flat_map(|member| &member.listed).filter(|listed| listed.standing == Standing::Active);
        for listed in active {
            prop_assert!(world.fires(&listed.alert), "{:?}", listed.alert);
        }
    }

    #[test]
    fn a_settled_list_is_agreed_with_after_two_readings(
        mut world in any_world(), listed in prop::collection::vec(any_listed(), 0..4)
    ) {
        let members = [heard(&listed)];
        world.poll(&members);
        world.poll(&members);
        for number in 1..4 {
            let fingerprint = alert(number, 1).fingerprint;
            let newest = listed.iter().filter(|entry| entry.alert.fingerprint == fingerprint && entry.standing == Standing::Active);
            let newest = newest.map(|entry| entry.alert.starts_at).max();
            let fires = world.stored.get(&fingerprint).is_some_and(|record| record.is_firing(world.now, REFIRE_DELAY));
            match newest {
                Some(_) => prop_assert!(fires),
                None if !is_listed(&members, fingerprint) => prop_assert!(!fires),
                _ => {}
            }
        }
    }

    #[test]
    fn an_alert_that_was_heard_of_since_the_poll_began_is_left_alone(
        world in any_world(), members in any_members(), number in 1..4_u64
    ) {
        let mut world = world;
        let poll = Poll { began_at: world.now, members, watchdog: WatchdogListing::NotConfigured };
        world.notify(&alert(number, 4));
        let plan = world.plan(&poll);
        let fingerprint = alert(number, 4).fingerprint;
        prop_assert!(plan.repairs.iter().all(|repair| repair.record.fingerprint != fingerprint));
        prop_assert!(!plan.missing.contains_key(&fingerprint));
    }
}
