//! The plan of `setup` against a Cachet in memory.

use proptest::prelude::*;

use super::*;
use crate::names::GroupName;
use crate::observed::{ComponentId, GroupId};
use crate::status::ComponentStatus;
use crate::target::{ComponentList, InventorySource, KnownTarget};

fn group(name: &str, components: &str) -> Group {
    Group { name: GroupName::try_from(name).expect("a group name"), components: ComponentList::parse(components).names }
}

fn inventory(targets: &[(&str, &str, bool)]) -> Inventory {
    let known = |&(instance, components, critical): &(&str, &str, bool)| KnownTarget {
        target: Target::new(instance, ComponentList::parse(components).names).expect("target"),
        critical,
    };
    Inventory::new(InventorySource::File, targets.iter().map(known))
}

fn lines(plan: &SetupPlan) -> Vec<String> {
    plan.operations.iter().map(Operation::to_string).collect()
}

/// Carries the operations out on a copy of what Cachet shows; everything that is made is marked as ours.
fn carried_out(plan: &SetupPlan, before: &Observed) -> Observed {
    let mut after = before.clone();
    let highest = before.components.iter().map(|component| component.id.0).chain(before.groups.iter().map(|g| g.id.0));
    let mut next_id = highest.max().unwrap_or(0);
    for operation in &plan.operations {
        next_id += 1;
        carry_out(operation, &mut after, next_id);
    }
    after
}

fn carry_out(operation: &Operation, page: &mut Observed, next_id: i64) {
    let group_named = |page: &Observed, name: &GroupName| {
        let found = page.groups.iter().find(|group| group.name == name.as_str()).map(|group| group.id);
        assert!(found.is_some(), "the group is made before its components");
        found
    };
    match operation.clone() {
        Operation::CreateGroup(new) => {
            page.groups.push(ObservedGroup { id: GroupId(next_id), name: new.name, visible: true, managed: true });
        }
        Operation::CreateComponent { new, group } => {
            let name = group;
            let group = name.as_ref().and_then(|name| group_named(page, name));
            assert!(new.group.is_none() || new.group == group, "its group was there before");
            let (id, status) = (ComponentId(next_id), Some(new.status));
            let NewComponent { name, enabled, description, .. } = new;
            page.components.push(ObservedComponent { id, name, status, enabled, description, group, managed: true });
        }
        Operation::Rearrange { write: PageWrite::ShowGroup(id), .. } => {
            page.groups.iter_mut().filter(|group| group.id == id).for_each(|group| group.visible = true);
        }
        Operation::Rearrange { write: PageWrite::UpdateComponent(id, update), group, .. } => {
            let moved_to = group.as_ref().and_then(|name| group_named(page, name));
            for component in page.components.iter_mut().filter(|component| component.id == id) {
                component.group = moved_to.or(component.group);
                component.description = update.description.clone().or(component.description.take());
                component.enabled = update.enabled;
            }
        }
        Operation::Rearrange { write: PageWrite::RemoveComponent(id), .. } => {
            page.components.retain(|component| component.id != id);
        }
        Operation::Rearrange { write: PageWrite::RemoveGroup(id), .. } => page.groups.retain(|group| group.id != id),
        other => panic!("setup does not plan {other:?}"),
    }
}

#[test]
fn of_two_components_with_one_name_that_in_the_configured_group_is_taken_and_the_other_is_left_alone() {
    let groups = [group("America", "Mail"), group("Europe", "Web")];
    let mut page = carried_out(
        &plan_setup(&groups, &inventory(&[]), &Observed::default(), Removal::Nothing),
        &Observed::default(),
    );
    let (america, web) = (page.groups[0].id, page.components[1].clone());
    // It has the lower number.
    page.components
        .insert(0, ObservedComponent { id: ComponentId(0), group: Some(america), managed: false, ..web.clone() });
    let plan = plan_setup(&groups, &inventory(&[]), &page, Removal::Nothing);
    assert_eq!(lines(&plan), [] as [&str; 0]);
    assert_eq!(plan.remarks, [format!("the page has another component named \"Web\" (0): {} is used", web.id.0)]);
}

#[test]
fn a_target_component_is_known_whatever_the_order_of_its_components() {
    let page = plan_setup(&[], &inventory(&[("a", "Web, Api", false)]), &Observed::default(), Removal::Nothing);
    let page = carried_out(&page, &Observed::default());
    assert_eq!(page.components[0].name, "a | Web, Api");
    let plan = plan_setup(&[], &inventory(&[("a", "Api, Web", false)]), &page, Removal::Prune);
    assert_eq!((lines(&plan), plan.remarks), (Vec::new(), Vec::new()));
}

#[test]
fn an_empty_cachet_gets_groups_then_components_then_targets() {
    let groups = [group("Core", "Database, Api"), group("Web", "Shop")];
    let inventory = inventory(&[("a:1", "Database", true), ("b:1", "Shop, Api", false)]);
    let plan = plan_setup(&groups, &inventory, &Observed::default(), Removal::Nothing);
    assert_eq!(
        lines(&plan),
        [
            "create group \"Core\"",
            "create group \"Web\"",
            "create component \"Database\" in group \"Core\"",
            "create component \"Api\" in group \"Core\"",
            "create component \"Shop\" in group \"Web\"",
            "create target component \"a:1 | Database\"",
            "create target component \"b:1 | Shop, Api\"",
        ]
    );
    assert_eq!(plan.summary(), "7 created, 0 changed, 0 removed");
}

#[test]
fn a_component_moves_to_its_configured_group() {
    let inventory = inventory(&[]);
    let before = plan_setup(&[group("Old", "Database")], &inventory, &Observed::default(), Removal::Nothing);
    let observed = carried_out(&before, &Observed::default());
    let plan = plan_setup(&[group("New", "Database")], &inventory, &observed, Removal::Nothing);
    assert_eq!(lines(&plan), ["create group \"New\"", "move component \"Database\" to group \"New\""]);
}

#[test]
fn a_component_moves_out_of_no_group_and_into_one_that_was_there_before() {
    let inventory = inventory(&[]);
    let groups = [group("Core", "Database"), group("Web", "Shop")];
    let all =
        carried_out(&plan_setup(&groups, &inventory, &Observed::default(), Removal::Nothing), &Observed::default());
    let swapped = [group("Core", "Shop"), group("Web", "Database")];
    let plan = plan_setup(&swapped, &inventory, &all, Removal::Nothing);
    assert_eq!(
        lines(&plan),
        ["move component \"Shop\" to group \"Core\"", "move component \"Database\" to group \"Web\""]
    );
    assert_eq!(plan.summary(), "0 created, 2 changed, 0 removed");

    let mut alone = all;
    alone.groups.clear();
    alone.components.iter_mut().for_each(|component| component.group = None);
    let plan = plan_setup(&groups[..1], &inventory, &alone, Removal::Nothing);
    assert_eq!(lines(&plan), ["create group \"Core\"", "move component \"Database\" to group \"Core\""]);
    let plan = plan_setup(&groups, &inventory, &alone, Removal::Everything);
    assert_eq!(plan.summary(), "4 created, 0 changed, 2 removed");
}

#[test]
fn a_target_that_became_critical_is_corrected_and_keeps_its_alerts() {
    let groups = [group("Core", "Database")];
    let first = inventory(&[("a:1", "Database", false)]);
    let mut observed =
        carried_out(&plan_setup(&groups, &first, &Observed::default(), Removal::Nothing), &Observed::default());
    observed.components[1].description = Some("critical: no\nDown".to_owned());
    let plan = plan_setup(&groups, &inventory(&[("a:1", "Database", true)]), &observed, Removal::Nothing);
    let Operation::Rearrange { write: PageWrite::UpdateComponent(_, update), .. } = &plan.operations[0] else {
        panic!("{plan:?}")
    };
    assert_eq!(update.description.as_deref(), Some("critical: yes\nDown"));
}

#[test]
fn a_hidden_group_is_shown_for_it_hides_its_components() {
    let groups = [group("Core", "Database")];
    let mut observed = carried_out(
        &plan_setup(&groups, &inventory(&[]), &Observed::default(), Removal::Nothing),
        &Observed::default(),
    );
    observed.groups[0].visible = false;
    let plan = plan_setup(&groups, &inventory(&[]), &observed, Removal::Nothing);
    assert_eq!(lines(&plan), ["show group \"Core\", which is hidden with its components"]);
}

#[test]
fn pruning_removes_gone_targets_and_what_we_made_and_nothing_of_a_persons() {
    let groups = [group("Core", "Database"), group("Web", "Shop")];
    let all = inventory(&[("a:1", "Database", false), ("b:1", "Shop", false)]);
    let mut observed =
        carried_out(&plan_setup(&groups, &all, &Observed::default(), Removal::Nothing), &Observed::default());
    let by_hand = |id, name: &str, enabled| ObservedComponent {
        id: ComponentId(id),
        name: name.to_owned(),
        status: Some(ComponentStatus::Operational),
        enabled,
        description: None,
        group: None,
        managed: false,
    };
    observed.components.push(by_hand(90, "Support line", true));
    observed.components.push(by_hand(91, "c:1 | Database", false));
    observed.components.push(by_hand(92, "hidden on purpose", false));
    let fewer = inventory(&[("a:1", "Database", false)]);
    let kept = plan_setup(&groups[..1], &fewer, &observed, Removal::Nothing);
    assert_eq!(lines(&kept), [] as [&str; 0]);
    let by_hand = "hidden component \"c:1 | Database\" (91) is named like that of a target, but no file names the target \
                   and setup did not make it: remove it in Cachet if nobody needs it";
    assert_eq!(kept.remarks, ["one target component has no target any more: --prune removes it", by_hand]);
    let plan = plan_setup(&groups[..1], &fewer, &observed, Removal::Prune);
    assert_eq!(
        lines(&plan),
        ["remove component \"Shop\" (4)", "remove component \"b:1 | Shop\" (6)", "remove group \"Web\" (2)",]
    );
    assert_eq!(plan.remarks, [by_hand]);
}

#[test]
fn a_reset_removes_everything_first_and_makes_it_anew() {
    let groups = [group("Core", "Database")];
    let inventory = inventory(&[("a:1", "Database", false)]);
    let observed =
        carried_out(&plan_setup(&groups, &inventory, &Observed::default(), Removal::Nothing), &Observed::default());
    let plan = plan_setup(&groups, &inventory, &observed, Removal::Everything);
    assert_eq!(plan.summary(), "3 created, 0 changed, 3 removed");
    assert!(
        plan.operations[..3].iter().all(Operation::removes) && !plan.operations[3..].iter().any(Operation::removes)
    );
}

#[test]
fn the_lowest_number_is_used_where_a_name_is_taken_twice() {
    let groups = [group("Core", "Database")];
    let mut observed = carried_out(
        &plan_setup(&groups, &inventory(&[]), &Observed::default(), Removal::Nothing),
        &Observed::default(),
    );
    let mut twin = observed.components[0].clone();
    twin.id = ComponentId(50);
    twin.group = None;
    observed.components.push(twin);
    let plan = plan_setup(&groups, &inventory(&[]), &observed, Removal::Nothing);
    assert_eq!(plan.operations, []);
    assert_eq!(plan.remarks, ["the page has another component named \"Database\" (50): 2 is used"]);
}

#[test]
fn a_reset_keeps_what_a_person_made_and_uses_it() {
    let groups = [group("Core", "Database, Web")];
    let mut observed = carried_out(
        &plan_setup(&groups, &inventory(&[]), &Observed::default(), Removal::Nothing),
        &Observed::default(),
    );
    observed.components[1].managed = false;
    let theirs = ObservedGroup { id: GroupId(40), name: "Soon".to_owned(), visible: true, managed: false };
    observed.groups.push(theirs);
    let plan = plan_setup(&groups, &inventory(&[]), &observed, Removal::Everything);
    assert_eq!(
        lines(&plan),
        [
            "remove component \"Database\" (2)",
            "remove group \"Core\" (1)",
            "create group \"Core\"",
            "create component \"Database\" in group \"Core\"",
            "move component \"Web\" to group \"Core\"",
        ]
    );
    assert_eq!(plan.remarks, ["components and groups that setup did not make are not removed: 1 components, 1 groups"]);
}

fn worlds() -> impl Strategy<Value = (Vec<Group>, Vec<(String, String, bool)>)> {
    let components = prop::sample::subsequence(vec!["Web", "Api", "Database", "Mail"], 1..=4);
    components.prop_flat_map(|components| {
        let split = 0..=components.len();
        let target = (0..5_u8, prop::sample::subsequence(components.clone(), 1..=components.len()), any::<bool>());
        (split, prop::collection::vec(target, 0..6)).prop_map(move |(split, targets)| {
            let (first, second) = components.split_at(split);
            let groups = [("One", first), ("Two", second)];
            let groups = groups.iter().filter(|(_, components)| !components.is_empty());
            let groups = groups.map(|(name, components)| group(name, &components.join(","))).collect();
            let targets = targets
                .into_iter()
                .map(|(instance, fed, critical)| (format!("host{instance}:9100"), fed.join(", "), critical));
            (groups, targets.collect())
        })
    })
}

fn known(targets: &[(String, String, bool)]) -> Inventory {
    let borrowed: Vec<(&str, &str, bool)> =
        targets.iter().map(|(instance, fed, critical)| (instance.as_str(), fed.as_str(), *critical)).collect();
    inventory(&borrowed)
}

proptest! {
    #[test]
    fn a_second_run_changes_nothing((groups, targets) in worlds(), (old_groups, old_targets) in worlds()) {
        let old = plan_setup(&old_groups, &known(&old_targets), &Observed::default(), Removal::Nothing);
        let observed = carried_out(&old, &Observed::default());
        for removal in [Removal::Nothing, Removal::Prune] {
            let plan = plan_setup(&groups, &known(&targets), &observed, removal);
            let after = carried_out(&plan, &observed);
            prop_assert_eq!(plan_setup(&groups, &known(&targets), &after, removal).operations, vec![]);
        }
    }

    #[test]
    fn an_interrupted_run_is_finished_by_the_next((groups, targets) in worlds(), cut in any::<prop::sample::Index>()) {
        let mut plan = plan_setup(&groups, &known(&targets), &Observed::default(), Removal::Nothing);
        let whole = carried_out(&plan, &Observed::default());
        plan.operations.truncate(cut.index(plan.operations.len() + 1));
        let observed = carried_out(&plan, &Observed::default());
        let rest = plan_setup(&groups, &known(&targets), &observed, Removal::Nothing);
        let finished = carried_out(&rest, &observed);
        let names = |page: &Observed| -> BTreeSet<String> {
            page.components.iter().map(|component| component.name.clone()).collect()
        };
        prop_assert_eq!(names(&finished), names(&whole));
        prop_assert_eq!(finished.components.len(), whole.components.len());
    }

    #[test]
    fn without_being_asked_nothing_is_removed((groups, targets) in worlds(), (old_groups, old_targets) in worlds()) {
        let old = plan_setup(&old_groups, &known(&old_targets), &Observed::default(), Removal::Nothing);
        let observed = carried_out(&old, &Observed::default());
        let plan = plan_setup(&groups, &known(&targets), &observed, Removal::Nothing);
        prop_assert!(!plan.operations.iter().any(Operation::removes));
    }
}
