//! One file a subcommand, and what several of them share.

mod check;
mod demo;
pub mod explain;
mod hash_password;
pub mod healthcheck;
mod serve;
pub mod setup;
pub mod simulate;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

use self::serve::Origin;
use crate::builtin::{API_IS_GONE, BuiltinPage};
use crate::cachet::Cachet;
use crate::cli::{Cli, Command, Common};
use crate::clock::Clock;
use crate::config::{self, Environment, TargetsFile, Variables};
use crate::core::status_page::StatusPage;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::store::Store;

/// Runs the command that was asked for.
///
/// # Errors
/// Why it could not do its work, with the cure.
pub(crate) fn run(cli: &Cli, variables: &Variables) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()
        .context("the async runtime cannot be started: check the limits on threads and file descriptors")?;
    let common = &cli.common;
    let outcome = match &cli.command {
        Command::Check(web) => check::run(common, web, variables),
        Command::Simulate(args) => runtime.block_on(simulate::run(common, args)),
        Command::HashPassword { user } => hash_password::run(user),
        Command::Healthcheck(listen) => runtime.block_on(healthcheck::run(listen)),
        Command::EmbeddedToken => bail!("{API_IS_GONE}"),
        Command::Explain(args) => runtime.block_on(explain::run(common, args)),
        Command::Serve(args) => runtime.block_on(serve::run(Origin {
            common: common.clone(),
            args: args.clone(),
            environment: environment(variables)?,
            variables: Some(variables.clone()),
        })),
        Command::Setup(args) => runtime.block_on(setup::run(common, args, &environment(variables)?)),
        Command::Demo(args) => runtime.block_on(demo::run(common, args)),
    };
    // What is still on a thread by now is of no use to anybody, such as a name that a dead DNS server is asked for.
    runtime.shutdown_background();
    outcome
}

/// The environment, if nothing is wrong with it.
fn environment(variables: &Variables) -> anyhow::Result<Environment> {
    for problem in &variables.problems {
        tracing::warn!("{problem}");
    }
    let (environment, problems) = Environment::read(|name| variables.get(name));
    if !problems.is_empty() {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        bail!("the environment cannot be used:\n  {}", problems.join("\n  "));
    }
    Ok(environment)
}

/// What both files say; for commands that only read.
fn usable_settings(common: &Common) -> anyhow::Result<Settings> {
    let files = config::load(&common.config_file, &common.targets_file);
    let Some(config) = files.config else {
        bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.config_file);
    };
    let inventory = match files.targets {
        TargetsFile::Read(inventory) => Some(inventory),
        TargetsFile::Absent => None,
        TargetsFile::Unusable => bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.targets_file),
    };
    Ok(Settings { inventory, ..Settings::from(config) })
}

/// The page that is kept: the Cachet that the environment names, whose calls `metrics` count, and that Cachet by itself; or
/// the built-in page in `store`. Nothing is sent yet. `per_page` says how many rows of Cachet's lists are asked for at a time.
///
/// # Errors
/// If no HTTP client can be made.
fn page(
    environment: &Environment,
    store: &Store,
    per_page: impl Fn() -> u8 + Send + Sync + 'static,
    metrics: &Metrics,
) -> anyhow::Result<(Arc<dyn StatusPage>, Option<Cachet>)> {
    let Some(access) = &environment.cachet else {
        return Ok((Arc::new(BuiltinPage::new(store, Clock::system())), None));
    };
    let cachet = Cachet::over_http(&access.base_url, access.authorization.clone(), per_page)?;
    let cachet = cachet.observed_by(Arc::new(metrics.clone()));
    Ok((Arc::new(cachet.clone()), Some(cachet)))
}
