//! The content of the status page as the read API tells it, and as the console's page lists it.

use serde::Serialize;

use super::edit::listed;
use crate::core::builtin::{AffectedStatus, Content, Update};
use crate::core::explain::StatusWord;
use crate::core::time::Timestamp;

/// The content of the page.
#[derive(Debug, Serialize)]
pub struct PageState {
    /// When it was read (RFC 3339).
    read_at: String,
    /// The groups, in the order of the page.
    groups: Vec<GroupState>,
    /// The components, in the order of the page; not the targets' own.
    components: Vec<ComponentState>,
    /// The incidents that are open, and those that began or were fixed in the last 14 days; the newest first.
    incidents: Vec<IncidentState>,
    /// The maintenance that is not over.
    maintenance: Vec<MaintenanceState>,
}

/// A group.
#[derive(Debug, Serialize)]
struct GroupState {
    id: i64,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    visible: bool,
}

/// A component.
#[derive(Debug, Serialize)]
struct ComponentState {
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
struct IncidentState {
    id: i64,
    title: String,
    message: String,
    status: StatusWord,
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
struct MaintenanceState {
    id: i64,
    title: String,
    message: String,
    phase: StatusWord,
    begins_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    created_at: String,
    published_at: String,
    components: Vec<AffectedState>,
    updates: Vec<UpdateState>,
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
    status: Option<StatusWord>,
    message: String,
}

impl PageState {
    /// The content as it is `now`.
    pub fn of(content: &Content, now: Timestamp) -> Self {
        let shown = content.shown_statuses(now);
        let groups = content.groups.iter().map(|group| GroupState {
            id: group.id.0,
            name: group.name.clone(),
            title: group.title.clone(),
            visible: group.visible,
        });
        let components = listed(content).map(|component| ComponentState {
            id: component.id.0,
            name: component.name.clone(),
            title: component.title.clone(),
            group: component.group.map(|group| group.0),
            status: component.status.into(),
            shown_status: shown.get(&component.id).copied().unwrap_or(component.status).into(),
            visible: component.visible,
            shown: content.shows(component),
        });
        let incidents = content.incidents.iter().map(|incident| IncidentState {
            id: incident.id.0,
            title: incident.title.clone(),
            message: incident.message.clone(),
            status: StatusWord { value: incident.status.value(), word: incident.status.word() },
            visible: incident.visible,
            opened_for: incident.opened_for.clone(),
            began_at: incident.began_at.to_string(),
            created_at: incident.created_at.to_string(),
            published_at: incident.published_at.to_string(),
            fixed_at: incident.fixed_at.map(|at| at.to_string()),
            components: affected(&incident.affected, content),
            updates: updates(&incident.updates),
        });
        let maintenance = content.maintenance.iter().map(|maintenance| MaintenanceState {
            id: maintenance.id.0,
            title: maintenance.title.clone(),
            message: maintenance.message.clone(),
            phase: StatusWord { value: maintenance.phase(now).value(), word: maintenance.phase(now).word() },
            begins_at: maintenance.begins_at.to_string(),
            ends_at: maintenance.ends_at.map(|at| at.to_string()),
            created_at: maintenance.created_at.to_string(),
            published_at: maintenance.published_at.to_string(),
            components: affected(&maintenance.affected, content),
            updates: updates(&maintenance.updates),
        });
        Self {
            read_at: now.to_string(),
            groups: groups.collect(),
            components: components.collect(),
            incidents: incidents.collect(),
            maintenance: maintenance.collect(),
        }
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

fn updates(updates: &[Update]) -> Vec<UpdateState> {
    let of = |update: &Update| UpdateState {
        at: update.at.to_string(),
        status: update.status.map(|status| StatusWord { value: status.value(), word: status.word() }),
        message: update.message.clone(),
    };
    updates.iter().map(of).collect()
}
