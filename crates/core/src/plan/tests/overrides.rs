//! An override stands above the rules, opens no incident while it is better, and closes none.

use super::*;
use crate::status::ComponentStatus::{MajorOutage, Operational, PartialOutage};

const LONG: Duration = Duration::from_secs(3600);

impl World {
    fn set_override(&mut self, component: &str, status: ComponentStatus) {
        let now = Timestamp::from_millis(self.now_ms);
        self.overrides =
            vec![Override::new(name(component), status, now.after(LONG), ("ada", ""), now).expect("an override")];
    }
}

fn waits_for_the_override(plan: &Plan) -> bool {
    plan.reports.iter().any(|report| matches!(report, Report::IncidentSuppressedByOverride { .. }))
}

fn incidents(operations: &[Operation]) -> (usize, usize) {
    let of_rank = |rank| operations.iter().filter(|operation| operation.rank() == rank).count();
    (of_rank(Rank::Open), of_rank(Rank::Close))
}

#[test]
fn a_better_status_opens_no_incident_and_what_is_still_down_gets_its_own_when_it_is_over() {
    let inventory = inventory(&[("a", "Web", false)]);
    let down = [firing("a", "Web")];
    let mut world = World::set_up(&inventory);
    world.set_override("Web", Operational);
    assert_eq!(incidents(&world.settle(&inventory, &down, POLICY)), (0, 0));
    let plan = world.plan(&inventory, &down, POLICY);
    assert_eq!((world.status("Web"), waits_for_the_override(&plan)), (1, true));
    assert_eq!(plan.operations, [], "an override leaves nothing to plan");

    world.now_ms += 3_600_000;
    let plan = world.plan(&inventory, &down, POLICY);
    let opened = plan.operations.iter().find_map(|operation| match operation {
        Operation::OpenIncident { outage, .. } => Some(outage.occurred_at),
        _ => None,
    });
    assert_eq!(opened, Some(Timestamp::from_millis(1)), "it is down since its alert fires");
    assert!(!waits_for_the_override(&plan));
}

#[test]
fn an_open_incident_stays_open_while_the_rules_say_that_it_is_down() {
    let inventory = inventory(&[("a", "Web", false)]);
    let down = [firing("a", "Web")];
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &down, POLICY);
    world.set_override("Web", PartialOutage);
    assert_eq!(incidents(&world.settle(&inventory, &down, POLICY)), (0, 0));
    assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (3, 1));
    assert!(!waits_for_the_override(&world.plan(&inventory, &down, POLICY)), "it has its incident");
}

#[test]
fn an_open_incident_is_closed_when_the_outage_is_over_whatever_is_overridden() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    world.set_override("Web", PartialOutage);
    assert_eq!(incidents(&world.settle(&inventory, &[], POLICY)), (0, 1));
    assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (3, 0));
}

#[test]
fn overridden_with_major_outage_it_has_its_incident_until_the_override_is_over() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.now_ms = 5_000;
    world.set_override("Web", MajorOutage);
    assert_eq!(incidents(&world.settle(&inventory, &[], POLICY)), (1, 0));
    let occurred_at = world.outage("Web").expect("an outage").occurred_at;
    assert_eq!((world.status("Web"), occurred_at), (4, Timestamp::from_millis(5_000)));
    world.now_ms += 3_600_000;
    assert_eq!(incidents(&world.settle(&inventory, &[], POLICY)), (0, 1));
    assert_eq!(world.status("Web"), 1);
}

#[test]
fn a_closed_incident_is_not_opened_again_by_a_relapse_while_it_is_overridden_with_better() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let down = [firing("a", "Web")];
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &down, policy);
    world.settle(&inventory, &[], policy);
    world.set_override("Web", Operational);
    assert_eq!(incidents(&world.settle(&inventory, &down, policy)), (0, 0));
    world.overrides.clear();
    assert_eq!(incidents(&world.settle(&inventory, &down, policy)), (1, 0));
    assert_eq!(world.observed.open_incidents.len(), 1);
}

#[test]
fn a_component_that_nothing_feeds_is_overridden_and_goes_back_to_operational() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.add("Shop", true, None);
    world.set_override("Shop", PartialOutage);
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("Shop"), 3);
    world.overrides.clear();
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("Shop"), 1);
}

#[test]
fn an_override_is_written_over_what_a_person_chose_in_cachet_and_then_respects_it_again() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.component("Web").status = Some(PartialOutage);
    world.set_override("Web", MajorOutage);
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("Web"), 4);
    world.component("Web").status = Some(PartialOutage);
    assert_eq!(world.settle(&inventory, &[], POLICY), []);
    assert_eq!(world.status("Web"), 3);
}
