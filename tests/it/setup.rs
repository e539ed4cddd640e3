//! `setup` against a page of either release.

use std::time::{Duration, Instant};

use alertmanager_cachet::commands::setup::{Progress, carry_out};
use alertmanager_cachet::core::names::{Group, GroupName};
use alertmanager_cachet::core::observed::ComponentUpdate;
use alertmanager_cachet::core::operation::Operation;
use alertmanager_cachet::core::setup::{Removal, SetupPlan, plan_setup};
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::status_page::{PageWrite, StatusPage};
use alertmanager_cachet::core::target::ComponentList;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const TARGETS: &[TargetSpec<'_>] = &[("a:9100", "Web", false), ("b:9100", "Web, Database", true)];

fn groups() -> Vec<Group> {
    let group = |name, components| Group {
        name: GroupName::try_from(name).expect("a name"),
        components: ComponentList::parse(components).names,
    };
    vec![group("Front", "Web"), group("Back", "Database")]
}

async fn plan(world: &World, groups: &[Group], removal: Removal) -> SetupPlan {
    let mut shown = world.shown().await;
    if !world.cachet().capabilities().await.expect("probed").meta {
        world.store.mark_made(world.cachet().address(), &mut shown).await.expect("read");
    }
    plan_setup(groups, world.settings.inventory.as_ref().expect("targets"), &shown, removal)
}

/// Plans and carries out, as the command does. Returns what was done.
async fn run(world: &World, groups: &[Group], removal: Removal) -> Vec<String> {
    let meta = world.cachet().capabilities().await.expect("probed").meta;
    let made = (!meta).then(|| (world.store.clone(), world.cachet().address().to_owned()));
    let plan = plan(world, groups, removal).await;
    carry_out(world.cachet(), &world.settings.config, &plan, &Progress::new(made)).await.expect("carried out");
    plan.operations.iter().map(Operation::to_string).collect()
}

#[tokio::test]
async fn a_first_run_makes_everything_and_a_second_one_nothing() {
    for release in Release::BOTH {
        let world = World::empty(release, TARGETS).await;
        let made = run(&world, &groups(), Removal::Nothing).await;
        assert_eq!(made.len(), 6, "{release:?}: {made:?}");
        assert_eq!(run(&world, &groups(), Removal::Nothing).await, [] as [&str; 0], "{release:?}");

        let shown = world.shown().await;
        assert!(shown.groups.iter().all(|group| group.visible), "{release:?}");
        let group = |name: &str| shown.groups.iter().find(|group| group.name == name).map(|group| group.id);
        let find = |name: &str| shown.components.iter().find(|component| component.name == name).expect("made");
        assert_eq!((find("Web").group, find("Database").group), (group("Front"), group("Back")), "{release:?}");
        assert_eq!((find("Web").enabled, find("Web").status), (true, Some(ComponentStatus::Operational)));
        let target = find("b:9100 | Web, Database");
        assert_eq!((target.enabled, target.status, target.group), (false, Some(ComponentStatus::Operational), None));
        assert_eq!(target.description.as_deref(), Some("critical: yes\nno alerts"), "{release:?}");
    }
}

#[tokio::test]
async fn the_status_of_what_exists_is_never_touched() {
    for release in Release::BOTH {
        let mut world = World::empty(release, TARGETS).await;
        run(&world, &groups(), Removal::Nothing).await;
        world.fire("b:9100", "Web, Database").await;
        world.settle().await;
        let other = vec![Group { name: GroupName::try_from("All").expect("a name"), ..groups().remove(0) }];
        let done = run(&world, &other, Removal::Nothing).await;
        assert_eq!(done, ["create group \"All\"", "move component \"Web\" to group \"All\""], "{release:?}");
        assert_eq!((world.status("Web").await, world.status("b:9100 | Web, Database").await), (4, 4), "{release:?}");
    }
}

#[tokio::test]
async fn a_run_that_a_fault_interrupted_is_finished_by_the_next_one_without_doubles() {
    for release in Release::BOTH {
        for number in 0..6_u32 {
            let world = World::empty(release, TARGETS).await;
            // Steps of one kind are under way at the same time, so it is the path that fails, from its n-th call on.
            let path = if number < 2 { "/api/component-groups" } else { "/api/components" };
            if number % 2 == 0 {
                world.faults.on("POST", path).answer(500);
            } else {
                world.faults.on("POST", path).times(1).cut_after();
            }
            let first = plan(&world, &groups(), Removal::Nothing).await;
            let config = &world.settings.config;
            carry_out(world.cachet(), config, &first, &Progress::new(None)).await.expect_err("interrupted");
            world.faults.heal();
            run(&world, &groups(), Removal::Nothing).await;
            let shown = world.shown().await;
            assert_eq!((shown.groups.len(), shown.components.len()), (2, 4), "{release:?}, fault {number}");
        }
    }
}

#[tokio::test]
async fn the_rate_limit_is_waited_for_and_nothing_is_lost() {
    let world = World::empty(Release::Current, TARGETS).await;
    world.faults.rate_limit(4, Duration::from_secs(1));
    let plan = plan(&world, &groups(), Removal::Nothing).await;
    assert_eq!(plan.operations.len(), 6);
    let begun = Instant::now();
    carry_out(world.cachet(), &world.settings.config, &plan, &Progress::new(None)).await.expect("carried out");
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was waited");
    assert_eq!(world.shown().await.components.len(), 4);
}

#[tokio::test]
async fn a_rate_limit_that_another_run_has_used_up_is_waited_for_by_the_first_read() {
    let world = World::set_up(Release::Current, TARGETS).await;
    world.faults.rate_limit(4, Duration::from_secs(1));
    let (progress, begun) = (Progress::new(None), Instant::now());
    for _ in 0..3 {
        progress.patiently(|| world.cachet().observe(&[])).await.expect("read");
    }
    assert!(begun.elapsed() >= Duration::from_secs(1), "it was waited");
}

#[tokio::test]
async fn a_reset_removes_what_setup_made_and_makes_it_anew_and_keeps_what_a_person_made() {
    for release in Release::BOTH {
        let world = World::empty(release, TARGETS).await;
        run(&world, &groups(), Removal::Nothing).await;
        world.make_by_hand("Telephone").await;
        run(&world, &groups(), Removal::Everything).await;
        let shown = world.shown().await;
        let mut names: Vec<&str> = shown.components.iter().map(|component| component.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["Database", "Telephone", "Web", "a:9100 | Web", "b:9100 | Web, Database"], "{release:?}");
        assert_eq!(shown.groups.len(), 2, "{release:?}");
    }
}

#[tokio::test]
async fn pruning_removes_what_setup_made_and_keeps_what_a_person_made() {
    for release in Release::BOTH {
        let mut world = World::empty(release, TARGETS).await;
        run(&world, &groups(), Removal::Nothing).await;
        world.make_by_hand("Telephone").await;
        world.hide_by_hand("EU | Backup").await;
        let fewer = World::empty(release, &TARGETS[..1]).await;
        world.settings.inventory = fewer.settings.inventory.clone();
        let removed = run(&world, &groups()[..1], Removal::Prune).await;
        let ours = [
            "remove component \"Database\" (2)",
            "remove component \"b:9100 | Web, Database\" (4)",
            "remove group \"Back\" (2)",
        ];
        assert_eq!(removed, ours, "{release:?}");
        let shown = world.shown().await;
        for name in ["Telephone", "EU | Backup"] {
            assert!(shown.components.iter().any(|component| component.name == name), "{release:?}: {name}");
        }
    }
}

#[tokio::test]
async fn a_target_component_that_an_older_cachet_made_visible_is_hidden_again() {
    for release in Release::BOTH {
        let world = World::empty(release, TARGETS).await;
        run(&world, &groups(), Removal::Nothing).await;
        let shown = world.shown().await;
        let target = shown.components.iter().find(|component| component.name == "a:9100 | Web").expect("made");
        let update = ComponentUpdate {
            status: Some(ComponentStatus::Operational),
            enabled: true,
            description: None,
            group: None,
        };
        world.by_hand(PageWrite::UpdateComponent(target.id, update)).await;
        run(&world, &groups(), Removal::Nothing).await;
        assert!(!world.shown().await.components.iter().any(|c| c.enabled && c.id == target.id), "{release:?}");
    }
}
