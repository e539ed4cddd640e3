//! What sources say of targets, whatever the sources are.

use std::fmt;

use super::status::ComponentStatus;
use super::target::Target;
use super::time::Timestamp;

/// Where a signal comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceName {
    /// Alertmanager: its notifications, and its list of alerts.
    Alertmanager,
}

/// As in logs and metrics.
impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alertmanager => "alertmanager",
        })
    }
}

/// The condition of a target, ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It works.
    Ok,
    /// Nobody knows.
    Unknown,
    /// It works, slowly.
    Degraded,
    /// Some of it is down.
    Partial,
    /// It is down.
    Down,
}

impl Condition {
    /// The status of a target's own component in this condition.
    pub const fn status(self) -> ComponentStatus {
        match self {
            Self::Ok => ComponentStatus::Operational,
            Self::Unknown => ComponentStatus::Unknown,
            Self::Degraded => ComponentStatus::PerformanceIssues,
            Self::Partial => ComponentStatus::PartialOutage,
            Self::Down => ComponentStatus::MajorOutage,
        }
    }
}

/// What one source says of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// Who says it.
    pub source: SourceName,
    /// What it is about.
    pub target: Target,
    /// Whether the source calls the target critical. The inventory takes precedence.
    pub critical: bool,
    /// How the target is.
    pub condition: Condition,
    /// Since when.
    pub since: Timestamp,
    /// Why: of an alert, its name.
    pub why: String,
}

/// What a source says at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals {
    /// All of it.
    pub signals: Vec<Signal>,
    /// How many alerts are still within their refire delay.
    pub held: usize,
    /// When the signals change next without news.
    pub changes_at: Option<Timestamp>,
}

impl Signals {
    /// What several sources say together.
    pub fn and(mut self, other: Self) -> Self {
        self.signals.extend(other.signals);
        self.held += other.held;
        self.changes_at = self.changes_at.into_iter().chain(other.changes_at).min();
        self
    }
}
