//! What an operator configures: `config.json`, the targets file and the environment.
//!
//! All of it is read into trees that still know where a value stands, checked, and made into types in which bad values
//! cannot exist. Nothing stops at the first fault: [`load`] and [`environment::Environment::read`] report every
//! problem at once, each with its place, its cure, and the name that a typo was probably meant to be.

pub mod alertmanager;
mod block;
mod discovery;
mod dotenv;
pub mod environment;
mod file;
pub mod groups;
mod report;
pub mod settings;
mod targets;
mod tree;
pub mod users;
mod variables;
pub mod watchdog;
pub mod web;

use std::path::Path;

pub use self::report::{Place, Problem, Remark, Report, Severity, counted};
pub use self::variables::Variables;

use self::file::{Unreadable, read_text};
use self::groups::Groups;
use self::report::did_you_mean;
pub(crate) use self::report::nearest;
use self::settings::Settings;
use self::targets::Found;
pub use crate::core::config::Config;
use crate::core::target::{ComponentName, Inventory, excerpt};

/// The targets file that is read if no other is named. Only this one may be absent: who names a file means it.
pub const DEFAULT_TARGETS_FILE: &str = "prometheus.yml";

/// The most entries that Cachet puts on a page of a list.
pub(crate) const CACHET_PER_PAGE_MAX: u8 = 100;

/// What the targets file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetsFile {
    /// There is no [`DEFAULT_TARGETS_FILE`], and no other was named: the targets are those that the page has.
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
                compare(groups, &found, &place, report);
            }
            TargetsFile::Read(found.into_inventory(&place, report))
        }
        Err(Unreadable::Absent) if path == Path::new(DEFAULT_TARGETS_FILE) => {
            report.remark(place, "does not exist, so the targets are those that the page has");
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

/// Compares the two files: every component that a label names must be in a group, and should be fed by a target if it is.
fn compare(groups: &Groups, found: &Found, targets_file: &Place, report: &mut Report) {
    let mut strangers: Vec<_> =
        found.components.iter().filter(|(name, _)| !groups.components.contains_key(name)).collect();
    strangers.sort_by_key(|(_, mentions)| mentions.order);
    for (name, mentions) in strangers {
        let known = groups.components.keys().map(ComponentName::as_str);
        let cure = did_you_mean(name.as_str(), known, "add it to a group in groups_configuration");
        let more = match mentions.times {
            1 => String::new(),
            times => format!(" (named in {times} places)"),
        };
        let name = excerpt(name.as_str());
        report.degraded(mentions.first.clone(), format!("component {name:?} is in no group{more}: {cure}"));
    }
    for name in groups.usable.iter().flat_map(|group| &group.components) {
        let Some(place) = groups.components.get(name).filter(|_| !found.components.contains_key(name)) else {
            continue;
        };
        let (name, file) = (excerpt(name.as_str()), &targets_file.file);
        report.remark(
            place.clone(),
            format!("no target of {file} feeds component {name:?}, so it is operational unless an alert names it"),
        );
    }
}
