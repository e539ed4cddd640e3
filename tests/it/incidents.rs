//! What readers and operators are told of incidents and targets.

use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::observed::IncidentId;
use fake_cachet::Release;
use serde_json::Value;

use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

#[tokio::test]
async fn subscribers_are_told_of_an_incident_only_if_that_is_configured() {
    for (notify_subscribers, told) in [(false, 0), (true, 1)] {
        let mut world = World::set_up(Release::Current, WEB).await;
        world.settings.config.incidents.notify_subscribers = notify_subscribers;
        world.restart();
        world.fire("db:9100", "Database").await;
        world.settle().await;
        let incident = world.first_incident().await;
        assert_eq!(incident["data"]["attributes"]["notifications"], told, "{notify_subscribers}: {incident}");
    }
}

#[tokio::test]
async fn each_step_of_an_incident_says_what_is_configured() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settings.config.incidents.reopen_within = Duration::from_secs(600);
        world.restart();
        let mut first = world.fire("web-1:9100", "Web").await;
        let second = world.fire("web-2:9100", "Web").await;
        world.settle().await;
        world.resolve(&first).await;
        world.settle().await;
        first = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        world.resolve(&first).await;
        world.resolve(&second).await;
        world.settle().await;
        let incident = world.first_incident().await;
        let said = |of: &Value| of["attributes"]["message"].as_str().expect("a message").to_owned();
        let mut updates: Vec<(u64, String)> = incident["included"]
            .as_array()
            .expect("updates")
            .iter()
            .map(|update| (update["attributes"]["id"].as_u64().expect("a number"), said(update)))
            .collect();
        updates.sort();
        let texts = [said(&incident["data"])].into_iter().chain(updates.into_iter().map(|(_, message)| message));
        let expected = ["We are looking into it.", "Most of it works again.", "It happened again.", "It works again."];
        assert_eq!(texts.collect::<Vec<_>>(), expected, "{release:?}");
    }
}

#[tokio::test]
async fn the_end_of_one_outage_is_not_taken_for_the_end_of_another() {
    for reopen_within in [Duration::ZERO, Duration::from_secs(600)] {
        let mut world = World::set_up(Release::Current, WEB).await;
        world.settings.config.incidents.reopen_within = reopen_within;
        world.restart();
        let database = world.fire("db:9100", "Database").await;
        for instance in ["web-1:9100", "web-2:9100"] {
            world.fire(instance, "Web").await;
        }
        world.settle().await;
        assert_eq!(world.open_by_the_snapshot().await.len(), 2, "{reopen_within:?}");
        world.resolve(&database).await;
        world.settle().await;
        let open: Vec<IncidentId> = world.shown().await.open_incidents.iter().map(|incident| incident.id).collect();
        assert_eq!((open.len(), world.open_by_the_snapshot().await), (1, open), "{reopen_within:?}");
    }
}

#[tokio::test]
async fn a_change_of_a_targets_status_is_said_and_one_of_its_description_is_not() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("new:9100", "Web").await;
    world.settle().await;
    let said = |world: &World| world.lines("[COMPONENT_STATUS_CHANGE] component=\"new:9100 | Web\"");
    let fired = ["[COMPONENT_STATUS_CHANGE] component=\"new:9100 | Web\" old_status=unknown new_status=4 (Outage)"];
    assert_eq!(said(&world), fired);
    let fingerprint = "0123456789abcdef".parse().expect("a fingerprint");
    let full_disk = Alert { name: "DiskFull".to_owned(), fingerprint, ..alert.clone() };
    world.tell(&full_disk).await;
    world.settle().await;
    let shown = world.shown().await.components;
    let target = shown.iter().find(|component| component.name == "new:9100 | Web").expect("made");
    assert!(target.description.as_deref().is_some_and(|text| text.contains("DiskFull")), "{target:?}");
    assert_eq!(said(&world), fired);
    world.resolve(&alert).await;
    world.resolve(&full_disk).await;
    world.settle().await;
    let over =
        "[COMPONENT_STATUS_CHANGE] component=\"new:9100 | Web\" old_status=4 (Outage) new_status=1 (Operational)";
    assert_eq!(said(&world), [fired[0], over]);
}
