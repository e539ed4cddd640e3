//! Recorded notifications, from what a running server leaves: its log on stdout, as text or JSON; or from files with what
//! Alertmanager posted.
//!
//! A notification says when its alerts began, and not when it was sent. The time is taken from the record: `timestamp` of
//! a JSON log, `received_at` beside the keys of a notification, or the time that a log collector puts in front of a
//! line (`podman logs --timestamps`, `journalctl -o short-iso`). Where there is none, it is that of the latest thing that
//! the notification tells, but not before that of the record before it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::core::notification::Notification;
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;

/// How a request is marked in the text log, and where its body begins.
const MARK: &str = "[WEBHOOK_REQUEST] ";
const BODY: &str = " body=";

/// How it is marked in the JSON log.
const EVENT: &str = "WEBHOOK_REQUEST";

/// A notification that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// When it came.
    pub at: Timestamp,
    /// Where it stands: file and line.
    pub place: String,
    /// What it says.
    pub notification: Notification,
}

/// A record that cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LeftOut {
    /// Where it stands: file and line.
    pub place: String,
    /// Why, and the cure.
    pub reason: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// What files hold, as a server would read it that listens for `watchdog`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Records<'a> {
    pub watchdog: Option<&'a Watchdog>,
    /// What can be played.
    pub records: Vec<Record>,
    /// What is a notification, or was one, and cannot.
    pub left_out: Vec<LeftOut>,
}

impl Records<'_> {
    /// Reads a file. Lines of a log that are about something else are passed over.
    pub(super) fn file(&mut self, text: &str, file: &str) {
        // A file of JSON may stretch a value over many lines; a log never does.
        match serde_json::Deserializer::from_str(text).into_iter::<Value>().collect::<Result<Vec<Value>, _>>() {
            Ok(values) => {
                let values = values.into_iter().flat_map(|value| match value {
                    Value::Array(list) => list,
                    value => vec![value],
                });
                for (number, value) in (1..).zip(values) {
                    self.value(&value, None, format!("{file} (entry {number})"));
                }
            }
            Err(_) => {
                for (number, line) in (1..).zip(text.lines()) {
                    self.line(line, format!("{file}:{number}"));
                }
            }
        }
    }

    fn line(&mut self, line: &str, place: String) {
        let beginning = line.split_whitespace().next().unwrap_or_default();
        let collected_at = Timestamp::parse_rfc3339(beginning).ok();
        if let Some((_, request)) = line.split_once(MARK) {
            // A header that has this text in it only makes a body that cannot be read.
            if let Some((_, body)) = request.split_once(&format!("]{BODY}")) {
                self.logged_body(body, collected_at, place);
            }
        } else if let Some(start) = line.find('{')
            && let Ok(value) = serde_json::from_str(&line[start..])
        {
            self.value(&value, collected_at, place);
        }
    }

    fn value(&mut self, value: &Value, collected_at: Option<Timestamp>, place: String) {
        let own = ["received_at", "timestamp"].iter().find_map(|key| value[*key].as_str());
        let at = own.and_then(|text| Timestamp::parse_rfc3339(text).ok()).or(collected_at);
        match (&value["event"], &value["body"]) {
            (Value::String(event), Value::String(body)) if event == EVENT => self.logged_body(body, at, place),
            (Value::Null, Value::String(body)) => self.body(body, at, place),
            (Value::Null, Value::Null) if value.get("alerts").is_some() => self.body(&value.to_string(), at, place),
            _ => {}
        }
    }

    /// A body as the log has it.
    fn logged_body(&mut self, logged: &str, at: Option<Timestamp>, place: String) {
        // It was refused, so it changed nothing.
        if logged.starts_with("(not read, ") {
            return;
        }
        let reason = if logged.starts_with('(') && logged.ends_with(" bytes, not logged)") {
            "its body was not logged: set LOG_WEBHOOK_BODY_LIMIT above 0"
        } else if logged.ends_with(" bytes in all)") {
            "its body was cut in the log: set LOG_WEBHOOK_BODY_LIMIT higher"
        } else {
            return self.body(&unescaped(logged), at, place);
        };
        self.left_out.push(LeftOut { place, reason: reason.to_owned() });
    }

    fn body(&mut self, body: &str, at: Option<Timestamp>, place: String) {
        let notification = match Notification::parse(body.as_bytes(), self.watchdog) {
            Ok(notification) => notification,
            Err(error) => return self.left_out.push(LeftOut { place, reason: error.to_string() }),
        };
        let before = self.records.last().map(|record| record.at);
        match at.or_else(|| latest_told(body).into_iter().chain(before).max()) {
            Some(at) => self.records.push(Record { at, place, notification }),
            None => {
                let reason = "it has no time and tells of none: give it received_at";
                self.left_out.push(LeftOut { place, reason: reason.to_owned() });
            }
        }
    }
}

/// The time of the latest thing that a notification tells: that an alert began or ended.
fn latest_told(body: &str) -> Option<Timestamp> {
    let notification: Value = serde_json::from_str(body).ok()?;
    let alerts = notification["alerts"].as_array()?.iter();
    let told = alerts.flat_map(|alert| {
        let ended = (alert["status"] == "resolved").then(|| &alert["endsAt"]);
        [Some(&alert["startsAt"]), ended].into_iter().flatten()
    });
    told.filter_map(|time| Timestamp::parse_rfc3339(time.as_str()?).ok()).max()
}

/// A body before the log made one safe line of it: white space between JSON's words, and in its texts the characters
/// that are written as `\u{…}`, which JSON itself never writes so.
fn unescaped(logged: &str) -> String {
    let mut body = String::with_capacity(logged.len());
    let mut rest = logged.chars();
    let mut in_text = false;
    while let Some(character) = rest.next() {
        if character == '"' {
            in_text = !in_text;
        }
        if character != '\\' {
            body.push(character);
            continue;
        }
        if let Some((escaped, behind)) = rest.as_str().strip_prefix("u{").and_then(|hex| hex.split_once('}')) {
            body.extend(u32::from_str_radix(escaped, 16).ok().and_then(char::from_u32));
            rest = behind.chars();
            continue;
        }
        match rest.next() {
            Some('n' | 'r' | 't') if !in_text => body.push(' '),
            escaped => {
                body.push('\\');
                body.extend(escaped);
            }
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;
    use crate::log::{Line, logged_body, logged_headers};

    const LATEST: &str = "2026-11-21T01:59:00Z";

    /// A notification of one alert that has ended, whose texts hold what a log has to make safe.
    fn notification(layout: fn(&Value) -> String) -> String {
        let value = serde_json::json!({"version": "4", "alerts": [{
            "status": "resolved", "startsAt": "2026-11-21T01:54:29.434Z", "endsAt": LATEST,
            "fingerprint": "e029c70b1b64731f",
            "labels": {"alertname": "Down\n\\u{41} \u{202e}\u{2028}", "instance": "a", "status_page_alert": "true",
                       "status_page_component": "Web"},
        }]});
        layout(&value)
    }

    fn logged(body: &str, limit: usize) -> Line {
        let (headers, body) = (logged_headers(&HeaderMap::new()), logged_body(body.as_bytes(), limit));
        Line::webhook_request([10, 0, 0, 5].into(), headers, &body)
    }

    fn time(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn read(text: &str) -> Records<'static> {
        let mut read = Records::default();
        read.file(text, "file");
        read
    }

    /// The one record of a file.
    fn record(text: &str) -> Record {
        let mut read = read(text);
        assert!(read.left_out.is_empty() && read.records.len() == 1, "{text}\n{read:?}");
        read.records.remove(0)
    }

    #[test]
    fn both_logs_give_back_what_was_posted() {
        for layout in [|value: &Value| format!("{value}\n"), |value: &Value| format!("{value:#}\n")] {
            let body = notification(layout);
            let posted = Notification::parse(body.as_bytes(), None).expect("valid");
            let text = logged(&body, 65_536).to_string();
            let json = logged(&body, 65_536).to_json(time("2026-11-21T02:00:00Z"));
            let lines = ["x", "[ALERT_IGNORED] body={}", "{\"event\":\"INCIDENT_OPENED\"}"];
            for (line, at) in [
                (text.clone(), LATEST),
                (format!("2026-11-21T02:00:00.000000001Z stdout F {text}"), "2026-11-21T02:00:00Z"),
                (format!("2026-11-21T03:00:00+0100 host app[1]: {text}"), "2026-11-21T02:00:00Z"),
                (json.clone(), "2026-11-21T02:00:00Z"),
                (format!("2026-11-21T02:00:01Z {json}"), "2026-11-21T02:00:00Z"),
            ] {
                let record = record(&[&lines[..], &[&line]].concat().join("\n"));
                assert_eq!((record.notification, record.at), (posted.clone(), time(at)), "{line}");
                assert_eq!(record.place, "file:4");
            }
        }
    }

    #[test]
    fn files_of_json_are_read_in_every_form() {
        let body = notification(Value::to_string);
        let value: Value = serde_json::from_str(&body).expect("JSON");
        let mut dated = value.clone();
        dated["received_at"] = "2026-11-21T02:00:00Z".into();
        let quoted = serde_json::json!({"body": body, "received_at": "2026-11-21T02:00:00Z"});
        for (text, at) in [
            (format!("{value}"), LATEST),
            (format!("{value:#}"), LATEST),
            (format!("[{value:#}]"), LATEST),
            (format!("{dated:#}"), "2026-11-21T02:00:00Z"),
            (format!("{quoted}"), "2026-11-21T02:00:00Z"),
        ] {
            assert_eq!(record(&text).at, time(at), "{text}");
        }
        assert_eq!(read(&format!("{value}\n{dated:#}\n{quoted}")).records.len(), 3);
    }

    #[test]
    fn a_record_without_a_time_does_not_come_before_the_one_before_it() {
        let later = notification(Value::to_string);
        let earlier = later.replace(LATEST, "2026-11-21T01:55:00Z");
        let times: Vec<Timestamp> =
            read(&format!("{later}\n{earlier}")).records.iter().map(|record| record.at).collect();
        assert_eq!(times, [time(LATEST), time(LATEST)]);
    }

    #[test]
    fn what_cannot_be_played_is_named_with_its_cure() {
        let body = notification(Value::to_string);
        for (line, reason) in [
            (logged(&body, 0).to_string(), "its body was not logged: "),
            (logged(&body, 50).to_string(), "its body was cut in the log: "),
            (logged("{\"alerts\": 5}", 50).to_string(), "alerts: "),
            ("{\"alerts\": []}".to_owned(), "it has no time and tells of none: "),
        ] {
            let read = read(&format!("x\n{line}"));
            let [left_out] = &read.left_out[..] else { panic!("{line}: {read:?}") };
            assert!(left_out.place == "file:2" && left_out.reason.contains(reason), "{left_out}");
        }
        let refused = "[WEBHOOK_REQUEST] source_ip=10.0.0.5 headers=[] body=(not read, status 401)";
        assert_eq!(read(&format!("x\n{refused}")), Records::default());
    }
}
