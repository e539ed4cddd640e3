//! A bad night, with the real programs: what the commands of the documentation are run against. A server whose Cachet,
//! Alertmanager, alerts and people do all that the runbooks speak of, once.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fake_cachet::{FakeCachet, Faults, Options, Server, serve};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::blocks::Kind;
use super::{pages, repository};
use crate::support::alertmanager::{Alertmanager, SILENT, posting_to};
use crate::support::installation::Installation;
use crate::support::processes::{Process, debian, eventually, program, run, written};
use crate::support::recordings::{generated, notifications};

/// Who posts.
pub const USER: &str = "alertmanager";
pub const PASSWORD: &str = "a password to look for";

/// The same for the server, at the lowest cost.
const USERS: &str = "alertmanager:$2y$04$abcdefghijklmnopqrstuugzS0h3R3TqYbUxDwdqDjnkMvt8GvBFm";

/// A member of the cluster that is not there.
const GONE: &str = "http://127.0.0.1:1";

/// What is in the log when the night is over.
const TOLD: &[&str] = &[
    "[WEBHOOK_REQUEST]",
    "[COMPONENT_STATUS_CHANGE] component=\"Database\"",
    "[INCIDENT_OPENED]",
    "[ALERT_IGNORED]",
    "[MANUAL_OVERRIDE]",
    "notification not taken",
    "it is tried again",
    "does not exist on the page",
    "cut alerts off",
    "Alertmanager http://127.0.0.1:1",
];

/// All that runs, and the environment in which our program reaches it.
pub struct Night {
    pub folder: TempDir,
    pub server_url: String,
    pub alertmanager_url: String,
    pub prometheus_url: String,
    pub cachet_url: String,
    pub environment: Vec<(&'static str, String)>,
    server: Process,
    _alertmanager: Alertmanager,
    _prometheus: Process,
    _cachet: Server,
    _faults: Faults,
}

impl Night {
    /// Lets it happen; when this returns, the log is full of it and everything runs on.
    pub async fn come() -> Self {
        let folder = Installation::new().folder;
        let watched = json!({"reconcile_interval_seconds": 1, "alertmanager_poll_seconds": 1});
        configured(folder.path(), &watched);
        let faults = Faults::new();
        let (cachet_url, token, cachet) = cachet(&faults).await;
        let alertmanager = Alertmanager::start(&folder.path().join("alertmanager"), SILENT).await;
        let (prometheus_url, prometheus) = prometheus(folder.path()).await;
        let environment = vec![
            ("CACHET_API_URL", format!("{cachet_url}/api")),
            ("CACHET_API_TOKEN", token.clone()),
            ("WEBHOOK_BASIC_AUTH", USERS.to_owned()),
            ("ALERTMANAGER_URL", format!("{},{GONE}", alertmanager.url(""))),
        ];
        let set_up = run(program(folder.path()).arg("setup").envs(environment.clone()));
        assert_eq!(set_up.code, Some(0), "{}{}", set_up.stdout, set_up.stderr);
        // What Cachet allows in a minute, here in a second: the commands ask without waiting.
        faults.rate_limit(300, Duration::from_secs(1));
        faults.on("PUT", "/api/components/*").times(1).answer(500);
        faults.on("POST", "/api/incidents").times(1).answer(429);
        let mut command = program(folder.path());
        command.args(["serve", "--web.listen-address=127.0.0.1:0"]).envs(environment.clone());
        let mut server = Process::start("server", &mut command, folder.path());
        let server_url = format!("http://{}", server.tells("listening on http://").await);
        let receiver = posting_to(&format!("{server_url}/webhook"), USER, PASSWORD, 0);
        alertmanager.reload(&receiver).await;
        let night = Self {
            alertmanager_url: alertmanager.url(""),
            folder,
            server_url,
            prometheus_url,
            cachet_url,
            environment,
            server,
            _alertmanager: alertmanager,
            _prometheus: prometheus,
            _cachet: cachet,
            _faults: faults,
        };
        night.alerts_come().await;
        night.somebody_interferes(&token).await;
        night.has_told().await;
        night
    }

    /// The log of the server, both streams.
    pub fn log(&self) -> String {
        self.server.stdout() + &self.server.stderr()
    }

    async fn alerts_come(&self) {
        let truncated = notifications("05-truncated-firing.json").remove(0);
        let aggregate = notifications("09d-prometheus-aggregate-no-instance-firing.json").remove(0);
        let nowhere =
            generated(1).replace("Database, Backend", "Telephone").replace("0000000000000000", "00000000000000ff");
        let database = generated(1).replace("node-0000.example.internal:9100", "192.168.1.20:9100");
        for (body, status) in
            [(truncated, 200), (aggregate, 200), (nowhere, 200), (database, 200), ("{".to_owned(), 400)]
        {
            assert_eq!(self.post(PASSWORD, body).await, status);
        }
        assert_eq!(self.post("guessed", "{}".to_owned()).await, 401);
    }

    async fn post(&self, password: &str, body: String) -> u16 {
        let request = client().post(format!("{}/webhook", self.server_url)).basic_auth(USER, Some(password));
        request.body(body).send().await.expect("an answer").status().as_u16()
    }

    /// Somebody says in Cachet that the database is fine, which no alert does.
    async fn somebody_interferes(&self, token: &str) {
        let components = format!("{}/api/components", self.cachet_url);
        let list: Value = json_of(&format!("{components}?per_page=50&sort=id")).await;
        let entries = list["data"].as_array().expect("a list");
        let id = &entries.iter().find(|entry| entry["attributes"]["name"] == "Database").expect("the component")["id"];
        eventually("the page shows the outage", async || {
            let shown = json_of(&format!("{components}/{}", id.as_str().expect("a number"))).await;
            let status = &shown["data"]["attributes"]["status"]["value"];
            if *status == 4 { Ok(()) } else { Err(format!("it shows {status}:\n{}", self.log())) }
        })
        .await;
        eventually("the outage is written and its incident open", async || {
            if self.log().contains("[INCIDENT_OPENED]") { Ok(()) } else { Err(self.log()) }
        })
        .await;
        let url = format!("{components}/{}", id.as_str().expect("a number"));
        let request = client().put(url).bearer_auth(token).json(&json!({"status": 1, "enabled": true}));
        assert!(request.send().await.expect("an answer").status().is_success());
    }

    async fn has_told(&self) {
        eventually("all of it is in the log", async || {
            let log = self.log();
            let missing: Vec<_> = TOLD.iter().filter(|told| !log.contains(**told)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are missing in\n{log}")) }
        })
        .await;
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

async fn json_of(url: &str) -> Value {
    client().get(url).send().await.expect("an answer").json().await.expect("JSON")
}

/// Puts keys into the `config.json` of a folder.
pub fn configured(folder: &Path, keys: &Value) {
    let path = folder.join("config.json");
    let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).expect("read")).expect("JSON");
    config.as_object_mut().expect("an object").extend(keys.as_object().expect("an object").clone());
    written(folder, "config.json", &config.to_string());
}

/// An imitation of Cachet, with its token.
async fn cachet(faults: &Faults) -> (String, String, Server) {
    let fake = FakeCachet::open(Options::default()).await.expect("a database");
    let (url, server) = serve(faults.around(fake.router())).await;
    (url, fake.token().to_owned(), server)
}

async fn prometheus(folder: &Path) -> (String, Process) {
    let folder: PathBuf = folder.join("prometheus");
    fs::create_dir(&folder).expect("a folder");
    fs::copy(repository("monitoring/alerts.yml"), folder.join("alerts.yml")).expect("copied");
    written(&folder, "prometheus.yml", "rule_files: [alerts.yml]\n");
    // It does not say which port it was given.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let mut command = debian("prometheus");
    command.current_dir(&folder).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
    let mut process = Process::start("prometheus", &mut command, &folder);
    process.tells("Server is ready to receive web requests").await;
    (format!("http://127.0.0.1:{port}"), process)
}

/// What `/-/ready` is said to answer where the token was revoked is what it answers then.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_wrong_token_says_of_itself_what_the_documentation_shows() {
    let folder = Installation::new().folder;
    let (cachet_url, _, _cachet) = cachet(&Faults::new()).await;
    let mut command = program(folder.path());
    command.args(["serve", "--web.listen-address=127.0.0.1:0"]).env("ENVIRONMENT", "local");
    command.envs([("CACHET_API_URL", format!("{cachet_url}/api")), ("CACHET_API_TOKEN", "1|revoked".to_owned())]);
    let mut server = Process::start("server", &mut command, folder.path());
    let url = format!("http://{}/-/ready", server.tells("listening on http://").await);
    let said = eventually("the refused token is noticed", async || {
        let said = json_of(&url).await;
        // Before Cachet was asked it is degraded as well.
        let is_noticed = said["parts"]["cachet"]["problem"].as_str().is_some_and(|problem| problem.contains("401"));
        if is_noticed { Ok(said) } else { Err(said.to_string()) }
    })
    .await;
    let pages = pages();
    let blocks = pages.iter().flat_map(|page| &page.blocks);
    let shown: Vec<_> = blocks.filter(|block| matches!(Kind::of(block), Ok(Kind::Ready))).collect();
    assert!(!shown.is_empty(), "no page shows it any more: this test has no use");
    for block in shown {
        let block_says: Value = serde_json::from_str(&block.text).expect("JSON");
        assert_eq!(block_says, said, "{}", block.place);
    }
}
