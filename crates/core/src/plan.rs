//! The difference between what the page must show and what it shows, as data.
//!
//! Three views are compared: *desired* (what alerts and inventory say), *applied* (what we last wrote) and *observed*
//! (what Cachet shows). Where desired and applied differ, something has to be written; where only the observed view
//! differs, a person changed it. Printing a plan is `explain` and the dry run; carrying it out is a loop.

mod change;
mod hold;
mod maintenance;
mod monitoring;
mod report;
mod strays;
mod targets;
mod unanswered;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

pub use self::change::{Attempt, Change, Rank, StrayOrigin};
pub use self::report::Report;
pub use self::unanswered::UnansweredWrite;

use super::incident::{Episode, EpisodeKey, EpisodePhase, EpisodeSubject, PastEpisode};
use super::ledger::{ComponentValue, Ledger, Recorded, ResourceKey, Unanswered};
use super::observed::{ComponentId, IncidentId, Maintenance, Observed, ObservedComponent, ObservedIncident};
use super::page::{DesiredComponent, DesiredPage};
use super::rules::{CloseIncidentWhen, Drift};
use super::status::ComponentStatus;
use super::target::{ComponentName, InventorySource};
use super::time::Timestamp;

/// What we last wrote to Cachet, and the episodes that are not over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// What was written to components.
    pub ledger: Ledger,
    /// At most one episode a component.
    pub episodes: BTreeMap<ComponentName, Episode>,
    /// The episode in which monitoring data is missing.
    pub monitoring: Option<Episode>,
    /// Episodes that are over, and of which an incident may still turn up.
    pub past: BTreeMap<EpisodeKey, PastEpisode>,
    /// Writes to incidents that Cachet may carry out yet, in the order in which they were sent.
    pub unanswered: Vec<UnansweredWrite>,
}

impl Applied {
    /// Every episode, whatever it is about.
    pub fn every_episode(&self) -> impl Iterator<Item = &Episode> {
        self.episodes.values().chain(&self.monitoring)
    }

    /// As [`Self::every_episode`], to change them.
    pub fn every_episode_mut(&mut self) -> impl Iterator<Item = &mut Episode> {
        self.episodes.values_mut().chain(&mut self.monitoring)
    }

    /// Remembers how far an episode is.
    pub fn keep(&mut self, episode: Episode) {
        match episode.subject.component() {
            Some(component) => drop(self.episodes.insert(component.clone(), episode)),
            None => self.monitoring = Some(episode),
        }
    }

    /// Forgets the episode about `subject`, which is over.
    pub fn forget(&mut self, subject: &EpisodeSubject) {
        match subject.component() {
            Some(component) => drop(self.episodes.remove(component)),
            None => self.monitoring = None,
        }
    }

    /// The episode about `subject`.
    pub fn episode(&self, subject: &EpisodeSubject) -> Option<&Episode> {
        match subject.component() {
            Some(component) => self.episodes.get(component),
            None => self.monitoring.as_ref(),
        }
    }
}

/// What shapes a plan beside the three views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What ends an episode.
    pub close_incident_when: CloseIncidentWhen,
    /// What is done about a person's change.
    pub drift: Drift,
    /// How long a component has to be calm before its episode ends.
    pub recovery_hold: Duration,
    /// How long after its incident was closed a relapse opens the same one again.
    pub reopen_within: Duration,
    /// Whether Cachet takes the status Unknown of a component; where it does not, what would be Unknown is left as it is.
    pub takes_unknown: bool,
    /// How long after a posting was looked for in vain the incident is not posted again.
    pub posting_patience: Duration,
    /// Where the inventory comes from: with a targets file, a target component that it does not name is a leftover.
    pub inventory: InventorySource,
}

/// What has to be done, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Writes to Cachet, what the public sees first.
    pub changes: Vec<Change>,
    /// What is only to be remembered, without a call.
    pub notes: Vec<Note>,
    /// What an operator should know.
    pub reports: BTreeSet<Report>,
    /// When time alone changes the plan next: a component was calm for long enough, a relapse no longer counts, or a
    /// maintenance that holds an incident back may be over.
    pub revisit_at: Option<Timestamp>,
}

/// Something to remember that needs no call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The page shows what was written, or what has to be written: the row of the resource.
    Confirmed(ResourceKey, Recorded),
    /// The component is no longer ours to write: nothing feeds it any more and it is Operational, or it is gone.
    Released(ResourceKey),
    /// The episode is in another phase without a write: a person closed its incident or opened it again, or its
    /// component became calm.
    EpisodePhase(Episode),
    /// A relapse would no longer continue the episode.
    EpisodeForgotten(Episode),
}

/// The difference between the three views at `now`.
pub fn plan(desired: &DesiredPage, applied: &Applied, observed: &Observed, policy: Policy, now: Timestamp) -> Plan {
    let late = Planner::late_writes(applied, observed);
    let (observed, plan) = (Index::new(observed), Plan::default());
    let mut planner = Planner { desired, applied, observed, late, policy, now, plan };
    let components: BTreeSet<&ComponentName> = {
        let recorded = applied.ledger.components().map(|(name, _)| name);
        desired.components.keys().chain(recorded).chain(applied.episodes.keys()).collect()
    };
    for component in components {
        planner.component(component);
    }
    planner.monitoring();
    planner.strays();
    planner.late_reopenings();
    planner.targets();
    planner.leftovers();
    let mut plan = planner.plan;
    plan.changes.sort_by_key(|change| (change.rank(), std::cmp::Reverse(change.severity()), change.key()));
    plan
}

/// Cachet's components by name; of several with one name, the lowest number first.
struct Index<'a> {
    components: BTreeMap<&'a str, Vec<&'a ObservedComponent>>,
    open_incidents: &'a [ObservedIncident],
    maintenance: &'a [Maintenance],
}

impl<'a> Index<'a> {
    fn new(observed: &'a Observed) -> Self {
        let mut components: BTreeMap<&str, Vec<&ObservedComponent>> = BTreeMap::new();
        for component in &observed.components {
            components.entry(&component.name).or_default().push(component);
        }
        for namesakes in components.values_mut() {
            namesakes.sort_by_key(|component| component.id);
        }
        Self { components, open_incidents: &observed.open_incidents, maintenance: &observed.maintenance }
    }
}

struct Planner<'a> {
    desired: &'a DesiredPage,
    applied: &'a Applied,
    observed: Index<'a>,
    /// Writes that Cachet has carried out after something newer.
    late: Vec<&'a UnansweredWrite>,
    policy: Policy,
    now: Timestamp,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn component(&mut self, name: &ComponentName) {
        let desired = self.desired.components.get(name);
        let status = desired.map_or(ComponentStatus::Operational, |desired| desired.status);
        let found = self.find(name.as_str());
        let key = ResourceKey::Component(name.clone());
        let ours = desired.is_some() || self.applied.ledger.get(&key).is_some();
        match found {
            _ if !ours => {}
            Some(found) if desired.is_none() && found.status == Some(ComponentStatus::Operational) => {
                if !self.may_change_yet(&key, found) {
                    self.plan.notes.push(Note::Released(key));
                }
            }
            Some(found) if desired.is_some_and(|desired| self.is_left_unknown(name, desired, found)) => {}
            Some(found) => self.component_status(name, status, found),
            None if desired.is_some_and(|desired| !desired.is_fed()) => {}
            None if desired.is_none() => self.plan.notes.push(Note::Released(key)),
            None => {
                self.plan.reports.insert(Report::ComponentMissing { component: name.clone() });
            }
        }
        self.episode(name, status, desired, found.map(|found| found.id));
    }

    fn component_status(&mut self, name: &ComponentName, status: ComponentStatus, found: &ObservedComponent) {
        let key = ResourceKey::Component(name.clone());
        let settled = self.settled(&key, found).map(|recorded| recorded.status);
        if found.status == Some(status) {
            if settled != Some(status) {
                self.confirm(key, found, ComponentValue::of_component(status));
            }
            return;
        }
        let late = self.late_on(&key, found).filter(|_| settled == Some(status));
        if settled == Some(status) && late.is_none() && self.policy.drift == Drift::Respect {
            self.report_overridden(name, status, found);
            return;
        }
        self.set_component(name, status, found, late);
    }

    /// The value that is known to have been written to a component. That the page shows what a write in doubt asked for
    /// confirms it, whatever the alerts say by now.
    fn settled(&mut self, key: &ResourceKey, found: &ObservedComponent) -> Option<ComponentValue> {
        let recorded = self.applied.ledger.get(key).filter(|recorded| recorded.page_id == Some(found.id))?;
        if !recorded.is_confirmed() {
            let hidden = !found.enabled || matches!(key, ResourceKey::Component(_));
            if !(hidden && recorded.value.is_shown_by(found)) {
                return None;
            }
            self.plan.notes.push(Note::Confirmed(key.clone(), recorded.confirm_shown()));
        }
        Some(recorded.value.clone())
    }

    /// The page shows of a component what it must show, though something else was recorded.
    fn confirm(&mut self, key: ResourceKey, found: &ObservedComponent, value: ComponentValue) {
        let unanswered = self.recorded(&key, found).map(|recorded| recorded.unanswered.clone()).unwrap_or_default();
        let row = Recorded { unanswered, ..Recorded::confirmed(found.id, value) };
        self.plan.notes.push(Note::Confirmed(key, row));
    }

    fn recorded(&self, key: &ResourceKey, found: &ObservedComponent) -> Option<&'a Recorded> {
        self.applied.ledger.get(key).filter(|recorded| recorded.page_id == Some(found.id))
    }

    /// What the page has done to this component late, if that is what it shows.
    fn late_on(&self, key: &ResourceKey, found: &ObservedComponent) -> Option<Unanswered> {
        self.recorded(key, found)?.late(found).cloned()
    }

    /// Whether a write to this component may be carried out yet.
    fn may_change_yet(&self, key: &ResourceKey, found: &ObservedComponent) -> bool {
        self.recorded(key, found).is_some_and(|recorded| !recorded.unanswered.is_empty())
    }

    fn set_component(
        &mut self,
        name: &ComponentName,
        to: ComponentStatus,
        found: &ObservedComponent,
        late: Option<Unanswered>,
    ) {
        let (key, value) = (ResourceKey::Component(name.clone()), ComponentValue::of_component(to));
        let (page_id, from, enabled) = (Some(found.id), found.status, found.enabled);
        self.plan.changes.push(Change::Write { key, page_id, from, value, enabled, late });
    }

    fn report_overridden(&mut self, name: &ComponentName, expected: ComponentStatus, found: &ObservedComponent) {
        let (component, found) = (name.clone(), found.status);
        self.plan.reports.insert(Report::ComponentOverridden { component, expected, found });
    }

    fn episode(
        &mut self,
        name: &ComponentName,
        status: ComponentStatus,
        desired: Option<&DesiredComponent>,
        component: Option<ComponentId>,
    ) {
        let episode = self.applied.episodes.get(name);
        let active = episode.filter(|episode| episode.is_active());
        let in_episode = |status| self.policy.close_incident_when.in_episode(status, active.is_some());
        let goes_on = in_episode(hold::status_of_episode(status, desired));
        let held_back =
            goes_on && (self.is_held_back(name, episode, component) || self.is_held_better(name, episode, desired));
        match (episode, component) {
            (Some(episode), _) if held_back => self.remember_for_a_relapse(episode),
            (_, _) if held_back => {}
            (Some(episode), _) => self.follow_episode(episode, goes_on, status, component),
            (None, Some(id)) if goes_on => {
                let occurred_at = desired.and_then(|desired| desired.since).unwrap_or(self.now);
                let subject = EpisodeSubject::Component { name: name.clone(), id };
                self.begin_episode(EpisodeKey::new(id, self.now), subject, occurred_at);
            }
            // Without its component there is nothing to attach an incident to; that is reported above.
            (None, _) => {}
        }
    }

    /// Takes an episode further: its subject is still in trouble (it `goes_on`), or no longer.
    fn follow_episode(
        &mut self,
        episode: &Episode,
        goes_on: bool,
        status: ComponentStatus,
        component: Option<ComponentId>,
    ) {
        match (episode.phase, goes_on) {
            // Its component was removed, so nothing is opened for it, or opened again.
            (EpisodePhase::Closed { .. }, true) if component.is_none() && episode.subject.component().is_some() => {
                self.remember_for_a_relapse(episode);
            }
            (EpisodePhase::Closed { incident, .. }, true) if self.is_remembered(episode) => {
                self.reopen(episode, incident, Attempt::First);
            }
            (EpisodePhase::Closed { .. }, true) => {
                self.remember_for_a_relapse(episode);
                // Once it is forgotten, a new one begins.
                self.revisit(self.now);
            }
            (EpisodePhase::Closed { .. }, false) => self.remember_for_a_relapse(episode),
            (_, true) => self.continue_episode(episode, status, component),
            (_, false) => self.end_episode(episode, status),
        }
    }

    /// Whether a relapse now would open the episode's incident again.
    fn is_remembered(&self, episode: &Episode) -> bool {
        matches!(episode.phase, EpisodePhase::Closed { at, .. } if self.now < at.after(self.policy.reopen_within))
    }

    /// Keeps a closed episode for as long as a relapse would open its incident again; the next plan after that begins a
    /// new one.
    fn remember_for_a_relapse(&mut self, episode: &Episode) {
        match episode.phase {
            EpisodePhase::Closed { at, .. } if self.is_remembered(episode) => {
                self.revisit(at.after(self.policy.reopen_within));
            }
            EpisodePhase::Closed { .. } => self.plan.notes.push(Note::EpisodeForgotten(episode.clone())),
            _ => {}
        }
    }

    fn begin_episode(&mut self, key: EpisodeKey, subject: EpisodeSubject, occurred_at: Timestamp) {
        let component = subject.component_id();
        let (began_at, phase) = (self.now, EpisodePhase::Opening);
        let episode = Episode { key, subject, occurred_at, began_at, calm_since: None, lost: None, phase };
        self.plan.changes.push(Change::OpenIncident { component, episode, attempt: Attempt::First });
    }

    fn continue_episode(&mut self, episode: &Episode, status: ComponentStatus, component: Option<ComponentId>) {
        match episode.phase {
            // Its component was removed, and there is nothing to attach an incident to.
            EpisodePhase::Opening | EpisodePhase::Absent
                if component.is_none() && episode.subject.component().is_some() => {}
            EpisodePhase::Absent if self.is_awaited(episode) => {}
            EpisodePhase::Opening | EpisodePhase::Absent => {
                let episode = Self::as_it_is_posted_next(episode, component);
                self.plan.changes.push(Change::OpenIncident { component, episode, attempt: Attempt::Resumed });
            }
            EpisodePhase::Open(incident) if self.closed_late(episode).is_some() => {
                self.reopen(episode, incident, Attempt::Resumed);
            }
            EpisodePhase::Open(incident) if !self.is_open(incident) => {
                self.report_closed_by_person(episode, incident);
                self.move_to(episode, EpisodePhase::ClosedByPerson(incident));
            }
            EpisodePhase::ClosedByPerson(incident) if self.is_open(incident) => {
                self.move_to(episode, EpisodePhase::Open(incident));
            }
            EpisodePhase::ClosedByPerson(incident) => {
                self.report_closed_by_person(episode, incident);
                self.remember_calm(episode, None);
            }
            EpisodePhase::Open(_) if episode.calm_since.is_some() => self.remember_calm(episode, None),
            EpisodePhase::Open(_) | EpisodePhase::Closed { .. } => {}
            EpisodePhase::Reopening(incident) => self.reopen(episode, incident, Attempt::Resumed),
            // The component relapsed while the incident was being closed: that episode is over, the next one begins
            // when its incident is closed.
            EpisodePhase::Closing(incident) => self.close(episode, incident, status, Attempt::Resumed),
        }
    }

    /// An episode whose incident is posted again is about the component that this is posted for, which may have been
    /// made anew: a Cachet without meta tells the incident by its number. One that may have been posted is looked for
    /// where it was.
    fn as_it_is_posted_next(episode: &Episode, component: Option<ComponentId>) -> Episode {
        let mut episode = episode.clone();
        if let (EpisodePhase::Absent, EpisodeSubject::Component { id, .. }, Some(now)) =
            (episode.phase, &mut episode.subject, component)
        {
            *id = now;
        }
        episode
    }

    fn end_episode(&mut self, episode: &Episode, status: ComponentStatus) {
        let calm_since = episode.calm_since.unwrap_or(self.now);
        let over_at = calm_since.after(self.policy.recovery_hold);
        match episode.phase {
            EpisodePhase::Open(_) | EpisodePhase::ClosedByPerson(_) if self.now < over_at => {
                self.remember_calm(episode, Some(calm_since));
                self.revisit(over_at);
            }
            EpisodePhase::Absent if self.is_awaited(episode) => {}
            EpisodePhase::Opening | EpisodePhase::Absent => {
                self.plan.changes.push(Change::FindIncident { episode: episode.clone() });
            }
            EpisodePhase::Open(incident) if self.is_open(incident) || self.closed_late(episode).is_some() => {
                self.close(episode, incident, status, Attempt::First);
            }
            // It does not seem to be open; a wrong impression would leave the page red, so it is looked at once more.
            EpisodePhase::Open(incident)
            | EpisodePhase::ClosedByPerson(incident)
            | EpisodePhase::Closing(incident)
            | EpisodePhase::Reopening(incident) => self.close(episode, incident, status, Attempt::Resumed),
            EpisodePhase::Closed { .. } => {}
        }
    }

    fn is_open(&self, incident: IncidentId) -> bool {
        self.observed.open_incidents.iter().any(|open| open.id == incident)
    }

    fn close(&mut self, episode: &Episode, incident: IncidentId, now: ComponentStatus, attempt: Attempt) {
        let (episode, late) = (episode.clone(), self.closed_late(episode));
        self.plan.changes.push(Change::CloseIncident { incident, episode, now, attempt, late });
    }

    fn reopen(&mut self, episode: &Episode, incident: IncidentId, attempt: Attempt) {
        let (episode, late) = (episode.clone(), self.closed_late(episode));
        self.plan.changes.push(Change::ReopenIncident { incident, episode, attempt, late });
    }

    fn remember_calm(&mut self, episode: &Episode, calm_since: Option<Timestamp>) {
        if episode.calm_since != calm_since {
            self.plan.notes.push(Note::EpisodePhase(Episode { calm_since, ..episode.clone() }));
        }
    }

    fn revisit(&mut self, at: Timestamp) {
        self.plan.revisit_at = Some(self.plan.revisit_at.map_or(at, |earlier| earlier.min(at)));
    }

    fn move_to(&mut self, episode: &Episode, phase: EpisodePhase) {
        self.plan.notes.push(Note::EpisodePhase(Episode { phase, ..episode.clone() }));
    }

    fn report_closed_by_person(&mut self, episode: &Episode, incident: IncidentId) {
        let subject = episode.subject.clone();
        self.plan.reports.insert(Report::IncidentClosedByPerson { subject, incident });
    }

    /// The component of that name; the lowest number if there are several, which is reported.
    fn find(&mut self, name: &str) -> Option<&'a ObservedComponent> {
        let namesakes = self.observed.components.get(name)?;
        if namesakes.len() > 1 {
            let ids = namesakes.iter().map(|component| component.id).collect();
            self.plan.reports.insert(Report::NameTaken { name: name.to_owned(), ids });
        }
        namesakes.first().copied()
    }
}

/// What Cachet shows of a component.
struct Shown(Option<ComponentStatus>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => write!(f, "{status}"),
            None => f.write_str("a status that we do not know"),
        }
    }
}

#[cfg(test)]
mod tests;
