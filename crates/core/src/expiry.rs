//! Whether a resolve may be an expiry: Alertmanager's own word on an alert that a dead Prometheus no longer sends.
//!
//! Prometheus sends a firing alert again at the first evaluation after its resend delay (a minute), and each time extends
//! the alert's lease, the `endsAt` that Alertmanager is given: the evaluation plus four times the larger of that delay and
//! the evaluation interval (`sendAlerts` and `AlertingRule` of Prometheus' rule manager). If the lease runs out,
//! Alertmanager resolves the alert, and the notification looks like that of an outage that is over. A true resolve has
//! the time of the evaluation that found it.
//!
//! So a resolve is judged by the watchdog: while it is not known to live, a resolve that may be an expiry is held, and
//! the alert counts as firing ([`AlertState::ResolveHeld`]). Where Alertmanager's list is read, it says when Prometheus
//! last sent the watchdog, and what the lease of each alert is. A notification says neither: a firing one proves that
//! Prometheus lived at some time within the lease, and no more.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::alert::{Alert, AlertRecord, AlertState, AlertStatus, Effect, Fingerprint};
use super::repair::{Reason, Repair};
use super::time::Timestamp;
use super::watchdog::{Pulse, Watchdog};

/// How long a lease is where the evaluation interval is a minute or less, and nothing is known of the resend delay.
const USUAL_LEASE: Duration = Duration::from_secs(240);

/// How many watchdogs of different labels are remembered; of more, those that were heard last.
const WATCHDOGS_MAX: usize = 64;

/// What Alertmanager's members listed last of leases.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leases {
    /// That of each alert, as any member says.
    pub of_alerts: HashMap<Fingerprint, Vec<Lease>>,
    /// How long the watchdog's lease is from its sending on.
    pub of_watchdog: LeaseLength,
}

/// The lease of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// When the alert is resolved if it is not sent again.
    pub ends_at: Timestamp,
    /// How long that is after it was sent.
    pub length: LeaseLength,
}

/// How long a lease is, from the sending on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseLength(Duration);

impl Default for LeaseLength {
    fn default() -> Self {
        Self(USUAL_LEASE)
    }
}

impl LeaseLength {
    /// That of an alert that was sent at `sent_at` and whose lease then ended at `ends_at`.
    pub fn between(sent_at: Timestamp, ends_at: Timestamp) -> Self {
        Self(ends_at.since(sent_at))
    }

    /// For how long after the last life a true resolve may be dated: 75 s of four minutes, the resend delay and one
    /// evaluation of 15 s.
    fn longest_to_resolve(self) -> Duration {
        self.0 * 5 / 16
    }

    /// How old the last life is at most while Prometheus lives: half a lease, the longest time between two sendings. (With
    /// an interval of a minute only every other evaluation sends, for the resend delay has to be over.) So a dead one is
    /// told from it: what it sent last half a lease before its death expires half a lease after that.
    fn longest_silence(self) -> Duration {
        self.0 / 2
    }
}

impl Leases {
    /// Whether a resolve that is dated `ended_at` says the same as the lease that was listed last; `None` if none was.
    pub fn ends_at(&self, fingerprint: Fingerprint, ended_at: Timestamp) -> Option<bool> {
        self.of_alerts.get(&fingerprint).map(|leases| leases.iter().any(|lease| lease.ends_at == ended_at))
    }

    /// What `life` says of one alert, whose rule may be evaluated more often than that of the watchdog: then its lease is
    /// shorter, and runs out while the life of the watchdog is not old for one that is sent so rarely.
    pub fn judged_for(&self, fingerprint: Fingerprint, life: LastLife) -> LastLife {
        let shortest = self.of_alerts.get(&fingerprint).into_iter().flatten().map(|lease| lease.length).min();
        LastLife { lease: life.lease.min(shortest.unwrap_or_default()), ..life }
    }
}

/// When Prometheus last sent the watchdog, and what that proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastLife {
    /// When, by our clock.
    pub sent_at: Timestamp,
    /// The lease that it was given.
    pub lease: LeaseLength,
}

impl LastLife {
    /// Whether a Prometheus that sent the watchdog then may have sent a resolve that is dated `ended_at`.
    pub fn vouches_for(self, ended_at: Timestamp) -> bool {
        ended_at <= self.sent_at.after(self.lease.longest_to_resolve())
    }

    /// Whether Prometheus is alive at `now`: what it no longer sends has ended, and not only its lease.
    pub fn is_recent(self, now: Timestamp) -> bool {
        now < self.sent_at.after(self.lease.longest_silence())
    }
}

/// Where the watchdog's life is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LifeFrom {
    /// In Alertmanager's list alone (`ALERTMANAGER_URL`); notifications of the watchdog prove nothing.
    List,
    /// In notifications alone.
    Route,
}

/// How resolves are judged where a watchdog is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveRule {
    /// The watchdog.
    pub watchdog: Watchdog,
    /// Where its life is seen.
    pub life: LifeFrom,
    /// How long a firing that follows its own resolve is held (`refire_hold_seconds`).
    pub refire_hold: Duration,
}

/// One watchdog alert as one notification states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogAlert {
    /// Which: its label set.
    pub fingerprint: Fingerprint,
    /// Whether it fires.
    pub status: AlertStatus,
    /// Which occurrence.
    pub starts_at: Timestamp,
    /// When it ended, if it has and the notification says so: for a dead Prometheus, the end of the lease.
    pub ends_at: Option<Timestamp>,
}

impl WatchdogAlert {
    /// Whether this end is that of an occurrence before the one that was notified to begin at `starts_at`.
    fn ended_before(&self, starts_at: Timestamp) -> bool {
        self.starts_at < starts_at && self.ends_at.is_none_or(|ends_at| ends_at <= starts_at)
    }
}

/// What is known of the watchdogs that notifications bring, by their label sets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutedWatchdogs(BTreeMap<Fingerprint, RoutedWatchdog>);

/// A watchdog that notifications bring, and which has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutedWatchdog {
    /// Its occurrence.
    pub starts_at: Timestamp,
    /// When a notification of it came last.
    pub heard_at: Timestamp,
    /// How long it takes from one notification to the next; `None` until two came.
    pub interval: Option<Duration>,
}

/// What a resolve is judged by.
#[derive(Debug, Clone, Copy)]
pub struct KnownOfLife<'a> {
    /// When the watchdog was last heard.
    pub pulse: Pulse,
    /// What notifications bring of it.
    pub routed: &'a RoutedWatchdogs,
    /// The leases that Alertmanager listed last.
    pub leases: &'a Leases,
}

/// What follows from the watchdogs of one notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hearing {
    /// Whether the watchdog fires, and did so before in the same occurrence: resolves that were held are true.
    pub lives_on: bool,
    /// When Prometheus died, if the last watchdog has ended: resolves after that are taken back.
    pub died_at: Option<Timestamp>,
}

impl Hearing {
    /// Whether it may correct an alert.
    pub fn may_correct(&self) -> bool {
        self.lives_on || self.died_at.is_some()
    }

    /// What it corrects of an alert at `now`.
    pub fn corrects(&self, record: &AlertRecord, now: Timestamp) -> Option<Repair> {
        if let Some(record) = self.died_at.and_then(|died_at| record.taken_back(died_at)) {
            return Some(Repair { record, reason: Reason::TakenBack });
        }
        let is_true = self.lives_on && self.died_at.is_none() && record.state == AlertState::ResolveHeld;
        is_true.then(|| Repair { record: record.with_resolve_confirmed(now), reason: Reason::ResolveConfirmed })
    }
}

impl RoutedWatchdog {
    /// How long it takes from one notification to the next, when one comes at `now`: the longest lately, for members of a
    /// cluster notify together, and two routes one after the other. After an absence it is what it was.
    fn interval_at(&self, now: Timestamp, timeout: Duration) -> Option<Duration> {
        let gap = now.since(self.heard_at);
        if gap >= timeout {
            return self.interval;
        }
        let before = self.interval.unwrap_or_default() * 3 / 4;
        Some(before.max(gap))
    }

    /// Whether its next notification is overdue at `now`.
    fn is_overdue(&self, now: Timestamp, timeout: Duration) -> bool {
        let patience = self.interval.map_or(timeout, |interval| (interval + interval / 2).min(timeout));
        now > self.heard_at.after(patience)
    }
}

impl RoutedWatchdogs {
    /// Those that were kept.
    pub fn from_stored(watchdogs: impl IntoIterator<Item = (Fingerprint, RoutedWatchdog)>) -> Self {
        Self(watchdogs.into_iter().collect())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Fingerprint, &RoutedWatchdog)> {
        self.0.iter()
    }

    /// Whether one of them is heard as often as before.
    fn is_any_on_time(&self, now: Timestamp, timeout: Duration) -> bool {
        self.0.values().any(|watchdog| !watchdog.is_overdue(now, timeout))
    }

    /// Takes a firing one, and says whether it fired before in the same occurrence. Of two that overlap, as a pair of
    /// Prometheus servers sends them, the `startsAt` is now that of one, now that of the other ([`Alert::ends_at`]).
    fn hear(&mut self, alert: &WatchdogAlert, now: Timestamp, timeout: Duration) -> bool {
        let known = self.0.get(&alert.fingerprint).copied();
        let lives_on = known.is_some_and(|known| known.starts_at >= alert.starts_at);
        let interval = known.and_then(|known| known.interval_at(now, timeout));
        let watchdog = RoutedWatchdog { starts_at: alert.starts_at, heard_at: now, interval };
        self.0.insert(alert.fingerprint, watchdog);
        if self.0.len() > WATCHDOGS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, watchdog)| watchdog.heard_at);
            if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
                self.0.remove(&oldest);
            }
        }
        lives_on
    }

    /// Takes one that has ended, and says when its Prometheus died if it was the last of them.
    fn end(&mut self, alert: &WatchdogAlert, now: Timestamp, timeout: Duration) -> Option<Timestamp> {
        let known = self.0.get(&alert.fingerprint).copied();
        if known.is_some_and(|known| alert.ended_before(known.starts_at)) {
            return None;
        }
        let lease_ended_at = alert.ends_at.unwrap_or(now);
        self.0.remove(&alert.fingerprint);
        // It fired when it was heard last, so the lease went on until then, even if a clock that is behind says otherwise.
        let lease_ended_at = known.map_or(lease_ended_at, |known| known.heard_at.max(lease_ended_at));
        (!self.is_any_on_time(now, timeout)).then(|| lease_ended_at.before(USUAL_LEASE))
    }
}

impl ResolveRule {
    /// Takes the `watchdogs` of one notification that came at `now`. Where the list is read, they prove nothing.
    pub fn hear(
        &self,
        watchdogs: &[WatchdogAlert],
        pulse: &mut Pulse,
        routed: &mut RoutedWatchdogs,
        now: Timestamp,
    ) -> Hearing {
        let mut hearing = Hearing::default();
        if self.life == LifeFrom::List {
            return hearing;
        }
        let timeout = self.watchdog.timeout();
        let (firing, ended): (Vec<_>, Vec<_>) =
            watchdogs.iter().partition(|watchdog| watchdog.status == AlertStatus::Firing);
        for watchdog in firing {
            hearing.lives_on |= routed.hear(watchdog, now, timeout);
            *pulse = pulse.beat(now);
        }
        for watchdog in ended {
            hearing.died_at = hearing.died_at.max(routed.end(watchdog, now, timeout));
        }
        if let Some(died_at) = hearing.died_at {
            *pulse = pulse.died(died_at);
        }
        hearing
    }

    /// What is known after `alert` arrived at `now`, by the rule if there is one.
    pub fn observe(
        rule: Option<&Self>,
        known: Option<&AlertRecord>,
        alert: &Alert,
        life: KnownOfLife<'_>,
        now: Timestamp,
    ) -> (AlertRecord, Effect) {
        let unproven = |rule: &&Self| alert.status == AlertStatus::Resolved && rule.may_be_expiry(alert, life, now);
        match rule.filter(unproven) {
            Some(rule) => AlertRecord::observe_unproven(known, alert, rule.refire_hold, now),
            None => AlertRecord::observe(known, alert, now),
        }
    }

    fn may_be_expiry(&self, alert: &Alert, life: KnownOfLife<'_>, now: Timestamp) -> bool {
        let KnownOfLife { pulse, routed, leases } = life;
        let ended_at = alert.ends_at.unwrap_or(now);
        if self.life == LifeFrom::List && leases.ends_at(alert.fingerprint, ended_at) == Some(true) {
            return true;
        }
        let Some(last_heartbeat) = pulse.last_heartbeat else { return pulse.missing_at.is_some() };
        match self.life {
            LifeFrom::List => {
                let life = LastLife { sent_at: last_heartbeat, lease: leases.of_watchdog };
                !leases.judged_for(alert.fingerprint, life).vouches_for(ended_at)
            }
            LifeFrom::Route if routed.is_any_on_time(now, self.watchdog.timeout()) => false,
            // None is left: what was heard last is when Prometheus died.
            LifeFrom::Route if routed.0.is_empty() => ended_at > last_heartbeat,
            // The last one fired within its lease, so Prometheus lived at most one lease before.
            LifeFrom::Route => ended_at > last_heartbeat.before(USUAL_LEASE),
        }
    }
}

#[cfg(test)]
mod tests;
