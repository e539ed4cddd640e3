//! `simulate`: what the page would have shown, had what happened met this configuration. Writes nothing anywhere.

mod play;
mod records;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Serialize;

#[cfg(feature = "internals")]
pub use self::play::Seen;
pub use self::play::{Story, play};
use self::records::{LeftOut, Record, Records};
use super::usable_settings;
use crate::cli::{Common, Simulate, TextOrJson};
use crate::clock;
use crate::config::counted;
use crate::core::page::inventory_of;
use crate::core::simulate::{Arrival, Kept, Told, arrivals_of};
use crate::core::target::{Inventory, InventorySource};
use crate::core::time::Timestamp;
use crate::core::uptime::Span;
use crate::core::watchdog::Watchdog;
use crate::store::Store;

/// The most bytes of a file that are read.
const FILE_LIMIT_BYTES: u64 = 1 << 30;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// Reads what happened, plays it and prints what would have been seen; what is not known of it is said on stderr.
///
/// # Errors
/// When the configuration cannot be used, what is to be played cannot be read, or there is nothing to play.
pub(crate) async fn run(common: &Common, args: &Simulate) -> anyhow::Result<ExitCode> {
    let settings = usable_settings(common)?;
    if let (Some(since), Some(until)) = (args.since, args.until)
        && since >= until
    {
        bail!("nothing is between --since ({since}) and --until ({until}): give an earlier and a later time");
    }
    let store = if args.from_store { Some(Store::open_read_only(&common.storage_url).await?) } else { None };
    let observed = match &store {
        Some(store) if settings.inventory.is_none() => store.observed().await?.map(|(observed, _)| observed),
        _ => None,
    };
    let targets = match (&settings.inventory, observed) {
        (Some(inventory), _) => inventory.clone(),
        // Those that the server read in Cachet last.
        (None, Some(observed)) => inventory_of(&observed),
        (None, None) => {
            writeln!(io::stderr(), "note: without a targets file only those targets are known that alerts name")?;
            Inventory::new(InventorySource::Cachet, [])
        }
    };
    let watchdog = settings.config.watchdog();
    let mut simulation = match &store {
        Some(store) => Simulation::of_history(&store.kept().await?, args, clock::now(), watchdog, &targets)?,
        None => Simulation::of_files(args, watchdog)?,
    };
    let mut story = play(&settings, &targets, &simulation.arrivals, simulation.until).await?;
    if let Some(since) = simulation.since {
        story = story.since(since);
    }
    let is_blind = story.incidents.iter().any(|incident| incident.component.is_none());
    for unknown in simulation.unknown.iter().chain(simulation.unknown_when_blind.iter().filter(|_| is_blind)) {
        writeln!(io::stderr(), "note: {unknown}")?;
    }
    simulation.story = story;
    let mut out = io::stdout().lock();
    match args.output {
        TextOrJson::Text => write!(out, "{simulation}")?,
        TextOrJson::Json => writeln!(out, "{}", serde_json::to_string_pretty(&simulation)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is played, recorded notifications or what the history in the store kept, and how it is told.
#[derive(Default, Serialize)]
struct Simulation {
    /// How many recorded notifications are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    notifications: Option<usize>,
    /// How much of what the history has learned of alerts is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<usize>,
    /// How many alerts of the page it is about: in notifications, those of each are counted.
    alerts: usize,
    /// The time that is told.
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    /// What would have been seen.
    #[serde(flatten)]
    story: Story,
    /// What could not be read.
    left_out: Vec<LeftOut>,
    /// In the order of their times.
    #[serde(skip)]
    arrivals: Vec<Arrival>,
    /// From then on it is told; `None`: from its beginning.
    #[serde(skip)]
    since: Option<Timestamp>,
    /// Up to then it is played; `None`: until nothing changes any more.
    #[serde(skip)]
    until: Option<Timestamp>,
    /// What a replay of it does not know.
    #[serde(skip)]
    unknown: Vec<String>,
    /// What it does not know either if the watchdog is missing in it.
    #[serde(skip)]
    unknown_when_blind: Option<String>,
}

impl Simulation {
    /// The records of all files in the order of their times; of one time, in that in which they stand. Of notifications that
    /// came at the same moment, the page shows what is left.
    ///
    /// # Errors
    /// When a file cannot be read, or there is no notification in any of them.
    fn of_files(args: &Simulate, watchdog: Option<&Watchdog>) -> anyhow::Result<Self> {
        let mut read = Records { watchdog, ..Records::default() };
        for file in &args.files {
            read.file(&text(file)?, &file.display().to_string());
        }
        let Records { mut records, left_out, .. } = read;
        if records.is_empty() {
            let reasons: Vec<String> = left_out.iter().take(3).map(|left_out| format!("\n  {left_out}")).collect();
            bail!(
                "there is no notification to play: give the log of `serve`, or files with what Alertmanager posted{}",
                reasons.concat()
            );
        }
        records.sort_by_key(|record| record.at);
        let is_told =
            |at: Timestamp| args.since.is_none_or(|since| since <= at) && args.until.is_none_or(|until| at < until);
        let told: Vec<_> = records.iter().filter(|record| is_told(record.at)).collect();
        let mut simulation = Self {
            notifications: Some(told.len()),
            alerts: told.iter().map(|record| record.notification.alerts.len()).sum(),
            from: args.since.or(told.first().map(|record| record.at)),
            to: args.until.or(told.last().map(|record| record.at)),
            since: args.since,
            until: args.until,
            left_out,
            ..Self::default()
        };
        // A server may hear of the watchdog in other ways than notifications as well.
        if let Some(alertname) = watchdog.map(Watchdog::alertname) {
            if records.iter().all(|record| record.notification.heartbeats() == 0) {
                simulation.unknown.push(format!(
                    "the watchdog {alertname:?} is in none of the notifications, so its absence is not played"
                ));
            } else {
                simulation.unknown_when_blind = Some(format!(
                    "the watchdog {alertname:?} is missing here when no notification brings it: a server with \
                     ALERTMANAGER_URL hears it in Alertmanager's list as well"
                ));
            }
        }
        let told = records.into_iter().map(|Record { at, place, notification }| {
            (at, Told::Notified { place, alerts: notification.alerts, watchdogs: notification.watchdogs })
        });
        simulation.arrivals = arrivals_of(told);
        Ok(simulation)
    }

    /// What the history kept, up to `now` at most: what comes later it does not know. Of what was before it, there is the
    /// page with which it begins.
    ///
    /// # Errors
    /// When it has nothing of the time that is looked at.
    fn of_history(
        kept: &Kept,
        args: &Simulate,
        now: Timestamp,
        watchdog: Option<&Watchdog>,
        targets: &Inventory,
    ) -> anyhow::Result<Self> {
        let until = args.until.map_or(now, |until| until.min(now));
        let span = Span { from: args.since.unwrap_or(kept.from), until };
        if until <= kept.from {
            bail!("the history begins {}, and has nothing from before {until}: give a later --until", kept.from);
        }
        if until <= span.from {
            bail!("nothing is known yet of what comes after --since ({}): give an earlier time", span.from);
        }
        let learned = kept.alerts.iter().filter(|event| span.from <= event.at && event.at < until);
        Ok(Self {
            changes: Some(learned.clone().count()),
            alerts: learned.map(|event| event.fingerprint).collect::<BTreeSet<_>>().len(),
            from: Some(span.from.max(kept.from)),
            to: Some(until),
            arrivals: kept.arrivals(watchdog),
            since: Some(span.from),
            until: Some(until),
            unknown: kept.unknown(watchdog, targets, span),
            ..Self::default()
        })
    }
}

/// What is in a file; what is no UTF-8 in it is replaced.
fn text(file: &PathBuf) -> anyhow::Result<String> {
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

impl fmt::Display for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alerts = counted(self.alerts, "alert");
        match self.changes {
            Some(count) => write!(f, "{} of {alerts} of the page", counted(count, "change"))?,
            None => {
                let notifications = counted(self.notifications.unwrap_or_default(), "notification");
                write!(f, "{notifications} with {alerts} of the page")?;
            }
        }
        if let (Some(from), Some(to)) = (self.from, self.to) {
            write!(f, ", from {from} to {to}")?;
        }
        write!(f, "\n{}", self.story)?;
        self.left_out.iter().try_for_each(|left_out| writeln!(f, "\nleft out: {left_out}"))
    }
}
