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

use super::observed::{ComponentId, IncidentId, Observed, ObservedComponent, ObservedIncident};
use super::status::ComponentStatus;
use super::status_page::{Failure, REQUEST_TIMEOUT};
use super::target::{ComponentName, TargetName};
use super::time::Timestamp;

/// How long after it was sent a write may still be carried out. Web servers and PHP end a request much sooner.
pub const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(3600);

/// How many unanswered values a row keeps; beyond that, the oldest is dropped, and taken for a person's change if it comes
/// yet. A write that fails again and again is sent once a minute, so these are those of [`CARRIED_OUT_WITHIN`].
const UNANSWERED_MAX: usize = 64;

/// What a write is about: one write at a time for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKey {
    /// A visible component.
    Component(ComponentName),
    /// The incident of an outage.
    Incident(OutageSubject),
    /// A target's own component.
    Target(TargetName),
    /// The groups and components of the page, as `setup` makes them. The ledger has no row for it.
    Structure,
}

/// What an outage is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutageSubject {
    /// A component in Major Outage.
    Component(ComponentName),
    /// Monitoring data is missing. No single component has that trouble, so the incident is attached to none: an attached
    /// one would show its component as red.
    Monitoring,
}

impl OutageSubject {
    /// The component's name, if it is one.
    pub fn component(&self) -> Option<&ComponentName> {
        match self {
            Self::Component(name) => Some(name),
            Self::Monitoring => None,
        }
    }
}

/// As the log names it.
impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name:?}"),
            Self::Incident(subject) => write!(f, "incident of {subject}"),
            Self::Target(name) => write!(f, "target component {name:?}"),
            Self::Structure => f.write_str("groups and components of the page"),
        }
    }
}

/// `component "Database"` or `the monitoring`.
impl fmt::Display for OutageSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component(name) => write!(f, "component {name:?}"),
            Self::Monitoring => f.write_str("the monitoring"),
        }
    }
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
    pub(crate) fn resent(mut self, now: Timestamp) -> Self {
        self.unanswered.push(Unanswered { value: self.value.clone(), sent_at: now });
        if self.unanswered.len() > UNANSWERED_MAX {
            self.unanswered.remove(0);
        }
        self
    }

    /// The row once the page is known to have `value`. Of the values without an answer, `settled` are over.
    pub(crate) fn settled<'a>(
        mut self,
        page_id: I,
        value: V,
        settled: impl IntoIterator<Item = (&'a V, Timestamp)>,
    ) -> Self
    where
        V: 'a,
    {
        settled.into_iter().for_each(|(value, sent_at)| self.forget(value, sent_at));
        Self { page_id: Some(page_id), value, delivery: Delivery::Confirmed, ..self }
    }

    /// The row once the write of `value`, sent at `sent_at`, has failed as `failure` says, or was not sent at all (`None`).
    /// The result is `None` if there is nothing left to remember.
    pub(crate) fn failed(
        mut self,
        value: &V,
        sent_at: Timestamp,
        failure: Option<Failure>,
        now: Timestamp,
    ) -> Option<Self> {
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

    /// Forgets one value that was sent without an answer.
    pub(crate) fn forget(&mut self, value: &V, sent_at: Timestamp) {
        let is_it = |sent: &Unanswered<V>| sent.value == *value && sent.sent_at == sent_at;
        if let Some(place) = self.unanswered.iter().rposition(is_it) {
            self.unanswered.remove(place);
        }
    }

    /// The page shows the recorded value: it is confirmed, and the write that was in doubt was carried out.
    pub(crate) fn confirm_shown(&self) -> Self {
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

/// What was last written to a component.
pub type RecordedComponent = Recorded<ComponentId, ComponentValue>;

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
    pub(crate) fn is_shown_by(&self, component: &ObservedComponent) -> bool {
        component.status == Some(self.status)
            && (self.description.is_none() || component.description == self.description)
    }
}

impl RecordedComponent {
    /// The write that was carried out after something newer, if that is what the component shows.
    pub(crate) fn late(&self, shown: &ObservedComponent) -> Option<&Unanswered<ComponentValue>> {
        let is_late = |sent: &&Unanswered<ComponentValue>| sent.value != self.value && sent.value.is_shown_by(shown);
        self.unanswered.iter().find(is_late).filter(|_| self.is_confirmed() && self.page_id == Some(shown.id))
    }
}

/// What was last written to the incident of an outage.
pub type RecordedIncident = Recorded<IncidentId, IncidentValue>;

/// What is written to an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncidentValue {
    /// It is created, and open.
    Created {
        /// Its title, with which it was sent. It identifies the incident where the page does not say who created it.
        title: String,
    },
    /// It is open again.
    Reopened,
    /// It is fixed.
    Fixed,
}

impl IncidentValue {
    /// Whether the incident is open with it.
    pub fn is_open(&self) -> bool {
        *self != Self::Fixed
    }

    /// Whether it creates an incident.
    pub fn creates(&self) -> bool {
        matches!(self, Self::Created { .. })
    }
}

/// One stretch in which a component, or the monitoring itself, needs an incident. It is kept while it goes on, and after its
/// end as long as a relapse would continue it or a lost write may still be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Its key ([`outage_key`]).
    pub key: String,
    /// What it is about.
    pub subject: OutageSubject,
    /// The component's number on the page when the outage began; `None` of the monitoring.
    pub component_id: Option<ComponentId>,
    /// When its subject entered it, by the signals; or since when the watchdog is missing.
    pub occurred_at: Timestamp,
    /// When it was detected; its incident cannot be older.
    pub began_at: Timestamp,
    /// Since when its subject has recovered, during the recovery hold.
    pub calm_since: Option<Timestamp>,
    /// When and how it ended; `None` while it goes on.
    pub ended: Option<Ended>,
    /// Its incident; `None` as long as nothing was sent that may have created one.
    pub incident: Option<RecordedIncident>,
}

/// How an outage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// What ended it.
    pub by: EndedBy,
}

/// What ended an outage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// Its subject recovered, and we closed the incident.
    Recovery,
    /// A person closed the incident. It stays closed until a relapse.
    Person,
    /// A person had removed the incident.
    Removal,
    /// Its subject recovered before an incident was created.
    Unopened,
}

/// The key of the outage that a component, or the monitoring (`None`), enters at `now`. It is in the meta of the incident too.
///
/// It is made and stored before the incident is created, so that an incident whose answer was lost is found again.
/// It has digits and a dash only: it must survive a query string and Cachet's comma-splitting filters.
pub fn outage_key(component: Option<ComponentId>, now: Timestamp) -> String {
    format!("{}-{}", component.unwrap_or(ComponentId::UNKNOWN).0, now.as_millis())
}

impl Outage {
    /// Whether it goes on.
    pub fn is_active(&self) -> bool {
        self.ended.is_none()
    }

    /// The number of its incident, if it is known.
    pub fn incident_id(&self) -> Option<IncidentId> {
        self.incident.as_ref()?.page_id
    }

    /// The writes to its incident that the page may carry out yet.
    pub fn unanswered(&self) -> &[Unanswered<IncidentValue>] {
        self.incident.as_ref().map_or(&[], |row| &row.unanswered)
    }

    /// The oldest create that the page may carry out yet.
    pub(crate) fn lost_create(&self) -> Option<&Unanswered<IncidentValue>> {
        self.unanswered().iter().find(|sent| sent.value.creates())
    }

    /// The late write that explains what the page shows: that the incident `is_open`, or that it is not, against the recorded
    /// value. Only for a confirmed row: closing and reopening take two calls, so while one is in doubt the page proves nothing.
    pub(crate) fn late(&self, is_open: bool) -> Option<&Unanswered<IncidentValue>> {
        let row = self.incident.as_ref().filter(|row| row.page_id.is_some() && row.is_confirmed())?;
        let differs = row.value.is_open() != is_open;
        row.unanswered.iter().find(|sent| differs && !sent.value.creates() && sent.value.is_open() == is_open)
    }

    /// Whether `incident` may come from a create of this outage.
    ///
    /// Its key decides, even if no create is in doubt: a proxy may send a request twice. A hidden incident counts only while a
    /// create is in doubt; otherwise a person opened it again. Without a key, its title and component decide, and only while a
    /// create is in doubt.
    pub(crate) fn may_have_created(&self, incident: &ObservedIncident) -> bool {
        match &incident.outage {
            Some(key) => *key == self.key && (self.lost_create().is_some() || !incident.is_hidden),
            None => {
                let created = IncidentValue::Created { title: incident.name.clone() };
                incident.is_anonymous
                    && incident.component_id == self.component_id
                    && self.unanswered().iter().any(|sent| sent.value == created)
            }
        }
    }
}

/// One row for each resource that was written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ledger {
    /// The rows of all components, visible ones and those of targets.
    pub rows: BTreeMap<ResourceKey, RecordedComponent>,
    /// All outages, each with the row of its incident, by key.
    pub outages: BTreeMap<String, Outage>,
}

/// One changed row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The row of a component; `None`: it is not ours to write any more.
    Component(ResourceKey, Option<RecordedComponent>),
    /// An outage with the row of its incident; `None`: nothing more can come of it.
    Outage(String, Option<Outage>),
}

impl From<Outage> for Update {
    fn from(outage: Outage) -> Self {
        Self::Outage(outage.key.clone(), Some(outage))
    }
}

impl Ledger {
    /// The visible components that have a row.
    pub fn components(&self) -> impl Iterator<Item = (&ComponentName, &RecordedComponent)> {
        // All other keys come later.
        self.rows.iter().map_while(|(key, row)| match key {
            ResourceKey::Component(name) => Some((name, row)),
            _ => None,
        })
    }

    /// The targets whose own component has a row.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetName, &RecordedComponent)> {
        self.rows.range(ResourceKey::Incident(OutageSubject::Monitoring)..).filter_map(|(key, row)| match key {
            ResourceKey::Target(name) => Some((name, row)),
            _ => None,
        })
    }

    /// The outage of a component, or of the monitoring (`None`), that goes on.
    pub fn active(&self, component: Option<&ComponentName>) -> Option<&Outage> {
        self.outages.values().find(|outage| outage.is_active() && outage.subject.component() == component)
    }

    /// Whether an outage is known to have this incident, or to have had it.
    pub(crate) fn has_incident(&self, id: IncidentId) -> bool {
        self.outages.values().any(|outage| outage.incident_id() == Some(id))
    }

    /// Replaces or removes a row.
    pub fn record(&mut self, update: Update) {
        match update {
            Update::Component(key, Some(row)) => drop(self.rows.insert(key, row)),
            Update::Component(key, None) => drop(self.rows.remove(&key)),
            Update::Outage(key, Some(outage)) => drop(self.outages.insert(key, outage)),
            Update::Outage(key, None) => drop(self.outages.remove(&key)),
        }
    }

    /// The rows whose unanswered values have expired ([`CARRIED_OUT_WITHIN`]) when the page was read at `read_at`.
    pub fn expired(&self, read: &Observed, read_at: Timestamp) -> Vec<Update> {
        let components = self.rows.iter().filter(|(_, row)| !row.unanswered.is_empty());
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
mod tests;
