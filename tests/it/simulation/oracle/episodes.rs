//! Which components must have an open incident, and how many there may be.

use std::collections::{BTreeMap, BTreeSet};

use fake_cachet::Release;

use super::{Belief, MONITORING, Moment, ShownIncident};
use crate::simulation::maintenance::Under;
use crate::simulation::product::INTERVAL_MS;
use crate::simulation::scenario::{COMPONENTS, Policy};

/// Whether a component is in an episode; `Perhaps` after rounds of which nobody knows how far they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Now {
    #[default]
    Out,
    In,
    /// It is in an outage that maintenance or an override keeps without an incident.
    Suppressed,
    Perhaps,
}

/// How long an incident is waited for whose posting was lost, and until Cachet is read after that.
const AWAITED_MS: u64 = 15_000 + INTERVAL_MS;

/// What something shows that may have an incident, but for an override; and whether maintenance or an override keeps it from having
/// one.
#[derive(Clone, Copy)]
pub struct Trouble {
    pub status: u8,
    pub under: Under,
}

#[derive(Default)]
struct Story {
    now: Now,
    calm_since_ms: Option<u64>,
    /// When the component was out of the outage, as the reconciler may have seen it.
    out_at_ms: Vec<u64>,
    /// When it was in it, as the reconciler has seen it.
    in_at_ms: Vec<u64>,
    /// What people did with its incident since the episode began.
    touched: Option<Touch>,
    ever_touched: bool,
    moved: bool,
    /// Incidents that a person opened again: they may stay so.
    reopened: BTreeSet<i64>,
    /// Incidents that Cachet opened late: one is the episode's if no other was posted, and the rest is closed.
    late: BTreeSet<i64>,
    /// Whether the posting of its incident may have been lost.
    may_be_unposted: bool,
    /// When the server lost all that it knew of it.
    lost_at_ms: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Closed or removed in the middle of the outage: there is none for the rest of it.
    Closed,
    /// In a way that leaves it open what follows.
    Somehow,
}

pub struct Episodes {
    policy: Policy,
    /// Whether a closing of ours may have got no answer, so that a person's may be taken for it.
    may_have_lost: bool,
    /// Whether Cachet keeps nothing that tells what an incident is about but its component.
    without_meta: bool,
    /// Whether the clock of the server went further than the time, so that it waited for less long than it should.
    was_hurried: bool,
    stories: BTreeMap<String, Story>,
}

impl Episodes {
    pub fn new(policy: Policy, release: Release) -> Self {
        let without_meta = release == Release::Older;
        Self { policy, may_have_lost: false, without_meta, was_hurried: false, stories: BTreeMap::new() }
    }

    pub fn may_be_seen(&mut self, now: Moment, troubles: &BTreeMap<String, Trouble>) {
        self.each(troubles, |story, trouble, policy| match goes_on(trouble.status, policy) {
            Some(true) if story.has_none() && trouble.under == Under::Yes => story.now = Now::Suppressed,
            // it may have begun, or begun again after a calm
            Some(true) if story.has_none() || story.calm_since_ms.is_some() => {
                story.now = Now::Perhaps;
                story.calm_since_ms = None;
            }
            Some(false) => {
                story.out_at_ms.push(now.true_ms);
                if story.now == Now::In {
                    story.now = Now::Perhaps;
                }
                story.unsettle();
            }
            _ => {}
        });
    }

    pub fn seen(&mut self, now: Moment, troubles: &BTreeMap<String, Trouble>) {
        self.each(troubles, |story, trouble, policy| match goes_on(trouble.status, policy) {
            Some(true) => {
                if story.now != Now::In {
                    story.unsettle();
                }
                story.now = story.going_on(trouble.under);
                story.in_at_ms.push(now.true_ms);
                story.calm_since_ms = None;
            }
            None => match story.now {
                Now::Suppressed => story.now = Now::Out,
                Now::Out => {}
                Now::In | Now::Perhaps => story.calm_since_ms = None,
            },
            Some(false) => {
                story.out_at_ms.push(now.true_ms);
                story.unsettle();
                if story.has_none() {
                    (story.now, story.may_be_unposted) = (Now::Out, false);
                    return;
                }
                let mut calm_since = *story.calm_since_ms.get_or_insert(now.clock_ms);
                // an incident that is awaited comes first, or does not come any more; then its end is waited out
                if story.may_be_unposted {
                    story.now = Now::Perhaps;
                    if now.clock_ms < calm_since + AWAITED_MS {
                        return;
                    }
                    (story.may_be_unposted, calm_since) = (false, now.clock_ms);
                    story.calm_since_ms = Some(calm_since);
                }
                if now.clock_ms >= calm_since + policy.recovery_hold * 1000 {
                    story.now = Now::Out;
                    story.calm_since_ms = None;
                    story.touched = None;
                }
            }
        });
    }

    /// The server has seen that its clock was set back: what is waited out is waited out from now on.
    pub fn clock_was_set_back(&mut self, now_ms: u64) {
        for story in self.stories.values_mut() {
            story.calm_since_ms = story.calm_since_ms.map(|since| since.min(now_ms));
        }
    }

    pub fn clock_was_set_ahead(&mut self) {
        self.was_hurried = true;
    }

    /// The server has lost what it knew: what the page shows of it is all that is left.
    pub fn lost(&mut self, now_ms: u64) {
        for story in self.stories.values_mut() {
            story.lost_at_ms.push(now_ms);
            story.calm_since_ms = None;
            story.unsettle();
            if story.now == Now::In {
                story.now = Now::Perhaps;
            }
        }
    }

    pub fn a_posting_may_be_lost(&mut self) {
        self.stories.values_mut().for_each(|story| story.may_be_unposted |= !story.has_none());
    }

    pub fn opened_late(&mut self, incident: &ShownIncident) {
        self.story(&incident.component).late.insert(incident.id);
    }

    pub fn was_late(&self, incident: &ShownIncident) -> bool {
        self.stories.get(&incident.component).is_some_and(|story| story.late.contains(&incident.id))
    }

    pub fn may_lose(&mut self) {
        self.may_have_lost = true;
    }

    pub fn moved(&mut self, component: &str) {
        self.story(component).moved = true;
    }

    pub fn incident_closed(&mut self, component: &str) {
        let mistakable = self.may_have_lost;
        let story = self.story(component);
        story.ever_touched = true;
        if story.now != Now::Out {
            // of several, nobody knows which is the episode's
            let is_clear =
                !mistakable && story.late.is_empty() && story.calm_since_ms.is_none() && story.touched.is_none();
            story.touched = Some(if story.now == Now::In && is_clear { Touch::Closed } else { Touch::Somehow });
        }
    }

    pub fn incident_reopened(&mut self, component: &str, id: i64) {
        let story = self.story(component);
        story.ever_touched = true;
        story.reopened.insert(id);
        story.touched = Some(Touch::Somehow);
    }

    /// Whether there is an open incident of it.
    pub fn has_an_incident(&self, component: &str) -> Belief {
        let Some(story) = self.stories.get(component) else { return Belief::No };
        let is_certain = !story.was_touched() && !story.may_be_unposted && story.late.is_empty();
        match story.now {
            Now::In if is_certain && story.calm_since_ms.is_none() => Belief::Yes,
            _ if story.ever_touched || !story.has_none() => Belief::Perhaps,
            _ => Belief::No,
        }
    }

    pub fn were_touched(&self, component: &str) -> bool {
        self.stories.get(component).is_some_and(Story::was_touched)
    }

    pub fn is_not_calm_yet(&self, component: &str, true_ms: u64) -> bool {
        let Some(story) = self.stories.get(component).filter(|story| !story.was_touched() && !self.was_hurried) else {
            return false;
        };
        let lately = |at: &u64| at + self.policy.recovery_hold * 1000 > true_ms;
        story.out_at_ms.last() == Some(&true_ms) && story.in_at_ms.last().is_some_and(lately)
    }

    pub fn is_in_an_outage(&self, component: &str) -> bool {
        let story = self.stories.get(component).filter(|story| !story.was_touched() && story.late.is_empty());
        story.is_some_and(|story| story.in_at_ms.last() > story.out_at_ms.last())
    }

    /// What is wrong with the incidents of a component at rest.
    pub fn verdict(&self, component: &str, exists: bool, incidents: &[ShownIncident]) -> Option<String> {
        let blank = Story::default();
        let story = self.stories.get(component).unwrap_or(&blank);
        // without meta, a store that was lost does not learn of an incident whose component has gone
        if story.moved && !story.lost_at_ms.is_empty() && self.without_meta {
            return None;
        }
        let open: Vec<i64> = incidents
            .iter()
            .filter(|incident| incident.component == component && incident.open)
            .map(|incident| incident.id)
            .collect();
        let ours = open.iter().filter(|id| !story.reopened.contains(id)).count();
        let unclear = story.moved || !exists || !story.reopened.is_empty();
        let allowed = match (story.now, story.touched) {
            (Now::Out, _) => 0..=0,
            (Now::Suppressed, None) if !unclear => 0..=0,
            (Now::In, None) if !unclear => 1..=1,
            (Now::In, Some(Touch::Closed)) if !unclear => 0..=0,
            _ => 0..=1,
        };
        (!allowed.contains(&ours)).then(|| {
            let (now, touched) = (story.now, story.touched);
            format!("{component} has the open incidents {open:?}, not {allowed:?} of them ({now:?}, {touched:?})")
        })
    }

    pub fn too_many(&self, component: &str, incidents: &[ShownIncident]) -> Option<String> {
        let story = self.stories.get(component)?;
        if story.was_touched() {
            return None;
        }
        let ours = incidents.iter().filter(|incident| incident.component == component && !self.was_late(incident));
        let ours: Vec<&ShownIncident> = ours.collect();
        ours.windows(2).find_map(|pair| {
            let (first, second) = (pair[0], pair[1]);
            let hold_ms = if self.was_hurried { 0 } else { self.policy.recovery_hold * 1000 };
            let stayed_out = |since: u64| !story.in_at_ms.iter().any(|at| (since..since + hold_ms).contains(at));
            let over = story.out_at_ms.iter().find(|at| **at >= first.created_ms && stayed_out(**at));
            let forgotten = story.lost_at_ms.iter().any(|at| (first.created_ms..second.created_ms + 1000).contains(at));
            let reopen_within_ms = if forgotten || self.was_hurried { 0 } else { self.policy.reopen_within * 1000 };
            let may_begin = over.map(|over| over + hold_ms + reopen_within_ms);
            let too_early = may_begin.is_none_or(|may_begin| second.created_ms + 999 < may_begin);
            too_early.then(|| format!("{component} has the incidents {} and {} for one", first.id, second.id))
        })
    }

    pub fn said_wrongly(&self, component: &str, incidents: &[ShownIncident]) -> Option<String> {
        if self.were_touched(component) {
            return None;
        }
        // of what a lost store had begun to say, the rest may be said twice
        let lost_at_ms = self.stories.get(component).and_then(|story| story.lost_at_ms.last().copied()).unwrap_or(0);
        let ours = incidents.iter().filter(|incident| incident.component == component);
        ours.filter(|incident| incident.created_ms > lost_at_ms)
            // what is nobody's is closed without a word
            .filter(|incident| !(in_turns(incident) || incident.said.is_empty() && self.was_late(incident)))
            .map(|incident| format!("what was said of it: {incident:?}"))
            .next()
    }

    fn story(&mut self, component: &str) -> &mut Story {
        self.stories.entry(component.to_owned()).or_default()
    }

    fn each(&mut self, troubles: &BTreeMap<String, Trouble>, what: impl Fn(&mut Story, Trouble, Policy)) {
        let policy = self.policy;
        for component in COMPONENTS.into_iter().chain([MONITORING]) {
            // what nothing feeds has nothing to complain about
            let trouble = troubles.get(component).copied().unwrap_or(Trouble { status: 1, under: Under::No });
            what(self.story(component), trouble, policy);
        }
    }
}

impl Story {
    fn was_touched(&self) -> bool {
        self.ever_touched || self.moved
    }

    /// Whether there is no incident: of that, a disturbance leaves no doubt.
    fn has_none(&self) -> bool {
        matches!(self.now, Now::Out | Now::Suppressed)
    }

    /// What an outage is that goes on: an incident is opened unless there is maintenance or an override, and stays if there was
    /// one.
    fn going_on(&self, under: Under) -> Now {
        match (under, self.now) {
            (Under::No, _) => Now::In,
            (_, Now::In) if !self.may_be_unposted => Now::In,
            (Under::Yes, Now::Out | Now::Suppressed) => Now::Suppressed,
            (Under::Perhaps, _) | (Under::Yes, Now::In | Now::Perhaps) => Now::Perhaps,
        }
    }

    fn unsettle(&mut self) {
        if self.touched.is_some() {
            self.touched = Some(Touch::Somehow);
        }
    }
}

/// Whether it was said in turns that it is over and that it is not, and last what is shown.
fn in_turns(incident: &ShownIncident) -> bool {
    let expected = (0..incident.said.len()).map(|number| number % 2 == 0);
    incident.said.iter().copied().eq(expected) && incident.open == incident.said.len().is_multiple_of(2)
}

/// Whether a component of this status is in an outage; `None` if that depends on whether it was.
fn goes_on(status: u8, policy: Policy) -> Option<bool> {
    match status {
        4 => Some(true),
        // whether it is over is what nobody knows
        5 => None,
        3 if policy.incidents_last_until_operational => None,
        _ => Some(false),
    }
}
