//! Makes changes, each remembered before and after.

use futures_util::StreamExt as _;
use futures_util::stream;

use super::{Blocked, Reconciler, Round, apply, history, unanswered};
use crate::core::plan::{AppliedTarget, Change, Subject};
use crate::core::status_page::PageError;
use crate::core::time::Timestamp;
use crate::store::{Entry, Made};

/// How many writes are under way at the same time.
const PARALLEL_WRITES: usize = 4;

/// What came of a change; `None` if it was not sent.
type Outcome = Option<Result<Entry, PageError>>;

impl Reconciler {
    /// Makes `batch`, each change remembered before and after, and returns what failed.
    pub(super) async fn write(&mut self, batch: Vec<Change>, round: &mut Round) -> Result<Vec<Subject>, Blocked> {
        let sent_at = self.clock.now();
        let sent = batch.iter().filter_map(|change| unanswered::write_of(change, sent_at)).map(Entry::Sent);
        let intents: Vec<Entry> = batch.iter().filter_map(apply::intent).chain(sent).collect();
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
        let (Change::CreateTarget { target, .. }, Entry::Target(_, AppliedTarget { id, .. })) = (change, entry) else {
            return;
        };
        if self.page.capabilities().await.is_ok_and(|capabilities| !capabilities.meta) {
            let made = Made::Component(*id);
            if let Err(error) = self.store.remember_made(self.page.address(), made, target.as_str()).await {
                tracing::warn!("`setup --prune` will not remove {:?}: {error}", target.as_str());
            }
        }
    }

    async fn keep(
        &mut self,
        outcomes: Vec<(Change, Outcome)>,
        sent_at: Timestamp,
        round: &mut Round,
    ) -> Result<Vec<Subject>, Blocked> {
        let (mut entries, mut failed, mut blocked) = (Vec::new(), Vec::new(), None);
        let now = self.clock.now();
        for (change, outcome) in outcomes {
            if let Some(outcome) = &outcome {
                self.memory.creations.tried(&change, outcome.as_ref().err(), now);
            }
            match outcome {
                None => entries.extend(unanswered::unsent(&change, sent_at)),
                Some(Ok(entry)) => {
                    round.written += 1;
                    round.unanswered = 0;
                    self.no_longer_fails(&change.subject());
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
                    entries.extend(unanswered::refused(&change, sent_at, &error));
                    failed.push(change.subject());
                    self.metrics.change_failed(&change);
                    if error.concerns_everything() && blocked.is_none() {
                        blocked = Some(error);
                    } else {
                        round.failures.push((change.subject(), error));
                    }
                }
            }
        }
        if let Err(error) = self.remember(&entries).await {
            // What the store does not know would be unknown after a restart, so it is looked up again now.
            self.memory.doubt_everything();
            return Err(error.into());
        }
        entries.into_iter().for_each(|entry| self.memory.absorb(entry, &self.settings.config));
        match blocked.or_else(|| round.give_up()) {
            Some(error) => Err(error.into()),
            None => Ok(failed),
        }
    }
}
