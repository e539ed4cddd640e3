//! A page of the test's own, and the program that keeps it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use alertmanager_cachet::store::Store;
use axum::Router;
use fake_cachet::{FakeCachet, Faults, Options, Release, serve, serve_at};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::page::Page;
use crate::support::processes::{Process, eventually, program, run, written};
use crate::support::web::ADMIN;

/// What the program is called among a test's processes.
const NAME: &str = "server";

/// No hold and no reopening: an episode begins and ends when its alert does.
const CONFIG: &str = r#"{
  "new_incident_name": "%s is down",
  "new_incident_message": "We are looking into it.",
  "resolved_incident_message": "It works again.",
  "reopen_within_seconds": 0,
  "groups_configuration": [
    {"status_page_group": "Shop", "status_page_components": ["Database", "Website"]}
  ]
}"#;

const TARGETS: &str = r#"
scrape_configs:
  - job_name: shop
    static_configs:
      - targets: ["db:9100"]
        labels: {status_page_alert: "true", status_page_component: Database}
      - targets: ["web:9100"]
        labels: {status_page_alert: "true", status_page_component: Website}
"#;

/// Each component has one target, so that one alert is a Major Outage.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    Database,
    Website,
}

impl Target {
    fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Database => ("db:9100", "Database"),
            Self::Website => ("web:9100", "Website"),
        }
    }
}

/// A page, set up, behind a layer of faults; and a folder from which the program keeps it.
pub struct Site {
    pub folder: TempDir,
    pub faults: Faults,
    pub page: Page,
    environment: Vec<(&'static str, String)>,
    /// Cachet as the program sees it.
    cachet: Option<fake_cachet::Server>,
    router: Router,
    _undisturbed: fake_cachet::Server,
}

impl Site {
    /// All is well.
    pub async fn new(release: Release) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let fake = FakeCachet::open(Options::of(release)).await.expect("a database");
        let faults = Faults::new();
        let around_faults = faults.around(fake.router());
        let (url, behind_faults) = serve(around_faults.clone()).await;
        let (undisturbed_url, undisturbed) = serve(fake.router()).await;
        let token = fake.token().to_owned();
        let environment = vec![
            ("ENVIRONMENT", "local".to_owned()),
            ("CACHET_API_URL", format!("{url}/api")),
            ("CACHET_API_TOKEN", token.clone()),
        ];
        written(folder.path(), "config.json", CONFIG);
        written(folder.path(), "prometheus.yml", TARGETS);
        let page = Page::new(format!("{undisturbed_url}/api"), token);
        let cachet = Some(behind_faults);
        let site = Self { folder, faults, page, environment, cachet, router: around_faults, _undisturbed: undisturbed };
        let setup = run(&mut site.command(&["setup"]));
        assert_eq!(setup.code, Some(0), "{}{}", setup.stdout, setup.stderr);
        site
    }

    /// Nothing listens any more where Cachet was.
    pub async fn cachet_goes_away(&mut self) {
        self.cachet.take().expect("it is there").stop().await;
    }

    /// Cachet is back, if it was away.
    pub async fn cachet_is_back(&mut self, address: SocketAddr) {
        if self.cachet.is_none() {
            self.cachet = Some(serve_at(address, self.router.clone()).await.expect("its port is free").1);
        }
    }

    /// Where Cachet listens.
    pub fn cachet_address(&self) -> SocketAddr {
        self.cachet.as_ref().expect("it is there").address
    }

    /// Adds a setting to `config.json`.
    pub fn configure(&self, setting: &str) {
        written(self.folder.path(), "config.json", &CONFIG.replacen('{', &format!("{{{setting},"), 1));
    }

    /// The program, to be run for this site.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.as_argument_of(program(self.folder.path()), arguments)
    }

    /// The program, to be run by another one: `sh -c '… exec "$@"' sh`.
    pub fn command_through(&self, wrapper: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(wrapper[0]);
        command.env_clear().current_dir(self.folder.path());
        command.args(&wrapper[1..]).arg(program(self.folder.path()).get_program());
        self.as_argument_of(command, arguments)
    }

    fn as_argument_of(&self, mut command: Command, arguments: &[&str]) -> Command {
        command.args(arguments).envs(self.environment.clone());
        command
    }

    /// The program, serving.
    pub async fn serving(&self) -> Server {
        self.serving_at("127.0.0.1:0").await
    }

    /// The program, serving where it did before.
    pub async fn serving_at(&self, address: &str) -> Server {
        self.started(self.command(&["serve", "--web.listen-address", address])).await
    }

    /// As [`Site::serving`], with a command of the caller's.
    pub async fn started(&self, mut command: Command) -> Server {
        let mut process = Process::start(NAME, &mut command, self.folder.path());
        let address = process.tells("listening on http://").await;
        Server { process, sender: Sender::to(&address), address }
    }

    /// The fingerprints of all alerts in the store, as numbers.
    pub async fn stored(&self) -> BTreeSet<u64> {
        stored_in(&self.folder.path().join("data")).await
    }
}

/// As [`Site::stored`], of a store in `folder`.
pub async fn stored_in(folder: &Path) -> BTreeSet<u64> {
    let url = format!("sqlite://{}/alertmanager-cachet.db", folder.display());
    let store = Store::open_read_only(&url).await.expect("the program's store");
    let query = sqlx::query_scalar("SELECT fingerprint FROM alerts");
    let fingerprints: Vec<String> = query.fetch_all(store.reader()).await.expect("its alerts");
    fingerprints.iter().map(|text| u64::from_str_radix(text, 16).expect("a fingerprint")).collect()
}

/// The program at work.
pub struct Server {
    pub process: Process,
    pub address: String,
    pub sender: Sender,
}

impl Server {
    /// Waits until `/health` and `/-/ready` answer so.
    pub async fn comes_to_be(&self, status: StatusCode) {
        for path in ["health", "-/ready"] {
            let url = format!("http://{}/{path}", self.address);
            eventually(&format!("{path} says {status}"), async || {
                let answer = self.sender.client.get(&url).send().await.map_err(|error| error.to_string())?;
                if answer.status() == status { Ok(()) } else { Err(format!("it says {}", answer.status())) }
            })
            .await;
        }
    }

    /// How many lines of stderr hold `mark`.
    pub fn lines_with(&self, mark: &str) -> usize {
        self.process.stderr().lines().filter(|line| line.contains(mark)).count()
    }
}

/// Posts, as Alertmanager does.
#[derive(Clone)]
pub struct Sender {
    pub client: reqwest::Client,
    url: String,
}

impl Sender {
    pub fn to(address: &str) -> Self {
        // Alertmanager waits no longer.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
        Self { client, url: format!("http://{address}/webhook") }
    }

    /// Posts a notification once; `None` if no answer comes.
    pub async fn post(&self, alerts: &[Value]) -> Option<StatusCode> {
        self.post_as(ADMIN, alerts).await
    }

    pub async fn post_as(&self, authorization: &str, alerts: &[Value]) -> Option<StatusCode> {
        let body = json!({"version": "4", "receiver": "status-page", "alerts": alerts}).to_string();
        let request = self.client.post(&self.url).header("Authorization", authorization).body(body);
        request.send().await.ok().map(|answer| answer.status())
    }

    /// Posts it until it is taken, as Alertmanager does after a 503 or without an answer.
    pub async fn post_until_taken(&self, alerts: &[Value]) {
        eventually("the notification is taken", async || match self.post(alerts).await {
            Some(StatusCode::OK) => Ok(()),
            Some(status) if status.is_server_error() => Err(status.to_string()),
            Some(status) => panic!("{status}: Alertmanager would drop it"),
            None => Err("no answer".to_owned()),
        })
        .await;
    }
}

/// An alert, as it stands in a notification. Its number is its fingerprint; of two occurrences, the later one has the
/// higher second.
pub fn alert(number: u64, target: Target, status: &str, second: u32) -> Value {
    let (instance, component) = target.labels();
    json!({
        "status": status,
        "labels": {
            "alertname": "TargetDown",
            "instance": instance,
            "status_page_alert": "true",
            "status_page_component": component,
        },
        "startsAt": format!("2026-11-21T01:{:02}:{:02}Z", second / 60, second % 60),
        "fingerprint": format!("{number:016x}"),
    })
}
