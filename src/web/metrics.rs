//! `GET /metrics`, for Prometheus. Where there are operators (`basic_auth_users`), for them; else without authentication,
//! as is usual: whoever may reach the listen address may read it, so a reverse proxy forwards `/webhook` only.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{App, guard};
use crate::clock;
use crate::metrics;

/// `/metrics`, to be merged to the other paths or served on a port of its own.
pub fn metrics_router(app: App) -> Router {
    Router::new()
        .route("/metrics", get(tell))
        .route_layer(from_fn_with_state(app.clone(), guard::operators_only))
        .with_state(app)
}

async fn tell(State(app): State<App>) -> Response {
    match app.metrics.text(clock::now()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
