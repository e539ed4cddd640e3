//! `demo`: shows it working, with the code of `serve` and nothing of its own but a story.
//!
//! The notifications were recorded from an Alertmanager 0.25 that got the alerts of the targets of
//! `prometheus.yml.example`. They are posted over HTTP with Basic Auth, moved in time so that it all has just happened.

mod story;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use serde_json::Value;

use self::story::{Expected, STORY, Step};
use super::explain::explained;
use super::hash_password;
use super::serve::{Origin, Running, start, stop_signal};
use crate::cli::{Common, Demo, Listen, Serve, WebFile};
use crate::clock;
use crate::config::environment::{Environment, Mode};
use crate::core::builtin::Content;
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
    let mut demo = Teller { url: format!("http://{}", running.address), password, client: client()?, running };
    tokio::pin!(stop);
    let told = tokio::select! {
        told = demo.tell(args.once) => Some(told?),
        () = &mut stop => None,
    };
    if let (Some(_), false) = (told, args.once) {
        say(&format!("\nThe page stays at {} until Ctrl-C.", demo.url))?;
        stop.await;
    }
    demo.running.stop().await?;
    Ok(if told == Some(Outcome::Wrong) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
        mode: Mode::Production,
        cachet: None,
        webhook_basic_auth: Some(SecretString::from(credentials)),
        alertmanager: None,
    };
    let log = Log::stdout(common.log_format);
    start(Origin { common, args: serve, environment, variables: None }, log).await
}

fn client() -> anyhow::Result<reqwest::Client> {
    // No certificates are needed on loopback, and a small container image has none.
    Ok(reqwest::Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build()?)
}

/// Whether the page showed what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Right,
    Wrong,
}

struct Teller {
    url: String,
    password: String,
    client: reqwest::Client,
    running: Running,
}

impl Teller {
    async fn tell(&mut self, once: bool) -> anyhow::Result<Outcome> {
        say(&format!("The status page is at {}", self.url))?;
        let mut outcome = Outcome::Right;
        let shift = Shift::to_now(STORY)?;
        for (step, number) in STORY.iter().zip(1..) {
            if !once {
                tokio::time::sleep(PAUSE).await;
            }
            say(&format!("\n{number}/{}  {}", STORY.len(), step.title))?;
            self.post(step, shift).await?;
            if let Err(difference) = self.wait_for(step.expected).await? {
                outcome = Outcome::Wrong;
                say(&format!("     WRONG: {difference}"))?;
            }
            self.say_page(step.expected).await?;
        }
        Ok(outcome)
    }

    async fn post(&self, step: &Step, shift: Shift) -> anyhow::Result<()> {
        let body = shift.apply(&notification(step.recording)?)?;
        let request = self.client.post(format!("{}/webhook", self.url)).basic_auth(USER, Some(&self.password));
        let answer = request.header("Content-Type", "application/json").body(body).send().await?;
        say(&format!("     sent: {} -> HTTP {}", step.sent, answer.status().as_u16()))?;
        if !answer.status().is_success() {
            bail!("the server did not take the notification: {}", answer.text().await?);
        }
        Ok(())
    }

    /// Waits until the page shows what it should; else what it shows instead.
    async fn wait_for(&self, expected: &[Expected]) -> anyhow::Result<Result<(), String>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let difference = self.difference(expected).await?;
            if difference.is_none() || Instant::now() >= deadline {
                return Ok(difference.map_or(Ok(()), Err));
            }
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// What the page shows otherwise than it should.
    async fn difference(&self, expected: &[Expected]) -> anyhow::Result<Option<String>> {
        let (content, now) = self.content().await?;
        let statuses = content.shown_statuses(now);
        for component in expected {
            let found = content.components.iter().find(|shown| shown.name == component.name && content.shows(shown));
            let shown = found.and_then(|found| statuses.get(&found.id)).copied();
            if shown != Some(component.status) {
                let shown = shown.map_or("not there".to_owned(), |shown| shown.to_string());
                return Ok(Some(format!("{} is {shown} and should be {}", component.name, component.status)));
            }
        }
        let open = content.incidents.iter().filter(|incident| incident.is_open()).count();
        let wanted = expected.iter().filter(|component| component.has_incident()).count();
        Ok((open != wanted).then(|| format!("{open} incidents are open and {wanted} should be")))
    }

    async fn content(&self) -> anyhow::Result<(Content, Timestamp)> {
        let now = clock::now();
        Ok((self.running.store.page().content(now, now).await?, now))
    }

    /// What the page shows now, and why: the words of `explain`.
    async fn say_page(&self, expected: &[Expected]) -> anyhow::Result<()> {
        let (content, now) = self.content().await?;
        for component in expected {
            let name = ComponentName::try_from(component.name)?;
            let explanation =
                explained(&self.running.store, &self.running.settings.borrow().clone(), &name, now).await?;
            say(&format!("     page: {} {} because {}", component.name, explanation.status, explanation.reason))?;
        }
        for incident in content.incidents.iter().filter(|incident| incident.is_open()) {
            say(&format!("     page: incident open: {}", incident.title))?;
        }
        Ok(())
    }
}

/// The body of a recorded notification.
fn notification(recording: &str) -> anyhow::Result<Value> {
    let recording: Value = serde_json::from_str(recording)?;
    Ok(serde_json::from_str(recording["body"].as_str().context("a recording has a body")?)?)
}

/// How far the recorded times are moved.
#[derive(Debug, Clone, Copy)]
struct Shift {
    by_ms: i64,
}

impl Shift {
    /// So that the last thing that happens in the story happens now, and nothing in the future.
    fn to_now(story: &[Step]) -> anyhow::Result<Self> {
        let mut latest = 0;
        for step in story {
            for alert in notification(step.recording)?["alerts"].as_array().into_iter().flatten() {
                for time in ["startsAt", "endsAt"].iter().filter_map(|key| alert[*key].as_str()) {
                    latest = latest.max(Timestamp::parse_rfc3339(time)?.as_millis());
                }
            }
        }
        Ok(Self { by_ms: clock::now().as_millis() - latest })
    }

    fn apply(self, notification: &Value) -> anyhow::Result<String> {
        let mut moved = notification.clone();
        for alert in moved["alerts"].as_array_mut().into_iter().flatten() {
            for key in ["startsAt", "endsAt"] {
                let time = Timestamp::parse_rfc3339(alert[key].as_str().unwrap_or_default())?;
                // A firing alert ends in the year 1, whenever it is told.
                if time.as_millis() > 0 {
                    alert[key] = Timestamp::from_millis(time.as_millis() + self.by_ms).to_string().into();
                }
            }
        }
        Ok(moved.to_string())
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
