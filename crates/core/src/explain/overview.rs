//! All components at a glance, and what else is not as it will be: what waits, and what is held.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{Explanation, Facts, HeldFiring, IncidentExplanation, StatusWord, explain, held_firing};
use crate::observed::ObservedComponent;
use crate::plan::Change;
use crate::target::ComponentName;

/// A component in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComponentSummary {
    /// Its name.
    pub component: String,
    /// The group that Cachet has it in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it must show.
    pub status: StatusWord,
    /// Why, in one sentence.
    pub reason: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What Cachet showed when it was last read; absent if it has no such component, or was never read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown: Option<StatusWord>,
    /// Its incident, while there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentExplanation>,
    /// Who holds it, if somebody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_by: Option<String>,
    /// Until when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_until: Option<String>,
    /// What it would be without the hold, if somebody holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules_status: Option<StatusWord>,
    /// How many targets feed it.
    pub targets: usize,
    /// How many of them are down.
    pub targets_down: usize,
    /// How many changes of it wait to be written.
    pub waiting: usize,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// A change that is necessary and not made yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitingChange {
    /// What.
    pub change: String,
    /// Since when (RFC 3339), as far as the server knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it could not be made, if it was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl From<Explanation> for ComponentSummary {
    fn from(explanation: Explanation) -> Self {
        Self {
            targets: explanation.targets.len(),
            targets_down: explanation.targets.iter().filter(|target| target.down).count(),
            component: explanation.component,
            group: explanation.group,
            status: explanation.status,
            reason: explanation.reason,
            since: explanation.since,
            shown: explanation.shown.and_then(|shown| shown.status),
            incident: explanation.incident,
            held_by: explanation.hold.as_ref().map(|hold| hold.user.clone()),
            rules_status: explanation.hold.as_ref().map(|hold| hold.rules_status.clone()),
            held_until: explanation.hold.map(|hold| hold.until),
            waiting: explanation.waiting.len(),
            remarks: explanation.remarks,
        }
    }
}

/// Every visible component of the page and every one that targets feed: by group in the order of Cachet's numbers, those
/// in none last, and by name within.
pub fn summaries(facts: Facts<'_>) -> Vec<ComponentSummary> {
    let observed = facts.observed.map(|(observed, _)| observed);
    let shown = observed.map(|observed| observed.components.as_slice()).unwrap_or_default();
    let visible = shown.iter().filter(|component| component.enabled);
    let names: BTreeSet<ComponentName> = visible
        .filter_map(|component| ComponentName::try_from(component.name.as_str()).ok())
        .chain(facts.page.components.keys().cloned())
        .collect();
    let place = |name: &ComponentName| {
        let found: Option<&ObservedComponent> = shown.iter().find(|found| found.name == name.as_str());
        let group = found.and_then(|found| found.group);
        (group.is_none(), group)
    };
    let mut names: Vec<_> = names.into_iter().map(|name| (place(&name), name)).collect();
    names.sort();
    names.iter().filter_map(|(_, name)| explain(name, facts)).map(ComponentSummary::from).collect()
}

/// Every firing that does not count yet, the first that will first.
pub fn held_refires(facts: Facts<'_>) -> Vec<HeldFiring> {
    let mut held: Vec<HeldFiring> = facts.alerts.iter().filter_map(|alert| held_firing(alert, facts)).collect();
    held.sort_by(|one, other| one.counts_from.cmp(&other.counts_from));
    held
}

impl WaitingChange {
    /// One of which nothing else is known.
    pub fn of(change: &Change) -> Self {
        Self { change: change.to_string(), since: None, problem: None }
    }
}
