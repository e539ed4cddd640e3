//! Why a member was not heard, by cure; the reaction is always the same: it proves nothing.

use crate::core::listing::ListingError;

/// Why a member cannot be asked at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Its address is none.
    #[error("ALERTMANAGER_URL {url:?} is no address ({reason}): write it as in http://alertmanager:9093")]
    Url {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No header can hold the credentials.
    #[error(
        "the credentials for Alertmanager hold characters that no header can: check ALERTMANAGER_BASIC_AUTH or \
         ALERTMANAGER_BEARER_TOKEN for line breaks"
    )]
    Credentials,
    /// The certificates are none.
    #[error("ALERTMANAGER_CA_FILE cannot be used ({reason}): it must hold certificates in PEM (BEGIN CERTIFICATE)")]
    Certificates {
        /// What is wrong with them.
        reason: String,
    },
    /// No client can be made.
    #[error("no HTTP client can be made ({reason}): install the system's CA certificates (ca-certificates)")]
    Client {
        /// What the system said.
        reason: String,
    },
}

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

impl From<ListingError> for Error {
    fn from(error: ListingError) -> Self {
        Self::NotAlertmanager(error.to_string())
    }
}
