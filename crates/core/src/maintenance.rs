//! Announced maintenance: which components are under it, and when that may change.
//!
//! Whether a maintenance is in progress is for Cachet to say, by its own clock, at the moment when it is asked. The
//! times that it tells come without a zone (that of the installation, which nothing tells), so they are not compared
//! with ours. But every zone is a whole number of quarters of an hour away from UTC: a maintenance that ends at 02:10
//! somewhere ends ten minutes past a quarter everywhere. Those are the moments at which it is worth asking again.

use super::observed::{ComponentId, Maintenance};
use super::time::Timestamp;

/// All offsets of time zones from UTC are multiples of it, in milliseconds.
const ZONE_STEP_MS: i64 = 15 * 60 * 1000;

/// How long after its end a maintenance is asked about, in milliseconds: Cachet tells ends to the second and counts the
/// last one in, and its clock may be a little behind ours.
const MARGIN_MS: i64 = 1000;

/// The maintenance in progress that the component is under; of several, the first.
pub(crate) fn of_component(maintenance: &[Maintenance], component: ComponentId) -> Option<&Maintenance> {
    maintenance.iter().find(|one| one.components.contains(&component))
}

/// The next moment after `asked_at` at which one of them may be over by the clock, whatever zone its end is in; `None`
/// if all of them last until somebody ends them.
pub fn may_change_at(maintenance: &[Maintenance], asked_at: Timestamp) -> Option<Timestamp> {
    maintenance.iter().filter_map(|one| one.may_end_at(asked_at)).min()
}

impl Maintenance {
    /// The next moment after `asked_at` at which it may be over by the clock, at most a quarter of an hour later.
    pub(crate) fn may_end_at(&self, asked_at: Timestamp) -> Option<Timestamp> {
        let end_ms = self.ends_if_utc_ms?.saturating_add(MARGIN_MS);
        let past_ms = asked_at.as_millis().saturating_sub(end_ms).rem_euclid(ZONE_STEP_MS);
        Some(Timestamp::from_millis(asked_at.as_millis().saturating_add(ZONE_STEP_MS - past_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    fn until(end: Option<&str>) -> Maintenance {
        let ends_if_utc_ms = end.map(|end| at(end).as_millis());
        Maintenance { name: "Switch".to_owned(), components: vec![ComponentId(3)], ends_if_utc_ms }
    }

    #[test]
    fn the_end_is_asked_for_at_its_second_whatever_zone_it_is_told_in() {
        let asked_at = at("2026-11-21T01:30:00Z");
        // told by clocks in UTC, Kathmandu (+05:45), St. John's (-03:30) and on Kiritimati (+14:00)
        for told in ["2026-11-21T02:10:00Z", "2026-11-21T07:55:00Z", "2026-11-20T22:40:00Z", "2026-11-21T16:10:00Z"] {
            let mut moment = asked_at;
            let moments = std::iter::from_fn(|| {
                moment = until(Some(told)).may_end_at(moment)?;
                Some(moment)
            });
            let moments: Vec<String> = moments.take(3).map(|moment| moment.to_string()).collect();
            let expected = ["2026-11-21T01:40:01Z", "2026-11-21T01:55:01Z", "2026-11-21T02:10:01Z"];
            assert_eq!(moments, expected, "{told}");
        }
    }

    #[test]
    fn the_next_moment_is_never_now() {
        let maintenance = until(Some("2026-11-21T02:10:00Z"));
        assert_eq!(maintenance.may_end_at(at("2026-11-21T02:10:01Z")), Some(at("2026-11-21T02:25:01Z")));
        assert_eq!(maintenance.may_end_at(at("2026-11-21T02:10:00.999Z")), Some(at("2026-11-21T02:10:01Z")));
    }

    #[test]
    fn what_somebody_has_to_end_changes_at_no_time() {
        let asked_at = at("2026-11-21T01:30:00Z");
        assert_eq!(may_change_at(&[until(None)], asked_at), None);
        let both = [until(None), until(Some("2026-11-21T02:10:00Z"))];
        assert_eq!(may_change_at(&both, asked_at), Some(at("2026-11-21T01:40:01Z")));
    }

    #[test]
    fn a_component_is_under_the_maintenance_that_names_it() {
        let maintenance = [until(None)];
        assert_eq!(of_component(&maintenance, ComponentId(3)), Some(&maintenance[0]));
        assert_eq!(of_component(&maintenance, ComponentId(4)), None);
    }
}
