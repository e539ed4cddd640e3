//! What notifications change in what is stored of alerts and the watchdog, and which of the alerts are stored.
//!
//! The store loads what a group of notifications is about into a [`Merge`], applies the notifications in the order of
//! their arrival, and saves what has changed in the same transaction, within the limit on stored alerts ([`NewAlerts`]).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::alert::{Alert, AlertRecord, AlertState, AlertStatus, Effect, Fingerprint};
use super::expiry::{Evidence, ResolveRule, WatchdogAlert, WatchdogVerdict};
use super::history::{AlertEvent, AlertEventKind, Source};
use super::repair::Repair;
use super::target::Target;
use super::time::Timestamp;

/// The default of `max_stored_alerts`: how many alerts are stored at most.
pub const DEFAULT_MAX_ALERTS: u32 = 100_000;

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
    /// Whether there is anything new for whoever follows the alerts; when one was last heard of is not.
    pub is_news: bool,
    /// Whether it was written to the database. A mere repeat is not, so it does not show that anything can be.
    pub is_written: bool,
}

/// What is stored, and what the notifications applied so far change of it.
#[derive(Debug)]
pub struct Merge<'a> {
    /// What was stored of the alerts concerned.
    pub known: HashMap<Fingerprint, Arc<AlertRecord>>,
    /// The alerts that were adopted from a page.
    pub adopted: Vec<AlertRecord>,
    /// What is known of the watchdog, by which resolves are judged.
    pub evidence: Evidence<'a>,
    changed: HashMap<Fingerprint, Arc<AlertRecord>>,
    /// The changed alerts in the order of their first change.
    order: Vec<Fingerprint>,
    history: Vec<AlertEvent>,
}

impl<'a> Merge<'a> {
    /// Begins with what is stored: of the alerts that the notifications name (`known`), the adopted alerts, and the
    /// watchdog.
    pub fn new(
        known: HashMap<Fingerprint, Arc<AlertRecord>>,
        adopted: Vec<AlertRecord>,
        evidence: Evidence<'a>,
    ) -> Self {
        let (changed, order, history) = (HashMap::new(), Vec::new(), Vec::new());
        Self { known, adopted, evidence, changed, order, history }
    }

    /// Applies the watchdogs of a notification that arrived at `now`, and returns what they prove. [`Self::apply`] is next.
    pub fn observe_watchdogs(&mut self, statements: &Statements, now: Timestamp) -> WatchdogVerdict {
        let Some(rule) = &statements.resolve_rule else { return WatchdogVerdict::default() };
        rule.observe_watchdogs(&statements.watchdogs, &mut self.evidence, now)
    }

    /// Corrects alerts by what the watchdogs of a notification prove, then applies its alerts. `correctable` are the
    /// stored alerts that the verdict may concern; the notification arrived at `now`.
    pub fn apply(
        &mut self,
        statements: &Statements,
        verdict: WatchdogVerdict,
        correctable: Vec<Arc<AlertRecord>>,
        now: Timestamp,
    ) -> Recorded {
        self.known.extend(correctable.into_iter().map(|record| (record.fingerprint, record)));
        let unchanged = self.known.values().filter(|record| !self.changed.contains_key(&record.fingerprint));
        let current = unchanged.chain(self.changed.values());
        let repairs: Vec<Repair> = if verdict.may_correct() {
            current.filter_map(|record| verdict.corrects(record, now)).collect()
        } else {
            Vec::new()
        };
        for repair in &repairs {
            self.history.push(repair.event(now));
            self.put(repair.record.clone());
        }
        let stored_adopted = std::mem::take(&mut self.adopted);
        let adopted = AdoptedAlerts::of(&stored_adopted);
        let (mut effects, mut is_news) = (Vec::with_capacity(statements.alerts.len()), !repairs.is_empty());
        for alert in &statements.alerts {
            // What was adopted of an alert that has ended, under its true fingerprint and `startsAt`.
            let ends = (alert.status == AlertStatus::Resolved).then_some(alert);
            let adopted = ends.and_then(|alert| adopted.about(&alert.name, &alert.target)).map(|record| {
                let (fingerprint, starts_at) = (alert.fingerprint, alert.starts_at);
                AlertRecord { fingerprint, starts_at, reported_starts_at: starts_at, ..record.clone() }
            });
            let before = self.changed.get(&alert.fingerprint).or_else(|| self.known.get(&alert.fingerprint));
            let before = before.map(Arc::as_ref).or(adopted.as_ref());
            let rule = statements.resolve_rule.as_ref();
            let (record, effect) = ResolveRule::observe(rule, before, alert, &self.evidence, now);
            let kind = AlertEventKind::of_effect(effect);
            is_news |= before.is_none_or(|before| !record.repeats(before));
            self.history.extend(kind.map(|kind| AlertEvent::of(&record, kind, Source::Notification, now)));
            self.put(record);
            effects.push(effect);
        }
        self.adopted = stored_adopted;
        Recorded { effects, repairs, watchdog_is_back: verdict.is_back, is_news, is_written: false }
    }

    fn put(&mut self, record: AlertRecord) {
        let fingerprint = record.fingerprint;
        if self.changed.insert(fingerprint, Arc::new(record)).is_none() {
            self.order.push(fingerprint);
        }
    }

    /// The alerts to write, in the order of their first change: if there is no room for all new ones, the first are stored.
    pub fn touched(&self) -> impl Iterator<Item = &Arc<AlertRecord>> {
        self.order.iter().filter_map(|fingerprint| self.changed.get(fingerprint))
    }

    /// The history to write, without the alerts that are not stored.
    pub fn history(&self, refused: &HashSet<Fingerprint>) -> Vec<AlertEvent> {
        let kept = self.history.iter().filter(|event| !refused.contains(&event.fingerprint));
        kept.cloned().collect()
    }
}

/// New alerts, by whether they need room of their own.
#[derive(Debug, PartialEq, Eq)]
pub struct NewAlerts<'a> {
    /// For each adopted alert, the first new one that is about the same. It takes the place of the adopted one ([`superseded`]), so
    /// it is always stored.
    pub replacing: Vec<&'a AlertRecord>,
    /// The others, which are stored within the limit.
    pub additional: Vec<&'a AlertRecord>,
}

impl<'a> NewAlerts<'a> {
    /// Divides `new` alerts, in order of arrival, where `adopted` ones are stored.
    pub fn divide(new: Vec<&'a AlertRecord>, adopted: &[AlertRecord]) -> Self {
        let (adopted, mut replaced) = (AdoptedAlerts::of(adopted), BTreeSet::new());
        let (replacing, additional) = new.into_iter().partition(|record| {
            let adopted = adopted.about(&record.name, &record.target);
            adopted.is_some_and(|adopted| replaced.insert(adopted.fingerprint))
        });
        Self { replacing, additional }
    }

    /// How many resolved alerts have to be forgotten to store all of them beside `stored` ones, `max` at most. The ones
    /// that were heard of least recently go first.
    pub fn excess(&self, stored: usize, max: usize) -> usize {
        // Without a new alert, a lowered limit forgets nothing.
        if self.additional.is_empty() { 0 } else { (stored + self.additional.len()).saturating_sub(max) }
    }

    /// The additional alerts that are not stored if only `room` more fit.
    ///
    /// Resolved alerts are refused first: if they were stored, they would be the first to be forgotten. Then the latest
    /// arrivals are refused.
    pub fn refused(&self, room: usize) -> Vec<&'a AlertRecord> {
        let is_resolved = |record: &&&AlertRecord| record.state == AlertState::Resolved;
        let unresolved = self.additional.iter().filter(|record| !is_resolved(record));
        let resolved = self.additional.iter().filter(is_resolved);
        unresolved.chain(resolved).skip(room).copied().collect()
    }
}

/// The `adopted` alerts that have ended: an alert that is about the same (`AdoptedAlerts::about`) is among those that have
/// `changed`, and speaks for itself from now on. Whether it fires or is resolved does not matter.
pub fn superseded<'a>(adopted: &[AlertRecord], changed: impl IntoIterator<Item = &'a AlertRecord>) -> Vec<Fingerprint> {
    // In most transactions no alert is adopted.
    if adopted.is_empty() {
        return Vec::new();
    }
    let adopted = AdoptedAlerts::of(adopted);
    let (mut ended, mut rewritten) = (BTreeSet::new(), BTreeSet::new());
    for record in changed.into_iter().filter(|record| record.state != AlertState::Adopted) {
        ended.extend(adopted.about(&record.name, &record.target).map(|adopted| adopted.fingerprint));
        rewritten.insert(record.fingerprint);
    }
    ended.difference(&rewritten).copied().collect()
}

/// The alerts that were adopted from a page, to find the one that another alert is about.
pub(super) struct AdoptedAlerts<'a>(HashMap<(&'a str, &'a str), Vec<&'a AlertRecord>>);

impl<'a> AdoptedAlerts<'a> {
    /// Those of `records` that are adopted.
    pub(super) fn of(records: impl IntoIterator<Item = &'a AlertRecord>) -> Self {
        let mut by_instance_and_name: HashMap<_, Vec<_>> = HashMap::new();
        for record in records.into_iter().filter(|record| record.state == AlertState::Adopted) {
            let key = (record.target.instance(), record.name.as_str());
            by_instance_and_name.entry(key).or_default().push(record);
        }
        Self(by_instance_and_name)
    }

    /// The adopted alert of this name and target, or else the one of this instance whose target shares the most components with
    /// it. An alert rule may narrow the components; the page says nothing of that.
    ///
    /// The instance must be the same: an alert without the port may be about a target that was up.
    pub(super) fn about(&self, name: &str, target: &Target) -> Option<&'a AlertRecord> {
        let shared = |record: &AlertRecord| record.target.shared_with(target);
        let candidates = self.0.get(&(target.instance(), name))?.iter().copied().filter(|record| shared(record) > 0);
        candidates.min_by_key(|record| (record.target != *target, Reverse(shared(record))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::expiry::{Leases, RoutedWatchdogs, WatchdogSource};
    use super::super::repair::Reason;
    use super::super::target::{ComponentList, Target};
    use super::super::watchdog::{Pulse, Watchdog};
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

    fn merge(adopted: Vec<AlertRecord>, leases: &Leases) -> Merge<'_> {
        let evidence = Evidence { pulse: Pulse::default(), routed: RoutedWatchdogs::default(), leases };
        Merge::new(HashMap::new(), adopted, evidence)
    }

    /// What the alerts of a notification changed.
    fn apply(merge: &mut Merge<'_>, alerts: &[Alert]) -> Vec<Effect> {
        let statements = Statements { alerts: alerts.to_vec(), ..Statements::default() };
        merge.apply(&statements, WatchdogVerdict::default(), Vec::new(), NOW).effects
    }

    #[test]
    fn a_notification_is_applied_on_what_the_one_before_it_changed() {
        let leases = Leases::default();
        let mut merge = merge(Vec::new(), &leases);
        let (a, b) = (alert("a", AlertStatus::Firing), alert("b", AlertStatus::Firing));
        assert_eq!(apply(&mut merge, &[a.clone(), b]), [Effect::Fired, Effect::Fired]);
        let over = Alert { status: AlertStatus::Resolved, ..a.clone() };
        assert_eq!(apply(&mut merge, &[over, a]), [Effect::Resolved, Effect::Refired]);
        let changed: Vec<_> = merge.touched().map(|record| (record.name.as_str(), record.state)).collect();
        assert_eq!(changed, [("a", AlertState::Refired { since: NOW }), ("b", AlertState::Firing)]);
        let refused = HashSet::from([Fingerprint::of_text("a")]);
        let kinds = |refused: &HashSet<_>| merge.history(refused).iter().map(|event| event.kind).collect::<Vec<_>>();
        assert_eq!(
            kinds(&HashSet::new()),
            [AlertEventKind::Fired, AlertEventKind::Fired, AlertEventKind::Resolved, AlertEventKind::Refired]
        );
        assert_eq!(kinds(&refused), [AlertEventKind::Fired]);
    }

    #[test]
    fn a_resolve_ends_what_was_adopted_of_its_target_and_name() {
        let leases = Leases::default();
        let (record, _) = AlertRecord::observe(None, &alert("a", AlertStatus::Firing), NOW);
        let fingerprint = Fingerprint::of_text("of the page");
        let adopted = AlertRecord { fingerprint, state: AlertState::Adopted, ..record };
        let mut merge = merge(vec![adopted], &leases);
        let told = [alert("a", AlertStatus::Resolved), alert("b", AlertStatus::Resolved)];
        assert_eq!(apply(&mut merge, &told), [Effect::Resolved, Effect::ResolvedUnknown]);
    }

    #[test]
    fn watchdogs_correct_alerts_that_are_stored_and_alerts_that_have_just_changed() {
        let leases = Leases::default();
        let mut merge = merge(Vec::new(), &leases);
        let resolve_rule = Some(ResolveRule {
            watchdog: Watchdog::new("Watchdog", Duration::from_secs(300)).expect("a watchdog"),
            source: WatchdogSource::Notifications,
            refire_delay: Duration::from_secs(300),
        });
        let (record, _) = AlertRecord::observe(None, &alert("stored", AlertStatus::Firing), NOW);
        let stored = record.ended(NOW);
        let just = [alert("just", AlertStatus::Firing), alert("just", AlertStatus::Resolved)];
        apply(&mut merge, &just);
        let watchdog = WatchdogAlert {
            fingerprint: Fingerprint::of_text("watchdog"),
            status: AlertStatus::Resolved,
            starts_at: NOW,
            ends_at: Some(NOW.after(Duration::from_secs(60))),
        };
        let statements = Statements { watchdogs: vec![watchdog], resolve_rule, ..Statements::default() };
        let verdict = merge.observe_watchdogs(&statements, NOW.after(Duration::from_secs(70)));
        assert!(verdict.died_at.is_some_and(|died_at| died_at < NOW));
        let repairs = merge.apply(&statements, verdict, vec![stored.into()], NOW).repairs;
        let mut corrected: Vec<_> =
            repairs.iter().map(|repair| (repair.record.name.as_str(), repair.record.state, repair.reason)).collect();
        corrected.sort_by_key(|(name, ..)| *name);
        let (held, reason) = (AlertState::ResolveHeld, Reason::TakenBack);
        assert_eq!(corrected, [("just", held, reason), ("stored", held, reason)]);
        assert!(merge.known.contains_key(&Fingerprint::of_text("stored")), "it needs no room");
    }

    fn record(name: &str, state: AlertState) -> AlertRecord {
        let (record, _) = AlertRecord::observe(None, &alert(name, AlertStatus::Firing), NOW);
        AlertRecord { state, ..record }
    }

    #[test]
    fn one_new_alert_takes_the_place_of_an_adopted_one_and_the_others_need_room() {
        let adopted = [record("a", AlertState::Adopted), record("b", AlertState::Adopted)];
        let twin = AlertRecord { fingerprint: Fingerprint::of_text("twin"), ..record("a", AlertState::Firing) };
        let new = [record("c", AlertState::Firing), record("a", AlertState::Resolved), twin];
        let divided = NewAlerts::divide(new.iter().collect(), &adopted);
        assert_eq!(divided, NewAlerts { replacing: vec![&new[1]], additional: vec![&new[0], &new[2]] });
        assert_eq!((divided.excess(5, 7), divided.excess(5, 6), divided.excess(9, 6)), (0, 1, 5));
        let nothing_new = NewAlerts::divide(vec![&new[1]], &adopted);
        assert_eq!(nothing_new.excess(9, 6), 0, "a lowered limit alone forgets nothing");
    }

    #[test]
    fn the_resolved_are_refused_first_and_then_those_that_came_last() {
        let new = [
            record("resolved", AlertState::Resolved),
            record("first", AlertState::Firing),
            record("second", AlertState::Firing),
        ];
        let new = NewAlerts::divide(new.iter().collect(), &[]);
        let names = |room| new.refused(room).iter().map(|record| record.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(4), [""; 0]);
        assert_eq!(names(3), [""; 0]);
        assert_eq!(names(2), ["resolved"]);
        assert_eq!(names(1), ["second", "resolved"]);
        assert_eq!(names(0), ["first", "second", "resolved"]);
    }

    #[test]
    fn an_adopted_alert_ends_with_the_first_alert_of_its_target_and_name() {
        let adopted = [record("TargetDown", AlertState::Adopted), record("DiskFull", AlertState::Adopted)];
        let known =
            |name: &str, state| AlertRecord { fingerprint: Fingerprint::of_text("known"), ..record(name, state) };
        for state in [AlertState::Firing, AlertState::Resolved, AlertState::ResolveHeld] {
            assert_eq!(superseded(&adopted, &[known("DiskFull", state)]), [adopted[1].fingerprint], "{state:?}");
        }
        let others = [
            AlertRecord {
                target: Target::new("b", ComponentList::parse("Web").names).expect("a target"),
                ..known("DiskFull", AlertState::Firing)
            },
            known("Load", AlertState::Firing),
            known("DiskFull", AlertState::Adopted),
            // Written by a correction of the adopted alert itself.
            AlertRecord { state: AlertState::Resolved, ..adopted[1].clone() },
        ];
        assert_eq!(superseded(&adopted, &others), []);
    }

    /// A rule may narrow its components, and their order does not matter.
    #[test]
    fn an_adopted_alert_ends_with_an_alert_that_names_its_target_otherwise() {
        let of = |instance: &str, components: &str, state| AlertRecord {
            target: Target::new(instance, ComponentList::parse(components).names).expect("a target"),
            fingerprint: Fingerprint::of_text(&format!("{instance} {components} {state:?}")),
            ..record("TargetDown", state)
        };
        let adopted = [of("a:9100", "Web, Api", AlertState::Adopted), of("b", "Web", AlertState::Adopted)];
        for (instance, components, ended) in [
            ("a:9100", "Api, Web", Some(0)),
            ("a:9100", "Web", Some(0)),
            ("a:9100", "Web, Mail", Some(0)),
            ("b", "Api, Web", Some(1)),
            ("a:9100", "Mail", None),
            // It may be about a target that was up.
            ("a", "Api", None),
            ("b:443", "Web", None),
            ("a:9200", "Web", None),
        ] {
            let heard = of(instance, components, AlertState::Firing);
            let expected: Vec<Fingerprint> = ended.map(|ended: usize| adopted[ended].fingerprint).into_iter().collect();
            assert_eq!(superseded(&adopted, [&heard]), expected, "{instance} | {components}");
            let replacing = NewAlerts::divide(vec![&heard], &adopted).replacing;
            assert_eq!(replacing.len(), expected.len(), "{instance} | {components}");
        }
    }
}
