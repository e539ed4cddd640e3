//! The webhook over a real socket: what is answered, what is stored, what is logged.

use std::time::Duration;

use alertmanager_cachet::settings as configuration;
use alertmanager_cachet::web::webhook::BODY_LIMIT_BYTES;
use futures_util::FutureExt as _;
use reqwest::StatusCode;
use reqwest::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::processes::eventually;
use crate::support::recordings::{files, generated, notifications};
use crate::support::web::{ADMIN, Server, Settings, configured, read_to_end, settings, with_users};
use crate::support::world::{repairing, watched as with_watchdog};

const TARGET_DOWN: &str = "09-prometheus-target-down-firing.json";

fn target_down() -> String {
    notifications(TARGET_DOWN).remove(0)
}

async fn json_of(response: reqwest::Response) -> Value {
    serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
}

/// How many alerts of a notification are taken, ignored, none of ours.
type Counts = (u64, u64, u64);

/// Each notification in each recording.
const EXPECTED: &[(&str, &[Counts])] = &[
    ("01-single-firing.json", &[(0, 0, 1)]),
    ("02-single-resolved.json", &[(0, 0, 1)]),
    ("03-group3-firing.json", &[(0, 0, 3)]),
    ("03b-group4-firing.json", &[(0, 0, 4)]),
    ("04-mixed.json", &[(0, 0, 3)]),
    ("04b-mixed-rest-resolved.json", &[(0, 0, 2)]),
    ("05-truncated-firing.json", &[(0, 0, 2)]),
    ("05b-truncated-one-resolved.json", &[(0, 0, 2)]),
    ("06-repeat-1.json", &[(0, 0, 1)]),
    ("06b-repeat-2.json", &[(0, 0, 1)]),
    ("07-no-instance-firing.json", &[(0, 1, 0)]),
    ("07b-no-instance-resolved-by-expiry.json", &[(0, 1, 0)]),
    ("08-unicode-firing.json", &[(0, 0, 1)]),
    ("09-prometheus-target-down-firing.json", &[(1, 0, 0)]),
    ("09b-prometheus-two-targets-firing.json", &[(2, 0, 0)]),
    ("09c-prometheus-resolved.json", &[(2, 0, 0)]),
    ("09d-prometheus-aggregate-no-instance-firing.json", &[(0, 1, 0)]),
    ("09e-prometheus-aggregate-resolved.json", &[(0, 2, 0)]),
    ("10-ha-pair-normal.json", &[(1, 0, 0), (0, 1, 0), (2, 0, 0), (0, 2, 0), (2, 0, 0), (0, 2, 0)]),
    ("10b-ha-pair-stale-firing-after-resolved.json", &[(0, 0, 1); 4]),
    ("11-silenced.json", &[(0, 0, 2), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1), (0, 0, 1)]),
    ("11b-inhibited.json", &[(0, 0, 2), (0, 0, 1), (0, 0, 1)]),
    ("12-basic-auth.json", &[(0, 0, 1)]),
    ("12b-bearer-auth.json", &[(0, 0, 1)]),
    ("16-flap-within-group-interval.json", &[(0, 0, 1); 2]),
    ("18-fired-and-resolved-during-outage.json", &[(0, 0, 1); 6]),
    ("19-continue-route-group-by-all.json", &[(0, 0, 1)]),
    ("20-am028-firing.json", &[(0, 0, 1)]),
    ("20b-am028-resolved.json", &[(0, 0, 1)]),
];

#[tokio::test]
async fn what_another_site_has_an_operators_browser_post_is_not_taken() {
    let server = Server::start(settings()).await;
    for (name, value) in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example"), ("Origin", "null")] {
        let response = server.post_as_admin(target_down()).header(name, value).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(server.stored_alerts().await, 0);
    let told = server.metrics.text(alertmanager_cachet::clock::now()).expect("told");
    assert!(told.contains("authentications_refused_total{reason=\"cross_site\"} 3\n"), "{told}");
}

#[tokio::test]
async fn every_recorded_notification_is_taken_and_counted() {
    assert_eq!(files(), EXPECTED.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    let server = Server::start(settings()).await;
    for (file, expected) in EXPECTED {
        let mut counts = Vec::new();
        for body in notifications(file) {
            let response = server.post_as_admin(body).send().await.expect("an answer");
            assert_eq!(response.status(), StatusCode::OK, "{file}");
            let answer = json_of(response).await;
            let count = |name: &str| answer[name].as_u64().expect("a count");
            counts.push((count("alerts"), count("ignored"), count("not_ours")));
        }
        assert_eq!(&counts, expected, "{file}");
    }
}

#[tokio::test]
async fn a_notification_is_stored_and_wakes_the_reconciler_before_it_is_answered() {
    let server = Server::start(settings()).await;
    let response = server.post_as_admin(target_down()).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(server.stored_alerts().await, 1);
    server.wake.woken().await;
    assert_eq!(json_of(response).await, json!({"status": "ok", "alerts": 1, "ignored": 0, "not_ours": 0}));
}

#[tokio::test]
async fn neither_a_content_type_nor_the_exact_path_is_insisted_on() {
    let server = Server::start(settings()).await;
    let url = server.url("/webhook/");
    let response =
        server.client.post(url).header("Authorization", ADMIN).body(target_down()).send().await.expect("an answer");
    assert_eq!((response.status(), server.stored_alerts().await), (StatusCode::OK, 1));
}

#[tokio::test]
async fn a_notification_without_alerts_is_taken() {
    let server = Server::start(settings()).await;
    let response = server.post_as_admin(r#"{"version": "4", "alerts": []}"#).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_post_is_allowed_and_the_others_are_told_so() {
    let server = Server::start(settings()).await;
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let method = method.parse().expect("a method");
        let request = server.client.request(method, server.url("/webhook")).header("Authorization", ADMIN);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[ALLOW], "POST");
    }
    assert_eq!(server.log.lines().len(), 5);
    assert!(server.log.lines()[0].ends_with(" body=(not read, status 405)"), "{:?}", server.log.lines());
}

#[tokio::test]
async fn whoever_is_not_let_in_gets_a_401_and_nothing_is_stored() {
    let server = Server::start(settings()).await;
    for request in [
        server.post(target_down()),
        server.post(target_down()).basic_auth("admin", Some("wrong")),
        server.post(target_down()).basic_auth("grafana", Some("admin")),
        server.post(target_down()).basic_auth("nobody", Some("admin")),
        server.post(target_down()).bearer_auth("admin"),
        server.post(target_down()).header("Authorization", "Basic %%%"),
    ] {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], r#"Basic realm="alertmanager-cachet", charset="UTF-8""#);
    }
    assert_eq!(server.stored_alerts().await, 0);
}

#[tokio::test]
async fn each_of_two_users_is_let_in() {
    let server = Server::start(settings()).await;
    for _ in 0..3 {
        for (user, password) in [("admin", "admin"), ("grafana", "password")] {
            let request = server.post(target_down()).basic_auth(user, Some(password));
            assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn what_is_no_notification_gets_a_400_with_the_path_of_the_fault() {
    let server = Server::start(settings()).await;
    for (body, path) in [
        (r#"{"alerts": [{"labels": {}}, {"labels": {"instance": }}]}"#, "alerts[1].labels.instance: "),
        (r#"{"alerts": "none"}"#, "alerts: "),
        ("{\"alerts\": [{\"a\\nb\": tru", "alerts[0].a\\nb: "),
        ("alerts=1", "the body: "),
        ("", "the body: "),
    ] {
        let response = server.post_as_admin(body).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let error = json_of(response).await["error"].as_str().expect("a message").to_owned();
        assert!(error.starts_with(path), "{error}");
    }
}

#[tokio::test]
async fn nesting_without_end_is_skipped_or_refused_but_kills_nobody() {
    let server = Server::start(settings()).await;
    let deep = "[".repeat(1_000_000);
    for body in [deep.clone(), format!(r#"{{"alerts": {deep}"#), format!(r#"{{"alerts": [], "x": {deep}"#)] {
        let response = server.post_as_admin(body).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn a_body_up_to_the_limit_is_taken() {
    let server = Server::start(settings()).await;
    let start = r#"{"alerts": [], "x": ""#;
    let filler = "x".repeat(BODY_LIMIT_BYTES - start.len() - 2);
    let response = server.post_as_admin(format!("{start}{filler}\"}}")).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_announced_as_too_long_is_refused_before_it_is_sent() {
    let server = Server::start(settings()).await;
    let length = BODY_LIMIT_BYTES + 1;
    let request =
        format!("POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: {length}\r\n\r\n");
    let answer = read_to_end(server.connect(&request).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_turns_out_too_long_is_refused() {
    let server = Server::start(settings()).await;
    let mut stream = server
        .connect(&format!(
            "POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    let chunk = format!("{:x}\r\n{}\r\n", 1024 * 1024, " ".repeat(1024 * 1024));
    for _ in 0..=BODY_LIMIT_BYTES / (1024 * 1024) {
        // The answer may come before everything is sent.
        let _ = stream.write_all(chunk.as_bytes()).await;
    }
    let answer = read_to_end(stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(server.line("[WEBHOOK_REQUEST]").ends_with(" body=(not read, status 413)"));
}

#[tokio::test]
async fn a_sender_that_hangs_up_in_the_middle_leaves_nothing_behind() {
    let server = Server::start(settings()).await;
    let mut stream = server
        .connect(&format!(
            "POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: 1000\r\n\r\n{{\"alerts\": ["
        ))
        .await;
    stream.shutdown().await.expect("half closed");
    read_to_end(stream).await;
    assert!(server.line("[WEBHOOK_REQUEST]").ends_with(" body=(not read, status 503)"));
    assert_eq!(server.stored_alerts().await, 0);
    assert_eq!(server.post_as_admin(target_down()).send().await.expect("an answer").status(), StatusCode::OK);
}

#[tokio::test]
async fn what_cannot_be_stored_gets_a_503_so_that_it_is_sent_again() {
    let server = Server::start(settings()).await;
    server.store.close().await;
    let response = server.post_as_admin(target_down()).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers().contains_key(RETRY_AFTER));
    let error = json_of(response).await;
    assert_eq!(error["error"], "the notification could not be stored: send it again");
}

#[tokio::test]
async fn fifty_posts_at_once_are_all_taken() {
    let server = Server::start(settings()).await;
    let posts: Vec<_> = (0..50_u64)
        .map(|number| {
            let body = target_down().replace("e7521b2462482338", &format!("{number:016x}"));
            tokio::spawn(server.post_as_admin(body).send())
        })
        .collect();
    for post in posts {
        assert_eq!(post.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
    }
    assert_eq!(server.stored_alerts().await, 50);
}

#[tokio::test]
async fn a_thousand_alerts_are_taken_in_one_notification() {
    let server = Server::start(settings()).await;
    let response = server.post_as_admin(generated(1000)).send().await.expect("an answer");
    assert_eq!(json_of(response).await["alerts"], 1000);
    assert_eq!(server.stored_alerts().await, 1000);
}

#[tokio::test]
async fn a_request_is_one_line_of_the_log_without_its_secrets() {
    let server = Server::start(settings()).await;
    let request = server
        .post_as_admin("{\"alerts\": [],\n\"x\": \"[INCIDENT_OPENED]\"}")
        .header("User-Agent", "Alertmanager/0.28.1")
        .header("Cookie", "session=hunter2")
        .header("X-Api-Key", "hunter2");
    request.send().await.expect("an answer");
    let line = server.line("[WEBHOOK_REQUEST]");
    assert!(line.starts_with("[WEBHOOK_REQUEST] source_ip=127.0.0.1 headers=["), "{line}");
    assert!(line.contains("Authorization: [redacted]; "), "{line}");
    assert!(line.contains("User-Agent: Alertmanager/0.28.1"), "{line}");
    assert!(line.ends_with(r#"] body={"alerts": [],\n"x": "[INCIDENT_OPENED]"}"#), "{line}");
    assert!(!line.contains("hunter2") && !line.contains("YWRtaW4") && !line.contains('\n'), "{line}");
}

#[tokio::test]
async fn a_strangers_body_is_not_logged() {
    let server = Server::start(settings()).await;
    server.post("flood".repeat(1000)).send().await.expect("an answer");
    assert!(server.line("[WEBHOOK_REQUEST]").ends_with(" body=(not read, status 401)"));
}

#[tokio::test]
async fn a_logged_body_is_cut_at_its_limit_and_left_out_at_zero() {
    let body = r#"{"alerts": []}"#;
    for (limit, end) in [(8, r#" body={"alerts… (14 bytes in all)"#), (0, " body=(14 bytes, not logged)")] {
        let server = Server::start(Settings { logged_body_limit_bytes: limit, ..settings() }).await;
        server.post_as_admin(body).send().await.expect("an answer");
        assert!(server.line("[WEBHOOK_REQUEST]").ends_with(end), "{}", server.line("[WEBHOOK_REQUEST]"));
    }
}

#[tokio::test]
async fn the_address_that_a_trusted_proxy_names_is_logged_and_no_other() {
    let trusting = Settings { trusted_proxy: Some("127.0.0.0/8"), ..settings() };
    for (settings, source) in [(trusting, "198.51.100.1"), (settings(), "127.0.0.1")] {
        let server = Server::start(settings).await;
        let request = server.post_as_admin("{}").header("X-Forwarded-For", "1.1.1.1, 198.51.100.1");
        request.send().await.expect("an answer");
        let line = server.line("[WEBHOOK_REQUEST]");
        assert!(line.contains(&format!(" source_ip={source} ")), "{line}");
    }
}

#[tokio::test]
async fn an_aggregate_without_an_instance_is_ignored_with_the_reason() {
    let server = Server::start(settings()).await;
    let body = notifications("09d-prometheus-aggregate-no-instance-firing.json").remove(0);
    server.post_as_admin(body).send().await.expect("an answer");
    let line = server.line("[ALERT_IGNORED]");
    assert!(line.contains(" reason=\"the label instance is missing, as on aggregates"), "{line}");
}

#[tokio::test]
async fn a_flood_of_unusable_alerts_does_not_flood_the_log() {
    let server = Server::start(settings()).await;
    let alert = json!({"labels": {"status_page_alert": "true", "alertname": "x\n[INCIDENT_OPENED]"}});
    let body = json!({"alerts": vec![alert; 500]}).to_string();
    let response = server.post_as_admin(body).send().await.expect("an answer");
    assert_eq!(json_of(response).await["ignored"], 500);
    let lines = server.log.lines();
    assert_eq!(lines.iter().filter(|line| line.starts_with("[ALERT_IGNORED] ")).count(), 100);
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[tokio::test]
async fn when_alertmanager_should_be_asked_the_repairer_is_woken() {
    let server = Server::start(settings()).await;
    let fires = target_down();
    let has_ended = fires.replace(r#""status":"firing""#, r#""status":"resolved""#);
    for echoed in [fires.clone(), has_ended, fires] {
        server.post_as_admin(echoed).send().await.expect("an answer");
    }
    server.repair.woken().await;

    let cut = notifications("05-truncated-firing.json").remove(0);
    let response = server.post_as_admin(cut).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::OK);
    server.repair.woken().await;

    server.store.close().await;
    let response = server.post_as_admin(target_down()).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    server.repair.woken().await;
}

/// A server that is watched by the alert `Watchdog`.
async fn watched() -> Server {
    let watched = with_watchdog(repairing(Vec::new(), Duration::from_secs(60), Duration::ZERO));
    Server::start(configured(configuration::Settings { web: with_users().web, ..watched })).await
}

fn watchdog(status: &str) -> String {
    let labels = json!({"alertname": "Watchdog", "severity": "none"});
    json!({"version": "4", "alerts": [{"status": status, "labels": labels}]}).to_string()
}

#[tokio::test]
async fn a_firing_watchdog_is_a_heartbeat_and_a_resolved_one_is_not() {
    let server = watched().await;
    let response = server.post_as_admin(watchdog("resolved")).send().await.expect("an answer");
    let expected = json!({"status": "ok", "alerts": 0, "ignored": 0, "not_ours": 0, "heartbeats": 0});
    assert_eq!(json_of(response).await, expected);
    let before = alertmanager_cachet::clock::now();
    let died_at = server.store.pulse().await.expect("read").last_heartbeat;
    assert!(died_at <= Some(before.before(Duration::from_secs(240))), "{died_at:?}");
    let response = server.post_as_admin(watchdog("firing")).send().await.expect("an answer");
    assert_eq!(json_of(response).await["heartbeats"], 1);
    assert!(server.store.pulse().await.expect("read").last_heartbeat >= Some(before));
    assert!(!server.log.lines().iter().any(|line| line.starts_with("[ALERT_IGNORED]")));
}

#[tokio::test]
async fn a_heartbeat_wakes_the_reconciler_only_if_the_watchdog_was_missing() {
    let server = watched().await;
    server.post_as_admin(watchdog("firing")).send().await.expect("an answer");
    assert!(server.wake.woken().now_or_never().is_none());
    let now = alertmanager_cachet::clock::now();
    server.store.record_missing_watchdog(now, now).await.expect("recorded");
    eventually("a millisecond has passed, and the watchdog is back", async || {
        server.post_as_admin(watchdog("firing")).send().await.expect("an answer");
        let pulse = server.store.pulse().await.expect("read");
        if pulse.missing_at.is_none() { Ok(()) } else { Err(format!("{pulse:?}")) }
    })
    .await;
    server.wake.woken().await;
}

#[tokio::test]
async fn a_heartbeat_that_cannot_be_stored_gets_a_503() {
    let server = watched().await;
    server.store.close().await;
    let response = server.post_as_admin(watchdog("firing")).send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn readiness_tells_that_monitoring_data_is_missing_and_stays_ready_to_hear_it_again() {
    let server = watched().await;
    let told = async || {
        let response = server.client.get(server.url("/-/ready")).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        json_of(response).await["parts"]["monitoring"].take()
    };
    assert_eq!(told().await, json!({"good": true}));
    let now = alertmanager_cachet::clock::now();
    server.store.record_missing_watchdog(now, now).await.expect("recorded");
    let missing = told().await;
    assert_eq!(missing["good"], false);
    assert!(missing["problem"].as_str().is_some_and(|problem| problem.contains("is missing since")), "{missing}");
}
