//! Which components must have an open incident, and how many there may be.

use std::collections::{BTreeMap, BTreeSet};

use super::ShownIncident;
use crate::simulation::maintenance::{Calendar, Under};
use crate::simulation::scenario::Policy;

/// Whether a component is in an episode; `Perhaps` after rounds of which nobody knows how far they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Now {
    #[default]
    Out,
    In,
    /// It is in an outage that maintenance keeps without an incident.
    Held,
    Perhaps,
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
    stories: BTreeMap<String, Story>,
}

impl Episodes {
    pub fn new(policy: Policy) -> Self {
        Self { policy, may_have_lost: false, stories: BTreeMap::new() }
    }

    pub fn may_be_seen(&mut self, now_ms: u64, statuses: &BTreeMap<String, u8>, calendar: &Calendar) {
        self.each(statuses, |component, story, status, policy| match goes_on(status, policy) {
            Some(true) if story.has_none() && calendar.at(component, now_ms) == Under::Yes => story.now = Now::Held,
            // it may have begun, or begun again after a calm
            Some(true) if story.has_none() || story.calm_since_ms.is_some() => {
                story.now = Now::Perhaps;
                story.calm_since_ms = None;
            }
            Some(false) => {
                story.out_at_ms.push(now_ms);
                if story.now == Now::In {
                    story.now = Now::Perhaps;
                }
                story.unsettle();
            }
            _ => {}
        });
    }

    pub fn seen(&mut self, now_ms: u64, statuses: &BTreeMap<String, u8>, calendar: &Calendar) {
        self.each(statuses, |component, story, status, policy| match goes_on(status, policy) {
            Some(true) => {
                if story.now != Now::In {
                    story.unsettle();
                }
                story.now = story.going_on(calendar.at(component, now_ms));
                story.in_at_ms.push(now_ms);
                story.calm_since_ms = None;
            }
            None => match story.now {
                Now::Held => story.now = Now::Out,
                Now::Out => {}
                Now::In | Now::Perhaps => story.calm_since_ms = None,
            },
            Some(false) => {
                story.out_at_ms.push(now_ms);
                story.unsettle();
                if story.has_none() {
                    story.now = Now::Out;
                    return;
                }
                let calm_since = *story.calm_since_ms.get_or_insert(now_ms);
                if now_ms >= calm_since + policy.recovery_hold * 1000 {
                    story.now = Now::Out;
                    story.calm_since_ms = None;
                    story.touched = None;
                }
            }
        });
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
            let in_the_middle =
                !mistakable && story.now == Now::In && story.calm_since_ms.is_none() && story.touched.is_none();
            story.touched = Some(if in_the_middle { Touch::Closed } else { Touch::Somehow });
        }
    }

    pub fn incident_reopened(&mut self, component: &str, id: i64) {
        let story = self.story(component);
        story.ever_touched = true;
        story.reopened.insert(id);
        story.touched = Some(Touch::Somehow);
    }

    pub fn were_touched(&self, component: &str) -> bool {
        self.stories.get(component).is_some_and(|story| story.ever_touched || story.moved)
    }

    pub fn is_not_calm_yet(&self, component: &str, now_ms: u64) -> bool {
        let Some(story) = self.stories.get(component).filter(|story| !story.ever_touched && !story.moved) else {
            return false;
        };
        let lately = |at: &u64| at + self.policy.recovery_hold * 1000 > now_ms;
        story.out_at_ms.last() == Some(&now_ms) && story.in_at_ms.last().is_some_and(lately)
    }

    /// What is wrong with the incidents of a component at rest.
    pub fn verdict(&self, component: &str, exists: bool, incidents: &[ShownIncident]) -> Option<String> {
        let blank = Story::default();
        let story = self.stories.get(component).unwrap_or(&blank);
        let open: Vec<i64> = incidents
            .iter()
            .filter(|incident| incident.component == component && incident.open)
            .map(|incident| incident.id)
            .collect();
        let ours = open.iter().filter(|id| !story.reopened.contains(id)).count();
        let unclear = story.moved || !exists || !story.reopened.is_empty();
        let allowed = match (story.now, story.touched) {
            (Now::Out, _) => 0..=0,
            (Now::Held, None) if !unclear => 0..=0,
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
        if story.ever_touched || story.moved {
            return None;
        }
        let ours: Vec<&ShownIncident> = incidents.iter().filter(|incident| incident.component == component).collect();
        ours.windows(2).find_map(|pair| {
            let (first, second) = (pair[0], pair[1]);
            let hold_ms = self.policy.recovery_hold * 1000;
            let stayed_out = |since: u64| !story.in_at_ms.iter().any(|at| (since..since + hold_ms).contains(at));
            let over = story.out_at_ms.iter().find(|at| **at >= first.created_ms && stayed_out(**at));
            let may_begin = over.map(|over| over + hold_ms + self.policy.reopen_within * 1000);
            let too_early = may_begin.is_none_or(|may_begin| second.created_ms + 999 < may_begin);
            too_early.then(|| format!("{component} has the incidents {} and {} for one", first.id, second.id))
        })
    }

    pub fn said_wrongly(&self, component: &str, incidents: &[ShownIncident]) -> Option<String> {
        if self.were_touched(component) {
            return None;
        }
        let ours = incidents.iter().filter(|incident| incident.component == component);
        ours.filter(|incident| !in_turns(incident)).map(|incident| format!("what was said of it: {incident:?}")).next()
    }

    fn story(&mut self, component: &str) -> &mut Story {
        self.stories.entry(component.to_owned()).or_default()
    }

    fn each(&mut self, statuses: &BTreeMap<String, u8>, what: impl Fn(&str, &mut Story, u8, Policy)) {
        let policy = self.policy;
        for component in crate::simulation::scenario::COMPONENTS {
            // what nothing feeds has nothing to complain about
            let status = statuses.get(component).copied().unwrap_or(1);
            what(component, self.story(component), status, policy);
        }
    }
}

impl Story {
    /// Whether there is no incident: of that, a disturbance leaves no doubt.
    fn has_none(&self) -> bool {
        matches!(self.now, Now::Out | Now::Held)
    }

    /// What an outage is that goes on: an incident is opened unless there is maintenance, and stays if there was one.
    fn going_on(&self, under: Under) -> Now {
        match (under, self.now) {
            (Under::No, _) | (_, Now::In) => Now::In,
            (Under::Yes, Now::Out | Now::Held) => Now::Held,
            (Under::Perhaps, _) | (Under::Yes, Now::Perhaps) => Now::Perhaps,
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
        3 if policy.incidents_last_until_operational => None,
        _ => Some(false),
    }
}
