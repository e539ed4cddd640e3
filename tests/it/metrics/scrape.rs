//! What a server tells after a story, to a reader, to promtool and to a real Prometheus.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use alertmanager_cachet::metrics::catalogue::DEFINITIONS;
use fake_cachet::{FakeCachet, Faults, Options, Server, serve};
use serde_json::Value;

use super::monitoring::all_queries;
use super::{PROCESS, path_of};
use crate::support::page::Page;
use crate::support::processes::{Process, debian, eventually, of_debian, program, run_with_input, written};

const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "groups_configuration": [{"status_page_group": "Shop", "status_page_components": ["Database", "Website"]}],
  "watchdog": {"alertname": "Watchdog"}
}"#;

const TARGETS: &str = r#"
scrape_configs:
  - job_name: shop
    static_configs:
      - {targets: ["db:9100"], labels: {status_page_alert: "true", status_page_component: Database}}
      - {targets: ["web:9100", "web:9101"], labels: {status_page_alert: "true", status_page_component: Website}}
"#;

/// One alert that counts, one that cannot be used, one that is nobody's business, and one that was cut off.
const NOTIFICATION: &str = r#"{
  "version": "4", "receiver": "page", "status": "firing", "truncatedAlerts": 1,
  "alerts": [
    {"status": "firing", "fingerprint": "00000000000000aa", "startsAt": "2026-11-21T01:00:00Z",
     "labels": {"alertname": "Down", "instance": "db:9100", "status_page_alert": "true", "status_page_component": "Database"}},
    {"status": "firing", "fingerprint": "00000000000000ab", "startsAt": "2026-11-21T01:00:00Z",
     "labels": {"alertname": "Aggregate", "status_page_alert": "true", "status_page_component": "Database"}},
    {"status": "firing", "fingerprint": "00000000000000ac", "startsAt": "2026-11-21T01:00:00Z",
     "labels": {"alertname": "Else", "instance": "x:1"}},
    {"status": "firing", "fingerprint": "00000000000000ad", "startsAt": "2026-11-21T01:00:00Z",
     "labels": {"alertname": "Watchdog"}}
  ]
}"#;

/// A server that drives a Cachet with a rate limit.
struct Site {
    _process: Process,
    _cachet: Server,
    url: String,
    client: reqwest::Client,
}

impl Site {
    async fn start(folder: &Path, arguments: &[&str]) -> (Self, Option<String>) {
        written(folder, "config.json", CONFIG);
        written(folder, "prometheus.yml", TARGETS);
        let fake = FakeCachet::open(Options::default()).await.expect("a database");
        let faults = Faults::new();
        faults.rate_limit(300, Duration::from_secs(60));
        let (url, cachet) = serve(faults.around(fake.router())).await;
        let page = Page::new(format!("{url}/api"), fake.token().to_owned());
        page.is_set_up(folder).await;
        let mut command = program(folder);
        command.envs(page.variables());
        command.arg("serve").env("ENVIRONMENT", "local").env("LISTEN_ADDRESS", "127.0.0.1:0").args(arguments);
        let mut process = Process::start("server", &mut command, folder);
        let apart = if arguments.is_empty() { None } else { Some(process.tells("telling metrics on ").await) };
        let url = process.tells("listening on ").await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        (Self { _process: process, _cachet: cachet, url, client }, apart)
    }

    async fn get(&self, url: &str) -> (u16, String) {
        let answer = self.client.get(url).send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a text"))
    }

    async fn post(&self, password: &str, body: &'static str) -> u16 {
        let url = format!("{}/webhook", self.url);
        let request = self.client.post(url).basic_auth("admin", Some(password)).body(body);
        request.send().await.expect("an answer").status().as_u16()
    }

    /// Waits until the metrics hold all of these lines.
    async fn comes_to_tell(&self, lines: &[&str]) {
        let url = format!("{}/metrics", self.url);
        eventually("the metrics say it", async || {
            let (_, text) = self.get(&url).await;
            let missing: Vec<_> = lines.iter().filter(|line| !text.lines().any(|told| told == **line)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:#?} are missing in\n{text}")) }
        })
        .await
    }
}

/// An outage, with everything that goes wrong beside it.
async fn the_story(site: &Site) {
    assert_eq!(site.post("admin", NOTIFICATION).await, 200);
    assert_eq!(site.post("wrong", NOTIFICATION).await, 401);
    assert_eq!(site.post("admin", "{}").await, 400);
    site.comes_to_tell(&[
        r#"alertmanager_cachet_notifications_total{result="stored"} 1"#,
        r#"alertmanager_cachet_notifications_total{result="unauthorized"} 1"#,
        r#"alertmanager_cachet_notifications_total{result="invalid"} 1"#,
        r#"alertmanager_cachet_authentications_refused_total{reason="wrong"} 1"#,
        r#"alertmanager_cachet_alerts_total{result="fired"} 1"#,
        r#"alertmanager_cachet_alerts_total{result="ignored"} 1"#,
        r#"alertmanager_cachet_alerts_total{result="not_ours"} 1"#,
        r#"alertmanager_cachet_alerts_ignored_total{reason="no_instance"} 1"#,
        "alertmanager_cachet_alerts_truncated_total 1",
        r#"alertmanager_cachet_components{status="major_outage"} 1"#,
        r#"alertmanager_cachet_components{status="operational"} 1"#,
        r#"alertmanager_cachet_components_desired{status="major_outage"} 1"#,
        "alertmanager_cachet_targets 3",
        "alertmanager_cachet_targets_down 1",
        "alertmanager_cachet_alerts_firing 1",
        r#"alertmanager_cachet_incidents_open{owner="ours"} 1"#,
        r#"alertmanager_cachet_changes_planned_total{kind="open_incident"} 1"#,
        r#"alertmanager_cachet_changes_applied_total{kind="open_incident"} 1"#,
        r#"alertmanager_cachet_changes_applied_total{kind="set_component"} 1"#,
        r#"alertmanager_cachet_changes_waiting{kind="update_target"} 0"#,
        "alertmanager_cachet_changes_oldest_waiting_age_seconds 0",
        r#"alertmanager_cachet_cachet_request_duration_seconds_count{code="201",endpoint="/incidents",method="POST"} 1"#,
        r#"alertmanager_cachet_store_operation_duration_seconds_count{operation="record"} 1"#,
        "alertmanager_cachet_config_last_reload_successful 1",
        "alertmanager_cachet_watchdog_missing 0",
        // At the end of a run, which the first of the others do not wait for.
        "alertmanager_cachet_cachet_budget_limit 300",
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_told_in_numbers_that_promtool_takes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, _) = Site::start(folder.path(), &[]).await;
    the_story(&site).await;
    // Some are known only after the first runs of the reconciler.
    let url = format!("{}/metrics", site.url);
    let text = eventually("every metric is told", async || {
        let (_, text) = site.get(&url).await;
        let mut names = DEFINITIONS.iter().map(|definition| definition.name).chain(PROCESS.to_vec());
        let missing = names.find(|name| !text.contains(&format!("# TYPE {name} ")));
        missing.map_or(Ok(text), |name| Err(format!("{name} is not told")))
    })
    .await;
    let checked = run_with_input(of_debian("prometheus", "promtool").args(["check", "metrics"]), &text);
    assert_eq!((checked.code, checked.stdout + &checked.stderr), (Some(0), String::new()), "{text}");
    // What stands in labels would be a series each.
    for name in ["Database", "Website", "db:9100"] {
        assert!(!text.contains(name), "{name:?} stands in the metrics:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_with_an_address_of_their_own_are_nowhere_else_and_nothing_else_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, apart) = Site::start(folder.path(), &["--web.metrics-address=127.0.0.1:0"]).await;
    let apart = apart.expect("an address");
    let (status, text) = site.get(&apart).await;
    assert!(status == 200 && text.contains("alertmanager_cachet_build_info{"), "{status} {text}");
    assert_ne!(site.get(&format!("{}/metrics", site.url)).await.0, 200);
    for path in ["webhook", "health", "-/ready", "api/components", ""] {
        let url = apart.replace("metrics", path);
        assert_eq!(site.get(&url).await.0, 404, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_names_each_part_of_a_server_at_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, _) = Site::start(folder.path(), &[]).await;
    let unknown = r#""components.manage":"unknown","incident-updates.manage":"unknown","incidents.manage":"unknown""#;
    let cachet = format!(r#"{{"good":true,"abilities":{{{unknown}}}}}"#);
    let others = r#""configuration":{"good":true},"monitoring":{"good":true}"#;
    let ready = format!(r#"{{"status":"ready","parts":{{"store":{{"good":true}},"cachet":{cachet},{others}}}}}"#);
    eventually("it is ready", async || {
        let (status, body) = site.get(&format!("{}/-/ready", site.url)).await;
        assert_eq!(status, 200, "{body}");
        if body == ready { Ok(()) } else { Err(body) }
    })
    .await;
}

/// A Prometheus that scrapes the server five times a second, with our rules.
struct Prometheus {
    _process: Process,
    url: String,
    client: reqwest::Client,
}

impl Prometheus {
    async fn start(folder: &Path, scraped: &str) -> Self {
        let folder = folder.join("prometheus");
        std::fs::create_dir(&folder).expect("a folder");
        let rules = path_of("monitoring/alerts.yml");
        let config = format!(
            "global: {{scrape_interval: 200ms, evaluation_interval: 200ms}}\n\
             rule_files: [{rules:?}]\n\
             scrape_configs:\n\
             \x20 - job_name: alertmanager-cachet\n\
             \x20   static_configs: [{{targets: [{scraped:?}]}}]\n"
        );
        written(&folder, "prometheus.yml", &config);
        // It does not say which port it was given.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut command: Command = debian("prometheus");
        command
            .current_dir(&folder)
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("prometheus", &mut command, &folder);
        process.tells("Server is ready to receive web requests").await;
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { _process: process, url: format!("http://127.0.0.1:{port}"), client }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("{}{path}", self.url)).query(query);
        request.send().await.expect("an answer").json().await.expect("JSON")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_it_and_takes_every_query() {
    let folder = tempfile::tempdir().expect("a folder");
    let (site, _) = Site::start(folder.path(), &[]).await;
    the_story(&site).await;
    let prometheus = Prometheus::start(folder.path(), site.url.trim_start_matches("http://")).await;
    eventually("it is scraped", async || {
        let answer = prometheus.get("/api/v1/query", &[("query", "alertmanager_cachet_targets_down")]).await;
        if answer["data"]["result"][0]["value"][1] == "1" { Ok(()) } else { Err(answer) }
    })
    .await;
    for (place, query) in all_queries() {
        let answer = prometheus.get("/api/v1/query", &[("query", &query)]).await;
        assert_eq!(answer["status"], "success", "{place}: {query}: {answer}");
    }
    let rules = eventually("every rule was evaluated", async || {
        let answer = prometheus.get("/api/v1/rules", &[]).await;
        let rules = answer["data"]["groups"][0]["rules"].as_array().cloned().unwrap_or_default();
        let evaluated = !rules.is_empty() && rules.iter().all(|rule| rule["health"] != "unknown");
        if evaluated { Ok(rules) } else { Err(answer) }
    })
    .await;
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        // An outage of the shop is none of the machinery.
        assert_ne!(rule["state"], "firing", "{rule}");
    }
}
