//! What Alertmanager really sent (`tests/fixtures/alertmanager`).

use std::path::Path;

use serde_json::{Value, json};

/// The bodies in one recording, in their order: one, or those of a sequence.
pub fn notifications(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recording: Value = serde_json::from_str(&text).expect("a recording is JSON");
    let requests = recording["requests"].as_array().cloned().unwrap_or_else(|| vec![recording]);
    requests.iter().map(|request| request["body"].as_str().expect("a body is a text").to_owned()).collect()
}

/// The names of all recordings.
pub fn files() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager");
    let entries = std::fs::read_dir(folder).expect("the recordings");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name")).collect();
    names.sort();
    names
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
