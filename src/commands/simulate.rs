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
use crate::core::simulate::{Arrival, Rules, simulate};
use crate::core::target::{Inventory, InventorySource};

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
    let (records, left_out) = read(args)?;
    let settings = reconcile_settings(config, Some(inventory.clone()));
    let (groups, policy) = (&config.groups, settings.policy());
    let rules = Rules { groups, inventory: &inventory, refire_hold: settings.refire_hold, policy };
    let arrivals: Vec<Arrival> =
        records.iter().map(|record| Arrival { at: record.at, alerts: record.notification.alerts.clone() }).collect();
    let story = simulate(rules, &arrivals);
    let printed = Printed::new(&story, &records, &left_out, &settings.texts.new_incident_name);
    let mut out = io::stdout().lock();
    match args.output {
        OutputForm::Text => write!(out, "{printed}")?,
        OutputForm::Json => writeln!(out, "{}", serde_json::to_string_pretty(&printed)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The records of all files in the order of their times; of one time, in that in which they stand.
fn read(args: &Simulate) -> anyhow::Result<(Vec<Record>, Vec<LeftOut>)> {
    let (mut records, mut left_out) = (Vec::new(), Vec::new());
    for file in &args.files {
        let read = records::read(&text(file)?, &file.display().to_string());
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
