//! What a missing watchdog changes of a plan: the incident that says so, and what is not made Unknown.

use super::Planner;
use crate::incident::{EpisodeKey, EpisodeSubject};
use crate::ledger::ResourceKey;
use crate::observed::ObservedComponent;
use crate::page::DesiredComponent;
use crate::rules::Drift;
use crate::status::ComponentStatus;
use crate::target::ComponentName;
use crate::watchdog::Monitoring;

impl Planner<'_> {
    /// The episode in which monitoring data is missing. A watchdog that is no longer configured ends it as one that came
    /// back does.
    pub(super) fn monitoring(&mut self) {
        let monitoring = self.desired.monitoring;
        match (&self.applied.monitoring, monitoring) {
            (Some(episode), _) => {
                let status =
                    if monitoring.is_missing() { ComponentStatus::Unknown } else { ComponentStatus::Operational };
                self.follow_episode(episode, monitoring.is_missing(), status, None);
            }
            (None, Monitoring::Missing { since, .. }) => {
                self.begin_episode(EpisodeKey::of_monitoring(self.now), EpisodeSubject::Monitoring, since);
            }
            (None, Monitoring::Unwatched | Monitoring::Heard { .. }) => {}
        }
    }

    /// Whether a component that must be Unknown is left as Cachet shows it.
    ///
    /// Unknown says that nobody knows whether it is still green. It is no news about a component that shows anything
    /// else, so it is written over Operational, and over what we wrote ourselves; what a person chose stays. Nor is it
    /// written to a Cachet that refuses it.
    pub(super) fn is_left_unknown(
        &mut self,
        name: &ComponentName,
        desired: &DesiredComponent,
        found: &ObservedComponent,
    ) -> bool {
        if desired.status != ComponentStatus::Unknown || found.status == Some(ComponentStatus::Unknown) {
            return false;
        }
        let key = ResourceKey::Component(name.clone());
        let recorded = self.applied.ledger.get(&key).filter(|recorded| recorded.page_id == Some(found.id));
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
        // It was said when they chose it; to be silent now would say it again afterwards.
        let overridden = settled.filter(|settled| Some(*settled) != found.status);
        if let (Some(overridden), Drift::Respect) = (overridden, self.policy.drift) {
            self.report_overridden(name, overridden, found);
        }
        true
    }
}
