//! What an operator configures: `config.json`, the targets file and the environment.
//!
//! All of it is read into trees that still know where a value stands, checked, and made into types in which bad values
//! cannot exist. Nothing stops at the first fault: [`load`] and [`Environment::read`] report every problem at once, each
//! with its place, its cure, and the name that a typo was probably meant to be.
//!
//! `config.json` is read here, from the tree of the file to the checked [`Config`]. What can be used is used, whatever
//! else is wrong.

mod dotenv;
mod environment;
mod report;
mod targets;
mod tree;
mod users;
mod web;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

pub(crate) use self::environment::WEBHOOK_BASIC_AUTH;
pub use self::environment::{AlertmanagerAccess, Environment, Variables};
use self::report::did_you_mean;
pub(crate) use self::report::{ENVIRONMENT, counted, nearest};
pub use self::report::{Finding, Place, Report, Severity};
use self::tree::{Form, Value, read_file};
pub use self::users::{Role, Users};
pub(crate) use self::users::{User, check_user_name};
pub(crate) use self::web::{ClientAuth, TlsConfig, WebConfig, read_web_config};
pub(crate) use crate::core::config::Config;
use crate::core::config::{AlertConfig, IncidentConfig, PageConfig, WatchdogConfig};
use crate::core::merge::DEFAULT_MAX_ALERTS;
use crate::core::names::{Group, GroupName, IncidentName};
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{ComponentName, Inventory, NAME_LIMIT, excerpt};
use crate::core::watchdog::{MonitoringTexts, Watchdog, WatchdogError};

/// The targets file that is read if no other is named. Only this one may be absent: who names a file means it.
pub const DEFAULT_TARGETS_FILE: &str = "prometheus.yml";

/// The most entries that Cachet puts on a page of a list.
pub(crate) const CACHET_PER_PAGE_MAX: u8 = 100;

/// Every key that the file may have.
const KEYS: &[&str] = &[
    "new_incident_name",
    "new_incident_message",
    "resolved_incident_message",
    "partially_resolved_incident_message",
    "cachet_per_page_param",
    "groups_configuration",
    "close_incident_when",
    "drift",
    "refire_delay_seconds",
    "recovery_hold_seconds",
    "reopen_within_seconds",
    "notify_subscribers",
    "reconcile_interval_seconds",
    "alertmanager_poll_seconds",
    "alertmanager_settle_seconds",
    "stale_after_seconds",
    "recurring_alert_update_message",
    "watchdog",
    "history_days",
    "max_stored_alerts",
];

/// The name of `refire_delay_seconds` in earlier builds, which is still accepted.
const EARLIER_REFIRE_DELAY: &str = "refire_hold_seconds";

/// Every key that an entry of `groups_configuration` may have.
const GROUP_KEYS: &[&str] = &["status_page_group", "status_page_components"];

/// Every key that `watchdog` may have.
const WATCHDOG_KEYS: &[&str] =
    &["alertname", "timeout_seconds", "new_incident_name", "new_incident_message", "resolved_incident_message"];

/// What to do about a key that is like no known one.
const ANY_OTHER_KEY: &str = "remove it (docs/configuration.md has every key)";

/// The longest delay, interval or timeout that makes sense: a day, in seconds.
const SECONDS_MAX: u64 = 86_400;

/// The shortest and the longest silence after which an alert may be taken to have ended: less than a minute would end
/// alerts between two notifications of any Alertmanager, and a month is longer than any repeats.
const STALE_AFTER_SECONDS: RangeInclusive<u64> = 60..=31 * 86_400;

/// How many days of history may be kept: ten years at most.
const HISTORY_DAYS: RangeInclusive<u32> = 1..=3650;

/// The range of `max_stored_alerts`. Each alert takes about 200 bytes of disk, and 200 bytes of memory while it is not
/// resolved.
const MAX_ALERTS: RangeInclusive<u32> = 1..=1_000_000;

const DEFAULT_RELAPSE_MESSAGE: &str = "It happened again. We are investigating.";
const DEFAULT_PARTIALLY_RESOLVED_MESSAGE: &str =
    "The outage is over in part: some of this service is still affected, and we keep working on it.";

/// The alert that comes with the usual collections of rules for Prometheus.
const DEFAULT_WATCHDOG: &str = "Watchdog";

/// How long Prometheus may take until it sends a firing alert again (its `--rules.alert.resend-delay` of a minute), with
/// a minute more for its evaluation and for Alertmanager.
const SHORTEST_SAFE_TIMEOUT: Duration = Duration::from_secs(120);

/// What `groups_configuration` says.
#[derive(Debug, Default)]
struct Groups {
    /// The groups that can be used, in the order of the page.
    usable: Vec<Group>,
    /// Where their components stand, and those of groups that are left out.
    components: BTreeMap<ComponentName, Place>,
    /// Where each group was named first.
    names: BTreeMap<GroupName, Place>,
}

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
    let if_absent = "does not exist: copy config.json.example there, or correct --config.file (CONFIG_FILE)";
    let node = read_file(config_file, Form::Json, Severity::Fatal, if_absent, &report);
    let map = node.as_ref().and_then(|node| Value::root(node, config_file, Severity::Fatal, &report).map());
    let (mut config, mut groups) = (None, None);
    if let Some(map) = map {
        let known = [KEYS, &[EARLIER_REFIRE_DELAY]].concat();
        map.degraded().report_unknown_keys(&known, &[], ANY_OTHER_KEY);
        // They are known even where something else is fatal, so that the targets file is compared with them all the same.
        groups = required(&map, "groups_configuration").and_then(|list| read_groups(&list));
        config = read_config(&map, groups.as_ref()).filter(|_| !report.borrow().is_fatal());
    }
    let targets = if targets_file == Path::new(DEFAULT_TARGETS_FILE) && matches!(targets_file.try_exists(), Ok(false)) {
        let place = Place::file(DEFAULT_TARGETS_FILE);
        report.borrow_mut().add(Severity::Remark, place, "does not exist, so the targets are those that the page has");
        TargetsFile::Absent
    } else {
        targets::read(targets_file, groups.as_ref(), &report).map_or(TargetsFile::Unusable, TargetsFile::Read)
    };
    Files { config, targets, report: report.into_inner() }
}

/// What is worth knowing of how the watchdog is heard. Without Alertmanager's list, `ALERTMANAGER_URL` is recommended, for it
/// arrives only in notifications. With it, it may seem missing although it comes, if the list is read too rarely.
pub(crate) fn watchdog_remark(config: &Config, environment: &Environment, file: &Path) -> Option<Finding> {
    let watchdog = config.watchdog()?;
    let (key, message) = if environment.alertmanager.is_none() {
        let message = "arrives only in notifications, so the page may be green for about two notification intervals if \
                       Prometheus dies during an outage: set ALERTMANAGER_URL to prevent that";
        ("watchdog", message.to_owned())
    } else {
        // At a reading it may be as old as that, and becomes older until the next one.
        let longest = watchdog.timeout().saturating_sub(SHORTEST_SAFE_TIMEOUT).as_secs().max(1);
        let poll = Some(config.alerts.poll.as_secs()).filter(|poll| *poll > longest)?;
        let timeout = watchdog.timeout().as_secs();
        let message = format!(
            "is {poll}, so the watchdog may seem missing between two readings though all is well: write at most \
             {longest}, or raise watchdog.timeout_seconds ({timeout})"
        );
        ("alertmanager_poll_seconds", message)
    };
    Some(Finding { severity: Severity::Remark, place: Place::file(file).key(key), message })
}

/// Every key that `config.json` may have, and every key of the web configuration, with the way to it: `drift`,
/// `watchdog.alertname`, and with `[]` for the elements of a list, `groups_configuration[].status_page_group`.
#[cfg(feature = "internals")]
pub fn known_keys() -> [Vec<String>; 2] {
    let below = |parent: &str, keys: &[&str]| keys.iter().map(|key| format!("{parent}{key}")).collect::<Vec<_>>();
    let groups = below("groups_configuration[].", GROUP_KEYS);
    let headers: Vec<&str> = web::HEADERS.iter().map(|(name, _)| *name).collect();
    let (tls, http) = (below("tls_server_config.", web::TLS_KEYS), below("http_server_config.", web::HTTP_KEYS));
    let headers = below("http_server_config.headers.", &headers);
    [
        [below("", KEYS), groups, below("watchdog.", WATCHDOG_KEYS)].concat(),
        [below("", web::KEYS), tls, http, headers].concat(),
    ]
}

/// The configuration, if nothing that is required is missing. What is wrong goes into the report.
fn read_config(map: &Value<'_>, groups: Option<&Groups>) -> Option<Config> {
    let new_name = incident_name(map, groups);
    let new_message = required(map, "new_incident_message").and_then(|text| filled(&text));
    let resolved_message = required(map, "resolved_incident_message").and_then(|text| filled(&text));
    let partially_resolved_message =
        message(map, "partially_resolved_incident_message", DEFAULT_PARTIALLY_RESOLVED_MESSAGE);
    let relapse_message = message(map, "recurring_alert_update_message", DEFAULT_RELAPSE_MESSAGE);
    let cachet_per_page = number(map, "cachet_per_page_param", 1..=CACHET_PER_PAGE_MAX, 50);
    let close_when = choice(
        map,
        "close_incident_when",
        &[("not_major_outage", CloseIncidentWhen::NotMajorOutage), ("operational", CloseIncidentWhen::Operational)],
    );
    let drift = choice(map, "drift", &[("respect", Drift::Respect), ("enforce", Drift::Enforce)]);
    let mut refire_delay_key = "refire_delay_seconds";
    if let Some(earlier) = map.get(EARLIER_REFIRE_DELAY) {
        if map.get(refire_delay_key).is_some() {
            let cure = format!("remove {EARLIER_REFIRE_DELAY}");
            earlier.problem(format!("is the earlier name of {refire_delay_key}, and both are given: {cure}"));
        } else {
            earlier.remark(format!("is now named {refire_delay_key}: rename it"));
            refire_delay_key = EARLIER_REFIRE_DELAY;
        }
    }
    let refire_delay = seconds(map, refire_delay_key, 0, 300);
    let recovery_hold = seconds(map, "recovery_hold_seconds", 0, 0);
    let reopen_within = seconds(map, "reopen_within_seconds", 0, 600);
    let notify_subscribers = map.get("notify_subscribers").and_then(|value| value.boolean()).unwrap_or(false);
    let reconcile_interval = seconds(map, "reconcile_interval_seconds", 1, 60);
    let poll = seconds(map, "alertmanager_poll_seconds", 1, 60);
    let settle = seconds(map, "alertmanager_settle_seconds", 0, 300);
    let stale_after = in_range(map, "stale_after_seconds", STALE_AFTER_SECONDS, ", or remove it (off)");
    let watchdog = map.get_filled("watchdog").and_then(|value| read_watchdog(&value));
    let history_days = number(map, "history_days", HISTORY_DAYS, 90);
    let max_stored = number(map, "max_stored_alerts", MAX_ALERTS, DEFAULT_MAX_ALERTS);
    // The required ones last, so that the others were looked at whatever is missing.
    Some(Config {
        page: PageConfig { groups: groups?.usable.clone(), drift, reconcile_interval, cachet_per_page },
        incidents: IncidentConfig {
            new_name: new_name?,
            new_message: new_message?,
            resolved_message: resolved_message?,
            partially_resolved_message,
            relapse_message,
            close_when,
            recovery_hold,
            reopen_within,
            notify_subscribers,
        },
        alerts: AlertConfig {
            refire_delay,
            stale_after: stale_after.map(Duration::from_secs),
            max_stored,
            poll,
            settle,
        },
        watchdog,
        history_days,
    })
}

/// Cachet refuses a title that is too long, and an incident whose title is cut is better than none.
fn incident_name(map: &Value<'_>, groups: Option<&Groups>) -> Option<IncidentName> {
    let value = required(map, "new_incident_name")?;
    let name = value.checked(IncidentName::new(value.text()?))?;
    if !name.names_the_component() {
        value.remark("has no %s (the component), so every incident will have the same title");
    }
    let components = groups.into_iter().flat_map(|groups| groups.components.keys());
    if let Some(component) = components.max_by_key(|component| name.length(component))
        && let length = name.length(component)
        && length > NAME_LIMIT
    {
        let message = format!(
            "makes a title of {length} characters for {:?}, and Cachet takes at most {NAME_LIMIT}: shorten it \
             (until then it is cut)",
            excerpt(component.as_str())
        );
        value.degraded().problem(message);
    }
    Some(name)
}

/// Reads the groups of the page, each with a name and components of its own; `None` if there is no list. What is wrong
/// with a group costs only that group.
fn read_groups(list: &Value<'_>) -> Option<Groups> {
    let entries = list.list()?;
    if entries.is_empty() {
        list.degraded().problem("is empty, so the page shows nothing: add a group");
    }
    let mut found = Groups::default();
    for entry in entries {
        let Some((name, components)) = read_group(&entry.degraded(), &mut found) else { continue };
        match found.usable.iter_mut().find(|group| group.name == name) {
            Some(group) => group.components.extend(components),
            None if components.is_empty() => {}
            None => found.usable.push(Group { name, components }),
        }
    }
    Some(found)
}

fn read_group(entry: &Value<'_>, found: &mut Groups) -> Option<(GroupName, Vec<ComponentName>)> {
    const MISSING: &str = "is missing, so the group is left out: add it";
    let map = entry.map()?;
    map.report_unknown_keys(GROUP_KEYS, &[], ANY_OTHER_KEY);
    let name = map.get("status_page_group").or_else(|| map.key("status_page_group").refuse(MISSING));
    let name = name.and_then(|value| {
        let name = value.checked(GroupName::try_from(value.text()?))?;
        match found.names.get(&name) {
            Some(first) => {
                let first = &first.path;
                value.problem(format!("names the same group as {first}: put their components into one"));
            }
            None => drop(found.names.insert(name.clone(), value.place)),
        }
        Some(name)
    });
    let list = map.get("status_page_components").or_else(|| map.key("status_page_components").refuse(MISSING))?;
    let entries = list.list()?;
    if entries.is_empty() {
        list.problem("is empty, so the group is left out: name its components, or remove the group");
    }
    let mut components = Vec::new();
    for entry in entries {
        let component = entry.text().and_then(|text| entry.checked(ComponentName::try_from(text)));
        let Some(component) = component else { continue };
        if let Some(first) = found.components.get(&component) {
            let (name, first) = (excerpt(component.as_str()), &first.path);
            entry.problem(format!("component {name:?} already stands at {first}: keep it in one place"));
        } else {
            found.components.insert(component.clone(), entry.place);
            components.push(component);
        }
    }
    Some((name?, components))
}

/// Reads the dead man's switch.
fn read_watchdog(value: &Value<'_>) -> Option<WatchdogConfig> {
    let map = value.map()?;
    map.degraded().report_unknown_keys(WATCHDOG_KEYS, &[], ANY_OTHER_KEY);
    let timeout = match map.get("timeout_seconds") {
        None => Some(300),
        Some(value) => value.integer().and_then(|seconds| match u64::try_from(seconds) {
            Ok(seconds @ 1..=SECONDS_MAX) => Some(seconds),
            Ok(0) => value.refuse(WatchdogError::NoTimeout.to_string()),
            _ => value.refuse(format!("is {seconds}, out of range: write a number of seconds from 1 to {SECONDS_MAX}")),
        }),
    };
    let default = MonitoringTexts::default();
    let new_incident_message = message(&map, "new_incident_message", &default.new_incident_message);
    let resolved_incident_message = message(&map, "resolved_incident_message", &default.resolved_incident_message);
    let title = map.get("new_incident_name").and_then(|value| {
        let text = filled(&value)?;
        let name = value.checked(IncidentName::new(&text))?;
        if name.names_the_component() {
            value.degraded().problem("has %s, and is about no component: write the title without it");
        }
        let length = text.trim().chars().count();
        if length > NAME_LIMIT {
            let message = format!("has {length} characters, and Cachet takes at most {NAME_LIMIT}: shorten it");
            value.degraded().problem(message);
        }
        Some(name.render_plain())
    });
    let new_incident_name = title.unwrap_or(default.new_incident_name);
    let alertname = match map.get("alertname") {
        Some(value) => value.text()?,
        None => DEFAULT_WATCHDOG,
    };
    // The name is looked at even where the timeout cannot be used, whatever stands in for that.
    let watchdog = Watchdog::new(alertname, timeout.map_or(SHORTEST_SAFE_TIMEOUT, Duration::from_secs));
    let watchdog = map.key("alertname").checked(watchdog)?;
    timeout?;
    if watchdog.timeout() < SHORTEST_SAFE_TIMEOUT {
        map.key("timeout_seconds").remark(
            "is below 120, and Prometheus sends a firing alert again after a minute or later, so it may seem missing \
             though all is well",
        );
    }
    let texts = MonitoringTexts { new_incident_name, new_incident_message, resolved_incident_message };
    Some(WatchdogConfig { watchdog, texts })
}

fn required<'a>(map: &Value<'a>, key: &str) -> Option<Value<'a>> {
    map.get(key).or_else(|| map.key(key).refuse("is missing: add it (config.json.example shows it)"))
}

/// A text that says something.
fn filled(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.trim().is_empty() {
        return value.refuse("is empty, and Cachet takes no empty message: write one");
    }
    Some(text.to_owned())
}

fn message(map: &Value<'_>, key: &str, default: &str) -> String {
    map.get(key).and_then(|text| filled(&text)).unwrap_or_else(|| default.to_owned())
}

/// A whole number within `range`, if it is given. What is wrong with another one is said with `otherwise` at the end.
fn in_range<N: TryFrom<i128> + PartialOrd + Display>(
    map: &Value<'_>,
    key: &str,
    range: RangeInclusive<N>,
    otherwise: &str,
) -> Option<N> {
    let value = map.get(key)?;
    let wanted = value.integer()?;
    let number = N::try_from(wanted).ok().filter(|number| range.contains(number));
    let (from, to) = (range.start(), range.end());
    let problem = || format!("is {wanted}, out of range: write a number from {from} to {to}{otherwise}");
    number.or_else(|| value.refuse(problem()))
}

fn number<N: TryFrom<i128> + PartialOrd + Display>(
    map: &Value<'_>,
    key: &str,
    range: RangeInclusive<N>,
    default: N,
) -> N {
    in_range(map, key, range, &format!(" (without it: {default})")).unwrap_or(default)
}

fn seconds(map: &Value<'_>, key: &str, least: u64, default: u64) -> Duration {
    Duration::from_secs(number(map, key, least..=SECONDS_MAX, default))
}

/// One of several words.
fn choice<T: Copy + Default>(map: &Value<'_>, key: &str, words: &[(&str, T)]) -> T {
    let Some(value) = map.get(key) else { return T::default() };
    let Some(text) = value.text() else { return T::default() };
    if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
        return *choice;
    }
    let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    let cure = did_you_mean(text, words.iter().map(|(word, _)| *word), "write one of the two");
    value.problem(format!("is {:?}, must be {}: {cure}", excerpt(text), all.join(" or ")));
    T::default()
}
