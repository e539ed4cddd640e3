//! The alert sync: corrects the stored alerts by Alertmanager's own list, for notifications that never arrive. The list
//! also shows when Prometheus last sent the watchdog.
//!
//! [`Repairer::once`] does the work and [`Repairer::forever`] only waits: for the interval, or to be told that something
//! was missed. Without an Alertmanager to read, alerts that nothing was heard of for long can be taken to have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::alertmanager::{Error, Heard, Member};
use crate::clock::{Clock, ClockJumps};
use crate::core::alert::AlertRecord;
use crate::core::expiry::WatchdogSent;
use crate::core::repair::{self as rule, Missing, Poll, Repair, WatchdogListing};
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;
use crate::live::{self, Live};
use crate::metrics::{Metrics, PollResult};
use crate::reconcile::Wake;
use crate::settings::{Settings, SettingsInForce};
use crate::store::{Store, StoreError};

/// The shortest time between two runs, however often one is asked for.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// What came of one run of the alert sync.
#[derive(Debug, Default)]
pub struct RunReport {
    /// What was corrected.
    pub repairs: Vec<Repair>,
    /// The members that were not heard, by address.
    pub unheard: BTreeMap<String, Error>,
    /// The latest sending of the watchdog to any member.
    pub watchdog_sent: Option<WatchdogSent>,
    /// Why nothing could be corrected.
    pub failure: Option<StoreError>,
}

/// Keeps the stored alerts true.
pub struct Repairer {
    store: Store,
    settings: Arc<Settings>,
    settings_in_force: SettingsInForce,
    clock: Clock,
    /// Since when it has been told what arrives, by a clock that may be set back.
    listening_since: Timestamp,
    clock_jumps: ClockJumps,
    wake: Wake,
    reconciler: Wake,
    stop: CancellationToken,
    missing: Missing,
    // What was said already, so that it is said once.
    said_unheard: BTreeMap<String, Error>,
    said_failure: Option<String>,
    said_full: bool,
    metrics: Metrics,
    live: Live,
}

impl Repairer {
    /// An alert sync that has not read anything yet, and wakes `reconciler` after a repair. It looks at the settings in force
    /// before each run: wake it for a change to count at once. `stop` ends it.
    pub fn new(
        store: Store,
        mut settings_in_force: SettingsInForce,
        clock: Clock,
        reconciler: Wake,
        stop: CancellationToken,
    ) -> Self {
        let settings = settings_in_force.borrow_and_update().clone();
        Self {
            store,
            settings,
            settings_in_force,
            listening_since: clock.now(),
            clock,
            clock_jumps: ClockJumps::default(),
            wake: Wake::default(),
            reconciler,
            stop,
            missing: Missing::new(),
            said_unheard: BTreeMap::new(),
            said_failure: None,
            said_full: false,
            metrics: Metrics::default(),
            live: Live::default(),
        }
    }

    /// Has it tell the console what it reads and corrects.
    pub fn shown_by(self, live: Live) -> Self {
        Self { live, ..self }
    }

    /// Has it tell what it reads and corrects.
    pub fn measured_by(self, metrics: Metrics) -> Self {
        Self { metrics, ..self }
    }

    /// What has it read Alertmanager at once: when a notification may have been missed, or a firing waits.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Runs until it is told to stop.
    pub async fn forever(mut self) {
        let stop = self.stop.clone();
        // Stopping in the middle is safe: a transaction is carried out whole, or changes nothing.
        while stop.run_until_cancelled(self.once()).await.is_some() {
            let until_due = async {
                tokio::time::sleep(SHORTEST_PAUSE).await;
                let poll = self.settings.config.alerts.poll;
                let _ = tokio::time::timeout(poll.saturating_sub(SHORTEST_PAUSE), self.wake.woken()).await;
            };
            stop.run_until_cancelled(until_due).await;
        }
    }

    /// Compares the stored alerts with what they should be, and corrects them.
    pub async fn once(&mut self) -> RunReport {
        let mut run = RunReport::default();
        self.settings = self.settings_in_force.borrow_and_update().clone();
        match self.repair(&mut run).await {
            Ok(repairs) => run.repairs = repairs,
            Err(error) => run.failure = Some(error),
        }
        if !run.repairs.is_empty() {
            self.reconciler.wake();
        }
        self.tell(&run);
        run
    }

    async fn repair(&mut self, run: &mut RunReport) -> Result<Vec<Repair>, StoreError> {
        let now = self.clock.now();
        // A clock that was set back since: we have listened from now on, as far as it can tell. Through time that it was
        // set ahead by, or that the machine slept, nobody listened.
        if self.clock_jumps.has_jumped(&self.clock) || now < self.listening_since {
            self.listening_since = now;
        }
        let settings = Arc::clone(&self.settings);
        if !settings.alertmanagers.is_empty() {
            let poll = poll(&settings.alertmanagers, settings.config.watchdog(), now, run).await;
            if let Some(sent) = run.watchdog_sent
                && self.store.record_heartbeat(sent.sent_at).await?
            {
                self.reconciler.wake();
            }
            return self.correct(&poll).await;
        }
        let confirm = |record: &AlertRecord| rule::resolved_without_watchdog(record, now);
        let (is_watched, stale_after) = (settings.config.watchdog.is_some(), settings.config.alerts.stale_after);
        // While the watchdog is missing, silence does not mean that an alert has ended.
        if stale_after.is_some() && is_watched && self.store.pulse().await?.missing_at.is_some() {
            self.listening_since = now;
            return Ok(Vec::new());
        }
        let mut repairs = if is_watched { Vec::new() } else { self.store.repair_unresolved(confirm, now).await? };
        if !repairs.is_empty() {
            // Whatever becomes of the rest.
            self.reconciler.wake();
        }
        if let Some(limit) = stale_after.and_then(|longest| rule::stale_before(now, self.listening_since, longest)) {
            repairs.extend(self.store.repair_unresolved(|record| rule::stale(record, limit), now).await?);
        }
        Ok(repairs)
    }

    /// Corrects the stored alerts by what was read of Alertmanager.
    ///
    /// # Errors
    /// See [`Store::apply_repair`]; then nothing was corrected.
    pub async fn correct(&mut self, poll: &Poll) -> Result<Vec<Repair>, StoreError> {
        let config = &self.settings.config.alerts;
        let plan = self.store.apply_repair(poll, &self.missing, config).await?;
        let (listed, missing) = (poll.listed().count(), plan.missing.len());
        tracing::debug!(listed, missing, repairs = plan.repairs.len(), "Alertmanager was read");
        self.missing = plan.missing;
        let is_full = plan.over_limit > 0;
        if is_full && !self.said_full {
            let max = config.max_stored;
            tracing::warn!(
                over_limit = plan.over_limit,
                "Alertmanager lists new alerts that are ignored, because {max} alerts are stored and none is resolved: \
                 find the rule that makes so many, or raise max_stored_alerts"
            );
        } else if !is_full && self.said_full {
            tracing::info!("there is room again for every alert that Alertmanager lists");
        }
        self.said_full = is_full;
        Ok(plan.repairs)
    }

    /// Tells the log each repair, what is wrong once, and once that it is over; and metrics and the console all of it.
    fn tell(&mut self, run: &RunReport) {
        log_repairs(&run.repairs);
        for (address, error) in &run.unheard {
            if self.said_unheard.get(address) != Some(error) {
                tracing::warn!("Alertmanager {address}: {error}; what it does not list counts for nothing meanwhile");
            }
        }
        for address in self.said_unheard.keys().filter(|address| !run.unheard.contains_key(*address)) {
            tracing::info!("Alertmanager {address} can be read again");
        }
        let members = &self.settings.alertmanagers;
        let hears_nobody = |unheard: &BTreeMap<String, Error>| {
            !members.is_empty() && members.iter().all(|member| unheard.contains_key(member.address()))
        };
        if hears_nobody(&run.unheard) && !hears_nobody(&self.said_unheard) {
            tracing::error!("no Alertmanager can be read: only notifications count until one can");
        }
        let failure = run.failure.as_ref().map(ToString::to_string);
        match (&self.said_failure, &failure) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                tracing::error!("the alert sync cannot correct alerts: {now}; it is tried again");
            }
            (Some(_), None) => tracing::info!("the alert sync can correct alerts again"),
            _ => {}
        }
        let now = self.clock.now();
        self.metrics.repaired(&run.repairs);
        let poll = (!members.is_empty()).then(|| {
            let result = match &run.failure {
                _ if run.unheard.len() == members.len() => PollResult::Unheard,
                Some(_) => PollResult::NotStored,
                None if run.unheard.is_empty() => PollResult::Complete,
                None => PollResult::Incomplete,
            };
            self.metrics.polled(result, members.len(), run.unheard.len(), now);
            let unheard = run.unheard.iter().map(|(address, error)| (address.clone(), error.to_string()));
            live::Poll {
                at: now,
                members: members.len(),
                unheard: unheard.collect(),
                corrected: run.repairs.len(),
                problem: failure.clone(),
            }
        });
        self.live.corrected(poll, &run.repairs, now);
        self.said_unheard = run.unheard.clone();
        self.said_failure = failure;
    }
}

/// Logs each repair.
pub(crate) fn log_repairs(repairs: &[Repair]) {
    for Repair { record, reason } in repairs {
        let (fingerprint, starts_at) = (record.fingerprint, record.starts_at);
        let (name, target) = (&record.name, record.target.name());
        tracing::info!(%fingerprint, %starts_at, "repaired: {name:?} of {target:?} {reason}");
    }
}

/// Reads all members at the same time.
async fn poll(members: &[Member], watchdog: Option<&Watchdog>, began_at: Timestamp, run: &mut RunReport) -> Poll {
    let answers = join_all(members.iter().map(|member| member.hear(watchdog, began_at))).await;
    let heard = members.iter().zip(answers).filter_map(|(member, answer)| match answer {
        Ok(Heard { up_for, listed, watchdog: sent }) => {
            run.watchdog_sent = run.watchdog_sent.into_iter().chain(sent).max_by_key(|sent| sent.sent_at);
            Some(rule::Member { up_for, listed })
        }
        Err(error) => {
            run.unheard.insert(member.address().to_owned(), error);
            None
        }
    });
    let members = heard.collect();
    let watchdog = match run.watchdog_sent {
        _ if watchdog.is_none() => WatchdogListing::NotConfigured,
        Some(sent) => WatchdogListing::Sent(sent),
        None => WatchdogListing::Unlisted,
    };
    Poll { began_at, members, watchdog }
}
