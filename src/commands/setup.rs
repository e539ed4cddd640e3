//! `setup`: makes what is missing on the page.
//!
//! The core plans, as operations, and the executor of the reconciler carries them out, with patience for Cachet's rate limit.
//! Before anything is made, the abilities of the token are checked: otherwise a missing one would show in the first outage.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::mem::discriminant;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cachet::{CHECK_TITLE, Cachet, Error, Fault};
use crate::cli::{Common, Setup};
use crate::config::{self, Config, Environment, TargetsFile};
use crate::core::observed::{ComponentUpdate, GroupId, IncidentId, NewComponent, Observed, ObservedComponent};
use crate::core::operation::{Operation, Outcome};
use crate::core::setup::{Removal, SetupPlan, plan_setup};
use crate::core::status::IncidentStatus;
use crate::core::status_page::{Failure, PageError, PageWrite, StatusPage};
use crate::metrics::Metrics;
use crate::reconcile::apply;
use crate::store::{Made, Store};

/// How many operations of one kind are under way at the same time.
const PARALLEL_OPERATIONS: usize = 4;

/// How long a 429 without `Retry-After` is waited for: Cachet counts requests by the minute.
const RATE_LIMIT_WINDOW: Duration = Duration::from_secs(60);

/// Checks everything, plans, asks where something is removed, and carries the plan out.
///
/// # Errors
/// When the configuration has a problem, Cachet cannot be read, or an operation failed; what was done stays, and running it
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
    let (page, cachet) = super::page(environment, &store, move || per_page, &Metrics::default())?;
    let mut progress = Progress::new(None);
    // Another run may just have used the rate limit up.
    let mut observed = progress.patiently(|| page.observe(&[])).await?;
    if !page.capabilities().await?.meta {
        store.mark_made(page.address(), &mut observed).await?;
        progress.made = Some((store, page.address().to_owned()));
    }
    let removal = match (args.reset, args.prune) {
        (true, _) => Removal::Everything,
        (false, true) => Removal::Prune,
        (false, false) => Removal::Nothing,
    };
    let mut plan = plan_setup(&config.page.groups, &inventory, &observed, removal);
    if page.is_local() {
        plan.leave_groups_hidden();
    }
    let mut out = io::stdout();
    for remark in &plan.remarks {
        writeln!(out, "note: {remark}")?;
    }
    if !args.dry_run && !may_remove(&plan, args)? {
        writeln!(out, "nothing was written")?;
        return Ok(ExitCode::FAILURE);
    }
    if let Some(cachet) = &cachet
        && !args.dry_run
    {
        let tried = try_abilities(cachet, &observed, &progress).await?;
        if !tried.missing.is_empty() {
            bail!("{tried}; nothing was made or removed");
        }
    }
    if plan.operations.is_empty() {
        writeln!(out, "nothing to do: the page has everything that both files name")?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.dry_run {
        plan.operations.iter().try_for_each(|operation| writeln!(out, "would {operation}"))?;
        writeln!(out, "dry run, nothing was written: {}", plan.summary())?;
        return Ok(ExitCode::SUCCESS);
    }
    let all = plan.operations.len();
    progress.bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len}, {eta} left {msg}");
    progress.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    progress.bar.enable_steady_tick(Duration::from_millis(500));
    let outcome = carry_out(page.as_ref(), config, &plan, &progress).await;
    progress.bar.finish_and_clear();
    if let Err(error) = outcome {
        let done = progress.bar.position();
        bail!("{error}\nstopped after {done} of {all} steps: run setup again to do the rest");
    }
    writeln!(out, "{}", plan.summary())?;
    Ok(ExitCode::SUCCESS)
}

/// Lists what would be removed and asks; `--yes` answers.
fn may_remove(plan: &SetupPlan, args: &Setup) -> anyhow::Result<bool> {
    let removals: Vec<_> = plan.operations.iter().filter(|operation| operation.removes()).collect();
    if removals.is_empty() || args.yes {
        return Ok(true);
    }
    let mut out = io::stdout();
    removals.iter().try_for_each(|removal| writeln!(out, "{removal}"))?;
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
pub struct Progress {
    /// Hidden until the number of operations is known, and where there is no terminal.
    bar: ProgressBar,
    /// The store, and where the page is; `None` for a page with meta, which itself says which objects are ours.
    made: Option<(Store, String)>,
}

impl Progress {
    /// Without a bar. `made` is the store that records what is made, and the address of the page.
    pub fn new(made: Option<(Store, String)>) -> Self {
        Self { bar: ProgressBar::hidden(), made }
    }

    /// What `call` comes to, once Cachet's rate limit lets it. There is no limit to this but the person who watches: each
    /// wait is bounded.
    ///
    /// # Errors
    /// Whatever else Cachet says.
    pub async fn patiently<T, E, F>(&self, call: impl Fn() -> F) -> Result<T, E>
    where
        E: Clone + Into<PageError>,
        F: Future<Output = Result<T, E>>,
    {
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let PageError { failure: Failure::RateLimited { retry_after }, .. } = error.clone().into() else {
                return Err(error);
            };
            let wait = retry_after.unwrap_or(RATE_LIMIT_WINDOW);
            let waiting = format!("waiting {} s for Cachet's rate limit", wait.as_secs());
            self.bar.set_message(format!("({waiting})"));
            if self.bar.is_hidden() {
                tracing::info!("{waiting}");
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// Records that an object was made, before the next operation, for a Cachet without meta does not say who made it.
    async fn remember(&self, made: Made, name: &str) {
        let Some((store, address)) = &self.made else { return };
        if let Err(error) = store.remember_made(address, made, name).await {
            tracing::warn!("it is not remembered that setup made {name:?}, so setup will not remove it: {error}");
        }
    }
}

/// Carries out `plan`.
///
/// # Errors
/// What the page said to the first operation that failed. What was done before stays; running it again does the rest.
pub async fn carry_out(
    page: &dyn StatusPage,
    config: &Config,
    plan: &SetupPlan,
    progress: &Progress,
) -> Result<(), PageError> {
    let kind = |operation: &Operation| match operation {
        Operation::Rearrange { write, .. } => (discriminant(operation), Some(discriminant(write))),
        _ => (discriminant(operation), None),
    };
    let mut groups = BTreeMap::new();
    // An operation needs at most what those of an earlier kind have made.
    for operations in plan.operations.chunk_by(|one, next| kind(one) == kind(next)) {
        // A closure that borrows as the stream goes on would keep whoever awaits this on one thread.
        let calls: Vec<_> =
            operations.iter().map(|operation| carry_out_one(page, config, operation, &groups, progress)).collect();
        let made: Vec<Option<(String, GroupId)>> =
            stream::iter(calls).buffered(PARALLEL_OPERATIONS).try_collect().await?;
        groups.extend(made.into_iter().flatten());
    }
    Ok(())
}

/// Carries out `operation`, which may need one of the `groups` that were made; the group that it made.
async fn carry_out_one(
    page: &dyn StatusPage,
    config: &Config,
    operation: &Operation,
    groups: &BTreeMap<String, GroupId>,
    progress: &Progress,
) -> Result<Option<(String, GroupId)>, PageError> {
    let mut operation = operation.clone();
    // The plan has the numbers of those groups that were there before.
    if let Operation::CreateComponent { new: NewComponent { group: id, .. }, group: Some(group) }
    | Operation::Rearrange {
        write: PageWrite::UpdateComponent(_, ComponentUpdate { group: id, .. }),
        group: Some(group),
        ..
    } = &mut operation
    {
        *id = id.or_else(|| groups.get(group.as_str()).copied());
    }
    let outcome = progress.patiently(|| apply(page, config, &operation)).await?;
    let made = match (&operation, outcome) {
        (Operation::CreateGroup(new), Outcome::CreatedGroup(id)) => {
            progress.remember(Made::Group(id), &new.name).await;
            Some((new.name.clone(), id))
        }
        (Operation::CreateComponent { new, .. }, Outcome::Written(id, _)) => {
            progress.remember(Made::Component(id), &new.name).await;
            None
        }
        _ => None,
    };
    progress.bar.set_message("");
    progress.bar.inc(1);
    tracing::debug!("{operation}");
    Ok(made)
}

const COMPONENTS: &str = "components.manage";
const GROUPS: &str = "component-groups.manage";
const INCIDENTS: &str = "incidents.manage";
const UPDATES: &str = "incident-updates.manage";

/// The result of the check.
#[derive(Debug, Default)]
struct TriedAbilities {
    /// The abilities that the token lacks.
    missing: BTreeSet<&'static str>,
    /// The abilities that could not be checked, because there is no object to check them with. The first call that needs one
    /// will show it.
    untried: BTreeSet<&'static str>,
}

/// Checks all abilities except those to delete. It changes nothing that a reader of the page can see.
///
/// The abilities for components and groups are checked with an existing one of `observed`: its current values are written to
/// it. The abilities for incidents need an invisible incident. It is removed afterwards, or kept for the next check if the
/// token may not delete it.
///
/// # Errors
/// Any error other than a missing ability.
async fn try_abilities(cachet: &Cachet, observed: &Observed, progress: &Progress) -> anyhow::Result<TriedAbilities> {
    let mut tried = TriedAbilities::default();
    // One of ours is preferred, then a disabled one: the write undoes a change of `enabled` that a person makes at this very
    // moment. A component without a status is not used: releases of 2025 answer 500 to its first change (2025-08: 131).
    let with_status = observed.components.iter().filter(|component| component.status.is_some());
    match with_status.min_by_key(|component| (!component.managed, component.enabled)) {
        Some(ObservedComponent { id, enabled, .. }) => {
            let unchanged = ComponentUpdate { status: None, enabled: *enabled, description: None, group: None };
            let write = PageWrite::UpdateComponent(*id, unchanged);
            tried.record(COMPONENTS, progress.patiently(|| cachet.carry_out(&write)).await)?;
        }
        None => drop(tried.untried.insert(COMPONENTS)),
    }
    match observed.groups.iter().min_by_key(|group| !group.managed) {
        Some(group) => tried.record(GROUPS, progress.patiently(|| cachet.touch_group(group)).await)?,
        None => drop(tried.untried.insert(GROUPS)),
    }
    // The incident that an earlier check could not remove; a Cachet without meta cannot say that it is ours.
    let known: Option<IncidentId> = match &progress.made {
        Some((store, address)) => store.made_incident(address, CHECK_TITLE).await?,
        None => None,
    };
    let mut incident = progress.patiently(|| cachet.check_incident(known)).await?;
    if incident.is_none() {
        match progress.patiently(|| cachet.make_check_incident()).await {
            Ok(id) => {
                progress.remember(Made::Incident(id), CHECK_TITLE).await;
                incident = Some(id);
            }
            Err(error) => tried.record(INCIDENTS, Err(error))?,
        }
    }
    let Some(incident) = incident else {
        tried.untried.insert(UPDATES);
        return Ok(tried);
    };
    let message = "Nobody sees this update.".to_owned();
    let update = PageWrite::UpdateIncident { id: incident, status: IncidentStatus::Fixed, message };
    for (ability, write) in [(INCIDENTS, PageWrite::HideIncident(incident)), (UPDATES, update)] {
        tried.record(ability, progress.patiently(|| cachet.carry_out(&write)).await)?;
    }
    match (progress.patiently(|| cachet.remove_check_incident(incident)).await, &progress.made) {
        (Ok(()), Some((store, address))) => {
            let made = Made::Incident(incident);
            if let Err(error) = store.forget_made(address, made).await {
                tracing::warn!("cannot record that {made:?} was removed: {error}");
            }
        }
        (Ok(()), None) | (Err(Error { fault: Fault::Forbidden { .. }, .. }), _) => {}
        (Err(error), _) => return Err(error.into()),
    }
    Ok(tried)
}

impl TriedAbilities {
    /// Records the outcome of a call that needs `ability`.
    fn record(&mut self, ability: &'static str, outcome: Result<(), Error>) -> Result<(), Error> {
        match outcome {
            Ok(()) => {}
            Err(Error { fault: Fault::Forbidden { .. }, .. }) => drop(self.missing.insert(ability)),
            // The object was removed after it was read, so the answer shows nothing.
            Err(Error { fault: Fault::NotFound, .. }) => drop(self.untried.insert(ability)),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// All missing abilities, then the unknown ones, and what to do.
impl fmt::Display for TriedAbilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |abilities: &BTreeSet<&str>| abilities.iter().copied().collect::<Vec<_>>().join(", ");
        let noun = if self.missing.len() == 1 { "ability" } else { "abilities" };
        write!(f, "the token lacks the {noun} {} (HTTP 403)", names(&self.missing))?;
        if !self.untried.is_empty() {
            write!(f, ", and it is not known whether it has {}", names(&self.untried))?;
        }
        write!(f, ": make a token with these in Cachet's dashboard and set CACHET_API_TOKEN")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_missing_abilities_are_named_in_one_message() {
        let one = TriedAbilities { missing: [UPDATES].into(), untried: BTreeSet::new() };
        assert!(one.to_string().starts_with("the token lacks the ability incident-updates.manage (HTTP 403): make"));
        let both = TriedAbilities { missing: [INCIDENTS, COMPONENTS].into(), untried: [UPDATES].into() };
        let said = "the token lacks the abilities components.manage, incidents.manage (HTTP 403), and it is not known \
                    whether it has incident-updates.manage: make a token";
        assert!(both.to_string().starts_with(said), "{both}");
    }
}
