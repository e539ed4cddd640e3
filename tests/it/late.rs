//! What Cachet does long after we have given up on it must not stay on the page.

use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::observed::IncidentId;
use alertmanager_cachet::core::status::IncidentStatus;
use alertmanager_cachet::core::status_page::REQUEST_TIMEOUT;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const DATABASE: &[TargetSpec<'_>] = &[("db:9100", "Database", true)];

const POSTINGS: (&str, &str) = ("POST", "/api/incidents");

/// An outage whose incident is posted, and will be opened when Cachet has caught up.
async fn outage(release: Release) -> (World, Alert) {
    let mut world = World::set_up(release, DATABASE).await;
    world.settle().await;
    world.faults.on(POSTINGS.0, POSTINGS.1).times(1).later();
    let alert = world.fire("db:9100", "Database").await;
    let round = world.once().await;
    assert_eq!(round.failures.len(), 1, "{round:?}");
    (world, alert)
}

/// Cachet does now what it was asked to do, and is read again.
async fn cachet_catches_up(world: &mut World) {
    assert_eq!(world.faults.catch_up().await, 1);
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
}

async fn wait_until_it_is_posted_again(world: &mut World) {
    let due = world.once().await.revisit_at.expect("a moment to look again");
    world.pass(due.since(world.now()));
    world.settle().await;
}

/// The one incident that is open.
async fn open_incident(world: &World) -> IncidentId {
    let open = world.shown().await.open_incidents;
    assert_eq!(open.len(), 1, "{open:?}");
    open[0].id
}

async fn is_closed_by_hand(world: &World, incident: IncidentId) {
    world.says_by_hand(incident, IncidentStatus::Fixed, "Enough.").await;
}

async fn is_opened_by_hand(world: &World, incident: IncidentId) {
    world.says_by_hand(incident, IncidentStatus::Watching, "Wait.").await;
}

#[tokio::test]
async fn an_incident_is_not_posted_again_before_another_request_would_have_timed_out() {
    for release in Release::BOTH {
        let (mut world, _) = outage(release).await;
        let lost_at = world.now();
        let due = world.once().await.revisit_at.expect("a moment to look again");
        assert!(due >= lost_at.after(REQUEST_TIMEOUT), "{release:?}: {due:?} after {lost_at:?}");
        while world.now().after(Duration::from_secs(1)) < due {
            world.settle().await;
            assert_eq!(world.faults.count(POSTINGS.0, POSTINGS.1), 1, "{release:?}");
        }
        world.settle().await;
        assert_eq!((world.faults.count(POSTINGS.0, POSTINGS.1), world.incidents().await), (2, (1, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn the_wait_is_not_begun_anew_by_a_restart() {
    let (mut world, _) = outage(Release::Current).await;
    let due = world.once().await.revisit_at.expect("a moment to look again");
    world.restart();
    assert_eq!(world.once().await.revisit_at, Some(due));
}

#[tokio::test]
async fn an_incident_that_is_opened_while_it_is_waited_for_is_taken_for_what_it_is() {
    for release in Release::BOTH {
        let (mut world, alert) = outage(release).await;
        world.settle().await;
        cachet_catches_up(&mut world).await;
        assert_eq!((world.faults.count(POSTINGS.0, POSTINGS.1), world.incidents().await), (1, (1, 1)), "{release:?}");
        let ledger = world.store.ledger().await.expect("what was written");
        assert!(ledger.outages().all(|outage| outage.unanswered().is_empty()), "nothing is awaited any more");
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!(world.incidents().await, (0, 1), "{release:?}");
    }
}

/// It is found by the key of its outage, when it would be posted again; releases without meta list only what is open.
#[tokio::test]
async fn an_incident_that_comes_late_and_is_closed_by_a_person_before_it_is_seen_is_neither_posted_again_nor_awaited() {
    let (mut world, _) = outage(Release::Current).await;
    world.settle().await;
    assert_eq!(world.faults.catch_up().await, 1);
    let late = open_incident(&world).await;
    is_closed_by_hand(&world, late).await;
    wait_until_it_is_posted_again(&mut world).await;
    assert_eq!((world.faults.count(POSTINGS.0, POSTINGS.1), world.incidents().await), (1, (0, 1)));
    let ledger = world.store.ledger().await.expect("what was written");
    let lost: Vec<_> = ledger.outages().map(|outage| outage.unanswered().len()).collect();
    assert_eq!(lost, [0]);
}

#[tokio::test]
async fn an_incident_that_is_opened_after_it_was_posted_again_is_closed_and_the_other_one_stays() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let (mut world, alert) = outage(release).await;
            wait_until_it_is_posted_again(&mut world).await;
            let ours = open_incident(&world).await;
            if restart {
                world.restart();
            }
            assert_eq!(world.incidents().await, (1, 1), "{release:?}");
            cachet_catches_up(&mut world).await;
            assert_eq!((open_incident(&world).await, world.incidents().await), (ours, (1, 2)), "{release:?}");
            assert_eq!(world.open_by_the_snapshot().await, [ours], "{release:?}");
            assert_eq!(world.lines("[INCIDENT_CLOSED]").len(), 1, "{release:?}");
            assert_eq!(world.status("Database").await, 4, "{release:?}");
            world.resolve(&alert).await;
            world.settle().await;
            assert_eq!((world.status("Database").await, world.incidents().await.0), (1, 0), "{release:?}");
        }
    }
}

#[tokio::test]
async fn an_incident_that_is_opened_after_the_outage_is_closed() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let (mut world, alert) = outage(release).await;
            world.settle().await;
            world.resolve(&alert).await;
            wait_until_it_is_posted_again(&mut world).await;
            assert_eq!((world.faults.count(POSTINGS.0, POSTINGS.1), world.incidents().await), (1, (0, 0)));
            if restart {
                world.restart();
            }
            cachet_catches_up(&mut world).await;
            assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
        }
    }
}

#[tokio::test]
async fn an_outage_that_is_over_before_its_incident_was_found_waits_for_it() {
    for release in Release::BOTH {
        let (mut world, alert) = outage(release).await;
        world.resolve(&alert).await;
        let due = world.once().await.revisit_at.expect("a moment to look again");
        assert_eq!(world.faults.catch_up().await, 1);
        world.pass(due.since(world.now()));
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
    }
}

/// Cachet has said the last word on it, so nothing of it is to come.
#[tokio::test]
async fn an_incident_that_is_refused_is_posted_again_without_a_wait() {
    for release in Release::BOTH {
        for status in [401, 422, 429] {
            let mut world = World::set_up(release, DATABASE).await;
            world.settle().await;
            world.faults.on(POSTINGS.0, POSTINGS.1).times(1).answer(status);
            world.fire("db:9100", "Database").await;
            assert!(!world.once().await.is_complete(), "{release:?} {status}");
            assert!(world.once().await.is_complete(), "{release:?} {status}");
            let posted = world.faults.count(POSTINGS.0, POSTINGS.1);
            assert_eq!((posted, world.incidents().await), (2, (1, 1)), "{release:?} {status}");
        }
    }
}

#[tokio::test]
async fn a_look_that_is_refused_says_nothing_of_the_posting_that_was_looked_for() {
    for release in Release::BOTH {
        for reads in 1..=8 {
            let (mut world, _) = outage(release).await;
            world.faults.rate_limit(reads, Duration::from_secs(60));
            world.once().await;
            world.faults.heal();
            world.once().await;
            let context = format!("{release:?}, {reads} reads are answered");
            assert_eq!(world.faults.count(POSTINGS.0, POSTINGS.1), 1, "{context}: it is not posted again at once");
            wait_until_it_is_posted_again(&mut world).await;
            cachet_catches_up(&mut world).await;
            assert_eq!(world.incidents().await, (1, 2), "{context}: what was posted before is closed");
        }
    }
}

#[tokio::test]
async fn an_incident_that_turns_up_after_the_outage_is_closed_without_another_wait() {
    for release in Release::BOTH {
        let (mut world, alert) = outage(release).await;
        world.resolve(&alert).await;
        world.once().await;
        assert_eq!(world.faults.catch_up().await, 1);
        world.pass(world.settings.config.page.reconcile_interval);
        let round = world.once().await;
        assert!(round.revisit_at.is_none_or(|at| at == world.now()), "{release:?}: {round:?}");
        world.once().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn the_incident_of_the_next_outage_is_not_taken_for_a_late_one() {
    for release in Release::BOTH {
        let (mut world, alert) = outage(release).await;
        world.settle().await;
        world.resolve(&alert).await;
        wait_until_it_is_posted_again(&mut world).await;
        world.pass(Duration::from_secs(60));
        world.fire("db:9100", "Database").await;
        world.settle().await;
        let ours = open_incident(&world).await;
        cachet_catches_up(&mut world).await;
        assert_eq!((open_incident(&world).await, world.incidents().await), (ours, (1, 2)), "{release:?}");
    }
}

/// Somebody else was faster.
#[tokio::test]
async fn a_late_incident_that_is_removed_while_it_is_closed_is_no_failure() {
    let (mut world, _) = outage(Release::Current).await;
    wait_until_it_is_posted_again(&mut world).await;
    assert_eq!(world.faults.catch_up().await, 1);
    world.faults.on("PUT", "/api/incidents/*").times(1).answer(404);
    world.pass(world.settings.config.page.reconcile_interval);
    let round = world.once().await;
    assert!(round.is_complete() && round.failures.is_empty(), "{round:?}");
}

#[tokio::test]
async fn a_late_incident_that_a_person_opens_again_is_left_to_that_person() {
    for release in Release::BOTH {
        let (mut world, _) = outage(release).await;
        wait_until_it_is_posted_again(&mut world).await;
        let ours = open_incident(&world).await;
        cachet_catches_up(&mut world).await;
        let late = IncidentId(ours.0 + 1);
        is_opened_by_hand(&world, late).await;
        for _ in 0..3 {
            world.pass(world.settings.config.page.reconcile_interval);
            world.settle().await;
        }
        assert_eq!(world.incidents().await, (2, 2), "{release:?}");
    }
}

#[tokio::test]
async fn an_incident_of_ours_that_a_person_opens_after_the_outage_is_no_late_one() {
    for release in Release::BOTH {
        let (mut world, alert) = outage(release).await;
        wait_until_it_is_posted_again(&mut world).await;
        let ours = open_incident(&world).await;
        world.resolve(&alert).await;
        world.settle().await;
        is_opened_by_hand(&world, ours).await;
        cachet_catches_up(&mut world).await;
        assert_eq!((open_incident(&world).await, world.incidents().await), (ours, (1, 2)), "{release:?}");
    }
}

#[tokio::test]
async fn other_peoples_incidents_are_left_alone_whatever_was_lost() {
    for release in Release::BOTH {
        let (mut world, _) = outage(release).await;
        wait_until_it_is_posted_again(&mut world).await;
        // The very title, but not on the component.
        world.open_by_hand("Database is down").await;
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        assert_eq!(world.incidents().await, (2, 2), "{release:?}");
        cachet_catches_up(&mut world).await;
        assert_eq!(world.incidents().await, (2, 3), "{release:?}");
    }
}

#[tokio::test]
async fn a_late_incident_that_cannot_be_closed_is_closed_later() {
    for release in Release::BOTH {
        for fault in [500, 503] {
            let (mut world, _) = outage(release).await;
            wait_until_it_is_posted_again(&mut world).await;
            assert_eq!(world.faults.catch_up().await, 1);
            world.faults.on("PUT", "/api/incidents/*").times(1).answer(fault);
            world.pass(world.settings.config.page.reconcile_interval);
            assert!(!world.once().await.is_complete(), "{release:?}, {fault}");
            world.settle_within(2).await;
            assert_eq!(world.incidents().await, (1, 2), "{release:?}, {fault}");
        }
    }
}

/// A person's word stays until our own view changes: a recovery and a relapse are two changes of it.
#[tokio::test]
async fn an_incident_that_a_person_closed_in_an_outage_is_opened_again_by_a_relapse_and_not_before() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let mut world = World::set_up(release, DATABASE).await;
            world.settings.config.incidents.reopen_within = Duration::from_secs(600);
            world.restart();
            let alert = world.fire("db:9100", "Database").await;
            world.settle().await;
            let incident = open_incident(&world).await;
            is_closed_by_hand(&world, incident).await;
            for _ in 0..3 {
                world.pass(world.settings.config.page.reconcile_interval);
                world.settle().await;
            }
            assert_eq!(world.incidents().await, (0, 1), "{release:?}");
            world.resolve(&alert).await;
            world.settle().await;
            if restart {
                world.restart();
            }
            world.pass(Duration::from_secs(60));
            world.fire("db:9100", "Database").await;
            world.settle().await;
            assert_eq!((open_incident(&world).await, world.incidents().await), (incident, (1, 1)), "{release:?}");
            let closed = "[INCIDENT_CLOSED] component=\"Database\" incident=1 reason=\"closed by a person\"";
            assert_eq!(world.lines("[INCIDENT_CLOSED]"), [closed], "{release:?}");
            assert_eq!(world.lines("[INCIDENT_REOPENED]").len(), 1, "{release:?}");
        }
    }
}

#[tokio::test]
async fn a_relapse_within_the_wait_for_a_recovery_does_not_undo_that_a_person_closed_the_incident() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, DATABASE).await;
        world.settings.config.incidents.recovery_hold = Duration::from_secs(120);
        world.settings.config.incidents.reopen_within = Duration::from_secs(600);
        world.restart();
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        is_closed_by_hand(&world, open_incident(&world).await).await;
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        world.resolve(&alert).await;
        world.settle().await;
        world.pass(Duration::from_secs(30));
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (0, 1)), "{release:?}");
    }
}
