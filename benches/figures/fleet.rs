//! What is monitored: components and their targets, as both files name them and as Alertmanager tells of them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;

use alertmanager_cachet::core::alert::AlertStatus;
use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Value, json};

/// So many components, each with so many targets. Of every component's targets, numbers 2 and 3 are critical.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    pub components: usize,
    pub targets_each: usize,
}

/// A target: the number of its component, and its own within it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    component: usize,
    number: usize,
}

/// Those of a component's targets that are critical.
pub const CRITICAL: Range<usize> = 2..4;

impl Fleet {
    /// Writes `config.json` and `prometheus.yml`. Cachet is read at the start and not again while it is measured.
    pub fn write_files(self, folder: &Path) -> anyhow::Result<()> {
        let names: Vec<String> = (0..self.components).map(component_name).collect();
        let groups = names.chunks(5).enumerate().map(
            |(number, names)| json!({"status_page_group": format!("Group {number}"), "status_page_components": names}),
        );
        let config = json!({
            "new_incident_name": "%s is experiencing issues",
            "new_incident_message": "We are investigating an issue that affects this service.",
            "resolved_incident_message": "The issue has been resolved.",
            "reconcile_interval_seconds": 86_400,
            "groups_configuration": groups.collect::<Vec<_>>(),
        });
        fs::write(folder.join("config.json"), config.to_string()).context("config.json cannot be written")?;
        let scraped: Vec<Value> = (0..self.components).flat_map(|component| self.scraped(component)).collect();
        // JSON is YAML as well
        let targets = json!({"scrape_configs": [{"job_name": "node", "static_configs": scraped}]});
        fs::write(folder.join("prometheus.yml"), targets.to_string()).context("prometheus.yml cannot be written")
    }

    /// The targets of these numbers, of every component.
    pub fn targets(self, numbers: Range<usize>) -> Vec<Target> {
        let of_component = |component| numbers.clone().map(move |number| Target { component, number });
        (0..self.components).flat_map(of_component).collect()
    }

    /// The entries of `static_configs` for one component: its critical targets and the others.
    fn scraped(self, component: usize) -> [Value; 2] {
        [true, false].map(|critical| {
            let targets = (0..self.targets_each).map(|number| Target { component, number });
            let instances: Vec<String> =
                targets.filter(|it| it.is_critical() == critical).map(Target::instance).collect();
            json!({"targets": instances, "labels": {
                "status_page_alert": "true",
                "status_page_component": component_name(component),
                "status_page_critical_target": critical.to_string(),
            }})
        })
    }
}

impl Target {
    fn instance(self) -> String {
        format!("10.0.{}.{}:9100", self.component, self.number)
    }

    /// Whether it is one of the component with this number.
    pub fn is_of(self, component: usize) -> bool {
        self.component == component
    }

    fn is_critical(self) -> bool {
        CRITICAL.contains(&self.number)
    }

    /// One alert of it, with what Alertmanager 0.25 sends.
    fn alert(self, status: AlertStatus, name: &str, starts_at: Timestamp) -> Value {
        let instance = self.instance();
        let mut hasher = DefaultHasher::new();
        (name, &instance).hash(&mut hasher);
        let (status, ends_at) = match status {
            AlertStatus::Firing => ("firing", "0001-01-01T00:00:00Z".to_owned()),
            AlertStatus::Resolved => ("resolved", Timestamp::now().to_string()),
        };
        json!({
            "status": status,
            "labels": {
                "alertname": name,
                "instance": instance,
                "job": "node",
                "severity": "critical",
                "status_page_alert": "true",
                "status_page_component": component_name(self.component),
                "status_page_critical_target": self.is_critical().to_string(),
            },
            "annotations": {
                "description": "The target did not answer for 30s.",
                "summary": format!("Target {instance} is down"),
            },
            "startsAt": starts_at.to_string(),
            "endsAt": ends_at,
            "generatorURL": "http://prometheus.internal:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "fingerprint": format!("{:016x}", hasher.finish()),
        })
    }
}

/// The body of one notification: the alert `name` of each of `targets`.
pub fn notification(status: AlertStatus, name: &str, targets: &[Target], starts_at: Timestamp) -> String {
    let alerts: Vec<Value> = targets.iter().map(|target| target.alert(status, name, starts_at)).collect();
    json!({
        "version": "4",
        "receiver": "status-page",
        "status": "firing",
        "groupKey": format!("{{}}:{{alertname=\"{name}\"}}"),
        "groupLabels": {"alertname": name},
        "commonLabels": {"alertname": name, "job": "node", "severity": "critical"},
        "commonAnnotations": {"description": "The target did not answer for 30s."},
        "externalURL": "http://alertmanager.internal:9093",
        "truncatedAlerts": 0,
        "alerts": alerts,
    })
    .to_string()
}

/// The name of the component with this number.
fn component_name(number: usize) -> String {
    format!("Service {number:02}")
}
