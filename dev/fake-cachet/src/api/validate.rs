//! Validation of the fields of a body, with Laravel's messages.
//!
//! An absent field is valid unless it is required. Null breaks the rule of a type, so null clears no field.

use serde_json::{Map, Value};

use alertmanager_cachet_core::time::Timestamp;

use super::answer::{Faults, Refusal};
use super::times;

/// Whether a field is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is optional.
    Optional,
    /// It is required. If it is absent, this is its only error.
    Required,
    /// It is required, and an error of its type comes first.
    RequiredAfterType,
}

/// The longest name, in characters.
const NAME_MAX: usize = 255;

/// The fields of a body, read in the order in which Cachet reports errors.
pub struct Fields<'a> {
    input: &'a Map<String, Value>,
    faults: Faults,
}

impl<'a> Fields<'a> {
    /// The fields of `input`.
    pub fn of(input: &'a Map<String, Value>) -> Self {
        Self { input, faults: Faults::default() }
    }

    /// Whether the field was sent, null included.
    pub fn has(&self, field: &str) -> bool {
        self.input.contains_key(field)
    }

    /// The field as it was sent.
    pub fn raw(&self, field: &str) -> Option<&'a Value> {
        self.input.get(field)
    }

    /// Adds an error.
    pub fn fault(&mut self, field: &str, fault: impl Into<String>) {
        self.faults.add(field, fault.into());
    }

    /// Refuses with all errors.
    pub fn finish(self) -> Result<(), Refusal> {
        if self.faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(self.faults)) }
    }

    /// A text of at most 255 characters.
    pub fn name(&mut self, field: &str, presence: Presence) -> Option<String> {
        let name = self.text(field, presence)?;
        if name.chars().count() > NAME_MAX {
            self.fault(field, format!("The {} field must not be greater than {NAME_MAX} characters.", words(field)));
        }
        Some(name)
    }

    /// A text of any length.
    pub fn text(&mut self, field: &str, presence: Presence) -> Option<String> {
        let missing = matches!(self.raw(field), None | Some(Value::Null));
        if missing && presence == Presence::Required {
            self.required(field);
            return None;
        }
        let text = match self.raw(field) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.fault(field, format!("The {} field must be a string.", words(field)));
                None
            }
            None => None,
        };
        if missing && presence == Presence::RequiredAfterType {
            self.required(field);
        }
        text
    }

    /// A URL.
    pub fn link(&mut self, field: &str) -> Option<String> {
        let link = self.text(field, Presence::Optional);
        let valid = link.as_deref().is_none_or(is_url);
        if self.has(field) && (link.is_none() || !valid) {
            self.fault(field, format!("The {} field must be a valid URL.", words(field)));
        }
        link
    }

    /// A bool, or 0 or 1 as number or text; not "true".
    pub fn flag(&mut self, field: &str) -> Option<bool> {
        let flag = match self.raw(field)? {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().and_then(bit),
            Value::String(text) => text.parse().ok().filter(|_| text.len() == 1).and_then(bit),
            _ => None,
        };
        if flag.is_none() {
            self.fault(field, format!("The {} field must be true or false.", words(field)));
        }
        flag
    }

    /// A whole number that is not negative.
    pub fn order(&mut self, field: &str) -> Option<i64> {
        let number = self.integer(field)?;
        if number < 0 {
            self.fault(field, format!("The {} field must be at least 0.", words(field)));
        }
        Some(number)
    }

    /// A whole number.
    pub fn integer(&mut self, field: &str) -> Option<i64> {
        let number = integer_of(self.raw(field)?);
        if number.is_none() {
            self.fault(field, format!("The {} field must be an integer.", words(field)));
        }
        number
    }

    /// One of a closed set, as `read` reads it.
    pub fn choice<T>(&mut self, field: &str, presence: Presence, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let Some(value) = self.raw(field) else {
            if presence != Presence::Optional {
                self.required(field);
            }
            return None;
        };
        let choice = read(value);
        if choice.is_none() {
            self.selected_is_invalid(field);
        }
        choice
    }

    /// A date as text.
    pub fn date(&mut self, field: &str, presence: Presence) -> Option<Timestamp> {
        if presence != Presence::Optional && matches!(self.raw(field), None | Some(Value::Null)) {
            self.required(field);
            return None;
        }
        let date = self.raw(field)?.as_str().and_then(times::parse);
        if date.is_none() {
            self.fault(field, format!("The {} field must be a valid date.", words(field)));
        }
        date
    }

    /// A date as text, or null for no date.
    pub fn date_or_null(&mut self, field: &str) -> Option<Option<Timestamp>> {
        match self.raw(field)? {
            Value::Null => Some(None),
            _ => self.date(field, Presence::Optional).map(Some),
        }
    }

    /// The meta of a record: an object, or a list whose keys are the positions.
    pub fn meta(&mut self, field: &str) -> Option<Map<String, Value>> {
        match self.raw(field)? {
            Value::Object(meta) => Some(meta.clone()),
            Value::Array(items) => {
                Some(items.iter().enumerate().map(|(at, item)| (at.to_string(), item.clone())).collect())
            }
            _ => {
                self.must_be_an_array(field);
                None
            }
        }
    }

    /// A list.
    pub fn list(&mut self, field: &str) -> &'a [Value] {
        match self.raw(field) {
            Some(Value::Array(items)) => items,
            None => &[],
            Some(_) => {
                self.must_be_an_array(field);
                &[]
            }
        }
    }

    /// Adds the error that the field is missing.
    pub fn required(&mut self, field: &str) {
        self.fault(field, format!("The {} field is required.", words(field)));
    }

    /// Adds the error that the field names nothing that exists.
    pub fn selected_is_invalid(&mut self, field: &str) {
        self.fault(field, format!("The selected {} is invalid.", words(field)));
    }

    fn must_be_an_array(&mut self, field: &str) {
        self.fault(field, format!("The {} field must be an array.", words(field)));
    }
}

/// A whole number, which may be a string.
pub fn integer_of(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn bit(number: i64) -> Option<bool> {
    match number {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// A field's name in a sentence.
fn words(field: &str) -> String {
    field.replace('_', " ")
}

fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let is_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    !scheme.is_empty() && scheme.chars().all(is_scheme) && !rest.is_empty() && !rest.contains(char::is_whitespace)
}
