//! A Cachet in memory that takes every write at once, and what is remembered of it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Incident, Seen};
use crate::incident::{EndedBy, Episode, EpisodePhase};
use crate::ledger::{Recorded, ResourceKey};
use crate::names::Group;
use crate::observed::{ComponentId, IncidentId, Observed, ObservedComponent, ObservedIncident};
use crate::plan::{Applied, Change, Note};
use crate::status::ComponentStatus;
use crate::target::{ComponentName, Inventory};
use crate::time::Timestamp;

/// A page that was set up, and nobody has touched since.
pub(super) struct PerfectCachet {
    pub observed: Observed,
    pub applied: Applied,
    pub incidents: Vec<Incident>,
}

impl PerfectCachet {
    /// What `setup` makes of the groups and the targets.
    pub fn new(groups: &[Group], inventory: &Inventory) -> Self {
        let mut cachet = Self { observed: Observed::default(), applied: Applied::default(), incidents: Vec::new() };
        for component in groups.iter().flat_map(|group| &group.components) {
            cachet.add(component.as_str(), true);
        }
        for (target, _) in inventory.iter() {
            cachet.add(target.as_str(), false);
        }
        cachet
    }

    /// The components that the public sees, with their status.
    pub fn visible(&self) -> BTreeMap<ComponentName, ComponentStatus> {
        let visible = self.observed.components.iter().filter(|component| component.enabled);
        let shown = visible
            .filter_map(|component| Some((ComponentName::try_from(component.name.as_str()).ok()?, component.status?)));
        shown.collect()
    }

    fn add(&mut self, name: &str, enabled: bool) -> ComponentId {
        let id = ComponentId(i64::try_from(self.observed.components.len() + 1).unwrap_or(i64::MAX));
        self.observed.components.push(ObservedComponent {
            id,
            name: name.to_owned(),
            status: Some(ComponentStatus::Operational),
            enabled,
            description: None,
            group: None,
            managed: true,
        });
        id
    }

    /// Takes a note.
    pub fn remember(&mut self, note: Note) {
        let applied = &mut self.applied;
        match note {
            Note::Confirmed(key, row) => applied.ledger.set(key, Some(row)),
            Note::Released(key) => applied.ledger.set(key, None),
            Note::EpisodePhase(episode) => applied.keep(episode),
            Note::EpisodeForgotten(episode) => applied.forget(&episode.subject),
        }
    }

    /// Makes a change, and says what the public sees of it.
    pub fn make(&mut self, change: Change, reopen_within: Duration, now: Timestamp) -> Option<Seen> {
        match change {
            Change::Write { key, page_id, value, .. } => {
                let id = match (page_id, &key) {
                    (Some(id), _) => id,
                    (None, ResourceKey::Target(target)) => self.add(target.as_str(), false),
                    (None, _) => return None,
                };
                let from = self.set(id, value.status, value.description.clone())?;
                let to = value.status;
                self.applied.ledger.set(key.clone(), Some(Recorded::confirmed(id, value)));
                match key {
                    ResourceKey::Component(name) => Some(Seen::Component { name, from, to }),
                    _ => None,
                }
            }
            Change::OpenIncident { episode, .. } => Some(self.open(episode, now)),
            Change::ReopenIncident { incident, episode, .. } => Some(self.reopen(incident, episode)),
            Change::CloseIncident { incident, episode, .. } => Some(self.close(incident, episode, reopen_within, now)),
            // No answer is ever lost, so nothing is late, and nothing has to be looked for.
            Change::CloseStray { .. } => None,
            Change::FindIncident { episode } => {
                self.applied.forget(&episode.subject);
                None
            }
        }
    }

    /// Gives a component its status, and says which it had.
    fn set(&mut self, id: ComponentId, to: ComponentStatus, description: Option<String>) -> Option<ComponentStatus> {
        let component = self.observed.components.iter_mut().find(|component| component.id == id)?;
        if description.is_some() {
            component.description = description;
        }
        component.status.replace(to)
    }

    fn open(&mut self, episode: Episode, now: Timestamp) -> Seen {
        let id = IncidentId(i64::try_from(self.incidents.len() + 1).unwrap_or(i64::MAX));
        let (subject, occurred_at) = (episode.subject.clone(), episode.occurred_at);
        self.incidents.push(Incident {
            id,
            subject: subject.clone(),
            occurred_at,
            opened_at: now,
            closed_at: None,
            reopened: 0,
        });
        self.show_open(id, episode);
        Seen::Opened(id, subject)
    }

    fn reopen(&mut self, id: IncidentId, episode: Episode) -> Seen {
        let subject = episode.subject.clone();
        for incident in self.incidents.iter_mut().filter(|incident| incident.id == id) {
            incident.closed_at = None;
            incident.reopened += 1;
        }
        self.show_open(id, episode);
        Seen::Reopened(id, subject)
    }

    fn show_open(&mut self, id: IncidentId, episode: Episode) {
        self.observed.open_incidents.push(ObservedIncident {
            id,
            name: episode.subject.to_string(),
            status: None,
            episode: Some(episode.key.to_string()),
            component: episode.subject.component().map(ToString::to_string),
            component_id: None,
        });
        self.applied.keep(Episode { phase: EpisodePhase::Open(id), calm_since: None, ..episode });
    }

    fn close(&mut self, id: IncidentId, episode: Episode, reopen_within: Duration, now: Timestamp) -> Seen {
        let subject = episode.subject.clone();
        for incident in self.incidents.iter_mut().filter(|incident| incident.id == id) {
            incident.closed_at = Some(now);
        }
        self.observed.open_incidents.retain(|incident| incident.id != id);
        if reopen_within.is_zero() {
            self.applied.forget(&subject);
        } else {
            let phase = EpisodePhase::Closed { incident: id, at: now, by: EndedBy::Recovery };
            self.applied.keep(Episode { phase, calm_since: None, ..episode });
        }
        Seen::Closed(id, subject)
    }
}
