//! What runs for ever waits between its goes, and news ends the wait.

use std::sync::Arc;

use std::time::{Duration, Instant};

use alertmanager_cachet::alertmanager::members;
use alertmanager_cachet::metrics::Metrics;
use alertmanager_cachet::readiness::Readiness;
use alertmanager_cachet::reconcile::{Reconciler, Wake};
use alertmanager_cachet::repair::Repairer;
use fake_cachet::Release;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::alertmanager::access;
use crate::support::log;
use crate::support::metrics::value;
use crate::support::processes::eventually;
use crate::support::world::{World, in_force, repairing};

/// Goes that a Cachet which takes nothing has ended.
const BLOCKED: &str = r#"reconciles_total{result="cachet_blocked"}"#;

/// Goes of something that waits for news, or for as long as no test takes.
struct Goes {
    world: World,
    metrics: Metrics,
    series: &'static str,
    wake: Wake,
    running: JoinHandle<()>,
}

impl Goes {
    fn count(&self) -> f64 {
        value(&self.metrics, self.world.now(), self.series)
    }

    async fn come_to(&self, count: f64) {
        eventually("it goes", async || if self.count() == count { Ok(()) } else { Err(self.count()) }).await;
    }

    /// They come to `count`, and there is no more in the time that a row of readings takes.
    async fn stay_at(&self, count: f64) {
        self.come_to(count).await;
        for _ in 0..200 {
            self.world.store.unresolved_alerts().await.expect("read");
        }
        assert_eq!(self.count(), count);
    }

    /// It goes once, and once more when there is news.
    async fn are_few(self) {
        for count in [1.0, 2.0] {
            self.stay_at(count).await;
            self.wake.wake();
        }
        self.come_to(3.0).await;
        self.running.abort();
    }
}

async fn world() -> (World, Metrics) {
    let world = World::set_up(Release::Current, &[("db:9100", "Database", false)]).await;
    (world, Metrics::default())
}

/// Those of the reconciler that end as `series` says.
fn goes_of_the_reconciler((world, metrics): (World, Metrics), series: &'static str) -> Goes {
    let (store, cachet, settings) = (world.store.clone(), world.cachet().clone(), in_force(world.settings.clone()));
    let reconciler =
        Reconciler::new(store, Arc::new(cachet), settings, world.clock(), log::kept().0, CancellationToken::new())
            .watched_by(metrics.clone(), Readiness::default());
    let wake = reconciler.wake();
    let running = tokio::spawn(reconciler.forever());
    Goes { world, metrics, series, wake, running }
}

#[tokio::test]
async fn the_reconciler_leaves_a_page_at_rest_alone() {
    goes_of_the_reconciler(world().await, r#"reconciles_total{result="complete"}"#).are_few().await;
}

#[tokio::test]
async fn a_cachet_that_has_asked_for_silence_is_left_alone_in_spite_of_news() {
    for status in [503, 429, 502] {
        let (world, metrics) = world().await;
        world.faults.on("*", "/api/*").answer_with_retry_after(status, 3600);
        let goes = goes_of_the_reconciler((world, metrics), BLOCKED);
        goes.come_to(1.0).await;
        goes.wake.wake();
        goes.stay_at(1.0).await;
        goes.running.abort();
    }
}

#[tokio::test]
async fn a_cachet_that_has_asked_for_silence_is_asked_again_when_it_is_over() {
    for status in [503, 429, 502] {
        let (world, metrics) = world().await;
        world.faults.on("*", "/api/*").answer_with_retry_after(status, 2);
        let began = Instant::now();
        let goes = goes_of_the_reconciler((world, metrics), BLOCKED);
        goes.come_to(1.0).await;
        goes.wake.wake();
        goes.come_to(2.0).await;
        assert!(began.elapsed() >= Duration::from_secs(2), "{status}: {:?}", began.elapsed());
        goes.running.abort();
    }
}

#[tokio::test]
async fn a_refusal_without_retry_after_is_tried_again_soon() {
    for status in [503, 429, 502] {
        let (world, metrics) = world().await;
        world.faults.on("*", "/api/*").answer_without_retry_after(status);
        let goes = goes_of_the_reconciler((world, metrics), BLOCKED);
        // The first wait is a second, not a minute.
        goes.come_to(2.0).await;
        goes.running.abort();
    }
}

#[tokio::test]
async fn news_ends_the_wait_after_a_refusal_without_retry_after() {
    for status in [503, 429, 502] {
        let (world, metrics) = world().await;
        world.faults.on("*", "/api/*").answer_without_retry_after(status);
        let goes = goes_of_the_reconciler((world, metrics), BLOCKED);
        goes.come_to(1.0).await;
        let began = Instant::now();
        for _ in 0..40 {
            let before = goes.count();
            goes.wake.wake();
            let more = async || if goes.count() > before { Ok(()) } else { Err(before) };
            eventually("it goes for news", more).await;
        }
        // The shortest wait is half a second, so forty of them would take longer.
        assert!(began.elapsed() < Duration::from_secs(15), "{status}: {:?}", began.elapsed());
        goes.running.abort();
    }
}

#[tokio::test]
async fn the_repairer_leaves_alertmanager_alone() {
    let (world, metrics) = world().await;
    // Nobody listens there, which is said at once.
    let members = members(&access("http://127.0.0.1:1")).expect("a member");
    let settings = in_force(repairing(members, Duration::from_secs(3600), Duration::ZERO));
    let repairer =
        Repairer::new(world.store.clone(), settings, world.clock(), Wake::default(), CancellationToken::new())
            .measured_by(metrics.clone());
    let (wake, series) = (repairer.wake(), r#"alertmanager_polls_total{result="unheard"}"#);
    let running = tokio::spawn(repairer.forever());
    Goes { world, metrics, series, wake, running }.are_few().await;
}
