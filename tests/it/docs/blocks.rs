//! What each block of code has to be, and whether it is.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use alertmanager_cachet::cli::TextOrJson;
use alertmanager_cachet::config;
use alertmanager_cachet::core::history::{About, Event, EventKind};
use alertmanager_cachet::core::observed::IncidentId;
use alertmanager_cachet::core::status::ComponentStatus;
use alertmanager_cachet::core::target::ComponentName;
use alertmanager_cachet::core::time::Timestamp;
use alertmanager_cachet::log::{Line, Log, logged_body, logged_headers};
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::commands::Script;
use super::configuration::variables_of_the_program;
use super::page::{Block, Page};
use super::{no_faults, pages, repository};
use crate::support::certificates::Authority;
use crate::support::installation::{Installation, LOCAL};
use crate::support::processes::{Ended, of_debian, run, written};

/// What a block is, by the first line of its fence.
pub enum Kind {
    /// `text`: for the eye alone, such as a diagram.
    Text,
    /// `text log`: lines of the server on stdout.
    Log,
    /// `json config`: `config.json`, or keys of it.
    Config,
    /// `json ready`: what `/-/ready` answers; see [`super::night`].
    Ready,
    /// `yaml prometheus`: the configuration of Prometheus, or keys of it.
    Prometheus,
    /// `yaml targets`: the targets file in the Ansible role's form.
    Targets,
    /// `yaml alertmanager`: the configuration of Alertmanager, keys of it, or some of its routes.
    Alertmanager,
    /// `yaml rules`: a file of alert rules.
    Rules,
    /// `yaml web`: the file of `--web.config.file`.
    Web,
    /// `yaml compose`: a file for podman-compose.
    Compose,
    /// `sh env`: `.env`, or lines of it.
    Env,
    /// `sh`, `console`: commands.
    Commands(Script),
}

impl Kind {
    /// The kind of a block.
    ///
    /// # Errors
    /// When its fence says something else, or there is none.
    pub fn of(block: &Block) -> Result<Self, String> {
        Ok(match block.kind.as_deref() {
            Some("text") => Self::Text,
            Some("text log") => Self::Log,
            Some("json config") => Self::Config,
            Some("json ready") => Self::Ready,
            Some("yaml prometheus") => Self::Prometheus,
            Some("yaml targets") => Self::Targets,
            Some("yaml alertmanager") => Self::Alertmanager,
            Some("yaml rules") => Self::Rules,
            Some("yaml web") => Self::Web,
            Some("yaml compose") => Self::Compose,
            Some("sh env") => Self::Env,
            Some("sh") => Self::Commands(Script::of_shell(&block.text)),
            Some("console") => Self::Commands(Script::of_console(&block.text)?),
            Some(other) => {
                return Err(format!("no test knows what a block of {other:?} is: see tests/it/docs/blocks.rs"));
            }
            None => return Err("the block is indented only: fence it, and say what it is".to_owned()),
        })
    }
}

/// What is wrong with a block, apart from commands, which [`commands`] runs.
fn fault(block: &Block) -> Option<String> {
    let found = match Kind::of(block) {
        Err(fault) => Err(fault),
        Ok(Kind::Text | Kind::Commands(_)) => Ok(()),
        Ok(Kind::Log) => log(&block.text),
        Ok(Kind::Config) => config_json(&block.text),
        Ok(Kind::Ready) => serde_json::from_str::<Value>(&block.text).map(drop).map_err(|error| error.to_string()),
        Ok(Kind::Prometheus) => prometheus(&block.text),
        Ok(Kind::Targets) => targets(&block.text),
        Ok(Kind::Alertmanager) => alertmanager(&block.text),
        Ok(Kind::Rules) => {
            taken_by(of_debian("prometheus", "promtool").args(["check", "rules"]), "rules.yml", &block.text)
        }
        Ok(Kind::Web) => web(&block.text),
        Ok(Kind::Compose) => compose(&block.text),
        Ok(Kind::Env) => env(&block.text),
    };
    found.err().map(|fault| format!("{}: {fault}\n{}", block.place, block.text))
}

fn faults(page: &Page) -> Vec<String> {
    page.blocks.iter().filter_map(fault).collect()
}

/// Lines that the server writes: a tag, and fields in their order.
fn log(text: &str) -> Result<(), String> {
    let known = events();
    for line in text.lines() {
        let shape = shape(line);
        if line.ends_with("] …") && known.iter().any(|event| event[0] == shape[0]) {
            continue;
        }
        if !known.contains(&shape) {
            return Err(format!("no line of the log has this tag and these fields: {shape:?}"));
        }
    }
    Ok(())
}

/// The tag of a line, and the names of its fields.
fn shape(line: &str) -> Vec<String> {
    let mut words = line.split(' ');
    let tag = words.next().unwrap_or_default().to_owned();
    let name = |word: &str| {
        let (name, _) = word.split_once('=')?;
        name.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| name.to_owned())
    };
    std::iter::once(tag).chain(words.filter_map(name)).collect()
}

/// The shape of every line that there is.
fn events() -> Vec<Vec<String>> {
    let (incident, title, why) = (IncidentId(1), "title".to_owned(), || "why".to_owned());
    let (operational, red) = (ComponentStatus::Operational, ComponentStatus::MajorOutage);
    let (until_ms, user, note) = (0, why(), why());
    let events = [
        EventKind::Written { from: Some(operational), to: red, late: false },
        EventKind::Written { from: Some(operational), to: red, late: true },
        EventKind::IncidentOpened { incident, title, occurred_at_ms: 0 },
        EventKind::IncidentClosed { incident, reason: why() },
        EventKind::IncidentReopened { incident, reason: None },
        EventKind::IncidentReopened { incident, reason: Some(why()) },
        EventKind::IncidentSuppressed { maintenance: why() },
        EventKind::OverrideSet { status: operational, until_ms, user, note },
        EventKind::OverrideEnded { user: why() },
        EventKind::StatusOverridden { expected: operational, found: None },
    ];
    let about = About::Component(ComponentName::try_from("Database").expect("a name"));
    let at = Timestamp::from_millis(0);
    let events = events.map(|kind| Event { at, about: about.clone(), kind });
    let lines = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&lines);
    let log = Log::new(TextOrJson::Text, move |line| taken.lock().expect("no panic").push(shape(line)));
    events.iter().for_each(|event| log.emit(event));
    let (headers, body) = (logged_headers(&HeaderMap::new()), logged_body(b"{}", 2));
    for line in [
        Line::webhook_request([127, 0, 0, 1].into(), headers, &body),
        Line::page_edited("ada", "update", "incident 1", "title", "why"),
        Line::alert_ignored("title", "0", "why"),
    ] {
        log.line(&line);
    }
    let lines = lines.lock().expect("no panic");
    lines.iter().cloned().collect()
}

/// Keys of `config.json`, put into the example, or all of it.
fn config_json(text: &str) -> Result<(), String> {
    let whole = if text.trim_start().starts_with('{') { text.to_owned() } else { format!("{{{text}}}") };
    let keys: Value = serde_json::from_str(&whole).map_err(|error| error.to_string())?;
    let example = fs::read_to_string(repository("config.json.example")).expect("the example");
    let mut config: Value = serde_json::from_str(&example).expect("JSON");
    let keys = keys.as_object().ok_or("it is no object")?;
    config.as_object_mut().expect("an object").extend(keys.clone());
    checked(&config.to_string(), "prometheus_targets: {}")
}

fn checked(config: &str, targets: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    written(folder.path(), "config.json", config);
    written(folder.path(), "targets.yml", targets);
    let files = config::load(&folder.path().join("config.json"), &folder.path().join("targets.yml"));
    // That nothing is watched is the fault of what stands in for the other file.
    let problems: Vec<String> = files.report.problems.iter().map(ToString::to_string).collect();
    let problems: Vec<String> =
        problems.into_iter().filter(|problem| !problem.contains("so nothing is watched")).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn targets(text: &str) -> Result<(), String> {
    if !text.contains("status_page_alert") {
        return Err("it names no target of the page".to_owned());
    }
    let config = fs::read_to_string(repository("config.json.example")).expect("the example");
    checked(&config, text)
}

fn prometheus(text: &str) -> Result<(), String> {
    if text.contains("status_page_alert") {
        targets(text)?;
    }
    taken_by(of_debian("prometheus", "promtool").args(["check", "config"]), "prometheus.yml", text)
}

fn alertmanager(text: &str) -> Result<(), String> {
    let block: Value = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let nobody = json!({"name": "nobody"});
    let whole = match block {
        Value::Array(routes) => json!({
            "route": {"receiver": "nobody", "routes": routes},
            "receivers": [nobody, {"name": "status-page"}],
        }),
        Value::Object(mut keys) => {
            let route = keys.entry("route").or_insert(json!({})).as_object_mut().ok_or("route is no mapping")?;
            route.entry("receiver").or_insert(json!("nobody"));
            let receivers =
                keys.entry("receivers").or_insert(json!([])).as_array_mut().ok_or("receivers is no list")?;
            receivers.push(nobody);
            Value::Object(keys)
        }
        _ => return Err("it is neither a mapping nor a list of routes".to_owned()),
    };
    let whole = serde_yaml::to_string(&whole).expect("YAML");
    taken_by(of_debian("prometheus-alertmanager", "amtool").arg("check-config"), "alertmanager.yml", &whole)
}

/// As `check` finds it beside certificates of the names that the toolkit's own example has.
fn web(text: &str) -> Result<(), String> {
    let installation = Installation::new();
    let folder = installation.folder.path();
    let authority = Authority::new();
    authority.server().write(folder);
    written(folder, "clients.crt", &authority.pem());
    written(folder, "web.yml", text);
    succeeded(run(installation.command(&["check", "--web.config.file=web.yml"]).envs([LOCAL])))
}

/// Against the schema of compose files; and what it names of ours exists.
fn compose(text: &str) -> Result<(), String> {
    let path = repository("target/tools/venv/bin/check-jsonschema");
    assert!(path.exists(), "no {}: run tests/tools.sh, which installs it", path.display());
    let mut command = std::process::Command::new(path);
    taken_by(command.args(["--builtin-schema", "vendor.compose-spec"]), "compose.yml", text)
}

/// What a program says of a file with this text, beside the files that the repository has.
fn taken_by(command: &mut std::process::Command, name: &str, text: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("monitoring")).expect("a folder");
    fs::copy(repository("monitoring/alerts.yml"), folder.path().join("monitoring/alerts.yml")).expect("copied");
    written(folder.path(), name, text);
    succeeded(run(command.arg(name).current_dir(folder.path())))
}

fn succeeded(ended: Ended) -> Result<(), String> {
    if ended.code == Some(0) { Ok(()) } else { Err(format!("{}{}", ended.stdout, ended.stderr)) }
}

/// Lines of `.env`, as `check` finds them beside good files.
fn env(text: &str) -> Result<(), String> {
    let installation = Installation::new();
    written(installation.folder.path(), ".env", text);
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, _) = line.split_once('=').ok_or_else(|| format!("{line:?} sets no variable"))?;
        if !variables_of_the_program().contains(name) && !has_variable(&repository(".env.example"), name) {
            return Err(format!("nothing reads {name}"));
        }
    }
    let mut check = installation.command(&["check"]);
    if !text.contains("WEBHOOK_BASIC_AUTH") {
        check.env("ENVIRONMENT", "local");
    }
    succeeded(run(&mut check))
}

fn has_variable(file: &Path, name: &str) -> bool {
    let text = fs::read_to_string(file).expect("a file");
    text.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{name}=")))
}

#[test]
fn every_block_is_what_it_says() {
    no_faults(&pages().iter().flat_map(faults).collect::<Vec<_>>());
}

#[test]
fn a_block_that_is_not_what_it_says_is_found() {
    for (kind, text, fault) in [
        ("rust", "fn main() {}", "no test knows what a block of \"rust\" is"),
        ("", "anything", "no test knows what a block of \"\" is"),
        ("console", "alertmanager-cachet check", "begins with no command"),
        ("text log", "[COMPONENT_STATUS_CHANGED] component=\"X\"", "no line of the log has"),
        ("text log", "[INCIDENT_OPENED] incident=1 component=\"X\"", "no line of the log has"),
        ("json config", "\"drifft\": \"respect\"", "did you mean \"drift\"?"),
        ("json config", "\"drift\": \"maybe\"", "must be \"respect\" or \"enforce\""),
        ("json config", "{\"drift\": }", "expected value"),
        ("yaml prometheus", "scrape_config: []", "scrape_config not found"),
        (
            "yaml targets",
            "prometheus_targets: {j: [{targets: [\"a:1\"], labels: {status_page_alert: true, status_page_component: X}}]}",
            "component \"X\" is in no group",
        ),
        ("yaml alertmanager", "- matchers: ['a=\"b\"']\n  reciever: status-page", "reciever not found"),
        ("yaml rules", "groups: [{name: a, rules: [{alert: A, expr: 'up =='}]}]", "parse error"),
        ("yaml web", "basic_auth_users: {alice: secret}", "alice"),
        ("yaml web", "tls_server_config: {cert_file: server.crt, key_file: other.key}", "other.key"),
        ("yaml compose", "services: {a: {imagee: b}}", "imagee"),
        ("sh env", "LISTEN_ADRESS=127.0.0.1:1", "nothing reads LISTEN_ADRESS"),
        ("sh env", "ALERTMANAGER_URL=alertmanager:9093", "must begin with http://"),
    ] {
        let page = Page::read("x.md", &format!("```{kind}\n{text}\n```\n"));
        let faults = faults(&page);
        assert!(faults.len() == 1 && faults[0].contains(fault), "{kind}: {text}: {faults:#?}");
    }
    let indented = Page::read("x.md", "text\n\n    indented\n");
    assert_eq!(faults(&indented).len(), 1);
}
