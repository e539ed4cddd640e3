//! What `setup` has to make, move and remove in Cachet: a function of both files and of what Cachet shows.
//!
//! The status of what exists is never touched, and nothing is removed unless that was asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::names::{Group, GroupName};
use super::observed::{ComponentId, GroupId, Observed, ObservedComponent, ObservedGroup};
use super::page::{describe, with_critical_line};
use super::target::{ComponentName, Inventory, Target, TargetName};

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Removal {
    /// Nothing.
    #[default]
    Nothing,
    /// What we made and no file names any more: components of targets that are gone, visible components, and groups.
    Prune,
    /// Every component and group that we made, before anything is made.
    Everything,
}

/// What has to be done, in this order: removals of a reset, groups, components, targets, removals of a pruning.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetupPlan {
    /// The steps.
    pub steps: Vec<Step>,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// One step of `setup`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make a group.
    CreateGroup {
        /// Its name.
        name: GroupName,
        /// Its place on the page.
        order: u32,
    },
    /// Show a group that is hidden, and with it its components.
    ShowGroup {
        /// Its number.
        id: GroupId,
        /// Its name.
        name: GroupName,
    },
    /// Make a visible component in its group.
    CreateComponent {
        /// Its name.
        name: ComponentName,
        /// The group that it goes into.
        group: GroupName,
        /// Its place in the group.
        order: u32,
    },
    /// Move a visible component into its group.
    MoveComponent {
        /// Its number.
        id: ComponentId,
        /// Its name.
        name: ComponentName,
        /// The group that it goes into.
        group: GroupName,
        /// Whether it is shown, which stays.
        enabled: bool,
    },
    /// Make the disabled component of a target.
    CreateTarget {
        /// The target.
        name: TargetName,
        /// Its description.
        description: String,
    },
    /// Correct the critical line of a target's description, or hide its component.
    CorrectTarget {
        /// Its number.
        id: ComponentId,
        /// The target.
        name: TargetName,
        /// Its description as it must be.
        description: String,
    },
    /// Remove a component.
    RemoveComponent {
        /// Its number.
        id: ComponentId,
        /// Its name.
        name: String,
    },
    /// Remove a group.
    RemoveGroup {
        /// Its number.
        id: GroupId,
        /// Its name.
        name: String,
    },
}

impl Step {
    /// Whether it takes something away.
    pub fn removes(&self) -> bool {
        matches!(self, Self::RemoveComponent { .. } | Self::RemoveGroup { .. })
    }

    /// The group that it removes.
    pub fn removed_group(&self) -> Option<GroupId> {
        match self {
            Self::RemoveGroup { id, .. } => Some(*id),
            _ => None,
        }
    }
}

/// How many of each there are, for the line at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Groups and components made.
    pub created: usize,
    /// Components moved or corrected, groups shown.
    pub changed: usize,
    /// Groups and components removed.
    pub removed: usize,
}

/// What has to be done so that Cachet has everything that `groups` and `inventory` name.
pub fn plan_setup(groups: &[Group], inventory: &Inventory, observed: &Observed, removal: Removal) -> SetupPlan {
    let mut plan = SetupPlan::default();
    let kept;
    let observed = match removal {
        Removal::Everything => {
            kept = plan.remove_everything(observed);
            &kept
        }
        Removal::Nothing | Removal::Prune => observed,
    };
    plan.groups(groups, observed);
    plan.targets(inventory, observed);
    if removal == Removal::Prune {
        plan.prune(groups, inventory, observed);
    }
    plan.remark_leftovers(inventory, observed, removal);
    plan
}

impl SetupPlan {
    /// Leaves hidden what is hidden. On a page on which operators hide and show groups, one that is hidden was not left so
    /// by mistake.
    pub fn leave_groups_hidden(&mut self) {
        self.steps.retain(|step| !matches!(step, Step::ShowGroup { .. }));
    }

    /// What there is to do.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for step in &self.steps {
            match step {
                Step::CreateGroup { .. } | Step::CreateComponent { .. } | Step::CreateTarget { .. } => {
                    counts.created += 1;
                }
                Step::ShowGroup { .. } | Step::MoveComponent { .. } | Step::CorrectTarget { .. } => counts.changed += 1,
                Step::RemoveComponent { .. } | Step::RemoveGroup { .. } => counts.removed += 1,
            }
        }
        counts
    }

    fn groups(&mut self, groups: &[Group], observed: &Observed) {
        let mut names: BTreeMap<&str, &ObservedGroup> = BTreeMap::new();
        for group in observed.groups.iter().rev() {
            if let Some(other) = names.insert(&group.name, group) {
                let (name, id) = (&group.name, group.id.0);
                self.remarks.push(format!("the page has another group named {name:?} ({}): {id} is used", other.id.0));
            }
        }
        let mut components = Vec::new();
        for (group, order) in groups.iter().zip(1..) {
            let found = names.get(group.name.as_str());
            let (name, id) = (group.name.clone(), found.map(|found| found.id));
            match found {
                None => self.steps.push(Step::CreateGroup { name, order }),
                Some(found) if !found.visible => self.steps.push(Step::ShowGroup { id: found.id, name }),
                Some(_) => {}
            }
            components.extend(group.components.iter().zip(1..).map(|(component, order)| (group, id, component, order)));
        }
        for (group, group_id, name, order) in components {
            let (group, name) = (group.name.clone(), name.clone());
            match self.find(observed, name.as_str()) {
                None => self.steps.push(Step::CreateComponent { name, group, order }),
                Some(found) if group_id.is_none() || found.group != group_id => {
                    self.steps.push(Step::MoveComponent { id: found.id, name, group, enabled: found.enabled });
                }
                Some(_) => {}
            }
        }
    }

    fn targets(&mut self, inventory: &Inventory, observed: &Observed) {
        let mut by_name: BTreeMap<&str, &ObservedComponent> = BTreeMap::new();
        for component in observed.components.iter().rev() {
            by_name.insert(&component.name, component);
        }
        for (name, known) in inventory.iter().filter(|(name, _)| name.fits_cachet()) {
            let name = name.clone();
            let Some(found) = by_name.get(name.as_str()) else {
                let description = describe(known.critical, []);
                self.steps.push(Step::CreateTarget { name, description });
                continue;
            };
            let corrected = with_critical_line(found.description.as_deref(), known.critical);
            if corrected.is_some() || found.enabled {
                let kept = || found.description.clone().unwrap_or_default();
                let description = corrected.unwrap_or_else(kept);
                self.steps.push(Step::CorrectTarget { id: found.id, name, description });
            }
        }
    }

    /// Removes everything that we made, and returns what stays.
    fn remove_everything(&mut self, observed: &Observed) -> Observed {
        let mut kept = observed.clone();
        kept.components.retain(|component| !component.managed);
        kept.groups.retain(|group| !group.managed);
        for component in observed.components.iter().filter(|component| component.managed) {
            self.steps.push(Step::RemoveComponent { id: component.id, name: component.name.clone() });
        }
        for group in observed.groups.iter().filter(|group| group.managed) {
            self.steps.push(Step::RemoveGroup { id: group.id, name: group.name.clone() });
        }
        let (components, groups) = (kept.components.len(), kept.groups.len());
        if components + groups > 0 {
            self.remarks.push(format!(
                "components and groups that setup did not make are not removed: {components} components, {groups} groups"
            ));
        }
        kept
    }

    fn prune(&mut self, groups: &[Group], inventory: &Inventory, observed: &Observed) {
        let wanted_groups: BTreeSet<&str> = groups.iter().map(|group| group.name.as_str()).collect();
        let configured = groups.iter().flat_map(|group| &group.components);
        let fed = inventory.values().flat_map(|known| known.target.components());
        let wanted: BTreeSet<&str> = configured.chain(fed).map(ComponentName::as_str).collect();
        for component in observed.components.iter().filter(|component| component.managed) {
            let is_wanted = || wanted.contains(component.name.as_str());
            if !knows_target(inventory, component).unwrap_or_else(is_wanted) {
                self.steps.push(Step::RemoveComponent { id: component.id, name: component.name.clone() });
            }
        }
        for group in
            observed.groups.iter().filter(|group| group.managed && !wanted_groups.contains(group.name.as_str()))
        {
            self.steps.push(Step::RemoveGroup { id: group.id, name: group.name.clone() });
        }
    }

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

    /// The component of that name; the lowest number if there are several, which is remarked.
    fn find<'a>(&mut self, observed: &'a Observed, name: &str) -> Option<&'a ObservedComponent> {
        let mut namesakes: Vec<&ObservedComponent> =
            observed.components.iter().filter(|component| component.name == name).collect();
        namesakes.sort_by_key(|component| component.id);
        if let [first, second, ..] = namesakes.as_slice() {
            let (first, second) = (first.id.0, second.id.0);
            self.remarks.push(format!("the page has another component named {name:?} ({second}): {first} is used"));
        }
        namesakes.first().copied()
    }
}

/// Whether the target that a component is of is known; `None` if it is not that of a target.
fn knows_target(inventory: &Inventory, component: &ObservedComponent) -> Option<bool> {
    let target = Target::from_name(&component.name).filter(|_| !component.enabled)?;
    Some(inventory.contains_key(&target.name()))
}

/// One line, as the dry run prints it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateGroup { name, .. } => write!(f, "create group {name:?}"),
            Self::ShowGroup { name, .. } => write!(f, "show group {name:?}, which is hidden with its components"),
            Self::CreateComponent { name, group, .. } => write!(f, "create component {name:?} in group {group:?}"),
            Self::MoveComponent { name, group, .. } => write!(f, "move component {name:?} to group {group:?}"),
            Self::CreateTarget { name, .. } => write!(f, "create target component {name:?}"),
            Self::CorrectTarget { name, description, .. } => {
                write!(f, "correct target component {name:?}: {}", description.lines().next().unwrap_or_default())
            }
            Self::RemoveComponent { id, name } => write!(f, "remove component {name:?} ({})", id.0),
            Self::RemoveGroup { id, name } => write!(f, "remove group {name:?} ({})", id.0),
        }
    }
}

/// `2 created, 1 changed, 0 removed`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} created, {} changed, {} removed", self.created, self.changed, self.removed)
    }
}

#[cfg(test)]
mod tests;
