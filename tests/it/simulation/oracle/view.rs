//! What a page shows, and what follows from its targets.

use std::collections::BTreeMap;

use crate::simulation::scenario::COMPONENTS;

/// What the page of one moment should show, were there only alerts and what operators override.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The status of every component that a target feeds, or that is overridden.
    pub components: BTreeMap<String, u8>,
    /// What components would show that are overridden with something better than an outage.
    pub covered: BTreeMap<String, u8>,
    /// Status and description of every target that counts.
    pub targets: BTreeMap<String, (u8, String)>,
    /// The status of the monitoring: in an outage while nothing is heard of the watchdog.
    pub monitoring: u8,
}

impl View {
    /// What alerts alone make of the targets that count, by name: whether each is critical, and what fires.
    pub fn of_targets(counted: BTreeMap<String, (bool, Vec<&str>)>) -> Self {
        let components = components(&counted);
        Self { components, covered: BTreeMap::new(), targets: targets(counted), monitoring: 1 }
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
