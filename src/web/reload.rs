//! `POST /-/reload`: has the configuration read again, by whoever holds the other end.

use axum::Router;
use axum::extract::State;
use axum::http::header::ALLOW;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::sync::{mpsc, oneshot};

use super::App;
use super::guard::{counted, is_from_here, known};
use crate::metrics::Refusal;

/// How many requests wait for their turn; more wait for a place. They are served one after the other.
const WAITING: usize = 16;

/// Asks for a reload. Clones ask the same one.
#[derive(Debug, Clone)]
pub(crate) struct ReloadRequests(mpsc::Sender<oneshot::Sender<Outcome>>);

/// The end that requests come out of, one after the other.
pub(crate) type ReloadQueue = mpsc::Receiver<oneshot::Sender<Outcome>>;

/// What came of a reload, a line or more: what is in effect; or what is wrong, and everything is as it was.
pub(crate) type Outcome = Result<String, String>;

/// Both ends.
pub(crate) fn channel() -> (ReloadRequests, ReloadQueue) {
    let (sender, queue) = mpsc::channel(WAITING);
    (ReloadRequests(sender), queue)
}

impl ReloadRequests {
    /// Asks, and waits for what comes of it; `None` if the server ends before.
    pub(crate) async fn ask(&self) -> Option<Outcome> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}

/// The path, to be merged to those of the server.
pub(crate) fn router(app: App, requests: ReloadRequests) -> Router {
    Router::new().route("/-/reload", any(reload)).with_state((app, requests))
}

/// 200 once the new configuration is in effect; 500, as Prometheus answers, with every problem of one that is not good.
async fn reload(State((app, requests)): State<(App, ReloadRequests)>, method: Method, headers: HeaderMap) -> Response {
    if method != Method::POST && method != Method::PUT {
        let text = "a reload is asked for with POST\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "POST, PUT")], text).into_response();
    }
    if !is_from_here(&headers) {
        return counted(&app.parts.metrics, Refusal::CrossSite).into_response();
    }
    if let Err(refusal) = known(&app.authenticator, &app.parts.metrics, &headers).await {
        return refusal.into_response();
    }
    // In a task of its own, so that it comes to its end though whoever asked hangs up.
    match tokio::spawn(async move { requests.ask().await }).await {
        Ok(Some(Ok(text))) => (StatusCode::OK, text).into_response(),
        Ok(Some(Err(text))) => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        Ok(None) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the server is stopping\n").into_response(),
    }
}
