//! `demo`: shows it working, with the code of `serve` and nothing of its own but a story.
//!
//! The notifications were recorded from an Alertmanager 0.25 that got the alerts of the targets of
//! `prometheus.yml.example`. They are posted over HTTP with Basic Auth, moved in time so that it all has just happened.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::explain::explained;
use super::hash_password;
use super::serve::{Origin, Running, start, stop_signal};
use crate::cli::{Common, Demo, Listen, Serve, WebFile};
use crate::clock;
use crate::config::Environment;
use crate::core::builtin::Content;
use crate::core::status::ComponentStatus;
use crate::core::target::ComponentName;
use crate::core::time::Timestamp;
use crate::log::Log;

/// The example files, as they are in the repository.
const FILES: [(&str, &str); 2] = [
    ("config.json", include_str!("../../config.json.example")),
    ("prometheus.yml", include_str!("../../prometheus.yml.example")),
];

/// Who posts.
const USER: &str = "alertmanager";

/// How long the page has time to show what it should. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the page is looked at until it does.
const GLANCE: Duration = Duration::from_millis(50);

/// How long each step can be watched on the page.
const PAUSE: Duration = Duration::from_secs(8);

/// The story, step by step.
const STORY: [&str; 5] = [
    include_str!("demo/1-a-target-fails.json"),
    include_str!("demo/2-half-a-component-fails.json"),
    include_str!("demo/3-a-critical-target-fails.json"),
    include_str!("demo/4-the-critical-target-recovers.json"),
    include_str!("demo/5-all-recovers.json"),
];

/// One notification, and what it must bring about.
#[derive(Deserialize)]
struct Step {
    /// What happens.
    title: String,
    /// What is sent, in words.
    sent: String,
    /// The notification, as it was recorded.
    body: String,
    /// What the page must show of the components that matter here, which have an incident in a major outage; every open
    /// incident is of one of these.
    expected: Vec<(String, ComponentStatus)>,
}

/// Serves, tells the story, and keeps serving until Ctrl-C.
///
/// # Errors
/// When the server cannot be started, or the story cannot be told.
pub(crate) async fn run(common: &Common, args: &Demo) -> anyhow::Result<ExitCode> {
    if !args.listen_address.ip().is_loopback() {
        bail!("the demo listens on loopback only: choose an address in 127.0.0.0/8 or [::1]");
    }
    let folder = tempfile::tempdir().context("no temporary folder can be made: check TMPDIR and its disk")?;
    let mut password = [0_u8; 16];
    getrandom::fill(&mut password)?;
    let password: String = password.iter().map(|byte| format!("{byte:02x}")).collect();
    let stop = stop_signal()?;
    let running = serve(common, args, folder.path(), &password).await?;
    let url = format!("http://{}", running.address);
    tokio::pin!(stop);
    let is_right = tokio::select! {
        told = tell(&running, &url, &password, args.once) => Some(told?),
        () = &mut stop => None,
    };
    if is_right.is_some() && !args.once {
        say(&format!("\nThe page stays at {url} until Ctrl-C."))?;
        stop.await;
    }
    running.stop().await?;
    Ok(if is_right == Some(false) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The server, as `serve` starts it, over the example files and an empty store.
async fn serve(common: &Common, args: &Demo, folder: &std::path::Path, password: &str) -> anyhow::Result<Running> {
    for (name, text) in FILES {
        std::fs::write(folder.join(name), text).with_context(|| format!("{name} cannot be written to {folder:?}"))?;
    }
    let common = Common {
        config_file: folder.join("config.json"),
        targets_file: folder.join("prometheus.yml"),
        storage_url: format!("sqlite://{}", folder.join("demo.db").display()),
        ..common.clone()
    };
    let serve = Serve {
        listen: Listen { listen_address: args.listen_address, web: WebFile::default() },
        metrics_address: None,
        trusted_proxies: Vec::new(),
        webhook_body_limit: 0,
    };
    let credentials = hash_password::credentials(USER, password, bcrypt::DEFAULT_COST)?;
    let environment = Environment {
        is_local: false,
        cachet: None,
        webhook_basic_auth: Some(SecretString::from(credentials)),
        alertmanager: None,
    };
    let log = Log::stdout(common.log_format);
    start(Origin { common, args: serve, environment, variables: None }, log).await
}

/// Tells the story to the server at `url`. Returns whether the page showed what it should.
async fn tell(running: &Running, url: &str, password: &str, once: bool) -> anyhow::Result<bool> {
    // No certificates are needed on loopback, and a small container image has none.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?;
    say(&format!("The status page is at {url}"))?;
    let mut is_right = true;
    let story: Vec<Step> = STORY.into_iter().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let notifications = story.iter().map(|step| serde_json::from_str(&step.body));
    let mut notifications: Vec<Value> = notifications.collect::<Result<_, _>>()?;
    move_to_now(&mut notifications)?;
    for ((step, number), notification) in story.iter().zip(1..).zip(notifications) {
        if !once {
            tokio::time::sleep(PAUSE).await;
        }
        say(&format!("\n{number}/{}  {}", STORY.len(), step.title))?;
        let request = client.post(format!("{url}/webhook")).basic_auth(USER, Some(password));
        let answer = request.header("Content-Type", "application/json").body(notification.to_string()).send().await?;
        say(&format!("     sent: {} -> HTTP {}", step.sent, answer.status().as_u16()))?;
        if !answer.status().is_success() {
            bail!("the server did not take the notification: {}", answer.text().await?);
        }
        let deadline = Instant::now() + PATIENCE;
        let (content, difference) = loop {
            let now = clock::now();
            let content = running.store.page().content(now, now).await?;
            match difference(&content, &step.expected, now) {
                Some(_) if Instant::now() < deadline => tokio::time::sleep(GLANCE).await,
                difference => break (content, difference),
            }
        };
        if let Some(difference) = difference {
            is_right = false;
            say(&format!("     WRONG: {difference}"))?;
        }
        let settings = running.settings.borrow().clone();
        for (component, _) in &step.expected {
            let name = ComponentName::try_from(component.as_str())?;
            let explanation = explained(&running.store, &settings, &name, clock::now()).await?;
            say(&format!("     page: {component} {} because {}", explanation.status, explanation.reason))?;
        }
        for incident in content.incidents.iter().filter(|incident| incident.is_open()) {
            say(&format!("     page: incident open: {}", incident.title))?;
        }
    }
    Ok(is_right)
}

/// What the page shows otherwise than it should.
fn difference(content: &Content, expected: &[(String, ComponentStatus)], now: Timestamp) -> Option<String> {
    let statuses = content.shown_statuses(now);
    for (name, status) in expected {
        let found = content.components.iter().find(|shown| shown.name == *name && content.shows(shown));
        let shown = found.and_then(|found| statuses.get(&found.id)).copied();
        if shown != Some(*status) {
            let shown = shown.map_or("not there".to_owned(), |shown| shown.to_string());
            return Some(format!("{name} is {shown} and should be {status}"));
        }
    }
    let open = content.incidents.iter().filter(|incident| incident.is_open()).count();
    let wanted = expected.iter().filter(|(_, status)| *status == ComponentStatus::MajorOutage).count();
    (open != wanted).then(|| format!("{open} incidents are open and {wanted} should be"))
}

/// Moves the recorded times so that the last thing that happens in the story happens now, and nothing in the future.
fn move_to_now(notifications: &mut [Value]) -> anyhow::Result<()> {
    let alerts = notifications.iter_mut().flat_map(|notification| notification["alerts"].as_array_mut());
    let mut times = Vec::new();
    for alert in alerts.flatten() {
        let Some(alert) = alert.as_object_mut() else { continue };
        for (_, time) in alert.iter_mut().filter(|(key, _)| matches!(key.as_str(), "startsAt" | "endsAt")) {
            let moment = Timestamp::parse_rfc3339(time.as_str().unwrap_or_default())?;
            // A firing alert ends in the year 1, whenever it is told.
            if moment.as_millis() > 0 {
                times.push((moment.as_millis(), time));
            }
        }
    }
    let latest = times.iter().map(|(moment, _)| *moment).max().unwrap_or_default();
    let by = clock::now().as_millis() - latest;
    for (moment, time) in times {
        *time = Timestamp::from_millis(moment + by).to_string().into();
    }
    Ok(())
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
