//! One request over HTTP and its whole answer: a value, or the [`Error`] that calls for the right reaction.

use std::fmt;
use std::time::Duration;

use form_urlencoded::byte_serialize;
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{Error, Fault, NoHttpClient, TOO_LATE};
use alertmanager_cachet_core::time::Timestamp;

/// The largest answer that is read; a list of 100 incidents with long messages stays below it.
pub const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// How long an idle connection is kept. Web servers close theirs after a minute or so; closing first means that no
/// request is ever written into a connection that is going away.
const KEEP_IDLE: Duration = Duration::from_secs(20);

/// How long it may take from looking up the name to the open (and encrypted) connection. What happens then:
/// [`Fault::Unreachable`].
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a message from the other side goes into ours.
const MAX_MESSAGE_CHARS: usize = 300;

/// One request to Cachet's API.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query behind the base of the API: `/components?sort=id`.
    pub target: String,
    /// The headers. The client adds those that every request carries, the token among them, when it sends it.
    pub headers: HeaderMap,
    /// The JSON document, if there is one.
    pub body: Option<String>,
}

impl Request {
    pub(super) fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, target: path.into(), headers: HeaderMap::new(), body: None }
    }

    /// Adds a parameter to the query, encoded.
    pub(super) fn with(mut self, key: &str, value: impl ToString) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        self.target.extend(byte_serialize(key.as_bytes()));
        self.target.push('=');
        self.target.extend(byte_serialize(value.to_string().as_bytes()));
        self
    }

    pub(super) fn body(mut self, body: Value) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self { body: Some(body.to_string()), ..self }
    }

    /// Below the base of the API, without the query: `/components/12`.
    pub(super) fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// Whether it changes something, and so counts against the user's limit.
    pub(super) fn is_write(&self) -> bool {
        !self.method.is_safe()
    }

    /// The ability that it takes if it is a write, as Cachet's dashboard names it.
    pub(super) fn ability(&self) -> &'static str {
        let delete = self.method == Method::DELETE;
        match self.path().trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
            ["components", ..] if delete => "components.delete",
            ["components", ..] => "components.manage",
            ["component-groups", ..] if delete => "component-groups.delete",
            ["component-groups", ..] => "component-groups.manage",
            ["incidents", _, "updates", ..] => "incident-updates.manage",
            _ => "incidents.manage",
        }
    }

    /// That this request failed.
    pub(super) fn failed(&self, fault: Fault) -> Error {
        Error { call: self.to_string(), fault }
    }
}

/// `PUT /components/12`: as every error names it.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path())
    }
}

/// Carries requests to one Cachet and brings back its answers.
///
/// The product speaks HTTP ([`Cachet::over_http`](super::Cachet::over_http)). Tests bring their own way.
pub trait Transport: Send + Sync {
    /// The base of the API without a slash at its end and without anything secret: `http://cachet/api`.
    fn address(&self) -> &str;

    /// Sends one request and reads the whole answer, whatever its status.
    ///
    /// # Errors
    /// [`Fault::Unreachable`], [`Fault::NoAnswer`], or [`Fault::too_large`] over [`MAX_ANSWER_BYTES`].
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Fault>>;
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

/// Sends requests over HTTP.
pub(super) struct Http {
    base: String,
    client: reqwest::Client,
}

impl Http {
    /// `timeout` is from the start of a call to the last byte of its answer; then it ends in [`Fault::NoAnswer`].
    ///
    /// # Errors
    /// If the system has nothing that makes a client.
    pub(super) fn new(base_url: &str, timeout: Duration) -> Result<Self, NoHttpClient> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(timeout)
            .pool_idle_timeout(KEEP_IDLE)
            // a redirect turns a PUT into a GET, and may take the token to another host
            .redirect(Policy::none())
            .build()
            .map_err(|error| NoHttpClient(root_cause(&error)))?;
        Ok(Self { base: base_url.to_owned(), client })
    }
}

impl Transport for Http {
    fn address(&self) -> &str {
        &self.base
    }

    fn send(&self, request: Request) -> BoxFuture<'_, Result<Response, Fault>> {
        // Nothing was sent only if no connection was established.
        let lost = |error: reqwest::Error| match error {
            _ if error.is_connect() => Fault::Unreachable { address: self.base.clone(), reason: root_cause(&error) },
            _ => Fault::NoAnswer { reason: root_cause(&error) },
        };
        Box::pin(async move {
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
                    return Err(Fault::too_large(status));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(Response { status, headers, body })
        })
    }
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

impl Response {
    /// The value that the body of a successful answer holds.
    pub(super) fn json<T: DeserializeOwned>(&self, call: &Request) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let is_html = self.body.trim_ascii_start().starts_with(b"<");
            let what = match is_html {
                true => "it answers with HTML".to_owned(),
                false => format!("its answer cannot be read at {}: {}", error.path(), error.inner()),
            };
            call.failed(self.not_cachet(&what))
        })
    }

    /// What this answer means, which reports no success.
    ///
    /// A 404 for an object (152) and a 404 for the API as a whole are told apart by their messages: a wrong base is
    /// `The route … could not be found.` (006), an API that is switched off says nothing at all (recording 406). Taking
    /// those for "the object is gone" would have us make everything anew.
    pub(super) fn fault(&self, call: &Request) -> Fault {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        // `None` if it was not Cachet that spoke
        let message = serde_json::from_slice::<Refusal>(&self.body).ok().map(|refusal| one_line(&refusal.message));
        let (status, retry_after) = (self.status.as_u16(), retry_after(&self.headers));
        match (self.status, message) {
            (StatusCode::UNAUTHORIZED, _) => Fault::Unauthorized,
            (StatusCode::TOO_MANY_REQUESTS, _) => Fault::RateLimited { retry_after },
            (StatusCode::SERVICE_UNAVAILABLE, _) => Fault::Unavailable { retry_after },
            (code, message) if code.is_server_error() => {
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                Fault::Server { status, message, retry_after }
            }
            (code, _) if code.is_redirection() => {
                let location = self.headers.get(LOCATION).and_then(|location| location.to_str().ok());
                let to = location.map(|location| format!(" to {:?}", one_line(location))).unwrap_or_default();
                self.not_cachet(&format!("it redirects{to}"))
            }
            (StatusCode::PAYLOAD_TOO_LARGE, message) => {
                // the web server before Cachet says so, in HTML (recording 415)
                let message = message.unwrap_or_else(|| "the text is too long".to_owned());
                Fault::Invalid { status, message }
            }
            (_, None) => self.not_cachet(&format!("it answers HTTP {status} without a reason in JSON")),
            // Reading takes no ability, so what forbids it is something else, and says what.
            (StatusCode::FORBIDDEN, Some(_)) if call.is_write() => Fault::Forbidden { ability: call.ability() },
            (StatusCode::NOT_FOUND, Some(message)) if message.is_empty() => {
                self.not_cachet("HTTP 404 without a reason: is the API enabled in Cachet's settings?")
            }
            (StatusCode::NOT_FOUND, Some(message)) if message.starts_with("The route ") => {
                self.not_cachet(&format!("HTTP 404: {message}"))
            }
            (StatusCode::NOT_FOUND, Some(_)) => Fault::NotFound,
            (_, Some(message)) => Fault::Invalid { status, message },
        }
    }

    /// `what` may repeat what was answered.
    fn not_cachet(&self, what: &str) -> Fault {
        Fault::NotCachet { status: self.status.as_u16(), what: one_line(what) }
    }
}

/// `Retry-After`, in seconds or as a date; `None` if it was not sent or is neither. A date is read against the server's
/// own clock where it tells it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    Some(date(headers, RETRY_AFTER)?.since(answered_at(headers)))
}

/// When an answer was made: its header `Date`, by the server's clock. Without that header, the time now.
pub(super) fn answered_at(headers: &HeaderMap) -> Timestamp {
    date(headers, DATE).unwrap_or_else(|| Timestamp::from_millis(jiff::Timestamp::now().as_millisecond()))
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<Timestamp> {
    let date = jiff::fmt::rfc2822::parse(headers.get(name)?.to_str().ok()?.trim()).ok()?;
    Some(Timestamp::from_millis(date.timestamp().as_millisecond()))
}

/// Text from outside, so cut and cleaned that it stays within its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(headers: &[(HeaderName, &'static str)]) -> Option<u64> {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect::<HeaderMap>();
        retry_after(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_nothing_is_made_up() {
        assert_eq!(waiting(&[(RETRY_AFTER, "48")]), Some(48));
        assert_eq!(waiting(&[(RETRY_AFTER, "0")]), Some(0));
        assert_eq!(waiting(&[(RETRY_AFTER, "86400")]), Some(86_400));
        assert_eq!(waiting(&[]), None);
        assert_eq!(waiting(&[(RETRY_AFTER, "99999999999999999999")]), Some(u64::MAX), "more than the number has bits");
        for none in ["soon", "", "-5", "+5", "1.5", "Sat, 31 Feb 2026 02:07:20 GMT"] {
            assert_eq!(waiting(&[(RETRY_AFTER, none)]), None, "{none:?}");
        }
        let date = (DATE, "Sat, 21 Nov 2026 02:06:50 GMT");
        assert_eq!(waiting(&[date.clone(), (RETRY_AFTER, "Sat, 21 Nov 2026 02:07:20 GMT")]), Some(30));
        assert_eq!(waiting(&[date, (RETRY_AFTER, "Sat, 21 Nov 2026 02:00:00 GMT")]), Some(0), "past");
    }

    #[test]
    fn a_message_from_outside_stays_on_its_line() {
        assert_eq!(one_line("a\nb\r\u{1b}[31m"), "a b  [31m");
        assert_eq!(one_line(&"ü".repeat(1000)).chars().count(), MAX_MESSAGE_CHARS);
    }

    #[test]
    fn names_in_an_answer_that_cannot_be_read_stay_on_the_errors_line() {
        let body = br#"{"a\n[INCIDENT_CLOSED]": [1, x]}"#.to_vec();
        let answer = Response { status: StatusCode::OK, headers: HeaderMap::new(), body };
        let call = Request::new(Method::GET, "/components");
        let error = answer.json::<std::collections::BTreeMap<String, Vec<u8>>>(&call).expect_err("no JSON");
        assert!(error.to_string().contains("[INCIDENT_CLOSED]"), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }

    #[test]
    fn the_time_of_an_answer_is_that_of_its_date_header_or_now() {
        let dated = |date| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        assert_eq!(
            answered_at(&dated("Sat, 21 Nov 2026 02:06:50 GMT")),
            Timestamp::parse_rfc3339("2026-11-21T02:06:50Z").expect("a time")
        );
        let before = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        for headers in [HeaderMap::new(), dated("yesterday")] {
            assert!(answered_at(&headers) >= before, "{headers:?}");
        }
    }
}
