//! Moments and spans, in whole milliseconds: the unit of every stored time.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// A moment: milliseconds since the Unix epoch.
///
/// Alertmanager sends nanoseconds; both members of an HA pair send the same `startsAt`, so cutting it to milliseconds
/// keeps equal times equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `milliseconds` after the Unix epoch.
    pub const fn from_millis(milliseconds: i64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads RFC 3339 with any fraction and offset.
    ///
    /// # Errors
    /// When `text` is no RFC 3339 time with an offset; the message says what is wrong with it.
    pub fn parse_rfc3339(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|moment| Self(moment.as_millisecond()))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The moment `span` later, at most the last one that can be told.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The moment without its fraction of a second.
    pub const fn cut_to_seconds(self) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(1000)))
    }

    /// The moment `span` earlier, at least the first one that can be told.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// RFC 3339 in UTC, to the second where there is no fraction: `2026-11-21T01:54:29.434Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// As it is displayed.
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_any_length_is_cut_to_milliseconds() {
        let short = Timestamp::parse_rfc3339("2026-11-21T01:54:29.434Z").expect("valid");
        let long = Timestamp::parse_rfc3339("2026-11-21T02:54:29.434999999+01:00").expect("valid");
        assert_eq!(short, long);
        assert_eq!(short.to_string(), "2026-11-21T01:54:29.434Z");
    }

    #[test]
    fn a_fraction_of_a_second_is_cut_off_before_and_after_the_epoch() {
        for (millis, cut) in [(1999, 1000), (1000, 1000), (0, 0), (-1, -1000)] {
            assert_eq!(Timestamp::from_millis(millis).cut_to_seconds(), Timestamp::from_millis(cut));
        }
    }

    #[test]
    fn the_zero_time_of_go_is_a_time() {
        assert!(Timestamp::parse_rfc3339("0001-01-01T00:00:00Z").is_ok());
    }

    #[test]
    fn time_that_ran_backwards_is_no_time_at_all() {
        let later = Timestamp::from_millis(5);
        assert_eq!(Timestamp::from_millis(1).since(later), Duration::ZERO);
        assert_eq!(later.since(Timestamp::from_millis(1)), Duration::from_millis(4));
        assert_eq!(later.after(Duration::MAX), Timestamp::from_millis(i64::MAX));
        assert_eq!(Timestamp::from_millis(-2).before(Duration::MAX), Timestamp::from_millis(i64::MIN));
    }
}
