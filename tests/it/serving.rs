//! The server itself: whether it is healthy, and how it ends.

use std::process::ExitCode;
use std::time::Duration;

use alertmanager_cachet::cli;
use alertmanager_cachet::commands::healthcheck;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::web::{ADMIN, Server, read_to_end, settings};

async fn status(server: &Server, path: &str) -> StatusCode {
    server.client.get(server.url(path)).send().await.expect("an answer").status()
}

async fn healthcheck_of(server: &Server) -> ExitCode {
    let listen = cli::Listen { listen_address: server.address, web: cli::WebFile::default() };
    healthcheck::run(&listen).await.expect("an exit code")
}

/// The head of a POST of 14 bytes, up to the middle of its body.
fn half_a_request() -> String {
    format!("POST /webhook HTTP/1.1\r\nHost: x\r\nAuthorization: {ADMIN}\r\nContent-Length: 14\r\n\r\n{{\"alerts\"")
}

#[tokio::test]
async fn health_needs_no_password() {
    let server = Server::start(settings()).await;
    for path in ["/health", "/-/healthy"] {
        let response = server.client.get(server.url(path)).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.text().await.expect("a body"), r#"{"status":"ok"}"#, "{path}");
    }
    assert_eq!(format!("{:?}", healthcheck_of(&server).await), format!("{:?}", ExitCode::SUCCESS));
}

#[tokio::test]
async fn a_server_without_its_store_is_alive_but_not_healthy() {
    let server = Server::start(settings()).await;
    server.store.close().await;
    assert_eq!(status(&server, "/health").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&server, "/-/ready").await, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(status(&server, "/-/healthy").await, StatusCode::OK);
    assert_eq!(format!("{:?}", healthcheck_of(&server).await), format!("{:?}", ExitCode::FAILURE));
}

/// What `/-/ready` says.
async fn readiness(server: &Server) -> (StatusCode, Value) {
    let response = server.client.get(server.url("/-/ready")).send().await.expect("an answer");
    (response.status(), response.json().await.expect("JSON"))
}

#[tokio::test]
async fn a_cachet_that_is_away_takes_no_webhook_out_of_service_and_is_named() {
    let server = Server::start(settings()).await;
    let (status, body) = readiness(&server).await;
    assert_eq!((status, &body["status"]), (StatusCode::OK, &json!("degraded")), "nobody asked Cachet yet: {body}");

    server.readiness.lock().configuration = Some(Ok(()));
    server.readiness.lock().cachet = Some(Err("no connection: check CACHET_API_URL".into()));
    let (status, body) = readiness(&server).await;
    assert_eq!(status, StatusCode::OK);
    let cachet = json!({"good": false, "problem": "no connection: check CACHET_API_URL"});
    let good = json!({"good": true});
    let parts = json!({"store": good, "cachet": cachet, "configuration": good});
    assert_eq!(body, json!({"status": "degraded", "parts": parts}));
    assert_eq!(format!("{:?}", healthcheck_of(&server).await), format!("{:?}", ExitCode::SUCCESS));

    server.readiness.lock().cachet = Some(Ok(()));
    assert_eq!(readiness(&server).await.1["status"], json!("ready"));
}

#[tokio::test]
async fn a_store_that_does_not_work_is_not_ready_whatever_else_works() {
    let server = Server::start(settings()).await;
    server.readiness.lock().configuration = Some(Ok(()));
    server.readiness.lock().cachet = Some(Ok(()));
    server.store.close().await;
    let (status, body) = readiness(&server).await;
    assert_eq!((status, &body["status"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("not_ready")));
    let problem = body["parts"]["store"]["problem"].as_str().expect("a problem");
    assert!(problem.contains("check that its disk"), "{problem}");
}

#[tokio::test]
async fn a_request_under_way_is_finished_while_new_ones_are_refused() {
    let mut server = Server::start(settings()).await;
    let mut under_way = server.connect(&half_a_request()).await;
    // Its answer shows that the server has taken the connection before it.
    assert_eq!(status(&server, "/health").await, StatusCode::OK);
    server.stop();
    while TcpStream::connect(server.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    under_way.write_all(b": []}").await.expect("written");
    let answer = read_to_end(under_way).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    server.ended().await;
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() {
    // If it waited for them, this test would take an hour.
    let mut server = Server::start_with_grace(settings(), Duration::from_hours(1)).await;
    let mut idle = server.connect("GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut first_bytes = [0; 12];
    idle.read_exact(&mut first_bytes).await.expect("an answer");
    let silent = server.connect("").await;
    server.stop();
    server.ended().await;
    read_to_end(idle).await;
    read_to_end(silent).await;
}

#[tokio::test]
async fn a_request_that_does_not_finish_in_time_is_cut() {
    let mut server = Server::start_with_grace(settings(), Duration::from_millis(50)).await;
    let stuck = server.connect(&half_a_request()).await;
    assert_eq!(status(&server, "/health").await, StatusCode::OK);
    server.stop();
    server.ended().await;
    assert_eq!(read_to_end(stuck).await, "");
}

#[tokio::test]
async fn headers_without_end_are_refused() {
    let server = Server::start(settings()).await;
    let filler = "x".repeat(40_000);
    let request = format!("GET /health HTTP/1.1\r\nHost: x\r\nX-Filler: {filler}\r\n\r\n");
    let answer = read_to_end(server.connect(&request).await).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
