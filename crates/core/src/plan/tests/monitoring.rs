//! Plans while the watchdog is missing.

use super::*;

const MISSING: Monitoring = Monitoring::Missing { since: Timestamp::from_millis(5), at: Timestamp::from_millis(10) };

fn pair() -> Inventory {
    inventory(&[("a", "Web", false), ("b", "Web", false), ("c", "Database", false)])
}

#[test]
fn green_becomes_unknown_with_one_incident_and_all_is_as_the_alerts_say_afterwards() {
    let mut world = World::set_up(&pair());
    let down = [firing("a", "Web")];
    world.settle(&pair(), &down, POLICY);
    world.monitoring = MISSING;
    let made = world.settle(&pair(), &down, POLICY);
    assert_eq!(
        lines(&made),
        ["set component \"Database\" from 1 (Operational) to 5 (Unknown)", "open an incident for the monitoring"]
    );
    assert_eq!((world.status("Web"), world.status("Database")), (3, 5));
    assert_eq!(world.ledger.active(None).map(|outage| outage.occurred_at), Some(Timestamp::from_millis(5)));
    world.monitoring = Monitoring::Unwatched;
    let made = world.settle(&pair(), &down, POLICY);
    assert_eq!(made[0].to_string(), "set component \"Database\" from 5 (Unknown) to 1 (Operational)");
    assert!(matches!(made[1], Operation::CloseIncident { .. }), "{made:?}");
    assert_eq!((made.len(), world.observed.open_incidents.len()), (2, 0));
}

#[test]
fn an_outage_that_nobody_can_see_the_end_of_goes_on() {
    let mut world = World::set_up(&pair());
    world.settle(&pair(), &[firing("c", "Database")], POLICY);
    world.monitoring = MISSING;
    world.settle(&pair(), &[firing("c", "Database")], POLICY);
    assert_eq!((world.status("Database"), world.observed.open_incidents.len()), (4, 2));
    // Alertmanager resolves what a dead Prometheus no longer sends.
    world.settle(&pair(), &[], POLICY);
    assert_eq!((world.status("Database"), world.observed.open_incidents.len()), (5, 2));
    world.monitoring = Monitoring::Unwatched;
    world.settle(&pair(), &[], POLICY);
    assert_eq!((world.status("Database"), world.observed.open_incidents.len()), (1, 0));
}

#[test]
fn a_persons_word_is_neither_overwritten_by_unknown_nor_said_again() {
    let mut world = World::set_up(&pair());
    world.settle(&pair(), &[], POLICY);
    for by_hand in [ComponentStatus::UnderMaintenance, ComponentStatus::MajorOutage, ComponentStatus::PerformanceIssues]
    {
        world.component("Web").status = Some(by_hand);
        let reports = world.plan(&pair(), &[], POLICY).reports;
        assert_eq!(reports.len(), 1);
        for monitoring in [MISSING, Monitoring::Unwatched] {
            world.monitoring = monitoring;
            let plan = world.plan(&pair(), &[], POLICY);
            assert_eq!(plan.reports, reports);
            assert!(
                !plan.operations.iter().any(|operation| operation.to_string().contains("Web")),
                "{:?}",
                plan.operations
            );
        }
    }
    world.monitoring = MISSING;
    world.settle(&pair(), &[], Policy { drift: Drift::Enforce, ..POLICY });
    assert_eq!(world.status("Web"), 5);
}

#[test]
fn our_unknown_is_ours_and_a_person_may_change_it() {
    let mut world = World::set_up(&pair());
    world.monitoring = MISSING;
    world.settle(&pair(), &[], POLICY);
    assert!(world.plan(&pair(), &[], POLICY).reports.is_empty());
    world.component("Web").status = Some(ComponentStatus::Operational);
    let plan = world.plan(&pair(), &[], POLICY);
    assert_eq!((plan.operations.len(), plan.reports.len()), (0, 1));
    world.monitoring = Monitoring::Unwatched;
    world.settle(&pair(), &[], POLICY);
    assert_eq!((world.status("Web"), world.status("Database")), (1, 1));
}

#[test]
fn a_component_of_the_configuration_that_nothing_feeds_is_unknown_only_if_it_was_green() {
    for (by_hand, blind) in [(1, 5), (6, 6), (4, 4)] {
        let mut world = World::set_up(&pair());
        world.add("Unfed", true, None);
        let by_hand = ComponentStatus::from_value(by_hand).expect("a status");
        world.component("Unfed").status = Some(by_hand);
        world.monitoring = MISSING;
        world.settle(&pair(), &[], POLICY);
        assert_eq!(world.status("Unfed"), blind);
        assert_eq!(world.plan(&pair(), &[], POLICY).notes, []);
        world.monitoring = Monitoring::Unwatched;
        world.settle(&pair(), &[], POLICY);
        assert_eq!(world.component("Unfed").status, Some(by_hand));
        assert!(
            !world.ledger.rows.contains_key(&ResourceKey::Component(name("Unfed"))),
            "it is no longer ours to write"
        );
    }
}

#[test]
fn what_refuses_unknown_is_left_as_it_is_and_has_the_incident_all_the_same() {
    let policy = Policy { takes_unknown: false, ..POLICY };
    let mut world = World::set_up(&pair());
    let down = [firing("a", "Web")];
    world.settle(&pair(), &down, policy);
    world.monitoring = MISSING;
    assert_eq!(lines(&world.settle(&pair(), &down, policy)), ["open an incident for the monitoring"]);
    world.settle(&pair(), &[], policy);
    assert_eq!((world.status("Web"), world.status("Database")), (3, 1));
    world.monitoring = Monitoring::Unwatched;
    world.settle(&pair(), &[], policy);
    assert_eq!((world.status("Web"), world.status("Database")), (1, 1));
}

#[test]
fn a_relapse_of_the_monitoring_opens_the_same_incident_again() {
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let mut world = World::set_up(&pair());
    for (monitoring, verb) in [(MISSING, "open"), (Monitoring::Unwatched, "close"), (MISSING, "open")] {
        world.monitoring = monitoring;
        let made = world.settle(&pair(), &[], policy);
        let about_it =
            made.iter().filter(|operation| operation.key() == ResourceKey::Incident(OutageSubject::Monitoring));
        let about_it: Vec<String> = about_it.map(ToString::to_string).collect();
        assert!(about_it.len() == 1 && about_it[0].starts_with(verb), "{about_it:?}");
    }
    assert_eq!(world.observed.open_incidents.len(), 1);
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_plan_while_the_watchdog_comes_and_goes(
        history in prop::collection::vec((some_down(), any::<bool>()), 1..6), policy in policies(), takes_unknown: bool,
    ) {
        let inventory = inventory(&TARGETS);
        let policy = Policy { takes_unknown, ..policy };
        let mut world = World::set_up(&inventory);
        for (alerts, missing) in &history {
            world.monitoring = if *missing { MISSING } else { Monitoring::Unwatched };
            world.settle(&inventory, alerts, policy);
            let plan = world.plan(&inventory, alerts, policy);
            prop_assert_eq!(plan.operations, vec![]);
            prop_assert_eq!(plan.notes, vec![]);
            let accused = plan.reports.iter().any(|report| matches!(report, Report::ComponentDrifted { .. }));
            prop_assert!(!accused, "{:?}", plan.reports);
            let green = world.observed.components.iter().filter(|it| it.enabled);
            let green = green.filter(|it| it.status == Some(ComponentStatus::Operational)).count();
            prop_assert!(!missing || !takes_unknown || green == 0, "falsely green");
        }
    }
}
