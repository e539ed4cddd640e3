//! What the page must show at rest, worked out in the plainest way from what was told and what people did.
//!
//! Nothing of the product is used here: an alert is a list of statements, a status a number. Where a fault or a crash
//! leaves open whether a person's word came before or after ours, both are right, and only then.

mod episodes;
mod hearsay;
mod overrides;
mod people;
mod view;
mod watchdog;

use std::collections::{BTreeMap, BTreeSet};

pub use self::hearsay::{Listed, Reading};
pub use self::view::View;
pub use self::watchdog::MONITORING;

use self::episodes::{Episodes, Trouble};
use self::hearsay::{Belief, Hearsays};
use self::overrides::Overrides;
use self::people::{Hand, Vague};
use self::watchdog::{OPERATIONAL, UNKNOWN, Watchdog};
use super::maintenance::{Calendar, Under};
use super::scenario::{COMPONENTS, Repair, Scenario, Step, UNTOLD};

/// A moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// As the server's clock has it, which may be set back.
    pub clock_ms: u64,
    /// As everybody else has it.
    pub true_ms: u64,
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

/// What the server knew at a time, as far as a copy of its store brings it back.
#[derive(Clone)]
pub struct Knowledge {
    alerts: Hearsays,
    overrides: Overrides,
}

pub struct Oracle {
    scenario: Scenario,
    alerts: Hearsays,
    watchdog: Watchdog,
    overrides: Overrides,
    components: Hand<u8>,
    targets: Hand<(u8, String)>,
    episodes: Episodes,
    pub calendar: Calendar,
    /// Components whose status a person changed, or that came or went.
    edited: BTreeSet<String>,
}

impl Oracle {
    pub fn new(scenario: &Scenario, now_ms: u64) -> Self {
        let policy = scenario.policy;
        let untold = |step: &Step| match step {
            Step::Fault { path, .. } => *path == UNTOLD,
            // that call has its share of what is refused
            Step::RateLimit(_) => true,
            _ => false,
        };
        let may_be_untold = scenario.steps.iter().any(untold);
        Self {
            alerts: Hearsays::new(scenario, now_ms),
            watchdog: Watchdog::new(policy.watchdog, now_ms),
            overrides: Overrides::default(),
            // what Cachet's own list of targets was when the reconciler read it is not known here
            components: Hand::new(policy.inventory_from_cachet, Some(Vague { unknown: UNKNOWN, green: OPERATIONAL })),
            targets: Hand::new(policy.inventory_from_cachet, None),
            episodes: Episodes::new(policy, scenario.release),
            calendar: Calendar::new(may_be_untold),
            edited: BTreeSet::new(),
            scenario: scenario.clone(),
        }
    }

    pub fn told(&mut self, alert: usize, arrived_ms: u64, starts_ms: u64, firing: bool) {
        self.alerts.told(alert, arrived_ms, starts_ms, firing);
    }

    /// The watchdog was heard; whether that may be news.
    pub fn heard_the_watchdog(&mut self, now_ms: u64) -> bool {
        self.watchdog.heard(now_ms)
    }

    /// The Alertmanagers were read, from `began_ms` on; whether that says anything new.
    pub fn read(&mut self, began_ms: u64, readings: &[Reading]) -> bool {
        self.alerts.read(began_ms, readings)
    }

    /// Whether the next reading may say something new without anything event.
    pub fn awaits_another_reading(&self) -> bool {
        self.alerts.is_something_missing()
    }

    /// Whether it is not known what is believed.
    pub fn is_unsure(&self) -> bool {
        self.alerts.are_unsure()
    }

    /// The repairer has gone without an Alertmanager to read. `watchdog_is_missing`: whether the store
    /// says so. Then nothing is old, for nobody can be heard.
    pub fn grew_old(&mut self, now_ms: u64, watchdog_is_missing: bool) {
        if watchdog_is_missing {
            self.alerts.restarted(now_ms);
        } else {
            self.alerts.grew_old(now_ms);
        }
    }

    /// The server was started.
    pub fn restarted(&mut self, now_ms: u64) {
        self.alerts.restarted(now_ms);
        self.watchdog.restarted(now_ms);
    }

    /// The server has seen that its clock was set back to `now_ms`.
    pub fn clock_was_set_back(&mut self, now_ms: u64) {
        self.alerts.clock_was_set_back(now_ms);
        self.watchdog.clock_was_set_back(now_ms);
        self.episodes.clock_was_set_back(now_ms);
    }

    /// The clock of the server is ahead of where it was: what is waited for by it ends early.
    pub fn clock_was_set_ahead(&mut self) {
        self.episodes.clock_was_set_ahead();
    }

    /// The reconciler has seen that nobody listened, for the clock went further than the time: silence counts from now on.
    pub fn heard_nothing(&mut self, now_ms: u64) {
        self.watchdog.restarted(now_ms);
    }

    /// The same, seen by the repairer.
    pub fn repairer_heard_nothing(&mut self, now_ms: u64) {
        self.alerts.restarted(now_ms);
    }

    /// The server's store was lost.
    pub fn lost(&mut self, now: Moment) {
        self.alerts.lost();
        self.components.lost();
        self.targets.lost();
        self.watchdog.lost(now.clock_ms, self.episodes.has_an_incident(MONITORING));
        self.episodes.lost(now.true_ms);
        self.overrides.lost(now.true_ms);
    }

    pub fn knowledge(&self) -> Knowledge {
        Knowledge { alerts: self.alerts.clone(), overrides: self.overrides.clone() }
    }

    /// The store is a copy of an earlier time again. Of the page it says nothing that would count, as if it were lost; of
    /// alerts, which fire; and what operators overrode then.
    pub fn restored(&mut self, then: &Knowledge, now: Moment) {
        self.lost(now);
        self.alerts.restored(&then.alerts);
        self.overrides.restored(&then.overrides);
    }

    /// Whether the store has anything of the alert.
    pub fn knows_of(&self, alert: usize) -> bool {
        self.alerts.know_of(alert)
    }

    /// An operator overrides a component.
    pub fn overridden(&mut self, component: &str, status: u8, lasts_ms: u64, now: Moment) {
        self.overrides.set(component, status, lasts_ms, now);
    }

    /// An operator releases it.
    pub fn released(&mut self, component: &str, now: Moment) {
        self.overrides.end(component, now.true_ms);
    }

    /// Whether an override ran out between these two moments.
    pub fn an_override_ran_out(&self, from: Moment, to: Moment) -> bool {
        self.overrides.run_out(from.clock_ms, to.clock_ms)
    }

    /// The reconciler begins to look: what is over is over for good.
    pub fn looked(&mut self, now: Moment) {
        self.overrides.looked(now);
    }

    /// The reconciler may look now.
    pub fn may_be_seen(&mut self, now: Moment, page: &[Shown]) {
        self.watchdog.looked(now.clock_ms);
        self.alerts.may_be_left(now.clock_ms, &self.targets_of(page));
        self.sees(now, page);
    }

    fn sees(&mut self, now: Moment, page: &[Shown]) {
        for view in self.views(now.clock_ms, page) {
            self.components.may_be_seen(&view.components);
            self.targets.may_be_seen(&view.targets);
            self.episodes.may_be_seen(now, &self.troubles(&view, now));
        }
    }

    /// The reconciler has looked, and nothing disturbed it.
    pub fn seen(&mut self, now: Moment, page: &[Shown]) {
        self.alerts.left();
        let views = self.views(now.clock_ms, page);
        let [view] = views.as_slice() else { return self.sees(now, page) };
        self.components.seen(&view.components);
        self.targets.seen(&view.targets);
        self.episodes.seen(now, &self.troubles(view, now));
    }

    /// Alertmanager was read often enough to be believed.
    pub fn has_come_to_rest(&mut self, truth: &[Option<Listed>]) {
        self.alerts.have_come_to_rest(truth);
    }

    /// Whether the page matters to what is believed.
    pub fn has_to_see_the_page(&self) -> bool {
        self.scenario.policy.inventory_from_cachet || self.alerts.may_inherit()
    }

    /// What is believed of alerts against what is true. Of a suppressed one that fires either is right; and that one
    /// has ended need not be known where nothing tells of it.
    pub fn mistakes(&self, now_ms: u64, truth: &[Option<Listed>]) -> Option<String> {
        truth.iter().enumerate().find_map(|(alert, truth)| {
            let belief = self.alerts.belief(alert, now_ms);
            let right = match truth {
                Some(Listed { suppressed: true, .. }) => true,
                Some(_) => belief == Belief::Yes,
                None => belief == Belief::No || self.scenario.policy.repair != Repair::Alertmanager,
            };
            (!right).then(|| format!("alert {alert} fires: {belief:?}, and in truth {truth:?}"))
        })
    }

    /// The components of targets that leave something to a server that knows of nothing.
    fn targets_of(&self, page: &[Shown]) -> Vec<(usize, Shown)> {
        let of_cachet = self.scenario.policy.inventory_from_cachet;
        let targets = self.scenario.targets.iter().enumerate().filter(|(_, target)| of_cachet || target.listed);
        let found = targets.flat_map(|(number, target)| {
            let name = target.name();
            page.iter().filter(move |shown| shown.name == name).map(move |shown| (number, shown.clone()))
        });
        found.collect()
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

    /// Cachet opened an incident long after it was asked to.
    pub fn opened_late(&mut self, incident: &ShownIncident) {
        self.episodes.opened_late(incident);
    }

    /// A posting of an incident may have been lost, and is made again later.
    pub fn a_posting_may_be_lost(&mut self) {
        self.episodes.a_posting_may_be_lost();
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

    /// Whether the component has not been out of an outage since it was last seen in it.
    pub fn is_in_an_outage(&self, component: &str) -> bool {
        self.episodes.is_in_an_outage(component)
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
        let views = self.views(now_ms, page);
        let mut wrong = Vec::new();
        for component in COMPONENTS {
            let found = page.iter().find(|shown| shown.name == component);
            if let Some(found) = found {
                let allowed = self.allowed(&self.components, component, &views, |view| {
                    let desired = view.components.get(component).copied();
                    (desired.unwrap_or(1), desired.is_some())
                });
                // once nothing feeds it any more, or nobody knows how it is, it is brought back by who left it red
                let is_left = |view: &View| view.components.get(component).is_none_or(|status| *status == UNKNOWN);
                let nobodys = self.components.was_forgotten(component) && views.iter().any(is_left);
                if !allowed.contains(&found.status) && !nobodys {
                    wrong.push(format!("{component} shows {}, not one of {allowed:?}", found.status));
                }
            }
            wrong.extend(self.episodes.verdict(component, found.is_some(), incidents));
        }
        for target in &self.scenario.targets {
            wrong.extend(self.target_verdict(&target.name(), &views, page));
        }
        wrong.extend(self.episodes.verdict(MONITORING, true, incidents));
        wrong
    }

    fn target_verdict(&self, name: &str, views: &[View], page: &[Shown]) -> Option<String> {
        let desired: Vec<_> = views.iter().map(|view| view.targets.get(name)).collect();
        let down = desired.iter().all(|desired| desired.is_some_and(|(status, _)| *status == 4));
        let found = match page.iter().filter(|shown| shown.name == name).collect::<Vec<_>>().as_slice() {
            [] if down => return Some(format!("{name:?} is down and has no component")),
            [] => return None,
            [found] => (found.status, found.description.clone()),
            several => return Some(format!("{name:?} was made {} times", several.len())),
        };
        if desired.contains(&None) {
            // once nobody knows it any more, only its status is brought back, and that by who left it red
            let allowed = self.targets.standing(name).map(|(shows, _)| shows.0);
            return (found.0 != 1 && Some(found.0) != allowed && !self.targets.was_forgotten(name))
                .then(|| format!("{name:?} is not known any more and shows {}", found.0));
        }
        let allowed = self.allowed(&self.targets, name, views, |view| (view.targets[name].clone(), true));
        let shown = page.iter().find(|shown| shown.name == name).is_some_and(|shown| shown.enabled);
        if shown {
            return Some(format!("{name:?} is shown to the public"));
        }
        (!allowed.contains(&found)).then(|| format!("{name:?} shows {found:?}, not one of {allowed:?}"))
    }

    /// What may be shown, where `ours` is what we would show, and whether it is ours to show.
    fn allowed<V>(&self, hand: &Hand<V>, name: &str, views: &[View], ours: impl Fn(&View) -> (V, bool)) -> Vec<V>
    where
        V: Clone + PartialEq,
    {
        let (mut shows, known): (Vec<V>, Vec<bool>) = views.iter().map(ours).unzip();
        let enforced = self.scenario.policy.enforce && known.iter().all(|known| *known);
        match hand.standing(name) {
            Some((stands, true)) if !enforced => shows = vec![stands.clone()],
            Some((stands, false)) if !enforced => shows.push(stands.clone()),
            _ => {}
        }
        shows
    }

    /// What the page should show: one view, or several where it is not known what fires.
    fn views(&self, now_ms: u64, page: &[Shown]) -> Vec<View> {
        let beliefs: Vec<Belief> =
            (0..self.alerts.alerts.len()).map(|alert| self.alerts.belief(alert, now_ms)).collect();
        let unknown: Vec<usize> = (0..beliefs.len()).filter(|alert| beliefs[*alert] == Belief::Perhaps).collect();
        let views = (0..1_usize << unknown.len()).flat_map(|choice| {
            let chosen = |alert| unknown.iter().position(|one| *one == alert).is_some_and(|at| choice >> at & 1 == 1);
            let view = self.view(page, |alert| beliefs[alert] == Belief::Yes || chosen(alert));
            self.watchdog.in_view_of_it(view)
        });
        views.map(|view| self.overrides.over(view, now_ms)).collect()
    }

    /// What may have an incident: the components, and the monitoring.
    fn troubles(&self, view: &View, now: Moment) -> BTreeMap<String, Trouble> {
        let trouble = |(name, status): (&String, &u8)| {
            // what goes on below an override gets no incident
            let covered = view.covered.get(name);
            let under = if covered.is_some() { Under::Yes } else { self.calendar.at(name, now.true_ms) };
            (name.clone(), Trouble { status: *covered.unwrap_or(status), under })
        };
        let mut troubles: BTreeMap<String, Trouble> = view.components.iter().map(trouble).collect();
        troubles.insert(MONITORING.to_owned(), Trouble { status: view.monitoring, under: Under::No });
        troubles
    }

    fn view(&self, page: &[Shown], fires: impl Fn(usize) -> bool) -> View {
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
        for (_, alert) in self.alerts.alerts.iter().enumerate().filter(|(number, _)| fires(*number)) {
            let name = self.scenario.targets[alert.target].name();
            let target = counted.entry(name.clone()).or_insert((false, Vec::new()));
            target.0 |= alert.critical && !known.contains(&name);
            target.1.push(&alert.name);
        }
        View::of_targets(counted)
    }

    /// While maintenance is in progress, or it is overridden with something better, no incident of a component is opened.
    pub fn opened_against_people(&self, incidents: &[ShownIncident]) -> Option<String> {
        let against = |incident: &&ShownIncident| {
            let touched = self.episodes.were_touched(&incident.component);
            !touched
                && !self.episodes.was_late(incident)
                && (self.calendar.covers_second(&incident.component, incident.created_ms)
                    || self.overrides.cover_second(&incident.component, incident.created_ms))
        };
        let found = incidents.iter().find(against)?;
        Some(format!("incident {} of {} was opened during its maintenance or override", found.id, found.component))
    }

    /// Between two incidents of a component lies an end of the outage, and the time in which a relapse would have
    /// opened the first one again; and of each, it is said once that it is over, and once that it happened again.
    pub fn said_twice(&self, incidents: &[ShownIncident]) -> Option<String> {
        COMPONENTS.iter().chain(&[MONITORING]).find_map(|component| {
            let said = || self.episodes.said_wrongly(component, incidents);
            self.episodes.too_many(component, incidents).or_else(said)
        })
    }
}
