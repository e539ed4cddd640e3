//! The limit on stored alerts: which new alerts are not stored.

use super::alert::{AlertRecord, AlertState};

/// The default of `max_stored_alerts`: how many alerts are stored at most.
pub const DEFAULT_MAX_ALERTS: u32 = 100_000;

/// The alerts of `new` that are not stored if only `room` more fit. `new` is in order of arrival.
///
/// Resolved alerts are refused first: if they were stored, they would be the first to be forgotten. Then the latest
/// arrivals are refused.
pub fn refused<'a>(new: &[&'a AlertRecord], room: usize) -> Vec<&'a AlertRecord> {
    let is_resolved = |record: &&&AlertRecord| record.state == AlertState::Resolved;
    let unresolved = new.iter().filter(|record| !is_resolved(record));
    let resolved = new.iter().filter(is_resolved);
    unresolved.chain(resolved).skip(room).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::super::alert::Fingerprint;
    use super::super::target::{ComponentList, Target};
    use super::super::time::Timestamp;
    use super::*;

    fn record(name: &str, state: AlertState) -> AlertRecord {
        let now = Timestamp::from_millis(1);
        AlertRecord {
            fingerprint: Fingerprint::of_text(name),
            name: name.to_owned(),
            target: Target::new("a", ComponentList::parse("Web").names).expect("a target"),
            critical: false,
            starts_at: now,
            reported_starts_at: now,
            state,
            ends_at: None,
            last_seen_at: now,
        }
    }

    #[test]
    fn the_resolved_are_refused_first_and_then_those_that_came_last() {
        let new = [
            record("resolved", AlertState::Resolved),
            record("first", AlertState::Firing),
            record("second", AlertState::Firing),
        ];
        let new: Vec<&AlertRecord> = new.iter().collect();
        let names = |room| refused(&new, room).iter().map(|record| record.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(4), [""; 0]);
        assert_eq!(names(3), [""; 0]);
        assert_eq!(names(2), ["resolved"]);
        assert_eq!(names(1), ["second", "resolved"]);
        assert_eq!(names(0), ["first", "second", "resolved"]);
    }
}
