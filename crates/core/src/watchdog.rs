//! The dead man's switch: an alert that always fires, and what its absence says of the page.
//!
//! A page on which nothing is wrong looks like one of which nothing is heard. So Prometheus sends an alert that fires for
//! ever, and as long as it keeps coming, no news is good news. When it stays away for too long, nobody knows how things
//! are: what would be Operational is Unknown, and an incident says that monitoring data is missing.
//!
//! **Any** sign of life counts, whichever Prometheus sent it. Both members of a pair send the same alert, which nobody
//! can tell apart; and where their labels differ, that one of two is restarted is no reason to call every component
//! unknown. Which Prometheus watches what is not known here.

use std::time::Duration;

use super::target::excerpt;
use super::time::Timestamp;

/// The alert that must keep coming, and how long it may stay away (`watchdog`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    alertname: String,
    timeout: Duration,
}

/// Why a watchdog cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchdogError {
    /// The alert has no name.
    #[error("is empty: write the name of an alert that always fires, as in \"Watchdog\"")]
    NoName,
    /// No alert has such a name.
    #[error("is {:?}, and contains a control character: write the alert's name as its rule does", excerpt(.0))]
    Character(String),
    /// Any silence would be too long.
    #[error("is 0, so the alert would always be missing: write how many seconds it may stay away")]
    NoTimeout,
}

/// What is remembered of the watchdog across restarts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// The last moment at which Prometheus is known to have sent it.
    pub last_heartbeat: Option<Timestamp>,
    /// The moment at which its absence had lasted for too long; `None` from the next heartbeat after that on.
    pub missing_at: Option<Timestamp>,
}

/// The texts of the incident that says that monitoring data is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitoringTexts {
    /// The title, as Cachet takes it.
    pub new_incident_name: String,
    /// The first message.
    pub new_incident_message: String,
    /// The closing message.
    pub resolved_incident_message: String,
}

/// They say to customers what is true: that we do not know, not that something is down.
impl Default for MonitoringTexts {
    fn default() -> Self {
        Self {
            new_incident_name: "Monitoring data is missing".to_owned(),
            new_incident_message: "Our monitoring does not report at the moment, so this page may not show the true \
                                   status of our services. The services themselves need not be affected. We are \
                                   investigating."
                .to_owned(),
            resolved_incident_message: "Our monitoring reports again, and this page shows the status of our services."
                .to_owned(),
        }
    }
}

/// What is known of the monitoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Monitoring {
    /// No watchdog is configured, so nothing is.
    #[default]
    Unwatched,
    /// The watchdog was heard, or we have not listened for long enough to miss it.
    Heard {
        /// When it is missing unless it is heard before.
        until: Timestamp,
    },
    /// Nothing was heard of the watchdog for too long.
    Missing {
        /// From when on nothing was heard, though we listened.
        since: Timestamp,
        /// When that had lasted for too long.
        at: Timestamp,
    },
}

impl Watchdog {
    /// The alert `alertname`, which may stay away for less than `timeout`.
    ///
    /// # Errors
    /// When no alert can have that name, or the timeout is zero.
    pub fn new(alertname: &str, timeout: Duration) -> Result<Self, WatchdogError> {
        let alertname = alertname.trim();
        if alertname.is_empty() {
            return Err(WatchdogError::NoName);
        }
        if alertname.chars().any(char::is_control) {
            return Err(WatchdogError::Character(alertname.to_owned()));
        }
        if timeout.is_zero() {
            return Err(WatchdogError::NoTimeout);
        }
        Ok(Self { alertname: alertname.to_owned(), timeout })
    }

    /// The label `alertname` of the alert.
    pub fn alertname(&self) -> &str {
        &self.alertname
    }

    /// For how long it may stay away.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// What matches the alert in Alertmanager's API, whoever sends it.
    pub fn matcher(&self) -> String {
        format!("alertname=\"{}\"", self.alertname.replace('\\', r"\\").replace('"', "\\\""))
    }

    /// How the monitoring is at `now`.
    ///
    /// Silence counts from the last heartbeat, but not from before `listening_since`: while the server was down, nobody
    /// could hear anything. That the watchdog is missing, once it was found, outlives a restart all the same.
    pub fn judge(&self, pulse: Pulse, listening_since: Timestamp, now: Timestamp) -> Monitoring {
        let quiet_since = pulse.last_heartbeat.map_or(listening_since, |last| last.max(listening_since));
        match (pulse.missing_at, quiet_since.after(self.timeout)) {
            (Some(at), _) => Monitoring::Missing { since: at.before(self.timeout), at },
            (None, due) if now >= due => Monitoring::Missing { since: quiet_since, at: due },
            (None, due) => Monitoring::Heard { until: due },
        }
    }
}

impl Pulse {
    /// The pulse after a heartbeat at `moment`.
    ///
    /// One from before the absence was too long does not end it: news of it came late, or the same one was read again
    /// with another rounding, and the page would flap.
    pub fn beat(self, moment: Timestamp) -> Self {
        Self {
            last_heartbeat: self.last_heartbeat.max(Some(moment)),
            missing_at: self.missing_at.filter(|missing_at| moment <= *missing_at),
        }
    }

    /// The pulse after the watchdog was found missing at `moment`, unless it was heard since.
    pub fn miss(self, moment: Timestamp) -> Self {
        let heard = self.last_heartbeat.is_some_and(|last| last > moment);
        Self { missing_at: self.missing_at.or((!heard).then_some(moment)), ..self }
    }

    /// When the watchdog began to be missing, or was received again, if the pulse is now `after` and that has changed.
    pub fn turned_at(self, after: Self) -> Option<Timestamp> {
        match (self.missing_at, after.missing_at) {
            (None, missing_at) => missing_at,
            (Some(_), None) => after.last_heartbeat,
            (Some(_), Some(_)) => None,
        }
    }

    /// The pulse by a clock that was set back to `now`: nothing happened later than that.
    pub fn clamped_to(self, now: Timestamp) -> Self {
        let back = |moment: Timestamp| moment.min(now);
        Self { last_heartbeat: self.last_heartbeat.map(back), missing_at: self.missing_at.map(back) }
    }
}

impl Monitoring {
    /// Whether the watchdog is missing.
    pub fn is_missing(self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

#[cfg(test)]
mod tests;
