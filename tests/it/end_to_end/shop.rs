//! What is monitored: a shop with a database and a website, and what its page says of it.

use super::monitoring::Target;
use crate::support::page::Page;

/// The texts and groups of its status page.
pub const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "partially_resolved_incident_message": "Most of it works again.",
  "groups_configuration": [
    {"status_page_group": "Shop", "status_page_components": ["Database", "Website"]}
  ]
}"#;

/// The targets of the shop.
pub struct Shop {
    pub db_1: Target,
    pub db_2: Target,
    pub db_critical: Target,
    pub web_1: Target,
    pub web_2: Target,
}

impl Shop {
    /// Everything works.
    pub async fn start() -> Self {
        Self {
            db_1: Target::start().await,
            db_2: Target::start().await,
            db_critical: Target::start().await,
            web_1: Target::start().await,
            web_2: Target::start().await,
        }
    }

    /// What [`Page`] calls the targets.
    pub fn introduce_to(&self, page: &mut Page) {
        page.call(self.db_1.address, "db-1");
        page.call(self.db_2.address, "db-2");
        page.call(self.db_critical.address, "db-critical");
        page.call(self.web_1.address, "web-1");
        page.call(self.web_2.address, "web-2");
    }

    /// Prometheus' configuration, which is the targets file of the server too. `0.0.0.0:9` is scraped, and nobody's
    /// business on the status page.
    pub fn scraped(&self) -> String {
        format!(
            r#"
global:
  scrape_interval: 1s
  evaluation_interval: 200ms
rule_files: [rules.yml]
alerting:
  alertmanagers:
    - file_sd_configs:
        - files: [alertmanagers.json]
scrape_configs:
  - job_name: database
    static_configs:
      - targets: ["{db_1}", "{db_2}"]
        labels:
          status_page_alert: "true"
          status_page_component: Database
      - targets: ["{db_critical}"]
        labels:
          status_page_alert: "true"
          status_page_component: Database
          status_page_critical_target: "true"
  - job_name: website
    static_configs:
      - targets: ["{web_1}", "{web_2}"]
        labels:
          status_page_alert: "true"
          status_page_component: Website
  - job_name: nobody's business
    static_configs:
      - targets: ["0.0.0.0:9"]
"#,
            db_1 = self.db_1.address,
            db_2 = self.db_2.address,
            db_critical = self.db_critical.address,
            web_1 = self.web_1.address,
            web_2 = self.web_2.address,
        )
    }
}

/// The disabled components, when these targets are down.
pub fn targets_when_down(down: &[&str]) -> Vec<String> {
    let targets = [
        ("db-1", "Database", "no"),
        ("db-2", "Database", "no"),
        ("db-critical", "Database", "yes"),
        ("web-1", "Website", "no"),
        ("web-2", "Website", "no"),
    ];
    let line = |(name, component, critical): (&str, &str, &str)| {
        let (status, alerts) =
            if down.contains(&name) { ("Major outage", "StatusPageTargetDown") } else { ("Operational", "no alerts") };
        format!("{name} | {component}: {status} (critical: {critical}; {alerts})")
    };
    targets.into_iter().map(line).collect()
}
