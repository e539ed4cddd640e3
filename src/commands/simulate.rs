//! `simulate`: what the page would have shown, had what happened met this configuration. Writes nothing anywhere.

mod print;
mod records;
mod source;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::bail;

use self::print::Printed;
use self::source::{Cause, Source, Window};
use crate::cli::{Common, OutputForm, Simulate};
use crate::clock;
use crate::config::{self, Config, TargetsFile};
use crate::core::page::inventory_of;
use crate::core::simulate::{Arrival, Rules, simulate};
use crate::core::target::{Inventory, InventorySource};
use crate::settings::Settings;
use crate::store::Store;

/// Reads what happened, plays it and prints what would have been seen.
///
/// # Errors
/// When the configuration cannot be used, what is to be played cannot be read, or there is nothing to play.
pub async fn run(common: &Common, args: &Simulate) -> anyhow::Result<ExitCode> {
    let files = config::load(&common.config_file, &common.targets_file);
    let Some(config) = &files.config else {
        bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.config_file);
    };
    let now = clock::now();
    let window = Window::new(args, now)?;
    let store = if args.from_store { Some(Store::open_read_only(&common.storage_url).await?) } else { None };
    let history = match &store {
        Some(store) => Some(Source::history(store.kept().await?, window, now)?),
        None => None,
    };
    let inventory = match files.targets {
        TargetsFile::Read(inventory) => inventory,
        TargetsFile::Absent => known_without_file(store.as_ref()).await?,
        TargetsFile::Unusable => bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.targets_file),
    };
    let settings = Settings { inventory: Some(inventory.clone()), ..Settings::from(config.clone()) };
    let watchdog = config.watchdog();
    let source = match history {
        Some(history) => history,
        None => Source::files(&args.files, window, watchdog)?,
    };
    let (groups, refire_hold, policy) = (&config.page.groups, config.alerts.refire_hold, settings.policy());
    let rules = Rules { groups, inventory: &inventory, refire_hold, watchdog, policy };
    print(&played(&source, rules, config)?, args.output)?;
    Ok(ExitCode::SUCCESS)
}

/// What is seen of `source` by `rules`. What is not known of it is said on stderr.
fn played(source: &Source, rules: Rules<'_>, config: &Config) -> io::Result<Printed> {
    let arrivals: Vec<Arrival> = source.arrivals(rules.watchdog);
    let story = simulate(rules, &arrivals, source.until());
    let story = match source.since() {
        Some(since) => story.since(since),
        None => story,
    };
    for unknown in source.unknown(rules, &story) {
        writeln!(io::stderr(), "note: {unknown}")?;
    }
    let causes: Vec<Cause> =
        arrivals.iter().enumerate().map(|(number, arrival)| source.cause(number, arrival)).collect();
    Ok(Printed::new(&story, source.played(), &causes, source.left_out(), config))
}

fn print(printed: &Printed, form: OutputForm) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match form {
        OutputForm::Text => write!(out, "{printed}")?,
        OutputForm::Json => writeln!(out, "{}", serde_json::to_string_pretty(printed)?)?,
    }
    Ok(())
}

/// The targets without a targets file: those that the server read in Cachet last, if its store is given.
async fn known_without_file(store: Option<&Store>) -> anyhow::Result<Inventory> {
    if let Some(store) = store
        && let Some((observed, _)) = store.observed().await?
    {
        return Ok(inventory_of(&observed));
    }
    writeln!(io::stderr(), "note: without a targets file only those targets are known that alerts name")?;
    Ok(Inventory::new(InventorySource::Cachet, []))
}
