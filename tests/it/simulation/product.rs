//! A scenario in the product's own terms.

use std::collections::BTreeSet;
use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::incident_name::IncidentName;
use alertmanager_cachet::core::rules::{CloseIncidentWhen, Drift};
use alertmanager_cachet::core::target::{ComponentList, Inventory, InventorySource, KnownTarget, Target};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::{MonitoringTexts, Watchdog};
use alertmanager_cachet::reconcile::{Settings, Subscribers, TargetsOfPage, Texts};

use super::scenario::Scenario;

/// How often Cachet is read.
pub const INTERVAL_MS: u64 = 60_000;

pub fn settings(scenario: &Scenario) -> Settings {
    let policy = scenario.policy;
    Settings {
        inventory: (!policy.inventory_from_cachet).then(|| inventory(scenario)),
        targets_of_page: TargetsOfPage::All,
        texts: Texts {
            new_incident_name: IncidentName::new("%s is down").expect("a template"),
            new_incident_message: "We are looking into it.".to_owned(),
            resolved_incident_message: "It works again.".to_owned(),
            partially_resolved_incident_message: "Most of it works again.".to_owned(),
            relapse_message: "It happened again.".to_owned(),
            monitoring: MonitoringTexts::default(),
        },
        components: BTreeSet::new(),
        watchdog: policy
            .watchdog
            .map(|seconds| Watchdog::new("Watchdog", Duration::from_secs(seconds)).expect("a watchdog")),
        close_incident_when: match policy.incidents_last_until_operational {
            true => CloseIncidentWhen::Operational,
            false => CloseIncidentWhen::NotMajorOutage,
        },
        drift: if policy.enforce { Drift::Enforce } else { Drift::Respect },
        refire_hold: Duration::from_secs(policy.refire_hold),
        recovery_hold: Duration::from_secs(policy.recovery_hold),
        reopen_within: Duration::from_secs(policy.reopen_within),
        subscribers: Subscribers::Silent,
        interval: Duration::from_millis(INTERVAL_MS),
        history_days: 90,
    }
}

pub fn inventory(scenario: &Scenario) -> Inventory {
    let listed = scenario.targets.iter().enumerate().filter(|(_, target)| target.listed);
    let known = listed.map(|(number, spec)| KnownTarget { target: target(scenario, number), critical: spec.critical });
    Inventory::new(InventorySource::File, known)
}

fn target(scenario: &Scenario, number: usize) -> Target {
    let spec = &scenario.targets[number];
    let components = ComponentList::parse(&spec.components.join(",")).names;
    Target::new(spec.instance, components).expect("a target")
}

pub fn alert(scenario: &Scenario, number: usize) -> Alert {
    let spec = &scenario.alerts[number];
    Alert {
        fingerprint: format!("{number:016x}").parse().expect("a fingerprint"),
        name: spec.name.to_owned(),
        target: target(scenario, spec.target),
        critical: spec.critical,
        status: AlertStatus::Firing,
        starts_at: timestamp(0),
        ends_at: None,
    }
}

pub fn timestamp(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(milliseconds).expect("a time of today"))
}
