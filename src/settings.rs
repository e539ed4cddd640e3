//! What the parts of a running server are configured with, passed whole through one watch channel.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;
use tokio::sync::watch;

use crate::alertmanager::Member;
use crate::config::{Environment, Place, Report, Severity, Users, WEBHOOK_BASIC_AUTH, WebConfig, read_web_config};
use crate::core::config::Config;
use crate::core::expiry::{ResolveRule, WatchdogSource};
use crate::core::observed::Observed;
use crate::core::page::inventory_of;
use crate::core::plan::Policy;
use crate::core::target::{Inventory, InventorySource};
use crate::tls::{Tls, TlsError};

/// Where the parts of the server find the settings that are in force.
pub type SettingsInForce = watch::Receiver<Arc<Settings>>;

/// What is configured and may change while the server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `config.json`.
    pub config: Config,
    /// The targets of the targets file; without one, the page's disabled components are the inventory.
    pub inventory: Option<Inventory>,
    /// Every Alertmanager that posts notifications here and whose list is read (`ALERTMANAGER_URL`).
    pub alertmanagers: Vec<Member>,
    /// How the web server treats those who ask it.
    pub web: WebAccess,
}

/// How the web server treats those who ask it: `WEBHOOK_BASIC_AUTH`, and `--web.config.file` with the files that it names.
#[derive(Debug, Clone, Default)]
pub struct WebAccess {
    /// Who is let in; nobody if the environment and the file name no one.
    pub users: Users,
    /// How TLS is spoken; `None`: it is not.
    pub tls: Option<Tls>,
    /// What answers carry that do not say otherwise themselves.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// With the inventory of the page, without an Alertmanager that is read, and without users.
impl From<Config> for Settings {
    fn from(config: Config) -> Self {
        Self { config, inventory: None, alertmanagers: Vec::new(), web: WebAccess::default() }
    }
}

impl Settings {
    /// The targets that there are: those of the targets file, or those of the page.
    pub(crate) fn inventory(&self, observed: &Observed) -> Cow<'_, Inventory> {
        self.inventory.as_ref().map_or_else(|| Cow::Owned(inventory_of(observed)), Cow::Borrowed)
    }

    /// The settings that a plan depends on, for a page that accepts every status.
    pub(crate) fn policy(&self) -> Policy {
        let incidents = &self.config.incidents;
        Policy {
            close_incident_when: incidents.close_when,
            drift: self.config.page.drift,
            recovery_hold: incidents.recovery_hold,
            reopen_within: incidents.reopen_within,
            takes_unknown: true,
            inventory: self.inventory.as_ref().map_or(InventorySource::Cachet, Inventory::source),
        }
    }

    /// How resolves are judged. `None` without a watchdog: every resolve counts.
    pub(crate) fn resolve_rule(&self) -> Option<ResolveRule> {
        let source = if self.alertmanagers.is_empty() { WatchdogSource::Notifications } else { WatchdogSource::List };
        let watchdog = self.config.watchdog()?.clone();
        Some(ResolveRule { watchdog, source, refire_delay: self.config.alerts.refire_delay })
    }
}

impl WebAccess {
    /// Reads who may post from the environment, and the rest from `file` and what it names. Everything that is wrong is in
    /// the report; what is returned can be used if nothing there is fatal.
    pub fn load(file: Option<&Path>, environment: &Environment, report: &mut Report) -> Self {
        let mut users = Users::default();
        let place = Place::variable(WEBHOOK_BASIC_AUTH);
        match environment.webhook_basic_auth.as_ref().map(|text| Users::parse(text.expose_secret())) {
            None => {}
            Some(Ok((posters, warnings))) => {
                warnings.into_iter().for_each(|warning| report.add(Severity::Remark, place.clone(), warning));
                users = posters;
            }
            Some(Err(problems)) => {
                problems.into_iter().for_each(|problem| report.add(Severity::Fatal, place.clone(), problem))
            }
        }
        let web = file.and_then(|file| Some((file, read_web_config(file, &mut users, report)?)));
        let Some((file, WebConfig { tls, headers })) = web else { return Self { users, ..Self::default() } };
        let place = Place::file(file).key("tls_server_config");
        let tls = tls.and_then(|config| match Tls::open(config) {
            Ok(tls) => Some(tls),
            Err(errors) => {
                for TlsError { key, file, fault } in errors {
                    report.add(Severity::Fatal, place.key(key), format!("names the file {file:?}, which {fault}"));
                }
                None
            }
        });
        Self { users, tls, headers }
    }
}
