//! The calls.

use std::error::Error as _;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode, Url};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::{Credentials, Error, Settings, SettingsError};
use crate::core::expiry::WatchdogSent;
use crate::core::listing::{ListedAlert, OURS, parse_last_sent, parse_listing};
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;

/// The longest answer that is read: some 40,000 alerts. A member that sends more is not heard.
const MAX_ANSWER_BYTES: usize = 32 * 1024 * 1024;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call may take, to the last byte of its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// How much of a text from the other side goes into an error.
const QUOTED_CHARACTERS: usize = 200;

const USER_AGENT: &str = concat!("alertmanager-cachet/", env!("CARGO_PKG_VERSION"));

/// One member of an Alertmanager cluster.
#[derive(Debug, Clone)]
pub struct Member {
    /// Ends in a slash, so that paths are joined behind what a proxy puts in front.
    base: Url,
    client: reqwest::Client,
}

/// What a member said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// How long it has been running, by its own clock.
    pub up_for: Duration,
    /// Its alerts of the status page.
    pub listed: Vec<ListedAlert>,
    /// When Prometheus last sent it the watchdog; `None` if it does not list one, or was not asked for it.
    pub watchdog: Option<WatchdogSent>,
}

pub(super) fn members(settings: &Settings) -> Result<Vec<Member>, SettingsError> {
    let client = client(settings, REQUEST_TIMEOUT)?;
    settings.urls.iter().map(|url| Member::new(url, client.clone())).collect()
}

pub(super) fn client(settings: &Settings, request_timeout: Duration) -> Result<reqwest::Client, SettingsError> {
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers(&settings.credentials)?)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(request_timeout)
        // A redirect may take the credentials to another host.
        .redirect(Policy::none());
    if let Some(pem) = &settings.ca_pem {
        builder = builder.tls_certs_merge(certificates(pem)?);
    }
    builder.build().map_err(|error| match (root_cause(&error), &settings.ca_pem) {
        (reason, Some(_)) => SettingsError::Certificates { reason },
        (reason, None) => SettingsError::Client { reason },
    })
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, SettingsError> {
    let wrong = |reason: String| SettingsError::Certificates { reason };
    let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| wrong(root_cause(&error)))?;
    if certificates.is_empty() { Err(wrong("it holds none".to_owned())) } else { Ok(certificates) }
}

fn headers(credentials: &Credentials) -> Result<HeaderMap, SettingsError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let authorization = match credentials {
        Credentials::None => return Ok(headers),
        Credentials::Basic { user, password } => {
            format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{}", password.expose_secret())))
        }
        Credentials::Bearer(token) => format!("Bearer {}", token.expose_secret()),
    };
    let mut authorization = HeaderValue::try_from(authorization).map_err(|_| SettingsError::Credentials)?;
    authorization.set_sensitive(true);
    headers.insert(AUTHORIZATION, authorization);
    Ok(headers)
}

/// A whole, successful answer.
struct Answer {
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// The time by the clock of who answered, in whole seconds; ours for a server that does not tell its own.
    fn its_now(&self, now: Timestamp) -> Timestamp {
        let date = self.headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        date.map_or(now, |date| Timestamp::from_millis(date.timestamp().as_millisecond()))
    }
}

impl Member {
    pub(super) fn new(url: &str, client: reqwest::Client) -> Result<Self, SettingsError> {
        let base = Url::parse(&format!("{}/", url.trim().trim_end_matches('/')))
            .map_err(|error| SettingsError::Url { url: url.to_owned(), reason: error.to_string() })?;
        Ok(Self { base, client })
    }

    /// Where it is, without anything secret.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads its alerts, when it last got `watchdog`, and how long it has been up. `now` is for a server that does not tell its own time.
    ///
    /// # Errors
    /// See [`Error`]. Then it proves nothing.
    pub async fn hear(&self, watchdog: Option<&Watchdog>, now: Timestamp) -> Result<Heard, Error> {
        let listed = self.get("api/v2/alerts", &[("filter", OURS)]).await?;
        let mut listed = parse_listing(&listed.body)?;
        let watchdog = match watchdog {
            Some(watchdog) => {
                listed.retain(|listed| listed.alert.name != watchdog.alertname());
                self.watchdog_sent(watchdog, now).await?
            }
            None => None,
        };
        // After the list: a member that is old now was not restarted since.
        let status = self.get("api/v2/status", &[]).await?;
        Ok(Heard { up_for: up_for(&status, now)?, listed, watchdog })
    }

    /// The last sending of the watchdog, converted from Alertmanager's clock to ours.
    async fn watchdog_sent(&self, watchdog: &Watchdog, now: Timestamp) -> Result<Option<WatchdogSent>, Error> {
        let listed = self.get("api/v2/alerts", &[("filter", &watchdog.matcher())]).await?;
        let sent = parse_last_sent(&listed.body)?;
        Ok(sent.map(|sent| {
            let ago = listed.its_now(now).since(sent.sent_at);
            WatchdogSent { sent_at: now.before(ago), ..sent }
        }))
    }

    /// Every kind of alert is listed unless a query says otherwise (active, silenced, inhibited, unprocessed); an older
    /// Alertmanager does not know all of these, and refuses none.
    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, Error> {
        let url = self.base.join(path).map_err(|error| Error::NotAlertmanager(error.to_string()))?;
        let mut response = self.client.get(url).query(query).send().await.map_err(|error| lost(&error))?;
        check(response.status(), response.headers())?;
        let headers = std::mem::take(response.headers_mut());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Error::TooLong(MAX_ANSWER_BYTES));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { headers, body })
    }
}

fn check(status: StatusCode, headers: &HeaderMap) -> Result<(), Error> {
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Refused(status.as_u16())),
        StatusCode::NOT_FOUND => Err(Error::NotAlertmanager("HTTP 404".to_owned())),
        status if status.is_redirection() => {
            let location = headers.get(LOCATION).and_then(|location| location.to_str().ok()).unwrap_or("nowhere");
            let location: String = location.chars().take(QUOTED_CHARACTERS).collect();
            Err(Error::NotAlertmanager(format!("it redirects to {location:?}")))
        }
        status => Err(Error::Status(status.as_u16())),
    }
}

/// By the member's own clock, for ours may differ.
fn up_for(status: &Answer, now: Timestamp) -> Result<Duration, Error> {
    #[derive(Deserialize)]
    struct Status {
        uptime: String,
    }
    let unreadable = |fault: String| Error::NotAlertmanager(format!("its status cannot be read: {fault}"));
    let Status { uptime } = serde_json::from_slice(&status.body).map_err(|error| unreadable(error.to_string()))?;
    // It is called uptime, and is the moment of the start.
    let up_since = Timestamp::parse_rfc3339(&uptime).map_err(|error| unreadable(error.to_string()))?;
    Ok(status.its_now(now).since(up_since))
}

/// What a request without a whole answer means.
fn lost(error: &reqwest::Error) -> Error {
    let reason = root_cause(error);
    if error.is_connect() {
        return if reason.contains("certificate") { Error::Certificate(reason) } else { Error::Unreachable(reason) };
    }
    Error::NoAnswer(reason)
}

/// The innermost cause, which says what happened; the outer ones only say where.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it took too long".to_owned();
    }
    let mut cause = error.source();
    while let Some(inner) = cause.and_then(std::error::Error::source) {
        cause = Some(inner);
    }
    cause.map_or_else(|| error.to_string(), ToString::to_string)
}
