//! What `simulate` plays: recorded notifications, or what the history of a server kept ([`Kept`]); and what the history does
//! not know ([`Unknown`]).
//!
//! The history keeps what changed what is known of an alert, and how: so the alerts are played exactly, whatever the
//! configuration says, for none of it decides what a notification changes. Operators' holds are played as well. What
//! people changed in Cachet and announced there is not, and of the watchdog only the absences that were noticed are known.

use std::collections::BTreeSet;
use std::fmt;

use super::alert::Alert;
use super::expiry::WatchdogAlert;
use super::history::{About, AlertHappening, Event, Happening, Source};
use super::target::{Inventory, InventorySource, TargetName};
use super::time::Timestamp;
use super::uptime::Span;
use super::watchdog::Watchdog;

/// How many targets a sentence names.
const NAMED: usize = 3;

/// What was told at one moment. They are given in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Timestamp,
    /// What, in the order in which it counts.
    pub told: Vec<Told>,
}

/// Something that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A notification.
    Notified {
        /// Its alerts of the page.
        alerts: Vec<Alert>,
        /// Its alerts of the watchdog, which are applied before the others.
        watchdogs: Vec<WatchdogAlert>,
    },
    /// The history knows this of an alert.
    Learned(AlertHappening),
    /// The history knows this of a hold, or of the watchdog.
    Happened(Happening),
}

/// What the history kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// From when on it has everything. Of what was before, it has what was not over by then.
    pub from: Timestamp,
    /// What was learned of alerts, in the order in which it was kept.
    pub alerts: Vec<AlertHappening>,
    /// What happened, in the order in which it was kept.
    pub events: Vec<Happening>,
    /// When the watchdog was heard last.
    pub last_heartbeat: Option<Timestamp>,
}

/// Something that the history does not know, and a replay therefore neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// The history does not go back as far as was asked for.
    Beginning {
        /// When it begins.
        from: Timestamp,
    },
    /// The server was not running.
    NotRunning(Span),
    /// People changed the page in Cachet.
    People {
        /// How often.
        times: usize,
    },
    /// Incidents were held back by maintenance.
    Maintenance {
        /// How many.
        incidents: usize,
    },
    /// Alerts were corrected without a notification.
    Corrected {
        /// How often.
        times: usize,
    },
    /// Nothing is known of any watchdog.
    NoWatchdog {
        /// The one that is configured.
        alertname: String,
    },
    /// Shorter absences of the watchdog than those that were noticed are not known.
    ShortAbsences {
        /// The one that is configured.
        alertname: String,
    },
    /// There were alerts of targets that the targets file does not name.
    OtherTargets(BTreeSet<TargetName>),
}

impl Kept {
    /// What arrived when, for a server that listens for `watchdog`.
    ///
    /// The order is that in which it was kept, and time never goes back: what a reading of Alertmanager or a clock that was
    /// set back dated earlier than what was known by then counts at that moment.
    pub fn arrivals(&self, watchdog: Option<&Watchdog>) -> Vec<Arrival> {
        // An alert that is the watchdog now would not be one of the page.
        let is_watchdog =
            |happening: &AlertHappening| watchdog.is_some_and(|watchdog| watchdog.alertname() == happening.name);
        let learned = self.alerts.iter().filter(|happening| !is_watchdog(happening));
        let learned = in_order(learned.map(|happening| (happening.at, Told::Learned(happening.clone()))));
        let happened = |counts: fn(&Event) -> bool| {
            let counting = self.events.iter().filter(move |happening| counts(&happening.event));
            in_order(counting.map(|happening| (moment(happening), Told::Happened(happening.clone()))))
        };
        let mut told: Vec<(Timestamp, Told)> =
            learned.chain(happened(is_of_hold)).chain(happened(is_of_watchdog)).collect();
        told.sort_by_key(|(at, _)| *at);
        if self.knows_a_watchdog() {
            // Unless the first that is known says otherwise, it is heard in the beginning.
            let at = told.first().map_or(self.from, |(at, _)| self.from.min(*at));
            let heard = Happening { at, about: About::Everything, event: Event::WatchdogHeard };
            told.insert(0, (at, Told::Happened(heard)));
        }
        let mut arrivals: Vec<Arrival> = Vec::new();
        for (at, told) in told {
            match arrivals.last_mut().filter(|last| last.at == at) {
                Some(last) => last.told.push(told),
                None => arrivals.push(Arrival { at, told: vec![told] }),
            }
        }
        arrivals
    }

    /// What is not known of the time in `window`, for a replay with `watchdog` and the targets of `inventory`.
    pub fn unknown(&self, watchdog: Option<&Watchdog>, inventory: &Inventory, window: Span) -> Vec<Unknown> {
        let is_in_window = |at: Timestamp| window.from <= at && at < window.until;
        let events: Vec<&Happening> = self.events.iter().filter(|happening| is_in_window(happening.at)).collect();
        let alerts: Vec<&AlertHappening> = self.alerts.iter().filter(|happening| is_in_window(happening.at)).collect();
        let mut unknown = Vec::new();
        if window.from < self.from {
            unknown.push(Unknown::Beginning { from: self.from });
        }
        unknown.extend(events.iter().filter_map(|happening| match happening.event {
            Event::NotRunning { since_ms } => {
                Some(Unknown::NotRunning(Span { from: Timestamp::from_millis(since_ms), until: happening.at }))
            }
            _ => None,
        }));
        let count = |is_one: fn(&Event) -> bool| events.iter().filter(|happening| is_one(&happening.event)).count();
        let people =
            count(|event| matches!(event, Event::StatusOverridden { .. } | Event::IncidentClosedByPerson { .. }));
        let held_back = count(|event| matches!(event, Event::IncidentHeldBack { .. }));
        let notified = |source| matches!(source, Source::Notification | Source::Page);
        let corrected = alerts.iter().filter(|happening| !notified(happening.source)).count();
        unknown.extend((people > 0).then_some(Unknown::People { times: people }));
        unknown.extend((held_back > 0).then_some(Unknown::Maintenance { incidents: held_back }));
        unknown.extend((corrected > 0).then_some(Unknown::Corrected { times: corrected }));
        unknown.extend(watchdog.and_then(|watchdog| self.unknown_of(watchdog)));
        unknown.extend(other_targets(&alerts, inventory));
        unknown
    }

    fn knows_a_watchdog(&self) -> bool {
        let is_heard = self.last_heartbeat.is_some_and(|last| last >= self.from);
        is_heard || self.events.iter().any(|happening| is_of_watchdog(&happening.event))
    }

    fn unknown_of(&self, watchdog: &Watchdog) -> Option<Unknown> {
        let alertname = watchdog.alertname().to_owned();
        if !self.knows_a_watchdog() {
            return Some(Unknown::NoWatchdog { alertname });
        }
        // How long it had to be missing for the server to notice.
        let noticed = self.events.iter().filter_map(|happening| match happening.event {
            Event::WatchdogMissing { since_ms } => Some(happening.at.since(Timestamp::from_millis(since_ms))),
            _ => None,
        });
        match noticed.max() {
            Some(noticed) if noticed <= watchdog.timeout() => None,
            _ => Some(Unknown::ShortAbsences { alertname }),
        }
    }
}

/// When an event counts.
fn moment(happening: &Happening) -> Timestamp {
    match happening.event {
        // Nothing is heard of it from then on; when that is too long is for the rules to say.
        Event::WatchdogMissing { since_ms } => Timestamp::from_millis(since_ms),
        _ => happening.at,
    }
}

fn is_of_hold(event: &Event) -> bool {
    matches!(event, Event::Held { .. } | Event::Released { .. } | Event::HoldExpired)
}

fn is_of_watchdog(event: &Event) -> bool {
    matches!(event, Event::WatchdogMissing { .. } | Event::WatchdogHeard)
}

/// The same, with times that never go back.
fn in_order(told: impl Iterator<Item = (Timestamp, Told)>) -> impl Iterator<Item = (Timestamp, Told)> {
    told.scan(None, |latest: &mut Option<Timestamp>, (at, told)| {
        let at = latest.map_or(at, |latest| latest.max(at));
        *latest = Some(at);
        Some((at, told))
    })
}

fn other_targets(alerts: &[&AlertHappening], inventory: &Inventory) -> Option<Unknown> {
    let names = alerts.iter().map(|happening| happening.target.name());
    let others: BTreeSet<TargetName> = names.filter(|name| inventory.get(name).is_none()).collect();
    let has_the_say = inventory.source() == InventorySource::File;
    (has_the_say && !others.is_empty()).then_some(Unknown::OtherTargets(others))
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Beginning { from } => {
                write!(f, "the history begins {from}: of what was before, only what was not over by then is known")
            }
            Self::NotRunning(Span { from, until }) => write!(
                f,
                "the server was not running from {from} to {until}: what happened meanwhile is played when it was learned"
            ),
            Self::People { times } => write!(f, "what people changed on the page is not played: {times} in this time"),
            Self::Maintenance { incidents } => write!(
                f,
                "announced maintenance is not played: of the incidents here, it held back {incidents} in this time"
            ),
            Self::Corrected { times } => write!(
                f,
                "what was learned of alerts without a notification is played as the server learned it, whatever \
                 alertmanager_settle_seconds and stale_after_seconds say now: {times} in this time"
            ),
            Self::NoWatchdog { alertname } => {
                write!(f, "the history knows of no watchdog, so the absence of {alertname:?} is not played")
            }
            Self::ShortAbsences { alertname } => write!(
                f,
                "the history knows when the watchdog was missing by the timeout_seconds of that time: that {alertname:?} \
                 stayed away for less is not known, and not played"
            ),
            Self::OtherTargets(names) => {
                let named: Vec<String> = names.iter().take(NAMED).map(|name| format!("{:?}", name.as_str())).collect();
                write!(f, "the targets file does not name {}", named.join(", "))?;
                if names.len() > NAMED {
                    write!(f, " and {} more", names.len() - NAMED)?;
                }
                f.write_str(": their alerts are played with the labels that they had then")
            }
        }
    }
}

#[cfg(test)]
mod tests;
