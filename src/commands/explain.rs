//! `explain`: why a component has its status, from the store alone, beside a running server.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{anyhow, bail};

use super::reconcile_settings;
use crate::cli::{Common, Explain, OutputForm};
use crate::clock;
use crate::config::environment::Environment;
use crate::config::{self, TargetsFile, Variables, nearest};
use crate::core::explain::{Explanation, Facts, explain};
use crate::core::observed::Observed;
use crate::core::page::{DesiredPage, desired};
use crate::core::plan::{Plan, plan};
use crate::core::target::ComponentName;
use crate::core::watchdog::Monitoring;
use crate::reconcile::{Settings, TargetsOfPage};
use crate::store::Store;

/// Prints the explanation.
///
/// # Errors
/// When there is no store, the configuration cannot be read, or no such component is known.
pub async fn run(common: &Common, args: &Explain, variables: &Variables) -> anyhow::Result<ExitCode> {
    let files = config::load(&common.config_file, &common.targets_file);
    let Some(config) = &files.config else {
        bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.config_file);
    };
    let inventory = match files.targets {
        TargetsFile::Read(inventory) => Some(inventory),
        TargetsFile::Absent => None,
        TargetsFile::Unusable => bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.targets_file),
    };
    // Whatever else is wrong with the environment is for `check` to say.
    let (environment, _) = Environment::read(|name| variables.get(name));
    let targets_of_page = if environment.cachet.is_some() { TargetsOfPage::All } else { TargetsOfPage::Ours };
    let settings = reconcile_settings(config, inventory, targets_of_page);
    let store = Store::open_read_only(&common.storage_url).await?;
    let name = ComponentName::try_from(args.component.as_str())?;
    let explanation = explained(&store, &settings, &name).await?;
    let mut out = io::stdout();
    match args.output {
        OutputForm::Text => write!(out, "{explanation}")?,
        OutputForm::Json => writeln!(out, "{}", serde_json::to_string_pretty(&explanation)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains `name` from what the store holds.
///
/// # Errors
/// When the store cannot be read, or no such component is known.
pub async fn explained(store: &Store, settings: &Settings, name: &ComponentName) -> anyhow::Result<Explanation> {
    let (alerts, applied) = (store.unresolved_alerts().await?, store.applied().await?);
    let observed = store.observed().await?;
    let nothing = Observed::default();
    let shown = observed.as_ref().map_or(&nothing, |(observed, _)| observed);
    let now = clock::now();
    let inventory = settings.inventory(shown, &applied);
    // Since when the server listens is not known here: what it found of the watchdog, it has kept.
    let monitoring = match &settings.watchdog {
        Some(watchdog) => watchdog.judge(store.pulse().await?, now, now),
        None => Monitoring::Unwatched,
    };
    let page = desired(&inventory, &alerts, settings.refire_hold, now).in_view_of(monitoring, &settings.components);
    // Of a Cachet that was never read nothing can be said.
    let plan = match observed {
        Some(_) => plan(&page, &applied, shown, settings.policy(), now),
        None => Plan::default(),
    };
    let facts = Facts {
        page: &page,
        alerts: &alerts,
        applied: &applied,
        observed: observed.as_ref().map(|(observed, read_at)| (observed, *read_at)),
        plan: &plan,
        refire_hold: settings.refire_hold,
        now,
    };
    explain(name, facts).ok_or_else(|| unknown(name, &page, shown))
}

fn unknown(name: &ComponentName, page: &DesiredPage, shown: &Observed) -> anyhow::Error {
    let fed = page.components.keys().map(ComponentName::as_str);
    let visible =
        shown.components.iter().filter(|component| component.enabled).map(|component| component.name.as_str());
    let known: BTreeSet<&str> = fed.chain(visible).collect();
    match (nearest(name.as_str(), known.iter().copied()), known.len()) {
        (Some(near), _) => anyhow!("there is no component {name:?}: did you mean {near:?}?"),
        (None, 0) => anyhow!("there is no component {name:?}, nor any other: run `setup` first"),
        (None, _) => {
            let known: Vec<&str> = known.into_iter().collect();
            anyhow!("there is no component {name:?}: the page has {}", known.join(", "))
        }
    }
}
