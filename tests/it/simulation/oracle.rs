//! What the page must show at rest, worked out in the plainest way from what was told and what people did.
//!
//! Nothing of the product is used here: an alert is a list of statements, a status a number. Where a fault or a crash
//! leaves open whether a person's word came before or after ours, both are right, and only then.

mod episodes;
mod people;

use std::collections::{BTreeMap, BTreeSet};

use self::episodes::Episodes;
use self::people::Hand;
use super::maintenance::Calendar;
use super::scenario::{COMPONENTS, Scenario, Step, UNTOLD};

/// What the page of one moment should show, were there only alerts.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The status of every component that a target feeds.
    pub components: BTreeMap<String, u8>,
    /// Status and description of every target that counts.
    pub targets: BTreeMap<String, (u8, String)>,
}

/// A component, visible or a target's, as Cachet shows it.
#[derive(Debug, Clone)]
pub struct Shown {
    pub id: i64,
    pub name: String,
    pub status: u8,
    pub description: String,
    pub enabled: bool,
}

/// An incident that people did not open.
#[derive(Debug, Clone)]
pub struct ShownIncident {
    pub id: i64,
    pub component: String,
    pub open: bool,
    /// To the second.
    pub created_ms: u64,
    /// Of each of its updates, whether it said that it is over.
    pub said: Vec<bool>,
}

/// A statement about one alert.
#[derive(Debug, Clone, Copy)]
struct Told {
    arrived_ms: u64,
    starts_ms: u64,
    firing: bool,
}

pub struct Oracle {
    scenario: Scenario,
    told: Vec<Vec<Told>>,
    components: Hand<u8>,
    targets: Hand<(u8, String)>,
    episodes: Episodes,
    pub calendar: Calendar,
    /// Components whose status a person changed, or that came or went.
    edited: BTreeSet<String>,
}

impl Oracle {
    pub fn new(scenario: &Scenario) -> Self {
        let policy = scenario.policy;
        // a rate limit may be used up by other reads
        let untold = |step: &Step| match step {
            Step::Fault { path, .. } => *path == UNTOLD,
            Step::RateLimit(_) => true,
            _ => false,
        };
        let may_be_untold = scenario.steps.iter().any(untold);
        Self {
            told: vec![Vec::new(); scenario.alerts.len()],
            // what Cachet's own list of targets was when the reconciler read it is not known here
            components: Hand::new(policy.inventory_from_cachet),
            targets: Hand::new(policy.inventory_from_cachet),
            episodes: Episodes::new(policy),
            calendar: Calendar::new(may_be_untold),
            edited: BTreeSet::new(),
            scenario: scenario.clone(),
        }
    }

    pub fn told(&mut self, alert: usize, arrived_ms: u64, starts_ms: u64, firing: bool) {
        self.told[alert].push(Told { arrived_ms, starts_ms, firing });
    }

    /// The reconciler may look now.
    pub fn may_be_seen(&mut self, now_ms: u64, page: &[Shown]) {
        let view = self.view(now_ms, page);
        self.components.may_be_seen(&view.components);
        self.targets.may_be_seen(&view.targets);
        self.episodes.may_be_seen(now_ms, &view.components, &self.calendar);
    }

    /// The reconciler has looked, and nothing disturbed it.
    pub fn seen(&mut self, now_ms: u64, page: &[Shown]) {
        let view = self.view(now_ms, page);
        self.components.seen(&view.components);
        self.targets.seen(&view.targets);
        self.episodes.seen(now_ms, &view.components, &self.calendar);
    }

    /// From now on a write may get no answer and be done late, for all that the server knows: who wants the very same as
    /// such a write may be taken for it.
    pub fn may_lose(&mut self) {
        self.components.may_lose();
        self.targets.may_lose();
        self.episodes.may_lose();
    }

    /// A write was done late, perhaps over what people said.
    pub fn came_late(&mut self) {
        self.components.came_late();
        self.targets.came_late();
    }

    /// A person gave a component another status.
    pub fn component_edited(&mut self, component: &str, status: u8) {
        self.edited.insert(component.to_owned());
        self.components.edited(component, status);
    }

    /// A person changed a target's component.
    pub fn target_edited(&mut self, name: &str, status: u8, description: &str) {
        self.targets.edited(name, (status, description.to_owned()));
    }

    /// A component of that name came or went by a person's hand.
    pub fn moved(&mut self, name: &str) {
        self.edited.insert(name.to_owned());
        self.components.moved(name);
        self.targets.moved(name);
        self.episodes.moved(name);
        if self.scenario.policy.inventory_from_cachet {
            COMPONENTS.iter().for_each(|component| self.episodes.moved(component));
        }
    }

    pub fn incident_closed(&mut self, component: &str) {
        self.episodes.incident_closed(component);
    }

    pub fn incident_reopened(&mut self, component: &str, id: i64) {
        self.episodes.incident_reopened(component, id);
    }

    /// Whether the component is out of an outage, and was in it so lately that its recovery is still waited out.
    pub fn is_not_calm_yet(&self, component: &str, now_ms: u64) -> bool {
        self.episodes.is_not_calm_yet(component, now_ms)
    }

    /// Whether a person gave the component a status, or it came or went.
    pub fn status_was_touched(&self, component: &str) -> bool {
        self.edited.contains(component)
    }

    /// Whether a person closed, opened or removed an incident of the component.
    pub fn incidents_were_touched(&self, component: &str) -> bool {
        self.episodes.were_touched(component)
    }

    /// What is wrong with the page at rest.
    pub fn verdict(&self, now_ms: u64, page: &[Shown], incidents: &[ShownIncident]) -> Vec<String> {
        let view = self.view(now_ms, page);
        let mut wrong = Vec::new();
        for component in COMPONENTS {
            let found = page.iter().find(|shown| shown.name == component);
            let desired = view.components.get(component).copied();
            if let Some(found) = found {
                let allowed = self.allowed(&self.components, component, desired, desired.unwrap_or(1));
                if !allowed.contains(&found.status) {
                    wrong.push(format!("{component} shows {}, not one of {allowed:?}", found.status));
                }
            }
            wrong.extend(self.episodes.verdict(component, found.is_some(), incidents));
        }
        for target in &self.scenario.targets {
            wrong.extend(self.target_verdict(&target.name(), &view, page));
        }
        wrong
    }

    fn target_verdict(&self, name: &str, view: &View, page: &[Shown]) -> Option<String> {
        let desired = view.targets.get(name).cloned();
        let down = desired.as_ref().is_some_and(|(status, _)| *status == 4);
        let found = match page.iter().filter(|shown| shown.name == name).collect::<Vec<_>>().as_slice() {
            [] if down => return Some(format!("{name:?} is down and has no component")),
            [] => return None,
            [found] => (found.status, found.description.clone()),
            several => return Some(format!("{name:?} was made {} times", several.len())),
        };
        let Some(desired) = desired else {
            // once nobody knows it any more, only its status is brought back
            let allowed = self.targets.standing(name).map(|(shows, _)| shows.0);
            return (found.0 != 1 && Some(found.0) != allowed)
                .then(|| format!("{name:?} is not known any more and shows {}", found.0));
        };
        let allowed = self.allowed(&self.targets, name, Some(desired.clone()), desired);
        let shown = page.iter().find(|shown| shown.name == name).is_some_and(|shown| shown.enabled);
        if shown {
            return Some(format!("{name:?} is shown to the public"));
        }
        (!allowed.contains(&found)).then(|| format!("{name:?} shows {found:?}, not one of {allowed:?}"))
    }

    fn allowed<V: Clone + PartialEq>(&self, hand: &Hand<V>, name: &str, desired: Option<V>, ours: V) -> Vec<V> {
        match hand.standing(name) {
            None => vec![ours],
            Some(_) if self.scenario.policy.enforce && desired.is_some() => vec![ours],
            Some((shows, true)) => vec![shows.clone()],
            Some((shows, false)) => vec![shows.clone(), ours],
        }
    }

    fn view(&self, now_ms: u64, page: &[Shown]) -> View {
        let mut counted: BTreeMap<String, (bool, Vec<&str>)> = BTreeMap::new();
        if self.scenario.policy.inventory_from_cachet {
            for shown in page.iter().filter(|shown| !shown.enabled && shown.name.contains(" | ")) {
                counted.insert(shown.name.clone(), (shown.description.starts_with("critical: yes"), Vec::new()));
            }
        } else {
            for target in self.scenario.targets.iter().filter(|target| target.listed) {
                counted.insert(target.name(), (target.critical, Vec::new()));
            }
        }
        let known: BTreeSet<String> = counted.keys().cloned().collect();
        let firing = self.scenario.alerts.iter().enumerate().filter(|(number, _)| self.fires(*number, now_ms));
        for (_, alert) in firing {
            let name = self.scenario.targets[alert.target].name();
            let target = counted.entry(name.clone()).or_insert((false, Vec::new()));
            target.0 |= alert.critical && !known.contains(&name);
            target.1.push(alert.name);
        }
        View { components: components(&counted), targets: targets(counted) }
    }

    /// The newest occurrence has the say; within it a resolve, until a firing that came after it has stood long enough.
    fn fires(&self, alert: usize, now_ms: u64) -> bool {
        let Some(newest) = self.told[alert].iter().map(|told| told.starts_ms).max() else { return false };
        let of_it: Vec<&Told> = self.told[alert].iter().filter(|told| told.starts_ms == newest).collect();
        match of_it.iter().rposition(|told| !told.firing) {
            None => true,
            Some(resolved) => of_it
                .get(resolved + 1)
                .is_some_and(|again| now_ms >= again.arrived_ms + self.scenario.policy.refire_hold * 1000),
        }
    }

    /// While maintenance is in progress, no incident of its component is opened.
    pub fn opened_during_maintenance(&self, incidents: &[ShownIncident]) -> Option<String> {
        let against = |incident: &&ShownIncident| {
            let touched = self.episodes.were_touched(&incident.component);
            !touched && self.calendar.covers_second(&incident.component, incident.created_ms)
        };
        let found = incidents.iter().find(against)?;
        Some(format!("incident {} of {} was opened during its maintenance", found.id, found.component))
    }

    /// Between two incidents of a component lies an end of the outage, and the time in which a relapse would have
    /// opened the first one again; and of each, it is said once that it is over, and once that it happened again.
    pub fn said_twice(&self, incidents: &[ShownIncident]) -> Option<String> {
        COMPONENTS.iter().find_map(|component| {
            let said = || self.episodes.said_wrongly(component, incidents);
            self.episodes.too_many(component, incidents).or_else(said)
        })
    }
}

fn components(counted: &BTreeMap<String, (bool, Vec<&str>)>) -> BTreeMap<String, u8> {
    let mut statuses = BTreeMap::new();
    for component in COMPONENTS {
        let fed_by = |name: &str| {
            let (_, list) = name.split_once(" | ").expect("the name of a target");
            list.split(", ").any(|fed| fed == component)
        };
        let targets: Vec<(bool, bool)> = counted
            .iter()
            .filter(|(name, _)| fed_by(name))
            .map(|(_, (critical, firing))| (*critical, !firing.is_empty()))
            .collect();
        let critical_down = targets.iter().any(|(critical, down)| *critical && *down);
        let status = if critical_down || targets.iter().all(|(_, down)| *down) {
            4
        } else if targets.iter().any(|(_, down)| *down) {
            3
        } else {
            1
        };
        if !targets.is_empty() {
            statuses.insert(component.to_owned(), status);
        }
    }
    statuses
}

fn targets(counted: BTreeMap<String, (bool, Vec<&str>)>) -> BTreeMap<String, (u8, String)> {
    let told = |(name, (critical, mut firing)): (String, (bool, Vec<&str>))| {
        firing.sort_unstable();
        let status = if firing.is_empty() { 1 } else { 4 };
        let alerts = if firing.is_empty() { "no alerts".to_owned() } else { firing.join(", ") };
        (name, (status, format!("critical: {}\n{alerts}", if critical { "yes" } else { "no" })))
    };
    counted.into_iter().map(told).collect()
}
