//! Layers around the page that keep its time and its order.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::response::IntoResponse as _;
use tower::ServiceExt as _;

/// What lies between two updates of an incident at least: on the older release the client would wait for it otherwise,
/// and time does not pass by itself here.
pub const APART_MS: u64 = 1200;

/// Answers calls in the order in which they come, whichever page it is: what comes of four at a time is then the same
/// every time.
pub fn one_after_another(page: Router) -> Router {
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    Router::new().fallback(move |request: Request| async move {
        let _turn = turn.lock().await;
        // those who ask at the same time get in line
        tokio::task::yield_now().await;
        page.oneshot(request).await.into_response()
    })
}

/// A page that takes its time over the last call of an update to an incident, see [`APART_MS`].
pub fn slowly(router: Router) -> Router {
    Router::new().fallback(move |request: Request| async move {
        let of_incident = request.uri().path().starts_with("/api/incidents/");
        let slow = request.method() == Method::PUT && of_incident;
        let answer = router.oneshot(request).await.into_response();
        if slow {
            tokio::time::advance(Duration::from_millis(APART_MS)).await;
        }
        answer
    })
}
