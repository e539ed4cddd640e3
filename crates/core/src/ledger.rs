//! The ledger: what was last written to each component and incident of the page, and what of it is in doubt.
//!
//! Each visible component, each target's own component and each outage's incident has one row. The row is stored in doubt
//! before a call, and confirmed after the answer. While it is in doubt, what the page shows decides.
//!
//! A page may carry out a write long after its client gave up, and after something newer was written. That looks as if a
//! person had done it. So each row keeps the values that were sent without an answer: where the page shows exactly one of
//! them, that write was carried out late, and the recorded value is written again, once for each such write. Any other
//! value was set by a person.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::observed::{ComponentId, IncidentId, Observed, ObservedComponent};
use super::outage::{IncidentValue, Outage, OutageKey, OutageSubject};
use super::status::ComponentStatus;
use super::status_page::{Failure, REQUEST_TIMEOUT};
use super::target::{ComponentName, TargetName};
use super::time::Timestamp;

/// How long after it was sent a write may still be carried out. Web servers and PHP end a request much sooner.
pub const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(3600);

/// How many unanswered values a row keeps; beyond that, the oldest is dropped. The backoff makes more than that unlikely.
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
    /// The groups and components of the page, as `setup` makes them. The ledger has no row for it.
    Structure,
}

impl From<&OutageSubject> for ResourceKey {
    fn from(subject: &OutageSubject) -> Self {
        match subject {
            OutageSubject::Component { name, .. } => Self::Incident(name.clone()),
            OutageSubject::Monitoring => Self::MonitoringIncident,
        }
    }
}

/// As the log names it.
impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name:?}"),
            Self::Incident(name) => write!(f, "incident of component {name:?}"),
            Self::MonitoringIncident => f.write_str("incident of the monitoring"),
            Self::Target(name) => write!(f, "target component {name:?}"),
            Self::Structure => f.write_str("groups and components of the page"),
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

/// Whether the recorded value is known to be on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was sent, or was about to be, and no answer is known.
    InDoubt {
        /// When it was sent, or when it failed and may still be carried out; 0: the request has ended, look it up at once.
        since: Timestamp,
    },
    /// The page answered that it did, or shows it.
    Confirmed,
}

/// A value that was sent without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered<V> {
    /// The value.
    pub value: V,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// What was last written to a resource with numbers of the type `I` and values of the type `V`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded<I, V> {
    /// The number of the resource; `None` while it is being created. One that was created anew has another number.
    pub page_id: Option<I>,
    /// The value.
    pub value: V,
    /// Whether the page is known to have it.
    pub delivery: Delivery,
    /// Values that the page may carry out yet, in the order in which they were sent.
    pub unanswered: Vec<Unanswered<V>>,
}

/// What was last written to a component.
pub type RecordedComponent = Recorded<ComponentId, ComponentValue>;

impl<I: Copy + PartialEq, V: Clone + PartialEq> Recorded<I, V> {
    /// A confirmed value.
    pub const fn confirmed(page_id: I, value: V) -> Self {
        Self { page_id: Some(page_id), value, delivery: Delivery::Confirmed, unanswered: Vec::new() }
    }

    /// Whether the page is known to have the value.
    pub fn is_confirmed(&self) -> bool {
        self.delivery == Delivery::Confirmed
    }

    /// Until when the request that is in doubt can still be on its way, so that a resource that is being created must not be
    /// created again; `None` if none can be at `now`.
    pub fn on_its_way_until(&self, now: Timestamp) -> Option<Timestamp> {
        match self.delivery {
            // If the clock was set back, do not wait longer because of it.
            Delivery::InDoubt { since } if since <= now => {
                Some(since.after(REQUEST_TIMEOUT)).filter(|until| now < *until)
            }
            Delivery::InDoubt { .. } | Delivery::Confirmed => None,
        }
    }

    /// The row once `value` is sent at `now` to the resource with the number `page_id`, or to create it. `before` is the
    /// row of the same resource until now.
    pub fn sent(before: Option<&Self>, page_id: Option<I>, value: V, now: Timestamp) -> Self {
        let unanswered = before.map(|row| row.unanswered.clone()).unwrap_or_default();
        Self { page_id, value, delivery: Delivery::InDoubt { since: now }, unanswered }.resent(now)
    }

    /// The row with its value added to the unanswered ones, sent at `now`: the first time, or again after a late write.
    pub fn resent(mut self, now: Timestamp) -> Self {
        self.unanswered.push(Unanswered { value: self.value.clone(), sent_at: now });
        if self.unanswered.len() > UNANSWERED_MAX {
            self.unanswered.remove(0);
        }
        self
    }

    /// The row once the page is known to have `value`. Of the values without an answer, `settled` are over.
    pub fn settled<'a>(mut self, page_id: I, value: V, settled: impl IntoIterator<Item = (&'a V, Timestamp)>) -> Self
    where
        V: 'a,
    {
        settled.into_iter().for_each(|(value, sent_at)| self.forget(value, sent_at));
        Self { page_id: Some(page_id), value, delivery: Delivery::Confirmed, ..self }
    }

    /// The row once the write of `value`, sent at `sent_at`, has failed as `failure` says, or was not sent at all (`None`).
    /// The result is `None` if there is nothing left to remember.
    pub fn failed(mut self, value: &V, sent_at: Timestamp, failure: Option<Failure>, now: Timestamp) -> Option<Self> {
        let creates = self.page_id.is_none();
        let may_come = failure.is_some_and(Failure::may_be_applied_yet);
        let may_be_done = failure.is_some_and(Failure::may_have_been_applied);
        if !may_come {
            self.forget(value, sent_at);
        }
        if creates && may_be_done {
            // A final answer allows the lookup at once. Otherwise it waits, counted from later than it was sent, so that this
            // create is told from one that a crash interrupted.
            let later = now.max(sent_at.after(Duration::from_millis(1)));
            self.delivery = Delivery::InDoubt { since: if may_come { later } else { Timestamp::from_millis(0) } };
        }
        // If nothing was created, and nothing else is being created, there is no resource.
        let may_exist = !creates || may_be_done || !self.unanswered.is_empty();
        may_exist.then_some(self)
    }

    /// Moves times later than `now` to `now`, after the clock was set back.
    pub(super) fn clamp(&mut self, now: Timestamp) {
        if let Delivery::InDoubt { since } = &mut self.delivery {
            *since = (*since).min(now);
        }
        for sent in &mut self.unanswered {
            sent.sent_at = sent.sent_at.min(now);
        }
    }

    /// Forgets one value that was sent without an answer.
    pub(super) fn forget(&mut self, value: &V, sent_at: Timestamp) {
        let is_it = |sent: &Unanswered<V>| sent.value == *value && sent.sent_at == sent_at;
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

    /// The row without its expired unanswered values; `None` if none has expired.
    ///
    /// A value that the page `shows` is kept however old it is: it may have been carried out while the page could not be read.
    fn without_expired(&self, shows: impl Fn(&V) -> bool, read_at: Timestamp) -> Option<Self> {
        let mut kept = self.clone();
        kept.unanswered.retain(|sent| read_at < sent.sent_at.after(CARRIED_OUT_WITHIN) || shows(&sent.value));
        (kept != *self).then_some(kept)
    }
}

impl RecordedComponent {
    /// The write that was carried out after something newer, if that is what the component shows.
    pub fn late(&self, shown: &ObservedComponent) -> Option<&Unanswered<ComponentValue>> {
        let is_late = |sent: &&Unanswered<ComponentValue>| sent.value != self.value && sent.value.is_shown_by(shown);
        self.unanswered.iter().find(is_late).filter(|_| self.is_confirmed() && self.page_id == Some(shown.id))
    }
}

/// One row for each resource that was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    components: BTreeMap<ResourceKey, RecordedComponent>,
    outages: BTreeMap<OutageKey, Outage>,
}

/// One changed row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The row of a component; `None`: it is not ours to write any more.
    Component(ResourceKey, Option<RecordedComponent>),
    /// An outage with the row of its incident; `None`: nothing more can come of it.
    Outage(OutageKey, Option<Outage>),
}

impl From<Outage> for Update {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage.key.clone(), Some(outage))
    }
}

impl Ledger {
    /// The row of a component.
    pub fn get(&self, key: &ResourceKey) -> Option<&RecordedComponent> {
        self.components.get(key)
    }

    /// The rows of all components.
    pub fn rows(&self) -> impl Iterator<Item = (&ResourceKey, &RecordedComponent)> {
        self.components.iter()
    }

    /// The rows of all components, to change them.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = (&ResourceKey, &mut RecordedComponent)> {
        self.components.iter_mut()
    }

    /// The visible components that have a row.
    pub fn components(&self) -> impl Iterator<Item = (&ComponentName, &RecordedComponent)> {
        // All other keys come later.
        self.components.iter().map_while(|(key, row)| match key {
            ResourceKey::Component(name) => Some((name, row)),
            _ => None,
        })
    }

    /// The targets whose own component has a row.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetName, &RecordedComponent)> {
        self.components.range(ResourceKey::MonitoringIncident..).filter_map(|(key, row)| match key {
            ResourceKey::Target(name) => Some((name, row)),
            _ => None,
        })
    }

    /// All outages, by key.
    pub fn outages(&self) -> impl Iterator<Item = &Outage> {
        self.outages.values()
    }

    /// All outages, to change them.
    pub fn outages_mut(&mut self) -> impl Iterator<Item = &mut Outage> {
        self.outages.values_mut()
    }

    /// The outage with this key.
    pub fn outage(&self, key: &OutageKey) -> Option<&Outage> {
        self.outages.get(key)
    }

    /// The outage of a component, or of the monitoring (`None`), that goes on.
    pub fn active(&self, component: Option<&ComponentName>) -> Option<&Outage> {
        self.outages.values().find(|outage| outage.is_active() && outage.subject.component() == component)
    }

    /// Whether an outage is known to have this incident, or to have had it.
    pub fn has_incident(&self, id: IncidentId) -> bool {
        self.outages.values().any(|outage| outage.incident_id() == Some(id))
    }

    /// Replaces or removes a row.
    pub fn record(&mut self, update: Update) {
        match update {
            Update::Component(key, Some(row)) => drop(self.components.insert(key, row)),
            Update::Component(key, None) => drop(self.components.remove(&key)),
            Update::Outage(key, Some(outage)) => drop(self.outages.insert(key, outage)),
            Update::Outage(key, None) => drop(self.outages.remove(&key)),
        }
    }

    /// The rows whose unanswered values have expired ([`CARRIED_OUT_WITHIN`]) when the page was read at `read_at`.
    pub fn expired(&self, read: &Observed, read_at: Timestamp) -> Vec<Update> {
        let components = self.components.iter().filter(|(_, row)| !row.unanswered.is_empty());
        let components = components.filter_map(|(key, row)| {
            let shown = read.components.iter().find(|component| Some(component.id) == row.page_id);
            let late = shown.and_then(|shown| row.late(shown)).map(|late| &late.value);
            Some(Update::Component(key.clone(), Some(row.without_expired(|value| late == Some(value), read_at)?)))
        });
        let outages = self.outages.values().filter(|outage| !outage.unanswered().is_empty());
        let outages = outages.filter_map(|outage| {
            let is_open = read.open_incidents.iter().any(|open| Some(open.id) == outage.incident_id());
            let late = outage.late(is_open).map(|late| &late.value);
            let created =
                read.open_incidents.iter().any(|open| !self.has_incident(open.id) && outage.may_have_created(open));
            let shows = |value: &IncidentValue| late == Some(value) || (value.creates() && created);
            let incident = outage.incident.as_ref()?.without_expired(shows, read_at)?;
            Some(Outage { incident: Some(incident), ..outage.clone() }.into())
        });
        components.chain(outages).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);
    const LATER: Timestamp = Timestamp::from_millis(1_015_000);
    const DOWN: ComponentValue = ComponentValue::of_component(ComponentStatus::MajorOutage);
    const UP: ComponentValue = ComponentValue::of_component(ComponentStatus::Operational);
    const ID: Option<ComponentId> = Some(ComponentId(7));

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

    /// The row of a component to which Major Outage was sent, or which is created so (`None`).
    fn sent(page_id: Option<ComponentId>) -> RecordedComponent {
        Recorded::sent(None, page_id, DOWN, NOW)
    }

    const fn in_doubt(yet: bool) -> Option<Failure> {
        Some(Failure::InDoubt { yet, of_a_read: false, retry_after: None })
    }

    #[test]
    fn a_write_is_in_doubt_until_it_is_answered() {
        let row = sent(ID);
        assert_eq!((row.delivery, row.unanswered.len()), (Delivery::InDoubt { since: NOW }, 1));
        assert_eq!(row.settled(ComponentId(7), DOWN, [(&DOWN, NOW)]), Recorded::confirmed(ComponentId(7), DOWN));
    }

    #[test]
    fn only_a_write_that_may_be_carried_out_yet_is_remembered() {
        for (failure, kept) in [
            (None, 0),
            (Some(Failure::Refused), 0),
            (Some(Failure::Away { retry_after: None }), 0),
            (Some(Failure::NotThePage { done: false }), 0),
            (Some(Failure::NotThePage { done: true }), 0),
            (Some(Failure::InDoubt { yet: true, of_a_read: true, retry_after: None }), 0),
            (in_doubt(false), 0),
            (in_doubt(true), 1),
        ] {
            let row = sent(ID).failed(&DOWN, NOW, failure, LATER).expect("the component exists");
            assert_eq!((row.unanswered.len(), row.is_confirmed()), (kept, false), "{failure:?}");
        }
    }

    #[test]
    fn a_create_that_was_not_carried_out_leaves_nothing_and_one_that_may_be_is_waited_for() {
        let failed = |failure| sent(None).failed(&DOWN, NOW, failure, LATER).map(|row| row.delivery);
        assert_eq!(failed(None), None);
        assert_eq!(failed(Some(Failure::Refused)), None);
        assert_eq!(failed(in_doubt(true)), Some(Delivery::InDoubt { since: LATER }));
        let last_word = Some(Delivery::InDoubt { since: Timestamp::from_millis(0) });
        assert_eq!(failed(in_doubt(false)), last_word, "it is done already, or never will be");
    }

    #[test]
    fn a_create_in_doubt_is_waited_for_and_never_longer_because_a_clock_was_set_back() {
        let row = sent(None);
        assert_eq!(row.on_its_way_until(NOW), Some(NOW.after(REQUEST_TIMEOUT)));
        assert_eq!(row.on_its_way_until(NOW.after(REQUEST_TIMEOUT)), None);
        assert_eq!(row.on_its_way_until(NOW.before(Duration::from_secs(60))), None);
        assert_eq!(Recorded::confirmed(ComponentId(7), DOWN).on_its_way_until(NOW), None);
    }

    #[test]
    fn a_late_write_is_undone_once_and_the_row_stays_confirmed_meanwhile() {
        let row = RecordedComponent { value: UP, delivery: Delivery::Confirmed, ..sent(ID) };
        let late = row.late(&shown(ComponentStatus::MajorOutage)).expect("it is late").clone();
        assert_eq!(row.late(&shown(ComponentStatus::PartialOutage)), None, "a value that was never sent");

        let row = row.resent(LATER);
        assert!(row.is_confirmed());
        let failed = row.clone().failed(&UP, LATER, Some(Failure::Away { retry_after: None }), LATER);
        assert!(failed.expect("a row").late(&shown(ComponentStatus::MajorOutage)).is_some(), "it is undone yet");
        let done = row.settled(ComponentId(7), UP, [(&UP, LATER), (&late.value, late.sent_at)]);
        assert_eq!(done, Recorded::confirmed(ComponentId(7), UP));
    }

    #[test]
    fn what_the_page_shows_confirms_the_last_write_and_no_earlier_one_of_the_same_value() {
        let row = Recorded::sent(Some(&sent(ID)), ID, DOWN, LATER);
        let first = [Unanswered { value: DOWN, sent_at: NOW }];
        assert_eq!(row.confirm_shown().unanswered, first);
        let failed = row.failed(&DOWN, LATER, in_doubt(false), LATER).expect("a row");
        assert_eq!(
            failed.confirm_shown().unanswered,
            first,
            "the page has said its last word on the second, not on the first"
        );
    }

    #[test]
    fn no_more_values_without_an_answer_are_kept_than_the_limit() {
        let row = (0..2 * UNANSWERED_MAX).fold(sent(ID), |row, _| Recorded::sent(Some(&row), ID, DOWN, NOW));
        assert_eq!(row.unanswered.len(), UNANSWERED_MAX);
    }
}
