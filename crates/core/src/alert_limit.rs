//! The limit on stored alerts: which are forgotten for new ones, and which new ones are not stored.

use std::collections::BTreeSet;

use super::alert::{AlertRecord, AlertState};
use super::target::TargetName;

/// The default of `max_stored_alerts`: how many alerts are stored at most.
pub const DEFAULT_MAX_ALERTS: u32 = 100_000;

/// New alerts, by whether they need room of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct NewAlerts<'a> {
    /// The first alert of the target and name of an inherited one. It takes that one's place
    /// ([`super::inherit::superseded`]) and is always stored.
    pub replacing: Vec<&'a AlertRecord>,
    /// The others, which are stored within the limit.
    pub additional: Vec<&'a AlertRecord>,
}

impl<'a> NewAlerts<'a> {
    /// Divides `new` alerts, in order of arrival, where `inherited` ones are stored.
    pub fn divide(new: Vec<&'a AlertRecord>, inherited: &[AlertRecord]) -> Self {
        let key = |record: &AlertRecord| (record.target.name(), record.name.clone());
        let mut places: BTreeSet<(TargetName, String)> = inherited.iter().map(key).collect();
        let (replacing, additional) =
            new.into_iter().partition(|record| !places.is_empty() && places.remove(&key(record)));
        Self { replacing, additional }
    }

    /// How many resolved alerts have to be forgotten to store all of them beside `stored` ones, `max` at most. The ones
    /// that were heard of least recently go first.
    pub fn excess(&self, stored: usize, max: usize) -> usize {
        // Without a new alert, a lowered limit forgets nothing.
        if self.additional.is_empty() { 0 } else { (stored + self.additional.len()).saturating_sub(max) }
    }
}

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
    fn one_new_alert_takes_the_place_of_an_inherited_one_and_the_others_need_room() {
        let inherited = [record("a", AlertState::Inherited), record("b", AlertState::Inherited)];
        let twin = AlertRecord { fingerprint: Fingerprint::of_text("twin"), ..record("a", AlertState::Firing) };
        let new = [record("c", AlertState::Firing), record("a", AlertState::Resolved), twin];
        let divided = NewAlerts::divide(new.iter().collect(), &inherited);
        assert_eq!(divided, NewAlerts { replacing: vec![&new[1]], additional: vec![&new[0], &new[2]] });
        assert_eq!((divided.excess(5, 7), divided.excess(5, 6), divided.excess(9, 6)), (0, 1, 5));
        let nothing_new = NewAlerts::divide(vec![&new[1]], &inherited);
        assert_eq!(nothing_new.excess(9, 6), 0, "a lowered limit alone forgets nothing");
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
