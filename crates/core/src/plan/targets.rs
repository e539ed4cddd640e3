//! The targets' own components, which only operators see.

use super::{AppliedTarget, Certainty, Change, Note, Planner, Report, Written};
use crate::observed::ObservedComponent;
use crate::page::{TargetOrigin, describe, says_critical};
use crate::rules::Drift;
use crate::status::ComponentStatus;
use crate::target::{InventorySource, Target, TargetName};

impl Planner<'_> {
    pub(super) fn targets(&mut self) {
        let mut not_set_up = Vec::new();
        for (name, target) in &self.desired.targets {
            match self.find(name.as_str()) {
                Some(found) => self.target(name, target.status(), target.description(), found),
                None if !name.fits_cachet() => {
                    self.plan.reports.insert(Report::TargetNameTooLong { target: name.clone() });
                }
                None if target.is_down() => self.plan.changes.push(Change::CreateTarget {
                    target: name.clone(),
                    status: target.status(),
                    description: target.description(),
                }),
                None if target.origin == TargetOrigin::Inventory => not_set_up.push(name.clone()),
                None => {}
            }
        }
        if !not_set_up.is_empty() {
            self.plan.reports.insert(Report::NotSetUp { targets: not_set_up });
        }
    }

    fn target(&mut self, name: &TargetName, status: ComponentStatus, description: String, found: &ObservedComponent) {
        let settled = self
            .settled_target(name, found)
            .is_some_and(|written| written.status == status && written.description == description);
        let shown = found.status == Some(status) && found.description.as_deref() == Some(description.as_str());
        let late = self.late_on(found.id).filter(|_| settled);
        if shown && (!found.enabled || settled) {
            if !settled {
                let target = AppliedTarget { id: found.id, status, description, certainty: Certainty::Settled };
                self.plan.notes.push(Note::TargetSettled(name.clone(), target));
            }
        } else if !settled || late.is_some() || self.policy.drift == Drift::Enforce {
            self.plan.changes.push(Change::UpdateTarget {
                id: found.id,
                target: name.clone(),
                from: found.status,
                to: status,
                description,
                late,
            });
        }
    }

    /// What is known to have been written to a target's component. That Cachet shows what a pending write asked for
    /// settles it, whatever the alerts say by now.
    fn settled_target(&mut self, name: &TargetName, found: &ObservedComponent) -> Option<AppliedTarget> {
        let written = self.applied.targets.get(name).filter(|written| written.id == found.id)?;
        if written.certainty == Certainty::Settled {
            return Some(written.clone());
        }
        let arrived = found.status == Some(written.status)
            && found.description.as_ref() == Some(&written.description)
            && !found.enabled;
        arrived.then(|| {
            let settled = AppliedTarget { certainty: Certainty::Settled, ..written.clone() };
            let (status, description) = (settled.status, Some(settled.description.clone()));
            self.note_arrival(&Written::Component { id: found.id, status, description });
            self.plan.notes.push(Note::TargetSettled(name.clone(), settled.clone()));
            settled
        })
    }

    /// Components of targets that nobody knows any more: brought back to Operational if we left them red, else only
    /// reported; `setup --prune` removes them.
    pub(super) fn leftovers(&mut self) {
        let applied = self.applied;
        for name in applied.targets.keys().filter(|name| !self.desired.targets.contains_key(name)) {
            match self.find(name.as_str()) {
                Some(found) if found.status != Some(ComponentStatus::Operational) => {
                    let critical = found.description.as_deref().is_some_and(says_critical);
                    self.target(name, ComponentStatus::Operational, describe(critical, []), found);
                }
                Some(found) if self.may_change_yet(found.id) => {}
                _ => self.plan.notes.push(Note::TargetReleased(name.clone())),
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
