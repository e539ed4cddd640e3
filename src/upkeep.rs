//! What keeps the store in order, in a task of its own: it stores when alerts were last heard of, and forgets what is old.
//! The memory that was freed is given back here as well.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::core::time::Timestamp;
use crate::memory;
use crate::settings::SettingsInForce;
use crate::store::{Store, StoreError};

/// The pause between two writes of the times at which alerts were last heard of.
const SAVED_EVERY: Duration = Duration::from_secs(5);

/// How often old things are forgotten.
const FORGOTTEN_EVERY: Duration = Duration::from_secs(60);

/// How long a resolved alert is remembered. After that, a firing of the same occurrence counts as new.
const RESOLVED_ALERTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// Keeps a store in order.
pub struct Upkeep {
    store: Store,
    forgot_at: Option<Timestamp>,
}

impl Upkeep {
    /// The upkeep of `store`.
    pub fn new(store: Store) -> Self {
        Self { store, forgot_at: None }
    }

    /// Runs until `stop`. Logs an error once, and once that it is over.
    pub async fn forever(mut self, settings: SettingsInForce, clock: Clock, stop: CancellationToken) {
        let mut failed = false;
        while !stop.is_cancelled() {
            let history_days = settings.borrow().config.history_days;
            // What is not done at the stop is done after the next start. `Store::close` saves what is only in memory.
            let Some(done) = stop.run_until_cancelled(self.once(DAY * history_days, clock.now())).await else { return };
            match &done {
                Err(error) if !failed => {
                    tracing::warn!("the store cannot be kept in order: {error}; it is tried again")
                }
                Ok(()) if failed => tracing::info!("the store is kept in order again"),
                _ => {}
            }
            failed = done.is_err();
            // It blocks for some milliseconds, so it runs in a thread of its own. It cannot fail.
            drop(tokio::task::spawn_blocking(memory::give_back));
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(SAVED_EVERY) => {}
            }
        }
    }

    /// Does what is due at `now`, where the history goes back for the time `history`.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not take it; the rest is done at the next call.
    pub async fn once(&mut self, history: Duration, now: Timestamp) -> Result<(), StoreError> {
        self.store.save_last_seen().await?;
        if self.forgot_at.is_none_or(|before| now < before || now.since(before) >= FORGOTTEN_EVERY) {
            self.store.forget_resolved_alerts(now.before(RESOLVED_ALERTS_KEPT)).await?;
            self.store.forget_history(now.before(history)).await?;
            self.forgot_at = Some(now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alert::{Alert, AlertStatus, Effect, Fingerprint};
    use crate::core::target::{ComponentList, Target};

    const START: Timestamp = Timestamp::from_millis(1_795_226_400_000);

    #[tokio::test]
    async fn a_resolved_alert_is_forgotten_a_week_after_it_was_last_heard_of() {
        let store = Store::open_in_memory().await.expect("a store");
        let mut upkeep = Upkeep::new(store.clone());
        let alert = |status| Alert {
            fingerprint: Fingerprint::of_text("a"),
            name: "TargetDown".to_owned(),
            target: Target::new("a:9100", ComponentList::parse("Web").names).expect("a target"),
            critical: false,
            status,
            starts_at: START,
            ends_at: None,
        };
        let (firing, resolved) = (alert(AlertStatus::Firing), alert(AlertStatus::Resolved));
        for told in [&firing, &resolved] {
            store.record(std::slice::from_ref(told), START).await.expect("stored");
        }
        upkeep.once(DAY, START).await.expect("kept");
        // Heard of again, a day later.
        let later = START.after(DAY);
        store.record(std::slice::from_ref(&resolved), later).await.expect("stored");
        for (now, effect) in [
            (later.after(RESOLVED_ALERTS_KEPT), Effect::Repeated),
            (later.after(RESOLVED_ALERTS_KEPT + RESOLVED_ALERTS_KEPT + DAY), Effect::ResolvedUnknown),
        ] {
            upkeep.once(DAY, now).await.expect("kept");
            assert_eq!(store.record(std::slice::from_ref(&resolved), now).await.expect("stored"), [effect]);
        }
    }
}
