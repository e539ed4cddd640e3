//! What somebody typed into a form of the page, and the checks of its fields. Every fault names the field and the cure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::super::asked::moment;
use crate::core::builtin::{AffectedStatus, Component};
use crate::core::names::trimmed;
use crate::core::observed::ComponentId;
use crate::core::status::{ComponentStatus, IncidentStatus};
use crate::core::time::Timestamp;

/// The most characters of a title.
pub const TITLE_LIMIT: usize = 255;

/// The most bytes of a message.
pub const MESSAGE_LIMIT_BYTES: usize = 16 * 1024;

/// The most components that an incident or a maintenance is about.
pub const AFFECTED_LIMIT: usize = 500;

/// How long ago an incident may have begun, or a maintenance.
pub const LONGEST_AGO: Duration = Duration::from_secs(90 * 24 * 3600);

/// How far away the beginning of a maintenance may be, and how long it may take.
pub const LONGEST_AHEAD: Duration = Duration::from_secs(365 * 24 * 3600);

/// The fields of a form, as they were typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form {
    fields: BTreeMap<String, String>,
}

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

impl Form {
    /// Reads a query or the body of a form; of a field that is there twice, the last. Lines end as they do everywhere else:
    /// a browser ends them with two characters.
    pub fn read(text: &[u8]) -> Self {
        let fields = form_urlencoded::parse(text).into_owned();
        Self { fields: fields.map(|(field, content)| (field, content.replace("\r\n", "\n"))).collect() }
    }

    /// What a field has; nothing, if it is not there.
    pub fn get(&self, field: &str) -> &str {
        self.fields.get(field).map(String::as_str).unwrap_or_default()
    }

    /// Gives a field its content.
    pub fn set(&mut self, field: impl Into<String>, content: impl Into<String>) {
        self.fields.insert(field.into(), content.into());
    }

    /// Takes a field out.
    pub fn take(&mut self, field: &str) -> String {
        self.fields.remove(field).unwrap_or_default()
    }

    /// Whether it has a field.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Puts the fields of `other` in the place of those here.
    pub fn overlaid(mut self, other: Self) -> Self {
        self.fields.extend(other.fields);
        self
    }

    /// Every field that has a content.
    pub fn filled(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self.fields.iter().map(|(field, content)| (field.as_str(), content.as_str()));
        fields.filter(|(_, content)| !content.is_empty())
    }
}

/// The field that says which status a component is given.
pub fn field_of(component: ComponentId) -> String {
    format!("c{}", component.0)
}

/// A moment as a field for a time has it.
pub fn typed(at: Timestamp) -> String {
    let form = if at.as_millis() % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S" };
    let moment = jiff::Timestamp::from_millisecond(at.as_millis());
    moment.map_or_else(|_| at.to_string(), |moment| moment.to_zoned(TimeZone::UTC).strftime(form).to_string())
}

/// Reads the fields of a form, and collects all that is wrong with them.
pub struct Checks<'a> {
    form: &'a Form,
    now: Timestamp,
    faults: Vec<Fault>,
}

impl<'a> Checks<'a> {
    /// Checks of a form that was sent `now`.
    pub fn of(form: &'a Form, now: Timestamp) -> Self {
        Self { form, now, faults: Vec::new() }
    }

    /// `value`, if nothing was wrong.
    ///
    /// # Errors
    /// All that was wrong.
    pub fn finish<T>(self, value: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// Something is wrong with a field.
    pub fn fault(&mut self, field: &'static str, label: &'static str, problem: impl Into<String>) {
        self.faults.push(Fault { field, label, problem: problem.into() });
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
    pub fn time(&mut self, field: &'static str, label: &'static str) -> Option<Timestamp> {
        let text = self.form.get(field).trim();
        let read = moment(text).map(Timestamp::cut_to_seconds);
        if read.is_none() && !text.is_empty() {
            let excerpt: String = text.chars().take(40).collect();
            let problem = format!("{excerpt:?} is no time: write it as 2026-11-21 18:00, in UTC");
            self.fault(field, label, problem);
        }
        read
    }

    /// When something begins; an empty field means now. `earliest` may lie further back than new ones can begin.
    pub fn beginning(
        &mut self,
        field: &'static str,
        label: &'static str,
        earliest: Option<Timestamp>,
        latest: Timestamp,
    ) -> Timestamp {
        let begins = self.time(field, label).unwrap_or_else(|| cut_to_minutes(self.now));
        let longest_ago = self.now.before(LONGEST_AGO);
        if begins < earliest.map_or(longest_ago, |earliest| earliest.cut_to_seconds().min(longest_ago)) {
            self.fault(field, label, "is more than 90 days ago: choose a later time");
        } else if begins > latest {
            let problem = if latest > self.now { "is more than a year away" } else { "is in the future" };
            self.fault(field, label, format!("{problem}: choose an earlier time"));
        }
        begins
    }

    /// When what begins at `begins` ends; an empty field means that somebody ends it.
    pub fn end(&mut self, begins: Timestamp) -> Option<Timestamp> {
        let ends = self.time("ends", "Ends")?;
        if ends <= begins {
            self.fault("ends", "Ends", "is not after the beginning: choose a later time");
        } else if ends <= self.now {
            self.fault("ends", "Ends", "is over already: choose a later time");
        } else if ends > begins.after(LONGEST_AHEAD) {
            let problem = "is more than a year after the beginning: choose an earlier time, or leave it empty";
            self.fault("ends", "Ends", problem);
        }
        Some(ends)
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
    pub fn affected<'c>(
        &mut self,
        components: impl Iterator<Item = &'c Component>,
        allowed: &[ComponentStatus],
    ) -> Vec<AffectedStatus> {
        const LABEL: &str = "Components";
        let (mut affected, mut known) = (Vec::new(), 0);
        for component in components {
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
        if self.form.filled().filter(|(field, _)| is_of_component(field)).count() > known {
            let problem = "one of those that were chosen was removed meanwhile: look at the list again";
            self.fault("components", LABEL, problem);
        }
        if affected.len() > AFFECTED_LIMIT {
            let problem = format!("{} are chosen: choose {AFFECTED_LIMIT} at most", affected.len());
            self.fault("components", LABEL, problem);
        }
        affected
    }

    /// A place from 1 to `last`.
    pub fn place(&mut self, last: usize) -> usize {
        let place = self.form.get("to").trim().parse().ok().filter(|place| (1..=last).contains(place));
        if place.is_none() {
            self.fault("to", "Place", format!("is not in the order: choose 1 to {last}"));
        }
        place.unwrap_or(1)
    }
}

/// Whether a field says which status a component is given.
pub fn is_of_component(field: &str) -> bool {
    field.strip_prefix('c').is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
}

fn cut_to_minutes(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(at.as_millis().rem_euclid(60_000)))
}
