//! What operators hold, and until when.

use std::collections::BTreeMap;

use super::{Moment, View};

pub const MAJOR_OUTAGE: u8 = 4;

#[derive(Clone, Default)]
pub struct Holds {
    in_force: BTreeMap<String, Hold>,
    /// When no incident of a component could be opened, because it was held at something better.
    closed_times: Vec<(String, u64, u64)>,
}

#[derive(Clone)]
struct Hold {
    status: u8,
    /// In the server's time.
    until_ms: u64,
    /// The same as everybody else has it, unless the server's clock is set meanwhile.
    true_until_ms: u64,
    /// From when on the server has surely known of it, as everybody else has it.
    known_from_ms: Option<u64>,
}

impl Holds {
    pub fn held(&mut self, component: &str, status: u8, lasts_ms: u64, now: Moment) {
        self.end(component, now.true_ms);
        let (until_ms, true_until_ms) = (now.clock_ms + lasts_ms, now.true_ms + lasts_ms);
        let hold = Hold { status, until_ms, true_until_ms, known_from_ms: None };
        self.in_force.insert(component.to_owned(), hold);
    }

    /// It is not held any more.
    pub fn end(&mut self, component: &str, true_ms: u64) {
        let Some(hold) = self.in_force.remove(component) else { return };
        if let (Some(from_ms), true) = (hold.known_from_ms, hold.status < MAJOR_OUTAGE) {
            self.closed_times.push((component.to_owned(), from_ms, true_ms.min(hold.true_until_ms)));
        }
    }

    /// The server looks.
    pub fn looked(&mut self, now: Moment) {
        let over = self.in_force.iter().filter(|(_, hold)| hold.until_ms <= now.clock_ms);
        let over: Vec<String> = over.map(|(component, _)| component.clone()).collect();
        over.iter().for_each(|component| self.end(component, now.true_ms));
        for hold in self.in_force.values_mut() {
            hold.known_from_ms.get_or_insert(now.true_ms);
        }
    }

    /// The store is lost, and the holds with it.
    pub fn lost(&mut self, true_ms: u64) {
        let held: Vec<String> = self.in_force.keys().cloned().collect();
        held.iter().for_each(|component| self.end(component, true_ms));
    }

    /// The store is that of an earlier time again, and so are the holds.
    pub fn restored(&mut self, then: &Self) {
        self.in_force = then.in_force.clone();
        self.in_force.values_mut().for_each(|hold| hold.known_from_ms = None);
    }

    /// `view` as it is with them: what is held is shown, whatever else is said. An outage that alerts tell of goes on
    /// below it, and gets no incident; one that an operator tells of is one.
    pub fn over(&self, mut view: View, now_ms: u64) -> View {
        for (component, hold) in self.in_force.iter().filter(|(_, hold)| now_ms < hold.until_ms) {
            let before = view.components.insert(component.clone(), hold.status);
            if hold.status < MAJOR_OUTAGE {
                view.covered.insert(component.clone(), before.unwrap_or(1));
            }
        }
        view
    }

    /// Whether one runs out between these two moments.
    pub fn run_out(&self, from_ms: u64, to_ms: u64) -> bool {
        self.in_force.values().any(|hold| (from_ms + 1..=to_ms).contains(&hold.until_ms))
    }

    /// Whether the whole second that begins then lies within a time in which no incident of the component could be
    /// opened.
    pub fn cover_second(&self, component: &str, second_ms: u64) -> bool {
        let covers = |(held, from_ms, until_ms): &(String, u64, u64)| {
            held == component && *from_ms < second_ms && second_ms + 999 < *until_ms
        };
        let now = self.in_force.get(component).filter(|hold| hold.status < MAJOR_OUTAGE);
        let lasting = now.and_then(|hold| Some((component.to_owned(), hold.known_from_ms?, hold.true_until_ms)));
        self.closed_times.iter().chain(&lasting).any(covers)
    }
}
