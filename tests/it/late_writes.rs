//! What Cachet writes long after we gave up on it, over something newer, must not stay on the page, nor pass for a
//! person's word.

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::core::ledger::CARRIED_OUT_WITHIN;
use alertmanager_cachet::core::observed::{ComponentUpdate, IncidentId};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::status_page::PageWrite;
use alertmanager_cachet::reconcile::Reconciler;
use fake_cachet::Release;
use tokio_util::sync::CancellationToken;

use crate::support::log;
use crate::support::world::{TargetSpec, World, in_force};

const DATABASE: &[TargetSpec<'_>] = &[("db:9100", "Database", true)];
const TARGET: &str = "db:9100 | Database";

/// The two calls that bring an incident further.
const UPDATE: (&str, &str) = ("POST", "/api/incidents/*/updates");
const INCIDENT: (&str, &str) = ("PUT", "/api/incidents/*");

async fn quiet_page(release: Release) -> World {
    quiet_page_of(release, DATABASE).await
}

async fn quiet_page_of(release: Release, targets: &[TargetSpec<'_>]) -> World {
    let mut world = World::set_up(release, targets).await;
    world.settings.config.incidents.reopen_within = Duration::from_secs(600);
    world.restart();
    world.settle().await;
    world
}

/// The call that writes to a component. That of no component checks the token.
async fn path_of(world: &World, component: &str) -> String {
    let shown = world.shown().await;
    let found = shown.components.iter().find(|found| found.name == component).expect("there");
    format!("/api/components/{}", found.id.0)
}

/// The next write to the component gets no answer and is carried out when Cachet catches up.
async fn loses_status(world: &World, component: &str) {
    world.faults.on("PUT", &path_of(world, component).await).times(1).later();
}

/// The same of a call about an incident.
fn loses(world: &World, (method, path): (&str, &str)) {
    world.faults.on(method, path).times(1).later();
}

/// One go in which something got no answer.
async fn fails(world: &mut World) {
    let round = world.once().await;
    assert!(!round.is_complete(), "{round:?}");
}

/// Cachet is read again, and everything is done that this asks for.
async fn is_read_again(world: &mut World) {
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
}

async fn catches_up(world: &mut World, calls: usize) {
    assert_eq!(world.faults.catch_up().await, calls);
    is_read_again(world).await;
}

/// Nobody is accused, nothing is left to do, and nothing is expected any more.
async fn is_at_rest(world: &mut World) {
    assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    let closed_by_people = world.lines("[INCIDENT_CLOSED]").into_iter().filter(|line| line.contains("person"));
    assert_eq!(closed_by_people.count(), 0);
    assert_eq!(unanswered(world).await, 0);
    world.faults.forget_calls();
    is_read_again(world).await;
    assert_eq!(world.writes(), 0, "{:?}", world.faults.calls());
}

async fn sets(world: &World, status: ComponentStatus) {
    let shown = world.shown().await;
    let found = shown.components.iter().find(|found| found.name == "Database").expect("there");
    let update = ComponentUpdate { status: Some(status), enabled: true, description: None, group: None };
    world.by_hand(PageWrite::UpdateComponent(found.id, update)).await;
}

fn late_lines(world: &World) -> Vec<String> {
    let lines = world.log.lines().into_iter();
    lines
        .filter(|line| ["carried out late", "closed late", "opened late"].iter().any(|late| line.contains(late)))
        .collect()
}

#[tokio::test]
async fn a_red_that_comes_after_the_recovery_does_not_stay() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let mut world = quiet_page(release).await;
            loses_status(&world, "Database").await;
            let alert = world.fire("db:9100", "Database").await;
            fails(&mut world).await;
            world.resolve(&alert).await;
            world.settle().await;
            assert_eq!((world.status("Database").await, world.incidents().await.0), (1, 0), "{release:?}");
            if restart {
                world.restart();
            }
            catches_up(&mut world, 1).await;
            assert_eq!(world.status("Database").await, 1, "{release:?}");
            let said = "[COMPONENT_STATUS_CHANGE] component=\"Database\" old_status=4 (Outage) new_status=1 \
                        (Operational) reason=\"carried out late\"";
            assert_eq!(late_lines(&world), [said], "{release:?}");
            is_at_rest(&mut world).await;
        }
    }
}

#[tokio::test]
async fn a_green_that_comes_after_a_relapse_does_not_stay() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let mut world = quiet_page(release).await;
            let alert = world.fire("db:9100", "Database").await;
            world.settle().await;
            loses_status(&world, "Database").await;
            world.resolve(&alert).await;
            fails(&mut world).await;
            world.fire("db:9100", "Database").await;
            world.settle().await;
            if restart {
                world.restart();
            }
            catches_up(&mut world, 1).await;
            assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{release:?}");
            assert_eq!(late_lines(&world).len(), 1, "{release:?}");
            is_at_rest(&mut world).await;
        }
    }
}

#[tokio::test]
async fn a_status_that_was_sent_again_and_answered_may_still_come_late_with_that_of_the_target() {
    for release in Release::BOTH {
        let mut world = quiet_page(release).await;
        loses_status(&world, "Database").await;
        loses_status(&world, TARGET).await;
        let alert = world.fire("db:9100", "Database").await;
        fails(&mut world).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.status(TARGET).await), (4, 4), "{release:?}");
        world.resolve(&alert).await;
        world.settle().await;
        catches_up(&mut world, 2).await;
        assert_eq!((world.status("Database").await, world.status(TARGET).await), (1, 1), "{release:?}");
        let shown = world.shown().await;
        let target = shown.components.iter().find(|found| found.name == TARGET).expect("there");
        assert_eq!((target.description.as_deref(), target.enabled), (Some("critical: yes\nno alerts"), false));
        assert_eq!(late_lines(&world).len(), 2, "{release:?}");
        is_at_rest(&mut world).await;
    }
}

#[tokio::test]
async fn what_is_written_over_a_late_status_may_itself_be_lost_and_comes_all_the_same() {
    for restart in [false, true] {
        let mut world = quiet_page(Release::Current).await;
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

/// How many writes are remembered that got no answer.
async fn unanswered(world: &World) -> usize {
    let ledger = world.store.ledger().await.expect("what was written");
    let of_components = ledger.rows().map(|(_, row)| row.unanswered.len()).sum::<usize>();
    of_components + ledger.outages().map(|outage| outage.unanswered().len()).sum::<usize>()
}

/// A write whose answer was lost, and which never comes.
async fn red_that_never_comes() -> World {
    let mut world = quiet_page(Release::Current).await;
    world.faults.on("PUT", &path_of(&world, "Database").await).times(1).cut_before();
    let alert = world.fire("db:9100", "Database").await;
    fails(&mut world).await;
    world.resolve(&alert).await;
    world.settle().await;
    world
}

#[tokio::test]
async fn a_person_who_says_the_same_within_the_hour_has_to_say_it_twice() {
    let mut world = red_that_never_comes().await;
    for (shown, accused) in [(1, 0), (4, 1), (4, 1)] {
        sets(&world, ComponentStatus::MajorOutage).await;
        is_read_again(&mut world).await;
        assert_eq!((world.status("Database").await, world.lines("[MANUAL_OVERRIDE]").len()), (shown, accused));
    }
}

#[tokio::test]
async fn a_person_who_says_something_else_or_says_it_later_is_respected_at_once() {
    for (wait, status) in
        [(Duration::ZERO, ComponentStatus::PerformanceIssues), (CARRIED_OUT_WITHIN, ComponentStatus::MajorOutage)]
    {
        let mut world = red_that_never_comes().await;
        world.pass(wait);
        is_read_again(&mut world).await;
        sets(&world, status).await;
        is_read_again(&mut world).await;
        assert_eq!(world.status("Database").await, status.value());
        assert_eq!(world.lines("[MANUAL_OVERRIDE]").len(), 1);
    }
}

#[tokio::test]
async fn what_comes_late_while_cachet_cannot_be_read_is_undone_however_long_that_takes() {
    let mut world = quiet_page(Release::Current).await;
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
    let mut world = quiet_page(Release::Current).await;
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

#[tokio::test]
async fn a_closing_that_comes_after_the_incident_was_opened_again_is_undone() {
    for release in Release::BOTH {
        for lost in [UPDATE, INCIDENT] {
            for restart in [false, true] {
                let mut world = quiet_page(release).await;
                let alert = world.fire("db:9100", "Database").await;
                world.settle().await;
                loses(&world, lost);
                world.resolve(&alert).await;
                fails(&mut world).await;
                world.settle().await;
                assert_eq!(world.incidents().await, (0, 1), "{release:?}, {lost:?}");
                world.fire("db:9100", "Database").await;
                world.settle().await;
                assert_eq!(world.incidents().await, (1, 1), "{release:?}, {lost:?}");
                if restart {
                    world.restart();
                }
                catches_up(&mut world, 1).await;
                assert_eq!(world.incidents().await, (1, 1), "{release:?}, {lost:?}");
                assert_eq!(
                    late_lines(&world),
                    ["[INCIDENT_REOPENED] component=\"Database\" incident=1 reason=\"closed late\""],
                    "{release:?}, {lost:?}"
                );
                is_at_rest(&mut world).await;
            }
        }
    }
}

#[tokio::test]
async fn a_person_may_close_what_was_opened_again_and_remove_it() {
    for removes in [false, true] {
        let mut world = quiet_page(Release::Current).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        loses(&world, UPDATE);
        world.resolve(&alert).await;
        fails(&mut world).await;
        world.settle().await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        if removes {
            world.remove_incident(IncidentId(1)).await;
        } else {
            catches_up(&mut world, 1).await;
            world.by_hand(PageWrite::SetIncidentStatus(IncidentId(1), IncidentStatus::Fixed)).await;
        }
        for _ in 0..2 {
            is_read_again(&mut world).await;
        }
        assert!(world.shown().await.open_incidents.is_empty(), "removes: {removes}");
    }
}

#[tokio::test]
async fn an_incident_that_is_opened_again_after_the_relapse_is_over_is_closed() {
    for release in Release::BOTH {
        for remembered in [true, false] {
            let mut world = quiet_page(release).await;
            let alert = world.fire("db:9100", "Database").await;
            world.settle().await;
            world.resolve(&alert).await;
            world.settle().await;
            loses(&world, UPDATE);
            let alert = world.fire("db:9100", "Database").await;
            fails(&mut world).await;
            world.resolve(&alert).await;
            world.settle().await;
            if !remembered {
                world.pass(world.settings.config.incidents.reopen_within);
                world.settle().await;
                world.restart();
            }
            catches_up(&mut world, 1).await;
            assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{release:?}");
            assert_eq!(
                late_lines(&world),
                ["[INCIDENT_CLOSED] component=\"Database\" incident=1 reason=\"opened late\""],
                "{release:?}"
            );
            is_at_rest(&mut world).await;
        }
    }
}

/// What Cachet lists as open says nothing of one that it does not list.
#[tokio::test]
async fn an_incident_that_is_opened_again_late_is_noticed_beside_an_open_one() {
    for release in Release::BOTH {
        let mut world = quiet_page_of(release, &[DATABASE[0], ("web:9100", "Web", true)]).await;
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
