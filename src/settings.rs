//! What the parts of a running server are configured with, passed whole through one watch channel.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::watch;

use crate::alertmanager::Member;
use crate::core::config::Config;
use crate::core::expiry::{ResolveRule, WatchdogSource};
use crate::core::observed::Observed;
use crate::core::page::inventory_of;
use crate::core::plan::Policy;
use crate::core::status_page::REQUEST_TIMEOUT;
use crate::core::target::{Inventory, InventorySource};

/// Where the parts of the server find the settings that are in force.
pub type SettingsInForce = watch::Receiver<Arc<Settings>>;

/// What is configured and may change while the server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `config.json`.
    pub config: Config,
    /// The targets of the targets file; without one, the page's disabled components are the inventory.
    pub inventory: Option<Inventory>,
    /// Every Alertmanager that posts notifications here and whose list is read (`ALERTMANAGER_URL`).
    pub alertmanagers: Vec<Member>,
}

impl Settings {
    /// These, which stay in force.
    pub fn in_force(self) -> SettingsInForce {
        watch::channel(Arc::new(self)).1
    }

    /// The targets that there are: those of the targets file, or those of the page.
    pub fn inventory(&self, observed: &Observed) -> Cow<'_, Inventory> {
        self.inventory.as_ref().map_or_else(|| Cow::Owned(inventory_of(observed)), Cow::Borrowed)
    }

    /// What shapes a plan, for a Cachet that takes every status.
    pub fn policy(&self) -> Policy {
        let incidents = &self.config.incidents;
        Policy {
            close_incident_when: incidents.close_when,
            drift: self.config.page.drift,
            recovery_hold: incidents.recovery_hold,
            reopen_within: incidents.reopen_within,
            takes_unknown: true,
            posting_patience: REQUEST_TIMEOUT,
            inventory: self.inventory.as_ref().map_or(InventorySource::Cachet, Inventory::source),
        }
    }

    /// How resolves are judged. `None` without a watchdog: every resolve counts.
    pub fn resolve_rule(&self) -> Option<ResolveRule> {
        let source = if self.alertmanagers.is_empty() { WatchdogSource::Notifications } else { WatchdogSource::List };
        let watchdog = self.config.watchdog()?.clone();
        Some(ResolveRule { watchdog, source, refire_hold: self.config.alerts.refire_hold })
    }
}
