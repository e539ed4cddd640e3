//! Templates that other tools fill in, and the values that they leave unknown.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::config::report::{Place, Report, Severity};
use crate::config::tree::{Node, Value};

/// The templates whose values rules may look at, each by its number.
#[derive(Default)]
pub(super) struct Templates {
    places: RefCell<Vec<(Place, &'static str)>>,
}

impl Templates {
    /// The number of `value`, if it is a template.
    pub(super) fn origin(&self, value: &Value<'_>) -> Option<usize> {
        filled_in_by(value.node).map(|tool| self.add(value.place.clone(), tool))
    }

    /// The number of a template at `place`, which `tool` fills in.
    pub(super) fn add(&self, place: Place, tool: &'static str) -> usize {
        let mut places = self.places.borrow_mut();
        places.push((place, tool));
        places.len() - 1
    }

    /// Reports those templates without which targets would be known, once for each place.
    pub(super) fn report(&self, decisive: &BTreeSet<usize>, report: &RefCell<Report>) {
        let places = self.places.borrow();
        let mut said = BTreeSet::new();
        for (place, tool) in decisive.iter().filter_map(|origin| places.get(*origin)) {
            if said.insert((&place.file, &place.path)) {
                report.borrow_mut().add(Severity::Degraded, place.clone(), message(tool));
            }
        }
    }
}

/// The tool that fills in a text, by its form; `None` if it is no template.
pub(super) fn filled_in_by(node: &Node) -> Option<&'static str> {
    let Node::Text(text) = node else { return None };
    filled_in_as_rule(node).or_else(|| {
        let has_variable = text.split("${").skip(1).any(|rest| rest.contains('}'));
        (has_variable || text.contains("%{")).then_some("envsubst or Terraform")
    })
}

/// The same for a text of a rule, where `${1}` and `${name}` are groups of its regular expression.
pub(super) fn filled_in_as_rule(node: &Node) -> Option<&'static str> {
    let Node::Text(text) = node else { return None };
    if text.contains("<%") {
        return Some("ERB");
    }
    if let Some((_, inner)) = text.split_once("{{") {
        let inner = inner.trim_start_matches(['-', ' ']);
        let word = inner.split_whitespace().next().unwrap_or_default();
        let is_helm = inner.starts_with('.') || ["include", "template", "tpl", "toYaml"].contains(&word);
        return Some(if is_helm { "Helm" } else { "Ansible (Jinja)" });
    }
    text.contains("{%").then_some("Ansible (Jinja)")
}

/// Whether it is a text that another tool fills in.
pub(super) fn is_template(node: &Node) -> bool {
    filled_in_by(node).is_some()
}

/// Reports that a value is a template, or has one.
pub(super) fn report_template(value: &Value<'_>) {
    if let Some(tool) = tool_within(value.node) {
        value.problem(message(tool));
    }
}

fn tool_within(node: &Node) -> Option<&'static str> {
    match node {
        Node::List(items) => items.iter().find_map(tool_within),
        Node::Map(entries) => entries.iter().find_map(|(_, value)| tool_within(value)),
        scalar => filled_in_by(scalar),
    }
}

fn message(tool: &str) -> String {
    format!("is a template that {tool} fills in: use the file that is made of it, or write what it stands for")
}

/// Whether an address is one that a reader of documentation must replace: `<HOST>:9100`, `__HOST__:9100`.
pub(super) fn is_placeholder(address: &str) -> bool {
    let is_bracketed = address.split_once('<').is_some_and(|(_, rest)| rest.contains('>'));
    is_bracketed || address.strip_prefix("__").is_some_and(|rest| rest.contains("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_told_by_its_form() {
        let text = |text: &str| Node::Text(text.to_owned());
        for (template, tool) in [
            ("{{ ansible_host }}:9100", "Ansible (Jinja)"),
            ("{% if x %}a{% endif %}", "Ansible (Jinja)"),
            ("{{ .Values.host }}:9100", "Helm"),
            ("{{- include \"x\" . }}", "Helm"),
            ("<%= @host %>", "ERB"),
        ] {
            assert_eq!(filled_in_by(&text(template)), Some(tool), "{template}");
            assert_eq!(filled_in_as_rule(&text(template)), Some(tool), "{template}");
        }
        for template in ["${HOST}:9100", "%{ for h in hosts }"] {
            assert_eq!(filled_in_by(&text(template)), Some("envsubst or Terraform"), "{template}");
            assert_eq!(filled_in_as_rule(&text(template)), None, "{template}");
        }
        for plain in ["web-01:9100", "$1", "a{2}", "50%"] {
            assert_eq!(filled_in_by(&text(plain)), None, "{plain}");
        }
    }

    #[test]
    fn a_placeholder_is_an_address_to_replace() {
        assert!(is_placeholder("<HOST>:9100") && is_placeholder("__HOST__:9100"));
        assert!(!is_placeholder("web-01:9100") && !is_placeholder("__x"));
    }
}
