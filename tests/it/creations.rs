//! The component of a target that Cachet does not have is made once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alertmanager_cachet::core::status_page::{PageWrite, REQUEST_TIMEOUT, StatusPage};
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const DATABASE: &[TargetSpec<'_>] = &[("db:9100", "Database", true)];
const NEW: &str = "new:9100 | Database";
const POSTINGS: (&str, &str) = ("POST", "/api/components");

/// How many components of that name there are.
async fn number_of(world: &World, name: &str) -> usize {
    world.shown().await.components.iter().filter(|component| component.name == name).count()
}

/// A target that only its alert knows, whose component is posted, and will be made when Cachet has caught up.
async fn new_target(release: Release) -> World {
    let mut world = World::set_up(release, DATABASE).await;
    world.settle().await;
    world.faults.on(POSTINGS.0, POSTINGS.1).times(1).later();
    world.fire("new:9100", "Database").await;
    let round = world.once().await;
    assert_eq!(round.failures.len(), 1, "{round:?}");
    world
}

#[tokio::test]
async fn a_component_that_is_made_long_after_its_answer_was_lost_is_not_posted_again_before() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let mut world = new_target(release).await;
            if restart {
                world.restart();
            }
            let round = world.once().await;
            assert!(round.is_complete() && round.saving.is_some(), "{release:?}: {round:?}");
            assert_eq!(world.faults.catch_up().await, 1);
            world.pass(REQUEST_TIMEOUT);
            world.settle().await;
            assert_eq!((number_of(&world, NEW).await, world.status(NEW).await), (1, 4), "{release:?}");
            assert_eq!(world.faults.count(POSTINGS.0, POSTINGS.1), 1, "{release:?}");
        }
    }
}

#[tokio::test]
async fn a_component_that_was_never_made_is_posted_again_when_another_request_would_have_timed_out() {
    for release in Release::BOTH {
        let mut world = new_target(release).await;
        let wait = world.once().await.saving.expect("it is put off");
        assert!(wait <= REQUEST_TIMEOUT, "{wait:?}");
        world.pass(wait);
        world.settle().await;
        assert_eq!((number_of(&world, NEW).await, world.status(NEW).await), (1, 4), "{release:?}");
    }
}

/// Rows that stand behind a removed one move up, and one of them to a page that was read already.
#[tokio::test]
async fn a_component_that_was_in_no_page_of_a_reading_is_not_made_again() {
    let instances: Vec<String> = (0..60).map(|number| format!("web-{number:02}:9100")).collect();
    let targets: Vec<TargetSpec<'_>> = instances.iter().map(|instance| (instance.as_str(), "Web", false)).collect();
    for release in Release::BOTH {
        let mut world = World::set_up(release, &targets).await;
        let shown = world.shown().await.components;
        // Pages have 50 rows.
        let (removed, moved) = (shown[3].id, shown[50].name.clone());
        world.fire(moved.split(' ').next().expect("an instance"), "Web").await;
        world.settle().await;
        world.faults.forget_calls();
        let (faults, person, once) = (world.faults.clone(), world.person().clone(), Arc::new(AtomicBool::new(true)));
        world.faults.pace(move || {
            let is_second_page = faults.count("GET", "/api/components") == 2 && once.swap(false, Ordering::SeqCst);
            let person = person.clone();
            Box::pin(async move {
                if is_second_page {
                    person.apply(&PageWrite::RemoveComponent(removed)).await.expect("removed");
                }
            })
        });
        world.pass(world.settings.config.page.reconcile_interval);
        world.once().await;
        assert!(world.shown().await.components.iter().all(|component| component.id != removed), "{release:?}");
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        assert_eq!(number_of(&world, &moved).await, 1, "{release:?}");
        assert_eq!(world.faults.count(POSTINGS.0, POSTINGS.1), 0, "{release:?}");
    }
}

#[tokio::test]
async fn a_component_that_a_person_removes_while_its_target_is_down_is_made_again() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, DATABASE).await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        let name = "db:9100 | Database";
        let shown = world.shown().await.components;
        let removed = shown.iter().find(|component| component.name == name).expect("there").id;
        world.by_hand(PageWrite::RemoveComponent(removed)).await;
        world.pass(world.settings.config.page.reconcile_interval);
        let wait = world.once().await.saving.expect("it is put off until it is read once more");
        world.pass(wait);
        world.settle().await;
        assert_eq!((number_of(&world, name).await, world.status(name).await), (1, 4), "{release:?}");
    }
}
