//! Which maintenance is in progress, as far as Cachet can be asked.
//!
//! It is asked along with every reading of Cachet; again before an incident is opened, so that a maintenance that began,
//! or was announced, a second ago is respected; and at each moment at which one that holds an incident back may be over.

use std::mem::{Discriminant, discriminant};
use std::time::Duration;

use super::{Reading, Reconciler};
use crate::core::maintenance::may_change_at;
use crate::core::observed::Maintenance;
use crate::core::plan::{Change, Rank};
use crate::core::status_page::{Failure, PageError};
use crate::core::time::Timestamp;

/// How long an answer counts while later ones fail. One lost answer in the middle of the night must not announce every
/// planned outage to the public; but a Cachet that does not tell of maintenance any more must not hide an unplanned one
/// either, so then there is none.
const COUNTS_FOR: Duration = Duration::from_secs(5 * 60);

/// What was learned of maintenance, and when.
#[derive(Debug, Default)]
pub struct Knowledge {
    asked_at: Option<Timestamp>,
    answered_at: Option<Timestamp>,
    /// What kind of trouble there is, once it was said.
    failing: Option<Discriminant<Failure>>,
}

impl Knowledge {
    /// Whatever is known, it is asked again before anything else is done.
    pub fn doubt(&mut self) {
        self.asked_at = None;
    }

    fn is_due(&self, known: &[Maintenance], now: Timestamp) -> bool {
        self.asked_at.is_none_or(|asked_at| may_change_at(known, asked_at).is_some_and(|at| at <= now))
    }

    /// What is in progress after Cachet was asked, `known` being what was before.
    fn take(
        &mut self,
        answer: Result<Vec<Maintenance>, PageError>,
        known: Vec<Maintenance>,
        now: Timestamp,
    ) -> Vec<Maintenance> {
        self.asked_at = Some(now);
        match answer {
            Ok(in_progress) => {
                self.answered_at = Some(now);
                if self.failing.take().is_some() {
                    tracing::info!("the page tells again which maintenance is in progress");
                }
                in_progress
            }
            Err(error) => {
                self.say(&error);
                let counts = |at: Timestamp| at <= now && now.since(at) < COUNTS_FOR;
                if self.answered_at.is_some_and(counts) { known } else { Vec::new() }
            }
        }
    }

    fn say(&mut self, error: &PageError) {
        if self.failing.replace(discriminant(&error.failure)) != Some(discriminant(&error.failure)) {
            tracing::warn!(
                "{error}; the page is kept all the same, as if no maintenance were in progress once the last answer \
                 is {} minutes old",
                COUNTS_FOR.as_secs() / 60
            );
        }
    }
}

impl Reconciler {
    /// Asks Cachet what maintenance is in progress. That it does not say keeps nothing else from being done.
    pub(super) async fn maintenance(&mut self, now: Timestamp) -> Vec<Maintenance> {
        let answer = self.page.maintenance().await;
        let known = self.memory.observed.as_ref().map(|observed| observed.maintenance.clone()).unwrap_or_default();
        self.memory.maintenance.take(answer, known, now)
    }

    /// Asks again between two readings of Cachet, where that is due.
    pub(super) async fn look_for_maintenance(&mut self, now: Timestamp) -> Reading {
        let known = self.memory.observed.as_ref().map_or(&[][..], |observed| &observed.maintenance);
        if !self.memory.maintenance.is_due(known, now) {
            return Reading::Earlier;
        }
        let in_progress = self.maintenance(now).await;
        self.memory.read_maintenance(in_progress);
        Reading::Maintenance
    }
}

/// Whether a batch of changes needs a fresh answer first.
pub fn is_in_question(batch: &[Change]) -> bool {
    batch.iter().any(|change| change.rank() == Rank::Open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::observed::ComponentId;

    const START: Timestamp = Timestamp::from_millis(1_795_226_400_000);

    fn switch() -> Vec<Maintenance> {
        vec![Maintenance { name: "Switch".to_owned(), components: vec![ComponentId(1)], ends_if_utc_ms: None }]
    }

    fn refused() -> Result<Vec<Maintenance>, PageError> {
        let failure = Failure::InDoubt { yet: false, of_a_read: true, retry_after: None };
        Err(PageError::new(failure, "GET /schedules: HTTP 500".to_owned()))
    }

    #[test]
    fn what_was_answered_counts_for_five_minutes_of_failures_and_then_there_is_none() {
        let mut knowledge = Knowledge::default();
        assert_eq!(knowledge.take(refused(), Vec::new(), START), [], "nothing was ever answered");
        assert_eq!(knowledge.take(Ok(switch()), Vec::new(), START), switch());
        let later = START.after(Duration::from_secs(299));
        assert_eq!(knowledge.take(refused(), switch(), later), switch());
        let later = START.after(COUNTS_FOR);
        assert_eq!(knowledge.take(refused(), switch(), later), []);
        assert_eq!(knowledge.take(Ok(switch()), Vec::new(), later), switch());
    }

    #[test]
    fn an_answer_of_a_clock_that_was_set_back_since_does_not_count() {
        let mut knowledge = Knowledge::default();
        knowledge.take(Ok(switch()), Vec::new(), START);
        assert_eq!(knowledge.take(refused(), switch(), START.before(Duration::from_secs(3600))), []);
    }

    #[test]
    fn it_is_asked_again_when_one_may_be_over_or_in_doubt() {
        let mut knowledge = Knowledge::default();
        assert!(knowledge.is_due(&[], START), "never asked");
        knowledge.take(Ok(switch()), Vec::new(), START);
        let (an_hour_later, ends) = (START.after(Duration::from_secs(3600)), START.after(Duration::from_secs(60)));
        assert!(!knowledge.is_due(&switch(), an_hour_later), "somebody has to end it");
        let ending = [Maintenance { ends_if_utc_ms: Some(ends.as_millis()), ..switch().remove(0) }];
        assert!(!knowledge.is_due(&ending, ends));
        assert!(knowledge.is_due(&ending, ends.after(Duration::from_secs(1))));
        knowledge.doubt();
        assert!(knowledge.is_due(&[], START));
    }
}
