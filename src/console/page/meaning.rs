//! What a change means: the sentences that ask for confirmation stand in a template, what the log says stands here.

use minijinja::{Value, context};

use super::edit::{Change, Known, listed};
use crate::core::builtin::{AffectedStatus, Component, Content};
use crate::core::status::{ComponentStatus, IncidentStatus, ScheduleStatus};

impl Change<'_> {
    /// What `edit_confirm.html` needs to say what it means for readers, for the server and for what was there before.
    pub(super) fn meaning(&self, known: &Known<'_>) -> Value {
        let content = known.content;
        match self {
            Self::Maintenance(old, new) => context! {
                new => context! {
                    title => &*new.title,
                    message => &*new.message,
                    begins => new.begins_at.to_string(),
                    ends => new.ends_at.map(|at| at.to_string()),
                    components => names(&new.affected, content),
                },
                old => old.map(|old| context! {
                    title => &*old.title,
                    message => &*old.message,
                    begins => old.begins_at.to_string(),
                    ends => old.ends_at.map(|at| at.to_string()),
                    components => names(&old.affected, content),
                }),
                has_begun => new.begins_at < known.now,
            },
            Self::UpdateMaintenance(one, ..) => context! {
                in_progress => one.phase(known.now) == ScheduleStatus::InProgress,
                begins => one.begins_at.to_string(),
            },
            Self::WriteIncident(new) => {
                let shown =
                    |one: &AffectedStatus| context! { name => name_of(one, content), word => one.status.word() };
                context! {
                    status => new.status.word(),
                    began => new.began_at.to_string(),
                    is_open => new.status != IncidentStatus::Fixed,
                    affected => new.affected.iter().map(shown).collect::<Vec<_>>(),
                }
            }
            Self::UpdateIncident(one, status, _) => {
                let is_out = |component: &&Component| {
                    Some(&component.name) == one.opened_for.as_ref() && component.status == ComponentStatus::MajorOutage
                };
                context! {
                    old_status => one.status.word(),
                    status => status.word(),
                    was_open => one.is_open(),
                    is_open => *status != IncidentStatus::Fixed,
                    is_ours => one.key.is_some(),
                    out => content.components.iter().find(is_out).map(|component| &*component.name),
                    last => one.updates.last().map(|last| context! { at => last.at.to_string(), message => &*last.message }),
                }
            }
            Self::Rename(part, title) => {
                context! { name => part.name, shown_name => part.shown_name(), new_title => &**title }
            }
            Self::Order(part, order) => {
                let beside = part.beside(content);
                let place = order.iter().position(|id| *id == part.id).unwrap_or_default();
                let name_at = |at: usize| {
                    let id = order.get(at)?;
                    beside.iter().find(|(beside, _)| beside == id).map(|(_, name)| *name)
                };
                context! {
                    from => part.place(content) + 1,
                    to => place + 1,
                    count => beside.len(),
                    before => place.checked_sub(1).and_then(name_at),
                    after => name_at(place + 1),
                }
            }
            Self::SetVisible(part, _) | Self::Remove(part) => {
                let group = content.groups.iter().find(|group| Some(group.id) == part.group);
                context! {
                    hidden_group => group.filter(|group| !group.visible).map(|group| group.shown_name()),
                    inside => listed(content).filter(|one| one.group.is_some_and(|of| of.0 == part.id)).count(),
                }
            }
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
                let name = |id: &i64| match part.is_group {
                    true => content.groups.iter().find(|one| one.id.0 == *id).map(|one| &*one.name),
                    false => content.components.iter().find(|one| one.id.0 == *id).map(|one| &*one.name),
                };
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

fn names(affected: &[AffectedStatus], content: &Content) -> String {
    affected.iter().map(|one| name_of(one, content)).collect::<Vec<_>>().join(", ")
}

fn name_of<'a>(affected: &AffectedStatus, content: &'a Content) -> &'a str {
    let component = content.components.iter().find(|one| one.id == affected.component);
    component.map_or("a component that is gone", Component::shown_name)
}
