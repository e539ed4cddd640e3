//! The repairer by a clock that is set back, or ahead.

use std::time::Duration;

use alertmanager_cachet::core::repair::{Member, Poll, Reason, Repair, WatchdogListing};
use alertmanager_cachet::repair::Repairer;
use alertmanager_cachet::settings::Settings;
use fake_cachet::Release;
use tokio_util::sync::CancellationToken;

use crate::support::world::{World, growing_stale, in_force, repairing, watched};

const INTERVAL: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn world() -> World {
    World::set_up(Release::Current, &[("web-1", "Web", true)]).await
}

fn repairer(world: &World, settings: Settings) -> Repairer {
    Repairer::new(world.store.clone(), in_force(settings), world.clock(), world.wake(), CancellationToken::new())
}

fn reasons(repairs: &[Repair]) -> Vec<Reason> {
    repairs.iter().map(|repair| repair.reason).collect()
}

#[tokio::test]
async fn an_alert_that_was_heard_of_in_the_future_ends_when_alertmanager_does_not_list_it() {
    let mut world = world().await;
    let mut repairer = repairer(&world, watched(repairing(Vec::new(), INTERVAL, INTERVAL)));
    world.fire("web-1", "Web").await;
    world.settle().await;
    world.set_back(HOUR);
    world.settle().await;
    let mut corrected = Vec::new();
    for _ in 0..2 {
        world.pass(INTERVAL);
        let poll = Poll {
            began_at: world.now(),
            members: vec![Member { up_for: HOUR, listed: Vec::new() }],
            watchdog: WatchdogListing::NotConfigured,
        };
        corrected.extend(reasons(&repairer.correct(&poll).await.expect("corrected")));
    }
    assert_eq!(corrected, [Reason::Unlisted]);
}

#[tokio::test]
async fn silence_is_measured_from_the_moment_at_which_the_clock_was_set_back() {
    let mut world = world().await;
    let mut repairer = repairer(&world, growing_stale(HOUR, INTERVAL));
    world.fire("web-1", "Web").await;
    world.settle().await;
    world.set_back(2 * HOUR);
    world.settle().await;
    assert_eq!(reasons(&repairer.once().await.repairs), []);
    world.pass(HOUR + INTERVAL);
    assert_eq!(reasons(&repairer.once().await.repairs), [Reason::Stale]);
}

/// Until it has listened for as long again, nothing is concluded from what it did not hear.
#[tokio::test]
async fn a_clock_that_is_set_ahead_or_a_machine_that_slept_makes_no_alert_stale() {
    let mut world = world().await;
    let mut repairer = repairer(&world, growing_stale(HOUR, INTERVAL));
    world.fire("web-1", "Web").await;
    world.settle().await;
    assert_eq!(reasons(&repairer.once().await.repairs), []);
    world.set_ahead(2 * HOUR);
    assert_eq!(reasons(&repairer.once().await.repairs), []);
    world.pass(HOUR - INTERVAL);
    assert_eq!(reasons(&repairer.once().await.repairs), []);
    world.pass(INTERVAL);
    assert_eq!(reasons(&repairer.once().await.repairs), [Reason::Stale]);
}
