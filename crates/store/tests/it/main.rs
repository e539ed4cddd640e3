//! The store: the contract that each implementation keeps, and what is particular to a file of SQLite.

mod contract;
mod sqlite;

use std::time::Duration;

use alertmanager_cachet_core::alert::{Alert, AlertStatus, Fingerprint};
use alertmanager_cachet_core::target::{ComponentList, ComponentName, Target};
use alertmanager_cachet_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_795_226_400_000);

fn after(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// A firing alert of a target.
fn alert(instance: &str, components: &str, starts_at: Timestamp) -> Alert {
    let target = Target::new(instance, ComponentList::parse(components).names).expect("a target");
    Alert {
        fingerprint: Fingerprint::of_text(target.name().as_str()),
        name: "TargetDown".to_owned(),
        target,
        critical: false,
        status: AlertStatus::Firing,
        starts_at,
        ends_at: None,
    }
}

fn resolved(alert: &Alert) -> Alert {
    Alert { status: AlertStatus::Resolved, ..alert.clone() }
}

fn component(name: &str) -> ComponentName {
    ComponentName::try_from(name).expect("a name")
}
