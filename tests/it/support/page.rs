//! What a status page says through Cachet's API, as lines to compare.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::Path;

use fake_cachet::{FakeCachet, Options, Release, Server, serve};
use serde_json::Value;

use crate::support::processes::{eventually, program, run};

/// Reads a page as an operator would, with its token.
pub struct Page {
    /// The base for `CACHET_API_URL`: `http://127.0.0.1:PORT/api`.
    pub url: String,
    pub token: String,
    client: reqwest::Client,
    /// The Cachet, if it is this page's own.
    _cachet: Option<Server>,
    /// What targets are called in the lines, instead of by their addresses.
    names: Vec<(SocketAddr, &'static str)>,
}

impl Page {
    pub fn new(url: String, token: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url, token, client, _cachet: None, names: Vec::new() }
    }

    /// The page of an empty Cachet, which runs until this is dropped.
    pub async fn of(release: Release) -> Self {
        let cachet = FakeCachet::open(Options::of(release)).await.expect("a database");
        let (url, server) = serve(cachet.router()).await;
        let page = Self::new(format!("{url}/api"), cachet.token().to_owned());
        Self { _cachet: Some(server), ..page }
    }

    /// As [`Page::of`] the current release, on which `setup` was run for the files in `folder`.
    pub async fn set_up(folder: &Path) -> Self {
        let page = Self::of(Release::Current).await;
        page.is_set_up(folder).await;
        page
    }

    /// Runs `setup` for the files in `folder`.
    pub async fn is_set_up(&self, folder: &Path) {
        let mut command = program(folder);
        command.arg("setup").envs(self.variables());
        let setup = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("no panic");
        assert_eq!(setup.code, Some(0), "{}{}", setup.stdout, setup.stderr);
    }

    /// What the program is given so that it drives this page.
    pub fn variables(&self) -> [(&'static str, &str); 2] {
        [("CACHET_API_URL", &self.url), ("CACHET_API_TOKEN", &self.token)]
    }

    /// From here on, the target is called so.
    pub fn call(&mut self, target: SocketAddr, name: &'static str) {
        self.names.push((target, name));
    }

    /// Waits until the visible components, by name, and then the incidents, in their order, are these:
    /// `Database: Partial outage`, `Database is down: Fixed (It works again.)`.
    pub async fn comes_to_show(&self, expected: &[&str]) {
        eventually("the page shows it", async || as_expected(&self.shown().await?, expected)).await;
    }

    /// The visible components, by name, and then the incidents, in their order.
    pub async fn shown(&self) -> Result<Vec<String>, String> {
        let mut lines: Vec<String> = self.components("1").await?.iter().map(state).collect();
        lines.sort();
        lines.extend(self.incidents().await?);
        Ok(lines)
    }

    /// A person removes a component.
    pub async fn loses(&self, component: &str) {
        let found = self.components("1").await.expect("components");
        let lost = found.iter().find(|found| found["name"] == component).expect("the component");
        let request = self.client.delete(format!("{}/components/{}", self.url, lost["id"])).bearer_auth(&self.token);
        request.send().await.expect("an answer").error_for_status().expect("removed");
    }

    /// Waits until the disabled components, one a target, are these: `db-1 | Database: Major outage (critical: no; …)`.
    pub async fn comes_to_know(&self, expected: &[String]) {
        eventually("the page knows it", async || as_expected(&self.known().await?, expected)).await;
    }

    /// Waits until one target is as `expected`, whatever the others are.
    pub async fn comes_to_know_of(&self, expected: &str) {
        eventually("the page knows of it", async || {
            let known = self.known().await?;
            if known.iter().any(|line| line == expected) { Ok(()) } else { Err(format!("it knows {known:#?}")) }
        })
        .await;
    }

    async fn known(&self) -> Result<Vec<String>, String> {
        let components = self.components("0").await?;
        let line = |component: &Value| {
            let description = component["description"].as_str().unwrap_or("no description").replace('\n', "; ");
            format!("{} ({description})", self.named(&state(component)))
        };
        let mut lines: Vec<String> = components.iter().map(line).collect();
        lines.sort();
        Ok(lines)
    }

    async fn components(&self, enabled: &str) -> Result<Vec<Value>, String> {
        self.list(&format!("components?filter[enabled]={enabled}&sort=id&per_page=50")).await
    }

    async fn incidents(&self) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        for incident in self.list("incidents?sort=id&per_page=50").await? {
            let updates = self.list(&format!("incidents/{}/updates?per_page=50", incident["id"])).await?;
            let texts: Vec<&str> = updates.iter().filter_map(|update| update["message"].as_str()).collect();
            lines.push(match &texts[..] {
                [] => state(&incident),
                texts => format!("{} ({})", state(&incident), texts.join(" ")),
            });
        }
        Ok(lines)
    }

    /// The attributes of each entry.
    async fn list(&self, path: &str) -> Result<Vec<Value>, String> {
        let request = self.client.get(format!("{}/{path}", self.url)).bearer_auth(&self.token);
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        let entries = body["data"].as_array().ok_or_else(|| format!("{path} answers {body}"))?;
        Ok(entries.iter().map(|entry| entry["attributes"].clone()).collect())
    }

    /// `line`, with the targets by their names.
    pub fn named(&self, line: &str) -> String {
        let rename = |line: String, (address, name): &(SocketAddr, &str)| line.replace(&address.to_string(), name);
        self.names.iter().fold(line.to_owned(), rename)
    }
}

fn state(thing: &Value) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    format!("{}: {}", text(&thing["name"]), text(&thing["status"]["human"]))
}

fn as_expected(lines: &[String], expected: &[impl AsRef<str> + Debug]) -> Result<(), String> {
    if lines.iter().eq(expected.iter().map(AsRef::as_ref)) {
        Ok(())
    } else {
        Err(format!("it shows\n{lines:#?}\ninstead of\n{expected:#?}"))
    }
}
