//! The difference between what the page must show and what it shows, as data.
//!
//! Three views are compared: *desired* (what signals and inventory say), *recorded* (what we last wrote) and *observed*
//! (what the page shows). Where desired and recorded differ, something has to be written; where only the observed view
//! differs, a person changed it. Printing a plan is `explain` and the dry run; carrying it out is a loop.

mod outages;
mod report;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use self::report::Report;

use super::ledger::{ComponentValue, Ledger, Recorded, RecordedComponent, ResourceKey, Unanswered, Update};
use super::observed::{ComponentIndex, Observed, ObservedComponent};
use super::operation::Operation;
use super::page::{DesiredComponent, DesiredPage, TargetOrigin, describe, says_critical};
use super::rules::{CloseIncidentWhen, Condition, Drift};
use super::status::ComponentStatus;
use super::target::{ComponentName, InventorySource, Target, TargetName, key_of_name};
use super::time::Timestamp;

/// What shapes a plan beside the three views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// What ends an outage.
    pub close_incident_when: CloseIncidentWhen,
    /// What is done about a person's change.
    pub drift: Drift,
    /// How long a component has to be calm before its outage ends.
    pub recovery_hold: Duration,
    /// How long after its incident was closed a relapse opens the same one again.
    pub reopen_within: Duration,
    /// Whether Cachet takes the status Unknown of a component; where it does not, what would be Unknown is left as it is.
    pub takes_unknown: bool,
    /// Where the inventory comes from: with a targets file, a target component that it does not name is a leftover.
    pub inventory: InventorySource,
}

/// What has to be done, in the order in which it is done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Writes to Cachet, what the public sees first.
    pub operations: Vec<Operation>,
    /// Changes of the ledger that need no write.
    pub notes: Vec<Update>,
    /// What an operator should know.
    pub reports: BTreeSet<Report>,
    /// When time alone changes the plan next: a component was calm for long enough, a relapse no longer counts, or a
    /// maintenance that suppresses an incident may be over.
    pub revisit_at: Option<Timestamp>,
}

/// The three views that a plan compares.
#[derive(Debug, Clone, Copy)]
pub struct Views<'a> {
    /// What the page must show.
    pub desired: &'a DesiredPage,
    /// What was last written.
    pub ledger: &'a Ledger,
    /// What the page shows.
    pub observed: &'a Observed,
    /// The index of `observed`.
    pub index: &'a ComponentIndex,
}

/// The whole plan at `now`, without earlier results.
pub fn plan(views: Views<'_>, policy: Policy, now: Timestamp) -> Plan {
    let (mut plan, mut targets) = (plan_components(views, policy, now), TargetPlans::default());
    targets.update_all(views, policy, now);
    plan.operations.extend(targets.operations().cloned());
    plan.notes.extend(targets.notes().cloned());
    plan.reports.extend(targets.reports());
    plan
}

/// What has to be done about the components that the public sees, and their incidents.
pub fn plan_components(views: Views<'_>, policy: Policy, now: Timestamp) -> Plan {
    let Views { desired, ledger, .. } = views;
    let mut planner = Planner { views, policy, now, plan: Plan::default() };
    let components: BTreeSet<&ComponentName> = {
        let recorded = ledger.components().map(|(name, _)| name);
        let in_outage = ledger.outages.values().filter_map(|outage| outage.subject.component());
        desired.components.keys().chain(recorded).chain(in_outage).collect()
    };
    for component in components {
        planner.component(component);
    }
    planner.monitoring();
    planner.late_incidents();
    let mut plan = planner.plan;
    plan.operations.sort_by_key(|operation| (operation.rank(), Reverse(operation.severity()), operation.key()));
    plan
}

/// The plans of the target components. A target's plan does not depend on time or on other targets, so it is kept until
/// something about the target changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TargetPlans {
    operations: BTreeMap<TargetName, Operation>,
    /// The operations in the order in which they are carried out: what is worse first.
    order: BTreeSet<(Reverse<u8>, TargetName)>,
    notes: BTreeMap<TargetName, Vec<Update>>,
    /// What an operator should know of a target.
    reports: BTreeMap<TargetName, BTreeSet<Report>>,
}

impl TargetPlans {
    /// Plans one target again.
    pub fn update(&mut self, name: &TargetName, views: Views<'_>, policy: Policy, now: Timestamp) {
        let mut planner = Planner { views, policy, now, plan: Plan::default() };
        planner.target(name);
        let Plan { operations, mut notes, reports, .. } = planner.plan;
        // After a start there may be one for every target.
        notes.shrink_to_fit();
        if let Some(before) = self.operations.remove(name) {
            self.order.remove(&(Reverse(before.severity()), name.clone()));
        }
        for operation in operations {
            self.order.insert((Reverse(operation.severity()), name.clone()));
            self.operations.insert(name.clone(), operation);
        }
        if notes.is_empty() {
            drop(self.notes.remove(name))
        } else {
            drop(self.notes.insert(name.clone(), notes))
        }
        if reports.is_empty() {
            drop(self.reports.remove(name))
        } else {
            drop(self.reports.insert(name.clone(), reports))
        }
    }

    /// Plans every target again that is desired, recorded or, with a targets file, left over on the page.
    pub fn update_all(&mut self, views: Views<'_>, policy: Policy, now: Timestamp) {
        *self = Self::default();
        let has_leftovers = policy.inventory == InventorySource::File;
        let shown = views.observed.components.iter().filter(|component| has_leftovers && !component.enabled);
        let shown = shown.filter(|component| !views.desired.targets.contains_key(&*key_of_name(&component.name)));
        let shown: Vec<TargetName> =
            shown.filter_map(|component| Some(Target::from_name(&component.name)?.name())).collect();
        let known = views.desired.targets.keys().chain(views.ledger.targets().map(|(name, _)| name));
        let names: BTreeSet<&TargetName> = known.chain(&shown).collect();
        names.into_iter().for_each(|name| self.update(name, views, policy, now));
    }

    /// The operation that a target waits for.
    pub fn operation(&self, name: &TargetName) -> Option<&Operation> {
        self.operations.get(name)
    }

    /// All operations, in the order in which they are carried out.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        self.order.iter().filter_map(|(_, name)| self.operations.get(name))
    }

    /// The changes of the ledger that need no write.
    pub fn notes(&self) -> impl Iterator<Item = &Update> {
        self.notes.values().flatten()
    }

    /// What an operator should know: of each kind one report, about all targets concerned.
    pub fn reports(&self) -> impl Iterator<Item = Report> {
        let (mut not_set_up, mut leftovers, mut others) = (Vec::new(), Vec::new(), BTreeSet::new());
        for report in self.reports.values().flatten() {
            match report {
                Report::NotSetUp { targets } => not_set_up.extend_from_slice(targets),
                Report::Leftovers { targets } => leftovers.extend_from_slice(targets),
                other => drop(others.insert(other.clone())),
            }
        }
        let not_set_up = Some(not_set_up).filter(|targets| !targets.is_empty());
        let leftovers = Some(leftovers).filter(|targets| !targets.is_empty());
        let not_set_up = not_set_up.map(|targets| Report::NotSetUp { targets });
        others.into_iter().chain(not_set_up).chain(leftovers.map(|targets| Report::Leftovers { targets }))
    }
}

struct Planner<'a> {
    views: Views<'a>,
    policy: Policy,
    now: Timestamp,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn component(&mut self, name: &ComponentName) {
        let desired = self.views.desired.components.get(name);
        let status = desired.map_or(ComponentStatus::Operational, |desired| desired.status);
        let key = ResourceKey::Component(name.clone());
        let found = self.find(&key, name.as_str());
        let ours = desired.is_some() || self.views.ledger.rows.contains_key(&key);
        match found {
            _ if !ours => {}
            Some(found) if desired.is_none() && found.status == Some(ComponentStatus::Operational) => {
                if !self.may_change_yet(&key, found) {
                    self.plan.notes.push(Update::Component(key, None));
                }
            }
            Some(found) if desired.is_some_and(|desired| self.leave_unknown_unwritten(name, desired, found)) => {}
            Some(found) => self.component_status(name, status, found),
            None if desired.is_some_and(|desired| !desired.is_fed()) => {}
            None if desired.is_none() => self.plan.notes.push(Update::Component(key, None)),
            None => {
                self.plan.reports.insert(Report::ComponentMissing { component: name.clone() });
            }
        }
        self.component_outage(name, status, desired, found.map(|found| found.id));
    }

    fn component_status(&mut self, name: &ComponentName, status: ComponentStatus, found: &ObservedComponent) {
        let key = ResourceKey::Component(name.clone());
        let settled = self.known_value(&key, found).map(|recorded| recorded.status);
        if found.status == Some(status) {
            if settled != Some(status) {
                self.confirm(key, found, ComponentValue::of_component(status));
            }
            return;
        }
        let late = self.late_on(&key, found).filter(|_| settled == Some(status));
        if settled == Some(status) && late.is_none() && self.policy.drift == Drift::Respect {
            self.report_drift(name, status, found);
            return;
        }
        self.set_component(name, status, found, late);
    }

    /// The recorded value, if it is known to be on the page. A value in doubt that the page shows is confirmed here, even if
    /// the desired value has changed since.
    fn known_value(&mut self, key: &ResourceKey, found: &ObservedComponent) -> Option<ComponentValue> {
        let recorded = self.recorded(key, found)?;
        if !recorded.is_confirmed() {
            let hidden = !found.enabled || matches!(key, ResourceKey::Component(_));
            if !(hidden && recorded.value.is_shown_by(found)) {
                return None;
            }
            self.plan.notes.push(Update::Component(key.clone(), Some(recorded.confirm_shown())));
        }
        Some(recorded.value.clone())
    }

    /// The page shows of a component what it must show, though something else was recorded.
    fn confirm(&mut self, key: ResourceKey, found: &ObservedComponent, value: ComponentValue) {
        let unanswered = self.recorded(&key, found).map(|recorded| recorded.unanswered.clone()).unwrap_or_default();
        let row = Recorded { unanswered, ..Recorded::confirmed(found.id, value) };
        self.plan.notes.push(Update::Component(key, Some(row)));
    }

    fn recorded(&self, key: &ResourceKey, found: &ObservedComponent) -> Option<&'a RecordedComponent> {
        self.views.ledger.rows.get(key).filter(|recorded| recorded.page_id == Some(found.id))
    }

    /// What the page has done to this component late, if that is what it shows.
    fn late_on(&self, key: &ResourceKey, found: &ObservedComponent) -> Option<Unanswered<ComponentValue>> {
        self.recorded(key, found)?.late(found).cloned()
    }

    /// Whether a write to this component may be carried out yet.
    fn may_change_yet(&self, key: &ResourceKey, found: &ObservedComponent) -> bool {
        self.recorded(key, found).is_some_and(|recorded| !recorded.unanswered.is_empty())
    }

    fn set_component(
        &mut self,
        name: &ComponentName,
        to: ComponentStatus,
        found: &ObservedComponent,
        late: Option<Unanswered<ComponentValue>>,
    ) {
        let (key, value) = (ResourceKey::Component(name.clone()), ComponentValue::of_component(to));
        let (page_id, from, enabled) = (Some(found.id), found.status, found.enabled);
        self.plan.operations.push(Operation::Write { key, page_id, from, value, enabled, late });
    }

    fn report_drift(&mut self, name: &ComponentName, expected: ComponentStatus, found: &ObservedComponent) {
        let (component, found) = (name.clone(), found.status);
        self.plan.reports.insert(Report::ComponentDrifted { component, expected, found });
    }

    /// Leaves a component that must be Unknown as the page shows it, if Unknown may not be written; returns whether it did. A
    /// late write is still undone, and drift is still reported.
    ///
    /// Unknown means that nobody knows whether the component still works. It replaces Operational and our own values, never a
    /// status that a person chose (unless drift is enforced). A Cachet that refuses Unknown never gets it.
    fn leave_unknown_unwritten(
        &mut self,
        name: &ComponentName,
        desired: &DesiredComponent,
        found: &ObservedComponent,
    ) -> bool {
        if desired.status != ComponentStatus::Unknown || found.status == Some(ComponentStatus::Unknown) {
            return false;
        }
        let key = ResourceKey::Component(name.clone());
        let recorded = self.recorded(&key, found);
        let settled = recorded.filter(|recorded| recorded.is_confirmed()).map(|recorded| recorded.value.status);
        let late = self.late_on(&key, found);
        let is_ours = recorded.is_some_and(|_| settled.is_none_or(|settled| Some(settled) == found.status));
        let is_ours = is_ours || late.is_some();
        let is_green = found.status == Some(ComponentStatus::Operational) && (desired.is_fed() || found.enabled);
        let is_enforced = self.policy.drift == Drift::Enforce && desired.is_fed();
        if self.policy.takes_unknown && (is_ours || is_green || is_enforced) {
            return false;
        }
        if let (Some(settled), Some(late)) = (settled, late) {
            self.set_component(name, settled, found, Some(late));
            return true;
        }
        // Keep the report. If it were dropped now, the same drift would be logged again as new later.
        let drifted_from = settled.filter(|settled| Some(*settled) != found.status);
        if let (Some(expected), Drift::Respect) = (drifted_from, self.policy.drift) {
            self.report_drift(name, expected, found);
        }
        true
    }

    fn target(&mut self, name: &TargetName) {
        let found = self.find(&ResourceKey::Target(name.clone()), name.key());
        let Some(target) = self.views.desired.targets.get(name) else { return self.leftover(name, found) };
        // The name that was given may have the components in another order.
        let name = &target.target.name();
        let value = || ComponentValue::of_target(target.status(), target.description());
        match found {
            Some(found) => self.target_value(name, value(), found),
            None if !name.fits_cachet() => {
                self.plan.reports.insert(Report::TargetNameTooLong { target: name.clone() });
            }
            None if !matches!(target.condition(), Condition::Ok | Condition::Unknown) => {
                self.plan.operations.push(Operation::Write {
                    key: ResourceKey::Target(name.clone()),
                    page_id: None,
                    from: None,
                    value: value(),
                    enabled: false,
                    late: None,
                });
            }
            None if target.origin == TargetOrigin::Inventory => {
                self.plan.reports.insert(Report::NotSetUp { targets: vec![name.clone()] });
            }
            None => {}
        }
    }

    fn target_value(&mut self, name: &TargetName, value: ComponentValue, found: &ObservedComponent) {
        let key = ResourceKey::Target(name.clone());
        // Most targets are shown as desired, and there may be many.
        let is_written =
            |row: &RecordedComponent| row.is_confirmed() && row.unanswered.is_empty() && row.value == value;
        if self.recorded(&key, found).is_some_and(is_written) && value.is_shown_by(found) {
            return;
        }
        let settled = self.known_value(&key, found).is_some_and(|recorded| recorded == value);
        let late = self.late_on(&key, found).filter(|_| settled);
        if value.is_shown_by(found) && (!found.enabled || settled) {
            if !settled {
                self.confirm(key, found, value);
            }
        } else if !settled || late.is_some() || self.policy.drift == Drift::Enforce {
            let (page_id, from, enabled) = (Some(found.id), found.status, false);
            self.plan.operations.push(Operation::Write { key, page_id, from, value, enabled, late });
        }
    }

    /// The component of a target that nobody knows any more: brought back to Operational if we left it red, else only
    /// reported; `setup --prune` removes it.
    fn leftover(&mut self, name: &TargetName, found: Option<&ObservedComponent>) {
        let key = ResourceKey::Target(name.clone());
        if let Some(row) = self.views.ledger.rows.get(&key) {
            match found {
                Some(found) if found.status != Some(ComponentStatus::Operational) => {
                    let critical = found.description.as_deref().is_some_and(says_critical);
                    let value = ComponentValue::of_target(ComponentStatus::Operational, describe(critical, []));
                    self.target_value(name, value, found);
                }
                Some(found) if self.may_change_yet(&key, found) => {}
                // A create in doubt: the page may make the component yet.
                None if row.page_id.is_none() && !row.unanswered.is_empty() => {}
                _ => self.plan.notes.push(Update::Component(key, None)),
            }
        }
        if self.policy.inventory == InventorySource::File && found.is_some_and(|found| !found.enabled) {
            self.plan.reports.insert(Report::Leftovers { targets: vec![name.clone()] });
        }
    }

    fn revisit(&mut self, at: Timestamp) {
        self.plan.revisit_at = Some(self.plan.revisit_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The component with that key. If there are several, that is reported, and one of them counts: the one that was written
    /// to last as long as it is not back at Operational, or else that of [`ComponentIndex::find`].
    fn find(&mut self, resource: &ResourceKey, key: &str) -> Option<&'a ObservedComponent> {
        let Views { observed, index, ledger, .. } = self.views;
        let mut namesakes = index.with_key(observed, key);
        let first = namesakes.next()?;
        if namesakes.next().is_none() {
            return Some(first);
        }
        let is_back = |row: &RecordedComponent| {
            row.is_confirmed() && row.unanswered.is_empty() && row.value.status == ComponentStatus::Operational
        };
        let row = ledger.rows.get(resource).filter(|row| !is_back(row));
        let written = index.with_key(observed, key).find(|it| row.is_some_and(|row| row.page_id == Some(it.id)));
        let found = written.or_else(|| index.find(observed, key))?;
        let mut ids: Vec<_> = index.with_key(observed, key).map(|component| component.id).collect();
        // The one that counts stands first.
        ids.sort_unstable_by_key(|id| (*id != found.id, *id));
        self.plan.reports.insert(Report::NameTaken { name: found.name.clone(), ids });
        Some(found)
    }
}

#[cfg(test)]
mod tests;
