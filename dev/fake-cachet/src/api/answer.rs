//! The answers of the API, and the wire format of each refusal.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

/// A successful answer.
#[derive(Debug)]
pub enum Answer {
    /// 200 with plain JSON: ping, version, status.
    Plain(Value),
    /// 200 with a JSON:API document.
    Document(Value),
    /// 201 with the document of the new resource.
    Made(Value),
    /// 204.
    Nothing,
}

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 400: a filter, sort or include that is not allowed.
    #[error("{0}")]
    BadRequest(String),
    /// 401: a write without the token.
    #[error("Unauthenticated.")]
    Unauthenticated,
    /// 404: no such route or resource, or none that the caller may see.
    #[error("{0}")]
    NotFound(String),
    /// 405.
    #[error("The {method} method is not supported for route {route}. Supported methods: {allowed}.")]
    MethodNotAllowed {
        /// As sent.
        method: String,
        /// Without the leading slash.
        route: String,
        /// As in the `Allow` header.
        allowed: &'static str,
    },
    /// 408.
    #[error("The body did not arrive.")]
    BodyLost,
    /// 413.
    #[error("The POST data is too large.")]
    TooLarge,
    /// 422.
    #[error("{}", .0.summary())]
    Invalid(Faults),
    /// 500, logged.
    #[error("Server Error")]
    Database(#[from] sqlx::Error),
}

/// Validation errors by field, in the order of validation.
#[derive(Debug, Default)]
pub struct Faults(Vec<(String, Vec<String>)>);

impl Faults {
    /// Adds an error of `field`.
    pub fn add(&mut self, field: &str, fault: String) {
        match self.0.iter_mut().find(|(name, _)| name == field) {
            Some((_, faults)) => faults.push(fault),
            None => self.0.push((field.to_owned(), vec![fault])),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first error and the number of the others, in Laravel's words.
    fn summary(&self) -> String {
        let mut all = self.0.iter().flat_map(|(_, faults)| faults);
        let first = all.next().map_or("", String::as_str);
        match all.count() {
            0 => first.to_owned(),
            1 => format!("{first} (and 1 more error)"),
            more => format!("{first} (and {more} more errors)"),
        }
    }

    fn to_json(&self) -> Value {
        self.0.iter().map(|(field, faults)| (field.clone(), json!(faults))).collect::<Map<_, _>>().into()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Plain(value) => with_json(StatusCode::OK, "application/json", &value),
            Self::Document(value) => with_json(StatusCode::OK, "application/vnd.api+json", &value),
            Self::Made(value) => with_json(StatusCode::CREATED, "application/vnd.api+json", &value),
            Self::Nothing => StatusCode::NO_CONTENT.into_response(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "message": self.to_string() });
        if let Self::Invalid(faults) = &self {
            body["errors"] = faults.to_json();
        }
        let mut response = with_json(self.status(), "application/json", &body);
        match &self {
            Self::MethodNotAllowed { allowed, .. } => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
            }
            Self::Database(error) => tracing::error!(%error, "the database cannot be used"),
            _ => {}
        }
        response
    }
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyLost => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Database(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn with_json(status: StatusCode, kind: &'static str, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], Body::from(body.to_string())).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_first_fault_and_counts_the_others() {
        let mut faults = Faults::default();
        faults.add("name", "The name field is required.".to_owned());
        assert_eq!(faults.summary(), "The name field is required.");
        faults.add("status", "The selected status is invalid.".to_owned());
        assert_eq!(faults.summary(), "The name field is required. (and 1 more error)");
        faults.add("name", "The name field must be a string.".to_owned());
        assert_eq!(faults.summary(), "The name field is required. (and 2 more errors)");
    }
}
