//! What Cachet's rate limit leaves: for what the public sees first.

use std::time::Duration;

use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

#[tokio::test]
async fn the_bookkeeping_of_a_storm_leaves_room_for_what_the_public_sees() {
    let targets: Vec<String> = (0..400).map(|number| format!("host-{number}:9100")).collect();
    let mut targets: Vec<TargetSpec<'_>> = targets.iter().map(|instance| (instance.as_str(), "Web", false)).collect();
    targets.push(("db:9100", "Database", true));
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    for (instance, components, _) in &targets[..400] {
        world.fire(instance, components).await;
    }
    world.faults.rate_limit(300, Duration::from_secs(60));
    let round = world.once().await;
    assert!(round.is_complete() && round.saving.is_some(), "the rest waits, and nothing was refused: {round:?}");
    assert_eq!((world.status("Web").await, world.incidents().await), (4, (1, 1)));
    assert!(world.writes() <= 240, "{}", world.writes());

    world.fire("db:9100", "Database").await;
    let round = world.once().await;
    assert!(round.is_complete() && round.saving.is_some(), "{round:?}");
    assert_eq!((world.status("Database").await, world.incidents().await), (4, (2, 2)));
}

/// Before a target's component is made it is read whether it is there by now; reads are limited as well.
#[tokio::test]
async fn new_targets_that_fail_one_by_one_leave_reads_for_what_the_public_sees() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    world.faults.rate_limit(60, Duration::from_secs(60));
    let mut put_off = false;
    for number in 0..20 {
        world.fire(&format!("new-{number}:9100"), "Web").await;
        let round = world.once().await;
        assert!(round.is_complete(), "nothing is refused: {round:?}");
        put_off |= round.saving.is_some();
    }
    assert!(put_off, "nothing waits");
    world.fire("db:9100", "Database").await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)));

    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(60)).await;
    tokio::time::resume();
    let round = world.once().await;
    assert!(round.is_complete() && round.saving.is_none(), "{round:?}");
    let made = world.shown().await.components.iter().filter(|shown| shown.name.starts_with("new-")).count();
    assert_eq!(made, 20);
}

/// That it was not tried does not mean that it is well.
#[tokio::test]
async fn a_target_that_fails_and_is_put_off_by_the_rate_limit_still_fails() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    world.faults.on("PUT", "/api/components/*").answer(422);
    world.fire("web-1:9100", "Web").await;
    assert!(!world.once().await.failures.is_empty());
    let failing =
        |world: &World| world.live().told().writing.failing.keys().map(ToString::to_string).collect::<Vec<_>>();
    let target = "target component \"web-1:9100 | Web\"".to_owned();
    assert!(failing(&world).contains(&target), "{:?}", failing(&world));
    world.faults.heal();
    world.faults.rate_limit(2, Duration::from_secs(3600));
    let round = world.once().await;
    assert!(round.is_complete() && round.saving.is_some(), "{round:?}");
    assert_eq!(failing(&world), [target]);
}
