//! The title of an incident, from the configured template.

use super::target::{ComponentName, NAME_LIMIT};

/// What stands for the component in the template.
const PLACEHOLDER: &str = "%s";

/// `new_incident_name`: a title in which every `%s` becomes the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncidentName(String);

impl IncidentName {
    /// The template; `None` if there is nothing in it.
    pub fn new(template: &str) -> Option<Self> {
        let template = template.trim();
        (!template.is_empty()).then(|| Self(template.to_owned()))
    }

    /// The title for `component`, cut to the [`NAME_LIMIT`] characters that Cachet takes.
    pub fn render(&self, component: &ComponentName) -> String {
        self.whole(component).chars().take(NAME_LIMIT).collect()
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
    }

    #[test]
    fn an_empty_template_is_none() {
        assert_eq!(IncidentName::new("  "), None);
    }
}
