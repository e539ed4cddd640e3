//! A real Alertmanager, told by the test instead of by a Prometheus.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use alertmanager_cachet::alertmanager::{Member, members};
use alertmanager_cachet::config::AlertmanagerAccess;
use reqwest::Response;
use serde_json::{Value, json};

use super::processes::{PATIENCE, Process, debian, eventually, written};

/// A configuration that posts nothing to anybody.
pub const SILENT: &str = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n";

/// A configuration that posts everything to `webhook` with Basic Auth, at most `max_alerts` at a time (0: all).
pub fn posting_to(webhook: &str, user: &str, password: &str, max_alerts: usize) -> String {
    format!(
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
        max_alerts: {max_alerts}
        http_config:
          basic_auth:
            username: {user}
            password: {password}
"#
    )
}

/// How an Alertmanager at `url` is read that lets everybody in.
pub fn access(url: &str) -> AlertmanagerAccess {
    AlertmanagerAccess { base_urls: vec![url.parse().expect("an address")], authorization: None, ca_pem: None }
}

/// The argument of one that is no member of a cluster.
const ALONE: &str = "--cluster.listen-address=";

/// When what fires began, ends if nothing is said, and ended.
const BEGIN: &str = "2026-01-01T00:00:00Z";
const NO_END: &str = "2099-01-01T00:00:00Z";
const END: &str = "2026-01-02T00:00:00Z";

/// A running Alertmanager.
pub struct Alertmanager {
    /// Host and port.
    pub address: String,
    folder: PathBuf,
    process: Process,
    client: reqwest::Client,
}

impl Alertmanager {
    /// Starts it with `configuration`, on a port of its own, with its files in `folder`.
    pub async fn start(folder: &Path, configuration: &str) -> Self {
        Self::start_with(folder, configuration, &[ALONE]).await
    }

    /// Starts two that know each other, and waits until they do. The second one posts what the first one has not posted
    /// within a second.
    pub async fn start_pair(folder: &Path, configuration: &str) -> [Self; 2] {
        let gossip = [free_address(), free_address()];
        let quick = ["--cluster.gossip-interval=50ms", "--cluster.peer-timeout=1s", "--cluster.pushpull-interval=1s"];
        let mut pair = Vec::new();
        for (name, own, other) in [("first", gossip[0], gossip[1]), ("second", gossip[1], gossip[0])] {
            let cluster = [format!("--cluster.listen-address={own}"), format!("--cluster.peer={other}")];
            let arguments: Vec<&str> = cluster.iter().map(String::as_str).chain(quick).collect();
            pair.push(Self::start_with(&folder.join(name), configuration, &arguments).await);
        }
        for member in &pair {
            member.has_found_its_peer().await;
        }
        pair.try_into().unwrap_or_else(|_| unreachable!("two were started"))
    }

    async fn start_with(folder: &Path, configuration: &str, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(folder).expect("a folder");
        written(folder, "alertmanager.yml", configuration);
        let (address, process) = run(folder, "127.0.0.1:0", arguments).await;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { address, folder: folder.to_owned(), process, client }
    }

    /// Stops it and starts it again at the same address: it has forgotten every alert, but not what it has posted.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Starts it again after a stop.
    pub async fn start_again(&mut self) {
        (_, self.process) = run(&self.folder, &self.address, &[ALONE]).await;
    }

    /// As [`Self::restart`], without the files that it keeps: it has forgotten everything.
    pub async fn restart_empty(&mut self) {
        self.stop().await;
        std::fs::remove_dir_all(self.folder.join("data")).expect("removed");
        self.start_again().await;
    }

    /// As [`Self::restart`], with its web interface as `web.yml` in its folder says.
    pub async fn restart_guarded(&mut self) {
        self.stop().await;
        (_, self.process) = run(&self.folder, &self.address, &[ALONE, "--web.config.file=web.yml"]).await;
    }

    /// Stops it.
    pub async fn stop(&mut self) {
        self.process.end().await;
    }

    /// Goes on with another configuration.
    pub async fn reload(&self, configuration: &str) {
        written(&self.folder, "alertmanager.yml", configuration);
        let answer = self.client.post(self.url("/-/reload")).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{}", answer.text().await.expect("a reason"));
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Our client of it.
    pub fn member(&self) -> Member {
        members(&access(&self.url(""))).expect("settings").remove(0)
    }

    /// Alerts begin to fire: `TargetDown`, one an instance, all about `component`.
    pub async fn fire(&self, instances: &[&str], component: &str) {
        self.tell(instances, component, (BEGIN, NO_END)).await;
    }

    /// As [`Self::fire`], told by a Prometheus that noticed it only so many minutes later.
    pub async fn fire_later(&self, minutes: u32, instances: &[&str], component: &str) {
        self.tell(instances, component, (&format!("2026-01-01T00:{minutes:02}:00Z"), NO_END)).await;
    }

    /// Prometheus sends the watchdog, which has none of our labels; it is listed for long if it is not sent again.
    pub async fn watchdog(&self) {
        self.tell_watchdog("2099-01-01T00:00:00Z").await;
    }

    /// Prometheus has not sent it for so long that Alertmanager resolves it.
    pub async fn watchdog_ends(&self) {
        self.tell_watchdog("2026-01-02T00:00:00Z").await;
    }

    async fn tell_watchdog(&self, ends_at: &str) {
        let labels = json!({"alertname": "Watchdog", "severity": "none"});
        let alert = json!({"labels": labels, "startsAt": "2026-01-01T00:00:00Z", "endsAt": ends_at});
        self.post("/api/v2/alerts", &json!([alert])).await;
    }

    /// As [`Self::watchdog`], again and again.
    pub async fn watchdog_for_ever(&self) {
        loop {
            self.watchdog().await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// They end.
    pub async fn resolve(&self, instances: &[&str], component: &str) {
        self.tell(instances, component, (BEGIN, END)).await;
    }

    async fn tell(&self, instances: &[&str], component: &str, (starts_at, ends_at): (&str, &str)) {
        let alerts: Vec<Value> = instances
            .iter()
            .map(|instance| {
                json!({
                    "labels": {
                        "alertname": "TargetDown",
                        "instance": instance,
                        "status_page_alert": "true",
                        "status_page_component": component,
                    },
                    "startsAt": starts_at,
                    "endsAt": ends_at,
                })
            })
            .collect();
        self.post("/api/v2/alerts", &json!(alerts)).await;
    }

    /// Silences an instance, and waits until its alert is suppressed. Answers with the silence.
    pub async fn silence(&self, instance: &str) -> String {
        let silence = json!({
            "matchers": [{"name": "instance", "value": instance, "isRegex": false, "isEqual": true}],
            "startsAt": "2026-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
            "createdBy": "a test",
            "comment": "being worked on",
        });
        let answer = self.post("/api/v2/silences", &silence).await;
        let answer: Value = answer.json().await.expect("what it made");
        self.comes_to_be(instance, "suppressed").await;
        answer["silenceID"].as_str().expect("its number").to_owned()
    }

    /// Ends a silence of an instance, and waits until its alert counts again.
    pub async fn unsilence(&self, silence: &str, instance: &str) {
        let answer = self.client.delete(self.url(&format!("/api/v2/silence/{silence}"))).send().await;
        answer.expect("an answer").error_for_status().expect("ended");
        self.comes_to_be(instance, "active").await;
    }

    /// Waits until the alert of an instance is `active` or `suppressed`.
    pub async fn comes_to_be(&self, instance: &str, state: &str) {
        eventually(&format!("the alert of {instance} is {state}"), async || {
            let alerts = self.alerts().await?;
            let states = alerts.iter().filter(|alert| alert["labels"]["instance"] == instance);
            let states: Vec<&Value> = states.map(|alert| &alert["status"]["state"]).collect();
            if states == [state] { Ok(()) } else { Err(format!("it is {states:?}")) }
        })
        .await;
    }

    /// Waits until it says that it could not post, for this reason.
    pub async fn could_not_post(&self, reason: &str) {
        eventually("Alertmanager could not post", async || {
            let said = self.process.stderr();
            let failed = |line: &str| line.contains("Notify attempt failed") && line.contains(reason);
            if said.lines().any(failed) { Ok(()) } else { Err(said) }
        })
        .await;
    }

    async fn has_found_its_peer(&self) {
        eventually("the pair is complete", async || {
            let answer = self.client.get(self.url("/api/v2/status")).send().await.map_err(|error| error.to_string())?;
            let status: Value = answer.json().await.map_err(|error| error.to_string())?;
            let cluster = &status["cluster"];
            let complete = cluster["status"] == "ready" && cluster["peers"].as_array().map(Vec::len) == Some(2);
            if complete { Ok(()) } else { Err(cluster.to_string()) }
        })
        .await;
    }

    /// Waits until it knows that so many alerts fire.
    pub async fn comes_to_know(&self, count: usize) {
        eventually("Alertmanager knows the alerts", async || {
            let alerts = self.alerts().await?;
            if alerts.len() == count { Ok(()) } else { Err(format!("{} fire", alerts.len())) }
        })
        .await;
    }

    /// Waits until it has been up for so long.
    pub async fn has_been_up_for(&self, span: Duration) {
        eventually("Alertmanager has been up for a while", async || {
            let heard =
                self.member().hear(None, alertmanager_cachet::clock::now()).await.map_err(|error| error.to_string())?;
            if heard.up_for >= span { Ok(()) } else { Err(format!("for {:?} only", heard.up_for)) }
        })
        .await;
    }

    async fn alerts(&self) -> Result<Vec<Value>, String> {
        let answer = self.client.get(self.url("/api/v2/alerts")).send().await.map_err(|error| error.to_string())?;
        answer.json().await.map_err(|error| error.to_string())
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let answer = self.client.post(self.url(path)).json(body).send().await.expect("an answer");
        answer.error_for_status().expect("taken")
    }
}

/// A port that nobody listens on, for a program that cannot be told to take any.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

async fn run(folder: &Path, address: &str, more: &[&str]) -> (String, Process) {
    let mut command = debian("prometheus-alertmanager");
    command.current_dir(folder).args([
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        &format!("--web.listen-address={address}"),
    ]);
    let mut process = Process::start("alertmanager", command.args(more), folder);
    let address = process.tells(r#"msg="Listening on" address="#).await;
    (address, process)
}
