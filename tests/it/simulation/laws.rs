//! What must be true of the calls of every round.

use alertmanager_cachet::reconcile::RunReport;

use super::oracle::Moment;
use super::product::INTERVAL_MS;
use super::run::{Broken, Run};
use super::scenario::COMPONENTS;
use crate::support::world::is_write;

impl Run<'_> {
    /// There are not too many of them, and none that others should make.
    pub(super) fn are_few_and_ours(&self, calls: &[String]) -> Result<(), Broken> {
        let (components, targets) = (COMPONENTS.len(), self.scenario.targets.len());
        // two readings, and maintenance between them; a status or two for everything; close, open again and close an
        // incident, with a look before each
        let bound = 15 + 2 * (components + targets) + 9 * components;
        if calls.len() > bound {
            return Err(Broken(format!("{} calls in one round, more than {bound}: {calls:?}", calls.len())));
        }
        for call in calls.iter().filter(|call| is_write(call)) {
            if !self.person.may_be_written_by_us(call) {
                return Err(Broken(format!("it is not ours to write: {call}")));
            }
        }
        Ok(())
    }

    /// Within the interval Cachet is read only before something is written, or after something went wrong. `round` is
    /// the one that was undisturbed.
    pub(super) fn cachet_is_not_read_for_nothing(
        &mut self,
        calls: &[String],
        written: usize,
        now: Moment,
        round: Option<&RunReport>,
    ) -> Result<(), Broken> {
        let complete = round.is_some_and(RunReport::is_complete);
        let was_read = calls.iter().any(|call| call == "GET /api/components");
        let is_known = self.read_ms.is_some_and(|read_ms| now.clock_ms < read_ms + INTERVAL_MS);
        if was_read && written == 0 && complete && is_known {
            return Err(Broken(format!("Cachet was read within the interval, and for nothing: {calls:?}")));
        }
        if was_read || !complete {
            self.read_ms = complete.then_some(now.clock_ms);
        }
        Ok(())
    }

    /// Nothing is said of an incident before its component was calm for long enough, and none is closed in the middle of an
    /// outage.
    pub(super) async fn recoveries_were_waited_out(&self, calls: &[String]) -> Result<(), Broken> {
        let of_an_update = |call: &String| call.starts_with("POST ") && call.ends_with("/updates");
        if !calls.iter().any(of_an_update) {
            return Ok(());
        }
        for incident in self.person.incidents().await {
            let (id, component) = (incident.id, incident.component);
            let told = calls.contains(&format!("POST /api/incidents/{id}/updates"));
            let is_closed = told && !incident.open;
            if told && self.oracle.is_not_calm_yet(&component, self.clock.now().true_ms) {
                return Err(Broken(format!("incident {id} of {component} was closed before its recovery had lasted")));
            }
            if is_closed && self.oracle.is_in_an_outage(&component) {
                return Err(Broken(format!("incident {id} of {component} was closed in the middle of the outage")));
            }
        }
        Ok(())
    }
}
