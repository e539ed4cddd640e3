//! What is kept of what happened, for how long, and how much of the time a component was up.

use std::time::{Duration, Instant};

use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::history::{About, AlertEventKind, EventKind, Source};
use alertmanager_cachet::core::overrides::Override;
use alertmanager_cachet::core::repair::{Reason, stale};
use alertmanager_cachet::core::status::ComponentStatus::{MajorOutage, Operational, PartialOutage};
use alertmanager_cachet::core::status::IncidentStatus;
use alertmanager_cachet::core::status_page::{PageWrite, REQUEST_TIMEOUT};
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::uptime::{Span, uptime};
use alertmanager_cachet::store::Store;
use fake_cachet::Release;

use crate::support::world::{World, alert};

const START: Timestamp = Timestamp::from_millis(0);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn name(component: &str) -> ComponentName {
    ComponentName::try_from(component).expect("a name")
}

/// What is kept of a component, the oldest first.
async fn events(store: &Store, component: &str) -> Vec<EventKind> {
    let mut events = store.event_history(&name(component), START, 1000).await.expect("read");
    events.reverse();
    events.into_iter().map(|event| event.kind).collect()
}

/// What is kept of the alerts of a component, the oldest first.
async fn turns(store: &Store, component: &str) -> Vec<(AlertEventKind, Source)> {
    let mut events = store.alert_history(&name(component), START, 1000).await.expect("read");
    events.reverse();
    events.into_iter().map(|event| (event.kind, event.source)).collect()
}

/// What the history says of a component, the oldest first.
async fn told(world: &World, component: &str) -> Vec<String> {
    events(&world.store, component).await.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn of_alerts_only_what_changed_something_is_kept_and_enough_to_play_it_again() {
    let world = World::set_up(Release::Current, &[("db:9100", "Database, Web", true)]).await;
    let firing = alert("db:9100", "Database, Web", world.now());
    let resolved = Alert { status: AlertStatus::Resolved, ..firing.clone() };
    for told in [&firing, &firing, &resolved, &resolved, &firing, &resolved] {
        world.pass(MINUTE);
        world.tell(told).await;
    }
    let expected =
        [AlertEventKind::Fired, AlertEventKind::Resolved, AlertEventKind::Refired, AlertEventKind::Withdrawn]
            .map(|kind| (kind, Source::Notification));
    assert_eq!(turns(&world.store, "Database").await, expected);
    assert_eq!(turns(&world.store, "Web").await, expected);
    assert_eq!(turns(&world.store, "db:9100").await, [], "the name of an instance is no component");
    let last = world.store.alert_history(&name("Web"), START, 1).await.expect("read").remove(0);
    assert_eq!(
        (last.fingerprint, last.name, last.target, last.critical, last.starts_at, last.at),
        (firing.fingerprint, firing.name, firing.target, firing.critical, firing.starts_at, world.now())
    );
    assert_eq!(world.store.alert_history(&name("Web"), world.now(), 9).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_component_is_not_lost_among_those_of_a_similar_name() {
    let world = World::empty(Release::Current, &[]).await;
    world.fire("db:9100", "Shop, Web, Mail").await;
    for _ in 0..3 {
        world.pass(MINUTE);
        world.fire("Web:9100", "Website, My Web").await;
    }
    for component in ["Shop", "Web", "Mail"] {
        let kept = world.store.alert_history(&name(component), START, 2).await.expect("read");
        assert_eq!(kept.len(), 1, "{component}");
    }
    assert_eq!(world.store.alert_history(&name("My Web"), START, 2).await.expect("read").len(), 2);
}

#[tokio::test]
async fn an_alert_that_nothing_was_heard_of_has_ended_for_that_reason() {
    let world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.fire("db:9100", "Database").await;
    world.pass(DAY);
    world.store.repair_unresolved(|record| stale(record, world.now()), world.now()).await.expect("resolved");
    assert_eq!(
        turns(&world.store, "Database").await,
        [(AlertEventKind::Fired, Source::Notification), (AlertEventKind::Resolved, Source::Repair(Reason::Stale))]
    );
}

#[tokio::test]
async fn an_outage_is_told_from_its_status_to_the_incident_that_was_closed() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, &[("db:9100", "Database", false)]).await;
        world.settle().await;
        let firing = world.fire("db:9100", "Database").await;
        world.settle().await;
        world.resolve(&firing).await;
        world.settle().await;
        assert_eq!(
            told(&world, "Database").await,
            [
                "must show Operational",
                "must show Outage instead of Operational",
                "written to the page: Outage instead of Operational",
                "incident 1 was opened",
                "must show Operational instead of Outage",
                "written to the page: Operational instead of Outage",
                "incident 1 was closed: recovered",
            ],
            "{release:?}"
        );
    }
}

#[tokio::test]
async fn a_relapse_and_the_end_of_a_persons_patience_are_told_with_the_incident() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, &[("db:9100", "Database", false)]).await;
        world.settings.config.incidents.reopen_within = 10 * MINUTE;
        world.restart();
        for _ in 0..2 {
            let firing = world.fire("db:9100", "Database").await;
            world.settle().await;
            world.resolve(&firing).await;
            world.settle().await;
        }
        world.fire("db:9100", "Database").await;
        world.settle().await;
        let ours = world.shown().await.open_incidents[0].id;
        world.says_by_hand(ours, IncidentStatus::Fixed, "Enough.").await;
        world.pass(world.settings.config.page.reconcile_interval);
        world.settle().await;
        let incidents: Vec<_> =
            told(&world, "Database").await.into_iter().filter(|line| line.contains("incident")).collect();
        assert_eq!(
            incidents,
            [
                "incident 1 was opened",
                "incident 1 was closed: recovered",
                "incident 1 was opened again",
                "incident 1 was closed: recovered",
                "incident 1 was opened again",
                "a person closed incident 1 in the middle of the outage",
            ],
            "{release:?}"
        );
    }
}

#[tokio::test]
async fn an_incident_that_is_refused_or_suppressed_or_comes_late_is_told() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    let maintenance = world.maintain("New disks", &["Database"], Duration::ZERO, 10 * MINUTE).await;
    world.fire("db:9100", "Database").await;
    world.settle().await;
    world.end_maintenance(maintenance).await;
    world.faults.on("POST", "/api/incidents").times(1).answer(422);
    world.pass(world.settings.config.page.reconcile_interval);
    world.once().await;
    world.faults.heal();
    world.faults.on("POST", "/api/incidents").times(1).later();
    world.once().await;
    world.pass(REQUEST_TIMEOUT);
    world.settle().await;
    world.pass(REQUEST_TIMEOUT);
    world.settle().await;
    assert_eq!(world.faults.catch_up().await, 1);
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
    let said = told(&world, "Database").await;
    let of_incidents = ["no incident is opened during", "the page did not take it: ", "incident"];
    let kinds: Vec<&str> =
        said.iter().filter_map(|line| of_incidents.into_iter().find(|start| line.starts_with(start))).collect();
    assert_eq!(
        kinds,
        [
            "no incident is opened during",
            "the page did not take it: ",
            "the page did not take it: ",
            "incident",
            "incident"
        ],
        "{said:#?}"
    );
    assert_eq!(said.iter().filter(|line| line.ends_with("was closed: opened late")).count(), 1, "{said:#?}");
}

#[tokio::test]
async fn what_a_component_has_to_show_is_kept_though_cachet_takes_nothing() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.settle().await;
    world.faults.on("*", "/api/components/*").answer(503);
    world.fire("db:9100", "Database").await;
    for _ in 0..3 {
        assert!(!world.once().await.is_complete());
    }
    world.faults.heal();
    world.settle_within(5).await;
    let told = events(&world.store, "Database").await;
    let failures = told.iter().filter(|event| matches!(event, EventKind::WriteFailed { .. })).count();
    assert!((1..=2).contains(&failures), "each cause is kept once: {told:?}");
    let statuses = told.iter().filter(|event| matches!(event, EventKind::Status { .. })).count();
    assert_eq!(statuses, 2, "{told:?}");
    let written = EventKind::Written { from: Some(Operational), to: MajorOutage, late: false };
    assert!(told.contains(&written) && told.contains(&EventKind::WritableAgain), "{told:?}");
}

#[tokio::test]
async fn an_outage_is_kept_though_the_server_is_started_anew_while_cachet_is_away() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.settle().await;
    world.faults.on("*", "/api/*").answer(503);
    world.restart();
    let firing = world.fire("db:9100", "Database").await;
    world.once().await;
    world.pass(MINUTE);
    world.resolve(&firing).await;
    world.once().await;
    let statuses: Vec<EventKind> = events(&world.store, "Database").await;
    let status = |from, to| EventKind::Status { from: Some(from), to: Some(to) };
    let (fell, rose) = (status(Operational, MajorOutage), status(MajorOutage, Operational));
    assert!(statuses.contains(&fell) && statuses.contains(&rose), "{statuses:?}");
    world.faults.heal();
    world.settle_within(5).await;
    let again = events(&world.store, "Database").await;
    assert_eq!(again.iter().filter(|event| **event == fell).count(), 1, "{again:?}");
}

#[tokio::test]
async fn a_persons_word_is_kept_once_though_the_server_is_started_anew() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.settle().await;
    let shown = world.shown().await;
    let found = shown.components.iter().find(|component| component.name == "Database").expect("it is there");
    let update = alertmanager_cachet::core::observed::ComponentUpdate {
        status: Some(PartialOutage),
        enabled: true,
        description: None,
        group: None,
    };
    world.by_hand(PageWrite::UpdateComponent(found.id, update)).await;
    for _ in 0..3 {
        world.pass(2 * MINUTE);
        world.settle().await;
        world.restart();
    }
    world.settle().await;
    let told = events(&world.store, "Database").await;
    let overridden = EventKind::StatusOverridden { expected: Operational, found: Some(PartialOutage) };
    assert_eq!(told.iter().filter(|event| **event == overridden).count(), 1, "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, EventKind::NotRunning { .. })), "{told:?}");
}

#[tokio::test]
async fn the_time_in_which_the_server_did_not_run_is_not_known() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    let began = world.now();
    world.settle().await;
    for _ in 0..10 {
        world.pass(MINUTE);
        world.settle().await;
    }
    let stopped = world.now();
    world.pass(DAY);
    world.restart();
    world.settle().await;
    let absences = world.store.absences(START).await.expect("read");
    let [Span { from, until }] = absences[..] else { panic!("{absences:?}") };
    assert!(from <= stopped && stopped.since(from) < 2 * MINUTE && until == world.now(), "{from} {until}");
    let changes = world.store.status_history(&name("Database")).await.expect("read");
    let uptime = uptime(&changes, &absences, Span { from: began, until: world.now() });
    assert_eq!(uptime.percent(), Some(100.0));
    assert!(uptime.unknown >= DAY && uptime.up < 15 * MINUTE, "{uptime:?}");
}

#[tokio::test]
async fn an_upgrade_is_no_absence() {
    for (minutes, absences) in [(5, 0), (7, 1)] {
        let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
        world.settle().await;
        world.pass(minutes * MINUTE);
        world.restart();
        world.settle().await;
        assert_eq!(world.store.absences(START).await.expect("read").len(), absences, "{minutes} minutes");
    }
}

/// Until it is forgotten, it is known for what it may be.
#[tokio::test]
async fn a_firing_that_comes_days_after_its_resolve_is_held() {
    for (days, status) in [(6, 1), (8, 4)] {
        let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
        let firing = world.fire("db:9100", "Database").await;
        world.resolve(&firing).await;
        world.settle().await;
        world.pass(days * DAY);
        world.settle().await;
        world.tell(&firing).await;
        world.settle().await;
        assert_eq!(world.status("Database").await, status, "{days} days");
    }
}

#[tokio::test]
async fn the_watchdog_is_told_of_every_component() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.watch();
    world.heartbeat().await;
    let heard = world.now();
    world.settle().await;
    world.pass(6 * MINUTE);
    world.settle().await;
    world.heartbeat().await;
    world.settle().await;
    let told = events(&world.store, "Database").await;
    let about_all = [EventKind::WatchdogMissing { since_ms: heard.as_millis() }, EventKind::WatchdogHeard];
    let of_all: Vec<&EventKind> = told.iter().filter(|event| about_all.contains(event)).collect();
    assert_eq!(of_all, about_all.each_ref(), "{told:?}");
    assert_eq!(events(&world.store, "Anything").await.len(), 4, "with the incident about no component");
}

#[tokio::test]
async fn what_is_too_old_is_forgotten_but_not_what_a_component_has_to_show() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    let firing = world.fire("db:9100", "Database").await;
    world.settle().await;
    world.resolve(&firing).await;
    world.settle().await;
    assert!(events(&world.store, "Database").await.len() >= 5);
    world.pass(89 * DAY);
    world.settle().await;
    assert!(events(&world.store, "Database").await.len() >= 5, "not yet too old");
    world.pass(2 * DAY);
    world.settle().await;
    assert_eq!(turns(&world.store, "Database").await, []);
    let told = events(&world.store, "Database").await;
    assert_eq!(told, [EventKind::Status { from: Some(MajorOutage), to: Some(Operational) }]);
    assert_eq!(world.store.last_statuses().await.expect("read")[&name("Database")], Operational);
    let changes = world.store.status_history(&name("Database")).await.expect("read");
    assert_eq!(uptime(&changes, &[], Span::of_last_days(90, world.now())).percent(), Some(100.0));
}

#[tokio::test]
async fn what_is_not_over_is_not_forgotten() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.watch();
    world.heartbeat().await;
    world.settle().await;
    world.fire("db:9100", "Database").await;
    let override_of =
        |until| Override::new(name("Web"), PartialOutage, until, ("ada", ""), world.now()).expect("an override");
    for until in [world.now().after(DAY), world.now().after(2 * DAY)] {
        world.store.set_override(&override_of(until)).await.expect("held");
    }
    world.pass(6 * MINUTE);
    world.settle().await;
    assert!(world.store.forget_history(world.now().after(MINUTE)).await.expect("forgotten") > 0);
    assert_eq!(turns(&world.store, "Database").await, [(AlertEventKind::Fired, Source::Notification)]);
    let kinds =
        async |component| -> Vec<&str> { events(&world.store, component).await.iter().map(EventKind::word).collect() };
    // What was overridden before the second time is over.
    assert_eq!(kinds("Web").await, ["held", "watchdog_missing", "status"]);
    world.heartbeat().await;
    world.store.end_override(&name("Web"), "ada", world.now()).await.expect("released");
    world.store.forget_history(world.now().after(MINUTE)).await.expect("forgotten");
    assert_eq!(kinds("Web").await, ["status"]);
}

#[tokio::test]
async fn a_row_of_a_later_release_is_passed_over() {
    let mut world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    world.settle().await;
    for statement in [
        "INSERT INTO history_events (at_ms, component, kind, detail) VALUES (9, 'Database', 'status', '{\"event\":\"x\"}')",
        "INSERT INTO history_events (at_ms, component, kind, detail) VALUES (9, 'a|b', 'status', '{}')",
        "INSERT INTO history_alerts (at_ms, fingerprint, name, target, critical, starts_at_ms, turn, source) \
         VALUES (9, '0', 'A', 'db:9100 | Database', 0, 0, 'danced', 'notification')",
    ] {
        sqlx::query(statement).execute(world.store.writer()).await.expect("written");
    }
    world.restart();
    world.settle().await;
    assert_eq!(turns(&world.store, "Database").await, []);
    let about = world.store.found_out().await.expect("read").into_iter().map(|(about, _)| about);
    assert_eq!(about.collect::<Vec<About>>(), []);
}

/// While it is forgotten, no notification can be stored.
#[tokio::test]
async fn a_long_history_is_forgotten_at_once() {
    let world = World::set_up(Release::Current, &[]).await;
    let insert = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000) \
                  INSERT INTO history_events (at_ms, component, kind, detail) \
                  SELECT n, 'Web', CASE n % 2 WHEN 0 THEN 'status' ELSE 'written' END, '{}' FROM numbers";
    let began = Instant::now();
    sqlx::query(insert).execute(world.store.writer()).await.expect("inserted");
    let inserting = began.elapsed();
    let began = Instant::now();
    let forgotten = world.store.forget_history(Timestamp::from_millis(90_000)).await.expect("forgotten");
    assert_eq!(forgotten, 89_998, "all but the last status");
    let forgetting = began.elapsed();
    assert!(forgetting < 10 * inserting, "{forgetting:?}, and {inserting:?} to write what is forgotten");
}
