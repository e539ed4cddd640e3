//! One file a subcommand, and what several of them share.

pub mod check;
pub mod demo;
pub mod embedded_token;
pub mod explain;
pub mod hash_password;
pub mod healthcheck;
pub mod serve;
pub mod setup;
pub mod simulate;
pub mod web_config;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cachet::{self, Cachet};
use crate::cli::{Cli, Command};
use crate::config::Variables;
use crate::config::environment::Environment;
use crate::embedded::{EmbeddedPage, in_process};
use crate::settings::TargetsOfPage;
use crate::store::Store;

/// Runs the command that was asked for.
///
/// # Errors
/// Why it could not do its work, with the cure.
pub fn run(cli: &Cli, variables: &Variables) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()
        .context("the async runtime cannot be started: check the limits on threads and file descriptors")?;
    let common = &cli.common;
    let outcome = match &cli.command {
        Command::Check(args) => check::run(common, args, variables),
        Command::Simulate(args) => runtime.block_on(simulate::run(common, args)),
        Command::HashPassword(args) => hash_password::run(args),
        Command::Healthcheck(args) => runtime.block_on(healthcheck::run(args)),
        Command::EmbeddedToken => runtime.block_on(embedded_token::run(common)),
        Command::Explain(args) => runtime.block_on(explain::run(common, args, variables)),
        Command::Serve(args) => runtime.block_on(serve::run(common, args, &environment(variables)?, variables)),
        Command::Setup(args) => runtime.block_on(setup::run(common, args, &environment(variables)?)),
        Command::Demo(args) => runtime.block_on(demo::run(common, args)),
    };
    // What is still on a thread by now is of no use to anybody, such as a name that a dead DNS server is asked for.
    runtime.shutdown_background();
    outcome
}

/// The environment, if nothing is wrong with it.
fn environment(variables: &Variables) -> anyhow::Result<Environment> {
    for problem in variables.problems() {
        tracing::warn!("{problem}");
    }
    Environment::from_vars(|name| variables.get(name)).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the environment cannot be used:\n  {}", problems.join("\n  "))
    })
}

/// The Cachet that is driven, and the embedded page where none is configured.
pub struct Page {
    /// The client.
    pub cachet: Cachet,
    /// The page that it drives, if that is our own.
    pub embedded: Option<EmbeddedPage>,
}

impl Page {
    /// Which targets count where there is no targets file.
    pub fn whose_targets_count(&self) -> TargetsOfPage {
        if self.embedded.is_some() { TargetsOfPage::Ours } else { TargetsOfPage::All }
    }

    /// Connects to the Cachet that the environment names, or to the embedded page in `store`.
    ///
    /// # Errors
    /// When the URL cannot be used, or the store does not hold the embedded page.
    pub async fn open(environment: &Environment, store: &Store, per_page: u8) -> anyhow::Result<Self> {
        match &environment.cachet {
            Some(access) => {
                let settings =
                    cachet::Settings { base_url: access.base_url.clone(), token: access.token.clone(), per_page };
                Ok(Self { cachet: Cachet::over_http(settings)?, embedded: None })
            }
            None => {
                let page = EmbeddedPage::open(store).await?;
                let cachet = in_process(page.router(), &page.token(), per_page);
                Ok(Self { cachet, embedded: Some(page) })
            }
        }
    }
}
