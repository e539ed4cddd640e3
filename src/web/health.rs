//! Whether the server works, for those who restart it or send it requests. No authentication, no details.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::time::timeout;
use tracing::error;

use super::App;

/// How long the store may take to answer a trivial query before it counts as broken.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// `GET /health`, `GET /-/ready`: whether notifications can be stored.
pub(super) async fn health(State(app): State<App>) -> Response {
    match timeout(STORE_TIMEOUT, app.shared.store.ping()).await {
        Ok(Ok(())) => return answer(StatusCode::OK, "ok"),
        Ok(Err(error)) => error!(%error, "not healthy: the store does not work"),
        Err(_) => error!(after = ?STORE_TIMEOUT, "not healthy: the store does not answer"),
    }
    answer(StatusCode::SERVICE_UNAVAILABLE, "store unavailable")
}

/// `GET /-/healthy`: whether the process answers at all.
pub(super) async fn alive() -> Response {
    answer(StatusCode::OK, "ok")
}

fn answer(status: StatusCode, word: &str) -> Response {
    (status, Json(json!({ "status": word }))).into_response()
}
