//! Makes Cachet show what the alerts say: plan, write, plan again, until nothing is left to write.
//!
//! [`Reconciler::once`] does the work and [`Reconciler::forever`] only waits: for news, for the interval, for a held
//! firing that begins to count, or for the time of the next attempt.

mod apply;
mod backoff;
mod creations;
mod history;
mod holds;
mod maintenance;
mod memory;
mod monitoring;
mod publish;
mod round;
mod say;
mod unanswered;
mod waiting;
mod write;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::memory::{Memory, Unkept};
pub use self::round::{Blocked, Round};
use crate::clock::{Clock, Vigil};
use crate::core::adopt::adopt;
use crate::core::ledger::ResourceKey;
use crate::core::observed::Observed;
use crate::core::page::{DesiredPage, desired};
use crate::core::plan::{Change, Note, Plan, Policy, Rank, Report, plan};
use crate::core::rules::Signals;
use crate::core::status_page::{Spare, StatusPage};
use crate::core::time::Timestamp;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::{Metrics, PageState};
use crate::readiness::Readiness;
use crate::settings::{Settings, SettingsInForce};
use crate::sources::{Source, alertmanager};
use crate::store::{Entry, Store, StoreError};

/// How many writes are planned at once; before the next ones, the plan is made anew, so that a write that news has
/// overtaken is never sent.
const BATCH: usize = 16;

/// How long a resolved alert is remembered. A firing of the same occurrence that comes later than that is no echo.
const RESOLVED_ALERTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Tells who waits, the reconciler or the repairer, that there is news. Clones wake the same one; no call is ever lost.
#[derive(Debug, Clone, Default)]
pub struct Wake {
    news: Arc<AtomicU64>,
    notify: Arc<Notify>,
}

impl Wake {
    /// There is news: something was stored, or may have been missed.
    pub fn wake(&self) {
        self.news.fetch_add(1, Ordering::SeqCst);
        self.notify.notify_one();
    }

    /// Waits until there is news that nobody waited for yet.
    pub async fn woken(&self) {
        self.notify.notified().await;
    }

    fn count(&self) -> u64 {
        self.news.load(Ordering::SeqCst)
    }
}

/// Keeps one Cachet page.
pub struct Reconciler {
    store: Store,
    page: Arc<dyn StatusPage>,
    sources: Vec<Arc<dyn Source>>,
    settings: Arc<Settings>,
    settings_in_force: SettingsInForce,
    clock: Clock,
    log: Log,
    wake: Wake,
    stop: CancellationToken,
    memory: Memory,
    /// From when on the watchdog could be heard.
    listening_since: Timestamp,
    vigil: Vigil,
    metrics: Metrics,
    readiness: Readiness,
    live: Live,
}

/// How much of what Cachet shows was read in this go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    /// Nothing: what is known was read in one before.
    Earlier,
    /// Which maintenance is in progress.
    Maintenance,
    /// All of it.
    Everything,
}

impl Reconciler {
    /// A reconciler that has not read anything yet. It looks at the settings in force before each go: wake it for a change
    /// to count at once. `stop` ends it between two writes.
    pub fn new(
        store: Store,
        page: Arc<dyn StatusPage>,
        mut settings_in_force: SettingsInForce,
        clock: Clock,
        log: Log,
        stop: CancellationToken,
    ) -> Self {
        let (wake, memory, listening_since) = (Wake::default(), Memory::default(), clock.now());
        let (metrics, readiness, live) = (Metrics::default(), Readiness::default(), Live::default());
        let (settings, vigil) = (settings_in_force.borrow_and_update().clone(), Vigil::default());
        let alerts = alertmanager::Alerts::new(store.clone(), settings_in_force.clone());
        Self {
            store,
            page,
            sources: vec![Arc::new(alerts)],
            settings,
            settings_in_force,
            clock,
            log,
            wake,
            stop,
            memory,
            listening_since,
            vigil,
            metrics,
            readiness,
            live,
        }
    }

    /// Has it tell the console how its work goes.
    pub fn shown_by(self, live: Live) -> Self {
        Self { live, ..self }
    }

    /// Has it tell what it does, and whether Cachet works.
    pub fn watched_by(mut self, metrics: Metrics, readiness: Readiness) -> Self {
        (self.metrics, self.readiness) = (metrics, readiness);
        self
    }

    /// What wakes it.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// What operators should know, as of the last go.
    pub fn reported(&self) -> &BTreeSet<Report> {
        &self.memory.reported
    }

    /// Keeps the page until it is told to stop.
    pub async fn forever(mut self) {
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let seen = self.wake.count();
            let round = self.once().await;
            let wait = if round.is_complete() {
                backoff.reset();
                self.until_due(round.revisit_at).min(round.saving.unwrap_or(Duration::MAX))
            } else {
                let wait = round.retry_after().unwrap_or_else(|| backoff.next());
                round.next_go(wait, self.clock.now())
            };
            let held_back = round.retry_after().is_some();
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // News is worth an attempt at once, unless Cachet sent a `Retry-After`.
                () = self.wake.woken(), if !held_back => {
                    if self.wake.count() != seen {
                        backoff.reset();
                    }
                }
            }
        }
    }

    /// Brings the page to what the alerts say, as far as Cachet lets it.
    pub async fn once(&mut self) -> Round {
        let (mut round, began) = (Round::default(), Instant::now());
        self.take_new_settings();
        if std::mem::take(&mut self.memory.surprised) || self.page.is_local() {
            self.memory.observed_at = None;
        }
        if let Err(blocked) = self.write_what_differs(&mut round).await {
            round.blocked = Some(blocked);
            self.see_by_the_last_snapshot().await;
        }
        self.say_what_is_wrong(&round);
        self.publish(&mut round, began.elapsed());
        self.keep_history(&round).await;
        self.live.reconciled(self.writing(&round));
        round
    }

    async fn write_what_differs(&mut self, round: &mut Round) -> Result<(), Blocked> {
        let mut tried: BTreeSet<ResourceKey> = BTreeSet::new();
        let stop = self.stop.clone();
        let mut read = Reading::Earlier;
        loop {
            // A read may be left at any moment; a write that is under way is finished.
            tokio::select! {
                looked = self.look() => read = read.max(looked?),
                () = stop.cancelled() => return Ok(()),
            }
            let plan = self.plan(round);
            self.memory.waiting.see(&plan.changes, self.clock.now(), &self.metrics);
            // What we know of Cachet is in doubt after a surprise, so nothing is concluded from it.
            if !self.memory.surprised {
                self.take_notes(&plan.notes).await?;
            }
            self.say_reports(plan.reports);
            let changes = self.that_can_be_made(plan.changes, read, round);
            let batch = self.next_batch(changes, &tried, round);
            if batch.is_empty() || stop.is_cancelled() {
                return Ok(self.keep_snapshot(Unkept::Bookkeeping).await?);
            }
            // `setup` may have made it since Cachet was read.
            if read < Reading::Everything && batch.iter().any(|change| change.creates()) {
                self.memory.observed_at = None;
                continue;
            }
            if read < Reading::Maintenance && maintenance::is_in_question(&batch) {
                self.memory.maintenance.doubt();
                continue;
            }
            let failed = self.write(batch, round).await;
            self.say_failures(round);
            tried.extend(failed?);
        }
    }

    /// Reads what has to be read: the alerts after news, Cachet at the start, on the interval and after a surprise, and
    /// what it tells of maintenance when that may have changed.
    async fn look(&mut self) -> Result<Reading, Blocked> {
        let now = self.clock.now();
        if self.memory.looked_at.is_none() && self.store.forget_if_restored(self.listening_since).await? {
            tracing::warn!(
                "the store is of an earlier time than the last server on it: the page says what was written since"
            );
        }
        if self.memory.looked_at.is_none_or(|before| now < before) {
            self.take_back_the_future(now).await?;
        }
        self.memory.looked_at = Some(now);
        if self.vigil.was_broken(&self.clock) {
            tracing::warn!("the clock was set ahead, or the machine slept: silence counts from now on");
            self.listening_since = now;
        }
        let news = self.wake.count();
        if self.memory.read_as_of != Some(news) {
            self.refresh_sources().await?;
            self.memory.holds = self.store.holds().await?;
            self.memory.read_as_of = Some(news);
        }
        self.end_holds(now).await?;
        self.listen(now).await?;
        self.look_back(now).await?;
        if self.memory.applied.is_none() {
            self.store.keep_page_at(self.page.address()).await?;
            self.recall(now).await?;
        }
        let reading = if !self.memory.is_fresh(now, self.settings.config.page.reconcile_interval) {
            let observed = self.page.observe(&self.doubtful_incidents()).await?;
            let observed = Observed { maintenance: self.maintenance(now).await, ..observed };
            if self.memory.observed.is_none() && self.store.observed().await?.is_none() {
                self.adopt(&observed, now).await?;
            }
            self.forget_what_never_came(&observed, now).await?;
            self.memory.read(observed, now);
            self.store.confirm_observed(now).await?;
            self.forget_what_is_old(now).await?;
            Reading::Everything
        } else {
            self.look_for_maintenance(now).await
        };
        self.keep_snapshot(Unkept::Public).await?;
        Ok(reading)
    }

    /// Forgets resolved alerts and history, once an interval: a page that costs little is read more often.
    async fn forget_what_is_old(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let interval = self.settings.config.page.reconcile_interval;
        if self.memory.forgot_at.is_some_and(|before| before <= now && now.since(before) < interval) {
            return Ok(());
        }
        self.store.forget_resolved_alerts(now.before(RESOLVED_ALERTS_KEPT)).await?;
        self.store.forget_history(now.before(DAY * self.settings.config.history_days)).await?;
        self.memory.forgot_at = Some(now);
        Ok(())
    }

    /// Keeps what Cachet shows for `explain`, if what changed of it is worth that much already.
    async fn keep_snapshot(&mut self, worth: Unkept) -> Result<(), StoreError> {
        if let Some(observed) = self.memory.observed.as_ref().filter(|_| self.memory.unkept >= worth) {
            self.store.remember_observed(observed, self.clock.now()).await?;
            self.memory.unkept = Unkept::Nothing;
        }
        Ok(())
    }

    /// Takes over what the page says of alerts and incidents that the store knows nothing of: once, at the first
    /// reading of Cachet.
    async fn adopt(&mut self, observed: &Observed, now: Timestamp) -> Result<(), Blocked> {
        let inventory = self.settings.inventory(observed).into_owned();
        let mut adoption = adopt(&inventory, observed, &self.settings.config.incidents.new_name, now);
        adoption.episodes.extend(self.adopt_monitoring(observed, now).await?);
        // What the store knows already, as after a move from another Cachet, is kept.
        let known = self.memory.applied.take().unwrap_or_default();
        adoption.episodes.retain(|episode| known.episode(&episode.subject).is_none());
        self.store.adopt(&adoption, observed, now).await?;
        let (alerts, incidents) = (adoption.alerts.len(), adoption.episodes.len());
        if alerts + incidents > 0 {
            tracing::info!(alerts, incidents, "the page was there before this store: what it says is taken over");
        }
        self.refresh_sources().await?;
        Ok(self.recall(now).await?)
    }

    /// Reads what an earlier run has recorded.
    async fn recall(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let mut applied = self.store.applied().await?;
        creations::recall(&mut applied.ledger, now);
        self.memory.applied = Some(applied);
        Ok(())
    }

    /// The clock was set back, perhaps while the server was down: what began "later" began now, or its hold would last
    /// until the clock has caught up.
    async fn take_back_the_future(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.store.clamp_future_timestamps(now).await? > 0 {
            tracing::warn!("the clock was set back: holds begin again");
            (self.memory.read_as_of, self.memory.applied) = (None, None);
        }
        self.memory.observed_at = None;
        self.listening_since = self.listening_since.min(now);
        Ok(())
    }

    fn plan(&mut self, round: &mut Round) -> Plan {
        let (Some(applied), Some(observed)) = (&self.memory.applied, &self.memory.observed) else {
            return Plan::default();
        };
        let now = self.clock.now();
        let said = self.signals(now);
        let desired = self.desired(observed, &said, now);
        let policy = Policy { takes_unknown: !self.page.known().refuses_unknown, ..self.settings.policy() };
        let plan = plan(&desired, applied, observed, policy, now);
        round.revisit_at = desired.revisit_at.into_iter().chain(plan.revisit_at).min();
        round.page = Some(PageState::of(&desired, applied, observed, &plan, said.held));
        self.memory.chronicle.see(&desired, now);
        plan
    }

    async fn refresh_sources(&self) -> Result<(), StoreError> {
        for source in &self.sources {
            source.refresh().await?;
        }
        Ok(())
    }

    /// What all sources say.
    fn signals(&self, now: Timestamp) -> Signals {
        self.sources.iter().fold(Signals::default(), |said, source| said.and(source.signals(now)))
    }

    /// What the page must show, on a Cachet with these components.
    fn desired(&self, observed: &Observed, said: &Signals, now: Timestamp) -> DesiredPage {
        let inventory = self.settings.inventory(observed);
        desired(&inventory, said)
            .apply_watchdog(self.memory.monitoring, &self.settings.config.components())
            .apply_overrides(&self.memory.holds, now)
    }

    /// The next changes to make: of one rank, so that what the public sees first is there first; none that failed in
    /// this go; and of those that only operators see, no more than the rate limit has to spare. Those that failed in an
    /// earlier go come last in their rank, so that they hold up no others.
    fn next_batch(&self, mut changes: Vec<Change>, tried: &BTreeSet<ResourceKey>, round: &mut Round) -> Vec<Change> {
        changes.retain(|change| !tried.contains(&change.key()));
        let Some(rank) = changes.first().map(Change::rank) else { return Vec::new() };
        let spare = match (rank, self.page.spare(self.public_writes())) {
            (Rank::Bookkeeping, Spare::Exhausted(wait)) => {
                round.saving = Some(wait);
                return Vec::new();
            }
            (Rank::Bookkeeping, Spare::Writes(writes)) => usize::try_from(writes).unwrap_or(BATCH),
            _ => BATCH,
        };
        changes.retain(|change| change.rank() == rank);
        changes.sort_by_key(|change| self.memory.failing.contains_key(&change.key()));
        changes.truncate(spare.min(BATCH));
        changes
    }

    /// How many writes it takes to turn everything red that the public sees: a status and an incident each.
    fn public_writes(&self) -> usize {
        let observed = self.memory.observed.iter().flat_map(|observed| &observed.components);
        2 * observed.filter(|component| component.enabled).count()
    }

    async fn take_notes(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        if notes.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry> = notes.iter().cloned().map(apply::entry).collect();
        self.remember(&entries).await?;
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.config));
        Ok(())
    }

    /// How long there is nothing to do if no news comes; never longer than the interval, though the clock be set back.
    fn until_due(&self, revisit_at: Option<Timestamp>) -> Duration {
        let now = self.clock.now();
        let next_read = self.memory.observed_at.unwrap_or(now).after(self.settings.config.page.reconcile_interval);
        revisit_at
            .map_or(next_read, |moment| moment.min(next_read))
            .since(now)
            .min(self.settings.config.page.reconcile_interval)
    }
}
