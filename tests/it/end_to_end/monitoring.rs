//! A real Prometheus that scrapes small targets, and a real Alertmanager that it tells.

use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use axum::routing::get;
use fake_cachet::{Server, serve, serve_at};

use crate::support::alertmanager::{Alertmanager, posting_to};
use crate::support::processes::{Process, debian, written};

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
        self.server = Some(serve_at(self.address, metrics()).await.expect("its port is free").1);
    }
}

fn metrics() -> Router {
    Router::new().route("/metrics", get(async || "work_done_total 1\n"))
}

/// Starts Alertmanager, to post to `webhook` with Basic Auth, and tells Prometheus where it is.
pub async fn alertmanager(folder: &Path, webhook: &str, user: &str, password: &str) -> Alertmanager {
    let alertmanager = Alertmanager::start(&folder.join("alertmanager"), &posting_to(webhook, user, password, 0)).await;
    written(folder, "alertmanagers.json", &format!(r#"[{{"targets": ["{}"]}}]"#, alertmanager.address));
    alertmanager
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
