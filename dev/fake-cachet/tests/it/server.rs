//! An empty Cachet with a clock that the test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use alertmanager_cachet_core::time::Timestamp;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use fake_cachet::{FakeCachet, Options, TOKEN};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// 2026-11-21 02:06:50 UTC.
pub const START_MS: i64 = 1_795_226_810_000;

/// An empty Cachet of the current release.
pub struct Server {
    fake: FakeCachet,
    clock_ms: Arc<AtomicI64>,
}

impl Server {
    pub async fn start() -> Self {
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let hand = Arc::clone(&clock_ms);
        let clock = Arc::new(move || Timestamp::from_millis(hand.load(Ordering::Relaxed)));
        let fake = FakeCachet::open(Options { clock, ..Options::default() }).await.expect("a database");
        Self { fake, clock_ms }
    }

    pub fn set_clock(&self, now_ms: i64) {
        self.clock_ms.store(now_ms, Ordering::Relaxed);
    }

    /// A call as it is.
    pub async fn send(&self, request: Request<Body>) -> Response {
        self.fake.router().oneshot(request).await.expect("an answer")
    }

    /// What a guest gets at `path`.
    pub async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = self.send(Request::get(path).body(Body::empty()).expect("a request")).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    /// A call with the token.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("Authorization", format!("Bearer {TOKEN}"))
            .header("Content-Type", "application/json")
            .body(body.map_or_else(Body::empty, |body| body.to_string().into()));
        let response = self.send(request.expect("a request")).await;
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Makes something and hands back its id.
    pub async fn create(&self, path: &str, body: Value) -> i64 {
        let (status, made) = self.call("POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {made}");
        made["data"]["attributes"]["id"].as_i64().expect("an id")
    }
}
