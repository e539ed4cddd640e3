//! A moment on the command line: RFC 3339, or how long ago.

use std::str::FromStr;
use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::core::time::Timestamp;

/// A moment as it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A moment.
    At(Timestamp),
    /// So long ago. A day has 24 hours.
    Ago(Duration),
}

/// A text is no moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no moment: give an RFC 3339 time, as in 2026-11-21T02:00:00Z, or how long ago, as in 7d, 36h or 1h30m")]
pub struct WhenError;

impl When {
    /// The moment, if it is `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(moment) => moment,
            Self::Ago(span) => now.before(span),
        }
    }
}

impl FromStr for When {
    type Err = WhenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(moment) = Timestamp::parse_rfc3339(text) {
            return Ok(Self::At(moment));
        }
        let span: Span = text.parse().map_err(|_| WhenError)?;
        let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| WhenError)?;
        Duration::try_from(span).map(Self::Ago).map_err(|_| WhenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn a_moment_is_a_time_or_how_long_ago() {
        let now = Timestamp::parse_rfc3339("2026-11-21T02:00:00Z").expect("a time");
        for (text, moment) in [
            ("2026-11-14T02:00:00Z", "2026-11-14T02:00:00Z"),
            ("2026-11-14T03:00:00+01:00", "2026-11-14T02:00:00Z"),
            ("7d", "2026-11-14T02:00:00Z"),
            ("1w", "2026-11-14T02:00:00Z"),
            ("1h30m", "2026-11-21T00:30:00Z"),
            ("0s", "2026-11-21T02:00:00Z"),
        ] {
            let when: When = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(when.at(now).to_string(), moment, "{text}");
        }
        assert_eq!("36h".parse(), Ok(When::Ago(Duration::from_secs(36 * HOUR))));
    }

    #[test]
    fn what_is_no_moment_is_refused_with_examples() {
        for text in ["", "yesterday", "7", "-7d", "7d ago", "1mo", "2026-11-14", "2026-11-14T02:00:00"] {
            let error = text.parse::<When>().expect_err(text);
            assert!(error.to_string().contains("as in 7d"), "{text}");
        }
    }
}
