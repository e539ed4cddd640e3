//! What a hold means for the incident of a component.

use super::{Planner, Report};
use crate::hold::Held;
use crate::incident::Episode;
use crate::page::DesiredComponent;
use crate::status::ComponentStatus;
use crate::target::ComponentName;

/// The hold of a component at something better than Major Outage; at that, the component has its incident as ever.
fn better(desired: Option<&DesiredComponent>) -> Option<&Held> {
    desired.and_then(|desired| desired.held.as_ref()).filter(|held| held.hold.status != ComponentStatus::MajorOutage)
}

/// The status that says whether a component is in an episode: while it is held at something better, that of the rules, so
/// that a hold closes no incident.
pub(super) fn status_of_episode(status: ComponentStatus, desired: Option<&DesiredComponent>) -> ComponentStatus {
    better(desired).map_or(status, |held| held.rules)
}

impl Planner<'_> {
    /// Whether the incident of a component that is down by the rules is not opened, because the component is held at
    /// something better; that is reported then. One that is open stays.
    pub(super) fn is_held_better(
        &mut self,
        name: &ComponentName,
        episode: Option<&Episode>,
        desired: Option<&DesiredComponent>,
    ) -> bool {
        let Some(Held { hold, .. }) = better(desired) else { return false };
        if self.is_there(episode) {
            return false;
        }
        let (component, user) = (name.clone(), hold.user.clone());
        self.plan.reports.insert(Report::IncidentHeldByOperator { component, user, until: hold.until });
        true
    }
}
