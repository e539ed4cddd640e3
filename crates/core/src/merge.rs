//! What notifications change in what is stored of alerts and the watchdog.
//!
//! The store loads what a group of notifications is about into a [`Merge`], applies the notifications in the order of
//! their arrival, and saves what has changed in the same transaction.

use std::collections::{HashMap, HashSet};

use super::alert::{Alert, AlertRecord, Effect, Fingerprint};
use super::alert_limit::DEFAULT_MAX_ALERTS;
use super::expiry::{Evidence, Leases, ResolveRule, RoutedWatchdogs, WatchdogAlert, WatchdogVerdict};
use super::history::{AlertHappening, Source, Turn};
use super::repair::Repair;
use super::time::Timestamp;
use super::watchdog::Pulse;

/// The contents of one notification.
#[derive(Debug, Clone)]
pub struct Statements {
    /// Its alerts of the status page.
    pub alerts: Vec<Alert>,
    /// Its alerts of the watchdog.
    pub watchdogs: Vec<WatchdogAlert>,
    /// How its resolves are judged. `None`: every resolve counts.
    pub resolve_rule: Option<ResolveRule>,
    /// How many alerts are stored at most (`max_stored_alerts`). For a new alert, the oldest resolved one is forgotten; if
    /// no alert is resolved, the new one is not stored. Alerts that are stored already stay, even if they are more.
    pub max_stored: u32,
}

/// Nothing, within the default limit.
impl Default for Statements {
    fn default() -> Self {
        Self { alerts: Vec::new(), watchdogs: Vec::new(), resolve_rule: None, max_stored: DEFAULT_MAX_ALERTS }
    }
}

/// The result of recording one notification.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What each alert changed, in the order of [`Statements::alerts`].
    pub effects: Vec<Effect>,
    /// The corrections of other alerts that its watchdogs led to.
    pub repairs: Vec<Repair>,
    /// Whether it ended the absence of the watchdog.
    pub watchdog_is_back: bool,
}

/// What is stored, and what the notifications applied so far change of it.
#[derive(Debug)]
pub struct Merge<'a> {
    known: HashMap<Fingerprint, AlertRecord>,
    changed: HashMap<Fingerprint, AlertRecord>,
    /// The changed alerts in the order of their first change.
    order: Vec<Fingerprint>,
    inherited: Vec<AlertRecord>,
    leases: &'a Leases,
    /// What is known of the watchdog.
    pub pulse: Pulse,
    /// The watchdogs of notifications.
    pub routed: RoutedWatchdogs,
    history: Vec<AlertHappening>,
}

impl<'a> Merge<'a> {
    /// Begins with what is stored: of the alerts that the notifications name (`known`), the inherited alerts, and the
    /// watchdog.
    pub fn new(
        known: HashMap<Fingerprint, AlertRecord>,
        inherited: Vec<AlertRecord>,
        (pulse, routed): (Pulse, RoutedWatchdogs),
        leases: &'a Leases,
    ) -> Self {
        let (changed, order, history) = (HashMap::new(), Vec::new(), Vec::new());
        Self { known, changed, order, inherited, leases, pulse, routed, history }
    }

    /// Applies the watchdogs of a notification that arrived at `now`, and returns what they prove. If that may correct an
    /// alert, [`Self::correct`] is next, else [`Self::apply_alerts`].
    pub fn apply_watchdogs(&mut self, statements: &Statements, now: Timestamp) -> WatchdogVerdict {
        let Some(rule) = &statements.resolve_rule else { return WatchdogVerdict::default() };
        rule.observe_watchdogs(&statements.watchdogs, &mut self.pulse, &mut self.routed, now)
    }

    /// Corrects alerts by what the watchdogs prove. `correctable` are the stored alerts that this may concern.
    pub fn correct(&mut self, verdict: WatchdogVerdict, correctable: Vec<AlertRecord>, now: Timestamp) -> Vec<Repair> {
        self.known.extend(correctable.into_iter().map(|record| (record.fingerprint, record)));
        let unchanged = self.known.values().filter(|record| !self.changed.contains_key(&record.fingerprint));
        let current = unchanged.chain(self.changed.values());
        let repairs: Vec<Repair> = current.filter_map(|record| verdict.corrects(record, now)).collect();
        for Repair { record, reason } in &repairs {
            self.history.push(AlertHappening::of(record, Turn::of_repair(*reason), (*reason).into(), now));
            self.put(record.clone());
        }
        repairs
    }

    /// Applies the alerts of a notification that arrived at `now`, and returns what each changed.
    pub fn apply_alerts(&mut self, statements: &Statements, now: Timestamp) -> Vec<Effect> {
        let Statements { alerts, resolve_rule, .. } = statements;
        alerts.iter().map(|alert| self.apply_alert(resolve_rule.as_ref(), alert, now)).collect()
    }

    fn apply_alert(&mut self, rule: Option<&ResolveRule>, alert: &Alert, now: Timestamp) -> Effect {
        let inherited = self.inherited.iter().find(|record| record.is_inherited_of_ended(alert));
        let inherited = inherited.map(|record| record.identified_by(alert));
        let before = self.changed.get(&alert.fingerprint).or_else(|| self.known.get(&alert.fingerprint));
        let before = before.or(inherited.as_ref());
        let evidence = Evidence { pulse: self.pulse, routed: &self.routed, leases: self.leases };
        let (record, effect) = ResolveRule::observe(rule, before, alert, evidence, now);
        let turn = Turn::of_effect(effect);
        self.history.extend(turn.map(|turn| AlertHappening::of(&record, turn, Source::Notification, now)));
        self.put(record);
        effect
    }

    fn put(&mut self, record: AlertRecord) {
        let fingerprint = record.fingerprint;
        if self.changed.insert(fingerprint, record).is_none() {
            self.order.push(fingerprint);
        }
    }

    /// What was stored of the alerts concerned.
    pub fn known(&self) -> &HashMap<Fingerprint, AlertRecord> {
        &self.known
    }

    /// The alerts that were inherited from a page.
    pub fn inherited(&self) -> &[AlertRecord] {
        &self.inherited
    }

    /// The alerts to write, in the order of their first change: if there is no room for all new ones, the first are stored.
    pub fn changed(&self) -> impl Iterator<Item = &AlertRecord> {
        self.order.iter().filter_map(|fingerprint| self.changed.get(fingerprint))
    }

    /// The history to write, without the alerts that are not stored.
    pub fn history(&self, refused: &HashSet<Fingerprint>) -> Vec<AlertHappening> {
        let kept = self.history.iter().filter(|happening| !refused.contains(&happening.fingerprint));
        kept.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::alert::{AlertState, AlertStatus};
    use super::super::expiry::WatchdogSource;
    use super::super::repair::Reason;
    use super::super::target::{ComponentList, Target};
    use super::super::watchdog::Watchdog;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn alert(name: &str, status: AlertStatus) -> Alert {
        Alert {
            fingerprint: Fingerprint::of_text(name),
            name: name.to_owned(),
            target: Target::new("a", ComponentList::parse("Web").names).expect("a target"),
            critical: false,
            status,
            starts_at: NOW,
            ends_at: None,
        }
    }

    fn of(alerts: &[Alert]) -> Statements {
        Statements { alerts: alerts.to_vec(), ..Statements::default() }
    }

    fn merge(inherited: Vec<AlertRecord>, leases: &Leases) -> Merge<'_> {
        Merge::new(HashMap::new(), inherited, (Pulse::default(), RoutedWatchdogs::default()), leases)
    }

    #[test]
    fn a_notification_is_applied_on_what_the_one_before_it_changed() {
        let leases = Leases::default();
        let mut merge = merge(Vec::new(), &leases);
        let (a, b) = (alert("a", AlertStatus::Firing), alert("b", AlertStatus::Firing));
        assert_eq!(merge.apply_alerts(&of(&[a.clone(), b]), NOW), [Effect::Fired, Effect::Fired]);
        let over = Alert { status: AlertStatus::Resolved, ..a.clone() };
        assert_eq!(merge.apply_alerts(&of(&[over, a]), NOW), [Effect::Resolved, Effect::HeldRefire]);
        let changed: Vec<_> = merge.changed().map(|record| (record.name.as_str(), record.state)).collect();
        assert_eq!(changed, [("a", AlertState::Refired { since: NOW }), ("b", AlertState::Firing)]);
        let refused = HashSet::from([Fingerprint::of_text("a")]);
        let turns =
            |refused: &HashSet<_>| merge.history(refused).iter().map(|happening| happening.turn).collect::<Vec<_>>();
        assert_eq!(turns(&HashSet::new()), [Turn::Fired, Turn::Fired, Turn::Resolved, Turn::Held]);
        assert_eq!(turns(&refused), [Turn::Fired]);
    }

    #[test]
    fn a_resolve_ends_what_was_inherited_of_its_target_and_name() {
        let leases = Leases::default();
        let (record, _) = AlertRecord::observe(None, &alert("a", AlertStatus::Firing), NOW);
        let fingerprint = Fingerprint::of_text("of the page");
        let inherited = AlertRecord { fingerprint, state: AlertState::Inherited, ..record };
        let mut merge = merge(vec![inherited], &leases);
        let told = [alert("a", AlertStatus::Resolved), alert("b", AlertStatus::Resolved)];
        assert_eq!(merge.apply_alerts(&of(&told), NOW), [Effect::Resolved, Effect::ResolvedUnknown]);
    }

    #[test]
    fn watchdogs_correct_alerts_that_are_stored_and_alerts_that_have_just_changed() {
        let leases = Leases::default();
        let mut merge = merge(Vec::new(), &leases);
        let resolve_rule = Some(ResolveRule {
            watchdog: Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog"),
            source: WatchdogSource::Notifications,
            refire_hold: Duration::from_secs(300),
        });
        let (record, _) = AlertRecord::observe(None, &alert("stored", AlertStatus::Firing), NOW);
        let stored = record.ended(NOW);
        let just = [alert("just", AlertStatus::Firing), alert("just", AlertStatus::Resolved)];
        merge.apply_alerts(&of(&just), NOW);
        let watchdog = WatchdogAlert {
            fingerprint: Fingerprint::of_text("watchdog"),
            status: AlertStatus::Resolved,
            starts_at: NOW,
            ends_at: Some(NOW.after(Duration::from_secs(60))),
        };
        let statements = Statements { watchdogs: vec![watchdog], resolve_rule, ..Statements::default() };
        let verdict = merge.apply_watchdogs(&statements, NOW.after(Duration::from_secs(70)));
        assert!(verdict.died_at.is_some_and(|died_at| died_at < NOW) && verdict.may_correct());
        let repairs = merge.correct(verdict, vec![stored], NOW);
        let mut corrected: Vec<_> =
            repairs.iter().map(|repair| (repair.record.name.as_str(), repair.record.state, repair.reason)).collect();
        corrected.sort_by_key(|(name, ..)| *name);
        let (held, reason) = (AlertState::ResolveHeld, Reason::TakenBack);
        assert_eq!(corrected, [("just", held, reason), ("stored", held, reason)]);
        assert!(merge.known().contains_key(&Fingerprint::of_text("stored")), "it needs no room");
    }
}
