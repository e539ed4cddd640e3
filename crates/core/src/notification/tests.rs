use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn alert() -> Value {
    json!({
        "status": "firing",
        "labels": {
            "alertname": "TargetDown",
            "instance": "10.0.0.5:9100",
            "status_page_alert": "true",
            "status_page_component": "Database, Backend",
            "status_page_critical_target": "true",
        },
        "annotations": {"summary": "down"},
        "startsAt": "2026-11-21T01:54:29.434Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": "e029c70b1b64731f",
    })
}

fn parse(alerts: &[Value]) -> Notification {
    parse_json(&json!({"receiver": "page", "version": "4", "alerts": alerts})).expect("a notification")
}

fn parse_json(body: &Value) -> Result<Notification, NotificationError> {
    Notification::parse(body.to_string().as_bytes(), None)
}

/// The alert with the value at `pointer` replaced.
fn alert_with(pointer: &str, value: Value) -> Value {
    let mut alert = alert();
    *alert.pointer_mut(pointer).expect("a field") = value;
    alert
}

/// The alert without the field `field` of the object at `pointer`.
fn alert_without(pointer: &str, field: &str) -> Value {
    let mut alert = alert();
    alert.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object").remove(field);
    alert
}

fn reason(alert: Value) -> IgnoreReason {
    let notification = parse(&[alert]);
    assert_eq!(notification.alerts, []);
    notification.ignored.into_iter().next().expect("ignored").reason
}

fn refusal(body: &str) -> String {
    Notification::parse(body.as_bytes(), None).expect_err("no notification").to_string()
}

#[test]
fn an_alert_is_read_with_its_target() {
    let notification = parse(&[alert()]);
    let [alert] = &notification.alerts[..] else { panic!("one alert: {notification:?}") };
    assert_eq!(alert.fingerprint.to_string(), "e029c70b1b64731f");
    assert_eq!(alert.name, "TargetDown");
    assert_eq!(alert.target.name().as_str(), "10.0.0.5:9100 | Database, Backend");
    assert!(alert.critical);
    assert_eq!(alert.status, AlertStatus::Firing);
    assert_eq!(alert.starts_at.to_string(), "2026-11-21T01:54:29.434Z");
    assert_eq!(notification.receiver, "page");
}

#[test]
fn the_end_of_a_resolve_is_read_and_that_of_a_firing_means_nothing() {
    let ends_at = |mut alert: Value, text: Value| {
        alert["endsAt"] = text;
        parse(&[alert]).alerts.pop().expect("an alert").ends_at.map(|ends_at| ends_at.to_string())
    };
    let end = "2026-11-21T02:00:00.5Z";
    assert_eq!(ends_at(alert_with("/status", json!("resolved")), json!(end)).as_deref(), Some(end));
    assert_eq!(ends_at(alert(), json!(end)), None);
    for unusable in [Value::Null, json!("later"), json!(7)] {
        assert_eq!(ends_at(alert_with("/status", json!("resolved")), unusable), None);
    }
}

#[test]
fn a_notification_without_alerts_is_valid() {
    assert_eq!(parse(&[]).alerts, []);
}

#[test]
fn the_state_of_the_group_is_not_used() {
    let body = json!({"status": "firing", "alerts": [alert_with("/status", json!("resolved"))]});
    assert_eq!(parse_json(&body).expect("valid").alerts[0].status, AlertStatus::Resolved);
}

#[test]
fn true_is_a_text_of_any_case_or_a_bool_and_nothing_else() {
    for value in [json!("true"), json!("True"), json!("TRUE"), json!(" true "), json!(true)] {
        assert_eq!(parse(&[alert_with("/labels/status_page_alert", value.clone())]).alerts.len(), 1, "{value}");
    }
    for value in [json!("false"), json!(""), json!("yes"), json!(false), json!(1), json!(null), json!(["true"])] {
        let notification = parse(&[alert_with("/labels/status_page_alert", value.clone())]);
        assert_eq!((notification.alerts.len(), notification.not_ours), (0, 1), "{value}");
    }
}

#[test]
fn an_alert_without_the_label_is_none_of_ours_even_if_it_is_unusable() {
    let mut alert = alert_without("/labels", "status_page_alert");
    alert["startsAt"] = json!("yesterday");
    let notification = parse(&[alert]);
    assert_eq!((notification.not_ours, notification.ignored.len()), (1, 0));
}

#[test]
fn an_alert_that_is_not_critical_need_not_say_so() {
    assert!(!parse(&[alert_without("/labels", "status_page_critical_target")]).alerts[0].critical);
}

#[test]
fn what_is_missing_is_the_reason() {
    assert_eq!(reason(alert_without("/labels", "instance")), IgnoreReason::NoInstance);
    assert_eq!(reason(alert_with("/labels/instance", json!("  "))), IgnoreReason::NoInstance);
    assert_eq!(reason(alert_without("/labels", "alertname")), IgnoreReason::NoAlertname);
    assert_eq!(reason(alert_without("/labels", "status_page_component")), IgnoreReason::NoComponent);
    assert_eq!(reason(alert_with("/labels/status_page_component", json!(" , "))), IgnoreReason::NoComponent);
    assert_eq!(reason(alert_without("", "fingerprint")), IgnoreReason::NoFingerprint);
    assert!(matches!(reason(alert_with("/fingerprint", json!("xyz"))), IgnoreReason::Fingerprint(_)));
    assert_eq!(reason(alert_with("/startsAt", json!("now"))), IgnoreReason::StartsAt("\"now\"".to_owned()));
    assert!(matches!(reason(alert_without("", "startsAt")), IgnoreReason::StartsAt(_)));
    assert_eq!(reason(alert_with("/status", json!("Firing"))), IgnoreReason::Status("\"Firing\"".to_owned()));
    assert!(matches!(
        reason(alert_with("/labels/status_page_component", json!("a|b"))),
        IgnoreReason::ComponentName(error) if error.to_string().contains("contains '|'")
    ));
}

#[test]
fn an_ignored_alert_is_named_as_well_as_it_names_itself() {
    let notification = parse(&[alert_without("/labels", "instance")]);
    let [ignored] = &notification.ignored[..] else { panic!("one: {notification:?}") };
    assert_eq!((ignored.fingerprint.as_str(), ignored.alertname.as_str()), ("e029c70b1b64731f", "TargetDown"));
}

#[test]
fn a_bad_component_name_does_not_cost_the_good_ones() {
    let notification = parse(&[alert_with("/labels/status_page_component", json!("Database, a|b"))]);
    assert_eq!(notification.alerts[0].target.name().as_str(), "10.0.0.5:9100 | Database");
    assert_eq!(notification.ignored, []);
    assert_eq!(
        notification.partly_ignored[0].reason.to_string(),
        "in the label status_page_component: component name \"a|b\" contains '|': leave it out"
    );
}

#[test]
fn a_bad_alert_does_not_cost_its_neighbours() {
    let bad =
        [json!(7), json!({"labels": []}), alert_with("/startsAt", json!(5)), alert_with("/fingerprint", json!({}))];
    let notification = parse(&[&bad[..], &[alert()]].concat());
    assert_eq!((notification.alerts.len(), notification.ignored.len()), (1, bad.len()));
    assert_eq!(notification.ignored[1].reason, IgnoreReason::NotAnAlert { position: 1 });
}

#[test]
fn a_list_in_which_nothing_is_an_alert_is_refused() {
    assert!(refusal(r#"{"alerts": [1, "x", {"labels": 3}]}"#).starts_with("alerts[0]: this is no object with labels"));
}

#[test]
fn what_is_no_notification_is_refused_with_the_path_of_the_fault() {
    for (body, start) in [
        ("", "the body: EOF while parsing"),
        ("hello", "the body: expected value at line 1 column 1"),
        ("[]", "the body: this is JSON, but no object"),
        ("[[]]", "the body: this is JSON, but no object"),
        ("null", "the body: this is JSON, but no object"),
        ("{}", "the body: missing field `alerts`"),
        (r#"{"alerts": {}}"#, "alerts: invalid type: map, expected a sequence"),
        (r#"{"alerts": []} {}"#, "the body: trailing characters"),
        (r#"{"alerts": [{}, {"labels": {"instance": tru"#, "alerts[1].labels.instance: "),
    ] {
        let refusal = refusal(body);
        assert!(refusal.starts_with(start), "{body}: {refusal}");
        assert!(refusal.ends_with("post what Alertmanager's webhook_configs sends"), "{refusal}");
    }
}

#[test]
fn unknown_fields_are_skipped_however_deep_and_label_names_may_hold_anything() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let alert = alert().to_string();
    let alert = alert.replacen('{', &format!(r#"{{"new": {deep}, "#), 1);
    let alert = alert.replace(r#""labels":{"#, &format!(r#""labels":{{"größe.🚨 \"": {{"x": {deep}}}, "#));
    let body = format!(r#"{{"routeLabels": {deep}, "truncatedAlerts": 3, "alerts": [{alert}]}}"#);
    let notification = Notification::parse(body.as_bytes(), None).expect("valid");
    assert_eq!((notification.alerts.len(), notification.truncated_alerts), (1, 3));
}

#[test]
fn a_known_field_of_the_wrong_type_is_skipped_however_deep() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let body = format!(r#"{{"receiver": {deep}, "alerts": [{}, {{"labels": {deep}, "status": {deep}}}]}}"#, alert());
    assert_eq!(Notification::parse(body.as_bytes(), None).expect("valid").alerts.len(), 1);
}

/// Any JSON, a few levels deep, with keys that mean something now and then.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        Just(json!("true")),
        Just(json!("firing")),
    ];
    let key = prop_oneof![
        "\\PC{0,6}",
        prop::sample::select(vec!["alerts", "labels", "status", "startsAt", "fingerprint", "status_page_alert"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|object| Value::Object(object.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Notification::parse(&bytes, None);
    }

    #[test]
    fn any_json_is_parsed_or_refused_without_a_panic(body in any_json()) {
        let _ = parse_json(&body);
        let _ = parse_json(&json!({"alerts": body}));
    }

    #[test]
    fn every_alert_is_accounted_for_and_a_good_one_survives_any_company(
        mut alerts in prop::collection::vec(any_json(), 0..5), place in any::<prop::sample::Index>(),
    ) {
        let place = place.index(alerts.len() + 1);
        alerts.insert(place, alert());
        let notification = parse(&alerts);
        prop_assert_eq!(notification.alerts.len(), 1);
        prop_assert_eq!(1 + notification.ignored.len() + notification.not_ours, alerts.len());
    }

    #[test]
    fn any_cut_of_a_notification_is_refused(cut in any::<prop::sample::Index>()) {
        let body = json!({"alerts": [alert()]}).to_string();
        let cut = cut.index(body.len());
        prop_assert!(Notification::parse(&body.as_bytes()[..cut], None).is_err());
    }
}

#[test]
fn the_watchdog_is_a_sign_of_life_and_nothing_else_whatever_its_labels() {
    let watchdog = Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog");
    let entry = |status: &str, labels: Value| json!({"status": status, "labels": labels});
    let plain = json!({"alertname": "Watchdog", "prometheus": "monitoring/k8s", "severity": "none"});
    let labelled = json!({"alertname": "Watchdog", "status_page_alert": "true", "instance": "a",
        "status_page_component": "Web"});
    let other = json!({"alertname": "watchdog"});
    let alerts = [
        entry("firing", plain.clone()),
        entry("firing", labelled),
        entry("resolved", plain.clone()),
        entry("suppressed", plain),
        entry("firing", other),
    ];
    let body = json!({"version": "4", "alerts": alerts}).to_string();
    let notification = Notification::parse(body.as_bytes(), Some(&watchdog)).expect("valid");
    assert_eq!((notification.watchdogs.len(), notification.heartbeats()), (4, 2));
    let expected = Notification { watchdogs: notification.watchdogs.clone(), not_ours: 1, ..Notification::default() };
    assert_eq!(notification, expected);
    let unwatched = Notification::parse(body.as_bytes(), None).expect("valid");
    assert_eq!((unwatched.watchdogs.len(), unwatched.not_ours), (0, 4));
}

#[test]
fn an_alert_over_a_limit_is_ignored_with_its_reason_and_the_others_are_taken() {
    let names = |count: usize| (0..count).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
    let mut many_labels = alert();
    for number in 0..LABEL_LIMIT {
        many_labels["labels"][format!("l{number}")] = json!("x");
    }
    let mut large_label = alert();
    large_label["labels"]["summary"] = json!("x".repeat(LABELS_LIMIT_BYTES));
    let long = NAME_LIMIT + 1;
    let too_many = NameError("more than 64 component names are listed: list at most 64".to_owned());
    let too_many = IgnoreReason::ComponentName(too_many);
    for (over, expected) in [
        (alert_with("/labels/status_page_component", json!(names(65))), too_many.clone()),
        (alert_with("/labels/status_page_component", json!(names(10_000))), too_many),
        (
            alert_with("/labels/alertname", json!("é".repeat(long))),
            IgnoreReason::NameTooLong { label: "alertname", length: long },
        ),
        (
            alert_with("/labels/instance", json!("a".repeat(long))),
            IgnoreReason::NameTooLong { label: "instance", length: long },
        ),
        (many_labels, IgnoreReason::TooManyLabels(LABEL_LIMIT + 5)),
    ] {
        let notification = parse(&[over, alert()]);
        assert_eq!(notification.alerts.len(), 1);
        let [ignored] = &notification.ignored[..] else { panic!("one is ignored: {notification:?}") };
        assert_eq!(ignored.reason, expected);
        assert!(ignored.alertname.chars().count() <= NAME_LIMIT);
    }
    assert!(matches!(reason(large_label), IgnoreReason::LabelsTooLarge(bytes) if bytes > LABELS_LIMIT_BYTES));
}

#[test]
fn an_alert_at_the_limits_is_taken() {
    let mut most = alert();
    let names: Vec<String> = (0..64).map(|number| format!("c{number}")).collect();
    most["labels"]["status_page_component"] = json!(names.join(","));
    most["labels"]["alertname"] = json!("é".repeat(NAME_LIMIT));
    most["labels"]["instance"] = json!("a".repeat(NAME_LIMIT));
    for number in 5..LABEL_LIMIT {
        most["labels"][format!("l{number}")] = json!("x");
    }
    assert_eq!(parse(&[most]).alerts.len(), 1);
}

#[test]
fn what_is_said_of_an_ignored_alert_has_an_end() {
    let notification = parse(&[alert_with("/fingerprint", json!("x".repeat(100_000)))]);
    let ignored = &notification.ignored[0];
    assert!(ignored.fingerprint.len() <= NAME_LIMIT && ignored.reason.to_string().len() < 512, "{ignored:?}");
}
