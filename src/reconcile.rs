//! Makes Cachet show what the alerts say: plan, write, plan again, until nothing is left to write.
//!
//! [`Reconciler::once`] does the work and [`Reconciler::forever`] only waits: for news, for the interval, for a held
//! firing that begins to count, or for the time of the next attempt.

mod apply;
mod backoff;
mod memory;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use self::backoff::Backoff;
use self::memory::{Memory, Unkept};
use crate::cachet::{Cachet, Error, Spare};
use crate::clock::Clock;
use crate::core::incident_name::IncidentName;
use crate::core::inherit::inherit;
use crate::core::observed::Observed;
use crate::core::page::{desired, inventory_of};
use crate::core::plan::{Change, Note, Plan, Policy, Rank, Report, Subject, plan};
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{Inventory, InventorySource};
use crate::core::time::Timestamp;
use crate::log::Log;
use crate::store::{Entry, Store, StoreError};

/// How many writes are planned at once; before the next ones, the plan is made anew, so that a write that news has
/// overtaken is never sent.
const BATCH: usize = 16;

/// How many writes are under way at the same time.
const PARALLEL_WRITES: usize = 4;

/// How long a resolved alert is remembered. A firing of the same occurrence that comes later than that is no echo.
const RESOLVED_ALERTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

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

/// The texts of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The title.
    pub new_incident_name: IncidentName,
    /// The first message.
    pub new_incident_message: String,
    /// The closing message when the component is Operational.
    pub resolved_incident_message: String,
    /// The closing message when some of the component's targets are still down.
    pub partially_resolved_incident_message: String,
    /// The update that opens an incident again.
    pub relapse_message: String,
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
    changes_of_settings: Option<watch::Receiver<Settings>>,
    clock: Clock,
    log: Log,
    wake: Wake,
    stop: CancellationToken,
    memory: Memory,
}

/// When Cachet was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// In this go.
    Now,
    /// In one before.
    Earlier,
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
        let (wake, memory) = (Wake::default(), Memory::default());
        Self { store, cachet, settings, changes_of_settings: None, clock, log, stop, wake, memory }
    }

    /// The same, which goes over to what `changes` holds before each go. Wake it for a change to count at once.
    pub fn with_changes_of_settings(self, changes: watch::Receiver<Settings>) -> Self {
        Self { changes_of_settings: Some(changes), ..self }
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
                round.retry_after().unwrap_or_else(|| backoff.next())
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
        let mut round = Round::default();
        self.take_new_settings();
        if std::mem::take(&mut self.memory.surprised) {
            self.memory.observed_at = None;
        }
        if let Err(blocked) = self.write_what_differs(&mut round).await {
            round.blocked = Some(blocked);
        }
        self.say_what_is_wrong(&round);
        round
    }

    fn take_new_settings(&mut self) {
        let Some(changes) = self.changes_of_settings.as_mut().filter(|changes| changes.has_changed().unwrap_or(false))
        else {
            return;
        };
        self.settings = changes.borrow_and_update().clone();
        // What they speak of may have been made just before.
        self.memory.observed_at = None;
    }

    async fn write_what_differs(&mut self, round: &mut Round) -> Result<(), Blocked> {
        let mut tried: BTreeSet<Subject> = BTreeSet::new();
        let stop = self.stop.clone();
        let mut read = Reading::Earlier;
        loop {
            // A read may be left at any moment; a write that is under way is finished.
            tokio::select! {
                looked = self.look() => if looked? == Reading::Now {
                    read = Reading::Now;
                },
                () = stop.cancelled() => return Ok(()),
            }
            let plan = self.plan(round);
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
            if read == Reading::Earlier && batch.iter().any(|change| matches!(change, Change::CreateTarget { .. })) {
                self.memory.observed_at = None;
                continue;
            }
            let failed = self.write(batch, round).await?;
            tried.extend(failed);
        }
    }

    /// Reads what has to be read: the alerts after news, Cachet at the start, on the interval and after a surprise.
    async fn look(&mut self) -> Result<Reading, Blocked> {
        let now = self.clock.now();
        if self.memory.looked_at.is_none_or(|before| now < before) {
            self.take_back_the_future(now).await?;
        }
        self.memory.looked_at = Some(now);
        let news = self.wake.count();
        if self.memory.alerts_as_of != Some(news) {
            self.memory.alerts = self.store.unresolved_alerts().await?;
            self.memory.alerts_as_of = Some(news);
        }
        if self.memory.applied.is_none() {
            self.store.keep_page_at(self.cachet.address()).await?;
            self.memory.applied = Some(self.store.applied().await?);
        }
        let mut reading = Reading::Earlier;
        if !self.memory.is_fresh(now, self.settings.interval) {
            let observed = self.cachet.observe().await?;
            if self.memory.observed.is_none() && self.store.observed().await?.is_none() {
                self.inherit(&observed, now).await?;
            }
            self.memory.read(observed, now);
            self.store.confirm_observed(now).await?;
            self.store.forget_resolved_alerts(now.before(RESOLVED_ALERTS_KEPT)).await?;
            reading = Reading::Now;
        }
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
    async fn inherit(&mut self, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let inventory = self.settings.inventory.clone().unwrap_or_else(|| inventory_of(observed));
        let mut inheritance = inherit(&inventory, observed, &self.settings.texts.new_incident_name, now);
        // Of what the store does know something, as after a move from another Cachet, it has the say.
        let known = self.memory.applied.take().unwrap_or_default();
        inheritance.episodes.retain(|episode| !known.episodes.contains_key(&episode.component));
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
        Ok(())
    }

    fn plan(&self, round: &mut Round) -> Plan {
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
        let desired = desired(inventory, &self.memory.alerts, self.settings.refire_hold, now);
        let plan = plan(&desired, applied, observed, self.settings.policy(), now);
        round.revisit_at = desired.revisit_at.into_iter().chain(plan.revisit_at).min();
        plan
    }

    /// The next changes to make: of one rank, so that what the public sees first is there first; none that failed in
    /// this go; and of those that only operators see, no more than the rate limit has to spare. Those that failed in an
    /// earlier go come last in their rank, so that they hold up no others.
    fn next_batch(&self, mut changes: Vec<Change>, tried: &BTreeSet<Subject>, round: &mut Round) -> Vec<Change> {
        changes.retain(|change| !tried.contains(&change.subject()));
        let Some(rank) = changes.first().map(Change::rank) else { return Vec::new() };
        let spare = match (rank, self.cachet.spare()) {
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

    async fn take_notes(&mut self, notes: &[Note]) -> Result<(), StoreError> {
        let entries: Vec<Entry> = notes.iter().cloned().map(Entry::from).collect();
        self.store.remember(&entries, self.clock.now()).await?;
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.texts));
        Ok(())
    }

    /// Makes `batch`, each change remembered before and after, and returns what failed.
    async fn write(&mut self, batch: Vec<Change>, round: &mut Round) -> Result<Vec<Subject>, Blocked> {
        let intents: Vec<Entry> = batch.iter().filter_map(apply::intent).collect();
        self.store.remember(&intents, self.clock.now()).await?;
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
        for (change, outcome) in outcomes {
            match outcome {
                Ok(entry) => {
                    round.written += 1;
                    round.unanswered = 0;
                    self.memory.failing.remove(&change.subject());
                    apply::log(&self.log, &self.settings.texts, &change, &entry);
                    entries.push(entry);
                }
                Err(error) => {
                    let unanswered = error.may_have_been_applied() || error.is_not_cachet();
                    round.unanswered = if unanswered { round.unanswered + 1 } else { 0 };
                    self.memory.surprised |= unanswered || error.is_not_found();
                    failed.push(change.subject());
                    if error.concerns_everything() && blocked.is_none() {
                        blocked = Some(error);
                    } else {
                        round.failures.push((change.subject(), error));
                    }
                }
            }
        }
        if let Err(error) = self.store.remember(&entries, self.clock.now()).await {
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

    /// Says each report once, and again only after it was no longer true in between.
    fn say_reports(&mut self, reports: BTreeSet<Report>) {
        for report in reports.difference(&self.memory.reported) {
            apply::log_report(&self.log, report);
        }
        self.memory.reported = reports;
    }

    /// Says once what is wrong, and once that it is over.
    fn say_what_is_wrong(&mut self, round: &Round) {
        for (subject, error) in &round.failures {
            let message = error.to_string();
            if self.memory.failing.get(subject) != Some(&message) {
                tracing::warn!(subject = %subject, "{message}; it is tried again");
                self.memory.failing.insert(subject.clone(), message);
            }
        }
        if round.blocked.is_none() {
            // What was not tried again needs no writing any more.
            self.memory.failing.retain(|failing, _| round.failures.iter().any(|(subject, _)| subject == failing));
        }
        let blocked_by = round.blocked.as_ref().map(Blocked::to_string);
        match (&self.memory.blocked_by, &blocked_by) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                tracing::error!("{now}; nothing is lost, it is tried again");
            }
            (Some(_), None) => tracing::info!("the page can be written again"),
            _ => {}
        }
        self.memory.blocked_by = blocked_by;
    }

    /// How long there is nothing to do if no news comes; never longer than the interval, though the clock be set back.
    fn until_due(&self, revisit_at: Option<Timestamp>) -> Duration {
        let now = self.clock.now();
        let next_read = self.memory.observed_at.unwrap_or(now).after(self.settings.interval);
        revisit_at.map_or(next_read, |moment| moment.min(next_read)).since(now).min(self.settings.interval)
    }
}

impl Settings {
    /// What shapes a plan.
    pub fn policy(&self) -> Policy {
        Policy {
            close_incident_when: self.close_incident_when,
            drift: self.drift,
            recovery_hold: self.recovery_hold,
            reopen_within: self.reopen_within,
            inventory: self.inventory.as_ref().map_or(InventorySource::Cachet, Inventory::source),
        }
    }
}
