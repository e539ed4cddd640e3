//! What the page would have shown, given what arrived when: the same rules as ever, over a Cachet that is empty at
//! first, takes everything at once, and that no person touches: nobody overrides it, or announces maintenance in it.
//!
//! Time passes from one arrival to the next, and stops on its way wherever it alone changes something: when a held
//! firing begins to count, or a recovery was waited out. After the last arrival it goes on until it changes nothing any
//! more. Alerts that nobody resolved stay as they are, and the watchdog as it was then: nothing is known of what came
//! later. Unlike a server, it never forgets an alert that was resolved.
//!
//! The watchdog counts from the first arrival on that it is in: what was recorded before may be older than its rule.

mod cachet;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::cachet::PerfectCachet;
use super::alert::{Alert, AlertRecord, Fingerprint};
use super::group::Group;
use super::incident::EpisodeSubject;
use super::observed::IncidentId;
use super::page::desired;
use super::plan::{Policy, Report, plan};
use super::status::ComponentStatus;
use super::target::{ComponentName, Inventory};
use super::time::Timestamp;
use super::watchdog::{Monitoring, Pulse, Watchdog};

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

/// One notification, when it arrived. They are given in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When it came.
    pub at: Timestamp,
    /// What it states.
    pub alerts: Vec<Alert>,
    /// How many of the watchdog's alerts fire in it.
    pub heartbeats: usize,
}

/// What would have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
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

/// Plays `arrivals`, which are in the order of their times.
pub fn simulate(rules: Rules<'_>, arrivals: &[Arrival]) -> Story {
    let mut player = Player::new(rules);
    for (number, arrival) in arrivals.iter().enumerate() {
        player.let_time_pass_until(arrival.at);
        player.take(arrival);
        player.settle(arrival.at, Some(number));
    }
    if let Some(last) = arrivals.last() {
        player.hear_no_more_after(last.at);
    }
    player.let_time_pass_until(NEVER);
    player.story()
}

struct Player<'a> {
    rules: Rules<'a>,
    alerts: BTreeMap<Fingerprint, AlertRecord>,
    cachet: PerfectCachet,
    /// The components of the page, which are Unknown while the watchdog is missing.
    components: BTreeSet<ComponentName>,
    /// The first arrival of the watchdog.
    listening_since: Option<Timestamp>,
    pulse: Pulse,
    /// How the monitoring is from now on, once nothing arrives any more.
    monitoring_at_the_end: Option<Monitoring>,
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
            cachet,
            components: rules.groups.iter().flat_map(|group| group.components.iter().cloned()).collect(),
            listening_since: None,
            pulse: Pulse::default(),
            monitoring_at_the_end: None,
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
        for alert in &arrival.alerts {
            let (record, _) = AlertRecord::observe(self.alerts.get(&alert.fingerprint), alert, arrival.at);
            self.alerts.insert(alert.fingerprint, record);
        }
        if arrival.heartbeats > 0 {
            self.listening_since.get_or_insert(arrival.at);
            self.pulse = self.pulse.beat(arrival.at);
        }
    }

    /// How the monitoring is at `now`.
    fn listen(&mut self, now: Timestamp) -> Monitoring {
        if let Some(monitoring) = self.monitoring_at_the_end {
            return monitoring;
        }
        let (Some(watchdog), Some(since)) = (self.rules.watchdog, self.listening_since) else {
            return Monitoring::Unwatched;
        };
        let monitoring = watchdog.judge(self.pulse, since, now);
        if let Monitoring::Missing { at, .. } = monitoring {
            self.pulse = self.pulse.miss(at);
        }
        monitoring
    }

    /// That nothing arrives after the last arrival says nothing of the watchdog.
    fn hear_no_more_after(&mut self, last: Timestamp) {
        self.monitoring_at_the_end = Some(match self.listen(last) {
            Monitoring::Heard { .. } => Monitoring::Heard { until: NEVER },
            monitoring => monitoring,
        });
    }

    /// Brings the page to what it must show at `now`.
    fn settle(&mut self, now: Timestamp, arrival: Option<usize>) {
        let alerts: Vec<AlertRecord> = self.alerts.values().cloned().collect();
        let monitoring = self.listen(now);
        let desired = desired(self.rules.inventory, &alerts, self.rules.refire_hold, now)
            .in_view_of(monitoring, &self.components);
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
        Story { moments: self.moments, incidents: self.cachet.incidents, page, missing: self.missing }
    }
}

#[cfg(test)]
mod tests;
