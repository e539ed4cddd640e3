//! Where signals come from: each source reads what it needs, and says at any moment how the targets are.
//!
//! A source keeps its facts in the store in its own way and wakes the reconciler, which asks every source for signals and
//! knows nothing else about it.

pub mod alertmanager;

use std::fmt;

use futures_util::future::BoxFuture;

use crate::core::rules::Signals;
use crate::core::time::Timestamp;
use crate::store::StoreError;

/// One source of signals.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Reads what was stored since the last reading. Fails if the store does not answer; then what is known stays.
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What it says at `now`, by what it has read last.
    fn signals(&self, now: Timestamp) -> Signals;
}
