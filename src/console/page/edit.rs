//! What can be done to the page, the checks of what somebody typed, and what becomes of a form: a change, or all that is wrong
//! with it. Every fault names the field and the cure.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::tz::TimeZone;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::super::gate::Form;
use super::super::moment;
use crate::core::builtin::{AffectedStatus, Component, Content, Incident, PlannedMaintenance, first_day};
use crate::core::names::{self, trimmed};
use crate::core::observed::{ComponentId, GroupId};
use crate::core::overrides::Override;
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::target::{Inventory, Target};
use crate::core::time::Timestamp;
use crate::store::{Announcement, NewIncident};

/// The most characters of a title.
pub(super) const TITLE_LIMIT: usize = 255;

/// The most bytes of a message.
pub(super) const MESSAGE_LIMIT_BYTES: usize = 16 * 1024;

/// The most components that an incident or a maintenance is about.
const AFFECTED_LIMIT: usize = 500;

/// How long ago an incident may have begun, or a maintenance.
const LONGEST_AGO: Duration = Duration::from_secs(90 * 24 * 3600);

/// How far away the beginning of a maintenance may be, and how long it may take.
const LONGEST_AHEAD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Every field that a form can have, but for those of components ([`field_of`]).
const FIELDS: [&str; 7] = ["title", "message", "begins", "ends", "began", "status", "to"];

/// The statuses that an incident can give a component.
pub(super) const INCIDENT_STATUSES: [ComponentStatus; 4] = Override::STATUSES;

/// The status that maintenance gives a component.
const MAINTENANCE_STATUS: ComponentStatus = ComponentStatus::UnderMaintenance;

/// What an operator wants to do, and what to.
#[derive(Debug)]
pub(super) struct Edit<'a> {
    /// What, with what it is done to.
    pub kind: EditKind<'a>,
    /// What is done, in one word, as the log says it.
    pub action: &'static str,
    /// What it is done to: `maintenance`, `incident`, `group` or `component`.
    pub word: &'static str,
    /// Its number; `None` if it is yet to be made.
    pub id: Option<i64>,
    /// Its title, or the name that the configuration has; empty if it is yet to be made.
    pub name: &'a str,
    /// What readers call it.
    pub shown_name: &'a str,
}

/// What can be done.
#[derive(Debug, Clone, Copy)]
pub(super) enum EditKind<'a> {
    /// Announce a maintenance, or change what one says.
    Maintenance(Option<&'a PlannedMaintenance>),
    /// Say something about a maintenance, and end it if this is true.
    UpdateMaintenance(&'a PlannedMaintenance, bool),
    /// Write an incident.
    WriteIncident,
    /// Say something about an incident, which gives it a status.
    UpdateIncident(&'a Incident),
    /// Give a part of the page a title.
    Rename(Part<'a>),
    /// Give it another place among those beside it.
    Move(Part<'a>),
    /// Show it to readers, or hide it from them.
    SetVisible(Part<'a>, bool),
    /// Remove it.
    Remove(Part<'a>),
}

/// A group, or a component that is not a target's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// Whether it is a group.
    pub is_group: bool,
    /// Its number.
    pub id: i64,
    /// Its name, as the configuration has it.
    pub name: &'a str,
    /// What readers see in place of its name.
    pub title: Option<&'a str>,
    /// Whether it is not hidden itself.
    pub visible: bool,
    /// The group that a component is in.
    pub group: Option<GroupId>,
}

/// What an edit comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change<'a> {
    /// Announce a maintenance, or give one a new state.
    Maintenance(Option<&'a PlannedMaintenance>, Announcement),
    /// Say something about a maintenance, and end it if this is true.
    UpdateMaintenance(&'a PlannedMaintenance, String, bool),
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
pub(super) struct Known<'a> {
    /// What is on the page.
    pub content: &'a Content,
    /// The groups that `config.json` names.
    pub groups: &'a [names::Group],
    /// The targets of the targets file, where there is one.
    pub inventory: Option<&'a Inventory>,
    /// The time.
    pub now: Timestamp,
}

/// What is wrong with a field, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Fault {
    /// The field, by the name that it has in the form; or `components`, all of theirs.
    pub field: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

impl<'a> Edit<'a> {
    /// The edit that a path below `/console/page/` names: `groups/3/rename`.
    ///
    /// # Errors
    /// What does not exist, and the cure.
    pub(super) fn find(path: &str, content: &'a Content) -> Result<Self, String> {
        let unknown = || "there is no such form: open the status page in the console and choose one there".to_owned();
        let (place, rest) = path.split_once('/').ok_or_else(unknown)?;
        let (number, action) = rest.split_once('/').unwrap_or(("", rest));
        let id = number.parse::<i64>().ok();
        let (kind, action, word, name, shown_name) = match (place, id) {
            ("maintenance", None) if rest == "new" => (EditKind::Maintenance(None), "announce", "maintenance", "", ""),
            ("incidents", None) if rest == "new" => (EditKind::WriteIncident, "write", "incident", "", ""),
            ("maintenance", Some(id)) => {
                let found = content.maintenance.iter().find(|one| one.id.0 == id);
                let one =
                    found.ok_or_else(|| format!("there is no maintenance {id}, or it is over: announce it anew"))?;
                let (kind, action) = match action {
                    "change" => (EditKind::Maintenance(Some(one)), "change"),
                    "update" => (EditKind::UpdateMaintenance(one, false), "update"),
                    "end" => (EditKind::UpdateMaintenance(one, true), "end"),
                    _ => return Err(unknown()),
                };
                (kind, action, "maintenance", &*one.title, &*one.title)
            }
            ("incidents", Some(id)) => {
                let found = content.incidents.iter().find(|one| one.id.0 == id);
                let one = found.ok_or_else(|| {
                    format!("there is no incident {id} that is open, or began or was fixed in the last 14 days: write a new one")
                })?;
                match action {
                    "update" => (EditKind::UpdateIncident(one), "update", "incident", &*one.title, &*one.title),
                    _ => return Err(unknown()),
                }
            }
            ("groups" | "components", Some(id)) => {
                let is_group = place == "groups";
                let found = if is_group {
                    let group = content.groups.iter().find(|one| one.id.0 == id);
                    group.map(|one| (&*one.name, one.title.as_deref(), one.visible, None))
                } else {
                    let component = listed(content).find(|one| one.id.0 == id);
                    component.map(|one| (&*one.name, one.title.as_deref(), one.visible, one.group))
                };
                let word = if is_group { "group" } else { "component" };
                let (name, title, visible, group) =
                    found.ok_or_else(|| format!("there is no {word} {id} on the page: it may have been removed"))?;
                let part = Part { is_group, id, name, title, visible, group };
                let (kind, action) = match action {
                    "rename" => (EditKind::Rename(part), "rename"),
                    "move" => (EditKind::Move(part), "move"),
                    "hide" => (EditKind::SetVisible(part, false), "hide"),
                    "show" => (EditKind::SetVisible(part, true), "show"),
                    "remove" => (EditKind::Remove(part), "remove"),
                    _ => return Err(unknown()),
                };
                (kind, action, word, name, part.shown_name())
            }
            _ => return Err(unknown()),
        };
        Ok(Self { kind, action, word, id, name, shown_name })
    }

    /// Whether there is something to fill in.
    pub(super) fn has_form(&self) -> bool {
        !matches!(self.kind, EditKind::SetVisible(..) | EditKind::Remove(_))
    }

    /// The form as it is before anybody typed.
    pub(super) fn filled_in(&self, known: &Known<'_>) -> Form {
        let mut form = Form::default();
        match self.kind {
            EditKind::Maintenance(Some(one)) => {
                form.set("title", &*one.title);
                form.set("message", &*one.message);
                form.set("begins", typed(one.begins_at));
                form.set("ends", one.ends_at.map(typed).unwrap_or_default());
                for affected in &one.affected {
                    form.set(field_of(affected.component), MAINTENANCE_STATUS.value().to_string());
                }
            }
            EditKind::WriteIncident => form.set("status", IncidentStatus::Investigating.value().to_string()),
            EditKind::UpdateIncident(one) => form.set("status", one.status.value().to_string()),
            EditKind::Rename(part) => form.set("title", part.title.unwrap_or_default()),
            EditKind::Move(part) => form.set("to", (part.place(known.content) + 1).to_string()),
            _ => {}
        }
        form
    }

    /// What was announced or written last by a person: number and title. A form that is sent twice is known by it.
    pub(super) fn last_made<'c>(&self, content: &'c Content) -> Option<(i64, &'c str)> {
        match self.kind {
            EditKind::Maintenance(None) => content.maintenance.iter().map(|one| (one.id.0, one.title.as_str())).max(),
            EditKind::WriteIncident => {
                let written = content.incidents.iter().filter(|one| one.key.is_none());
                written.map(|one| (one.id.0, one.title.as_str())).max()
            }
            _ => None,
        }
    }

    /// What the edit depends on, as a form says what it has seen; if that is another one by then, somebody was faster.
    pub(super) fn seen(&self, content: &Content) -> String {
        let state = match self.kind {
            EditKind::Maintenance(None) | EditKind::WriteIncident => format!("{:?}", self.last_made(content)),
            EditKind::Maintenance(Some(one)) | EditKind::UpdateMaintenance(one, _) => format!("{one:?}"),
            EditKind::UpdateIncident(one) => format!("{one:?}"),
            EditKind::Move(part) => format!("{:?}", part.beside(content)),
            EditKind::Rename(part) | EditKind::SetVisible(part, _) | EditKind::Remove(part) => {
                format!("{:?}", (part.name, part.title, part.visible))
            }
        };
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(state))
    }

    /// The change that a form asks for; `None` if everything is so already.
    ///
    /// # Errors
    /// All that is wrong with the form.
    pub(super) fn check(&self, form: &Form, known: &Known<'_>) -> Result<Option<Change<'a>>, Vec<Fault>> {
        let mut checks = Checks { form, known, faults: Vec::new() };
        let change = match self.kind {
            EditKind::Maintenance(old) => {
                let new = checks.announcement(old);
                let is_same = |old: &PlannedMaintenance| {
                    old.title == new.title
                        && old.message == new.message
                        && old.begins_at.cut_to_seconds() == new.begins_at
                        && old.ends_at.map(Timestamp::cut_to_seconds) == new.ends_at
                        && old.affected.len() == new.affected.len()
                        && new.affected.iter().all(|affected| old.affected.contains(affected))
                };
                (!old.is_some_and(is_same)).then_some(Change::Maintenance(old, new))
            }
            EditKind::UpdateMaintenance(one, ends) => Some(Change::UpdateMaintenance(one, checks.message(), ends)),
            EditKind::WriteIncident => {
                let new = NewIncident {
                    title: checks.title(true),
                    message: checks.message(),
                    status: checks.incident_status(),
                    key: None,
                    opened_for: None,
                    began_at: checks.beginning("began", None, known.now),
                    affected: checks.affected(&INCIDENT_STATUSES),
                };
                let first_day = first_day(known.now);
                if new.status == IncidentStatus::Fixed && new.began_at < first_day {
                    let problem = format!(
                        "is before {first_day}, and readers see no earlier incidents that are over: choose a later \
                         time, or another status"
                    );
                    checks.fault("began", problem);
                }
                Some(Change::WriteIncident(new))
            }
            EditKind::UpdateIncident(one) => {
                Some(Change::UpdateIncident(one, checks.incident_status(), checks.message()))
            }
            EditKind::Rename(part) => {
                // The name itself is no title.
                let title = Some(checks.title(false)).filter(|title| title != part.name).unwrap_or_default();
                (part.title.unwrap_or_default() != title).then_some(Change::Rename(part, title))
            }
            EditKind::Move(part) => {
                let mut order: Vec<i64> = part.beside(known.content).into_iter().map(|(id, _)| id).collect();
                let place = form.get("to").trim().parse().ok().filter(|place| (1..=order.len()).contains(place));
                if place.is_none() {
                    checks.fault("to", format!("is not in the order: choose 1 to {}", order.len()));
                }
                let place = place.unwrap_or(1) - 1;
                order.retain(|id| *id != part.id);
                order.insert(place.min(order.len()), part.id);
                (place != part.place(known.content)).then_some(Change::Order(part, order))
            }
            EditKind::SetVisible(part, visible) => {
                (part.visible != visible).then_some(Change::SetVisible(part, visible))
            }
            EditKind::Remove(part) => {
                if let Some(problem) = part.is_configured(known) {
                    checks.fault("remove", problem);
                }
                Some(Change::Remove(part))
            }
        };
        if checks.faults.is_empty() { Ok(change) } else { Err(checks.faults) }
    }
}

/// The components that operators have to do with, in the order of the page: by group, those in none last. The targets' own
/// are not among them.
pub(super) fn listed(content: &Content) -> impl Iterator<Item = &Component> {
    let is_listed = |one: &&Component| one.visible || Target::from_earlier_name(&one.name).is_none();
    let groups = content.groups.iter().map(|group| Some(group.id)).chain([None]);
    groups.flat_map(move |group| content.components.iter().filter(move |one| one.group == group).filter(is_listed))
}

impl<'a> Part<'a> {
    /// What readers call it.
    pub(super) fn shown_name(self) -> &'a str {
        self.title.unwrap_or(self.name)
    }

    /// Those that it is ordered among, itself included, in their order: number and what readers call it.
    pub(super) fn beside(self, content: &Content) -> Vec<(i64, &str)> {
        if self.is_group {
            return content.groups.iter().map(|one| (one.id.0, one.shown_name())).collect();
        }
        let beside = listed(content).filter(|one| one.group == self.group);
        beside.map(|one| (one.id.0, one.shown_name())).collect()
    }

    /// Its place among them, from 0.
    pub(super) fn place(self, content: &Content) -> usize {
        self.beside(content).iter().position(|(id, _)| *id == self.id).unwrap_or_default()
    }

    /// Why it cannot be removed: the server would make it again, or alerts would be about nothing.
    fn is_configured(self, known: &Known<'_>) -> Option<String> {
        let name = self.name;
        let (word, is_named) = if self.is_group {
            ("group", known.groups.iter().any(|group| group.name.as_str() == name))
        } else {
            let mut components = known.groups.iter().flat_map(|group| &group.components);
            ("component", components.any(|component| component.as_str() == name))
        };
        if is_named {
            return Some(format!(
                "config.json names the {word} {name:?}, so the server would make it again: remove it from config.json \
                 and reload first, or hide it"
            ));
        }
        let feeds = |target: &Target| target.components().iter().any(|component| component.as_str() == name);
        let mut targets = known.inventory.filter(|_| !self.is_group)?.iter();
        let (_, fed_by) = targets.find(|(_, known)| feeds(&known.target))?;
        Some(format!(
            "the target {:?} feeds the component {name:?}: remove it from the labels of its targets and reload first, or \
             hide it",
            fed_by.target.instance()
        ))
    }
}

/// The fields of a form that have a content; others that were sent with it are none of its own.
pub(super) fn filled(form: &Form) -> impl Iterator<Item = (&str, &str)> {
    let fields = form.0.iter().map(|(field, content)| (field.as_str(), content.as_str()));
    let is_known = |field: &str| FIELDS.contains(&field) || is_of_component(field);
    fields.filter(move |(field, content)| !content.is_empty() && is_known(field))
}

/// The field that says which status a component is given.
pub(super) fn field_of(component: ComponentId) -> String {
    format!("c{}", component.0)
}

fn is_of_component(field: &str) -> bool {
    field.strip_prefix('c').is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A moment as a field for a time has it.
pub(super) fn typed(at: Timestamp) -> String {
    let form = if at.as_millis() % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    let moment = jiff::Timestamp::from_millisecond(at.as_millis());
    moment.map_or_else(|_| at.to_string(), |moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// Reads the fields of a form, and collects all that is wrong with them.
struct Checks<'a> {
    form: &'a Form,
    known: &'a Known<'a>,
    faults: Vec<Fault>,
}

impl Checks<'_> {
    /// Something is wrong with a field.
    fn fault(&mut self, field: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { field, problem: problem.into() });
    }

    /// All that a maintenance says; `old`: what it said before.
    fn announcement(&mut self, old: Option<&PlannedMaintenance>) -> Announcement {
        let now = self.known.now;
        let begins_at = self.beginning("begins", old.map(|old| old.begins_at), now.after(LONGEST_AHEAD));
        let (title, message, ends_at) = (self.title(true), self.message(), self.time("ends"));
        let problem = match ends_at {
            Some(ends) if ends <= begins_at => Some("is not after the beginning: choose a later time"),
            Some(ends) if ends <= now => Some("is over already: choose a later time"),
            Some(ends) if ends > begins_at.after(LONGEST_AHEAD) => {
                Some("is more than a year after the beginning: choose an earlier time, or leave it empty")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            self.fault("ends", problem);
        }
        Announcement { title, message, begins_at, ends_at, affected: self.affected(&[MAINTENANCE_STATUS]) }
    }

    /// A title, which may be left out unless it is `required`.
    fn title(&mut self, required: bool) -> String {
        let title = trimmed(self.form.get("title")).to_owned();
        let characters = title.chars().count();
        if characters > TITLE_LIMIT {
            self.fault("title", format!("has {characters} characters: shorten it to {TITLE_LIMIT}"));
        } else if title.chars().any(char::is_control) {
            self.fault("title", "has a line break or a control character: write it on one line");
        } else if required && title.is_empty() {
            self.fault("title", "is missing: say in a few words what it is about");
        }
        title
    }

    /// A message, which must be there.
    fn message(&mut self) -> String {
        let message = trimmed(self.form.get("message")).to_owned();
        if message.is_empty() {
            self.fault("message", "is missing: say what readers should know");
        } else if message.len() > MESSAGE_LIMIT_BYTES {
            self.fault("message", format!("has {} bytes: shorten it to {MESSAGE_LIMIT_BYTES}", message.len()));
        } else if message.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
            self.fault("message", "has a control character: remove it");
        }
        message
    }

    /// A moment, to the second; `None` if the field is empty, or if it is no time, which is a fault.
    fn time(&mut self, field: &'static str) -> Option<Timestamp> {
        let text = self.form.get(field).trim();
        let read = moment(text).map(Timestamp::cut_to_seconds);
        if read.is_none() && !text.is_empty() {
            let excerpt: String = text.chars().take(40).collect();
            self.fault(field, format!("{excerpt:?} is no time: write it as 2026-11-21 18:00, in UTC"));
        }
        read
    }

    /// When something begins; an empty field means now, to the minute. `earliest` may lie further back than new ones can
    /// begin.
    fn beginning(&mut self, field: &'static str, earliest: Option<Timestamp>, latest: Timestamp) -> Timestamp {
        let now_ms = self.known.now.as_millis();
        let this_minute = Timestamp::from_millis(now_ms.saturating_sub(now_ms.rem_euclid(60_000)));
        let begins = self.time(field).unwrap_or(this_minute);
        let longest_ago = self.known.now.before(LONGEST_AGO);
        if begins < earliest.map_or(longest_ago, |earliest| earliest.cut_to_seconds().min(longest_ago)) {
            self.fault(field, "is more than 90 days ago: choose a later time");
        } else if begins > latest {
            let problem = if latest > self.known.now { "is more than a year away" } else { "is in the future" };
            self.fault(field, format!("{problem}: choose an earlier time"));
        }
        begins
    }

    /// The status of an incident.
    fn incident_status(&mut self) -> IncidentStatus {
        let status = self.form.get("status").parse().ok().and_then(IncidentStatus::from_value);
        if status.is_none() {
            self.fault("status", "is missing: choose one of the list");
        }
        status.unwrap_or(IncidentStatus::Reported)
    }

    /// The components that have a status in the form, each one of `allowed`.
    fn affected(&mut self, allowed: &[ComponentStatus]) -> Vec<AffectedStatus> {
        let (mut affected, mut known) = (Vec::new(), 0);
        for component in listed(self.known.content) {
            let text = self.form.get(&field_of(component.id));
            if text.is_empty() {
                continue;
            }
            known += 1;
            match text.parse().ok().and_then(ComponentStatus::from_value).filter(|status| allowed.contains(status)) {
                Some(status) => affected.push(AffectedStatus { component: component.id, status }),
                None => {
                    let name = component.shown_name();
                    self.fault("components", format!("{name} has no such status: choose one of the list"));
                }
            }
        }
        if filled(self.form).filter(|(field, _)| is_of_component(field)).count() > known {
            self.fault("components", "one of those that were chosen was removed meanwhile: look at the list again");
        }
        if affected.len() > AFFECTED_LIMIT {
            self.fault("components", format!("{} are chosen: choose {AFFECTED_LIMIT} at most", affected.len()));
        }
        affected
    }
}

#[cfg(test)]
mod tests;
