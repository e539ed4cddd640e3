//! `groups_configuration`: the groups of the page, each with a name and components of its own.

use std::collections::BTreeMap;

use super::report::{Place, Report};
use super::settings::report_unknown_keys;
use super::tree::{Map, Value};
use crate::core::names::{Group, GroupName};
use crate::core::target::{ComponentName, excerpt};

/// Every key that a group may have.
pub const KEYS: &[&str] = &["status_page_group", "status_page_components"];

/// Every component that stands in a group, and where.
pub(super) type Components = BTreeMap<ComponentName, Place>;

/// What the list says.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// The groups that can be used, in the order of the page.
    pub usable: Vec<Group>,
    /// Where their components stand, and those of groups that are left out.
    pub components: Components,
    /// Where each group was named first.
    names: BTreeMap<GroupName, Place>,
}

/// Reads the list; `None` if it is none. What is wrong with a group costs only that group.
pub(super) fn read(value: &Value<'_>, report: &mut Report) -> Option<Groups> {
    let entries = value.list(report)?;
    if entries.is_empty() {
        value.clone().degraded().problem("is empty, so the page shows nothing: add a group", report);
    }
    let mut found = Groups::default();
    for entry in entries {
        if let Some((name, components)) = read_group(&entry.degraded(), &mut found, report) {
            found.add(name, components);
        }
    }
    Some(found)
}

impl Groups {
    /// Adds a group, or its components to the group of that name.
    fn add(&mut self, name: GroupName, components: Vec<ComponentName>) {
        match self.usable.iter_mut().find(|group| group.name == name) {
            Some(group) => group.components.extend(components),
            None if components.is_empty() => {}
            None => self.usable.push(Group { name, components }),
        }
    }
}

fn read_group(entry: &Value<'_>, found: &mut Groups, report: &mut Report) -> Option<(GroupName, Vec<ComponentName>)> {
    let map = entry.map(report)?;
    report_unknown_keys(&map, KEYS, report);
    let name = required(&map, "status_page_group", report).and_then(|name| read_name(&name, found, report));
    let components = required(&map, "status_page_components", report)
        .and_then(|components| read_components(&components, found, report));
    Some((name?, components?))
}

fn required<'a>(map: &Map<'a>, key: &str, report: &mut Report) -> Option<Value<'a>> {
    let value = map.get(key);
    if value.is_none() {
        report.degraded(map.place.key(key), "is missing, so the group is left out: add it");
    }
    value
}

fn read_name(value: &Value<'_>, found: &mut Groups, report: &mut Report) -> Option<GroupName> {
    let name =
        GroupName::try_from(value.text(report)?).map_err(|error| value.problem(error.to_string(), report)).ok()?;
    match found.names.get(&name) {
        Some(first) => {
            let first = &first.path;
            value.problem(format!("names the same group as {first}: put their components into one"), report);
        }
        None => {
            found.names.insert(name.clone(), value.place.clone());
        }
    }
    Some(name)
}

fn read_components(value: &Value<'_>, found: &mut Groups, report: &mut Report) -> Option<Vec<ComponentName>> {
    let entries = value.list(report)?;
    if entries.is_empty() {
        value.problem("is empty, so the group is left out: name its components, or remove the group", report);
    }
    let mut components = Vec::new();
    for entry in entries {
        let Some(text) = entry.text(report) else { continue };
        match ComponentName::try_from(text) {
            Err(error) => entry.problem(error.to_string(), report),
            Ok(name) => match found.components.get(&name) {
                Some(first) => {
                    let (name, first) = (excerpt(name.as_str()), &first.path);
                    entry
                        .problem(format!("component {name:?} already stands at {first}: keep it in one place"), report);
                }
                None => {
                    found.components.insert(name.clone(), entry.place.clone());
                    components.push(name);
                }
            },
        }
    }
    Some(components)
}
