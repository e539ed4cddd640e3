//! What the page would have shown, given what arrived when: the same rules as ever, over a Cachet that is empty at
//! first, takes everything at once, and that no person touches: nobody overrides it, or announces maintenance in it.
//!
//! What arrives are notifications as they were recorded, or what the history of a server has kept ([`Kept`]).
//!
//! Time passes from one arrival to the next, and stops on its way wherever it alone changes something: when a held
//! firing begins to count, or a recovery was waited out. After the last arrival it goes on until it changes nothing any
//! more, or the end is reached. Alerts that nobody resolved stay as they are, and a watchdog that notifications bring as
//! it was then: nothing is known of what came later. Unlike a server, it never forgets an alert that was resolved.

mod cachet;
mod ear;
mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::cachet::PerfectCachet;
use self::ear::Ear;
pub use self::kept::{Kept, Unknown};
use super::alert::{Alert, AlertRecord, AlertState, Fingerprint, signals};
use super::expiry::{Evidence, Leases, ResolveRule, RoutedWatchdogs, WatchdogAlert, WatchdogSource};
use super::history::{About, AlertHappening, Event, Happening};
use super::hold::Hold;
use super::incident::EpisodeSubject;
use super::names::Group;
use super::observed::IncidentId;
use super::page::desired;
use super::plan::{Policy, Report, plan};
use super::repair::Repair;
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory};
use super::time::Timestamp;
use super::watchdog::Watchdog;

/// How often the plan is made anew at one moment. A plan that is carried out leaves nothing to plan, so a few are enough;
/// this many would be an error of ours, and end the moment.
const PLANS_PER_MOMENT: usize = 100;

/// The end of time.
const NEVER: Timestamp = Timestamp::from_millis(i64::MAX);

/// The configuration that is tried.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The groups of the page: their components are those that it has.
    pub groups: &'a [Group],
    /// The targets.
    pub inventory: &'a Inventory,
    /// How long a firing that follows its own resolve is held.
    pub refire_hold: Duration,
    /// The alert whose absence means that nobody knows how things are.
    pub watchdog: Option<&'a Watchdog>,
    /// What shapes a plan.
    pub policy: Policy,
}

impl Rules<'_> {
    /// How a server judges resolves if the watchdog arrives only in notifications.
    fn resolve_rule(&self) -> Option<ResolveRule> {
        let (watchdog, refire_hold) = (self.watchdog?.clone(), self.refire_hold);
        Some(ResolveRule { watchdog, source: WatchdogSource::Notifications, refire_hold })
    }
}

/// What was told at one moment. They are given in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// What, in the order in which it counts.
    pub told: Vec<Told>,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A notification states this of an alert.
    Alert(Alert),
    /// The watchdogs of a notification. They are applied before the alerts of the same notification.
    Watchdogs(Vec<WatchdogAlert>),
    /// The history knows this of an alert.
    Learned(AlertHappening),
    /// The history knows this of a hold, or of the watchdog.
    Happened(Happening),
}

/// What would have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// The page at the beginning.
    pub before: BTreeMap<ComponentName, ComponentStatus>,
    /// The moments at which the public would have seen something change.
    pub moments: Vec<Moment>,
    /// Every incident, in the order in which they were opened.
    pub incidents: Vec<Incident>,
    /// The page at the end.
    pub page: BTreeMap<ComponentName, ComponentStatus>,
    /// Components that alerts or targets speak of and no group has, so that they show nowhere.
    pub missing: BTreeSet<ComponentName>,
}

/// A moment at which the page changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// The arrival that changed it, by its place in the list; `None`: time alone.
    pub arrival: Option<usize>,
    /// What changes, in the order in which it would be written.
    pub changes: Vec<Seen>,
}

/// Something that the public sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A component has another status.
    Component {
        /// The component.
        name: ComponentName,
        /// The status before.
        from: ComponentStatus,
        /// The status now.
        to: ComponentStatus,
    },
    /// An incident is opened.
    Opened(IncidentId, EpisodeSubject),
    /// An incident is closed.
    Closed(IncidentId, EpisodeSubject),
    /// An incident is opened again, after a relapse.
    Reopened(IncidentId, EpisodeSubject),
}

/// An incident that would have been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// Its number, from 1.
    pub id: IncidentId,
    /// What it is about.
    pub subject: EpisodeSubject,
    /// When the outage began, as the alerts say, or from when on nothing was heard of the watchdog.
    pub occurred_at: Timestamp,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it was closed last; `None`: it is open in the end.
    pub closed_at: Option<Timestamp>,
    /// How often a relapse opened it again.
    pub reopened: usize,
}

/// Plays `arrivals`, which are in the order of their times, as far as they were before `end`; `None`: until time changes
/// nothing any more.
pub fn simulate(rules: Rules<'_>, arrivals: &[Arrival], end: Option<Timestamp>) -> Story {
    let end = end.unwrap_or(NEVER);
    let mut player = Player::new(rules);
    for (number, arrival) in arrivals.iter().enumerate().take_while(|(_, arrival)| arrival.at < end) {
        player.let_time_pass_until(arrival.at);
        player.take(arrival);
        player.settle(arrival.at, Some(number));
    }
    if let Some(last) = arrivals.last().filter(|last| last.at < end) {
        player.ear.hear_no_more_after(last.at, rules.watchdog);
    }
    player.let_time_pass_until(end);
    player.story()
}

impl Story {
    /// The same, told from `beginning` on: without the moments before, and the incidents that were closed by then.
    pub fn since(mut self, beginning: Timestamp) -> Self {
        let told = self.moments.partition_point(|moment| moment.at < beginning);
        for change in self.moments.drain(..told).flat_map(|moment| moment.changes) {
            if let Seen::Component { name, to, .. } = change {
                self.before.insert(name, to);
            }
        }
        self.incidents.retain(|incident| incident.closed_at.is_none_or(|closed_at| closed_at >= beginning));
        self
    }
}

struct Player<'a> {
    rules: Rules<'a>,
    alerts: BTreeMap<Fingerprint, AlertRecord>,
    holds: BTreeMap<ComponentName, Hold>,
    cachet: PerfectCachet,
    before: BTreeMap<ComponentName, ComponentStatus>,
    /// The components of the page, which are Unknown while the watchdog is missing.
    components: BTreeSet<ComponentName>,
    ear: Ear,
    routed: RoutedWatchdogs,
    revisit_at: Option<Timestamp>,
    moments: Vec<Moment>,
    missing: BTreeSet<ComponentName>,
}

impl<'a> Player<'a> {
    fn new(rules: Rules<'a>) -> Self {
        let cachet = PerfectCachet::new(rules.groups, rules.inventory);
        Self {
            rules,
            alerts: BTreeMap::new(),
            holds: BTreeMap::new(),
            before: cachet.visible(),
            cachet,
            components: rules.groups.iter().flat_map(|group| group.components.iter().cloned()).collect(),
            ear: Ear::default(),
            routed: RoutedWatchdogs::default(),
            revisit_at: None,
            moments: Vec::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Stops at every moment before `until` at which time alone changes something.
    fn let_time_pass_until(&mut self, until: Timestamp) {
        while let Some(at) = self.revisit_at.filter(|at| *at < until) {
            self.settle(at, None);
        }
    }

    fn take(&mut self, arrival: &Arrival) {
        for told in &arrival.told {
            match told {
                Told::Alert(alert) => self.take_alert(alert, arrival.at),
                Told::Watchdogs(watchdogs) => self.take_watchdogs(watchdogs, arrival.at),
                Told::Learned(happening) => self.learn(happening, arrival.at),
                Told::Happened(happening) => self.live_through(happening, arrival.at),
            }
        }
    }

    fn take_alert(&mut self, alert: &Alert, now: Timestamp) {
        let known = self.alerts.get(&alert.fingerprint);
        let evidence = Evidence { pulse: self.ear.pulse(), routed: &self.routed, leases: &Leases::default() };
        let (record, _) = ResolveRule::observe(self.rules.resolve_rule().as_ref(), known, alert, evidence, now);
        self.alerts.insert(record.fingerprint, record);
    }

    fn take_watchdogs(&mut self, watchdogs: &[WatchdogAlert], now: Timestamp) {
        let Some(rule) = self.rules.resolve_rule() else { return };
        let mut pulse = self.ear.pulse();
        let verdict = rule.observe_watchdogs(watchdogs, &mut pulse, &mut self.routed, now);
        self.ear.notice(pulse, now);
        for record in self.alerts.values_mut() {
            if let Some(Repair { record: corrected, .. }) = verdict.corrects(record, now) {
                *record = corrected;
            }
        }
    }

    /// Takes over what the history knows of an alert. What was inherited from a page ends as the store ends it: with the
    /// first that is known of the same alert by its true fingerprint.
    fn learn(&mut self, happening: &AlertHappening, at: Timestamp) {
        let record = happening.record(at);
        let is_same = |known: &AlertRecord| known.target == record.target && known.name == record.name;
        let is_inherited = |known: &AlertRecord| known.state == AlertState::Inherited;
        if !is_inherited(&record) {
            self.alerts.retain(|_, known| !(is_inherited(known) && is_same(known)));
        } else if self.alerts.values().any(|known| !is_inherited(known) && is_same(known)) {
            return;
        }
        self.alerts.insert(record.fingerprint, record);
    }

    /// Takes over what the history knows of holds and of the watchdog.
    fn live_through(&mut self, Happening { about, event, .. }: &Happening, at: Timestamp) {
        match (about, event) {
            (About::Component(component), Event::Held { status, until_ms, user, note }) => {
                let until = Timestamp::from_millis(*until_ms);
                let (component, user, note) = (component.clone(), user.clone(), note.clone());
                let hold = Hold { component: component.clone(), status: *status, since: at, until, user, note };
                self.holds.insert(component, hold);
            }
            (About::Component(component), Event::Released { .. } | Event::HoldExpired) => {
                self.holds.remove(component);
            }
            (_, Event::WatchdogMissing { since_ms }) => self.ear.quiet_since(Timestamp::from_millis(*since_ms)),
            (_, Event::WatchdogHeard) => self.ear.heard_from_now_on(),
            _ => {}
        }
    }

    /// Brings the page to what it must show at `now`.
    fn settle(&mut self, now: Timestamp, arrival: Option<usize>) {
        let unresolved = self.alerts.values().filter(|record| record.state != AlertState::Resolved);
        let alerts: Vec<AlertRecord> = unresolved.cloned().collect();
        let holds: Vec<Hold> = self.holds.values().cloned().collect();
        let monitoring = self.ear.listen(self.rules.watchdog, now);
        let desired = desired(self.rules.inventory, &signals(&alerts, self.rules.refire_hold, now))
            .in_view_of(monitoring, &self.components)
            .held_by(&holds, now);
        let mut changes = Vec::new();
        for _ in 0..PLANS_PER_MOMENT {
            let plan = plan(&desired, &self.cachet.applied, &self.cachet.observed, self.rules.policy, now);
            self.missing.extend(plan.reports.into_iter().filter_map(|report| match report {
                Report::ComponentMissing { component } => Some(component),
                _ => None,
            }));
            self.revisit_at = desired.revisit_at.into_iter().chain(plan.revisit_at).min().filter(|at| *at > now);
            if plan.changes.is_empty() && plan.notes.is_empty() {
                break;
            }
            plan.notes.into_iter().for_each(|note| self.cachet.remember(note));
            let reopen_within = self.rules.policy.reopen_within;
            changes.extend(plan.changes.into_iter().filter_map(|change| self.cachet.make(change, reopen_within, now)));
        }
        if !changes.is_empty() {
            self.moments.push(Moment { at: now, arrival, changes });
        }
    }

    fn story(self) -> Story {
        let page = self.cachet.visible();
        let Self { before, moments, missing, .. } = self;
        Story { before, moments, incidents: self.cachet.incidents, page, missing }
    }
}

#[cfg(test)]
mod tests;
