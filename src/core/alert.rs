//! What an arriving alert changes: the rules of repetition, order and echo.
//!
//! The fingerprint is the key. Between two statements about one fingerprint the newer `startsAt` wins, whatever its
//! status; within one `startsAt` a resolve wins. That is the join of a lattice, so order and repetition do not matter.
//! Order is evidence, not proof, so three exceptions are deliberate. A firing that comes *after* a resolve that it does
//! not outrank (the same `startsAt`, or an earlier one) is held, see [`AlertState::Refired`]. An occurrence may be
//! resolved under an earlier `startsAt` than it fired under, see [`Alert::ends_at`]. A `startsAt` in the future is cut
//! to the time of arrival: the clock of one host must not hide what fires later.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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
    /// Whether this is a resolve of the occurrence that was notified to begin at `starts_at`.
    fn ends_occurrence_of(&self, starts_at: Timestamp) -> bool {
        self.status == AlertStatus::Resolved
            && (self.starts_at == starts_at
                || self.starts_at < starts_at && self.ends_at.is_some_and(|ends_at| ends_at > starts_at))
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
    /// corrected one `group_interval` later. So it is held: it counts only once it stood for the hold time without a
    /// resolve, or once Alertmanager lists it as active.
    Refired {
        /// When the first such firing came.
        since: Timestamp,
    },
    /// It fires, and a resolve came that may be an expiry ([`super::expiry`]): Prometheus may be dead, and the outage go on.
    ///
    /// It counts as firing until the watchdog is heard again, or Alertmanager's list says more.
    ResolveHeld,
    /// It fires, as far as the page says that was there before us. Its fingerprint is not the true one: it ends with a
    /// statement about the same target and alert name.
    Inherited,
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
    /// The occurrence that is known last.
    pub starts_at: Timestamp,
    /// The `startsAt` of what fires. Earlier than `starts_at` if it fired again under an earlier `startsAt` than that of
    /// the resolve before it.
    pub first_starts_at: Timestamp,
    /// Where that occurrence stands.
    pub state: AlertState,
    /// When the resolve that ended it last, or is held, says that it ended.
    pub ends_at: Option<Timestamp>,
    /// When something was last heard of it.
    pub last_seen_at: Timestamp,
}

/// What a statement changed, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A new alert fires.
    Fired,
    /// A known alert fires again, as a new occurrence.
    FiredAgain,
    /// The alert has ended.
    Resolved,
    /// A resolve that may be an expiry: held until the watchdog is heard.
    HeldResolve,
    /// A firing that does not outrank the resolve before it: held for a while.
    HeldRefire,
    /// The held firing was taken back by another resolve.
    RefireWithdrawn,
    /// It said what was known.
    Repeated,
    /// It spoke of an occurrence older than the one that is known.
    Outdated,
    /// A resolve of an alert that never fired here; remembered, for its firing may come late.
    ResolvedUnknown,
}

impl AlertRecord {
    /// What is known after `alert` arrived at `now`, given what was known of its fingerprint.
    pub fn observe(known: Option<&Self>, alert: &Alert, now: Timestamp) -> (Self, Effect) {
        let known = known.map(Self::without_future);
        let known = known.as_ref();
        let arrived_at = known.map_or(now, |record| record.last_seen_at.max(now));
        let is_ahead = alert.starts_at > arrived_at;
        let cut = is_ahead.then(|| Alert { starts_at: arrived_at, ..alert.clone() });
        let alert = cut.as_ref().unwrap_or(alert);
        let starts_at = alert.starts_at;
        let (state, effect) = match (known, alert.status) {
            (None, AlertStatus::Firing) => (AlertState::Firing, Effect::Fired),
            (None, AlertStatus::Resolved) => (AlertState::Resolved, Effect::ResolvedUnknown),
            // Each repeat of a startsAt in the future would be cut to another time.
            (Some(record), status) if is_ahead && record.says(status) && record.state != AlertState::ResolveHeld => {
                return (record.heard_of(now), Effect::Repeated);
            }
            (Some(record), status) if starts_at > record.starts_at => match (record.state, status) {
                (_, AlertStatus::Firing) => (AlertState::Firing, Effect::FiredAgain),
                (AlertState::Resolved, AlertStatus::Resolved) => (AlertState::Resolved, Effect::ResolvedUnknown),
                (_, AlertStatus::Resolved) => (AlertState::Resolved, Effect::Resolved),
            },
            (Some(record), status) => return record.observe_known(alert, status, now),
        };
        let record = Self {
            fingerprint: alert.fingerprint,
            name: alert.name.clone(),
            target: alert.target.clone(),
            critical: alert.critical,
            starts_at,
            first_starts_at: starts_at,
            state,
            // A resolve of what never fired here ended nothing.
            ends_at: (effect == Effect::Resolved).then(|| alert.ends_at.unwrap_or(now)),
            last_seen_at: now,
        };
        (record, effect)
    }

    /// As [`Self::observe`], of a resolve that may be an expiry: what it would end is held.
    pub fn observe_unproven(
        known: Option<&Self>,
        resolve: &Alert,
        refire_hold: Duration,
        now: Timestamp,
    ) -> (Self, Effect) {
        let (record, effect) = Self::observe(known, resolve, now);
        let ends_what_fires = matches!(effect, Effect::Resolved | Effect::RefireWithdrawn)
            && known.is_some_and(|before| before.is_firing(now, refire_hold));
        if ends_what_fires {
            (Self { state: AlertState::ResolveHeld, ..record }, Effect::HeldResolve)
        } else {
            (record, effect)
        }
    }

    /// What was inherited of the alert that `alert` states, now that its true fingerprint and `startsAt` are known.
    pub fn identified_by(&self, alert: &Alert) -> Self {
        let (fingerprint, starts_at) = (alert.fingerprint, alert.starts_at);
        Self { fingerprint, starts_at, first_starts_at: starts_at, ..self.clone() }
    }

    /// Whether this is what was inherited of an alert that has ended, as `alert` says.
    pub fn is_inherited_of_ended(&self, alert: &Alert) -> bool {
        alert.status == AlertStatus::Resolved
            && self.state == AlertState::Inherited
            && self.target == alert.target
            && self.name == alert.name
    }

    /// What is known after a statement that is not newer than the occurrence that is known last.
    fn observe_known(&self, alert: &Alert, status: AlertStatus, now: Timestamp) -> (Self, Effect) {
        let (state, first_starts_at, effect) = match (self.state, status) {
            (AlertState::Resolved, AlertStatus::Firing) => {
                (AlertState::Refired { since: now }, alert.starts_at, Effect::HeldRefire)
            }
            // Of alerts that overlap, Alertmanager makes one with the earliest startsAt.
            (AlertState::Refired { .. }, AlertStatus::Firing) if alert.starts_at < self.first_starts_at => {
                let record = Self { first_starts_at: alert.starts_at, ..self.heard_of(now) };
                return (record, Effect::Repeated);
            }
            (AlertState::Firing | AlertState::Inherited | AlertState::ResolveHeld, AlertStatus::Resolved)
                if alert.ends_occurrence_of(self.first_starts_at) =>
            {
                (AlertState::Resolved, self.first_starts_at, Effect::Resolved)
            }
            (AlertState::ResolveHeld, AlertStatus::Firing) => {
                (AlertState::Firing, self.first_starts_at.min(alert.starts_at), Effect::Repeated)
            }
            (AlertState::Refired { .. }, AlertStatus::Resolved) if alert.ends_occurrence_of(self.first_starts_at) => {
                (AlertState::Resolved, self.first_starts_at, Effect::RefireWithdrawn)
            }
            (_, status) => {
                let is_told = (self.first_starts_at..=self.starts_at).contains(&alert.starts_at);
                let effect = if is_told && self.says(status) { Effect::Repeated } else { Effect::Outdated };
                return (self.heard_of(now), effect);
            }
        };
        let record = Self {
            name: alert.name.clone(),
            target: alert.target.clone(),
            critical: alert.critical,
            first_starts_at,
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

    /// The same alert, its `startsAt` cut to the time of arrival. Earlier versions stored a `startsAt` in the future.
    fn without_future(&self) -> Self {
        let starts_at = self.starts_at.min(self.last_seen_at);
        Self { starts_at, first_starts_at: self.first_starts_at.min(starts_at), ..self.clone() }
    }

    /// Whether the alert counts as firing at `now`.
    pub fn is_firing(&self, now: Timestamp, refire_hold: Duration) -> bool {
        match self.state {
            AlertState::Firing | AlertState::Inherited | AlertState::ResolveHeld => true,
            AlertState::Resolved => false,
            AlertState::Refired { since } => now >= since.after(refire_hold),
        }
    }

    /// When a held firing begins to count, if nothing else is heard: the moment at which the page has to be looked at
    /// again.
    pub fn counts_from(&self, now: Timestamp, refire_hold: Duration) -> Option<Timestamp> {
        match self.state {
            AlertState::Refired { since } => Some(since.after(refire_hold)).filter(|moment| *moment > now),
            AlertState::Firing | AlertState::Inherited | AlertState::ResolveHeld | AlertState::Resolved => None,
        }
    }

    /// The same alert once it is known, other than by a resolve, that this occurrence is over.
    pub fn ended(&self, now: Timestamp) -> Self {
        Self { state: AlertState::Resolved, ends_at: Some(now), ..self.heard_of(now) }
    }

    /// The same alert once it is known that the resolve that was held is true.
    pub fn with_resolve_confirmed(&self, now: Timestamp) -> Self {
        Self { state: AlertState::Resolved, ..self.heard_of(now) }
    }

    /// The same alert once it is known that Prometheus died at `died_at`; `None` if it did not end after that.
    pub fn taken_back(&self, died_at: Timestamp) -> Option<Self> {
        let state = match self.state {
            AlertState::Resolved => AlertState::ResolveHeld,
            // It did not end, so what came after that is no second firing.
            AlertState::Refired { .. } => AlertState::Firing,
            AlertState::Firing | AlertState::ResolveHeld | AlertState::Inherited => return None,
        };
        self.ends_at.filter(|ends_at| *ends_at > died_at).map(|_| Self { state, ..self.clone() })
    }

    /// The same alert once it is known that a held firing is true, and fires since `starts_at`.
    pub fn confirmed(&self, starts_at: Timestamp, now: Timestamp) -> Self {
        let first_starts_at = starts_at.min(self.starts_at);
        Self { state: AlertState::Firing, first_starts_at, ..self.heard_of(now) }
    }

    fn heard_of(&self, now: Timestamp) -> Self {
        Self { last_seen_at: self.last_seen_at.max(now), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::target::ComponentList;
    use super::*;

    const HOLD: Duration = Duration::from_secs(300);

    fn alert(status: AlertStatus, starts_at: i64) -> Alert {
        Alert {
            fingerprint: "e029c70b1b64731f".parse().expect("fingerprint"),
            name: "TargetDown".to_owned(),
            target: Target::new("10.0.0.5:9100", ComponentList::parse("Database").names).expect("target"),
            critical: false,
            status,
            starts_at: Timestamp::from_millis(starts_at),
            ends_at: None,
        }
    }

    fn firing(starts_at: i64) -> Alert {
        alert(AlertStatus::Firing, starts_at)
    }

    fn resolved(starts_at: i64) -> Alert {
        alert(AlertStatus::Resolved, starts_at)
    }

    fn lasted(starts_at: i64, ends_at: i64) -> Alert {
        Alert { ends_at: Some(Timestamp::from_millis(ends_at)), ..resolved(starts_at) }
    }

    /// What is known after `alerts` arrived, one a second from second 1, and what the last one changed.
    fn after(alerts: &[Alert]) -> (AlertRecord, Effect) {
        let mut known = None;
        for (second, alert) in alerts.iter().enumerate() {
            let now = Timestamp::from_millis(1000 * i64::try_from(second + 1).expect("few"));
            known = Some(AlertRecord::observe(known.as_ref().map(|(record, _)| record), alert, now));
        }
        known.expect("at least one alert")
    }

    fn is_firing_soon(alerts: &[Alert]) -> bool {
        let (record, _) = after(alerts);
        record.is_firing(record.last_seen_at, HOLD)
    }

    #[test]
    fn a_firing_fires_and_its_resolve_ends_it() {
        assert!(is_firing_soon(&[firing(1)]));
        assert!(!is_firing_soon(&[firing(1), resolved(1)]));
    }

    #[test]
    fn a_repeat_changes_nothing() {
        assert_eq!(after(&[firing(1), firing(1)]).1, Effect::Repeated);
        assert_eq!(after(&[firing(1), resolved(1), resolved(1)]).1, Effect::Repeated);
    }

    #[test]
    fn a_resolve_of_an_unknown_alert_changes_nothing_and_makes_its_late_firing_suspect() {
        assert_eq!(after(&[resolved(1)]).1, Effect::ResolvedUnknown);
        assert!(!is_firing_soon(&[resolved(1), firing(1)]));
    }

    #[test]
    fn a_newer_occurrence_wins_whatever_its_status() {
        assert!(is_firing_soon(&[resolved(1), firing(2)]));
        // resolved and fired again between two flushes: only the second resolve arrives (recording 16)
        assert!(!is_firing_soon(&[firing(1), resolved(2)]));
    }

    #[test]
    fn an_older_occurrence_is_ignored() {
        assert_eq!(after(&[firing(2), resolved(1)]).1, Effect::Outdated);
        assert!(is_firing_soon(&[firing(2), resolved(1)]));
        assert!(!is_firing_soon(&[resolved(2), firing(1)]));
    }

    #[test]
    fn a_resolve_that_spans_the_known_beginning_ends_that_occurrence() {
        assert_eq!(after(&[firing(2), lasted(1, 3)]).1, Effect::Resolved);
        let (record, effect) = after(&[firing(2), lasted(1, 3), firing(2)]);
        assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2), Effect::HeldRefire));
        assert_eq!(after(&[firing(2), lasted(1, 3), firing(2), lasted(1, 3)]).1, Effect::RefireWithdrawn);
        // two members of a cluster that heard of it in another order
        assert!(!is_firing_soon(&[firing(1), firing(2), lasted(1, 3)]));
    }

    /// Nothing tells it from an echo, so it is held as that of any other alert is.
    #[test]
    fn what_ended_under_an_earlier_beginning_may_fire_again_under_it() {
        for told in [&[firing(2), lasted(1, 3)][..], &[firing(2), resolved(2), lasted(1, 3)]] {
            let (record, effect) = after(&[told, &[firing(1)]].concat());
            assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2), Effect::HeldRefire));
            assert!(record.is_firing(record.last_seen_at.after(HOLD), HOLD));
            assert_eq!(after(&[told, &[firing(1), lasted(1, 4)]].concat()).1, Effect::RefireWithdrawn);
            assert_eq!(after(&[told, &[firing(1), firing(2)]].concat()).1, Effect::Repeated);
        }
    }

    /// One Prometheus of a pair fired later than the other and is over; the other one still fires.
    #[test]
    fn a_firing_under_an_earlier_beginning_than_the_resolve_is_a_refire() {
        let told = [firing(2), resolved(2), firing(1)];
        let (record, effect) = after(&told);
        assert_eq!(effect, Effect::HeldRefire);
        assert!(record.is_firing(record.last_seen_at.after(HOLD), HOLD));
        for later in [&[resolved(2)][..], &[lasted(2, 3)], &[firing(2), resolved(2)]] {
            let (record, effect) = after(&[&told[..], later].concat());
            assert_eq!(effect, Effect::Outdated, "{later:?}");
            assert!(record.is_firing(record.last_seen_at.after(HOLD), HOLD), "{later:?}");
        }
        assert_eq!(after(&[&told[..], &[resolved(1)]].concat()).1, Effect::RefireWithdrawn);
        let echo_first = [firing(2), resolved(2), firing(2), firing(1), resolved(2)];
        assert!(matches!(after(&echo_first).0.state, AlertState::Refired { .. }));
    }

    #[test]
    fn what_fires_stays_as_it_is_when_an_earlier_beginning_is_told() {
        let (record, _) = after(&[firing(2), firing(1)]);
        assert_eq!(AlertRecord { last_seen_at: Timestamp::from_millis(1000), ..record }, after(&[firing(2)]).0);
    }

    #[test]
    fn a_beginning_in_the_future_is_cut_to_the_time_of_arrival() {
        const AHEAD: i64 = 86_400_000;
        let (record, effect) = after(&[firing(AHEAD), firing(AHEAD)]);
        assert_eq!((record.starts_at, effect), (Timestamp::from_millis(1000), Effect::Repeated));
        assert!(!is_firing_soon(&[firing(AHEAD), resolved(AHEAD)]));
        // the clock is right again
        assert!(is_firing_soon(&[firing(AHEAD), resolved(AHEAD), firing(2500)]));
        assert!(!is_firing_soon(&[firing(AHEAD), resolved(AHEAD), firing(2500), resolved(2500)]));
    }

    #[test]
    fn a_beginning_in_the_future_that_an_earlier_version_stored_hides_nothing() {
        let future = Timestamp::from_millis(86_400_000);
        let (ended, _) = after(&[firing(1), resolved(1)]);
        let stored = AlertRecord { starts_at: future, first_starts_at: future, ..ended };
        let (record, effect) = AlertRecord::observe(Some(&stored), &firing(2500), Timestamp::from_millis(3000));
        assert_eq!((record.starts_at, effect), (Timestamp::from_millis(2500), Effect::FiredAgain));
    }

    #[test]
    fn a_late_resolve_of_an_occurrence_that_ended_before_is_ignored() {
        assert_eq!(after(&[firing(3), lasted(1, 2)]).1, Effect::Outdated);
        assert_eq!(after(&[firing(3), lasted(1, 3)]).1, Effect::Outdated);
        // as Go writes a time that is not set
        assert_eq!(after(&[firing(3), lasted(1, -62_135_596_800_000)]).1, Effect::Outdated);
    }

    #[test]
    fn a_late_firing_does_not_undo_a_resolve_until_it_stood_for_the_hold_time() {
        let (record, effect) = after(&[firing(1), resolved(1), firing(1)]);
        assert_eq!(effect, Effect::HeldRefire);
        let held_since = Timestamp::from_millis(3000);
        let due = held_since.after(HOLD);
        assert!(!record.is_firing(held_since, HOLD));
        assert_eq!(record.counts_from(held_since, HOLD), Some(due));
        assert!(!record.is_firing(Timestamp::from_millis(due.as_millis() - 1), HOLD));
        assert!(record.is_firing(due, HOLD));
        assert_eq!(record.counts_from(due, HOLD), None);
    }

    #[test]
    fn a_repeated_echo_does_not_prolong_the_hold() {
        let (record, _) = after(&[firing(1), resolved(1), firing(1), firing(1), firing(1)]);
        assert_eq!(record.state, AlertState::Refired { since: Timestamp::from_millis(3000) });
    }

    #[test]
    fn the_other_members_resolve_takes_the_echo_back() {
        let (record, effect) = after(&[firing(1), resolved(1), firing(1), resolved(1)]);
        assert_eq!(effect, Effect::RefireWithdrawn);
        assert!(!record.is_firing(Timestamp::from_millis(i64::MAX), HOLD));
    }

    #[test]
    fn fingerprints_are_sixteen_hexadecimal_digits() {
        let fingerprint: Fingerprint = "00ff00ff00ff00ff".parse().expect("valid");
        assert_eq!(fingerprint.to_string(), "00ff00ff00ff00ff");
        for text in
            ["", "e029c70b1b64731", "e029c70b1b64731ff", "+029c70b1b64731f", "g029c70b1b64731f", "é029c70b1b6473"]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_text_stands_for_the_same_alert_in_every_release() {
        // the published vectors of FNV-1a; another number would inherit the same alert twice after an upgrade
        for (text, fingerprint) in [("", "cbf29ce484222325"), ("a", "af63dc4c8601ec8c"), ("foobar", "85944171f73967e8")]
        {
            assert_eq!(Fingerprint::of_text(text).to_string(), fingerprint);
        }
    }

    fn statements() -> impl Strategy<Value = Vec<Alert>> {
        let statement = (any::<bool>(), 1..5_i64).prop_map(
            |(fires, starts_at)| {
                if fires { firing(starts_at) } else { resolved(starts_at) }
            },
        );
        prop::collection::vec(statement, 1..12)
    }

    proptest! {
        #[test]
        fn any_order_and_repetition_of_the_same_statements_ends_alike(
            (told, retold) in statements().prop_flat_map(|told| {
                let repeated: Vec<Alert> = told.iter().chain(&told).cloned().collect();
                (Just(told), Just(repeated).prop_shuffle())
            })
        ) {
            prop_assert_eq!(after(&told).0.starts_at, after(&retold).0.starts_at);
            prop_assert_eq!(is_firing_soon(&told), is_firing_soon(&retold));
        }

        #[test]
        fn the_last_occurrence_alone_decides(told in statements()) {
            let newest = told.iter().map(|alert| alert.starts_at).max().expect("not empty");
            let resolved = told.iter().any(|alert| alert.starts_at == newest && alert.status == AlertStatus::Resolved);
            prop_assert_eq!(is_firing_soon(&told), !resolved);
        }
    }
}
