//! `setup`: makes what is missing in Cachet.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Page;
use crate::cachet::CHECK_TITLE;
use crate::cli::{Common, Setup};
use crate::config::environment::Environment;
use crate::config::{self, TargetsFile};
use crate::core::setup::{Removal, SetupPlan, Step, plan_setup};
use crate::metrics::Metrics;
use crate::setup::{Progress, carry_out, patiently, try_abilities};
use crate::store::{Made, Store};

/// Checks everything, plans, asks where something is removed, and carries the plan out.
///
/// # Errors
/// When the configuration has a problem, Cachet cannot be read, or a step failed; what was done stays, and running it
/// again does the rest.
pub(crate) async fn run(common: &Common, args: &Setup, environment: &Environment) -> anyhow::Result<ExitCode> {
    let files = config::load(&common.config_file, args.file.as_ref().unwrap_or(&common.targets_file));
    let (Some(config), []) = (&files.config, files.report.problems.as_slice()) else {
        writeln!(io::stdout(), "{}", files.report)?;
        bail!("nothing was written: mend these problems first, `alertmanager-cachet check` shows them again");
    };
    let TargetsFile::Read(inventory) = files.targets else {
        bail!("setup needs a targets file: name it with --targets.file or --file");
    };
    let (_lock, store) = if args.dry_run {
        (None, Store::open_copy_in_memory(&common.storage_url).await?)
    } else {
        (Some(Store::lock_for_setup(&common.storage_url)?), Store::open(&common.storage_url).await?)
    };
    let per_page = config.page.cachet_per_page;
    let page = Page::new(environment, &store, move || per_page, &Metrics::default())?;
    let port = page.port();
    let mut watch = Watch { bar: ProgressBar::hidden(), store: None, address: port.address().to_owned() };
    // Another run may just have used the rate limit up.
    let mut observed = patiently(&watch, || port.observe(&[])).await?;
    if !port.capabilities().await?.meta {
        store.mark_made(port.address(), &mut observed).await?;
        watch.store = Some(store);
    }
    let removal = match (args.reset, args.prune) {
        (true, _) => Removal::Everything,
        (false, true) => Removal::Prune,
        (false, false) => Removal::Nothing,
    };
    let mut plan = plan_setup(&config.page.groups, &inventory, &observed, removal);
    if page.built_in().is_some() {
        plan.leave_groups_hidden();
    }
    let mut out = io::stdout();
    for remark in &plan.remarks {
        writeln!(out, "note: {remark}")?;
    }
    const NOTHING_TO_DO: &str = "nothing to do: the page has everything that both files name";
    if args.dry_run {
        if plan.steps.is_empty() {
            writeln!(out, "{NOTHING_TO_DO}")?;
            return Ok(ExitCode::SUCCESS);
        }
        plan.steps.iter().try_for_each(|step| writeln!(out, "would {step}"))?;
        writeln!(out, "dry run, nothing was written: {}", plan.counts())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !may_remove(&plan, args)? {
        writeln!(out, "nothing was written")?;
        return Ok(ExitCode::FAILURE);
    }
    if let Page::Cachet(cachet) = &page {
        // The incident that an earlier check of abilities could not remove.
        let known = match &watch.store {
            Some(store) => store.made_incident(&watch.address, CHECK_TITLE).await?,
            None => None,
        };
        let tried = try_abilities(cachet, &observed, known, &watch).await?;
        if !tried.missing.is_empty() {
            bail!("{tried}; nothing was made or removed");
        }
    }
    if plan.steps.is_empty() {
        writeln!(out, "{NOTHING_TO_DO}")?;
        return Ok(ExitCode::SUCCESS);
    }
    watch.bar = ProgressBar::with_draw_target(Some(plan.steps.len() as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left {msg}");
    watch.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    watch.bar.enable_steady_tick(Duration::from_millis(500));
    let outcome = carry_out(port.as_ref(), &plan, &observed, &watch).await;
    watch.bar.finish_and_clear();
    if let Err(error) = outcome {
        let (done, all) = (watch.bar.position(), plan.steps.len());
        bail!("{error}\nstopped after {done} of {all} steps: run setup again to do the rest");
    }
    writeln!(out, "{}", plan.counts())?;
    Ok(ExitCode::SUCCESS)
}

/// Lists what would be removed and asks; `--yes` answers.
fn may_remove(plan: &SetupPlan, args: &Setup) -> anyhow::Result<bool> {
    let removals: Vec<&Step> = plan.steps.iter().filter(|step| step.removes()).collect();
    if removals.is_empty() || args.yes {
        return Ok(true);
    }
    let mut out = io::stdout();
    removals.iter().try_for_each(|step| writeln!(out, "{step}"))?;
    if !io::stdin().is_terminal() {
        bail!("{} would be removed and nobody can be asked: run it again with --yes", removals.len());
    }
    write!(out, "Remove these {}? Their history goes with them. [y/N] ", removals.len())?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Shows how far it is, and records in the store which objects this program made.
struct Watch {
    /// Hidden until the number of steps is known, and where there is no terminal.
    bar: ProgressBar,
    /// `None` for a Cachet with meta, which itself says which objects are ours.
    store: Option<Store>,
    /// Where the page is, as the store knows it.
    address: String,
}

impl Progress for Watch {
    fn done(&self, step: &Step) {
        self.bar.set_message("");
        self.bar.inc(1);
        tracing::debug!("{step}");
    }

    async fn made(&self, made: Made, name: &str) {
        let Some(store) = &self.store else { return };
        if let Err(error) = store.remember_made(&self.address, made, name).await {
            tracing::warn!("it is not remembered that setup made {name:?}, so setup will not remove it: {error}");
        }
    }

    async fn removed(&self, made: Made) {
        let Some(store) = &self.store else { return };
        if let Err(error) = store.forget_made(&self.address, made).await {
            tracing::warn!("cannot record that {made:?} was removed: {error}");
        }
    }

    fn waiting(&self, seconds: u64) {
        self.bar.set_message(format!("(waiting {seconds} s for Cachet's rate limit)"));
        if self.bar.is_hidden() {
            tracing::info!("waiting {seconds} s for Cachet's rate limit");
        }
    }
}
