//! What an answer means: a value, or the [`Error`] that calls for the right reaction.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::transport::{Call, Response};

/// How much of a message from the other side goes into ours.
const MAX_MESSAGE_CHARS: usize = 300;

impl Response {
    /// This answer, if it reports success.
    pub(super) fn success(self, call: &Call) -> Result<Self, Error> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(self.error(call))
    }

    /// The value that the body of a successful answer holds.
    pub(super) fn json<T: DeserializeOwned>(&self, call: &Call) -> Result<T, Error> {
        let mut json = serde_json::Deserializer::from_slice(&self.body);
        serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let what = match self.is_html() {
                true => "it answers with HTML".to_owned(),
                false => format!("its answer cannot be read at {}: {}", error.path(), error.inner()),
            };
            self.not_cachet(call, what)
        })
    }

    fn error(&self, call: &Call) -> Error {
        let status = self.status.as_u16();
        match (self.status, self.message()) {
            (StatusCode::UNAUTHORIZED, _) => Error::Unauthorized { call: call.to_string() },
            (StatusCode::TOO_MANY_REQUESTS, _) => {
                Error::RateLimited { call: call.to_string(), retry_after: retry_after(&self.headers) }
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                Error::Unavailable { call: call.to_string(), retry_after: retry_after(&self.headers) }
            }
            (code, message) if code.is_server_error() => {
                let message = message.map(|message| format!(": {message}")).unwrap_or_default();
                Error::Server { call: call.to_string(), status, message, retry_after: retry_after(&self.headers) }
            }
            (code, _) if code.is_redirection() => self.not_cachet(call, self.redirect()),
            (StatusCode::PAYLOAD_TOO_LARGE, message) => {
                // the web server before Cachet says so, in HTML (recording 415)
                let message = message.unwrap_or_else(|| "the text is too long".to_owned());
                Error::Invalid { call: call.to_string(), status, message }
            }
            (_, None) => self.not_cachet(call, format!("it answers HTTP {status} without a reason in JSON")),
            // Reading takes no ability, so what forbids it is something else, and says what.
            (StatusCode::FORBIDDEN, Some(_)) if call.method != Method::GET => {
                Error::Forbidden { call: call.to_string(), ability: ability(call) }
            }
            (StatusCode::NOT_FOUND, Some(message)) => self.not_found(call, &message),
            (_, Some(message)) => Error::Invalid { call: call.to_string(), status, message },
        }
    }

    /// A 404 for an object (152) and a 404 for the API as a whole are told apart by their messages: a wrong base is
    /// `The route … could not be found.` (006), an API that is switched off says nothing at all (recording 406). Taking those for
    /// "the object is gone" would have us make everything anew.
    fn not_found(&self, call: &Call, message: &str) -> Error {
        if message.is_empty() {
            return self.not_cachet(call, "HTTP 404 without a reason: is the API enabled in Cachet's settings?".into());
        }
        if message.starts_with("The route ") {
            return self.not_cachet(call, format!("HTTP 404: {message}"));
        }
        Error::NotFound { call: call.to_string() }
    }

    fn redirect(&self) -> String {
        match self.headers.get(LOCATION).and_then(|location| location.to_str().ok()) {
            Some(location) => format!("it redirects to {:?}", one_line(location)),
            None => "it redirects".to_owned(),
        }
    }

    /// `what` may repeat what was answered.
    fn not_cachet(&self, call: &Call, what: String) -> Error {
        Error::NotCachet { call: call.to_string(), status: self.status.as_u16(), what: one_line(&what) }
    }

    /// What Cachet says is wrong; `None` if it was not Cachet that spoke.
    fn message(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Refusal {
            message: String,
        }
        let refusal: Refusal = serde_json::from_slice(&self.body).ok()?;
        Some(one_line(&refusal.message))
    }

    fn is_html(&self) -> bool {
        self.body.trim_ascii_start().starts_with(b"<")
    }
}

/// The ability that a refused write takes, as Cachet's dashboard names it.
pub(super) fn ability(call: &Call) -> &'static str {
    let delete = call.method == Method::DELETE;
    match call.path.trim_start_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["components", ..] if delete => "components.delete",
        ["components", ..] => "components.manage",
        ["component-groups", ..] if delete => "component-groups.delete",
        ["component-groups", ..] => "component-groups.manage",
        ["incidents", _, "updates", ..] => "incident-updates.manage",
        _ => "incidents.manage",
    }
}

/// `Retry-After`, in seconds or as a date; `None` if it was not sent or is neither. A date is read against the server's
/// own clock where it tells it.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let moment = |text: &str| Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp());
    let value = text(RETRY_AFTER)?;
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = if is_number {
        value.parse().unwrap_or(u64::MAX)
    } else {
        let now = text(DATE).and_then(moment).unwrap_or_else(Timestamp::now);
        u64::try_from(moment(value)?.duration_since(now).as_secs()).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds))
}

/// Text from outside, so cut and cleaned that it stays within its line.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

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
        let call = Call::get("/components");
        let error = answer.json::<std::collections::BTreeMap<String, Vec<u8>>>(&call).expect_err("no JSON");
        assert!(error.to_string().contains("[INCIDENT_CLOSED]"), "{error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
