//! The dead man's switch, against a Cachet of either release, when all is well with it and when it is not.

use std::time::Duration;

use alertmanager_cachet::commands::explain::explained;
use alertmanager_cachet::core::history::EventKind;
use alertmanager_cachet::core::observed::{ComponentUpdate, IncidentId};
use alertmanager_cachet::core::status::{ComponentStatus, IncidentStatus};
use alertmanager_cachet::core::status_page::PageWrite;
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::core::time::Timestamp;
use fake_cachet::Release;

use crate::support::world::{TargetSpec, World, group};

const TARGETS: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

const TIMEOUT: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

/// A page that is watched, with the first heartbeat heard.
async fn watched(release: Release) -> World {
    let mut world = World::set_up(release, TARGETS).await;
    world.watch();
    world.heartbeat().await;
    world.settle().await;
    world
}

/// The heartbeat stays away for too long.
async fn go_silent(world: &mut World) {
    world.pass(TIMEOUT);
    world.once().await;
}

/// It is heard again.
async fn come_back(world: &mut World) {
    world.pass(Duration::from_secs(1));
    world.heartbeat().await;
    world.once().await;
}

async fn statuses(world: &World) -> (u8, u8) {
    (world.status("Web").await, world.status("Database").await)
}

async fn set_status(world: &World, name: &str, status: ComponentStatus) {
    let shown = world.shown().await;
    let component = shown.components.iter().find(|component| component.name == name).expect("a component");
    let update = ComponentUpdate { status: Some(status), enabled: true, description: None, group: None };
    world.by_hand(PageWrite::UpdateComponent(component.id, update)).await;
}

#[tokio::test]
async fn silence_makes_green_unknown_with_one_incident_until_the_watchdog_is_heard() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        world.fire("web-1:9100", "Web").await;
        world.settle().await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((3, 1), (0, 0)), "{release:?}");

        go_silent(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((3, 5), (1, 1)), "{release:?}");
        let incident = world.shown().await.open_incidents.remove(0);
        assert_eq!((incident.name.as_str(), incident.component_id), ("Monitoring data is missing", None));
        assert_eq!(world.status("web-2:9100 | Web").await, 1, "what only operators see says what the alerts say");
        world.faults.forget_calls();
        for _ in 0..3 {
            world.pass(MINUTE);
            world.settle().await;
        }
        assert_eq!(world.writes(), 0, "{release:?}: {:?}", world.faults.calls());

        come_back(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((3, 1), (0, 1)), "{release:?}");
        assert_eq!(
            world.lines("[COMPONENT_STATUS_CHANGE] component=\"Database\""),
            [
                "[COMPONENT_STATUS_CHANGE] component=\"Database\" old_status=1 (Operational) new_status=5 (Unknown) \
                 reason=\"monitoring data is missing\"",
                "[COMPONENT_STATUS_CHANGE] component=\"Database\" old_status=5 (Unknown) new_status=1 (Operational)",
            ]
        );
        let told = [world.lines("[INCIDENT_OPENED]"), world.lines("[INCIDENT_CLOSED]")].concat();
        assert!(told[0].starts_with("[INCIDENT_OPENED] component=- incident=1 name=\"Monitoring data is missing\""));
        assert_eq!(told[1..], ["[INCIDENT_CLOSED] component=- incident=1 reason=\"monitoring data comes in again\""]);
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    }
}

#[tokio::test]
async fn without_a_watchdog_no_silence_changes_anything() {
    let mut world = World::set_up(Release::Current, TARGETS).await;
    world.settle().await;
    world.faults.forget_calls();
    world.pass(Duration::from_secs(86_400));
    let round = world.once().await;
    assert_eq!((world.writes(), round.revisit_at), (0, None));
}

#[tokio::test]
async fn the_reconciler_wakes_at_the_very_moment_when_the_timeout_passes() {
    let mut world = watched(Release::Current).await;
    let heard_at = world.now();
    world.heartbeat().await;
    let due = world.once().await.revisit_at.expect("a moment to look again");
    assert_eq!(due, heard_at.after(TIMEOUT));
    // A go begins a second later.
    world.pass(due.since(world.now()) - Duration::from_millis(1001));
    world.settle().await;
    assert_eq!(statuses(&world).await, (1, 1));
    world.set_back(Duration::from_millis(999));
    world.settle().await;
    assert_eq!(statuses(&world).await, (5, 5));
}

#[tokio::test]
async fn our_own_absence_is_not_the_watchdogs() {
    let mut world = watched(Release::Current).await;
    world.pass(10 * TIMEOUT);
    world.restart();
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 0)));
    world.pass(TIMEOUT - MINUTE);
    world.settle().await;
    assert_eq!(statuses(&world).await, (1, 1));
    world.pass(MINUTE);
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)));
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_or_a_machine_that_slept_is_not_the_watchdogs_silence() {
    let mut world = watched(Release::Current).await;
    world.set_ahead(10 * TIMEOUT);
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 0)));
    world.pass(TIMEOUT - MINUTE);
    world.settle().await;
    assert_eq!(statuses(&world).await, (1, 1));
    world.pass(MINUTE);
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)));
}

#[tokio::test]
async fn a_clock_that_is_set_ahead_does_not_bring_a_missing_watchdog_back() {
    let mut world = watched(Release::Current).await;
    go_silent(&mut world).await;
    world.set_ahead(10 * TIMEOUT);
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)));
    come_back(&mut world).await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)));
}

#[tokio::test]
async fn a_restart_does_not_forget_that_the_watchdog_is_missing() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        go_silent(&mut world).await;
        world.faults.forget_calls();
        for _ in 0..3 {
            world.restart();
            world.settle().await;
        }
        assert_eq!((statuses(&world).await, world.incidents().await, world.writes()), ((5, 5), (1, 1), 0));
        come_back(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_neither_hides_the_silence_nor_the_return() {
    let mut world = watched(Release::Current).await;
    world.set_back(Duration::from_secs(86_400));
    world.settle().await;
    go_silent(&mut world).await;
    assert_eq!(statuses(&world).await, (5, 5));
    world.set_back(Duration::from_secs(86_400));
    world.settle().await;
    assert_eq!(statuses(&world).await, (5, 5));
    come_back(&mut world).await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)));
}

#[tokio::test]
async fn whatever_goes_wrong_with_a_write_there_is_one_incident_about_the_monitoring() {
    let writes = [
        ("PUT", "/api/components/*"),
        ("POST", "/api/incidents"),
        ("POST", "/api/incidents/*/updates"),
        ("PUT", "/api/incidents/*"),
    ];
    for release in Release::BOTH {
        for (method, path) in writes {
            for lost in ["cut before", "cut after", "500 after", "503"] {
                let break_once = |world: &World| {
                    let rule = world.faults.on(method, path).times(1);
                    match lost {
                        "cut before" => rule.cut_before(),
                        "cut after" => rule.cut_after(),
                        "500 after" => rule.answer_after(500),
                        _ => rule.answer(503),
                    }
                };
                let context = format!("{release:?}, {lost} on {method} {path}");
                let mut world = watched(release).await;
                break_once(&world);
                go_silent(&mut world).await;
                world.restart();
                world.settle_within(4).await;
                assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)), "{context}");
                break_once(&world);
                come_back(&mut world).await;
                world.restart();
                world.settle_within(4).await;
                assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)), "{context}");
                assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0], "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_return_between_a_lost_answer_and_the_next_run_leaves_no_incident_open() {
    for release in Release::BOTH {
        for path in ["/api/incidents", "/api/components/*"] {
            let mut world = watched(release).await;
            world.faults.on("*", path).times(1).cut_after();
            world.pass(TIMEOUT);
            world.once().await;
            come_back(&mut world).await;
            world.settle_within(4).await;
            assert_eq!((statuses(&world).await, world.incidents().await.0), ((1, 1), 0), "{release:?}, {path}");
        }
    }
}

#[tokio::test]
async fn a_relapse_opens_the_same_incident_again_and_a_later_one_another() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        world.settings.config.incidents.reopen_within = Duration::from_secs(600);
        world.restart();
        world.heartbeat().await;
        for round in 1..=2 {
            go_silent(&mut world).await;
            assert_eq!(world.incidents().await, (1, 1), "{release:?}, silence {round}");
            come_back(&mut world).await;
            assert_eq!(world.incidents().await, (0, 1), "{release:?}, silence {round}");
            world.restart();
        }
        assert_eq!(world.lines("[INCIDENT_REOPENED]"), ["[INCIDENT_REOPENED] component=- incident=1"]);
        world.pass(Duration::from_secs(600));
        world.heartbeat().await;
        world.settle().await;
        go_silent(&mut world).await;
        assert_eq!(world.incidents().await, (1, 2), "{release:?}");
    }
}

#[tokio::test]
async fn an_outage_that_ends_in_silence_is_closed_when_it_is_known_to_be_over() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        go_silent(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((5, 4), (2, 2)), "{release:?}");
        // As Alertmanager does once Prometheus has not sent it for some minutes.
        world.resolve(&alert).await;
        world.settle().await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (2, 2)), "{release:?}");
        come_back(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 2)), "{release:?}");
    }
}

#[tokio::test]
async fn an_outage_that_begins_in_silence_is_red_with_an_incident_of_its_own() {
    let mut world = watched(Release::Current).await;
    go_silent(&mut world).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((5, 4), (2, 2)));
}

#[tokio::test]
async fn a_person_has_the_say_over_unknown_and_over_the_incident() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        set_status(&world, "Web", ComponentStatus::PerformanceIssues).await;
        world.pass(MINUTE);
        world.settle().await;
        go_silent(&mut world).await;
        assert_eq!(statuses(&world).await, (2, 5), "{release:?}: what a person chose is not green");
        set_status(&world, "Database", ComponentStatus::Operational).await;
        let incident = world.shown().await.open_incidents[0].id;
        world.says_by_hand(incident, IncidentStatus::Fixed, "A false alarm.").await;
        world.faults.forget_calls();
        for _ in 0..2 {
            world.pass(MINUTE);
            world.settle().await;
        }
        assert_eq!((statuses(&world).await, world.incidents().await, world.writes()), ((2, 1), (0, 1), 0));
        assert_eq!(
            world.lines("[MANUAL_OVERRIDE]"),
            [
                "[MANUAL_OVERRIDE] component=\"Web\" expected_status=1 (Operational) found_status=2 (Performance Issues)",
                "[MANUAL_OVERRIDE] component=\"Database\" expected_status=5 (Unknown) found_status=1 (Operational)",
            ]
        );
        come_back(&mut world).await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((2, 1), (0, 1)), "{release:?}");
        world.heartbeat().await;
        go_silent(&mut world).await;
        assert_eq!(world.incidents().await, (1, 2), "{release:?}: another silence is another episode");
    }
}

#[tokio::test]
async fn what_people_opened_under_the_same_title_is_left_alone() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        world.open_by_hand("Monitoring data is missing").await;
        go_silent(&mut world).await;
        assert_eq!(world.incidents().await, (2, 2), "{release:?}");
        come_back(&mut world).await;
        let open: Vec<IncidentId> = world.shown().await.open_incidents.iter().map(|incident| incident.id).collect();
        assert_eq!(open, [IncidentId(1)], "{release:?}");
    }
}

#[tokio::test]
async fn a_lost_store_takes_the_silence_over_until_the_watchdog_is_heard() {
    for release in Release::BOTH {
        for is_heard_first in [true, false] {
            let mut world = watched(release).await;
            go_silent(&mut world).await;
            world.lose_the_store().await;
            if !is_heard_first {
                world.settle().await;
                assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)), "{release:?}");
            }
            come_back(&mut world).await;
            world.settle().await;
            assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)), "{release:?}");
        }
    }
}

/// The page knows better than a backup whether it was missing.
#[tokio::test]
async fn a_restored_store_takes_the_silence_over_until_the_watchdog_is_heard() {
    for release in Release::BOTH {
        for is_heard_first in [true, false] {
            let mut world = watched(release).await;
            world.back_up_the_store().await;
            go_silent(&mut world).await;
            world.restore_the_store().await;
            if !is_heard_first {
                world.settle().await;
                assert_eq!((statuses(&world).await, world.incidents().await), ((5, 5), (1, 1)), "{release:?}");
            }
            come_back(&mut world).await;
            world.settle().await;
            assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)), "{release:?}");
        }
    }
}

#[tokio::test]
async fn a_store_that_was_restored_from_a_silence_that_is_over_brings_no_silence_back() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        go_silent(&mut world).await;
        world.back_up_the_store().await;
        world.pass(TIMEOUT);
        come_back(&mut world).await;
        world.restore_the_store().await;
        world.settle().await;
        assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)), "{release:?}");
    }
}

#[tokio::test]
async fn on_another_cachet_what_is_known_of_the_watchdog_counts_as_before() {
    for release in Release::BOTH {
        for (is_silent, shown) in [(false, ((1, 1), (0, 0))), (true, ((5, 5), (1, 1)))] {
            let mut world = watched(release).await;
            if is_silent {
                go_silent(&mut world).await;
            }
            world.move_to_another_cachet(release).await;
            world.run_setup().await;
            world.settle_within(3).await;
            assert_eq!((statuses(&world).await, world.incidents().await), shown, "{release:?}");
        }
    }
}

#[tokio::test]
async fn a_watchdog_that_is_no_longer_configured_leaves_nothing_behind() {
    let mut world = watched(Release::Current).await;
    go_silent(&mut world).await;
    world.settings.config.watchdog = None;
    world.restart();
    world.settle().await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)));
}

#[tokio::test]
async fn components_that_nothing_feeds_are_unknown_too_if_the_configuration_names_them() {
    for release in Release::BOTH {
        let mut world = watched(release).await;
        for name in ["Mail", "Theirs"] {
            world.make_by_hand(name).await;
        }
        world.settings.config.page.groups = vec![group("Mail")];
        world.restart();
        go_silent(&mut world).await;
        assert_eq!((world.status("Mail").await, world.status("Theirs").await), (5, 1), "{release:?}");
        come_back(&mut world).await;
        assert_eq!((world.status("Mail").await, world.status("Theirs").await), (1, 1), "{release:?}");
    }
}

#[tokio::test]
async fn a_cachet_that_refuses_unknown_is_asked_once_and_has_the_incident() {
    let mut world = watched(Release::Current).await;
    world.refuse_unknown();
    world.faults.forget_calls();
    go_silent(&mut world).await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (1, 1)));
    assert_eq!(world.faults.count("PUT", "/api/components/*") - checks_of_the_token(&world), 2, "one a component");
    world.faults.forget_calls();
    for _ in 0..3 {
        world.pass(MINUTE);
        world.settle().await;
    }
    assert_eq!((world.writes(), world.lines("[COMPONENT_STATUS_CHANGE]").len()), (0, 0));
    assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0]);
    let web = ComponentName::try_from("Web").expect("a name");
    let happened = world.store.event_history(&web, Timestamp::from_millis(0), 100).await.expect("read");
    let written = happened.iter().filter(|event| matches!(event.kind, EventKind::Written { .. })).count();
    assert_eq!(written, 0, "{happened:?}");
    come_back(&mut world).await;
    assert_eq!((statuses(&world).await, world.incidents().await), ((1, 1), (0, 1)));
}

/// Only that Unknown is refused for good is no failure.
#[tokio::test]
async fn another_status_that_is_refused_and_an_unknown_that_is_lost_are_failures() {
    let mut world = watched(Release::Current).await;
    world.refuse_unknown();
    go_silent(&mut world).await;
    world.faults.on("PUT", "/api/components/*").times(1).answer(422);
    world.fire("db-1:9100", "Database").await;
    let round = world.once().await;
    assert_eq!(round.failures.len(), 1, "{round:?}");

    let mut world = watched(Release::Current).await;
    world.pass(TIMEOUT);
    let shown = world.shown().await.components;
    let web = shown.iter().find(|component| component.name == "Web").expect("a component");
    world.faults.on("PUT", &format!("/api/components/{}", web.id.0)).times(1).answer(422);
    let round = world.once().await;
    assert_eq!(round.failures.len(), 1, "{round:?}");
    world.settle().await;
    assert_eq!(statuses(&world).await, (5, 5));
}

fn checks_of_the_token(world: &World) -> usize {
    world.faults.count("PUT", "/api/components/0")
}

#[tokio::test]
async fn explain_says_why_a_component_is_unknown_and_since_when() {
    let mut world = watched(Release::Current).await;
    let silent_since = world.now().before(Duration::from_secs(1));
    go_silent(&mut world).await;
    let name = ComponentName::try_from("Web").expect("a name");
    let explanation = explained(&world.store, &world.settings_in_force(), &name, world.now()).await.expect("known");
    assert_eq!((explanation.status.value, explanation.waiting.as_slice()), (5, [].as_slice()));
    assert_eq!(explanation.reason, "no alert says that it is down, but monitoring data is missing");
    assert_eq!(explanation.since, Some(silent_since.to_string()));
    let remark = &explanation.remarks[0];
    assert!(remark.starts_with(&format!("monitoring data is missing since {silent_since} (incident 1): ")), "{remark}");
}
