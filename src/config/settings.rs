//! `config.json`: from the tree of the file to the checked [`Config`].

use std::ops::RangeInclusive;
use std::time::Duration;

use super::groups::{self, Components, Groups};
use super::report::did_you_mean;
use super::report::{Place, Report, Severity};
use super::tree::{self, Form, Map, Value};
use super::{CACHET_PER_PAGE_MAX, Config, watchdog};
use crate::core::config::{AlertConfig, AlertmanagerConfig, IncidentConfig, PageConfig};
use crate::core::merge::DEFAULT_MAX_ALERTS;
use crate::core::names::IncidentName;
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{NAME_LIMIT, excerpt};

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
    "refire_hold_seconds",
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

/// The longest hold or interval that makes sense: a day, in seconds.
pub(super) const SECONDS_MAX: u64 = 86_400;

const DEFAULT_PER_PAGE: u8 = 50;
const DEFAULT_REFIRE_HOLD_SECONDS: u64 = 300;
const DEFAULT_RECONCILE_INTERVAL_SECONDS: u64 = 60;
const DEFAULT_REOPEN_WITHIN_SECONDS: u64 = 600;
const DEFAULT_RELAPSE_MESSAGE: &str = "It happened again. We are investigating.";
const DEFAULT_ALERTMANAGER_POLL_SECONDS: u64 = 60;
const DEFAULT_ALERTMANAGER_SETTLE_SECONDS: u64 = 300;

/// The shortest and the longest silence after which an alert may be taken to have ended: less than a minute would end
/// alerts between two notifications of any Alertmanager, and a month is longer than any repeats.
const STALE_AFTER_SECONDS: RangeInclusive<u64> = 60..=31 * 86_400;

/// How many days of history may be kept: ten years at most.
const HISTORY_DAYS: RangeInclusive<u32> = 1..=3650;
const DEFAULT_HISTORY_DAYS: u32 = 90;

/// The range of `max_stored_alerts`. Each alert takes about 200 bytes of disk, and 200 bytes of memory while it is not
/// resolved.
const MAX_ALERTS: RangeInclusive<u32> = 1..=1_000_000;

const DEFAULT_PARTIALLY_RESOLVED_MESSAGE: &str =
    "The outage is over in part: some of this service is still affected, and we keep working on it.";

/// What `config.json` says.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// All of it; `None` if something in it is fatal.
    pub config: Option<Config>,
    /// The groups; `None` if there is no list of them. They are known even where something else is fatal, so that the
    /// targets file can be compared with them all the same.
    pub groups: Option<Groups>,
}

/// Reads the text of `config.json`. What is wrong goes into the report.
pub(super) fn read(text: &str, place: &Place, report: &mut Report) -> Settings {
    let mut own = Report::default();
    let mut settings = read_into(text, place, &mut own).unwrap_or_default();
    if own.is_fatal() {
        settings.config = None;
    }
    report.append(own);
    settings
}

fn read_into(text: &str, place: &Place, report: &mut Report) -> Option<Settings> {
    let node = tree::parse_filled(text, Form::Json, place, Severity::Fatal, report)?;
    let map = Value::root(&node, place.clone(), Severity::Fatal).map(report)?;
    report_unknown_keys(&map, KEYS, report);
    let groups = required(&map, "groups_configuration", report).and_then(|list| groups::read(&list, report));
    Some(Settings { config: read_config(&map, groups.as_ref(), report), groups })
}

fn read_config(map: &Map<'_>, groups: Option<&Groups>, report: &mut Report) -> Option<Config> {
    let new_incident_name = incident_name(map, report);
    if let (Some(name), Some(groups)) = (&new_incident_name, groups) {
        check_incident_names(name, &groups.components, &map.place.key("new_incident_name"), report);
    }
    let new_incident_message = required(map, "new_incident_message", report).and_then(|text| filled(&text, report));
    let resolved_incident_message =
        required(map, "resolved_incident_message", report).and_then(|text| filled(&text, report));
    let message = |key: &str, default: &str, report: &mut Report| {
        map.get(key).and_then(|text| filled(&text, report)).unwrap_or_else(|| default.to_owned())
    };
    let partially_resolved_message =
        message("partially_resolved_incident_message", DEFAULT_PARTIALLY_RESOLVED_MESSAGE, report);
    let relapse_message = message("recurring_alert_update_message", DEFAULT_RELAPSE_MESSAGE, report);
    let cachet_per_page = number(map, "cachet_per_page_param", 1..=CACHET_PER_PAGE_MAX, DEFAULT_PER_PAGE, report);
    let close_when = choice(
        map,
        "close_incident_when",
        &[("not_major_outage", CloseIncidentWhen::NotMajorOutage), ("operational", CloseIncidentWhen::Operational)],
        report,
    );
    let drift = choice(map, "drift", &[("respect", Drift::Respect), ("enforce", Drift::Enforce)], report);
    let refire_hold = seconds(map, "refire_hold_seconds", 0, DEFAULT_REFIRE_HOLD_SECONDS, report);
    let recovery_hold = seconds(map, "recovery_hold_seconds", 0, 0, report);
    let reopen_within = seconds(map, "reopen_within_seconds", 0, DEFAULT_REOPEN_WITHIN_SECONDS, report);
    let notify_subscribers = map.get("notify_subscribers").and_then(|value| value.boolean(report)).unwrap_or(false);
    let reconcile_interval = seconds(map, "reconcile_interval_seconds", 1, DEFAULT_RECONCILE_INTERVAL_SECONDS, report);
    let alertmanager = AlertmanagerConfig {
        poll: seconds(map, "alertmanager_poll_seconds", 1, DEFAULT_ALERTMANAGER_POLL_SECONDS, report),
        settle: seconds(map, "alertmanager_settle_seconds", 0, DEFAULT_ALERTMANAGER_SETTLE_SECONDS, report),
    };
    let stale_after = stale_after(map, report);
    let watchdog = watchdog::read(map, report);
    let history_days = number(map, "history_days", HISTORY_DAYS, DEFAULT_HISTORY_DAYS, report);
    let max_stored = number(map, "max_stored_alerts", MAX_ALERTS, DEFAULT_MAX_ALERTS, report);
    // The required ones last, so that the others were looked at whatever is missing.
    let groups = groups?.usable.clone();
    let incidents = IncidentConfig {
        new_name: new_incident_name?,
        new_message: new_incident_message?,
        resolved_message: resolved_incident_message?,
        partially_resolved_message,
        relapse_message,
        close_when,
        recovery_hold,
        reopen_within,
        notify_subscribers,
    };
    let page = PageConfig { groups, drift, reconcile_interval, cachet_per_page };
    let alerts = AlertConfig { refire_hold, stale_after, max_stored };
    Some(Config { page, incidents, alerts, alertmanager, watchdog, history_days })
}

/// Reports keys that nothing reads.
pub(super) fn report_unknown_keys(map: &Map<'_>, known: &[&str], report: &mut Report) {
    for (key, value) in map.iter().filter(|(key, _)| !known.contains(key)) {
        let cure = did_you_mean(key, known.iter().copied(), "remove it (config.json.example has every key)");
        report.degraded(value.place, format!("is not a known key: {cure}"));
    }
}

fn required<'a>(map: &Map<'a>, key: &str, report: &mut Report) -> Option<Value<'a>> {
    let value = map.get(key);
    if value.is_none() {
        report.fatal(map.place.key(key), "is missing: add it (config.json.example shows it)");
    }
    value
}

/// A text that says something.
pub(super) fn filled(value: &Value<'_>, report: &mut Report) -> Option<String> {
    let text = value.text(report)?;
    if text.trim().is_empty() {
        value.problem("is empty, and Cachet takes no empty message: write one", report);
        return None;
    }
    Some(text.to_owned())
}

fn incident_name(map: &Map<'_>, report: &mut Report) -> Option<IncidentName> {
    let value = required(map, "new_incident_name", report)?;
    let name = IncidentName::new(value.text(report)?).map_err(|error| value.problem(error.to_string(), report)).ok()?;
    if !name.names_the_component() {
        report.remark(value.place, "has no %s (the component), so every incident will have the same title");
    }
    Some(name)
}

/// Cachet refuses a longer title, and an incident whose title is cut is better than none.
fn check_incident_names(name: &IncidentName, components: &Components, place: &Place, report: &mut Report) {
    let longest = components.keys().max_by_key(|component| name.length(component));
    if let Some(component) = longest
        && let length = name.length(component)
        && length > NAME_LIMIT
    {
        report.degraded(
            place.clone(),
            format!(
                "makes a title of {length} characters for {:?}, and Cachet takes at most {NAME_LIMIT}: shorten it \
                 (until then it is cut)",
                excerpt(component.as_str())
            ),
        );
    }
}

/// A whole number within `range`.
fn number<N>(map: &Map<'_>, key: &str, range: RangeInclusive<N>, default: N, report: &mut Report) -> N
where
    N: TryFrom<i128> + PartialOrd + std::fmt::Display,
{
    let Some(value) = map.get(key) else { return default };
    let Some(wanted) = value.integer(report) else { return default };
    match N::try_from(wanted) {
        Ok(number) if range.contains(&number) => number,
        _ => {
            let (from, to) = (range.start(), range.end());
            value.problem(
                format!("is {wanted}, out of range: write a number from {from} to {to} (without it: {default})"),
                report,
            );
            default
        }
    }
}

fn seconds(map: &Map<'_>, key: &str, least: u64, default: u64, report: &mut Report) -> Duration {
    Duration::from_secs(number(map, key, least..=SECONDS_MAX, default, report))
}

fn stale_after(map: &Map<'_>, report: &mut Report) -> Option<Duration> {
    let value = map.get("stale_after_seconds")?;
    let seconds = value.integer(report)?;
    match u64::try_from(seconds).ok().filter(|seconds| STALE_AFTER_SECONDS.contains(seconds)) {
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => {
            let (from, to) = (STALE_AFTER_SECONDS.start(), STALE_AFTER_SECONDS.end());
            value.problem(
                format!("is {seconds}, out of range: write a number from {from} to {to}, or remove it (off)"),
                report,
            );
            None
        }
    }
}

/// One of several words.
fn choice<T: Copy + Default>(map: &Map<'_>, key: &str, words: &[(&str, T)], report: &mut Report) -> T {
    let Some(value) = map.get(key) else { return T::default() };
    let Some(text) = value.text(report) else { return T::default() };
    if let Some((_, choice)) = words.iter().find(|(word, _)| *word == text) {
        return *choice;
    }
    let all: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    let cure = did_you_mean(text, words.iter().map(|(word, _)| *word), "write one of the two");
    value.problem(format!("is {:?}, must be {}: {cure}", excerpt(text), all.join(" or ")), report);
    T::default()
}
