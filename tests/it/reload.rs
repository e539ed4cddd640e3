//! `POST /-/reload` and SIGHUP: the configuration is read again, and no alert is lost by it.

use std::fs;

use alertmanager_cachet::store::Store;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::support::built_in::BuiltIn;
use crate::support::installation::{Installation, LOCAL};
use crate::support::page::Page;
use crate::support::processes::{Process, eventually, written};
use crate::support::web::ADMIN;

struct Site {
    installation: Installation,
    server: Process,
    url: String,
    page: Page,
    client: Client,
}

impl Site {
    /// A server that drives a Cachet.
    async fn start() -> Self {
        let installation = Installation::new();
        let page = Page::set_up(installation.folder.path()).await;
        let variables = page.variables().map(|(name, value)| format!("{name}={value}\n"));
        written(installation.folder.path(), ".env", &variables.concat());
        let (server, url) = serving(&installation).await;
        Self { installation, server, url, page, client: client() }
    }

    /// Runs `setup`.
    async fn sets_up(&self) {
        self.page.is_set_up(self.installation.folder.path()).await;
    }

    async fn reload(&self) -> (StatusCode, String) {
        let reload = self.client.post(format!("{}/-/reload", self.url)).header("Authorization", ADMIN);
        let answer = reload.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a text"))
    }

    /// Posts that something of `component` is down.
    async fn fire(&self, component: &str) -> StatusCode {
        let labels = json!({"alertname": "Down", "instance": "new:1", "status_page_alert": "true",
                            "status_page_component": component});
        let sum = component.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let alert = json!({"status": "firing", "labels": labels, "startsAt": "2026-11-21T01:54:29.434Z",
                           "endsAt": "0001-01-01T00:00:00Z", "fingerprint": format!("{sum:016x}")});
        let body = json!({"version": "4", "status": "firing", "receiver": "x", "alerts": [alert]}).to_string();
        let post = self.client.post(format!("{}/webhook", self.url)).header("Authorization", ADMIN).body(body);
        post.send().await.expect("an answer").status()
    }

    async fn get(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer");
        answer.text().await.expect("a text")
    }

    /// The value of a metric, as it is told; `None` if it is not.
    async fn metric(&self, name: &str) -> Option<String> {
        let told = self.get("/metrics").await;
        let mut values = told.lines().filter_map(|line| line.strip_prefix(&format!("alertmanager_cachet_{name} ")));
        values.next().map(str::to_owned)
    }

    /// Waits until the page shows `component` with this status.
    async fn shows(&self, component: &str, status: i64) {
        eventually(&format!("{component} has status {status}"), async || {
            let list = self.client.get(format!("{}/components?per_page=100", self.page.url)).send().await;
            let list: Value = list.expect("an answer").json().await.expect("JSON");
            let rows = list["data"].as_array().cloned().unwrap_or_default();
            let found = rows.iter().find(|row| row["attributes"]["name"] == component);
            let shown = found.map(|row| row["attributes"]["latest_status"]["value"].clone());
            if shown == Some(status.into()) { Ok(()) } else { Err(format!("{shown:?}")) }
        })
        .await;
    }

    /// Changes `config.json`.
    fn configure(&self, change: impl FnOnce(&mut Value)) {
        let path = self.installation.folder.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path).expect("a file")).expect("JSON");
        change(&mut config);
        fs::write(path, config.to_string()).expect("written");
    }

    /// Adds a component to the page.
    fn configure_component(&self, name: &str) {
        self.configure(|config| {
            let components = &mut config["groups_configuration"][0]["status_page_components"];
            components.as_array_mut().expect("a list").push(name.into());
        });
    }
}

async fn serving(installation: &Installation) -> (Process, String) {
    let (server, address) = installation.serving(&[LOCAL]).await;
    (server, format!("http://{address}"))
}

fn client() -> Client {
    Client::builder().no_proxy().build().expect("a client")
}

#[tokio::test]
async fn an_alert_for_a_component_that_is_configured_later_counts_after_the_reload() {
    let site = Site::start().await;
    assert_eq!(site.fire("Telephone").await, StatusCode::OK);
    site.configure_component("Telephone");
    site.sets_up().await;
    let (status, text) = site.reload().await;
    assert_eq!(status, StatusCode::OK, "{text}");
    assert!(text.starts_with("configuration reloaded: 3 groups, 12 targets\n"), "{text}");
    site.shows("Telephone", 4).await;
}

#[tokio::test]
async fn the_limit_on_stored_alerts_is_that_of_the_last_reload() {
    let site = Site::start().await;
    site.configure(|config| config["max_stored_alerts"] = 1.into());
    let (status, text) = site.reload().await;
    assert_eq!(status, StatusCode::OK, "{text}");
    site.fire("Telephone").await;
    let labels = json!({"alertname": "Down", "instance": "second:1", "status_page_alert": "true",
                        "status_page_component": "Mail"});
    let alert = json!({"status": "firing", "labels": labels, "startsAt": "2026-11-21T01:54:29.434Z",
                       "fingerprint": "e029c70b1b647320"});
    let body = json!({"version": "4", "alerts": [alert]}).to_string();
    let post = site.client.post(format!("{}/webhook", site.url)).header("Authorization", ADMIN).body(body);
    let answer = post.send().await.expect("an answer").text().await.expect("a text");
    assert!(answer.contains(r#""ignored":1"#), "{answer}");
}

#[tokio::test]
async fn a_reload_gives_the_built_in_page_what_both_files_name() {
    let installation = Installation::new();
    let (server, url) = serving(&installation).await;
    let page = BuiltIn::of(installation.folder.path()).await;
    let names = async || page.content().await.components.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    assert!(!names().await.contains(&"Telephone".to_owned()));
    let config = installation.folder.path().join("config.json");
    let mut changed: Value = serde_json::from_str(&fs::read_to_string(&config).expect("read")).expect("JSON");
    let groups = changed["groups_configuration"].as_array_mut().expect("groups");
    groups.push(json!({"status_page_group": "New", "status_page_components": ["Telephone"]}));
    fs::write(&config, changed.to_string()).expect("written");
    let reload = client().post(format!("{url}/-/reload")).header("Authorization", ADMIN).send().await;
    assert_eq!(reload.expect("an answer").status(), StatusCode::OK);
    assert!(names().await.contains(&"Telephone".to_owned()));
    drop(server);
}

#[tokio::test]
async fn new_targets_and_texts_count_from_the_next_round_on() {
    let site = Site::start().await;
    let targets = "scrape_configs:\n- job_name: x\n  static_configs:\n  - targets: ['new:1']\n    \
                   labels: {status_page_alert: 'true', status_page_component: Mail}\n";
    written(site.installation.folder.path(), "prometheus.yml", targets);
    site.configure(|config| config["new_incident_name"] = "%s, as newly called".into());
    assert_eq!(site.reload().await.0, StatusCode::OK);
    site.fire("Mail").await;
    // All targets that it has now; before, it would have been one of several.
    site.shows("Mail", 4).await;
    eventually("its incident is opened", async || {
        let said = site.server.stdout();
        if said.contains(r#"name="Mail, as newly called""#) { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_every_problem_of_it_is_told() {
    let mut site = Site::start().await;
    site.configure_component("Telephone");
    site.configure(|config| {
        config["drift"] = 5.into();
        config["new_incident_message"] = Value::Null;
    });
    let (status, text) = site.reload().await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    for problem in ["the one before stays in effect", "config.json: drift: ", "config.json: new_incident_message: "] {
        assert!(text.contains(problem), "{text}");
    }
    site.server.tells("config.json: drift: ").await;
    assert_eq!(site.fire("Mail").await, StatusCode::OK);
    site.shows("Mail", 3).await;
    site.configure(|config| {
        config["drift"] = "respect".into();
        config["new_incident_message"] = "We look into it.".into();
    });
    site.sets_up().await;
    assert_eq!(site.reload().await.0, StatusCode::OK);
    assert_eq!(site.fire("Telephone").await, StatusCode::OK);
    site.shows("Telephone", 4).await;
}

#[tokio::test]
async fn a_reload_that_fails_is_told_by_the_metrics_and_by_readiness_until_one_succeeds() {
    let site = Site::start().await;
    let successful = async || site.metric("config_last_reload_successful").await;
    let last_success = async || site.metric("config_last_reload_success_timestamp_seconds").await;
    let configuration = async || {
        let ready: Value = serde_json::from_str(&site.get("/-/ready").await).expect("JSON");
        ready["parts"]["configuration"].clone()
    };
    let (started_at, good) = (last_success().await, json!({"good": true}));
    assert_eq!((successful().await.as_deref(), configuration().await), (Some("1"), good.clone()));

    let path = site.installation.folder.path().join("config.json");
    let text = fs::read_to_string(&path).expect("a file");
    fs::write(&path, "{").expect("written");
    assert_eq!(site.reload().await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((successful().await.as_deref(), last_success().await), (Some("0"), started_at.clone()));
    let problem = configuration().await;
    let said = problem["problem"].as_str().unwrap_or_default();
    assert!(
        said.contains("the one before stays in effect: config.json") && said.ends_with("reload again"),
        "{problem}"
    );

    fs::write(&path, text).expect("written");
    assert_eq!(site.reload().await.0, StatusCode::OK);
    assert_eq!((successful().await.as_deref(), configuration().await), (Some("1"), good));
    assert_ne!(last_success().await, started_at);
}

#[tokio::test]
async fn a_watchdog_is_listened_for_from_the_reload_on_that_names_it_to_the_one_that_does_not() {
    let site = Site::start().await;
    assert_eq!(site.metric("watchdog_missing").await, None);
    site.configure(|config| config["watchdog"] = json!({"alertname": "Pulse", "timeout_seconds": 1}));
    let (status, text) = site.reload().await;
    assert_eq!(status, StatusCode::OK, "{text}");
    // Nobody sends it.
    site.shows("Mail", 5).await;
    assert_eq!(site.metric("watchdog_missing").await.as_deref(), Some("1"));
    let shows = async |incident: &str| {
        eventually(incident, async || {
            let shown = site.page.shown().await?;
            if shown.iter().any(|line| line.starts_with(incident)) { Ok(()) } else { Err(format!("{shown:#?}")) }
        })
        .await;
    };
    shows("Monitoring data is missing: Investigating").await;

    site.configure(|config| config["watchdog"] = Value::Null);
    assert_eq!(site.reload().await.0, StatusCode::OK);
    site.shows("Mail", 1).await;
    assert_eq!(site.metric("watchdog_missing").await, None);
    shows("Monitoring data is missing: Fixed").await;
}

#[tokio::test]
async fn the_webhook_knows_a_watchdog_that_is_configured_later() {
    let site = Site::start().await;
    let beat = async || {
        let alert = json!({"status": "firing", "labels": {"alertname": "Pulse"}, "fingerprint": "e029c70b1b64731f",
                           "startsAt": "2026-11-21T01:54:29.434Z", "endsAt": "0001-01-01T00:00:00Z"});
        let body = json!({"version": "4", "alerts": [alert]}).to_string();
        let post = site.client.post(format!("{}/webhook", site.url)).header("Authorization", ADMIN).body(body);
        post.send().await.expect("an answer").json::<Value>().await.expect("JSON")["heartbeats"].clone()
    };
    assert_eq!(beat().await, Value::Null);
    site.configure(|config| config["watchdog"] = json!({"alertname": "Pulse"}));
    assert_eq!(site.reload().await.0, StatusCode::OK);
    assert_eq!(beat().await, 1);
}

#[tokio::test]
async fn a_hangup_reloads_and_does_not_end_the_server() {
    let mut site = Site::start().await;
    site.configure_component("Telephone");
    site.sets_up().await;
    site.server.signal("HUP");
    site.server.tells("configuration reloaded: ").await;
    assert_eq!(site.fire("Telephone").await, StatusCode::OK);
    site.shows("Telephone", 4).await;
    fs::remove_file(site.installation.folder.path().join("config.json")).expect("removed");
    site.server.signal("HUP");
    site.server.tells("the configuration was not reloaded").await;
    assert_eq!(site.fire("Mail").await, StatusCode::OK);
    assert_eq!(site.server.end().await.code(), Some(0));
}

#[tokio::test]
async fn a_reload_is_only_for_those_who_are_known_and_only_by_post() {
    let site = Site::start().await;
    let url = format!("{}/-/reload", site.url);
    let strangers = site.client.post(&url).send().await.expect("an answer");
    assert_eq!(strangers.status(), StatusCode::UNAUTHORIZED);
    assert!(strangers.headers().contains_key("WWW-Authenticate"));
    let wrong = site.client.post(&url).basic_auth("admin", Some("wrong")).send().await.expect("an answer");
    assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    let read = site.client.get(&url).header("Authorization", ADMIN).send().await.expect("an answer");
    assert_eq!(
        (read.status(), &read.headers()["Allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST, PUT".parse().expect("a value"))
    );
    let foreign = site.client.post(&url).header("Authorization", ADMIN).header("Sec-Fetch-Site", "cross-site");
    assert_eq!(foreign.send().await.expect("an answer").status(), StatusCode::FORBIDDEN);
    assert!(!site.server.stderr().contains("reloaded"), "{}", site.server.stderr());
    let refused = site.metric("authentications_refused_total{reason=\"cross_site\"}").await;
    assert_eq!(refused.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_reload_shows_in_the_console_and_its_api_at_once() {
    let site = Site::start().await;
    let targets = "scrape_configs:\n- job_name: x\n  static_configs:\n  - targets: ['new:1', 'new:2']\n    \
                   labels: {status_page_alert: 'true', status_page_component: Mail}\n";
    written(site.installation.folder.path(), "prometheus.yml", targets);
    site.configure(|config| {
        config["watchdog"] = json!({"alertname": "Pulse"});
        config["history_days"] = 7.into();
    });
    assert_eq!(site.reload().await.0, StatusCode::OK);
    let read = async |path: &str| {
        let url = format!("{}/console/api/v1{path}", site.url);
        let answer = site.client.get(url).header("Authorization", ADMIN).send().await.expect("an answer");
        (answer.status(), answer.json::<Value>().await.expect("JSON"))
    };
    let (_, mail) = read("/components/Mail").await;
    assert_eq!(mail["targets"].as_array().map(Vec::len), Some(2), "{mail}");
    assert_eq!(mail["past"]["uptime"].as_array().map(Vec::len), Some(2), "over no more days than are kept: {mail}");
    assert_eq!(read("/components/Mail?days=8").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(read("/monitoring").await.1["watchdog"], json!("Pulse"));
    site.configure_component("Telephone");
    site.sets_up().await;
    assert_eq!(site.reload().await.0, StatusCode::OK);
    eventually("the new component is in the console", async || {
        let (status, told) = read("/components/Telephone").await;
        if status == StatusCode::OK { Ok(()) } else { Err(told) }
    })
    .await;
}

#[tokio::test]
async fn what_is_read_at_the_start_alone_is_named() {
    let site = Site::start().await;
    written(
        site.installation.folder.path(),
        ".env",
        "LISTEN_ADDRESS=127.0.0.1:1\nCACHET_API_URL=http://x/api\nCACHET_API_TOKEN=y\n",
    );
    let (status, text) = site.reload().await;
    assert_eq!(status, StatusCode::OK, "{text}");
    for name in ["LISTEN_ADDRESS", "CACHET_API_URL or CACHET_API_TOKEN"] {
        assert!(text.contains(&format!("{name} has changed: restart the server for it to take effect\n")), "{text}");
    }
}

#[tokio::test]
async fn those_who_are_no_longer_named_are_no_longer_let_in() {
    let site = Site::start().await;
    assert_eq!(site.fire("Mail").await, StatusCode::OK);
    let other = "WEBHOOK_BASIC_AUTH='other:$2b$04$abcdefghijklmnopqrstuuQe66hACgXZ.ImKMvPGdqru0gQrWJ8Ju'\n";
    written(site.installation.folder.path(), ".env", other);
    assert_eq!(site.reload().await.0, StatusCode::OK);
    assert_eq!(site.fire("Mail").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn reloads_at_the_same_time_are_done_one_after_the_other_while_notifications_are_answered() {
    let site = Site::start().await;
    site.configure_component("Telephone");
    site.sets_up().await;
    let reloads = futures_util::future::join_all((0..8).map(|_| site.reload()));
    let posts = futures_util::future::join_all((0..8).map(|_| site.fire("Telephone")));
    let (reloads, posts) = tokio::join!(reloads, posts);
    assert!(reloads.iter().all(|(status, _)| *status == StatusCode::OK), "{reloads:?}");
    assert!(posts.iter().all(|status| *status == StatusCode::OK), "{posts:?}");
    site.shows("Telephone", 4).await;
    let url = format!("sqlite://{}", site.installation.folder.path().join("data/alertmanager-cachet.db").display());
    let store = Store::open_read_only(&url).await.expect("a store");
    assert_eq!(store.unresolved_alerts().await.expect("alerts").len(), 1);
}
