//! Reads the configuration again while the server runs, for `POST /-/reload` and SIGHUP.
//!
//! It is checked as at the start; what is not good changes nothing. What is good takes effect between two rounds of the
//! reconciler and the repairer, which lose nothing by it: alerts are in the store, and the page is computed from them.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::configured::{self, Configured};
use super::{Watchers, set_up_built_in, settings_of};
use crate::cli::{Common, Serve};
use crate::commands::Page;
use crate::config::environment::{CachetAccess, Environment};
use crate::config::{Problem, Report, Variables, counted};
use crate::settings::Settings;
use crate::web::Wakes;
use crate::web::reload::{Outcome, ReloadQueue};

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
pub(super) struct Origin {
    pub common: Common,
    pub args: Serve,
    pub environment: Environment,
    /// What the environment was read from, to be read again; `None`: it stays.
    pub variables: Option<Variables>,
}

/// Who has to know of a new configuration.
pub(super) struct Parts {
    pub page: Page,
    pub wakes: Wakes,
    pub in_force: watch::Sender<Arc<Settings>>,
    pub watchers: Watchers,
}

/// Reloads, one after the other.
pub(super) struct Reloader {
    pub origin: Origin,
    pub parts: Parts,
}

impl Reloader {
    /// Serves requests until `stop`.
    pub async fn forever(self, mut requests: ReloadQueue, stop: CancellationToken) {
        while let Some(Some(answer)) = stop.run_until_cancelled(requests.recv()).await {
            // Whoever asked may have gone.
            let _ = answer.send(self.once().await);
        }
    }

    /// Reads everything again, and puts it into effect if it is good.
    pub async fn once(&self) -> Outcome {
        match self.reload().await {
            Ok(said) => {
                said.iter().for_each(|line| tracing::info!("{line}"));
                Ok(lines(&said))
            }
            Err(problems) => {
                self.parts.watchers.configuration_refused(problems.first().map_or("", String::as_str));
                let mut said =
                    vec!["the configuration was not reloaded, and the one before stays in effect".to_owned()];
                said.extend(problems);
                said.iter().for_each(|line| tracing::error!("{line}"));
                Err(lines(&said))
            }
        }
    }

    async fn reload(&self) -> Result<Vec<String>, Vec<String>> {
        let (environment, variables) = self.environment().map_err(|problems| told(&problems))?;
        let (common, args) = (self.origin.common.clone(), self.origin.args.clone());
        let read = {
            let environment = environment.clone();
            tokio::task::spawn_blocking(move || configured::read(&common, &args, &environment)).await
        };
        let new = match read {
            Ok(Ok(new)) => new,
            Ok(Err(problems)) => return Err(told(&problems)),
            Err(error) => return Err(vec![format!("the files could not be read: {error}")]),
        };
        let (config, inventory, web) = (new.config.clone(), new.inventory.clone(), new.web.clone());
        let settings = settings_of(&self.origin.environment, config, inventory, web);
        let settings = settings.map_err(|error| vec![format!("{error:#}")])?;
        if self.parts.page.built_in().is_some() {
            let set_up = set_up_built_in(self.parts.page.port().as_ref(), &new.config, new.inventory.as_ref()).await;
            set_up.map_err(|error| vec![format!("the built-in page could not be brought up to date: {error:#}")])?;
        }
        let mut said = vec![found(&new)];
        said.extend(new.warnings());
        said.extend(new.report.remarks.iter().map(ToString::to_string));
        said.extend(self.waits_for_the_next_start(&environment, variables.as_ref(), &new));
        self.take_effect(&new.report, settings);
        Ok(said)
    }

    /// The environment with what files and `.env` say now.
    fn environment(&self) -> Result<(Environment, Option<Variables>), Vec<Problem>> {
        if self.origin.variables.is_none() {
            return Ok((self.origin.environment.clone(), None));
        }
        let variables = Variables::load();
        let environment = Environment::from_vars(|name| variables.get(name))?;
        Ok((environment, Some(variables)))
    }

    fn take_effect(&self, report: &Report, mut settings: Settings) {
        let parts = &self.parts;
        // Whether TLS is spoken is decided at the start.
        let before = parts.in_force.borrow().web.tls.clone();
        settings.web.tls = before.map(|before| settings.web.tls.take().unwrap_or(before));
        parts.watchers.configuration_taken(report);
        parts.in_force.send_replace(Arc::new(settings));
        parts.wakes.reconciler.wake();
        parts.wakes.repairer.wake();
    }

    /// What has changed and is read at the start alone.
    fn waits_for_the_next_start(
        &self,
        environment: &Environment,
        variables: Option<&Variables>,
        new: &Configured,
    ) -> Vec<String> {
        let mut changed: Vec<&str> = Vec::new();
        if let (Some(before), Some(now)) = (&self.origin.variables, variables) {
            changed.extend(READ_AT_THE_START.iter().filter(|name| before.get(name) != now.get(name)));
        }
        let before = &self.origin.environment;
        if fingerprint(before.cachet.as_ref()) != fingerprint(environment.cachet.as_ref()) {
            changed.push("CACHET_API_URL or CACHET_API_TOKEN");
        }
        if before.alertmanager != environment.alertmanager {
            changed.push("the access to Alertmanager (ALERTMANAGER_…)");
        }
        if self.parts.in_force.borrow().web.tls.is_some() != new.web.tls.is_some() {
            changed.push("whether TLS is spoken (tls_server_config)");
        }
        changed.iter().map(|name| format!("{name} has changed: restart the server for it to take effect")).collect()
    }
}

fn fingerprint(access: Option<&CachetAccess>) -> Option<(&str, &str)> {
    access.map(|access| (access.base_url.as_str(), access.token.expose_secret()))
}

fn found(new: &Configured) -> String {
    let groups = counted(new.config.page.groups.len(), "group");
    match &new.inventory {
        Some(inventory) => format!("configuration reloaded: {groups}, {}", counted(inventory.len(), "target")),
        None => format!("configuration reloaded: {groups}, the targets that the page has"),
    }
}

fn told(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

fn lines(said: &[String]) -> String {
    said.iter().map(|line| format!("{line}\n")).collect()
}
