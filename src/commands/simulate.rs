//! `simulate`: what the page would have shown, had these notifications met this configuration. Writes nothing anywhere.

mod print;
mod records;

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use self::print::Printed;
use self::records::{LeftOut, Record};
use super::reconcile_settings;
use crate::cli::{Common, OutputForm, Simulate};
use crate::config::{self, TargetsFile};
use crate::core::incident::EpisodeSubject;
use crate::core::simulate::{Arrival, Rules, Story, simulate};
use crate::core::target::{Inventory, InventorySource};
use crate::core::watchdog::Watchdog;
use crate::reconcile::TargetsOfPage;

/// The most bytes of a file that are read.
const FILE_LIMIT_BYTES: u64 = 1 << 30;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// Reads the records, plays them and prints what would have been seen.
///
/// # Errors
/// When the configuration cannot be used, a file cannot be read, or there is no notification in any of them.
pub fn run(common: &Common, args: &Simulate) -> anyhow::Result<ExitCode> {
    let files = config::load(&common.config_file, &common.targets_file);
    let Some(config) = &files.config else {
        bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.config_file);
    };
    let inventory = match files.targets {
        TargetsFile::Read(inventory) => inventory,
        TargetsFile::Absent => {
            writeln!(io::stderr(), "note: without a targets file only those targets are known that alerts name")?;
            Inventory::new(InventorySource::Cachet, [])
        }
        TargetsFile::Unusable => bail!("{:?} cannot be used: run `alertmanager-cachet check`", common.targets_file),
    };
    let settings = reconcile_settings(config, Some(inventory.clone()), TargetsOfPage::default());
    let watchdog = settings.watchdog.as_ref();
    let (records, left_out) = read(args, watchdog)?;
    let (groups, refire_hold, policy) = (&config.groups, settings.refire_hold, settings.policy());
    let rules = Rules { groups, inventory: &inventory, refire_hold, watchdog, policy };
    let arrivals: Vec<Arrival> = records.iter().map(Record::arrival).collect();
    let story = simulate(rules, &arrivals);
    if let Some(note) = watchdog.and_then(|watchdog| note_on(watchdog, &arrivals, &story)) {
        writeln!(io::stderr(), "note: {note}")?;
    }
    let printed = Printed::new(&story, &records, &left_out, &settings.texts);
    let mut out = io::stdout().lock();
    match args.output {
        OutputForm::Text => write!(out, "{printed}")?,
        OutputForm::Json => writeln!(out, "{}", serde_json::to_string_pretty(&printed)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is uncertain of the watchdog, which a server may hear of in other ways as well.
fn note_on(watchdog: &Watchdog, arrivals: &[Arrival], story: &Story) -> Option<String> {
    let alertname = watchdog.alertname();
    if arrivals.iter().all(|arrival| arrival.heartbeats == 0) {
        return Some(format!(
            "the watchdog {alertname:?} is in none of the notifications, so its absence is not played"
        ));
    }
    let missing = story.incidents.iter().any(|incident| incident.subject == EpisodeSubject::Monitoring);
    missing.then(|| {
        format!(
            "the watchdog {alertname:?} is missing here when no notification brings it: a server with ALERTMANAGER_URL \
             hears it in Alertmanager's list as well"
        )
    })
}

/// The records of all files in the order of their times; of one time, in that in which they stand.
fn read(args: &Simulate, watchdog: Option<&Watchdog>) -> anyhow::Result<(Vec<Record>, Vec<LeftOut>)> {
    let (mut records, mut left_out) = (Vec::new(), Vec::new());
    for file in &args.files {
        let read = records::read(&text(file)?, &file.display().to_string(), watchdog);
        records.extend(read.records);
        left_out.extend(read.left_out);
    }
    if records.is_empty() {
        let reasons: Vec<String> = left_out.iter().take(3).map(|left_out| format!("\n  {left_out}")).collect();
        bail!(
            "there is no notification to play: give the log of `serve`, or files with what Alertmanager posted{}",
            reasons.concat()
        );
    }
    records.sort_by_key(|record| record.at);
    Ok((records, left_out))
}

/// What is in a file; what is no UTF-8 in it is replaced.
fn text(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new(STDIN) {
        io::stdin().lock().take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|opened| opened.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes))
    }
    .with_context(|| format!("{file:?} cannot be read: check its name and permissions"))?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES {
        bail!("{file:?} is larger than {} MiB: split it", FILE_LIMIT_BYTES >> 20);
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
