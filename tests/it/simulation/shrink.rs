//! Makes a failure small enough to be understood.

use super::run::Broken;
use super::scenario::Scenario;
use super::theatre::{Page, Theatre};

/// The report of a failing seed: what broke, the steps that it takes, and how to see it again.
pub fn report(seed: u64, scenario: Scenario, failure: Broken, theatre: &mut Theatre) -> String {
    let steps = scenario.steps.len();
    let (scenario, Broken(what)) = shrink(scenario, failure, theatre);
    format!(
        "seed {seed} breaks a law: {what}\n\nIt takes {} of its {steps} steps:\n{scenario}\nTo see it again:\n    \
         SIMULATION_SEED={seed} cargo test --test it simulation -- --nocapture\n",
        scenario.steps.len()
    )
}

/// Leaves out steps, in ever smaller parts, as long as something still breaks.
fn shrink(mut scenario: Scenario, mut failure: Broken, theatre: &mut Theatre) -> (Scenario, Broken) {
    let mut part = scenario.steps.len().div_ceil(2);
    loop {
        let mut at = 0;
        let mut smaller = false;
        while at < scenario.steps.len() {
            let mut without = scenario.clone();
            without.steps.drain(at..(at + part).min(scenario.steps.len()));
            match theatre.play(&without, Page::InMemory) {
                Err(still) => (scenario, failure, smaller) = (without, still, true),
                Ok(_) => at += part,
            }
        }
        match part {
            0 | 1 if !smaller => return (scenario, failure),
            0 | 1 => {}
            _ => part = part.div_ceil(2),
        }
    }
}
