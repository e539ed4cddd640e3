//! What a change means, in sentences: before it is done, on the page that asks for confirmation, and after it, in the log.

use super::super::pages::when;
use super::edit::{Change, Edit, Known, Part, PartId, listed};
use crate::core::builtin::{AffectedStatus, Component, Content, Incident, PlannedMaintenance};
use crate::core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use crate::core::time::Timestamp;
use crate::store::{Announcement, NewIncident};

/// What is done, as a heading.
pub fn title(edit: Edit<'_>) -> String {
    let subject = edit.subject();
    match edit {
        Edit::Announce => "Announce maintenance".to_owned(),
        Edit::WriteIncident => "Write an incident".to_owned(),
        _ => format!("{} {} “{}”", verb(edit), subject.word, subject.shown_name),
    }
}

/// What the button says that does it.
pub fn button(edit: Edit<'_>) -> String {
    match edit {
        Edit::UpdateMaintenance(_) | Edit::UpdateIncident(_) | Edit::WriteIncident => "Publish it".to_owned(),
        _ => format!("{} it", verb(edit)),
    }
}

/// What is done, as a sentence begins with it.
fn verb(edit: Edit<'_>) -> String {
    let (first, rest) = edit.action().split_at(1);
    first.to_uppercase() + rest
}

impl Change<'_> {
    /// What it means for readers, for the server and for what was there before.
    pub fn meaning(&self, known: &Known<'_>) -> Vec<String> {
        let content = known.content;
        let sentences: &[&str] = match self {
            Self::Announce(new) => return announced(new, known),
            Self::Maintenance(old, new) => {
                return differences(old, new, content).into_iter().chain(announced(new, known)).collect();
            }
            Self::UpdateMaintenance(..) => &["Readers see the message below the announcement at once."],
            Self::EndMaintenance(one, _) if one.phase(known.now) == ScheduleStatus::InProgress => &[
                "It is over at once. Readers see the components’ own statuses again.",
                "A component that is in Major Outage then gets its incident.",
            ],
            Self::EndMaintenance(one, _) => {
                let begins = at(one.begins_at);
                return vec![format!(
                    "It has not begun (planned for {begins}), so it is called off. Readers no longer see it."
                )];
            }
            Self::WriteIncident(new) => return written(new, content),
            Self::UpdateIncident(one, status, _) => return updated(one, *status, content),
            Self::Rename(part, title) if title.is_empty() => {
                return vec![format!("Readers see its name “{}” again.", part.name)];
            }
            Self::Rename(part, title) => {
                let name = part.name;
                return vec![
                    format!("Readers see “{title}” in place of “{}”.", part.shown_name()),
                    format!("Its name stays “{name}” in labels, in config.json, in the log and in the console."),
                ];
            }
            Self::Order(part, order) => return moved(*part, order, content),
            Self::SetVisible(part, visible) => match (part.id, visible) {
                (PartId::Group(id), false) => {
                    let inside = listed(content).filter(|one| one.group == Some(id)).count();
                    let sees = format!("Readers see neither the group nor its components ({inside}).");
                    let goes_on = "The server goes on keeping their statuses. An outage still opens an incident, which \
                                   readers see.";
                    return vec![sees, goes_on.to_owned()];
                }
                (PartId::Component(_), false) => &[
                    "Readers do not see it.",
                    "The server goes on keeping its status. An outage still opens an incident, which readers see.",
                ],
                (PartId::Group(_), true) => {
                    &["Readers see it, and those of its components that are not hidden themselves."]
                }
                (PartId::Component(_), true) => {
                    let group = content.groups.iter().find(|group| Some(group.id) == part.group);
                    if let Some(group) = group.filter(|group| !group.visible) {
                        let group = group.shown_name();
                        return vec![format!("Readers see it once its group “{group}” is shown, too.")];
                    }
                    &["Readers see it, with its status."]
                }
            },
            Self::Remove(part) => match part.id {
                PartId::Group(id) => {
                    let inside = listed(content).filter(|one| one.group == Some(id)).count();
                    let stay = format!("Its components ({inside}) stay on the page, in no group.");
                    return vec![stay, "This cannot be undone.".to_owned()];
                }
                PartId::Component(_) => &[
                    "It is removed from the page, and from every incident and maintenance that is about it.",
                    "Alerts that name it change nothing on the page from then on.",
                    "This cannot be undone.",
                ],
            },
        };
        sentences.iter().map(|sentence| (*sentence).to_owned()).collect()
    }

    /// What the log says of it.
    pub fn details(&self, known: &Known<'_>) -> String {
        let content = known.content;
        let about = |affected: &[AffectedStatus]| match affected {
            [] => "no components".to_owned(),
            affected => format!("components {}", names(affected, content)),
        };
        match self {
            Self::Announce(new) | Self::Maintenance(_, new) => {
                let ends = new.ends_at.map_or_else(|| "open".to_owned(), |ends_at| ends_at.to_string());
                format!("begins {}, ends {ends}, {}: {}", new.begins_at, about(&new.affected), new.message)
            }
            Self::UpdateMaintenance(_, message) | Self::EndMaintenance(_, message) => message.clone(),
            Self::WriteIncident(new) => {
                let (status, about) = (new.status.word(), about(&new.affected));
                format!("status {status}, began {}, {about}: {}", new.began_at, new.message)
            }
            Self::UpdateIncident(_, status, message) => format!("status {}: {message}", status.word()),
            Self::Rename(_, title) if title.is_empty() => "no title".to_owned(),
            Self::Rename(_, title) => format!("title {title}"),
            Self::SetVisible(_, visible) => if *visible { "shown" } else { "hidden" }.to_owned(),
            Self::Order(part, order) => {
                let name = |id: &i64| match part.id {
                    PartId::Group(_) => content.groups.iter().find(|one| one.id.0 == *id).map(|one| one.name.as_str()),
                    PartId::Component(_) => {
                        content.components.iter().find(|one| one.id.0 == *id).map(|one| one.name.as_str())
                    }
                };
                format!("order {}", order.iter().filter_map(name).collect::<Vec<_>>().join(", "))
            }
            Self::Remove(_) => "removed".to_owned(),
        }
    }

    /// What readers are told in it: the title, where it has one, and the message.
    pub fn text(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Announce(new) | Self::Maintenance(_, new) => (Some(&new.title), Some(&new.message)),
            Self::WriteIncident(new) => (Some(&new.title), Some(&new.message)),
            Self::UpdateMaintenance(_, message)
            | Self::EndMaintenance(_, message)
            | Self::UpdateIncident(_, _, message) => (None, Some(message)),
            _ => (None, None),
        }
    }
}

fn announced(new: &Announcement, known: &Known<'_>) -> Vec<String> {
    let begins = if new.begins_at < known.now {
        format!("It is in progress, since {}", at(new.begins_at))
    } else {
        format!("It begins {}", at(new.begins_at))
    };
    let ends = match new.ends_at {
        Some(ends_at) => format!("ends {}", at(ends_at)),
        None => "goes on until somebody ends it here".to_owned(),
    };
    let mut means = vec![format!("Readers see it at once. {begins}, and {ends}.")];
    if new.affected.is_empty() {
        means.push("It is about no component, so no component is shown as Under Maintenance.".to_owned());
    } else {
        let names = names(&new.affected, known.content);
        means.push(format!("While it is in progress, readers see Under Maintenance for {names}."));
        means.push(
            "No incident is opened for these meanwhile. A component that is still in Major Outage when it is over gets its \
             incident then."
                .to_owned(),
        );
    }
    means
}

fn differences(old: &PlannedMaintenance, new: &Announcement, content: &Content) -> Vec<String> {
    let ends = |ends_at: Option<Timestamp>| ends_at.map_or_else(|| "open".to_owned(), at);
    let all = [
        ("Title", format!("“{}”", old.title), format!("“{}”", new.title)),
        ("Begins", at(old.begins_at), at(new.begins_at)),
        ("Ends", ends(old.ends_at), ends(new.ends_at)),
        ("Components", names(&old.affected, content), names(&new.affected, content)),
    ];
    let differ = all.into_iter().filter(|(_, old, new)| old != new);
    let mut differ: Vec<String> = differ.map(|(what, old, new)| format!("{what}: {new}, was {old}.")).collect();
    if old.message != new.message {
        differ.push("The message is changed.".to_owned());
    }
    differ
}

fn written(new: &NewIncident, content: &Content) -> Vec<String> {
    let mut means = vec![format!("Readers see it at once, as {}, begun {}.", new.status.word(), at(new.began_at))];
    if new.status == IncidentStatus::Fixed {
        means.push("It is over already, so it changes no component.".to_owned());
        return means;
    }
    for affected in &new.affected {
        let name = name_of(affected, content);
        means.push(format!("{name} is shown as {}, unless it is worse by itself.", affected.status.word()));
    }
    means.push("The server does not close it: update it with Fixed when it is over.".to_owned());
    means
}

fn updated(one: &Incident, status: IncidentStatus, content: &Content) -> Vec<String> {
    let words = if status == one.status {
        format!("Readers see the message at once. The status stays {}.", status.word())
    } else {
        format!("Readers see the message at once. The status changes from {} to {}.", one.status.word(), status.word())
    };
    let mut means = vec![words];
    let closes = one.is_open() && status == IncidentStatus::Fixed;
    let reopens = !one.is_open() && status != IncidentStatus::Fixed;
    let component = one.opened_for.as_ref().and_then(|name| content.components.iter().find(|one| one.name == *name));
    let is_out = component.is_some_and(|component| component.status == ComponentStatus::MajorOutage);
    match (&one.key, component) {
        (None, _) if closes => means.push("It is closed. Its components show their own statuses again.".to_owned()),
        (None, _) if reopens => means.push("It is open again.".to_owned()),
        (None, _) => {}
        (Some(_), Some(Component { name, .. })) if closes && is_out => means.push(format!(
            "The server opened it, and {name} is still in Major Outage. It counts as closed by a person: it stays closed, \
             and the server opens no other one, until something new is known of {name}."
        )),
        (Some(_), _) if closes => {
            means.push("The server opened it. It counts as closed by a person and stays closed.".to_owned());
        }
        (Some(_), _) if reopens && is_out => {
            means.push("The server opened it. It is open again, and the server closes it when the outage is over.".to_owned());
        }
        (Some(_), _) if reopens => means.push(
            "The server opened it for an outage that is over. It is open again: update it with Fixed when it is over."
                .to_owned(),
        ),
        (Some(_), _) if one.is_open() => {
            means.push("The server opened it, and closes it when the outage is over.".to_owned());
        }
        (Some(_), _) => {}
    }
    if let Some(last) = one.updates.last() {
        means.push(format!("Latest update, {}: {}", at(last.at), excerpt(&last.message)));
    }
    means
}

fn moved(part: Part<'_>, order: &[i64], content: &Content) -> Vec<String> {
    let (old, beside) = (part.place(content), part.beside(content));
    let place = order.iter().position(|id| *id == part.id.number()).unwrap_or(old);
    let name = |at: Option<usize>| {
        let id = order.get(at?)?;
        beside.iter().find(|(beside, _)| beside == id).map(|(_, name)| name)
    };
    let mut means = vec![format!("It moves from place {} to place {} of {}.", old + 1, place + 1, beside.len())];
    means.extend(name(place.checked_sub(1)).map(|before| format!("It comes after {before}.")));
    means.extend(name(Some(place + 1)).map(|after| format!("It comes before {after}.")));
    means
}

/// What is said of what was just done, on the page that follows.
pub fn done(action: &str) -> Option<&'static str> {
    Some(match action {
        "announce" => "The maintenance is announced.",
        "change" => "The maintenance is changed.",
        "update" => "The update is published.",
        "end" => "The maintenance is over.",
        "write" => "The incident is published.",
        "rename" => "It is renamed.",
        "move" => "It is moved.",
        "hide" => "It is hidden.",
        "show" => "It is shown.",
        "remove" => "It is removed.",
        "nothing" => "Nothing was changed: it is so already.",
        _ => return None,
    })
}

fn names(affected: &[AffectedStatus], content: &Content) -> String {
    let names: Vec<&str> = affected.iter().map(|one| name_of(one, content)).collect();
    if names.is_empty() { "no component".to_owned() } else { names.join(", ") }
}

fn name_of<'a>(affected: &AffectedStatus, content: &'a Content) -> &'a str {
    let component = content.components.iter().find(|one| one.id == affected.component);
    component.map_or("a component that is gone", Component::shown_name)
}

fn at(moment: Timestamp) -> String {
    when(&moment.to_string())
}

fn excerpt(message: &str) -> String {
    match message.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
