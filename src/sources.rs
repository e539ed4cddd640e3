//! Where signals come from: each source reads what it needs, and says at any moment how the targets are.
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
    /// Reads what was stored since the last reading; all of it, if that is not known. Fails if the store does not answer;
    /// then what is known stays.
    fn refresh(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What is different at `now` from what was said before, by what it has read last.
    fn changes(&self, now: Timestamp) -> Changes;
}

/// What one source says, as a difference.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Whether what it said before counts no more.
    pub starts_over: bool,
    /// What each signal says now; `None`: nothing any more.
    pub signals: Vec<(SignalId, Option<Signal>)>,
    /// How many alerts are still within their refire delay.
    pub waiting: usize,
    /// When the signals change next without news.
    pub changes_at: Option<Timestamp>,
}
