//! `serve`: the server.
//!
//! `configured::read` checks what is configured, at the start and when it is to be read again (`reload`).
//! [`start`] puts the parts together, and [`Running`] is the server until it is told to stop; `demo` and the tests use
//! the same two.

mod configured;
mod reload;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::configured::Configured;
use self::reload::{Origin, Parts, Reloader};
use super::Page;
use crate::alertmanager::{self, Credentials};
use crate::cli::{Common, Serve};
use crate::clock::{self, Clock};
use crate::config::alertmanager::{AlertmanagerAccess, AlertmanagerCredentials};
use crate::config::environment::Environment;
use crate::config::{Config, Report, Variables};
use crate::console::{self, Console};
use crate::core::setup::{Removal, plan_setup};
use crate::core::status_page::StatusPage;
use crate::core::target::{Inventory, InventorySource};
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::reconcile::Reconciler;
use crate::repair::Repairer;
use crate::settings::{Settings, SettingsInForce, WebAccess};
use crate::setup;
use crate::store::{Store, StoreLock};
use crate::tls;
use crate::web::reload::ReloadRequests;
use crate::web::{self, App, Listener, Wakes};

/// How long a stop waits for requests and for the write under way. Container runtimes kill after ten seconds; the last of
/// them is for closing the store.
const GRACE: Duration = Duration::from_secs(9);

/// Serves until SIGTERM or SIGINT. SIGHUP has the configuration read again.
///
/// # Errors
/// When it cannot serve with what it was given; every reason at once, where there are several.
pub(crate) async fn run(
    common: &Common,
    args: &Serve,
    environment: &Environment,
    variables: &Variables,
) -> anyhow::Result<ExitCode> {
    let log = Log::stdout(common.log_format);
    let (stop, mut hangups) = (stop_signal()?, signal(SignalKind::hangup())?);
    let origin = Origin {
        common: common.clone(),
        args: args.clone(),
        environment: environment.clone(),
        variables: Some(variables.clone()),
    };
    let running = start_from(origin, log).await?;
    let reload_at_hangup = async {
        while hangups.recv().await.is_some() {
            running.reload.ask().await;
        }
    };
    tokio::select! {
        () = stop => {}
        () = running.ended() => {}
        () = reload_at_hangup => {}
    }
    tracing::info!("stopping: requests and the write under way are finished first");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// A server at work.
pub(crate) struct Running {
    address: SocketAddr,
    settings: SettingsInForce,
    reload: ReloadRequests,
    stop: CancellationToken,
    web: JoinHandle<std::io::Result<()>>,
    metrics: Option<JoinHandle<std::io::Result<()>>>,
    reconciler: JoinHandle<()>,
    repairer: JoinHandle<()>,
    store: Store,
    _lock: StoreLock,
}

/// Starts a server: everything is checked, claimed and bound when this returns. The environment stays as it is given.
///
/// # Errors
/// See [`run`].
pub(crate) async fn start(
    common: &Common,
    args: &Serve,
    environment: &Environment,
    log: Log,
) -> anyhow::Result<Running> {
    let (common, args, environment) = (common.clone(), args.clone(), environment.clone());
    start_from(Origin { common, args, environment, variables: None }, log).await
}

async fn start_from(origin: Origin, log: Log) -> anyhow::Result<Running> {
    let Origin { common, args, environment, .. } = &origin;
    let configured = configured::read(common, args, environment).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the configuration cannot be served with:\n  {}", problems.join("\n  "))
    })?;
    configured.log(environment.mode);
    let watchers = Watchers { metrics: Metrics::new()?, readiness: Readiness::default() };
    watchers.configuration_taken(&configured.report);
    let Configured { config, inventory, web, .. } = configured;
    let lock = Store::lock(&common.storage_url)?;
    let store = Store::open(&common.storage_url).await?.observed_by(Arc::new(watchers.metrics.clone()));
    let page = open_page(environment, &store, &config, inventory.as_ref(), &watchers.metrics).await?;
    let stop = CancellationToken::new();

    let started_with = config.clone();
    let settings = settings_of(environment, config, inventory, web)?;
    let (in_force, settings) = watch::channel(Arc::new(settings));
    let (reconciler, repairer) = keepers(&store, &page, &log, &stop, &settings);
    let live = Live::default();
    let reconciler = reconciler.watched_by(watchers.metrics.clone(), watchers.readiness.clone()).shown_by(live.clone());
    let repairer = repairer.measured_by(watchers.metrics.clone()).shown_by(live.clone());
    let wakes = Wakes { reconciler: reconciler.wake(), repairer: repairer.wake() };

    let app = App::new(web_settings(args, settings.clone()), store.clone(), wakes.clone(), log.clone())?
        .watched_by(watchers.metrics.clone(), watchers.readiness.clone())
        .shown_by(live.clone());
    let console = Console::new(console::Parts {
        store: store.clone(),
        page: environment.cachet.is_none().then(|| store.page()),
        authenticator: app.authenticator().clone(),
        settings: settings.clone(),
        live,
        wake: wakes.reconciler.clone(),
        log,
        metrics: watchers.metrics.clone(),
        clock: Clock::system(),
        stop: stop.clone(),
    })?;
    let (reload, reload_queue) = web::reload::channel();
    let router = router(&app, &console, &page, &reload, args);
    let metrics_router = web::with_headers(web::metrics_router(app.clone()), app.clone());
    let metrics_listener = metrics_listener(args, &settings).await?;
    let (listener, address) = listen(args.listen.listen_address, "--web.listen-address", &settings).await?;
    tracing::info!("listening on {}://{address}", scheme(&settings));

    let parts = Parts { page, wakes, in_force, watchers };
    let reloader = Reloader { origin, parts, started_with };
    part(&stop, reloader.forever(reload_queue, stop.clone()));
    if settings.borrow().web.tls.is_some() {
        let configured = settings.clone();
        part(&stop, tls::keep_fresh(move || configured.borrow().web.tls.clone(), stop.clone()));
    }
    let web = part(&stop, web::serve(listener, router, stop.clone().cancelled_owned(), GRACE));
    let metrics = metrics_listener
        .map(|listener| part(&stop, web::serve(listener, metrics_router, stop.clone().cancelled_owned(), GRACE)));
    let (reconciler, repairer) = (part(&stop, reconciler.forever()), part(&stop, repairer.forever()));
    Ok(Running { address, settings, reload, stop, web, metrics, reconciler, repairer, store, _lock: lock })
}

/// Who keeps the page, and who keeps the alerts.
fn keepers(
    store: &Store,
    page: &Page,
    log: &Log,
    stop: &CancellationToken,
    settings: &SettingsInForce,
) -> (Reconciler, Repairer) {
    let clock = Clock::system();
    let reconciler =
        Reconciler::new(store.clone(), page.port(), settings.clone(), clock.clone(), log.clone(), stop.clone());
    let repairer = Repairer::new(store.clone(), settings.clone(), clock, reconciler.wake(), stop.clone());
    (reconciler, repairer)
}

/// Who is told how the server does.
struct Watchers {
    metrics: Metrics,
    readiness: Readiness,
}

impl Watchers {
    /// A configuration is served with from now on.
    fn configuration_taken(&self, report: &Report) {
        self.metrics.configuration_taken(clock::now());
        self.readiness.configuration_is(condition(report));
    }

    /// One could not be served with, of which `first` is a reason; the one before stays.
    fn configuration_refused(&self, first: &str) {
        self.metrics.configuration_refused();
        let problem = format!(
            "the configuration was changed and cannot be served with, so the one before stays in effect: {first}; run \
             `alertmanager-cachet check`, and reload again"
        );
        self.readiness.configuration_is(Condition::Bad(problem));
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

fn scheme(settings: &SettingsInForce) -> &'static str {
    if settings.borrow().web.tls.is_some() { "https" } else { "http" }
}

/// Where metrics are told and nothing else, by the same users and TLS; `None`: at the listen address.
async fn metrics_listener(args: &Serve, settings: &SettingsInForce) -> anyhow::Result<Option<Listener>> {
    let Some(address) = args.metrics_address else { return Ok(None) };
    let (listener, address) = listen(address, "--web.metrics-address", settings).await?;
    tracing::info!("telling metrics on {}://{address}/metrics", scheme(settings));
    Ok(Some(listener))
}

async fn listen(address: SocketAddr, flag: &str, settings: &SettingsInForce) -> anyhow::Result<(Listener, SocketAddr)> {
    let tcp = bind(address, flag).await?;
    let address = tcp.local_addr()?;
    Ok((Listener::with_settings(tcp, settings.clone()), address))
}

fn web_settings(args: &Serve, in_force: SettingsInForce) -> web::Settings {
    web::Settings {
        trusted_proxies: args.trusted_proxies.clone(),
        logged_body_limit_bytes: args.webhook_body_limit,
        in_force,
    }
}

/// The page that is driven; our own is given what both files name.
async fn open_page(
    environment: &Environment,
    store: &Store,
    config: &Config,
    inventory: Option<&Inventory>,
    metrics: &Metrics,
) -> anyhow::Result<Page> {
    let page = Page::new(environment, store, config.page.cachet_per_page, metrics)?;
    match &environment.cachet {
        Some(access) => tracing::info!("driving the Cachet at {}", access.base_url),
        None => {
            tracing::info!("CACHET_API_URL is not set: driving the built-in page, which is served here");
            set_up_built_in(page.port().as_ref(), config, inventory).await?;
        }
    }
    if let Some(access) = &environment.alertmanager {
        tracing::info!("reading Alertmanager at {}", access.base_urls.join(", "));
    }
    Ok(page)
}

fn router(app: &App, console: &Console, page: &Page, reload: &ReloadRequests, args: &Serve) -> Router {
    let mut router =
        web::router(app.clone()).merge(web::reload::router(app.clone(), reload.clone())).merge(console.router());
    if let Some(built_in) = page.built_in() {
        router = router.merge(built_in.router());
    }
    if args.metrics_address.is_none() {
        router = router.merge(web::metrics_router(app.clone()));
    }
    web::with_headers(router, app.clone())
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
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it keeps the page.
    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.borrow().clone()
    }

    /// What it keeps.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until a part of it has ended without being told to.
    pub(crate) async fn ended(&self) {
        self.stop.cancelled().await;
    }

    /// Stops accepting, finishes requests and the write under way within ten seconds, and closes the store.
    ///
    /// # Errors
    /// When a part of it had ended before.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
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
        let repaired = self.repairer.await;
        self.store.close().await;
        repaired.context("the repairer ended early: start the server again, and report what it said")?;
        if let Ok(reconciled) = written {
            reconciled.context("the reconciler ended early: start the server again, and report what it said")?;
        }
        served.context("the web server ended early")?.context("the listener failed")?;
        measured.context("the web server of the metrics ended early")?.context("the listener of the metrics failed")
    }
}

/// What is configured and may change.
///
/// # Errors
/// When Alertmanager cannot be called as it is configured.
fn settings_of(
    environment: &Environment,
    config: Config,
    inventory: Option<Inventory>,
    web: WebAccess,
) -> anyhow::Result<Settings> {
    let alertmanagers = match &environment.alertmanager {
        Some(access) => alertmanager_settings(access).members()?,
        None => Vec::new(),
    };
    if !alertmanagers.is_empty() && config.alerts.stale_after.is_some() {
        tracing::info!("stale_after_seconds is not used: what Alertmanager lists is known better");
    }
    Ok(Settings { config, inventory, alertmanagers, web })
}

fn alertmanager_settings(access: &AlertmanagerAccess) -> alertmanager::Settings {
    let credentials = match access.credentials.clone() {
        AlertmanagerCredentials::None => Credentials::None,
        AlertmanagerCredentials::Basic { user, password } => Credentials::Basic { user, password },
        AlertmanagerCredentials::Bearer(token) => Credentials::Bearer(token),
    };
    alertmanager::Settings { urls: access.base_urls.clone(), credentials, ca_pem: access.ca_pem.clone() }
}

/// Gives the built-in page what both files name. Nothing is removed from it, and what an operator has hidden stays hidden.
///
/// # Errors
/// When the page cannot be used.
pub(super) async fn set_up_built_in(
    page: &dyn StatusPage,
    config: &Config,
    inventory: Option<&Inventory>,
) -> anyhow::Result<()> {
    let observed = page.observe(&[]).await?;
    let none = Inventory::new(InventorySource::File, []);
    let mut plan = plan_setup(&config.page.groups, inventory.unwrap_or(&none), &observed, Removal::Nothing);
    plan.leave_groups_hidden();
    setup::carry_out(page, &plan, &observed, &()).await?;
    let counts = plan.counts();
    if !plan.steps.is_empty() {
        tracing::info!("the built-in page was brought up to date with both files: {counts}");
    }
    Ok(())
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
pub(crate) fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
