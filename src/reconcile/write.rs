//! Makes changes, each remembered before and after.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Blocked, Reconciler, Round, apply, history, unanswered};
use crate::core::ledger::{Recorded, ResourceKey};
use crate::core::plan::Change;
use crate::core::status_page::{Failure, PageError};
use crate::core::time::Timestamp;
use crate::store::{Entry, Made};

/// How many writes are under way at the same time.
const PARALLEL_WRITES: usize = 4;

/// What came of a change; `None` if it was not sent.
type Outcome = Option<Result<Entry, PageError>>;

impl Reconciler {
    /// Makes `batch`, each change remembered before and after, and returns what failed.
    pub(super) async fn write(&mut self, batch: Vec<Change>, round: &mut Round) -> Result<Vec<ResourceKey>, Blocked> {
        let sent_at = self.clock.now();
        let sent = batch.iter().filter_map(|change| unanswered::write_of(change, sent_at)).map(Entry::Sent);
        let ledger = &self.memory.applied.get_or_insert_default().ledger;
        let intents: Vec<Entry> =
            batch.iter().filter_map(|change| apply::intent(change, ledger, sent_at)).chain(sent).collect();
        self.remember(&intents).await?;
        intents.into_iter().for_each(|entry| self.memory.absorb_intent(entry));

        let (page, settings, stop, clock) = (self.page.as_ref(), &self.settings, &self.stop, &self.clock);
        let writes = stream::iter(batch).map(|change| async move {
            if stop.is_cancelled() {
                return (change, None);
            }
            let outcome = apply::apply(page, settings, &change, clock.now()).await;
            (change, Some(outcome))
        });
        let outcomes: Vec<_> = writes.buffered(PARALLEL_WRITES).collect().await;
        self.keep(outcomes, sent_at, round).await
    }

    /// Remembers the component of a target that was made anew, where Cachet does not say who made it.
    async fn remember_made(&self, change: &Change, entry: &Entry) {
        let (Change::Write { key: ResourceKey::Target(target), page_id: None, .. }, Entry::Row(_, row)) =
            (change, entry)
        else {
            return;
        };
        let Some(id) = row.page_id else { return };
        if self.page.capabilities().await.is_ok_and(|capabilities| !capabilities.meta) {
            let made = Made::Component(id);
            if let Err(error) = self.store.remember_made(self.page.address(), made, target.as_str()).await {
                tracing::warn!("`setup --prune` will not remove {:?}: {error}", target.as_str());
            }
        }
    }

    /// What is remembered of a component that the page answered to have written.
    fn answered(&self, change: &Change, entry: Entry, sent_at: Timestamp) -> Entry {
        let (Change::Write { key, value, late, .. }, Entry::Row(_, Recorded { page_id: Some(id), value: written, .. })) =
            (change, &entry)
        else {
            return entry;
        };
        let ledger = self.memory.applied.as_ref().map(|applied| &applied.ledger);
        let row = ledger.map(|ledger| ledger.answered(key, *id, (value, sent_at), written.clone(), late.as_ref()));
        row.map_or(entry, |row| Entry::Row(key.clone(), row))
    }

    /// What is remembered of a write to a component that failed, or was not sent.
    fn failed(&self, change: &Change, sent_at: Timestamp, failure: Option<Failure>) -> Option<Entry> {
        let Change::Write { key, value, .. } = change else { return None };
        let ledger = &self.memory.applied.as_ref()?.ledger;
        Some(match ledger.failed(key, (value, sent_at), failure, self.clock.now()) {
            Some(row) => Entry::Row(key.clone(), row),
            None => Entry::Release(key.clone()),
        })
    }

    async fn keep(
        &mut self,
        outcomes: Vec<(Change, Outcome)>,
        sent_at: Timestamp,
        round: &mut Round,
    ) -> Result<Vec<ResourceKey>, Blocked> {
        let (mut entries, mut doubts, mut failed, mut blocked) = (Vec::new(), Vec::new(), Vec::new(), None);
        let now = self.clock.now();
        for (change, outcome) in outcomes {
            match outcome {
                None => {
                    doubts.extend(self.failed(&change, sent_at, None));
                    entries.extend(unanswered::unsent(&change, sent_at));
                }
                Some(Ok(entry)) => {
                    let entry = self.answered(&change, entry, sent_at);
                    round.written += 1;
                    round.unanswered = 0;
                    self.no_longer_fails(&change.key());
                    self.memory.waiting.made(&change);
                    self.metrics.change_applied(&change);
                    apply::log(&self.log, &self.settings.config, &change, &entry);
                    self.remember_made(&change, &entry).await;
                    self.memory.chronicle.add(history::of_change(&change, &entry, now));
                    entries.push(entry);
                    entries.extend(unanswered::answered(&change, sent_at));
                }
                Some(Err(error)) => {
                    let unanswered = error.is_unanswered();
                    round.unanswered = if unanswered { round.unanswered + 1 } else { 0 };
                    self.memory.surprised |= unanswered || error.is_not_found();
                    entries.extend(apply::refusal(&change, &error));
                    doubts.extend(self.failed(&change, sent_at, Some(error.failure)));
                    entries.extend(unanswered::refused(&change, sent_at, &error));
                    failed.push(change.key());
                    self.metrics.change_failed(&change);
                    if error.concerns_everything() && blocked.is_none() {
                        blocked = Some(error);
                    } else {
                        round.failures.push((change.key(), error));
                    }
                }
            }
        }
        let all: Vec<Entry> = entries.iter().chain(&doubts).cloned().collect();
        if let Err(error) = self.remember(&all).await {
            // What the store does not know would be unknown after a restart, so it is looked up again now.
            self.memory.doubt_everything();
            return Err(error.into());
        }
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.config));
        doubts.into_iter().for_each(|entry| self.memory.absorb_intent(entry));
        match blocked.or_else(|| round.give_up()) {
            Some(error) => Err(error.into()),
            None => Ok(failed),
        }
    }
}
