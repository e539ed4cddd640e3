//! `serve`: the server.
//!
//! [`start`] puts the parts together, and [`Running`] is the server until it is told to stop; `demo` and the tests use
//! the same two.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use secrecy::ExposeSecret as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Page, reconcile_settings};
use crate::alertmanager::{self, Credentials};
use crate::cli::{Common, Serve};
use crate::clock::{self, Clock};
use crate::config::alertmanager::{AlertmanagerAccess, AlertmanagerCredentials};
use crate::config::environment::{Environment, Mode};
use crate::config::{self, Config, Files, Report, Severity, TargetsFile};
use crate::console::{self, Console};
use crate::core::setup::{Removal, Step, plan_setup};
use crate::core::target::{Inventory, InventorySource};
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::reconcile::{Reconciler, Settings};
use crate::repair::{self, Repairer, Source};
use crate::setup::{self, Progress};
use crate::store::{Store, StoreLock};
use crate::web::auth::Users;
use crate::web::{self, App, Wakes};

/// How long a stop waits for requests and for the write under way. Container runtimes kill after ten seconds; the last of
/// them is for closing the store.
const GRACE: Duration = Duration::from_secs(9);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot serve with what it was given; every reason at once, where there are several.
pub async fn run(common: &Common, args: &Serve, environment: &Environment) -> anyhow::Result<ExitCode> {
    let log = Log::stdout(common.log_format);
    let stop = stop_signal()?;
    let running = start(common, args, environment, log).await?;
    tokio::select! {
        () = stop => {}
        () = running.ended() => {}
    }
    tracing::info!("stopping: requests and the write under way are finished first");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// A server at work.
pub struct Running {
    address: SocketAddr,
    settings: Settings,
    stop: CancellationToken,
    web: JoinHandle<std::io::Result<()>>,
    metrics: Option<JoinHandle<std::io::Result<()>>>,
    reconciler: JoinHandle<()>,
    repairer: Option<JoinHandle<()>>,
    store: Store,
    _lock: StoreLock,
}

/// Starts a server: everything is checked, claimed and bound when this returns.
///
/// # Errors
/// See [`run`].
pub async fn start(common: &Common, args: &Serve, environment: &Environment, log: Log) -> anyhow::Result<Running> {
    let users = users(environment)?;
    let (metrics, readiness) = (Metrics::new()?, Readiness::default());
    let (config, inventory) = files(common, &readiness)?;
    metrics.configuration_taken(clock::now());
    let lock = Store::lock(&common.storage_url)?;
    let store = Store::open(&common.storage_url).await?.measured_by(metrics.clone());
    let mut page = Page::open(environment, &store, config.cachet_per_page).await?;
    page.cachet = page.cachet.measured_by(metrics.clone());
    match &environment.cachet {
        Some(access) => tracing::info!("driving the Cachet at {}", access.base_url),
        None => {
            tracing::info!("CACHET_API_URL is not set: driving the embedded page, which is served here");
            set_up_embedded(&page, &config, inventory.as_ref()).await?;
        }
    }
    let (stop, live) = (CancellationToken::new(), Live::default());
    let settings = reconcile_settings(&config, inventory);
    let reconciler = Reconciler::new(
        store.clone(),
        page.cachet.clone(),
        settings.clone(),
        Clock::system(),
        log.clone(),
        stop.clone(),
    )
    .watched_by(metrics.clone(), readiness.clone())
    .shown_by(live.clone());
    let web_settings = web::Settings {
        users,
        trusted_proxies: args.trusted_proxies.clone(),
        logged_body_limit_bytes: args.webhook_body_limit,
        watchdog: settings.watchdog.clone(),
    };
    let repairer = repair_settings(environment, &config)?
        .map(|settings| Repairer::new(store.clone(), settings, Clock::system(), reconciler.wake(), stop.clone()))
        .map(|repairer| repairer.measured_by(metrics.clone()).shown_by(live.clone()));
    // Without one, nobody listens.
    let wakes =
        Wakes { reconciler: reconciler.wake(), repairer: repairer.as_ref().map(Repairer::wake).unwrap_or_default() };
    let app = App::new(web_settings, store.clone(), wakes, log.clone())?
        .watched_by(metrics.clone(), readiness)
        .shown_by(live.clone());
    let console = Console::new(console::Parts {
        store: store.clone(),
        authenticator: app.authenticator().clone(),
        settings: watch::channel(settings.clone()).1,
        live,
        wake: reconciler.wake(),
        log,
        metrics: metrics.clone(),
        clock: Clock::system(),
        stop: stop.clone(),
    })?;
    let mut router = web::router(app).merge(console.router());
    if let Some(embedded) = &page.embedded {
        router = router.merge(embedded.router());
    }
    let metrics_router = web::metrics_router(metrics);
    let metrics_listener = metrics_listener(args).await?;
    if metrics_listener.is_none() {
        router = router.merge(metrics_router.clone());
    }
    let listener = bind(args.listen.listen_address, "--web.listen-address").await?;
    let address = listener.local_addr()?;
    tracing::info!("listening on http://{address}");
    let web = part(&stop, web::serve(listener, router, stop.clone().cancelled_owned(), GRACE));
    let metrics = metrics_listener
        .map(|listener| part(&stop, web::serve(listener, metrics_router, stop.clone().cancelled_owned(), GRACE)));
    let reconciler = part(&stop, reconciler.forever());
    let repairer = repairer.map(|repairer| part(&stop, repairer.forever()));
    Ok(Running { address, settings, stop, web, metrics, reconciler, repairer, store, _lock: lock })
}

/// Runs a part of the server. Half a server would take alerts and show nothing, or the other way round: if one part
/// ends, so do the others.
fn part<T: Send + 'static>(stop: &CancellationToken, part: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let part_ends = stop.clone().drop_guard();
    tokio::spawn(async move {
        let _part_ends = part_ends;
        part.await
    })
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it keeps the page.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What it keeps.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until a part of it has ended without being told to.
    pub async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Stops accepting, finishes requests and the write under way within ten seconds, and closes the store.
    ///
    /// # Errors
    /// When a part of it had ended before.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        let write_under_way = self.reconciler.abort_handle();
        let (served, written) = tokio::join!(self.web, tokio::time::timeout(GRACE, self.reconciler));
        if written.is_err() {
            tracing::warn!("Cachet did not answer the write under way in time: it is looked up at the next start");
            write_under_way.abort();
        }
        let measured = match self.metrics {
            Some(metrics) => metrics.await,
            None => Ok(Ok(())),
        };
        // It ends where it is.
        let repaired = match self.repairer {
            Some(repairer) => repairer.await,
            None => Ok(()),
        };
        self.store.close().await;
        repaired.context("the repairer ended early: start the server again, and report what it said")?;
        if let Ok(reconciled) = written {
            reconciled.context("the reconciler ended early: start the server again, and report what it said")?;
        }
        served.context("the web server ended early")?.context("the listener failed")?;
        measured.context("the web server of the metrics ended early")?.context("the listener of the metrics failed")
    }
}

/// Who may post; refuses to serve without authentication, except on a developer's machine.
fn users(environment: &Environment) -> anyhow::Result<Users> {
    let Some(secret) = &environment.webhook_basic_auth else {
        if environment.mode == Mode::Local {
            tracing::warn!("ENVIRONMENT=local without WEBHOOK_BASIC_AUTH: the webhook takes admin:admin");
            return Ok(Users::local_default());
        }
        bail!(
            "WEBHOOK_BASIC_AUTH is not set, so anybody could post alerts: set it to what \
             `alertmanager-cachet hash-password USER` prints (ENVIRONMENT=local takes admin:admin instead)"
        );
    };
    match Users::parse(secret.expose_secret()) {
        Ok(parsed) => {
            parsed.warnings.iter().for_each(|warning| tracing::warn!("WEBHOOK_BASIC_AUTH: {warning}"));
            Ok(parsed.users)
        }
        Err(problems) => bail!("WEBHOOK_BASIC_AUTH cannot be used:\n  {}", problems.join("\n  ")),
    }
}

/// Both files, as far as they can be served with, and how they are for `readiness`. What concerns single targets is a
/// warning, so that a start at night does not fail for a typo; without a targets file the inventory is what Cachet has.
fn files(common: &Common, readiness: &Readiness) -> anyhow::Result<(Config, Option<Inventory>)> {
    let Files { config, targets, report } = config::load(&common.config_file, &common.targets_file);
    warn_of(&report);
    readiness.configuration_is(condition(&report));
    let inventory = match targets {
        TargetsFile::Read(inventory) => Some(inventory),
        TargetsFile::Absent | TargetsFile::Unusable => None,
    };
    match config {
        Some(config) if !report.is_fatal() => Ok((config, inventory)),
        _ => {
            let fatal = report.problems.iter().filter(|problem| problem.severity == Severity::Fatal);
            let fatal: Vec<String> = fatal.map(ToString::to_string).collect();
            bail!("the configuration cannot be served with:\n  {}", fatal.join("\n  "))
        }
    }
}

/// How a configuration is that is served with.
fn condition(report: &Report) -> Condition {
    match report.problems.as_slice() {
        [] => Condition::Good,
        [problem] => Condition::Bad(problem.to_string()),
        [first, more @ ..] => {
            Condition::Bad(format!("{first}; and {} more: run `alertmanager-cachet check`", more.len()))
        }
    }
}

/// How stored alerts are repaired; `None`: they are not.
fn repair_settings(environment: &Environment, config: &Config) -> anyhow::Result<Option<repair::Settings>> {
    let source = match (&environment.alertmanager, config.stale_after) {
        (Some(access), stale_after) => {
            tracing::info!("reading Alertmanager at {}", access.base_urls.join(", "));
            if stale_after.is_some() {
                tracing::info!("stale_after_seconds is not used: what Alertmanager lists is known better");
            }
            Source::Alertmanager {
                members: alertmanager_settings(access, config).members()?,
                settle: config.alertmanager_settle,
                refire_hold: config.refire_hold,
            }
        }
        (None, Some(stale_after)) => Source::Silence(stale_after),
        (None, None) => return Ok(None),
    };
    Ok(Some(repair::Settings { source, interval: config.alertmanager_poll }))
}

fn alertmanager_settings(access: &AlertmanagerAccess, config: &Config) -> alertmanager::Settings {
    let credentials = match access.credentials.clone() {
        AlertmanagerCredentials::None => Credentials::None,
        AlertmanagerCredentials::Basic { user, password } => Credentials::Basic { user, password },
        AlertmanagerCredentials::Bearer(token) => Credentials::Bearer(token),
    };
    let watchdog = config.watchdog.as_ref().map(|watchdog| watchdog.watchdog.clone());
    alertmanager::Settings { urls: access.base_urls.clone(), credentials, watchdog, ca_pem: access.ca_pem.clone() }
}

fn warn_of(report: &Report) {
    for problem in report.problems.iter().filter(|problem| problem.severity == Severity::Degraded) {
        tracing::warn!("{problem}; serving without it");
    }
    report.remarks.iter().for_each(|remark| tracing::info!("{remark}"));
}

/// Gives the embedded page what both files name. Nothing is removed from it.
async fn set_up_embedded(page: &Page, config: &Config, inventory: Option<&Inventory>) -> anyhow::Result<()> {
    let observed = page.cachet.observe().await?;
    let none = Inventory::new(InventorySource::File, []);
    let plan = plan_setup(&config.groups, inventory.unwrap_or(&none), &observed, Removal::Nothing);
    setup::carry_out(&page.cachet, &plan, &observed, &Silent).await?;
    let counts = plan.counts();
    if !plan.steps.is_empty() {
        tracing::info!("the embedded page was brought up to date with both files: {counts}");
    }
    Ok(())
}

struct Silent;

impl Progress for Silent {
    fn done(&self, step: &Step) {
        tracing::debug!("{step}");
    }

    fn waiting(&self, _seconds: u64) {}
}

/// Where metrics are told and nothing else; `None`: at the listen address.
async fn metrics_listener(args: &Serve) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = args.metrics_address else { return Ok(None) };
    let listener = bind(address, "--web.metrics-address").await?;
    tracing::info!("telling metrics on http://{}/metrics", listener.local_addr()?);
    Ok(Some(listener))
}

async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: free the port, or choose another with {flag}"))
}

/// Ends at SIGTERM or SIGINT. They are listened for from this call on, not only once this is awaited: one that comes
/// while the server starts is kept until then, and does not kill it.
///
/// # Errors
/// When the signals cannot be listened for.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
