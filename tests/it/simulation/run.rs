//! Carries a scenario out against the real store, reconciler and client, and holds the laws to it.

mod round;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::log::Log;
use alertmanager_cachet::reconcile::{Reconciler, Wake};
use alertmanager_cachet::repair::Repairer;
use alertmanager_cachet::settings::Settings;
use alertmanager_cachet::store::Store;
use axum::Router;
use fake_cachet::{Faults, in_process};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::alertmanagers::{Pair, poll};
use super::backup::Backup;
use super::clock::{Listener, SimulatedClock};
use super::interruption::Interrupter;
use super::layers::{APART_MS, one_after_another, slowly};
use super::maintenance::When;
use super::oracle::{Moment, Oracle, ShownIncident};
use super::people::Person;
pub use super::product::INTERVAL_MS;
use super::product::{alert, inventory, settings, timestamp};
use super::scenario::{Fault, Occurrence, Repair, Scenario, Step};
use crate::support::log::{self, KeptLines};
use crate::support::world::in_force;

/// How late Cachet does what it was asked to, and how long after that the server reads of it: a late incident is known by
/// its title alone, and a late write at all, for an hour.
const LATEST_MS: u64 = 3_000_000;
const READ_WITHIN_MS: u64 = 400_000;

/// How much earlier an occurrence is said to have begun when it ends; less than anything that happens before.
const EARLIER_MS: u64 = 3;

/// A law that was broken: which, and how.
#[derive(Debug)]
pub struct Broken(pub String);

/// What was to be seen from outside: the writes of each round, in no order, and the page in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub writes: Vec<Vec<String>>,
    pub page: String,
}

/// What a simulation runs in: a store that is empty, a place for a copy of it, and a page.
pub struct Stage<'a> {
    pub store: &'a Store,
    pub backup: PathBuf,
    pub clock: SimulatedClock,
    pub page: Router,
    pub token: SecretString,
}

/// Runs `scenario`, and says what was to be seen or which law was broken.
pub async fn run(scenario: &Scenario, stage: Stage<'_>) -> Result<Trace, Broken> {
    let mut run = Run::begin(scenario, stage).await;
    for step in &scenario.steps {
        run.step(step).await?;
    }
    run.come_to_rest().await?;
    run.judge().await?;
    run.stay_at_rest().await?;
    run.trace.page = format!("{:#?}\n{:#?}", run.person.page().await, run.person.incidents().await);
    Ok(run.trace)
}

pub struct Run<'a> {
    pub scenario: &'a Scenario,
    pub(super) store: &'a Store,
    pub clock: SimulatedClock,
    settings: Settings,
    alerts: Vec<Alert>,
    /// When the occurrences of each alert began.
    occurrences: Vec<Vec<u64>>,
    /// When the latest occurrence began of which the store was told that it fires.
    pub(super) told_firing: Vec<Option<u64>>,
    way: Router,
    token: SecretString,
    pub faults: Faults,
    interrupter: Interrupter,
    pub person: Person,
    pub oracle: Oracle,
    events: Log,
    pub log: KeptLines,
    reconciler: Reconciler,
    repairer: Repairer,
    pub alertmanagers: Pair,
    pub(super) backup: Backup,
    /// Whether anything that was stored was lost.
    pub store_was_lost: bool,
    /// Whether Prometheus sends the watchdog.
    pub watchdog_comes: bool,
    /// When nothing was left that Cachet had put off.
    caught_up_ms: u64,
    /// Until when what it has done late is read.
    pub to_be_read_by_ms: Option<u64>,
    /// When the server has looked at its clock last, since it was started.
    looked_ms: Option<u64>,
    listening: Listener,
    listening_repairer: Listener,
    /// When the reconciler has read Cachet since people last did something there.
    known_from_ms: u64,
    in_a_round: bool,
    /// When Cachet was read last, as far as nothing has cast doubt on what was read.
    pub(super) read_ms: Option<u64>,
    /// Until when nothing changes by itself, after a round that left nothing to do.
    quiet_until_ms: Option<u64>,
    pub trace: Trace,
}

impl<'a> Run<'a> {
    async fn begin(scenario: &'a Scenario, stage: Stage<'a>) -> Self {
        let Stage { store, backup, clock, page: router, token } = stage;
        let (faults, interrupter) = (Faults::new(), Interrupter::default());
        let way = interrupter.around(slowly(faults.around(one_after_another(router.clone()))));
        let page = in_process(router.clone(), token.clone(), 50);
        let person = Person::new(router, token.clone(), page.clone(), scenario);
        let settings = settings(scenario);
        if scenario.set_up {
            person.makes_everything(&inventory(scenario)).await;
        }
        let (events, log) = log::kept();
        let reconciler = reconciler(store, &way, &token, &settings, &clock, &events);
        Self {
            alerts: scenario.alerts.iter().enumerate().map(|(number, _)| alert(scenario, number)).collect(),
            occurrences: vec![Vec::new(); scenario.alerts.len()],
            told_firing: vec![None; scenario.alerts.len()],
            oracle: Oracle::new(scenario, clock.now().clock_ms),
            repairer: repairer(scenario, store, &clock, reconciler.wake()),
            alertmanagers: Pair::new(scenario.alerts.len()),
            backup: Backup::none_yet(backup),
            store_was_lost: false,
            watchdog_comes: true,
            caught_up_ms: clock.now().true_ms,
            to_be_read_by_ms: None,
            looked_ms: None,
            listening: Listener::default(),
            listening_repairer: Listener::default(),
            known_from_ms: 0,
            in_a_round: false,
            read_ms: None,
            quiet_until_ms: None,
            trace: Trace::default(),
            scenario,
            store,
            clock,
            settings,
            way,
            token,
            faults,
            interrupter,
            person,
            events,
            log,
            reconciler,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Broken> {
        match step {
            Step::Reconcile => self.round(None).await.map(drop)?,
            Step::Interrupted { .. } => self.round(Some(step)).await.map(drop)?,
            other => self.happen(other).await,
        }
        Ok(())
    }

    /// What needs no round of the reconciler.
    async fn happen(&mut self, step: &Step) {
        match step {
            Step::Tell { alert, occurrence, firing } => self.tell(*alert, *occurrence, *firing).await,
            Step::Pass(milliseconds) => self.pass(*milliseconds).await,
            Step::Restart => self.restart(),
            Step::LoseStore => self.lose_the_store().await,
            Step::BackUp => self.back_up().await,
            Step::Restore => self.restore_the_store().await,
            Step::SetBack(milliseconds) => {
                self.clock.set_back(*milliseconds);
                self.quiet_until_ms = None;
            }
            Step::SetRight => {
                self.clock.set_right();
                self.oracle.clock_was_set_ahead();
                self.quiet_until_ms = None;
            }
            Step::Sleep(milliseconds) => {
                let milliseconds = self.that_may_pass(*milliseconds).await;
                self.clock.sleep(milliseconds);
            }
            Step::Lost { alert, occurrence, firing } => {
                if let Some(starts_ms) = self.starts_ms(*alert, *occurrence) {
                    self.alertmanagers.hears(*alert, *occurrence, starts_ms, *firing, true);
                }
            }
            Step::Suppressed { alert, suppressed } => self.alertmanagers.suppress(*alert, *suppressed),
            Step::Alertmanager { member, fate } => {
                self.alertmanagers.meets(*member, *fate, self.clock.now().true_ms);
            }
            Step::Watchdog { comes } => {
                self.watchdog_comes = *comes;
                self.heartbeat().await;
            }
            Step::Repair(meanwhile) => drop(self.repair(meanwhile.as_deref()).await),
            Step::Setup => {
                self.person.runs_setup(&inventory(self.scenario), &mut self.oracle).await;
                self.something_happened();
            }
            Step::Fault { method, path, fault, times } => {
                if fault.may_come_late() {
                    self.oracle.may_lose();
                }
                let rule = self.faults.on(method, path).times(*times);
                match fault {
                    Fault::Answer(status) => rule.answer(*status),
                    Fault::AnswerAfter(status) => rule.answer_after(*status),
                    Fault::CutBefore => rule.cut_before(),
                    Fault::CutAfter => rule.cut_after(),
                    Fault::Later => rule.later(),
                    Fault::Html(status) => rule.answer_html(*status),
                }
            }
            Step::RateLimit(limit) => self.faults.rate_limit(*limit, Duration::from_secs(60)),
            Step::Heal => self.faults.heal(),
            Step::CatchUp => self.catch_up().await,
            Step::Person(edit) => {
                self.something_happened();
                self.person.does(*edit, self.known_from_ms, &mut self.oracle).await;
            }
            Step::Operator(what) => self.operate(*what).await,
            Step::Maintenance(what) => {
                self.something_happened();
                let at = When { now_ms: self.clock.now().true_ms, in_a_round: self.in_a_round };
                self.person.maintains(*what, at, &mut self.oracle.calendar).await;
            }
            Step::Reconcile | Step::Interrupted { .. } => unreachable!("a round is no part of another"),
        }
    }

    async fn pass(&mut self, milliseconds: u64) {
        let milliseconds = self.that_may_pass(milliseconds).await;
        self.clock.pass(milliseconds).await;
    }

    /// Not so much that Cachet would do something later than any web server lets it.
    async fn that_may_pass(&mut self, milliseconds: u64) -> u64 {
        if self.clock.now().true_ms + milliseconds > self.caught_up_ms + LATEST_MS {
            self.catch_up().await;
        }
        let now_ms = self.clock.now().true_ms;
        let longest = self.to_be_read_by_ms.map_or(u64::MAX, |by_ms| by_ms.saturating_sub(now_ms));
        milliseconds.min(longest)
    }

    /// Cachet does what it has put off, over whatever was done since.
    pub async fn catch_up(&mut self) {
        let before = self.person.incidents().await;
        if self.faults.catch_up().await > 0 {
            self.something_happened();
            self.to_be_read_by_ms = Some(self.clock.now().true_ms + READ_WITHIN_MS);
            self.person.is_overtaken();
            self.oracle.came_late();
        }
        let known = |incident: &ShownIncident| before.iter().any(|known| known.id == incident.id);
        let opened = self.person.incidents().await.into_iter().filter(|incident| !known(incident));
        opened.for_each(|incident| self.oracle.opened_late(&incident));
        self.caught_up_ms = self.clock.now().true_ms;
    }

    /// The reconciler is told that something was stored.
    pub(super) fn news(&mut self) {
        self.reconciler_wake();
        self.quiet_until_ms = None;
    }

    fn something_happened(&mut self) {
        self.known_from_ms = self.clock.now().clock_ms + INTERVAL_MS;
        self.quiet_until_ms = None;
    }

    /// When the occurrence began, if there is one.
    fn starts_ms(&mut self, alert: usize, occurrence: Occurrence) -> Option<u64> {
        let occurrences = &mut self.occurrences[alert];
        match occurrence {
            Occurrence::New | Occurrence::Ahead(_) => {
                let ahead_ms = if let Occurrence::Ahead(ahead_ms) = occurrence { ahead_ms } else { 0 };
                occurrences.push(self.clock.now().true_ms + ahead_ms);
                occurrences.last().copied()
            }
            Occurrence::Back(back) => occurrences.iter().rev().nth(back).copied(),
            Occurrence::Earlier => self.told_firing[alert].filter(|told| occurrences.last() == Some(told)),
        }
    }

    /// When that one ended, if it has: at the latest when the next one began. It lasted for a moment at least.
    fn ends_ms(&self, alert: usize, starts_ms: u64) -> u64 {
        let next = self.occurrences[alert].iter().filter(|began| **began > starts_ms).min();
        next.copied().unwrap_or(self.clock.now().true_ms.max(starts_ms + 1))
    }

    async fn tell(&mut self, alert: usize, occurrence: Occurrence, firing: bool) {
        if let Some(starts_ms) = self.starts_ms(alert, occurrence) {
            self.alertmanagers.hears(alert, occurrence, starts_ms, firing, false);
            let stated_ms = match occurrence {
                Occurrence::Earlier => starts_ms.saturating_sub(EARLIER_MS),
                Occurrence::New | Occurrence::Ahead(_) | Occurrence::Back(_) => starts_ms,
            };
            self.state(alert, stated_ms, starts_ms, firing).await;
        }
    }

    /// A notification arrives.
    pub async fn notify(&mut self, alert: usize, starts_ms: u64, firing: bool) {
        self.state(alert, starts_ms, starts_ms, firing).await;
    }

    /// A notification arrives that states `stated_ms` as the beginning of the occurrence that began at `starts_ms`.
    async fn state(&mut self, alert: usize, stated_ms: u64, starts_ms: u64, firing: bool) {
        let now_ms = self.clock.now().clock_ms;
        let statement = Alert {
            status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
            starts_at: timestamp(stated_ms),
            ends_at: (!firing).then(|| timestamp(self.ends_ms(alert, starts_ms))),
            ..self.alerts[alert].clone()
        };
        if firing {
            self.told_firing[alert] = self.told_firing[alert].max(Some(starts_ms));
        }
        self.store.record(&[statement], timestamp(now_ms)).await.expect("recorded");
        self.oracle.told(alert, now_ms, starts_ms, firing);
        self.news();
    }

    /// The watchdog arrives, if it is sent and awaited.
    async fn heartbeat(&mut self) {
        if self.watchdog_comes && self.scenario.policy.watchdog.is_some() {
            let now_ms = self.clock.now().clock_ms;
            self.store.record_heartbeat(timestamp(now_ms)).await.expect("recorded");
            self.reconciler_wake();
            if self.oracle.heard_the_watchdog(now_ms) {
                self.quiet_until_ms = None;
            }
        }
    }

    /// One go of the repairer, with something else event while it reads; whether it should find anything new.
    pub async fn repair(&mut self, meanwhile: Option<&Step>) -> bool {
        let Moment { clock_ms: began_ms, true_ms } = self.clock.now();
        let readings = self.alertmanagers.read(true_ms);
        if let Some(step) = meanwhile {
            Box::pin(self.happen(step)).await;
        }
        let news = match self.scenario.policy.repair {
            Repair::Nothing => return false,
            Repair::Alertmanager => {
                let poll = poll(&readings, began_ms, &self.alerts);
                self.repairer.correct(&poll).await.expect("corrected");
                self.oracle.read(began_ms, &readings)
            }
            Repair::Silence(_) => {
                let pulse = self.store.pulse().await.expect("read");
                self.repairer.once().await;
                if self.listening_repairer.missed_something(&self.clock) {
                    self.oracle.repairer_heard_nothing(began_ms);
                }
                self.oracle.grew_old(began_ms, pulse.missing_at.is_some());
                true
            }
        };
        self.reconciler_wake();
        if news || self.oracle.is_unsure() {
            self.quiet_until_ms = None;
        }
        news
    }

    fn reconciler_wake(&self) {
        self.reconciler.wake().wake();
    }

    pub fn restart(&mut self) {
        self.interrupter.disarm();
        self.reconciler = reconciler(self.store, &self.way, &self.token, &self.settings, &self.clock, &self.events);
        self.was_started();
    }

    /// What else is new in a server that was started.
    fn was_started(&mut self) {
        self.repairer = repairer(self.scenario, self.store, &self.clock, self.reconciler.wake());
        self.oracle.restarted(self.clock.now().clock_ms);
        (self.looked_ms, self.read_ms) = (None, None);
        (self.listening, self.listening_repairer) = (Listener::default(), Listener::default());
    }
}

fn reconciler(
    store: &Store,
    way: &Router,
    token: &SecretString,
    settings: &Settings,
    clock: &SimulatedClock,
    events: &Log,
) -> Reconciler {
    let client = in_process(way.clone(), token.clone(), 50);
    let stop = CancellationToken::new();
    Reconciler::new(
        store.clone(),
        Arc::new(client),
        in_force(settings.clone()),
        clock.of_the_server(),
        events.clone(),
        stop,
    )
}

/// What it is told of Alertmanager comes from the scenario; it reads nothing itself.
fn repairer(scenario: &Scenario, store: &Store, clock: &SimulatedClock, wake: Wake) -> Repairer {
    Repairer::new(store.clone(), in_force(settings(scenario)), clock.of_the_server(), wake, CancellationToken::new())
}
