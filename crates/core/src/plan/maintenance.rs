//! What announced maintenance keeps from being written.

use super::{Planner, Report};
use crate::incident::{Episode, EpisodePhase};
use crate::maintenance;
use crate::observed::ComponentId;
use crate::target::ComponentName;

impl Planner<'_> {
    /// Whether the incident of a component that is down is held back, because maintenance of the component is in
    /// progress; that is reported then.
    ///
    /// An incident that is open stays and is closed as ever. One that was being opened when the maintenance began may be
    /// there or not, as its answer was lost: if Cachet does not show it, it is looked up when the maintenance is over,
    /// for to look it up earlier would be to open it.
    pub(super) fn is_held_back(
        &mut self,
        name: &ComponentName,
        episode: Option<&Episode>,
        component: Option<ComponentId>,
    ) -> bool {
        let in_progress = self.observed.maintenance;
        let Some(maintenance) = component.and_then(|id| maintenance::of_component(in_progress, id)) else {
            return false;
        };
        if self.is_there(episode) {
            return false;
        }
        let (component, maintenance_name) = (name.clone(), maintenance.name.clone());
        self.plan.reports.insert(Report::IncidentHeldBack { component, maintenance: maintenance_name });
        if let Some(may_end_at) = maintenance.may_end_at(self.now) {
            self.revisit(may_end_at);
        }
        true
    }
    /// Whether the incident of an episode is there already, so that going on with it opens none.
    pub(super) fn is_there(&self, episode: Option<&Episode>) -> bool {
        match episode.map(|episode| (episode, episode.phase)) {
            None | Some((_, EpisodePhase::Closed { .. })) => false,
            Some((episode, EpisodePhase::Opening | EpisodePhase::Absent)) => {
                self.observed.open_incidents.iter().any(|open| open.episode.as_deref() == Some(episode.key.as_str()))
            }
            Some((_, EpisodePhase::Reopening(incident))) => self.is_open(incident),
            Some((_, EpisodePhase::Open(_) | EpisodePhase::Closing(_) | EpisodePhase::ClosedByPerson(_))) => true,
        }
    }
}
