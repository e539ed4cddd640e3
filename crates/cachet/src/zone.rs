//! In which time zone this Cachet tells the time.
//!
//! Releases of 2025 tell times in the time zone of the installation, take those that are sent to be in it whatever
//! offset they carry (2025-08: 215), and say nowhere which one it is. But an answer to a write tells when that was done,
//! and beside it stands what time it is: the difference is the zone's offset from UTC.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::DATE;

use super::client::Cachet;
use alertmanager_cachet_core::time::Timestamp;

/// All offsets of time zones from UTC are multiples of it.
const STEP_MS: i64 = 15 * 60 * 1000;

/// The largest one, on Kiritimati; in the other direction none is larger.
const MAX_OFFSET_MS: i64 = 14 * 60 * 60 * 1000;

/// How long before its answer a write was done at most, and how far clocks disagree. What is further from a multiple of
/// [`STEP_MS`] was not dated by that write.
const MAX_AGE_MS: i64 = 60 * 1000;

/// How far local time is ahead of UTC, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset(i64);

impl Offset {
    const UTC: Self = Self(0);

    /// The offset of a clock that showed `local` (read as if in UTC) at `moment`, or up to a minute before it or after
    /// it; `None` if there is no such zone.
    pub(super) fn between(local: Timestamp, moment: Timestamp) -> Option<Self> {
        let ahead_ms = local.as_millis().checked_sub(moment.as_millis())?;
        let nearest_ms = ahead_ms.checked_add(STEP_MS / 2)?.div_euclid(STEP_MS) * STEP_MS;
        let is_one = nearest_ms.abs() <= MAX_OFFSET_MS && (ahead_ms - nearest_ms).abs() <= MAX_AGE_MS;
        is_one.then_some(Self(nearest_ms))
    }

    /// What the clocks of this zone show at `moment`, as if in UTC. For a moment before summer time began or ended that is
    /// an hour off: the offset is that of now, and the name of the zone is not known.
    pub(super) fn local(self, moment: Timestamp) -> Timestamp {
        Timestamp::from_millis(moment.as_millis().saturating_add(self.0))
    }

    /// The moment at which the clocks of this zone show `local`.
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

/// The time that the machine's clock shows.
fn now() -> Timestamp {
    Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
}

/// What time it was where an answer was made, by its own clock where it tells it: that of who wrote the answer.
pub(super) fn answered_at(headers: &HeaderMap) -> Timestamp {
    let date = headers.get(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
    date.map_or_else(now, |date| Timestamp::from_millis(date.timestamp().as_millisecond()))
}

impl Cachet {
    /// The offset of this Cachet's time zone, as its last write told; `None` if none has told yet.
    pub(super) fn offset(&self) -> Option<Offset> {
        *self.lock_offset()
    }

    /// Learns from the answer to a write that was done at `local`. Each write tells anew, for summer time begins and ends.
    pub(super) fn learn_offset(&self, local: Option<Timestamp>, headers: &HeaderMap) {
        let learned = local.and_then(|local| Offset::between(local, answered_at(headers)));
        let Some(offset) = learned else { return };
        let before = self.lock_offset().replace(offset).unwrap_or(Offset::UTC);
        // With meta nothing depends on it.
        if before != offset && self.capabilities().get().is_some_and(|known| !known.meta) {
            tracing::info!("Cachet tells times in {offset}");
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

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
    fn a_time_that_no_write_has_just_set_tells_no_offset() {
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
    fn an_offset_leads_there_and_back() {
        let moment = at("2026-11-21T23:00:00Z");
        let offset = Offset::between(at("2026-11-22T04:45:00Z"), moment).expect("Kathmandu");
        assert_eq!(offset.local(moment), at("2026-11-22T04:45:00Z"));
        assert_eq!(offset.moment(offset.local(moment)), moment);
    }

    #[test]
    fn the_time_of_an_answer_is_its_own_where_it_tells_it() {
        let told = |date| HeaderMap::from_iter([(DATE, HeaderValue::from_static(date))]);
        assert_eq!(answered_at(&told("Sat, 21 Nov 2026 02:06:50 GMT")), at("2026-11-21T02:06:50Z"));
        let before = now();
        for headers in [HeaderMap::new(), told("yesterday")] {
            assert!(answered_at(&headers) >= before, "{headers:?}");
        }
    }
}
