//! What the history keeps of the reconciler's work.
//!
//! It waits in memory for the next thing that is written to the store anyway, and goes into the same transaction; at the
//! end of a go whatever is left is written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Blocked, Reconciler, Round, apply};
use crate::core::history::{About, Event, Happening};
use crate::core::incident::{Episode, EpisodePhase, EpisodeSubject};
use crate::core::ledger::ResourceKey;
use crate::core::page::DesiredPage;
use crate::core::plan::{Change, Report};
use crate::core::status::ComponentStatus;
use crate::core::status_page::PageError;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::store::{Entry, StoreError};

/// How much longer than its interval the server may not have looked before that is an absence, of which nothing is known.
/// An upgrade is shorter, and what happens meanwhile is heard afterwards.
const SHORTEST_ABSENCE: Duration = Duration::from_secs(5 * 60);

/// How often it is kept that the server looks.
const LOOKED_EVERY: Duration = Duration::from_secs(60);

/// How much waits at most for a store that does not take it; more is not kept.
const WAITING_LIMIT: usize = 10_000;

/// What happened and is not kept yet, and as much of the past as it takes to tell what is new.
#[derive(Debug, Default)]
pub struct Chronicle {
    /// What each component had to show last; `None` until it was read.
    statuses: Option<BTreeMap<ComponentName, ComponentStatus>>,
    /// What was found out before the start, and is found out again.
    found_out: BTreeSet<(About, Event)>,
    waiting: Vec<Happening>,
    looked_at: Option<Timestamp>,
}

impl Chronicle {
    /// Something happened.
    pub fn add(&mut self, happening: Option<Happening>) {
        if self.waiting.len() < WAITING_LIMIT {
            self.waiting.extend(happening);
        }
    }

    /// This is what the page must show at `now`.
    pub fn see(&mut self, page: &DesiredPage, now: Timestamp) {
        let Some(before) = self.statuses.take() else { return };
        let after: BTreeMap<ComponentName, ComponentStatus> =
            page.components.iter().map(|(name, component)| (name.clone(), component.status)).collect();
        let names: BTreeSet<&ComponentName> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (from, to) = (before.get(name).copied(), after.get(name).copied());
            if from != to {
                let (about, event) = (About::Component(name.clone()), Event::Status { from, to });
                self.add(Some(Happening { at: now, about, event }));
            }
        }
        self.statuses = Some(after);
    }

    /// Something is said for the first time since the start.
    pub fn find_out(&mut self, report: &Report, now: Timestamp) {
        let Some((about, event)) = of_report(report) else { return };
        if !self.found_out.remove(&(about.clone(), event.clone())) {
            self.add(Some(Happening { at: now, about, event }));
        }
    }
}

impl Reconciler {
    /// Reads, once, what the history knows already, and notes that the server looks.
    pub(super) async fn look_back(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if self.memory.chronicle.statuses.is_none() {
            self.memory.chronicle.statuses = Some(self.store.last_statuses().await?);
            self.memory.chronicle.found_out = self.store.found_out().await?;
        }
        let looked_at = self.memory.chronicle.looked_at;
        if looked_at.is_some_and(|before| now >= before && now.since(before) < LOOKED_EVERY) {
            return Ok(());
        }
        let kept = self.store.look_at_the_clock(now).await?;
        self.memory.chronicle.looked_at = Some(now);
        // While it runs it looks often enough, or its clock was set; neither is an absence.
        if let (Some(since), None) = (kept, looked_at)
            && now.since(since) > self.settings.config.page.reconcile_interval + SHORTEST_ABSENCE
        {
            let event = Event::NotRunning { since_ms: since.as_millis() };
            self.memory.chronicle.add(Some(Happening { at: now, about: About::Everything, event }));
        }
        Ok(())
    }

    /// Tells what components must show though Cachet cannot be read, nor was since the start: by what it had before. The
    /// outage of both would be missing in the uptime otherwise.
    pub(super) async fn see_by_the_last_snapshot(&mut self) {
        if self.memory.observed.is_some() {
            return;
        }
        // A store that does not answer says so elsewhere, and without a snapshot nothing is known to compare with.
        let Ok(Some((observed, _))) = self.store.observed().await else { return };
        let now = self.clock.now();
        let page = self.desired(&observed, &self.signals(now), now);
        self.memory.chronicle.see(&page, now);
    }

    /// Remembers `entries`, and with them what happened.
    pub(super) async fn remember(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let waiting = &self.memory.chronicle.waiting;
        self.store.remember_with_history(entries, waiting, self.clock.now()).await?;
        self.memory.chronicle.waiting.clear();
        Ok(())
    }

    /// Keeps what is left at the end of a go. A store that does not take it is asked again at the end of the next one; it
    /// says so itself where it matters. One that has just refused something else is left to those who post.
    pub(super) async fn keep_history(&mut self, round: &Round) {
        if matches!(round.blocked, Some(Blocked::Store(_))) {
            return;
        }
        if let Err(error) = self.remember(&[]).await {
            tracing::debug!("what happened could not be kept: {error}; it is tried again");
        }
    }
}

/// What the history keeps of a change that was made. What is written of targets' own components is not in it, for it says
/// what their alerts said.
pub fn of_change(change: &Change, entry: &Entry, now: Timestamp) -> Option<Happening> {
    let closed = |subject: &EpisodeSubject, incident, reason: &str| {
        (about(subject), Event::IncidentClosed { incident, reason: reason.to_owned() })
    };
    let (about, event) = match (change, entry) {
        (Change::Write { key: ResourceKey::Component(name), from, value, .. }, Entry::Row(_, row))
            if row.value == *value =>
        {
            (About::Component(name.clone()), Event::Written { from: *from, to: value.status })
        }
        (Change::OpenIncident { .. }, Entry::Episode(Episode { subject, phase: EpisodePhase::Open(id), .. })) => {
            (about(subject), Event::IncidentOpened { incident: *id })
        }
        (Change::ReopenIncident { incident, .. }, Entry::Episode(episode)) => {
            (about(&episode.subject), Event::IncidentReopened { incident: *incident })
        }
        (
            Change::CloseIncident { .. },
            Entry::Episode(Episode { subject, phase: EpisodePhase::Closed { incident, by, .. }, .. }),
        ) => closed(subject, *incident, apply::reason(*by, subject)),
        (Change::CloseStray { subject, incident, .. }, _) => closed(subject, *incident, "opened late"),
        (_, Entry::EndEpisode(episode, by)) => {
            closed(&episode.subject, episode.phase.incident()?, apply::reason(*by, &episode.subject))
        }
        _ => return None,
    };
    Some(Happening { at: now, about, event })
}

/// What the history keeps of a change that failed, where the public sees it.
pub fn of_failure(subject: &ResourceKey, error: &PageError, now: Timestamp) -> Option<Happening> {
    let about = match subject {
        ResourceKey::Component(name) | ResourceKey::Incident(name) => About::Component(name.clone()),
        ResourceKey::MonitoringIncident => About::Everything,
        ResourceKey::Target(_) => return None,
    };
    let event = Event::WriteFailed { change: subject.to_string(), error: error.to_string() };
    Some(Happening { at: now, about, event })
}

/// What the history keeps of why nothing can be written. That the store does not work, it cannot keep.
pub fn of_block(blocked: &Blocked, now: Timestamp) -> Option<Happening> {
    let Blocked::Page(error) = blocked else { return None };
    let event = Event::WriteFailed { change: "everything".to_owned(), error: error.to_string() };
    Some(Happening { at: now, about: About::Everything, event })
}

fn of_report(report: &Report) -> Option<(About, Event)> {
    match report {
        Report::ComponentOverridden { component, expected, found } => {
            Some((About::Component(component.clone()), Event::StatusOverridden { expected: *expected, found: *found }))
        }
        Report::IncidentClosedByPerson { subject, incident } => {
            Some((about(subject), Event::IncidentClosedByPerson { incident: *incident }))
        }
        Report::IncidentHeldBack { component, maintenance } => {
            Some((About::Component(component.clone()), Event::IncidentHeldBack { maintenance: maintenance.clone() }))
        }
        _ => None,
    }
}

fn about(subject: &EpisodeSubject) -> About {
    subject.component().map_or(About::Everything, |name| About::Component(name.clone()))
}
