//! Carries a scenario out against the real store, reconciler and client, and holds the laws to it.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use alertmanager_cachet::cachet::Cachet;
use alertmanager_cachet::clock::Clock;
use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::log::{Log, MemorySink};
use alertmanager_cachet::reconcile::{Reconciler, Round, Settings, Wake};
use alertmanager_cachet::store::Store;
use axum::Router;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::interruption::Interrupter;
use super::layers::{APART_MS, one_after_another, slowly};
use super::maintenance::Moment;
use super::oracle::{Oracle, Shown};
use super::people::Person;
pub use super::product::INTERVAL_MS;
use super::product::{alert, inventory, settings, timestamp};
use super::scenario::{COMPONENTS, Fault, Interruption, Occurrence, Scenario, Step};
use crate::support::faults::Faults;
use crate::support::world::is_write;

/// How many rounds it takes at most until nothing is left to do, once all is well.
const ROUNDS_TO_REST: usize = 40;

/// Nothing is done so long after it was asked for.
const LATE_NO_MORE_MS: u64 = 600_000;

/// A law that was broken: which, and how.
#[derive(Debug)]
pub struct Broken(pub String);

/// What was to be seen from outside: the writes of each round, in no order, and the page in the end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub writes: Vec<Vec<String>>,
    pub page: String,
}

/// What a simulation runs in: a store, which is emptied first, and a page.
pub struct Stage<'a> {
    pub store: &'a Store,
    pub clock: SimulatedClock,
    pub page: Router,
    pub token: SecretString,
}

/// Time that moves only when it is told to, for the store's clock and for that of timers.
#[derive(Clone)]
pub struct SimulatedClock(Arc<AtomicI64>);

impl SimulatedClock {
    pub fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_795_226_400_000)))
    }

    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_millis(time.load(Ordering::SeqCst)))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::SeqCst)).expect("after 1970")
    }

    async fn pass(&self, milliseconds: u64) {
        self.0.fetch_add(i64::try_from(milliseconds).expect("short"), Ordering::SeqCst);
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }
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

struct Run<'a> {
    scenario: &'a Scenario,
    store: &'a Store,
    clock: SimulatedClock,
    settings: Settings,
    alerts: Vec<Alert>,
    /// When the occurrences of each alert began.
    occurrences: Vec<Vec<u64>>,
    way: Router,
    token: SecretString,
    faults: Faults,
    interrupter: Interrupter,
    person: Person,
    oracle: Oracle,
    events: Log,
    log: MemorySink,
    reconciler: Reconciler,
    /// When the reconciler has read Cachet since people last did something there.
    known_from_ms: u64,
    in_a_round: bool,
    /// Until when nothing changes by itself, after a round that left nothing to do.
    quiet_until_ms: Option<u64>,
    trace: Trace,
}

impl<'a> Run<'a> {
    async fn begin(scenario: &'a Scenario, stage: Stage<'a>) -> Self {
        let Stage { store, clock, page: router, token } = stage;
        let (faults, interrupter) = (Faults::new(), Interrupter::default());
        let way = interrupter.around(slowly(faults.around(one_after_another(router.clone()))));
        let page = Cachet::in_process(router.clone(), token.clone(), 50);
        let person = Person::new(router, token.clone(), page.clone(), scenario);
        let settings = settings(scenario);
        if scenario.set_up {
            person.makes_everything(&inventory(scenario)).await;
        }
        let (events, log) = Log::memory();
        let reconciler = reconciler(store, &way, &token, &settings, &clock, &events);
        Self {
            alerts: scenario.alerts.iter().enumerate().map(|(number, _)| alert(scenario, number)).collect(),
            occurrences: vec![Vec::new(); scenario.alerts.len()],
            oracle: Oracle::new(scenario),
            known_from_ms: 0,
            in_a_round: false,
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
            Step::Pass(milliseconds) => {
                if *milliseconds >= LATE_NO_MORE_MS {
                    self.catch_up().await;
                }
                self.clock.pass(*milliseconds).await;
            }
            Step::CatchUp => self.catch_up().await,
            Step::Restart => self.restart(),
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
                    Fault::Html(status) => rule.answer_html(*status),
                    Fault::Later => rule.later(),
                }
            }
            Step::RateLimit(limit) => self.faults.rate_limit(*limit, Duration::from_secs(60)),
            Step::Heal => self.faults.heal(),
            Step::Person(edit) => {
                self.something_happened();
                self.person.does(*edit, self.known_from_ms, &mut self.oracle).await;
            }
            Step::Maintenance(what) => {
                self.something_happened();
                let at = Moment { now_ms: self.clock.now_ms(), in_a_round: self.in_a_round };
                self.person.maintains(*what, at, &mut self.oracle.calendar).await;
            }
            Step::Reconcile | Step::Interrupted { .. } => unreachable!("a round is no part of another"),
        }
    }

    /// Cachet does what it was asked for and did not do yet, over whatever was done since.
    async fn catch_up(&mut self) {
        if self.faults.catch_up().await > 0 {
            self.something_happened();
            self.person.is_overtaken();
            self.oracle.came_late();
        }
    }

    fn something_happened(&mut self) {
        self.known_from_ms = self.clock.now_ms() + INTERVAL_MS;
        self.quiet_until_ms = None;
    }

    async fn tell(&mut self, alert: usize, occurrence: Occurrence, firing: bool) {
        let now = self.clock.now_ms();
        let starts_ms = match occurrence {
            Occurrence::New => {
                self.occurrences[alert].push(now);
                now
            }
            Occurrence::Back(back) => match self.occurrences[alert].iter().rev().nth(back) {
                Some(starts_ms) => *starts_ms,
                None => return,
            },
        };
        let statement = Alert {
            status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
            starts_at: timestamp(starts_ms),
            ..self.alerts[alert].clone()
        };
        self.store.record(&[statement], timestamp(now)).await.expect("recorded");
        self.reconciler_wake();
        self.oracle.told(alert, now, starts_ms, firing);
        self.quiet_until_ms = None;
    }

    fn reconciler_wake(&self) {
        self.reconciler.wake().wake();
    }

    fn restart(&mut self) {
        self.interrupter.disarm();
        self.reconciler = reconciler(self.store, &self.way, &self.token, &self.settings, &self.clock, &self.events);
    }

    /// One go of the reconciler, some time after whatever was before; `None` if it was killed in the middle.
    async fn round(&mut self, interrupted: Option<&Step>) -> Result<Option<Round>, Broken> {
        self.clock.pass(APART_MS).await;
        self.faults.forget_calls();
        let now = self.clock.now_ms();
        self.oracle.may_be_seen(now, &self.inventory_page().await);
        self.in_a_round = true;
        let round = self.go(interrupted).await;
        self.in_a_round = false;
        let mut calls = self.faults.calls();
        self.keep_to_the_laws(&calls)?;
        self.person.saw_written(&calls, now);
        if interrupted.is_none() {
            self.recoveries_were_waited_out(&calls).await?;
        }
        let page = self.inventory_page().await;
        let undisturbed = interrupted.is_none();
        let written = calls.iter().filter(|call| is_write(call)).count();
        if written > 0 && undisturbed && self.quiet_until_ms.is_some_and(|until| now < until) {
            return Err(Broken(format!("nothing had changed, and it wrote: {calls:?}")));
        }
        match &round {
            Some(round) if undisturbed && round.is_complete() && round.saving.is_none() => {
                self.oracle.seen(now, &page);
                let due = round.revisit_at.map_or(u64::MAX, |at| u64::try_from(at.as_millis()).expect("after 1970"));
                self.quiet_until_ms = (now >= self.known_from_ms).then_some(due);
            }
            _ => self.oracle.may_be_seen(now, &page),
        }
        // which reads were under way when a server was killed does not matter
        calls.retain(|call| is_write(call));
        calls.sort();
        self.trace.writes.push(calls);
        Ok(round)
    }

    /// The page, where it is the list of targets.
    async fn inventory_page(&self) -> Vec<Shown> {
        if self.scenario.policy.inventory_from_cachet { self.person.page().await } else { Vec::new() }
    }

    async fn go(&mut self, interrupted: Option<&Step>) -> Option<Round> {
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
        if round.is_some() {
            self.reconciler = running;
        }
        round
    }

    /// The other calls of the round go on meanwhile; it may even end, if one of them fails.
    async fn happen_beside(
        &mut self,
        step: &Step,
        wake: &Wake,
        mut once: Pin<&mut impl Future<Output = Round>>,
        round: &mut Option<Round>,
    ) {
        let happening = async {
            self.happen(step).await;
            wake.wake();
            let page = self.inventory_page().await;
            self.oracle.may_be_seen(self.clock.now_ms(), &page);
        };
        let mut happening = pin!(happening);
        loop {
            tokio::select! {
                biased;
                () = &mut happening => return,
                ended = &mut once, if round.is_none() => *round = Some(ended),
            }
        }
    }

    /// What must be true of the calls of every round.
    fn keep_to_the_laws(&self, calls: &[String]) -> Result<(), Broken> {
        let (components, targets) = (COMPONENTS.len(), self.scenario.targets.len());
        // two readings, and maintenance between them; a status or two for everything; close, open again and close an incident, with a look before each
        let bound = 15 + 2 * (components + targets) + 9 * components;
        if calls.len() > bound {
            return Err(Broken(format!("{} calls in one round, more than {bound}: {calls:?}", calls.len())));
        }
        for call in calls.iter().filter(|call| is_write(call)) {
            if !self.person.may_be_written_by_us(call) {
                return Err(Broken(format!("it is not ours to write: {call}")));
            }
        }
        Ok(())
    }

    /// Nothing is said of an incident before its component was calm for long enough.
    async fn recoveries_were_waited_out(&self, calls: &[String]) -> Result<(), Broken> {
        let of_an_update = |call: &String| call.starts_with("POST ") && call.ends_with("/updates");
        if !calls.iter().any(of_an_update) {
            return Ok(());
        }
        for incident in self.person.incidents().await {
            let closed = calls.contains(&format!("POST /api/incidents/{}/updates", incident.id));
            if closed && self.oracle.is_not_calm_yet(&incident.component, self.clock.now_ms()) {
                let (id, component) = (incident.id, incident.component);
                return Err(Broken(format!("incident {id} of {component} was closed before its recovery had lasted")));
            }
        }
        Ok(())
    }

    /// All is mended, and the reconciler goes as often as it would by itself.
    async fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.faults.heal();
        self.catch_up().await;
        // what was edited within the last interval is read
        self.clock.pass(INTERVAL_MS).await;
        for _ in 0..ROUNDS_TO_REST {
            let round = self.round(None).await?.expect("nothing interrupts it");
            let due = round.revisit_at.map(|at| u64::try_from(at.as_millis()).expect("after 1970"));
            if round.is_complete() && round.saving.is_none() && round.written == 0 && due.is_none() {
                return Ok(());
            }
            let wait = match (due, round.is_complete() && round.saving.is_none()) {
                (Some(due), true) => due.saturating_sub(self.clock.now_ms()),
                _ => INTERVAL_MS,
            };
            self.clock.pass(wait).await;
        }
        Err(Broken(format!("it did not come to rest; its last writes: {:?}", self.trace.writes.last())))
    }

    async fn judge(&mut self) -> Result<(), Broken> {
        let (page, incidents) = (self.person.page().await, self.person.incidents().await);
        let mut wrong = self.oracle.verdict(self.clock.now_ms(), &page, &incidents);
        wrong.extend(self.oracle.said_twice(&incidents));
        wrong.extend(self.oracle.opened_during_maintenance(&incidents));
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
    async fn stay_at_rest(&mut self) -> Result<(), Broken> {
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

fn reconciler(
    store: &Store,
    way: &Router,
    token: &SecretString,
    settings: &Settings,
    clock: &SimulatedClock,
    events: &Log,
) -> Reconciler {
    let client = Cachet::in_process(way.clone(), token.clone(), 50);
    let stop = CancellationToken::new();
    Reconciler::new(store.clone(), client, settings.clone(), clock.clock(), events.clone(), stop)
}
