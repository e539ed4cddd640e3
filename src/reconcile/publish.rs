//! What others learn of a go: the metrics, and whether Cachet takes what has to be written.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Blocked, Reconciler, Round};
use crate::core::status_page::Known;
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
        let known = self.page.known();
        self.metrics.cachet_budget(known.budget);
        if let Some(page) = &round.page {
            self.metrics.page(page);
        }
        self.readiness.abilities_are(abilities(&known));
        match &round.blocked {
            None => self.readiness.cachet_is(match known.lacking {
                None => Condition::Good,
                Some(error) => Condition::Bad(error.to_string()),
            }),
            Some(Blocked::Page(error)) => self.readiness.cachet_is(Condition::Bad(error.to_string())),
            // That says nothing about Cachet.
            Some(Blocked::Store(_)) => {}
        }
    }

    /// How the writing goes, for the console.
    pub(super) fn writing(&self, round: &Round) -> Writing {
        let (known, failing) = (self.page.known(), self.memory.failing.iter());
        Writing {
            at: Some(self.clock.now()),
            problem: round.blocked.as_ref().map(ToString::to_string),
            budget: known.budget.map(|budget| Budget { limit: budget.limit, remaining: budget.remaining }),
            waiting: self.memory.waiting.since().clone(),
            unknown_is_refused: known.refuses_unknown,
            failing: failing.filter_map(|(subject, said)| Some((subject.clone(), said.clone()?))).collect(),
        }
    }
}

/// What is known of the token's abilities.
fn abilities(known: &Known) -> BTreeMap<&'static str, Ability> {
    let ability = |has| match has {
        None => Ability::Unknown,
        Some(true) => Ability::Works,
        Some(false) => Ability::Missing,
    };
    known.abilities.iter().map(|(name, has)| (*name, ability(*has))).collect()
}

fn result(round: &Round) -> ReconcileResult {
    match &round.blocked {
        Some(Blocked::Page(_)) => ReconcileResult::CachetBlocked,
        Some(Blocked::Store(_)) => ReconcileResult::StoreBlocked,
        None if round.is_complete() => ReconcileResult::Complete,
        None => ReconcileResult::Incomplete,
    }
}
