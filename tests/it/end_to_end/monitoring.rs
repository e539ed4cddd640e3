//! A real Prometheus that scrapes small targets, and a real Alertmanager that it tells.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use serde_json::Value;

use crate::support::faults::{Server, serve, serve_at};
use crate::support::processes::{Process, debian, eventually, written};

/// Something that Prometheus scrapes, and that can be stopped and started.
pub struct Target {
    pub address: SocketAddr,
    server: Option<Server>,
}

impl Target {
    /// Starts it, on a port of its own.
    pub async fn start() -> Self {
        let (_, server) = serve(metrics()).await;
        Self { address: server.address, server: Some(server) }
    }

    /// Nothing listens on its port any more.
    pub async fn stop(&mut self) {
        self.server.take().expect("it runs").stop().await;
    }

    /// It is back, on the same port.
    pub async fn come_back(&mut self) {
        self.server = Some(serve_at(self.address, metrics()).await.1);
    }
}

fn metrics() -> Router {
    Router::new().route("/metrics", get(async || "work_done_total 1\n"))
}

/// A running Alertmanager.
pub struct Alertmanager {
    address: String,
    _process: Process,
}

impl Alertmanager {
    /// Starts it, to post to `webhook` with Basic Auth, and tells Prometheus where it is.
    pub async fn start(folder: &Path, webhook: &str, user: &str, password: &str) -> Self {
        let configuration = format!(
            r#"
route:
  receiver: status page
  group_by: [alertname]
  group_wait: 0s
  group_interval: 500ms
  repeat_interval: 1h
receivers:
  - name: status page
    webhook_configs:
      - url: "{webhook}"
        send_resolved: true
        http_config:
          basic_auth:
            username: {user}
            password: {password}
"#
        );
        written(folder, "alertmanager.yml", &configuration);
        let mut command = debian("prometheus-alertmanager");
        command.current_dir(folder).args([
            "--config.file=alertmanager.yml",
            "--storage.path=alertmanager",
            "--web.listen-address=127.0.0.1:0",
            "--cluster.listen-address=",
        ]);
        let mut process = Process::start("alertmanager", &mut command, folder);
        let address = process.tells(r#"msg="Listening on" address="#).await;
        written(folder, "alertmanagers.json", &format!(r#"[{{"targets": ["{address}"]}}]"#));
        Self { address, _process: process }
    }

    /// Waits until it knows that so many alerts fire.
    pub async fn comes_to_know(&self, count: usize) {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let url = format!("http://{}/api/v2/alerts", self.address);
        eventually("Alertmanager knows the alerts", async || {
            let answer = client.get(&url).send().await.map_err(|error| error.to_string())?;
            let alerts: Vec<Value> = answer.json().await.map_err(|error| error.to_string())?;
            if alerts.len() == count { Ok(()) } else { Err(format!("{} fire", alerts.len())) }
        })
        .await;
    }
}

const RULES: &str = r#"
groups:
  - name: status page
    rules:
      - alert: StatusPageTargetDown
        expr: up == 0
        for: 0s
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.instance }} does not answer"
"#;

/// Starts Prometheus, with the `prometheus.yml` in `folder`.
pub async fn prometheus(folder: &Path) -> Process {
    written(folder, "rules.yml", RULES);
    let mut command = debian("prometheus");
    command.current_dir(folder).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=prometheus",
        "--web.listen-address=127.0.0.1:0",
    ]);
    let mut process = Process::start("prometheus", &mut command, folder);
    process.tells("Server is ready to receive web requests").await;
    process
}
