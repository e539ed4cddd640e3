//! How the page is kept, and how the reconciler goes over to keeping it another way.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use super::{Reconciler, Texts};
use crate::cachet::REQUEST_TIMEOUT;
use crate::core::observed::Observed;
use crate::core::page::inventory_of;
use crate::core::plan::{Applied, Policy};
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{ComponentName, Inventory, InventorySource, TargetName};
use crate::core::watchdog::{Monitoring, Watchdog};

/// How the page is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The targets of the targets file; without one, Cachet's disabled components are the inventory.
    pub inventory: Option<Inventory>,
    /// Which targets count where there is no targets file.
    pub targets_of_page: TargetsOfPage,
    /// The visible components that the configuration names, whether or not a target feeds them.
    pub components: BTreeSet<ComponentName>,
    /// The alert whose absence means that nobody knows how things are; `None`: no news is good news.
    pub watchdog: Option<Watchdog>,
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
    /// For how many days it is kept what happened.
    pub history_days: u32,
}

/// Which of the targets that have a component on the page are the inventory where no targets file names any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetsOfPage {
    /// All of them: `setup` made them, or what kept the page before.
    #[default]
    All,
    /// Those that this server has written to. The embedded page has no others, unless it is the Cachet of another server;
    /// then they are that one's, and to take them for targets without alerts would be to fight over the page.
    Ours,
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

impl Settings {
    /// The targets that there are: those of the targets file, or those of the page.
    pub fn inventory(&self, observed: &Observed, applied: &Applied) -> Cow<'_, Inventory> {
        let counts = |target: &TargetName| match self.targets_of_page {
            TargetsOfPage::All => true,
            TargetsOfPage::Ours => applied.targets.contains_key(target),
        };
        self.inventory.as_ref().map_or_else(|| Cow::Owned(inventory_of(observed, counts)), Cow::Borrowed)
    }

    /// What shapes a plan, for a Cachet that takes every status.
    pub fn policy(&self) -> Policy {
        Policy {
            close_incident_when: self.close_incident_when,
            drift: self.drift,
            recovery_hold: self.recovery_hold,
            reopen_within: self.reopen_within,
            takes_unknown: true,
            posting_patience: REQUEST_TIMEOUT,
            inventory: self.inventory.as_ref().map_or(InventorySource::Cachet, Inventory::source),
        }
    }
}

impl Reconciler {
    pub(super) fn take_new_settings(&mut self) {
        let Some(changes) = self.changes_of_settings.as_mut().filter(|changes| changes.has_changed().unwrap_or(false))
        else {
            return;
        };
        let before = std::mem::replace(&mut self.settings, changes.borrow_and_update().clone());
        // What they speak of may have been made just before.
        self.memory.observed_at = None;
        if before.watchdog != self.settings.watchdog {
            // As after a restart: another watchdog could not be heard before, and without one nothing is missing.
            self.listening_since = self.clock.now();
            self.memory.monitoring = Monitoring::default();
            self.metrics.unwatched();
        }
    }
}
