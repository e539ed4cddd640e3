//! The planner against a Cachet in memory.

mod details;
mod maintenance;
mod monitoring;
mod overrides;
mod unanswered;
mod world;

use std::time::Duration;

use proptest::prelude::*;

use self::world::World;
use super::*;
use crate::alert::{Alert, AlertRecord, AlertStatus, Fingerprint};
use crate::history::EventKind;
use crate::ledger::{CARRIED_OUT_WITHIN, Ended, EndedBy, IncidentValue, Outage, OutageSubject, outage_key};
use crate::names::{Group, GroupName};
use crate::observed::{ComponentId, GroupId, IncidentId, Maintenance, ObservedGroup, ObservedIncident};
use crate::operation::{Outcome, Rank, event_of};
use crate::overrides::Override;
use crate::page::{DESCRIPTION_LIMIT, describe, desired};
use crate::status::IncidentStatus;
use crate::status_page::REQUEST_TIMEOUT;
use crate::target::{ComponentList, Inventory, KnownTarget, Target};
use crate::watchdog::Monitoring;

const REFIRE_DELAY: Duration = Duration::from_secs(300);
const POLICY: Policy = Policy {
    close_incident_when: CloseIncidentWhen::NotMajorOutage,
    drift: Drift::Respect,
    recovery_hold: Duration::ZERO,
    reopen_within: Duration::ZERO,
    takes_unknown: true,
    inventory: InventorySource::File,
};

fn name(text: &str) -> ComponentName {
    ComponentName::try_from(text).expect("component name")
}

fn target(instance: &str, components: &str) -> Target {
    Target::new(instance, ComponentList::parse(components).names).expect("target")
}

fn inventory(targets: &[(&str, &str, bool)]) -> Inventory {
    let known = |&(instance, components, critical): &(&str, &str, bool)| KnownTarget {
        target: target(instance, components),
        critical,
    };
    Inventory::new(InventorySource::File, targets.iter().map(known))
}

fn firing(instance: &str, components: &str) -> AlertRecord {
    let target = target(instance, components);
    let sum: u64 = target.name().as_str().bytes().fold(7, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let fingerprint: Fingerprint = format!("{sum:016x}").parse().expect("fingerprint");
    let starts_at = Timestamp::from_millis(1);
    let status = AlertStatus::Firing;
    let alert =
        Alert { fingerprint, name: "Down".to_owned(), target, critical: false, status, starts_at, ends_at: None };
    AlertRecord::observe(None, &alert, starts_at).0
}

fn lines(operations: &[Operation]) -> Vec<String> {
    operations.iter().map(Operation::to_string).collect()
}

#[test]
fn a_quiet_page_needs_no_call() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Web", true)]);
    let mut world = World::set_up(&inventory);
    assert_eq!(world.settle(&inventory, &[], POLICY), []);
    assert_eq!(world.plan(&inventory, &[], POLICY), Plan::default());
}

#[test]
fn an_outage_is_written_in_the_order_in_which_the_public_sees_it() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Api", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[firing("b", "Api")], POLICY);
    let made = world.settle(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(
        lines(&made),
        [
            "set component \"Web\" from 1 (Operational) to 4 (Outage)",
            "open an incident for component \"Web\"",
            "set component \"Api\" from 4 (Outage) to 1 (Operational)",
            "close incident 5 of component \"Api\"",
            "set target component \"a | Web\" from 1 (Operational) to 4 (Outage)",
            "set target component \"b | Api\" from 4 (Outage) to 1 (Operational)",
        ]
    );
}

#[test]
fn leaving_major_outage_for_partial_closes_the_incident_unless_it_is_to_stay_until_operational() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Web", false)]);
    let both = [firing("a", "Web"), firing("b", "Web")];
    for (close_incident_when, open_after) in
        [(CloseIncidentWhen::NotMajorOutage, 0), (CloseIncidentWhen::Operational, 1)]
    {
        let policy = Policy { close_incident_when, ..POLICY };
        let mut world = World::set_up(&inventory);
        world.settle(&inventory, &both, policy);
        assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (4, 1));
        world.settle(&inventory, &both[..1], policy);
        assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (3, open_after));
        world.settle(&inventory, &[], policy);
        assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (1, 0));
    }
}

#[test]
fn a_persons_status_stays_until_our_view_changes() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    world.component("Web").status = Some(ComponentStatus::PerformanceIssues);
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(plan.operations, []);
    let report = Report::ComponentDrifted {
        component: name("Web"),
        expected: ComponentStatus::PartialOutage,
        found: Some(ComponentStatus::PerformanceIssues),
    };
    assert!(plan.reports.contains(&report));
    world.settle(&inventory, &[firing("a", "Web"), firing("b", "Web")], POLICY);
    assert_eq!(world.status("Web"), 4);
}

#[test]
fn a_persons_status_is_overwritten_where_that_is_configured() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { drift: Drift::Enforce, ..POLICY };
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], policy);
    world.component("Web").status = Some(ComponentStatus::UnderMaintenance);
    world.settle(&inventory, &[], policy);
    assert_eq!(world.status("Web"), 1);
}

#[test]
fn a_red_component_of_an_installation_that_we_never_wrote_to_is_corrected() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.component("Web").status = Some(ComponentStatus::MajorOutage);
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("Web"), 1);
}

#[test]
fn a_write_whose_answer_was_lost_is_judged_by_what_cachet_shows_and_blamed_on_nobody() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[], POLICY);
    // Major Outage was sent and arrived, the answer was lost, and the alert is over meanwhile.
    world.component("Web").status = Some(ComponentStatus::MajorOutage);
    let (key, value) =
        (ResourceKey::Component(name("Web")), ComponentValue::of_component(ComponentStatus::MajorOutage));
    let (id, now) = (world.component("Web").id, Timestamp::from_millis(world.now_ms));
    let sent = Recorded::sent(world.ledger.rows.get(&key), Some(id), value, now);
    world.ledger.record(Update::Component(key, Some(sent)));
    let made = world.settle(&inventory, &[], POLICY);
    assert_eq!(lines(&made), ["set component \"Web\" from 4 (Outage) to 1 (Operational)"]);
}

#[test]
fn an_incident_whose_answer_was_lost_is_looked_up_before_it_is_posted_again() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    let opening = |plan: &Plan| plan.operations.iter().find(|operation| operation.rank() == Rank::Open).cloned();
    let first = opening(&world.plan(&inventory, &down, POLICY)).expect("an incident");
    assert!(first.outage().expect("an outage").incident.is_none(), "nothing was sent, so nothing is looked up");
    world.send(&first);
    let plan = world.plan(&inventory, &down, POLICY);
    let until = Timestamp::from_millis(world.now_ms).after(REQUEST_TIMEOUT);
    assert_eq!((opening(&plan), plan.revisit_at), (None, Some(until)), "the request may be on its way");

    world.now_ms = until.as_millis();
    let again = opening(&world.plan(&inventory, &down, POLICY)).expect("an incident");
    let (before, after) = (first.outage().expect("an outage"), again.outage().expect("an outage"));
    assert_eq!((&before.key, after.unanswered().len()), (&after.key, 1));
    let operations = world.plan(&inventory, &[], POLICY).operations;
    assert!(operations.iter().any(|operation| matches!(operation, Operation::FindIncident { .. })), "{operations:?}");

    world.show_open(IncidentId(9), before);
    let plan = world.plan(&inventory, &down, POLICY);
    assert_eq!(opening(&plan), None, "it is there");
    let [Update::Outage(_, Some(found))] = plan.notes.as_slice() else { panic!("{:?}", plan.notes) };
    assert_eq!((found.incident_id(), found.unanswered().len()), (Some(IncidentId(9)), 0));
    let event = event_of(&world.ledger, &plan.notes[0]);
    assert!(matches!(event, Some((_, EventKind::IncidentOpened { incident: IncidentId(9), .. }))), "{event:?}");
    world.ledger.record(plan.notes[0].clone());
    assert_eq!(event_of(&world.ledger, &plan.notes[0]), None, "it was said");
}

#[test]
fn a_lost_create_is_not_kept_by_the_incident_of_the_next_outage() {
    let inventory = inventory(&[("a", "Web", false)]);
    let down = [firing("a", "Web")];
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &down, POLICY);
    let anonymous = ObservedIncident { outage: None, is_anonymous: true, ..world.observed.open_incidents[0].clone() };
    let web = world.outage("Web").expect("an outage").clone();
    let component_id = web.component_id;
    world.observed.open_incidents = vec![ObservedIncident { component_id, ..anonymous }];
    let sent = Recorded::sent(None, None, IncidentValue::Created { title: web.subject.to_string() }, web.began_at);
    let (key, ended) = (outage_key(None, web.began_at), Ended { at: web.began_at, by: EndedBy::Unopened });
    world.ledger.record(Outage { key: key.clone(), ended: Some(ended), incident: Some(sent), ..web }.into());
    let hour = Timestamp::from_millis(world.now_ms).after(CARRIED_OUT_WITHIN);
    let expired = world.ledger.expired(&world.observed, hour);
    assert!(matches!(&expired[..], [Update::Outage(of, Some(_))] if *of == key), "{expired:?}");
}

#[test]
fn what_lost_creates_open_beside_the_incident_of_an_outage_is_hidden_once_for_each() {
    let inventory = inventory(&[("a", "Web", false)]);
    let down = [firing("a", "Web")];
    for ended in [false, true] {
        let mut world = World::set_up(&inventory);
        let plan = world.plan(&inventory, &down, POLICY);
        let open = plan.operations.iter().find(|operation| operation.rank() == Rank::Open).expect("an incident");
        world.send(open);
        world.now_ms += 15_000;
        world.settle(&inventory, &down, POLICY);
        assert_eq!((world.observed.open_incidents.len(), world.unanswered()), (1, 1));
        let outage = world.outage("Web").expect("an outage").clone();
        let alerts = if ended { &down[..0] } else { &down };
        world.settle(&inventory, alerts, POLICY);

        world.show_open(IncidentId(90), &outage);
        let made = world.settle(&inventory, alerts, POLICY);
        assert_eq!(lines(&made), ["close incident 90 of component \"Web\", which was opened late"]);
        assert_eq!((world.observed.open_incidents.len(), world.unanswered()), (usize::from(!ended), 0));
        world.show_open(IncidentId(90), &outage);
        world.observed.open_incidents.iter_mut().filter(|open| open.id.0 == 90).for_each(|open| open.is_hidden = true);
        assert_eq!(world.settle(&inventory, alerts, POLICY), [], "a person opened it");
    }
}

#[test]
fn an_incident_that_a_person_closed_stays_closed_for_that_outage() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, POLICY);
    world.observed.open_incidents.clear();
    assert_eq!(world.settle(&inventory, &down, POLICY), []);
    let reports = world.plan(&inventory, &down, POLICY).reports;
    assert!(matches!(reports.first(), Some(Report::IncidentClosedByPerson { .. })), "{reports:?}");
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.ledger.outages.len(), 0);
    world.settle(&inventory, &down, POLICY);
    assert_eq!(world.observed.open_incidents.len(), 1);
}

#[test]
fn an_incident_that_only_seemed_closed_is_looked_at_before_it_is_given_up() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    world.observed.open_incidents.clear();
    let operations = world.plan(&inventory, &[], POLICY).operations;
    let closing = operations.iter().find(|operation| operation.rank() == Rank::Close);
    assert!(matches!(closing, Some(Operation::CloseIncident { late: None, .. })), "{operations:?}");
}

#[test]
fn a_relapse_soon_after_continues_the_same_incident_and_a_later_one_has_its_own() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, policy);
    let first = world.observed.open_incidents[0].id;
    world.settle(&inventory, &[], policy);
    assert_eq!(world.observed.open_incidents, []);
    let forgotten_at = world.plan(&inventory, &[], policy).revisit_at.expect("a moment");
    world.settle(&inventory, &down, policy);
    assert_eq!(world.observed.open_incidents[0].id, first);
    world.settle(&inventory, &[], policy);
    world.now_ms += 601_000;
    world.settle(&inventory, &down, policy);
    assert_ne!(world.observed.open_incidents[0].id, first);
    assert!(forgotten_at > Timestamp::from_millis(600_000));
}

#[test]
fn a_relapse_of_a_component_that_was_removed_does_not_open_its_incident_again() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, policy);
    world.settle(&inventory, &[], policy);
    let web = world.component("Web").clone();
    world.observed.components.retain(|component| component.name != "Web");
    world.settle(&inventory, &down, policy);
    assert_eq!(world.observed.open_incidents, []);
    world.observed.components.push(web);
    world.settle(&inventory, &down, policy);
    assert_eq!(world.observed.open_incidents.len(), 1, "it is there again");
}

#[test]
fn an_outage_ends_only_after_the_component_was_calm_for_long_enough() {
    let inventory = inventory(&[("a", "Web", false)]);
    let policy = Policy { recovery_hold: Duration::from_secs(60), ..POLICY };
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, policy);
    world.settle(&inventory, &[], policy);
    assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (1, 1));
    world.now_ms += 30_000;
    world.settle(&inventory, &down, policy);
    world.now_ms += 45_000;
    world.settle(&inventory, &[], policy);
    assert_eq!(world.observed.open_incidents.len(), 1, "a relapse starts the wait anew");
    let over_at = world.plan(&inventory, &[], policy).revisit_at.expect("a moment");
    world.now_ms = over_at.as_millis() - 2001;
    world.settle(&inventory, &[], policy);
    assert_eq!(world.observed.open_incidents.len(), 1);
    world.settle(&inventory, &[], policy);
    assert_eq!(world.observed.open_incidents.len(), 0);
}

#[test]
fn a_missing_component_is_reported_and_the_others_go_on() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Api", false)]);
    let mut world = World::set_up(&inventory);
    world.observed.components.retain(|component| component.name != "Web");
    let plan = world.plan(&inventory, &[firing("a", "Web"), firing("b", "Api")], POLICY);
    assert!(plan.reports.contains(&Report::ComponentMissing { component: name("Web") }));
    assert_eq!(lines(&plan.operations)[0], "set component \"Api\" from 1 (Operational) to 4 (Outage)");
    world.add("Web", true, None);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(world.status("Web"), 4);
}

#[test]
fn of_two_components_with_one_name_that_in_the_configured_group_is_used() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let name = GroupName::try_from("Europe").expect("a group name");
    world.groups = vec![Group { name, components: vec![self::name("Web")] }];
    for (id, name) in [(1, "America"), (2, "Europe")] {
        world.observed.groups.push(ObservedGroup {
            id: GroupId(id),
            name: name.to_owned(),
            visible: true,
            managed: false,
        });
    }
    world.component("Web").group = Some(GroupId(1));
    world.add("Web", true, None);
    world.observed.components.last_mut().expect("added").group = Some(GroupId(2));
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    let [Operation::Write { page_id: Some(ComponentId(3)), .. }, ..] = plan.operations[..] else { panic!("{plan:?}") };
    let ids = vec![ComponentId(3), ComponentId(2)];
    assert!(
        plan.reports.contains(&Report::NameTaken { name: "Web".to_owned(), ids }),
        "the one that is used stands first"
    );
    assert!(!plan.operations.iter().any(|it| matches!(it, Operation::Write { page_id: Some(ComponentId(2)), .. })));
}

#[test]
fn a_component_that_is_not_used_any_more_is_left_green() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    let name = GroupName::try_from("Europe").expect("a group name");
    world.groups = vec![Group { name, components: vec![self::name("Web")] }];
    world.observed.groups.push(ObservedGroup {
        id: GroupId(9),
        name: "Europe".to_owned(),
        visible: true,
        managed: false,
    });
    world.add("Web", true, None);
    world.observed.components.last_mut().expect("added").group = Some(GroupId(9));
    for (alerts, expected) in [(&[firing("a", "Web")][..], [4, 1]), (&[], [1, 1]), (&[firing("a", "Web")], [1, 4])] {
        world.settle(&inventory, alerts, POLICY);
        let visible = world.observed.components.iter().filter(|component| component.enabled);
        let statuses: Vec<u8> = visible.map(|it| it.status.expect("known").value()).collect();
        assert_eq!(statuses, expected, "it is left when the outage is over");
    }
}

#[test]
fn a_target_component_is_found_whatever_the_order_of_its_components() {
    let (before, after) = (inventory(&[("a", "Web, Api", false)]), inventory(&[("a", "Api, Web", false)]));
    let mut world = World::set_up(&before);
    world.settle(&before, &[firing("a", "Web, Api")], POLICY);
    let plan = world.plan(&after, &[firing("a", "Api, Web")], POLICY);
    assert_eq!((plan.operations, plan.reports), (Vec::new(), BTreeSet::new()), "there is nothing to do");
    let plan = world.plan(&after, &[], POLICY);
    let found = world.component("a | Web, Api").id;
    let is_its = |it: &&Operation| matches!(it, Operation::Write { key: ResourceKey::Target(_), page_id, .. } if *page_id == Some(found));
    assert_eq!(plan.operations.iter().filter(is_its).count(), 1, "{plan:?}");
}

#[test]
fn of_two_components_with_one_name_the_lowest_number_is_used_and_both_are_reported() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.add("Web", true, None);
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    let ids = vec![ComponentId(2), ComponentId(3)];
    assert!(plan.reports.contains(&Report::NameTaken { name: "Web".to_owned(), ids }));
    assert!(matches!(plan.operations[0], Operation::Write { page_id: Some(ComponentId(2)), .. }));
}

#[test]
fn a_target_that_only_alerts_know_gets_a_component_and_is_green_again_when_they_end() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    let made = world.settle(&inventory, &[firing("x", "Web")], POLICY);
    assert_eq!(lines(&made).last().expect("changes"), "make target component \"x | Web\" as 4 (Outage)");
    world.settle(&inventory, &[], POLICY);
    assert_eq!(world.status("x | Web"), 1);
    assert!(!world.component("x | Web").enabled);
    let plan = world.plan(&inventory, &[], POLICY);
    assert_eq!(plan.operations, []);
    let targets = vec![target("x", "Web").name()];
    assert_eq!(plan.reports, BTreeSet::from([Report::Leftovers { targets }]));
}

#[test]
fn a_component_that_nothing_feeds_any_more_is_brought_to_operational_and_then_left_alone() {
    let before = inventory(&[("a", "Web", false), ("b", "Api", false)]);
    let after = inventory(&[("b", "Api", false)]);
    let mut world = World::set_up(&before);
    world.settle(&before, &[firing("a", "Web")], POLICY);
    world.settle(&after, &[], POLICY);
    assert_eq!((world.status("Web"), world.status("a | Web")), (1, 1));
    assert!(world.observed.open_incidents.is_empty());
    world.component("Web").status = Some(ComponentStatus::UnderMaintenance);
    let policy = Policy { drift: Drift::Enforce, ..POLICY };
    assert_eq!(world.plan(&after, &[], policy).operations, []);
}

#[test]
fn a_hidden_component_stays_hidden() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.component("Web").enabled = false;
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    assert!(matches!(plan.operations[0], Operation::Write { enabled: false, .. }));
}

#[test]
fn a_target_component_that_guests_could_see_is_hidden_when_it_is_first_met() {
    let inventory = inventory(&[("a", "Web", false)]);
    let mut world = World::set_up(&inventory);
    world.component("a | Web").enabled = true;
    world.settle(&inventory, &[], POLICY);
    assert!(!world.component("a | Web").enabled);
}

#[test]
fn a_target_whose_name_cachet_does_not_take_still_counts() {
    let long = "x".repeat(DESCRIPTION_LIMIT);
    let inventory = inventory(&[(long.as_str(), "Web", false)]);
    let mut world = World::default();
    world.add("Web", true, None);
    world.settle(&inventory, &[firing(&long, "Web")], POLICY);
    assert_eq!(world.status("Web"), 4);
    assert_eq!(world.observed.components.len(), 1);
}

const TARGETS: [(&str, &str, bool); 5] = [
    ("a", "Web", false),
    ("b", "Web, Api", false),
    ("c", "Api", true),
    ("d", "Database", false),
    ("e", "Database, Web", true),
];

/// Which of the targets, and of two that the inventory does not name, are down.
fn some_down() -> impl Strategy<Value = Vec<AlertRecord>> {
    let strangers = [("x", "Web"), ("y", "Mail")];
    let all: Vec<(&str, &str)> =
        TARGETS.iter().map(|(instance, components, _)| (*instance, *components)).chain(strangers).collect();
    prop::sample::subsequence(all, 0..=7)
        .prop_map(|down| down.iter().map(|(instance, components)| firing(instance, components)).collect())
}

fn policies() -> impl Strategy<Value = Policy> {
    let close = prop_oneof![Just(CloseIncidentWhen::NotMajorOutage), Just(CloseIncidentWhen::Operational)];
    let drift = prop_oneof![Just(Drift::Respect), Just(Drift::Enforce)];
    let spans = [0, 2, 600].map(Duration::from_secs);
    let spans = (prop::sample::select(spans.to_vec()), prop::sample::select(spans.to_vec()));
    (close, drift, spans).prop_map(|(close_incident_when, drift, (recovery_hold, reopen_within))| Policy {
        close_incident_when,
        drift,
        recovery_hold,
        reopen_within,
        ..POLICY
    })
}

proptest! {
    #[test]
    fn applying_a_plan_leaves_nothing_to_plan(
        history in prop::collection::vec(some_down(), 1..6), policy in policies(),
    ) {
        let inventory = inventory(&TARGETS);
        let mut world = World::set_up(&inventory);
        for alerts in &history {
            world.settle(&inventory, alerts, policy);
            let plan = world.plan(&inventory, alerts, policy);
            prop_assert_eq!(plan.operations, vec![]);
            prop_assert_eq!(plan.notes, vec![]);
        }
    }

    #[test]
    fn the_page_depends_on_the_alerts_and_not_on_the_way_to_them(
        history in prop::collection::vec(some_down(), 0..5), alerts in some_down(),
    ) {
        let inventory = inventory(&TARGETS);
        let mut direct = World::set_up(&inventory);
        direct.settle(&inventory, &alerts, POLICY);
        let mut detour = World::set_up(&inventory);
        for earlier in &history {
            detour.settle(&inventory, earlier, POLICY);
        }
        detour.settle(&inventory, &alerts, POLICY);
        for component in ["Web", "Api", "Database"] {
            prop_assert_eq!(direct.status(component), detour.status(component));
        }
        prop_assert_eq!(direct.observed.open_incidents.len(), detour.observed.open_incidents.len());
    }

    #[test]
    fn the_public_sees_the_worst_first(history in prop::collection::vec(some_down(), 1..5)) {
        let inventory = inventory(&TARGETS);
        let mut world = World::set_up(&inventory);
        for alerts in &history {
            world.now_ms += 1000;
            let plan = world.plan(&inventory, alerts, POLICY);
            prop_assert!(plan.operations.is_sorted_by_key(Operation::rank));
            world.settle(&inventory, alerts, POLICY);
        }
    }
}
