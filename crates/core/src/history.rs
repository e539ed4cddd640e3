//! What happened, in the words in which it is kept and told: what was learned of alerts, and what became of components.
//!
//! Only what changed something is kept. A notification that repeats what is known is none of it, so the history grows
//! with what happens and not with time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::{AlertRecord, AlertState, Effect, Fingerprint};
use super::ledger::{OutageSubject, ResourceKey};
use super::observed::IncidentId;
use super::overrides::Override;
use super::repair::Reason;
use super::status::ComponentStatus;
use super::target::{ComponentName, Target, TargetName};
use super::time::Timestamp;

/// Something that was learned of an alert, and changed what is known of it.
///
/// It is all that the rules ask of an alert, so the same alerts can be played again. When it ended is not in it: which
/// occurrence a resolve meant is decided by then, and what counts besides is when we learned of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvent {
    /// When it was learned.
    pub at: Timestamp,
    /// Which alert.
    pub fingerprint: Fingerprint,
    /// The label `alertname`.
    pub name: String,
    /// What it is about.
    pub target: Target,
    /// The label `status_page_critical_target`.
    pub critical: bool,
    /// Which occurrence (`startsAt`).
    pub starts_at: Timestamp,
    /// What it did.
    pub kind: AlertEventKind,
    /// How that was learned.
    pub source: Source,
}

/// What an alert did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum AlertEventKind {
    /// It began to fire.
    Fired,
    /// It has ended.
    Resolved,
    /// It fires after its own resolve, which does not count yet.
    #[strum(serialize = "held")]
    Refired,
    /// The waiting firing was taken back.
    Withdrawn,
    /// The waiting firing counts.
    Confirmed,
}

/// How something was learned of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A notification said it.
    Notification,
    /// The page said it that was there before this store.
    Page,
    /// It was corrected.
    Repair(Reason),
}

impl AlertEventKind {
    /// The word for it in the store and in the API.
    pub fn word(self) -> &'static str {
        self.into()
    }

    /// What a notification made of an alert; `None` if it changed nothing.
    pub fn of_effect(effect: Effect) -> Option<Self> {
        match effect {
            Effect::Fired | Effect::FiredAgain => Some(Self::Fired),
            // One that never fired here is kept, too: played again, its late firing waits as it did.
            Effect::Resolved | Effect::ResolvedUnknown => Some(Self::Resolved),
            Effect::Refired => Some(Self::Refired),
            Effect::RefireWithdrawn => Some(Self::Withdrawn),
            // The alert still counts as firing, or is not stored: nothing to record.
            Effect::Repeated | Effect::Outdated | Effect::HeldResolve | Effect::OverLimit => None,
        }
    }

    /// What a correction made of an alert.
    pub fn of_repair(reason: Reason) -> Self {
        match reason {
            Reason::Unnotified | Reason::UnnotifiedAgain | Reason::Reappeared | Reason::TakenBack => Self::Fired,
            Reason::Confirmed => Self::Confirmed,
            Reason::Refuted => Self::Withdrawn,
            Reason::Unlisted | Reason::ResolveConfirmed | Reason::Stale => Self::Resolved,
        }
    }

    /// Whether the alert goes on after it.
    pub fn standing(self) -> Standing {
        match self {
            Self::Fired | Self::Refired | Self::Confirmed => Standing::Ongoing,
            Self::Resolved | Self::Withdrawn => Standing::Over,
        }
    }
}

impl Source {
    /// The word for it in the store and in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Page => "page",
            Self::Repair(reason) => reason.word(),
        }
    }

    /// The source with that word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "notification" => Some(Self::Notification),
            "page" => Some(Self::Page),
            _ => word.parse().ok().map(Self::Repair),
        }
    }
}

impl AlertEvent {
    /// What was learned at `at`, given what is known of the alert since.
    pub fn of(record: &AlertRecord, kind: AlertEventKind, source: Source, at: Timestamp) -> Self {
        Self {
            at,
            fingerprint: record.fingerprint,
            name: record.name.clone(),
            target: record.target.clone(),
            critical: record.critical,
            starts_at: record.starts_at,
            kind,
            source,
        }
    }

    /// What is known of the alert since, if it was learned at `at`.
    pub fn record(&self, at: Timestamp) -> AlertRecord {
        let state = match (self.kind, self.source) {
            (AlertEventKind::Fired, Source::Page) => AlertState::Adopted,
            (AlertEventKind::Fired | AlertEventKind::Confirmed, _) => AlertState::Firing,
            (AlertEventKind::Refired, _) => AlertState::Refired { since: at },
            (AlertEventKind::Resolved | AlertEventKind::Withdrawn, _) => AlertState::Resolved,
        };
        AlertRecord {
            fingerprint: self.fingerprint,
            name: self.name.clone(),
            target: self.target.clone(),
            critical: self.critical,
            starts_at: self.starts_at,
            reported_starts_at: self.starts_at,
            state,
            ends_at: None,
            last_seen_at: at,
        }
    }
}

/// One line, without the time.
impl fmt::Display for AlertEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, instance) = (&self.name, self.target.instance());
        match self.kind {
            AlertEventKind::Fired => write!(f, "{name} of {instance} fired")?,
            AlertEventKind::Resolved => write!(f, "{name} of {instance} was resolved")?,
            AlertEventKind::Refired => write!(f, "{name} of {instance} fired after its own resolve, and is held")?,
            AlertEventKind::Withdrawn => {
                write!(f, "{name} of {instance} does not fire again: what was held is dropped")?
            }
            AlertEventKind::Confirmed => write!(f, "{name} of {instance} fires again, and is not held any longer")?,
        }
        f.write_str(match self.source {
            Source::Notification => "",
            Source::Page => ", as the page says that was there before",
            Source::Repair(Reason::Unnotified | Reason::UnnotifiedAgain) => {
                ": Alertmanager lists it, and no notification of it came"
            }
            Source::Repair(Reason::Reappeared | Reason::Confirmed) => ": Alertmanager lists it",
            Source::Repair(Reason::Refuted) => ": Alertmanager does not list it",
            Source::Repair(Reason::Unlisted) => ": Alertmanager did not list it twice in a row, and no resolve came",
            Source::Repair(Reason::ResolveConfirmed) => ": its held resolve is confirmed",
            Source::Repair(Reason::TakenBack) => " still: Prometheus died before its resolve",
            Source::Repair(Reason::Stale) => ": nothing was heard of it for stale_after_seconds",
        })
    }
}

/// What an [`EventKind`] is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum About {
    /// A visible component.
    Component(ComponentName),
    /// A target's own component. The history does not keep what is about it, for that says what its alerts said.
    Target(TargetName),
    /// The server, or the monitoring: every component.
    Everything,
}

impl From<&ResourceKey> for About {
    fn from(key: &ResourceKey) -> Self {
        match key {
            ResourceKey::Component(name) | ResourceKey::Incident(OutageSubject::Component(name)) => {
                Self::Component(name.clone())
            }
            ResourceKey::Incident(OutageSubject::Monitoring) | ResourceKey::Structure => Self::Everything,
            ResourceKey::Target(name) => Self::Target(name.clone()),
        }
    }
}

/// Something that happened to a component, or to all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// To what.
    pub about: About,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// The status that the component must show changed: by the rules, or by an override.
    Status {
        /// What it was; `None`: nothing was said of it.
        from: Option<ComponentStatus>,
        /// What it is; `None`: nothing is said of it any more.
        to: Option<ComponentStatus>,
    },
    /// The status was written to the page.
    Written {
        /// What the page showed; `None` for a number that has no meaning.
        from: Option<ComponentStatus>,
        /// What it shows now.
        to: ComponentStatus,
        /// Whether it had shown it before, and the page carried out an older write after that.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
    /// Something could not be written to the page; kept once for each cause.
    WriteFailed {
        /// What.
        change: String,
        /// Why, and the cure.
        error: String,
    },
    /// What could not be written can be written again.
    WritableAgain,
    /// An incident was opened.
    IncidentOpened {
        /// Its number on the page.
        incident: IncidentId,
        /// Its title. Empty in what earlier releases kept.
        #[serde(default)]
        title: String,
        /// When the outage began, in milliseconds since the Unix epoch. 0 in what earlier releases kept.
        #[serde(default)]
        occurred_at_ms: i64,
    },
    /// An incident was opened again.
    IncidentReopened {
        /// Its number on the page.
        incident: IncidentId,
        /// Why, where it is not for a relapse.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// An incident was closed.
    IncidentClosed {
        /// Its number on the page.
        incident: IncidentId,
        /// Why.
        reason: String,
    },
    /// An incident is suppressed: none is opened for the time of a maintenance.
    #[serde(rename = "incident_held_back")]
    #[strum(serialize = "incident_held_back")]
    IncidentSuppressed {
        /// The title of the maintenance.
        maintenance: String,
    },
    /// A person gave the component another status on the page.
    StatusOverridden {
        /// What we wrote.
        expected: ComponentStatus,
        /// What the page shows; `None` for a number that has no meaning.
        found: Option<ComponentStatus>,
    },
    /// A person closed the incident in the middle of the outage.
    IncidentClosedByPerson {
        /// Its number on the page.
        incident: IncidentId,
    },
    /// An operator overrides the status of the component.
    #[serde(rename = "held")]
    #[strum(serialize = "held")]
    OverrideSet {
        /// With which status.
        status: ComponentStatus,
        /// Until when, in milliseconds since the Unix epoch.
        until_ms: i64,
        /// Who.
        user: String,
        /// Why, in the user's words.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// An operator ended the override before its time.
    #[serde(rename = "released")]
    #[strum(serialize = "released")]
    OverrideEnded {
        /// Who.
        user: String,
    },
    /// The time of an override is over.
    #[serde(rename = "hold_expired")]
    #[strum(serialize = "hold_expired")]
    OverrideExpired,
    /// Nothing was heard of the watchdog for too long.
    WatchdogMissing {
        /// From when on, in milliseconds since the Unix epoch.
        since_ms: i64,
    },
    /// The watchdog is heard again.
    WatchdogHeard,
    /// The server was not running until now.
    NotRunning {
        /// When it last looked, in milliseconds since the Unix epoch.
        since_ms: i64,
    },
}

impl EventKind {
    /// The word for it in the store and in the API.
    pub fn word(&self) -> &'static str {
        self.into()
    }

    /// An operator sets an override.
    pub fn override_set(override_: &Override) -> Self {
        let (status, until_ms) = (override_.status, override_.until.as_millis());
        Self::OverrideSet { status, until_ms, user: override_.user.clone(), note: override_.note.clone() }
    }
}

/// One line, without the time.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { from: None, to: Some(to) } => write!(f, "must show {}", to.word()),
            Self::Status { from: Some(from), to: Some(to) } => {
                write!(f, "must show {} instead of {}", to.word(), from.word())
            }
            Self::Status { to: None, .. } => f.write_str("nothing is said of it any more"),
            Self::Written { from: Some(from), to, .. } => {
                write!(f, "written to the page: {} instead of {}", to.word(), from.word())
            }
            Self::Written { from: None, to, .. } => write!(f, "written to the page: {}", to.word()),
            Self::WriteFailed { change, error } => write!(f, "the page did not take it: {change}: {error}"),
            Self::WritableAgain => f.write_str("the page can be written again"),
            Self::IncidentOpened { incident, .. } => write!(f, "incident {} was opened", incident.0),
            Self::IncidentReopened { incident, .. } => write!(f, "incident {} was opened again", incident.0),
            Self::IncidentClosed { incident, reason } => write!(f, "incident {} was closed: {reason}", incident.0),
            Self::IncidentSuppressed { maintenance } => {
                write!(f, "no incident is opened during the maintenance {maintenance:?}")
            }
            Self::StatusOverridden { expected, found: Some(found) } => {
                write!(f, "a person set it to {} on the page instead of {}", found.word(), expected.word())
            }
            Self::StatusOverridden { expected, found: None } => {
                write!(f, "a person set it on the page to a status that we do not know instead of {}", expected.word())
            }
            Self::IncidentClosedByPerson { incident } => {
                write!(f, "a person closed incident {} in the middle of the outage", incident.0)
            }
            Self::OverrideSet { status, until_ms, user, note } => {
                let until = Timestamp::from_millis(*until_ms);
                write!(f, "{user} overrides it with {} until {until}", status.word())?;
                if note.is_empty() { Ok(()) } else { write!(f, ": {note}") }
            }
            Self::OverrideEnded { user } => write!(f, "{user} ended the override"),
            Self::OverrideExpired => f.write_str("the time of the override is over"),
            Self::WatchdogMissing { since_ms } => {
                let since = Timestamp::from_millis(*since_ms);
                write!(f, "nothing was heard of the watchdog since {since}: monitoring data is missing")
            }
            Self::WatchdogHeard => f.write_str("the watchdog is heard again"),
            Self::NotRunning { since_ms } => {
                write!(f, "the server was not running since {}", Timestamp::from_millis(*since_ms))
            }
        }
    }
}

/// What an event says of its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It goes on until the next one.
    Ongoing,
    /// Something is over with it.
    Over,
}

/// The sequence of events with this word, and what such an event says of it. `None`: it is over at once.
///
/// Events of a sequence end or replace one another: only the latest says what is the case.
pub fn sequence_of(word: &str) -> Option<(&'static str, Standing)> {
    match word {
        "status" => Some(("status", Standing::Ongoing)),
        "held" => Some(("override", Standing::Ongoing)),
        "released" | "hold_expired" => Some(("override", Standing::Over)),
        "watchdog_missing" => Some(("watchdog", Standing::Ongoing)),
        "watchdog_heard" => Some(("watchdog", Standing::Over)),
        _ => None,
    }
}

/// The numbers of the rows to forget among `old` ones: all but the last of each sequence that is ongoing.
///
/// Each row has its number, its sequence if it is part of one, and what it says of it. They come in the order in which
/// they were kept. What began before the limit of `history_days` and is not over stays: otherwise nobody would know what was
/// shown since, and the history could not be replayed.
pub fn forgotten<K: Ord>(old: impl IntoIterator<Item = (i64, Option<K>, Standing)>) -> Vec<i64> {
    let mut forgotten = Vec::new();
    let mut last: BTreeMap<K, i64> = BTreeMap::new();
    for (row, sequence, standing) in old {
        match (sequence, standing) {
            (None, _) => forgotten.push(row),
            (Some(sequence), Standing::Ongoing) => forgotten.extend(last.insert(sequence, row)),
            (Some(sequence), Standing::Over) => {
                forgotten.extend(last.remove(&sequence));
                forgotten.push(row);
            }
        }
    }
    forgotten
}

/// What was found out since the status of its component last changed, so that it is not reported again after a restart:
/// a person's changes, and incidents that a maintenance suppresses. `events` come in the order in which they were kept.
pub fn findings(events: impl IntoIterator<Item = Event>) -> BTreeSet<(About, EventKind)> {
    let mut findings: BTreeMap<About, BTreeSet<EventKind>> = BTreeMap::new();
    for Event { about, kind, .. } in events {
        match kind {
            EventKind::Status { .. } => drop(findings.remove(&about)),
            EventKind::StatusOverridden { .. }
            | EventKind::IncidentClosedByPerson { .. }
            | EventKind::IncidentSuppressed { .. } => {
                findings.entry(about).or_default().insert(kind);
            }
            _ => {}
        }
    }
    findings
        .into_iter()
        .flat_map(|(about, events)| events.into_iter().map(move |event| (about.clone(), event)))
        .collect()
}

#[cfg(test)]
mod tests;
