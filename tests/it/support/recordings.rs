//! What Alertmanager really sent (`tests/fixtures/alertmanager`).

use std::path::{Path, PathBuf};

use alertmanager_cachet::core::time::Timestamp;
use serde_json::{Value, json};

/// One recorded POST.
pub struct Request {
    /// When it came, told from the recording: its place in the sequence counts from the first alert's `startsAt`, and
    /// a request that stands alone came when the last thing that it tells had happened.
    pub at: Timestamp,
    /// What was sent.
    pub body: String,
}

/// The requests of one recording, in their order: one, or those of a sequence.
pub fn requests(file: &str) -> Vec<Request> {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recording: Value = serde_json::from_str(&text).expect("a recording is JSON");
    let requests = recording["requests"].as_array().cloned().unwrap_or_else(|| vec![recording]);
    let body = |request: &Value| request["body"].as_str().expect("a body is a text").to_owned();
    let began_at = starts(&body(&requests[0])).into_iter().min().expect("a recording tells of an alert");
    let at = |request: &Value| match request["at_s"].as_f64() {
        Some(seconds) => began_at.after(std::time::Duration::from_secs_f64(seconds)),
        None => last_event(&body(request)),
    };
    requests.iter().map(|request| Request { at: at(request), body: body(request) }).collect()
}

/// The bodies in one recording, in their order.
pub fn notifications(file: &str) -> Vec<String> {
    requests(file).into_iter().map(|request| request.body).collect()
}

/// `body` with these labels on each alert that has none of the name. Fingerprints, times and order stay.
pub fn with_labels(body: &str, labels: &[(&str, &str)]) -> String {
    let mut notification: Value = serde_json::from_str(body).expect("a notification is JSON");
    for alert in notification["alerts"].as_array_mut().expect("a list of alerts") {
        let present = alert["labels"].as_object_mut().expect("an object of labels");
        for (name, value) in labels {
            present.entry(*name).or_insert_with(|| json!(value));
        }
    }
    notification.to_string()
}

/// The names of all recordings.
pub fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the recordings");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager")
}

fn alerts(body: &str) -> Vec<Value> {
    let notification: Value = serde_json::from_str(body).expect("a notification is JSON");
    notification["alerts"].as_array().expect("a list of alerts").clone()
}

fn moment(value: &Value) -> Timestamp {
    Timestamp::parse_rfc3339(value.as_str().expect("a text")).expect("a time")
}

fn starts(body: &str) -> Vec<Timestamp> {
    alerts(body).iter().map(|alert| moment(&alert["startsAt"])).collect()
}

fn last_event(body: &str) -> Timestamp {
    let ends =
        alerts(body).into_iter().filter(|alert| alert["status"] == "resolved").map(|alert| moment(&alert["endsAt"]));
    starts(body).into_iter().chain(ends).max().expect("a recording tells of an alert")
}

/// A notification of `count` firing alerts in the manner of Alertmanager, about `count` targets.
pub fn generated(count: usize) -> String {
    let alerts: Vec<Value> = (0..count)
        .map(|number| {
            json!({
                "status": "firing",
                "labels": {
                    "alertname": "TargetDown",
                    "instance": format!("node-{number:04}.example.internal:9100"),
                    "job": "node",
                    "severity": "critical",
                    "status_page_alert": "true",
                    "status_page_component": "Database, Backend",
                },
                "annotations": {
                    "description": "The target did not answer for 30s.",
                    "summary": format!("Target node-{number:04}.example.internal:9100 is down"),
                },
                "startsAt": "2026-11-21T01:54:29.434Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus.internal:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
                "fingerprint": format!("{number:016x}"),
            })
        })
        .collect();
    json!({
        "receiver": "status-page",
        "status": "firing",
        "alerts": alerts,
        "groupLabels": {"alertname": "TargetDown"},
        "commonLabels": {"alertname": "TargetDown"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.internal:9093",
        "version": "4",
        "groupKey": "{}:{alertname=\"TargetDown\"}",
        "truncatedAlerts": 0,
    })
    .to_string()
}
