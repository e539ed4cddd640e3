//! What the public would have seen, and how it is told: in lines, or as JSON with times as RFC 3339 and statuses as
//! Cachet's numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::{Serialize, Serializer};

use crate::config::counted;
use crate::core::observed::IncidentId;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;

/// How much of what was learned at one moment stands in a line; the JSON has all of it.
const LEARNED_IN_A_LINE: usize = 3;

/// What would have happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Story {
    /// The page at the beginning.
    #[serde(rename = "page_before", serialize_with = "components")]
    pub before: BTreeMap<ComponentName, ComponentStatus>,
    /// The moments at which the public would have seen something change.
    pub moments: Vec<Moment>,
    /// Every incident, in the order in which they were opened.
    pub incidents: Vec<Incident>,
    /// The page at the end.
    #[serde(serialize_with = "components")]
    pub page: BTreeMap<ComponentName, ComponentStatus>,
    /// Components that alerts or targets speak of and no group has, so that they show nowhere.
    #[serde(serialize_with = "texts")]
    pub missing: BTreeSet<ComponentName>,
}

/// A moment at which the page changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    #[serde(serialize_with = "text")]
    pub at: Timestamp,
    /// The arrival that changed it, by its place in the list; `None`: time alone.
    #[serde(skip)]
    pub arrival: Option<usize>,
    /// What that arrival is.
    #[serde(flatten)]
    pub(super) cause: Cause,
    /// What changes, in the order in which it is written.
    pub changes: Vec<Seen>,
}

/// What an arrival is, for people. Neither of both: time alone made the change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Cause {
    /// Where the notification stands; where all of them stand, if several came at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<String>,
    /// What was learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub learned: Vec<String>,
}

/// Something that the public sees. An incident about no component says that monitoring data is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Seen {
    /// A component has another status.
    Status {
        #[serde(serialize_with = "text")]
        component: ComponentName,
        from: ComponentStatus,
        to: ComponentStatus,
    },
    /// An incident is opened.
    IncidentOpened {
        incident: IncidentId,
        #[serde(serialize_with = "text_or_null")]
        component: Option<ComponentName>,
    },
    /// An incident is closed.
    IncidentClosed {
        incident: IncidentId,
        #[serde(serialize_with = "text_or_null")]
        component: Option<ComponentName>,
    },
    /// An incident is opened again, after a relapse.
    IncidentReopened {
        incident: IncidentId,
        #[serde(serialize_with = "text_or_null")]
        component: Option<ComponentName>,
    },
}

/// An incident that would have been opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// Its number on a page that had none before.
    #[serde(rename = "incident")]
    pub id: IncidentId,
    /// The component that it is about; `None`: it says that monitoring data is missing.
    #[serde(serialize_with = "text_or_null")]
    pub component: Option<ComponentName>,
    /// Its title.
    pub name: String,
    /// When the outage began, as the alerts say, or from when on nothing was heard of the watchdog.
    #[serde(serialize_with = "text")]
    pub occurred_at: Timestamp,
    /// When it was opened.
    #[serde(serialize_with = "text")]
    pub opened_at: Timestamp,
    /// When it was closed last; `None`: it is open in the end.
    #[serde(serialize_with = "text_or_null")]
    pub closed_at: Option<Timestamp>,
    /// How often a relapse opened it again.
    pub reopened: usize,
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn text_or_null<S: Serializer>(value: &Option<impl Display>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_ref().map(ToString::to_string).serialize(serializer)
}

fn texts<S: Serializer>(values: &BTreeSet<ComponentName>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(ComponentName::as_str))
}

fn components<S: Serializer>(
    page: &BTreeMap<ComponentName, ComponentStatus>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Component<'a> {
        component: &'a str,
        status: ComponentStatus,
    }
    let component =
        |(name, status): (_, &ComponentStatus)| Component { component: ComponentName::as_str(name), status: *status };
    serializer.collect_seq(page.iter().map(component))
}

impl Story {
    /// The same, told from `beginning` on: without the moments before, and the incidents that were closed by then.
    pub fn since(mut self, beginning: Timestamp) -> Self {
        let told = self.moments.partition_point(|moment| moment.at < beginning);
        for change in self.moments.drain(..told).flat_map(|moment| moment.changes) {
            if let Seen::Status { component, to, .. } = change {
                self.before.insert(component, to);
            }
        }
        self.incidents.retain(|incident| incident.closed_at.is_none_or(|closed_at| closed_at >= beginning));
        self
    }
}

impl Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before.values().any(|status| *status != ComponentStatus::Operational) {
            writeln!(f, "\nThe page at the beginning")?;
            self.before.iter().try_for_each(|(name, status)| writeln!(f, "  {:?} {status}", name.as_str()))?;
        }
        for Moment { at, cause: Cause { notification, learned }, changes, .. } in &self.moments {
            let told = learned.iter().take(LEARNED_IN_A_LINE).map(String::as_str).collect::<Vec<_>>().join("; ");
            match (notification, learned.len()) {
                (Some(place), _) => writeln!(f, "\n{at}  {place}")?,
                (None, 0) => writeln!(f, "\n{at}  time passes")?,
                (None, count) if count <= LEARNED_IN_A_LINE => writeln!(f, "\n{at}  {told}")?,
                (None, count) => writeln!(f, "\n{at}  {told}; and {} more", count - LEARNED_IN_A_LINE)?,
            }
            changes.iter().try_for_each(|change| writeln!(f, "  {change}"))?;
        }
        writeln!(f, "\nIncidents")?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        for Incident { id, name, occurred_at, opened_at, closed_at, reopened, .. } in &self.incidents {
            writeln!(f, "  {} {name:?}", id.0)?;
            let closed = closed_at.map_or("still open".to_owned(), |closed_at| format!("closed {closed_at}"));
            let again = match reopened {
                0 => String::new(),
                times => format!(", opened again {}", counted(*times, "time")),
            };
            writeln!(f, "    began {occurred_at}, opened {opened_at}, {closed}{again}")?;
        }
        writeln!(f, "\nThe page at the end")?;
        self.page.iter().try_for_each(|(name, status)| writeln!(f, "  {:?} {status}", name.as_str()))?;
        for component in self.missing.iter().map(ComponentName::as_str) {
            writeln!(f, "\nnote: component {component:?} is in no group, so its alerts show nowhere: add it to one")?;
        }
        Ok(())
    }
}

impl Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (incident, component, verb) = match self {
            Self::Status { component, from, to } => {
                return write!(f, "component {:?} from {from} to {to}", component.as_str());
            }
            Self::IncidentOpened { incident, component } => (incident, component, "opens"),
            Self::IncidentClosed { incident, component } => (incident, component, "closes"),
            Self::IncidentReopened { incident, component } => (incident, component, "opens again"),
        };
        match component {
            Some(component) => write!(f, "incident {} of {:?} {verb}", incident.0, component.as_str()),
            None => write!(f, "incident {}, that monitoring data is missing, {verb}", incident.0),
        }
    }
}
