//! What is played: recorded notifications, or what the history in the store kept.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::print::Played;
use super::records::{self, LeftOut, Record};
use super::story::Story;
use crate::cli::Simulate;
use crate::core::history::About;
use crate::core::simulate::{Arrival, Kept, Told};
use crate::core::target::Inventory;
use crate::core::time::Timestamp;
use crate::core::uptime::Span;
use crate::core::watchdog::Watchdog;

/// The most bytes of a file that are read.
const FILE_LIMIT_BYTES: u64 = 1 << 30;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// What is played.
pub(super) enum Source {
    /// Notifications, in the order of their times.
    Notifications {
        /// Those that can be played.
        records: Vec<Record>,
        /// Those that cannot.
        left_out: Vec<LeftOut>,
        /// What is told of them.
        window: Window,
    },
    /// What the history kept.
    History {
        /// All of it.
        kept: Kept,
        /// What is told of it.
        span: Span,
    },
}

/// The time that is looked at, as far as it is limited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// From then on it is told.
    pub since: Option<Timestamp>,
    /// Up to then it is played.
    pub until: Option<Timestamp>,
}

impl Window {
    /// What the command line says at `now`.
    ///
    /// # Errors
    /// When there is no time in it.
    pub fn new(args: &Simulate, now: Timestamp) -> anyhow::Result<Self> {
        let window = Self { since: args.since.map(|when| when.at(now)), until: args.until.map(|when| when.at(now)) };
        if let Self { since: Some(since), until: Some(until) } = window
            && since >= until
        {
            bail!("nothing is between --since ({since}) and --until ({until}): give an earlier and a later time");
        }
        Ok(window)
    }

    fn has(self, moment: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= moment) && self.until.is_none_or(|until| moment < until)
    }
}

impl Source {
    /// The records of all files in the order of their times; of one time, in that in which they stand.
    ///
    /// # Errors
    /// When a file cannot be read, or there is no notification in any of them.
    pub fn files(files: &[PathBuf], window: Window, watchdog: Option<&Watchdog>) -> anyhow::Result<Self> {
        let (mut records, mut left_out) = (Vec::new(), Vec::new());
        for file in files {
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
        Ok(Self::Notifications { records, left_out, window })
    }

    /// What the history kept, up to `now` at most: what comes later it does not know. Of what was before it, there is the
    /// page with which it begins.
    ///
    /// # Errors
    /// When it has nothing of the time that is looked at.
    pub fn history(kept: Kept, window: Window, now: Timestamp) -> anyhow::Result<Self> {
        let until = window.until.map_or(now, |until| until.min(now));
        let span = Span { from: window.since.unwrap_or(kept.from), until };
        if until <= kept.from {
            bail!("the history begins {}, and has nothing from before {until}: give a later --until", kept.from);
        }
        if until <= span.from {
            bail!("nothing is known yet of what comes after --since ({}): give an earlier time", span.from);
        }
        Ok(Self::History { kept, span })
    }

    /// From when on it is told; `None`: from its beginning.
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Self::Notifications { window, .. } => window.since,
            Self::History { span, .. } => Some(span.from),
        }
    }

    /// Up to when it is played; `None`: until nothing changes any more.
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Notifications { window, .. } => window.until,
            Self::History { span, .. } => Some(span.until),
        }
    }

    /// What arrived when, and what that is for people. Of notifications that came at the same moment, the page shows what
    /// is left.
    pub fn arrivals(&self, watchdog: Option<&Watchdog>) -> Vec<(Arrival, Cause)> {
        match self {
            Self::Notifications { records, .. } => {
                let moments = records.chunk_by(|one, next| one.at == next.at);
                let arrivals = moments.filter_map(|records| {
                    let arrival = Arrival { at: records.first()?.at, told: records.iter().map(Record::told).collect() };
                    let places = records.iter().map(|record| record.place.clone());
                    Some((arrival, Cause::Notifications(places.collect())))
                });
                arrivals.collect()
            }
            Self::History { kept, .. } => {
                let arrivals = kept.arrivals(watchdog).into_iter().map(|arrival| {
                    let learned = arrival.told.iter().filter_map(in_words).collect();
                    (arrival, Cause::Learned(learned))
                });
                arrivals.collect()
            }
        }
    }

    /// How much is told of it, and of which time.
    pub fn played(&self) -> Played {
        match self {
            Self::Notifications { records, window, .. } => {
                let records: Vec<&Record> = records.iter().filter(|record| window.has(record.at)).collect();
                Played::Notifications {
                    notifications: records.len(),
                    alerts: records.iter().map(|record| record.notification.alerts.len()).sum(),
                    from: window.since.or(records.first().map(|record| record.at)).as_ref().map(Timestamp::to_string),
                    to: window.until.or(records.last().map(|record| record.at)).as_ref().map(Timestamp::to_string),
                }
            }
            Self::History { kept, span } => {
                let is_told = |at: Timestamp| span.from <= at && at < span.until;
                let learned = || kept.alerts.iter().filter(|happening| is_told(happening.at));
                let alerts: BTreeSet<_> = learned().map(|happening| happening.fingerprint).collect();
                Played::History {
                    changes: learned().count(),
                    alerts: alerts.len(),
                    from: span.from.max(kept.from).to_string(),
                    to: span.until.to_string(),
                }
            }
        }
    }

    /// What could not be read of it.
    pub fn left_out(&self) -> &[LeftOut] {
        match self {
            Self::Notifications { left_out, .. } => left_out,
            Self::History { .. } => &[],
        }
    }

    /// What a replay with `watchdog` and these targets, which told `story`, does not know.
    pub fn unknown(&self, watchdog: Option<&Watchdog>, targets: &Inventory, story: &Story) -> Vec<String> {
        match self {
            Self::Notifications { records, .. } => {
                watchdog.and_then(|watchdog| unknown_of(watchdog, records, story)).into_iter().collect()
            }
            Self::History { kept, span } => kept.unknown(watchdog, targets, *span),
        }
    }
}

/// What an arrival is, in words.
pub(super) enum Cause {
    /// The notifications that stand at these places.
    Notifications(Vec<String>),
    /// What was learned.
    Learned(Vec<String>),
}

fn in_words(told: &Told) -> Option<String> {
    match told {
        Told::Learned(happening) => Some(happening.to_string()),
        Told::Happened(happening) => Some(match &happening.about {
            About::Component(component) => format!("{component}: {}", happening.event),
            About::Everything => happening.event.to_string(),
        }),
        Told::Notified { .. } => None,
    }
}

/// What is uncertain of the watchdog, which a server may hear of in other ways than notifications as well.
fn unknown_of(watchdog: &Watchdog, records: &[Record], story: &Story) -> Option<String> {
    let alertname = watchdog.alertname();
    if records.iter().all(|record| record.notification.heartbeats() == 0) {
        return Some(format!(
            "the watchdog {alertname:?} is in none of the notifications, so its absence is not played"
        ));
    }
    let missing = story.incidents.iter().any(|incident| incident.component.is_none());
    missing.then(|| {
        format!(
            "the watchdog {alertname:?} is missing here when no notification brings it: a server with ALERTMANAGER_URL \
             hears it in Alertmanager's list as well"
        )
    })
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
