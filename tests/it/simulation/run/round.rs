//! One go of the reconciler, with what happens in the middle of it, and what is expected of it.

use std::pin::{Pin, pin};

use alertmanager_cachet::reconcile::{RunReport, Wake};

use super::{APART_MS, Broken, Run, reconciler};
use crate::simulation::oracle::Shown;
use crate::simulation::product::timestamp;
use crate::simulation::scenario::{Interruption, POSTINGS, Step};
use crate::support::world::is_write;

impl Run<'_> {
    /// One go of the reconciler, some time after whatever was before; `None` if it was killed in the middle.
    pub async fn round(&mut self, interrupted: Option<&Step>) -> Result<Option<RunReport>, Broken> {
        self.clock.pass(APART_MS).await;
        self.heartbeat().await;
        self.faults.forget_calls();
        let now = self.clock.now();
        if self.looked_ms.is_none_or(|before| now.clock_ms < before) {
            self.oracle.clock_was_set_back(now.clock_ms);
            self.read_ms = None;
        }
        self.looked_ms = Some(now.clock_ms);
        if self.listening.missed_something(&self.clock) {
            self.oracle.heard_nothing(now.clock_ms);
        }
        self.oracle.looked(now);
        self.oracle.may_be_seen(now, &self.inventory_page().await);
        self.in_a_round = true;
        let round = self.go(interrupted).await;
        self.in_a_round = false;
        if let Some(difference) = self.reconciler.difference_from_scratch().await.expect("read") {
            return Err(Broken(format!(
                "what was kept up to date by changes is not what follows from all: {difference}"
            )));
        }
        let mut calls = self.faults.calls();
        self.are_few_and_ours(&calls)?;
        self.person.saw_written(&calls, now.clock_ms);
        if interrupted.is_none() {
            self.recoveries_were_waited_out(&calls).await?;
        }
        let page = self.inventory_page().await;
        let undisturbed = interrupted.is_none();
        let written = calls.iter().filter(|call| is_write(call)).count();
        if written > 0 && undisturbed && self.quiet_until_ms.is_some_and(|until| now.clock_ms < until) {
            return Err(Broken(format!("nothing had changed, and it wrote: {calls:?}")));
        }
        self.cachet_is_not_read_for_nothing(&calls, written, now, round.as_ref().filter(|_| undisturbed))?;
        // what is due at once is left for the next round
        let is_through = |round: &RunReport| {
            let is_due = round.revisit_at.is_some_and(|at| at <= timestamp(now.clock_ms));
            let is_due = is_due || self.oracle.an_override_ran_out(now, self.clock.now());
            round.is_complete() && round.saving.is_none() && !is_due
        };
        match &round {
            Some(round) if undisturbed && is_through(round) => {
                self.oracle.seen(now, &page);
                // of several that are nobody's, one is closed a round
                if self.known_from_ms <= now.clock_ms && written == 0 {
                    self.to_be_read_by_ms = None;
                }
                let due = round.revisit_at.map_or(u64::MAX, |at| u64::try_from(at.as_millis()).expect("after 1970"));
                // by Cachet's clock, which may be ahead of the server's
                let maintained = self.oracle.calendar.next_end_ms(now.true_ms).unwrap_or(u64::MAX);
                let quiet_until_ms = due.min(maintained.saturating_sub(self.clock.behind_ms()));
                self.quiet_until_ms = (now.clock_ms >= self.known_from_ms).then_some(quiet_until_ms);
            }
            _ => {
                self.oracle.may_be_seen(now, &page);
                if round.is_none() || calls.iter().any(|call| *call == format!("POST {POSTINGS}")) {
                    self.oracle.a_posting_may_be_lost();
                }
            }
        }
        // which reads were under way when a server was killed does not matter
        calls.retain(|call| is_write(call));
        calls.sort();
        self.trace.writes.push(calls);
        Ok(round)
    }

    /// The page, where more than its looks depends on it.
    async fn inventory_page(&self) -> Vec<Shown> {
        if self.oracle.has_to_see_the_page() { self.person.page().await } else { Vec::new() }
    }

    async fn go(&mut self, interrupted: Option<&Step>) -> Option<RunReport> {
        let Some(Step::Interrupted { call, side, by }) = interrupted else {
            return Some(self.reconciler.once().await);
        };
        self.interrupter.arm(*call, *side);
        // whatever happens in the middle wakes the one that is under way
        let next = reconciler(self.store, &self.way, &self.token, &self.settings, &self.clock, &self.events);
        let mut running = std::mem::replace(&mut self.reconciler, next);
        let wake = running.wake();
        let round = {
            let mut once = pin!(running.once());
            let interrupter = self.interrupter.clone();
            let mut round = None;
            tokio::select! {
                biased;
                ended = &mut once => round = Some(ended),
                () = interrupter.reached() => {}
            }
            match by {
                _ if round.is_some() => round,
                Interruption::Crash => {
                    self.oracle.may_lose();
                    None
                }
                Interruption::By(step) => {
                    self.happen_beside(step, &wake, once.as_mut(), &mut round).await;
                    interrupter.resume();
                    Some(if let Some(round) = round { round } else { once.await })
                }
            }
        };
        self.interrupter.disarm();
        self.quiet_until_ms = None;
        match round {
            Some(_) => self.reconciler = running,
            None => self.was_started(),
        }
        round
    }

    /// The other calls of the round go on meanwhile; it may even end, if one of them fails.
    async fn happen_beside(
        &mut self,
        step: &Step,
        wake: &Wake,
        mut once: Pin<&mut impl Future<Output = RunReport>>,
        round: &mut Option<RunReport>,
    ) {
        let event = async {
            self.happen(step).await;
            wake.wake();
            let page = self.inventory_page().await;
            self.oracle.may_be_seen(self.clock.now(), &page);
        };
        let mut event = pin!(event);
        loop {
            tokio::select! {
                biased;
                () = &mut event => return,
                ended = &mut once, if round.is_none() => *round = Some(ended),
            }
        }
    }
}
