//! Announced maintenance: no incident is opened while it lasts, and what is still wrong when it is over is opened then.

use std::time::Duration;

use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const TARGETS: &[TargetSpec<'_>] = &[("web:9100", "Web", false), ("db:9100", "Database", true)];

const MINUTE: Duration = Duration::from_secs(60);

/// So long that nobody waits for its end.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

const NOW: Duration = Duration::ZERO;

/// Goes as often as it would by itself until `span` is over, and says how often Cachet was asked for maintenance.
async fn go_on(world: &mut World, span: Duration) -> usize {
    let end = world.now().after(span);
    world.faults.forget_calls();
    while world.now() < end {
        let round = world.once().await;
        assert!(round.is_complete(), "{round:?}");
        let next = round.revisit_at.unwrap_or(end).min(world.now().after(MINUTE)).min(end);
        world.pass(next.since(world.now()));
    }
    world.settle().await;
    world.faults.calls().iter().filter(|call| *call == "GET /api/schedules").count()
}

#[tokio::test]
async fn what_is_down_during_maintenance_has_its_status_and_gets_its_incident_when_that_is_over() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, TARGETS).await;
        world.maintain("New switch", &["Database"], NOW, Duration::from_secs(3600)).await;
        let over_at = world.now().after(Duration::from_secs(3600));
        world.settle().await;
        let (web, _) = (world.fire("web:9100", "Web").await, world.fire("db:9100", "Database").await);
        world.settle().await;
        assert_eq!((world.status("Web").await, world.status("Database").await), (4, 4), "{release:?}");
        assert_eq!(world.incidents().await, (1, 1), "{release:?}: others are not maintained");
        assert_eq!(
            world.lines("[INCIDENT_HELD_BACK]"),
            [r#"[INCIDENT_HELD_BACK] component="Database" maintenance="New switch""#],
        );
        world.resolve(&web).await;
        let left = over_at.since(world.now()) - Duration::from_secs(5);
        let asked = go_on(&mut world, left).await;
        assert!(asked <= 70, "{release:?}: as often as Cachet is read, and at quarters: {asked} times");
        assert_eq!(world.incidents().await, (0, 1), "{release:?}");
        go_on(&mut world, Duration::from_secs(10)).await;
        assert_eq!((world.incidents().await, world.status("Database").await), ((1, 2), 4), "{release:?}");
        assert_eq!(world.lines("[INCIDENT_HELD_BACK]").len(), 1, "{release:?}: it was said once");
        let opened = &world.lines("[INCIDENT_OPENED] component=\"Database\"")[0];
        assert!(opened.contains("occurred_at=2026-11-21T02:00:01Z"), "{opened}: since its alert fires");
    }
}

#[tokio::test]
async fn the_incident_is_opened_within_a_second_or_two_of_the_end() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.maintain("New switch", &["Database"], NOW, Duration::from_secs(600)).await;
    let over_at = world.now().after(Duration::from_secs(600));
    world.fire("db:9100", "Database").await;
    world.settle().await;
    let round = world.once().await;
    let due = round.revisit_at.expect("a moment to ask again");
    assert_eq!(due.since(over_at), Duration::from_secs(1));
    // nothing but this is asked then
    world.pass(due.since(world.now()) - Duration::from_secs(1) - MINUTE / 2);
    world.settle().await;
    world.faults.forget_calls();
    world.pass(due.since(world.now()) - Duration::from_secs(1));
    world.settle().await;
    assert_eq!(world.faults.calls(), ["GET /api/schedules", "POST /api/incidents"]);
}

#[tokio::test]
async fn a_maintenance_is_respected_from_its_first_second_and_one_that_was_announced_just_now_as_well() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, TARGETS).await;
        world.maintain("In twenty seconds", &["Web"], Duration::from_secs(20), LONG).await;
        world.settle().await;
        world.pass(Duration::from_secs(20));
        world.maintain("Announced in a hurry", &["Database"], NOW, LONG).await;
        world.faults.forget_calls();
        world.fire("web:9100", "Web").await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!(world.incidents().await, (0, 0), "{release:?}");
        assert_eq!(world.lines("[INCIDENT_HELD_BACK]").len(), 2, "{release:?}");
        let calls = world.faults.calls();
        assert!(!calls.contains(&"GET /api/components".to_owned()), "{release:?}: no whole reading: {calls:?}");
    }
}

/// Cachet is asked for it before an incident is opened, and before no other write.
#[tokio::test]
async fn a_maintenance_that_is_announced_while_only_an_incident_is_left_to_write_is_respected() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    let asked = |world: &World| world.faults.calls().iter().filter(|call| *call == "GET /api/schedules").count();
    let web = world.fire("web:9100", "Web").await;
    world.settle().await;
    world.faults.forget_calls();
    world.resolve(&web).await;
    world.settle().await;
    assert_eq!((world.incidents().await, asked(&world)), ((0, 1), 0));

    world.faults.on("POST", "/api/incidents").times(1).answer(422);
    world.fire("db:9100", "Database").await;
    assert!(!world.once().await.is_complete());
    assert_eq!((world.status("Database").await, asked(&world)), (4, 1));
    world.maintain("Announced in a hurry", &["Database"], NOW, LONG).await;
    world.settle().await;
    assert_eq!((world.incidents().await, asked(&world)), ((0, 1), 2));
}

#[tokio::test]
async fn an_outage_before_an_announced_maintenance_has_its_incident_as_ever() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.maintain("Tomorrow", &["Database"], Duration::from_secs(24 * 3600), LONG).await;
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    assert_eq!(world.incidents().await, (1, 1));
    go_on(&mut world, Duration::from_secs(24 * 3600 + 60)).await;
    assert_eq!(world.incidents().await, (1, 1), "it is open, and stays so");
    world.resolve(&alert).await;
    world.settle().await;
    assert_eq!((world.incidents().await, world.lines("[INCIDENT_HELD_BACK]").len()), ((0, 1), 0));
}

#[tokio::test]
async fn a_maintenance_that_somebody_ends_early_is_over_at_the_next_reading() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, TARGETS).await;
        let id = world.maintain("New switch", &["Database"], NOW, LONG).await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        world.restart();
        world.settle().await;
        assert_eq!(world.incidents().await, (0, 0), "{release:?}, nor after a restart");
        world.end_maintenance(id).await;
        go_on(&mut world, MINUTE).await;
        assert_eq!(world.incidents().await, (1, 1), "{release:?}");
    }
}

#[tokio::test]
async fn a_relapse_during_maintenance_waits_and_then_opens_the_same_incident_again() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.settings.config.incidents.reopen_within = Duration::from_secs(600);
    world.restart();
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.resolve(&alert).await;
    world.settle().await;
    world.maintain("New switch", &["Database"], NOW, Duration::from_secs(120)).await;
    world.pass(Duration::from_secs(5));
    world.fire("db:9100", "Database").await;
    world.settle().await;
    assert_eq!(world.incidents().await, (0, 1));
    go_on(&mut world, Duration::from_secs(130)).await;
    assert_eq!((world.incidents().await, world.lines("[INCIDENT_REOPENED]").len()), ((1, 1), 1));
}

#[tokio::test]
async fn an_incident_whose_answer_was_lost_before_the_maintenance_is_one_incident_after_it() {
    for release in Release::BOTH {
        for arrives in [true, false] {
            let mut world = World::set_up(release, TARGETS).await;
            world.settle().await;
            let rule = world.faults.on("POST", "/api/incidents").times(1);
            if arrives {
                rule.cut_after()
            } else {
                rule.cut_before()
            }
            world.fire("db:9100", "Database").await;
            world.once().await;
            let id = world.maintain("New switch", &["Database"], NOW, LONG).await;
            world.settle_within(3).await;
            let during = usize::from(arrives);
            assert_eq!(world.incidents().await, (during, during), "{release:?}, arrives: {arrives}");
            world.end_maintenance(id).await;
            world.pass(MINUTE);
            world.settle_within(1).await;
            assert_eq!(world.incidents().await, (1, 1), "{release:?}, arrives: {arrives}");
        }
    }
}

#[tokio::test]
async fn a_cachet_that_does_not_tell_of_maintenance_is_kept_as_if_there_were_none() {
    for status in [403, 404, 500, 503] {
        let mut world = World::set_up(Release::Current, TARGETS).await;
        world.maintain("New switch", &["Database"], NOW, LONG).await;
        world.faults.on("GET", "/api/schedules").answer(status);
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{status}");
        assert_eq!(world.status("db:9100 | Database").await, 4, "{status}");
    }
}

#[tokio::test]
async fn one_lost_answer_does_not_end_a_maintenance_and_five_minutes_of_them_do() {
    for cut in [true, false] {
        let mut world = World::set_up(Release::Current, TARGETS).await;
        world.maintain("New switch", &["Database"], NOW, LONG).await;
        world.settle().await;
        let rule = world.faults.on("GET", "/api/schedules");
        if cut {
            rule.cut_before()
        } else {
            rule.answer_html(502)
        }
        world.fire("db:9100", "Database").await;
        go_on(&mut world, 4 * MINUTE).await;
        assert_eq!(world.incidents().await, (0, 0));
        go_on(&mut world, 2 * MINUTE).await;
        assert_eq!(world.incidents().await, (1, 1));
        world.faults.heal();
        go_on(&mut world, 2 * MINUTE).await;
        assert_eq!(world.incidents().await, (1, 1), "what is open stays open");
    }
}

#[tokio::test]
async fn nothing_is_written_while_maintenance_holds_an_incident_back() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.maintain("New switch", &["Database"], NOW, Duration::from_secs(2 * 3600)).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    go_on(&mut world, Duration::from_secs(3600)).await;
    assert_eq!(world.writes(), 0, "{:?}", world.faults.calls());
    // what `explain` is made from is in the store
    let (observed, _) = world.store.observed().await.expect("read").expect("kept");
    assert_eq!(observed.maintenance.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["New switch"]);
}
