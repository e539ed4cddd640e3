//! What `setup` has to make, move and remove on a page: a function of both files and of what the page shows.
//!
//! The status of what exists is never touched, and nothing is removed unless that was asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::names::Group;
use super::observed::{
    ComponentIndex, ComponentUpdate, NewComponent, NewGroup, Observed, ObservedComponent, ObservedGroup,
};
use super::operation::Operation;
use super::page::{describe, with_critical_line};
use super::status::ComponentStatus;
use super::status_page::PageWrite;
use super::target::{ComponentName, Inventory, Target, key_of_name};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Nothing.
    Nothing,
    /// What we made and no file names any more: components of targets that are gone, visible components, and groups.
    Prune,
    /// Every component and group that we made, before anything is made.
    Everything,
}

/// What has to be done, in this order: removals of a reset, groups, components, targets, removals of a pruning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetupPlan {
    /// The operations.
    pub operations: Vec<Operation>,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// What has to be done so that the page has everything that `groups` and `inventory` name.
pub fn plan_setup(groups: &[Group], inventory: &Inventory, observed: &Observed, removal: Removal) -> SetupPlan {
    let (mut plan, mut observed) = (SetupPlan::default(), observed.clone());
    if removal == Removal::Everything {
        plan.remove_managed(&observed, |_| true, |_| true);
        observed.components.retain(|component| !component.managed);
        observed.groups.retain(|group| !group.managed);
        let (components, groups) = (observed.components.len(), observed.groups.len());
        if components + groups > 0 {
            plan.remarks.push(format!(
                "components and groups that setup did not make are not removed: {components} components, {groups} groups"
            ));
        }
    }
    let index = ComponentIndex::of(&observed, groups);
    plan.groups(groups, &observed, &index);
    plan.targets(inventory, &observed, &index);
    if removal == Removal::Prune {
        let wanted_groups: BTreeSet<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let configured = groups.iter().flat_map(|group| &group.components);
        let fed = inventory.values().flat_map(|known| known.target.components());
        let wanted: BTreeSet<&str> = configured.chain(fed).map(ComponentName::as_str).collect();
        // A second component of a target, with its components in another order.
        let is_namesake = |component: &ObservedComponent| {
            let used = index.find(&observed, &key_of_name(&component.name));
            !component.enabled && used.is_some_and(|used| used.id != component.id && used.name != component.name)
        };
        plan.remove_managed(
            &observed,
            |component| {
                let is_wanted =
                    knows_target(inventory, component).unwrap_or_else(|| wanted.contains(component.name.as_str()));
                !is_wanted || is_namesake(component)
            },
            |group| !wanted_groups.contains(group.name.as_str()),
        );
    }
    plan.remark_leftovers(inventory, &observed, removal);
    plan
}

impl SetupPlan {
    /// Leaves hidden what is hidden. On a page on which operators hide and show groups, one that is hidden was not left so
    /// by mistake.
    pub fn leave_groups_hidden(&mut self) {
        self.operations
            .retain(|operation| !matches!(operation, Operation::Rearrange { write: PageWrite::ShowGroup(_), .. }));
    }

    /// How much there is to do: `2 created, 1 changed, 0 removed`.
    pub fn summary(&self) -> String {
        let count =
            |is_one: fn(&Operation) -> bool| self.operations.iter().filter(|operation| is_one(operation)).count();
        let (created, removed) = (count(Operation::creates), count(Operation::removes));
        let changed = self.operations.len() - created - removed;
        format!("{created} created, {changed} changed, {removed} removed")
    }

    /// The groups that are missing or hidden, then the components that are missing or in another group.
    fn groups(&mut self, groups: &[Group], observed: &Observed, index: &ComponentIndex) {
        let mut known: BTreeMap<&str, &ObservedGroup> = BTreeMap::new();
        for group in observed.groups.iter().rev() {
            if let Some(other) = known.insert(&group.name, group) {
                let (name, id) = (&group.name, group.id.0);
                self.remarks.push(format!("the page has another group named {name:?} ({}): {id} is used", other.id.0));
            }
        }
        for (group, order) in groups.iter().zip(1..) {
            let name = group.name.to_string();
            match known.get(group.name.as_str()) {
                None => self.operations.push(Operation::CreateGroup(NewGroup { name, order })),
                Some(found) if !found.visible => {
                    self.operations.push(Operation::Rearrange {
                        write: PageWrite::ShowGroup(found.id),
                        name,
                        group: None,
                    });
                }
                Some(_) => {}
            }
        }
        for group in groups {
            let group_id = known.get(group.name.as_str()).map(|found| found.id);
            for (component, order) in group.components.iter().zip(1..) {
                let (name, group) = (component.to_string(), Some(group.name.clone()));
                let found = index.find(observed, &name);
                let mut namesakes =
                    index.with_key(observed, &name).filter(|it| found.is_some_and(|found| found.id != it.id));
                if let (Some(first), Some(second)) = (found, namesakes.next()) {
                    let (first, second) = (first.id.0, second.id.0);
                    let remark = format!("the page has another component named {name:?} ({second}): {first} is used");
                    self.remarks.push(remark);
                }
                match found {
                    None => {
                        let new = NewComponent {
                            name,
                            status: ComponentStatus::Operational,
                            enabled: true,
                            description: None,
                            group: group_id,
                            order: Some(order),
                        };
                        self.operations.push(Operation::CreateComponent { new, group });
                    }
                    Some(found) if group_id.is_none() || found.group != group_id => {
                        // Whether it is shown stays as it is.
                        let enabled = found.enabled;
                        let update = ComponentUpdate { status: None, enabled, description: None, group: group_id };
                        let write = PageWrite::UpdateComponent(found.id, update);
                        self.operations.push(Operation::Rearrange { write, name, group });
                    }
                    Some(_) => {}
                }
            }
        }
    }

    /// The components of targets that are missing, are shown to readers, or say wrongly whether the target is critical.
    fn targets(&mut self, inventory: &Inventory, observed: &Observed, index: &ComponentIndex) {
        for (name, known) in inventory.iter().filter(|(name, _)| name.fits_cachet()) {
            let (found, name) = (index.find(observed, name.key()), name.to_string());
            let Some(found) = found else {
                let new = NewComponent {
                    name,
                    status: ComponentStatus::Operational,
                    enabled: false,
                    description: Some(describe(known.critical, [])),
                    group: None,
                    order: None,
                };
                self.operations.push(Operation::CreateComponent { new, group: None });
                continue;
            };
            let corrected = with_critical_line(found.description.as_deref(), known.critical);
            if corrected.is_some() || found.enabled {
                let description = corrected.or_else(|| found.description.clone());
                let update = ComponentUpdate { status: None, enabled: false, description, group: None };
                let write = PageWrite::UpdateComponent(found.id, update);
                self.operations.push(Operation::Rearrange { write, name, group: None });
            }
        }
    }

    /// Removes what we made, as far as it goes.
    fn remove_managed(
        &mut self,
        observed: &Observed,
        component_goes: impl Fn(&ObservedComponent) -> bool,
        group_goes: impl Fn(&ObservedGroup) -> bool,
    ) {
        let components = observed.components.iter().filter(|component| component.managed && component_goes(component));
        let components = components.map(|component| (PageWrite::RemoveComponent(component.id), &component.name));
        let groups = observed.groups.iter().filter(|group| group.managed && group_goes(group));
        let groups = groups.map(|group| (PageWrite::RemoveGroup(group.id), &group.name));
        let removals = components.chain(groups);
        let removals = removals.map(|(write, name)| Operation::Rearrange { write, name: name.clone(), group: None });
        self.operations.extend(removals);
    }

    /// Remarks on the components of targets that no file names.
    fn remark_leftovers(&mut self, inventory: &Inventory, observed: &Observed, removal: Removal) {
        let gone = observed.components.iter().filter(|component| knows_target(inventory, component) == Some(false));
        let (ours, others): (Vec<_>, Vec<_>) = gone.partition(|component| component.managed);
        match ours.len() {
            _ if removal == Removal::Prune => {}
            0 => {}
            1 => self.remarks.push("one target component has no target any more: --prune removes it".to_owned()),
            count => {
                self.remarks.push(format!("{count} target components have no target any more: --prune removes them"));
            }
        }
        for component in others {
            self.remarks.push(format!(
                "hidden component {:?} ({}) is named like that of a target, but no file names the target and setup did \
                 not make it: remove it in Cachet if nobody needs it",
                component.name, component.id.0
            ));
        }
    }
}

/// Whether the target that a component is of is known; `None` if it is not that of a target.
fn knows_target(inventory: &Inventory, component: &ObservedComponent) -> Option<bool> {
    let target = Target::from_name(&component.name).filter(|_| !component.enabled)?;
    Some(inventory.contains_key(&target.name()))
}

#[cfg(test)]
mod tests;
