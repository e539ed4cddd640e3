//! What an operator configures: `config.json`, the targets file and the environment.
//!
//! All of it is read into trees that still know where a value stands, checked, and made into types in which bad values
//! cannot exist. Nothing stops at the first fault: [`load`] and [`environment::Environment::from_vars`] report every
//! problem at once, each with its place, its cure, and the name that a typo was probably meant to be.

pub mod alertmanager;
mod block;
mod cross;
mod discovery;
mod dotenv;
pub mod environment;
mod file;
mod groups;
mod nearest;
mod report;
mod settings;
mod targets;
mod tree;
mod variables;
pub mod watchdog;
pub mod web;

use std::path::Path;
use std::time::Duration;

pub use self::nearest::nearest;
pub use self::report::{Place, Position, Problem, Remark, Report, Severity, counted};
pub use self::variables::Variables;

use self::file::{Unreadable, read_text};
use self::settings::Settings;
use crate::core::group::Group;
use crate::core::incident_name::IncidentName;
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::Inventory;
use crate::core::watchdog::{MonitoringTexts, Watchdog};

/// The targets file that is read if no other is named. Only this one may be absent: who names a file means it.
pub const DEFAULT_TARGETS_FILE: &str = "prometheus.yml";

/// The most entries that Cachet puts on a page of a list.
pub const CACHET_PER_PAGE_MAX: u8 = 100;

/// `config.json`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The title of an incident.
    pub new_incident_name: IncidentName,
    /// What an incident says when it is opened.
    pub new_incident_message: String,
    /// What it says when its component is well again.
    pub resolved_incident_message: String,
    /// What it says when its component left Major Outage, but is not yet well.
    pub partially_resolved_incident_message: String,
    /// What it says when it is opened again, for its component relapsed (`recurring_alert_update_message`).
    pub relapse_message: String,
    /// How many entries of a list are asked of Cachet at once: 1 to [`CACHET_PER_PAGE_MAX`] (`cachet_per_page_param`).
    pub cachet_per_page: u8,
    /// The groups of the page, in its order.
    pub groups: Vec<Group>,
    /// What ends an episode.
    pub close_incident_when: CloseIncidentWhen,
    /// What happens to the changes of a person.
    pub drift: Drift,
    /// How long a firing that comes after the resolve of the same occurrence is held (`refire_hold_seconds`).
    pub refire_hold: Duration,
    /// How long a component has to be below Major Outage before its incident is closed (`recovery_hold_seconds`).
    pub recovery_hold: Duration,
    /// How long after its incident was closed a relapse opens the same one again (`reopen_within_seconds`).
    pub reopen_within: Duration,
    /// Whether Cachet tells its subscribers of incidents.
    pub notify_subscribers: bool,
    /// How often Cachet is compared with what it should show (`reconcile_interval_seconds`).
    pub reconcile_interval: Duration,
    /// How often Alertmanager is read, where one is configured (`alertmanager_poll_seconds`).
    pub alertmanager_poll: Duration,
    /// How long Alertmanager has to be up before what it does not list counts (`alertmanager_settle_seconds`).
    pub alertmanager_settle: Duration,
    /// After how long without a word an alert is taken to have ended, where no Alertmanager is configured
    /// (`stale_after_seconds`); `None`: never.
    pub stale_after: Option<Duration>,
    /// The dead man's switch (`watchdog`); `None`: there is none.
    pub watchdog: Option<WatchdogConfig>,
    /// For how many days it is kept what happened: 1 to 3650 (`history_days`).
    pub history_days: u32,
    /// How many alerts are stored at most (`max_stored_alerts`).
    pub max_stored_alerts: u32,
}

/// The dead man's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogConfig {
    /// The alert that must keep coming.
    pub watchdog: Watchdog,
    /// What the incident says that is open while it does not.
    pub texts: MonitoringTexts,
}

/// What the targets file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetsFile {
    /// There is no [`DEFAULT_TARGETS_FILE`], and no other was named: the targets are those that Cachet has.
    Absent,
    /// It is no targets file, or cannot be read; the report says why.
    Unusable,
    /// The targets in it that can be used.
    Read(Inventory),
}

/// Both files, as far as they can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `config.json`; `None` if something fatal is wrong with it.
    pub config: Option<Config>,
    /// The targets file.
    pub targets: TargetsFile,
    /// Everything that is wrong.
    pub report: Report,
}

/// Every key that `config.json` may have, with the way to it: `drift`, `watchdog.alertname`, and with `[]` for the
/// elements of a list, `groups_configuration[].status_page_group`.
pub fn known_keys() -> Vec<String> {
    let below =
        |parent: &'static str, keys: &'static [&'static str]| keys.iter().map(move |key| format!("{parent}{key}"));
    below("", settings::KEYS)
        .chain(below("groups_configuration[].", groups::KEYS))
        .chain(below("watchdog.", watchdog::KEYS))
        .collect()
}

/// Reads and checks both files; never fails: everything that is wrong is in the report.
pub fn load(config_file: &Path, targets_file: &Path) -> Files {
    let mut report = Report::default();
    let settings = load_config(config_file, &mut report);
    let targets = load_targets(targets_file, &settings, &mut report);
    Files { config: settings.config, targets, report }
}

fn load_config(path: &Path, report: &mut Report) -> Settings {
    let place = Place::file(path.display().to_string());
    let fault = match read_text(path) {
        Ok(text) => return settings::read(&text, &place, report),
        Err(Unreadable::Absent) => {
            "does not exist: copy config.json.example there, or correct --config.file (CONFIG_FILE)".to_owned()
        }
        Err(Unreadable::Fault(fault)) => fault,
    };
    report.fatal(place, fault);
    Settings::default()
}

fn load_targets(path: &Path, settings: &Settings, report: &mut Report) -> TargetsFile {
    let place = Place::file(path.display().to_string());
    match read_text(path) {
        Ok(text) => {
            let Some(found) = targets::read(&text, path, &place, report) else { return TargetsFile::Unusable };
            if let Some(groups) = &settings.groups {
                cross::check(groups, &found, &place, report);
            }
            TargetsFile::Read(found.into_inventory(&place, report))
        }
        Err(Unreadable::Absent) if path == Path::new(DEFAULT_TARGETS_FILE) => {
            report.remark(place, "does not exist, so the targets are those that Cachet has");
            TargetsFile::Absent
        }
        Err(Unreadable::Absent) => {
            report.fatal(place, "does not exist: create it, or correct --targets.file (TARGETS_FILE)");
            TargetsFile::Unusable
        }
        Err(Unreadable::Fault(fault)) => {
            report.fatal(place, fault);
            TargetsFile::Unusable
        }
    }
}
