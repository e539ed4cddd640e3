//! Corrects the stored alerts by Alertmanager's own list, for notifications that never arrive. The list also shows when
//! Prometheus last sent the watchdog.
//!
//! [`Repairer::once`] does the work and [`Repairer::forever`] only waits: for the interval, or to be told that something
//! was missed. Without an Alertmanager to read, alerts that nothing was heard of for long can be taken to have ended.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::alertmanager::{Error, Heard, Member};
use crate::clock::{Clock, Vigil};
use crate::core::alert::AlertRecord;
use crate::core::config::{AlertmanagerConfig, Config};
use crate::core::expiry::WatchdogSent;
use crate::core::repair::{self as rule, Missing, Policy, Poll, Repair, WatchdogListing};
use crate::core::time::Timestamp;
use crate::core::watchdog::Watchdog;
use crate::live::{self, Live};
use crate::metrics::{Metrics, PollResult};
use crate::reconcile::Wake;
use crate::settings::{Settings, SettingsInForce};
use crate::store::{Store, StoreError};

/// The shortest time between two goes, however often one is asked for.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// What the alerts are compared with.
enum Source<'a> {
    /// Nothing: they stay as notifications left them.
    Nothing,
    /// The lists of all members of an Alertmanager cluster: what none of them lists has ended.
    Alertmanager(&'a [Member]),
    /// The clock alone: what nothing was heard of for so long has ended.
    Silence(Duration),
}

impl<'a> From<&'a Settings> for Source<'a> {
    fn from(settings: &'a Settings) -> Self {
        match (settings.alertmanagers.as_slice(), settings.config.alerts.stale_after) {
            ([], None) => Self::Nothing,
            ([], Some(longest)) => Self::Silence(longest),
            (members, _) => Self::Alertmanager(members),
        }
    }
}

/// What came of one go.
#[derive(Debug, Default)]
pub struct Round {
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
    vigil: Vigil,
    wake: Wake,
    reconciler: Wake,
    stop: CancellationToken,
    missing: Missing,
    said: Said,
    metrics: Metrics,
    live: Live,
}

/// What was said already, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    unheard: BTreeMap<String, Error>,
    failure: Option<String>,
    is_full: bool,
}

impl Repairer {
    /// A repairer that has not read anything yet, and wakes `reconciler` after a repair. It looks at the settings in force
    /// before each go: wake it for a change to count at once. `stop` ends it.
    pub fn new(
        store: Store,
        mut settings_in_force: SettingsInForce,
        clock: Clock,
        reconciler: Wake,
        stop: CancellationToken,
    ) -> Self {
        let (wake, missing, said) = (Wake::default(), Missing::new(), Said::default());
        let (listening_since, vigil) = (clock.now(), Vigil::default());
        let (metrics, live) = (Metrics::default(), Live::default());
        let settings = settings_in_force.borrow_and_update().clone();
        Self {
            store,
            settings,
            settings_in_force,
            clock,
            listening_since,
            vigil,
            wake,
            reconciler,
            stop,
            missing,
            said,
            metrics,
            live,
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

    /// What has it read Alertmanager at once: when a notification may have been missed, or an alert is held.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Repairs until it is told to stop.
    pub async fn forever(mut self) {
        let stop = self.stop.clone();
        // Stopping in the middle is safe: an unfinished transaction changes nothing.
        while stop.run_until_cancelled(self.once()).await.is_some() {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.until_due() => {}
            }
        }
    }

    async fn until_due(&self) {
        tokio::time::sleep(SHORTEST_PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(self.settings.config.alertmanager.poll.saturating_sub(SHORTEST_PAUSE)) => {}
            () = self.wake.woken() => {}
        }
    }

    /// Compares the stored alerts with what they should be, and corrects them.
    pub async fn once(&mut self) -> Round {
        let mut round = Round::default();
        self.settings = self.settings_in_force.borrow_and_update().clone();
        match self.repair(&mut round).await {
            Ok(repairs) => round.repairs = repairs,
            Err(error) => round.failure = Some(error),
        }
        if !round.repairs.is_empty() {
            self.reconciler.wake();
        }
        self.say(&round);
        self.measure(&round);
        self.show(&round);
        round
    }

    async fn repair(&mut self, round: &mut Round) -> Result<Vec<Repair>, StoreError> {
        let now = self.clock.now();
        // A clock that was set back since: we have listened from now on, as far as it can tell. Through time that it was
        // set ahead by, or that the machine slept, nobody listened.
        if self.vigil.was_broken(&self.clock) || now < self.listening_since {
            self.listening_since = now;
        }
        let settings = Arc::clone(&self.settings);
        let is_watched = settings.config.watchdog.is_some();
        let confirm = |record: &AlertRecord| rule::resolved_without_watchdog(record, now);
        match Source::from(&*settings) {
            Source::Nothing if is_watched => Ok(Vec::new()),
            Source::Nothing => self.store.repair_unresolved(confirm, now).await,
            // While the watchdog is missing, silence does not mean that an alert has ended.
            Source::Silence(_) if is_watched && self.store.pulse().await?.missing_at.is_some() => {
                self.listening_since = now;
                Ok(Vec::new())
            }
            Source::Silence(longest) => {
                let mut repairs =
                    if is_watched { Vec::new() } else { self.store.repair_unresolved(confirm, now).await? };
                if let Some(limit) = rule::stale_before(now, self.listening_since, longest) {
                    repairs.extend(self.store.repair_unresolved(|record| rule::stale(record, limit), now).await?);
                }
                Ok(repairs)
            }
            Source::Alertmanager(members) => {
                let poll = poll(members, settings.config.watchdog(), now, round).await;
                if let Some(sent) = round.watchdog_sent
                    && self.store.record_heartbeat(sent.sent_at).await?
                {
                    self.reconciler.wake();
                }
                self.correct(&poll).await
            }
        }
    }

    /// Corrects the stored alerts by what was read of Alertmanager.
    ///
    /// # Errors
    /// See [`Store::apply_repair`]; then nothing was corrected.
    pub async fn correct(&mut self, poll: &Poll) -> Result<Vec<Repair>, StoreError> {
        let Config { alertmanager: AlertmanagerConfig { poll: interval, settle }, alerts, .. } = &self.settings.config;
        let policy = Policy {
            settle: *settle,
            apart: *interval / 2,
            refire_hold: alerts.refire_hold,
            max_stored: alerts.max_stored,
        };
        let plan = self.store.apply_repair(poll, &self.missing, policy).await?;
        let (listed, missing) = (poll.listed().count(), plan.missing.len());
        tracing::debug!(listed, missing, repairs = plan.repairs.len(), "Alertmanager was read");
        self.missing = plan.missing;
        self.log_alert_limit(plan.over_limit);
        Ok(plan.repairs)
    }

    /// Says each repair, and what is wrong once, and once that it is over.
    fn say(&mut self, round: &Round) {
        log_repairs(&round.repairs);
        self.say_unheard(round);
        let failure = round.failure.as_ref().map(ToString::to_string);
        match (&self.said.failure, &failure) {
            (before, Some(now)) if before.as_ref() != Some(now) => {
                tracing::error!("alerts cannot be repaired: {now}; it is tried again");
            }
            (Some(_), None) => tracing::info!("alerts can be repaired again"),
            _ => {}
        }
        self.said.failure = failure;
    }

    fn measure(&self, round: &Round) {
        self.metrics.repaired(&round.repairs);
        if let Source::Alertmanager(members) = Source::from(&*self.settings) {
            let (members, unheard) = (members.len(), round.unheard.len());
            let result = match &round.failure {
                _ if unheard == members => PollResult::Unheard,
                Some(_) => PollResult::NotStored,
                None if unheard > 0 => PollResult::Incomplete,
                None => PollResult::Complete,
            };
            self.metrics.polled(result, members, unheard, self.clock.now());
        }
    }

    fn show(&self, round: &Round) {
        let now = self.clock.now();
        let poll = match Source::from(&*self.settings) {
            Source::Alertmanager(members) => Some(live::Poll {
                at: now.to_string(),
                members: members.len(),
                unheard: round.unheard.iter().map(unheard).collect(),
                repaired: round.repairs.len(),
                problem: round.failure.as_ref().map(ToString::to_string),
            }),
            Source::Nothing | Source::Silence(_) => None,
        };
        self.live.repaired(poll, &round.repairs, now);
    }

    fn log_alert_limit(&mut self, over_limit: usize) {
        let is_full = over_limit > 0;
        if is_full && !self.said.is_full {
            let max = self.settings.config.alerts.max_stored;
            tracing::warn!(
                over_limit,
                "Alertmanager lists new alerts that are ignored, because {max} alerts are stored and none is resolved: \
                 find the rule that makes so many, or raise max_stored_alerts"
            );
        } else if !is_full && self.said.is_full {
            tracing::info!("there is room again for every alert that Alertmanager lists");
        }
        self.said.is_full = is_full;
    }

    fn say_unheard(&mut self, round: &Round) {
        for (address, error) in &round.unheard {
            if self.said.unheard.get(address) != Some(error) {
                tracing::warn!("Alertmanager {address}: {error}; what it does not list counts for nothing meanwhile");
            }
        }
        for address in self.said.unheard.keys().filter(|address| !round.unheard.contains_key(*address)) {
            tracing::info!("Alertmanager {address} can be read again");
        }
        if self.is_deaf(&round.unheard) && !self.is_deaf(&self.said.unheard) {
            tracing::error!("no Alertmanager can be read: only notifications count until one can");
        }
        self.said.unheard = round.unheard.clone();
    }

    /// Whether no member is heard.
    fn is_deaf(&self, unheard: &BTreeMap<String, Error>) -> bool {
        match Source::from(&*self.settings) {
            Source::Alertmanager(members) => members.iter().all(|member| unheard.contains_key(member.address())),
            Source::Nothing | Source::Silence(_) => false,
        }
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

fn unheard((address, error): (&String, &Error)) -> live::Unheard {
    live::Unheard { address: address.clone(), problem: error.to_string() }
}

/// Reads all members at the same time.
async fn poll(members: &[Member], watchdog: Option<&Watchdog>, began_at: Timestamp, round: &mut Round) -> Poll {
    let answers = join_all(members.iter().map(|member| member.hear(watchdog, began_at))).await;
    let heard = members.iter().zip(answers).filter_map(|(member, answer)| match answer {
        Ok(Heard { up_for, listed, watchdog: sent }) => {
            round.watchdog_sent = round.watchdog_sent.into_iter().chain(sent).max_by_key(|sent| sent.sent_at);
            Some(rule::Member { up_for, listed })
        }
        Err(error) => {
            round.unheard.insert(member.address().to_owned(), error);
            None
        }
    });
    let members = heard.collect();
    let watchdog = match round.watchdog_sent {
        _ if watchdog.is_none() => WatchdogListing::NotConfigured,
        Some(sent) => WatchdogListing::Sent(sent),
        None => WatchdogListing::Unlisted,
    };
    Poll { began_at, members, watchdog }
}
