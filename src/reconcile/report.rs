//! The fourth stage: what operators read of a run, and what the history keeps of it. Each thing is said once, and once that
//! it is over.
//!
//! An event waits in memory for the next thing that is written to the store anyway, and goes into the same transaction; at the
//! end of a run whatever is left is written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Context;
use super::deliver::Deliverer;
use super::run::{Blocked, RunReport};
use crate::core::history::{About, Event, EventKind};
use crate::core::ledger::{Ledger, ResourceKey, Update};
use crate::core::operation::{Operation, Outcome, event_of};
use crate::core::page::DesiredPage;
use crate::core::plan::Report;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::live::{Live, Writing};
use crate::log::Log;
use crate::metrics::ReconcileResult;
use crate::readiness::Readiness;
use crate::store::{Store, StoreError};

/// How much longer than its interval the server may not have looked before that is a downtime, of which nothing is known.
/// An upgrade is shorter, and what happens meanwhile is heard afterwards.
const SHORTEST_DOWNTIME: Duration = Duration::from_secs(5 * 60);

/// How often it is stored that the server looks.
const LOOKED_EVERY: Duration = Duration::from_secs(60);

/// How many events wait at most for a store that does not take them; more are not kept.
const WAITING_LIMIT: usize = 10_000;

/// What was said, and what is to be kept of it.
pub struct Reporter {
    /// The lines that operators grep for.
    pub log: Log,
    /// Whether the page works.
    pub readiness: Readiness,
    /// How the work goes, for the console.
    pub live: Live,
    /// Reports already logged.
    pub reported: BTreeSet<Report>,
    /// Resources that could not be written, each with the error logged for it; `None` while a general error covers it.
    pub failing: BTreeMap<ResourceKey, Option<String>>,
    /// Errors logged since the last successful write that blocked all writing.
    blocked_by: BTreeSet<String>,
    /// What each component had to show last; `None` until it was read.
    statuses: Option<BTreeMap<ComponentName, ComponentStatus>>,
    /// What was reported before the start, and is reported again.
    reported_before: BTreeSet<(About, EventKind)>,
    /// Events that the store does not have yet.
    waiting: Vec<Event>,
    looked_at: Option<Timestamp>,
}

impl Reporter {
    pub fn new(log: Log) -> Self {
        Self {
            log,
            readiness: Readiness::default(),
            live: Live::default(),
            reported: BTreeSet::new(),
            failing: BTreeMap::new(),
            blocked_by: BTreeSet::new(),
            statuses: None,
            reported_before: BTreeSet::new(),
            waiting: Vec::new(),
            looked_at: None,
        }
    }

    /// Something happened: the history keeps it, unless it is about a target's own component.
    fn keep(&mut self, event: Event) {
        if self.waiting.len() < WAITING_LIMIT && !matches!(event.about, About::Target(_)) {
            self.waiting.push(event);
        }
    }

    /// Reads, once, what the history knows already, and stores that the server looks.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not work.
    pub async fn look_back(&mut self, context: &Context, now: Timestamp) -> Result<(), StoreError> {
        let store = &context.store;
        if self.statuses.is_none() {
            self.statuses = Some(store.last_statuses().await?);
            self.reported_before = store.found_out().await?;
        }
        let before = self.looked_at;
        if before.is_some_and(|before| now >= before && now.since(before) < LOOKED_EVERY) {
            return Ok(());
        }
        let stored = store.look_at_the_clock(now).await?;
        self.looked_at = Some(now);
        // While it runs it looks often enough, or its clock was set; neither is a downtime.
        if let (Some(since), None) = (stored, before)
            && now.since(since) > context.settings.config.page.reconcile_interval + SHORTEST_DOWNTIME
        {
            let kind = EventKind::NotRunning { since_ms: since.as_millis() };
            self.keep(Event { at: now, about: About::Everything, kind });
        }
        Ok(())
    }

    /// This is what the page must show at `now`.
    pub fn desired(&mut self, page: &DesiredPage, now: Timestamp) {
        let Some(before) = self.statuses.take() else { return };
        let after: BTreeMap<ComponentName, ComponentStatus> =
            page.components.iter().map(|(name, component)| (name.clone(), component.status)).collect();
        let names: BTreeSet<&ComponentName> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (from, to) = (before.get(name).copied(), after.get(name).copied());
            if from != to {
                let (about, kind) = (About::Component(name.clone()), EventKind::Status { from, to });
                self.keep(Event { at: now, about, kind });
            }
        }
        self.statuses = Some(after);
    }

    /// Says each report once, and again only after it was no longer true in between.
    pub fn reports(&mut self, reports: BTreeSet<Report>, now: Timestamp) {
        let before = std::mem::replace(&mut self.reported, reports);
        for report in self.reported.clone().difference(&before) {
            let Some((about, kind)) = report.event() else {
                tracing::warn!("{report}");
                continue;
            };
            let event = Event { at: now, about, kind };
            match event.kind {
                EventKind::IncidentClosedByPerson { .. } => tracing::warn!("{report}"),
                _ => self.log.emit(&event),
            }
            if !self.reported_before.remove(&(event.about.clone(), event.kind.clone())) {
                self.keep(event);
            }
        }
    }

    /// An operation was answered.
    pub fn written(&mut self, context: &Context, operation: &Operation, outcome: &Outcome, now: Timestamp) {
        self.no_longer_fails(&operation.key());
        context.metrics.operation_confirmed(operation);
        if let (Operation::Write { key: ResourceKey::Component(name), value, .. }, Outcome::Written(_, written)) =
            (operation, outcome)
            && written != value
        {
            let to = value.status;
            tracing::warn!(
                "this Cachet does not take {to} of component {name:?}: it is left as it is, and so are others"
            );
        }
        let title = |subject: &_| context.settings.config.title(subject);
        if let Some((about, kind)) = operation.event(outcome, title) {
            let event = Event { at: now, about, kind };
            self.log.emit(&event);
            self.keep(event);
        }
    }

    /// Emits the events of ledger updates that no operation caused.
    pub fn ledger_updated(&mut self, ledger: &Ledger, updates: &[Update], now: Timestamp) {
        for (about, kind) in updates.iter().filter_map(|update| event_of(ledger, update)) {
            let event = Event { at: now, about, kind };
            self.log.emit(&event);
            self.keep(event);
        }
    }

    /// Says once of each thing why it could not be written, unless that is why nothing can be.
    pub fn failures(&mut self, run: &RunReport, now: Timestamp) {
        for (subject, error) in &run.failures {
            let news = error.news.clone();
            let said = self.failing.entry(subject.clone()).or_default();
            if said.as_ref() == Some(&news) || self.blocked_by.contains(&news) {
                continue;
            }
            tracing::warn!(subject = %subject, "{error}; it is tried again");
            *said = Some(news);
            let kind = EventKind::WriteFailed { change: subject.to_string(), error: error.to_string() };
            self.keep(Event { at: now, about: subject.into(), kind });
        }
    }

    /// Says once why nothing can be written, and once that this is over.
    pub fn result(&mut self, run: &RunReport, now: Timestamp) {
        let about = About::Everything;
        if let Some(blocked) = &run.blocked {
            if self.blocked_by.insert(blocked.news()) {
                tracing::error!("{blocked}; nothing is lost, it is tried again");
                // A store that does not work cannot store this event.
                if let Blocked::Page(error) = blocked {
                    let kind = EventKind::WriteFailed { change: "everything".to_owned(), error: error.to_string() };
                    self.keep(Event { at: now, about, kind });
                }
            }
            return;
        }
        // What was not tried again needs no writing any more, unless the rate limit has put it off.
        let fails = |failing: &ResourceKey| run.failures.iter().any(|(subject, _)| subject == failing);
        let is_put_off = |failing: &ResourceKey| run.saving.is_some() && matches!(failing, ResourceKey::Target(_));
        let over: Vec<ResourceKey> =
            self.failing.keys().filter(|failing| !fails(failing) && !is_put_off(failing)).cloned().collect();
        over.iter().for_each(|subject| self.no_longer_fails(subject));
        if !std::mem::take(&mut self.blocked_by).is_empty() {
            tracing::info!("the page can be written again");
            self.keep(Event { at: now, about, kind: EventKind::WritableAgain });
        }
    }

    /// Says that it is over, if it was said that it began.
    fn no_longer_fails(&mut self, subject: &ResourceKey) {
        if let Some(Some(_)) = self.failing.remove(subject) {
            tracing::info!(subject = %subject, "resource is in sync again");
        }
    }

    /// Says what came of a run, from what is known anyway: no query, no call.
    pub fn publish(&self, context: &Context, deliverer: &Deliverer, run: &RunReport, took: Duration) {
        let (now, metrics, waiting) = (context.clock.now(), &context.metrics, deliverer.waiting());
        let result = match &run.blocked {
            Some(Blocked::Page(_)) => ReconcileResult::CachetBlocked,
            Some(Blocked::Store(_)) => ReconcileResult::StoreBlocked,
            None if run.is_complete() => ReconcileResult::Complete,
            None => ReconcileResult::Incomplete,
        };
        metrics.reconciled(result, took, now);
        metrics.changes_waiting(waiting.keys().map(|(kind, _)| *kind), waiting.values().min().copied());
        let known = context.page.known();
        metrics.cachet_budget(known.budget);
        let mut parts = self.readiness.lock();
        parts.abilities = known.abilities;
        match (&run.blocked, &known.lacking) {
            (None, None) => parts.cachet = Some(Ok(())),
            (None, Some(error)) | (Some(Blocked::Page(error)), _) => parts.cachet = Some(Err(error.to_string())),
            // That says nothing about the page.
            (Some(Blocked::Store(_)), _) => {}
        }
        drop(parts);
        let failing = self.failing.iter();
        self.live.reconciled(Writing {
            at: Some(now),
            problem: run.blocked.as_ref().map(ToString::to_string),
            budget: known.budget,
            waiting,
            unknown_is_refused: known.refuses_unknown,
            failing: failing.filter_map(|(subject, said)| Some((subject.clone(), said.clone()?))).collect(),
        });
    }

    /// Saves changed rows of the ledger, and with them what happened.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not take it.
    pub async fn remember(&mut self, store: &Store, updates: &[Update]) -> Result<(), StoreError> {
        store.remember(updates, &self.waiting).await?;
        self.waiting.clear();
        Ok(())
    }

    /// Stores the events that are still waiting at the end of a run. If that fails, the next run tries again. Skipped if the
    /// store has already blocked this run.
    pub async fn save_events(&mut self, store: &Store, run: &RunReport) {
        if matches!(run.blocked, Some(Blocked::Store(_))) {
            return;
        }
        if let Err(error) = self.remember(store, &[]).await {
            tracing::debug!("events could not be stored: {error}; it is tried again");
        }
    }
}
