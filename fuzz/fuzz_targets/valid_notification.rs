//! Notifications as Alertmanager makes them: each is read as what it says, and neither order nor repetition of the same
//! statements changes what they come to.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertRecord, AlertStatus, Fingerprint};
use alertmanager_cachet::core::expiry::WatchdogAlert;
use alertmanager_cachet::core::notification::Notification;
use alertmanager_cachet::core::target::{ComponentName, Target};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::Watchdog;
use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

const REFIRE_DELAY: Duration = Duration::from_secs(300);

const WATCHDOG: &str = "Watchdog";

/// Statements, and the order in which they are told again.
#[derive(Debug, Arbitrary)]
struct Told {
    statements: Vec<Statement>,
    truncated: u32,
    others: u8,
    /// The watchdog's alerts: whether each fires.
    watchdogs: Vec<bool>,
    retold: Vec<u8>,
}

/// One alert of one notification. Few fingerprints and moments, so that they meet.
#[derive(Debug)]
struct Statement {
    alert: Alert,
    labels: BTreeMap<String, String>,
    offset_hours: i8,
}

impl<'a> Arbitrary<'a> for Statement {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let components = (0..u.int_in_range(1..=3)?).map(|_| component(u)).collect::<arbitrary::Result<Vec<_>>>()?;
        let components = components.into_iter().fold(Vec::new(), |mut unique, name| {
            if !unique.contains(&name) {
                unique.push(name);
            }
            unique
        });
        let target = Target::new(&filled(u)?, components).ok_or(arbitrary::Error::IncorrectFormat)?;
        let alert = Alert {
            fingerprint: fingerprint(u.int_in_range(0..=3)?),
            // Never the watchdog's.
            name: filled(u)? + "Down",
            target,
            critical: u.arbitrary()?,
            status: if u.arbitrary()? { AlertStatus::Firing } else { AlertStatus::Resolved },
            starts_at: Timestamp::from_millis(1_795_226_400_000 + u.int_in_range(0..=3_i64)?),
            ends_at: None,
        };
        // That of a firing means nothing, so nothing is read of it.
        let ends_at = Timestamp::from_millis(alert.starts_at.as_millis() + u.int_in_range(0..=3_i64)?);
        let ends_at = Some(ends_at).filter(|_| alert.status == AlertStatus::Resolved);
        let alert = Alert { ends_at, ..alert };
        Ok(Self { alert, labels: u.arbitrary()?, offset_hours: u.int_in_range(-12..=14)? })
    }
}

/// A text with more than blanks in it.
fn filled(u: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let text: String = u.arbitrary()?;
    Ok(if text.trim().is_empty() { "x".to_owned() } else { text })
}

fn component(u: &mut Unstructured<'_>) -> arbitrary::Result<ComponentName> {
    let text: String = u.arbitrary()?;
    let fits: String = text.chars().filter(|c| !matches!(c, '|' | ',')).take(20).collect();
    Ok(ComponentName::try_from(fits.as_str()).or_else(|_| ComponentName::try_from("Database")).expect("a name"))
}

fn fingerprint(number: u64) -> Fingerprint {
    format!("{number:016x}").parse().expect("a fingerprint")
}

impl Statement {
    fn json(&self) -> Value {
        let Alert { fingerprint, name, target, critical, status, starts_at, ends_at } = &self.alert;
        let components: Vec<&str> = target.components().iter().map(ComponentName::as_str).collect();
        let mut labels = self.labels.clone();
        labels.extend([
            ("alertname".to_owned(), name.clone()),
            ("instance".to_owned(), target.instance().to_owned()),
            ("status_page_alert".to_owned(), "true".to_owned()),
            ("status_page_component".to_owned(), components.join(", ")),
            ("status_page_critical_target".to_owned(), critical.to_string()),
        ]);
        json!({
            "status": if *status == AlertStatus::Firing { "firing" } else { "resolved" },
            "labels": labels,
            "annotations": self.labels,
            "startsAt": self.in_its_time_zone(*starts_at),
            "endsAt": ends_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |ends_at| self.in_its_time_zone(ends_at)),
            "generatorURL": "",
            "fingerprint": fingerprint.to_string(),
        })
    }

    /// The same moment by a clock of another time zone, with the digits that Go writes.
    fn in_its_time_zone(&self, moment: Timestamp) -> String {
        let offset = i64::from(self.offset_hours);
        let local = Timestamp::from_millis(moment.as_millis() + offset * 3_600_000).to_string();
        let sign = if offset < 0 { '-' } else { '+' };
        format!("{}{sign}{:02}:00", local.trim_end_matches('Z'), offset.abs())
    }
}

fn of_watchdog(number: u64, fires: bool) -> WatchdogAlert {
    let starts_at = Timestamp::from_millis(1_795_226_400_000);
    WatchdogAlert {
        fingerprint: fingerprint(number),
        status: if fires { AlertStatus::Firing } else { AlertStatus::Resolved },
        starts_at,
        ends_at: (!fires).then(|| starts_at.after(REFIRE_DELAY)),
    }
}

fn watchdog_json(alert: &WatchdogAlert, alertname: &str) -> Value {
    json!({
        "status": if alert.status == AlertStatus::Firing { "firing" } else { "resolved" },
        "labels": {"alertname": alertname},
        "startsAt": alert.starts_at.to_string(),
        "endsAt": alert.ends_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |ends_at| ends_at.to_string()),
        "fingerprint": alert.fingerprint.to_string(),
    })
}

fuzz_target!(|told: Told| {
    let mut alerts: Vec<Value> = told.statements.iter().map(Statement::json).collect();
    let watchdog = Watchdog::new(WATCHDOG, REFIRE_DELAY).expect("a watchdog");
    let watchdogs: Vec<WatchdogAlert> =
        (0..).zip(&told.watchdogs).map(|(number, &fires)| of_watchdog(number, fires)).collect();
    alerts.extend(watchdogs.iter().map(|alert| watchdog_json(alert, watchdog.alertname())));
    alerts.extend((0..told.others).map(|_| json!({"status": "firing", "labels": {"alertname": "NotOurs"}})));
    let body = json!({
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": told.truncated,
        "status": "firing",
        "receiver": "status-page",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": alerts,
    });
    let said: Vec<Alert> = told.statements.iter().map(|statement| statement.alert.clone()).collect();
    let expected = Notification {
        alerts: said.clone(),
        not_ours: told.others.into(),
        watchdogs,
        truncated_alerts: told.truncated.into(),
        receiver: "status-page".to_owned(),
        ..Notification::default()
    };
    assert_eq!(Notification::parse(body.to_string().as_bytes(), Some(&watchdog)).as_ref(), Ok(&expected));

    let mut retold = said.clone();
    retold.extend(told.retold.iter().filter_map(|&index| said.get(usize::from(index))).cloned());
    for (place, &index) in told.retold.iter().enumerate() {
        if let (true, Some(place)) = (!retold.is_empty(), place.checked_rem(retold.len())) {
            let other = usize::from(index) % retold.len();
            retold.swap(place, other);
        }
    }
    assert_eq!(conclusions(&said), conclusions(&retold), "told again in another order");
});

/// For each alert: the occurrence that counts, and whether it fires, before any refire delay is over.
fn conclusions(alerts: &[Alert]) -> BTreeMap<Fingerprint, (Timestamp, bool)> {
    // After the last of them began: a startsAt in the future is cut to the time of arrival.
    let now = Timestamp::from_millis(1_795_226_500_000);
    let mut known: BTreeMap<Fingerprint, AlertRecord> = BTreeMap::new();
    for alert in alerts {
        let (record, _) = AlertRecord::observe(known.get(&alert.fingerprint), alert, now);
        known.insert(alert.fingerprint, record);
    }
    known.into_iter().map(|(key, record)| (key, (record.starts_at, record.is_firing(now, REFIRE_DELAY)))).collect()
}
