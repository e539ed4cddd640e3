//! What Alertmanager lists (`GET /api/v2/alerts`): the alerts that have not ended.
//!
//! Unlike a notification, a listing proves something by what is *not* in it. So it is read strictly: if one entry has
//! not the shape that it should have, nothing of it is used, for alerts that cannot be read must not look ended.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::alert::{Alert, AlertStatus, Fingerprint};
use super::expiry::{Lease, LeaseLength, WatchdogSent};
use super::notification::{Json, RawLabels};
use super::time::Timestamp;

/// Matches the label `status_page_alert` of every alert that is ours, and of a few others: what `true` is, with its
/// cases and blanks, is decided where notifications are read. An alert that this kept from us would look ended.
pub const OURS: &str = r#"status_page_alert=~"(?is).*true.*""#;

/// An alert in Alertmanager's list, about a target of the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAlert {
    /// The alert, firing.
    pub alert: Alert,
    /// Whether its notifications are sent.
    pub standing: Standing,
    /// Its lease; `None` if the list lacks `updatedAt` or `endsAt`.
    pub lease: Option<Lease>,
}

/// Whether Alertmanager sends notifications of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// It does not: the alert is silenced, inhibited, or not yet looked at.
    Suppressed,
}

/// Why a body is no list of alerts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("its list of alerts cannot be read at {path}: {fault}")]
pub struct ListingError {
    /// Where in the list the fault is, for example `[3].startsAt`; `.` for the whole.
    pub path: String,
    /// What is wrong there.
    pub fault: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListed {
    fingerprint: String,
    starts_at: String,
    ends_at: Option<String>,
    updated_at: Option<String>,
    status: RawStatus,
    labels: Json<RawLabels>,
}

#[derive(Deserialize)]
struct RawStatus {
    state: String,
}

/// When Alertmanager was last sent an alert, as the listing of a watchdog says it; `None` if it lists none.
///
/// That it is listed does not prove that Prometheus lives: Alertmanager lists what it was told for some minutes, and goes
/// on sending notifications of it. Prometheus sends what fires again about every minute, and that is `updatedAt`, by
/// Alertmanager's clock, as is the result. Of several, the latest counts. A silenced alert is sent like any other.
///
/// # Errors
/// As [`parse_listing`].
pub fn parse_last_sent(body: &[u8]) -> Result<Option<WatchdogSent>, ListingError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sent {
        updated_at: String,
        ends_at: String,
    }
    let listed: Vec<Sent> = parse(body)?;
    let sent = listed.iter().enumerate().map(|(position, Sent { updated_at, ends_at })| {
        let time = |field: &str, text: &str| {
            let path = format!("[{position}].{field}");
            Timestamp::parse_rfc3339(text).map_err(|error| ListingError { path, fault: error.to_string() })
        };
        let (at, ends_at) = (time("updatedAt", updated_at)?, time("endsAt", ends_at)?);
        Ok(WatchdogSent { sent_at: at, lease: LeaseLength::between(at, ends_at) })
    });
    sent.collect::<Result<Vec<_>, _>>().map(|sent| sent.into_iter().max_by_key(|sent| (sent.sent_at, sent.lease)))
}

/// The alerts of a listing that are ours and can be used; why others cannot is said when they are notified.
///
/// # Errors
/// When any entry is not what Alertmanager lists.
pub fn parse_listing(body: &[u8]) -> Result<Vec<ListedAlert>, ListingError> {
    let listed: Vec<RawListed> = parse(body)?;
    let mut alerts = Vec::new();
    for (position, entry) in listed.iter().enumerate() {
        let fault = |field: &str, fault: String| ListingError { path: format!("[{position}].{field}"), fault };
        let Json::Object(labels) = &entry.labels else {
            return Err(fault("labels", "this is no object".to_owned()));
        };
        let fingerprint: Fingerprint =
            entry.fingerprint.parse().map_err(|_| fault("fingerprint", "16 hexadecimal digits are one".to_owned()))?;
        let starts_at =
            Timestamp::parse_rfc3339(&entry.starts_at).map_err(|error| fault("startsAt", error.to_string()))?;
        let Some(subject) = labels.subject().ok().filter(|_| labels.are_ours()) else { continue };
        let standing = if entry.status.state == "active" { Standing::Active } else { Standing::Suppressed };
        let alert = Alert {
            fingerprint,
            name: subject.name,
            target: subject.target,
            critical: subject.critical,
            status: AlertStatus::Firing,
            starts_at,
            ends_at: None,
        };
        let [sent_at, ends_at] = [&entry.updated_at, &entry.ends_at]
            .map(|time| time.as_deref().and_then(|text| Timestamp::parse_rfc3339(text).ok()));
        let lease = sent_at.zip(ends_at);
        let lease = lease.map(|(sent_at, ends_at)| Lease { ends_at, length: LeaseLength::between(sent_at, ends_at) });
        alerts.push(ListedAlert { alert, standing, lease });
    }
    Ok(alerts)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, ListingError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let listed = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| ListingError { path: error.path().to_string(), fault: error.inner().to_string() })?;
    json.end().map_err(|error| ListingError { path: ".".to_owned(), fault: error.to_string() })?;
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(state: &str) -> Value {
        json!({
            "annotations": {"summary": "down"},
            "endsAt": "2026-11-21T02:04:24.802Z",
            "fingerprint": "13c9b4d406dbccf6",
            "receivers": [{"name": "scrape"}],
            "startsAt": "2026-11-21T02:00:24.802Z",
            "status": {"inhibitedBy": [], "silencedBy": [], "state": state},
            "updatedAt": "2026-11-21T02:00:24.804Z",
            "generatorURL": "",
            "labels": {
                "alertname": "TargetDown",
                "instance": "10.0.0.5:9100",
                "status_page_alert": "true",
                "status_page_component": "Database, Backend",
                "status_page_critical_target": "true",
            },
        })
    }

    fn entry_with(pointer: &str, value: Value) -> Value {
        let mut entry = entry("active");
        *entry.pointer_mut(pointer).expect("a field") = value;
        entry
    }

    fn parse(entries: &[Value]) -> Result<Vec<ListedAlert>, String> {
        parse_listing(json!(entries).to_string().as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_alert_is_read_as_its_notification_would_be() {
        let listed = parse(&[entry("active"), entry("suppressed"), entry("unprocessed")]).expect("a list");
        let standings: Vec<Standing> = listed.iter().map(|listed| listed.standing).collect();
        assert_eq!(standings, [Standing::Active, Standing::Suppressed, Standing::Suppressed]);
        let alert = &listed[0].alert;
        assert_eq!(alert.fingerprint.to_string(), "13c9b4d406dbccf6");
        assert_eq!(alert.target.name().as_str(), "10.0.0.5:9100 | Database, Backend");
        assert_eq!((alert.critical, alert.status), (true, AlertStatus::Firing));
        assert_eq!(alert.starts_at.to_string(), "2026-11-21T02:00:24.802Z");
    }

    #[test]
    fn what_is_not_ours_or_about_no_target_is_left_out() {
        for (pointer, value) in [
            ("/labels/status_page_alert", "false"),
            ("/labels/status_page_alert", "not true"),
            ("/labels/instance", ""),
            ("/labels/status_page_component", "a|b"),
            ("/labels/status_page_component", &"a,b,".repeat(33)),
            ("/labels/instance", &"a".repeat(256)),
        ] {
            assert_eq!(parse(&[entry_with(pointer, json!(value))]), Ok(Vec::new()), "{pointer} {value}");
        }
    }

    #[test]
    fn the_last_update_of_any_listed_alert_counts_silenced_or_not() {
        let last = |entries: &[Value]| parse_last_sent(json!(entries).to_string().as_bytes());
        let later = |mut entry: Value| {
            entry["updatedAt"] = json!("2026-11-21T03:05:00+01:00");
            entry
        };
        let sent = |at, ends_at| {
            let [at, ends_at] = [at, ends_at].map(|text| Timestamp::parse_rfc3339(text).expect("a time"));
            Some(WatchdogSent { sent_at: at, lease: LeaseLength::between(at, ends_at) })
        };
        let lease = "2026-11-21T02:04:24.802Z";
        assert_eq!(last(&[]), Ok(None));
        assert_eq!(last(&[entry("active")]), Ok(sent("2026-11-21T02:00:24.804Z", lease)));
        assert_eq!(last(&[later(entry("suppressed")), entry("active")]), Ok(sent("2026-11-21T02:05:00Z", lease)));
        let error = last(&[entry("active"), entry_with("/updatedAt", json!("soon"))]).expect_err("no time");
        assert_eq!(error.path, "[1].updatedAt");
    }

    #[test]
    fn nothing_is_used_of_a_list_that_is_not_alertmanagers() {
        for (entries, start) in [
            (entry_with("/fingerprint", json!("xyz")), "[1].fingerprint: "),
            (entry_with("/startsAt", json!("now")), "[1].startsAt: "),
            (entry_with("/status", json!("firing")), "[1].status: "),
            (entry_with("/labels", json!([])), "[1].labels"),
            (json!(7), "[1]: "),
        ] {
            let error = parse(&[entry("active"), entries]).expect_err("no list");
            assert!(error.starts_with(&format!("its list of alerts cannot be read at {start}")), "{error}");
        }
        for body in ["", "{}", "[", "[] []", "<html>"] {
            assert!(parse_listing(body.as_bytes()).is_err(), "{body}");
        }
    }
}
