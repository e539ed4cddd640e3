//! Which events are forgotten once they are older than `history_days`, and which outlive it.
//!
//! What began before the limit and is not over stays. Otherwise nobody would know what was shown since, and the history
//! could not be replayed.

use std::collections::{BTreeMap, BTreeSet};

use super::{About, AlertEventKind, Event, EventKind};

/// Events that end or replace one another: only the latest of a sequence says what is the case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sequence {
    /// The status of a component.
    Status,
    /// The override of a component.
    Override,
    /// Whether the watchdog is missing.
    Watchdog,
}

/// What an event says of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on until the next one.
    Ongoing,
    /// Something is over with it.
    Over,
}

impl AlertEventKind {
    /// Whether the alert goes on after it.
    pub fn standing(self) -> Standing {
        match self {
            Self::Fired | Self::Refired | Self::Confirmed => Standing::Ongoing,
            Self::Resolved | Self::Withdrawn => Standing::Over,
        }
    }
}

impl Sequence {
    /// The sequence of events with this word ([`EventKind::word`]), and what such an event says of it. `None`: it is over at
    /// once.
    pub fn of_word(word: &str) -> Option<(Self, Standing)> {
        match word {
            "status" => Some((Self::Status, Standing::Ongoing)),
            "held" => Some((Self::Override, Standing::Ongoing)),
            "released" | "hold_expired" => Some((Self::Override, Standing::Over)),
            "watchdog_missing" => Some((Self::Watchdog, Standing::Ongoing)),
            "watchdog_heard" => Some((Self::Watchdog, Standing::Over)),
            _ => None,
        }
    }
}

/// The numbers of the rows to forget among `old` ones: all but the last of each sequence that is ongoing.
///
/// Each row has its number, its sequence if it is part of one, and what it says of it. They come in the order in which
/// they were kept.
pub fn forgotten<K: Ord>(old: impl IntoIterator<Item = (i64, Option<K>, Standing)>) -> Vec<i64> {
    let mut forgotten = Vec::new();
    let mut last: BTreeMap<K, i64> = BTreeMap::new();
    for (row, sequence, standing) in old {
        match (sequence, standing) {
            (None, _) => forgotten.push(row),
            (Some(sequence), Standing::Ongoing) => forgotten.extend(last.insert(sequence, row)),
            (Some(sequence), Standing::Over) => {
                forgotten.extend(last.remove(&sequence));
                forgotten.push(row);
            }
        }
    }
    forgotten
}

/// What was found out since the status of its component last changed, so that it is not reported again after a restart:
/// a person's changes, and incidents that a maintenance suppresses. `events` come in the order in which they were kept.
pub fn findings(events: impl IntoIterator<Item = Event>) -> BTreeSet<(About, EventKind)> {
    let mut findings: BTreeMap<About, BTreeSet<EventKind>> = BTreeMap::new();
    for Event { about, kind, .. } in events {
        match kind {
            EventKind::Status { .. } => drop(findings.remove(&about)),
            EventKind::StatusOverridden { .. }
            | EventKind::IncidentClosedByPerson { .. }
            | EventKind::IncidentSuppressed { .. } => {
                findings.entry(about).or_default().insert(kind);
            }
            _ => {}
        }
    }
    findings
        .into_iter()
        .flat_map(|(about, events)| events.into_iter().map(move |event| (about.clone(), event)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::observed::IncidentId;
    use super::super::super::status::ComponentStatus;
    use super::super::super::target::ComponentName;
    use super::super::super::time::Timestamp;
    use super::*;

    #[test]
    fn the_last_of_what_is_ongoing_stays_and_all_else_is_forgotten() {
        use Standing::{Ongoing, Over};
        let old = [
            (1, Some("a"), Ongoing),
            (2, Some("b"), Ongoing),
            (3, None, Over),
            (4, Some("a"), Ongoing),
            (5, Some("b"), Over),
            (6, Some("c"), Over),
        ];
        // In the order in which it turns out.
        assert_eq!(forgotten(old), [3, 1, 2, 5, 6]);
        let again = [(1, Some("a"), Ongoing), (2, Some("a"), Over), (3, Some("a"), Ongoing)];
        assert_eq!(forgotten(again), [1, 2]);
    }

    #[test]
    fn every_event_of_a_sequence_is_known_by_its_word() {
        use Standing::{Ongoing, Over};
        let status = ComponentStatus::Operational;
        let held = EventKind::OverrideSet { status, until_ms: 0, user: String::new(), note: String::new() };
        for (event, expected) in [
            (EventKind::Status { from: None, to: None }, Some((Sequence::Status, Ongoing))),
            (held, Some((Sequence::Override, Ongoing))),
            (EventKind::OverrideEnded { user: String::new() }, Some((Sequence::Override, Over))),
            (EventKind::OverrideExpired, Some((Sequence::Override, Over))),
            (EventKind::WatchdogMissing { since_ms: 0 }, Some((Sequence::Watchdog, Ongoing))),
            (EventKind::WatchdogHeard, Some((Sequence::Watchdog, Over))),
            (EventKind::NotRunning { since_ms: 0 }, None),
            (EventKind::WritableAgain, None),
        ] {
            assert_eq!(Sequence::of_word(event.word()), expected, "{event}");
        }
        assert_eq!((AlertEventKind::Refired.standing(), AlertEventKind::Withdrawn.standing()), (Ongoing, Over));
    }

    #[test]
    fn a_new_status_makes_findings_news_again() {
        let component = |name: &str| About::Component(ComponentName::try_from(name).expect("a name"));
        let happened = |about: &About, event: &EventKind| Event {
            at: Timestamp::from_millis(0),
            about: about.clone(),
            kind: event.clone(),
        };
        let (web, shop) = (component("Web"), component("Shop"));
        let status = EventKind::Status { from: None, to: Some(ComponentStatus::MajorOutage) };
        let closed = EventKind::IncidentClosedByPerson { incident: IncidentId(3) };
        let suppressed = EventKind::IncidentSuppressed { maintenance: "Move".to_owned() };
        let found = findings([
            happened(&web, &closed),
            happened(&shop, &closed),
            happened(&web, &status),
            happened(&web, &suppressed),
            happened(&shop, &EventKind::WritableAgain),
        ]);
        assert_eq!(found, BTreeSet::from([(shop, closed), (web, suppressed)]));
    }
}
