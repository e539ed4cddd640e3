//! What is configured and may change while the server runs: checked as a whole, at the start and when it is to be read
//! again (`POST /-/reload`, SIGHUP).
//!
//! What is not good changes nothing. What is good takes effect between two runs of the reconciler and of the alert sync,
//! which lose nothing by it: alerts are in the store, and the page is computed from them.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::set_up_built_in;
use crate::cli::{Common, Serve};
use crate::clock;
use crate::commands::Page;
use crate::config::environment::{CachetAccess, Environment};
use crate::config::users::Users;
use crate::config::{self, Files, Finding, Report, Severity, TargetsFile, Variables, counted};
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::settings::{Settings, WebAccess};
use crate::web::Wakes;
use crate::web::reload::ReloadQueue;

/// Variables that flags stand for, which are read once.
const READ_AT_THE_START: &[&str] = &[
    "CONFIG_FILE",
    "LISTEN_ADDRESS",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "LOG_WEBHOOK_BODY_LIMIT",
    "METRICS_ADDRESS",
    "STORAGE_URL",
    "TARGETS_FILE",
    "TRUSTED_PROXIES",
    "WEB_CONFIG_FILE",
];

/// Where the configuration comes from, as the server was started.
#[derive(Clone)]
pub(crate) struct Origin {
    pub common: Common,
    pub args: Serve,
    pub environment: Environment,
    /// What the environment was read from, to be read again; `None`: it stays.
    pub variables: Option<Variables>,
}

/// What can be served with.
pub(super) struct Configured {
    /// Everything but the Alertmanagers, which are those of the start.
    pub settings: Settings,
    /// What is worth knowing, and what is wrong that can be served without.
    pub report: Report,
    /// What works, and lets in more than it should, or may show less.
    unwise_choices: Vec<Finding>,
}

/// Reads and checks all files. What concerns single targets is no reason to refuse, so that a start at night does not
/// fail for a typo.
///
/// # Errors
/// Everything that the server cannot serve with.
pub(super) fn read(common: &Common, args: &Serve, environment: &Environment) -> Result<Configured, Vec<Finding>> {
    let Files { config, targets, mut report } = config::load(&common.config_file, &common.targets_file);
    let mut about_web = Report::default();
    let mut web = WebAccess::load(args.listen.web.web_config_file.as_deref(), environment, &mut about_web);
    let mut unwise_choices = std::mem::take(&mut about_web.remarks);
    report.append(about_web);
    if web.users.is_empty() && !report.is_fatal() {
        match environment.missing_authentication() {
            Some(problem) => report.problems.push(problem),
            None => web.users = Users::local_default(),
        }
    }
    let inventory = match targets {
        TargetsFile::Read(inventory) => Some(inventory),
        TargetsFile::Absent | TargetsFile::Unusable => None,
    };
    match config {
        Some(config) if !report.is_fatal() => {
            unwise_choices.extend(config::watchdog_seen_too_rarely(&config, environment, &common.config_file));
            let settings = Settings { inventory, web, ..Settings::from(config) };
            Ok(Configured { settings, report, unwise_choices })
        }
        _ => Err(report.problems.into_iter().filter(|problem| problem.severity == Severity::Fatal).collect()),
    }
}

impl Configured {
    /// What an operator should change.
    pub(super) fn warnings(&self) -> impl Iterator<Item = String> {
        let left_out = self.report.problems.iter().map(|problem| format!("{problem}; serving without it"));
        left_out.chain(self.unwise_choices.iter().map(ToString::to_string))
    }
}

/// Says in the log what is configured and changes nothing.
pub(super) fn remark_what_is_unused(settings: &Settings) {
    if !settings.alertmanagers.is_empty() && settings.config.alerts.stale_after.is_some() {
        tracing::info!("stale_after_seconds is not used: what Alertmanager lists is known better");
    }
}

/// Tells that a configuration is served with from now on.
pub(super) fn configuration_taken(report: &Report, metrics: &Metrics, readiness: &Readiness) {
    metrics.configuration_taken(clock::now());
    readiness.configuration_is(match report.problems.as_slice() {
        [] => Condition::Good,
        [problem] => Condition::Bad(problem.to_string()),
        [first, more @ ..] => {
            Condition::Bad(format!("{first}; and {} more: run `alertmanager-cachet check`", more.len()))
        }
    });
}

/// Reloads, one after the other.
pub(super) struct Reloader {
    pub origin: Origin,
    pub page: Page,
    pub wakes: Wakes,
    pub in_force: watch::Sender<Arc<Settings>>,
    pub metrics: Metrics,
    pub readiness: Readiness,
}

impl Reloader {
    /// Serves requests until `stop`: reads everything again, and puts it into effect if it is good.
    pub async fn forever(self, mut requests: ReloadQueue, stop: CancellationToken) {
        let lines = |said: &[String]| said.iter().map(|line| format!("{line}\n")).collect();
        while let Some(Some(answer)) = stop.run_until_cancelled(requests.recv()).await {
            let outcome = match self.reload().await {
                Ok(said) => {
                    said.iter().for_each(|line| tracing::info!("{line}"));
                    Ok(lines(&said))
                }
                Err(problems) => {
                    self.metrics.configuration_refused();
                    self.readiness.configuration_is(Condition::Bad(format!(
                        "the configuration was changed and cannot be served with, so the one before stays in effect: \
                         {}; run `alertmanager-cachet check`, and reload again",
                        problems.first().map_or("", String::as_str)
                    )));
                    let refused = "the configuration was not reloaded, and the one before stays in effect".to_owned();
                    let said = [vec![refused], problems].concat();
                    said.iter().for_each(|line| tracing::error!("{line}"));
                    Err(lines(&said))
                }
            };
            // Whoever asked may have gone.
            let _ = answer.send(outcome);
        }
    }

    /// What is to be said of a reload that took effect.
    ///
    /// # Errors
    /// Every problem; nothing was changed.
    async fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        let told = |problems: Vec<Finding>| problems.iter().map(ToString::to_string).collect::<Vec<String>>();
        // The environment with what files and `.env` say now.
        let mut origin = self.origin.clone();
        if origin.variables.is_some() {
            let variables = Variables::load();
            let (environment, problems) = Environment::read(|name| variables.get(name));
            if !problems.is_empty() {
                return Err(told(problems));
            }
            (origin.environment, origin.variables) = (environment, Some(variables));
        }
        let now = origin.clone();
        let read = tokio::task::spawn_blocking(move || read(&origin.common, &origin.args, &origin.environment)).await;
        let read = read.map_err(|error| vec![format!("the files could not be read: {error}")])?;
        let mut new = read.map_err(told)?;
        new.settings.alertmanagers = self.in_force.borrow().alertmanagers.clone();
        remark_what_is_unused(&new.settings);
        let Settings { config, inventory, web, .. } = &new.settings;
        if self.page.built_in().is_some() {
            let set_up = set_up_built_in(self.page.port().as_ref(), config, inventory.as_ref()).await;
            set_up.map_err(|error| vec![format!("the built-in page could not be brought up to date: {error:#}")])?;
        }
        let targets = match inventory {
            Some(inventory) => counted(inventory.len(), "target"),
            None => "the targets that the page has".to_owned(),
        };
        let mut said =
            vec![format!("configuration reloaded: {}, {targets}", counted(config.page.groups.len(), "group"))];
        said.extend(new.warnings());
        said.extend(new.report.remarks.iter().map(ToString::to_string));
        // Whether TLS is spoken is decided at the start.
        let tls_before = self.in_force.borrow().web.tls.clone();
        let has_tls_changed = tls_before.is_some() != web.tls.is_some();
        let changed = self.waits_for_the_next_start(&now, has_tls_changed);
        let restart = |name: &&str| format!("{name} has changed: restart the server for it to take effect");
        said.extend(changed.iter().map(restart));
        new.settings.web.tls = tls_before.map(|before| new.settings.web.tls.take().unwrap_or(before));
        configuration_taken(&new.report, &self.metrics, &self.readiness);
        self.in_force.send_replace(Arc::new(new.settings));
        self.wakes.reconciler.wake();
        self.wakes.repairer.wake();
        Ok(said)
    }

    /// What has changed and is read at the start alone.
    fn waits_for_the_next_start(&self, now: &Origin, has_tls_changed: bool) -> Vec<&'static str> {
        let before = &self.origin;
        let mut changed = Vec::new();
        if let (Some(before), Some(now)) = (&before.variables, &now.variables) {
            changed.extend(READ_AT_THE_START.iter().filter(|name| before.get(name) != now.get(name)));
        }
        let secret = |access: &CachetAccess| (access.base_url.clone(), access.token.expose_secret().to_owned());
        if before.environment.cachet.as_ref().map(secret) != now.environment.cachet.as_ref().map(secret) {
            changed.push("CACHET_API_URL or CACHET_API_TOKEN");
        }
        if before.environment.alertmanager != now.environment.alertmanager {
            changed.push("the access to Alertmanager (ALERTMANAGER_…)");
        }
        if has_tls_changed {
            changed.push("whether TLS is spoken (tls_server_config)");
        }
        changed
    }
}
