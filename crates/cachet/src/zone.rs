//! The time zone of this Cachet, as an offset from UTC.
//!
//! Releases of 2025 show times in the time zone of the installation, and never say which zone that is. They also read the
//! times that they are sent as local, and ignore the offset in them (2025-08: 215). But the answer to a write has the local
//! time of that write, and the header `Date` has the time of the answer in UTC. The difference is the offset of the zone.

use std::fmt;

use reqwest::header::DATE;
use reqwest::header::HeaderMap;

use alertmanager_cachet_core::time::Timestamp;

/// Every UTC offset in use is a multiple of 15 minutes (IANA time zone database).
const STEP_MS: i64 = 15 * 60 * 1000;

/// The largest UTC offset: +14:00, on Kiritimati. The most negative one is -12:00 (IANA time zone database).
const MAX_OFFSET_MS: i64 = 14 * 60 * 60 * 1000;

/// How much later than the write its answer may be, clock differences included. A time that is further from a multiple of
/// [`STEP_MS`] was not set by that write.
const MAX_AGE_MS: i64 = 60 * 1000;

/// How far local time is ahead of UTC, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset(i64);

impl Offset {
    pub(super) const UTC: Self = Self(0);

    /// The offset of a clock that showed `local` (parsed as UTC) at `moment`, give or take a minute. `None` if no time zone
    /// has that offset.
    pub(super) fn between(local: Timestamp, moment: Timestamp) -> Option<Self> {
        let ahead_ms = local.as_millis().checked_sub(moment.as_millis())?;
        let nearest_ms = ahead_ms.checked_add(STEP_MS / 2)?.div_euclid(STEP_MS) * STEP_MS;
        let is_zone = nearest_ms.abs() <= MAX_OFFSET_MS && (ahead_ms - nearest_ms).abs() <= MAX_AGE_MS;
        is_zone.then_some(Self(nearest_ms))
    }

    /// The local time at `moment`, as a [`Timestamp`] that reads as UTC. It is one hour off for a moment before the last
    /// change to or from summer time: this is the current offset, and the name of the zone is unknown.
    pub(super) fn local(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_millis(moment.as_millis().saturating_add(self.0))
    }

    /// The moment at which the local time is `local`.
    pub(super) fn moment(self, local: Timestamp) -> Timestamp {
        Timestamp::from_millis(local.as_millis().saturating_sub(self.0))
    }
}

/// `UTC+05:45`.
impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, minutes) = (if self.0 < 0 { '-' } else { '+' }, self.0.abs() / 60_000);
        write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

/// When an answer was made: its header `Date`, by the server's clock. Without that header, the time now.
pub(super) fn answered_at(headers: &HeaderMap) -> Timestamp {
    let date = headers.get(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    let moment = date.map_or_else(jiff::Timestamp::now, |date| date.timestamp());
    Timestamp::from_millis(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn between(local: &str, moment: &str) -> Option<String> {
        Offset::between(at(local), at(moment)).map(|offset| offset.to_string())
    }

    #[test]
    fn the_offset_is_a_whole_number_of_quarters_of_an_hour_as_zones_have_it() {
        let moment = "2026-11-21T02:00:15Z";
        for (local, offset) in [
            ("2026-11-21T02:00:14Z", "UTC+00:00"),
            ("2026-11-21T07:45:00Z", "UTC+05:45"),
            ("2026-11-20T22:30:01Z", "UTC-03:30"),
            ("2026-11-21T16:00:15Z", "UTC+14:00"),
            ("2026-11-20T14:00:15Z", "UTC-12:00"),
            // the clocks disagree
            ("2026-11-21T03:01:15Z", "UTC+01:00"),
            ("2026-11-21T02:59:15Z", "UTC+01:00"),
        ] {
            assert_eq!(between(local, moment).as_deref(), Some(offset), "{local}");
        }
    }

    #[test]
    fn a_time_that_the_write_did_not_set_gives_no_offset() {
        let moment = "2026-11-21T02:00:15Z";
        for local in ["2026-11-21T03:07:00Z", "2026-11-21T03:01:16Z", "2026-11-21T16:15:15Z", "2026-11-06T02:00:15Z"] {
            assert_eq!(between(local, moment), None, "{local}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert_eq!(Offset::between(Timestamp::from_millis(extreme), at(moment)), None);
            assert_eq!(Offset::between(at(moment), Timestamp::from_millis(extreme)), None);
        }
    }

    #[test]
    fn a_moment_converted_to_local_time_and_back_is_the_same() {
        let moment = at("2026-11-21T23:00:00Z");
        let offset = Offset::between(at("2026-11-22T04:45:00Z"), moment).expect("Kathmandu");
        assert_eq!(offset.local(moment), at("2026-11-22T04:45:00Z"));
        assert_eq!(offset.moment(offset.local(moment)), moment);
    }

    #[test]
    fn the_time_of_an_answer_is_that_of_its_date_header_or_now() {
        let dated = |date| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        assert_eq!(answered_at(&dated("Sat, 21 Nov 2026 02:06:50 GMT")), at("2026-11-21T02:06:50Z"));
        let before = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        for headers in [HeaderMap::new(), dated("yesterday")] {
            assert!(answered_at(&headers) >= before, "{headers:?}");
        }
    }
}
