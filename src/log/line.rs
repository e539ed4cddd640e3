//! The lines that operators grep for: their words, their order, and what makes each value safe.

use std::fmt;
use std::net::IpAddr;

use serde_json::Value;

use crate::core::history::{About, Event, EventKind};
use crate::core::observed::IncidentId;
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;

/// How many characters of a name or reason are written. Names come from labels, which have no limit of their own.
const TEXT_LIMIT: usize = 512;

/// One line of the log on stdout.
///
/// [`Display`](fmt::Display) is the text form: `[COMPONENT_STATUS_CHANGE] component="Database" old_status=…`. Names are
/// quoted and escaped, so that none can start a line or pass for another field. [`Line::to_json`] is one JSON object with
/// the same fields, statuses as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    name: &'static str,
    /// Each with its text and its JSON.
    fields: Vec<(&'static str, String, Value)>,
}

impl Line {
    fn new(name: &'static str) -> Self {
        Self { name, fields: Vec::new() }
    }

    /// The line of an event; `None` if the event has no line on stdout.
    pub(super) fn of(event: &Event) -> Option<Self> {
        let about = match &event.about {
            About::Component(name) => Some(name.as_str()),
            About::Target(name) => Some(name.as_str()),
            About::Everything => None,
        };
        let line = match &event.kind {
            EventKind::Written { from, to, late } => {
                let line = Self::new("COMPONENT_STATUS_CHANGE").name("component", about);
                let line = line.status("old_status", *from).status("new_status", Some(*to));
                line.reason(match (late, to) {
                    (true, _) => Some("carried out late"),
                    // The alerts explain any other status. Unknown means that there are none.
                    (false, ComponentStatus::Unknown) => Some("monitoring data is missing"),
                    (false, _) => None,
                })
            }
            EventKind::IncidentOpened { incident, title, occurred_at_ms } => {
                let line = Self::new("INCIDENT_OPENED").name("component", about).incident(*incident);
                line.text("name", title).time("occurred_at", Timestamp::from_millis(*occurred_at_ms))
            }
            EventKind::IncidentReopened { incident, reason } => {
                Self::new("INCIDENT_REOPENED").name("component", about).incident(*incident).reason(reason.as_deref())
            }
            EventKind::IncidentClosed { incident, reason } => {
                Self::new("INCIDENT_CLOSED").name("component", about).incident(*incident).text("reason", reason)
            }
            EventKind::IncidentSuppressed { maintenance } => {
                Self::new("INCIDENT_HELD_BACK").name("component", about).text("maintenance", maintenance)
            }
            EventKind::StatusOverridden { expected, found } => {
                let line = Self::new("MANUAL_OVERRIDE").name("component", about);
                line.status("expected_status", Some(*expected)).status("found_status", *found)
            }
            EventKind::OverrideSet { status, until_ms, user, note } => {
                let line = Self::new("HOLD").name("component", about).status("status", Some(*status));
                line.time("until", Timestamp::from_millis(*until_ms)).text("user", user).text("note", note)
            }
            EventKind::OverrideEnded { user } => {
                Self::new("RELEASE").name("component", about).name("user", Some(user)).text("reason", "released")
            }
            EventKind::OverrideExpired => {
                Self::new("RELEASE").name("component", about).name("user", None).text("reason", "its time is over")
            }
            EventKind::Status { .. }
            | EventKind::WriteFailed { .. }
            | EventKind::WritableAgain
            | EventKind::IncidentClosedByPerson { .. }
            | EventKind::WatchdogMissing { .. }
            | EventKind::WatchdogHeard
            | EventKind::NotRunning { .. } => return None,
        };
        Some(line)
    }

    /// A request reached the webhook: who sent it, its headers without secrets ([`logged_headers`](super::logged_headers)),
    /// and its body ([`logged_body`](super::logged_body)), or why there is none.
    pub fn webhook_request(source_ip: IpAddr, headers: Vec<String>, body: &str) -> Self {
        Self::new("WEBHOOK_REQUEST")
            .with("source_ip", source_ip.to_string(), source_ip.to_string().into())
            .with("headers", format!("[{}]", headers.join("; ")), headers.into())
            .with("body", body.to_owned(), body.into())
    }

    /// An alert of ours, or a part of it, could not be used: its label `alertname` and its fingerprint as they came, each
    /// empty if it has none; why, and what helps.
    pub fn alert_ignored(alertname: &str, fingerprint: &str, reason: &str) -> Self {
        Self::new("ALERT_IGNORED").text("alertname", alertname).word("fingerprint", fingerprint).text("reason", reason)
    }

    /// An operator changed the built-in page: who, what was done as the path of the form says it (`announce`, `rename`), what
    /// it was done to (`maintenance 3`), its title or name, and what it is now or what was said.
    pub fn page_edited(user: &str, action: &str, subject: &str, name: &str, details: &str) -> Self {
        let line = Self::new("PAGE_EDITED").text("user", user).word("action", action);
        line.text("subject", subject).text("name", name).text("details", details)
    }

    fn with(mut self, key: &'static str, text: String, json: Value) -> Self {
        self.fields.push((key, text, json));
        self
    }

    fn text(self, key: &'static str, text: &str) -> Self {
        self.with(key, quoted(text), text.into())
    }

    /// A name in quotes; `-` for none.
    fn name(self, key: &'static str, name: Option<&str>) -> Self {
        self.with(key, name.map_or_else(|| "-".to_owned(), quoted), name.into())
    }

    /// A text that is a word mostly: as it is if so, else quoted; `-` if empty.
    fn word(self, key: &'static str, word: &str) -> Self {
        let is_word = word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let text = match word {
            "" => "-".to_owned(),
            word if is_word => word.to_owned(),
            text => quoted(text),
        };
        self.with(key, text, word.into())
    }

    fn incident(self, id: IncidentId) -> Self {
        self.with("incident", id.0.to_string(), id.0.into())
    }

    /// A status; `None` is a number that has no meaning.
    fn status(self, key: &'static str, status: Option<ComponentStatus>) -> Self {
        let text = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
        self.with(key, text, status.map(ComponentStatus::value).into())
    }

    fn time(self, key: &'static str, time: Timestamp) -> Self {
        self.with(key, time.to_string(), time.to_string().into())
    }

    fn reason(self, reason: Option<&str>) -> Self {
        if let Some(reason) = reason { self.text("reason", reason) } else { self }
    }

    /// The same as one JSON object on one line.
    pub(crate) fn to_json(&self, timestamp: Timestamp) -> String {
        let (timestamp, event) = (Value::from(timestamp.to_string()), Value::from(self.name));
        let mut json = format!(r#"{{"timestamp":{timestamp},"event":{event}"#);
        self.fields.iter().for_each(|(key, _, value)| json.push_str(&format!(r#","{key}":{value}"#)));
        json + "}"
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.name)?;
        self.fields.iter().try_for_each(|(key, text, _)| write!(f, " {key}={text}"))
    }
}

/// A text in quotes: quotes, backslashes, control and invisible characters escaped, cut at [`TEXT_LIMIT`].
fn quoted(text: &str) -> String {
    match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{:?}", format!("{}…", &text[..end])),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::super::{logged_body, logged_headers};
    use super::*;
    use crate::core::target::ComponentName;

    fn line(component: Option<&str>, kind: EventKind) -> Line {
        let component = component.map(|name| ComponentName::try_from(name).expect("a name"));
        let about = component.map_or(About::Everything, About::Component);
        Line::of(&Event { at: Timestamp::from_millis(0), about, kind }).expect("a line")
    }

    fn status_change(to: ComponentStatus, late: bool) -> EventKind {
        EventKind::Written { from: Some(ComponentStatus::Operational), to, late }
    }

    #[test]
    fn every_event_has_its_words_in_their_order() {
        let (occurred_at_ms, incident) = (1_795_226_069_434, IncidentId(12));
        let (database, operational) = (Some("Database"), ComponentStatus::Operational);
        let text = str::to_owned;
        for (component, event, expected) in [
            (
                database,
                status_change(ComponentStatus::MajorOutage, false),
                r#"[COMPONENT_STATUS_CHANGE] component="Database" old_status=1 (Operational) new_status=4 (Outage)"#,
            ),
            (
                database,
                status_change(ComponentStatus::Unknown, false),
                r#"[COMPONENT_STATUS_CHANGE] component="Database" old_status=1 (Operational) new_status=5 (Unknown) reason="monitoring data is missing""#,
            ),
            (
                database,
                EventKind::Written { from: None, to: operational, late: true },
                r#"[COMPONENT_STATUS_CHANGE] component="Database" old_status=unknown new_status=1 (Operational) reason="carried out late""#,
            ),
            (
                None,
                EventKind::IncidentReopened { incident, reason: None },
                "[INCIDENT_REOPENED] component=- incident=12",
            ),
            (
                database,
                EventKind::IncidentReopened { incident, reason: Some(text("closed late")) },
                r#"[INCIDENT_REOPENED] component="Database" incident=12 reason="closed late""#,
            ),
            (
                Some("Büro"),
                EventKind::IncidentOpened { incident, title: text("Büro is down"), occurred_at_ms },
                r#"[INCIDENT_OPENED] component="Büro" incident=12 name="Büro is down" occurred_at=2026-11-21T01:54:29.434Z"#,
            ),
            (
                database,
                EventKind::IncidentClosed { incident, reason: text("recovered") },
                r#"[INCIDENT_CLOSED] component="Database" incident=12 reason="recovered""#,
            ),
            (
                database,
                EventKind::IncidentSuppressed { maintenance: text("New switch") },
                r#"[INCIDENT_HELD_BACK] component="Database" maintenance="New switch""#,
            ),
            (
                database,
                EventKind::OverrideSet {
                    status: operational,
                    until_ms: occurred_at_ms,
                    user: text("ada"),
                    note: text("false \"alarm\""),
                },
                r#"[HOLD] component="Database" status=1 (Operational) until=2026-11-21T01:54:29.434Z user="ada" note="false \"alarm\"""#,
            ),
            (
                database,
                EventKind::OverrideEnded { user: text("ada") },
                r#"[RELEASE] component="Database" user="ada" reason="released""#,
            ),
            (
                database,
                EventKind::OverrideExpired,
                r#"[RELEASE] component="Database" user=- reason="its time is over""#,
            ),
            (
                database,
                EventKind::StatusOverridden { expected: ComponentStatus::MajorOutage, found: None },
                r#"[MANUAL_OVERRIDE] component="Database" expected_status=4 (Outage) found_status=unknown"#,
            ),
        ] {
            assert_eq!(line(component, event).to_string(), expected);
        }
        let edited =
            Line::page_edited("ada", "update", "incident 12", "Database is down", "status 2 (Identified)\n[HOLD]");
        assert_eq!(
            edited.to_string(),
            r#"[PAGE_EDITED] user="ada" action=update subject="incident 12" name="Database is down" details="status 2 (Identified)\n[HOLD]""#
        );
        let ignored = Line::alert_ignored("A", "e029c70b1b64731f", "no instance").to_string();
        assert_eq!(ignored, r#"[ALERT_IGNORED] alertname="A" fingerprint=e029c70b1b64731f reason="no instance""#);
        let ignored = Line::alert_ignored("", "", "why").to_string();
        assert_eq!(ignored, r#"[ALERT_IGNORED] alertname="" fingerprint=- reason="why""#);
    }

    #[test]
    fn a_text_cannot_start_a_line_or_pass_for_a_field() {
        let hostile = "x\" new_status=1\n[INCIDENT_OPENED] \u{2028}\u{1b}[31m";
        let line = Line::alert_ignored(hostile, "a\n b", "").to_string();
        assert!(!line.contains(['\n', '\u{2028}', '\u{1b}']), "{line}");
        assert!(line.contains(r#"alertname="x\" new_status=1\n[INCIDENT_OPENED]"#), "{line}");
        assert!(line.contains(r#"fingerprint="a\n b""#), "{line}");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let line = Line::alert_ignored(&"ü".repeat(100_000), "", "").to_string();
        assert!(line.chars().count() < TEXT_LIMIT + 100 && line.contains("ü…\""), "{line}");
    }

    #[test]
    fn a_request_is_logged_in_both_forms() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.com"));
        headers.insert("authorization", HeaderValue::from_static("Basic YWRtaW46YWRtaW4="));
        let (headers, body) = (logged_headers(&headers), logged_body(b"{}\n", 100));
        let line = Line::webhook_request(IpAddr::from([10, 0, 0, 5]), headers, &body);
        assert_eq!(
            line.to_string(),
            r"[WEBHOOK_REQUEST] source_ip=10.0.0.5 headers=[Host: example.com; Authorization: [redacted]] body={}\n"
        );
        assert_eq!(
            line.to_json(Timestamp::from_millis(0)),
            r#"{"timestamp":"1970-01-01T00:00:00Z","event":"WEBHOOK_REQUEST","source_ip":"10.0.0.5","headers":["Host: example.com","Authorization: [redacted]"],"body":"{}\\n"}"#
        );
    }

    #[test]
    fn json_holds_the_same_on_one_line() {
        let json =
            line(Some("a"), status_change(ComponentStatus::MajorOutage, false)).to_json(Timestamp::from_millis(0));
        assert_eq!(
            json,
            r#"{"timestamp":"1970-01-01T00:00:00Z","event":"COMPONENT_STATUS_CHANGE","component":"a","old_status":1,"new_status":4}"#
        );
    }
}
