//! Writes to incidents of which no answer came, and which Cachet may carry out yet. Those to components are in the ledger.
//!
//! Cachet goes on with a request whose client has given up, and may do what it asks for after something newer was
//! written. That looks as if a person had done it. So each write is remembered until it is answered; and where Cachet
//! shows exactly what one without an answer asked for, though something else was written last, it was that write: what
//! was written last is written again, and the write is forgotten. As many as got no answer are undone so and no more, so
//! a person who wants the same has the last word.

use super::{Applied, Change, Planner, StrayOrigin};
use crate::incident::{Episode, EpisodePhase, EpisodeSubject};
use crate::ledger::CARRIED_OUT_WITHIN;
use crate::observed::{IncidentId, Observed};
use crate::status::IncidentStatus;
use crate::time::Timestamp;

/// A write to an incident that was sent, or was about to be, and of which no answer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnansweredWrite {
    /// The incident.
    pub id: IncidentId,
    /// How far it makes the incident.
    pub status: IncidentStatus,
    /// What the incident's episode is, or was, about.
    pub subject: EpisodeSubject,
    /// When it was sent.
    pub sent_at: Timestamp,
}

impl UnansweredWrite {
    /// Whether it need not be remembered any longer, for Cachet was read at `read_at` and does not show it.
    ///
    /// What is carried out while Cachet cannot be read is seen only afterwards, so time alone ends nothing.
    pub fn is_over(&self, applied: &Applied, read: &Observed, read_at: Timestamp) -> bool {
        read_at >= self.sent_at.after(CARRIED_OUT_WITHIN) && !self.was_late(applied, read)
    }

    /// Whether Cachet shows what it asked for, though something else was written last.
    fn was_late(&self, applied: &Applied, observed: &Observed) -> bool {
        let is_open = observed.open_incidents.iter().any(|open| open.id == self.id);
        let phases = applied.every_episode().map(|episode| episode.phase);
        match phases.into_iter().find(|phase| phase.incident() == Some(self.id)) {
            Some(EpisodePhase::Open(_)) => self.status == IncidentStatus::Fixed && !is_open,
            None | Some(EpisodePhase::Closed { .. }) => self.status != IncidentStatus::Fixed && is_open,
            // It is being written, or a person has closed it.
            Some(_) => false,
        }
    }
}

impl<'a> Planner<'a> {
    /// Those that Cachet has carried out after something newer.
    pub(super) fn late_writes(applied: &'a Applied, observed: &Observed) -> Vec<&'a UnansweredWrite> {
        applied.unanswered.iter().filter(|write| write.was_late(applied, observed)).collect()
    }

    /// The closing without an answer that has closed the incident of an episode that goes on, if one may have.
    ///
    /// What Cachet shows of an incident that is being closed or opened again proves nothing: both take two calls, and the
    /// call without an answer may still be carried out after the other one has done everything.
    pub(super) fn closed_late(&self, episode: &Episode) -> Option<UnansweredWrite> {
        let EpisodePhase::Open(incident) = episode.phase else { return None };
        // The incident is open here, so only a closing can be late.
        self.late.iter().find(|write| write.id == incident).map(|write| (*write).clone())
    }

    /// Closes what was opened again after the outage was over.
    pub(super) fn late_reopenings(&mut self) {
        for write in self.late.clone() {
            if write.status == IncidentStatus::Fixed || self.is_changing(&write.subject) {
                continue;
            }
            self.plan.changes.push(Change::CloseStray {
                incident: write.id,
                subject: write.subject.clone(),
                origin: StrayOrigin::Reopening(write.clone()),
            });
        }
    }
}
