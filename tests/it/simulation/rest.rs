//! How a scenario ends: all is mended, the server goes until nothing is left to do, and the page is judged.

use super::alertmanagers::SETTLE_MS;
use super::oracle::Listed;
use super::product::INTERVAL_MS;
use super::run::{Broken, Run};
use super::scenario::{COMPONENTS, Repair};

/// How many rounds it takes at most until nothing is left to do, once all is well.
const ROUNDS_TO_REST: usize = 60;

/// Longer than any maintenance that has an end, any relapse, and any override takes but for one that outlasts the story.
const LONGEST_WAIT_MS: u64 = 3_600_000;

/// How many readings of an Alertmanager that is well it takes at most until it says nothing new.
const READINGS_TO_REST: usize = 6;

impl Run<'_> {
    /// All is mended, and the reconciler goes as often as it would by itself.
    pub async fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.faults.heal();
        self.alertmanagers.mend();
        self.read_what_was_late().await?;
        // what was edited within the last interval is read, and both Alertmanagers have been up for long enough
        self.clock.pass(INTERVAL_MS.max(SETTLE_MS) + self.clock.behind_ms()).await;
        if self.store_was_lost {
            self.notify_again().await;
        }
        if self.scenario.policy.repair == Repair::Alertmanager {
            // what the page left to a store that was lost is known from here on
            self.round(None).await?;
            self.read_alertmanager_until_it_says_nothing_new().await?;
        }
        let mut went_far = false;
        for _ in 0..ROUNDS_TO_REST {
            let round = self.round(None).await?.expect("nothing interrupts it");
            let due = round.revisit_at.map(|at| u64::try_from(at.as_millis()).expect("after 1970"));
            let is_done = round.is_complete() && round.saving.is_none();
            let now_ms = self.clock.now().clock_ms;
            let awaits_nothing = due
                .is_none_or(|due| due > now_ms + LONGEST_WAIT_MS || went_far && Some(due) == self.heartbeat_due_ms());
            if is_done && round.written == 0 && awaits_nothing {
                return Ok(());
            }
            // what else is awaited is due later than the next heartbeat, which comes in time
            went_far = is_done && due.is_some() && due == self.heartbeat_due_ms();
            let wait = match (due, is_done) {
                _ if went_far => LONGEST_WAIT_MS,
                (Some(due), true) => due.saturating_sub(now_ms),
                _ => INTERVAL_MS,
            };
            self.clock.pass(wait).await;
        }
        Err(Broken(format!("it did not come to rest; its last writes: {:?}", self.trace.writes.last())))
    }

    /// Cachet does what it has put off, and the server closes what is nobody's.
    async fn read_what_was_late(&mut self) -> Result<(), Broken> {
        self.catch_up().await;
        while self.to_be_read_by_ms.is_some_and(|by_ms| self.clock.now().true_ms < by_ms) {
            self.clock.pass(INTERVAL_MS).await;
            self.round(None).await?;
        }
        Ok(())
    }

    /// When the watchdog is missing unless it comes again, which it does.
    fn heartbeat_due_ms(&self) -> Option<u64> {
        let timeout = self.scenario.policy.watchdog.filter(|_| self.watchdog_comes)?;
        Some(self.clock.now().clock_ms + timeout * 1000)
    }

    async fn read_alertmanager_until_it_says_nothing_new(&mut self) -> Result<(), Broken> {
        for reading in 1..=READINGS_TO_REST {
            self.clock.pass(INTERVAL_MS).await;
            let news = self.repair(None).await;
            // two, for what only the page said, which may have been taken over or not
            if reading > 2 && !news && !self.oracle.awaits_another_reading() {
                self.oracle.has_come_to_rest(&self.alertmanagers.truth());
                return Ok(());
            }
        }
        Err(Broken("Alertmanager says something new at every reading".to_owned()))
    }

    /// Alertmanager repeats what fires, which it does as long as it fires.
    async fn notify_again(&mut self) {
        for (alert, truth) in self.alertmanagers.truth().into_iter().enumerate() {
            if let Some(Listed { starts_ms, suppressed: false }) = truth {
                self.notify(alert, starts_ms, true).await;
            }
        }
    }

    pub async fn judge(&mut self) -> Result<(), Broken> {
        let now_ms = self.clock.now().clock_ms;
        let (page, incidents) = (self.person.page().await, self.person.incidents().await);
        let mut wrong = self.oracle.verdict(now_ms, &page, &incidents);
        if self.store_was_lost || self.scenario.policy.repair == Repair::Alertmanager {
            wrong.extend(self.oracle.mistakes(now_ms, &self.alertmanagers.truth()));
        }
        wrong.extend(self.oracle.said_twice(&incidents));
        wrong.extend(self.oracle.opened_against_people(&incidents));
        wrong.extend(self.person.overruled(&page));
        wrong.extend(self.accusations());
        if wrong.is_empty() { Ok(()) } else { Err(Broken(wrong.join("; "))) }
    }

    /// What the log says of people who did nothing.
    fn accusations(&self) -> Vec<String> {
        let accuses = |line: &String| {
            let about = |component: &&str| line.contains(&format!("component={component:?}"));
            let Some(component) = COMPONENTS.into_iter().find(|component| about(component)) else { return false };
            let of_status = line.starts_with("[MANUAL_OVERRIDE]") && !self.oracle.status_was_touched(component);
            let of_incident = line.contains("by a person") && !self.oracle.incidents_were_touched(component);
            of_status || of_incident
        };
        self.log.lines().into_iter().filter(accuses).collect()
    }

    /// At rest nothing is written, however often it looks, and not after a restart either.
    pub async fn stay_at_rest(&mut self) -> Result<(), Broken> {
        for restart in [false, false, true] {
            if restart {
                self.restart();
            }
            self.clock.pass(INTERVAL_MS).await;
            self.round(None).await?;
            let writes = self.trace.writes.last().cloned().unwrap_or_default();
            if !writes.is_empty() {
                return Err(Broken(format!("it was at rest, and wrote (restart: {restart}): {writes:?}")));
            }
        }
        Ok(())
    }
}
