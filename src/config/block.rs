//! Targets with their labels, `{targets: […], labels: {…}}`: the part that both forms of the targets file and the files
//! of `file_sd_configs` have in common.

use super::report::Report;
use super::report::did_you_mean;
use super::targets::Found;
use super::tree::{Map, Node, Value};
use crate::core::target::{ComponentList, ComponentName, KnownTarget, NAME_LIMIT, Target, excerpt};

/// The label that makes a target ours.
pub(super) const ALERT: &str = "status_page_alert";
/// The label that names the components that a target feeds.
pub(super) const COMPONENT: &str = "status_page_component";
/// The label that makes a target critical.
pub(super) const CRITICAL: &str = "status_page_critical_target";
/// The label by which Prometheus knows a target; its address, unless the labels say otherwise.
pub(super) const INSTANCE: &str = "instance";

/// What the names of our labels begin with, without what is easily mistaken; another label that begins so is a typo.
const OUR_PREFIX: &str = "statuspage";

/// Reads a list of blocks.
pub(super) fn read_list(blocks: &Value<'_>, found: &mut Found, report: &mut Report) {
    for block in blocks.list(report).unwrap_or_default() {
        let _ = read(&block, found, report);
    }
}

/// Reads a block; `None` where it has no targets of ours, or none that can be used.
fn read(block: &Value<'_>, found: &mut Found, report: &mut Report) -> Option<()> {
    let block = block.map(report)?;
    let labels = block.get_filled("labels")?.map(report)?;
    report_typos(&labels, report);
    if !is_ours(&labels, report) {
        return None;
    }
    let components = components(&labels, found, report);
    let critical = labels.get_filled(CRITICAL).and_then(|value| truth(&value, report)).unwrap_or(false);
    let addresses = addresses(&block, report)?;
    let components = components?;
    let Some(label) = labels.get_filled(INSTANCE).filter(|label| *label.node() != Node::Text(String::new())) else {
        for (address, value) in addresses {
            let Some(target) = target(address, &components, &value, report) else { continue };
            found.targets.push((KnownTarget { target, critical }, value.place.clone()));
            if !address.contains([':', '/']) {
                found.portless.push((address.to_owned(), value.place));
            }
        }
        return Some(());
    };
    if addresses.is_empty() {
        return None;
    }
    let target = target(label.text(report)?, &components, &label, report)?;
    found.targets.push((KnownTarget { target, critical }, label.place.clone()));
    if addresses.len() > 1 {
        report
            .remark(label.place, format!("is the same for {} addresses, which makes them one target", addresses.len()));
    }
    Some(())
}

/// The addresses of a block that can be used.
fn addresses<'a>(block: &Map<'a>, report: &mut Report) -> Option<Vec<(&'a str, Value<'a>)>> {
    let Some(list) = block.get_filled("targets") else {
        report.degraded(block.place.key("targets"), "is missing, so the labels label nothing: add the addresses");
        return None;
    };
    let mut addresses = Vec::new();
    for value in list.list(report)? {
        match value.text(report) {
            Some(text) if text.contains("{{") => value.problem(
                "is a template that Ansible would fill in: write the address, or use the file that the role writes for \
                 Prometheus",
                report,
            ),
            Some(text) => addresses.push((text, value)),
            None => {}
        }
    }
    Some(addresses)
}

fn report_typos(labels: &Map<'_>, report: &mut Report) {
    let ours = [ALERT, COMPONENT, CRITICAL];
    for (label, value) in labels.iter().filter(|(label, _)| !ours.contains(label)) {
        if label.to_lowercase().replace(['_', '-'], "").starts_with(OUR_PREFIX) {
            value.problem(format!("is no label of ours: {}", did_you_mean(label, ours, "remove it")), report);
        }
    }
}

/// Whether the labels make these targets ours.
fn is_ours(labels: &Map<'_>, report: &mut Report) -> bool {
    match labels.get_filled(ALERT) {
        Some(value) => truth(&value, report) == Some(true),
        None => {
            if let Some(component) = labels.get_filled(COMPONENT) {
                report.remark(component.place, "counts for nothing without status_page_alert: true beside it");
            }
            false
        }
    }
}

/// A truth value, or its text form as Prometheus makes labels of it; anything else is a problem.
fn truth(value: &Value<'_>, report: &mut Report) -> Option<bool> {
    match value.node() {
        Node::Bool(truth) => Some(*truth),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("true") => Some(true),
        Node::Text(text) if text.trim().eq_ignore_ascii_case("false") => Some(false),
        Node::Text(text) => {
            value.problem(format!("is {:?}, must be true or false: write one of them", excerpt(text)), report);
            None
        }
        _ => value.wrong_type("true or false", "write one of them", report),
    }
}

/// The components that the label names, of which there is at least one.
fn components(labels: &Map<'_>, found: &mut Found, report: &mut Report) -> Option<Vec<ComponentName>> {
    let Some(value) = labels.get_filled(COMPONENT) else {
        report.degraded(
            labels.place.key(COMPONENT),
            "is missing, so these targets feed nothing: name the components, separated by commas",
        );
        return None;
    };
    let list = ComponentList::parse(value.text(report)?);
    for error in &list.rejected {
        value.problem(error.to_string(), report);
    }
    if list.names.is_empty() && list.rejected.is_empty() {
        value.problem("is empty: name the components, separated by commas", report);
    }
    for name in &list.names {
        found.mention(name, &value.place);
    }
    (!list.names.is_empty()).then_some(list.names)
}

/// The target of that instance, if Cachet can have a component for it.
fn target(instance: &str, components: &[ComponentName], place: &Value<'_>, report: &mut Report) -> Option<Target> {
    if let Some(character) = instance.chars().find(|&c| c == '|' || c.is_control()) {
        let instance = excerpt(instance);
        place.problem(
            format!("instance {instance:?} contains {character:?}, which no target's name may: leave it out"),
            report,
        );
        return None;
    }
    let Some(target) = Target::new(instance, components.to_vec()) else {
        place.problem("is empty: write an address, as in host:port", report);
        return None;
    };
    let name = target.name();
    if !name.fits_cachet() {
        let length = name.as_str().chars().count();
        place.problem(
            format!(
                "makes the name {:?} of {length} characters, and Cachet takes at most {NAME_LIMIT}: shorten the \
                 instance, or name fewer components",
                excerpt(name.as_str())
            ),
            report,
        );
        return None;
    }
    Some(target)
}
