//! What came of one reconcile run, and what kept it from going on.

use std::collections::BTreeSet;
use std::time::Duration;

use super::BATCH;
use crate::core::ledger::ResourceKey;
use crate::core::status_page::PageError;
use crate::core::time::Timestamp;
use crate::store::StoreError;

/// What came of one reconcile run.
#[derive(Debug, Default)]
pub struct RunReport {
    /// How many operations the page answered.
    pub written: usize,
    /// The operations that failed; the others were carried out.
    pub failures: Vec<(ResourceKey, PageError)>,
    /// What kept everything else from being failed_keys.
    pub blocked: Option<Blocked>,
    /// When time alone changes the page next.
    pub revisit_at: Option<Timestamp>,
    /// How long the targets' components wait until Cachet's rate limit allows them, or it is known that they are not
    /// there; what the public sees is written.
    pub saving: Option<Duration>,
    /// The resources that failed in this run: they are not tried again in it.
    pub(super) failed_keys: BTreeSet<ResourceKey>,
    /// Whether a write left the state of the page in doubt.
    pub(super) page_in_doubt: bool,
    /// How many operations in a row got no usable answer.
    pub(super) unanswered: usize,
}

/// What keeps the reconciler from going on.
#[derive(Debug, thiserror::Error)]
pub enum Blocked {
    /// The page does not take or answer anything.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The store does not.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Blocked {
    /// As [`PageError::news`].
    pub(super) fn news(&self) -> String {
        match self {
            Self::Page(error) => error.news.clone(),
            Self::Store(error) => error.to_string(),
        }
    }
}

impl RunReport {
    /// Whether everything that had to be written was.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty() && self.blocked.is_none()
    }

    /// Gives up the run after [`BATCH`] operations in a row without a usable answer. Otherwise each of thousands of operations
    /// could wait for its timeout.
    pub(super) fn give_up(&mut self) -> Option<PageError> {
        if self.unanswered >= BATCH { self.failures.pop().map(|(_, error)| error) } else { None }
    }

    /// How long to wait for the next run: `wait` (the backoff after a failure), or less if something else is due earlier.
    pub(super) fn next_run(&self, wait: Duration, now: Timestamp) -> Duration {
        let due = self.revisit_at.filter(|moment| *moment > now && self.blocked.is_none());
        due.map_or(wait, |moment| wait.min(moment.since(now)))
    }

    /// How long Cachet asked us to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let blocked = match &self.blocked {
            Some(Blocked::Page(error)) => error.retry_after(),
            _ => None,
        };
        blocked.into_iter().chain(self.failures.iter().filter_map(|(_, error)| error.retry_after())).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::status_page::Failure;

    const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);
    const MINUTE: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_fails_puts_off_nothing_that_is_due_earlier() {
        let due = |revisit_at| RunReport { revisit_at, ..RunReport::default() }.next_run(MINUTE, NOW);
        assert_eq!(due(None), MINUTE);
        assert_eq!(due(Some(NOW.after(SECOND))), SECOND);
        assert_eq!(due(Some(NOW.after(2 * MINUTE))), MINUTE);
        // What is due already was tried, so it is no reason to ask Cachet without a pause.
        assert_eq!(due(Some(NOW)), MINUTE);
    }

    #[test]
    fn a_cachet_that_takes_nothing_is_left_alone_whatever_is_due() {
        let away = PageError::new(Failure::NotFound, "GET /components: HTTP 404".to_owned());
        let run = RunReport { revisit_at: Some(NOW.after(SECOND)), blocked: Some(away.into()), ..RunReport::default() };
        assert_eq!(run.next_run(MINUTE, NOW), MINUTE);
    }
}
