//! The reconciler against a Cachet of either release, when all is well and when it is not.

use std::time::Duration;

use alertmanager_cachet::core::observed::ComponentUpdate;
use alertmanager_cachet::core::rules::{CloseIncidentWhen, Drift};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::status_page::PageWrite;
use alertmanager_cachet::reconcile::{Blocked, RunReport};
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

async fn set_status(world: &World, name: &str, status: ComponentStatus) {
    let shown = world.shown().await;
    let component = shown.components.iter().find(|component| component.name == name).expect("a component");
    let update = ComponentUpdate { status: Some(status), enabled: component.enabled, description: None, group: None };
    world.by_hand(PageWrite::UpdateComponent(component.id, update)).await;
}

#[tokio::test]
async fn an_outage_comes_and_goes_with_one_incident() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        let first = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.status("web-1:9100 | Web").await), (3, 4), "{release:?}");
        assert_eq!(world.incidents().await, (0, 0));
        let second = world.fire("web-2:9100", "Web").await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.incidents().await), (4, (1, 1)), "{release:?}");
        world.resolve(&first).await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.incidents().await), (3, (0, 1)), "{release:?}");
        world.resolve(&second).await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.status("web-1:9100 | Web").await), (1, 1), "{release:?}");
        assert_eq!(
            world.lines("[COMPONENT_STATUS_CHANGE] component=\"Web\""),
            [
                "[COMPONENT_STATUS_CHANGE] component=\"Web\" old_status=1 (Operational) new_status=3 (Partial Outage)",
                "[COMPONENT_STATUS_CHANGE] component=\"Web\" old_status=3 (Partial Outage) new_status=4 (Outage)",
                "[COMPONENT_STATUS_CHANGE] component=\"Web\" old_status=4 (Outage) new_status=3 (Partial Outage)",
                "[COMPONENT_STATUS_CHANGE] component=\"Web\" old_status=3 (Partial Outage) new_status=1 (Operational)",
            ]
        );
        assert_eq!((world.lines("[INCIDENT_OPENED]").len(), world.lines("[INCIDENT_CLOSED]").len()), (1, 1));
    }
}

#[tokio::test]
async fn nothing_is_written_while_nothing_changes() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        world.faults.forget_calls();
        for _ in 0..3 {
            world.pass(Duration::from_secs(120));
            world.tell(&alert).await;
            world.settle().await;
        }
        assert_eq!(world.writes(), 0, "{release:?}: {:?}", world.faults.calls());
        world.restart();
        world.settle().await;
        assert_eq!(world.writes(), 0, "{release:?} after a restart: {:?}", world.faults.calls());
    }
}

#[tokio::test]
async fn the_targets_stay_hidden_whatever_is_written_of_them() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let alert = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        world.resolve(&alert).await;
        world.settle().await;
        let shown = world.shown().await;
        let visible: Vec<&str> =
            shown.components.iter().filter(|component| component.enabled).map(|c| c.name.as_str()).collect();
        assert_eq!(visible, ["Database", "Web"], "{release:?}");
    }
}

#[tokio::test]
async fn a_recovery_and_an_outage_between_two_goes_leave_the_page_as_the_alerts_say() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let alert = world.fire("db:9100", "Database").await;
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 0)), "{release:?}");
        world.pass(Duration::from_secs(1));
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn a_held_firing_turns_the_page_red_when_it_stood_long_enough() {
    let mut world = World::set_up(Release::Current, WEB).await;
    let alert = world.fire("db:9100", "Database").await;
    world.resolve(&alert).await;
    world.tell(&alert).await;
    let round = world.once().await;
    assert_eq!(world.status("Database").await, 1);
    let due = round.revisit_at.expect("a moment to look again");
    world.pass(due.since(world.now()));
    world.settle().await;
    assert_eq!(world.status("Database").await, 4);
}

#[tokio::test]
async fn news_between_a_lost_answer_and_the_next_run_does_not_leave_the_page_red() {
    for release in Release::BOTH {
        for (method, path) in [("PUT", "/api/components/*"), ("POST", "/api/incidents")] {
            let mut world = World::set_up(release, WEB).await;
            world.settle().await;
            world.faults.on(method, path).times(1).cut_after();
            let alert = world.fire("db:9100", "Database").await;
            world.once().await;
            world.resolve(&alert).await;
            world.settle_within(4).await;
            let context = format!("{release:?}, {method} {path}");
            assert_eq!((world.status("Database").await, world.incidents().await.0), (1, 0), "{context}");
            assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0], "{context}");
        }
    }
}

#[tokio::test]
async fn a_lost_target_component_is_found_by_its_name_and_not_made_twice() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        world.faults.on("POST", "/api/components").times(1).cut_after();
        world.fire("new:9100", "Web").await;
        world.once().await;
        world.settle_within(3).await;
        let shown = world.shown().await;
        let made = shown.components.iter().filter(|component| component.name == "new:9100 | Web").count();
        assert_eq!((made, world.status("new:9100 | Web").await), (1, 4), "{release:?}");
    }
}

#[tokio::test]
async fn a_target_component_that_setup_made_since_cachet_was_read_is_not_made_twice() {
    for release in Release::BOTH {
        let mut world = World::empty(release, WEB).await;
        world.settle().await;
        world.run_setup().await;
        world.fire("web-1:9100", "Web").await;
        world.settle().await;
        let shown = world.shown().await;
        let made = shown.components.iter().filter(|component| component.name == "web-1:9100 | Web").count();
        assert_eq!((made, world.status("web-1:9100 | Web").await), (1, 4), "{release:?}");
    }
}

#[tokio::test]
async fn a_lost_target_component_whose_alert_has_ended_meanwhile_is_not_left_red() {
    for release in Release::BOTH {
        for restart in [false, true] {
            let mut world = World::set_up(release, WEB).await;
            world.settle().await;
            world.faults.on("POST", "/api/components").times(1).cut_after();
            let alert = world.fire("new:9100", "Web").await;
            world.once().await;
            world.resolve(&alert).await;
            if restart {
                world.restart();
            }
            world.settle_within(3).await;
            assert_eq!(world.status("new:9100 | Web").await, 1, "{release:?}, restart {restart}");
        }
    }
}

#[tokio::test]
async fn one_component_that_cannot_be_written_does_not_hold_up_the_others() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    let shown = world.shown().await;
    let database = shown.components.iter().find(|component| component.name == "Database").expect("Database");
    world.faults.on("PUT", &format!("/api/components/{}", database.id.0)).answer(422);
    world.fire("db:9100", "Database").await;
    world.fire("web-1:9100", "Web").await;
    let round = world.once().await;
    assert_eq!(round.failures.len(), 1, "{round:?}");
    assert!(round.blocked.is_none());
    assert_eq!((world.status("Web").await, world.status("web-1:9100 | Web").await), (3, 4));
}

#[tokio::test]
async fn a_cachet_that_refuses_everything_is_left_alone_and_everything_is_there_when_it_is_back() {
    for status in [401, 429, 503] {
        let mut world = World::set_up(Release::Current, WEB).await;
        world.settle().await;
        world.faults.on("*", "/api/components/*").answer(status);
        world.faults.forget_calls();
        world.fire("db:9100", "Database").await;
        let round: RunReport = world.once().await;
        assert!(matches!(round.blocked, Some(Blocked::Page(_))), "{status}: {round:?}");
        assert!(world.faults.calls().len() <= 16, "{status}: {:?}", world.faults.calls());
        world.faults.heal();
        world.settle_within(2).await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{status}");
    }
}

#[tokio::test]
async fn a_cachet_that_answers_nothing_but_faults_costs_a_bounded_number_of_calls() {
    let targets: Vec<String> = (0..200).map(|number| format!("host-{number}:9100")).collect();
    let targets: Vec<TargetSpec<'_>> = targets.iter().map(|instance| (instance.as_str(), "Web", false)).collect();
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    for (instance, components, _) in &targets {
        world.fire(instance, components).await;
    }
    world.faults.on("PUT", "/api/components/*").answer(500);
    world.faults.on("POST", "/api/incidents").answer(500);
    world.faults.forget_calls();
    let round = world.once().await;
    assert!(round.blocked.is_some(), "{round:?}");
    assert!(world.faults.calls().len() <= 32, "{}", world.faults.calls().len());
}

#[tokio::test]
async fn what_the_public_sees_is_written_before_the_bookkeeping() {
    let targets: Vec<String> = (0..40).map(|number| format!("host-{number}:9100")).collect();
    let targets: Vec<TargetSpec<'_>> = targets.iter().map(|instance| (instance.as_str(), "Web", false)).collect();
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    for (instance, components, _) in &targets {
        world.fire(instance, components).await;
    }
    world.faults.forget_calls();
    world.faults.rate_limit(3, Duration::from_secs(3600));
    let round = world.once().await;
    assert!(round.is_complete() && round.saving.is_some(), "{round:?}");
    assert_eq!((world.status("Web").await, world.incidents().await), (4, (1, 1)));
    // The third is kept for what the public may want to see next.
    assert_eq!(world.writes(), 2, "{:?}", world.faults.calls());
}

#[tokio::test]
async fn a_persons_status_stays_until_the_alerts_say_something_new_and_is_said_once() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let first = world.fire("web-1:9100", "Web").await;
        world.settle().await;
        set_status(&world, "Web", ComponentStatus::PerformanceIssues).await;
        for _ in 0..3 {
            world.pass(Duration::from_secs(120));
            world.settle().await;
        }
        assert_eq!(world.status("Web").await, 2, "{release:?}");
        let said = "[MANUAL_OVERRIDE] component=\"Web\" expected_status=3 (Partial Outage) found_status=2 (Performance Issues)";
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [said]);
        world.resolve(&first).await;
        world.settle().await;
        assert_eq!(world.status("Web").await, 1, "{release:?}");
    }
}

#[tokio::test]
async fn a_persons_status_is_overwritten_where_drift_is_enforced() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settings.config.page.drift = Drift::Enforce;
    world.restart();
    world.settle().await;
    set_status(&world, "Web", ComponentStatus::MajorOutage).await;
    world.pass(Duration::from_secs(120));
    world.settle().await;
    assert_eq!(world.status("Web").await, 1);
}

#[tokio::test]
async fn an_incident_that_a_person_closed_is_left_closed_until_the_next_outage() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        let incident = world.shown().await.open_incidents[0].id;
        world.says_by_hand(incident, IncidentStatus::Fixed, "A false alarm.").await;
        world.pass(Duration::from_secs(120));
        world.settle().await;
        assert_eq!(world.incidents().await, (0, 1), "{release:?}");
        world.faults.forget_calls();
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!(world.faults.count("POST", "/api/incidents/*/updates"), 0, "{release:?}");
        world.pass(Duration::from_secs(1));
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!(world.incidents().await, (1, 2), "{release:?}");
    }
}

#[tokio::test]
async fn with_operational_as_the_end_an_incident_outlives_a_partial_recovery() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settings.config.incidents.close_when = CloseIncidentWhen::Operational;
    world.restart();
    let first = world.fire("web-1:9100", "Web").await;
    let second = world.fire("web-2:9100", "Web").await;
    world.settle().await;
    world.resolve(&first).await;
    world.settle().await;
    assert_eq!((world.status("Web").await, world.incidents().await), (3, (1, 1)));
    world.resolve(&second).await;
    world.settle().await;
    assert_eq!((world.status("Web").await, world.incidents().await), (1, (0, 1)));
}

#[tokio::test]
async fn alerts_of_a_component_that_setup_makes_later_take_effect_then() {
    for release in Release::BOTH {
        let mut world = World::empty(release, WEB).await;
        world.fire("db:9100", "Database").await;
        world.once().await;
        world.run_setup().await;
        world.pass(Duration::from_secs(60));
        world.settle().await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn without_a_targets_file_cachets_disabled_components_are_the_inventory() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settings.inventory = None;
        world.restart();
        world.fire("web-1:9100", "Web").await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!((world.status("Web").await, world.status("Database").await), (3, 4), "{release:?}");
    }
}

#[tokio::test]
async fn a_recovery_is_waited_out_and_the_wait_survives_a_restart() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settings.config.incidents.recovery_hold = Duration::from_secs(120);
    world.restart();
    let alert = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.resolve(&alert).await;
    world.settle().await;
    assert_eq!(world.incidents().await, (1, 1));
    world.pass(Duration::from_secs(100));
    world.restart();
    let round = world.once().await;
    assert_eq!(world.incidents().await, (1, 1));
    let due = round.revisit_at.expect("a moment to look again");
    world.pass(due.since(world.now()));
    world.settle().await;
    assert_eq!(world.incidents().await, (0, 1));
}
