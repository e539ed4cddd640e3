//! What operators override, and until when.

use std::collections::BTreeMap;

use super::{Moment, View};

pub const MAJOR_OUTAGE: u8 = 4;

#[derive(Clone, Default)]
pub struct Overrides {
    in_force: BTreeMap<String, Override>,
    /// When no incident of a component could be opened, because it was overridden with something better.
    closed_times: Vec<(String, u64, u64)>,
}

#[derive(Clone)]
struct Override {
    status: u8,
    /// In the server's time.
    until_ms: u64,
    /// The same as everybody else has it, unless the server's clock is set meanwhile.
    true_until_ms: u64,
    /// From when on the server has surely known of it, as everybody else has it.
    known_from_ms: Option<u64>,
}

impl Overrides {
    pub fn set(&mut self, component: &str, status: u8, lasts_ms: u64, now: Moment) {
        self.end(component, now.true_ms);
        let (until_ms, true_until_ms) = (now.clock_ms + lasts_ms, now.true_ms + lasts_ms);
        let override_ = Override { status, until_ms, true_until_ms, known_from_ms: None };
        self.in_force.insert(component.to_owned(), override_);
    }

    /// It is not overridden any more.
    pub fn end(&mut self, component: &str, true_ms: u64) {
        let Some(override_) = self.in_force.remove(component) else { return };
        if let (Some(from_ms), true) = (override_.known_from_ms, override_.status < MAJOR_OUTAGE) {
            self.closed_times.push((component.to_owned(), from_ms, true_ms.min(override_.true_until_ms)));
        }
    }

    /// The server looks.
    pub fn looked(&mut self, now: Moment) {
        let over = self.in_force.iter().filter(|(_, override_)| override_.until_ms <= now.clock_ms);
        let over: Vec<String> = over.map(|(component, _)| component.clone()).collect();
        over.iter().for_each(|component| self.end(component, now.true_ms));
        for override_ in self.in_force.values_mut() {
            override_.known_from_ms.get_or_insert(now.true_ms);
        }
    }

    /// The store is lost, and the overrides with it.
    pub fn lost(&mut self, true_ms: u64) {
        let held: Vec<String> = self.in_force.keys().cloned().collect();
        held.iter().for_each(|component| self.end(component, true_ms));
    }

    /// The store is that of an earlier time again, and so are the overrides.
    pub fn restored(&mut self, then: &Self) {
        self.in_force = then.in_force.clone();
        self.in_force.values_mut().for_each(|override_| override_.known_from_ms = None);
    }

    /// `view` as it is with them: what is overridden is shown, whatever else is said. An outage that alerts tell of goes on
    /// below it, and gets no incident; one that an operator tells of is one.
    pub fn over(&self, mut view: View, now_ms: u64) -> View {
        for (component, override_) in self.in_force.iter().filter(|(_, override_)| now_ms < override_.until_ms) {
            let before = view.components.insert(component.clone(), override_.status);
            if override_.status < MAJOR_OUTAGE {
                view.covered.insert(component.clone(), before.unwrap_or(1));
            }
        }
        view
    }

    /// Whether one runs out between these two moments.
    pub fn run_out(&self, from_ms: u64, to_ms: u64) -> bool {
        self.in_force.values().any(|override_| (from_ms + 1..=to_ms).contains(&override_.until_ms))
    }

    /// Whether the whole second that begins then lies within a time in which no incident of the component could be
    /// opened.
    pub fn cover_second(&self, component: &str, second_ms: u64) -> bool {
        let covers = |(held, from_ms, until_ms): &(String, u64, u64)| {
            held == component && *from_ms < second_ms && second_ms + 999 < *until_ms
        };
        let now = self.in_force.get(component).filter(|override_| override_.status < MAJOR_OUTAGE);
        let lasting =
            now.and_then(|override_| Some((component.to_owned(), override_.known_from_ms?, override_.true_until_ms)));
        self.closed_times.iter().chain(&lasting).any(covers)
    }
}
