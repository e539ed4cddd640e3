//! The program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// A running program, and the base of its API.
struct Running {
    child: Child,
    url: String,
    client: Client,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut url = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its address");
        let client = Client::builder().no_proxy().build().expect("a client");
        Self { child, url: url.trim().to_owned(), client }
    }

    async fn post(&self, path: &str, token: &str, body: Value) -> StatusCode {
        let request = self.client.post(format!("{}/{path}", self.url)).bearer_auth(token).json(&body);
        request.send().await.expect("an answer").status()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.client.get(format!("{}/{path}", self.url)).send().await.expect("an answer");
        (answer.status(), answer.json().await.expect("JSON"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fake-cachet"));
    command.args(arguments);
    command
}

fn ends(arguments: &[&str]) -> Output {
    command(arguments).output().expect("it runs")
}

/// A component as a client posts it.
fn component() -> Value {
    json!({"name": "Database", "status": 1})
}

#[tokio::test]
async fn it_serves_the_api_and_takes_its_token_alone() {
    let running = Running::start(&["--token", "1|secret"]);
    assert_eq!(running.post("components", "1|other", component()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(running.post("components", "1|secret", component()).await, StatusCode::CREATED);
    let (_, list) = running.get("components").await;
    assert_eq!(list["data"][0]["attributes"]["latest_status"]["value"], 1);
}

#[tokio::test]
async fn the_older_release_knows_no_latest_status() {
    let running = Running::start(&["--token", "1|secret", "--release", "2025"]);
    assert_eq!(running.post("components", "1|secret", component()).await, StatusCode::CREATED);
    let (_, list) = running.get("components").await;
    assert_eq!(list["data"][0]["attributes"].get("latest_status"), None);
}

#[tokio::test]
async fn it_fails_and_limits_calls_as_it_is_told() {
    let running = Running::start(&["--token", "t", "--rate-limit", "2", "--fail", "POST /api/* 503"]);
    assert_eq!(running.post("components", "t", component()).await, StatusCode::SERVICE_UNAVAILABLE);
    let statuses = [running.get("ping").await.0, running.get("ping").await.0, running.get("ping").await.0];
    assert_eq!(statuses, [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS]);
}

#[tokio::test]
async fn a_database_in_a_file_is_there_after_a_restart() {
    let file = std::env::temp_dir().join(format!("fake-cachet-{}.db", std::process::id()));
    let name = file.to_str().expect("a name").to_owned();
    let running = Running::start(&["--token", "t", "--database", &name]);
    assert_eq!(running.post("components", "t", component()).await, StatusCode::CREATED);
    drop(running);
    let (_, list) = Running::start(&["--database", &name]).get("components").await;
    assert_eq!(list["data"][0]["attributes"]["name"], "Database");
    remove(&file);
}

fn remove(file: &Path) {
    std::fs::remove_file(file).expect("the database");
}

#[test]
fn what_cannot_be_is_refused_in_words() {
    for (arguments, said) in [
        (&["--release", "2024"][..], "[possible values: 2026, 2025]"),
        (&["--fail", "POST /api/incidents"], "expected METHOD PATH STATUS, for example 'POST /api/incidents 503'"),
        (&["--fail", "POST /api/incidents 5000"], "expected METHOD PATH STATUS"),
        (&["--database", "/nowhere/cachet.db"], "cannot open the database /nowhere/cachet.db"),
        (&["--listen", "192.0.2.1:80"], "cannot listen on 192.0.2.1:80"),
    ] {
        let output = ends(arguments);
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(!output.status.success() && stderr.contains(said), "{arguments:?}: {stderr}");
    }
}
