//! How a simulation is told: in lines, or as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::records::LeftOut;
use super::source::Cause;
use super::story::{Moment, Seen, Story};
use crate::config::counted;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;

/// How much of what arrived at one moment stands in a line; the JSON has all of it.
const ARRIVED: usize = 3;

/// All of it. Times are RFC 3339, statuses Cachet's numbers.
#[derive(Serialize)]
pub(super) struct Printed {
    #[serde(flatten)]
    played: Played,
    /// The page at the beginning.
    page_before: Vec<PrintedComponent>,
    moments: Vec<PrintedMoment>,
    incidents: Vec<PrintedIncident>,
    page: Vec<PrintedComponent>,
    /// Components that are in no group.
    missing: Vec<String>,
    left_out: Vec<LeftOut>,
}

/// How much was played, and of which time.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Played {
    /// Recorded notifications, with so many alerts of the page.
    Notifications { notifications: usize, alerts: usize, from: Option<String>, to: Option<String> },
    /// What the history knows of so many alerts.
    History { changes: usize, alerts: usize, from: String, to: String },
}

/// Neither `notification` nor `learned`: time alone made the change.
#[derive(Serialize)]
struct PrintedMoment {
    at: String,
    /// Where the notification stands; where all of them stand, if several came at that moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<String>,
    /// What was learned.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    learned: Vec<String>,
    changes: Vec<PrintedChange>,
}

#[derive(Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
enum PrintedChange {
    Status { component: String, from: ComponentStatus, to: ComponentStatus },
    IncidentOpened { incident: i64, component: Option<String> },
    IncidentClosed { incident: i64, component: Option<String> },
    IncidentReopened { incident: i64, component: Option<String> },
}

#[derive(Serialize)]
struct PrintedIncident {
    incident: i64,
    /// `None`: it says that monitoring data is missing.
    component: Option<String>,
    name: String,
    occurred_at: String,
    opened_at: String,
    closed_at: Option<String>,
    reopened: usize,
}

#[derive(Serialize)]
struct PrintedComponent {
    component: String,
    status: ComponentStatus,
}

impl Printed {
    /// `causes` are those of the arrivals that were played.
    pub fn new(story: &Story, played: Played, causes: &[Cause], left_out: &[LeftOut]) -> Self {
        Self {
            played,
            page_before: printed_page(&story.before),
            moments: story.moments.iter().map(|moment| printed_moment(moment, causes)).collect(),
            incidents: story
                .incidents
                .iter()
                .map(|incident| PrintedIncident {
                    incident: incident.id.0,
                    component: incident.component.as_ref().map(ToString::to_string),
                    name: incident.name.clone(),
                    occurred_at: incident.occurred_at.to_string(),
                    opened_at: incident.opened_at.to_string(),
                    closed_at: incident.closed_at.as_ref().map(Timestamp::to_string),
                    reopened: incident.reopened,
                })
                .collect(),
            page: printed_page(&story.page),
            missing: story.missing.iter().map(ToString::to_string).collect(),
            left_out: left_out.to_vec(),
        }
    }
}

fn printed_page(page: &BTreeMap<ComponentName, ComponentStatus>) -> Vec<PrintedComponent> {
    page.iter().map(|(name, status)| PrintedComponent { component: name.to_string(), status: *status }).collect()
}

fn printed_moment(moment: &Moment, causes: &[Cause]) -> PrintedMoment {
    let named = |component: &Option<ComponentName>| component.as_ref().map(ToString::to_string);
    let changes = moment.changes.iter().map(|change| match change {
        Seen::Component { name, from, to } => {
            PrintedChange::Status { component: name.to_string(), from: *from, to: *to }
        }
        Seen::Opened(id, component) => PrintedChange::IncidentOpened { incident: id.0, component: named(component) },
        Seen::Closed(id, component) => PrintedChange::IncidentClosed { incident: id.0, component: named(component) },
        Seen::Reopened(id, component) => {
            PrintedChange::IncidentReopened { incident: id.0, component: named(component) }
        }
    });
    let (notification, learned) = match moment.arrival.and_then(|number| causes.get(number)) {
        Some(Cause::Notifications(places)) => (Some(places.join("; ")), Vec::new()),
        Some(Cause::Learned(learned)) => (None, learned.clone()),
        None => (None, Vec::new()),
    };
    PrintedMoment { at: moment.at.to_string(), notification, learned, changes: changes.collect() }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.played)?;
        if self.page_before.iter().any(|component| component.status != ComponentStatus::Operational) {
            writeln!(f, "\nThe page at the beginning")?;
            self.page_before.iter().try_for_each(|component| writeln!(f, "{component}"))?;
        }
        self.moments.iter().try_for_each(|moment| write!(f, "\n{moment}"))?;
        writeln!(f, "\nIncidents")?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        self.incidents.iter().try_for_each(|incident| writeln!(f, "{incident}"))?;
        writeln!(f, "\nThe page at the end")?;
        self.page.iter().try_for_each(|component| writeln!(f, "{component}"))?;
        for component in &self.missing {
            writeln!(f, "\nnote: component {component:?} is in no group, so its alerts show nowhere: add it to one")?;
        }
        self.left_out.iter().try_for_each(|left_out| writeln!(f, "\nleft out: {left_out}"))
    }
}

impl fmt::Display for Played {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Notifications { notifications, alerts, from, to } => {
                let (notifications, alerts) = (counted(*notifications, "notification"), counted(*alerts, "alert"));
                write!(f, "{notifications} with {alerts} of the page")?;
                match (from, to) {
                    (Some(from), Some(to)) => write!(f, ", from {from} to {to}"),
                    _ => Ok(()),
                }
            }
            Self::History { changes, alerts, from, to } => {
                let (changes, alerts) = (counted(*changes, "change"), counted(*alerts, "alert"));
                write!(f, "{changes} of {alerts} of the page, from {from} to {to}")
            }
        }
    }
}

impl fmt::Display for PrintedComponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:?} {}", self.component, self.status)
    }
}

impl fmt::Display for PrintedMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.notification, &self.learned[..]) {
            (Some(place), _) => writeln!(f, "{}  {place}", self.at)?,
            (None, []) => writeln!(f, "{}  time passes", self.at)?,
            (None, learned) => {
                let told: Vec<&str> = learned.iter().take(ARRIVED).map(String::as_str).collect();
                write!(f, "{}  {}", self.at, told.join("; "))?;
                match learned.len().saturating_sub(ARRIVED) {
                    0 => writeln!(f)?,
                    more => writeln!(f, "; and {more} more")?,
                }
            }
        }
        self.changes.iter().try_for_each(|change| writeln!(f, "  {change}"))
    }
}

impl fmt::Display for PrintedChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { component, from, to } => write!(f, "component {component:?} from {from} to {to}"),
            Self::IncidentOpened { incident, component } => write!(f, "incident {incident}{} opens", of(component)),
            Self::IncidentClosed { incident, component } => write!(f, "incident {incident}{} closes", of(component)),
            Self::IncidentReopened { incident, component } => {
                write!(f, "incident {incident}{} opens again", of(component))
            }
        }
    }
}

fn of(component: &Option<String>) -> String {
    match component {
        Some(component) => format!(" of {component:?}"),
        None => ", that monitoring data is missing,".to_owned(),
    }
}

impl fmt::Display for PrintedIncident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} {:?}", self.incident, self.name)?;
        write!(f, "    began {}, opened {}, ", self.occurred_at, self.opened_at)?;
        match &self.closed_at {
            Some(closed_at) => write!(f, "closed {closed_at}")?,
            None => write!(f, "still open")?,
        }
        match self.reopened {
            0 => Ok(()),
            times => write!(f, ", opened again {}", counted(times, "time")),
        }
    }
}
