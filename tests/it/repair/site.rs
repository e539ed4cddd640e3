//! Our server beside a real Alertmanager, with a Cachet of its own.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::support::alertmanager::{Alertmanager, posting_to};
use crate::support::page::Page;
use crate::support::processes::{Process, eventually, program, written};

/// Never, as far as a test is concerned: what is seen was seen at the start, or on demand.
pub const NEVER_SECONDS: u32 = 3600;

/// The targets of the component `Web`.
pub const INSTANCES: [&str; 5] = ["web-1", "web-2", "web-3", "web-4", "web-5"];

/// The target of the component `Network`, where there is one.
pub const NETWORK: &str = "net-1";

/// The page while all of `Web` is down.
pub const RED: [&str; 2] = ["Web: Major outage", "Web is down: Investigating"];

/// The page afterwards.
pub const GREEN: [&str; 2] = ["Web: Operational", "Web is down: Fixed (It works again.)"];

/// How the server is started.
pub struct Setting<'a> {
    /// Whose lists it reads; none: it relies on what is posted.
    pub alertmanagers: &'a [&'a Alertmanager],
    pub poll_seconds: u32,
    pub settle_seconds: u32,
    /// The visible components, `Web` among them.
    pub components: &'a [&'a str],
    /// The line of the configuration about it, or none.
    pub watchdog: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { alertmanagers: &[], poll_seconds: 1, settle_seconds: 0, components: &["Web"], watchdog: "" }
    }
}

/// The server and its page.
pub struct Site {
    pub server: Process,
    pub page: Page,
    address: String,
    alertmanagers: String,
    folder: TempDir,
}

impl Site {
    pub async fn start(setting: Setting<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        written(folder.path(), "config.json", &config(&setting));
        written(folder.path(), "prometheus.yml", &targets(setting.components));
        let urls: Vec<String> = setting.alertmanagers.iter().map(|member| member.url("")).collect();
        let alertmanagers = urls.join(",");
        let page = Page::set_up(folder.path()).await;
        let mut command = command(&folder, &page, "127.0.0.1:0", &alertmanagers);
        let mut server = Process::start("server", &mut command, folder.path());
        let address = server.tells("listening on http://").await;
        Self { server, page, address, alertmanagers, folder }
    }

    /// Starts it again, at the same address.
    pub async fn start_again(&mut self) {
        let mut command = command(&self.folder, &self.page, &self.address, &self.alertmanagers);
        self.server = Process::start("server", &mut command, self.folder.path());
        self.server.tells("listening on http://").await;
    }

    /// What Alertmanager needs to post here.
    pub fn receiver(&self, max_alerts: usize) -> String {
        posting_to(&format!("http://{}/webhook", self.address), "admin", "admin", max_alerts)
    }

    /// The file of its store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("data/alertmanager-cachet.db")
    }

    /// Waits until it says on stderr that it repaired something so.
    pub async fn has_repaired(&self, what: &str) {
        eventually("the repair is in the log", async || {
            let said = self.server.stderr();
            let found = said.lines().any(|line| line.contains("repaired: ") && line.contains(what));
            if found { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Waits until Alertmanager was read so many times from now on.
    pub async fn reads_again(&self, times: usize) {
        let count = |said: &str| said.matches("Alertmanager was read").count();
        let before = count(&self.server.stderr());
        eventually("Alertmanager is read", async || {
            let said = self.server.stderr();
            if count(&said) >= before + times { Ok(()) } else { Err(said) }
        })
        .await;
    }

    /// Every notification so far: whether anything in it fires.
    pub fn notifications(&self) -> Vec<bool> {
        let said = self.server.stdout();
        let requests = said.lines().filter(|line| line.starts_with("[WEBHOOK_REQUEST]"));
        requests.map(|line| line.contains(r#""status":"firing","labels""#)).collect()
    }

    /// Waits until so many notifications came in, and something fires in the last one, or nothing.
    pub async fn is_notified(&self, count: usize, fires: bool) {
        eventually("notifications come in", async || {
            let seen = self.notifications();
            if seen.len() >= count && seen.last() == Some(&fires) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }

    /// What `Web` was made, in its order: `4 (Outage)`.
    pub fn statuses(&self) -> Vec<String> {
        let said = self.server.stdout();
        let changes = said.lines().filter(|line| line.starts_with("[COMPONENT_STATUS_CHANGE] component=\"Web\""));
        changes.filter_map(|line| line.split_once("new_status=")).map(|(_, status)| status.to_owned()).collect()
    }
}

fn command(folder: &TempDir, page: &Page, address: &str, alertmanagers: &str) -> Command {
    let mut command = program(folder.path());
    command.envs(page.variables());
    command.arg("serve").env("ENVIRONMENT", "local").env("LISTEN_ADDRESS", address).env("LOG_LEVEL", "debug");
    if !alertmanagers.is_empty() {
        command.env("ALERTMANAGER_URL", alertmanagers);
    }
    command
}

fn config(setting: &Setting<'_>) -> String {
    let Setting { poll_seconds, settle_seconds, components, watchdog, .. } = setting;
    format!(
        r#"{{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "partially_resolved_incident_message": "Most of it works again.",
  "groups_configuration": [{{"status_page_group": "All", "status_page_components": {components:?}}}],
  "alertmanager_poll_seconds": {poll_seconds},{watchdog}
  "alertmanager_settle_seconds": {settle_seconds}
}}"#
    )
}

fn targets(components: &[&str]) -> String {
    let scraped = |component: &&str| {
        let instances = if *component == "Web" { INSTANCES.join(", ") } else { NETWORK.to_owned() };
        let labels = format!(r#"{{status_page_alert: "true", status_page_component: {component}}}"#);
        format!("{{targets: [{instances}], labels: {labels}}}")
    };
    let scraped: Vec<String> = components.iter().map(scraped).collect();
    format!("scrape_configs: [{{job_name: all, static_configs: [{}]}}]", scraped.join(", "))
}
