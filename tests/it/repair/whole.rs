//! The real server beside a real Alertmanager.

use std::path::Path;

use tempfile::TempDir;

use crate::support::alertmanager::{Alertmanager, SILENT, posting_to};
use crate::support::page::Page;
use crate::support::processes::{Process, eventually, program, run, written};

/// Never, as far as a test is concerned: what is seen was seen at the start, or on demand.
const NEVER_SECONDS: u32 = 3600;

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
        let folder = tempfile::tempdir().expect("a folder");
        let (config, targets) = (config(poll_seconds), targets());
        written(folder.path(), "config.json", &config);
        written(folder.path(), "prometheus.yml", &targets);
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

fn config(poll_seconds: u32) -> String {
    format!(
        r#"{{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "groups_configuration": [{{"status_page_group": "All", "status_page_components": ["Web"]}}],
  "alertmanager_poll_seconds": {poll_seconds},
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
