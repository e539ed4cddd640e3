//! What the reconciler tells, step by step.

use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::readiness::Readiness;
use alertmanager_cachet::reconcile::Reconciler;
use fake_cachet::Release;
use tokio_util::sync::CancellationToken;

use crate::support::log;
use crate::support::metrics::value;
use crate::support::world::{World, in_force};

/// A world whose reconciler is watched.
struct Watched {
    world: World,
    reconciler: Reconciler,
    metrics: Metrics,
    readiness: Readiness,
}

impl Watched {
    /// All is well, and was looked at once.
    async fn start() -> Self {
        let world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let cachet = world.cachet().clone().observed_by(Arc::new(metrics.clone()));
        let (store, settings) = (world.store.clone(), in_force(world.settings.clone()));
        let reconciler =
            Reconciler::new(store, Arc::new(cachet), settings, world.clock(), log::kept().0, CancellationToken::new())
                .watched_by(metrics.clone(), readiness.clone());
        let mut watched = Self { world, reconciler, metrics, readiness };
        watched.go().await;
        assert_eq!(watched.readiness.lock().cachet, Some(Ok(())));
        watched
    }

    async fn go(&mut self) {
        self.reconciler.once().await;
    }

    async fn the_database_fails(&mut self) {
        self.world.fire("db:9100", "Database").await;
        self.reconciler.wake().wake();
    }

    fn value(&self, series: &str) -> f64 {
        value(&self.metrics, self.world.now(), series)
    }
}

#[tokio::test]
async fn a_change_that_cachet_does_not_take_waits_and_ages_until_it_does() {
    let mut watched = Watched::start().await;
    watched.world.faults.on("PUT", "/api/components/*").answer(503);
    watched.the_database_fails().await;
    watched.go().await;
    watched.world.pass(Duration::from_secs(20));
    watched.go().await;
    assert_eq!(watched.value(r#"reconciles_total{result="cachet_blocked"}"#), 2.0);
    assert_eq!(watched.value(r#"changes_planned_total{kind="set_component"}"#), 1.0, "it is the same change");
    assert_eq!(watched.value(r#"changes_failed_total{kind="set_component"}"#), 2.0);
    assert_eq!(watched.value(r#"changes_waiting{kind="set_component"}"#), 1.0);
    assert_eq!(watched.value("changes_oldest_waiting_age_seconds"), 20.0);
    assert_eq!(watched.value(r#"components{status="operational"}"#), 1.0);
    assert_eq!(watched.value(r#"components_desired{status="major_outage"}"#), 1.0);
    let Some(Err(problem)) = watched.readiness.lock().cachet.clone() else { panic!("Cachet takes nothing") };
    assert!(problem.contains("HTTP 503") && problem.contains("php artisan up"), "{problem}");

    watched.world.faults.heal();
    watched.go().await;
    assert_eq!(watched.value(r#"changes_applied_total{kind="set_component"}"#), 1.0);
    assert_eq!(watched.value(r#"changes_waiting{kind="set_component"}"#), 0.0);
    assert_eq!(watched.value("changes_oldest_waiting_age_seconds"), 0.0);
    assert_eq!(watched.value(r#"components{status="major_outage"}"#), 1.0);
    assert_eq!(watched.readiness.lock().cachet, Some(Ok(())));
}

#[tokio::test]
async fn a_go_in_which_one_change_fails_is_incomplete() {
    let mut watched = Watched::start().await;
    watched.world.faults.on("POST", "/api/incidents").answer(422);
    watched.the_database_fails().await;
    watched.go().await;
    let goes =
        ["complete", "incomplete"].map(|result| watched.value(&format!("reconciles_total{{result=\"{result}\"}}")));
    assert_eq!(goes, [1.0, 1.0], "the first one and this one");
    assert_eq!(watched.readiness.lock().cachet, Some(Ok(())));
}

#[tokio::test]
async fn what_the_news_asks_for_waits_though_cachet_cannot_even_be_read() {
    let mut watched = Watched::start().await;
    watched.world.faults.on("*", "/api/*").cut_before();
    // It is time to read it.
    watched.world.pass(Duration::from_secs(120));
    watched.the_database_fails().await;
    watched.go().await;
    assert_eq!(watched.value(r#"changes_waiting{kind="open_incident"}"#), 1.0);
    assert_eq!(watched.value("targets_down"), 1.0);
    watched.world.pass(Duration::from_secs(30));
    watched.go().await;
    assert_eq!(watched.value("changes_oldest_waiting_age_seconds"), 30.0);
}

#[tokio::test]
async fn the_rate_budget_is_told_as_soon_as_cachet_told_of_a_limit() {
    let mut watched = Watched::start().await;
    watched.world.faults.rate_limit(300, Duration::from_secs(60));
    watched.the_database_fails().await;
    watched.go().await;
    assert_eq!(watched.value("cachet_budget_limit"), 300.0);
    assert!((200.0..300.0).contains(&watched.value("cachet_budget_remaining")));
}

#[tokio::test]
async fn a_store_that_fails_says_nothing_about_cachet() {
    let mut watched = Watched::start().await;
    watched.world.store.close().await;
    watched.reconciler.wake().wake();
    watched.go().await;
    assert_eq!(watched.value(r#"reconciles_total{result="store_blocked"}"#), 1.0);
    assert_eq!(watched.readiness.lock().cachet, Some(Ok(())));
}
