//! A real Prometheus dies during an outage, and a real Alertmanager then resolves the alerts that are no longer sent. The
//! page must not turn green because of that. The watchdog arrives in Alertmanager's list, in notifications, or in both.
//!
//! Prometheus sends firing alerts every second here (`--rules.alert.resend-delay=1s`), so a lease is four seconds instead of
//! four minutes.

use std::path::Path;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::support::alertmanager::Alertmanager;
use crate::support::page::Page;
use crate::support::processes::{Process, debian, eventually, program, written};

/// How often Alertmanager notifies of a group.
const NOTIFICATION_INTERVAL: Duration = Duration::from_secs(3);

const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "watchdog": {"alertname": "Watchdog", "timeout_seconds": 8},
  "alertmanager_poll_seconds": 1,
  "alertmanager_settle_seconds": 0,
  "groups_configuration": [{"status_page_group": "Shop", "status_page_components": ["Database"]}]
}"#;

/// The watchdog, and an outage.
const RULES: &str = r#"
groups:
  - name: watchdog
    rules:
      - {alert: Watchdog, expr: vector(1)}
  - name: outage
    rules:
      - alert: DatabaseDown
        expr: vector(1)
        labels: {instance: "db-1:9100", status_page_alert: "true", status_page_component: Database}
"#;

/// The expression of the rule after the outage.
const RECOVERED: &str = "vector(1) == 0";

const DOWN: &str = "Database: Major outage";
const OPEN: &str = "Database is down: Investigating";

/// Everything that runs.
struct Site {
    alertmanager: Alertmanager,
    prometheus: Process,
    _server: Process,
    page: Page,
    /// The last field, so it is dropped last: the programs write to it.
    folder: tempfile::TempDir,
}

/// How the watchdog arrives.
#[derive(Debug, Clone, Copy)]
struct Arrival {
    list: bool,
    route: bool,
}

impl Site {
    /// Starts everything, and waits until the page shows that the database is down.
    async fn in_an_outage(arrival: Arrival) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        // The address of the server is known only after its start; Alertmanager is reconfigured then.
        let alertmanager = Alertmanager::start(&path.join("alertmanager"), &posting_to("127.0.0.1:9", arrival)).await;
        written(path, "config.json", CONFIG);
        written(path, "prometheus.yml", &scraped(&alertmanager));
        let page = Page::set_up(path).await;
        let mut command = program(path);
        command.args(["serve", "--web.listen-address=127.0.0.1:0"]);
        command.env("ENVIRONMENT", "local").envs(page.variables());
        if arrival.list {
            command.env("ALERTMANAGER_URL", alertmanager.url(""));
        }
        let mut server = Process::start("server", &mut command, path);
        let address = server.tells("listening on http://").await;
        alertmanager.reload(&posting_to(&address, arrival)).await;
        written(path, "rules.yml", RULES);
        let prometheus = prometheus(path).await;
        let site = Self { alertmanager, prometheus, _server: server, page, folder };
        site.comes_to_show("the database is down", is_red).await;
        site
    }

    /// Gives Prometheus other rules.
    fn changes_rules(&self, rules: &str) {
        written(self.folder.path(), "rules.yml", rules);
        self.prometheus.signal("HUP");
    }

    /// Waits until the first incident is closed and the database is up.
    async fn comes_to_be_over(&self) {
        self.comes_to_show("the outage is over", |lines| {
            lines[0] == "Database: Operational" && lines[1].starts_with("Database is down: Fixed")
        })
        .await;
    }

    async fn comes_to_show(&self, what: &str, is_shown: impl Fn(&[String]) -> bool) {
        eventually(what, async || {
            let lines = self.page.shown().await?;
            if is_shown(&lines) { Ok(()) } else { Err(format!("it shows {lines:#?}")) }
        })
        .await;
    }

    /// Kills Prometheus, and starts it again when the page shows that monitoring data is missing. Returns the longest time
    /// for which the page was green, or the incident closed, meanwhile.
    async fn restart_prometheus(&mut self) -> Duration {
        let watcher = Watcher::of(&self.page);
        self.prometheus.kill();
        // All alerts have expired in Alertmanager, and the watchdog with them.
        self.alertmanager.comes_to_know(0).await;
        self.comes_to_show("monitoring data is missing", |lines| {
            is_red(lines) && lines.iter().any(|line| line.starts_with("Monitoring data is missing: Investigating"))
        })
        .await;
        self.prometheus = prometheus(self.folder.path()).await;
        self.comes_to_show("monitoring data is there again", |lines| {
            is_red(lines) && lines.iter().any(|line| line.starts_with("Monitoring data is missing: Fixed"))
        })
        .await;
        self.alertmanager.comes_to_know(2).await;
        self.comes_to_show("the outage goes on", is_red).await;
        watcher.longest_green().await
    }
}

/// Whether the database is shown as down, and its one incident is open.
fn is_red(lines: &[String]) -> bool {
    let incidents = lines.iter().filter(|line| line.starts_with("Database is down: ")).collect::<Vec<_>>();
    lines[0] == DOWN && incidents.len() == 1 && incidents[0].starts_with(OPEN)
}

/// Polls the page every 20 ms, and measures how long it is green.
struct Watcher {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Duration>,
}

impl Watcher {
    fn of(page: &Page) -> Self {
        let page = Page::new(page.url.clone(), page.token.clone());
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut longest, mut green_since) = (Duration::ZERO, None);
            while !stopped.is_cancelled() {
                let lines = page.shown().await.expect("the page");
                green_since = if is_red(&lines) { None } else { green_since.or_else(|| Some(Instant::now())) };
                longest = longest.max(green_since.map_or(Duration::ZERO, |since| since.elapsed()));
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            longest
        });
        Self { stop, task }
    }

    async fn longest_green(self) -> Duration {
        self.stop.cancel();
        self.task.await.expect("it looked")
    }
}

/// Prometheus' configuration, which is the targets file of the server too.
fn scraped(alertmanager: &Alertmanager) -> String {
    format!(
        r#"
global: {{evaluation_interval: 1s}}
rule_files: [rules.yml]
alerting: {{alertmanagers: [{{static_configs: [{{targets: ["{}"]}}]}}]}}
scrape_configs:
  - job_name: database
    static_configs:
      - targets: ["db-1:9100"]
        labels: {{status_page_alert: "true", status_page_component: Database}}
"#,
        alertmanager.address
    )
}

/// Alertmanager's configuration, as the shipped example has it.
fn posting_to(address: &str, arrival: Arrival) -> String {
    let seconds = NOTIFICATION_INTERVAL.as_secs();
    let watchdog = if arrival.route {
        format!(
            "    - matchers: ['alertname=\"Watchdog\"']\n      receiver: status-page\n      group_wait: 0s\n      \
             group_interval: {seconds}s\n      repeat_interval: {seconds}s\n"
        )
    } else {
        String::new()
    };
    format!(
        r#"
route:
  receiver: nobody
  routes:
{watchdog}    - matchers: ['status_page_alert="true"']
      receiver: status-page
      group_wait: 0s
      group_interval: {seconds}s
      repeat_interval: 1h
receivers:
  - name: nobody
  - name: status-page
    webhook_configs:
      - url: "http://{address}/webhook"
        send_resolved: true
        http_config: {{basic_auth: {{username: admin, password: admin}}}}
"#
    )
}

/// Starts Prometheus, as the files in `folder` say.
async fn prometheus(folder: &Path) -> Process {
    let mut command = debian("prometheus");
    command.current_dir(folder).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=prometheus",
        "--web.listen-address=127.0.0.1:0",
        "--rules.alert.resend-delay=1s",
    ]);
    let mut process = Process::start("prometheus", &mut command, folder);
    process.tells("Server is ready to receive web requests").await;
    process
}

/// With a live Prometheus, an outage ends when its alert is resolved, and when its rule is removed.
async fn ends_as_it_should(site: &Site) {
    site.changes_rules(&RULES.replacen("expr: vector(1)\n", &format!("expr: {RECOVERED}\n"), 1));
    site.comes_to_be_over().await;
    site.changes_rules(RULES);
    site.comes_to_show("it is down again", is_red).await;
    let (watchdog_alone, _) = RULES.split_once("  - name: outage").expect("two groups");
    site.changes_rules(watchdog_alone);
    site.comes_to_be_over().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_list_and_a_route_the_page_is_never_green() {
    let mut site = Site::in_an_outage(Arrival { list: true, route: true }).await;
    assert_eq!(site.restart_prometheus().await, Duration::ZERO);
    ends_as_it_should(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_list_alone_the_page_is_never_green() {
    let mut site = Site::in_an_outage(Arrival { list: true, route: false }).await;
    assert_eq!(site.restart_prometheus().await, Duration::ZERO);
    ends_as_it_should(&site).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_route_alone_the_page_is_green_for_two_notification_intervals_at_most() {
    let mut site = Site::in_an_outage(Arrival { list: false, route: true }).await;
    let green = site.restart_prometheus().await;
    assert!(green <= 2 * NOTIFICATION_INTERVAL, "{green:?}");
    ends_as_it_should(&site).await;
}
