//! What the parts of a running server are configured with, passed whole through one watch channel.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::watch;

use crate::alertmanager::Member;
use crate::cachet::REQUEST_TIMEOUT;
use crate::core::config::Config;
use crate::core::expiry::{ResolveRule, WatchdogSource};
use crate::core::observed::Observed;
use crate::core::page::inventory_of;
use crate::core::plan::{Applied, Policy};
use crate::core::target::{Inventory, InventorySource, TargetName};

/// Where the parts of the server find the settings that are in force.
pub type SettingsInForce = watch::Receiver<Arc<Settings>>;

/// What is configured and may change while the server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `config.json`.
    pub config: Config,
    /// The targets of the targets file; without one, Cachet's disabled components are the inventory.
    pub inventory: Option<Inventory>,
    /// Which targets count where there is no targets file.
    pub targets_of_page: TargetsOfPage,
    /// Every Alertmanager that posts notifications here and whose list is read (`ALERTMANAGER_URL`).
    pub alertmanagers: Vec<Member>,
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

impl Settings {
    /// These, which stay in force.
    pub fn in_force(self) -> SettingsInForce {
        watch::channel(Arc::new(self)).1
    }

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
