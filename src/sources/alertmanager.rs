//! Alertmanager as a source: a target is down while one of its stored alerts counts as firing.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::future::BoxFuture;

use super::{Changes, Source};
use crate::core::alert::AlertSignals;
use crate::core::rules::{Signal, SignalId};
use crate::core::time::Timestamp;
use crate::settings::SettingsInForce;
use crate::store::{Store, StoreError};

/// The stored alerts.
#[derive(Debug)]
pub(crate) struct Alerts {
    store: Store,
    settings: SettingsInForce,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How far the changes of the store were read; `None`: not at all.
    position: Option<u64>,
    alerts: AlertSignals,
    /// What was read and is not said yet: of each signal the last word.
    unsaid: BTreeMap<SignalId, Option<Signal>>,
    /// Whether what was said before counts no more.
    starts_over: bool,
}

impl Alerts {
    /// The alerts of `store`; none until they are read.
    pub(crate) fn new(store: Store, settings: SettingsInForce) -> Self {
        Self { store, settings, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Alerts {
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async {
            let position = self.state().position;
            let read = self.store.alert_changes(position).await?;
            let state = &mut *self.state();
            state.position = Some(read.position);
            if read.all {
                state.alerts = AlertSignals::default();
                (state.unsaid, state.starts_over) = (BTreeMap::new(), true);
            }
            let changes =
                read.changes.iter().map(|(fingerprint, record)| state.alerts.set(*fingerprint, record.as_deref()));
            state.unsaid.extend(changes);
            Ok(())
        })
    }

    fn changes(&self, now: Timestamp) -> Changes {
        let refire_delay = self.settings.borrow().config.alerts.refire_delay;
        let mut state = self.state();
        let advanced = state.alerts.advance(refire_delay, now);
        state.unsaid.extend(advanced);
        Changes {
            starts_over: mem::take(&mut state.starts_over),
            signals: mem::take(&mut state.unsaid).into_iter().collect(),
            waiting: state.alerts.waiting(),
            changes_at: state.alerts.changes_at(refire_delay),
        }
    }
}
