//! The key `watchdog` of `config.json`.

use std::path::Path;
use std::time::Duration;

use super::Config;
use super::environment::Environment;
use super::report::{Place, Remark, Report};
use super::settings::{SECONDS_MAX, filled, report_unknown_keys};
use super::tree::Map;
use crate::core::config::WatchdogConfig;
use crate::core::names::IncidentName;
use crate::core::target::NAME_LIMIT;
use crate::core::watchdog::{MonitoringTexts, Watchdog, WatchdogError};

/// Every key that it may have.
pub const KEYS: &[&str] =
    &["alertname", "timeout_seconds", "new_incident_name", "new_incident_message", "resolved_incident_message"];

/// The alert that comes with the usual collections of rules for Prometheus.
const DEFAULT_ALERTNAME: &str = "Watchdog";
const DEFAULT_TIMEOUT_SECONDS: u64 = 300;

/// How long Prometheus may take until it sends a firing alert again (its `--rules.alert.resend-delay` of a minute), with
/// a minute more for its evaluation and for Alertmanager.
const SHORTEST_SAFE: Duration = Duration::from_secs(120);

/// Reads the dead man's switch, if there is one; `null`, as in the example, is none. What is wrong goes into the report.
pub(super) fn read(config: &Map<'_>, report: &mut Report) -> Option<WatchdogConfig> {
    let map = config.get_filled("watchdog")?.map(report)?;
    report_unknown_keys(&map, KEYS, report);
    let (timeout, texts) = (timeout(&map, report), texts(&map, report));
    let alertname = match map.get("alertname") {
        Some(value) => value.text(report)?,
        None => DEFAULT_ALERTNAME,
    };
    // The name is looked at even where the timeout cannot be used, whatever stands in for that.
    let watchdog = Watchdog::new(alertname, timeout.unwrap_or(SHORTEST_SAFE))
        .map_err(|error| report.fatal(map.place.key("alertname"), error.to_string()))
        .ok()?;
    timeout?;
    if watchdog.timeout() < SHORTEST_SAFE {
        report.remark(
            map.place.key("timeout_seconds"),
            "is below 120, and Prometheus sends a firing alert again after a minute or later, so it may seem missing \
             though all is well",
        );
    }
    Some(WatchdogConfig { watchdog, texts })
}

/// Recommends `ALERTMANAGER_URL`, if a watchdog is configured and arrives only in notifications.
pub(crate) fn heard_by_route_alone(config: &Config, environment: &Environment, config_file: &Path) -> Option<Remark> {
    config.watchdog.as_ref().filter(|_| environment.alertmanager.is_none())?;
    let message = "arrives only in notifications, so the page may be green for about two notification intervals if \
                   Prometheus dies during an outage: set ALERTMANAGER_URL to prevent that"
        .to_owned();
    Some(Remark { place: Place::file(config_file.display().to_string()).key("watchdog"), message })
}

/// Where the watchdog may seem missing although it comes, for it is looked for in Alertmanager too rarely; `None`: it is
/// not looked for there, or often enough.
pub(crate) fn seen_too_rarely(config: &Config, environment: &Environment, config_file: &Path) -> Option<Remark> {
    let watchdog = &config.watchdog.as_ref().filter(|_| environment.alertmanager.is_some())?.watchdog;
    // At a reading it may be as old as that, and becomes older until the next one.
    let longest = watchdog.timeout().saturating_sub(SHORTEST_SAFE).as_secs().max(1);
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
    Some(Remark { place, message })
}

fn timeout(map: &Map<'_>, report: &mut Report) -> Option<Duration> {
    let Some(value) = map.get("timeout_seconds") else { return Some(Duration::from_secs(DEFAULT_TIMEOUT_SECONDS)) };
    let wanted = value.integer(report)?;
    match u64::try_from(wanted) {
        Ok(0) => {
            value.problem(WatchdogError::NoTimeout.to_string(), report);
            None
        }
        Ok(seconds) if seconds <= SECONDS_MAX => Some(Duration::from_secs(seconds)),
        _ => {
            let message = format!("is {wanted}, out of range: write a number of seconds from 1 to {SECONDS_MAX}");
            value.problem(message, report);
            None
        }
    }
}

fn texts(map: &Map<'_>, report: &mut Report) -> MonitoringTexts {
    let mut text = |key: &str, default: String| match map.get(key) {
        Some(value) => filled(&value, report).unwrap_or(default),
        None => default,
    };
    let MonitoringTexts { new_incident_name, new_incident_message, resolved_incident_message } =
        MonitoringTexts::default();
    let new_incident_message = text("new_incident_message", new_incident_message);
    let resolved_incident_message = text("resolved_incident_message", resolved_incident_message);
    let new_incident_name = title(map, report).unwrap_or(new_incident_name);
    MonitoringTexts { new_incident_name, new_incident_message, resolved_incident_message }
}

fn title(map: &Map<'_>, report: &mut Report) -> Option<String> {
    let value = map.get("new_incident_name")?;
    let text = filled(&value, report)?;
    let name = IncidentName::new(&text).map_err(|error| value.problem(error.to_string(), report)).ok()?;
    if name.names_the_component() {
        report.degraded(value.place.clone(), "has %s, and is about no component: write the title without it");
    }
    let length = text.trim().chars().count();
    if length > NAME_LIMIT {
        let message = format!("has {length} characters, and Cachet takes at most {NAME_LIMIT}: shorten it");
        report.degraded(value.place, message);
    }
    Some(name.render_plain())
}
