//! The client of Alertmanager's API: what each member of a cluster lists, and how long it has been up.
//!
//! Only reads, and never through a redirect. What the answers mean is decided in [`crate::core::repair`].

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, DATE, HeaderMap, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Certificate, StatusCode, Url};
use serde::Deserialize;

use crate::config::AlertmanagerAccess;
use crate::core::expiry::WatchdogSent;
use crate::core::listing::{ListedAlert, ListingError, OURS, parse_last_sent, parse_listing};
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

/// Why no member can be asked at all: what is wrong, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// Why a member was not heard. The message stands behind the member's address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection came about.
    #[error("no connection ({0}): check ALERTMANAGER_URL, and that Alertmanager is running")]
    Unreachable(String),
    /// The certificate that it showed is not trusted.
    #[error("its certificate is not trusted ({0}): set ALERTMANAGER_CA_FILE to the CA that signed it")]
    Certificate(String),
    /// No whole answer came back.
    #[error("no whole answer came back ({0}): check that Alertmanager is well")]
    NoAnswer(String),
    /// 401 or 403.
    #[error("it refused the credentials (HTTP {0}): check ALERTMANAGER_BASIC_AUTH or ALERTMANAGER_BEARER_TOKEN")]
    Refused(u16),
    /// Another 4xx, 5xx, or anything else that is no success.
    #[error("it answered HTTP {0}: see its own log, and that of a proxy before it")]
    Status(u16),
    /// What answered does not speak Alertmanager's API.
    #[error(
        "this is not Alertmanager's API ({0}): check ALERTMANAGER_URL, the base such as http://alertmanager:9093 without /api/v2"
    )]
    NotAlertmanager(String),
    /// Its answer is too long.
    #[error("its answer is longer than {} MiB: are there so many alerts of the status page?", .0 / 1024 / 1024)]
    TooLong(usize),
}

/// A client of each member; nothing is sent yet.
///
/// # Errors
/// [`SettingsError`] if the certificates cannot be used, or no client can be made.
pub fn members(access: &AlertmanagerAccess) -> Result<Vec<Member>, SettingsError> {
    members_with_timeout(access, REQUEST_TIMEOUT)
}

fn members_with_timeout(access: &AlertmanagerAccess, timeout: Duration) -> Result<Vec<Member>, SettingsError> {
    let mut headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    headers.extend(access.authorization.clone().map(|authorization| (AUTHORIZATION, authorization)));
    let mut builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        // A redirect may take the credentials to another host.
        .redirect(Policy::none());
    let bad_certificates = |fault: &str| {
        let cure = "it must hold certificates in PEM (BEGIN CERTIFICATE)";
        SettingsError(format!("ALERTMANAGER_CA_FILE cannot be used ({fault}): {cure}"))
    };
    if let Some(pem) = &access.ca_pem {
        let certificates = Certificate::from_pem_bundle(pem.as_bytes());
        let certificates = certificates.map_err(|error| bad_certificates(&root_cause(&error)))?;
        if certificates.is_empty() {
            return Err(bad_certificates("it holds none"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    let client = builder.build().map_err(|error| match (access.ca_pem.is_some(), root_cause(&error)) {
        (true, cause) => bad_certificates(&cause),
        (false, cause) => SettingsError(format!(
            "no HTTP client can be made ({cause}): install the system's CA certificates (ca-certificates)"
        )),
    })?;
    let member = |base: &Url| {
        let mut base = base.clone();
        base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
        Member { base, client: client.clone() }
    };
    Ok(access.base_urls.iter().map(member).collect())
}

impl Member {
    /// Where it is, without anything secret.
    pub fn address(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads its alerts, when it last got `watchdog`, and how long it has been up. `now` is for a server that does not tell
    /// its own time.
    ///
    /// # Errors
    /// See [`Error`]. Then it proves nothing.
    pub async fn hear(&self, watchdog: Option<&Watchdog>, now: Timestamp) -> Result<Heard, Error> {
        #[derive(Deserialize)]
        struct Status {
            uptime: String,
        }
        let (_, list) = self.get("api/v2/alerts", &[("filter", OURS)], now).await?;
        let not_listing = |error: ListingError| Error::NotAlertmanager(error.to_string());
        let mut listed = parse_listing(&list).map_err(not_listing)?;
        let mut watchdog_sent = None;
        if let Some(watchdog) = watchdog {
            listed.retain(|listed| listed.alert.name != watchdog.alertname());
            let (its_now, list) = self.get("api/v2/alerts", &[("filter", &watchdog.matcher())], now).await?;
            watchdog_sent = parse_last_sent(&list).map_err(not_listing)?.map(|sent| {
                // From Alertmanager's clock to ours.
                WatchdogSent { sent_at: now.before(its_now.since(sent.sent_at)), ..sent }
            });
        }
        // After the list: a member that is old now was not restarted since.
        let (its_now, status) = self.get("api/v2/status", &[], now).await?;
        let unreadable = |fault: String| Error::NotAlertmanager(format!("its status cannot be read: {fault}"));
        let Status { uptime } = serde_json::from_slice(&status).map_err(|error| unreadable(error.to_string()))?;
        // It is called uptime, and is the moment of the start.
        let up_since = Timestamp::parse_rfc3339(&uptime).map_err(|error| unreadable(error.to_string()))?;
        // By the member's own clock, for ours may differ.
        Ok(Heard { up_for: its_now.since(up_since), listed, watchdog: watchdog_sent })
    }

    /// The body of a whole, successful answer, and the time by the clock of who answered, in whole seconds: `now` for a
    /// server that does not tell its own.
    ///
    /// Every kind of alert is listed unless a query says otherwise (active, silenced, inhibited, unprocessed); an older
    /// Alertmanager does not know all of these, and refuses none.
    async fn get(&self, path: &str, query: &[(&str, &str)], now: Timestamp) -> Result<(Timestamp, Vec<u8>), Error> {
        let url = self.base.join(path).map_err(|error| Error::NotAlertmanager(error.to_string()))?;
        let mut response = self.client.get(url).query(query).send().await?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Err(Error::Refused(status.as_u16())),
            StatusCode::NOT_FOUND => return Err(Error::NotAlertmanager("HTTP 404".to_owned())),
            status if status.is_redirection() => {
                let location: String = header(LOCATION).unwrap_or("nowhere").chars().take(QUOTED_CHARACTERS).collect();
                return Err(Error::NotAlertmanager(format!("it redirects to {location:?}")));
            }
            status => return Err(Error::Status(status.as_u16())),
        }
        let date = header(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let its_now = date.map_or(now, |date| Timestamp::from_millis(date.timestamp().as_millisecond()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Error::TooLong(MAX_ANSWER_BYTES));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((its_now, body))
    }
}

/// What a request without a whole answer means.
impl From<reqwest::Error> for Error {
    fn from(error: reqwest::Error) -> Self {
        match root_cause(&error) {
            reason if !error.is_connect() => Self::NoAnswer(reason),
            reason if reason.contains("certificate") => Self::Certificate(reason),
            reason => Self::Unreachable(reason),
        }
    }
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

#[cfg(test)]
mod tests;
