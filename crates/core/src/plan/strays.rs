//! Incidents of ours that came to be when nobody expected them any more.
//!
//! Cachet may carry out a posting long after we gave up on its answer, looked, found nothing, and posted again or saw
//! the outage end. What such a posting makes is closed: an episode has one open incident, and none when it is over.
//!
//! Whose it is must be beyond doubt. It is ours if its meta names an episode of which a posting was lost; without meta,
//! if it bears the title that was posted, on that very component, or on none, at a time when a posting may still be carried out. As
//! many as were lost are closed and no more, so a person who opens one of them again has the last word.

use super::{Change, Note, Planner, StrayOrigin};
use crate::incident::{Episode, EpisodeKey, EpisodePhase, EpisodeSubject, LostPostings, PastEpisode};
use crate::ledger::{CARRIED_OUT_WITHIN, ResourceKey};
use crate::observed::{IncidentId, ObservedIncident};

/// An episode of which postings were lost.
struct Loser<'a> {
    key: &'a EpisodeKey,
    subject: &'a EpisodeSubject,
    lost: &'a LostPostings,
}

impl<'a> Loser<'a> {
    /// An episode that goes on.
    fn present(episode: &'a Episode) -> Option<Self> {
        Some(Self { key: &episode.key, subject: &episode.subject, lost: episode.lost.as_ref()? })
    }

    fn past(episode: &'a PastEpisode) -> Self {
        Self { key: &episode.key, subject: &episode.subject, lost: &episode.lost }
    }
}

impl<'a> Planner<'a> {
    /// Whether an incident that is absent may yet come to be, so that it is neither posted again nor given up. If it
    /// has come to be, that is noted.
    pub(super) fn is_awaited(&mut self, episode: &Episode) -> bool {
        let Some(loser) = Loser::present(episode) else { return false };
        if let Some(incident) = self.turned_up(&loser).first().map(|incident| incident.id) {
            let (phase, lost) = (EpisodePhase::Open(incident), loser.lost.clone().one_fewer());
            self.plan.notes.push(Note::EpisodePhase(Episode { phase, lost, ..episode.clone() }));
            // The outage may be over already, and then it has to be closed.
            self.revisit(self.now);
            return true;
        }
        let until = loser.lost.missed_at.after(self.policy.posting_patience);
        let awaited = self.now < until;
        if awaited {
            self.revisit(until);
        }
        awaited
    }

    /// Closes what has turned up beside the incident of its episode, or after its end.
    pub(super) fn strays(&mut self) {
        let applied = self.applied;
        // If the number of an episode's incident is not known yet, the first incident that turns up is the one.
        let present = applied.every_episode().filter(|episode| episode.phase.incident().is_some());
        let losers: Vec<Loser<'_>> =
            present.filter_map(Loser::present).chain(applied.past.values().map(Loser::past)).collect();
        for loser in losers {
            if self.is_changing(loser.subject) {
                continue;
            }
            // One at a time: each takes one off the count.
            if let Some(stray) = self.turned_up(&loser).first() {
                self.plan.changes.push(Change::CloseStray {
                    incident: stray.id,
                    subject: loser.subject.clone(),
                    origin: StrayOrigin::Posting { episode: loser.key.clone(), lost: loser.lost.clone().one_fewer() },
                });
            }
        }
    }

    /// Whether an incident about `subject` is written in this plan already: a stray can wait for the next one.
    pub(super) fn is_changing(&self, subject: &EpisodeSubject) -> bool {
        let key = ResourceKey::from(subject);
        self.plan.changes.iter().any(|change| change.key() == key)
    }

    /// The open incidents that the lost postings of an episode have made; none that an episode is known to have, or to
    /// have had, for a person may have opened that again.
    fn turned_up(&self, loser: &Loser<'_>) -> Vec<&'a ObservedIncident> {
        let claimed = |id: IncidentId| {
            let present = self.applied.every_episode().filter_map(|episode| episode.phase.incident());
            let past = self.applied.past.values().filter_map(|episode| episode.incident);
            present.chain(past).any(|known| known == id)
        };
        let made = |incident: &&ObservedIncident| self.was_made_by(loser, incident) && !claimed(incident.id);
        self.observed.open_incidents.iter().filter(made).collect()
    }

    fn was_made_by(&self, loser: &Loser<'_>, incident: &ObservedIncident) -> bool {
        if let Some(key) = &incident.episode {
            return key == loser.key.as_str();
        }
        let Some(title) = &loser.lost.title else { return false };
        self.now < loser.lost.missed_at.after(CARRIED_OUT_WITHIN)
            && incident.component_id == loser.subject.component_id()
            && incident.name == *title
            && !self.may_be_of_the_next_episode(loser)
    }

    /// Whether a later episode about the same has posted an incident of the same title, and does not know it yet.
    fn may_be_of_the_next_episode(&self, loser: &Loser<'_>) -> bool {
        let next = self.applied.episode(loser.subject).filter(|next| next.key != *loser.key);
        next.is_some_and(|next| next.phase.incident().is_none())
    }
}
