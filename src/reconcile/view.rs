//! What the stages share: the ledger, what the page shows, and what changed since the last plan. All of it can be read again.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::ledger::{Delivery, IncidentValue, Ledger, Outage, Recorded, RecordedComponent, ResourceKey, Update};
use crate::core::names::Group;
use crate::core::observed::{ComponentId, ComponentIndex, Maintenance, Observed, ObservedComponent, ObservedIncident};
use crate::core::operation::Outcome;
use crate::core::status::IncidentStatus;
use crate::core::target::{TargetName, key_of_name};
use crate::core::time::Timestamp;
use crate::store::{Store, StoreError};

/// What is recorded and observed.
#[derive(Debug, Default)]
pub struct View {
    /// What was written; `None` until it is read from the store.
    pub ledger: Option<Ledger>,
    /// What the page shows, as it was read and with what was written since; `None` until it is read.
    pub observed: Option<Observed>,
    /// The index of `observed`.
    pub index: ComponentIndex,
    /// When the page was read; `None`: it must be read again.
    pub observed_at: Option<Timestamp>,
    /// Grows whenever a write ends so that what is known of the page is in doubt.
    generation: u64,
    /// The generation of `observed`.
    observed_generation: u64,
    /// The keys of the components that the last reading did not show and the one before did. When a component is removed while a list of
    /// several pages is read, another one may be in none of them.
    pub vanished: BTreeSet<String>,
    /// What changed since the last plan.
    pub touched: Touched,
    /// What of the last reading, and of our writes since, is not in the store's snapshot yet.
    unsaved: Unsaved,
}

/// The targets that have to be planned again.
#[derive(Debug, Default)]
pub struct Touched {
    /// Whether every target has to be planned again.
    pub all: bool,
    /// The targets of which something is desired or recorded that is new.
    pub targets: BTreeSet<TargetName>,
    /// The names of the page's components that show something new.
    pub components: BTreeSet<String>,
}

/// What the store's snapshot of the page lacks.
#[derive(Debug, Default, PartialEq, Eq)]
enum Unsaved {
    #[default]
    Nothing,
    /// These components, and what else was read.
    Components(BTreeSet<ComponentId>),
    /// All of it.
    Everything,
}

impl Unsaved {
    fn add(&mut self, components: impl IntoIterator<Item = ComponentId>) {
        match self {
            Self::Nothing => *self = Self::Components(components.into_iter().collect()),
            Self::Components(unsaved) => unsaved.extend(components),
            Self::Everything => {}
        }
    }
}

impl View {
    /// What is known of the page is in doubt: nothing is concluded from it, and the next run reads it again.
    pub fn doubt(&mut self) {
        self.generation += 1;
    }

    /// Whether what is known of the page is in doubt.
    pub fn is_in_doubt(&self) -> bool {
        self.generation != self.observed_generation
    }

    /// The store and the page are both read again.
    pub fn forget(&mut self) {
        self.ledger = None;
        self.observed_at = None;
    }

    /// Whether the page was read less than `interval` before `now`.
    pub fn is_fresh(&self, now: Timestamp, interval: Duration) -> bool {
        self.observed_at.is_some_and(|read_at| now.since(read_at) < interval)
    }

    /// The page was read.
    pub fn read(&mut self, observed: Observed, configured: &[Group], now: Timestamp) {
        let index = ComponentIndex::of(&observed, configured);
        self.vanished = BTreeSet::new();
        match &self.observed {
            None => (self.unsaved, self.touched.all) = (Unsaved::Everything, true),
            Some(before) if *before == observed => {}
            Some(before) => {
                let mut changed = BTreeSet::new();
                for component in &before.components {
                    let key = key_of_name(&component.name);
                    if index.with_key(&observed, &key).next().is_none() {
                        self.vanished.insert(key.into_owned());
                    }
                    if index.get(&observed, component.id) != Some(component) {
                        changed.insert(component.id);
                        self.touched.components.insert(component.name.clone());
                    }
                }
                for component in &observed.components {
                    if self.index.get(before, component.id) != Some(component) {
                        changed.insert(component.id);
                        self.touched.components.insert(component.name.clone());
                    }
                }
                self.unsaved.add(changed);
            }
        }
        (self.observed, self.index, self.observed_at) = (Some(observed), index, Some(now));
        self.observed_generation = self.generation;
    }

    /// The page was asked which maintenance is in progress.
    pub fn read_maintenance(&mut self, in_progress: Vec<Maintenance>) {
        let observed = self.observed.get_or_insert_default();
        if observed.maintenance != in_progress {
            observed.maintenance = in_progress;
            self.unsaved.add([]);
        }
    }

    /// Reads the ledger from the store at `now`. A create that a crash interrupted counts as sent at `now`.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn recall(&mut self, store: &Store, config: &Config, now: Timestamp) -> Result<(), StoreError> {
        fn may_be_on_its_way<I, V>(row: &mut Recorded<I, V>, now: Timestamp) {
            let sent = row.unanswered.last().map(|sent| Delivery::InDoubt { since: sent.sent_at });
            if row.page_id.is_none() && sent == Some(row.delivery) {
                row.delivery = Delivery::InDoubt { since: now };
            }
        }
        let mut ledger = store.ledger().await?;
        ledger.rows.values_mut().for_each(|row| may_be_on_its_way(row, now));
        for outage in ledger.outages.values_mut() {
            let Some(row) = &mut outage.incident else { continue };
            may_be_on_its_way(row, now);
            // Earlier releases did not store the title of what they created.
            let sent = row.unanswered.iter_mut().map(|sent| &mut sent.value);
            for value in sent.chain([&mut row.value]).filter(|value| value.creates()) {
                if *value == (IncidentValue::Created { title: String::new() }) {
                    *value = IncidentValue::Created { title: config.title(&outage.subject) };
                }
            }
        }
        self.ledger = Some(ledger);
        self.touched.all = true;
        Ok(())
    }

    /// Replaces a row of the ledger. What the page shows does not change: a write is about to be sent, has failed, was confirmed,
    /// or has expired.
    pub fn record(&mut self, update: Update) {
        if let Update::Component(ResourceKey::Target(name), _) = &update {
            self.touched.targets.insert(name.clone());
        }
        self.ledger.get_or_insert_default().record(update);
    }

    /// A write was answered, and this is the row of the ledger now: the page shows it.
    pub fn written(&mut self, update: Update, outcome: &Outcome, config: &Config) {
        match &update {
            Update::Component(key, Some(row)) => self.show_component(key, row),
            Update::Outage(_, Some(outage)) => {
                show_incident(self.observed.get_or_insert_default(), outage, outcome, config);
                self.unsaved.add([]);
            }
            Update::Component(_, None) | Update::Outage(_, None) => {}
        }
        self.record(update);
    }

    fn show_component(&mut self, key: &ResourceKey, row: &RecordedComponent) {
        let (observed, Some(id)) = (self.observed.get_or_insert_default(), row.page_id) else { return };
        let (status, description) = (Some(row.value.status), row.value.description.clone());
        match (key, self.index.get_mut(observed, id)) {
            (ResourceKey::Target(name), Some(component)) => {
                self.touched.components.insert(name.to_string());
                (component.status, component.description, component.enabled) = (status, description, false);
            }
            (_, Some(component)) => component.status = status,
            (ResourceKey::Target(name), None) => {
                let name = name.to_string();
                let component =
                    ObservedComponent { id, name, status, enabled: false, description, group: None, managed: true };
                self.touched.components.insert(component.name.clone());
                observed.components.push(component);
                self.index.add_last(observed);
            }
            (_, None) => {}
        }
        self.unsaved.add([id]);
    }

    /// Saves the changes of what the page shows, for `explain`, the console and the next start.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not take it.
    pub async fn save(&mut self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let Some(observed) = &self.observed else { return Ok(()) };
        match &self.unsaved {
            Unsaved::Nothing => return Ok(()),
            Unsaved::Components(ids) => {
                let changed: Vec<_> = ids.iter().map(|id| (*id, self.index.get(observed, *id))).collect();
                store.remember_observed(observed, &changed, now).await?;
            }
            Unsaved::Everything => store.replace_observed(observed, now).await?,
        }
        self.unsaved = Unsaved::Nothing;
        Ok(())
    }
}

fn show_incident(observed: &mut Observed, outage: &Outage, outcome: &Outcome, config: &Config) {
    if let Outcome::Hidden(duplicate) = outcome {
        observed.open_incidents.retain(|open| open.id != *duplicate);
    }
    let Some(id) = outage.incident_id() else { return };
    match outcome {
        Outcome::Opened(_) | Outcome::Found { is_open: true, .. } | Outcome::Reopened => {
            if !observed.open_incidents.iter().any(|open| open.id == id) {
                observed.open_incidents.push(ObservedIncident {
                    id,
                    name: config.title(&outage.subject),
                    status: Some(IncidentStatus::Investigating),
                    outage: Some(outage.key.to_string()),
                    component: outage.subject.component().map(ToString::to_string),
                    component_id: None,
                    is_anonymous: false,
                    is_hidden: false,
                });
            }
        }
        Outcome::Closed(_) => observed.open_incidents.retain(|open| open.id != id),
        Outcome::Found { .. } | Outcome::NotFound | Outcome::Hidden(_) | Outcome::Written(..) => {}
        Outcome::CreatedGroup(_) | Outcome::Rearranged => {}
    }
}
