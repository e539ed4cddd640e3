//! What operators grep for, as values.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::{LoggedBody, LoggedHeaders};
use crate::core::observed::IncidentId;
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;

/// How many characters of a name or reason are written. Names come from labels, which have no limit of their own.
const TEXT_LIMIT: usize = 512;

/// One line of the log on stdout.
///
/// [`Display`](fmt::Display) is the text form: `[COMPONENT_STATUS_CHANGE] component="Database" old_status=…`. Names are
/// quoted and escaped, so that none can start a line or pass for another field.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Event<'a> {
    /// A request reached the webhook.
    WebhookRequest {
        /// Who sent it.
        source_ip: IpAddr,
        /// Its headers, without secrets.
        headers: LoggedHeaders,
        /// Its body, or why there is none.
        body: LoggedBody,
    },
    /// The status of a visible component was changed in Cachet.
    ComponentStatusChange {
        /// The component.
        component: &'a str,
        /// What it was; `None` if Cachet showed a number that has no meaning.
        old_status: Option<ComponentStatus>,
        /// What it is now.
        new_status: ComponentStatus,
        /// Why, where no alert says it.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// An incident was opened.
    IncidentOpened {
        /// The component that it is about; `None`: the monitoring.
        component: Option<&'a str>,
        /// Its number in Cachet.
        incident: IncidentId,
        /// Its title.
        name: &'a str,
        /// When it began.
        #[serde(serialize_with = "as_text")]
        occurred_at: Timestamp,
    },
    /// An incident of ours was closed.
    IncidentClosed {
        /// The component that it is about; `None`: the monitoring.
        component: Option<&'a str>,
        /// Its number in Cachet.
        incident: IncidentId,
        /// Why.
        reason: &'a str,
    },
    /// An incident of ours was opened again, for its component relapsed.
    IncidentReopened {
        /// The component that it is about; `None`: the monitoring.
        component: Option<&'a str>,
        /// Its number in Cachet.
        incident: IncidentId,
        /// Why, where it is not for a relapse.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<&'a str>,
    },
    /// A component is down while maintenance of it is in progress, so its incident waits for the end of that.
    IncidentHeldBack {
        /// The component.
        component: &'a str,
        /// The title of the maintenance.
        maintenance: &'a str,
    },
    /// An operator holds a component at a status.
    Hold {
        /// The component.
        component: &'a str,
        /// What it shows.
        status: ComponentStatus,
        /// Until when.
        #[serde(serialize_with = "as_text")]
        until: Timestamp,
        /// Who.
        user: &'a str,
        /// Why, in the user's words.
        note: &'a str,
    },
    /// A component is not held any longer.
    Release {
        /// The component.
        component: &'a str,
        /// Who released it; `None`: nobody had to.
        user: Option<&'a str>,
        /// Why.
        reason: &'a str,
    },
    /// An operator changed the built-in page.
    PageEdited {
        /// Who.
        user: &'a str,
        /// What was done, as the path of the form says it: `announce`, `rename`.
        action: &'a str,
        /// What it was done to: `maintenance 3`.
        subject: &'a str,
        /// Its title or name.
        name: &'a str,
        /// What it is now, or what was said.
        details: &'a str,
    },
    /// An alert of ours, or a part of it, could not be used.
    AlertIgnored {
        /// Its label `alertname`; empty if it has none.
        alertname: &'a str,
        /// Its fingerprint as it came; empty if it has none.
        fingerprint: &'a str,
        /// Why, and what helps.
        reason: &'a str,
    },
    /// A person changed in Cachet what we had written; it is left until the alerts say something new.
    ManualOverride {
        /// The component.
        component: &'a str,
        /// What we wrote last.
        expected_status: ComponentStatus,
        /// What it is; `None` if that is a number that has no meaning.
        found_status: Option<ComponentStatus>,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WebhookRequest { source_ip, headers, body } => {
                write!(f, "[WEBHOOK_REQUEST] source_ip={source_ip} headers=[{headers}] body={body}")
            }
            Self::ComponentStatusChange { component, old_status, new_status, reason } => write!(
                f,
                "[COMPONENT_STATUS_CHANGE] component={} old_status={} new_status={new_status}{}",
                Quoted(component),
                Known(*old_status),
                Because(*reason)
            ),
            Self::IncidentOpened { component, incident, name, occurred_at } => write!(
                f,
                "[INCIDENT_OPENED] component={} incident={} name={} occurred_at={occurred_at}",
                Named(*component),
                incident.0,
                Quoted(name)
            ),
            Self::IncidentClosed { component, incident, reason } => write!(
                f,
                "[INCIDENT_CLOSED] component={} incident={} reason={}",
                Named(*component),
                incident.0,
                Quoted(reason)
            ),
            Self::IncidentReopened { component, incident, reason } => write!(
                f,
                "[INCIDENT_REOPENED] component={} incident={}{}",
                Named(*component),
                incident.0,
                Because(*reason)
            ),
            Self::IncidentHeldBack { component, maintenance } => {
                write!(f, "[INCIDENT_HELD_BACK] component={} maintenance={}", Quoted(component), Quoted(maintenance))
            }
            Self::Hold { component, status, until, user, note } => write!(
                f,
                "[HOLD] component={} status={status} until={until} user={} note={}",
                Quoted(component),
                Quoted(user),
                Quoted(note)
            ),
            Self::Release { component, user, reason } => {
                write!(f, "[RELEASE] component={} user={} reason={}", Quoted(component), Named(*user), Quoted(reason))
            }
            Self::PageEdited { user, action, subject, name, details } => write!(
                f,
                "[PAGE_EDITED] user={} action={} subject={} name={} details={}",
                Quoted(user),
                Bare(action),
                Quoted(subject),
                Quoted(name),
                Quoted(details)
            ),
            Self::AlertIgnored { alertname, fingerprint, reason } => write!(
                f,
                "[ALERT_IGNORED] alertname={} fingerprint={} reason={}",
                Quoted(alertname),
                Bare(fingerprint),
                Quoted(reason)
            ),
            Self::ManualOverride { component, expected_status, found_status } => write!(
                f,
                "[MANUAL_OVERRIDE] component={} expected_status={expected_status} found_status={}",
                Quoted(component),
                Known(*found_status)
            ),
        }
    }
}

impl Event<'_> {
    /// The same as one JSON object on one line, statuses as numbers.
    pub(crate) fn to_json(&self, timestamp: Timestamp) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            timestamp: String,
            #[serde(flatten)]
            event: &'a Event<'a>,
        }
        let line = Line { timestamp: timestamp.to_string(), event: self };
        // An event has text keys only, which is all that could fail.
        serde_json::to_string(&line)
            .unwrap_or_else(|error| format!("{{\"event\":\"LOG_ERROR\",\"error\":\"{error}\"}}"))
    }
}

fn as_text<S: serde::Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A text in quotes: quotes, backslashes, control and invisible characters escaped, cut at [`TEXT_LIMIT`].
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(TEXT_LIMIT) {
            Some((end, _)) => write!(f, "{:?}", format_args!("{}…", &self.0[..end]).to_string()),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A text that is a word mostly: as it is if so, else quoted; `-` if empty.
struct Bare<'a>(&'a str);

impl fmt::Display for Bare<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("-"),
            word if word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_alphanumeric()) => f.write_str(word),
            text => Quoted(text).fmt(f),
        }
    }
}

/// A name in quotes; `-` for none.
struct Named<'a>(Option<&'a str>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => Quoted(name).fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// ` reason="…"`, where there is one.
struct Because<'a>(Option<&'a str>);

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |reason| write!(f, " reason={}", Quoted(reason)))
    }
}

/// A status that may have no name.
struct Known(Option<ComponentStatus>);

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::*;

    fn status_change<'a>(component: &'a str) -> Event<'a> {
        Event::ComponentStatusChange {
            component,
            old_status: Some(ComponentStatus::Operational),
            new_status: ComponentStatus::MajorOutage,
            reason: None,
        }
    }

    #[test]
    fn every_event_has_its_words_in_their_order() {
        let occurred_at = Timestamp::from_millis(1_795_226_069_434);
        let incident = IncidentId(12);
        for (event, line) in [
            (
                status_change("Database"),
                r#"[COMPONENT_STATUS_CHANGE] component="Database" old_status=1 (Operational) new_status=4 (Outage)"#,
            ),
            (
                Event::ComponentStatusChange {
                    component: "Database",
                    old_status: Some(ComponentStatus::Operational),
                    new_status: ComponentStatus::Unknown,
                    reason: Some("monitoring data is missing"),
                },
                r#"[COMPONENT_STATUS_CHANGE] component="Database" old_status=1 (Operational) new_status=5 (Unknown) reason="monitoring data is missing""#,
            ),
            (
                Event::IncidentReopened { component: None, incident, reason: None },
                "[INCIDENT_REOPENED] component=- incident=12",
            ),
            (
                Event::IncidentReopened { component: Some("Database"), incident, reason: Some("closed late") },
                r#"[INCIDENT_REOPENED] component="Database" incident=12 reason="closed late""#,
            ),
            (
                Event::IncidentOpened { component: Some("Büro"), incident, name: "Büro is down", occurred_at },
                r#"[INCIDENT_OPENED] component="Büro" incident=12 name="Büro is down" occurred_at=2026-11-21T01:54:29.434Z"#,
            ),
            (
                Event::IncidentClosed { component: Some("Database"), incident, reason: "recovered" },
                r#"[INCIDENT_CLOSED] component="Database" incident=12 reason="recovered""#,
            ),
            (
                Event::IncidentHeldBack { component: "Database", maintenance: "New switch" },
                r#"[INCIDENT_HELD_BACK] component="Database" maintenance="New switch""#,
            ),
            (
                Event::Hold {
                    component: "Database",
                    status: ComponentStatus::Operational,
                    until: occurred_at,
                    user: "ada",
                    note: "false \"alarm\"",
                },
                r#"[HOLD] component="Database" status=1 (Operational) until=2026-11-21T01:54:29.434Z user="ada" note="false \"alarm\"""#,
            ),
            (
                Event::Release { component: "Database", user: None, reason: "its time is over" },
                r#"[RELEASE] component="Database" user=- reason="its time is over""#,
            ),
            (
                Event::PageEdited {
                    user: "ada",
                    action: "update",
                    subject: "incident 12",
                    name: "Database is down",
                    details: "status 2 (Identified)\n[HOLD]",
                },
                r#"[PAGE_EDITED] user="ada" action=update subject="incident 12" name="Database is down" details="status 2 (Identified)\n[HOLD]""#,
            ),
            (
                Event::AlertIgnored { alertname: "A", fingerprint: "e029c70b1b64731f", reason: "no instance" },
                r#"[ALERT_IGNORED] alertname="A" fingerprint=e029c70b1b64731f reason="no instance""#,
            ),
            (
                Event::AlertIgnored { alertname: "", fingerprint: "", reason: "why" },
                r#"[ALERT_IGNORED] alertname="" fingerprint=- reason="why""#,
            ),
            (
                Event::ManualOverride {
                    component: "Database",
                    expected_status: ComponentStatus::MajorOutage,
                    found_status: None,
                },
                r#"[MANUAL_OVERRIDE] component="Database" expected_status=4 (Outage) found_status=unknown"#,
            ),
        ] {
            assert_eq!(event.to_string(), line);
        }
    }

    #[test]
    fn a_name_cannot_start_a_line_or_pass_for_a_field() {
        let event = status_change("x\" new_status=1\n[INCIDENT_OPENED] \u{2028}\u{1b}[31m");
        let line = event.to_string();
        assert!(!line.contains(['\n', '\u{2028}', '\u{1b}']), "{line}");
        assert!(line.contains(r#"component="x\" new_status=1\n[INCIDENT_OPENED]"#), "{line}");
        let fingerprint = Event::AlertIgnored { alertname: "", fingerprint: "a\n b", reason: "" }.to_string();
        assert!(fingerprint.contains(r#"fingerprint="a\n b""#), "{fingerprint}");
    }

    #[test]
    fn a_text_without_end_is_cut() {
        let line = status_change(&"ü".repeat(100_000)).to_string();
        assert!(line.chars().count() < TEXT_LIMIT + 100 && line.contains("ü…\""), "{line}");
    }

    #[test]
    fn a_request_is_logged_in_both_forms() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("example.com"));
        headers.insert("authorization", HeaderValue::from_static("Basic YWRtaW46YWRtaW4="));
        let event = Event::WebhookRequest {
            source_ip: IpAddr::from([10, 0, 0, 5]),
            headers: LoggedHeaders::new(&headers),
            body: LoggedBody::new(b"{}\n", 100),
        };
        assert_eq!(
            event.to_string(),
            r"[WEBHOOK_REQUEST] source_ip=10.0.0.5 headers=[Host: example.com; Authorization: [redacted]] body={}\n"
        );
        assert_eq!(
            event.to_json(Timestamp::from_millis(0)),
            r#"{"timestamp":"1970-01-01T00:00:00Z","event":"WEBHOOK_REQUEST","source_ip":"10.0.0.5","headers":["Host: example.com","Authorization: [redacted]"],"body":"{}\\n"}"#
        );
    }

    #[test]
    fn json_holds_the_same_on_one_line() {
        let json = status_change("a\nb").to_json(Timestamp::from_millis(0));
        assert_eq!(
            json,
            r#"{"timestamp":"1970-01-01T00:00:00Z","event":"COMPONENT_STATUS_CHANGE","component":"a\nb","old_status":1,"new_status":4}"#
        );
    }
}
