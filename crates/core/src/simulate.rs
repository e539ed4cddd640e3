//! What `simulate` plays: recorded notifications, or what the history of a server kept ([`Kept`]); and what the history does
//! not know.
//!
//! The history keeps what changed what is known of an alert, and how: so the alerts are played exactly, whatever the
//! configuration says, for none of it decides what a notification changes. Operators' overrides are played as well. What
//! people changed in Cachet and announced there is not, and of the watchdog only the absences that were noticed are known.

use std::collections::BTreeSet;

use super::alert::Alert;
use super::expiry::WatchdogAlert;
use super::history::{About, AlertEvent, Event, EventKind, Source};
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
        /// Where it stands: file and line.
        place: String,
        /// Its alerts of the page.
        alerts: Vec<Alert>,
        /// Its alerts of the watchdog, which are applied before the others.
        watchdogs: Vec<WatchdogAlert>,
    },
    /// The history knows this of an alert.
    Learned(AlertEvent),
    /// The history knows this of an override, or of the watchdog.
    Happened(Event),
}

/// What was `told`, in the order of its times, by the moments at which it was.
pub fn arrivals_of(told: impl IntoIterator<Item = (Timestamp, Told)>) -> Vec<Arrival> {
    let mut arrivals: Vec<Arrival> = Vec::new();
    for (at, told) in told {
        match arrivals.last_mut().filter(|last| last.at == at) {
            Some(last) => last.told.push(told),
            None => arrivals.push(Arrival { at, told: vec![told] }),
        }
    }
    arrivals
}

/// What the history kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// From when on it has everything. Of what was before, it has what was not over by then.
    pub from: Timestamp,
    /// What was learned of alerts, in the order in which it was kept.
    pub alerts: Vec<AlertEvent>,
    /// What happened, in the order in which it was kept.
    pub events: Vec<Event>,
    /// When the watchdog was heard last.
    pub last_heartbeat: Option<Timestamp>,
}

impl Kept {
    /// What arrived when, for a server that listens for `watchdog`.
    ///
    /// The order is that in which it was kept, and time never goes back: what a reading of Alertmanager or a clock that was
    /// set back dated earlier than what was known by then counts at that moment.
    pub fn arrivals(&self, watchdog: Option<&Watchdog>) -> Vec<Arrival> {
        // An alert that is the watchdog now would not be one of the page.
        let is_watchdog = |event: &AlertEvent| watchdog.is_some_and(|watchdog| watchdog.alertname() == event.name);
        let learned = self.alerts.iter().filter(|event| !is_watchdog(event));
        let learned = in_order(learned.map(|event| (event.at, Told::Learned(event.clone()))));
        let happened = |counts: fn(&EventKind) -> bool| {
            let counting = self.events.iter().filter(move |event| counts(&event.kind));
            in_order(counting.map(|event| {
                let at = match event.kind {
                    // Nothing is heard of it from then on; when that is too long is for the rules to say.
                    EventKind::WatchdogMissing { since_ms } => Timestamp::from_millis(since_ms),
                    _ => event.at,
                };
                (at, Told::Happened(event.clone()))
            }))
        };
        let of_overrides = happened(|event| {
            matches!(
                event,
                EventKind::OverrideSet { .. } | EventKind::OverrideEnded { .. } | EventKind::OverrideExpired
            )
        });
        let mut told: Vec<(Timestamp, Told)> = learned.chain(of_overrides).chain(happened(is_of_watchdog)).collect();
        told.sort_by_key(|(at, _)| *at);
        if self.knows_a_watchdog() {
            // Unless the first that is known says otherwise, it is heard in the beginning.
            let at = told.first().map_or(self.from, |(at, _)| self.from.min(*at));
            let heard = Event { at, about: About::Everything, kind: EventKind::WatchdogHeard };
            told.insert(0, (at, Told::Happened(heard)));
        }
        arrivals_of(told)
    }

    /// What is not known of the time in `window`, for a replay with `watchdog` and the targets of `inventory`: a sentence
    /// each.
    pub fn unknown(&self, watchdog: Option<&Watchdog>, inventory: &Inventory, window: Span) -> Vec<String> {
        let is_in_window = |at: Timestamp| window.from <= at && at < window.until;
        let events: Vec<&Event> = self.events.iter().filter(|event| is_in_window(event.at)).collect();
        let alerts: Vec<&AlertEvent> = self.alerts.iter().filter(|event| is_in_window(event.at)).collect();
        let mut unknown = Vec::new();
        if window.from < self.from {
            let from = self.from;
            unknown.push(format!(
                "the history begins {from}: of what was before, only what was not over by then is known"
            ));
        }
        for event in &events {
            if let EventKind::NotRunning { since_ms } = event.kind {
                let (from, until) = (Timestamp::from_millis(since_ms), event.at);
                unknown.push(format!(
                    "the server was not running from {from} to {until}: what happened meanwhile is played when it was \
                     learned"
                ));
            }
        }
        let count = |is_one: fn(&EventKind) -> bool| events.iter().filter(|event| is_one(&event.kind)).count();
        let people = count(|event| {
            matches!(event, EventKind::StatusOverridden { .. } | EventKind::IncidentClosedByPerson { .. })
        });
        if people > 0 {
            unknown.push(format!("what people changed on the page is not played: {people} in this time"));
        }
        let suppressed = count(|event| matches!(event, EventKind::IncidentSuppressed { .. }));
        if suppressed > 0 {
            unknown.push(format!(
                "announced maintenance is not played: of the incidents here, it held back {suppressed} in this time"
            ));
        }
        let notified = |source| matches!(source, Source::Notification | Source::Page);
        let corrected = alerts.iter().filter(|event| !notified(event.source)).count();
        if corrected > 0 {
            unknown.push(format!(
                "what was learned of alerts without a notification is played as the server learned it, whatever \
                 alertmanager_settle_seconds and stale_after_seconds say now: {corrected} in this time"
            ));
        }
        if let Some(watchdog) = watchdog {
            let alertname = watchdog.alertname();
            // How long it had to be missing for the server to notice.
            let noticed = self.events.iter().filter_map(|event| match event.kind {
                EventKind::WatchdogMissing { since_ms } => Some(event.at.since(Timestamp::from_millis(since_ms))),
                _ => None,
            });
            if !self.knows_a_watchdog() {
                unknown
                    .push(format!("the history knows of no watchdog, so the absence of {alertname:?} is not played"));
            } else if noticed.max().is_none_or(|noticed| noticed > watchdog.timeout()) {
                unknown.push(format!(
                    "the history knows when the watchdog was missing by the timeout_seconds of that time: that \
                     {alertname:?} stayed away for less is not known, and not played"
                ));
            }
        }
        let names = alerts.iter().map(|event| event.target.name());
        let others: BTreeSet<TargetName> = names.filter(|name| inventory.get(name).is_none()).collect();
        if inventory.source() == InventorySource::File && !others.is_empty() {
            let named: Vec<String> = others.iter().take(NAMED).map(|name| format!("{:?}", name.as_str())).collect();
            let more = match others.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            unknown.push(format!(
                "the targets file does not name {}{more}: their alerts are played with the labels that they had then",
                named.join(", ")
            ));
        }
        unknown
    }

    /// Whether the history has heard of any watchdog.
    fn knows_a_watchdog(&self) -> bool {
        let is_heard = self.last_heartbeat.is_some_and(|last| last >= self.from);
        is_heard || self.events.iter().any(|event| is_of_watchdog(&event.kind))
    }
}

fn is_of_watchdog(event: &EventKind) -> bool {
    matches!(event, EventKind::WatchdogMissing { .. } | EventKind::WatchdogHeard)
}

/// The same, with times that never go back.
fn in_order(told: impl Iterator<Item = (Timestamp, Told)>) -> impl Iterator<Item = (Timestamp, Told)> {
    told.scan(None, |latest: &mut Option<Timestamp>, (at, told)| {
        let at = latest.map_or(at, |latest| latest.max(at));
        *latest = Some(at);
        Some((at, told))
    })
}

#[cfg(test)]
mod tests;
