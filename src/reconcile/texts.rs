//! What incidents say.

use crate::core::incident::EpisodeSubject;
use crate::core::incident_name::IncidentName;
use crate::core::status::ComponentStatus;
use crate::core::watchdog::MonitoringTexts;

/// The texts of incidents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Texts {
    /// The title.
    pub new_incident_name: IncidentName,
    /// The first message.
    pub new_incident_message: String,
    /// The closing message when the component is Operational.
    pub resolved_incident_message: String,
    /// The closing message when some of the component's targets are still down.
    pub partially_resolved_incident_message: String,
    /// The update that opens an incident again.
    pub relapse_message: String,
    /// Those of the incident that says that monitoring data is missing.
    pub monitoring: MonitoringTexts,
}

impl Texts {
    /// The title of the incident of an episode about `subject`.
    pub fn title(&self, subject: &EpisodeSubject) -> String {
        match subject {
            EpisodeSubject::Component { name, .. } => self.new_incident_name.render(name),
            EpisodeSubject::Monitoring => self.monitoring.new_incident_name.clone(),
        }
    }

    /// What it says when it is opened.
    pub fn first_message(&self, subject: &EpisodeSubject) -> &str {
        match subject {
            EpisodeSubject::Component { .. } => &self.new_incident_message,
            EpisodeSubject::Monitoring => &self.monitoring.new_incident_message,
        }
    }

    /// What it says when it is closed and its component, if it has one, is `now`.
    pub fn last_message(&self, subject: &EpisodeSubject, now: ComponentStatus) -> &str {
        match (subject, now) {
            (EpisodeSubject::Monitoring, _) => &self.monitoring.resolved_incident_message,
            // A closing that was begun while it was Operational is finished as such, though nobody knows by now.
            (_, ComponentStatus::Operational | ComponentStatus::Unknown) => &self.resolved_incident_message,
            _ => &self.partially_resolved_incident_message,
        }
    }
}
