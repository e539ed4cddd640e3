//! `simulate`: what the page would have shown, had what happened met this configuration. Writes nothing anywhere.

mod play;
mod print;
mod records;
mod source;
pub mod story;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::bail;

pub use self::play::play;
use self::print::Printed;
use self::source::{Source, Window};
use crate::cli::{Common, OutputForm, Simulate};
use crate::clock;
use crate::config::{self, TargetsFile};
use crate::core::page::inventory_of;
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
    let (inventory, targets) = match files.targets {
        TargetsFile::Read(inventory) => (Some(inventory.clone()), inventory),
        TargetsFile::Absent => (None, known_without_file(store.as_ref()).await?),
        TargetsFile::Unusable => bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.targets_file),
    };
    let settings = Settings { inventory, ..Settings::from(config.clone()) };
    let source = match history {
        Some(history) => history,
        None => Source::files(&args.files, window, config.watchdog())?,
    };
    print(&played(&source, &settings, &targets).await?, args.output)?;
    Ok(ExitCode::SUCCESS)
}

/// What is seen of `source` with these settings, on a page that has components of these targets. What is not known of it is
/// said on stderr.
async fn played(source: &Source, settings: &Settings, targets: &Inventory) -> anyhow::Result<Printed> {
    let watchdog = settings.config.watchdog();
    let (arrivals, causes): (Vec<_>, Vec<_>) = source.arrivals(watchdog).into_iter().unzip();
    let story = play(settings, targets, &arrivals, source.until()).await?;
    let story = match source.since() {
        Some(since) => story.since(since),
        None => story,
    };
    for unknown in source.unknown(watchdog, targets, &story) {
        writeln!(io::stderr(), "note: {unknown}")?;
    }
    Ok(Printed::new(&story, source.played(), &causes, source.left_out()))
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
