//! Makes Cachet show what the alerts say: plan, write, plan again, until nothing is left to write.
//!
//! [`Reconciler::once`] does the work and [`Reconciler::forever`] only waits: for news, for the interval, for a held
//! firing that begins to count, or for the time of the next attempt.

mod apply;
mod backoff;
mod history;
mod holds;
mod maintenance;
mod memory;
mod monitoring;
mod publish;
mod say;
mod texts;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use self::backoff::{Backoff, LONGEST};
use self::memory::{Memory, Unkept};
pub use self::texts::Texts;
use crate::cachet::{Cachet, Error, REQUEST_TIMEOUT, Spare};
use crate::clock::Clock;
use crate::core::inherit::inherit;
use crate::core::observed::Observed;
use crate::core::page::{desired, inventory_of};
use crate::core::plan::{Change, Note, Plan, Policy, Rank, Subject, plan};
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{ComponentName, Inventory, InventorySource};
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;
use crate::live::Live;
use crate::log::Log;
use crate::metrics::{Metrics, PageState};
use crate::readiness::Readiness;
use crate::store::{Entry, Store, StoreError};

/// How many writes are planned at once; before the next ones, the plan is made anew, so that a write that news has
/// overtaken is never sent.
const BATCH: usize = 16;

/// How many writes are under way at the same time.
const PARALLEL_WRITES: usize = 4;

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

/// How the page is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The targets of the targets file; without one, Cachet's disabled components are the inventory.
    pub inventory: Option<Inventory>,
    /// The visible components that the configuration names, whether or not a target feeds them.
    pub components: BTreeSet<ComponentName>,
    /// The alert whose absence means that nobody knows how things are; `None`: no news is good news.
    pub watchdog: Option<Watchdog>,
    /// The texts of incidents.
    pub texts: Texts,
    /// What ends an episode.
    pub close_incident_when: CloseIncidentWhen,
    /// What is done about a person's change.
    pub drift: Drift,
    /// How long a firing that follows its own resolve is held.
    pub refire_hold: Duration,
    /// How long a component has to be below Major Outage before its episode ends.
    pub recovery_hold: Duration,
    /// How long after its incident was closed a relapse opens the same one again.
    pub reopen_within: Duration,
    /// Whether Cachet writes to its subscribers when an incident opens.
    pub subscribers: Subscribers,
    /// How often Cachet is read, to see what people changed and what `setup` made.
    pub interval: Duration,
    /// For how many days it is kept what happened.
    pub history_days: u32,
}

/// Whether Cachet writes to its subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Subscribers {
    /// It does not.
    #[default]
    Silent,
    /// It does.
    Notified,
}

/// What came of one go.
#[derive(Debug, Default)]
pub struct Round {
    /// How many changes were made in Cachet.
    pub written: usize,
    /// The changes that failed; the others were made all the same.
    pub failures: Vec<(Subject, Error)>,
    /// What kept everything else from being tried.
    pub blocked: Option<Blocked>,
    /// When time alone changes the page next.
    pub revisit_at: Option<Timestamp>,
    /// How long the targets' components wait until Cachet's rate limit allows them; what the public sees is written.
    pub saving: Option<Duration>,
    /// How many changes in a row got no answer that makes sense.
    unanswered: usize,
    /// How the page is, as far as it is known.
    page: Option<PageState>,
}

/// What keeps the reconciler from going on.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    /// Cachet does not take or answer anything.
    #[error(transparent)]
    Cachet(#[from] Error),
    /// The store does not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Blocked {
    /// As [`Error::news`].
    fn news(&self) -> String {
        match self {
            Self::Cachet(error) => error.news(),
            Self::Store(error) => error.to_string(),
        }
    }
}

impl Round {
    /// Whether everything that had to be written was.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.blocked.is_none()
    }

    /// A Cachet that has nothing but faults to answer any more is left alone until the next attempt: each of thousands
    /// of changes might else wait for its timeout.
    fn give_up(&mut self) -> Option<Error> {
        if self.unanswered >= BATCH { self.failures.pop().map(|(_, error)| error) } else { None }
    }

    /// How long Cachet asked us to wait.
    fn retry_after(&self) -> Option<Duration> {
        let blocked = match &self.blocked {
            Some(Blocked::Cachet(error)) => error.retry_after(),
            _ => None,
        };
        blocked.into_iter().chain(self.failures.iter().filter_map(|(_, error)| error.retry_after())).max()
    }
}

/// Keeps one Cachet page.
pub struct Reconciler {
    store: Store,
    cachet: Cachet,
    settings: Settings,
    clock: Clock,
    log: Log,
    wake: Wake,
    stop: CancellationToken,
    memory: Memory,
    /// From when on the watchdog could be heard.
    listening_since: Timestamp,
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
    /// A reconciler that has not read anything yet. `stop` ends it between two writes.
    pub fn new(
        store: Store,
        cachet: Cachet,
        settings: Settings,
        clock: Clock,
        log: Log,
        stop: CancellationToken,
    ) -> Self {
        let (wake, memory, listening_since) = (Wake::default(), Memory::default(), clock.now());
        let (metrics, readiness, live) = (Metrics::default(), Readiness::default(), Live::default());
        Self { store, cachet, settings, clock, log, stop, wake, memory, listening_since, metrics, readiness, live }
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
                round.retry_after().map_or_else(|| backoff.next(), |wait| wait.min(LONGEST))
            };
            let held_back = round.retry_after().is_some();
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
                // News is worth an attempt at once, unless Cachet asked for silence.
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
        if std::mem::take(&mut self.memory.surprised) {
            self.memory.observed_at = None;
        }
        if let Err(blocked) = self.write_what_differs(&mut round).await {
            round.blocked = Some(blocked);
        }
        self.say_what_is_wrong(&round);
        self.publish(&mut round, began.elapsed());
        self.keep_history(&round).await;
        self.live.reconciled(self.writing(&round));
        round
    }

    async fn write_what_differs(&mut self, round: &mut Round) -> Result<(), Blocked> {
        let mut tried: BTreeSet<Subject> = BTreeSet::new();
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
            let batch = self.next_batch(plan.changes, &tried, round);
            if batch.is_empty() || stop.is_cancelled() {
                return Ok(self.keep_snapshot(Unkept::Bookkeeping).await?);
            }
            // Cachet takes the same name twice, and `setup` may have made it since Cachet was read.
            if read < Reading::Everything && batch.iter().any(|change| matches!(change, Change::CreateTarget { .. })) {
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
        if self.memory.looked_at.is_none_or(|before| now < before) {
            self.take_back_the_future(now).await?;
        }
        self.memory.looked_at = Some(now);
        let news = self.wake.count();
        if self.memory.alerts_as_of != Some(news) {
            self.memory.alerts = self.store.unresolved_alerts().await?;
            self.memory.holds = self.store.holds().await?;
            self.memory.alerts_as_of = Some(news);
        }
        self.end_holds(now).await?;
        self.listen(now).await?;
        self.look_back(now).await?;
        if self.memory.applied.is_none() {
            self.store.keep_page_at(self.cachet.address()).await?;
            self.memory.applied = Some(self.store.applied().await?);
        }
        let reading = if !self.memory.is_fresh(now, self.settings.interval) {
            let observed = self.cachet.observe().await?;
            let observed = Observed { maintenance: self.maintenance(now).await, ..observed };
            if self.memory.observed.is_none() && self.store.observed().await?.is_none() {
                self.inherit(&observed, now).await?;
            }
            self.memory.read(observed, now);
            self.store.confirm_observed(now).await?;
            self.store.forget_resolved_alerts(now.before(RESOLVED_ALERTS_KEPT)).await?;
            self.store.forget_history(now.before(DAY * self.settings.history_days)).await?;
            Reading::Everything
        } else {
            self.look_for_maintenance(now).await
        };
        self.keep_snapshot(Unkept::Public).await?;
        Ok(reading)
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
    async fn inherit(&mut self, observed: &Observed, now: Timestamp) -> Result<(), Blocked> {
        let inventory = self.settings.inventory.clone().unwrap_or_else(|| inventory_of(observed));
        let mut inheritance = inherit(&inventory, observed, &self.settings.texts.new_incident_name, now);
        inheritance.episodes.extend(self.inherit_monitoring(observed, now).await?);
        // Of what the store does know something, as after a move from another Cachet, it has the say.
        let known = self.memory.applied.take().unwrap_or_default();
        inheritance.episodes.retain(|episode| known.episode(&episode.subject).is_none());
        self.store.inherit(&inheritance, observed, now).await?;
        let (alerts, incidents) = (inheritance.alerts.len(), inheritance.episodes.len());
        if alerts + incidents > 0 {
            tracing::info!(alerts, incidents, "the page was there before this store: what it says is taken over");
        }
        self.memory.alerts = self.store.unresolved_alerts().await?;
        self.memory.applied = Some(self.store.applied().await?);
        Ok(())
    }

    /// The clock was set back, perhaps while the server was down: what began "later" began now, or its hold would last
    /// until the clock has caught up.
    async fn take_back_the_future(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.store.bring_back_to(now).await? > 0 {
            tracing::warn!("the clock was set back: holds begin again");
            (self.memory.alerts_as_of, self.memory.applied) = (None, None);
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
        let from_cachet;
        let inventory = match &self.settings.inventory {
            Some(inventory) => inventory,
            None => {
                from_cachet = inventory_of(observed);
                &from_cachet
            }
        };
        let desired = desired(inventory, &self.memory.alerts, self.settings.refire_hold, now)
            .in_view_of(self.memory.monitoring, &self.settings.components)
            .held_by(&self.memory.holds, now);
        let policy = Policy { takes_unknown: self.cachet.takes_unknown(), ..self.settings.policy() };
        let plan = plan(&desired, applied, observed, policy, now);
        round.revisit_at = desired.revisit_at.into_iter().chain(plan.revisit_at).min();
        round.page = Some(PageState::of(&desired, applied, observed, &plan, &self.memory.alerts));
        self.memory.chronicle.see(&desired, now);
        plan
    }

    /// The next changes to make: of one rank, so that what the public sees first is there first; none that failed in
    /// this go; and of those that only operators see, no more than the rate limit has to spare. Those that failed in an
    /// earlier go come last in their rank, so that they hold up no others.
    fn next_batch(&self, mut changes: Vec<Change>, tried: &BTreeSet<Subject>, round: &mut Round) -> Vec<Change> {
        changes.retain(|change| !tried.contains(&change.subject()));
        let Some(rank) = changes.first().map(Change::rank) else { return Vec::new() };
        let spare = match (rank, self.cachet.spare(self.public_writes())) {
            (Rank::Bookkeeping, Spare::Exhausted(wait)) => {
                round.saving = Some(wait);
                return Vec::new();
            }
            (Rank::Bookkeeping, Spare::Writes(writes)) => usize::try_from(writes).unwrap_or(BATCH),
            _ => BATCH,
        };
        changes.retain(|change| change.rank() == rank);
        changes.sort_by_key(|change| self.memory.failing.contains_key(&change.subject()));
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
        let entries: Vec<Entry> = notes.iter().cloned().map(Entry::from).collect();
        self.remember(&entries).await?;
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.texts));
        Ok(())
    }

    /// Makes `batch`, each change remembered before and after, and returns what failed.
    async fn write(&mut self, batch: Vec<Change>, round: &mut Round) -> Result<Vec<Subject>, Blocked> {
        let intents: Vec<Entry> = batch.iter().filter_map(apply::intent).collect();
        self.remember(&intents).await?;
        intents.into_iter().for_each(|entry| self.memory.absorb_intent(entry));

        let (cachet, settings, stop, clock) = (&self.cachet, &self.settings, &self.stop, &self.clock);
        let writes = stream::iter(batch).map(|change| async move {
            if stop.is_cancelled() {
                return None;
            }
            let outcome = apply::apply(cachet, settings, &change, clock.now()).await;
            Some((change, outcome))
        });
        let outcomes: Vec<_> = writes.buffered(PARALLEL_WRITES).filter_map(std::future::ready).collect().await;
        self.keep(outcomes, round).await
    }

    async fn keep(
        &mut self,
        outcomes: Vec<(Change, Result<Entry, Error>)>,
        round: &mut Round,
    ) -> Result<Vec<Subject>, Blocked> {
        let (mut entries, mut failed, mut blocked) = (Vec::new(), Vec::new(), None);
        let now = self.clock.now();
        for (change, outcome) in outcomes {
            match outcome {
                Ok(entry) => {
                    round.written += 1;
                    round.unanswered = 0;
                    self.no_longer_fails(&change.subject());
                    self.memory.waiting.made(&change);
                    self.metrics.change_applied(&change);
                    apply::log(&self.log, &self.settings.texts, &change, &entry);
                    self.memory.chronicle.add(history::of_change(&change, &entry, now));
                    entries.push(entry);
                }
                Err(error) => {
                    let unanswered = error.may_have_been_applied() || error.is_not_cachet();
                    round.unanswered = if unanswered { round.unanswered + 1 } else { 0 };
                    self.memory.surprised |= unanswered || error.is_not_found();
                    entries.extend(apply::refusal(&change, &error));
                    failed.push(change.subject());
                    self.metrics.change_failed(&change);
                    if error.concerns_everything() && blocked.is_none() {
                        blocked = Some(error);
                    } else {
                        round.failures.push((change.subject(), error));
                    }
                }
            }
        }
        if let Err(error) = self.remember(&entries).await {
            // What the store does not know would be unknown after a restart, so it is looked up again now.
            self.memory.doubt_everything();
            return Err(error.into());
        }
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.texts));
        match blocked.or_else(|| round.give_up()) {
            Some(error) => Err(error.into()),
            None => Ok(failed),
        }
    }

    /// How long there is nothing to do if no news comes; never longer than the interval, though the clock be set back.
    fn until_due(&self, revisit_at: Option<Timestamp>) -> Duration {
        let now = self.clock.now();
        let next_read = self.memory.observed_at.unwrap_or(now).after(self.settings.interval);
        revisit_at.map_or(next_read, |moment| moment.min(next_read)).since(now).min(self.settings.interval)
    }
}

impl Settings {
    /// What shapes a plan, for a Cachet that takes every status.
    pub fn policy(&self) -> Policy {
        Policy {
            close_incident_when: self.close_incident_when,
            drift: self.drift,
            recovery_hold: self.recovery_hold,
            reopen_within: self.reopen_within,
            takes_unknown: true,
            posting_patience: REQUEST_TIMEOUT,
            inventory: self.inventory.as_ref().map_or(InventorySource::Cachet, Inventory::source),
        }
    }
}
