//! What can be done to the page, and what becomes of a form: a change, or all that is wrong with it.

use sha2::{Digest, Sha256};

use super::form::{Checks, Fault, Form, LONGEST_AHEAD, field_of, typed};
use crate::core::builtin::{Component, Content, Group, Incident, MaintenanceId, PlannedMaintenance, first_day};
use crate::core::hold::Hold;
use crate::core::names;
use crate::core::observed::{ComponentId, GroupId};
use crate::core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use crate::core::target::{Inventory, Target};
use crate::core::time::Timestamp;
use crate::store::{Announcement, ComponentChange, GroupChange, NewIncident};

/// What an operator wants to do, and what to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Announce a maintenance.
    Announce,
    /// Change what a maintenance says.
    ChangeMaintenance(&'a PlannedMaintenance),
    /// Say something about a maintenance.
    UpdateMaintenance(&'a PlannedMaintenance),
    /// End a maintenance, and say why.
    EndMaintenance(&'a PlannedMaintenance),
    /// Write an incident.
    WriteIncident,
    /// Say something about an incident, which gives it a status.
    UpdateIncident(&'a Incident),
    /// Give a part of the page a title.
    Rename(Part<'a>),
    /// Give it another place among those beside it.
    Move(Part<'a>),
    /// Hide it from readers.
    Hide(Part<'a>),
    /// Show it to readers.
    Show(Part<'a>),
    /// Remove it.
    Remove(Part<'a>),
}

/// A group or a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// A group.
    Group(&'a Group),
    /// A component that is not a target's own.
    Component(&'a Component),
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Announce a maintenance.
    Announce(Announcement),
    /// Give a maintenance a new state.
    Maintenance(MaintenanceId, Announcement),
    /// Say something about a maintenance, and end it then if a time is given.
    UpdateMaintenance(MaintenanceId, String, Option<Timestamp>),
    /// Write an incident.
    WriteIncident(NewIncident),
    /// Say something about an incident as it was seen.
    UpdateIncident(&'a Incident, IncidentStatus, String),
    /// Change a group.
    Group(GroupId, GroupChange),
    /// Change a component.
    Component(ComponentId, ComponentChange),
    /// Order the groups.
    OrderGroups(Vec<GroupId>),
    /// Order the components of a group.
    OrderComponents(Vec<ComponentId>),
    /// Remove a group.
    RemoveGroup(GroupId),
    /// Remove a component.
    RemoveComponent(ComponentId),
}

/// What a form is checked against.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What is on the page.
    pub content: &'a Content,
    /// The groups that `config.json` names.
    pub groups: &'a [names::Group],
    /// The targets of the targets file, where there is one.
    pub inventory: Option<&'a Inventory>,
    /// The time.
    pub now: Timestamp,
}

/// The statuses that an incident can give a component.
pub const INCIDENT_STATUSES: [ComponentStatus; 4] = Hold::STATUSES;

/// The status that maintenance gives a component.
pub const MAINTENANCE_STATUS: ComponentStatus = ComponentStatus::UnderMaintenance;

impl<'a> Edit<'a> {
    /// The edit that a path below `/console/page/` names: `groups/3/rename`.
    ///
    /// # Errors
    /// What does not exist, and the cure.
    pub fn find(path: &str, content: &'a Content) -> Result<Self, String> {
        let unknown = || "there is no such form: open the status page in the console and choose one there".to_owned();
        let (kind, rest) = path.split_once('/').ok_or_else(unknown)?;
        match (kind, rest) {
            ("maintenance", "new") => return Ok(Self::Announce),
            ("incidents", "new") => return Ok(Self::WriteIncident),
            _ => {}
        }
        let (number, action) = rest.split_once('/').ok_or_else(unknown)?;
        let id: i64 = number.parse().map_err(|_| unknown())?;
        let part = match kind {
            "maintenance" => {
                let found = content.maintenance.iter().find(|one| one.id.0 == id);
                let one =
                    found.ok_or_else(|| format!("there is no maintenance {id}, or it is over: announce it anew"))?;
                return match action {
                    "change" => Ok(Self::ChangeMaintenance(one)),
                    "update" => Ok(Self::UpdateMaintenance(one)),
                    "end" => Ok(Self::EndMaintenance(one)),
                    _ => Err(unknown()),
                };
            }
            "incidents" => {
                let found = content.incidents.iter().find(|one| one.id.0 == id);
                let one = found.ok_or_else(|| {
                    format!("there is no incident {id} that is open, or began or was fixed in the last 14 days: write a new one")
                })?;
                return if action == "update" { Ok(Self::UpdateIncident(one)) } else { Err(unknown()) };
            }
            "groups" => content.groups.iter().find(|one| one.id.0 == id).map(Part::Group),
            "components" => listed(content).find(|one| one.id.0 == id).map(Part::Component),
            _ => return Err(unknown()),
        };
        let word = if kind == "groups" { "group" } else { "component" };
        let part = part.ok_or_else(|| format!("there is no {word} {id} on the page: it may have been removed"))?;
        match action {
            "rename" => Ok(Self::Rename(part)),
            "move" => Ok(Self::Move(part)),
            "hide" => Ok(Self::Hide(part)),
            "show" => Ok(Self::Show(part)),
            "remove" => Ok(Self::Remove(part)),
            _ => Err(unknown()),
        }
    }

    /// What is done, in one word: the last part of its path, and what the log says.
    pub fn action(self) -> &'static str {
        match self {
            Self::Announce => "announce",
            Self::ChangeMaintenance(_) => "change",
            Self::UpdateMaintenance(_) | Self::UpdateIncident(_) => "update",
            Self::EndMaintenance(_) => "end",
            Self::WriteIncident => "write",
            Self::Rename(_) => "rename",
            Self::Move(_) => "move",
            Self::Hide(_) => "hide",
            Self::Show(_) => "show",
            Self::Remove(_) => "remove",
        }
    }

    /// Its path.
    pub fn path(self) -> String {
        let action = self.action();
        match self {
            Self::Announce => "/console/page/maintenance/new".to_owned(),
            Self::WriteIncident => "/console/page/incidents/new".to_owned(),
            Self::ChangeMaintenance(one) | Self::UpdateMaintenance(one) | Self::EndMaintenance(one) => {
                format!("/console/page/maintenance/{}/{action}", one.id.0)
            }
            Self::UpdateIncident(one) => format!("/console/page/incidents/{}/{action}", one.id.0),
            Self::Rename(part) | Self::Move(part) | Self::Hide(part) | Self::Show(part) | Self::Remove(part) => {
                format!("/console/page/{}s/{}/{action}", part.word(), part.id())
            }
        }
    }

    /// What the log calls what it is done to: `maintenance 3`.
    pub fn subject(self) -> String {
        match self {
            Self::Announce => "maintenance".to_owned(),
            Self::WriteIncident => "incident".to_owned(),
            Self::ChangeMaintenance(one) | Self::UpdateMaintenance(one) | Self::EndMaintenance(one) => {
                format!("maintenance {}", one.id.0)
            }
            Self::UpdateIncident(one) => format!("incident {}", one.id.0),
            Self::Rename(part) | Self::Move(part) | Self::Hide(part) | Self::Show(part) | Self::Remove(part) => {
                format!("{} {}", part.word(), part.id())
            }
        }
    }

    /// The title or the name of what it is done to; empty if it is yet to be made.
    pub fn name(self) -> &'a str {
        match self {
            Self::Announce | Self::WriteIncident => "",
            Self::ChangeMaintenance(one) | Self::UpdateMaintenance(one) | Self::EndMaintenance(one) => &one.title,
            Self::UpdateIncident(one) => &one.title,
            Self::Rename(part) | Self::Move(part) | Self::Hide(part) | Self::Show(part) | Self::Remove(part) => {
                part.name()
            }
        }
    }

    /// Whether there is something to fill in.
    pub fn has_form(self) -> bool {
        !matches!(self, Self::Hide(_) | Self::Show(_) | Self::Remove(_))
    }

    /// The form as it is before anybody typed.
    pub fn filled_in(self, known: &Known<'_>) -> Form {
        let mut form = Form::default();
        match self {
            Self::ChangeMaintenance(one) => {
                form.set("title", &*one.title);
                form.set("message", &*one.message);
                form.set("begins", typed(one.begins_at));
                form.set("ends", one.ends_at.map(typed).unwrap_or_default());
                for affected in &one.affected {
                    form.set(field_of(affected.component), MAINTENANCE_STATUS.value().to_string());
                }
            }
            Self::WriteIncident => form.set("status", IncidentStatus::Investigating.value().to_string()),
            Self::UpdateIncident(one) => form.set("status", one.status.value().to_string()),
            Self::Rename(part) => form.set("title", part.title().unwrap_or_default()),
            Self::Move(part) => form.set("to", (part.place(known.content) + 1).to_string()),
            _ => {}
        }
        form
    }

    /// What was announced or written last by a person: number and title. A form that is sent twice is known by it.
    pub fn last_made(self, content: &Content) -> Option<(i64, &str)> {
        match self {
            Self::Announce => content.maintenance.iter().map(|one| (one.id.0, one.title.as_str())).max(),
            Self::WriteIncident => {
                let written = content.incidents.iter().filter(|one| one.key.is_none());
                written.map(|one| (one.id.0, one.title.as_str())).max()
            }
            _ => None,
        }
    }

    /// What the edit depends on, as a form says what it has seen; if that is another one by then, somebody was faster.
    pub fn seen(self, content: &Content) -> String {
        let state = match self {
            Self::Announce | Self::WriteIncident => format!("{:?}", self.last_made(content)),
            Self::ChangeMaintenance(one) | Self::UpdateMaintenance(one) | Self::EndMaintenance(one) => {
                format!("{one:?}")
            }
            Self::UpdateIncident(one) => format!("{one:?}"),
            Self::Move(part) => format!("{:?}", part.beside(content)),
            Self::Rename(part) | Self::Hide(part) | Self::Show(part) | Self::Remove(part) => {
                format!("{:?}", (part.name(), part.title(), part.is_visible()))
            }
        };
        Sha256::digest(state).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The change that a form asks for; `None` if everything is so already.
    ///
    /// # Errors
    /// All that is wrong with the form.
    pub fn check(self, form: &Form, known: &Known<'_>) -> Result<Option<Change<'a>>, Vec<Fault>> {
        let mut checks = Checks::of(form, known.now);
        let change = match self {
            Self::Announce => Some(Change::Announce(announcement(&mut checks, None, known))),
            Self::ChangeMaintenance(one) => {
                let new = announcement(&mut checks, Some(one), known);
                (!says(one, &new)).then_some(Change::Maintenance(one.id, new))
            }
            Self::UpdateMaintenance(one) => Some(Change::UpdateMaintenance(one.id, checks.message(), None)),
            Self::EndMaintenance(one) => {
                Some(Change::UpdateMaintenance(one.id, checks.message(), Some(known.now.cut_to_seconds())))
            }
            Self::WriteIncident => Some(Change::WriteIncident(new_incident(&mut checks, known))),
            Self::UpdateIncident(one) => Some(Change::UpdateIncident(one, checks.incident_status(), checks.message())),
            Self::Rename(part) => {
                let title = checks.title_or_nothing();
                // The name itself is no title.
                let title = if title == part.name() { String::new() } else { title };
                (part.title().unwrap_or_default() != title).then(|| part.changed(Some(title), None))
            }
            Self::Move(part) => {
                let place = checks.place(part.beside(known.content).len()) - 1;
                (place != part.place(known.content)).then(|| part.moved(place, known.content))
            }
            Self::Hide(part) => part.is_visible().then(|| part.changed(None, Some(false))),
            Self::Show(part) => (!part.is_visible()).then(|| part.changed(None, Some(true))),
            Self::Remove(part) => {
                if let Some(problem) = part.is_configured(known) {
                    checks.fault("remove", "Remove", problem);
                }
                Some(match part {
                    Part::Group(group) => Change::RemoveGroup(group.id),
                    Part::Component(component) => Change::RemoveComponent(component.id),
                })
            }
        };
        checks.finish(change)
    }
}

impl Change<'_> {
    /// The form that asks for exactly this: what was left to the moment of asking is in it.
    pub fn asked_by(&self, mut form: Form) -> Form {
        match self {
            Self::Announce(new) | Self::Maintenance(_, new) => form.set("begins", typed(new.begins_at)),
            Self::WriteIncident(new) => form.set("began", typed(new.began_at)),
            _ => {}
        }
        form
    }
}

/// The components that operators have to do with, in the order of the page: by group, those in none last. The targets' own
/// are not among them.
pub fn listed(content: &Content) -> impl Iterator<Item = &Component> {
    let is_listed = |one: &&Component| one.visible || Target::from_earlier_name(&one.name).is_none();
    let groups = content.groups.iter().map(|group| Some(group.id)).chain([None]);
    groups.flat_map(move |group| content.components.iter().filter(move |one| one.group == group).filter(is_listed))
}

fn announcement(checks: &mut Checks<'_>, old: Option<&PlannedMaintenance>, known: &Known<'_>) -> Announcement {
    let latest = known.now.after(LONGEST_AHEAD);
    let begins_at = checks.beginning("begins", "Begins", old.map(|old| old.begins_at), latest);
    Announcement {
        title: checks.title(),
        message: checks.message(),
        begins_at,
        ends_at: checks.end(begins_at),
        affected: checks.affected(listed(known.content), &[MAINTENANCE_STATUS]),
    }
}

fn new_incident(checks: &mut Checks<'_>, known: &Known<'_>) -> NewIncident {
    let incident = NewIncident {
        title: checks.title(),
        message: checks.message(),
        status: checks.incident_status(),
        key: None,
        opened_for: None,
        began_at: checks.beginning("began", "Began", None, known.now),
        affected: checks.affected(listed(known.content), &INCIDENT_STATUSES),
    };
    let first_day = first_day(known.now);
    if incident.status == IncidentStatus::Fixed && incident.began_at < first_day {
        let problem = format!(
            "is before {first_day}, and readers see no earlier incidents that are over: choose a later time, or another \
             status"
        );
        checks.fault("began", "Began", problem);
    }
    incident
}

/// Whether a maintenance says all that already, to the second.
fn says(one: &PlannedMaintenance, new: &Announcement) -> bool {
    one.title == new.title
        && one.message == new.message
        && one.begins_at.cut_to_seconds() == new.begins_at
        && one.ends_at.map(Timestamp::cut_to_seconds) == new.ends_at
        && one.affected.len() == new.affected.len()
        && new.affected.iter().all(|affected| one.affected.contains(affected))
}

impl<'a> Part<'a> {
    /// What it is.
    pub fn word(self) -> &'static str {
        match self {
            Self::Group(_) => "group",
            Self::Component(_) => "component",
        }
    }

    /// Its number.
    pub fn id(self) -> i64 {
        match self {
            Self::Group(group) => group.id.0,
            Self::Component(component) => component.id.0,
        }
    }

    /// Its name, as the configuration has it.
    pub fn name(self) -> &'a str {
        match self {
            Self::Group(group) => &group.name,
            Self::Component(component) => &component.name,
        }
    }

    /// What readers call it.
    pub fn shown_name(self) -> &'a str {
        self.title().unwrap_or_else(|| self.name())
    }

    /// What readers see in place of its name.
    pub fn title(self) -> Option<&'a str> {
        match self {
            Self::Group(group) => group.title.as_deref(),
            Self::Component(component) => component.title.as_deref(),
        }
    }

    /// Whether it is not hidden itself.
    pub fn is_visible(self) -> bool {
        match self {
            Self::Group(group) => group.visible,
            Self::Component(component) => component.visible,
        }
    }

    /// Those that it is ordered among, itself included, in their order: number and what readers call it.
    pub fn beside(self, content: &Content) -> Vec<(i64, &str)> {
        match self {
            Self::Group(_) => content.groups.iter().map(|one| (one.id.0, one.shown_name())).collect(),
            Self::Component(component) => {
                let beside = listed(content).filter(|one| one.group == component.group);
                beside.map(|one| (one.id.0, one.shown_name())).collect()
            }
        }
    }

    /// Its place among them, from 0.
    pub fn place(self, content: &Content) -> usize {
        self.beside(content).iter().position(|(id, _)| *id == self.id()).unwrap_or_default()
    }

    fn moved(self, place: usize, content: &Content) -> Change<'a> {
        let mut order: Vec<i64> = self.beside(content).into_iter().map(|(id, _)| id).collect();
        order.retain(|id| *id != self.id());
        order.insert(place.min(order.len()), self.id());
        match self {
            Self::Group(_) => Change::OrderGroups(order.into_iter().map(GroupId).collect()),
            Self::Component(_) => Change::OrderComponents(order.into_iter().map(ComponentId).collect()),
        }
    }

    fn changed(self, title: Option<String>, visible: Option<bool>) -> Change<'a> {
        match self {
            Self::Group(group) => Change::Group(group.id, GroupChange { title, visible }),
            Self::Component(component) => {
                Change::Component(component.id, ComponentChange { title, visible, ..ComponentChange::default() })
            }
        }
    }

    /// Why it cannot be removed: the server would make it again, or alerts would be about nothing.
    fn is_configured(self, known: &Known<'_>) -> Option<String> {
        let (name, word) = (self.name(), self.word());
        let names = |group: &names::Group| match self {
            Self::Group(_) => group.name.as_str() == name,
            Self::Component(_) => group.components.iter().any(|component| component.as_str() == name),
        };
        if known.groups.iter().any(names) {
            return Some(format!(
                "config.json names the {word} {name:?}, so the server would make it again: remove it from config.json \
                 and reload first, or hide it"
            ));
        }
        let feeds = |target: &Target| target.components().iter().any(|component| component.as_str() == name);
        let target = match self {
            Self::Group(_) => None,
            Self::Component(_) => known.inventory?.iter().find(|(_, known)| feeds(&known.target)),
        };
        target.map(|(_, target)| {
            format!(
                "the target {:?} feeds the component {name:?}: remove it from the labels of its targets and reload \
                 first, or hide it",
                target.target.instance()
            )
        })
    }
}

/// Whether a maintenance is in progress.
pub fn is_in_progress(one: &PlannedMaintenance, now: Timestamp) -> bool {
    one.phase(now) == ScheduleStatus::InProgress
}

#[cfg(test)]
mod tests;
