//! What the stages share: what is recorded, and what the page shows. The store has all of it that matters.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::ledger::{Delivery, Ledger, Recorded, RecordedComponent, ResourceKey, Update};
use crate::core::observed::{Maintenance, Observed, ObservedComponent, ObservedIncident};
use crate::core::operation::Outcome;
use crate::core::outage::{IncidentValue, Outage};
use crate::core::status::IncidentStatus;
use crate::core::time::Timestamp;
use crate::store::{Store, StoreError};

/// What is recorded and observed.
#[derive(Debug, Default)]
pub struct View {
    /// What was written; `None` until it is read from the store.
    pub ledger: Option<Ledger>,
    /// What the page shows, as it was read and with what was written since; `None` until it is read.
    pub observed: Option<Observed>,
    /// When the page was read; `None`: it must be read again.
    pub observed_at: Option<Timestamp>,
    /// Grows whenever a write ends so that what is known of the page is in doubt.
    generation: u64,
    /// The generation of `observed`.
    observed_generation: u64,
    /// The components that the last reading did not show and the one before did. When a component is removed while a list of
    /// several pages is read, another one may be in none of them.
    pub vanished: BTreeSet<String>,
    unsaved: Unsaved,
}

/// What of the last reading, and of our writes since, is not in the store's snapshot yet.
///
/// A snapshot is large where there are thousands of targets, so it is not saved anew for each batch of theirs; but one
/// without our own write of a component would make that write look like a person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Unsaved {
    #[default]
    Nothing,
    /// Targets' own components.
    Bookkeeping,
    /// What the public sees.
    Public,
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
    pub fn read(&mut self, observed: Observed, now: Timestamp) {
        let shown: BTreeSet<&str> = observed.components.iter().map(|component| component.name.as_str()).collect();
        let before = self.observed.iter().flat_map(|before| &before.components).map(|component| &component.name);
        self.vanished = before.filter(|name| !shown.contains(name.as_str())).cloned().collect();
        if self.observed.as_ref() != Some(&observed) || self.unsaved != Unsaved::Nothing {
            self.unsaved = Unsaved::Public;
        }
        self.observed = Some(observed);
        self.observed_at = Some(now);
        self.observed_generation = self.generation;
    }

    /// The page was asked which maintenance is in progress.
    pub fn read_maintenance(&mut self, in_progress: Vec<Maintenance>) {
        let observed = self.observed.get_or_insert_default();
        if observed.maintenance != in_progress {
            observed.maintenance = in_progress;
            self.unsaved = Unsaved::Public;
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
        ledger.rows_mut().for_each(|(_, row)| may_be_on_its_way(row, now));
        for outage in ledger.outages_mut() {
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
        Ok(())
    }

    /// A row of the ledger changed. What the page shows is as it was: something is about to be sent, has failed, was seen on
    /// the page, or is not to be expected any more.
    pub fn record(&mut self, update: Update) {
        self.ledger.get_or_insert_default().record(update);
    }

    /// A write was answered, and this is the row of the ledger now: the page shows it.
    pub fn written(&mut self, update: Update, outcome: &Outcome, config: &Config) {
        let observed = self.observed.get_or_insert_default();
        let worth = match &update {
            Update::Component(ResourceKey::Target(_), _) => Unsaved::Bookkeeping,
            _ => Unsaved::Public,
        };
        self.unsaved = self.unsaved.max(worth);
        match &update {
            Update::Component(key, Some(row)) => show_component(observed, key, row),
            Update::Outage(_, Some(outage)) => show_incident(observed, outage, outcome, config),
            Update::Component(_, None) | Update::Outage(_, None) => {}
        }
        self.record(update);
    }

    /// Saves what the page shows for `explain`, if what changed of it is `worth` that much already.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not take it.
    pub async fn save(&mut self, store: &Store, worth: Unsaved, now: Timestamp) -> Result<(), StoreError> {
        if let Some(observed) = self.observed.as_ref().filter(|_| self.unsaved >= worth) {
            store.remember_observed(observed, now).await?;
            self.unsaved = Unsaved::Nothing;
        }
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

fn show_component(observed: &mut Observed, key: &ResourceKey, row: &RecordedComponent) {
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
