//! `config.json`: from the tree of the file to the checked [`Config`]. What can be used is used, whatever else is wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::CACHET_PER_PAGE_MAX;
use super::report::{Place, Report, Severity, did_you_mean};
use super::tree::{Form, Value, read_file};
use crate::core::config::{AlertConfig, AlertmanagerConfig, Config, IncidentConfig, PageConfig, WatchdogConfig};
use crate::core::merge::DEFAULT_MAX_ALERTS;
use crate::core::names::{Group, GroupName, IncidentName};
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{ComponentName, NAME_LIMIT, excerpt};
use crate::core::watchdog::{MonitoringTexts, Watchdog, WatchdogError};

/// Every key that the file may have.
pub(super) const KEYS: &[&str] = &[
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
pub(super) const GROUP_KEYS: &[&str] = &["status_page_group", "status_page_components"];

/// Every key that `watchdog` may have.
pub(super) const WATCHDOG_KEYS: &[&str] =
    &["alertname", "timeout_seconds", "new_incident_name", "new_incident_message", "resolved_incident_message"];

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
pub(super) const SHORTEST_SAFE_TIMEOUT: Duration = Duration::from_secs(120);

/// What `groups_configuration` says.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The groups that can be used, in the order of the page.
    pub usable: Vec<Group>,
    /// Where their components stand, and those of groups that are left out.
    pub components: BTreeMap<ComponentName, Place>,
    /// Where each group was named first.
    names: BTreeMap<GroupName, Place>,
}

/// Reads the file. What is wrong goes into the report.
///
/// The groups are known even where something else is fatal, so that the targets file can be compared with them all the
/// same; `None` if there is no list of them.
pub(super) fn read(path: &Path, report: &RefCell<Report>) -> (Option<Config>, Option<Groups>) {
    let if_absent = "does not exist: copy config.json.example there, or correct --config.file (CONFIG_FILE)";
    let node = read_file(path, Form::Json, Severity::Fatal, if_absent, report);
    let Some(map) = node.as_ref().and_then(|node| Value::root(node, path, Severity::Fatal, report).map()) else {
        return (None, None);
    };
    report_unknown_keys(&map, &[KEYS, &[EARLIER_REFIRE_DELAY]].concat());
    let groups = required(&map, "groups_configuration").and_then(|list| read_groups(&list));
    (read_config(&map, groups.as_ref()), groups)
}

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
    let refire_delay = refire_delay(map);
    let recovery_hold = seconds(map, "recovery_hold_seconds", 0, 0);
    let reopen_within = seconds(map, "reopen_within_seconds", 0, 600);
    let notify_subscribers = map.get("notify_subscribers").and_then(|value| value.boolean()).unwrap_or(false);
    let reconcile_interval = seconds(map, "reconcile_interval_seconds", 1, 60);
    let alertmanager = AlertmanagerConfig {
        poll: seconds(map, "alertmanager_poll_seconds", 1, 60),
        settle: seconds(map, "alertmanager_settle_seconds", 0, 300),
    };
    let stale_after = map.get("stale_after_seconds").and_then(|value| {
        let (from, to) = (STALE_AFTER_SECONDS.start(), STALE_AFTER_SECONDS.end());
        in_range(&value, &STALE_AFTER_SECONDS, |wanted| {
            format!("is {wanted}, out of range: write a number from {from} to {to}, or remove it (off)")
        })
    });
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
        alerts: AlertConfig { refire_delay, stale_after: stale_after.map(Duration::from_secs), max_stored },
        alertmanager,
        watchdog,
        history_days,
    })
}

/// The refire delay, under its name or the earlier one.
fn refire_delay(map: &Value<'_>) -> Duration {
    const KEY: &str = "refire_delay_seconds";
    let key = match (map.get(KEY), map.get(EARLIER_REFIRE_DELAY)) {
        (None, Some(earlier)) => {
            earlier.remark(format!("is now named {KEY}: rename it"));
            EARLIER_REFIRE_DELAY
        }
        (Some(_), Some(earlier)) => {
            earlier.problem(format!("is the earlier name of {KEY}, and both are given: remove {EARLIER_REFIRE_DELAY}"));
            KEY
        }
        (_, None) => KEY,
    };
    seconds(map, key, 0, 300)
}

/// Cachet refuses a title that is too long, and an incident whose title is cut is better than none.
fn incident_name(map: &Value<'_>, groups: Option<&Groups>) -> Option<IncidentName> {
    let value = required(map, "new_incident_name")?;
    let name = IncidentName::new(value.text()?).map_err(|error| value.problem(error.to_string())).ok()?;
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
    report_unknown_keys(&map, GROUP_KEYS);
    let name = map.get("status_page_group").or_else(|| map.missing("status_page_group", MISSING));
    let name = name.and_then(|value| {
        let name = GroupName::try_from(value.text()?);
        let name = name.map_err(|error| value.problem(error.to_string())).ok()?;
        match found.names.get(&name) {
            Some(first) => {
                let first = &first.path;
                value.problem(format!("names the same group as {first}: put their components into one"));
            }
            None => drop(found.names.insert(name.clone(), value.place)),
        }
        Some(name)
    });
    let list = map.get("status_page_components").or_else(|| map.missing("status_page_components", MISSING))?;
    let entries = list.list()?;
    if entries.is_empty() {
        list.problem("is empty, so the group is left out: name its components, or remove the group");
    }
    let mut components = Vec::new();
    for entry in entries {
        let Some(text) = entry.text() else { continue };
        match ComponentName::try_from(text) {
            Err(error) => entry.problem(error.to_string()),
            Ok(component) => match found.components.get(&component) {
                Some(first) => {
                    let (name, first) = (excerpt(component.as_str()), &first.path);
                    entry.problem(format!("component {name:?} already stands at {first}: keep it in one place"));
                }
                None => {
                    found.components.insert(component.clone(), entry.place);
                    components.push(component);
                }
            },
        }
    }
    Some((name?, components))
}

/// Reads the dead man's switch.
fn read_watchdog(value: &Value<'_>) -> Option<WatchdogConfig> {
    let map = value.map()?;
    report_unknown_keys(&map, WATCHDOG_KEYS);
    let timeout = match map.get("timeout_seconds") {
        None => Some(300),
        Some(value) => in_range(&value, &(1..=SECONDS_MAX), |wanted| match wanted {
            0 => WatchdogError::NoTimeout.to_string(),
            _ => format!("is {wanted}, out of range: write a number of seconds from 1 to {SECONDS_MAX}"),
        }),
    };
    let default = MonitoringTexts::default();
    let new_incident_message = message(&map, "new_incident_message", &default.new_incident_message);
    let resolved_incident_message = message(&map, "resolved_incident_message", &default.resolved_incident_message);
    let title = map.get("new_incident_name").and_then(|value| {
        let text = filled(&value)?;
        let name = IncidentName::new(&text).map_err(|error| value.problem(error.to_string())).ok()?;
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
    let watchdog = Watchdog::new(alertname, timeout.map_or(SHORTEST_SAFE_TIMEOUT, Duration::from_secs))
        .map_err(|error| map.problem_of("alertname", error.to_string()))
        .ok()?;
    timeout?;
    if watchdog.timeout() < SHORTEST_SAFE_TIMEOUT {
        map.remark_of(
            "timeout_seconds",
            "is below 120, and Prometheus sends a firing alert again after a minute or later, so it may seem missing \
             though all is well",
        );
    }
    let texts = MonitoringTexts { new_incident_name, new_incident_message, resolved_incident_message };
    Some(WatchdogConfig { watchdog, texts })
}

/// Reports keys that nothing reads.
fn report_unknown_keys(map: &Value<'_>, known: &[&str]) {
    for (key, value) in map.entries().into_iter().filter(|(key, _)| !known.contains(key)) {
        let cure = did_you_mean(key, known.iter().copied(), "remove it (docs/configuration.md has every key)");
        value.degraded().problem(format!("is not a known key: {cure}"));
    }
}

fn required<'a>(map: &Value<'a>, key: &str) -> Option<Value<'a>> {
    map.get(key).or_else(|| map.missing(key, "is missing: add it (config.json.example shows it)"))
}

/// A text that says something.
fn filled(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.trim().is_empty() {
        value.problem("is empty, and Cachet takes no empty message: write one");
        return None;
    }
    Some(text.to_owned())
}

fn message(map: &Value<'_>, key: &str, default: &str) -> String {
    map.get(key).and_then(|text| filled(&text)).unwrap_or_else(|| default.to_owned())
}

/// A whole number within `range`. `otherwise` says what is wrong with one that is not.
fn in_range<N: TryFrom<i128> + PartialOrd>(
    value: &Value<'_>,
    range: &RangeInclusive<N>,
    otherwise: impl Fn(i128) -> String,
) -> Option<N> {
    let wanted = value.integer()?;
    let number = N::try_from(wanted).ok().filter(|number| range.contains(number));
    if number.is_none() {
        value.problem(otherwise(wanted));
    }
    number
}

fn number<N>(map: &Value<'_>, key: &str, range: RangeInclusive<N>, default: N) -> N
where
    N: TryFrom<i128> + PartialOrd + Display,
{
    let Some(value) = map.get(key) else { return default };
    let (from, to) = (range.start(), range.end());
    let number = in_range(&value, &range, |wanted| {
        format!("is {wanted}, out of range: write a number from {from} to {to} (without it: {default})")
    });
    number.unwrap_or(default)
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
