//! Writes to incidents of which no answer came: when they are remembered, and when they are forgotten.

use std::collections::BTreeSet;

use super::{Blocked, Reconciler};
use crate::core::observed::{IncidentId, Observed};
use crate::core::plan::{Change, UnansweredWrite};
use crate::core::status::IncidentStatus;
use crate::core::status_page::PageError;
use crate::core::time::Timestamp;
use crate::store::Entry;

/// The write to an incident that `change` sends at `sent_at`, if to carry it out late would undo something newer.
///
/// A posting makes something new, and is looked for in another way; and what closes a stray has nothing to undo.
pub fn write_of(change: &Change, sent_at: Timestamp) -> Option<UnansweredWrite> {
    let (id, status, subject) = match change.clone() {
        Change::CloseIncident { incident, episode, .. } => (incident, IncidentStatus::Fixed, episode.subject),
        Change::ReopenIncident { incident, episode, .. } => (incident, IncidentStatus::Investigating, episode.subject),
        Change::OpenIncident { .. }
        | Change::FindIncident { .. }
        | Change::CloseStray { .. }
        | Change::Write { .. } => return None,
    };
    Some(UnansweredWrite { id, status, subject, sent_at })
}

/// What needs no remembering of `change`, which was not sent.
pub fn unsent(change: &Change, sent_at: Timestamp) -> Option<Entry> {
    write_of(change, sent_at).map(Entry::Answered)
}

/// What needs no remembering any more once `change` was made: its own write, and the earlier one that it undoes.
pub fn answered(change: &Change, sent_at: Timestamp) -> impl Iterator<Item = Entry> {
    write_of(change, sent_at).into_iter().chain(change.late().cloned()).map(Entry::Answered)
}

/// The same of a change that failed: nothing, if it may be carried out yet.
pub fn refused(change: &Change, sent_at: Timestamp, error: &PageError) -> Option<Entry> {
    let may_arrive = error.may_be_applied_yet() && !error.is_of_a_read();
    unsent(change, sent_at).filter(|_| !may_arrive)
}

impl Reconciler {
    /// The incidents that may have been opened late: whether they are open is read of each.
    pub(super) fn doubtful_incidents(&self) -> Vec<IncidentId> {
        let unanswered = self.memory.applied.iter().flat_map(|applied| &applied.unanswered);
        let opened = unanswered.filter(|write| write.status != IncidentStatus::Fixed).map(|write| write.id);
        opened.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Forgets those that are not to be expected any more, now that Cachet was read at `read_at`.
    pub(super) async fn forget_what_never_came(&mut self, read: &Observed, read_at: Timestamp) -> Result<(), Blocked> {
        let Some(applied) = &self.memory.applied else { return Ok(()) };
        let over = applied.unanswered.iter().filter(|write| write.is_over(applied, read, read_at));
        let expired = applied.ledger.expired(&read.components, read_at);
        let expired = expired.into_iter().map(|(key, row)| Entry::Row(key, row));
        let over: Vec<Entry> = over.cloned().map(Entry::Answered).chain(expired).collect();
        self.store.remember(&over, read_at).await?;
        over.into_iter().for_each(|entry| self.memory.absorb_intent(entry));
        Ok(())
    }
}
