//! What a status page says through Cachet's API, as lines to compare.

use std::fmt::Debug;
use std::net::SocketAddr;

use serde_json::Value;

use crate::support::processes::eventually;

/// Reads a page as an operator would, with its token.
pub struct Page {
    /// The base for `CACHET_API_URL`: `http://127.0.0.1:PORT/api`.
    pub url: String,
    pub token: String,
    client: reqwest::Client,
    /// What targets are called in the lines, instead of by their addresses.
    names: Vec<(SocketAddr, &'static str)>,
}

impl Page {
    pub fn new(url: String, token: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { url, token, client, names: Vec::new() }
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
