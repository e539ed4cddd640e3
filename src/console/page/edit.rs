//! What can be done to the page, and what becomes of a form: a change, or all that is wrong with it.

use sha2::{Digest, Sha256};

use super::super::gate::Form;
use super::form::{Checks, Fault, field_of, typed};
use crate::core::builtin::{AffectedStatus, Component, Content, Group, Incident, PlannedMaintenance, first_day};
use crate::core::names;
use crate::core::observed::{ComponentId, GroupId};
use crate::core::overrides::Override;
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::target::{Inventory, Target};
use crate::core::time::Timestamp;
use crate::store::{Announcement, NewIncident};

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

/// A group, or a component that is not a target's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which it is.
    pub id: PartId,
    /// Its name, as the configuration has it.
    pub name: &'a str,
    /// What readers see in place of its name.
    pub title: Option<&'a str>,
    /// Whether it is not hidden itself.
    pub visible: bool,
    /// The group that a component is in.
    pub group: Option<GroupId>,
}

/// Which group or component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartId {
    /// A group.
    Group(GroupId),
    /// A component.
    Component(ComponentId),
}

impl PartId {
    /// The number.
    pub fn number(self) -> i64 {
        let (Self::Group(GroupId(number)) | Self::Component(ComponentId(number))) = self;
        number
    }
}

/// What an edit is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subject<'a> {
    /// What it is: `maintenance`, `incident`, `group` or `component`.
    pub word: &'static str,
    /// Its number; `None` if it is yet to be made.
    pub id: Option<i64>,
    /// Its title, or the name that the configuration has; empty if it is yet to be made.
    pub name: &'a str,
    /// What readers call it.
    pub shown_name: &'a str,
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<'a> {
    /// Announce a maintenance.
    Announce(Announcement),
    /// Give a maintenance a new state.
    Maintenance(&'a PlannedMaintenance, Announcement),
    /// Say something about a maintenance.
    UpdateMaintenance(&'a PlannedMaintenance, String),
    /// Say something about a maintenance, and end it.
    EndMaintenance(&'a PlannedMaintenance, String),
    /// Write an incident.
    WriteIncident(NewIncident),
    /// Say something about an incident as it was seen.
    UpdateIncident(&'a Incident, IncidentStatus, String),
    /// Give a title in place of the name; empty: the name again.
    Rename(Part<'a>, String),
    /// Show it to readers, or hide it.
    SetVisible(Part<'a>, bool),
    /// Order it and those beside it, by number.
    Order(Part<'a>, Vec<i64>),
    /// Remove it.
    Remove(Part<'a>),
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
pub const INCIDENT_STATUSES: [ComponentStatus; 4] = Override::STATUSES;

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
            "groups" => content.groups.iter().find(|one| one.id.0 == id).map(Part::from),
            "components" => listed(content).find(|one| one.id.0 == id).map(Part::from),
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

    /// What it is done to.
    pub fn subject(self) -> Subject<'a> {
        let (word, id, name) = match self {
            Self::Announce => ("maintenance", None, ""),
            Self::WriteIncident => ("incident", None, ""),
            Self::ChangeMaintenance(one) | Self::UpdateMaintenance(one) | Self::EndMaintenance(one) => {
                ("maintenance", Some(one.id.0), one.title.as_str())
            }
            Self::UpdateIncident(one) => ("incident", Some(one.id.0), one.title.as_str()),
            Self::Rename(part) | Self::Move(part) | Self::Hide(part) | Self::Show(part) | Self::Remove(part) => {
                let word = if matches!(part.id, PartId::Group(_)) { "group" } else { "component" };
                let id = Some(part.id.number());
                return Subject { word, id, name: part.name, shown_name: part.shown_name() };
            }
        };
        Subject { word, id, name, shown_name: name }
    }

    /// Its path.
    pub fn path(self) -> String {
        let subject = self.subject();
        let plural = if subject.word == "maintenance" { "" } else { "s" };
        match subject.id {
            Some(id) => format!("/console/page/{}{plural}/{id}/{}", subject.word, self.action()),
            None => format!("/console/page/{}{plural}/new", subject.word),
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
            Self::Rename(part) => form.set("title", part.title.unwrap_or_default()),
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
                format!("{:?}", (part.name, part.title, part.visible))
            }
        };
        Sha256::digest(state).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }

    /// The change that a form asks for; `None` if everything is so already.
    ///
    /// # Errors
    /// All that is wrong with the form.
    pub fn check(self, form: &Form, known: &Known<'_>) -> Result<Option<Change<'a>>, Vec<Fault>> {
        let mut checks = Checks { form, known, faults: Vec::new() };
        let change = match self {
            Self::Announce => Some(Change::Announce(checks.announcement(None))),
            Self::ChangeMaintenance(one) => {
                let new = checks.announcement(Some(one));
                let is_same = one.title == new.title
                    && one.message == new.message
                    && one.begins_at.cut_to_seconds() == new.begins_at
                    && one.ends_at.map(Timestamp::cut_to_seconds) == new.ends_at
                    && one.affected.len() == new.affected.len()
                    && new.affected.iter().all(|affected: &AffectedStatus| one.affected.contains(affected));
                (!is_same).then_some(Change::Maintenance(one, new))
            }
            Self::UpdateMaintenance(one) => Some(Change::UpdateMaintenance(one, checks.message())),
            Self::EndMaintenance(one) => Some(Change::EndMaintenance(one, checks.message())),
            Self::WriteIncident => {
                let new = NewIncident {
                    title: checks.title(),
                    message: checks.message(),
                    status: checks.incident_status(),
                    key: None,
                    opened_for: None,
                    began_at: checks.beginning("began", "Began", None, known.now),
                    affected: checks.affected(&INCIDENT_STATUSES),
                };
                let first_day = first_day(known.now);
                if new.status == IncidentStatus::Fixed && new.began_at < first_day {
                    let problem = format!(
                        "is before {first_day}, and readers see no earlier incidents that are over: choose a later \
                         time, or another status"
                    );
                    checks.fault("began", "Began", problem);
                }
                Some(Change::WriteIncident(new))
            }
            Self::UpdateIncident(one) => Some(Change::UpdateIncident(one, checks.incident_status(), checks.message())),
            Self::Rename(part) => {
                let title = checks.title_or_nothing();
                // The name itself is no title.
                let title = if title == part.name { String::new() } else { title };
                (part.title.unwrap_or_default() != title).then_some(Change::Rename(part, title))
            }
            Self::Move(part) => {
                let mut order: Vec<i64> = part.beside(known.content).into_iter().map(|(id, _)| id).collect();
                let place = form.get("to").trim().parse().ok().filter(|place| (1..=order.len()).contains(place));
                if place.is_none() {
                    checks.fault("to", "Place", format!("is not in the order: choose 1 to {}", order.len()));
                }
                let place = place.unwrap_or(1) - 1;
                order.retain(|id| *id != part.id.number());
                order.insert(place.min(order.len()), part.id.number());
                (place != part.place(known.content)).then_some(Change::Order(part, order))
            }
            Self::Hide(part) => part.visible.then_some(Change::SetVisible(part, false)),
            Self::Show(part) => (!part.visible).then_some(Change::SetVisible(part, true)),
            Self::Remove(part) => {
                if let Some(problem) = part.is_configured(known) {
                    checks.fault("remove", "Remove", problem);
                }
                Some(Change::Remove(part))
            }
        };
        if checks.faults.is_empty() { Ok(change) } else { Err(checks.faults) }
    }
}

/// The components that operators have to do with, in the order of the page: by group, those in none last. The targets' own
/// are not among them.
pub fn listed(content: &Content) -> impl Iterator<Item = &Component> {
    let is_listed = |one: &&Component| one.visible || Target::from_earlier_name(&one.name).is_none();
    let groups = content.groups.iter().map(|group| Some(group.id)).chain([None]);
    groups.flat_map(move |group| content.components.iter().filter(move |one| one.group == group).filter(is_listed))
}

impl<'a> From<&'a Group> for Part<'a> {
    fn from(group: &'a Group) -> Self {
        let Group { id, name, title, visible, .. } = group;
        Self { id: PartId::Group(*id), name, title: title.as_deref(), visible: *visible, group: None }
    }
}

impl<'a> From<&'a Component> for Part<'a> {
    fn from(component: &'a Component) -> Self {
        let Component { id, name, title, visible, group, .. } = component;
        Self { id: PartId::Component(*id), name, title: title.as_deref(), visible: *visible, group: *group }
    }
}

impl<'a> Part<'a> {
    /// What readers call it.
    pub fn shown_name(self) -> &'a str {
        self.title.unwrap_or(self.name)
    }

    /// Those that it is ordered among, itself included, in their order: number and what readers call it.
    pub fn beside(self, content: &Content) -> Vec<(i64, &str)> {
        match self.id {
            PartId::Group(_) => content.groups.iter().map(|one| (one.id.0, one.shown_name())).collect(),
            PartId::Component(_) => {
                let beside = listed(content).filter(|one| one.group == self.group);
                beside.map(|one| (one.id.0, one.shown_name())).collect()
            }
        }
    }

    /// Its place among them, from 0.
    pub fn place(self, content: &Content) -> usize {
        self.beside(content).iter().position(|(id, _)| *id == self.id.number()).unwrap_or_default()
    }

    /// Why it cannot be removed: the server would make it again, or alerts would be about nothing.
    fn is_configured(self, known: &Known<'_>) -> Option<String> {
        let name = self.name;
        let (word, is_named) = match self.id {
            PartId::Group(_) => ("group", known.groups.iter().any(|group| group.name.as_str() == name)),
            PartId::Component(_) => {
                let mut components = known.groups.iter().flat_map(|group| &group.components);
                ("component", components.any(|component| component.as_str() == name))
            }
        };
        if is_named {
            return Some(format!(
                "config.json names the {word} {name:?}, so the server would make it again: remove it from config.json \
                 and reload first, or hide it"
            ));
        }
        let feeds = |target: &Target| target.components().iter().any(|component| component.as_str() == name);
        let mut targets = known.inventory.filter(|_| matches!(self.id, PartId::Component(_)))?.iter();
        let (_, fed_by) = targets.find(|(_, known)| feeds(&known.target))?;
        Some(format!(
            "the target {:?} feeds the component {name:?}: remove it from the labels of its targets and reload first, or \
             hide it",
            fed_by.target.instance()
        ))
    }
}

#[cfg(test)]
mod tests;
