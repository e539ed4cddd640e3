//! Cachet in memory, and plans carried out in it.

use super::*;
use crate::alert::signals;

/// Cachet, what we remember of it, and a clock: enough to carry a plan out in memory.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) observed: Observed,
    pub(super) applied: Applied,
    pub(super) monitoring: Monitoring,
    pub(super) holds: Vec<Hold>,
    pub(super) now_ms: i64,
    pub(super) next_id: i64,
}

impl World {
    /// A page on which `setup` was run for the inventory.
    pub(super) fn set_up(inventory: &Inventory) -> Self {
        let mut world = Self::default();
        let mut visible = BTreeSet::new();
        for (name, known) in inventory.iter() {
            visible.extend(known.target.components().iter().map(|name| name.as_str().to_owned()));
            world.add(name.as_str(), false, Some(describe(known.critical, [])));
        }
        for name in visible {
            world.add(&name, true, None);
        }
        world
    }

    pub(super) fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(super) fn add(&mut self, name: &str, enabled: bool, description: Option<String>) {
        let id = ComponentId(self.id());
        let status = Some(ComponentStatus::Operational);
        let name = name.to_owned();
        let component = ObservedComponent { id, name, status, enabled, description, group: None, managed: true };
        self.observed.components.push(component);
    }

    pub(super) fn component(&mut self, name: &str) -> &mut ObservedComponent {
        self.observed.components.iter_mut().find(|component| component.name == name).expect("component")
    }

    pub(super) fn status(&mut self, name: &str) -> u8 {
        self.component(name).status.expect("known").value()
    }

    pub(super) fn plan(&self, inventory: &Inventory, alerts: &[AlertRecord], policy: Policy) -> Plan {
        let now = Timestamp::from_millis(self.now_ms);
        let page = desired(inventory, &signals(alerts, HOLD, now))
            .apply_watchdog(self.monitoring, &BTreeSet::from([name("Unfed")]))
            .apply_overrides(&self.holds, now);
        plan(&page, &self.applied, &self.observed, policy, now)
    }

    /// Plans and carries out, twice if need be (a relapse during a closing opens in the second go), and returns all
    /// changes that were made.
    pub(super) fn settle(&mut self, inventory: &Inventory, alerts: &[AlertRecord], policy: Policy) -> Vec<Change> {
        let mut made = Vec::new();
        for _ in 0..2 {
            self.now_ms += 1000;
            let plan = self.plan(inventory, alerts, policy);
            plan.notes.iter().for_each(|note| self.remember(note));
            plan.changes.iter().for_each(|change| self.carry_out(change));
            made.extend(plan.changes);
        }
        made
    }

    pub(super) fn show_open(&mut self, id: IncidentId, episode: &Episode) {
        self.observed.open_incidents.push(ObservedIncident {
            id,
            name: episode.subject.to_string(),
            status: Some(IncidentStatus::Investigating),
            episode: Some(episode.key.to_string()),
            component: episode.subject.component().map(ToString::to_string),
            component_id: None,
        });
    }

    pub(super) fn remember(&mut self, note: &Note) {
        match note.clone() {
            Note::Confirmed(key, row) => self.applied.ledger.set(key, Some(row)),
            Note::Released(key) => self.applied.ledger.set(key, None),
            Note::EpisodePhase(episode) => self.applied.keep(episode),
            Note::EpisodeForgotten(episode) => self.applied.forget(&episode.subject),
        }
    }

    pub(super) fn forget(&mut self, write: &UnansweredWrite) {
        let place = self.applied.unanswered.iter().position(|known| known == write).expect("it is remembered");
        self.applied.unanswered.remove(place);
    }

    pub(super) fn carry_out(&mut self, change: &Change) {
        if let Some(write) = change.late() {
            self.forget(write);
        }
        match change.clone() {
            Change::Write { key, page_id, value, enabled, late, .. } => {
                let name = match &key {
                    ResourceKey::Component(name) => name.to_string(),
                    ResourceKey::Target(name) => name.to_string(),
                    other => panic!("no component: {other}"),
                };
                if page_id.is_none() {
                    self.add(&name, false, None);
                }
                let component = self.component(&name);
                (component.status, component.enabled) = (Some(value.status), enabled);
                component.description = value.description.clone().or(component.description.take());
                let id = component.id;
                let sent_at = Timestamp::from_millis(self.now_ms);
                let row = self.applied.ledger.answered(&key, id, (&value, sent_at), value.clone(), late.as_ref());
                self.applied.ledger.set(key, Some(row));
            }
            Change::OpenIncident { episode, .. } => {
                let id = IncidentId(self.id());
                let episode = Episode { phase: EpisodePhase::Open(id), ..episode };
                self.show_open(id, &episode);
                self.applied.keep(episode);
            }
            Change::CloseIncident { incident, episode, .. } => {
                self.observed.open_incidents.retain(|open| open.id != incident);
                let at = Timestamp::from_millis(self.now_ms);
                let phase = EpisodePhase::Closed { incident, at, by: EndedBy::Recovery };
                let episode = Episode { phase, calm_since: None, ..episode };
                self.applied.keep(episode);
            }
            Change::ReopenIncident { incident, episode, .. } => {
                self.observed.open_incidents.retain(|open| open.id != incident);
                self.show_open(incident, &episode);
                let episode = Episode { phase: EpisodePhase::Open(incident), calm_since: None, ..episode };
                self.applied.keep(episode);
            }
            Change::FindIncident { episode } => self.applied.forget(&episode.subject),
            Change::CloseStray { incident, origin, .. } => {
                self.observed.open_incidents.retain(|open| open.id != incident);
                let StrayOrigin::Posting { episode, lost } = origin else { return };
                for present in self.applied.episodes.values_mut().filter(|present| present.key == episode) {
                    present.lost.clone_from(&lost);
                }
                if let (Some(past), Some(lost)) = (self.applied.past.get_mut(&episode), &lost) {
                    past.lost = lost.clone();
                } else {
                    self.applied.past.remove(&episode);
                }
            }
        }
    }

    /// How many writes may be carried out yet.
    pub(super) fn unanswered(&self) -> usize {
        let rows = self.applied.ledger.iter().map(|(_, row)| row.unanswered.len());
        self.applied.unanswered.len() + rows.sum::<usize>()
    }
}
