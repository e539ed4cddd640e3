//! The changes that are necessary and not made yet, and for how long.

use std::collections::HashMap;

use crate::core::ledger::ResourceKey;
use crate::core::plan::Change;
use crate::core::time::Timestamp;
use crate::metrics::Metrics;

/// What Cachet has not taken yet, each with the moment at which it became necessary.
#[derive(Debug, Default)]
pub struct Waiting {
    since: HashMap<(&'static str, ResourceKey), Timestamp>,
}

impl Waiting {
    /// These are all the changes that are necessary at `now`.
    pub fn see(&mut self, changes: &[Change], now: Timestamp, metrics: &Metrics) {
        let mut before = std::mem::take(&mut self.since);
        for change in changes {
            let key = key(change);
            let since = before.remove(&key).unwrap_or_else(|| {
                metrics.change_planned(change);
                now
            });
            self.since.insert(key, since);
        }
    }

    /// A change was made.
    pub fn made(&mut self, change: &Change) {
        self.since.remove(&key(change));
    }

    /// Each of them by its kind and subject, with the moment at which it became necessary.
    pub fn since(&self) -> &HashMap<(&'static str, ResourceKey), Timestamp> {
        &self.since
    }

    /// What each of them does.
    pub fn kinds(&self) -> impl Iterator<Item = &'static str> {
        self.since.keys().map(|(kind, _)| *kind)
    }

    /// Since when the oldest of them waits.
    pub fn oldest_since(&self) -> Option<Timestamp> {
        self.since.values().min().copied()
    }
}

fn key(change: &Change) -> (&'static str, ResourceKey) {
    (Metrics::kind_of(change), change.key())
}
