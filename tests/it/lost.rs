//! A store that does not know what the page shows, because it is lost, or an old backup of it was restored.

use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertState};
use alertmanager_cachet::core::observed::{ComponentUpdate, IncidentId};
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::status_page::PageWrite;
use alertmanager_cachet::core::target::{Inventory, InventorySource};
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

#[tokio::test]
async fn a_lost_store_closes_the_incident_of_a_component_that_is_gone() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    world.open_by_hand("Database is down").await;
    let shown = world.shown().await;
    for gone in shown.components.iter().filter(|component| component.name.contains("Database")) {
        world.by_hand(PageWrite::RemoveComponent(gone.id)).await;
    }
    world.lose_the_store().await;
    world.settings.inventory = Some(Inventory::new(InventorySource::File, []));
    world.restart();
    world.settle().await;
    let open: Vec<IncidentId> = world.shown().await.open_incidents.iter().map(|incident| incident.id).collect();
    assert_eq!(open, [IncidentId(2)], "the person's stays");
    world.faults.forget_calls();
    world.pass(Duration::from_secs(3600));
    world.settle().await;
    assert_eq!(world.writes(), 0, "{:?}", world.faults.calls());
}

/// What happened since the backup was made is on the page alone.
#[tokio::test]
async fn a_store_that_was_restored_takes_over_from_the_page_what_has_happened_since() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let earlier = world.fire("db:9100", "Database").await;
        world.settle().await;
        world.resolve(&earlier).await;
        world.settle().await;
        world.back_up_the_store().await;
        world.pass(Duration::from_secs(3600));
        let critical = world.fire("db:9100", "Database").await;
        let partial = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        assert_eq!(world.incidents().await, (1, 2), "{release:?}");

        world.restore_the_store().await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status("Web").await), (4, 3), "{release:?}");
        assert_eq!(world.incidents().await, (1, 2), "{release:?}");
        // What has ended is not red for ever, and no person is accused of it.
        world.resolve(&critical).await;
        world.resolve(&partial).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status("Web").await), (1, 1), "{release:?}");
        assert_eq!(world.incidents().await, (0, 2), "{release:?}");
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn an_outage_that_is_over_when_the_store_is_restored_leaves_nothing_red() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        world.back_up_the_store().await;
        world.pass(Duration::from_secs(3600));
        let alert = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        world.restore_the_store().await;
        // Before the first look.
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.incidents().await), (1, (0, 0)), "{release:?}");
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn a_backup_from_before_the_first_look_is_known_for_one() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("db:9100", "Database").await;
    world.resolve(&alert).await;
    world.back_up_the_store().await;
    world.pass(Duration::from_secs(3600));
    world.fire("db:9100", "Database").await;
    world.settle().await;
    world.restore_the_store().await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)));
}

#[tokio::test]
async fn what_was_heard_since_the_restoration_counts_though_the_server_is_restarted_before_it_looks() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    let alert = world.fire("web-1:9100", "Web").await;
    world.back_up_the_store().await;
    world.pass(Duration::from_secs(3600));
    world.settle().await;
    world.restore_the_store().await;
    world.pass(Duration::from_secs(1));
    world.resolve(&alert).await;
    world.pass(Duration::from_secs(1));
    world.restart();
    world.settle().await;
    assert_eq!((world.status("Web").await, world.incidents().await), (1, (0, 0)));
}

#[tokio::test]
async fn a_restart_is_no_restoration() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    let shown = world.shown().await;
    let web = shown.components.iter().find(|component| component.name == "Web").expect("Web");
    let status = Some(ComponentStatus::PerformanceIssues);
    let update = ComponentUpdate { status, enabled: true, description: None, group: None };
    world.by_hand(PageWrite::UpdateComponent(web.id, update)).await;
    for _ in 0..2 {
        world.pass(Duration::from_secs(3600));
        world.restart();
        world.settle().await;
    }
    assert_eq!(world.status("Web").await, 2, "a person's word stays");
}

#[tokio::test]
async fn a_lost_store_is_made_up_from_the_page_without_a_second_incident() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let critical = world.fire("db:9100", "Database").await;
        world.fire("web-1:9100", "Web").await;
        world.settle().await;
        world.lose_the_store().await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status("Web").await), (4, 3), "{release:?}");
        assert_eq!((world.status("db:9100 | Database").await, world.incidents().await), (4, (1, 1)), "{release:?}");
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
        // What is adopted ends with a resolve of the same target and name, whatever its fingerprint.
        world.resolve(&Alert { fingerprint: "0123456789abcdef".parse().expect("valid"), ..critical }).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
        assert_eq!(world.status("Web").await, 3, "{release:?}");
    }
}

#[tokio::test]
async fn a_notification_that_comes_before_the_first_reading_counts_more_than_the_page() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.lose_the_store().await;
    world.resolve(&alert).await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)));
}

#[tokio::test]
async fn an_adopted_alert_that_fires_again_is_known_from_then_on() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.lose_the_store().await;
    world.settle().await;
    world.tell(&alert).await;
    world.settle().await;
    let states: Vec<AlertState> =
        world.store.unresolved_alerts().await.expect("alerts").iter().map(|record| record.state).collect();
    assert_eq!(states, [AlertState::Firing]);
    world.resolve(&alert).await;
    world.settle().await;
    assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)));
}
