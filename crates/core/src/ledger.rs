//! The ledger: what was last written to each component of the page, and what of it is in doubt.
//!
//! Each visible component and each target's own component has one row. The row is stored in doubt before a call, and
//! confirmed after the answer. While it is in doubt, what the page shows decides.
//!
//! A page may carry out a write long after its client gave up, and after something newer was written. That looks as if a
//! person had done it. So each row keeps the values that were sent without an answer: where the page shows exactly one of
//! them, that write was carried out late, and the recorded value is written again, once for each such write. Any other
//! value was set by a person.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::observed::{ComponentId, ObservedComponent};
use super::status::ComponentStatus;
use super::status_page::Failure;
use super::target::{ComponentName, TargetName};
use super::time::Timestamp;

/// How long after it was sent a write may be carried out. Web servers and PHP end a request sooner.
pub const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(3600);

/// How many values without an answer a row keeps. Of more, the oldest is forgotten: a page that answers so seldom is left
/// alone between two attempts anyway.
const UNANSWERED_MAX: usize = 64;

/// What a write is about: one write at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKey {
    /// A visible component.
    Component(ComponentName),
    /// The incident of a component's outage.
    Incident(ComponentName),
    /// The incident that says that monitoring data is missing.
    MonitoringIncident,
    /// A target's own component.
    Target(TargetName),
}

/// As the log names it.
impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name:?}"),
            Self::Incident(name) => write!(f, "incident of component {name:?}"),
            Self::MonitoringIncident => f.write_str("incident of the monitoring"),
            Self::Target(name) => write!(f, "target component {name:?}"),
        }
    }
}

/// What is written to a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentValue {
    /// Its status.
    pub status: ComponentStatus,
    /// Its description, which is written to a target's own component only.
    pub description: Option<String>,
}

/// Whether the recorded value is known to be on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent, or was about to be, and no answer is known.
    InDoubt {
        /// When it was sent, or failed in a way after which it may yet be carried out.
        since: Timestamp,
    },
    /// The page answered that it did, or shows it.
    Confirmed,
}

/// A value of a component that was sent without an answer. For incidents see
/// [`UnansweredWrite`](super::plan::UnansweredWrite).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// The value.
    pub value: ComponentValue,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// What was last written to a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The component's number; `None` while it is being made. One that was made anew has another number.
    pub page_id: Option<ComponentId>,
    /// The value.
    pub value: ComponentValue,
    /// Whether the page is known to have it.
    pub delivery: Delivery,
    /// Values that the page may carry out yet, in the order in which they were sent.
    pub unanswered: Vec<Unanswered>,
}

/// One row for each component that was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger(BTreeMap<ResourceKey, Recorded>);

impl ComponentValue {
    /// The value of a visible component.
    pub const fn of_component(status: ComponentStatus) -> Self {
        Self { status, description: None }
    }

    /// The value of a target's own component.
    pub const fn of_target(status: ComponentStatus, description: String) -> Self {
        Self { status, description: Some(description) }
    }

    /// Whether a component shows it.
    pub fn is_shown_by(&self, component: &ObservedComponent) -> bool {
        component.status == Some(self.status)
            && (self.description.is_none() || component.description == self.description)
    }
}

impl Recorded {
    /// A confirmed value.
    pub const fn confirmed(page_id: ComponentId, value: ComponentValue) -> Self {
        Self { page_id: Some(page_id), value, delivery: Delivery::Confirmed, unanswered: Vec::new() }
    }

    /// Whether the page is known to have the value.
    pub fn is_confirmed(&self) -> bool {
        self.delivery == Delivery::Confirmed
    }

    /// The write that was carried out after something newer, if that is what the component shows.
    pub fn late(&self, shown: &ObservedComponent) -> Option<&Unanswered> {
        let is_late = |sent: &&Unanswered| sent.value != self.value && sent.value.is_shown_by(shown);
        self.unanswered.iter().find(is_late).filter(|_| self.is_confirmed() && self.page_id == Some(shown.id))
    }

    /// The value is sent at `now`. If it is `late`, the row has it already, and it is only sent again.
    fn send(&mut self, page_id: Option<ComponentId>, value: ComponentValue, now: Timestamp, late: bool) {
        if self.page_id != page_id {
            // The component was made anew.
            self.unanswered.clear();
        }
        self.unanswered.push(Unanswered { value: value.clone(), sent_at: now });
        if self.unanswered.len() > UNANSWERED_MAX {
            self.unanswered.remove(0);
        }
        if !late {
            (self.page_id, self.value, self.delivery) = (page_id, value, Delivery::InDoubt { since: now });
        }
    }

    /// Forgets one value that was sent without an answer.
    fn forget(&mut self, value: &ComponentValue, sent_at: Timestamp) {
        let is_it = |sent: &Unanswered| sent.value == *value && sent.sent_at == sent_at;
        if let Some(place) = self.unanswered.iter().rposition(is_it) {
            self.unanswered.remove(place);
        }
    }

    /// The page shows the recorded value: it is confirmed, and the write that was in doubt was carried out.
    pub fn confirm_shown(&self) -> Self {
        let mut confirmed = Self { delivery: Delivery::Confirmed, ..self.clone() };
        if let Delivery::InDoubt { since } = self.delivery {
            confirmed.forget(&self.value, since);
        }
        confirmed
    }

    /// Without the values that are not to be expected any more, now that the page was read at `read_at` and shows `shown`.
    /// `None` if there are none.
    ///
    /// What is carried out while the page cannot be read is seen only afterwards, so time alone ends nothing.
    fn without_expired(&self, shown: Option<&ObservedComponent>, read_at: Timestamp) -> Option<Self> {
        let late = shown.and_then(|shown| self.late(shown)).cloned();
        let mut kept = self.clone();
        kept.unanswered.retain(|sent| {
            read_at < sent.sent_at.after(CARRIED_OUT_WITHIN)
                || late.as_ref().is_some_and(|late| late.value == sent.value)
        });
        (kept != *self).then_some(kept)
    }
}

impl Ledger {
    /// The row of a resource.
    pub fn get(&self, key: &ResourceKey) -> Option<&Recorded> {
        self.0.get(key)
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = (&ResourceKey, &Recorded)> {
        self.0.iter()
    }

    /// All rows, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&ResourceKey, &mut Recorded)> {
        self.0.iter_mut()
    }

    /// The visible components that have a row.
    pub fn components(&self) -> impl Iterator<Item = (&ComponentName, &Recorded)> {
        self.0.iter().filter_map(|(key, row)| match key {
            ResourceKey::Component(name) => Some((name, row)),
            _ => None,
        })
    }

    /// The targets whose own component has a row.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetName, &Recorded)> {
        self.0.iter().filter_map(|(key, row)| match key {
            ResourceKey::Target(name) => Some((name, row)),
            _ => None,
        })
    }

    /// Replaces the row of a resource, or removes it.
    pub fn set(&mut self, key: ResourceKey, row: Option<Recorded>) {
        match row {
            Some(row) => drop(self.0.insert(key, row)),
            None => drop(self.0.remove(&key)),
        }
    }

    /// The row of a resource once `value` is sent to it at `now`. With `late`, the value is the recorded one, and is sent
    /// again because the page carried out an older one.
    pub fn sent(
        &self,
        key: &ResourceKey,
        page_id: Option<ComponentId>,
        value: &ComponentValue,
        late: bool,
        now: Timestamp,
    ) -> Recorded {
        let blank = || Recorded {
            page_id,
            value: value.clone(),
            delivery: Delivery::InDoubt { since: now },
            unanswered: Vec::new(),
        };
        let mut row = self.get(key).cloned().unwrap_or_else(blank);
        row.send(page_id, value.clone(), now, late);
        row
    }

    /// The row of a resource once the page has answered that it carried out the write of `value`, sent at `sent_at`. It
    /// shows `written` then, and `late` is undone.
    pub fn answered(
        &self,
        key: &ResourceKey,
        page_id: ComponentId,
        (value, sent_at): (&ComponentValue, Timestamp),
        written: ComponentValue,
        late: Option<&Unanswered>,
    ) -> Recorded {
        let mut row = self.get(key).cloned().unwrap_or_else(|| Recorded::confirmed(page_id, written.clone()));
        if row.page_id != Some(page_id) {
            // It was made now: what earlier creates may make yet are other components.
            row.unanswered.clear();
        }
        row.forget(value, sent_at);
        if let Some(late) = late {
            row.forget(&late.value, late.sent_at);
        }
        (row.page_id, row.value, row.delivery) = (Some(page_id), written, Delivery::Confirmed);
        row
    }

    /// The row of a resource once the write of `value`, sent at `sent_at`, has failed as `failure` says, or was not sent at
    /// all (`None`). The result is `None` if there is nothing left to remember.
    pub fn failed(
        &self,
        key: &ResourceKey,
        (value, sent_at): (&ComponentValue, Timestamp),
        failure: Option<Failure>,
        now: Timestamp,
    ) -> Option<Recorded> {
        let mut row = self.get(key)?.clone();
        match failure {
            Some(Failure::InDoubt { yet: true, of_a_read: false, .. }) => {
                if row.page_id.is_none() {
                    row.delivery = Delivery::InDoubt { since: now };
                }
            }
            Some(Failure::InDoubt { of_a_read: false, .. } | Failure::NotThePage { done: true }) => {
                // That was the page's last word: it is done already, or never will be.
                row.forget(value, sent_at);
                if row.page_id.is_none() {
                    row.delivery = Delivery::InDoubt { since: Timestamp::from_millis(0) };
                }
            }
            _ => {
                row.forget(value, sent_at);
                // Nothing was made, and nothing else is being made.
                if row.page_id.is_none() && row.unanswered.is_empty() {
                    return None;
                }
            }
        }
        Some(row)
    }

    /// The rows that change because values are not to be expected any more, now that the page was read at `read_at`.
    pub fn expired(&self, read: &[ObservedComponent], read_at: Timestamp) -> Vec<(ResourceKey, Recorded)> {
        let shown = |row: &Recorded| read.iter().find(|component| Some(component.id) == row.page_id);
        let waiting = self.0.iter().filter(|(_, row)| !row.unanswered.is_empty());
        waiting.filter_map(|(key, row)| Some((key.clone(), row.without_expired(shown(row), read_at)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_015_000);
    const DOWN: ComponentValue = ComponentValue::of_component(ComponentStatus::MajorOutage);
    const UP: ComponentValue = ComponentValue::of_component(ComponentStatus::Operational);

    fn key() -> ResourceKey {
        ResourceKey::Component(ComponentName::try_from("Database").expect("a name"))
    }

    fn shown(status: ComponentStatus) -> ObservedComponent {
        ObservedComponent {
            id: ComponentId(7),
            name: "Database".to_owned(),
            status: Some(status),
            enabled: true,
            description: None,
            group: None,
            managed: true,
        }
    }

    /// A ledger in which `value` was sent to component 7, or is sent to make a component.
    fn sent(page_id: Option<ComponentId>) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.set(key(), Some(ledger.sent(&key(), page_id, &DOWN, false, NOW)));
        ledger
    }

    const fn in_doubt(yet: bool) -> Option<Failure> {
        Some(Failure::InDoubt { yet, of_a_read: false, retry_after: None })
    }

    #[test]
    fn a_write_is_in_doubt_until_it_is_answered() {
        let mut ledger = sent(Some(ComponentId(7)));
        let row = ledger.get(&key()).expect("a row");
        assert_eq!((row.delivery, row.unanswered.len()), (Delivery::InDoubt { since: NOW }, 1));
        ledger.set(key(), Some(ledger.answered(&key(), ComponentId(7), (&DOWN, NOW), DOWN, None)));
        assert_eq!(ledger.get(&key()), Some(&Recorded::confirmed(ComponentId(7), DOWN)));
    }

    #[test]
    fn only_a_write_that_may_be_carried_out_yet_is_kept_in_mind() {
        for (failure, kept) in [
            (None, 0),
            (Some(Failure::Refused), 0),
            (Some(Failure::Away { retry_after: None }), 0),
            (Some(Failure::NotThePage { done: false }), 0),
            (Some(Failure::NotThePage { done: true }), 0),
            (in_doubt(false), 0),
            (in_doubt(true), 1),
        ] {
            let failed = sent(Some(ComponentId(7))).failed(&key(), (&DOWN, NOW), failure, LATER);
            let row = failed.expect("the component exists");
            assert_eq!((row.unanswered.len(), row.is_confirmed()), (kept, false), "{failure:?}");
        }
    }

    #[test]
    fn a_create_that_was_not_carried_out_leaves_nothing_and_one_that_may_be_is_waited_for() {
        let failed = |failure| sent(None).failed(&key(), (&DOWN, NOW), failure, LATER).map(|row| row.delivery);
        assert_eq!(failed(None), None);
        assert_eq!(failed(Some(Failure::Refused)), None);
        assert_eq!(failed(in_doubt(true)), Some(Delivery::InDoubt { since: LATER }));
        let last_word = Some(Delivery::InDoubt { since: Timestamp::from_millis(0) });
        assert_eq!(failed(in_doubt(false)), last_word, "it is done already, or never will be");
    }

    #[test]
    fn a_late_write_is_undone_once_and_the_row_stays_confirmed_meanwhile() {
        let mut ledger = sent(Some(ComponentId(7)));
        let mut row = ledger.get(&key()).expect("a row").clone();
        (row.value, row.delivery) = (UP, Delivery::Confirmed);
        let late = row.late(&shown(ComponentStatus::MajorOutage)).expect("it is late").clone();
        assert_eq!(row.late(&shown(ComponentStatus::PartialOutage)), None, "a value that was never sent");
        ledger.set(key(), Some(row));

        ledger.set(key(), Some(ledger.sent(&key(), Some(ComponentId(7)), &UP, true, LATER)));
        assert!(ledger.get(&key()).is_some_and(Recorded::is_confirmed));
        let failed = ledger.failed(&key(), (&UP, LATER), Some(Failure::Away { retry_after: None }), LATER);
        assert!(failed.expect("a row").late(&shown(ComponentStatus::MajorOutage)).is_some(), "it is undone yet");
        let done = ledger.answered(&key(), ComponentId(7), (&UP, LATER), UP, Some(&late));
        assert_eq!(done, Recorded::confirmed(ComponentId(7), UP));
    }

    #[test]
    fn a_component_that_was_made_anew_expects_nothing_of_the_one_before() {
        let ledger = sent(Some(ComponentId(7)));
        let row = ledger.sent(&key(), Some(ComponentId(8)), &UP, false, LATER);
        assert_eq!(row.unanswered, [Unanswered { value: UP, sent_at: LATER }]);
    }

    #[test]
    fn a_component_that_was_made_expects_nothing_of_the_creates_before() {
        let mut ledger = sent(None);
        ledger.set(key(), Some(ledger.sent(&key(), None, &DOWN, false, LATER)));
        let made = ledger.answered(&key(), ComponentId(7), (&DOWN, LATER), DOWN, None);
        assert_eq!(made, Recorded::confirmed(ComponentId(7), DOWN));
    }

    #[test]
    fn what_the_page_shows_confirms_the_last_write_and_no_earlier_one_of_the_same_value() {
        let mut ledger = sent(Some(ComponentId(7)));
        ledger.set(key(), Some(ledger.sent(&key(), Some(ComponentId(7)), &DOWN, false, LATER)));
        let row = ledger.get(&key()).expect("a row").confirm_shown();
        let first = [Unanswered { value: DOWN, sent_at: NOW }];
        assert_eq!(row.unanswered, first);
        let failed = ledger.failed(&key(), (&DOWN, LATER), in_doubt(false), LATER).expect("a row");
        assert_eq!(
            failed.confirm_shown().unanswered,
            first,
            "the page has said its last word on the second, not on the first"
        );
    }

    #[test]
    fn no_more_values_without_an_answer_are_kept_than_the_limit() {
        let mut ledger = Ledger::default();
        for _ in 0..2 * UNANSWERED_MAX {
            ledger.set(key(), Some(ledger.sent(&key(), Some(ComponentId(7)), &DOWN, false, NOW)));
        }
        assert_eq!(ledger.get(&key()).expect("a row").unanswered.len(), UNANSWERED_MAX);
    }
}
