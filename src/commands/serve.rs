//! `serve`: the server.
//!
//! [`start`] puts the parts together, and [`Running`] is the server until it is told to stop; `demo` uses the same two.
//!
//! What is configured and may change while the server runs is checked as a whole, at the start and when it is to be read
//! again (`POST /-/reload`, SIGHUP). What is not good changes nothing. What is good takes effect between two runs of the
//! reconciler and of the alert sync, which lose nothing by it: alerts are in the store, and the page is computed from them.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::setup::{Progress, carry_out};
use crate::alertmanager;
use crate::builtin::BuiltinPage;
use crate::cli::{Common, Serve};
use crate::clock::{self, Clock};
use crate::config::{
    self, Config, Environment, Files, Finding, Report, Severity, TargetsFile, Users, Variables, counted,
};
use crate::console::{self, Console};
use crate::core::setup::{Removal, plan_setup};
use crate::core::status_page::StatusPage;
use crate::core::target::{Inventory, InventorySource};
use crate::live::Live;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::reconcile::Reconciler;
use crate::repair::Repairer;
use crate::settings::{Settings, SettingsInForce, WebAccess};
use crate::store::{Store, StoreLock};
use crate::tls;
use crate::upkeep::Upkeep;
use crate::web::places::Limits;
use crate::web::{self, App, ReloadRequest, Wakes};

/// How long a stop waits for requests and for the write under way. Container runtimes kill after ten seconds; the last of
/// them is for closing the store.
const GRACE: Duration = Duration::from_secs(9);

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

/// Serves until SIGTERM or SIGINT. SIGHUP has the configuration read again.
///
/// # Errors
/// When it cannot serve with what it was given; every reason at once, where there are several.
pub(crate) async fn run(origin: Origin) -> anyhow::Result<ExitCode> {
    let log = Log::stdout(origin.common.log_format);
    let (stop, mut hangups) = (stop_signal()?, signal(SignalKind::hangup())?);
    let running = start(origin, log).await?;
    let reload_at_hangup = async {
        while hangups.recv().await.is_some() {
            web::ask_for_reload(&running.reload).await;
        }
    };
    tokio::select! {
        () = stop => {}
        // A part of it has ended without being told to.
        () = running.stop.cancelled() => {}
        () = reload_at_hangup => {}
    }
    tracing::info!("stopping: requests and the write under way are finished first");
    running.stop().await?;
    Ok(ExitCode::SUCCESS)
}

/// A server at work.
pub(crate) struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it keeps the page.
    pub settings: SettingsInForce,
    /// What it keeps.
    pub store: Store,
    reload: mpsc::Sender<ReloadRequest>,
    stop: CancellationToken,
    web: JoinHandle<std::io::Result<()>>,
    metrics: Option<JoinHandle<std::io::Result<()>>>,
    reconciler: JoinHandle<()>,
    repairer: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    _lock: StoreLock,
}

/// Starts a server: everything is checked, claimed and bound when this returns.
///
/// # Errors
/// See [`run`].
pub(crate) async fn start(origin: Origin, log: Log) -> anyhow::Result<Running> {
    let Origin { common, args, environment, .. } = &origin;
    let (mut settings, report, warnings) = read(&origin).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the configuration cannot be served with:\n  {}", problems.join("\n  "))
    })?;
    warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    report.remarks.iter().for_each(|remark| tracing::info!("{remark}"));
    if environment.is_local && settings.web.users == Users::local_default() {
        tracing::warn!("ENVIRONMENT=local without WEBHOOK_BASIC_AUTH: the webhook takes admin:admin");
    }
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    configuration_taken(&report, &metrics, &readiness);
    let lock = Store::lock(&common.storage_url)?;
    let store = Store::open(&common.storage_url).await?.observed_by(Arc::new(metrics.clone()));
    if let Some(access) = &environment.alertmanager {
        let urls: Vec<&str> = access.base_urls.iter().map(|url| url.as_str().trim_end_matches('/')).collect();
        tracing::info!("reading Alertmanager at {}", urls.join(", "));
        settings.alertmanagers = alertmanager::members(access)?;
    }
    remark_what_is_unused(&settings);

    let (clock, stop, live) = (Clock::system(), CancellationToken::new(), Live::default());
    let has_tls = settings.web.tls.is_some();
    let (in_force, settings) = watch::channel(Arc::new(settings));
    let of_page = settings.clone();
    let (page, _) = super::page(environment, &store, move || of_page.borrow().config.page.cachet_per_page, &metrics)?;
    match &environment.cachet {
        Some(access) => tracing::info!("driving the Cachet at {}", access.base_url),
        None => {
            tracing::info!("CACHET_API_URL is not set: driving the built-in page, which is served here");
            let settings = settings.borrow().clone();
            set_up_built_in(page.as_ref(), &settings.config, settings.inventory.as_ref()).await?;
        }
    }
    let reconciler =
        Reconciler::new(store.clone(), page.clone(), settings.clone(), clock.clone(), log.clone(), stop.clone())
            .watched_by(metrics.clone(), readiness.clone())
            .shown_by(live.clone());
    let repairer = Repairer::new(store.clone(), settings.clone(), clock.clone(), reconciler.wake(), stop.clone())
        .measured_by(metrics.clone())
        .shown_by(live.clone());
    let wakes = Wakes { reconciler: reconciler.wake(), repairer: repairer.wake() };

    let app = App::new(web::Parts {
        trusted_proxies: args.trusted_proxies.clone(),
        logged_body_limit_bytes: args.webhook_body_limit,
        settings: settings.clone(),
        store: store.clone(),
        wakes: wakes.clone(),
        log: log.clone(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        live: live.clone(),
    })?;
    let console = Console::new(console::Parts {
        store: store.clone(),
        page: page.is_local().then(|| store.page()),
        authenticator: app.authenticator.clone(),
        settings: settings.clone(),
        live,
        wake: wakes.reconciler.clone(),
        log,
        metrics: metrics.clone(),
        clock: clock.clone(),
        stop: stop.clone(),
    })?;
    let (reload, reload_requests) = mpsc::channel(web::RELOADS_WAITING);
    let mut router =
        web::router(app.clone()).merge(web::reload_router(app.clone(), reload.clone())).merge(console.router());
    if page.is_local() {
        router = router.merge(BuiltinPage::new(&store, clock.clone()).router());
    }
    // Where metrics have an address of their own, they are served there and nothing else is, to the same users.
    let metrics_router = web::metrics_router(app.clone());
    let scheme = if has_tls { "https" } else { "http" };
    let metrics_server = match args.metrics_address {
        Some(address) => {
            let (listener, address) = listen(address, "--web.metrics-address").await?;
            tracing::info!("telling metrics on {scheme}://{address}/metrics");
            Some((listener, web::with_headers(metrics_router, app.clone())))
        }
        None => {
            router = router.merge(metrics_router);
            None
        }
    };
    let router = web::with_headers(router, app);
    let (listener, address) = listen(args.listen.listen_address, "--web.listen-address").await?;
    tracing::info!("listening on {scheme}://{address}");

    let reloader = Reloader { origin, page, wakes, in_force, metrics, readiness };
    part(&stop, reloader.forever(reload_requests, stop.clone()));
    if has_tls {
        let configured = settings.clone();
        part(&stop, tls::keep_fresh(move || configured.borrow().web.tls.clone(), stop.clone()));
    }
    let serve = |listener, router| {
        let (limits, settings) = (Limits::default(), Some(settings.clone()));
        let served = web::serve(limits, listener, settings, router, stop.clone().cancelled_owned(), GRACE);
        part(&stop, served)
    };
    let web = serve(listener, router);
    let metrics = metrics_server.map(|(listener, router)| serve(listener, router));
    let (reconciler, repairer) = (part(&stop, reconciler.forever()), part(&stop, repairer.forever()));
    let upkeep = part(&stop, Upkeep::new(store.clone()).forever(settings.clone(), clock, stop.clone()));
    Ok(Running { address, settings, store, reload, stop, web, metrics, reconciler, repairer, upkeep, _lock: lock })
}

async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address}: free the port, or choose another with {flag}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
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
        let kept = self.upkeep.await;
        self.store.close().await;
        kept.context("the upkeep of the store ended early: start the server again, and report what it said")?;
        repaired.context("the alert sync ended early: start the server again, and report what it said")?;
        if let Ok(reconciled) = written {
            reconciled.context("the reconciler ended early: start the server again, and report what it said")?;
        }
        served.context("the web server ended early")?.context("the listener failed")?;
        measured.context("the web server of the metrics ended early")?.context("the listener of the metrics failed")
    }
}

/// Reads and checks all files. What concerns single targets is no reason to refuse, so that a start at night does not
/// fail for a typo.
///
/// Returns everything but the Alertmanagers, which are those of the start; what is worth knowing, and what is wrong that can be
/// served without; and what an operator should change.
///
/// # Errors
/// Everything that the server cannot serve with.
fn read(origin: &Origin) -> Result<(Settings, Report, Vec<String>), Vec<Finding>> {
    let Origin { common, args, environment, .. } = origin;
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
            let remark = config::watchdog_remark(&config, environment, &common.config_file);
            unwise_choices.extend(remark.filter(|_| environment.alertmanager.is_some()));
            let left_out = report.problems.iter().map(|problem| format!("{problem}; serving without it"));
            let warnings = left_out.chain(unwise_choices.iter().map(ToString::to_string)).collect();
            Ok((Settings { inventory, web, ..Settings::from(config) }, report, warnings))
        }
        _ => Err(report.problems.into_iter().filter(|problem| problem.severity == Severity::Fatal).collect()),
    }
}

/// Says in the log what is configured and changes nothing.
fn remark_what_is_unused(settings: &Settings) {
    if !settings.alertmanagers.is_empty() && settings.config.alerts.stale_after.is_some() {
        tracing::info!("stale_after_seconds is not used: what Alertmanager lists is known better");
    }
}

/// Tells that a configuration is served with from now on.
fn configuration_taken(report: &Report, metrics: &Metrics, readiness: &Readiness) {
    metrics.configuration_read(Some(clock::now()));
    readiness.lock().configuration = Some(match report.problems.as_slice() {
        [] => Ok(()),
        [problem] => Err(problem.to_string()),
        [first, more @ ..] => Err(format!("{first}; and {} more: run `alertmanager-cachet check`", more.len())),
    });
}

/// Reloads, one after the other.
struct Reloader {
    origin: Origin,
    page: Arc<dyn StatusPage>,
    wakes: Wakes,
    in_force: watch::Sender<Arc<Settings>>,
    metrics: Metrics,
    readiness: Readiness,
}

impl Reloader {
    /// Serves requests until `stop`: reads everything again, and puts it into effect if it is good.
    async fn forever(self, mut requests: mpsc::Receiver<ReloadRequest>, stop: CancellationToken) {
        let lines = |said: &[String]| said.iter().map(|line| format!("{line}\n")).collect();
        while let Some(Some(answer)) = stop.run_until_cancelled(requests.recv()).await {
            let outcome = match self.reload().await {
                Ok(said) => {
                    said.iter().for_each(|line| tracing::info!("{line}"));
                    Ok(lines(&said))
                }
                Err(problems) => {
                    self.metrics.configuration_read(None);
                    self.readiness.lock().configuration = Some(Err(format!(
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
        let (before, mut now) = (&self.origin, self.origin.clone());
        if now.variables.is_some() {
            let variables = Variables::load();
            let (environment, problems) = Environment::read(|name| variables.get(name));
            if !problems.is_empty() {
                return Err(told(problems));
            }
            (now.environment, now.variables) = (environment, Some(variables));
        }
        let origin = now.clone();
        let read = tokio::task::spawn_blocking(move || read(&origin)).await;
        let read = read.map_err(|error| vec![format!("the files could not be read: {error}")])?;
        let (mut settings, report, warnings) = read.map_err(told)?;
        let in_force = self.in_force.borrow().clone();
        settings.alertmanagers.clone_from(&in_force.alertmanagers);
        remark_what_is_unused(&settings);
        if self.page.is_local() {
            let set_up = set_up_built_in(self.page.as_ref(), &settings.config, settings.inventory.as_ref()).await;
            set_up.map_err(|error| vec![format!("the built-in page could not be brought up to date: {error:#}")])?;
        }
        let groups = counted(settings.config.page.groups.len(), "group");
        let targets = match &settings.inventory {
            Some(inventory) => counted(inventory.len(), "target"),
            None => "the targets that the page has".to_owned(),
        };
        let mut said = vec![format!("configuration reloaded: {groups}, {targets}")];
        said.extend(warnings);
        said.extend(report.remarks.iter().map(ToString::to_string));

        // What has changed and is read at the start alone.
        let mut changed = Vec::new();
        if let (Some(before), Some(now)) = (&before.variables, &now.variables) {
            changed.extend(READ_AT_THE_START.iter().copied().filter(|name| before.get(name) != now.get(name)));
        }
        if before.environment.cachet != now.environment.cachet {
            changed.push("CACHET_API_URL or CACHET_API_TOKEN");
        }
        if before.environment.alertmanager != now.environment.alertmanager {
            changed.push("the access to Alertmanager (ALERTMANAGER_…)");
        }
        if in_force.web.tls.is_some() != settings.web.tls.is_some() {
            changed.push("whether TLS is spoken (tls_server_config)");
        }
        let restart = |name: &&str| format!("{name} has changed: restart the server for it to take effect");
        said.extend(changed.iter().map(restart));
        settings.web.tls = in_force.web.tls.clone().map(|before| settings.web.tls.take().unwrap_or(before));

        configuration_taken(&report, &self.metrics, &self.readiness);
        self.in_force.send_replace(Arc::new(settings));
        self.wakes.reconciler.wake();
        self.wakes.repairer.wake();
        Ok(said)
    }
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
    carry_out(page, config, &plan, &Progress::new(None)).await?;
    if !plan.operations.is_empty() {
        tracing::info!("the built-in page was brought up to date with both files: {}", plan.summary());
    }
    Ok(())
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
