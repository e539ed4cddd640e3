//! How the page is at the end of a reconcile run, counted from what the reconciler has at hand anyway.

use std::collections::{BTreeMap, BTreeSet};

use crate::core::ledger::Ledger;
use crate::core::observed::{IncidentId, Observed};
use crate::core::outage::Outage;
use crate::core::plan::{Plan, Report, Views};
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;

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
    pub(crate) fn of(views: Views<'_>, plan: &Plan, waiting: usize) -> Self {
        let Views { desired, ledger, observed, index } = views;
        let reported = |is: fn(&Report) -> bool| plan.reports.iter().filter(|report| is(report)).count();
        let (incidents_ours, incidents_others) = incidents(ledger, observed);
        // Of several components with one name, the first is used.
        let shown = |name: &ComponentName| index.named(observed, name.as_str()).min_by_key(|component| component.id);
        let shown: Vec<ComponentStatus> = desired
            .components
            .keys()
            .filter_map(shown)
            .map(|component| component.status.unwrap_or(ComponentStatus::Unknown))
            .collect();
        Self {
            components_missing: desired.components.len() - shown.len(),
            components: count(shown.into_iter()),
            components_desired: count(desired.components.values().map(|component| component.status)),
            targets: desired.targets.len(),
            targets_down: desired.targets_down(),
            alerts_firing: desired.troubles(),
            held_refires: waiting,
            incidents_ours,
            incidents_others,
            overridden_statuses: reported(|report| matches!(report, Report::ComponentOverridden { .. })),
            operator_overrides: desired.components.values().filter(|component| component.overridden.is_some()).count(),
            overridden_incidents: reported(|report| matches!(report, Report::IncidentClosedByPerson { .. })),
        }
    }
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
