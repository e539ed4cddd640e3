//! Cachet in memory, and plans carried out in it.

use super::*;
use crate::alert::signals;

/// Cachet, what we remember of it, and a clock: enough to carry a plan out in memory.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) observed: Observed,
    pub(super) ledger: Ledger,
    pub(super) monitoring: Monitoring,
    pub(super) overrides: Vec<Override>,
    pub(super) groups: Vec<Group>,
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
        let page = desired(inventory, &signals(alerts, REFIRE_DELAY, now))
            .apply_watchdog(self.monitoring, &BTreeSet::from([name("Unfed")]))
            .apply_overrides(&self.overrides, now);
        let index = ComponentIndex::of(&self.observed, &self.groups);
        plan(Views { desired: &page, ledger: &self.ledger, observed: &self.observed, index: &index }, policy, now)
    }

    /// Plans and carries out, twice if need be (a relapse during a closing opens in the second run), and returns all
    /// changes that were made.
    pub(super) fn settle(&mut self, inventory: &Inventory, alerts: &[AlertRecord], policy: Policy) -> Vec<Operation> {
        let mut made = Vec::new();
        for _ in 0..2 {
            self.now_ms += 1000;
            let plan = self.plan(inventory, alerts, policy);
            plan.notes.iter().cloned().for_each(|note| self.ledger.record(note));
            plan.operations.iter().for_each(|operation| self.carry_out(operation));
            made.extend(plan.operations);
        }
        made
    }

    pub(super) fn show_open(&mut self, id: IncidentId, outage: &Outage) {
        self.observed.open_incidents.retain(|open| open.id != id);
        self.observed.open_incidents.push(ObservedIncident {
            id,
            name: outage.subject.to_string(),
            status: Some(IncidentStatus::Investigating),
            outage: Some(outage.key.to_string()),
            component: outage.subject.component().map(ToString::to_string),
            component_id: None,
            is_anonymous: false,
            is_hidden: false,
        });
    }

    /// The change is sent, and no answer comes.
    pub(super) fn send(&mut self, operation: &Operation) {
        let now = Timestamp::from_millis(self.now_ms);
        let sent = operation.sent(&self.ledger, OutageSubject::to_string, now);
        sent.into_iter().for_each(|update| self.ledger.record(update));
    }

    pub(super) fn carry_out(&mut self, operation: &Operation) {
        self.send(operation);
        let outcome = match operation {
            Operation::Write { key, page_id, value, enabled, .. } => {
                let name = match key {
                    ResourceKey::Component(name) => name.to_string(),
                    ResourceKey::Target(name) => name.to_string(),
                    other => panic!("no component: {other}"),
                };
                if page_id.is_none() {
                    self.add(&name, false, None);
                }
                let mut components = self.observed.components.iter_mut();
                let is_meant = |it: &&mut ObservedComponent| page_id.map_or(it.name == name, |id| it.id == id);
                let component = components.find(is_meant).expect("a component");
                (component.status, component.enabled) = (Some(value.status), *enabled);
                component.description = value.description.clone().or(component.description.take());
                Outcome::Written(component.id, value.clone())
            }
            Operation::OpenIncident { outage, .. } => {
                let id = IncidentId(self.id());
                self.show_open(id, outage);
                Outcome::Opened(id)
            }
            Operation::CloseIncident { incident, .. } => {
                self.observed.open_incidents.retain(|open| open.id != *incident);
                Outcome::Closed(EndedBy::Recovery)
            }
            Operation::ReopenIncident { incident, outage, .. } => {
                self.show_open(*incident, outage);
                Outcome::Reopened
            }
            Operation::FindIncident { .. } => Outcome::NotFound,
            Operation::HideDuplicate { incident, .. } => {
                self.observed.open_incidents.retain(|open| open.id != *incident);
                Outcome::Hidden(*incident)
            }
            setup => panic!("not planned here: {setup}"),
        };
        let now = Timestamp::from_millis(self.now_ms);
        let answered = operation.answered(&self.ledger, &outcome, now, now);
        answered.into_iter().for_each(|update| self.ledger.record(update));
    }

    /// The outage of a component that goes on.
    pub(super) fn outage(&self, component: &str) -> Option<&Outage> {
        self.ledger.active(Some(&name(component)))
    }

    /// How many writes may be carried out yet.
    pub(super) fn unanswered(&self) -> usize {
        let rows = self.ledger.rows.values().map(|row| row.unanswered.len());
        rows.sum::<usize>() + self.ledger.outages.values().map(|outage| outage.unanswered().len()).sum::<usize>()
    }
}
