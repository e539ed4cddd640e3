//! What readers and operators are told of incidents and targets: once, whatever is interrupted.

use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::observed::IncidentId;
use alertmanager_cachet::core::status_page::PageWrite;
use fake_cachet::Release;
use serde_json::Value;

use crate::reconcile::{FAULTS, break_once};
use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

/// The two calls that bring an incident further.
const CALLS: [(&str, &str); 2] = [("POST", "/api/incidents/*/updates"), ("PUT", "/api/incidents/*")];

/// An outage that is over, and whose incident is closed, and would be opened again by a relapse.
async fn past_outage(release: Release) -> World {
    let mut world = World::set_up(release, WEB).await;
    world.settings.config.incidents.reopen_within = Duration::from_secs(600);
    world.restart();
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.resolve(&alert).await;
    world.settle().await;
    world
}

/// How many updates the first incident has.
async fn updates(world: &World) -> usize {
    let incident = world.first_incident().await;
    incident["data"]["relationships"]["updates"]["data"].as_array().expect("updates").len()
}

/// One go, in which a call went wrong, and all that is done afterwards.
async fn goes_wrong_once(world: &mut World) {
    assert!(!world.once().await.is_complete());
    world.faults.heal();
    world.settle().await;
}

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
async fn a_closing_that_is_interrupted_is_told_once() {
    for release in Release::BOTH {
        for (method, path) in CALLS {
            for fault in FAULTS {
                let mut world = World::set_up(release, WEB).await;
                let alert = world.fire("db:9100", "Database").await;
                world.settle().await;
                world.resolve(&alert).await;
                break_once(&world, fault, method, path);
                goes_wrong_once(&mut world).await;
                assert_eq!(
                    (updates(&world).await, world.incidents().await),
                    (1, (0, 1)),
                    "{release:?}, {fault} {path}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_reopening_that_is_interrupted_is_told_once() {
    for release in Release::BOTH {
        for (method, path) in CALLS {
            for fault in FAULTS {
                let mut world = past_outage(release).await;
                world.fire("db:9100", "Database").await;
                break_once(&world, fault, method, path);
                goes_wrong_once(&mut world).await;
                assert_eq!(
                    (updates(&world).await, world.incidents().await),
                    (2, (1, 1)),
                    "{release:?}, {fault} {path}"
                );
            }
        }
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

/// What is gone need not be closed.
#[tokio::test]
async fn an_incident_that_is_removed_while_it_is_closed_is_no_failure() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.resolve(&alert).await;
    world.faults.on("POST", "/api/incidents/*/updates").times(1).answer(404);
    let round = world.once().await;
    assert!(round.is_complete() && round.failures.is_empty(), "{round:?}");
    assert!(world.lines("[INCIDENT_CLOSED]")[0].contains("reason=\"removed"), "{:?}", world.lines("[INCIDENT_CLOSED]"));
}

/// Whoever removed the incident of the last outage wants one for this outage.
#[tokio::test]
async fn an_incident_that_is_removed_while_it_is_opened_again_makes_room_for_another() {
    for interrupted in [false, true] {
        let mut world = past_outage(Release::Current).await;
        world.fire("db:9100", "Database").await;
        if interrupted {
            break_once(&world, "cut before", "POST", "/api/incidents/*/updates");
            world.once().await;
            world.faults.heal();
            world.remove_first_incident().await;
        } else {
            world.faults.on("POST", "/api/incidents/*/updates").times(1).answer(404);
            assert!(world.once().await.is_complete());
        }
        world.settle().await;
        assert_eq!(world.lines("[INCIDENT_OPENED]").len(), 2, "interrupted: {interrupted}");
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

/// Its incident is told by its number on a Cachet without meta.
#[tokio::test]
async fn an_incident_that_waits_for_its_component_to_be_made_anew_is_opened_once_whatever_answer_is_lost() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        world.faults.on("POST", "/api/incidents").times(1).answer(500);
        let alert = world.fire("db:9100", "Database").await;
        assert_eq!(world.once().await.failures.len(), 1, "{release:?}");
        let shown = world.shown().await.components;
        let database = shown.iter().find(|component| component.name == "Database").expect("there").id;
        world.by_hand(PageWrite::RemoveComponent(database)).await;
        world.make_by_hand("Database").await;
        world.faults.on("POST", "/api/incidents").times(1).cut_after();
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle_within(4).await;
        assert_eq!(world.incidents().await, (1, 1), "{release:?}");
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
    }
}
