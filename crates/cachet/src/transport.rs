//! Sends one request and brings back its whole answer: over HTTP, or into the embedded page without a socket.

use std::fmt::{self, Write};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use reqwest::Url;
use reqwest::redirect::Policy;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tower::ServiceExt;

use super::Error;
use super::answer::Answer;

/// The largest answer that is read; a list of 100 incidents with long messages stays below it.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// How long an idle connection is kept. Web servers close theirs after a minute or so; closing first means that no
/// request is ever written into a connection that is going away.
const KEEP_IDLE: Duration = Duration::from_secs(20);

/// How long a call may take, from its start to the last byte of its answer. Cachet may go on with it after that.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How an answer is lost that does not come in time.
const TOO_LATE: &str = "it took too long";

const USER_AGENT_VALUE: &str = concat!("alertmanager-cachet/", env!("CARGO_PKG_VERSION"));

/// The path under which the embedded page serves the API.
const EMBEDDED_BASE: &str = "/api";

/// Who the embedded page is asked as; it only shows in the links of its lists.
const EMBEDDED_HOST: HeaderValue = HeaderValue::from_static("embedded-page");

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

/// The way to one Cachet.
pub(super) struct Transport {
    /// Without a slash at its end.
    base: String,
    headers: HeaderMap,
    timeouts: Timeouts,
    way: Way,
}

enum Way {
    Http(reqwest::Client),
    InProcess(Router),
}

impl Transport {
    pub(super) fn http(base_url: &str, token: &SecretString, timeouts: Timeouts) -> Result<Self, Error> {
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
        let headers = headers(token).ok_or_else(|| Error::Settings {
            what: "the API token holds characters that no token has: check CACHET_API_TOKEN for line breaks".into(),
        })?;
        Ok(Self { base, headers, timeouts, way: Way::Http(client) })
    }

    /// A token that no header can hold is left out, and refused as any other wrong one.
    pub(super) fn in_process(router: Router, token: &SecretString, timeouts: Timeouts) -> Self {
        let mut headers = headers(token).unwrap_or_default();
        headers.insert(HOST, EMBEDDED_HOST);
        Self { base: EMBEDDED_BASE.into(), headers, timeouts, way: Way::InProcess(router) }
    }

    /// Where it leads, without anything secret.
    pub(super) fn address(&self) -> &str {
        &self.base
    }

    pub(super) fn is_in_process(&self) -> bool {
        matches!(self.way, Way::InProcess(_))
    }

    /// Sends `call` and reads its answer, whatever its status.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Error> {
        let url = format!("{}{}", self.base, call.target());
        match &self.way {
            Way::Http(client) => self.send_over_http(client, url, call).await,
            Way::InProcess(router) => {
                let sending = send_in_process(router.clone(), self.request(&url, call), call);
                tokio::time::timeout(self.timeouts.request, sending)
                    .await
                    .unwrap_or_else(|_| Err(Error::NoAnswer { call: call.to_string(), reason: TOO_LATE.into() }))
            }
        }
    }

    async fn send_over_http(&self, client: &reqwest::Client, url: String, call: &Call) -> Result<Answer, Error> {
        let lost = |error: reqwest::Error| self.lost(&error, call);
        let mut request = client.request(call.method.clone(), url).headers(self.headers.clone());
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(lost)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(too_large(call, status.as_u16()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body })
    }

    /// What a request without a whole answer means: only where no connection came about, nothing was sent.
    fn lost(&self, error: &reqwest::Error, call: &Call) -> Error {
        let (call, reason) = (call.to_string(), root_cause(error));
        if error.is_connect() {
            return Error::Unreachable { call, address: self.address().to_owned(), reason };
        }
        Error::NoAnswer { call, reason }
    }

    fn request(&self, uri: &str, call: &Call) -> Request<Body> {
        let body = call.body.as_ref().map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::new(body);
        *request.method_mut() = call.method.clone();
        // `target` lets nothing through that a URI could not hold
        *request.uri_mut() = uri.parse().unwrap_or_default();
        *request.headers_mut() = self.headers.clone();
        if call.body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }
}

async fn send_in_process(router: Router, request: Request<Body>, call: &Call) -> Result<Answer, Error> {
    let Ok(response) = router.oneshot(request).await;
    let (parts, body) = response.into_parts();
    match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
        Ok(body) => Ok(Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec() }),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(call, parts.status.as_u16())),
        Err(error) => Err(Error::NoAnswer { call: call.to_string(), reason: error.to_string() }),
    }
}

fn too_large(call: &Call, status: u16) -> Error {
    let what = format!("an answer of more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024);
    Error::NotCachet { call: call.to_string(), status, what }
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
fn headers(token: &SecretString) -> Option<HeaderMap> {
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
