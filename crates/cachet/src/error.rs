//! What can go wrong with a call, one variant for each reaction to it.

use std::time::Duration;

use reqwest::StatusCode;

use super::MAX_ANSWER_BYTES;
use alertmanager_cachet_core::status_page::{Failure, PageError};

/// The longest that a `Retry-After` is respected. The server before Cachet may say anything; one request in ten minutes
/// does it no harm.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The shortest: Cachet counts in whole seconds, so `0` means the rest of this one.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How an answer is lost that does not come in time.
pub(super) const TOO_LATE: &str = "it took too long";

/// No HTTP client can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no HTTP client can be made ({0}): install the system's CA certificates (ca-certificates)")]
pub struct NoHttpClient(pub(super) String);

/// A call to Cachet did not do what it should.
///
/// The message names the call and ends in the cure, and does not hold the token. The [`PageError`] made of it says what it
/// means for the write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {fault}")]
pub struct Error {
    /// The call, for example `PUT /components/12`.
    pub call: String,
    /// Why.
    pub fault: Fault,
}

/// Why a call to Cachet did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection came about: nothing was sent.
    #[error("no connection to {address} ({reason}): check CACHET_API_URL, and that Cachet is running")]
    Unreachable {
        /// The base of the API.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The request was sent, or part of it, and no whole answer came back in time.
    #[error(
        "no answer came back ({reason}), so what it asked for may have been done: check that Cachet is well, \
         and read again what it shows before repeating the call"
    )]
    NoAnswer {
        /// How the answer was lost.
        reason: String,
    },
    /// 401: the token is unknown, expired or missing. Only writes tell: a read with a wrong token is answered as to a
    /// guest (014), unless the API is kept from guests (recording 404).
    #[error("Cachet refused the token (HTTP 401): check CACHET_API_TOKEN")]
    Unauthorized,
    /// 403: the token is known and lacks an ability (154).
    #[error(
        "the token lacks the ability {ability} (HTTP 403): make a token with it in Cachet's dashboard and set \
         CACHET_API_TOKEN"
    )]
    Forbidden {
        /// The ability that the call takes.
        ability: &'static str,
    },
    /// 404 for the object itself: it is gone, or not shown to this token.
    #[error("Cachet has no such object (HTTP 404): it was removed there; run `setup` if it should exist")]
    NotFound,
    /// 400, 413, 422 and the like: Cachet understood the request and will never do it.
    #[error("Cachet refused the request (HTTP {status}: {message}): correct what it names")]
    Invalid {
        /// The status of the answer.
        status: u16,
        /// What Cachet said, on one line.
        message: String,
    },
    /// 429: too many requests in this minute; nothing was done.
    #[error(
        "Cachet's rate limit is used up (HTTP 429{}): raise CACHET_API_RATE_LIMIT in Cachet if this happens \
         often", retry_after_text(*.retry_after)
    )]
    RateLimited {
        /// Its `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// 503: Cachet is in maintenance (recording 408), or the proxy before it finds it not running; nothing was done.
    #[error(
        "Cachet is not available (HTTP 503{}): check that it is running, or end its maintenance mode \
         (php artisan up)", retry_after_text(*.retry_after)
    )]
    Unavailable {
        /// Its `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// Another 5xx. What was asked for may have been done: releases of 2025 answer 500 to a change that they saved
    /// (2025-08: 131).
    #[error("Cachet failed (HTTP {status}{message}{}): see Cachet's own log", retry_after_text(*.retry_after))]
    Server {
        /// The status of the answer.
        status: u16,
        /// What it said, if it was Cachet that said it: `: Server Error`.
        message: String,
        /// What `Retry-After` asked to wait, if it was sent.
        retry_after: Option<Duration>,
    },
    /// What answered does not speak Cachet's API.
    #[error("this is not Cachet's API ({what}): check CACHET_API_URL, the whole base such as http://cachet/api")]
    NotCachet {
        /// The status of the answer.
        status: u16,
        /// What was found instead.
        what: String,
    },
}

impl Fault {
    /// The answer did not arrive within [`REQUEST_TIMEOUT`](alertmanager_cachet_core::status_page::REQUEST_TIMEOUT).
    pub fn too_late() -> Self {
        Self::NoAnswer { reason: TOO_LATE.to_owned() }
    }

    /// The answer, which had `status`, is larger than [`MAX_ANSWER_BYTES`].
    pub fn too_large(status: StatusCode) -> Self {
        let what = format!("an answer of more than {} MiB", MAX_ANSWER_BYTES / 1024 / 1024);
        Self::NotCachet { status: status.as_u16(), what }
    }

    /// How long to wait because the answer had a `Retry-After`, from 1 to 600 s; `None` if it had none.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after }
            | Self::Unavailable { retry_after }
            | Self::Server { retry_after, .. } => retry_after.map(|wait| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER)),
            _ => None,
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let retry_after = error.fault.retry_after();
        let of_a_read = error.call.starts_with("GET ");
        let failure = match &error.fault {
            Fault::Unreachable { .. } | Fault::Unauthorized | Fault::Unavailable { .. } => {
                Failure::Away { retry_after }
            }
            Fault::RateLimited { .. } => Failure::RateLimited { retry_after },
            Fault::Forbidden { .. } => Failure::Forbidden,
            Fault::NotFound => Failure::NotFound,
            Fault::Invalid { .. } => Failure::Refused,
            // It said that it did something, in words that we do not know. A read does nothing.
            Fault::NotCachet { status, .. } => Failure::NotThePage { done: !of_a_read && (200..300).contains(status) },
            Fault::NoAnswer { .. } => Failure::InDoubt { yet: true, of_a_read, retry_after },
            // Nobody has said that it was ended, and Cachet goes on with a request whose client, or whose proxy, has given
            // up. A 500 is Cachet's own word, and its last.
            Fault::Server { status, .. } => Failure::InDoubt { yet: *status != 500, of_a_read, retry_after },
        };
        // Two errors that differ in the call, or in how long Cachet wants to be left alone, are no news to somebody who has
        // read of the first.
        let mut fault = error.fault;
        if let Fault::RateLimited { retry_after }
        | Fault::Unavailable { retry_after }
        | Fault::Server { retry_after, .. } = &mut fault
        {
            *retry_after = None;
        }
        Self { failure, message, news: fault.to_string() }
    }
}

/// The `Retry-After` of the answer for a message; empty if it had none.
fn retry_after_text(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(", Retry-After: {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(call: &str, fault: Fault) -> Error {
        Error { call: call.to_owned(), fault }
    }

    fn failed(status: u16, retry_after: Option<Duration>) -> Error {
        error("PUT /components/1", Fault::Server { status, message: String::new(), retry_after })
    }

    #[test]
    fn which_call_it_was_and_how_long_to_wait_is_no_news() {
        let limited = |call: &str, seconds| {
            PageError::from(error(call, Fault::RateLimited { retry_after: Some(Duration::from_secs(seconds)) })).news
        };
        assert_eq!(limited("PUT /components/1", 59), limited("POST /incidents", 3));
        let failed = |status| PageError::from(failed(status, None)).news;
        assert_ne!(failed(500), failed(502));
    }

    #[test]
    fn an_error_says_when_to_come_back_only_if_the_answer_did() {
        let all = |retry_after| {
            let faults = [Fault::Unavailable { retry_after }, Fault::RateLimited { retry_after }];
            faults.map(|fault| error("PUT /components/1", fault)).into_iter().chain([failed(502, retry_after)])
        };
        for error in all(None) {
            assert_eq!(error.fault.retry_after(), None);
            let text = error.to_string();
            assert!(!text.contains(" s)") && !text.contains("Retry-After"), "{text}");
        }
        for (sent_s, waited_s) in [(0, 1), (48, 48), (86_400, 600)] {
            for error in all(Some(Duration::from_secs(sent_s))) {
                assert_eq!(error.fault.retry_after(), Some(Duration::from_secs(waited_s)));
                assert!(error.to_string().contains(&format!(", Retry-After: {sent_s} s): ")), "{error}");
            }
        }
    }

    #[test]
    fn only_what_nobody_has_said_the_last_word_on_may_be_applied_yet() {
        let failed = |status| PageError::from(failed(status, None)).failure;
        assert!(PageError::from(error("", Fault::too_late())).failure.may_be_applied_yet());
        assert!(failed(504).may_be_applied_yet());
        assert!(!failed(500).may_be_applied_yet() && failed(500).may_have_been_applied());
        assert!(!PageError::from(error("", Fault::Unauthorized)).failure.may_be_applied_yet());
    }

    #[test]
    fn a_read_that_got_no_answer_has_written_nothing() {
        let lost = |call: &str| PageError::from(error(call, Fault::too_late())).failure;
        assert!(!lost("GET /incidents/4").may_have_been_applied());
        let html = |call| PageError::from(error(call, Fault::NotCachet { status: 200, what: String::new() })).failure;
        assert!(!html("GET /incidents/4").may_have_been_applied() && html("PUT /incidents/4").may_have_been_applied());
        assert!(
            lost("POST /incidents/4/updates").may_be_applied_yet() && lost("PUT /incidents/4").may_be_applied_yet()
        );
    }
}
