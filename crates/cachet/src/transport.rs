//! Sends one request and brings back its whole answer.

use std::fmt::{self, Write};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::Error;
use alertmanager_cachet_core::status_page::REQUEST_TIMEOUT;

/// The largest answer that is read; a list of 100 incidents with long messages stays below it.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// How long an idle connection is kept. Web servers close theirs after a minute or so; closing first means that no
/// request is ever written into a connection that is going away.
const KEEP_IDLE: Duration = Duration::from_secs(20);

/// How an answer is lost that does not come in time.
const TOO_LATE: &str = "it took too long";

const USER_AGENT_VALUE: &str = concat!("alertmanager-cachet/", env!("CARGO_PKG_VERSION"));

/// How long a call may take. What happens then: [`Error::Unreachable`] and [`Error::NoAnswer`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From looking up the name to the open (and encrypted) connection.
    pub connect: Duration,
    /// From the start of the call to the last byte of its answer.
    pub request: Duration,
}

impl Timeouts {
    pub(super) const DEFAULT: Self = Self { connect: Duration::from_secs(5), request: REQUEST_TIMEOUT };
}

/// One request, before it has an address.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub method: Method,
    /// Below the base of the API: `/components/12`.
    pub path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    /// Whether it changes something, and so counts against the user's limit.
    pub fn is_write(&self) -> bool {
        !self.method.is_safe()
    }

    fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: Vec::new(), body: None }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub(super) fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub(super) fn put(path: impl Into<String>) -> Self {
        Self::new(Method::PUT, path)
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    pub(super) fn with(mut self, key: &'static str, value: impl ToString) -> Self {
        self.query.push((key, value.to_string()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// This call as a request that carries `headers`.
    pub(super) fn request(&self, headers: &HeaderMap) -> Request {
        let mut headers = headers.clone();
        if self.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = self.body.as_ref().map(Value::to_string);
        Request { method: self.method.clone(), target: self.target(), headers, body }
    }

    /// Path and query as they go behind the base, `/components?sort=id`.
    fn target(&self) -> String {
        let mut target = self.path.clone();
        for (index, (key, value)) in self.query.iter().enumerate() {
            target.push(if index == 0 { '?' } else { '&' });
            push_encoded(&mut target, key);
            target.push('=');
            push_encoded(&mut target, value);
        }
        target
    }
}

/// `PUT /components/12`: as every error names it.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// Percent-encodes all that is not unreserved (RFC 3986).
fn push_encoded(target: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // writing into a `String` does not fail
            let _ = write!(target, "%{byte:02X}");
        }
    }
}

/// Carries requests to one Cachet and brings back its answers.
///
/// The product speaks HTTP ([`Cachet::over_http`](super::Cachet::over_http)). Tests bring their own way.
pub trait Transport: Send + Sync {
    /// The base of the API without a slash at its end and without anything secret: `http://cachet/api`.
    fn address(&self) -> &str;

    /// Sends one request and reads the whole answer, whatever its status.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>>;
}

/// One HTTP request, complete but for the base of the API.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query behind the base: `/components?sort=id`.
    pub target: String,
    /// The headers, the token included.
    pub headers: HeaderMap,
    /// The JSON document, if there is one.
    pub body: Option<String>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, of at most [`MAX_ANSWER_BYTES`].
    pub body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection was established: nothing was sent.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The request was sent, or part of it. Whether it was carried out is not known.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The answer is larger than [`MAX_ANSWER_BYTES`].
    #[error("the answer with status {0} is too large")]
    TooLarge(StatusCode),
}

impl TransportError {
    /// The answer did not arrive within [`REQUEST_TIMEOUT`].
    pub fn too_late() -> Self {
        Self::NoAnswer(TOO_LATE.to_owned())
    }

    /// What it means for `call` to the API at `address`.
    pub(super) fn of(self, call: &Call, address: &str) -> Error {
        let call = call.to_string();
        match self {
            Self::Unreachable(reason) => Error::Unreachable { call, address: address.to_owned(), reason },
            Self::NoAnswer(reason) => Error::NoAnswer { call, reason },
            Self::TooLarge(status) => {
                let what = format!("an answer of more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024);
                Error::NotCachet { call, status: status.as_u16(), what }
            }
        }
    }
}

/// Sends requests over HTTP.
pub(super) struct Http {
    base: String,
    client: reqwest::Client,
}

impl Http {
    pub(super) fn new(base_url: &str, timeouts: Timeouts) -> Result<Self, Error> {
        let base = parse_base(base_url)?;
        let client = reqwest::Client::builder()
            .connect_timeout(timeouts.connect)
            .timeout(timeouts.request)
            .pool_idle_timeout(KEEP_IDLE)
            // a redirect turns a PUT into a GET, and may take the token to another host
            .redirect(Policy::none())
            .build()
            .map_err(|error| Error::Settings {
                what: format!(
                    "no HTTP client can be made ({}): install the system's CA certificates (ca-certificates)",
                    root_cause(&error)
                ),
            })?;
        Ok(Self { base, client })
    }

    async fn exchange(&self, request: Request) -> Result<Response, TransportError> {
        let url = format!("{}{}", self.base, request.target);
        let mut sending = self.client.request(request.method, url).headers(request.headers);
        if let Some(body) = request.body {
            sending = sending.body(body);
        }
        let mut response = sending.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(TransportError::TooLarge(status));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body })
    }
}

impl Transport for Http {
    fn address(&self) -> &str {
        &self.base
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, TransportError>> {
        Box::pin(self.exchange(request))
    }
}

/// What a request without a whole answer means: nothing was sent only if no connection was established.
fn lost(error: reqwest::Error) -> TransportError {
    let reason = root_cause(&error);
    if error.is_connect() { TransportError::Unreachable(reason) } else { TransportError::NoAnswer(reason) }
}

/// Reads the base of the API and refuses what could never work, or would carry a secret into messages.
fn parse_base(base_url: &str) -> Result<String, Error> {
    const CURE: &str = "set CACHET_API_URL to the whole base of the API, for example http://cachet/api";
    let refuse = |what: String| Error::Settings { what: format!("{what}: {CURE}") };
    // the text itself stays out of these messages as long as it may hold a password
    let url = Url::parse(base_url.trim()).map_err(|error| refuse(format!("CACHET_API_URL is no address ({error})")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse(format!("CACHET_API_URL begins with {}:, not with http: or https:", url.scheme())));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("CACHET_API_URL holds a user name or password, which Cachet's API does not take".into()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse(format!("CACHET_API_URL {:?} has a part behind a ? or #", url.as_str())));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// What every request carries; `None` if no header can hold the token.
pub(super) fn headers(token: &SecretString) -> Option<HeaderMap> {
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).ok()?;
    authorization.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, authorization);
    // without it releases of 2025 answer errors as HTML, and a missing token with 500 (2025-08: 012)
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(USER_AGENT_VALUE));
    Some(headers)
}

/// The innermost cause, which says what happened; the outer ones only say where.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return TOO_LATE.to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
