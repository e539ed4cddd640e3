//! The embedded page over a fresh store, with a clock that the test turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::embedded::EmbeddedPage;
use alertmanager_cachet::store::Store;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use secrecy::ExposeSecret;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

/// 2026-11-21 02:06:50 UTC.
pub const START_MS: i64 = 1_795_226_810_000;

/// The embedded page over a fresh store.
pub struct PageServer {
    pub router: Router,
    pub token: String,
    clock_ms: Arc<AtomicI64>,
    _folder: TempDir,
}

impl PageServer {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("store.db").display());
        let store = Store::open(&url).await.expect("opens");
        let clock_ms = Arc::new(AtomicI64::new(START_MS));
        let hand = Arc::clone(&clock_ms);
        let tell = Clock::new(move || Timestamp::from_millis(hand.load(Ordering::Relaxed)));
        let page = EmbeddedPage::open_with_clock(&store, tell).await.expect("opens");
        Self { router: page.router(), token: page.token().expose_secret().to_owned(), clock_ms, _folder: folder }
    }

    pub fn set_clock(&self, now_ms: i64) {
        self.clock_ms.store(now_ms, Ordering::Relaxed);
    }

    /// A call as it is.
    pub async fn send(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.expect("an answer")
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
            .header("Authorization", format!("Bearer {}", self.token))
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
