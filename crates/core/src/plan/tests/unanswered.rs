//! Writes that Cachet carries out long after we gave up on them.

use super::*;
use crate::ledger::CARRIED_OUT_WITHIN;
use ComponentStatus::{MajorOutage, Operational, PartialOutage, PerformanceIssues, Unknown};

const WEB: [(&str, &str, bool); 2] = [("a", "Web", false), ("b", "Web", false)];
const REOPENING: Policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };

fn both_down() -> [AlertRecord; 2] {
    [firing("a", "Web"), firing("b", "Web")]
}

impl World {
    /// A value was sent to a component, and no answer came.
    fn lose(&mut self, id: ComponentId, value: ComponentValue) {
        let sent_at = Timestamp::from_millis(self.now_ms);
        let mut rows = self.ledger.rows.values_mut();
        let row = rows.find(|row| row.page_id == Some(id)).expect("it was written before");
        row.unanswered.push(Unanswered { value, sent_at });
    }

    fn lose_status(&mut self, component: &str, status: ComponentStatus) {
        let id = self.component(component).id;
        self.lose(id, ComponentValue::of_component(status));
    }

    fn lose_incident(&mut self, value: IncidentValue) {
        let sent_at = Timestamp::from_millis(self.now_ms);
        let outage = self.ledger.outages.values_mut().next().expect("an outage");
        outage.incident.as_mut().expect("an incident").unanswered.push(Unanswered { value, sent_at });
    }

    fn reads_and_forgets(&mut self) {
        let expired = self.ledger.expired(&self.observed, Timestamp::from_millis(self.now_ms));
        expired.into_iter().for_each(|update| self.ledger.record(update));
    }
}

#[test]
fn a_status_that_is_carried_out_late_is_overwritten_and_nobody_is_accused() {
    let inventory = inventory(&WEB);
    for (policy, alerts, late, expected) in [
        (POLICY, vec![], MajorOutage, Operational),
        (POLICY, both_down().to_vec(), Operational, MajorOutage),
        (POLICY, vec![firing("a", "Web")], MajorOutage, PartialOutage),
        (Policy { drift: Drift::Enforce, ..POLICY }, vec![], MajorOutage, Operational),
    ] {
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &alerts, policy);
        world.lose_status("Web", late);
        assert_eq!(world.plan(&inventory, &alerts, policy).operations, [], "it has not come yet");
        world.component("Web").status = Some(late);
        let plan = world.plan(&inventory, &alerts, policy);
        assert_eq!(lines(&plan.operations), [format!("set component \"Web\" from {late} to {expected}")]);
        let Operation::Write { late: Some(undone), .. } = &plan.operations[0] else { panic!("{:?}", plan.operations) };
        assert_eq!((undone.value.status, plan.reports.len()), (late, 0));
        world.settle(&inventory, &alerts, policy);
        assert_eq!((world.component("Web").status, world.unanswered()), (Some(expected), 0));
    }
}

#[test]
fn a_person_who_wants_the_same_is_overwritten_once_for_each_write_and_no_more() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    world.lose_status("Web", MajorOutage);
    for _ in 0..2 {
        world.component("Web").status = Some(MajorOutage);
        world.settle(&inventory, &[], POLICY);
        assert_eq!(world.component("Web").status, Some(Operational));
    }
    world.component("Web").status = Some(MajorOutage);
    let plan = world.plan(&inventory, &[], POLICY);
    assert_eq!(plan.operations, []);
    assert!(matches!(plan.reports.first(), Some(Report::ComponentDrifted { .. })), "{:?}", plan.reports);
}

#[test]
fn a_person_who_wants_something_else_is_respected_and_so_is_one_on_another_component() {
    let inventory = inventory(&[("a", "Web", false), ("c", "Api", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    world.component("Web").status = Some(PerformanceIssues);
    world.component("Api").status = Some(MajorOutage);
    let plan = world.plan(&inventory, &[], POLICY);
    assert_eq!((plan.operations, plan.reports.len(), plan.notes), (vec![], 2, vec![]));
}

#[test]
fn several_writes_of_different_values_are_each_undone_in_whatever_order_they_come() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    world.lose_status("Web", PartialOutage);
    for late in [PartialOutage, MajorOutage] {
        world.component("Web").status = Some(late);
        assert_eq!(world.settle(&inventory, &[], POLICY).len(), 1);
        assert_eq!(world.component("Web").status, Some(Operational));
    }
    assert_eq!(world.unanswered(), 0);
}

#[test]
fn news_that_comes_with_it_is_written_like_any_other() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    world.component("Web").status = Some(MajorOutage);
    let operations = world.plan(&inventory, &[firing("a", "Web")], POLICY).operations;
    assert_eq!(operations[0].to_string(), "set component \"Web\" from 4 (Outage) to 3 (Partial Outage)");
    assert!(matches!(operations[0], Operation::Write { late: None, .. }), "the alerts are the reason");
    let plan = world.plan(&inventory, &both_down(), POLICY);
    assert!(
        !plan.operations.iter().any(|operation| operation.to_string().starts_with("set component")),
        "{:?}",
        plan.operations
    );
}

#[test]
fn a_write_that_is_found_to_have_arrived_is_not_expected_any_more() {
    let inventory = inventory(&WEB);
    for alerts in [vec![], vec![firing("a", "Web")], both_down().to_vec()] {
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &[], POLICY);
        let id = world.component("Web").id;
        let (key, value) = (ResourceKey::Component(name("Web")), ComponentValue::of_component(MajorOutage));
        let now = Timestamp::from_millis(world.now_ms);
        let sent = Recorded::sent(world.ledger.rows.get(&key), Some(id), value, now);
        world.ledger.record(Update::Component(key, Some(sent)));
        world.component("Web").status = Some(MajorOutage);
        world.settle(&inventory, &alerts, POLICY);
        assert_eq!(world.unanswered(), 0);
    }
}

#[test]
fn a_write_that_is_repeated_before_it_was_answered_is_still_expected() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    world.settle(&inventory, &both_down(), POLICY);
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.unanswered(), 1);
    world.component("Web").status = Some(MajorOutage);
    world.settle(&inventory, &[], POLICY);
    assert_eq!((world.status("Web"), world.unanswered()), (1, 0));
}

#[test]
fn it_is_forgotten_when_cachet_is_read_after_its_time_and_does_not_show_it() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    let over_at = world.now_ms + i64::try_from(CARRIED_OUT_WITHIN.as_millis()).expect("an hour");
    world.now_ms = over_at - 1;
    world.reads_and_forgets();
    assert_eq!(world.unanswered(), 1);
    world.now_ms = over_at;
    // Cachet was away all the while, and is read for the first time.
    world.component("Web").status = Some(MajorOutage);
    world.reads_and_forgets();
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("Web"), 1);
    world.lose_status("Web", MajorOutage);
    world.now_ms += over_at;
    world.reads_and_forgets();
    assert_eq!(world.unanswered(), 0);
}

#[test]
fn a_component_that_was_made_anew_is_another_one() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    world.lose_status("Web", MajorOutage);
    let id = ComponentId(world.id());
    world.component("Web").id = id;
    world.settle(&inventory, &[], POLICY);
    world.component("Web").status = Some(MajorOutage);
    let plan = world.plan(&inventory, &[], POLICY);
    assert_eq!((plan.operations, plan.reports.len()), (vec![], 1));
}

#[test]
fn what_nothing_feeds_any_more_is_kept_in_mind_until_nothing_can_come() {
    let before = inventory(&[("a", "Web", false), ("c", "Api", false)]);
    let after = inventory(&[("c", "Api", false)]);
    let mut world = World::set_up(&before);
    let down = [firing("a", "Web")];
    world.settle(&before, &down, POLICY);
    let target = world.component("a | Web").clone();
    let (id, status) = (target.id, MajorOutage);
    world.settle(&after, &down[..0], POLICY);
    assert_eq!(world.ledger.rows.len(), 2);

    let mut world = World::set_up(&before);
    world.settle(&before, &down, POLICY);
    world.lose_status("Web", MajorOutage);
    world.lose(id, ComponentValue { status, description: target.description.clone() });
    world.settle(&after, &[], POLICY);
    world.component("Web").status = Some(MajorOutage);
    *world.component("a | Web") = target;
    world.settle(&after, &[], POLICY);
    assert_eq!((world.status("Web"), world.status("a | Web"), world.unanswered()), (1, 1, 0));
    let plan = world.plan(&after, &[], POLICY);
    assert_eq!((plan.operations, plan.notes), (vec![], vec![]));
    assert_eq!(world.ledger.rows.len(), 2);
}

#[test]
fn a_targets_component_is_known_by_its_status_and_description() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    let quiet = world.component("a | Web").clone();
    let description = Some(describe(false, ["Down"]));
    world.lose(quiet.id, ComponentValue { status: MajorOutage, description: description.clone() });
    world.component("a | Web").status = Some(MajorOutage);
    assert_eq!(world.plan(&inventory, &[], POLICY).operations, [], "a person, who wrote no description");
    world.component("a | Web").description = description;
    let made = world.settle(&inventory, &[], POLICY);
    assert_eq!(lines(&made), ["set target component \"a | Web\" from 4 (Outage) to 1 (Operational)"]);
    assert_eq!((world.component("a | Web").clone(), world.unanswered()), (quiet, 0));
}

#[test]
fn unknown_is_written_again_and_where_it_is_not_taken_what_was_shown() {
    let inventory = inventory(&WEB);
    let missing = Monitoring::Missing { since: Timestamp::from_millis(5), at: Timestamp::from_millis(10) };
    for (policy, before, expected) in [
        (POLICY, missing, Unknown),
        // The watchdog goes missing at the same time.
        (POLICY, Monitoring::Unwatched, Unknown),
        (Policy { takes_unknown: false, ..POLICY }, missing, Operational),
    ] {
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &[], policy);
        world.monitoring = before;
        world.settle(&inventory, &[], policy);
        world.lose_status("Web", MajorOutage);
        world.component("Web").status = Some(MajorOutage);
        world.monitoring = missing;
        let reports = world.plan(&inventory, &[], policy).reports;
        world.settle(&inventory, &[], policy);
        assert_eq!((world.component("Web").status, reports.len()), (Some(expected), 0));
    }
}

#[test]
fn a_closing_that_is_carried_out_after_a_relapse_is_undone_and_nobody_is_accused() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    for alerts in [&both_down()[..], &[], &both_down()] {
        world.settle(&inventory, alerts, REOPENING);
    }
    world.lose_incident(IncidentValue::Fixed);
    let open = std::mem::take(&mut world.observed.open_incidents);
    let plan = world.plan(&inventory, &both_down(), REOPENING);
    assert_eq!(
        (lines(&plan.operations), plan.reports.len()),
        (vec!["open incident 4 of component \"Web\" again".to_owned()], 0)
    );
    assert!(matches!(plan.operations[0], Operation::ReopenIncident { late: Some(_), .. }), "{:?}", plan.operations);
    world.settle(&inventory, &both_down(), REOPENING);
    assert_eq!((world.observed.open_incidents.len(), world.unanswered()), (1, 0));
    assert_eq!(world.observed.open_incidents[0].id, open[0].id);

    // Once and no more.
    world.observed.open_incidents.clear();
    let reports = world.plan(&inventory, &both_down(), REOPENING).reports;
    assert!(matches!(reports.first(), Some(Report::IncidentClosedByPerson { .. })), "{reports:?}");
}

#[test]
fn a_closing_that_comes_late_when_the_outage_is_over_is_no_persons_either() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    for alerts in [&both_down()[..], &[], &both_down()] {
        world.settle(&inventory, alerts, REOPENING);
    }
    world.lose_incident(IncidentValue::Fixed);
    world.observed.open_incidents.clear();
    let operations = world.plan(&inventory, &[], REOPENING).operations;
    let closing = operations.iter().find(|operation| operation.rank() == Rank::Close);
    assert!(matches!(closing, Some(Operation::CloseIncident { late: Some(_), .. })), "{operations:?}");
}

#[test]
fn what_is_opened_again_after_the_outage_is_closed() {
    let inventory = inventory(&WEB);
    for policy in [REOPENING, POLICY] {
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &both_down(), policy);
        world.lose_incident(IncidentValue::Reopened);
        let open = world.observed.open_incidents.clone();
        world.settle(&inventory, &[], policy);
        assert_eq!(world.ledger.outages.len(), 1);
        world.observed.open_incidents = open;
        let made = world.settle(&inventory, &[], policy);
        assert_eq!(lines(&made), ["close incident 4 of component \"Web\", which was opened late"]);
        assert_eq!((world.observed.open_incidents.len(), world.unanswered()), (0, 0));
    }
}

proptest! {
    #[test]
    fn whatever_comes_late_in_whatever_order_the_page_is_as_the_alerts_say(
        history in prop::collection::vec((some_down(), prop::sample::select(ComponentStatus::ALL.to_vec())), 1..5),
        order in any::<u64>(), alerts in some_down(), policy in policies(),
    ) {
        let inventory = inventory(&TARGETS);
        let mut world = World::set_up(&inventory);
        for (earlier, lost) in &history {
            world.settle(&inventory, earlier, policy);
            world.lose_status("Web", *lost);
        }
        world.settle(&inventory, &alerts, policy);
        let wanted = world.status("Web");
        let mut late: Vec<ComponentStatus> = history.iter().map(|(_, lost)| *lost).collect();
        let turn = usize::try_from(order).unwrap_or_default() % late.len();
        late.rotate_left(turn);
        for status in late {
            world.component("Web").status = Some(status);
            let reports = world.plan(&inventory, &alerts, policy).reports;
            let accused = reports.iter().any(|report| matches!(report, Report::ComponentDrifted { .. }));
            prop_assert!(!accused);
            world.settle(&inventory, &alerts, policy);
            prop_assert_eq!(world.status("Web"), wanted);
            let plan = world.plan(&inventory, &alerts, policy);
            prop_assert_eq!((plan.operations, plan.notes), (vec![], vec![]));
        }
    }
}

/// A proxy may send an answered create twice. Who opens a hidden incident again wants it open.
#[test]
fn a_second_incident_with_the_key_of_an_outage_is_hidden_though_no_create_is_expected_and_left_alone_once_it_is() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &both_down(), POLICY);
    let id = IncidentId(world.id());
    let twice = ObservedIncident { id, ..world.observed.open_incidents[0].clone() };
    world.observed.open_incidents.push(twice.clone());
    let operations = world.plan(&inventory, &both_down(), POLICY).operations;
    assert!(matches!(operations[..], [Operation::HideDuplicate { incident, .. }] if incident == id), "{operations:?}");
    world.observed.open_incidents[1] = ObservedIncident { is_hidden: true, ..twice.clone() };
    assert_eq!(world.plan(&inventory, &both_down(), POLICY).operations, []);
    let anonymous = ObservedIncident { outage: None, component: None, is_anonymous: true, ..twice };
    world.observed.open_incidents[1] = anonymous;
    assert_eq!(world.plan(&inventory, &both_down(), POLICY).operations, [], "by its title alone it may be a person's");
}
