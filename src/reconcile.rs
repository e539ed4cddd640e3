//! Makes the page show what the signals say: gather, plan, deliver, report; again until nothing is left to write.
//!
//! [`Reconciler::once`] does the work and [`Reconciler::forever`] only waits: for a wake-up, the interval, the next moment at
//! which time alone changes the page, or the next attempt. Each stage keeps its own state: `gather` what was read and the
//! desired page, the plan stage the plans of the target components, `deliver` the waiting operations, `report` what was
//! logged. `view` is what they share.

mod apply;
mod deliver;
mod gather;
mod report;
mod run;
mod view;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use self::apply::apply;
use self::deliver::Deliverer;
use self::gather::{Gatherer, Reading};
use self::report::Reporter;
pub use self::run::{Blocked, RunReport};
use self::view::{Touched, View};
use crate::clock::Clock;
use crate::core::observed::ComponentIndex;
use crate::core::operation::{Operation, Rank};
use crate::core::plan::{Plan, Policy, Report, TargetPlans, Views, plan_components};
use crate::core::status_page::StatusPage;
use crate::core::time::Timestamp;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::settings::{Settings, SettingsInForce};
use crate::sources::alertmanager;
use crate::store::Store;

/// How many operations are sent before the plan is computed again. So at most this many can be outdated by newer alerts.
const BATCH: usize = 16;

/// The longest pause after a run. In a storm of notifications one run then makes up for several, and leaves the processors to
/// the webhook.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// The pause is this many times as long as the run took, up to [`LONGEST_PAUSE`].
const PAUSE_FACTOR: u32 = 4;

/// Tells who waits, the reconciler or the alert sync, that there is news. Clones wake the same one; no call is ever lost.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    news: Arc<AtomicU64>,
    notify: Arc<Notify>,
}

impl Wake {
    /// Wakes the task: something was stored, or a change may have been missed.
    pub fn wake(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Waits for the next wake-up, or returns at once if one is pending.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    fn count(&self) -> u64 {
        self.news.load(Ordering::SeqCst)
    }
}

/// What every stage works with.
struct Context {
    store: Store,
    page: Arc<dyn StatusPage>,
    settings: Arc<Settings>,
    clock: Clock,
    stop: CancellationToken,
    metrics: Metrics,
}

/// Reconciles one page.
pub struct Reconciler {
    context: Context,
    settings_in_force: SettingsInForce,
    wake: Wake,
    view: View,
    gatherer: Gatherer,
    /// The plans of the target components.
    target_plans: TargetPlans,
    /// The time of the last plan.
    planned_at: Option<Timestamp>,
    /// What [`StatusPage::edits`] said before the last run: if it says something else now, the page is read again.
    edits: Option<u64>,
    deliverer: Deliverer,
    reporter: Reporter,
}

impl Reconciler {
    /// A reconciler that has not read anything yet. It looks at the settings in force before each run: wake it for a change to
    /// count at once. `stop` ends it between two writes.
    pub fn new(
        store: Store,
        page: Arc<dyn StatusPage>,
        mut settings_in_force: SettingsInForce,
        clock: Clock,
        log: Log,
        stop: CancellationToken,
    ) -> Self {
        let settings = settings_in_force.borrow_and_update().clone();
        let (wake, metrics, now) = (Wake::default(), Metrics::default(), clock.now());
        let alerts = alertmanager::Alerts::new(store.clone(), settings_in_force.clone());
        Self {
            context: Context { store, page, settings, clock, stop, metrics },
            settings_in_force,
            view: View::default(),
            gatherer: Gatherer::new(vec![Arc::new(alerts)], wake.clone(), now),
            wake,
            target_plans: TargetPlans::default(),
            planned_at: None,
            edits: None,
            deliverer: Deliverer::default(),
            reporter: Reporter::new(log),
        }
    }

    /// Publishes the state of each run to the console.
    pub fn shown_by(mut self, live: Live) -> Self {
        self.reporter.live = live;
        self
    }

    /// Publishes metrics and readiness.
    pub fn watched_by(mut self, metrics: Metrics, readiness: Readiness) -> Self {
        (self.context.metrics, self.reporter.readiness) = (metrics, readiness);
        self
    }

    /// What wakes it.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// What operators should know, as of the last run.
    pub fn reported(&self) -> &BTreeSet<Report> {
        &self.reporter.reported
    }

    /// Computes from nothing what the last run kept up to date by changes, and says how the two differ; `None`: they agree, or
    /// something has changed since. For tests.
    ///
    /// # Errors
    /// [`StoreError`](crate::store::StoreError) if the store cannot be read.
    #[cfg(feature = "internals")]
    pub async fn difference_from_scratch(&self) -> Result<Option<String>, crate::store::StoreError> {
        let (context, View { ledger, observed, touched, .. }) = (&self.context, &self.view);
        let (Some(ledger), Some(observed), Some(now)) = (ledger, observed, self.planned_at) else { return Ok(None) };
        let alerts = context.store.unresolved_alerts().await?;
        let Touched { all, targets, components } = touched;
        if *all || !targets.is_empty() || !components.is_empty() || !self.gatherer.is_up_to_date() {
            return Ok(None);
        }
        let said = crate::core::alert::signals(&alerts, context.settings.config.alerts.refire_delay, now);
        let page = crate::core::page::desired(&context.settings.inventory(observed), &said);
        let page = self.gatherer.modify(context, page, now);
        if page != self.gatherer.page {
            return Ok(Some(format!("desired {:#?}\ninstead of {page:#?}", self.gatherer.page)));
        }
        let (mut plans, groups) = (TargetPlans::default(), &context.settings.config.page.groups);
        let index = ComponentIndex::of(observed, groups);
        let views = Views { desired: &page, ledger, observed, index: &index };
        plans.update_all(views, self.policy(), now);
        Ok((plans != self.target_plans).then(|| format!("planned {:#?}\ninstead of {plans:#?}", self.target_plans)))
    }

    fn policy(&self) -> Policy {
        let Context { page, settings, .. } = &self.context;
        Policy { takes_unknown: !page.known().refuses_unknown, ..settings.policy() }
    }

    /// Keeps the page until it is told to stop.
    pub async fn forever(mut self) {
        let (mut backoff, stop) = (Backoff::default(), self.context.stop.clone());
        while !stop.is_cancelled() {
            let (seen, began) = (self.wake.count(), Instant::now());
            let run = self.once().await;
            let pause = (began.elapsed() * PAUSE_FACTOR).min(LONGEST_PAUSE);
            let wait = if run.is_complete() {
                backoff.reset();
                self.until_due(run.revisit_at).min(run.saving.unwrap_or(Duration::MAX))
            } else {
                let wait = run.retry_after().unwrap_or_else(|| backoff.next());
                run.next_run(wait, self.context.clock.now())
            };
            let must_wait = run.retry_after().is_some();
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // News is worth an attempt as soon as the pause is over, but not before the time of a `Retry-After`.
                () = async { tokio::join!(tokio::time::sleep(pause), self.wake.woken()); }, if !must_wait => {
                    if self.wake.count() != seen {
                        backoff.reset();
                    }
                }
            }
        }
    }

    /// One reconcile run: brings the page to what the signals say, as far as the page lets it.
    pub async fn once(&mut self) -> RunReport {
        let (mut run, began) = (RunReport::default(), Instant::now());
        self.take_new_settings();
        let edits = self.context.page.edits();
        if self.view.is_in_doubt() || std::mem::replace(&mut self.edits, edits) != edits {
            self.view.observed_at = None;
        }
        if let Err(blocked) = self.write_what_differs(&mut run).await {
            run.blocked = Some(blocked);
            self.record_desired_statuses().await;
        }
        let now = self.context.clock.now();
        self.reporter.result(&run, now);
        if run.blocked.is_some() {
            // Plan anyway, so that the waiting operations are counted.
            self.plan(&mut run);
        }
        self.reporter.publish(&self.context, &self.deliverer, &run, began.elapsed());
        self.reporter.save_events(&self.context.store, &run).await;
        run
    }

    async fn write_what_differs(&mut self, run: &mut RunReport) -> Result<(), Blocked> {
        let stop = self.context.stop.clone();
        let (mut read, mut wanted) = (Reading::Earlier, Reading::Earlier);
        loop {
            // Reading can be cancelled at any time. A write that has begun is finished.
            let (context, view, reporter) = (&self.context, &mut self.view, &mut self.reporter);
            tokio::select! {
                looked = self.gatherer.look(context, view, reporter, wanted) => read = read.max(looked?),
                () = stop.cancelled() => return Ok(()),
            }
            wanted = Reading::Earlier;
            let Some(plan) = self.plan(run) else { return Ok(()) };
            let now = self.context.clock.now();
            // Nothing is concluded from a page that is in doubt.
            if !self.view.is_in_doubt() && !plan.notes.is_empty() {
                self.view.ledger.iter().for_each(|ledger| self.reporter.ledger_updated(ledger, &plan.notes, now));
                self.reporter.remember(&self.context.store, &plan.notes).await?;
                plan.notes.into_iter().for_each(|update| self.view.record(update));
            }
            self.reporter.reports(plan.reports, now);
            let (context, view, failing) = (&self.context, &self.view, &self.reporter.failing);
            let operations = (plan.operations, &self.target_plans);
            let batch = self.deliverer.next_batch(context, view, operations, read, failing, run);
            if batch.is_empty() || stop.is_cancelled() {
                return Ok(self.view.save(&self.context.store, now).await?);
            }
            // Since the last reading, `setup` may have created it, or a maintenance may have begun.
            let needed = batch.iter().map(needed_reading).max().unwrap_or(Reading::Earlier);
            if read < needed {
                wanted = needed;
                continue;
            }
            let (context, view, reporter) = (&self.context, &mut self.view, &mut self.reporter);
            let delivered = self.deliverer.deliver(context, view, reporter, batch, run).await;
            self.reporter.failures(run, now);
            delivered?;
        }
    }

    /// The second stage: what has to be done about components and incidents; what targets wait for is in `target_plans`.
    /// `None` until the store and the page were read.
    fn plan(&mut self, run: &mut RunReport) -> Option<Plan> {
        let (policy, context, now) = (self.policy(), &self.context, self.context.clock.now());
        let View { ledger, observed, index, touched, .. } = &mut self.view;
        let (ledger, observed) = (ledger.as_ref()?, observed.as_ref()?);
        self.planned_at = Some(now);
        self.gatherer.desired(context, observed, index, touched, now);
        let views = Views { desired: &self.gatherer.page, ledger, observed, index };
        let touched = std::mem::take(touched);
        if touched.all {
            self.target_plans.update_all(views, policy, now);
            self.deliverer.wait_for_targets(&self.target_plans, now, &context.metrics);
        } else {
            for name in &touched.targets {
                self.target_plans.update(name, views, policy, now);
                self.deliverer.wait_for_target(name, self.target_plans.operation(name), now, &context.metrics);
            }
        }
        let mut plan = plan_components(views, policy, now);
        self.deliverer.wait_for_components(&plan.operations, now, &context.metrics);
        plan.notes.extend(self.target_plans.notes().cloned());
        plan.reports.extend(self.target_plans.reports());
        run.revisit_at = views.desired.revisit_at.into_iter().chain(plan.revisit_at).min();
        context.metrics.page(views, &plan, self.gatherer.waiting);
        self.reporter.desired(views.desired, now);
        Some(plan)
    }

    /// Goes over to the settings in force.
    fn take_new_settings(&mut self) {
        if !self.settings_in_force.has_changed().unwrap_or(false) {
            return;
        }
        let new = self.settings_in_force.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.context.settings, new);
        // What they speak of may have been created just before.
        self.view.observed_at = None;
        self.view.touched.all = true;
        if before.config.watchdog() != self.context.settings.config.watchdog() {
            self.gatherer.listen_anew(self.context.clock.now());
            self.context.metrics.unwatched();
        }
    }

    /// Records the desired statuses in the history while the page has not been read since the start. The components come from
    /// the stored snapshot of the page. Without this, an outage that begins while Cachet is down is missing from the uptime.
    async fn record_desired_statuses(&mut self) {
        if self.view.observed.is_some() {
            return;
        }
        // A store error is reported elsewhere. Without a snapshot there is nothing to record.
        let Ok(Some((observed, _))) = self.context.store.observed().await else { return };
        let (now, groups) = (self.context.clock.now(), &self.context.settings.config.page.groups);
        let index = ComponentIndex::of(&observed, groups);
        let mut touched = Touched { all: true, ..Touched::default() };
        self.gatherer.desired(&self.context, &observed, &index, &mut touched, now);
        self.reporter.desired(&self.gatherer.page, now);
    }

    /// How long to wait if nothing wakes the reconciler; at most the interval, even if the clock was set back.
    fn until_due(&self, revisit_at: Option<Timestamp>) -> Duration {
        let (now, interval) = (self.context.clock.now(), self.context.settings.config.page.reconcile_interval);
        let next_read = self.view.observed_at.unwrap_or(now).after(interval);
        revisit_at.map_or(next_read, |moment| moment.min(next_read)).since(now).min(interval)
    }
}

/// What must have been read in the same run before this is written.
fn needed_reading(change: &Operation) -> Reading {
    match change.rank() {
        _ if change.creates() => Reading::Everything,
        Rank::Open => Reading::Maintenance,
        _ => Reading::Earlier,
    }
}

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Waits that double from [`FIRST_WAIT`] to [`LONGEST_WAIT`], each shortened by up to a half at random, so that several servers
/// that lost the same page do not come back at the same moment.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    fn next(&mut self) -> Duration {
        let full = FIRST_WAIT.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        let mut random = [0_u8; 1];
        // Without randomness the wait is only less spread out.
        let _ = getrandom::fill(&mut random);
        full - full.mul_f64(f64::from(random[0]) / 512.0)
    }

    /// It works again, or there is news: the next wait is the first one.
    fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_minute_and_start_over_after_a_reset() {
        let mut backoff = Backoff::default();
        for expected_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            let full = Duration::from_secs(expected_s);
            let wait = backoff.next();
            assert!(wait <= full && wait >= full / 2, "{wait:?} of {full:?}");
        }
        assert!((0..100).all(|_| backoff.next() <= LONGEST_WAIT));
        backoff.reset();
        assert!(backoff.next() <= FIRST_WAIT);
    }
}
