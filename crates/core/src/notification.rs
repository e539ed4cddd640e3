//! A notification, as Alertmanager posts it: what of it concerns the status page, and why the rest does not.
//!
//! Alertmanager drops what is answered with 4xx, so refusing loses every alert in the notification. Therefore only what
//! is no notification at all is refused: no JSON, no object, no list `alerts`, or a list in which nothing has the shape
//! of an alert. Everything smaller costs one alert and not its neighbours: an alert that is ours but cannot be used is
//! left out with its reason. For the same cause `version` is not looked at: a future version that still has these
//! fields is served, one that has not is refused by its shape.
//!
//! So the JSON is read with the shape that it has (`Json`), not the one that it should have. Reading fails only where the
//! JSON itself is broken or the list `alerts` is missing; a field of the wrong type becomes a value that says so. Unknown
//! fields are skipped without recursion, however deep they are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {fault}: post what Alertmanager's webhook_configs sends")]
pub struct NotificationError {
    /// Where in the body the fault is, e.g. `alerts[3].labels`.
    path: String,
    /// What is wrong there.
    fault: String,
}

/// Where a fault is that is not at one place.
const WHOLE: &str = "the body";

impl NotificationError {
    /// Keys and values of the body may be in both texts, so they are cut and escaped.
    fn new(path: &str, fault: &str) -> Self {
        let printable = |text: &str| {
            let escaped = text.chars().take(ERROR_CHARACTERS).map(|character| match character {
                _ if character.is_control() => character.escape_default().to_string(),
                _ => character.to_string(),
            });
            escaped.collect()
        };
        Self { path: printable(path), fault: printable(fault) }
    }
}

impl Notification {
    /// Reads the body of a POST. The alerts of `watchdog` are about no target, whatever labels they have.
    ///
    /// # Errors
    /// When the body is no notification, see the module's documentation. A notification without alerts is one.
    pub fn parse(body: &[u8], watchdog: Option<&Watchdog>) -> Result<Self, NotificationError> {
        // To know at any time where it is in the body takes longer than to read it, so that is for a body with a fault.
        let raw = serde_json::from_slice(body).or_else(|_| Self::read_with_path(body))?;
        let Json::Object::<RawNotification>(raw) = raw else {
            return Err(NotificationError::new(WHOLE, "this is JSON, but no object"));
        };
        let has_shape =
            |entry: &Json<RawAlert>| matches!(entry, Json::Object(RawAlert { labels: Json::Object(_), .. }));
        if !raw.alerts.is_empty() && !raw.alerts.iter().any(has_shape) {
            let fault = "this is no object with labels, and no other entry is one";
            return Err(NotificationError::new("alerts[0]", fault));
        }
        let mut notification = Self {
            receiver: shortened(raw.receiver.text()),
            truncated_alerts: if let Json::Count(count) = raw.truncated_alerts { count } else { 0 },
            ..Self::default()
        };
        for (position, entry) in raw.alerts.iter().enumerate() {
            let Json::Object(alert @ RawAlert { labels: Json::Object(labels), .. }) = entry else {
                let reason = IgnoreReason::NotAnAlert { position };
                let (fingerprint, alertname) = (String::new(), String::new());
                notification.ignored.push(IgnoredAlert { fingerprint, alertname, reason });
                continue;
            };
            // The watchdog needs no other label than its name.
            if watchdog.is_some_and(|watchdog| labels.text("alertname") == Some(watchdog.alertname())) {
                notification.watchdogs.push(alert.watchdog());
                continue;
            }
            if !labels.are_ours() {
                notification.not_ours += 1;
                continue;
            }
            let ignored = |reason| IgnoredAlert {
                fingerprint: shortened(alert.fingerprint.text()),
                alertname: shortened(labels.text("alertname")),
                reason,
            };
            match alert.usable(labels) {
                Ok((alert, rejected)) => {
                    notification.partly_ignored.extend(rejected.into_iter().map(|error| ignored(error.into())));
                    notification.alerts.push(alert);
                }
                Err(reason) => notification.ignored.push(ignored(reason)),
            }
        }
        Ok(notification)
    }

    /// The body, or where its fault is.
    fn read_with_path(body: &[u8]) -> Result<Json<RawNotification>, NotificationError> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let raw = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            NotificationError::new(if path == "." { WHOLE } else { &path }, &error.into_inner().to_string())
        })?;
        json.end().map_err(|error| NotificationError::new(WHOLE, &error.to_string()))?;
        Ok(raw)
    }

    /// How many of the watchdog's alerts fire.
    pub fn heartbeats(&self) -> usize {
        self.watchdogs.iter().filter(|watchdog| watchdog.status == AlertStatus::Firing).count()
    }
}

/// The fields of a notification that are used.
#[derive(Deserialize)]
struct RawNotification {
    alerts: Vec<Json<RawAlert>>,
    #[serde(default)]
    receiver: Json,
    #[serde(default, rename = "truncatedAlerts")]
    truncated_alerts: Json,
}

/// The fields of an alert that are used.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawAlert {
    status: Json,
    labels: Json<RawLabels>,
    starts_at: Json,
    ends_at: Json,
    fingerprint: Json,
}

impl RawAlert {
    /// The alert, and what is wrong with component names that it also gives.
    fn usable(&self, labels: &RawLabels) -> Result<(Alert, Vec<NameError>), IgnoreReason> {
        let Subject { name, target, critical, rejected } = labels.subject()?;
        let quoted = |value: &Json| match value.text() {
            Some(text) => format!("{:?}", text.chars().take(QUOTED_CHARACTERS).collect::<String>()),
            None => "(missing, or no text)".to_owned(),
        };
        let fingerprint = self.fingerprint.text().filter(|text| !text.trim().is_empty());
        let alert = Alert {
            fingerprint: fingerprint.ok_or(IgnoreReason::NoFingerprint)?.parse()?,
            name,
            target,
            critical,
            status: match self.status.text() {
                Some("firing") => AlertStatus::Firing,
                Some("resolved") => AlertStatus::Resolved,
                _ => return Err(IgnoreReason::Status(quoted(&self.status))),
            },
            starts_at: self.starts_at.time().ok_or_else(|| IgnoreReason::StartsAt(quoted(&self.starts_at)))?,
            // A firing has none that means anything. A resolve without a usable one is a resolve all the same.
            ends_at: self.ends_at.time().filter(|_| self.status.text() == Some("resolved")),
        };
        Ok((alert, rejected))
    }

    /// A watchdog's alert. All alerts without a fingerprint count as one and the same. A missing time is 1970.
    fn watchdog(&self) -> WatchdogAlert {
        let is_firing = self.status.text() == Some("firing");
        let fingerprint = self.fingerprint.text().unwrap_or_default();
        WatchdogAlert {
            fingerprint: fingerprint.parse().unwrap_or_else(|_| Fingerprint::of_text(fingerprint)),
            status: if is_firing { AlertStatus::Firing } else { AlertStatus::Resolved },
            starts_at: self.starts_at.time().unwrap_or(Timestamp::from_millis(0)),
            ends_at: self.ends_at.time().filter(|_| !is_firing),
        }
    }
}

/// The labels that are used.
const LABELS: [&str; 5] =
    ["alertname", "instance", "status_page_alert", "status_page_component", "status_page_critical_target"];

/// The labels of an alert that are used, and how much there is of all of them: the others are not kept.
#[derive(Default)]
pub(super) struct RawLabels {
    /// Each once; of one that comes twice, the last.
    used: Vec<(String, Json)>,
    /// How many labels there are.
    count: usize,
    /// The bytes of their names and values.
    bytes: usize,
}

impl<'de> Deserialize<'de> for RawLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = RawLabels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<RawLabels, A::Error> {
        let mut labels = RawLabels::default();
        while let Some((name, value)) = object.next_entry::<String, Json>()? {
            labels.count += 1;
            labels.bytes += name.len() + value.text().map_or(0, str::len);
            if LABELS.contains(&name.as_str()) {
                labels.used.retain(|(earlier, _)| *earlier != name);
                labels.used.push((name, value));
            }
        }
        Ok(labels)
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
    fn get(&self, label: &str) -> Option<&Json> {
        self.used.iter().find(|(name, _)| name == label).map(|(_, value)| value)
    }

    fn text(&self, label: &str) -> Option<&str> {
        self.get(label)?.text()
    }

    /// Whether a label says `true`. Labels are texts; a hand-made post may well have a bool.
    fn is_true(&self, label: &str) -> bool {
        match self.get(label) {
            Some(Json::Text(text)) => text.trim().eq_ignore_ascii_case("true"),
            Some(Json::Bool(value)) => *value,
            _ => false,
        }
    }

    /// Whether they mark an alert of the status page.
    pub(super) fn are_ours(&self) -> bool {
        self.is_true("status_page_alert")
    }

    /// What the alert that they belong to is about.
    pub(super) fn subject(&self) -> Result<Subject, IgnoreReason> {
        if self.count > LABEL_LIMIT {
            return Err(IgnoreReason::TooManyLabels(self.count));
        }
        if self.bytes > LABELS_LIMIT_BYTES {
            return Err(IgnoreReason::LabelsTooLarge(self.bytes));
        }
        let filled = |label| self.text(label).filter(|text| !text.trim().is_empty());
        let name = filled("alertname").ok_or(IgnoreReason::NoAlertname)?;
        let instance = filled("instance").ok_or(IgnoreReason::NoInstance)?;
        for (label, text) in [("alertname", name), ("instance", instance)] {
            let length = text.chars().count();
            if length > NAME_LIMIT {
                return Err(IgnoreReason::NameTooLong { label, length });
            }
        }
        let ComponentList { names, rejected } =
            ComponentList::parse(self.text("status_page_component").unwrap_or_default());
        if names.is_empty() {
            let reason = rejected.into_iter().next();
            return Err(reason.map_or(IgnoreReason::NoComponent, IgnoreReason::ComponentName));
        }
        let target = Target::new(instance, names).ok_or(IgnoreReason::NoInstance)?;
        let critical = self.is_true("status_page_critical_target");
        Ok(Subject { name: name.to_owned(), target, critical, rejected })
    }
}

/// The text, cut where a name would have to end.
fn shortened(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(NAME_LIMIT).collect()
}

/// A value as it is, whatever was expected: an object is read as `T`, or skipped by default.
#[derive(Default)]
pub(super) enum Json<T = IgnoredAny> {
    Object(T),
    Text(String),
    Bool(bool),
    Count(u64),
    /// Missing, or anything else.
    #[default]
    Other,
}

impl<T> Json<T> {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    fn time(&self) -> Option<Timestamp> {
        Timestamp::parse_rfc3339(self.text()?).ok()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Json<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor(PhantomData))
    }
}

struct JsonVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for JsonVisitor<T> {
    type Value = Json<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Json<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(object)).map(Json::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json<T>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Json::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<T>, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<T>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, count: u64) -> Result<Json<T>, E> {
        Ok(Json::Count(count))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json<T>, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<T>, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json<T>, E> {
        Ok(Json::Other)
    }
}

#[cfg(test)]
mod tests;
