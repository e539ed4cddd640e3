//! Writes of which no answer came, and which Cachet may carry out yet.
//!
//! Cachet goes on with a request whose client has given up, and may do what it asks for after something newer was
//! written. That looks as if a person had done it. So each write is remembered until it is answered; and where Cachet
//! shows exactly what one without an answer asked for, though something else was written last, it was that write: what
//! was written last is written again, and the write is forgotten. As many as got no answer are undone so and no more, so
//! a person who wants the same has the last word.

use std::time::Duration;

use super::{Applied, Certainty, Change, Note, Planner, StrayOrigin};
use crate::incident::{Episode, EpisodePhase, EpisodeSubject};
use crate::observed::{ComponentId, IncidentId, Observed};
use crate::status::{ComponentStatus, IncidentStatus};
use crate::time::Timestamp;

/// How long after it was sent a write may be carried out. Web servers and PHP end a request sooner.
pub const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(3600);

/// A write that was sent, or was about to be, and of which no answer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnansweredWrite {
    /// What it makes true.
    pub what: Written,
    /// When it was sent.
    pub sent_at: Timestamp,
}

/// What a write makes true of Cachet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A component has this status.
    Component {
        /// Its number.
        id: ComponentId,
        /// The status.
        status: ComponentStatus,
        /// The description, where that is written along: of a target's own component.
        description: Option<String>,
    },
    /// An incident is as far as this.
    Incident {
        /// Its number.
        id: IncidentId,
        /// How far it is.
        status: IncidentStatus,
        /// What its episode is, or was, about.
        subject: EpisodeSubject,
    },
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
        match &self.what {
            Written::Component { id, status, description } => {
                let shown = observed.components.iter().find(|component| component.id == *id);
                let as_asked = shown.is_some_and(|shown| {
                    shown.status == Some(*status) && (description.is_none() || shown.description == *description)
                });
                as_asked && was_followed(applied, *id, *status, description.as_deref())
            }
            Written::Incident { id, status, .. } => {
                let is_open = observed.open_incidents.iter().any(|open| open.id == *id);
                let phases = applied.every_episode().map(|episode| episode.phase);
                match phases.into_iter().find(|phase| phase.incident() == Some(*id)) {
                    Some(EpisodePhase::Open(_)) => *status == IncidentStatus::Fixed && !is_open,
                    None | Some(EpisodePhase::Closed { .. }) => *status != IncidentStatus::Fixed && is_open,
                    // It is being written, or a person has closed it.
                    Some(_) => false,
                }
            }
        }
    }

    fn is_to_component(&self, component: ComponentId) -> bool {
        matches!(self.what, Written::Component { id, .. } if id == component)
    }
}

/// Whether the last write to a component is known to have arrived, and was another one than this.
fn was_followed(applied: &Applied, id: ComponentId, status: ComponentStatus, description: Option<&str>) -> bool {
    let Some(description) = description else {
        let mut last = applied.components.values().filter(|last| last.id == id);
        return last.any(|last| last.certainty == Certainty::Settled && last.status != status);
    };
    let mut last = applied.targets.values().filter(|last| last.id == id);
    last.any(|last| last.certainty == Certainty::Settled && (last.status, &*last.description) != (status, description))
}

impl<'a> Planner<'a> {
    /// Those that Cachet has carried out after something newer.
    pub(super) fn late_writes(applied: &'a Applied, observed: &Observed) -> Vec<&'a UnansweredWrite> {
        applied.unanswered.iter().filter(|write| write.was_late(applied, observed)).collect()
    }

    /// What Cachet has done to this component late, if that is what it shows.
    pub(super) fn late_on(&self, component: ComponentId) -> Option<UnansweredWrite> {
        self.late.iter().find(|write| write.is_to_component(component)).map(|write| (*write).clone())
    }

    /// Whether a write to this component may be carried out yet.
    pub(super) fn may_change_yet(&self, component: ComponentId) -> bool {
        self.applied.unanswered.iter().any(|write| write.is_to_component(component))
    }

    /// Notes that a write arrived after all, as Cachet shows.
    pub(super) fn note_arrival(&mut self, what: &Written) {
        let arrived = self.applied.unanswered.iter().rfind(|write| write.what == *what);
        self.plan.notes.extend(arrived.cloned().map(Note::Arrived));
    }

    /// The closing without an answer that has closed the incident of an episode that goes on, if one may have.
    ///
    /// Of an incident that is being closed, or opened again, nothing is told by what Cachet shows: either takes two calls,
    /// and the one of them that got no answer may still come when the other one has done it all.
    pub(super) fn closed_late(&self, episode: &Episode) -> Option<UnansweredWrite> {
        let EpisodePhase::Open(incident) = episode.phase else { return None };
        // Of an incident that is open here, only a closing can be late.
        let about = |write: &&&UnansweredWrite| matches!(write.what, Written::Incident { id, .. } if id == incident);
        self.late.iter().find(about).map(|write| (*write).clone())
    }

    /// Closes what was opened again after the outage was over.
    pub(super) fn late_reopenings(&mut self) {
        for write in self.late.clone() {
            let Written::Incident { id, status, subject } = &write.what else { continue };
            if *status == IncidentStatus::Fixed || self.is_changing(subject) {
                continue;
            }
            self.plan.changes.push(Change::CloseStray {
                incident: *id,
                subject: subject.clone(),
                origin: StrayOrigin::Reopening(write.clone()),
            });
        }
    }
}
