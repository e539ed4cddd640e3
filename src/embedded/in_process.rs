//! The client's way to the embedded page, without a socket between.

use axum::Router;
use axum::body::Body;
use axum::extract::Request as Sent;
use axum::http::{HeaderValue, header};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::SecretString;
use tower::ServiceExt;

use crate::cachet::{Cachet, MAX_ANSWER_BYTES, REQUEST_TIMEOUT, Request, Response, Transport, TransportError};

/// A client of the embedded page that `router` serves.
pub fn in_process(router: Router, token: &SecretString, per_page: u8) -> Cachet {
    Cachet::over(Box::new(InProcess(router)), token, per_page).embedded()
}

struct InProcess(Router);

impl Transport for InProcess {
    fn address(&self) -> &str {
        "/api"
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        let sending = tokio::time::timeout(REQUEST_TIMEOUT, exchange(self.0.clone(), request));
        Box::pin(async { sending.await.unwrap_or_else(|_| Err(TransportError::too_late())) })
    }
}

async fn exchange(router: Router, request: Request) -> Result<Response, TransportError> {
    let mut sent = Sent::new(request.body.map_or_else(Body::empty, Body::from));
    *sent.method_mut() = request.method;
    *sent.uri_mut() = format!("/api{}", request.target).parse().unwrap_or_default();
    *sent.headers_mut() = request.headers;
    sent.headers_mut().insert(header::HOST, HeaderValue::from_static("embedded-page"));
    let Ok(answer) = router.oneshot(sent).await;
    let (parts, body) = answer.into_parts();
    match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(body) => Ok(Response { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() }),
        Err(error) if error.is::<LengthLimitError>() => Err(TransportError::TooLarge(parts.status)),
        Err(error) => Err(TransportError::NoAnswer(error.to_string())),
    }
}
