//! What notifications and Alertmanager's list change in the stored alerts.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::alert_rows::{
    AlertTable, adopted, correctable, delete, forget_resolved, of_targets_of, unresolved, upsert, with_fingerprints,
    write_within,
};
use super::history::keep_alerts;
use super::ledger::{replace_observed, upsert_outage};
use super::{Recorded, Statements, Store, StoreError, StoreOperation, modifiers};
use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use alertmanager_cachet_core::config::AlertConfig;
use alertmanager_cachet_core::expiry::{Evidence, Leases, RoutedWatchdogs, WatchdogVerdict};
use alertmanager_cachet_core::history::{AlertEvent, AlertEventKind, EventKind, Source};
use alertmanager_cachet_core::merge::{Merge, superseded};
use alertmanager_cachet_core::observed::Observed;
use alertmanager_cachet_core::recovery::Adoption;
use alertmanager_cachet_core::repair::{self, Missing, Plan, Poll, Repair};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;

/// The notifications that wait to be committed, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    waiting: Mutex<Vec<Recording>>,
    turn: tokio::sync::Mutex<()>,
}

/// What has changed of the alerts that are not resolved.
#[derive(Debug)]
pub struct AlertChanges {
    /// Where to go on next time.
    pub position: u64,
    /// Whether these are all alerts that are not resolved, and not only the changes.
    pub all: bool,
    /// What is known of each alert now, in the order of the changes; `None`: it is resolved, or forgotten.
    pub changes: Vec<(Fingerprint, Option<AlertRecord>)>,
}

/// What one notification states, and who waits for the result.
#[derive(Debug)]
struct Recording {
    statements: Statements,
    now: Timestamp,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// What is stored that a group of recordings may be about: its alerts, the adopted alerts, and the watchdog.
async fn read_for(
    db: &mut SqliteConnection,
    group: &[Recording],
) -> Result<(HashMap<Fingerprint, AlertRecord>, Vec<AlertRecord>, Pulse, RoutedWatchdogs), StoreError> {
    let alerts = group.iter().flat_map(|recording| &recording.statements.alerts);
    let known = with_fingerprints(db, alerts.map(|alert| alert.fingerprint)).await?;
    Ok((known, adopted(db).await?, modifiers::read_pulse(&mut *db).await?, modifiers::read_routed(db).await?))
}

impl Store {
    /// Keeps what a notification states, all of it or nothing, and says what each alert changed.
    ///
    /// When this returns, the alerts survive a power cut; a repeat was committed before, and only the time at which it was
    /// heard waits for [`Self::save_last_seen`]. A commit waits for the disk, so those who come while one is
    /// under way are committed together by the next. New alerts over the limit
    /// ([`Statements::max_stored`]) are [`Effect::OverLimit`].
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing of it was kept.
    pub async fn record(&self, alerts: &[Alert], now: Timestamp) -> Result<Vec<Effect>, StoreError> {
        let statements = Statements { alerts: alerts.to_vec(), ..Statements::default() };
        self.record_statements(statements, now).await.map(|recorded| recorded.effects)
    }

    /// As [`Self::record`], with the watchdogs of the notification. They are applied before its alerts.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub async fn record_statements(&self, statements: Statements, now: Timestamp) -> Result<Recorded, StoreError> {
        if statements.alerts.is_empty() && statements.watchdogs.is_empty() {
            return Ok(Recorded::default());
        }
        self.measured(StoreOperation::Record, self.record_in_turn(statements, now)).await
    }

    async fn record_in_turn(&self, statements: Statements, now: Timestamp) -> Result<Recorded, StoreError> {
        let waiting = || self.recordings.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, answered) = oneshot::channel();
        waiting().push(Recording { statements, now, answer });
        let turn = self.recordings.turn.lock().await;
        let group = std::mem::take(&mut *waiting());
        // Empty if whoever had the turn before took ours along.
        if !group.is_empty() {
            let recorded = self.record_group(&group).await.map_err(Arc::new);
            let mut recorded = recorded.map(Vec::into_iter);
            for recording in group {
                let result = match &mut recorded {
                    Ok(recorded) => recorded.next().ok_or(StoreError::Abandoned),
                    Err(error) => Err(StoreError::Group(Arc::clone(error))),
                };
                // Whoever asked may have gone; what they said is kept all the same.
                let _ = recording.answer.send(result);
            }
        }
        drop(turn);
        answered.await.unwrap_or(Err(StoreError::Abandoned))
    }

    /// Commits the recordings of a group in one transaction, and returns the result of each.
    async fn record_group(&self, group: &[Recording]) -> Result<Vec<Recorded>, StoreError> {
        let mut table = self.alert_table.lock().await;
        // Without that shortcut, for whatever reason, the transaction decides.
        if let Ok(Some(recorded)) = self.record_repeats(&mut table, group).await {
            return Ok(recorded);
        }
        let leases = self.leases();
        let (count, mut merge, mut recorded) = (table.count.take(), None, Vec::with_capacity(group.len()));
        let written = self
            .write(async |db| {
                let (mut current, adopted, pulse, routed) = read_for(db, group).await?;
                current.values_mut().for_each(|record| table.update(record));
                let evidence = Evidence { pulse, routed: routed.clone(), leases: &leases };
                let merge = merge.insert(Merge::new(current, adopted, evidence));
                for Recording { statements, now, .. } in group {
                    let verdict = merge.observe_watchdogs(statements, *now);
                    let correctable = correctable(db, verdict).await?;
                    recorded.push(merge.apply(statements, verdict, correctable, *now));
                }
                // The limit may have changed while they waited.
                let max = group.last().map_or(u32::MAX, |latest| latest.statements.max_stored);
                let written =
                    write_within((max, count, &table), db, merge.touched(), &merge.known, &merge.adopted).await?;
                keep_alerts(db, &merge.history(&written.refused)).await?;
                modifiers::keep_pulse(db, pulse, merge.evidence.pulse, EventKind::WatchdogHeard).await?;
                if merge.evidence.routed != routed {
                    modifiers::write_routed(db, &merge.evidence.routed).await?;
                }
                Ok(written)
            })
            .await?;
        for (recording, recorded) in group.iter().zip(&mut recorded) {
            for (alert, effect) in recording.statements.alerts.iter().zip(&mut recorded.effects) {
                if written.refused.contains(&alert.fingerprint) {
                    *effect = Effect::OverLimit;
                }
            }
        }
        table.count = Some(written.stored);
        if let Some(merge) = &merge {
            table.has_adopted = Some(!merge.adopted.is_empty());
            let stored = merge.changed().filter(|record| !written.refused.contains(&record.fingerprint));
            self.log_changes(stored, &written.ended);
        }
        Ok(recorded)
    }

    /// The results of a group that only repeats what is stored, without a transaction: when its alerts were last heard of is
    /// stored later, by [`Self::save_last_seen`]. `None` if a transaction must decide: the group says anything new or contains
    /// a watchdog, there are adopted alerts, or no connection for reading is idle.
    async fn record_repeats(
        &self,
        table: &mut AlertTable,
        group: &[Recording],
    ) -> Result<Option<Vec<Recorded>>, StoreError> {
        if group.iter().any(|recording| !recording.statements.watchdogs.is_empty()) {
            return Ok(None);
        }
        let Some(mut db) = self.reader.try_acquire() else { return Ok(None) };
        let has_adopted = match table.has_adopted {
            Some(has_adopted) => has_adopted,
            None => *table.has_adopted.insert(!adopted(&mut db).await?.is_empty()),
        };
        let alerts = || group.iter().flat_map(|recording| &recording.statements.alerts);
        let mut known = with_fingerprints(&mut db, alerts().map(|alert| alert.fingerprint)).await?;
        if has_adopted || alerts().any(|alert| !known.contains_key(&alert.fingerprint)) {
            return Ok(None);
        }
        known.values_mut().for_each(|record| table.update(record));
        // What is known of the watchdog matters for a resolve that ends something, and that is no repeat.
        let (pulse, routed, leases) = (Pulse::default(), RoutedWatchdogs::default(), self.leases());
        let mut merge = Merge::new(known, Vec::new(), Evidence { pulse, routed, leases: &leases });
        let nothing_proved = WatchdogVerdict::default();
        let apply =
            |Recording { statements, now, .. }: &Recording| merge.apply(statements, nothing_proved, Vec::new(), *now);
        let recorded: Vec<Recorded> = group.iter().map(apply).collect();
        if recorded.iter().any(|recorded| recorded.is_news) {
            return Ok(None);
        }
        table.last_seen.extend(merge.touched().map(|record| (record.fingerprint, record.last_seen_at)));
        Ok(Some(recorded))
    }

    /// Stores the times at which alerts were last heard of that are only in memory. A crash loses these, and nothing else.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then it is kept for the next call.
    pub async fn save_last_seen(&self) -> Result<(), StoreError> {
        let mut table = self.alert_table.lock().await;
        if table.last_seen.is_empty() {
            return Ok(());
        }
        let save = self.write(async |db| table.save_last_seen(db).await);
        self.measured(StoreOperation::Remember, save).await?;
        table.last_seen = HashMap::new();
        Ok(())
    }

    /// Adds committed changes to the log that the sources read.
    fn log_changes<'a>(&self, written: impl IntoIterator<Item = &'a AlertRecord>, deleted: &[Fingerprint]) {
        self.alert_log.lock().unwrap_or_else(PoisonError::into_inner).add(written, deleted);
    }

    /// Makes the sources read all alerts again.
    pub(super) fn reset_changes(&self) {
        self.alert_log.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }

    /// What has changed of the alerts that are not resolved since `position`: that of an earlier answer of this store, or
    /// `None` for all of them.
    ///
    /// # Errors
    /// As [`Self::unresolved_alerts`].
    pub async fn alert_changes(&self, position: Option<u64>) -> Result<AlertChanges, StoreError> {
        let (next, changes) = {
            let log = self.alert_log.lock().unwrap_or_else(PoisonError::into_inner);
            (log.position(), position.and_then(|position| log.since(position)))
        };
        if let Some(changes) = changes {
            return Ok(AlertChanges { position: next, all: false, changes });
        }
        // The position was taken before reading, so a change during the reading is returned again next time.
        let unresolved = self.unresolved_alerts().await?.into_iter();
        let changes = unresolved.map(|record| (record.fingerprint, Some(record))).collect();
        Ok(AlertChanges { position: next, all: true, changes })
    }

    /// Adopts what a page says that nobody remembers, and keeps that the page was read: this happens once.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn adopt(&self, adoption: &Adoption, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let mut table = self.alert_table.lock().await;
        (table.count, table.has_adopted) = (None, None);
        let adopted = self.write(async |db| {
            // A notification may have come first.
            let mut known = of_targets_of(db, &adoption.alerts).await?;
            let adopted: HashSet<_> = adoption.alerts.iter().map(|record| record.fingerprint).collect();
            known.retain(|known| !adopted.contains(&known.fingerprint));
            let ended: HashSet<_> = superseded(&adoption.alerts, &known).into_iter().collect();
            let alerts = adoption.alerts.iter().filter(|record| !ended.contains(&record.fingerprint));
            let alerts: Vec<&AlertRecord> = alerts.collect();
            upsert(db, &alerts).await?;
            for outage in &adoption.outages {
                upsert_outage(db, outage).await?;
            }
            replace_observed(db, observed, now).await?;
            let fired = alerts.iter().map(|record| AlertEvent::of(record, AlertEventKind::Fired, Source::Page, now));
            keep_alerts(db, &fired.collect::<Vec<_>>()).await
        });
        adopted.await?;
        self.reset_changes();
        Ok(())
    }

    /// Puts an alert into the store as it is given, without judging it: for a history that is played again. An alert that was
    /// adopted from a page ends with any other of its target and name.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub async fn put_alert(&self, record: &AlertRecord) -> Result<(), StoreError> {
        let mut table = self.alert_table.lock().await;
        (table.count, table.has_adopted) = (None, None);
        let put = self.write(async |db| {
            if record.state == AlertState::Adopted {
                let adopted = std::slice::from_ref(record);
                let known = of_targets_of(db, adopted).await?;
                if !superseded(adopted, &known).is_empty() {
                    return Ok(());
                }
            }
            let adopted = adopted(db).await?;
            upsert(db, &[record]).await?;
            delete(db, &superseded(&adopted, [record])).await
        });
        put.await?;
        self.reset_changes();
        Ok(())
    }

    /// Every alert that may count as firing now or later: all but the resolved ones.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn unresolved_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        let mut records = self.measured(StoreOperation::Read, unresolved(&self.reader)).await?;
        let table = self.alert_table.lock().await;
        records.iter_mut().for_each(|record| table.update(record));
        Ok(records)
    }

    /// Forgets resolved alerts that were last heard of before `limit`, and returns how many there were.
    ///
    /// They are kept for a while only so that a late firing of the same occurrence is recognised.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn forget_resolved_alerts(&self, limit: Timestamp) -> Result<u64, StoreError> {
        let mut table = self.alert_table.lock().await;
        let forget = self.write(async |db| {
            table.save_last_seen(db).await?;
            forget_resolved(db, limit).await
        });
        let forgotten = forget.await?;
        table.last_seen = HashMap::new();
        if forgotten > 0 {
            table.count = None;
        }
        Ok(forgotten)
    }

    /// Makes the alerts agree with what Alertmanager lists, as [`repair::plan`] says, all of it or nothing.
    ///
    /// It plans from what is stored at this very moment, so a notification that arrived while Alertmanager was read is not
    /// undone. When this returns, the repairs survive a power cut. New alerts over the limit ([`AlertConfig::max_stored`]) are
    /// left out of the plan and counted in `over_limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense; then
    /// nothing was changed.
    pub async fn apply_repair(&self, poll: &Poll, missing: &Missing, config: &AlertConfig) -> Result<Plan, StoreError> {
        self.measured(StoreOperation::Repair, self.repair(poll, missing, config)).await
    }

    async fn repair(&self, poll: &Poll, missing: &Missing, config: &AlertConfig) -> Result<Plan, StoreError> {
        let mut table = self.alert_table.lock().await;
        let (count, leases) = (table.count.take(), self.leases());
        let (plan, records, written) = self
            .write(async |db| {
                table.save_last_seen(db).await?;
                let listed = poll.listed().map(|listed| listed.alert.fingerprint);
                let mut known = with_fingerprints(db, listed).await?;
                let unlisted = unresolved(&mut *db).await?;
                known.extend(unlisted.into_iter().map(|record| (record.fingerprint, record)));
                let records: Vec<AlertRecord> = known.values().cloned().collect();
                let adopted = records.iter().filter(|record| record.state == AlertState::Adopted);
                let adopted: Vec<AlertRecord> = adopted.cloned().collect();
                let mut plan = repair::plan(poll, &records, missing, &leases, config);
                let repaired = plan.repairs.iter().map(|repair| &repair.record);
                let room = (config.max_stored, count, &*table);
                let written = write_within(room, db, repaired, &known, &adopted).await?;
                plan.repairs.retain(|repair| !written.refused.contains(&repair.record.fingerprint));
                plan.over_limit = written.refused.len();
                let events: Vec<_> = plan.repairs.iter().map(|repair| repair.event(poll.began_at)).collect();
                keep_alerts(db, &events).await?;
                Ok((plan, records, written))
            })
            .await?;
        table.last_seen = HashMap::new();
        self.log_changes(plan.repairs.iter().map(|repair| &repair.record), &written.ended);
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(poll.leases_after(&leases, &records));
        table.count = Some(written.stored);
        Ok(plan)
    }

    /// The leases in Alertmanager's latest list.
    fn leases(&self) -> Arc<Leases> {
        Arc::clone(&self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Applies a rule to each alert that is not resolved, such as [`repair::stale`] or
    /// [`repair::resolved_without_watchdog`], and returns the repairs, which are dated `now` in the history.
    ///
    /// # Errors
    /// As [`Self::apply_repair`].
    pub async fn repair_unresolved(
        &self,
        rule: impl Fn(&AlertRecord) -> Option<Repair>,
        now: Timestamp,
    ) -> Result<Vec<Repair>, StoreError> {
        let mut table = self.alert_table.lock().await;
        let repair = self.write(async |db| {
            table.save_last_seen(db).await?;
            let repairs: Vec<Repair> = unresolved(&mut *db).await?.iter().filter_map(rule).collect();
            let records: Vec<&AlertRecord> = repairs.iter().map(|repair| &repair.record).collect();
            upsert(db, &records).await?;
            let events: Vec<_> = repairs.iter().map(|repair| repair.event(now)).collect();
            keep_alerts(db, &events).await?;
            Ok(repairs)
        });
        let repairs = self.measured(StoreOperation::Repair, repair).await?;
        table.last_seen = HashMap::new();
        self.log_changes(repairs.iter().map(|repair| &repair.record), &[]);
        Ok(repairs)
    }
}
