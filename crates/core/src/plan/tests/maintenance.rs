//! Maintenance in progress suppresses incidents, and nothing else.

use super::*;

/// An end that no test reaches: suppressed until somebody ends it.
const OPEN_END: Option<i64> = None;

impl World {
    /// Maintenance of the component begins.
    fn maintain(&mut self, component: &str, ends_if_utc_ms: Option<i64>) {
        let components = vec![self.component(component).id];
        self.observed.maintenance = vec![Maintenance { name: "New switch".to_owned(), components, ends_if_utc_ms }];
    }
}

fn suppressed(plan: &Plan) -> bool {
    let report = Report::IncidentSuppressed { component: name("Web"), maintenance: "New switch".to_owned() };
    plan.reports.contains(&report)
}

fn opened(operations: &[Operation]) -> usize {
    operations.iter().filter(|operation| operation.rank() == Rank::Open).count()
}

#[test]
fn during_maintenance_the_status_is_written_and_the_incident_is_opened_when_it_is_over() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Api", false)]);
    let down = [firing("a", "Web"), firing("b", "Api")];
    let mut world = World::set_up(&inventory);
    world.maintain("Web", OPEN_END);
    let made = world.settle(&inventory, &down, POLICY);
    assert_eq!((world.status("Web"), world.status("Api"), opened(&made)), (4, 4, 1), "others have theirs");
    let plan = world.plan(&inventory, &down, POLICY);
    assert_eq!((plan.operations.as_slice(), suppressed(&plan), plan.revisit_at), (&[][..], true, None));

    world.observed.maintenance.clear();
    let plan = world.plan(&inventory, &down, POLICY);
    let [Operation::OpenIncident { outage, .. }] = plan.operations.as_slice() else {
        panic!("{:?}", plan.operations);
    };
    assert_eq!(outage.occurred_at, Timestamp::from_millis(1), "it is down since its alert fires");
    assert!(!suppressed(&plan));
}

#[test]
fn what_recovers_before_the_maintenance_is_over_has_no_incident() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.maintain("Web", OPEN_END);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    world.settle(&inventory, &[], POLICY);
    world.observed.maintenance.clear();
    assert_eq!(world.settle(&inventory, &[], POLICY), []);
    assert_eq!((world.status("Web"), world.ledger.outages.len()), (1, 0));
}

#[test]
fn the_plan_is_made_again_when_the_maintenance_may_be_over() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.now_ms = 60_000;
    world.maintain("Web", Some(7_200_000));
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(plan.revisit_at, Some(Timestamp::from_millis(901_000)));
    assert_eq!(world.plan(&inventory, &[], POLICY).revisit_at, None, "nothing waits for it");
}

#[test]
fn an_incident_that_was_open_when_maintenance_began_stays_and_is_closed_as_ever() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, POLICY);
    world.maintain("Web", OPEN_END);
    let plan = world.plan(&inventory, &down, POLICY);
    assert_eq!((plan.operations.as_slice(), suppressed(&plan)), (&[][..], false));
    let made = world.settle(&inventory, &[], POLICY);
    assert!(made.iter().any(|operation| operation.rank() == Rank::Close), "{made:?}");
    assert_eq!(world.observed.open_incidents, []);
}

#[test]
fn a_relapse_during_maintenance_reopens_nothing_and_after_it_within_the_window_the_same_incident() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let down = [firing("a", "Web")];
    for (over_after_ms, same) in [(60_000, true), (700_000, false)] {
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &down, policy);
        let first = world.observed.open_incidents[0].id;
        world.settle(&inventory, &[], policy);
        world.maintain("Web", OPEN_END);
        let plan = world.plan(&inventory, &down, policy);
        assert!(suppressed(&plan) && opened(&plan.operations) == 0, "{plan:?}");
        assert!(plan.revisit_at.is_some(), "to forget the incident when a relapse no longer counts");
        world.now_ms += over_after_ms;
        world.settle(&inventory, &down, policy);
        assert_eq!(world.observed.open_incidents, []);
        world.observed.maintenance.clear();
        world.settle(&inventory, &down, policy);
        assert_eq!(world.observed.open_incidents.len(), 1);
        assert_eq!(world.observed.open_incidents[0].id == first, same, "over after {over_after_ms} ms");
    }
}

#[test]
fn an_incident_whose_answer_was_lost_is_not_posted_during_maintenance_but_taken_over_if_it_is_there() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, POLICY);
    let incident = world.observed.open_incidents[0].id;
    world.maintain("Web", OPEN_END);
    let title = "component \"Web\"".to_owned();
    for (page_id, value) in [(None, IncidentValue::Created { title }), (Some(incident), IncidentValue::Reopened)] {
        let lost = Outage {
            incident: Some(Recorded::sent(None, page_id, value, Timestamp::from_millis(world.now_ms))),
            ..world.outage("Web").expect("an outage").clone()
        };
        world.ledger.record(lost.clone().into());
        let plan = world.plan(&inventory, &down, POLICY);
        let goes_on = opened(&plan.operations) + plan.notes.len();
        assert_eq!((goes_on, suppressed(&plan)), (1, false), "{lost:?}, it is there");
        let shown = std::mem::take(&mut world.observed.open_incidents);
        let plan = world.plan(&inventory, &down, POLICY);
        assert_eq!((opened(&plan.operations), suppressed(&plan)), (0, true), "{lost:?}, it is not there");
        world.observed.open_incidents = shown;
    }
}

#[test]
fn maintenance_does_not_touch_what_a_person_decided() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, POLICY);
    world.observed.open_incidents.clear();
    world.component("Web").status = Some(ComponentStatus::PerformanceIssues);
    world.settle(&inventory, &down, POLICY);
    world.maintain("Web", OPEN_END);
    assert_eq!(world.settle(&inventory, &down, POLICY), []);
    world.observed.maintenance.clear();
    assert_eq!(world.settle(&inventory, &down, POLICY), [], "a person closed the incident of this outage");
}
