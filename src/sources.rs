//! Where signals come from: each source reads what it needs and returns what has changed.
//!
//! A source keeps its facts in the store in its own way and wakes the reconciler, which asks every source for signals and
//! knows nothing else about it.

pub mod alertmanager;

use std::fmt;

use futures_util::future::BoxFuture;

use crate::core::rules::{Signal, SignalId};
use crate::core::time::Timestamp;
use crate::store::StoreError;

/// One source of signals.
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Reads what was stored since the last call, or everything if that position is unknown. If the store fails, the known
    /// signals stay.
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Returns the signals that have changed since the last call, at `now` and as of the last `refresh`. Each change is returned
    /// once.
    fn changes(&self, now: Timestamp) -> Changes;
}

/// What one source says, as a difference.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether all earlier signals of this source are void.
    pub starts_over: bool,
    /// What each signal says now; `None`: nothing any more.
    pub signals: Vec<(SignalId, Option<Signal>)>,
    /// How many alerts are still within their refire delay.
    pub waiting: usize,
    /// When the signals change next without news.
    pub changes_at: Option<Timestamp>,
}
