//! The content of the status page as the read API tells it, and as the console's page lists it.

use std::collections::HashMap;

use serde::Serialize;

use super::edit::listed;
use crate::core::builtin::{AffectedStatus, Component, Content, Group, Incident, PlannedMaintenance, Update};
use crate::core::explain::StatusWord;
use crate::core::observed::ComponentId;
use crate::core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use crate::core::time::Timestamp;

/// The content of the page.
#[derive(Debug, Serialize)]
pub struct PageState {
    /// When it was read (RFC 3339).
    pub read_at: String,
    /// The groups, in the order of the page.
    pub groups: Vec<GroupState>,
    /// The components, in the order of the page; not the targets' own.
    pub components: Vec<ComponentState>,
    /// The incidents that are open, and those that began or were fixed in the last 14 days; the newest first.
    pub incidents: Vec<IncidentState>,
    /// The maintenance that is not over.
    pub maintenance: Vec<MaintenanceState>,
}

/// A group.
#[derive(Debug, Clone, Serialize)]
pub struct GroupState {
    id: i64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    visible: bool,
}

/// A component.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentState {
    id: i64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// The number of its group.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<i64>,
    /// Its own status.
    status: StatusWord,
    /// What readers see, which incidents and maintenance change.
    shown_status: StatusWord,
    /// Whether it is not hidden itself.
    visible: bool,
    /// Whether readers see it: it is visible, and so is its group.
    shown: bool,
}

/// An incident.
#[derive(Debug, Serialize)]
pub struct IncidentState {
    id: i64,
    title: String,
    message: String,
    status: Word,
    visible: bool,
    /// The component that the server opened it for; absent if a person wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_for: Option<String>,
    began_at: String,
    created_at: String,
    published_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_at: Option<String>,
    components: Vec<AffectedState>,
    updates: Vec<UpdateState>,
}

/// A maintenance.
#[derive(Debug, Serialize)]
pub struct MaintenanceState {
    id: i64,
    title: String,
    message: String,
    phase: Word,
    begins_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    created_at: String,
    published_at: String,
    components: Vec<AffectedState>,
    updates: Vec<UpdateState>,
}

/// A status of an incident, or the phase of a maintenance, by number and word.
#[derive(Debug, Clone, Serialize)]
pub struct Word {
    value: u8,
    word: &'static str,
}

/// A component that an incident or a maintenance is about.
#[derive(Debug, Serialize)]
struct AffectedState {
    id: i64,
    name: String,
    status: StatusWord,
}

/// What was said of an incident or a maintenance.
#[derive(Debug, Serialize)]
struct UpdateState {
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Word>,
    message: String,
}

impl From<IncidentStatus> for Word {
    fn from(status: IncidentStatus) -> Self {
        Self { value: status.value(), word: status.word() }
    }
}

impl From<ScheduleStatus> for Word {
    fn from(status: ScheduleStatus) -> Self {
        Self { value: status.value(), word: status.word() }
    }
}

impl PageState {
    /// The content as it is `now`.
    pub fn of(content: &Content, now: Timestamp) -> Self {
        let shown = content.shown_statuses(now);
        Self {
            read_at: now.to_string(),
            groups: content.groups.iter().map(GroupState::of).collect(),
            components: listed(content).map(|one| ComponentState::of(one, content, &shown)).collect(),
            incidents: content.incidents.iter().map(|one| IncidentState::of(one, content)).collect(),
            maintenance: content.maintenance.iter().map(|one| MaintenanceState::of(one, content, now)).collect(),
        }
    }

    /// How much there is to look after, in one sentence.
    pub fn summary(&self) -> String {
        let open = self.incidents.iter().filter(|one| one.status.value != IncidentStatus::Fixed.value()).count();
        let (open, maintenance) = (open, self.maintenance.len());
        format!("{} open, {maintenance} maintenance planned or in progress.", counted(open, "incident"))
    }

    /// The components by group, those in none last.
    pub fn sections(&self) -> Vec<Section> {
        let of = |group: Option<i64>| self.components.iter().filter(move |one| one.group == group).cloned().collect();
        let mut sections: Vec<Section> = self
            .groups
            .iter()
            .map(|group| Section { group: Some(group.clone()), components: of(Some(group.id)) })
            .collect();
        let in_none: Vec<ComponentState> = of(None);
        if !in_none.is_empty() {
            sections.push(Section { group: None, components: in_none });
        }
        sections
    }
}

/// A group with its components; without one, those that are in none.
#[derive(Debug, Serialize)]
pub struct Section {
    group: Option<GroupState>,
    components: Vec<ComponentState>,
}

impl GroupState {
    fn of(group: &Group) -> Self {
        Self { id: group.id.0, name: group.name.clone(), title: group.title.clone(), visible: group.visible }
    }
}

impl ComponentState {
    fn of(component: &Component, content: &Content, shown: &HashMap<ComponentId, ComponentStatus>) -> Self {
        Self {
            id: component.id.0,
            name: component.name.clone(),
            title: component.title.clone(),
            group: component.group.map(|group| group.0),
            status: component.status.into(),
            shown_status: shown.get(&component.id).copied().unwrap_or(component.status).into(),
            visible: component.visible,
            shown: content.shows(component),
        }
    }
}

impl IncidentState {
    fn of(incident: &Incident, content: &Content) -> Self {
        Self {
            id: incident.id.0,
            title: incident.title.clone(),
            message: incident.message.clone(),
            status: incident.status.into(),
            visible: incident.visible,
            opened_for: incident.opened_for.clone(),
            began_at: incident.began_at.to_string(),
            created_at: incident.created_at.to_string(),
            published_at: incident.published_at.to_string(),
            fixed_at: incident.fixed_at.map(|at| at.to_string()),
            components: affected(&incident.affected, content),
            updates: incident.updates.iter().map(UpdateState::of).collect(),
        }
    }
}

impl MaintenanceState {
    fn of(maintenance: &PlannedMaintenance, content: &Content, now: Timestamp) -> Self {
        Self {
            id: maintenance.id.0,
            title: maintenance.title.clone(),
            message: maintenance.message.clone(),
            phase: maintenance.phase(now).into(),
            begins_at: maintenance.begins_at.to_string(),
            ends_at: maintenance.ends_at.map(|at| at.to_string()),
            created_at: maintenance.created_at.to_string(),
            published_at: maintenance.published_at.to_string(),
            components: affected(&maintenance.affected, content),
            updates: maintenance.updates.iter().map(UpdateState::of).collect(),
        }
    }
}

impl UpdateState {
    fn of(update: &Update) -> Self {
        Self { at: update.at.to_string(), status: update.status.map(Word::from), message: update.message.clone() }
    }
}

fn affected(affected: &[AffectedStatus], content: &Content) -> Vec<AffectedState> {
    let of = |one: &AffectedStatus| {
        let component = content.components.iter().find(|component| component.id == one.component)?;
        let (id, name) = (one.component.0, component.shown_name().to_owned());
        Some(AffectedState { id, name, status: one.status.into() })
    };
    affected.iter().filter_map(of).collect()
}

fn counted(count: usize, word: &str) -> String {
    match count {
        0 => format!("No {word}"),
        1 => format!("1 {word}"),
        count => format!("{count} {word}s"),
    }
}
