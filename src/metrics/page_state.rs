//! How the page is at the end of a reconcile run, counted from what the reconciler has at hand anyway.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ledger::Ledger;
use crate::core::observed::{IncidentId, Observed};
use crate::core::outage::Outage;
use crate::core::page::DesiredPage;
use crate::core::plan::{Plan, Report};
use crate::core::status::ComponentStatus;

/// Numbers of what is on the page and behind it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PageState {
    /// Components that targets feed, by the status that the page shows.
    pub components: BTreeMap<ComponentStatus, usize>,
    /// The same components, by the status that they should have.
    pub components_desired: BTreeMap<ComponentStatus, usize>,
    /// Those that the page does not have.
    pub components_missing: usize,
    /// Targets that count.
    pub targets: usize,
    /// Targets of which an alert fires.
    pub targets_down: usize,
    /// Alerts that count as firing.
    pub alerts_firing: usize,
    /// Firings that wait for the refire delay.
    pub held_refires: usize,
    /// Open incidents that we opened.
    pub incidents_ours: usize,
    /// Open incidents that others opened.
    pub incidents_others: usize,
    /// Components whose status a person changed.
    pub overridden_statuses: usize,
    /// Incidents of ours that a person closed while their component is down.
    pub overridden_incidents: usize,
    /// Components that an operator overrides.
    pub operator_overrides: usize,
}

impl PageState {
    /// Counts, without asking anybody anything; `waiting` firings do not count yet.
    pub(crate) fn of(desired: &DesiredPage, ledger: &Ledger, observed: &Observed, plan: &Plan, waiting: usize) -> Self {
        let firing: usize = desired.targets.values().map(|target| target.causes.len()).sum();
        let reported = |is: fn(&Report) -> bool| plan.reports.iter().filter(|report| is(report)).count();
        let (incidents_ours, incidents_others) = incidents(ledger, observed);
        let shown = shown(desired, observed);
        Self {
            components_missing: desired.components.len() - shown.len(),
            components: count(shown.into_values()),
            components_desired: count(desired.components.values().map(|component| component.status)),
            targets: desired.targets.len(),
            targets_down: desired.targets.values().filter(|target| target.is_down()).count(),
            alerts_firing: firing,
            held_refires: waiting,
            incidents_ours,
            incidents_others,
            overridden_statuses: reported(|report| matches!(report, Report::ComponentOverridden { .. })),
            operator_overrides: desired.components.values().filter(|component| component.overridden.is_some()).count(),
            overridden_incidents: reported(|report| matches!(report, Report::IncidentClosedByPerson { .. })),
        }
    }
}

/// What the page shows of the components that targets feed, each once: of several with one name, the first is used.
fn shown(desired: &DesiredPage, observed: &Observed) -> BTreeMap<String, ComponentStatus> {
    let names: BTreeSet<&str> = desired.components.keys().map(|name| name.as_str()).collect();
    let mut found: Vec<_> =
        observed.components.iter().filter(|component| names.contains(component.name.as_str())).collect();
    found.sort_by_key(|component| std::cmp::Reverse(component.id));
    let status = |status: Option<ComponentStatus>| status.unwrap_or(ComponentStatus::Unknown);
    found.into_iter().map(|component| (component.name.clone(), status(component.status))).collect()
}

/// Open incidents: ours, and those of others.
fn incidents(ledger: &Ledger, observed: &Observed) -> (usize, usize) {
    let ours: BTreeSet<IncidentId> = ledger.outages().filter_map(Outage::incident_id).collect();
    let open = observed.open_incidents.iter();
    let (ours, others): (Vec<_>, Vec<_>) =
        open.partition(|incident| incident.outage.is_some() || ours.contains(&incident.id));
    (ours.len(), others.len())
}

fn count(statuses: impl Iterator<Item = ComponentStatus>) -> BTreeMap<ComponentStatus, usize> {
    statuses.fold(BTreeMap::new(), |mut counts, status| {
        *counts.entry(status).or_default() += 1;
        counts
    })
}
