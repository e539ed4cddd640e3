//! What the running server knows and its store does not, and that something changed: for the console and its API.
//!
//! The parts of the server tell it, and nobody waits for who reads it. None of it survives a restart: what is worth that
//! is in the store.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::watch;

use crate::core::ledger::ResourceKey;
use crate::core::notification::{IgnoredAlert, Notification};
use crate::core::repair::Repair;
use crate::core::status_page::RateBudget;
use crate::core::time::Timestamp;

/// How many different ignored alerts are remembered; the one that was seen least lately makes room.
const IGNORED_KEPT: usize = 100;

/// How many corrections are remembered.
const CORRECTIONS_KEPT: usize = 50;

/// What the parts of the server told. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Live {
    told: Arc<Mutex<Told>>,
    changes: watch::Sender<u64>,
}

/// What was told until now.
#[derive(Debug, Default)]
pub struct Told {
    /// How writing to the page went in the last reconcile run.
    pub writing: Writing,
    /// The last reading of Alertmanager; `None` if there was none.
    pub(crate) poll: Option<Poll>,
    /// What was corrected without a notification, the latest first.
    pub(crate) corrections: VecDeque<Correction>,
    /// The alerts that cannot be used, the latest first.
    pub(crate) ignored: VecDeque<Ignored>,
}

/// How writing to the page went in the last reconcile run.
#[derive(Debug, Clone, Default)]
pub struct Writing {
    /// When that run was; `None`: there was none yet.
    pub at: Option<Timestamp>,
    /// Why nothing can be written.
    pub problem: Option<String>,
    /// What Cachet's rate limit allows; `None` where it told of no limit.
    pub budget: Option<RateBudget>,
    /// The changes that wait, by kind and subject, each with the moment at which it became necessary.
    pub waiting: HashMap<(&'static str, ResourceKey), Timestamp>,
    /// Why some of them could not be made.
    pub failing: BTreeMap<ResourceKey, String>,
    /// Whether the page has refused the status Unknown: what would be Unknown is left as it is, and does not wait.
    pub unknown_is_refused: bool,
}

/// One reading of Alertmanager.
#[derive(Debug)]
pub(crate) struct Poll {
    /// When.
    pub at: Timestamp,
    /// How many members were asked.
    pub members: usize,
    /// Those that were not heard: the address, without credentials, and why, with the cure.
    pub unheard: Vec<(String, String)>,
    /// How many alerts it corrected.
    pub corrected: usize,
    /// Why nothing could be corrected.
    pub problem: Option<String>,
}

/// A stored alert that was corrected without a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Correction {
    /// When (RFC 3339).
    pub at: String,
    /// The label `alertname`.
    pub alertname: String,
    /// Its instance.
    pub instance: String,
    /// What was corrected, and why.
    pub reason: String,
}

/// An alert of ours, or a part of one, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ignored {
    /// The label `alertname`; empty if it has none.
    pub alertname: String,
    /// Its fingerprint; empty if it has none.
    pub fingerprint: String,
    /// Why, and what helps.
    pub reason: String,
    /// How often it came since the start.
    pub count: u64,
    /// When it came last (RFC 3339).
    pub last_at: String,
}

impl Live {
    /// Something changed.
    pub fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Tells of changes from now on. Several that come before anybody looks are one.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// A reconcile run ended.
    pub(crate) fn reconciled(&self, writing: Writing) {
        self.told().writing = writing;
        self.changed();
    }

    /// Alertmanager was read at `now`, or alerts were resolved that nothing was heard of; `poll`: the reading.
    pub(crate) fn corrected(&self, poll: Option<Poll>, repairs: &[Repair], now: Timestamp) {
        {
            let mut told = self.told();
            told.poll = poll.or(told.poll.take());
            for Repair { record, reason } in repairs {
                told.corrections.push_front(Correction {
                    at: now.to_string(),
                    alertname: record.name.clone(),
                    instance: record.target.instance().to_owned(),
                    reason: reason.to_string(),
                });
            }
            told.corrections.truncate(CORRECTIONS_KEPT);
        }
        self.changed();
    }

    /// A notification was stored at `now`, and this much of it left out.
    pub fn left_out(&self, notification: &Notification, now: Timestamp) {
        let ignored = notification.ignored.iter().chain(&notification.partly_ignored);
        // No more than can be kept: a notification may hold thousands.
        let mut told = self.told();
        let known = &mut told.ignored;
        for IgnoredAlert { fingerprint, alertname, reason } in ignored.take(IGNORED_KEPT) {
            let reason = reason.to_string();
            // Once for each fingerprint and reason, for Alertmanager repeats it.
            let is_same = |known: &Ignored| {
                known.fingerprint == *fingerprint && known.alertname == *alertname && known.reason == reason
            };
            let before = known.iter().position(is_same).and_then(|place| known.remove(place));
            let count = before.map_or(0, |before| before.count).saturating_add(1);
            let (alertname, fingerprint) = (alertname.clone(), fingerprint.clone());
            known.push_front(Ignored { alertname, fingerprint, reason, count, last_at: now.to_string() });
            known.truncate(IGNORED_KEPT);
        }
        drop(told);
        self.changed();
    }

    /// What was told until now. Whoever looks holds up those who tell, so it is looked at shortly.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::notification::IgnoreReason;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn notification(fingerprints: impl IntoIterator<Item = usize>) -> Notification {
        let ignored = fingerprints.into_iter().map(|number| IgnoredAlert {
            fingerprint: number.to_string(),
            alertname: "Slow".to_owned(),
            reason: IgnoreReason::NoInstance,
        });
        Notification { ignored: ignored.collect(), ..Notification::default() }
    }

    #[test]
    fn an_ignored_alert_is_remembered_once_with_how_often_it_came() {
        let live = Live::default();
        for _ in 0..3 {
            live.left_out(&notification([1]), NOW);
        }
        live.left_out(&notification([2]), NOW);
        let ignored: Vec<(String, u64)> =
            live.told().ignored.iter().map(|one| (one.fingerprint.clone(), one.count)).collect();
        assert_eq!(ignored, [("2".to_owned(), 1), ("1".to_owned(), 3)]);
        assert!(live.told().ignored[0].reason.contains("keep it in the rule's expression"), "with its cure");
    }

    #[test]
    fn no_more_ignored_alerts_are_remembered_than_are_of_use() {
        let live = Live::default();
        live.left_out(&notification(0..1000), NOW);
        live.left_out(&notification(5000..5050), NOW);
        assert_eq!(live.told().ignored.len(), IGNORED_KEPT);
        assert_eq!(live.told().ignored[0].fingerprint, "5049");
    }

    #[test]
    fn who_watches_is_told_of_changes_though_several_came() {
        let live = Live::default();
        let mut watch = live.watch();
        assert!(!watch.has_changed().expect("open"));
        live.changed();
        live.reconciled(Writing::default());
        assert!(watch.has_changed().expect("open"));
        watch.borrow_and_update();
        assert!(!watch.has_changed().expect("open"));
    }
}
