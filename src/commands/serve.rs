//! `serve`: the server.
//!
//! [`start`] puts the parts together, and [`Running`] is the server until it is told to stop; `demo` uses the same two.
//! What is configured is checked in `reload`, at the start and when it is to be read again.

mod reload;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(super) use self::reload::Origin;
use self::reload::{Configured, Reloader, configuration_taken};
use super::Page;
use super::setup::{Progress, carry_out};
use crate::alertmanager;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::environment::Mode;
use crate::config::users::Users;
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
use crate::settings::SettingsInForce;
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
pub(crate) async fn run(origin: Origin) -> anyhow::Result<ExitCode> {
    let log = Log::stdout(origin.common.log_format);
    let (stop, mut hangups) = (stop_signal()?, signal(SignalKind::hangup())?);
    let running = start(origin, log).await?;
    let reload_at_hangup = async {
        while hangups.recv().await.is_some() {
            running.reload.ask().await;
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
    reload: ReloadRequests,
    stop: CancellationToken,
    web: JoinHandle<std::io::Result<()>>,
    metrics: Option<JoinHandle<std::io::Result<()>>>,
    reconciler: JoinHandle<()>,
    repairer: JoinHandle<()>,
    _lock: StoreLock,
}

/// Starts a server: everything is checked, claimed and bound when this returns.
///
/// # Errors
/// See [`run`].
pub(crate) async fn start(origin: Origin, log: Log) -> anyhow::Result<Running> {
    let Origin { common, args, environment, .. } = &origin;
    let configured = reload::read(common, args, environment).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow!("the configuration cannot be served with:\n  {}", problems.join("\n  "))
    })?;
    configured.warnings().for_each(|warning| tracing::warn!("{warning}"));
    configured.report.remarks.iter().for_each(|remark| tracing::info!("{remark}"));
    if environment.mode == Mode::Local && configured.settings.web.users == Users::local_default() {
        tracing::warn!("ENVIRONMENT=local without WEBHOOK_BASIC_AUTH: the webhook takes admin:admin");
    }
    let (metrics, readiness) = (Metrics::new()?, Readiness::default());
    configuration_taken(&configured.report, &metrics, &readiness);
    let Configured { mut settings, .. } = configured;
    let lock = Store::lock(&common.storage_url)?;
    let store = Store::open(&common.storage_url).await?.observed_by(Arc::new(metrics.clone()));
    if let Some(access) = &environment.alertmanager {
        let urls: Vec<&str> = access.base_urls.iter().map(|url| url.as_str().trim_end_matches('/')).collect();
        tracing::info!("reading Alertmanager at {}", urls.join(", "));
        settings.alertmanagers = alertmanager::members(access)?;
    }
    reload::remark_what_is_unused(&settings);

    let (clock, stop, live) = (Clock::system(), CancellationToken::new(), Live::default());
    let has_tls = settings.web.tls.is_some();
    let (in_force, settings) = watch::channel(Arc::new(settings));
    let of_page = settings.clone();
    let page = Page::new(environment, &store, move || of_page.borrow().config.page.cachet_per_page, &metrics)?;
    match &environment.cachet {
        Some(access) => tracing::info!("driving the Cachet at {}", access.base_url),
        None => {
            tracing::info!("CACHET_API_URL is not set: driving the built-in page, which is served here");
            let settings = settings.borrow().clone();
            set_up_built_in(page.port().as_ref(), &settings.config, settings.inventory.as_ref()).await?;
        }
    }
    let reconciler =
        Reconciler::new(store.clone(), page.port(), settings.clone(), clock.clone(), log.clone(), stop.clone())
            .watched_by(metrics.clone(), readiness.clone())
            .shown_by(live.clone());
    let repairer = Repairer::new(store.clone(), settings.clone(), clock.clone(), reconciler.wake(), stop.clone())
        .measured_by(metrics.clone())
        .shown_by(live.clone());
    let wakes = Wakes { reconciler: reconciler.wake(), repairer: repairer.wake() };

    let web_settings = web::Settings {
        trusted_proxies: args.trusted_proxies.clone(),
        logged_body_limit_bytes: args.webhook_body_limit,
        in_force: settings.clone(),
    };
    let app = App::new(web::Parts {
        settings: web_settings,
        store: store.clone(),
        wakes: wakes.clone(),
        log: log.clone(),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        live: live.clone(),
    })?;
    let console = Console::new(console::Parts {
        store: store.clone(),
        page: environment.cachet.is_none().then(|| store.page()),
        authenticator: app.authenticator.clone(),
        settings: settings.clone(),
        live,
        wake: wakes.reconciler.clone(),
        log,
        metrics: metrics.clone(),
        clock,
        stop: stop.clone(),
    })?;
    let (reload, reload_queue) = web::reload::channel();
    let mut router =
        web::router(app.clone()).merge(web::reload::router(app.clone(), reload.clone())).merge(console.router());
    if let Some(built_in) = page.built_in() {
        router = router.merge(built_in.router());
    }
    // Where metrics have an address of their own, they are served there and nothing else is, to the same users.
    let metrics_router = web::metrics_router(app.clone());
    let scheme = if has_tls { "https" } else { "http" };
    let metrics_server = match args.metrics_address {
        Some(address) => {
            let (listener, address) = listen(address, "--web.metrics-address", &settings).await?;
            tracing::info!("telling metrics on {scheme}://{address}/metrics");
            Some((listener, web::with_headers(metrics_router, app.clone())))
        }
        None => {
            router = router.merge(metrics_router);
            None
        }
    };
    let router = web::with_headers(router, app);
    let (listener, address) = listen(args.listen.listen_address, "--web.listen-address", &settings).await?;
    tracing::info!("listening on {scheme}://{address}");

    let reloader = Reloader { origin, page, wakes, in_force, metrics, readiness };
    part(&stop, reloader.forever(reload_queue, stop.clone()));
    if has_tls {
        let configured = settings.clone();
        part(&stop, tls::keep_fresh(move || configured.borrow().web.tls.clone(), stop.clone()));
    }
    let serve = |listener, router| part(&stop, web::serve(listener, router, stop.clone().cancelled_owned(), GRACE));
    let web = serve(listener, router);
    let metrics = metrics_server.map(|(listener, router)| serve(listener, router));
    let (reconciler, repairer) = (part(&stop, reconciler.forever()), part(&stop, repairer.forever()));
    Ok(Running { address, settings, store, reload, stop, web, metrics, reconciler, repairer, _lock: lock })
}

async fn listen(address: SocketAddr, flag: &str, settings: &SettingsInForce) -> anyhow::Result<(Listener, SocketAddr)> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .with_context(|| format!("cannot listen on {address}: free the port, or choose another with {flag}"))?;
    let address = listener.local_addr()?;
    Ok((Listener::with_settings(listener, settings.clone()), address))
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
        self.store.close().await;
        repaired.context("the repairer ended early: start the server again, and report what it said")?;
        if let Ok(reconciled) = written {
            reconciled.context("the reconciler ended early: start the server again, and report what it said")?;
        }
        served.context("the web server ended early")?.context("the listener failed")?;
        measured.context("the web server of the metrics ended early")?.context("the listener of the metrics failed")
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
