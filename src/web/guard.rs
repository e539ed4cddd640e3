//! Who may ask for what, and what answers carry.
//!
//! Where there are operators (`basic_auth_users`), the paths of the server are theirs, except those that are named here.
//! The embedded page is not among them: it is for the public, and its API has a token of its own.

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::auth::{AuthError, Role};

/// What operators do not keep to themselves: what probes ask for, who have no password to send and are told no secret; and
/// what looks at passwords itself, because those who may post may use it as well.
const NOT_ONLY_OPERATORS: &[&str] = &["/health", "/-/ready", "/-/healthy", "/webhook", "/webhook/", "/-/reload"];

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody is named.
    #[error("user and password are wanted")]
    Missing,
    /// Whoever is named, it is not them.
    #[error("user or password is wrong")]
    Wrong,
    /// Somebody who may post, where there are operators.
    #[error("this is for the users in basic_auth_users of --web.config.file, and you are one of WEBHOOK_BASIC_AUTH")]
    NotAnOperator,
    /// It cannot be found out now.
    #[error("too many passwords wait to be verified: try again")]
    Busy,
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::Missing,
            AuthError::Wrong => Self::Wrong,
            AuthError::Busy => Self::Busy,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, header) = match self {
            Self::Missing | Self::Wrong => {
                let wanted = r#"Basic realm="alertmanager-cachet", charset="UTF-8""#;
                (StatusCode::UNAUTHORIZED, Some((WWW_AUTHENTICATE, wanted)))
            }
            Self::NotAnOperator => (StatusCode::FORBIDDEN, None),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, Some((RETRY_AFTER, "5"))),
        };
        let mut response = (status, format!("{self}\n")).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// Who sent a request, if that is somebody.
pub(super) async fn known(app: &App, headers: &HeaderMap) -> Result<Role, Refusal> {
    Ok(app.shared.authenticator.check(headers.get(AUTHORIZATION)).await?)
}

/// Lets only operators pass, where there are some.
pub(super) async fn operators_only(State(app): State<App>, request: Request, next: Next) -> Response {
    if NOT_ONLY_OPERATORS.contains(&request.uri().path()) || !app.shared.authenticator.has_operators() {
        return next.run(request).await;
    }
    match known(&app, request.headers()).await {
        Ok(Role::Operator) => next.run(request).await,
        Ok(Role::Poster) => Refusal::NotAnOperator.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Adds the headers of `http_server_config` to an answer that does not have them already.
pub(super) async fn add_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in app.headers().iter() {
        response.headers_mut().entry(name).or_insert_with(|| value.clone());
    }
    response
}
