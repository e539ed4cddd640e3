//! What others learn of a go: the metrics, and whether Cachet takes what has to be written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Blocked, Reconciler, Round};
use crate::cachet::ABILITIES_OF_SERVE;
use crate::live::{Budget, Writing};
use crate::metrics::ReconcileResult;
use crate::readiness::{Ability, Condition};

impl Reconciler {
    /// Says what came of a go, from what is known anyway: no query, no call.
    pub(super) fn publish(&mut self, round: &mut Round, took: Duration) {
        let now = self.clock.now();
        let is_known = self.memory.applied.is_some() && self.memory.observed.is_some();
        if round.blocked.is_some() && is_known {
            // What the news asks for waits as well, though it was not even planned.
            let plan = self.plan(round);
            self.memory.waiting.see(&plan.changes, now, &self.metrics);
        }
        self.metrics.reconciled(result(round), took, now);
        self.metrics.changes_waiting(self.memory.waiting.kinds(), self.memory.waiting.oldest_since());
        self.metrics.cachet_budget(self.cachet.budget());
        if let Some(page) = &round.page {
            self.metrics.page(page);
        }
        self.readiness.abilities_are(self.abilities());
        match &round.blocked {
            None => self.readiness.cachet_is(match self.cachet.lacking_ability() {
                None => Condition::Good,
                Some(error) => Condition::Bad(error.to_string()),
            }),
            Some(Blocked::Cachet(error)) => self.readiness.cachet_is(Condition::Bad(error.to_string())),
            // That says nothing about Cachet.
            Some(Blocked::Store(_)) => {}
        }
    }
}

impl Reconciler {
    /// What is known of the token's abilities. Empty for the embedded page, whose token has all of them.
    fn abilities(&self) -> BTreeMap<&'static str, Ability> {
        let known = |ability| match self.cachet.has_ability(ability) {
            None => Ability::Unknown,
            Some(true) => Ability::Works,
            Some(false) => Ability::Missing,
        };
        let in_question = ABILITIES_OF_SERVE.into_iter().filter(|_| !self.cachet.is_embedded());
        in_question.map(|ability| (ability, known(ability))).collect()
    }

    /// How the writing goes, for the console.
    pub(super) fn writing(&self, round: &Round) -> Writing {
        let failing = self.memory.failing.iter();
        Writing {
            at: Some(self.clock.now()),
            problem: round.blocked.as_ref().map(ToString::to_string),
            budget: self.cachet.budget().map(|budget| Budget { limit: budget.limit, remaining: budget.remaining }),
            waiting: self.memory.waiting.since().clone(),
            unknown_is_refused: !self.cachet.takes_unknown(),
            failing: failing.filter_map(|(subject, said)| Some((subject.clone(), said.clone()?))).collect(),
        }
    }
}

fn result(round: &Round) -> ReconcileResult {
    match &round.blocked {
        Some(Blocked::Cachet(_)) => ReconcileResult::CachetBlocked,
        Some(Blocked::Store(_)) => ReconcileResult::StoreBlocked,
        None if round.is_complete() => ReconcileResult::Complete,
        None => ReconcileResult::Incomplete,
    }
}
