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
use crate::core::observed::IncidentId;
use crate::core::setup::{Removal, SetupPlan, Step, plan_setup};
use crate::metrics::Metrics;
use crate::setup::{Progress, carry_out, patiently, try_abilities};
use crate::store::{Made, Store, StoreError};

/// Checks everything, plans, asks where something is removed, and carries the plan out.
///
/// # Errors
/// When the configuration has a problem, Cachet cannot be read, or a step failed; what was done stays, and running it
/// again does the rest.
pub(crate) async fn run(common: &Common, args: &Setup, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut common = common.clone();
    if let Some(file) = &args.file {
        common.targets_file.clone_from(file);
    }
    let files = config::load(&common.config_file, &common.targets_file);
    let (Some(config), []) = (&files.config, files.report.problems.as_slice()) else {
        writeln!(io::stdout(), "{}", files.report)?;
        bail!("nothing was written: mend these problems first, `alertmanager-cachet check` shows them again");
    };
    let inventory = match files.targets {
        TargetsFile::Read(inventory) => inventory,
        TargetsFile::Absent | TargetsFile::Unusable => {
            bail!("setup needs a targets file: name it with --targets.file or --file")
        }
    };
    let (_lock, store) = if args.dry_run {
        (None, Store::open_copy_in_memory(&common.storage_url).await?)
    } else {
        (Some(Store::lock_for_setup(&common.storage_url)?), Store::open(&common.storage_url).await?)
    };
    let per_page = config.page.cachet_per_page;
    let page = Page::new(environment, &store, move || per_page, &Metrics::default())?;
    let port = page.port();
    // Another run may just have used the rate limit up.
    let mut observed = patiently(&Reading, || port.observe(&[])).await?;
    let remembering = (!port.capabilities().await?.meta).then_some(&store);
    if let Some(store) = remembering {
        store.mark_made(port.address(), &mut observed).await?;
    }
    let mut plan = plan_setup(&config.page.groups, &inventory, &observed, removal(args));
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
    let memory = Memory { store: remembering.cloned(), address: port.address().to_owned() };
    if let Page::Cachet(cachet) = &page {
        let known = memory.incident().await?;
        let tried = try_abilities(cachet, &observed, known, &memory).await?;
        if !tried.missing.is_empty() {
            bail!("{tried}; nothing was made or removed");
        }
    }
    if plan.steps.is_empty() {
        writeln!(out, "{NOTHING_TO_DO}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Bar::new(plan.steps.len(), memory);
    let outcome = carry_out(port.as_ref(), &plan, &observed, &progress).await;
    progress.bar.finish_and_clear();
    if let Err(error) = outcome {
        bail!(
            "{error}\nstopped after {} of {} steps: run setup again to do the rest",
            progress.bar.position(),
            plan.steps.len()
        );
    }
    writeln!(out, "{}", plan.counts())?;
    Ok(ExitCode::SUCCESS)
}

fn removal(args: &Setup) -> Removal {
    match (args.reset, args.prune) {
        (true, _) => Removal::Everything,
        (false, true) => Removal::Prune,
        (false, false) => Removal::Nothing,
    }
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

/// Before the number of steps is known.
struct Reading;

impl Progress for Reading {
    fn done(&self, _step: &Step) {}

    fn waiting(&self, seconds: u64) {
        tracing::info!("waiting {seconds} s for Cachet's rate limit");
    }
}

/// Records in the store which objects this program made.
struct Memory {
    /// `None` for a Cachet with meta, which itself says which objects are ours.
    store: Option<Store>,
    address: String,
}

impl Memory {
    /// The incident that an earlier check of abilities could not remove.
    async fn incident(&self) -> Result<Option<IncidentId>, StoreError> {
        match &self.store {
            Some(store) => store.made_incident(&self.address, CHECK_TITLE).await,
            None => Ok(None),
        }
    }
}

impl Progress for Memory {
    fn done(&self, _step: &Step) {}

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
        Reading.waiting(seconds);
    }
}

/// A bar with the time left on a terminal; nothing elsewhere.
struct Bar {
    bar: ProgressBar,
    memory: Memory,
}

impl Bar {
    fn new(steps: usize, memory: Memory) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(500));
        Self { bar, memory }
    }
}

impl Progress for Bar {
    fn done(&self, step: &Step) {
        self.bar.set_message("");
        self.bar.inc(1);
        tracing::debug!("{step}");
    }

    async fn made(&self, made: Made, name: &str) {
        self.memory.made(made, name).await;
    }

    fn waiting(&self, seconds: u64) {
        self.bar.set_message(format!("(waiting {seconds} s for Cachet's rate limit)"));
        if self.bar.is_hidden() {
            Reading.waiting(seconds);
        }
    }
}
