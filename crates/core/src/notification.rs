//! A notification, as Alertmanager posts it: what of it concerns the status page, and why the rest does not.
//!
//! Alertmanager drops what is answered with 4xx, so refusing loses every alert in the notification. Therefore only what
//! is no notification at all is refused: no JSON, no object, no list `alerts`, or a list in which nothing has the shape
//! of an alert. Everything smaller costs one alert and not its neighbours: an alert that is ours but cannot be used is
//! left out with its reason. For the same cause `version` is not looked at: a future version that still has these
//! fields is served, one that has not is refused by its shape.

pub(super) mod raw;

use std::fmt;

use raw::{RawAlert, RawLabels, RawNotification, Scalar, Shaped};

use super::alert::{Alert, AlertStatus, Fingerprint, FingerprintError};
use super::expiry::WatchdogAlert;
use super::target::{ComponentList, NAME_LIMIT, NameError, Target};
use super::time::Timestamp;
use super::watchdog::Watchdog;

/// The most labels that an alert may have.
pub const LABEL_LIMIT: usize = 256;

/// The most bytes that the names and values of an alert's labels may have together.
pub const LABELS_LIMIT_BYTES: usize = 64 * 1024;

/// How many characters of an unusable value are repeated in a reason.
const QUOTED_CHARACTERS: usize = 80;

/// How many characters of the path, and of what is wrong there, an error repeats.
const ERROR_CHARACTERS: usize = 300;

/// One webhook POST, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notification {
    /// The alerts about targets of the status page.
    pub alerts: Vec<Alert>,
    /// The alerts that are ours but cannot be used.
    pub ignored: Vec<IgnoredAlert>,
    /// What had to be left out of alerts that are used: single component names.
    pub partly_ignored: Vec<IgnoredAlert>,
    /// How many alerts do not carry `status_page_alert` true.
    pub not_ours: usize,
    /// The watchdog's alerts.
    pub watchdogs: Vec<WatchdogAlert>,
    /// How many alerts Alertmanager cut off (`max_alerts`); they may fire and resolve without ever being listed.
    pub truncated_alerts: u64,
    /// The receiver in Alertmanager's configuration; empty if it is not named.
    pub receiver: String,
}

/// An alert, or a part of one, that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnoredAlert {
    /// The text of its fingerprint; empty if it has none.
    pub fingerprint: String,
    /// Its label `alertname`; empty if it has none.
    pub alertname: String,
    /// Why, and what helps.
    pub reason: IgnoreReason,
}

/// Why an alert is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreReason {
    /// The entry has not the shape of an alert.
    #[error("alerts[{position}] is no object with labels: post what Alertmanager's webhook_configs sends")]
    NotAnAlert {
        /// Its place in the list, from 0.
        position: usize,
    },
    /// Nobody knows what it is about: an aggregate, mostly.
    #[error(
        "the label instance is missing, as on aggregates, so it is about no target: keep it in the rule's expression, \
         e.g. by (instance), or do not set status_page_alert there"
    )]
    NoInstance,
    /// It has more labels than are taken.
    #[error("it has {0} labels: at most {LABEL_LIMIT} are taken, drop some with alert_relabel_configs in Prometheus")]
    TooManyLabels(usize),
    /// Its labels are larger than is taken.
    #[error("its labels have {0} bytes: at most {LABELS_LIMIT_BYTES} are taken, shorten them in the rule")]
    LabelsTooLarge(usize),
    /// A name is longer than is taken.
    #[error("the label {label} has {length} characters: at most {NAME_LIMIT} are taken, shorten it")]
    NameTooLong {
        /// Which label.
        label: &'static str,
        /// Its length in characters.
        length: usize,
    },
    /// It has no name.
    #[error("the label alertname is missing: name the alert in its rule")]
    NoAlertname,
    /// It names no component.
    #[error(
        "the label status_page_component names no component: set it to the component's name, several separated by \
         commas"
    )]
    NoComponent,
    /// A name in the label cannot be a component's.
    #[error("in the label status_page_component: {0}")]
    ComponentName(#[from] NameError),
    /// It has no fingerprint.
    #[error("the fingerprint is missing: Alertmanager sends it since 0.19, update it")]
    NoFingerprint,
    /// Its fingerprint is none.
    #[error("{0}: send the alert through Alertmanager, which sets it")]
    Fingerprint(#[from] FingerprintError),
    /// It does not say when it began.
    #[error("startsAt {0} is no time: RFC 3339 is wanted, e.g. 2026-11-21T01:54:29Z")]
    StartsAt(String),
    /// It neither fires nor has ended.
    #[error("status {0} is neither \"firing\" nor \"resolved\": send the alert through Alertmanager, which sets it")]
    Status(String),
    /// The alert is new, the limit of stored alerts is reached, and no stored alert is resolved.
    #[error(
        "the limit of {0} stored alerts is reached, and none is resolved: find the rule that makes so many, or raise \
         max_stored_alerts"
    )]
    StoreFull(u32),
}

/// A body is no notification and never will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationError {
    /// Where in the body the fault is, e.g. `alerts[3].labels`; empty for the whole.
    pub path: String,
    /// What is wrong there.
    pub fault: String,
}

impl std::error::Error for NotificationError {}

impl NotificationError {
    /// Keys and values of the body may be in both texts, so they are cut and escaped.
    fn new(path: &str, fault: &str) -> Self {
        let printable = |text: &str| text.chars().take(ERROR_CHARACTERS).map(escape_control).collect();
        Self { path: printable(path), fault: printable(fault) }
    }
}

fn escape_control(character: char) -> String {
    if character.is_control() { character.escape_default().to_string() } else { character.to_string() }
}

impl fmt::Display for NotificationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the body" } else { &self.path };
        write!(f, "{path}: {}: post what Alertmanager's webhook_configs sends", self.fault)
    }
}

impl Notification {
    /// Reads the body of a POST where no watchdog is configured.
    ///
    /// # Errors
    /// When the body is no notification, see the module's documentation. A notification without alerts is one.
    pub fn parse(body: &[u8]) -> Result<Self, NotificationError> {
        Self::parse_with(body, None)
    }

    /// Reads the body of a POST. The alerts of `watchdog` are about no target, whatever labels they have.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn parse_with(body: &[u8], watchdog: Option<&Watchdog>) -> Result<Self, NotificationError> {
        let raw = parse_raw(body)?;
        let any_alert = raw.alerts.iter().any(|entry| well_shaped(entry).is_some());
        if !raw.alerts.is_empty() && !any_alert {
            let fault = "this is no object with labels, and no other entry is one";
            return Err(NotificationError::new("alerts[0]", fault));
        }
        let mut notification = Self {
            receiver: shortened(&raw.receiver),
            truncated_alerts: raw.truncated_alerts.count(),
            ..Self::default()
        };
        for (position, entry) in raw.alerts.iter().enumerate() {
            match well_shaped(entry) {
                Some((alert, labels)) if watchdog.is_some_and(|watchdog| labels.are_of(watchdog)) => {
                    notification.watchdogs.push(watchdog_of(alert));
                }
                Some((alert, labels)) => notification.take(alert, labels),
                None => notification.ignored.push(IgnoredAlert {
                    fingerprint: String::new(),
                    alertname: String::new(),
                    reason: IgnoreReason::NotAnAlert { position },
                }),
            }
        }
        Ok(notification)
    }

    /// How many of the watchdog's alerts fire.
    pub fn heartbeats(&self) -> usize {
        self.watchdogs.iter().filter(|watchdog| watchdog.status == AlertStatus::Firing).count()
    }

    fn take(&mut self, alert: &RawAlert, labels: &RawLabels) {
        if !labels.are_ours() {
            self.not_ours += 1;
            return;
        }
        let ignored = |reason| IgnoredAlert {
            fingerprint: shortened(&alert.fingerprint),
            alertname: shortened(&labels.alertname),
            reason,
        };
        match usable(alert, labels) {
            Ok((alert, rejected)) => {
                self.partly_ignored.extend(rejected.into_iter().map(|error| ignored(error.into())));
                self.alerts.push(alert);
            }
            Err(reason) => self.ignored.push(ignored(reason)),
        }
    }
}

fn parse_raw(body: &[u8]) -> Result<RawNotification, NotificationError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let entry: Shaped<RawNotification> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        NotificationError::new(&path, &error.into_inner().to_string())
    })?;
    json.end().map_err(|error| NotificationError::new("", &error.to_string()))?;
    match entry {
        Shaped::Object(notification) => Ok(notification),
        Shaped::Other => Err(NotificationError::new("", "this is JSON, but no object")),
    }
}

/// An entry that has the shape of an alert: an object with an object of labels.
fn well_shaped(entry: &Shaped<RawAlert>) -> Option<(&RawAlert, &RawLabels)> {
    match entry {
        Shaped::Object(alert) => match &alert.labels {
            Shaped::Object(labels) => Some((alert, labels)),
            Shaped::Other => None,
        },
        Shaped::Other => None,
    }
}

/// What labels say an alert is about.
pub(super) struct Subject {
    /// The label `alertname`.
    pub name: String,
    /// The target.
    pub target: Target,
    /// The label `status_page_critical_target`.
    pub critical: bool,
    /// What is wrong with component names that it also gives. A bad name does not cost the good ones: else a typo
    /// beside it would keep `Database` green while it is down.
    pub rejected: Vec<NameError>,
}

impl RawLabels {
    /// Whether they mark an alert of the status page.
    pub(super) fn are_ours(&self) -> bool {
        self.status_page_alert.is_true()
    }

    /// Whether they are those of the watchdog, which needs no other label than its name.
    fn are_of(&self, watchdog: &Watchdog) -> bool {
        self.alertname.text() == Some(watchdog.alertname())
    }

    /// What the alert that they belong to is about.
    pub(super) fn subject(&self) -> Result<Subject, IgnoreReason> {
        if self.count > LABEL_LIMIT {
            return Err(IgnoreReason::TooManyLabels(self.count));
        }
        if self.bytes > LABELS_LIMIT_BYTES {
            return Err(IgnoreReason::LabelsTooLarge(self.bytes));
        }
        let name = self.alertname.filled_text().ok_or(IgnoreReason::NoAlertname)?;
        let instance = self.instance.filled_text().ok_or(IgnoreReason::NoInstance)?;
        for (label, text) in [("alertname", name), ("instance", instance)] {
            let length = text.chars().count();
            if length > NAME_LIMIT {
                return Err(IgnoreReason::NameTooLong { label, length });
            }
        }
        let list = ComponentList::parse(self.status_page_component.text().unwrap_or_default());
        if list.names.is_empty() {
            return Err(list
                .rejected
                .into_iter()
                .next()
                .map_or(IgnoreReason::NoComponent, IgnoreReason::ComponentName));
        }
        let target = Target::new(instance, list.names).ok_or(IgnoreReason::NoInstance)?;
        let critical = self.status_page_critical_target.is_true();
        Ok(Subject { name: name.to_owned(), target, critical, rejected: list.rejected })
    }
}

/// The alert, and what is wrong with component names that it also gives.
fn usable(alert: &RawAlert, labels: &RawLabels) -> Result<(Alert, Vec<NameError>), IgnoreReason> {
    let Subject { name, target, critical, rejected } = labels.subject()?;
    let fingerprint = alert.fingerprint.filled_text().ok_or(IgnoreReason::NoFingerprint)?;
    let starts_at = alert.starts_at.text().and_then(|text| Timestamp::parse_rfc3339(text).ok());
    // A firing has none that means anything. A resolve without a usable one is a resolve all the same.
    let ends_at = alert.ends_at.text().and_then(|text| Timestamp::parse_rfc3339(text).ok());
    let ends_at = ends_at.filter(|_| alert.status.text() == Some("resolved"));
    let alert = Alert {
        fingerprint: fingerprint.parse()?,
        name,
        target,
        critical,
        status: match alert.status.text() {
            Some("firing") => AlertStatus::Firing,
            Some("resolved") => AlertStatus::Resolved,
            _ => return Err(IgnoreReason::Status(quoted(&alert.status))),
        },
        starts_at: starts_at.ok_or_else(|| IgnoreReason::StartsAt(quoted(&alert.starts_at)))?,
        ends_at,
    };
    Ok((alert, rejected))
}

/// A watchdog's alert. All alerts without a fingerprint count as one and the same. A missing time is 1970.
fn watchdog_of(alert: &RawAlert) -> WatchdogAlert {
    let time = |value: &Scalar| value.text().and_then(|text| Timestamp::parse_rfc3339(text).ok());
    let is_firing = alert.status.text() == Some("firing");
    let fingerprint = alert.fingerprint.text().unwrap_or_default();
    WatchdogAlert {
        fingerprint: fingerprint.parse().unwrap_or_else(|_| Fingerprint::of_text(fingerprint)),
        status: if is_firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        starts_at: time(&alert.starts_at).unwrap_or(Timestamp::from_millis(0)),
        ends_at: time(&alert.ends_at).filter(|_| !is_firing),
    }
}

/// The text, cut where a name would have to end.
fn shortened(value: &Scalar) -> String {
    value.text().unwrap_or_default().chars().take(NAME_LIMIT).collect()
}

fn quoted(value: &Scalar) -> String {
    match value.text() {
        Some(text) => format!("{:?}", text.chars().take(QUOTED_CHARACTERS).collect::<String>()),
        None => "(missing, or no text)".to_owned(),
    }
}

#[cfg(test)]
mod tests;
