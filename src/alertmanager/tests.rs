//! The client against recorded answers, and against servers that are none or unwell.

use std::path::Path;
use std::time::Duration;

use axum::extract::{Query, Request};
use axum::http::header::{AUTHORIZATION, DATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Redirect};
use axum::routing::{any, get};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::core::expiry::{LeaseLength, WatchdogSent};
use crate::core::listing::Standing;
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

/// The body of a recorded answer.
fn recorded(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/alertmanager-api").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recording: Value = serde_json::from_str(&text).expect("a recording is JSON");
    recording["body"].as_str().expect("a body").to_owned()
}

fn status() -> String {
    recorded("15e-am-api-v2-status.json")
}

/// An Alertmanager that lists `alerts`.
fn alertmanager(alerts: String) -> Router {
    Router::new()
        .route("/api/v2/alerts", get(move || std::future::ready(alerts.clone())))
        .route("/api/v2/status", get(|| async { ([(DATE, "Sat, 21 Nov 2026 02:00:57 GMT")], status()) }))
}

/// Serves `router` until the test ends.
async fn serving(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn access(url: &str) -> AlertmanagerAccess {
    AlertmanagerAccess { base_urls: vec![url.parse().expect("an address")], authorization: None, ca_pem: None }
}

fn member(url: &str) -> Member {
    members(&access(url)).expect("settings").remove(0)
}

async fn hear(router: Router) -> Result<Heard, Error> {
    member(&serving(router).await).hear(None, NOW).await
}

#[tokio::test]
async fn the_recorded_answers_are_understood() {
    let heard = hear(alertmanager(recorded("15-am-api-v2-alerts-active.json"))).await.expect("heard");
    assert_eq!(heard.up_for, Duration::from_millis(299_186), "from 01:55:57.814 to 02:00:57");
    let told: Vec<String> = heard
        .listed
        .iter()
        .map(|listed| {
            let alert = &listed.alert;
            format!(
                "{:?} {} {} {} {}",
                listed.standing,
                alert.fingerprint,
                alert.name,
                alert.target.name(),
                alert.starts_at
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "Active 13c9b4d406dbccf6 StatusPageTargetDown 127.0.0.1:9202 | Backend 2026-11-21T02:00:24.802Z",
            "Active e7521b2462482338 StatusPageTargetDown 127.0.0.1:9201 | Database, Backend 2026-11-21T02:00:15.802Z",
        ]
    );
    assert!(heard.listed[1].alert.critical);
}

#[tokio::test]
async fn silenced_and_inhibited_alerts_are_listed_as_suppressed() {
    let mut alerts: Value =
        serde_json::from_str(&recorded("15b-am-api-v2-alerts-silenced-inhibited.json")).expect("JSON");
    for alert in alerts.as_array_mut().expect("a list") {
        alert["labels"]["status_page_alert"] = json!("true");
        alert["labels"]["status_page_component"] = json!("Web");
    }
    let heard = hear(alertmanager(alerts.to_string())).await.expect("heard");
    let suppressed = |entry: &&ListedAlert| entry.standing == Standing::Suppressed;
    assert_eq!((heard.listed.len(), heard.listed.iter().filter(suppressed).count()), (8, 5));
}

#[tokio::test]
async fn alerts_that_are_not_ours_are_left_out_by_alertmanager_and_by_us() {
    let asked = Router::new().route(
        "/api/v2/alerts",
        get(|Query(query): Query<Vec<(String, String)>>| async move {
            assert_eq!(query, [("filter".to_owned(), r#"status_page_alert=~"(?is).*true.*""#.to_owned())]);
            recorded("15b-am-api-v2-alerts-silenced-inhibited.json")
        }),
    );
    let router = asked.route("/api/v2/status", get(|| async { status() }));
    assert_eq!(hear(router).await.expect("heard").listed, []);
}

#[tokio::test]
async fn when_the_watchdog_was_last_sent_is_told_by_the_members_own_clock() {
    let watched = |alerts: &'static str| {
        let router = Router::new().route(
            "/api/v2/alerts",
            get(move |Query(query): Query<Vec<(String, String)>>| async move {
                let is_watchdogs = query == [("filter".to_owned(), r#"alertname="Watchdog""#.to_owned())];
                let body = if is_watchdogs { alerts.to_owned() } else { labelled_watchdog() };
                ([(DATE, "Sat, 21 Nov 2026 02:00:57 GMT")], body)
            }),
        );
        router.route("/api/v2/status", get(|| async { status() }))
    };
    for (alerts, sent) in [
        (
            r#"[{"updatedAt": "2026-11-21T01:58:57Z", "endsAt": "2026-11-21T02:02:57Z"},
                {"updatedAt": "2026-11-21T01:59:57Z", "endsAt": "2026-11-21T02:03:57Z"}]"#,
            Some((60, 240)),
        ),
        // Its clock is in whole seconds here, and in fractions there.
        (r#"[{"updatedAt": "2026-11-21T02:00:57.804Z", "endsAt": "2026-11-21T02:02:57.804Z"}]"#, Some((0, 120))),
        ("[]", None),
    ] {
        let watchdog = Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog");
        let member = member(&serving(watched(alerts)).await);
        let heard = member.hear(Some(&watchdog), NOW).await.expect("heard");
        let life = |(ago, lease)| WatchdogSent {
            sent_at: NOW.before(Duration::from_secs(ago)),
            lease: LeaseLength::between(NOW, NOW.after(Duration::from_secs(lease))),
        };
        assert_eq!(heard.watchdog, sent.map(life));
        assert_eq!(heard.listed, [], "the watchdog is about no target, whatever labels it has");
    }
}

/// The list of alerts of the status page, with the watchdog among them by mistake.
fn labelled_watchdog() -> String {
    let mut alerts: Value = serde_json::from_str(&recorded("15-am-api-v2-alerts-active.json")).expect("JSON");
    for alert in alerts.as_array_mut().expect("a list") {
        alert["labels"]["alertname"] = json!("Watchdog");
    }
    alerts.to_string()
}

#[tokio::test]
async fn a_prefix_before_the_api_and_slashes_behind_it_do_no_harm() {
    let url = serving(Router::new().nest("/alertmanager", alertmanager("[]".to_owned()))).await;
    for url in [format!("{url}/alertmanager"), format!("{url}/alertmanager//")] {
        let member = member(&url);
        assert!(member.hear(None, NOW).await.is_ok());
        assert!(member.address().ends_with("/alertmanager"), "{}", member.address());
    }
}

#[tokio::test]
async fn our_clock_stands_in_where_a_server_does_not_tell_its_own() {
    // Servers of axum always do, so this one is made by hand.
    let body = r#"{"uptime": "2026-11-21T01:58:00Z"}"#;
    let answers = [String::from("[]"), body.to_owned()];
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        for body in answers {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            let _ = socket.read(&mut [0; 8192]).await;
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    let now = Timestamp::parse_rfc3339("2026-11-21T02:00:00Z").expect("a time");
    assert_eq!(member(&url).hear(None, now).await.expect("heard").up_for, Duration::from_secs(120));
}

#[tokio::test]
async fn every_trouble_says_what_it_is_and_what_helps() {
    let answer =
        |response: fn() -> axum::response::Response| Router::new().fallback(any(move || async move { response() }));
    for (router, expected) in [
        (
            answer(|| StatusCode::UNAUTHORIZED.into_response()),
            "it refused the credentials (HTTP 401): check ALERTMANAGER_",
        ),
        (
            answer(|| StatusCode::FORBIDDEN.into_response()),
            "it refused the credentials (HTTP 403): check ALERTMANAGER_",
        ),
        (
            answer(|| StatusCode::NOT_FOUND.into_response()),
            "this is not Alertmanager's API (HTTP 404): check ALERTMANAGER_URL",
        ),
        (answer(|| StatusCode::BAD_GATEWAY.into_response()), "it answered HTTP 502: see "),
        (answer(|| StatusCode::NO_CONTENT.into_response()), "it answered HTTP 204: see "),
        (
            answer(|| Redirect::temporary("https://login.example.org/").into_response()),
            "this is not Alertmanager's API (it redirects to \"https://login.example.org/\"): check ALERTMANAGER_URL",
        ),
        (
            answer(|| Html("<h1>nginx</h1>").into_response()),
            "this is not Alertmanager's API (its list of alerts cannot be read at ",
        ),
        (
            answer(|| Json(json!({"status": "success", "data": {}})).into_response()),
            "this is not Alertmanager's API (its list of alerts cannot be read at ",
        ),
        (answer(|| Json(json!([])).into_response()), "this is not Alertmanager's API (its status cannot be read: "),
        (answer(|| vec![b' '; 33 * 1024 * 1024].into_response()), "its answer is longer than 32 MiB: "),
    ] {
        let error = hear(router).await.expect_err(expected).to_string();
        assert!(error.starts_with(expected), "{error}\n{expected}");
    }
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = member(&url).hear(None, NOW).await.expect_err("nobody there");
    assert!(matches!(error, Error::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_cut_or_does_not_come_proves_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = socket.read(&mut [0; 8192]).await;
            let _ = socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n[]").await;
        }
    });
    let error = member(&url).hear(None, NOW).await.expect_err("cut");
    assert!(matches!(error, Error::NoAnswer(_)), "{error}");

    let url = serving(Router::new().fallback(any(std::future::pending::<StatusCode>))).await;
    let member = members_with_timeout(&access(&url), Duration::from_millis(50)).expect("a client").remove(0);
    let error = member.hear(None, NOW).await.expect_err("too late");
    assert_eq!(error, Error::NoAnswer("it took too long".to_owned()));
}

#[tokio::test]
async fn the_credentials_are_sent_and_never_printed() {
    for text in ["Basic cGFnZTpodW50ZXI6Mg==", "Bearer hunter.2"] {
        let mut authorization = HeaderValue::from_static(text);
        authorization.set_sensitive(true);
        let expected = authorization.clone();
        let guarded = move |headers: HeaderMap, request: Request, next: Next| {
            let let_in = headers.get(AUTHORIZATION) == Some(&expected);
            async move { if let_in { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() } }
        };
        let url = serving(alertmanager("[]".to_owned()).layer(from_fn(guarded))).await;
        let error = member(&url).hear(None, NOW).await.expect_err("without credentials");
        assert_eq!(error, Error::Refused(401));
        let access = AlertmanagerAccess { authorization: Some(authorization), ..access(&url) };
        let member = members(&access).expect("settings").remove(0);
        assert!(member.hear(None, NOW).await.is_ok());
        let printed = format!("{access:?} {member:?}");
        assert!(!printed.contains("hunter") && !printed.contains("cGFnZTpodW50ZXI6Mg=="), "{printed}");
    }
}

#[test]
fn certificates_that_cannot_be_used_say_so() {
    for pem in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let access = AlertmanagerAccess { ca_pem: Some(pem.to_owned()), ..access("http://am:9093") };
        let error = members(&access).expect_err("no certificate");
        assert!(error.to_string().starts_with("ALERTMANAGER_CA_FILE cannot be used ("), "{pem:?}: {error}");
    }
}
