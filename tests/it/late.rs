//! What else is true of writes that are carried out late or looked up: of the lookup and the undoing themselves, and of what a
//! person closed. The situations themselves are in `doubts.rs`.

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::core::ledger::CARRIED_OUT_WITHIN;
use alertmanager_cachet::core::observed::IncidentId;
use alertmanager_cachet::core::status::IncidentStatus;
use alertmanager_cachet::reconcile::Reconciler;
use fake_cachet::Release;
use tokio_util::sync::CancellationToken;

use crate::support::doubt::{
    CREATE, DATABASE, UPDATE, catches_up, fails, is_at_rest, is_looked_up, late_lines, loses, loses_status,
    lost_create, open, page, page_of, path_of, unanswered,
};
use crate::support::log;
use crate::support::world::{World, in_force};

async fn is_closed_by_hand(world: &World, incident: IncidentId) {
    world.says_by_hand(incident, IncidentStatus::Fixed, "Enough.").await;
}

/// It is found by the key of its outage, when it would be posted again; releases without meta list only what is open.
#[tokio::test]
async fn an_incident_that_comes_late_and_is_closed_by_a_person_before_it_is_seen_is_neither_posted_again_nor_awaited() {
    let (mut world, _) = lost_create(Release::Current).await;
    world.settle().await;
    assert_eq!(world.faults.catch_up().await, 1);
    let late = open(&world).await[0];
    is_closed_by_hand(&world, late).await;
    is_looked_up(&mut world).await;
    assert_eq!((world.faults.count(CREATE.0, CREATE.1), world.incidents().await), (1, (0, 1)));
    assert_eq!(unanswered(&world).await, 0);
}

#[tokio::test]
async fn a_look_that_is_refused_says_nothing_of_the_posting_that_was_looked_for() {
    for release in Release::BOTH {
        for reads in 1..=8 {
            let (mut world, _) = lost_create(release).await;
            world.faults.rate_limit(reads, Duration::from_secs(60));
            world.once().await;
            world.faults.heal();
            world.once().await;
            let context = format!("{release:?}, {reads} reads are answered");
            assert_eq!(world.faults.count(CREATE.0, CREATE.1), 1, "{context}: it is not posted again at once");
            is_looked_up(&mut world).await;
            catches_up(&mut world, 1).await;
            assert_eq!(world.incidents().await, (1, 2), "{context}: what was posted before is closed");
        }
    }
}

/// Somebody else was faster.
#[tokio::test]
async fn a_late_incident_that_is_removed_while_it_is_closed_is_no_failure() {
    let (mut world, _) = lost_create(Release::Current).await;
    is_looked_up(&mut world).await;
    assert_eq!(world.faults.catch_up().await, 1);
    world.faults.on("PUT", "/api/incidents/*").times(1).answer(404);
    world.pass(world.settings.config.page.reconcile_interval);
    let round = world.once().await;
    assert!(round.is_complete() && round.failures.is_empty(), "{round:?}");
}

#[tokio::test]
async fn a_late_incident_that_cannot_be_closed_is_closed_later() {
    for release in Release::BOTH {
        for fault in [500, 503] {
            let (mut world, _) = lost_create(release).await;
            is_looked_up(&mut world).await;
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
            let incident = open(&world).await[0];
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
            assert_eq!((open(&world).await[0], world.incidents().await), (incident, (1, 1)), "{release:?}");
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
        is_closed_by_hand(&world, open(&world).await[0]).await;
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

#[tokio::test]
async fn what_is_written_over_a_late_status_may_itself_be_lost_and_comes_all_the_same() {
    for restart in [false, true] {
        let mut world = page(Release::Current).await;
        loses_status(&world, "Database").await;
        let alert = world.fire("db:9100", "Database").await;
        fails(&mut world).await;
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!(world.faults.catch_up().await, 1);
        let path = path_of(&world, "Database").await;
        world.faults.on("PUT", &path).times(1).cut_before();
        world.faults.on("PUT", &path).times(1).answer(503);
        world.pass(world.settings.config.page.reconcile_interval);
        fails(&mut world).await;
        fails(&mut world).await;
        if restart {
            world.restart();
        }
        world.settle().await;
        assert_eq!((world.status("Database").await, late_lines(&world).len()), (1, 1));
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn what_comes_late_while_cachet_cannot_be_read_is_undone_however_long_that_takes() {
    let mut world = page(Release::Current).await;
    loses_status(&world, "Database").await;
    let alert = world.fire("db:9100", "Database").await;
    fails(&mut world).await;
    world.resolve(&alert).await;
    world.settle().await;
    assert_eq!(world.faults.catch_up().await, 1);
    world.faults.on("GET", "/api/components").times(2).cut_before();
    for _ in 0..2 {
        world.pass(CARRIED_OUT_WITHIN);
        fails(&mut world).await;
    }
    world.settle().await;
    assert_eq!(world.status("Database").await, 1);
    is_at_rest(&mut world).await;
}

#[tokio::test]
async fn a_write_that_was_refused_will_not_come_and_one_that_was_killed_may() {
    let mut world = page(Release::Current).await;
    world.fire("db:9100", "Database").await;
    let path = path_of(&world, "Database").await;
    for status in [500, 503, 429, 401] {
        world.faults.on("PUT", &path).times(1).answer(status);
        fails(&mut world).await;
        assert_eq!(unanswered(&world).await, 0, "{status}");
    }
    let faults = world.faults.clone();
    faults.forget_calls();
    faults.on("PUT", &path).hang();
    tokio::select! {
        round = world.once() => panic!("it hangs, and ended: {round:?}"),
        () = faults.seen(1, "PUT", &path) => {}
    }
    world.restart();
    faults.heal();
    world.settle().await;
    assert_eq!((world.status("Database").await, unanswered(&world).await), (4, 1));
}

#[tokio::test]
async fn a_write_that_a_stop_keeps_from_being_sent_will_not_come() {
    let instances = ["a:1", "b:1", "c:1", "d:1", "e:1", "f:1", "g:1", "h:1"];
    let targets = instances.map(|instance| (instance, "Database", false));
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    for instance in instances {
        world.fire(instance, "Database").await;
    }
    let stop = CancellationToken::new();
    let (store, cachet, settings) = (world.store.clone(), world.cachet().clone(), in_force(world.settings.clone()));
    let mut server = Reconciler::new(store, Arc::new(cachet), settings, world.clock(), log::kept().0, stop.clone());
    let path = path_of(&world, "a:1 | Database").await;
    world.faults.forget_calls();
    // As long as it takes for the stop to come while the first ones are under way.
    world.faults.latency(Duration::from_millis(20));
    let stopped = async {
        world.faults.seen(1, "PUT", &path).await;
        stop.cancel();
    };
    tokio::join!(server.once(), stopped);
    let mut unsent = 0;
    for instance in instances {
        let path = path_of(&world, &format!("{instance} | Database")).await;
        unsent += usize::from(world.faults.count("PUT", &path) == 0);
    }
    assert!(unsent > 0, "some were kept from being sent: {:?}", world.faults.calls());
    assert_eq!(unanswered(&world).await, 0);
}

/// What Cachet lists as open says nothing of one that it does not list.
#[tokio::test]
async fn an_incident_that_is_opened_again_late_is_noticed_beside_an_open_one() {
    for release in Release::BOTH {
        let mut world = page_of(release, &[DATABASE[0], ("web:9100", "Web", true)]).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        world.resolve(&alert).await;
        world.settle().await;
        loses(&world, UPDATE);
        let alert = world.fire("db:9100", "Database").await;
        fails(&mut world).await;
        world.resolve(&alert).await;
        world.fire("web:9100", "Web").await;
        world.settle().await;
        catches_up(&mut world, 1).await;
        assert_eq!((world.status("Database").await, world.status("Web").await), (1, 4), "{release:?}");
        assert_eq!(world.incidents().await, (1, 2), "{release:?}");
        let web = world.shown().await.open_incidents[0].id;
        assert_eq!(world.open_by_the_snapshot().await, [web], "{release:?}");
        is_at_rest(&mut world).await;
    }
}
