//! The targets' own components, which only operators see.

use super::{Change, Note, Planner, Report};
use crate::ledger::{ComponentValue, ResourceKey};
use crate::observed::ObservedComponent;
use crate::page::{TargetOrigin, describe, says_critical};
use crate::rules::{Condition, Drift};
use crate::status::ComponentStatus;
use crate::target::{InventorySource, Target, TargetName};

impl Planner<'_> {
    pub(super) fn targets(&mut self) {
        let mut not_set_up = Vec::new();
        for (name, target) in &self.desired.targets {
            match self.find(name.as_str()) {
                Some(found) => {
                    self.target(name, ComponentValue::of_target(target.status(), target.description()), found)
                }
                None if !name.fits_cachet() => {
                    self.plan.reports.insert(Report::TargetNameTooLong { target: name.clone() });
                }
                None if !matches!(target.condition(), Condition::Ok | Condition::Unknown) => {
                    self.plan.changes.push(Change::Write {
                        key: ResourceKey::Target(name.clone()),
                        page_id: None,
                        from: None,
                        value: ComponentValue::of_target(target.status(), target.description()),
                        enabled: false,
                        late: None,
                    })
                }
                None if target.origin == TargetOrigin::Inventory => not_set_up.push(name.clone()),
                None => {}
            }
        }
        if !not_set_up.is_empty() {
            self.plan.reports.insert(Report::NotSetUp { targets: not_set_up });
        }
    }

    fn target(&mut self, name: &TargetName, value: ComponentValue, found: &ObservedComponent) {
        let key = ResourceKey::Target(name.clone());
        let settled = self.settled(&key, found).is_some_and(|recorded| recorded == value);
        let late = self.late_on(&key, found).filter(|_| settled);
        if value.is_shown_by(found) && (!found.enabled || settled) {
            if !settled {
                self.confirm(key, found, value);
            }
        } else if !settled || late.is_some() || self.policy.drift == Drift::Enforce {
            let (page_id, from, enabled) = (Some(found.id), found.status, false);
            self.plan.changes.push(Change::Write { key, page_id, from, value, enabled, late });
        }
    }

    /// Components of targets that nobody knows any more: brought back to Operational if we left them red, else only
    /// reported; `setup --prune` removes them.
    pub(super) fn leftovers(&mut self) {
        let applied = self.applied;
        for (name, row) in applied.ledger.targets().filter(|(name, _)| !self.desired.targets.contains_key(name)) {
            match self.find(name.as_str()) {
                Some(found) if found.status != Some(ComponentStatus::Operational) => {
                    let critical = found.description.as_deref().is_some_and(says_critical);
                    let value = ComponentValue::of_target(ComponentStatus::Operational, describe(critical, []));
                    self.target(name, value, found);
                }
                Some(found) if self.may_change_yet(&ResourceKey::Target(name.clone()), found) => {}
                // A create in doubt: the page may make the component yet.
                None if row.page_id.is_none() && !row.unanswered.is_empty() => {}
                _ => self.plan.notes.push(Note::Released(ResourceKey::Target(name.clone()))),
            }
        }
        if self.policy.inventory == InventorySource::File {
            let disabled = self.observed.components.values().flatten().filter(|component| !component.enabled);
            let targets =
                disabled.filter_map(|component| Target::from_name(&component.name)).map(|target| target.name());
            let leftovers: Vec<TargetName> = targets.filter(|name| !self.desired.targets.contains_key(name)).collect();
            if !leftovers.is_empty() {
                self.plan.reports.insert(Report::Leftovers { targets: leftovers });
            }
        }
    }
}
