//! What a plan holds beside the writes that bring a page to what it must show.

use super::*;

const WEB: [(&str, &str, bool); 1] = [("a", "Web", false)];

/// A page of one component in an outage, and its outage.
fn outage(policy: Policy) -> (World, Inventory, [AlertRecord; 1]) {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web")];
    world.settle(&inventory, &down, policy);
    (world, inventory, down)
}

fn incident(world: &World) -> Option<IncidentId> {
    world.outage("Web")?.incident_id()
}

#[test]
fn a_relapse_continues_the_incident_until_the_time_for_that_is_over_and_then_begins_its_own_at_once() {
    let policy = Policy { reopen_within: Duration::from_secs(600), ..POLICY };
    let (mut world, inventory, down) = outage(policy);
    world.settle(&inventory, &[], policy);
    let forgotten_at = world.plan(&inventory, &[], policy).revisit_at.expect("a moment").as_millis();

    world.now_ms = forgotten_at - 1;
    let operations = world.plan(&inventory, &down, policy).operations;
    assert!(operations.iter().any(|operation| matches!(operation, Operation::ReopenIncident { .. })), "{operations:?}");

    world.now_ms = forgotten_at;
    let plan = world.plan(&inventory, &down, policy);
    assert!(matches!(plan.notes.as_slice(), [Update::Outage(_, None)]), "{:?}", plan.notes);
    assert!(
        plan.operations.iter().any(|operation| matches!(operation, Operation::OpenIncident { .. })),
        "{:?}",
        plan.operations
    );
}

#[test]
fn an_incident_that_a_person_closes_and_opens_again_is_ours_again() {
    let (mut world, inventory, down) = outage(POLICY);
    let open = std::mem::take(&mut world.observed.open_incidents);
    let closed = open[0].id;
    world.settle(&inventory, &down, POLICY);
    assert_eq!(incident(&world), Some(closed));
    let reports = world.plan(&inventory, &down, POLICY).reports;
    assert_eq!(reports.len(), 1, "it is said as long as it is so: {reports:?}");

    world.observed.open_incidents = open;
    world.settle(&inventory, &down, POLICY);
    assert_eq!(incident(&world), Some(closed));
    assert_eq!(world.plan(&inventory, &down, POLICY).reports, BTreeSet::new());
}

#[test]
fn a_component_that_we_never_wrote_to_and_that_nothing_feeds_is_left_as_it_is() {
    let (mut world, _, _) = outage(POLICY);
    let nothing = inventory(&[]);
    // as after a lost store: the incident is known to be ours, and nothing else
    let rows: Vec<ResourceKey> = world.ledger.rows.keys().cloned().collect();
    rows.into_iter().for_each(|key| world.ledger.record(Update::Component(key, None)));
    let plan = world.plan(&nothing, &[], POLICY);
    assert!(matches!(plan.operations.as_slice(), [Operation::CloseIncident { .. }]), "{:?}", plan.operations);
    assert_eq!(plan.notes, []);
}

#[test]
fn a_component_that_is_gone_and_that_nothing_feeds_is_nobodys_concern() {
    let (mut world, web, _) = outage(POLICY);
    world.settle(&web, &[], POLICY);
    let nothing = inventory(&[]);
    world.observed.components.clear();
    world.settle(&nothing, &[], POLICY);
    assert_eq!(world.plan(&nothing, &[], POLICY).reports, BTreeSet::new());
    assert_eq!(world.ledger, Ledger::default());
}

#[test]
fn only_targets_that_the_inventory_names_are_missed() {
    let inventory = inventory(&WEB);
    let mut world = World::default();
    world.add("Web", true, None);
    let reports = world.plan(&inventory, &[], POLICY).reports;
    assert_eq!(reports, BTreeSet::from([Report::NotSetUp { targets: vec![target("a", "Web").name()] }]));
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(world.plan(&inventory, &[], POLICY).reports, BTreeSet::new(), "it was made when it went down");
}

#[test]
fn a_targets_own_component_is_settled_once_and_corrected_as_a_whole() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    let settled =
        |plan: &Plan| plan.notes.iter().any(|note| matches!(note, Update::Component(ResourceKey::Target(_), Some(_))));
    let first = world.plan(&inventory, &[], POLICY);
    assert!(settled(&first), "{:?}", first.notes);
    world.settle(&inventory, &[], POLICY);
    assert!(!settled(&world.plan(&inventory, &[], POLICY)));

    let enforce = Policy { drift: Drift::Enforce, ..POLICY };
    world.component("a | Web").description = Some("critical: no\nseen by the night shift".to_owned());
    assert_eq!(world.plan(&inventory, &[], POLICY).operations, [], "a person's words stay");
    assert_eq!(world.plan(&inventory, &[], enforce).operations.len(), 1);
    world.settle(&inventory, &[firing("a", "Web")], POLICY);
    assert_eq!(world.component("a | Web").description.as_deref(), Some("critical: no\nDown"));
}

#[test]
fn a_create_in_doubt_of_a_target_that_nobody_knows_any_more_is_waited_for() {
    let after = inventory(&[("b", "Web", false)]);
    let mut world = World::set_up(&after);
    let key = ResourceKey::Target(target("a", "Web").name());
    let red = ComponentValue::of_target(ComponentStatus::MajorOutage, "critical: no\nDown".to_owned());
    let in_doubt = Recorded::sent(None, None, red.clone(), Timestamp::from_millis(world.now_ms));
    world.ledger.record(Update::Component(key.clone(), Some(in_doubt)));
    world.settle(&after, &[], POLICY);
    assert!(world.ledger.rows.contains_key(&key), "the page may make it yet");
    world.add("a | Web", false, red.description);
    world.component("a | Web").status = Some(red.status);
    world.settle(&after, &[], POLICY);
    assert_eq!(world.status("a | Web"), 1);
    assert!(!world.ledger.rows.contains_key(&key));
}

#[test]
fn a_target_that_nobody_knows_any_more_is_let_go_once_it_is_green() {
    let before = inventory(&[("a", "Web", false), ("b", "Web", false)]);
    let mut world = World::set_up(&before);
    world.settle(&before, &[firing("a", "Web")], POLICY);
    let after = inventory(&[("b", "Web", false)]);
    let plan = world.plan(&after, &[], POLICY);
    assert!(
        !plan.notes.iter().any(|note| matches!(note, Update::Component(ResourceKey::Target(_), None))),
        "it is still red"
    );
    world.settle(&after, &[], POLICY);
    assert_eq!(world.status("a | Web"), 1);
    assert!(!world.ledger.rows.contains_key(&ResourceKey::Target(target("a", "Web").name())));
}

#[test]
fn a_second_alert_of_a_target_that_is_down_is_added_to_what_it_says() {
    let (mut world, inventory, down) = outage(POLICY);
    let second = AlertRecord {
        fingerprint: "1".repeat(16).parse().expect("fingerprint"),
        name: "Slow".to_owned(),
        ..down[0].clone()
    };
    world.settle(&inventory, &[down[0].clone(), second], POLICY);
    assert_eq!(world.component("a | Web").description.as_deref(), Some("critical: no\nDown, Slow"));
}

#[test]
fn a_partial_outage_after_an_outage_does_not_continue_it() {
    let inventory = inventory(&[("a", "Web", false), ("b", "Web", false)]);
    let policy = Policy {
        close_incident_when: CloseIncidentWhen::Operational,
        reopen_within: Duration::from_secs(600),
        ..POLICY
    };
    let mut world = World::set_up(&inventory);
    let down = [firing("a", "Web"), firing("b", "Web")];
    world.settle(&inventory, &down, policy);
    world.settle(&inventory, &[], policy);
    world.settle(&inventory, &down[..1], policy);
    assert_eq!((world.status("Web"), world.observed.open_incidents.len()), (3, 0));
}

#[test]
fn of_what_becomes_worse_the_worst_comes_first() {
    let inventory = inventory(&[("a", "Api", false), ("b", "Api", false), ("c", "Web", false), ("d", "Db", false)]);
    let world = World::set_up(&inventory);
    let plan = world.plan(&inventory, &[firing("a", "Api"), firing("c", "Web"), firing("d", "Db")], POLICY);
    let statuses: Vec<String> = plan
        .operations
        .iter()
        .filter(|operation| operation.rank() == Rank::Worse)
        .map(|operation| operation.key().to_string())
        .collect();
    assert_eq!(statuses, ["component \"Db\"", "component \"Web\"", "component \"Api\""]);
}

#[test]
fn a_target_that_is_only_described_anew_reads_so() {
    let inventory = inventory(&WEB);
    let mut world = World::set_up(&inventory);
    world.component("a | Web").description = None;
    let plan = world.plan(&inventory, &[], POLICY);
    assert_eq!(lines(&plan.operations), ["describe target component \"a | Web\" anew"]);
    let plan = world.plan(&inventory, &[firing("a", "Web")], POLICY);
    let last = lines(&plan.operations).pop().expect("a change");
    assert_eq!(last, "set target component \"a | Web\" from 1 (Operational) to 4 (Outage)");
}

#[test]
fn a_report_concerns_the_components_that_it_is_about_and_no_others() {
    let targets = || vec![target("a", "Web").name(), target("b", "Db, Api").name()];
    let component = || name("Web");
    let subject = OutageSubject::Component(component());
    let incident = IncidentId(1);
    for (report, about) in [
        (Report::ComponentMissing { component: component() }, &["Web"][..]),
        (Report::IncidentClosedByPerson { subject, incident }, &["Web"]),
        (Report::NameTaken { name: "Web".to_owned(), ids: vec![ComponentId(1), ComponentId(2)] }, &["Web"]),
        (Report::Leftovers { targets: targets() }, &["Web", "Db", "Api"]),
        (Report::NotSetUp { targets: targets() }, &["Web", "Db", "Api"]),
        (Report::TargetNameTooLong { target: target("b", "Db, Api").name() }, &["Db", "Api"]),
    ] {
        let all = ["Web", "Db", "Api", "Shop"];
        let concerned = report.components();
        let is_concerned = |text: &&str| concerned.as_ref().is_none_or(|them| them.contains(&name(text)));
        let concerned: Vec<&str> = all.into_iter().filter(is_concerned).collect();
        assert_eq!(concerned, about, "{report}");
    }
}

#[test]
fn a_report_lists_a_few_targets_and_hints_at_the_rest() {
    let said = |count: usize| {
        let targets = (1..=count).map(|number| target(&number.to_string(), "Web").name()).collect();
        Report::Leftovers { targets }.to_string()
    };
    let (five, six) = (said(5), said(6));
    assert!(five.contains("\"5 | Web\"") && !five.contains('…'), "{five}");
    assert!(!six.contains("\"6 | Web\"") && six.contains('…'), "{six}");
}
