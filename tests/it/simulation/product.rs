//! A scenario in the product's own terms.

use std::time::Duration;

use alertmanager_cachet::core::alert::{Alert, AlertStatus};
use alertmanager_cachet::core::config::{AlertConfig, Config, IncidentConfig, PageConfig, WatchdogConfig};
use alertmanager_cachet::core::rules::{CloseIncidentWhen, Drift};
use alertmanager_cachet::core::target::{ComponentList, Inventory, InventorySource, KnownTarget, Target};
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::core::watchdog::{MonitoringTexts, Watchdog};
use alertmanager_cachet::settings::Settings;

use super::alertmanagers::SETTLE_MS;
use super::scenario::{Repair, Scenario};
use crate::support::world::config;

/// How often Cachet is read.
pub const INTERVAL_MS: u64 = 60_000;

pub fn settings(scenario: &Scenario) -> Settings {
    let policy = scenario.policy;
    let watchdog = policy.watchdog.map(|seconds| WatchdogConfig {
        watchdog: Watchdog::new("Watchdog", Duration::from_secs(seconds)).expect("a watchdog"),
        texts: MonitoringTexts::default(),
    });
    let interval = Duration::from_millis(INTERVAL_MS);
    let usual = config();
    let page = PageConfig {
        drift: if policy.enforce { Drift::Enforce } else { Drift::Respect },
        reconcile_interval: interval,
        ..usual.page
    };
    let incidents = IncidentConfig {
        close_when: match policy.incidents_last_until_operational {
            true => CloseIncidentWhen::Operational,
            false => CloseIncidentWhen::NotMajorOutage,
        },
        recovery_hold: Duration::from_secs(policy.recovery_hold),
        reopen_within: Duration::from_secs(policy.reopen_within),
        ..usual.incidents
    };
    let alerts = AlertConfig {
        refire_delay: Duration::from_secs(policy.refire_delay),
        stale_after: match policy.repair {
            Repair::Silence(seconds) => Some(Duration::from_secs(seconds)),
            Repair::Nothing | Repair::Alertmanager => None,
        },
        poll: interval,
        settle: Duration::from_millis(SETTLE_MS),
        ..usual.alerts
    };
    let config = Config { page, incidents, alerts, watchdog, history_days: usual.history_days };
    Settings { inventory: (!policy.inventory_from_cachet).then(|| inventory(scenario)), ..Settings::from(config) }
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
    let mut target = target(scenario, spec.target);
    if spec.reordered {
        let components: Vec<_> = target.components().iter().rev().cloned().collect();
        target = Target::new(target.instance(), components).expect("a target");
    }
    if spec.without_port {
        target = Target::new(target.host(), target.components()).expect("a target");
    }
    Alert {
        fingerprint: format!("{number:016x}").parse().expect("a fingerprint"),
        name: spec.name.to_owned(),
        target,
        critical: spec.critical,
        status: AlertStatus::Firing,
        starts_at: timestamp(0),
        ends_at: None,
    }
}

pub fn timestamp(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(milliseconds).expect("a time of today"))
}
