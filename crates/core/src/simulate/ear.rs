//! What is heard of the watchdog, and what that says of the monitoring.

use super::NEVER;
use crate::time::Timestamp;
use crate::watchdog::{Monitoring, Pulse, Watchdog};

/// What was heard of the watchdog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Ear {
    /// Nothing at all, so nothing is missed: it may not have been there yet.
    #[default]
    Deaf,
    /// Notifications bring it. It counts from the first one on.
    Notified { since: Timestamp, pulse: Pulse },
    /// No notification comes any more, which says nothing of it: the monitoring stays as it was.
    Over(Monitoring),
    /// The history says that it is heard, until it says something else.
    Heard,
    /// The history says that nothing is heard of it.
    Quiet { since: Timestamp },
}

impl Ear {
    /// The pulse, by the notifications so far.
    pub fn pulse(self) -> Pulse {
        match self {
            Self::Notified { pulse, .. } => pulse,
            _ => Pulse::default(),
        }
    }

    /// Sets the pulse after a notification at `now`.
    pub fn notice(&mut self, pulse: Pulse, now: Timestamp) {
        let since = match *self {
            Self::Notified { since, .. } => since,
            _ => now,
        };
        *self = Self::Notified { since, pulse };
    }

    /// The history says that it was missing, and since when nothing was heard of it.
    pub fn quiet_since(&mut self, since: Timestamp) {
        *self = Self::Quiet { since };
    }

    /// The history says that it is heard.
    pub fn heard_from_now_on(&mut self) {
        *self = Self::Heard;
    }

    /// How the monitoring is at `now`.
    pub fn listen(&mut self, watchdog: Option<&Watchdog>, now: Timestamp) -> Monitoring {
        let Some(watchdog) = watchdog else { return Monitoring::Unwatched };
        match self {
            Self::Deaf => Monitoring::Unwatched,
            Self::Over(monitoring) => *monitoring,
            Self::Heard => Monitoring::Heard { until: NEVER },
            Self::Quiet { since } => watchdog.judge(Pulse::default(), *since, now),
            Self::Notified { since, pulse } => {
                let monitoring = watchdog.judge(*pulse, *since, now);
                if let Monitoring::Missing { at, .. } = monitoring {
                    *pulse = pulse.miss(at);
                }
                monitoring
            }
        }
    }

    /// That no notification comes after the last one says nothing of the watchdog; the history knows it until its end.
    pub fn hear_no_more_after(&mut self, last: Timestamp, watchdog: Option<&Watchdog>) {
        if matches!(self, Self::Notified { .. }) {
            *self = Self::Over(match self.listen(watchdog, last) {
                Monitoring::Heard { .. } => Monitoring::Heard { until: NEVER },
                monitoring => monitoring,
            });
        }
    }
}
