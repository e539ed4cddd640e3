//! The forms of the page: their fields, and the checks of what somebody typed. Every fault names the field and the cure.

use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::gate::Form;
use super::super::moment;
use super::edit::{Edit, INCIDENT_STATUSES, Known, MAINTENANCE_STATUS, listed};
use crate::core::builtin::{AffectedStatus, Component, Content, PlannedMaintenance};
use crate::core::names::trimmed;
use crate::core::observed::ComponentId;
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;
use crate::store::Announcement;

/// The most characters of a title.
const TITLE_LIMIT: usize = 255;

/// The most bytes of a message.
const MESSAGE_LIMIT_BYTES: usize = 16 * 1024;

/// The most components that an incident or a maintenance is about.
const AFFECTED_LIMIT: usize = 500;

/// How long ago an incident may have begun, or a maintenance.
const LONGEST_AGO: Duration = Duration::from_secs(90 * 24 * 3600);

/// How far away the beginning of a maintenance may be, and how long it may take.
const LONGEST_AHEAD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Every field that a form can have, but for those of components ([`field_of`]).
const FIELDS: [&str; 7] = ["title", "message", "begins", "ends", "began", "status", "to"];

/// What is wrong with a field, and the cure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The field, by the name that it has in the form.
    pub field: &'static str,
    /// The field, as the form calls it.
    pub label: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// A field of a form, for its template.
#[derive(Serialize)]
pub struct Field {
    name: String,
    label: String,
    /// `text`, `area`, `time`, `select` or `check`.
    kind: &'static str,
    value: String,
    hint: &'static str,
    limit: usize,
    required: bool,
    faulty: bool,
    /// Value and label of each choice.
    options: Vec<(String, String)>,
}

/// The fields of a form that have a content; others that were sent with it are none of its own.
pub fn filled(form: &Form) -> impl Iterator<Item = (&str, &str)> {
    let fields = form.0.iter().map(|(field, content)| (field.as_str(), content.as_str()));
    fields.filter(|(field, content)| !content.is_empty() && (FIELDS.contains(field) || is_of_component(field)))
}

/// The field that says which status a component is given.
pub fn field_of(component: ComponentId) -> String {
    format!("c{}", component.0)
}

fn is_of_component(field: &str) -> bool {
    field.strip_prefix('c').is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A moment as a field for a time has it.
pub fn typed(at: Timestamp) -> String {
    let form = if at.as_millis() % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    let moment = jiff::Timestamp::from_millisecond(at.as_millis());
    moment.map_or_else(|_| at.to_string(), |moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// Reads the fields of a form, and collects all that is wrong with them.
pub struct Checks<'a> {
    /// What was typed.
    pub form: &'a Form,
    /// What it is checked against.
    pub known: &'a Known<'a>,
    /// What is wrong so far.
    pub faults: Vec<Fault>,
}

impl Checks<'_> {
    /// Something is wrong with a field.
    pub fn fault(&mut self, field: &'static str, label: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { field, label, problem: problem.into() });
    }

    /// All that a maintenance says; `old`: what it said before.
    pub fn announcement(&mut self, old: Option<&PlannedMaintenance>) -> Announcement {
        let now = self.known.now;
        let begins_at = self.beginning("begins", "Begins", old.map(|old| old.begins_at), now.after(LONGEST_AHEAD));
        let (title, message) = (self.title(), self.message());
        let ends_at = self.time("ends", "Ends");
        let problem = match ends_at {
            Some(ends) if ends <= begins_at => Some("is not after the beginning: choose a later time"),
            Some(ends) if ends <= now => Some("is over already: choose a later time"),
            Some(ends) if ends > begins_at.after(LONGEST_AHEAD) => {
                Some("is more than a year after the beginning: choose an earlier time, or leave it empty")
            }
            _ => None,
        };
        if let Some(problem) = problem {
            self.fault("ends", "Ends", problem);
        }
        Announcement { title, message, begins_at, ends_at, affected: self.affected(&[MAINTENANCE_STATUS]) }
    }

    /// A title, which must be there.
    pub fn title(&mut self) -> String {
        let title = self.title_or_nothing();
        if title.is_empty() {
            self.fault("title", "Title", "is missing: say in a few words what it is about");
        }
        title
    }

    /// A title, which may be left out.
    pub fn title_or_nothing(&mut self) -> String {
        let title = trimmed(self.form.get("title")).to_owned();
        let characters = title.chars().count();
        if characters > TITLE_LIMIT {
            self.fault("title", "Title", format!("has {characters} characters: shorten it to {TITLE_LIMIT}"));
        } else if title.chars().any(char::is_control) {
            self.fault("title", "Title", "has a line break or a control character: write it on one line");
        }
        title
    }

    /// A message, which must be there.
    pub fn message(&mut self) -> String {
        let message = trimmed(self.form.get("message")).to_owned();
        if message.is_empty() {
            self.fault("message", "Message", "is missing: say what readers should know");
        } else if message.len() > MESSAGE_LIMIT_BYTES {
            let problem = format!("has {} bytes: shorten it to {MESSAGE_LIMIT_BYTES}", message.len());
            self.fault("message", "Message", problem);
        } else if message.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
            self.fault("message", "Message", "has a control character: remove it");
        }
        message
    }

    /// A moment, to the second; `None` if the field is empty, or if it is no time, which is a fault.
    fn time(&mut self, field: &'static str, label: &'static str) -> Option<Timestamp> {
        let text = self.form.get(field).trim();
        let read = moment(text).map(Timestamp::cut_to_seconds);
        if read.is_none() && !text.is_empty() {
            let excerpt: String = text.chars().take(40).collect();
            let problem = format!("{excerpt:?} is no time: write it as 2026-11-21 18:00, in UTC");
            self.fault(field, label, problem);
        }
        read
    }

    /// When something begins; an empty field means now, to the minute. `earliest` may lie further back than new ones can
    /// begin.
    pub fn beginning(
        &mut self,
        field: &'static str,
        label: &'static str,
        earliest: Option<Timestamp>,
        latest: Timestamp,
    ) -> Timestamp {
        let now_ms = self.known.now.as_millis();
        let this_minute = Timestamp::from_millis(now_ms.saturating_sub(now_ms.rem_euclid(60_000)));
        let begins = self.time(field, label).unwrap_or(this_minute);
        let longest_ago = self.known.now.before(LONGEST_AGO);
        if begins < earliest.map_or(longest_ago, |earliest| earliest.cut_to_seconds().min(longest_ago)) {
            self.fault(field, label, "is more than 90 days ago: choose a later time");
        } else if begins > latest {
            let problem = if latest > self.known.now { "is more than a year away" } else { "is in the future" };
            self.fault(field, label, format!("{problem}: choose an earlier time"));
        }
        begins
    }

    /// The status of an incident.
    pub fn incident_status(&mut self) -> IncidentStatus {
        let status = self.form.get("status").parse().ok().and_then(IncidentStatus::from_value);
        if status.is_none() {
            self.fault("status", "Status", "is missing: choose one of the list");
        }
        status.unwrap_or(IncidentStatus::Reported)
    }

    /// The components that have a status in the form, each one of `allowed`.
    pub fn affected(&mut self, allowed: &[ComponentStatus]) -> Vec<AffectedStatus> {
        const LABEL: &str = "Components";
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
                    self.fault("components", LABEL, format!("{name} has no such status: choose one of the list"));
                }
            }
        }
        if filled(self.form).filter(|(field, _)| is_of_component(field)).count() > known {
            let problem = "one of those that were chosen was removed meanwhile: look at the list again";
            self.fault("components", LABEL, problem);
        }
        if affected.len() > AFFECTED_LIMIT {
            let problem = format!("{} are chosen: choose {AFFECTED_LIMIT} at most", affected.len());
            self.fault("components", LABEL, problem);
        }
        affected
    }
}

/// The fields of a form, in their order.
pub fn fields(edit: Edit<'_>, form: &Form, faults: &[Fault], content: &Content) -> Vec<Field> {
    let field = |name: &'static str, label: &str, kind: &'static str| {
        // What is no time stays as it was typed, where a field for a time would show nothing.
        let value = form.get(name);
        let is_no_time = kind == "time" && !value.is_empty() && moment(value).is_none();
        Field {
            name: name.to_owned(),
            label: label.to_owned(),
            kind: if is_no_time { "text" } else { kind },
            value: value.to_owned(),
            hint: "",
            limit: if kind == "area" { MESSAGE_LIMIT_BYTES } else { TITLE_LIMIT },
            required: matches!(name, "title" | "message"),
            faulty: faults.iter().any(|fault| fault.field == name),
            options: Vec::new(),
        }
    };
    let (title, message) = (|| field("title", "Title", "text"), || field("message", "Message", "area"));
    let status = || Field {
        options: IncidentStatus::ALL
            .iter()
            .map(|status| (status.value().to_string(), status.word().to_owned()))
            .collect(),
        ..field("status", "Status", "select")
    };
    match edit {
        Edit::Announce | Edit::ChangeMaintenance(_) => vec![
            title(),
            Field { hint: "Empty: now.", ..field("begins", "Begins (UTC)", "time") },
            Field { hint: "Empty: when somebody ends it.", ..field("ends", "Ends (UTC)", "time") },
            message(),
        ],
        Edit::UpdateMaintenance(_) | Edit::EndMaintenance(_) => vec![message()],
        Edit::WriteIncident => {
            vec![title(), status(), Field { hint: "Empty: now.", ..field("began", "Began (UTC)", "time") }, message()]
        }
        Edit::UpdateIncident(_) => vec![status(), message()],
        Edit::Rename(_) => {
            vec![Field { hint: "What readers see. Empty: its name.", required: false, ..title() }]
        }
        Edit::Move(part) => {
            let beside = part.beside(content);
            let places =
                (1..).zip(beside).map(|(place, (_, name))| (place.to_string(), format!("{place} (now {name})")));
            vec![Field { options: places.collect(), ..field("to", "Place", "select") }]
        }
        Edit::Hide(_) | Edit::Show(_) | Edit::Remove(_) => Vec::new(),
    }
}

/// A field for each component: what status it is given.
pub fn components(edit: Edit<'_>, form: &Form, content: &Content) -> Vec<Field> {
    let (kind, statuses): (_, &[ComponentStatus]) = match edit {
        Edit::Announce | Edit::ChangeMaintenance(_) => ("check", &[MAINTENANCE_STATUS]),
        Edit::WriteIncident => ("select", &INCIDENT_STATUSES),
        _ => return Vec::new(),
    };
    let options = statuses.iter().map(|status| (status.value().to_string(), status.word().to_owned()));
    let options: Vec<(String, String)> = match kind {
        "select" => std::iter::once((String::new(), "not affected".to_owned())).chain(options).collect(),
        _ => options.collect(),
    };
    let of = |component: &Component| {
        let name = field_of(component.id);
        Field {
            value: form.get(&name).to_owned(),
            name,
            label: component.shown_name().to_owned(),
            kind,
            hint: if content.shows(component) { "" } else { "hidden" },
            limit: 0,
            required: false,
            faulty: false,
            options: options.clone(),
        }
    };
    listed(content).map(of).collect()
}
