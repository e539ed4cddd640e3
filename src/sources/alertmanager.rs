//! Alertmanager as a source: a target is down while one of its stored alerts counts as firing.

use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::Source;
use crate::core::alert::{self, AlertRecord};
use crate::core::rules::Signals;
use crate::core::time::Timestamp;
use crate::settings::SettingsInForce;
use crate::store::{Store, StoreError};

/// The stored alerts.
#[derive(Debug)]
pub(crate) struct Alerts {
    store: Store,
    settings: SettingsInForce,
    unresolved: Mutex<Vec<AlertRecord>>,
}

impl Alerts {
    /// The alerts of `store`; none until they are read.
    pub(crate) fn new(store: Store, settings: SettingsInForce) -> Self {
        Self { store, settings, unresolved: Mutex::default() }
    }
}

impl Source for Alerts {
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let unresolved = self.store.unresolved_alerts().await?;
            *self.unresolved.lock().unwrap_or_else(PoisonError::into_inner) = unresolved;
            Ok(())
        })
    }

    fn signals(&self, now: Timestamp) -> Signals {
        let refire_delay = self.settings.borrow().config.alerts.refire_delay;
        alert::signals(&self.unresolved.lock().unwrap_or_else(PoisonError::into_inner), refire_delay, now)
    }
}
