//! How a simulation is told: in lines, or as JSON.

use std::fmt;

use serde::Serialize;

use super::records::{LeftOut, Record};
use crate::config::counted;
use crate::core::incident::EpisodeSubject;
use crate::core::simulate::{Moment, Seen, Story};
use crate::core::status::ComponentStatus;
use crate::core::time::Timestamp;
use crate::reconcile::Texts;

/// All of it. Times are RFC 3339, statuses Cachet's numbers.
#[derive(Serialize)]
pub(super) struct Printed {
    notifications: usize,
    alerts: usize,
    from: Option<String>,
    to: Option<String>,
    moments: Vec<PrintedMoment>,
    incidents: Vec<PrintedIncident>,
    page: Vec<PrintedComponent>,
    /// Components that are in no group.
    missing: Vec<String>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct PrintedMoment {
    at: String,
    /// Where the notification stands; absent where time alone made the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<String>,
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
    pub fn new(story: &Story, records: &[Record], left_out: &[LeftOut], texts: &Texts) -> Self {
        let time = |record: &Record| record.at.to_string();
        Self {
            notifications: records.len(),
            alerts: records.iter().map(|record| record.notification.alerts.len()).sum(),
            from: records.first().map(time),
            to: records.last().map(time),
            moments: story.moments.iter().map(|moment| printed_moment(moment, records)).collect(),
            incidents: story
                .incidents
                .iter()
                .map(|incident| PrintedIncident {
                    incident: incident.id.0,
                    component: named(&incident.subject),
                    name: texts.title(&incident.subject),
                    occurred_at: incident.occurred_at.to_string(),
                    opened_at: incident.opened_at.to_string(),
                    closed_at: incident.closed_at.as_ref().map(Timestamp::to_string),
                    reopened: incident.reopened,
                })
                .collect(),
            page: story
                .page
                .iter()
                .map(|(name, status)| PrintedComponent { component: name.to_string(), status: *status })
                .collect(),
            missing: story.missing.iter().map(ToString::to_string).collect(),
            left_out: left_out.to_vec(),
        }
    }
}

fn printed_moment(moment: &Moment, records: &[Record]) -> PrintedMoment {
    let changes = moment.changes.iter().map(|change| match change {
        Seen::Component { name, from, to } => {
            PrintedChange::Status { component: name.to_string(), from: *from, to: *to }
        }
        Seen::Opened(id, subject) => PrintedChange::IncidentOpened { incident: id.0, component: named(subject) },
        Seen::Closed(id, subject) => PrintedChange::IncidentClosed { incident: id.0, component: named(subject) },
        Seen::Reopened(id, subject) => PrintedChange::IncidentReopened { incident: id.0, component: named(subject) },
    });
    PrintedMoment {
        at: moment.at.to_string(),
        notification: moment.arrival.and_then(|number| records.get(number)).map(|record| record.place.clone()),
        changes: changes.collect(),
    }
}

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (notifications, alerts) = (counted(self.notifications, "notification"), counted(self.alerts, "alert"));
        write!(f, "{notifications} with {alerts} of the page")?;
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            write!(f, ", from {from} to {to}")?;
        }
        writeln!(f)?;
        self.moments.iter().try_for_each(|moment| write!(f, "\n{moment}"))?;
        writeln!(f, "\nIncidents")?;
        if self.incidents.is_empty() {
            writeln!(f, "  none")?;
        }
        self.incidents.iter().try_for_each(|incident| writeln!(f, "{incident}"))?;
        writeln!(f, "\nThe page at the end")?;
        for PrintedComponent { component, status } in &self.page {
            writeln!(f, "  {component:?} {status}")?;
        }
        for component in &self.missing {
            writeln!(f, "\nnote: component {component:?} is in no group, so its alerts show nowhere: add it to one")?;
        }
        self.left_out.iter().try_for_each(|left_out| writeln!(f, "\nleft out: {left_out}"))
    }
}

impl fmt::Display for PrintedMoment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}  {}", self.at, self.notification.as_deref().unwrap_or("time passes"))?;
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

/// The component that an incident is about, if there is one.
fn named(subject: &EpisodeSubject) -> Option<String> {
    subject.component().map(ToString::to_string)
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
