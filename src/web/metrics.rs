//! `GET /metrics`, for Prometheus. No authentication, as is usual: whoever may reach the listen address may read it, so
//! a reverse proxy forwards `/webhook` only.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::clock;
use crate::metrics::{self, Metrics};

/// `/metrics`, to be merged to the other paths or served on a port of its own.
pub fn metrics_router(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(tell)).with_state(metrics)
}

async fn tell(State(metrics): State<Metrics>) -> Response {
    match metrics.text(clock::now()) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
