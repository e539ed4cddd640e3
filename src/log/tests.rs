use axum::http::{HeaderName, HeaderValue};
use proptest::prelude::*;

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
        (None, EventKind::IncidentReopened { incident, reason: None }, "[INCIDENT_REOPENED] component=- incident=12"),
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
        (database, EventKind::OverrideExpired, r#"[RELEASE] component="Database" user=- reason="its time is over""#),
        (
            database,
            EventKind::StatusOverridden { expected: ComponentStatus::MajorOutage, found: None },
            r#"[MANUAL_OVERRIDE] component="Database" expected_status=4 (Outage) found_status=unknown"#,
        ),
    ] {
        assert_eq!(line(component, event).to_string(), expected);
    }
    let edited = Line::page_edited("ada", "update", "incident 12", "Database is down", "status 2 (Identified)\n[HOLD]");
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
    let json = line(Some("a"), status_change(ComponentStatus::MajorOutage, false)).to_json(Timestamp::from_millis(0));
    assert_eq!(
        json,
        r#"{"timestamp":"1970-01-01T00:00:00Z","event":"COMPONENT_STATUS_CHANGE","component":"a","old_status":1,"new_status":4}"#
    );
}

fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
    list.iter()
        .map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        })
        .collect()
}

#[test]
fn headers_are_written_as_people_write_them() {
    let headers =
        headers(&[("host", "example.com"), ("user-agent", "curl/7.68.0"), ("content-type", "application/json")]);
    assert_eq!(
        logged_headers(&headers).join("; "),
        "Host: example.com; User-Agent: curl/7.68.0; Content-Type: application/json"
    );
}

#[test]
fn secrets_are_redacted_by_name_and_by_form() {
    for name in [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-gitlab-token",
        "x-hub-signature-256",
        "x-session-id",
        "x-amz-security-token",
        "x-client-secret",
    ] {
        let logged = logged_headers(&headers(&[(name, "hunter2")])).concat();
        assert!(logged.ends_with(": [redacted]"), "{logged}");
    }
    for value in ["Basic YWRtaW46YWRtaW4=", "bearer hunter2", "  Bearer hunter2"] {
        let logged = logged_headers(&headers(&[("x-forwarded-thing", value)])).concat();
        assert_eq!(logged, "X-Forwarded-Thing: [redacted]");
    }
}

#[test]
fn headers_have_a_limit_in_length_and_number() {
    let mut many = headers(&[("a", &"x".repeat(5000))]);
    assert_eq!(logged_headers(&many).join("; "), format!("A: {}… (5000 bytes in all)", "x".repeat(512)));
    for _ in 0..99 {
        many.append("b", HeaderValue::from_static("y"));
    }
    assert!(logged_headers(&many).join("; ").ends_with("; B: y; … (100 in all)"));
}

#[test]
fn a_body_is_cut_between_characters_with_its_size() {
    assert_eq!(logged_body("aü🚨".as_bytes(), 7), "aü🚨");
    assert_eq!(logged_body("aü🚨".as_bytes(), 6), "aü… (7 bytes in all)");
    assert_eq!(logged_body("aü🚨".as_bytes(), 2), "a… (7 bytes in all)");
    assert_eq!(logged_body(b"abc", 0), "(3 bytes, not logged)");
    assert_eq!(logged_body(b"", 5), "");
}

#[test]
fn a_body_cannot_start_a_line() {
    let body = "{\r\n \"a\": \"\u{1b}[2J\u{85}\u{2028}\"}\n[INCIDENT_OPENED] \u{0}";
    let logged = logged_body(body.as_bytes(), 100);
    assert_eq!(logged, r#"{\r\n "a": "\u{1b}[2J\u{85}\u{2028}"}\n[INCIDENT_OPENED] \u{0}"#);
}

proptest! {
    #[test]
    fn any_bytes_become_one_line_of_bounded_length(
        bytes in prop::collection::vec(any::<u8>(), 0..300), limit in 1..200_usize,
    ) {
        let line = logged_body(&bytes, limit);
        prop_assert!(!line.chars().any(is_unsafe));
        prop_assert!(line.chars().count() <= limit * 6 + 30);
    }

    #[test]
    fn a_cut_text_is_a_prefix(text in "[a-zäöü🚨]{0,60}", limit in 1..80_usize) {
        let line = logged_body(text.as_bytes(), limit);
        let shown = line.split('…').next().expect("always one");
        prop_assert!(text.starts_with(shown) && shown.len() + 4 > limit.min(text.len()));
    }
}
