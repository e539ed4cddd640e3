//! What a change means, in sentences: before it is done, on the page that asks for confirmation, and after it, in the log.

use super::super::pages::when;
use super::edit::{Change, Known, Part, listed};
use crate::core::builtin::{AffectedStatus, Component, Content, Incident};
use crate::core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};
use crate::core::time::Timestamp;
use crate::store::Announcement;

impl Change<'_> {
    /// What it means for readers, for the server and for what was there before.
    pub(super) fn meaning(&self, known: &Known<'_>) -> Vec<String> {
        let content = known.content;
        let say = |sentences: &[&str]| sentences.iter().map(|sentence| (*sentence).to_owned()).collect();
        let components_in =
            |group: i64| listed(content).filter(|one| one.group.is_some_and(|of| of.0 == group)).count();
        match self {
            Self::Maintenance(old, new) => {
                let ends = |ends_at: Option<Timestamp>| ends_at.map_or_else(|| "open".to_owned(), at);
                let mut means = Vec::new();
                if let Some(old) = old {
                    let all = [
                        ("Title", format!("“{}”", old.title), format!("“{}”", new.title)),
                        ("Begins", at(old.begins_at), at(new.begins_at)),
                        ("Ends", ends(old.ends_at), ends(new.ends_at)),
                        ("Components", names(&old.affected, content), names(&new.affected, content)),
                    ];
                    let differ = all.into_iter().filter(|(_, old, new)| old != new);
                    means.extend(differ.map(|(what, old, new)| format!("{what}: {new}, was {old}.")));
                    if old.message != new.message {
                        means.push("The message is changed.".to_owned());
                    }
                }
                means.extend(announced(new, known));
                means
            }
            Self::UpdateMaintenance(_, _, false) => say(&["Readers see the message below the announcement at once."]),
            Self::UpdateMaintenance(one, ..) if one.phase(known.now) == ScheduleStatus::InProgress => say(&[
                "It is over at once. Readers see the components’ own statuses again.",
                "A component that is in Major Outage then gets its incident.",
            ]),
            Self::UpdateMaintenance(one, ..) => {
                let begins = at(one.begins_at);
                say(&[&format!(
                    "It has not begun (planned for {begins}), so it is called off. Readers no longer see it."
                )])
            }
            Self::WriteIncident(new) => {
                let begun = at(new.began_at);
                let mut means = vec![format!("Readers see it at once, as {}, begun {begun}.", new.status.word())];
                if new.status == IncidentStatus::Fixed {
                    means.push("It is over already, so it changes no component.".to_owned());
                    return means;
                }
                means.extend(new.affected.iter().map(|affected| {
                    let (name, word) = (name_of(affected, content), affected.status.word());
                    format!("{name} is shown as {word}, unless it is worse by itself.")
                }));
                means.push("The server does not close it: update it with Fixed when it is over.".to_owned());
                means
            }
            Self::UpdateIncident(one, status, _) => updated(one, *status, content),
            Self::Rename(part, title) if title.is_empty() => {
                say(&[&format!("Readers see its name “{}” again.", part.name)])
            }
            Self::Rename(part, title) => say(&[
                &format!("Readers see “{title}” in place of “{}”.", part.shown_name()),
                &format!("Its name stays “{}” in labels, in config.json, in the log and in the console.", part.name),
            ]),
            Self::Order(part, order) => {
                let (old, beside) = (part.place(content), part.beside(content));
                let place = order.iter().position(|id| *id == part.id).unwrap_or(old);
                let name = |at: Option<usize>| {
                    let id = order.get(at?)?;
                    beside.iter().find(|(beside, _)| beside == id).map(|(_, name)| name)
                };
                let (from, to) = (old + 1, place + 1);
                let mut means = vec![format!("It moves from place {from} to place {to} of {}.", beside.len())];
                means.extend(name(place.checked_sub(1)).map(|before| format!("It comes after {before}.")));
                means.extend(name(Some(place + 1)).map(|after| format!("It comes before {after}.")));
                means
            }
            Self::SetVisible(Part { is_group: true, id, .. }, false) => say(&[
                &format!("Readers see neither the group nor its components ({}).", components_in(*id)),
                "The server goes on keeping their statuses. An outage still opens an incident, which readers see.",
            ]),
            Self::SetVisible(_, false) => say(&[
                "Readers do not see it.",
                "The server goes on keeping its status. An outage still opens an incident, which readers see.",
            ]),
            Self::SetVisible(Part { is_group: true, .. }, true) => {
                say(&["Readers see it, and those of its components that are not hidden themselves."])
            }
            Self::SetVisible(part, true) => {
                let group = content.groups.iter().find(|group| Some(group.id) == part.group);
                match group.filter(|group| !group.visible) {
                    Some(group) => {
                        let group = group.shown_name();
                        say(&[&format!("Readers see it once its group “{group}” is shown, too.")])
                    }
                    None => say(&["Readers see it, with its status."]),
                }
            }
            Self::Remove(Part { is_group: true, id, .. }) => say(&[
                &format!("Its components ({}) stay on the page, in no group.", components_in(*id)),
                "This cannot be undone.",
            ]),
            Self::Remove(_) => say(&[
                "It is removed from the page, and from every incident and maintenance that is about it.",
                "Alerts that name it change nothing on the page from then on.",
                "This cannot be undone.",
            ]),
        }
    }

    /// What the log says of it.
    pub(super) fn details(&self, content: &Content) -> String {
        let about = |affected: &[AffectedStatus]| match affected {
            [] => "no components".to_owned(),
            affected => format!("components {}", names(affected, content)),
        };
        match self {
            Self::Maintenance(_, new) => {
                let ends = new.ends_at.map_or_else(|| "open".to_owned(), |ends_at| ends_at.to_string());
                format!("begins {}, ends {ends}, {}: {}", new.begins_at, about(&new.affected), new.message)
            }
            Self::UpdateMaintenance(_, message, _) => message.clone(),
            Self::WriteIncident(new) => {
                let (status, about) = (new.status.word(), about(&new.affected));
                format!("status {status}, began {}, {about}: {}", new.began_at, new.message)
            }
            Self::UpdateIncident(_, status, message) => format!("status {}: {message}", status.word()),
            Self::Rename(_, title) if title.is_empty() => "no title".to_owned(),
            Self::Rename(_, title) => format!("title {title}"),
            Self::SetVisible(_, visible) => if *visible { "shown" } else { "hidden" }.to_owned(),
            Self::Order(part, order) => {
                let names: Vec<(i64, &str)> = if part.is_group {
                    content.groups.iter().map(|one| (one.id.0, one.name.as_str())).collect()
                } else {
                    content.components.iter().map(|one| (one.id.0, one.name.as_str())).collect()
                };
                let name = |id: &i64| names.iter().find(|(of, _)| of == id).map(|(_, name)| *name);
                format!("order {}", order.iter().filter_map(name).collect::<Vec<_>>().join(", "))
            }
            Self::Remove(_) => "removed".to_owned(),
        }
    }

    /// What readers are told in it: the title, where it has one, and the message.
    pub(super) fn text(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Maintenance(_, new) => (Some(&new.title), Some(&new.message)),
            Self::WriteIncident(new) => (Some(&new.title), Some(&new.message)),
            Self::UpdateMaintenance(_, message, _) | Self::UpdateIncident(_, _, message) => (None, Some(message)),
            _ => (None, None),
        }
    }
}

fn announced(new: &Announcement, known: &Known<'_>) -> Vec<String> {
    let begins = if new.begins_at < known.now { "It is in progress, since" } else { "It begins" };
    let ends = match new.ends_at {
        Some(ends_at) => format!("ends {}", at(ends_at)),
        None => "goes on until somebody ends it here".to_owned(),
    };
    let mut means = vec![format!("Readers see it at once. {begins} {}, and {ends}.", at(new.begins_at))];
    if new.affected.is_empty() {
        means.push("It is about no component, so no component is shown as Under Maintenance.".to_owned());
        return means;
    }
    let names = names(&new.affected, known.content);
    means.push(format!("While it is in progress, readers see Under Maintenance for {names}."));
    means.push(
        "No incident is opened for these meanwhile. A component that is still in Major Outage when it is over gets its \
         incident then."
            .to_owned(),
    );
    means
}

fn updated(one: &Incident, status: IncidentStatus, content: &Content) -> Vec<String> {
    let (before, after) = (one.status.word(), status.word());
    let becomes =
        if status == one.status { format!("stays {after}") } else { format!("changes from {before} to {after}") };
    let mut means = vec![format!("Readers see the message at once. The status {becomes}.")];
    let closes = one.is_open() && status == IncidentStatus::Fixed;
    let reopens = !one.is_open() && status != IncidentStatus::Fixed;
    let component = one.opened_for.as_ref().and_then(|name| content.components.iter().find(|one| one.name == *name));
    let out = component.filter(|component| component.status == ComponentStatus::MajorOutage);
    let meaning = match (&one.key, out) {
        (None, _) if closes => "It is closed. Its components show their own statuses again.",
        (None, _) if reopens => "It is open again.",
        (Some(_), Some(Component { name, .. })) if closes => &format!(
            "The server opened it, and {name} is still in Major Outage. It counts as closed by a person: it stays closed, \
             and the server opens no other one, until something new is known of {name}."
        ),
        (Some(_), None) if closes => "The server opened it. It counts as closed by a person and stays closed.",
        (Some(_), Some(_)) if reopens => {
            "The server opened it. It is open again, and the server closes it when the outage is over."
        }
        (Some(_), None) if reopens => {
            "The server opened it for an outage that is over. It is open again: update it with Fixed when it is over."
        }
        (Some(_), _) if one.is_open() => "The server opened it, and closes it when the outage is over.",
        _ => "",
    };
    means.extend(Some(meaning.to_owned()).filter(|meaning| !meaning.is_empty()));
    means.extend(one.updates.last().map(|last| {
        let excerpt = match last.message.char_indices().nth(200) {
            Some((end, _)) => format!("{}…", &last.message[..end]),
            None => last.message.clone(),
        };
        format!("Latest update, {}: {excerpt}", at(last.at))
    }));
    means
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
