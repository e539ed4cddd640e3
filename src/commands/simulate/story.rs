//! What the public would have seen, collected from what the engine says that it does.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::history::{About, Event, Happening};
use crate::core::observed::IncidentId;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;

/// What would have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The page at the beginning.
    pub before: BTreeMap<ComponentName, ComponentStatus>,
    /// The moments at which the public would have seen something change.
    pub moments: Vec<Moment>,
    /// Every incident, in the order in which they were opened.
    pub incidents: Vec<Incident>,
    /// The page at the end.
    pub page: BTreeMap<ComponentName, ComponentStatus>,
    /// Components that alerts or targets speak of and no group has, so that they show nowhere.
    pub missing: BTreeSet<ComponentName>,
}

/// A moment at which the page changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The arrival that changed it, by its place in the list; `None`: time alone.
    pub arrival: Option<usize>,
    /// What changes, in the order in which it is written.
    pub changes: Vec<Seen>,
}

/// Something that the public sees. An incident about no component says that monitoring data is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A component has another status.
    Component {
        /// The component.
        name: ComponentName,
        /// The status before.
        from: ComponentStatus,
        /// The status now.
        to: ComponentStatus,
    },
    /// An incident is opened.
    Opened(IncidentId, Option<ComponentName>),
    /// An incident is closed.
    Closed(IncidentId, Option<ComponentName>),
    /// An incident is opened again, after a relapse.
    Reopened(IncidentId, Option<ComponentName>),
}

/// An incident that would have been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its number on a page that had none before.
    pub id: IncidentId,
    /// The component that it is about; `None`: it says that monitoring data is missing.
    pub component: Option<ComponentName>,
    /// Its title.
    pub name: String,
    /// When the outage began, as the alerts say, or from when on nothing was heard of the watchdog.
    pub occurred_at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed last; `None`: it is open in the end.
    pub closed_at: Option<Timestamp>,
    /// How often a relapse opened it again.
    pub reopened: usize,
}

impl Story {
    /// The same, told from `beginning` on: without the moments before, and the incidents that were closed by then.
    pub fn since(mut self, beginning: Timestamp) -> Self {
        let told = self.moments.partition_point(|moment| moment.at < beginning);
        for change in self.moments.drain(..told).flat_map(|moment| moment.changes) {
            if let Seen::Component { name, to, .. } = change {
                self.before.insert(name, to);
            }
        }
        self.incidents.retain(|incident| incident.closed_at.is_none_or(|closed_at| closed_at >= beginning));
        self
    }
}

/// What the events of the engine say so far.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// What the public saw since this was last taken.
    pub changes: Vec<Seen>,
    /// Every incident.
    pub incidents: Vec<Incident>,
}

impl Collected {
    /// Takes an event. The public does not see those of targets' own components.
    pub fn add(&mut self, event: &Happening) {
        let component = match &event.about {
            About::Component(name) => Some(name.clone()),
            About::Target(_) => return,
            About::Everything => None,
        };
        match (&event.event, component) {
            (Event::Written { from: Some(from), to, .. }, Some(name)) => {
                self.changes.push(Seen::Component { name, from: *from, to: *to });
            }
            (Event::IncidentOpened { incident, title, occurred_at_ms }, component) => {
                self.changes.push(Seen::Opened(*incident, component.clone()));
                self.incidents.push(Incident {
                    id: *incident,
                    component,
                    name: title.clone(),
                    occurred_at: Timestamp::from_millis(*occurred_at_ms),
                    opened_at: event.at,
                    closed_at: None,
                    reopened: 0,
                });
            }
            (Event::IncidentClosed { incident, .. }, component) => {
                self.changes.push(Seen::Closed(*incident, component));
                self.of(*incident).for_each(|incident| incident.closed_at = Some(event.at));
            }
            (Event::IncidentReopened { incident, .. }, component) => {
                self.changes.push(Seen::Reopened(*incident, component));
                self.of(*incident).for_each(|incident| {
                    incident.closed_at = None;
                    incident.reopened += 1;
                });
            }
            _ => {}
        }
    }

    fn of(&mut self, id: IncidentId) -> impl Iterator<Item = &mut Incident> {
        self.incidents.iter_mut().filter(move |incident| incident.id == id)
    }
}
