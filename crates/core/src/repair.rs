//! What Alertmanager's own list corrects: the notifications that never came.
//!
//! Alertmanager never resolves what ends while it is silenced, cuts long notifications off, and forgets what fired and
//! ended while we were away. So its list is read now and then, and the stored alerts are made to agree. To be in the
//! list proves that an alert has not ended, whoever lists it. *Not* to be in it proves less: see [`Member`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use super::config::AlertConfig;
use super::expiry::{Leases, WatchdogSent};
use super::history::{AlertEvent, AlertEventKind, Source};
use super::listing::{ListedAlert, Standing};
use super::merge::AdoptedAlerts;
use super::time::Timestamp;

/// One reading of every member of an Alertmanager cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// When it began. What was heard of an alert since then may be newer than what was read.
    pub began_at: Timestamp,
    /// What each member said.
    pub members: Vec<Member>,
    /// The watchdog in these lists.
    pub watchdog: WatchdogListing,
}

/// The watchdog in the lists of all members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WatchdogListing {
    /// No watchdog is configured, so Prometheus is assumed to be alive.
    #[default]
    NotConfigured,
    /// No member lists it.
    Unlisted,
    /// At least one member lists it: the latest sending.
    Sent(WatchdogSent),
}

/// What a member of the cluster said. One that could not be read said nothing: it is none of [`Poll::members`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// How long it has been running. Alertmanager keeps no alerts across a restart, and Prometheus takes a while to tell it
    /// again; until then its list lacks alerts that fire.
    pub up_for: Duration,
    /// The alerts that have not ended.
    pub listed: Vec<ListedAlert>,
}

/// The firing alerts that no member listed in the readings so far, each with the beginning of the first of these in a
/// row.
pub type Missing = BTreeMap<Fingerprint, Timestamp>;

/// What a poll corrects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The alerts to correct, each once.
    pub repairs: Vec<Repair>,
    /// What the next poll has to know.
    pub missing: Missing,
    /// How many listed alerts are not stored, because the limit on stored alerts is reached (`max_stored_alerts`).
    pub over_limit: usize,
}

/// One alert to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// What is known of it from now on.
    pub record: AlertRecord,
    /// Why.
    pub reason: Reason,
}

impl Repair {
    /// The entry of the history for this repair at `now`.
    pub fn event(&self, now: Timestamp) -> AlertEvent {
        AlertEvent::of(&self.record, AlertEventKind::of_repair(self.reason), Source::Repair(self.reason), now)
    }
}

/// Why an alert is corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// It is listed, and no notification of it came.
    Unnotified,
    /// It is listed as a newer occurrence than the one that was notified.
    UnnotifiedAgain,
    /// It is listed as active after its resolve came: it truly fires.
    Reappeared,
    /// Its firing waited, or its resolve was held, and it is listed: it truly fires.
    Confirmed,
    /// Its firing waited, and is not listed: it was the echo of an HA pair.
    Refuted,
    /// It fired, and no member listed it twice in a row.
    Unlisted,
    /// Its held resolve is true: the watchdog was received again, or no watchdog is configured any more.
    ResolveConfirmed,
    /// Its resolve was an expiry: Prometheus had died before.
    TakenBack,
    /// Nothing was heard of it for `stale_after_seconds`.
    Stale,
}

impl Reason {
    /// The word for it in the history and in metrics.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// As it stands in the log, behind the alert's name.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unnotified => "fires: Alertmanager lists it, and no notification of it came",
            Self::UnnotifiedAgain => "fires again: Alertmanager lists it with a newer startsAt than was notified",
            Self::Reappeared => "fires again: Alertmanager lists it as active after its resolve",
            Self::Confirmed => "fires: Alertmanager lists it, so it is no longer held",
            Self::Refuted => "does not fire again: it was held, and Alertmanager does not list it",
            Self::Unlisted => "has ended: Alertmanager did not list it twice in a row, and no resolve came",
            Self::ResolveConfirmed => "has ended: its held resolve is confirmed",
            Self::TakenBack => "still fires: Prometheus died before the resolve, so Alertmanager made it by itself",
            Self::Stale => "is taken to have ended: nothing was heard of it for stale_after_seconds",
        })
    }
}

/// What the members together say of a listed alert: its newest active occurrence, or that it is suppressed.
type Sighting<'a> = Option<&'a Alert>;

impl Poll {
    /// Every alert that a member lists; one that several list comes several times.
    pub fn listed(&self) -> impl Iterator<Item = &ListedAlert> {
        self.members.iter().flat_map(|member| &member.listed)
    }

    fn sightings(&self, stored: &[Arc<AlertRecord>]) -> BTreeMap<Fingerprint, Sighting<'_>> {
        // What was adopted from a page fires already, so being suppressed does not keep it from that.
        let adopted = AdoptedAlerts::of(stored.iter().map(Arc::as_ref));
        let is_adopted = |alert: &Alert| adopted.about(&alert.name, &alert.target).is_some();
        let mut sightings: BTreeMap<Fingerprint, Sighting<'_>> = BTreeMap::new();
        for ListedAlert { alert, standing, .. } in self.listed() {
            let sighting = sightings.entry(alert.fingerprint).or_default();
            // A member that does not suppress it sends its notifications, so it counts as active.
            let counts = *standing == Standing::Active || is_adopted(alert);
            if counts && sighting.is_none_or(|seen| seen.starts_at < alert.starts_at) {
                *sighting = Some(alert);
            }
        }
        sightings
    }

    /// The known leases after this reading: the listed ones. An alert that fires and is no longer listed keeps its lease
    /// from `before`.
    pub fn leases_after(&self, before: &Leases, stored: &[Arc<AlertRecord>]) -> Leases {
        let mut leases = Leases::default();
        for ListedAlert { alert, lease, .. } in self.listed() {
            if let Some(lease) = lease {
                leases.of_alerts.entry(alert.fingerprint).or_default().push(*lease);
            }
        }
        for record in stored.iter().filter(|record| record.state != AlertState::Resolved) {
            if let Some(known) = before.of_alerts.get(&record.fingerprint) {
                leases.of_alerts.entry(record.fingerprint).or_insert_with(|| known.clone());
            }
        }
        leases.of_watchdog = match self.watchdog {
            WatchdogListing::Sent(sent) => sent.lease,
            WatchdogListing::NotConfigured | WatchdogListing::Unlisted => before.of_watchdog,
        };
        leases
    }
}

/// The corrections of the stored alerts by `poll`. `stored` holds every alert that is not resolved, and every listed one.
/// `missing` is the result of the previous poll, `leases` the known leases before this one.
pub fn plan(
    poll: &Poll,
    stored: &[Arc<AlertRecord>],
    missing: &Missing,
    leases: &Leases,
    config: &AlertConfig,
) -> Plan {
    let sightings = poll.sightings(stored);
    let known: BTreeMap<Fingerprint, &AlertRecord> =
        stored.iter().map(|record| (record.fingerprint, &**record)).collect();
    // What was heard of an alert since the reading began is newer than the reading; the next one will tell.
    let is_outdated = |record: &AlertRecord| record.last_seen_at >= poll.began_at;
    let listed = sightings.iter().filter_map(|(fingerprint, sighting)| {
        let record = known.get(fingerprint).copied();
        if record.is_some_and(is_outdated) { None } else { seen(record, *sighting, poll) }
    });
    let mut plan = Plan { repairs: listed.collect(), ..Plan::default() };
    // "In a row" means that a poll that proves nothing starts the count anew.
    if !poll.members.iter().any(|member| member.up_for >= config.settle) {
        return plan;
    }
    let unlisted = known.values().filter(|record| !sightings.contains_key(&record.fingerprint));
    for record in unlisted.filter(|record| !is_outdated(record)) {
        let held_end = record.ends_at.filter(|_| record.state == AlertState::ResolveHeld);
        // Whether a held resolve is true: Prometheus was alive at its `endsAt`, and its `endsAt` is not the end of the lease. An
        // unknown lease, as after our restart, confirms nothing. And whether Prometheus is alive, so that an alert that
        // vanished from the list has ended: a dead Prometheus no longer sends it either.
        let (is_confirmed, is_alive) = match poll.watchdog {
            WatchdogListing::NotConfigured => (held_end.is_some(), true),
            WatchdogListing::Unlisted => (false, false),
            WatchdogListing::Sent(sent) => {
                let sent = leases.for_alert(record.fingerprint, sent);
                let is_true = |ends_at: Timestamp| {
                    sent.proves_resolve(ends_at) && leases.ends_at(record.fingerprint, ends_at) == Some(false)
                };
                (held_end.is_some_and(is_true), sent.is_alive(poll.began_at))
            }
        };
        if is_confirmed {
            let record = record.with_resolve_confirmed(poll.began_at);
            plan.repairs.push(Repair { record, reason: Reason::ResolveConfirmed });
        } else {
            unseen(record, poll.began_at, is_alive, missing, config, &mut plan);
        }
    }
    plan
}

/// The moment such that what was heard of last before it has ended, where nothing but the clock can tell: `longest` ago.
/// `None` as long as we have not listened for so long ourselves; while nobody listened, silence says nothing.
pub fn stale_before(now: Timestamp, listening_since: Timestamp, longest: Duration) -> Option<Timestamp> {
    Some(now.before(longest)).filter(|limit| *limit >= listening_since)
}

/// The end of an alert that was last heard of before `limit` ([`stale_before`]); `None` if it was heard of since.
pub fn stale(record: &AlertRecord, limit: Timestamp) -> Option<Repair> {
    // `last_seen_at` stays: this is no notification of the alert.
    let ended = || record.ended(record.last_seen_at);
    (record.last_seen_at < limit).then(|| Repair { record: ended(), reason: Reason::Stale })
}

/// The end of an alert whose resolve is held, where no watchdog is configured that could confirm it.
pub fn resolved_without_watchdog(record: &AlertRecord, now: Timestamp) -> Option<Repair> {
    let resolved = || record.with_resolve_confirmed(now);
    (record.state == AlertState::ResolveHeld).then(|| Repair { record: resolved(), reason: Reason::ResolveConfirmed })
}

/// What follows from an alert's being listed. One that is suppressed everywhere keeps the state that it has: a silence
/// neither reddens the page nor greens it.
fn seen(known: Option<&AlertRecord>, sighting: Sighting<'_>, poll: &Poll) -> Option<Repair> {
    let alert = sighting?;
    let (record, effect) = AlertRecord::observe(known, alert, poll.began_at);
    let was_held = known.is_some_and(|known| known.state == AlertState::ResolveHeld);
    let reason = match effect {
        Effect::Fired => Reason::Unnotified,
        Effect::FiredAgain => Reason::UnnotifiedAgain,
        Effect::Refired => Reason::Reappeared,
        Effect::Repeated | Effect::Outdated if was_held || matches!(record.state, AlertState::Refired { .. }) => {
            Reason::Confirmed
        }
        // Nothing that is listed is a resolve.
        Effect::Repeated
        | Effect::Outdated
        | Effect::Resolved
        | Effect::HeldResolve
        | Effect::RefireWithdrawn
        | Effect::ResolvedUnknown
        | Effect::OverLimit => return None,
    };
    // The list is proof: what waits or is held counts at once.
    let record = match record.state {
        AlertState::Refired { .. } => record.confirmed(alert.starts_at, poll.began_at),
        AlertState::Firing | AlertState::ResolveHeld | AlertState::Resolved | AlertState::Adopted => record,
    };
    Some(Repair { record, reason })
}

/// Handles an alert that no member lists at `now`; at least one member is up for long enough to prove it. `is_alive`:
/// Prometheus is known to be alive.
fn unseen(
    record: &AlertRecord,
    now: Timestamp,
    is_alive: bool,
    missing: &Missing,
    config: &AlertConfig,
    plan: &mut Plan,
) {
    if record.state == AlertState::Resolved {
        return;
    }
    if !record.is_firing(now, config.refire_delay) {
        // It does not count yet, so the page does not change.
        plan.repairs.push(Repair { record: record.ended(now), reason: Reason::Refuted });
        return;
    }
    // What was heard between two readings starts the count anew, and so does a clock that was set back between them.
    let first = missing.get(&record.fingerprint).copied();
    let first = first.filter(|first| *first > record.last_seen_at && *first <= now);
    match first {
        // The watchdog is late: this reading proves nothing, and it does not restart the count either.
        first if !is_alive => plan.missing.extend(first.map(|first| (record.fingerprint, first))),
        // Readings on demand come at any time, and must not make two of a single gap.
        Some(first) if now >= first.after(config.poll / 2) => {
            let (record, reason) = match record.state {
                AlertState::ResolveHeld => (record.with_resolve_confirmed(now), Reason::ResolveConfirmed),
                _ => (record.ended(now), Reason::Unlisted),
            };
            plan.repairs.push(Repair { record, reason });
        }
        first => drop(plan.missing.insert(record.fingerprint, first.unwrap_or(now))),
    }
}

#[cfg(test)]
mod tests;
