//! What can go wrong with a call, one variant for each reaction to it.

use std::time::Duration;

use alertmanager_cachet_core::status_page::{Failure, PageError};

/// The longest that a `Retry-After` is respected. The server before Cachet may say anything; one request in ten minutes
/// does it no harm.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(600);

/// The shortest: Cachet counts in whole seconds, so `0` means the rest of this one.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a call to Cachet did not do what it should.
///
/// Each message names the call and ends in the cure; none holds the token. The [`PageError`] made of it
/// says what it means for the write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The client cannot be made from these settings; nothing was sent, ever.
    #[error("{what}")]
    Settings {
        /// What is wrong, and the cure.
        what: String,
    },
    /// No connection came about: nothing was sent.
    #[error("{call}: no connection to {address} ({reason}): check CACHET_API_URL, and that Cachet is running")]
    Unreachable {
        /// The call, for example `PUT /components/12`.
        call: String,
        /// The base of the API.
        address: String,
        /// What the system said.
        reason: String,
    },
    /// The request was sent, or part of it, and no whole answer came back in time.
    #[error(
        "{call}: no answer came back ({reason}), so what it asked for may have been done: check that Cachet is well, \
         and read again what it shows before repeating the call"
    )]
    NoAnswer {
        /// The call.
        call: String,
        /// How the answer was lost.
        reason: String,
    },
    /// 401: the token is unknown, expired or missing. Only writes tell: a read with a wrong token is answered as to a
    /// guest (014), unless the API is kept from guests (recording 404).
    #[error("{call}: Cachet refused the token (HTTP 401): check CACHET_API_TOKEN")]
    Unauthorized {
        /// The call.
        call: String,
    },
    /// 403: the token is known and lacks an ability (154).
    #[error(
        "{call}: the token lacks the ability {ability} (HTTP 403): make a token with it in Cachet's dashboard and set \
         CACHET_API_TOKEN"
    )]
    Forbidden {
        /// The call.
        call: String,
        /// The ability that the call takes.
        ability: &'static str,
    },
    /// 404 for the object itself: it is gone, or not shown to this token.
    #[error("{call}: Cachet has no such object (HTTP 404): it was removed there; run `setup` if it should exist")]
    NotFound {
        /// The call.
        call: String,
    },
    /// 400, 413, 422 and the like: Cachet understood the request and will never do it.
    #[error("{call}: Cachet refused the request (HTTP {status}: {message}): correct what it names")]
    Invalid {
        /// The call.
        call: String,
        /// The status of the answer.
        status: u16,
        /// What Cachet said, on one line.
        message: String,
    },
    /// 429: too many requests in this minute; nothing was done.
    #[error(
        "{call}: Cachet's rate limit is used up (HTTP 429{}): raise CACHET_API_RATE_LIMIT in Cachet if this happens \
         often", retry_after_text(*.retry_after)
    )]
    RateLimited {
        /// The call.
        call: String,
        /// Its `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// 503: Cachet is in maintenance (recording 408), or the proxy before it finds it not running; nothing was done.
    #[error(
        "{call}: Cachet is not available (HTTP 503{}): check that it is running, or end its maintenance mode \
         (php artisan up)", retry_after_text(*.retry_after)
    )]
    Unavailable {
        /// The call.
        call: String,
        /// Its `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// Another 5xx. What was asked for may have been done: releases of 2025 answer 500 to a change that they saved
    /// (2025-08: 131).
    #[error("{call}: Cachet failed (HTTP {status}{message}{}): see Cachet's own log", retry_after_text(*.retry_after))]
    Server {
        /// The call.
        call: String,
        /// The status of the answer.
        status: u16,
        /// What it said, if it was Cachet that said it: `: Server Error`.
        message: String,
        /// What `Retry-After` asked to wait, if it was sent.
        retry_after: Option<Duration>,
    },
    /// What answered does not speak Cachet's API.
    #[error(
        "{call}: this is not Cachet's API ({what}): check CACHET_API_URL, the whole base such as http://cachet/api"
    )]
    NotCachet {
        /// The call.
        call: String,
        /// The status of the answer.
        status: u16,
        /// What was found instead.
        what: String,
    },
}

impl Error {
    /// What it means for who called.
    fn failure(&self) -> Failure {
        let retry_after = self.retry_after();
        let is_read = |call: &str| call.starts_with("GET ");
        match self {
            Self::Settings { .. } | Self::Unreachable { .. } | Self::Unauthorized { .. } | Self::Unavailable { .. } => {
                Failure::Away { retry_after }
            }
            Self::RateLimited { .. } => Failure::RateLimited { retry_after },
            Self::Forbidden { .. } => Failure::Forbidden,
            Self::NotFound { .. } => Failure::NotFound,
            Self::Invalid { .. } => Failure::Refused,
            // It said that it did something, in words that we do not know.
            Self::NotCachet { status, .. } => Failure::NotThePage { done: (200..300).contains(status) },
            Self::NoAnswer { call, .. } => Failure::InDoubt { yet: true, of_a_read: is_read(call), retry_after },
            // Nobody has said that it was ended, and Cachet goes on with a request whose client, or whose proxy, has given
            // up. A 500 is Cachet's own word, and its last.
            Self::Server { call, status, .. } => {
                Failure::InDoubt { yet: *status != 500, of_a_read: is_read(call), retry_after }
            }
        }
    }

    /// What it says, whichever call it was and however long Cachet wants to be left alone: two errors of which this is
    /// the same are no news to somebody who has read of the first.
    fn news(&self) -> String {
        let mut news = self.clone();
        match &mut news {
            Self::Settings { .. } => {}
            Self::RateLimited { call, retry_after }
            | Self::Unavailable { call, retry_after }
            | Self::Server { call, retry_after, .. } => {
                call.clear();
                *retry_after = None;
            }
            Self::Unreachable { call, .. }
            | Self::NoAnswer { call, .. }
            | Self::Unauthorized { call }
            | Self::Forbidden { call, .. }
            | Self::NotFound { call }
            | Self::Invalid { call, .. }
            | Self::NotCachet { call, .. } => call.clear(),
        }
        news.to_string()
    }

    /// How long to wait because the answer had a `Retry-After`, from 1 to 600 s; `None` if it had none.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Unavailable { retry_after, .. }
            | Self::Server { retry_after, .. } => retry_after.map(|wait| wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER)),
            _ => None,
        }
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        Self { failure: error.failure(), message: error.to_string(), news: error.news() }
    }
}

/// The `Retry-After` of the answer for a message; empty if it had none.
fn retry_after_text(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(", Retry-After: {} s", wait.as_secs())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_call_it_was_and_how_long_to_wait_is_no_news() {
        let limited = |call: &str, seconds| Error::RateLimited {
            call: call.to_owned(),
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(limited("PUT /components/1", 59).news(), limited("POST /incidents", 3).news());
        let failed = |status| Error::Server {
            call: "PUT /components/1".to_owned(),
            status,
            message: String::new(),
            retry_after: None,
        };
        assert_ne!(failed(500).news(), failed(502).news());
    }

    #[test]
    fn an_error_says_when_to_come_back_only_if_the_answer_did() {
        let unavailable = |retry_after| Error::Unavailable { call: "PUT /components/1".to_owned(), retry_after };
        let limited = |retry_after| Error::RateLimited { call: "PUT /components/1".to_owned(), retry_after };
        let failed = |retry_after| Error::Server {
            call: "PUT /components/1".to_owned(),
            status: 502,
            message: String::new(),
            retry_after,
        };
        for error in [unavailable(None), limited(None), failed(None)] {
            assert_eq!(error.retry_after(), None);
            let text = error.to_string();
            assert!(!text.contains(" s)") && !text.contains("Retry-After"), "{text}");
        }
        for (sent_s, waited_s) in [(0, 1), (48, 48), (86_400, 600)] {
            let sent = Some(Duration::from_secs(sent_s));
            for error in [unavailable(sent), limited(sent), failed(sent)] {
                assert_eq!(error.retry_after(), Some(Duration::from_secs(waited_s)));
                assert!(error.to_string().contains(&format!(", Retry-After: {sent_s} s): ")), "{error}");
            }
        }
    }

    #[test]
    fn only_what_nobody_has_said_the_last_word_on_may_be_applied_yet() {
        let call = String::new;
        let failed =
            |status| PageError::from(Error::Server { call: call(), status, message: String::new(), retry_after: None });
        assert!(PageError::from(Error::NoAnswer { call: call(), reason: String::new() }).failure.may_be_applied_yet());
        assert!(failed(504).failure.may_be_applied_yet());
        assert!(!failed(500).failure.may_be_applied_yet() && failed(500).failure.may_have_been_applied());
        assert!(!PageError::from(Error::Unauthorized { call: call() }).failure.may_be_applied_yet());
    }

    #[test]
    fn a_read_that_got_no_answer_has_written_nothing() {
        let lost = |call: &str| PageError::from(Error::NoAnswer { call: call.to_owned(), reason: String::new() });
        assert!(!lost("GET /incidents/4").failure.may_have_been_applied());
        assert!(
            lost("POST /incidents/4/updates").failure.may_be_applied_yet()
                && lost("PUT /incidents/4").failure.may_be_applied_yet()
        );
    }
}
