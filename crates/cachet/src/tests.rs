//! The client against recorded answers, and against servers that misbehave. The integration tests use it against a whole
//! Cachet, an imitation.

mod recordings;
mod trouble;

use axum::Router;
use axum::body::{Body, to_bytes};
use futures_util::future::BoxFuture;
use reqwest::header::HeaderValue;
use tower::ServiceExt;

use super::{Cachet, Fault, MAX_ANSWER_BYTES, Request, Response, Transport};

/// A token that must never show anywhere.
const TOKEN: &str = "1|the-secret-token";

fn authorization() -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {TOKEN}")).expect("a token")
}

/// Calls a router without a socket.
struct InProcess(Router);

impl Transport for InProcess {
    fn address(&self) -> &str {
        "/api"
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Fault>> {
        let router = self.0.clone();
        Box::pin(async move {
            let mut sent = axum::extract::Request::new(Body::from(request.body.unwrap_or_default()));
            *sent.method_mut() = request.method;
            *sent.uri_mut() = format!("/api{}", request.target).parse().expect("a path");
            *sent.headers_mut() = request.headers;
            let Ok(answer) = router.oneshot(sent).await;
            let (parts, body) = answer.into_parts();
            let body = to_bytes(body, MAX_ANSWER_BYTES).await.expect("a whole body");
            Ok(Response { status: parts.status, headers: parts.headers, body: body.to_vec() })
        })
    }
}

fn in_process(router: Router) -> Cachet {
    Cachet::over(Box::new(InProcess(router)), authorization(), || 50)
}

fn over_http(base_url: &str) -> Cachet {
    Cachet::over_http(base_url, authorization(), || 50).expect("a client")
}
