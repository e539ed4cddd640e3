//! A pair of Alertmanagers: what truly fires, and what each of the two lists of it.

use std::time::Duration;

use alertmanager_cachet::core::alert::Alert;
use alertmanager_cachet::core::listing::{ListedAlert, Standing};
use alertmanager_cachet::core::repair::{Member, Poll, WatchdogListing};

use super::oracle::{Listed, Reading};
use super::product::timestamp;
use super::scenario::{Fate, Occurrence};

/// How long a member has to be up before what it does not list counts.
pub const SETTLE_MS: u64 = 300_000;

/// How long it takes Prometheus to tell a member that was started anew everything again.
const TOLD_AGAIN_MS: u64 = 90_000;

pub struct Pair {
    /// Since when each alert truly fires.
    fires_since: Vec<Option<u64>>,
    suppressed: Vec<bool>,
    members: [State; 2],
}

#[derive(Clone)]
struct State {
    up_since_ms: u64,
    away: bool,
    /// What it lists as long as it hears nothing new.
    frozen: Option<Vec<Option<Listed>>>,
}

impl Pair {
    /// Both have been up for long.
    pub fn new(alerts: usize) -> Self {
        let state = State { up_since_ms: 0, away: false, frozen: None };
        Self { fires_since: vec![None; alerts], suppressed: vec![false; alerts], members: [state.clone(), state] }
    }

    /// What a statement about an occurrence that began at `starts_ms` says of what is true. That it still fires is an
    /// echo if it is known to have ended, unless `it_is_back`.
    pub fn hears(&mut self, alert: usize, occurrence: Occurrence, starts_ms: u64, firing: bool, it_is_back: bool) {
        let truth = &mut self.fires_since[alert];
        match (occurrence, firing) {
            (Occurrence::New | Occurrence::Ahead(_), true) => *truth = Some(starts_ms),
            (Occurrence::New | Occurrence::Ahead(_) | Occurrence::Back(0) | Occurrence::Earlier, false) => {
                *truth = None
            }
            (Occurrence::Back(0), true) if it_is_back => *truth = Some(starts_ms),
            (Occurrence::Back(_) | Occurrence::Earlier, _) => {}
        }
    }

    pub fn suppress(&mut self, alert: usize, suppressed: bool) {
        self.suppressed[alert] = suppressed;
    }

    pub fn meets(&mut self, member: usize, fate: Fate, now_ms: u64) {
        let everything = self.truth();
        let state = &mut self.members[member];
        match fate {
            Fate::Restarted => *state = State { up_since_ms: now_ms, away: false, frozen: None },
            Fate::Away => state.away = true,
            Fate::CutOff => drop(state.frozen.get_or_insert(everything)),
            Fate::Well => (state.away, state.frozen) = (false, None),
        }
    }

    /// Both are well.
    pub fn mend(&mut self) {
        (0..2).for_each(|member| self.meets(member, Fate::Well, 0));
    }

    /// What truly fires: what both list when they are well.
    pub fn truth(&self) -> Vec<Option<Listed>> {
        let alerts = self.fires_since.iter().zip(&self.suppressed);
        alerts.map(|(since, suppressed)| since.map(|starts_ms| Listed { starts_ms, suppressed: *suppressed })).collect()
    }

    /// What reading both gives at `now_ms`.
    pub fn read(&self, now_ms: u64) -> Vec<Reading> {
        let reading = |state: &State| {
            let up_ms = now_ms - state.up_since_ms;
            // what was told to it before it hears nothing more
            let knows = match &state.frozen {
                Some(frozen) => frozen.clone(),
                None if up_ms < TOLD_AGAIN_MS => vec![None; self.fires_since.len()],
                None => self.truth(),
            };
            (!state.away).then_some((up_ms, knows))
        };
        self.members.iter().map(reading).collect()
    }
}

/// The same in the product's terms; `alerts` are all that there are.
pub fn poll(readings: &[Reading], began_ms: u64, alerts: &[Alert]) -> Poll {
    let members = readings.iter().flatten().map(|(up_ms, listed)| Member {
        up_for: Duration::from_millis(*up_ms),
        listed: alerts.iter().zip(listed).filter_map(|(alert, listed)| Some(listed_alert(alert, (*listed)?))).collect(),
    });
    Poll { began_at: timestamp(began_ms), members: members.collect(), watchdog: WatchdogListing::NotConfigured }
}

fn listed_alert(alert: &Alert, listed: Listed) -> ListedAlert {
    let standing = if listed.suppressed { Standing::Suppressed } else { Standing::Active };
    ListedAlert { alert: Alert { starts_at: timestamp(listed.starts_ms), ..alert.clone() }, standing, lease: None }
}
