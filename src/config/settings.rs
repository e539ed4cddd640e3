//! `config.json`: from the tree of the file to the checked [`Config`].

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::nearest::did_you_mean;
use super::report::{Place, Report, Severity};
use super::tree::{self, Form, Map, Value};
use super::{CACHET_PER_PAGE_MAX, Config};
use crate::core::group::{Group, GroupName};
use crate::core::incident_name::IncidentName;
use crate::core::rules::{CloseIncidentWhen, Drift};
use crate::core::target::{ComponentName, NAME_LIMIT};

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
    "refire_hold_seconds",
    "notify_subscribers",
    "reconcile_interval_seconds",
    "alertmanager_poll_seconds",
    "alertmanager_settle_seconds",
    "stale_after_seconds",
    "recurring_alert_update_message",
];

/// Every key that a group may have.
const GROUP_KEYS: &[&str] = &["status_page_group", "status_page_components"];

/// The longest hold or interval that makes sense: a day, in seconds.
const SECONDS_MAX: u64 = 86_400;

const DEFAULT_PER_PAGE: u8 = 50;
const DEFAULT_REFIRE_HOLD_SECONDS: u64 = 300;
const DEFAULT_RECONCILE_INTERVAL_SECONDS: u64 = 60;
const DEFAULT_ALERTMANAGER_POLL_SECONDS: u64 = 60;
const DEFAULT_ALERTMANAGER_SETTLE_SECONDS: u64 = 300;

/// The shortest and the longest silence after which an alert may be taken to have ended: less than a minute would end
/// alerts between two notifications of any Alertmanager, and a month is longer than any repeats.
const STALE_AFTER_SECONDS: RangeInclusive<u64> = 60..=31 * 86_400;

const DEFAULT_PARTIALLY_RESOLVED_MESSAGE: &str =
    "The outage is over in part: some of this service is still affected, and we keep working on it.";

/// Reads the text of `config.json`; `None` if something in it is fatal. What is wrong goes into the report.
pub(super) fn read(text: &str, place: &Place, report: &mut Report) -> Option<Config> {
    let mut own = Report::default();
    let config = read_into(text, place, &mut own);
    let fatal = own.is_fatal();
    report.append(own);
    config.filter(|_| !fatal)
}

fn read_into(text: &str, place: &Place, report: &mut Report) -> Option<Config> {
    let node = tree::parse(text, Form::Json, place, Severity::Fatal, report)?;
    let map = Value::root(&node, place.clone(), Severity::Fatal).map(report)?;
    report_unknown_keys(&map, KEYS, report);
    if let Some(unused) = map.get("recurring_alert_update_message") {
        report.remark(unused.place, "is unused for now");
    }
    let new_incident_name = incident_name(&map, report);
    let new_incident_message = required(&map, "new_incident_message", report).and_then(|text| filled(&text, report));
    let resolved_incident_message =
        required(&map, "resolved_incident_message", report).and_then(|text| filled(&text, report));
    let groups = required(&map, "groups_configuration", report).and_then(|groups| read_groups(&groups, report));
    let config = Config {
        partially_resolved_incident_message: map
            .get("partially_resolved_incident_message")
            .and_then(|text| filled(&text, report))
            .unwrap_or_else(|| DEFAULT_PARTIALLY_RESOLVED_MESSAGE.to_owned()),
        cachet_per_page: number(&map, "cachet_per_page_param", 1..=CACHET_PER_PAGE_MAX, DEFAULT_PER_PAGE, report),
        close_incident_when: choice(
            &map,
            "close_incident_when",
            &[("not_major_outage", CloseIncidentWhen::NotMajorOutage), ("operational", CloseIncidentWhen::Operational)],
            report,
        ),
        drift: choice(&map, "drift", &[("respect", Drift::Respect), ("enforce", Drift::Enforce)], report),
        refire_hold: seconds(&map, "refire_hold_seconds", 0, DEFAULT_REFIRE_HOLD_SECONDS, report),
        notify_subscribers: map.get("notify_subscribers").and_then(|value| value.boolean(report)).unwrap_or(false),
        reconcile_interval: seconds(&map, "reconcile_interval_seconds", 1, DEFAULT_RECONCILE_INTERVAL_SECONDS, report),
        alertmanager_poll: seconds(&map, "alertmanager_poll_seconds", 1, DEFAULT_ALERTMANAGER_POLL_SECONDS, report),
        alertmanager_settle: seconds(
            &map,
            "alertmanager_settle_seconds",
            0,
            DEFAULT_ALERTMANAGER_SETTLE_SECONDS,
            report,
        ),
        stale_after: stale_after(&map, report),
        // The required ones last, so that the others were looked at whatever is missing.
        new_incident_name: new_incident_name?,
        new_incident_message: new_incident_message?,
        resolved_incident_message: resolved_incident_message?,
        groups: groups?,
    };
    check_incident_names(&config, &map.place.key("new_incident_name"), report);
    Some(config)
}

fn report_unknown_keys(map: &Map<'_>, known: &[&str], report: &mut Report) {
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
fn filled(value: &Value<'_>, report: &mut Report) -> Option<String> {
    let text = value.text(report)?;
    if text.trim().is_empty() {
        value.problem("is empty, and Cachet takes no empty message: write one", report);
        return None;
    }
    Some(text.to_owned())
}

fn incident_name(map: &Map<'_>, report: &mut Report) -> Option<IncidentName> {
    let value = required(map, "new_incident_name", report)?;
    let name = IncidentName::new(value.text(report)?);
    match &name {
        None => value.problem("is empty: write a title, with %s where the component should stand", report),
        Some(name) if !name.names_the_component() => {
            report.remark(value.place, "has no %s (the component), so every incident will have the same title");
        }
        Some(_) => {}
    }
    name
}

/// Cachet refuses a longer title, and an incident that is cut is better than none.
fn check_incident_names(config: &Config, place: &Place, report: &mut Report) {
    let components = config.groups.iter().flat_map(|group| &group.components);
    let longest = components.max_by_key(|component| config.new_incident_name.length(component));
    if let Some(component) = longest
        && let length = config.new_incident_name.length(component)
        && length > NAME_LIMIT
    {
        report.degraded(
            place.clone(),
            format!(
                "makes a title of {length} characters for {component:?}, and Cachet takes at most {NAME_LIMIT}: \
                     shorten it (until then it is cut)",
                component = component.as_str()
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
    value.problem(format!("is {text:?}, must be {}: {cure}", all.join(" or ")), report);
    T::default()
}

/// The groups, each with a name and components of its own.
fn read_groups(value: &Value<'_>, report: &mut Report) -> Option<Vec<Group>> {
    let entries = value.list(report)?;
    if entries.is_empty() {
        value.clone().degraded().problem("is empty, so the page shows nothing: add a group", report);
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut known = KnownNames::default();
    for entry in entries {
        let entry = entry.degraded();
        let Some((name, components)) = read_group(&entry, &mut known, report) else { continue };
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.components.extend(components),
            None if components.is_empty() => {}
            None => groups.push(Group { name, components }),
        }
    }
    Some(groups)
}

/// The names that were seen before, and where.
#[derive(Default)]
struct KnownNames {
    groups: BTreeMap<GroupName, String>,
    components: BTreeMap<ComponentName, String>,
}

fn read_group(
    entry: &Value<'_>,
    known: &mut KnownNames,
    report: &mut Report,
) -> Option<(GroupName, Vec<ComponentName>)> {
    let map = entry.map(report)?;
    report_unknown_keys(&map, GROUP_KEYS, report);
    let name = degraded_required(&map, "status_page_group", report).and_then(|name| group_name(&name, known, report));
    let components = degraded_required(&map, "status_page_components", report)
        .and_then(|components| read_components(&components, known, report));
    Some((name?, components?))
}

fn degraded_required<'a>(map: &Map<'a>, key: &str, report: &mut Report) -> Option<Value<'a>> {
    let value = map.get(key);
    if value.is_none() {
        report.degraded(map.place.key(key), "is missing, so the group is left out: add it");
    }
    value
}

fn group_name(value: &Value<'_>, known: &mut KnownNames, report: &mut Report) -> Option<GroupName> {
    match GroupName::try_from(value.text(report)?) {
        Ok(name) => {
            if let Some(first) = known.groups.get(&name) {
                value.problem(format!("names the same group as {first}: put their components into one"), report);
            } else {
                known.groups.insert(name.clone(), value.place.path.clone());
            }
            Some(name)
        }
        Err(error) => {
            value.problem(error.to_string(), report);
            None
        }
    }
}

fn read_components(value: &Value<'_>, known: &mut KnownNames, report: &mut Report) -> Option<Vec<ComponentName>> {
    let entries = value.list(report)?;
    if entries.is_empty() {
        value.problem("is empty, so the group is left out: name its components, or remove the group", report);
    }
    let mut components = Vec::new();
    for entry in entries {
        let Some(text) = entry.text(report) else { continue };
        match ComponentName::try_from(text) {
            Err(error) => entry.problem(error.to_string(), report),
            Ok(name) => match known.components.get(&name) {
                Some(first) => {
                    let name = name.as_str();
                    entry
                        .problem(format!("component {name:?} already stands at {first}: keep it in one place"), report);
                }
                None => {
                    known.components.insert(name.clone(), entry.place.path.clone());
                    components.push(name);
                }
            },
        }
    }
    Some(components)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The configuration with `more` keys, and what is wrong with them.
    fn read_with(more: &str) -> (Option<Config>, Vec<String>) {
        let text = format!(
            r#"{{"new_incident_name": "%s", "new_incident_message": "m", "resolved_incident_message": "r",
                "groups_configuration": [{{"status_page_group": "g", "status_page_components": ["Web"]}}]{more}}}"#
        );
        let mut report = Report::default();
        let config = read(&text, &Place::file("config.json"), &mut report);
        (config, report.problems.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn how_alertmanager_is_read_has_defaults_and_silence_ends_nothing_by_default() {
        for (more, seconds, stale_after) in [
            ("", [60, 300], None),
            (
                r#", "alertmanager_poll_seconds": 10, "alertmanager_settle_seconds": 0, "stale_after_seconds": 90000"#,
                [10, 0],
                Some(Duration::from_secs(90_000)),
            ),
        ] {
            let (config, problems) = read_with(more);
            let config = config.expect("a configuration");
            assert_eq!(problems, Vec::<String>::new());
            assert_eq!([config.alertmanager_poll, config.alertmanager_settle].map(|span| span.as_secs()), seconds);
            assert_eq!(config.stale_after, stale_after);
        }
    }

    #[test]
    fn a_silence_that_makes_no_sense_is_refused() {
        for wrong in ["0", "59", "2678401", "-1", "\"4h\""] {
            let (config, problems) = read_with(&format!(r#", "stale_after_seconds": {wrong}"#));
            assert_eq!((config, problems.len()), (None, 1), "{wrong}: {problems:?}");
        }
    }
}
