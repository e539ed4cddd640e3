//! Outages: one stretch in which a component, or the monitoring itself, needs an incident; and that incident.

use std::fmt;

use super::ledger::{Recorded, Unanswered};
use super::observed::{ComponentId, IncidentId, ObservedIncident};
use super::target::ComponentName;
use super::time::Timestamp;

/// The key of an outage, which is in the meta of its incident too.
///
/// It is made and stored before the incident is created, so that an incident whose answer was lost is found again.
/// It has digits and a dash only: it must survive a query string and Cachet's comma-splitting filters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutageKey(String);

impl OutageKey {
    /// The key of the outage that the component enters at `now`.
    pub fn new(component: ComponentId, now: Timestamp) -> Self {
        Self(format!("{}-{}", component.0, now.as_millis()))
    }

    /// The key of the outage of the monitoring that begins at `now`: no component has the number 0.
    pub fn of_monitoring(now: Timestamp) -> Self {
        Self::new(ComponentId::UNKNOWN, now)
    }

    /// A key as it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OutageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an outage is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutageSubject {
    /// A component in Major Outage.
    Component {
        /// Its name.
        name: ComponentName,
        /// Its number on the page when the outage began.
        id: ComponentId,
    },
    /// Monitoring data is missing. No single component has that trouble, so the incident is attached to none: an attached
    /// one would show its component as red.
    Monitoring,
}

impl OutageSubject {
    /// The component's name, if it is one.
    pub fn component(&self) -> Option<&ComponentName> {
        match self {
            Self::Component { name, .. } => Some(name),
            Self::Monitoring => None,
        }
    }

    /// The component's number on the page when the outage began, if it is one.
    pub fn component_id(&self) -> Option<ComponentId> {
        match self {
            Self::Component { id, .. } => Some(*id),
            Self::Monitoring => None,
        }
    }
}

/// `component "Database"` or `the monitoring`.
impl fmt::Display for OutageSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Component { name, .. } => write!(f, "component {name:?}"),
            Self::Monitoring => f.write_str("the monitoring"),
        }
    }
}

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

/// What was last written to the incident of an outage.
pub type RecordedIncident = Recorded<IncidentId, IncidentValue>;

/// An outage that goes on, or that ended so lately that a relapse would continue it or a lost write may still be carried
/// out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// Its key.
    pub key: OutageKey,
    /// What it is about.
    pub subject: OutageSubject,
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
    pub fn lost_create(&self) -> Option<&Unanswered<IncidentValue>> {
        self.unanswered().iter().find(|sent| sent.value.creates())
    }

    /// The late write that explains what the page shows: that the incident `is_open`, or that it is not, against the recorded
    /// value. Only for a confirmed row: closing and reopening take two calls, so while one is in doubt the page proves nothing.
    pub fn late(&self, is_open: bool) -> Option<&Unanswered<IncidentValue>> {
        let row = self.incident.as_ref().filter(|row| row.page_id.is_some() && row.is_confirmed())?;
        let differs = row.value.is_open() != is_open;
        row.unanswered.iter().find(|sent| differs && !sent.value.creates() && sent.value.is_open() == is_open)
    }

    /// Whether `incident` may come from a create of this outage.
    ///
    /// Its key decides, even if no create is in doubt: a proxy may send a request twice. A hidden incident counts only while a
    /// create is in doubt; otherwise a person opened it again. Without a key, its title and component decide, and only while a
    /// create is in doubt.
    pub fn may_have_created(&self, incident: &ObservedIncident) -> bool {
        let is_expected = self.lost_create().is_some();
        match &incident.outage {
            Some(key) => key == self.key.as_str() && (is_expected || !incident.is_hidden),
            None => {
                let has_title = |sent: &Unanswered<IncidentValue>| matches!(&sent.value, IncidentValue::Created { title } if *title == incident.name);
                is_expected
                    && incident.is_anonymous
                    && incident.component_id == self.subject.component_id()
                    && self.unanswered().iter().any(has_title)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_query_strings_and_comma_separated_filters() {
        let key = OutageKey::new(ComponentId(12), Timestamp::from_millis(1_763_690_212_345));
        assert_eq!(key.as_str(), "12-1763690212345");
        assert_eq!(key.to_string(), key.as_str());
        assert!(key.as_str().bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'));
    }
}
