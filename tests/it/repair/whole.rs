//! The real server beside a real Alertmanager.

use std::path::Path;

use tempfile::TempDir;

use crate::support::alertmanager::{Alertmanager, SILENT, posting_to};
use crate::support::page::Page;
use crate::support::processes::{Process, eventually, program, run, written};

/// Never, as far as a test is concerned: what is seen was seen at the start, or on demand.
const NEVER_SECONDS: u32 = 3600;

/// What the incident of the watchdog says in the end, if nothing else is configured.
const BACK: &str = "Our monitoring reports again, and this page shows the status of our services.";

const INSTANCES: [&str; 5] = ["web-1", "web-2", "web-3", "web-4", "web-5"];

/// Our server with a page of its own, on which five targets feed one component.
struct Site {
    server: Process,
    webhook: String,
    page: Page,
    _folder: TempDir,
}

impl Site {
    async fn start(alertmanager: &Alertmanager, poll_seconds: u32) -> Self {
        Self::start_with(alertmanager, &config(poll_seconds, "")).await
    }

    async fn start_with(alertmanager: &Alertmanager, config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), "config.json", config);
        written(folder.path(), "prometheus.yml", &targets());
        let mut command = program(folder.path());
        command.arg("serve").env("ENVIRONMENT", "local").env("LISTEN_ADDRESS", "127.0.0.1:0").env("LOG_LEVEL", "debug");
        let mut server = Process::start("server", command.env("ALERTMANAGER_URL", alertmanager.url("")), folder.path());
        let address = server.tells("listening on http://").await;
        let token = run(program(folder.path()).arg("embedded-token")).stdout;
        let page = Page::new(format!("http://{address}/api"), token.trim().to_owned());
        Self { server, webhook: format!("http://{address}/webhook"), page, _folder: folder }
    }

    /// What Alertmanager needs to post here.
    fn receiver(&self, max_alerts: usize) -> String {
        posting_to(&self.webhook, "admin", "admin", max_alerts)
    }

    /// Waits until it says on stderr that it repaired something so.
    async fn has_repaired(&self, what: &str) {
        eventually("the repair is in the log", async || {
            let said = self.server.stderr();
            let found = said.lines().any(|line| line.contains("repaired: ") && line.contains(what));
            if found { Ok(()) } else { Err(said) }
        })
        .await;
    }
}

fn config(poll_seconds: u32, more: &str) -> String {
    format!(
        r#"{{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "groups_configuration": [{{"status_page_group": "All", "status_page_components": ["Web"]}}],
  "alertmanager_poll_seconds": {poll_seconds},{more}
  "alertmanager_settle_seconds": 0
}}"#
    )
}

fn targets() -> String {
    let labels = r#"{status_page_alert: "true", status_page_component: Web}"#;
    format!(
        "scrape_configs: [{{job_name: web, static_configs: [{{targets: [{}], labels: {labels}}}]}}]",
        INSTANCES.join(", ")
    )
}

async fn alertmanager(folder: &Path) -> Alertmanager {
    Alertmanager::start(folder, SILENT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_ends_while_it_is_silenced_leaves_the_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = alertmanager(folder.path()).await;
    let site = Site::start(&alertmanager, 1).await;
    alertmanager.reload(&site.receiver(0)).await;
    alertmanager.fire(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Web: Partial outage"]).await;

    alertmanager.silence("web-1").await;
    alertmanager.resolve(&["web-1"], "Web").await;
    site.page.comes_to_show(&["Web: Operational"]).await;
    site.has_repaired(r#""TargetDown" of "web-1 | Web" has ended"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fired_while_the_server_was_away_is_on_the_page_when_it_is_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = alertmanager(folder.path()).await;
    alertmanager.fire(&INSTANCES, "Web").await;
    alertmanager.comes_to_know(INSTANCES.len()).await;
    let mut site = Site::start(&alertmanager, NEVER_SECONDS).await;
    site.page.comes_to_show(&["Web: Major outage", "Web is down: Investigating"]).await;
    site.has_repaired(r#""TargetDown" of "web-5 | Web" fires: Alertmanager lists it"#).await;
    assert_eq!(site.server.end().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_were_cut_off_are_looked_up_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = alertmanager(folder.path()).await;
    let mut site = Site::start(&alertmanager, NEVER_SECONDS).await;
    // From here on, only a notification makes it read again.
    site.server.tells("Alertmanager was read").await;
    alertmanager.reload(&site.receiver(2)).await;
    alertmanager.fire(&INSTANCES, "Web").await;
    site.page.comes_to_show(&["Web: Major outage", "Web is down: Investigating"]).await;
    site.has_repaired(r#""TargetDown" of "#).await;
}

/// Alertmanager lists the watchdog for long, and goes on notifying of what it lists; Prometheus sent it once.
#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_that_only_remembers_the_watchdog_does_not_vouch_for_prometheus() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = alertmanager(folder.path()).await;
    alertmanager.watchdog().await;
    let config = config(1, r#""watchdog": {"timeout_seconds": 3},"#);
    let site = Site::start_with(&alertmanager, &config).await;
    let silent = ["Web: Unknown", "Monitoring data is missing: Investigating"];
    site.page.comes_to_show(&silent).await;
    alertmanager.comes_to_know(1).await;
    site.page.comes_to_show(&silent).await;
    let fixed = format!("Monitoring data is missing: Fixed ({BACK})");
    let heard = ["Web: Operational", &fixed];
    tokio::select! {
        () = alertmanager.watchdog_for_ever() => {}
        () = site.page.comes_to_show(&heard) => {}
    }
}

/// Nothing but notifications, as where Alertmanager's API cannot be reached.
#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_that_is_notified_often_enough_is_heard_and_a_resolved_one_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let alertmanager = alertmanager(folder.path()).await;
    let config = config(NEVER_SECONDS, r#""watchdog": {"timeout_seconds": 4},"#);
    let mut site = Site::start_with(&alertmanager, &config).await;
    site.server.tells("Alertmanager was read").await;
    let silent = ["Web: Unknown", "Monitoring data is missing: Investigating"];
    site.page.comes_to_show(&silent).await;
    alertmanager.reload(&site.receiver(0).replace("repeat_interval: 1h", "repeat_interval: 1s")).await;
    alertmanager.watchdog().await;
    let fixed = format!("Monitoring data is missing: Fixed ({BACK})");
    site.page.comes_to_show(&["Web: Operational", &fixed]).await;
    alertmanager.watchdog_ends().await;
    // Within ten minutes it is the same incident.
    let relapsed =
        format!("Monitoring data is missing: Investigating ({BACK} It happened again. We are investigating.)");
    site.page.comes_to_show(&["Web: Unknown", &relapsed]).await;
}
