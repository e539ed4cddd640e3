//! What an operator configures in `config.json`, checked, in sections. It is passed whole: who needs a part of it borrows
//! that section, and nobody keeps a copy of a single setting.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;

use super::ledger::OutageSubject;
use super::names::{Group, IncidentName};
use super::rules::{CloseIncidentWhen, Drift};
use super::status::ComponentStatus;
use super::target::ComponentName;
use super::watchdog::{MonitoringTexts, Watchdog};

/// `config.json`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The page, and how it is kept.
    pub page: PageConfig,
    /// Incidents of components.
    pub incidents: IncidentConfig,
    /// What is made of alerts, and how Alertmanager's list of them is read, where it is.
    pub alerts: AlertConfig,
    /// The dead man's switch (`watchdog`); `None`: there is none.
    pub watchdog: Option<WatchdogConfig>,
    /// How many days of history are kept: 1 to 3650 (`history_days`).
    pub history_days: u32,
}

/// The page, and how it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageConfig {
    /// Its groups, in its order (`groups_configuration`).
    pub groups: Vec<Group>,
    /// What happens to the changes of a person (`drift`).
    pub drift: Drift,
    /// How often Cachet is compared with what it should show (`reconcile_interval_seconds`).
    pub reconcile_interval: Duration,
    /// How many entries of a list are asked of Cachet at once, 1 to 100 (`cachet_per_page_param`).
    pub cachet_per_page: u8,
}

/// Incidents of components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentConfig {
    /// The title (`new_incident_name`).
    pub new_name: IncidentName,
    /// The first message (`new_incident_message`).
    pub new_message: String,
    /// The closing message when the component is Operational (`resolved_incident_message`).
    pub resolved_message: String,
    /// The closing message when some of the component's targets are still down (`partially_resolved_incident_message`).
    pub partially_resolved_message: String,
    /// The update that opens an incident again (`recurring_alert_update_message`).
    pub relapse_message: String,
    /// What ends an outage (`close_incident_when`).
    pub close_when: CloseIncidentWhen,
    /// How long a component has to be below Major Outage before its incident is closed (`recovery_hold_seconds`).
    pub recovery_hold: Duration,
    /// How long after its incident was closed a relapse opens the same one again (`reopen_within_seconds`).
    pub reopen_within: Duration,
    /// Whether Cachet tells its subscribers of incidents (`notify_subscribers`).
    pub notify_subscribers: bool,
}

/// What is made of alerts, and how Alertmanager's list of them is read, where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertConfig {
    /// How long a firing that follows its own resolve waits before it counts (`refire_delay_seconds`).
    pub refire_delay: Duration,
    /// After how long without a word an alert is taken to have ended, where Alertmanager's list is not read
    /// (`stale_after_seconds`); `None`: never.
    pub stale_after: Option<Duration>,
    /// How many alerts are stored at most (`max_stored_alerts`).
    pub max_stored: u32,
    /// How often Alertmanager's list is read (`alertmanager_poll_seconds`).
    pub poll: Duration,
    /// How long Alertmanager has to be up before what it does not list counts (`alertmanager_settle_seconds`).
    pub settle: Duration,
}

/// The dead man's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// The alert that must keep coming.
    pub watchdog: Watchdog,
    /// What the incident says that is open while it does not.
    pub texts: MonitoringTexts,
}

impl Config {
    /// The alert that must keep coming, if one is configured.
    pub fn watchdog(&self) -> Option<&Watchdog> {
        self.watchdog.as_ref().map(|config| &config.watchdog)
    }

    /// The visible components that the page has, whether or not a target feeds them.
    pub fn components(&self) -> BTreeSet<ComponentName> {
        self.page.groups.iter().flat_map(|group| group.components.iter().cloned()).collect()
    }

    /// The title of the incident of an outage of `subject`.
    pub fn title(&self, subject: &OutageSubject) -> String {
        match subject {
            OutageSubject::Component(name) => self.incidents.new_name.render(name),
            OutageSubject::Monitoring => self.monitoring().new_incident_name.clone(),
        }
    }

    /// What it says when it is opened.
    pub fn first_message(&self, subject: &OutageSubject) -> String {
        match subject {
            OutageSubject::Component(_) => self.incidents.new_message.clone(),
            OutageSubject::Monitoring => self.monitoring().new_incident_message.clone(),
        }
    }

    /// What it says when it is closed and its component, if it has one, is `now`.
    pub fn last_message(&self, subject: &OutageSubject, now: ComponentStatus) -> String {
        match (subject, now) {
            (OutageSubject::Monitoring, _) => self.monitoring().resolved_incident_message.clone(),
            // A closing that was begun while it was Operational is finished as such, though nobody knows by now.
            (_, ComponentStatus::Operational | ComponentStatus::Unknown) => self.incidents.resolved_message.clone(),
            _ => self.incidents.partially_resolved_message.clone(),
        }
    }

    /// The texts of the incident that says that monitoring data is missing. It may be open though no watchdog is
    /// configured any more.
    fn monitoring(&self) -> Cow<'_, MonitoringTexts> {
        self.watchdog
            .as_ref()
            .map_or_else(|| Cow::Owned(MonitoringTexts::default()), |config| Cow::Borrowed(&config.texts))
    }
}
