//! An operator overrides the status of a component until a time: whatever the alerts say, and whatever is restarted
//! meanwhile.

use std::time::Duration;

use alertmanager_cachet::commands::explain::explained;
use alertmanager_cachet::core::overrides::Override;
use alertmanager_cachet::core::status::ComponentStatus::{self, MajorOutage, Operational, PartialOutage};
use alertmanager_cachet::core::target::ComponentName;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const TARGETS: &[TargetSpec<'_>] = &[("web:9100", "Web", false), ("db:9100", "Database", true)];
const HOUR: Duration = Duration::from_secs(3600);

fn database() -> ComponentName {
    ComponentName::try_from("Database").expect("a name")
}

/// What the console does.
async fn set_override(world: &World, status: ComponentStatus, span: Duration) {
    let now = world.now();
    let override_ =
        Override::new(database(), status, now.after(span), ("ada", "false alarm"), now).expect("an override");
    world.store.set_override(&override_).await.expect("held");
    world.wake().wake();
}

#[tokio::test]
async fn a_component_is_overridden_until_its_time_whatever_fires_and_is_restarted() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, TARGETS).await;
        world.settle().await;
        set_override(&world, Operational, HOUR).await;
        let until = world.now().after(HOUR);
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 0)), "{release:?}");
        world.restart();
        let round = world.once().await;
        assert_eq!(round.revisit_at, Some(until), "{release:?}: it wakes when the override is over");

        world.pass(until.since(world.now()));
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{release:?}");
        assert_eq!(
            world.lines("[RELEASE]"),
            [r#"[RELEASE] component="Database" user=- reason="its time is over""#],
            "{release:?}"
        );
        assert_eq!(world.store.overrides().await.expect("read"), []);
    }
}

#[tokio::test]
async fn an_override_ends_in_its_time_though_cachet_is_away_and_the_server_was_started_anew() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.settle().await;
    set_override(&world, Operational, HOUR).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    world.faults.on("*", "/api/*").answer(503);
    world.restart();
    world.pass(2 * HOUR);
    world.once().await;
    world.once().await;
    assert_eq!((world.store.overrides().await.expect("read"), world.lines("[RELEASE]").len()), (Vec::new(), 1));
    assert_eq!(world.status("Database").await, 1, "nobody could write it");
    world.faults.heal();
    world.settle_within(5).await;
    assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)));
}

#[tokio::test]
async fn an_override_never_closes_an_incident_and_can_be_ended() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    set_override(&world, PartialOutage, HOUR).await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (3, (1, 1)));

    let released = world.store.end_override(&database(), "grace", world.now()).await.expect("released");
    assert_eq!(released.map(|override_| (override_.status, override_.user)), Some((PartialOutage, "ada".to_owned())));
    world.wake().wake();
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)));
    assert_eq!(world.store.end_override(&database(), "grace", world.now()).await.expect("asked"), None);
}

#[tokio::test]
async fn the_explanation_says_who_overrides_it_until_when_and_what_it_would_be() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    set_override(&world, Operational, HOUR).await;
    world.settle().await;
    let until = world.store.overrides().await.expect("read").remove(0).until;
    let explanation = explained(&world.store, &world.settings_in_force(), &database(), world.now()).await;
    let text = explanation.expect("explained").to_string();
    for line in [
        "Database: 1 (Operational)".to_owned(),
        format!("  because ada overrides it until {until}"),
        "  and says: false alarm".to_owned(),
        "  without that it would be 4 (Outage), because its critical target db:9100 is down".to_owned(),
    ] {
        assert!(text.lines().any(|told| told == line), "{line}: {text}");
    }
}

#[tokio::test]
async fn a_second_override_takes_the_place_of_the_first() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    set_override(&world, MajorOutage, HOUR).await;
    world.settle().await;
    set_override(&world, PartialOutage, 2 * HOUR).await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.store.overrides().await.expect("read").len()), (3, 1));
    world.pass(HOUR);
    world.settle().await;
    assert_eq!(world.status("Database").await, 3, "the end of the first is not that of the second");
}
