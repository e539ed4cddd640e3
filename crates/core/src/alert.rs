//! What an arriving alert changes: the rules of repetition, order and echo.
//!
//! The fingerprint is the key. Between two statements about one fingerprint the newer `startsAt` wins, whatever its
//! status; within one `startsAt` a resolve wins. That is the join of a lattice, so order and repetition do not matter.
//! Order is evidence, not proof, so there are three deliberate exceptions:
//!
//! - A firing that comes *after* a resolve that it does not outrank (the same `startsAt`, or an earlier one) waits, see
//!   [`AlertState::Refired`].
//! - An occurrence may be resolved under an earlier `startsAt` than it fired under, see [`Alert::ends_at`].
//! - A `startsAt` in the future is cut to the time of arrival: a host whose clock is ahead must not hide later alerts. The
//!   reported `startsAt` is stored too, so a repeat is recognised after the clock has passed it. A `startsAt` in the future
//!   does not prove that a firing is newer than a resolve, so a firing in the future that follows a resolve waits.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::str::FromStr;
use std::time::Duration;

use super::rules::{Condition, Signal, SignalId, Signals};
use super::target::{Target, excerpt};
use super::time::Timestamp;

/// Alertmanager's name for a label set: 64 bits, written as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

/// A text is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no fingerprint: 16 hexadecimal digits are one")]
pub struct FingerprintError(String);

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(text, 16) {
            Ok(bits) if text.len() == 16 && all_hex => Ok(Self(bits)),
            _ => Err(FingerprintError(excerpt(text))),
        }
    }
}

impl Fingerprint {
    /// A fingerprint for a text that stands for an alert whose true one is unknown (FNV-1a, as Prometheus' own).
    pub fn of_text(text: &str) -> Self {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        Self(text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME)))
    }
}

impl Fingerprint {
    /// The signal of the alert with this fingerprint.
    pub(crate) const fn signal_id(self) -> SignalId {
        SignalId { source: 0, id: self.0 }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a notification says that an alert fires or that it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertStatus {
    /// It fires.
    Firing,
    /// It has ended.
    Resolved,
}

/// One alert as one notification states it, about a target of the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Which alert: its label set.
    pub fingerprint: Fingerprint,
    /// The label `alertname`.
    pub name: String,
    /// What it is about.
    pub target: Target,
    /// The label `status_page_critical_target`; the inventory's word counts for targets that it knows.
    pub critical: bool,
    /// Whether it fires.
    pub status: AlertStatus,
    /// Which occurrence: the moment at which it began to fire.
    pub starts_at: Timestamp,
    /// When it ended, if it has and the notification says so.
    ///
    /// Of alerts with the same labels that overlap in time, as two Prometheus servers of a pair send them, Alertmanager
    /// makes one with the earliest `startsAt` (`Merge` and `Put` of its alert provider). Which one it hears of first is
    /// chance, above all after its restart, so it may notify a `startsAt` and later an earlier one of the same
    /// occurrence. Hence a resolve that spans the `startsAt` that is known is one of that occurrence. One of an
    /// occurrence before ended before.
    pub ends_at: Option<Timestamp>,
}

impl Alert {
    /// Whether this is a resolve that began before `moment` and ended after it.
    fn is_resolve_over(&self, moment: Timestamp) -> bool {
        self.status == AlertStatus::Resolved
            && self.starts_at < moment
            && self.ends_at.is_some_and(|ends_at| ends_at > moment)
    }
}

/// Where an alert stands, all statements about it taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// It fires.
    Firing,
    /// It has ended. Kept, so that a late firing of the same occurrence is known for what it is.
    Resolved,
    /// It was resolved, and then a firing of the same occurrence, or of an earlier one, came.
    ///
    /// Either Prometheus is back after Alertmanager had timed the alert out, or another Prometheus has fired for longer
    /// than the one that resolved, and it truly fires; or the firing is the echo of the other member of an HA pair,
    /// corrected one `group_interval` later. So it waits: it counts only once it stood for the refire delay without a
    /// resolve, or once Alertmanager lists it as active.
    Refired {
        /// When the first such firing came.
        since: Timestamp,
    },
    /// A resolve came that may be an expiry ([`super::expiry`]): Prometheus may be dead, and the outage may go on.
    ///
    /// The alert counts as firing until the watchdog is received again, or until Alertmanager's list decides.
    ResolveHeld,
    /// It fires, as far as the page says that was there before us. Its fingerprint is not the true one: it ends with a
    /// statement about the same target and alert name.
    Adopted,
}

/// What is known of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// The label `alertname`.
    pub name: String,
    /// What it is about.
    pub target: Target,
    /// The label `status_page_critical_target`.
    pub critical: bool,
    /// The `startsAt` of the newest known occurrence: a newer one has a later `startsAt`. Never later than the time of
    /// arrival.
    pub starts_at: Timestamp,
    /// The `startsAt` of the alert that led to `state`, as it was reported. It is earlier than `starts_at` if the alert
    /// fired again with an earlier `startsAt` than its resolve. It is later if it was in the future.
    pub reported_starts_at: Timestamp,
    /// The state of that occurrence.
    pub state: AlertState,
    /// When the alert ended, by the last resolve that ended it or that is held.
    pub ends_at: Option<Timestamp>,
    /// When something was last heard of it.
    pub last_seen_at: Timestamp,
}

/// What a statement changed, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Effect {
    /// A new alert fires.
    Fired,
    /// A known alert fires again, as a new occurrence.
    FiredAgain,
    /// The alert has ended.
    Resolved,
    /// A resolve that may be an expiry: held until the watchdog is received.
    #[strum(serialize = "resolve_held")]
    HeldResolve,
    /// A firing that does not outrank the resolve before it: it waits for the refire delay.
    #[strum(serialize = "refire_held")]
    Refired,
    /// The waiting firing was taken back by another resolve.
    RefireWithdrawn,
    /// It said what was known.
    Repeated,
    /// It spoke of an occurrence older than the one that is known.
    Outdated,
    /// A resolve of an alert that never fired here; remembered, for its firing may come late.
    ResolvedUnknown,
    /// The alert is new and the limit of stored alerts is reached: it is not stored.
    #[strum(serialize = "ignored")]
    OverLimit,
}

impl AlertRecord {
    /// What is known after `alert` arrived at `now`, given what was known of its fingerprint.
    pub fn observe(known: Option<&Self>, alert: &Alert, now: Timestamp) -> (Self, Effect) {
        // Earlier versions stored a `startsAt` in the future. It is cut to the time of arrival.
        let known = known.map(|known| Self { starts_at: known.starts_at.min(known.last_seen_at), ..known.clone() });
        let arrived_at = known.as_ref().map_or(now, |record| record.last_seen_at.max(now));
        let record = |state, starts_at| Self {
            fingerprint: alert.fingerprint,
            name: alert.name.clone(),
            target: alert.target.clone(),
            critical: alert.critical,
            starts_at,
            reported_starts_at: alert.starts_at,
            state,
            ends_at: None,
            last_seen_at: now,
        };
        let is_ahead = alert.starts_at > arrived_at;
        let starts_at = alert.starts_at.min(arrived_at);
        let (state, effect) = match (known, alert.status) {
            (None, AlertStatus::Firing) => (AlertState::Firing, Effect::Fired),
            (None, AlertStatus::Resolved) => (AlertState::Resolved, Effect::ResolvedUnknown),
            (Some(known), status) if !known.is_older_than(alert, is_ahead, now) => {
                return known.observe_known(alert, status, now);
            }
            // A repeat of a `startsAt` in the future. To cut it again would make it a new occurrence.
            (Some(known), status) if is_ahead && known.says(status) => {
                let state = if known.state == AlertState::ResolveHeld { AlertState::Firing } else { known.state };
                return (Self { reported_starts_at: alert.starts_at, state, ..known.heard_of(now) }, Effect::Repeated);
            }
            // A firing in the future may be the echo of the resolved one, from a host with another clock.
            (Some(known), AlertStatus::Firing) if is_ahead => {
                let refired = record(AlertState::Refired { since: now }, known.starts_at);
                return (Self { ends_at: known.ends_at, ..refired }, Effect::Refired);
            }
            (Some(_), AlertStatus::Firing) => (AlertState::Firing, Effect::FiredAgain),
            (Some(known), AlertStatus::Resolved) => match known.state {
                AlertState::Resolved => (AlertState::Resolved, Effect::ResolvedUnknown),
                _ => (AlertState::Resolved, Effect::Resolved),
            },
        };
        // A resolve of what never fired here ended nothing.
        let ends_at = (effect == Effect::Resolved).then(|| alert.ends_at.unwrap_or(now));
        (Self { ends_at, ..record(state, starts_at) }, effect)
    }

    /// Whether `alert`, which arrives at `now`, belongs to a newer occurrence than this record. Of two `startsAt` in the
    /// future, the later one is newer.
    fn is_older_than(&self, alert: &Alert, is_ahead: bool, now: Timestamp) -> bool {
        let is_later =
            alert.starts_at > if is_ahead { self.starts_at.max(self.reported_starts_at) } else { self.starts_at };
        is_later && !self.is_of_same_occurrence(alert, now)
    }

    /// Whether `alert`, which arrives at `now`, has the reported `startsAt`, or is a resolve that spans it. No resolve that
    /// has ended spans a `startsAt` in the future: then it has to span the time of arrival.
    fn is_of_same_occurrence(&self, alert: &Alert, now: Timestamp) -> bool {
        let arrived_at = self.fires_since();
        let is_over_arrival = || {
            self.reported_starts_at > arrived_at
                && alert.is_resolve_over(arrived_at)
                && alert.ends_at.is_some_and(|ends_at| ends_at <= now)
        };
        alert.starts_at == self.reported_starts_at
            || alert.is_resolve_over(self.reported_starts_at)
            || is_over_arrival()
    }

    /// Whether this differs from `other` by no more than when it was last heard of.
    pub fn repeats(&self, other: &Self) -> bool {
        let Self {
            fingerprint,
            name,
            target,
            critical,
            starts_at,
            reported_starts_at,
            state,
            ends_at,
            last_seen_at: _,
        } = self;
        (fingerprint, name, target, critical) == (&other.fingerprint, &other.name, &other.target, &other.critical)
            && (starts_at, reported_starts_at) == (&other.starts_at, &other.reported_starts_at)
            && (state, ends_at) == (&other.state, &other.ends_at)
    }

    /// Since when the alert fires, for display. Never later than the time of arrival.
    pub(crate) fn fires_since(&self) -> Timestamp {
        match self.state {
            AlertState::Refired { since } if self.reported_starts_at > self.starts_at => since,
            _ => self.starts_at,
        }
    }

    /// What is known after a statement that is not newer than the occurrence that is known last.
    fn observe_known(&self, alert: &Alert, status: AlertStatus, now: Timestamp) -> (Self, Effect) {
        let (state, reported_starts_at, effect) = match (self.state, status) {
            (AlertState::Resolved, AlertStatus::Firing) => {
                (AlertState::Refired { since: now }, alert.starts_at, Effect::Refired)
            }
            // Alertmanager merges overlapping alerts to the earliest `startsAt`.
            (AlertState::Refired { .. }, AlertStatus::Firing) if alert.starts_at < self.reported_starts_at => {
                let record = Self { reported_starts_at: alert.starts_at, ..self.heard_of(now) };
                return (record, Effect::Repeated);
            }
            (AlertState::Firing | AlertState::Adopted | AlertState::ResolveHeld, AlertStatus::Resolved)
                if self.is_of_same_occurrence(alert, now) =>
            {
                (AlertState::Resolved, self.reported_starts_at, Effect::Resolved)
            }
            (AlertState::ResolveHeld, AlertStatus::Firing) => {
                (AlertState::Firing, self.reported_starts_at.min(alert.starts_at), Effect::Repeated)
            }
            (AlertState::Refired { .. }, AlertStatus::Resolved) if self.is_of_same_occurrence(alert, now) => {
                (AlertState::Resolved, self.reported_starts_at, Effect::RefireWithdrawn)
            }
            (_, status) => {
                let is_told = self.is_of_same_occurrence(alert, now)
                    || (self.reported_starts_at..=self.starts_at).contains(&alert.starts_at);
                let effect = if is_told && self.says(status) { Effect::Repeated } else { Effect::Outdated };
                return (self.heard_of(now), effect);
            }
        };
        let record = Self {
            name: alert.name.clone(),
            target: alert.target.clone(),
            critical: alert.critical,
            reported_starts_at,
            state,
            ends_at: if state == AlertState::Resolved { Some(alert.ends_at.unwrap_or(now)) } else { self.ends_at },
            last_seen_at: now,
            ..self.clone()
        };
        (record, effect)
    }

    /// Whether `status` is what is known already.
    fn says(&self, status: AlertStatus) -> bool {
        (self.state == AlertState::Resolved) == (status == AlertStatus::Resolved)
    }

    /// Whether the alert counts as firing at `now`.
    pub fn is_firing(&self, now: Timestamp, refire_delay: Duration) -> bool {
        match self.state {
            AlertState::Firing | AlertState::Adopted | AlertState::ResolveHeld => true,
            AlertState::Resolved => false,
            AlertState::Refired { since } => now >= since.after(refire_delay),
        }
    }

    /// When a waiting firing begins to count, if nothing else is heard: the moment at which the page has to be looked at
    /// again.
    pub(crate) fn counts_from(&self, now: Timestamp, refire_delay: Duration) -> Option<Timestamp> {
        match self.state {
            AlertState::Refired { since } => Some(since.after(refire_delay)).filter(|moment| *moment > now),
            AlertState::Firing | AlertState::Adopted | AlertState::ResolveHeld | AlertState::Resolved => None,
        }
    }

    /// What the alert says of its target while it counts as firing.
    fn signal(&self) -> Signal {
        Signal {
            id: self.fingerprint.signal_id(),
            target: self.target.clone(),
            critical: self.critical,
            condition: Condition::Down,
            since: self.fires_since(),
            why: self.name.clone(),
        }
    }

    /// The same alert once it is known, other than by a resolve, that this occurrence is over.
    pub(crate) fn ended(&self, now: Timestamp) -> Self {
        Self { state: AlertState::Resolved, ends_at: Some(now), ..self.heard_of(now) }
    }

    /// The same alert, resolved: its held resolve was true.
    pub(crate) fn with_resolve_confirmed(&self, now: Timestamp) -> Self {
        Self { state: AlertState::Resolved, ..self.heard_of(now) }
    }

    /// The same alert without the resolve that came after Prometheus died at `died_at`; `None` if no resolve came after
    /// that.
    pub(crate) fn without_resolve_after(&self, died_at: Timestamp) -> Option<Self> {
        let state = match self.state {
            AlertState::Resolved => AlertState::ResolveHeld,
            // The resolve does not count, so the firing after it is no refire.
            AlertState::Refired { .. } => AlertState::Firing,
            AlertState::Firing | AlertState::ResolveHeld | AlertState::Adopted => return None,
        };
        self.ends_at.filter(|ends_at| *ends_at > died_at).map(|_| Self { state, ..self.clone() })
    }

    /// The same alert once it is known that a waiting firing is true, and fires since `starts_at`.
    pub(crate) fn confirmed(&self, starts_at: Timestamp, now: Timestamp) -> Self {
        // Cut, if it is in the future.
        let cut = if starts_at > self.starts_at { starts_at.min(now) } else { self.starts_at };
        Self { state: AlertState::Firing, starts_at: cut, reported_starts_at: starts_at, ..self.heard_of(now) }
    }

    fn heard_of(&self, now: Timestamp) -> Self {
        Self { last_seen_at: self.last_seen_at.max(now), ..self.clone() }
    }
}

/// The signals of the alerts, kept up to date by changes: a target is down while one of its alerts counts as firing.
///
/// Only what time changes is remembered here: the firings that follow their own resolve ([`AlertState::Refired`]).
#[derive(Debug, Default)]
pub struct AlertSignals {
    /// The refired alerts, by the time of the firing.
    refired: BTreeMap<(Timestamp, Fingerprint), AlertRecord>,
    /// The time under which each is in `refired`.
    since: HashMap<Fingerprint, Timestamp>,
    /// Refired alerts with a firing at or before this time count; `None` until the first [`Self::advance`].
    counted_until: Option<Timestamp>,
}

impl AlertSignals {
    /// Replaces what is known of an alert (`None`: it is resolved or forgotten). Returns its signal.
    pub fn set(&mut self, fingerprint: Fingerprint, record: Option<&AlertRecord>) -> (SignalId, Option<Signal>) {
        if let Some(since) = self.since.remove(&fingerprint) {
            self.refired.remove(&(since, fingerprint));
        }
        let signal = match record.map(|record| (record, record.state)) {
            None | Some((_, AlertState::Resolved)) => None,
            Some((record, AlertState::Refired { since })) => {
                self.since.insert(fingerprint, since);
                self.refired.insert((since, fingerprint), record.clone());
                self.counted_until.filter(|until| since <= *until).map(|_| record.signal())
            }
            Some((record, AlertState::Firing | AlertState::Adopted | AlertState::ResolveHeld)) => Some(record.signal()),
        };
        (fingerprint.signal_id(), signal)
    }

    /// The signals that change because it is `now`, or because another `refire_delay` is in force.
    pub fn advance(&mut self, refire_delay: Duration, now: Timestamp) -> Vec<(SignalId, Option<Signal>)> {
        let until = now.before(refire_delay);
        let Some(before) = self.counted_until.replace(until) else {
            let due = self.refired.range(..=Self::last_of(until));
            return due.map(|(_, record)| (record.fingerprint.signal_id(), Some(record.signal()))).collect();
        };
        let between =
            |earlier, later| self.refired.range((Excluded(Self::last_of(earlier)), Included(Self::last_of(later))));
        let due = (before < until).then(|| between(before, until));
        let early = (until < before).then(|| between(until, before));
        let due = due.into_iter().flatten().map(|(_, record)| (record.fingerprint.signal_id(), Some(record.signal())));
        due.chain(early.into_iter().flatten().map(|(_, record)| (record.fingerprint.signal_id(), None))).collect()
    }

    /// How many firings wait, as of the last [`Self::advance`].
    pub fn waiting(&self) -> usize {
        self.refired.len() - self.counted_until.map_or(0, |until| self.refired.range(..=Self::last_of(until)).count())
    }

    /// When the next firing counts, unless it is resolved before.
    pub fn changes_at(&self, refire_delay: Duration) -> Option<Timestamp> {
        let waiting = self.counted_until.map_or(Unbounded, |until| Excluded(Self::last_of(until)));
        self.refired.range((waiting, Unbounded)).next().map(|((since, _), _)| since.after(refire_delay))
    }

    /// The last key of those that fired at `moment`.
    const fn last_of(moment: Timestamp) -> (Timestamp, Fingerprint) {
        (moment, Fingerprint(u64::MAX))
    }
}

/// What the alerts say of their targets at `now`, computed from nothing.
pub fn signals(alerts: &[AlertRecord], refire_delay: Duration, now: Timestamp) -> Signals {
    let mut all = AlertSignals::default();
    all.advance(refire_delay, now);
    let signals = alerts.iter().filter_map(|alert| all.set(alert.fingerprint, Some(alert)).1).collect();
    Signals { signals, changes_at: all.changes_at(refire_delay) }
}

#[cfg(test)]
mod tests;
