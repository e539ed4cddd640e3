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
mod nearest;
mod report;
mod settings;
mod targets;
mod tree;
mod variables;

use std::path::Path;
use std::time::Duration;

pub use self::nearest::nearest;
pub use self::report::{Place, Position, Problem, Remark, Report, Severity};
pub use self::variables::Variables;

use self::file::{Unreadable, read_text};
use self::report::counted;
use crate::core::group::Group;
use crate::core::incident_name::IncidentName;
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::Inventory;

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

impl Files {
    /// What was found, in a line: `3 groups, 7 components, 200 targets (12 critical) from prometheus.yml`.
    pub fn summary(&self, targets_file: &Path) -> String {
        let mut parts = Vec::new();
        if let Some(config) = &self.config {
            let components = config.groups.iter().map(|group| group.components.len()).sum();
            parts.push(counted(config.groups.len(), "group"));
            parts.push(counted(components, "component"));
        }
        parts.push(match &self.targets {
            TargetsFile::Absent => "the targets that Cachet has".to_owned(),
            TargetsFile::Unusable => "no targets".to_owned(),
            TargetsFile::Read(inventory) => {
                let critical = inventory.iter().filter(|(_, target)| target.critical).count();
                let targets = counted(inventory.len(), "target");
                format!("{targets} ({critical} critical) from {}", targets_file.display())
            }
        });
        parts.join(", ")
    }
}

/// Reads and checks both files; never fails: everything that is wrong is in the report.
pub fn load(config_file: &Path, targets_file: &Path) -> Files {
    let mut report = Report::default();
    let config = load_config(config_file, &mut report);
    let targets_place = Place::file(targets_file.display().to_string());
    let targets = match read_text(targets_file) {
        Ok(text) => match targets::read(&text, targets_file, &targets_place, &mut report) {
            Some(found) => {
                if let Some(config) = &config {
                    cross::check(config, &Place::file(config_file.display().to_string()), &found, &mut report);
                }
                TargetsFile::Read(found.into_inventory(&targets_place, &mut report))
            }
            None => TargetsFile::Unusable,
        },
        Err(Unreadable::Absent) if targets_file == Path::new(DEFAULT_TARGETS_FILE) => {
            report.remark(targets_place, "does not exist, so the targets are those that Cachet has");
            TargetsFile::Absent
        }
        Err(Unreadable::Absent) => {
            report.fatal(targets_place, "does not exist: create it, or correct --targets.file (TARGETS_FILE)");
            TargetsFile::Unusable
        }
        Err(Unreadable::Fault(fault)) => {
            report.fatal(targets_place, fault);
            TargetsFile::Unusable
        }
    };
    Files { config, targets, report }
}

fn load_config(path: &Path, report: &mut Report) -> Option<Config> {
    let place = Place::file(path.display().to_string());
    match read_text(path) {
        Ok(text) => settings::read(&text, &place, report),
        Err(Unreadable::Absent) => {
            report
                .fatal(place, "does not exist: copy config.json.example there, or correct --config.file (CONFIG_FILE)");
            None
        }
        Err(Unreadable::Fault(fault)) => {
            report.fatal(place, fault);
            None
        }
    }
}
