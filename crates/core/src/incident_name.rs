//! The title of an incident, from the configured template.

use super::target::{ComponentName, NAME_LIMIT, excerpt};
use super::text::{cut, trimmed};

/// What stands for the component in the template.
const PLACEHOLDER: &str = "%s";

/// `new_incident_name`: a title in which every `%s` becomes the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentName(String);

/// Why a text cannot be the title of an incident.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncidentNameError {
    /// There is nothing in it.
    #[error("is empty: write a title, with %s where the component should stand")]
    Empty,
    /// It would break lines, in a log or on the page.
    #[error("is {:?}, and contains the control character {character:?}: leave it out", excerpt(.template))]
    Character {
        /// The whole template.
        template: String,
        /// The first character that may not be in it.
        character: char,
    },
}

impl IncidentName {
    /// The template, trimmed.
    ///
    /// # Errors
    /// When it is empty or contains a control character.
    pub fn new(template: &str) -> Result<Self, IncidentNameError> {
        let template = trimmed(template);
        if template.is_empty() {
            return Err(IncidentNameError::Empty);
        }
        match template.chars().find(|c| c.is_control()) {
            Some(character) => Err(IncidentNameError::Character { template: template.to_owned(), character }),
            None => Ok(Self(template.to_owned())),
        }
    }

    /// The title for `component`, cut to the [`NAME_LIMIT`] characters that Cachet takes.
    pub fn render(&self, component: &ComponentName) -> String {
        cut(&self.whole(component), NAME_LIMIT)
    }

    /// The title of an incident that is about no component: the template as it is, cut to [`NAME_LIMIT`] characters.
    pub fn render_plain(&self) -> String {
        cut(&self.0, NAME_LIMIT)
    }

    /// How many characters the title for `component` has before it is cut.
    pub fn length(&self, component: &ComponentName) -> usize {
        self.whole(component).chars().count()
    }

    /// Whether the title says which component it is about.
    pub fn names_the_component(&self) -> bool {
        self.0.contains(PLACEHOLDER)
    }

    fn whole(&self, component: &ComponentName) -> String {
        self.0.replace(PLACEHOLDER, component.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(name: &str) -> ComponentName {
        ComponentName::try_from(name).expect("a component name")
    }

    #[test]
    fn the_component_stands_where_the_template_says() {
        let name = IncidentName::new("System %s is down (%s)").expect("a template");
        assert_eq!(name.render(&component("Database")), "System Database is down (Database)");
        assert!(name.names_the_component());
        assert!(!IncidentName::new("Something is down").expect("a template").names_the_component());
    }

    #[test]
    fn a_component_with_a_placeholder_in_its_name_is_not_replaced_again() {
        let name = IncidentName::new("%s: trouble").expect("a template");
        assert_eq!(name.render(&component("100%s")), "100%s: trouble");
    }

    #[test]
    fn a_title_is_cut_where_cachet_would_refuse_it() {
        let name = IncidentName::new("%s is experiencing issues").expect("a template");
        let long = component(&"ü".repeat(NAME_LIMIT));
        assert_eq!(name.render(&long).chars().count(), NAME_LIMIT);
        assert_eq!(name.length(&long), NAME_LIMIT + " is experiencing issues".len());
        let cut_behind_a_word = component(&"x".repeat(NAME_LIMIT - 1));
        assert_eq!(name.render(&cut_behind_a_word), cut_behind_a_word.as_str(), "Cachet would not keep the blank");
        let about_nothing = IncidentName::new(&format!("{} more", "x".repeat(NAME_LIMIT - 1))).expect("a template");
        assert_eq!(about_nothing.render_plain(), cut_behind_a_word.as_str());
    }

    #[test]
    fn a_title_is_one_line_that_says_something() {
        assert_eq!(IncidentName::new("  "), Err(IncidentNameError::Empty));
        assert_eq!(IncidentName::new(" %s\n"), IncidentName::new("%s"));
        assert!(matches!(IncidentName::new("a\n%s"), Err(IncidentNameError::Character { character: '\n', .. })));
    }
}
