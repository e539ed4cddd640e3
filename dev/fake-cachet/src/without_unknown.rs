//! Refuses the status Unknown of a component with the message for a status that Cachet does not know (064). Both recorded
//! releases accept it; others may not.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, http};
use serde_json::{Value, json};
use tower::ServiceExt;

/// `page` as a Cachet that does not know the status Unknown.
pub fn without_unknown(page: Router) -> Router {
    Router::new().fallback(move |request: Request| answer(page.clone(), request))
}

async fn answer(page: Router, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let is_unknown = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body["status"] == 5);
    // a component that does not exist is 404 before its status is validated (152)
    let exists = !parts.uri.path().ends_with("/0");
    if parts.uri.path().starts_with("/api/components/") && parts.method == http::Method::PUT && is_unknown && exists {
        let message = "The selected status is invalid.";
        let refusal = json!({"message": message, "errors": {"status": [message]}});
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(refusal)).into_response();
    }
    page.oneshot(Request::from_parts(parts, Body::from(body))).await.into_response()
}
