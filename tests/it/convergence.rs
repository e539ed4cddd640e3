//! What happens beside the reconciler, or to it, must not leave the page wrong: another Cachet, a `setup` at the same
//! time, a store or a clock that fails, a stop in the middle.

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::commands::explain::explained;
use alertmanager_cachet::commands::setup::{Progress, carry_out};
use alertmanager_cachet::core::names::{Group, GroupName};
use alertmanager_cachet::core::observed::ComponentUpdate;
use alertmanager_cachet::core::setup::{Removal, plan_setup};
use alertmanager_cachet::core::status_page::PageWrite;
use alertmanager_cachet::core::target::{ComponentList, ComponentName};
use alertmanager_cachet::reconcile::{Blocked, Reconciler};
use fake_cachet::Release;
use tokio_util::sync::CancellationToken;

use crate::support::log;
use crate::support::world::{TargetSpec, World, in_force};

const WEB: &[TargetSpec<'_>] =
    &[("web-1:9100", "Web", false), ("web-2:9100", "Web", false), ("db:9100", "Database", true)];

/// So many targets of one component, each with its own instance.
fn hosts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("host-{number:03}:9100")).collect()
}

fn of_web(instances: &[String]) -> Vec<TargetSpec<'_>> {
    instances.iter().map(|instance| (instance.as_str(), "Web", false)).collect()
}

#[tokio::test]
async fn explain_does_not_take_our_own_write_for_a_persons() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        world.fire("db:9100", "Database").await;
        world.settle().await;
        let database = ComponentName::try_from("Database").expect("a name");
        for later in [Duration::ZERO, Duration::from_secs(120)] {
            world.pass(later);
            world.settle().await;
            let explanation =
                explained(&world.store, &world.settings_in_force(), &database, world.now()).await.expect("explained");
            let shown = explanation.shown.expect("read").status.expect("a status").value;
            assert_eq!((shown, explanation.remarks, explanation.waiting), (4, vec![], vec![]), "{release:?}");
        }
    }
}

#[tokio::test]
async fn a_setup_beside_the_server_does_not_take_a_status_back() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        let inventory = world.settings.inventory.clone().expect("targets");
        let name = GroupName::try_from("Elsewhere").expect("a name");
        let groups = [Group { name, components: ComponentList::parse("Web,Database").names }];
        let observed = world.shown().await;
        let plan = plan_setup(&groups, &inventory, &observed, Removal::Nothing);
        world.fire("db:9100", "Database").await;
        world.settle().await;
        carry_out(world.person(), &world.settings.config, &plan, &Progress::new(None)).await.expect("carried out");
        assert_eq!(world.status("Database").await, 4, "{release:?}");
        assert!(
            world.shown().await.components.iter().all(|component| component.enabled != component.name.contains('|'))
        );
    }
}

#[tokio::test]
async fn another_cachet_is_not_taken_for_the_one_before() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        let alert = world.fire("db:9100", "Database").await;
        world.settle().await;
        assert_eq!(world.incidents().await, (1, 1));

        // The same components with the same numbers, and an incident of somebody else with the number of ours.
        world.move_to_another_cachet(release).await;
        world.run_setup().await;
        world.open_by_hand("A planned move").await;
        world.settle_within(2).await;
        assert_eq!((world.status("Database").await, world.incidents().await), (4, (2, 2)), "{release:?}");
        assert_eq!(world.lines("[MANUAL_OVERRIDE]"), [] as [&str; 0], "{release:?}");
        world.resolve(&alert).await;
        world.settle().await;
        let open: Vec<String> = world.shown().await.open_incidents.into_iter().map(|incident| incident.name).collect();
        assert_eq!((world.status("Database").await, open), (1, vec!["A planned move".to_owned()]), "{release:?}");
    }
}

#[tokio::test]
async fn a_cachet_that_fails_in_the_middle_costs_a_bounded_number_of_calls() {
    let instances = hosts(200);
    let targets = of_web(&instances);
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    for component in world.shown().await.components.iter().filter(|component| !component.enabled) {
        world.faults.on("PUT", &format!("/api/components/{}", component.id.0)).answer(500);
    }
    for (instance, components, _) in &targets {
        world.fire(instance, components).await;
    }
    world.faults.forget_calls();
    let round = world.once().await;
    assert_eq!((world.status("Web").await, world.incidents().await), (4, (1, 1)));
    assert!(round.blocked.is_some(), "{} failures", round.failures.len());
    assert!(world.faults.calls().len() <= 40, "{}", world.faults.calls().len());
}

#[tokio::test]
async fn many_components_that_cannot_be_written_do_not_hold_up_the_others_for_ever() {
    let instances = hosts(40);
    let targets = of_web(&instances);
    let mut world = World::set_up(Release::Current, &targets).await;
    world.settle().await;
    let shown = world.shown().await;
    for component in shown.components.iter().filter(|component| !component.enabled).take(20) {
        world.faults.on("PUT", &format!("/api/components/{}", component.id.0)).answer(500);
    }
    for (instance, components, _) in &targets[..30] {
        world.fire(instance, components).await;
    }
    for _ in 0..4 {
        world.once().await;
    }
    assert_eq!(world.status("host-029:9100 | Web").await, 4);
    world.fire("host-030:9100", "Web").await;
    for _ in 0..4 {
        world.once().await;
    }
    assert_eq!(world.status("host-030:9100 | Web").await, 4);
}

#[tokio::test]
async fn what_the_store_did_not_keep_is_looked_up_and_kept_later() {
    for release in Release::BOTH {
        for statement in [
            "INSERT ON ledger",
            "INSERT ON ledger WHEN NEW.in_doubt_since_ms IS NULL",
            "INSERT ON outages",
            "UPDATE ON outages WHEN NEW.incident_id IS NOT NULL AND NEW.ended_at_ms IS NULL",
            "UPDATE ON outages WHEN NEW.ended_at_ms IS NOT NULL",
        ] {
            let mut world = World::set_up(release, WEB).await;
            world.settle().await;
            let alert = world.fire("db:9100", "Database").await;
            world.break_store(statement).await;
            let round = world.once().await;
            world.heal_store().await;
            let context = format!("{release:?}, {statement}: {round:?}");
            world.settle_within(2).await;
            assert_eq!((world.status("Database").await, world.incidents().await), (4, (1, 1)), "{context}");
            world.break_store(statement).await;
            world.resolve(&alert).await;
            let round = world.once().await;
            world.heal_store().await;
            let context = format!("{context}, then {round:?}");
            assert!(round.is_complete() || matches!(round.blocked, Some(Blocked::Store(_))), "{context}");
            world.settle_within(2).await;
            assert_eq!((world.status("Database").await, world.incidents().await), (1, (0, 1)), "{context}");
            assert_eq!(
                world.store.ledger().await.expect("the ledger").outages.values().filter(|it| it.is_active()).count(),
                0,
                "{context}"
            );
            world.faults.forget_calls();
            world.restart();
            world.settle().await;
            assert_eq!(world.writes(), 0, "{context}: {:?}", world.faults.calls());
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_keep_cachet_unread() {
    let mut world = World::empty(Release::Current, WEB).await;
    world.fire("db:9100", "Database").await;
    world.once().await;
    world.set_back(Duration::from_secs(24 * 3600));
    world.run_setup().await;
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
    assert_eq!(world.status("Database").await, 4);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_read_that_is_not_answered() {
    let world = World::set_up(Release::Current, WEB).await;
    world.faults.on("GET", "*").hang();
    world.faults.on("GET", "/api/component-groups").hang();
    let stop = CancellationToken::new();
    let (store, settings) = (world.store.clone(), in_force(world.settings.clone()));
    let reconciler = Reconciler::new(
        store,
        Arc::new(world.cachet().clone()),
        settings,
        Clock::system(),
        log::kept().0,
        stop.clone(),
    );
    let running = tokio::spawn(reconciler.forever());
    world.faults.seen(1, "GET", "/api/component-groups").await;
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), running).await.expect("it stops").expect("it ends well");
}

#[tokio::test]
async fn a_proxy_that_refuses_one_call_holds_up_nothing_else() {
    for release in Release::BOTH {
        let mut world = World::set_up(release, WEB).await;
        world.settle().await;
        world.faults.on("POST", "/api/incidents").answer(302);
        let database = world.fire("db:9100", "Database").await;
        world.fire("web-1:9100", "Web").await;
        for _ in 0..2 {
            world.once().await;
        }
        let web = (world.status("Web").await, world.status("web-1:9100 | Web").await);
        assert_eq!((world.status("Database").await, web), (4, (3, 4)), "{release:?}");
        world.resolve(&database).await;
        world.settle_within(2).await;
        assert_eq!(world.status("Database").await, 1, "{release:?}");
    }
}

#[tokio::test]
async fn explain_knows_a_component_that_a_person_has_hidden() {
    let mut world = World::set_up(Release::Current, WEB).await;
    world.settle().await;
    let shown = world.shown().await;
    let web = shown.components.iter().find(|component| component.name == "Web").expect("Web");
    let hidden = ComponentUpdate { status: None, enabled: false, description: None, group: None };
    world.by_hand(PageWrite::UpdateComponent(web.id, hidden)).await;
    world.pass(world.settings.config.page.reconcile_interval);
    world.settle().await;
    let name = ComponentName::try_from("Web").expect("a name");
    let explanation = explained(&world.store, &world.settings_in_force(), &name, world.now()).await.expect("explained");
    let (observed, read_at) = world.store.observed().await.expect("read").expect("it was read");
    let kept = observed.components.iter().find(|component| component.name == "Web").expect("Web");
    assert_eq!((kept.enabled, read_at), (false, world.now()));
    assert_eq!(explanation.shown.expect("read").status.map(|status| status.value), Some(1));
}
