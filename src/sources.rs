//! Where signals come from: each source reads what it needs, and says at any moment how the targets are.
//!
//! A source takes in facts in its own way (notifications, a list, a ping), keeps them in the store, and wakes the engine.
//! The engine asks each of them and knows nothing else of any.

pub mod alertmanager;

use std::fmt;

use futures_util::future::BoxFuture;

use crate::core::signal::Signals;
use crate::core::time::Timestamp;
use crate::store::StoreError;

/// One source of signals.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Reads what was stored since the last reading. Fails if the store does not answer; then what is known stays.
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What it says at `now`, by what it has read last.
    fn signals(&self, now: Timestamp) -> Signals;
}
