//! What an operator configures: `config.json`, the targets file and the environment.
//!
//! All of it is read into trees that still know where a value stands, checked, and made into types in which bad values
//! cannot exist. Nothing stops at the first fault: [`load`] and [`environment::Environment::read`] report every
//! problem at once, each with its place, its cure, and the name that a typo was probably meant to be.

mod config_json;
mod dotenv;
pub mod environment;
mod report;
mod targets;
mod tree;
pub mod users;
pub mod web;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

pub use self::environment::Variables;
pub(crate) use self::report::nearest;
pub(crate) use self::report::{ENVIRONMENT, counted};
pub use self::report::{Finding, Place, Report, Severity};

use self::config_json::SHORTEST_SAFE_TIMEOUT;
use self::environment::Environment;
pub use crate::core::config::Config;
use crate::core::target::Inventory;

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
    let report: RefCell<Report> = RefCell::default();
    let (config, groups) = config_json::read(config_file, &report);
    let config = config.filter(|_| !report.borrow().is_fatal());
    let targets = if targets_file == Path::new(DEFAULT_TARGETS_FILE) && matches!(targets_file.try_exists(), Ok(false)) {
        let place = Place::file(DEFAULT_TARGETS_FILE);
        report.borrow_mut().remark(place, "does not exist, so the targets are those that the page has");
        TargetsFile::Absent
    } else {
        match targets::read(targets_file, groups.as_ref(), &report) {
            Some(inventory) => TargetsFile::Read(inventory),
            None => TargetsFile::Unusable,
        }
    };
    Files { config, targets, report: report.into_inner() }
}

/// Recommends `ALERTMANAGER_URL`, if a watchdog is configured and arrives only in notifications.
pub(crate) fn watchdog_heard_by_route_alone(
    config: &Config,
    environment: &Environment,
    config_file: &Path,
) -> Option<Finding> {
    config.watchdog().filter(|_| environment.alertmanager.is_none())?;
    let place = Place::file(config_file.display().to_string()).key("watchdog");
    let message = "arrives only in notifications, so the page may be green for about two notification intervals if \
                   Prometheus dies during an outage: set ALERTMANAGER_URL to prevent that"
        .to_owned();
    Some(Finding { severity: Severity::Remark, place, message })
}

/// Where the watchdog may seem missing although it comes, for it is looked for in Alertmanager too rarely; `None`: it is
/// not looked for there, or often enough.
pub(crate) fn watchdog_seen_too_rarely(
    config: &Config,
    environment: &Environment,
    config_file: &Path,
) -> Option<Finding> {
    let watchdog = config.watchdog().filter(|_| environment.alertmanager.is_some())?;
    // At a reading it may be as old as that, and becomes older until the next one.
    let longest = watchdog.timeout().saturating_sub(SHORTEST_SAFE_TIMEOUT).as_secs().max(1);
    if config.alertmanager.poll <= Duration::from_secs(longest) {
        return None;
    }
    let place = Place::file(config_file.display().to_string()).key("alertmanager_poll_seconds");
    let message = format!(
        "is {}, so the watchdog may seem missing between two readings though all is well: write at most {longest}, or \
         raise watchdog.timeout_seconds ({})",
        config.alertmanager.poll.as_secs(),
        watchdog.timeout().as_secs()
    );
    Some(Finding { severity: Severity::Remark, place, message })
}

/// Every key that `config.json` may have, with the way to it: `drift`, `watchdog.alertname`, and with `[]` for the
/// elements of a list, `groups_configuration[].status_page_group`.
#[cfg(feature = "internals")]
pub fn known_keys() -> Vec<String> {
    let groups = config_json::GROUP_KEYS.iter().map(|key| format!("groups_configuration[].{key}"));
    let watchdog = config_json::WATCHDOG_KEYS.iter().map(|key| format!("watchdog.{key}"));
    config_json::KEYS.iter().map(|key| (*key).to_owned()).chain(groups).chain(watchdog).collect()
}
