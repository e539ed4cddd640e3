//! Whether the monitoring is heard, as the reconciler sees it.

use super::{Blocked, Reconciler};
use crate::core::adopt::adopt_monitoring;
use crate::core::incident::{Episode, EpisodeSubject};
use crate::core::observed::Observed;
use crate::core::time::Timestamp;
use crate::core::watchdog::{Monitoring, Pulse, Watchdog};
use crate::store::StoreError;

impl Reconciler {
    /// Goes over to the settings in force. Another watchdog is listened for from now on.
    pub(super) fn take_new_settings(&mut self) {
        if !self.settings_in_force.has_changed().unwrap_or(false) {
            return;
        }
        let new = self.settings_in_force.borrow_and_update().clone();
        let before = std::mem::replace(&mut self.settings, new);
        // What they speak of may have been made just before.
        self.memory.observed_at = None;
        if before.config.watchdog() != self.settings.config.watchdog() {
            // Begin as after a restart: nobody listened for this watchdog before, and without one nothing is missing.
            self.listening_since = self.clock.now();
            self.memory.monitoring = Monitoring::default();
            self.metrics.unwatched();
        }
    }

    /// Judges how the monitoring is. That the watchdog is missing is kept before anything is made of it, so that a
    /// restart does not take it back.
    pub(super) async fn listen(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let Some(watchdog) = self.settings.config.watchdog().cloned() else { return Ok(()) };
        let mut pulse = self.store.pulse().await?;
        let mut monitoring = watchdog.judge(pulse, self.listening_since, now);
        if let (Monitoring::Missing { since, at }, None) = (monitoring, pulse.missing_at) {
            // A heartbeat may have come since.
            pulse = self.store.record_missing_watchdog(since, at).await?;
            monitoring = watchdog.judge(pulse, self.listening_since, now);
        }
        self.metrics.watchdog(pulse.last_heartbeat, monitoring.is_missing());
        let before = std::mem::replace(&mut self.memory.monitoring, monitoring);
        say(&watchdog, before, monitoring);
        Ok(())
    }

    /// The episode of the monitoring that a page leaves to a store which remembers nothing of it. With it, the watchdog
    /// stays missing until it is heard: a lost store makes nothing green.
    pub(super) async fn adopt_monitoring(
        &mut self,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<Option<Episode>, Blocked> {
        let title = self.settings.config.title(&EpisodeSubject::Monitoring);
        let has_meta = self.page.capabilities().await?.meta;
        let adopted = adopt_monitoring(observed, (!has_meta).then_some(title.as_str()), now);
        // Once it was heard, the store knows better than the page.
        let never_heard = self.store.pulse().await? == Pulse::default();
        if adopted.is_some() && self.settings.config.watchdog.is_some() && never_heard {
            self.store.record_missing_watchdog(self.listening_since, self.listening_since).await?;
            self.listen(now).await?;
        }
        Ok(adopted)
    }
}

/// Says once that the watchdog is missing, and once that it is back.
fn say(watchdog: &Watchdog, before: Monitoring, now: Monitoring) {
    let alertname = watchdog.alertname();
    match (before, now) {
        (Monitoring::Missing { .. }, Monitoring::Missing { .. }) => {}
        (_, Monitoring::Missing { since, .. }) => tracing::error!(
            "nothing was heard of the alert {alertname:?} since {since}: monitoring data is missing, and what would be \
             Operational is Unknown; check that Prometheus runs, and that Alertmanager sends it here"
        ),
        (Monitoring::Missing { .. }, _) => tracing::info!("the alert {alertname:?} is heard again"),
        _ => {}
    }
}
