//! The product's client on a router in the same process: its requests without a socket between.

use alertmanager_cachet_client::{Cachet, Fault, MAX_ANSWER_BYTES, Request, Response, Transport};
use alertmanager_cachet_core::status_page::REQUEST_TIMEOUT;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use secrecy::{ExposeSecret as _, SecretString};
use tower::ServiceExt;

use crate::faults::NoConnection;

/// The path under which the API is served.
const BASE: &str = "/api";

/// The host that is asked. It shows in the links of lists.
const HOST: HeaderValue = HeaderValue::from_static(HOST_NAME);
const HOST_NAME: &str = "fake-cachet";

/// A client of the Cachet that `router` serves below `/api`, with the limits and timeouts of the client over HTTP.
pub fn in_process(router: Router, token: impl Into<SecretString>, per_page: u8) -> Cachet {
    let authorization = HeaderValue::try_from(format!("Bearer {}", token.into().expose_secret()));
    let authorization = authorization.expect("a token that a header can hold");
    Cachet::over(Box::new(InProcess(router)), authorization, move || per_page)
}

struct InProcess(Router);

impl Transport for InProcess {
    fn address(&self) -> &str {
        BASE
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Fault>> {
        let sending = tokio::time::timeout(REQUEST_TIMEOUT, exchange(self.0.clone(), request));
        Box::pin(async { sending.await.unwrap_or_else(|_| Err(Fault::too_late())) })
    }
}

async fn exchange(router: Router, request: Request) -> Result<Response, Fault> {
    let mut sent = axum::extract::Request::new(request.body.map_or_else(Body::empty, Body::from));
    *sent.method_mut() = request.method;
    // the client encodes whatever a URI cannot hold
    *sent.uri_mut() = format!("{BASE}{}", request.target).parse().unwrap_or_default();
    *sent.headers_mut() = request.headers;
    sent.headers_mut().insert(header::HOST, HOST);
    let Ok(answer) = router.oneshot(sent).await;
    if answer.extensions().get::<NoConnection>().is_some() {
        return Err(Fault::Unreachable { address: HOST_NAME.to_owned(), reason: "connection refused".to_owned() });
    }
    let (parts, body) = answer.into_parts();
    match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(body) => Ok(Response { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() }),
        Err(error) if error.is::<LengthLimitError>() => Err(Fault::too_large(parts.status)),
        Err(error) => Err(Fault::NoAnswer { reason: error.to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alertmanager_cachet_core::status_page::StatusPage;
    use axum::http::{HeaderMap, StatusCode, Uri};
    use axum::routing::any;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_request_says_who_asks_and_for_what() {
        async fn echo(uri: Uri, headers: HeaderMap) -> (StatusCode, String) {
            let header = |name| headers[name].to_str().unwrap_or_default();
            let told = ["host", "authorization", "accept"].map(header).join(", ");
            (StatusCode::UNPROCESSABLE_ENTITY, format!(r#"{{"message": "{uri} {told}"}}"#))
        }
        let cachet = in_process(Router::new().fallback(echo), "1|token", 50);
        let error = cachet.capabilities().await.expect_err("refused").to_string();
        let asked = "/api/component-groups?include=meta&sort=id&per_page=1";
        assert!(error.contains(&format!("{asked} fake-cachet, Bearer 1|token, application/json")), "{error}");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_not_read_to_its_end() {
        let router = Router::new().fallback(|| async { "x".repeat(MAX_ANSWER_BYTES + 1) });
        let error = in_process(router, "1|token", 50).capabilities().await.expect_err("too large");
        assert!(error.to_string().contains("an answer of more than 16 MiB"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cachet_that_takes_too_long_is_given_up() {
        let router = Router::new().fallback(any(std::future::pending::<StatusCode>));
        let began = Instant::now();
        let error = in_process(router, "1|token", 50).capabilities().await.expect_err("too late");
        assert!(error.to_string().contains("no answer came back (it took too long)"), "{error}");
        assert!(began.elapsed() < REQUEST_TIMEOUT + Duration::from_secs(1));
    }
}
