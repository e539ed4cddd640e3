//! Decides whether a resolve may be an expiry: the resolve that Alertmanager makes itself when a dead Prometheus no longer
//! sends an alert.
//!
//! Prometheus sends a firing alert again at the first evaluation after its resend delay (`--rules.alert.resend-delay`,
//! default one minute). Each sending extends the lease of the alert. The lease is the `endsAt` that Prometheus sends:
//! evaluation time + 4 × max(resend delay, evaluation interval) (`sendAlerts` and `AlertingRule` of Prometheus' rule
//! manager). When the lease runs out, Alertmanager resolves the alert, with the end of the lease as `endsAt`. The
//! notification looks like that of an outage that is over. A true resolve has the time of the evaluation as `endsAt`.
//!
//! The watchdog tells the two apart. While Prometheus is not known to be alive, a resolve that may be an expiry is held, and
//! the alert counts as firing ([`AlertState::ResolveHeld`]).
//!
//! There are two sources ([`WatchdogSource`]). Alertmanager's list shows when Prometheus last sent the watchdog, and the
//! lease of each alert. A notification shows neither. A firing notification of the watchdog only proves that its lease has
//! not run out: Prometheus was alive at most one lease ago.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::alert::{Alert, AlertRecord, AlertState, AlertStatus, Effect, Fingerprint};
use super::repair::{Reason, Repair};
use super::time::Timestamp;
use super::watchdog::{Pulse, Watchdog};

/// The lease where it is not known: Prometheus' default resend delay (one minute) × 4. A longer evaluation interval makes
/// it longer.
const DEFAULT_LEASE: Duration = Duration::from_secs(240);

/// How many watchdogs (label sets) are remembered at most. Over it, the one with the oldest notification is forgotten.
const WATCHDOGS_MAX: usize = 64;

/// The leases in the latest list of each Alertmanager member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Leases {
    /// The leases of each alert: one for each member that lists it.
    pub of_alerts: HashMap<Fingerprint, Vec<Lease>>,
    /// The lease length of the watchdog.
    pub of_watchdog: LeaseLength,
}

/// The lease of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// When Alertmanager resolves the alert, unless Prometheus sends it again.
    pub ends_at: Timestamp,
    /// The time from the last sending to `ends_at`.
    pub length: LeaseLength,
}

/// The time from the sending of an alert to the end of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeaseLength(Duration);

impl Default for LeaseLength {
    fn default() -> Self {
        Self(DEFAULT_LEASE)
    }
}

impl LeaseLength {
    /// The lease length of an alert that was sent at `sent_at` and had a lease until `ends_at`.
    pub fn between(sent_at: Timestamp, ends_at: Timestamp) -> Self {
        Self(ends_at.since(sent_at))
    }
}

impl Leases {
    /// Whether `ended_at` is the end of a lease that was listed for the alert; `None` if no lease was listed.
    pub(crate) fn ends_at(&self, fingerprint: Fingerprint, ended_at: Timestamp) -> Option<bool> {
        self.of_alerts.get(&fingerprint).map(|leases| leases.iter().any(|lease| lease.ends_at == ended_at))
    }

    /// `sent`, with the shorter of the two leases: that of the watchdog and that of the alert.
    ///
    /// The rule of the alert may be evaluated more often than the rule of the watchdog. Then its lease is shorter, and it
    /// can run out while the last sending of the watchdog is still recent for the watchdog's own lease.
    pub(crate) fn for_alert(&self, fingerprint: Fingerprint, sent: WatchdogSent) -> WatchdogSent {
        let shortest = self.of_alerts.get(&fingerprint).into_iter().flatten().map(|lease| lease.length).min();
        WatchdogSent { lease: sent.lease.min(shortest.unwrap_or_default()), ..sent }
    }
}

/// The last sending of the watchdog by Prometheus, and what it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogSent {
    /// When it was sent, by our clock.
    pub sent_at: Timestamp,
    /// The lease that it was sent with.
    pub lease: LeaseLength,
}

impl WatchdogSent {
    /// Whether it proves that a resolve dated `ended_at` is true: Prometheus was alive at that time.
    ///
    /// A true resolve is dated at most 5/16 of a lease after the watchdog was last sent. With the default lease that is
    /// 75 s: the resend delay (60 s) and one evaluation interval (15 s).
    pub(crate) fn proves_resolve(self, ended_at: Timestamp) -> bool {
        ended_at <= self.sent_at.after(self.lease.0 * 5 / 16)
    }

    /// Whether Prometheus is alive at `now`. Then an alert that it no longer sends has ended.
    ///
    /// Two sendings of a living Prometheus are at most half a lease apart. With an evaluation interval of one minute, the
    /// resend delay is not quite over at the next evaluation, so only every other evaluation sends. Half a lease also
    /// suffices to recognise a dead Prometheus: what it sent at most half a lease before its death expires at least half a
    /// lease after it.
    pub(crate) fn is_alive(self, now: Timestamp) -> bool {
        now < self.sent_at.after(self.lease.0 / 2)
    }
}

/// Where the watchdog is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogSource {
    /// Only in Alertmanager's list (`ALERTMANAGER_URL`). Notifications of the watchdog prove nothing.
    List,
    /// Only in notifications.
    Notifications,
}

/// How resolves are judged where a watchdog is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveRule {
    /// The watchdog.
    pub watchdog: Watchdog,
    /// Where it is observed.
    pub source: WatchdogSource,
    /// How long a firing after its own resolve waits before it counts (`refire_delay_seconds`).
    pub refire_delay: Duration,
}

/// One watchdog alert of one notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchdogAlert {
    /// The alert: its label set.
    pub fingerprint: Fingerprint,
    /// Whether it fires.
    pub status: AlertStatus,
    /// The occurrence.
    pub starts_at: Timestamp,
    /// The `endsAt` of a resolve, if there is one. When Prometheus is dead, it is the end of the lease.
    pub ends_at: Option<Timestamp>,
}

/// The firing watchdogs that notifications reported, by label set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoutedWatchdogs(pub BTreeMap<Fingerprint, RoutedWatchdog>);

/// A firing watchdog that notifications reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoutedWatchdog {
    /// The occurrence.
    pub starts_at: Timestamp,
    /// When its last notification arrived.
    pub notified_at: Timestamp,
    /// The usual time between two notifications; `None` before the second one.
    pub interval: Option<Duration>,
}

/// What a resolve is judged by.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// When the watchdog was last observed.
    pub pulse: Pulse,
    /// The watchdogs in notifications.
    pub routed: RoutedWatchdogs,
    /// The leases in Alertmanager's latest list.
    pub leases: &'a Leases,
}

/// What the watchdogs of one notification prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchdogVerdict {
    /// Whether a watchdog fires that fired before in the same occurrence. Then held resolves are true.
    pub keeps_firing: bool,
    /// When Prometheus died, if the last watchdog was resolved. Later resolves are taken back.
    pub died_at: Option<Timestamp>,
    /// Whether the watchdog was missing until then.
    pub is_back: bool,
}

impl WatchdogVerdict {
    /// Whether it may correct an alert.
    pub fn may_correct(&self) -> bool {
        self.keeps_firing || self.died_at.is_some()
    }

    /// The correction of one alert at `now`, if it needs one.
    pub(crate) fn corrects(&self, record: &AlertRecord, now: Timestamp) -> Option<Repair> {
        if let Some(record) = self.died_at.and_then(|died_at| record.without_resolve_after(died_at)) {
            return Some(Repair { record, reason: Reason::TakenBack });
        }
        let is_true = self.keeps_firing && self.died_at.is_none() && record.state == AlertState::ResolveHeld;
        is_true.then(|| Repair { record: record.with_resolve_confirmed(now), reason: Reason::ResolveConfirmed })
    }
}

impl RoutedWatchdogs {
    /// Whether at least one watchdog is on time at `now`: its next notification is not overdue, by half of the usual
    /// interval or after `timeout`.
    fn is_any_on_time(&self, now: Timestamp, timeout: Duration) -> bool {
        self.0.values().any(|watchdog| {
            let patience = watchdog.interval.map_or(timeout, |interval| (interval + interval / 2).min(timeout));
            now <= watchdog.notified_at.after(patience)
        })
    }

    /// Records a firing watchdog. Returns whether it fired before in the same occurrence.
    ///
    /// An earlier `startsAt` is the same occurrence too: when both servers of a Prometheus pair send the watchdog, its
    /// `startsAt` changes between theirs ([`Alert::ends_at`]).
    fn record_firing(&mut self, alert: &WatchdogAlert, now: Timestamp, timeout: Duration) -> bool {
        let known = self.0.get(&alert.fingerprint).copied();
        let keeps_firing = known.is_some_and(|known| known.starts_at >= alert.starts_at);
        // The usual interval is the longest recent gap: the members of a cluster notify at almost the same time, and so do
        // two routes. It shrinks by a quarter with each shorter gap. A gap of `timeout` or more is an absence and does not
        // count.
        let interval = known.and_then(|known| match now.since(known.notified_at) {
            gap if gap >= timeout => known.interval,
            gap => Some(gap.max(known.interval.unwrap_or_default() * 3 / 4)),
        });
        let watchdog = RoutedWatchdog { starts_at: alert.starts_at, notified_at: now, interval };
        self.0.insert(alert.fingerprint, watchdog);
        if self.0.len() > WATCHDOGS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, watchdog)| watchdog.notified_at);
            if let Some(oldest) = oldest.map(|(fingerprint, _)| *fingerprint) {
                self.0.remove(&oldest);
            }
        }
        keeps_firing
    }

    /// Records a resolved watchdog. If no other watchdog is on time, returns when Prometheus died.
    fn record_resolve(&mut self, alert: &WatchdogAlert, now: Timestamp, timeout: Duration) -> Option<Timestamp> {
        let known = self.0.get(&alert.fingerprint).copied();
        let is_of_earlier_occurrence = known.is_some_and(|known| {
            alert.starts_at < known.starts_at && alert.ends_at.is_none_or(|ends_at| ends_at <= known.starts_at)
        });
        if is_of_earlier_occurrence {
            return None;
        }
        let lease_ended_at = alert.ends_at.unwrap_or(now);
        self.0.remove(&alert.fingerprint);
        // The watchdog fired in its last notification, so the lease lasted at least until then. A clock that is behind may
        // say otherwise.
        let lease_ended_at = known.map_or(lease_ended_at, |known| known.notified_at.max(lease_ended_at));
        (!self.is_any_on_time(now, timeout)).then(|| lease_ended_at.before(DEFAULT_LEASE))
    }
}

impl ResolveRule {
    /// Records the `watchdogs` of one notification that arrived at `now`, and returns what they prove. Where
    /// Alertmanager's list is read, they prove nothing.
    pub(crate) fn observe_watchdogs(
        &self,
        watchdogs: &[WatchdogAlert],
        Evidence { pulse, routed, .. }: &mut Evidence<'_>,
        now: Timestamp,
    ) -> WatchdogVerdict {
        let mut verdict = WatchdogVerdict::default();
        if self.source == WatchdogSource::List {
            return verdict;
        }
        let timeout = self.watchdog.timeout();
        let was_missing = pulse.missing_at.is_some();
        let (firing, resolved): (Vec<_>, Vec<_>) =
            watchdogs.iter().partition(|watchdog| watchdog.status == AlertStatus::Firing);
        for watchdog in firing {
            verdict.keeps_firing |= routed.record_firing(watchdog, now, timeout);
            *pulse = pulse.beat(now);
        }
        for watchdog in resolved {
            verdict.died_at = verdict.died_at.max(routed.record_resolve(watchdog, now, timeout));
        }
        if let Some(died_at) = verdict.died_at {
            // Later notifications came from Alertmanager's memory and do not count.
            pulse.last_heartbeat = Some(pulse.last_heartbeat.map_or(died_at, |last| last.min(died_at)));
        }
        verdict.is_back = was_missing && pulse.missing_at.is_none();
        verdict
    }

    /// The state of an alert after `alert` arrived at `now`, and what changed. Without a `rule`, every resolve counts.
    pub(crate) fn observe(
        rule: Option<&Self>,
        known: Option<&AlertRecord>,
        alert: &Alert,
        evidence: &Evidence<'_>,
        now: Timestamp,
    ) -> (AlertRecord, Effect) {
        let (record, effect) = AlertRecord::observe(known, alert, now);
        let Some(rule) = rule else { return (record, effect) };
        let ends_firing_alert = matches!(effect, Effect::Resolved | Effect::RefireWithdrawn)
            && known.is_some_and(|before| before.is_firing(now, rule.refire_delay));
        if ends_firing_alert && rule.may_be_expiry(alert, evidence, now) {
            (AlertRecord { state: AlertState::ResolveHeld, ..record }, Effect::HeldResolve)
        } else {
            (record, effect)
        }
    }

    fn may_be_expiry(&self, alert: &Alert, evidence: &Evidence<'_>, now: Timestamp) -> bool {
        let Evidence { pulse, routed, leases } = evidence;
        let ended_at = alert.ends_at.unwrap_or(now);
        if self.source == WatchdogSource::List && leases.ends_at(alert.fingerprint, ended_at) == Some(true) {
            return true;
        }
        let Some(last_heartbeat) = pulse.last_heartbeat else { return pulse.missing_at.is_some() };
        match self.source {
            WatchdogSource::List => {
                let sent = WatchdogSent { sent_at: last_heartbeat, lease: leases.of_watchdog };
                !leases.for_alert(alert.fingerprint, sent).proves_resolve(ended_at)
            }
            WatchdogSource::Notifications if routed.is_any_on_time(now, self.watchdog.timeout()) => false,
            // Every watchdog was resolved. Then the last heartbeat is the time of Prometheus' death.
            WatchdogSource::Notifications if routed.0.is_empty() => ended_at > last_heartbeat,
            // The last watchdog fired within its lease, so Prometheus was alive at most one lease before.
            WatchdogSource::Notifications => ended_at > last_heartbeat.before(DEFAULT_LEASE),
        }
    }
}

#[cfg(test)]
mod tests;
