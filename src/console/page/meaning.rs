//! What a change means, in sentences: before it is done, on the page that asks for confirmation, and after it, in the log.

use super::super::view::when;
use super::edit::{Change, Edit, Known, Part, is_in_progress, listed};
use crate::core::builtin::{AffectedStatus, Component, Content, Incident, PlannedMaintenance};
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;
use crate::store::{Announcement, NewIncident};

impl Edit<'_> {
    /// What is done, as a heading.
    pub fn title(self) -> String {
        let named = |verb: &str, word: &str, name: &str| format!("{verb} {word} “{name}”");
        let part = |verb, part: Part<'_>| named(verb, part.word(), part.shown_name());
        match self {
            Self::Announce => "Announce maintenance".to_owned(),
            Self::ChangeMaintenance(one) => named("Change", "maintenance", &one.title),
            Self::UpdateMaintenance(one) => named("Update", "maintenance", &one.title),
            Self::EndMaintenance(one) => named("End", "maintenance", &one.title),
            Self::WriteIncident => "Write an incident".to_owned(),
            Self::UpdateIncident(one) => named("Update", "incident", &one.title),
            Self::Rename(one) => part("Rename", one),
            Self::Move(one) => part("Move", one),
            Self::Hide(one) => part("Hide", one),
            Self::Show(one) => part("Show", one),
            Self::Remove(one) => part("Remove", one),
        }
    }

    /// What the button says that does it.
    pub fn button(self) -> &'static str {
        match self {
            Self::Announce => "Announce it",
            Self::ChangeMaintenance(_) => "Change it",
            Self::UpdateMaintenance(_) | Self::UpdateIncident(_) | Self::WriteIncident => "Publish it",
            Self::EndMaintenance(_) => "End it",
            Self::Rename(_) => "Rename it",
            Self::Move(_) => "Move it",
            Self::Hide(_) => "Hide it",
            Self::Show(_) => "Show it",
            Self::Remove(_) => "Remove it",
        }
    }

    /// What `change` means for readers, for the server and for what was there before.
    pub fn meaning(self, change: &Change<'_>, known: &Known<'_>) -> Vec<String> {
        let content = known.content;
        match (self, change) {
            (_, Change::Announce(new)) => announced(new, known),
            (Self::ChangeMaintenance(old), Change::Maintenance(_, new)) => {
                let mut means = differences(old, new, content);
                means.extend(announced(new, known));
                means
            }
            (Self::EndMaintenance(one), _) if is_in_progress(one, known.now) => vec![
                "It is over at once. Readers see the components’ own statuses again.".to_owned(),
                "A component that is in Major Outage then gets its incident.".to_owned(),
            ],
            (Self::EndMaintenance(one), _) => {
                vec![format!(
                    "It has not begun (planned for {}), so it is called off. Readers no longer see it.",
                    at(one.begins_at)
                )]
            }
            (Self::UpdateMaintenance(_), _) => {
                vec!["Readers see the message below the announcement at once.".to_owned()]
            }
            (_, Change::WriteIncident(new)) => written(new, content),
            (_, Change::UpdateIncident(one, status, _)) => updated(one, *status, content),
            (Self::Rename(part), Change::Group(_, change)) => renamed(part, change.title.as_deref()),
            (Self::Rename(part), Change::Component(_, change)) => renamed(part, change.title.as_deref()),
            (Self::Move(part), Change::OrderGroups(order)) => {
                moved(part, order.iter().position(|id| id.0 == part.id()), content)
            }
            (Self::Move(part), Change::OrderComponents(order)) => {
                moved(part, order.iter().position(|id| id.0 == part.id()), content)
            }
            (Self::Hide(Part::Group(group)), _) => {
                let inside = listed(content).filter(|one| one.group == Some(group.id)).count();
                vec![
                    format!("Readers see neither the group nor its components ({inside})."),
                    "The server goes on keeping their statuses. An outage still opens an incident, which readers see."
                        .to_owned(),
                ]
            }
            (Self::Hide(Part::Component(_)), _) => vec![
                "Readers do not see it.".to_owned(),
                "The server goes on keeping its status. An outage still opens an incident, which readers see."
                    .to_owned(),
            ],
            (Self::Show(Part::Component(component)), _) => {
                let group = content.groups.iter().find(|group| Some(group.id) == component.group);
                match group.filter(|group| !group.visible) {
                    Some(group) => {
                        vec![format!("Readers see it once its group “{}” is shown, too.", group.shown_name())]
                    }
                    None => vec!["Readers see it, with its status.".to_owned()],
                }
            }
            (Self::Show(Part::Group(_)), _) => {
                vec!["Readers see it, and those of its components that are not hidden themselves.".to_owned()]
            }
            (_, Change::RemoveGroup(id)) => {
                let inside = listed(content).filter(|one| one.group == Some(*id)).count();
                vec![
                    format!("Its components ({inside}) stay on the page, in no group."),
                    "This cannot be undone.".to_owned(),
                ]
            }
            (_, Change::RemoveComponent(_)) => vec![
                "It is removed from the page, and from every incident and maintenance that is about it.".to_owned(),
                "Alerts that name it change nothing on the page from then on.".to_owned(),
                "This cannot be undone.".to_owned(),
            ],
            _ => Vec::new(),
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

fn renamed(part: Part<'_>, title: Option<&str>) -> Vec<String> {
    let name = part.name();
    match title.unwrap_or_default() {
        "" => vec![format!("Readers see its name “{name}” again.")],
        title => vec![
            format!("Readers see “{title}” in place of “{}”.", part.shown_name()),
            format!("Its name stays “{name}” in labels, in config.json, in the log and in the console."),
        ],
    }
}

fn moved(part: Part<'_>, place: Option<usize>, content: &Content) -> Vec<String> {
    let (old, beside) = (part.place(content), part.beside(content));
    let place = place.unwrap_or(old);
    let neighbour = |at: Option<usize>| at.and_then(|at| beside.iter().filter(|(id, _)| *id != part.id()).nth(at));
    let mut means = vec![format!("It moves from place {} to place {} of {}.", old + 1, place + 1, beside.len())];
    if let Some((_, name)) = neighbour(place.checked_sub(1)) {
        means.push(format!("It comes after {name}."));
    }
    if let Some((_, name)) = neighbour(Some(place)) {
        means.push(format!("It comes before {name}."));
    }
    means
}

impl Change<'_> {
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
            Self::UpdateMaintenance(_, message, _) => message.clone(),
            Self::WriteIncident(new) => {
                format!(
                    "status {}, began {}, {}: {}",
                    new.status.word(),
                    new.began_at,
                    about(&new.affected),
                    new.message
                )
            }
            Self::UpdateIncident(_, status, message) => format!("status {}: {message}", status.word()),
            Self::Group(_, change) => part_details(change.title.as_deref(), change.visible),
            Self::Component(_, change) => part_details(change.title.as_deref(), change.visible),
            Self::OrderGroups(order) => {
                let names = order.iter().filter_map(|id| content.groups.iter().find(|one| one.id == *id));
                format!("order {}", names.map(|one| one.name.as_str()).collect::<Vec<_>>().join(", "))
            }
            Self::OrderComponents(order) => {
                let names = order.iter().filter_map(|id| content.components.iter().find(|one| one.id == *id));
                format!("order {}", names.map(|one| one.name.as_str()).collect::<Vec<_>>().join(", "))
            }
            Self::RemoveGroup(_) | Self::RemoveComponent(_) => "removed".to_owned(),
        }
    }

    /// The title under which readers are told of it, where it has one.
    pub fn title(&self) -> Option<&str> {
        match self {
            Self::Announce(new) | Self::Maintenance(_, new) => Some(&new.title),
            Self::WriteIncident(new) => Some(&new.title),
            _ => None,
        }
    }

    /// What readers are told in it.
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Announce(new) | Self::Maintenance(_, new) => Some(&new.message),
            Self::WriteIncident(new) => Some(&new.message),
            Self::UpdateMaintenance(_, message, _) | Self::UpdateIncident(_, _, message) => Some(message),
            _ => None,
        }
    }
}

fn part_details(title: Option<&str>, visible: Option<bool>) -> String {
    match (title, visible) {
        (Some(""), _) => "no title".to_owned(),
        (Some(title), _) => format!("title {title}"),
        (None, Some(true)) => "shown".to_owned(),
        (None, _) => "hidden".to_owned(),
    }
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
