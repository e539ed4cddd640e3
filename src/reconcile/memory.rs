//! What the reconciler knows between two goes. The store has all of it that matters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::creations::Vanished;
use super::history::Chronicle;
use super::maintenance::Knowledge;
use super::waiting::Waiting;
use crate::core::config::Config;
use crate::core::hold::Hold;
use crate::core::incident::{EpisodePhase, PastEpisode};
use crate::core::ledger::{Recorded, ResourceKey};
use crate::core::observed::{Maintenance, Observed, ObservedComponent, ObservedIncident};
use crate::core::plan::{Applied, Report, StrayOrigin, UnansweredWrite};
use crate::core::status::IncidentStatus;
use crate::core::time::Timestamp;
use crate::core::watchdog::Monitoring;
use crate::store::Entry;

#[derive(Debug, Default)]
pub struct Memory {
    /// The overrides in force.
    pub holds: Vec<Hold>,
    /// The wake count at which overrides and sources were last read.
    pub read_as_of: Option<u64>,
    pub applied: Option<Applied>,
    /// What Cachet shows: as it was read, and what was written since.
    pub observed: Option<Observed>,
    /// What is known of the monitoring.
    pub monitoring: Monitoring,
    /// The last time that the clock showed.
    pub looked_at: Option<Timestamp>,
    /// When Cachet was read.
    pub observed_at: Option<Timestamp>,
    /// When the store last forgot what is old.
    pub forgot_at: Option<Timestamp>,
    /// When maintenance was last requested and answered.
    pub maintenance: Knowledge,
    /// The components that were not in the last reading and in the one before.
    pub vanished: Vanished,
    /// What of `observed` the store does not have yet.
    pub unkept: Unkept,
    /// Whether a write ended so that the page must be read again.
    pub surprised: bool,
    /// Reports already logged.
    pub reported: BTreeSet<Report>,
    /// Resources that could not be written, each with the error logged for it; `None` while a general error covers it.
    pub failing: BTreeMap<ResourceKey, Option<String>>,
    /// Errors logged since the last successful write that blocked all writing.
    pub blocked_by: BTreeSet<String>,
    /// What Cachet has not taken yet.
    pub waiting: Waiting,
    /// What happened and is not kept yet.
    pub chronicle: Chronicle,
}

/// What of the last reading, and of our writes since, is not in the store's snapshot yet.
///
/// A snapshot is large where there are thousands of targets, so it is not kept anew for each batch of theirs; but one
/// without our own write of a component would make that write look like a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Unkept {
    #[default]
    Nothing,
    /// Targets' own components.
    Bookkeeping,
    /// What the public sees.
    Public,
}

impl Memory {
    /// Whether Cachet was read less than `interval` ago.
    pub fn is_fresh(&self, now: Timestamp, interval: Duration) -> bool {
        self.observed_at.is_some_and(|read_at| now.since(read_at) < interval)
    }

    /// Cachet was read.
    pub fn read(&mut self, observed: Observed, now: Timestamp) {
        self.vanished.read(self.observed.as_ref(), &observed);
        if self.observed.as_ref() != Some(&observed) || self.unkept != Unkept::Nothing {
            self.unkept = Unkept::Public;
        }
        self.observed = Some(observed);
        self.observed_at = Some(now);
    }

    /// Cachet was asked which maintenance is in progress.
    pub fn read_maintenance(&mut self, in_progress: Vec<Maintenance>) {
        let observed = self.observed.get_or_insert_default();
        if observed.maintenance != in_progress {
            observed.maintenance = in_progress;
            self.unkept = Unkept::Public;
        }
    }

    /// Everything is read anew, from the store and from Cachet.
    pub fn doubt_everything(&mut self) {
        self.applied = None;
        self.observed_at = None;
    }

    /// Brings memory up to date with what is now true of Cachet and of the store.
    pub fn absorb(&mut self, entry: Entry, config: &Config) {
        let applied = self.applied.get_or_insert_default();
        let observed = self.observed.get_or_insert_default();
        self.unkept = self.unkept.max(match &entry {
            Entry::Sent(_) | Entry::Answered(_) => Unkept::Nothing,
            Entry::Row(ResourceKey::Target(_), _) | Entry::Release(ResourceKey::Target(_)) => Unkept::Bookkeeping,
            _ => Unkept::Public,
        });
        match entry {
            Entry::Row(key, row) => {
                if row.is_confirmed() {
                    show(observed, &key, &row);
                }
                applied.ledger.set(key, Some(row));
            }
            Entry::Release(key) => applied.ledger.set(key, None),
            Entry::Episode(episode) => {
                if let EpisodePhase::Open(id) = episode.phase
                    && !observed.open_incidents.iter().any(|incident| incident.id == id)
                {
                    observed.open_incidents.push(ObservedIncident {
                        id,
                        name: config.title(&episode.subject),
                        status: Some(IncidentStatus::Investigating),
                        episode: Some(episode.key.to_string()),
                        component: episode.subject.component().map(ToString::to_string),
                        component_id: None,
                    });
                }
                if let EpisodePhase::Closed { incident, .. } = episode.phase {
                    observed.open_incidents.retain(|open| open.id != incident);
                }
                applied.keep(episode);
            }
            Entry::EndEpisode(episode, _) => {
                let over = episode.phase.incident();
                observed.open_incidents.retain(|incident| Some(incident.id) != over);
                applied.forget(&episode.subject);
                let past = PastEpisode::of(episode);
                applied.past.extend(past.map(|past| (past.key.clone(), past)));
            }
            Entry::StrayClosed(incident, StrayOrigin::Posting { episode, lost }) => {
                observed.open_incidents.retain(|open| open.id != incident);
                if let Some(present) = applied.every_episode_mut().find(|present| present.key == episode) {
                    present.lost = lost;
                } else if let (Some(past), Some(lost)) = (applied.past.get_mut(&episode), lost) {
                    past.lost = lost;
                } else {
                    applied.past.remove(&episode);
                }
            }
            Entry::StrayClosed(incident, StrayOrigin::Reopening(_)) => {
                observed.open_incidents.retain(|open| open.id != incident);
            }
            Entry::Sent(write) => applied.unanswered.push(write),
            Entry::Answered(write) => forget(applied, &write),
        }
    }

    /// Like [`Self::absorb`], for an entry that does not change the page: a write that is about to be sent, has failed, or
    /// is not to be expected any more.
    pub fn absorb_intent(&mut self, entry: Entry) {
        let applied = self.applied.get_or_insert_default();
        match entry {
            Entry::Row(key, row) => applied.ledger.set(key, Some(row)),
            Entry::Episode(episode) => applied.keep(episode),
            Entry::Release(key) => applied.ledger.set(key, None),
            Entry::Sent(write) => applied.unanswered.push(write),
            Entry::Answered(write) => forget(applied, &write),
            Entry::EndEpisode(..) | Entry::StrayClosed(..) => {}
        }
    }
}

/// Forgets one such write, if there are several.
fn forget(applied: &mut Applied, write: &UnansweredWrite) {
    if let Some(place) = applied.unanswered.iter().position(|known| known == write) {
        applied.unanswered.remove(place);
    }
}

/// The page has what the row says.
fn show(observed: &mut Observed, key: &ResourceKey, row: &Recorded) {
    let Some(id) = row.page_id else { return };
    let (status, description) = (Some(row.value.status), row.value.description.clone());
    match (key, observed.components.iter_mut().find(|component| component.id == id)) {
        (ResourceKey::Target(_), Some(component)) => {
            (component.status, component.description, component.enabled) = (status, description, false);
        }
        (_, Some(component)) => component.status = status,
        (ResourceKey::Target(name), None) => observed.components.push(ObservedComponent {
            id,
            name: name.to_string(),
            status,
            enabled: false,
            description,
            group: None,
            managed: true,
        }),
        (_, None) => {}
    }
}
