//! What notifications and Alertmanager's list change in the stored alerts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::alert_rows::{
    adopted, correctable, delete, forget_resolved, of_targets_of, unresolved, upsert, with_fingerprints, write_within,
};
use super::history::keep_alerts;
use super::ledger::upsert_observed;
use super::ledger::upsert_outage;
use super::{Recorded, Statements, Store, StoreError, StoreOperation, modifiers};
use alertmanager_cachet_core::adopt::Adoption;
use alertmanager_cachet_core::alert::{Alert, AlertRecord, AlertState, Effect};
use alertmanager_cachet_core::expiry::{Evidence, Leases};
use alertmanager_cachet_core::history::{AlertEvent, AlertEventKind, EventKind, Source};
use alertmanager_cachet_core::merge::{Merge, superseded};
use alertmanager_cachet_core::observed::Observed;
use alertmanager_cachet_core::repair::{self, Missing, Plan, Policy, Poll, Repair};
use alertmanager_cachet_core::time::Timestamp;

/// The notifications that wait to be committed, and whose turn it is.
#[derive(Debug, Default)]
pub(super) struct Recordings {
    waiting: Mutex<Vec<Recording>>,
    turn: tokio::sync::Mutex<()>,
}

/// What one notification states, and who waits for the result.
#[derive(Debug)]
struct Recording {
    statements: Statements,
    now: Timestamp,
    answer: oneshot::Sender<Result<Recorded, StoreError>>,
}

impl Store {
    /// Keeps what a notification states, all of it or nothing, and says what each alert changed.
    ///
    /// When this returns, the alerts survive a power cut. A commit waits for the disk, so those who come while one is
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
        let mut stored = self.stored_alerts.lock().await;
        let leases = self.leases();
        let (recorded, count) = self
            .write(async |db| {
                let alerts = group.iter().flat_map(|recording| &recording.statements.alerts);
                let known = with_fingerprints(db, alerts.map(|alert| alert.fingerprint)).await?;
                let adopted = adopted(db).await?;
                let pulse = modifiers::read_pulse(&mut *db).await?;
                let routed = modifiers::read_routed(db).await?;
                let evidence = Evidence { pulse, routed: routed.clone(), leases: &leases };
                let mut merge = Merge::new(known, adopted, evidence);
                let mut recorded = Vec::with_capacity(group.len());
                for Recording { statements, now, .. } in group {
                    let verdict = merge.observe_watchdogs(statements, *now);
                    let correctable = correctable(db, verdict).await?;
                    recorded.push(merge.apply(statements, verdict, correctable, *now));
                }
                // The limit may have changed while they waited.
                let max = group.last().map_or(u32::MAX, |latest| latest.statements.max_stored);
                let room = (max, &mut *stored);
                let written = write_within(room, db, merge.changed(), &merge.known, &merge.adopted).await?;
                for (recording, recorded) in group.iter().zip(&mut recorded) {
                    for (alert, effect) in recording.statements.alerts.iter().zip(&mut recorded.effects) {
                        if written.refused.contains(&alert.fingerprint) {
                            *effect = Effect::OverLimit;
                        }
                    }
                }
                keep_alerts(db, &merge.history(&written.refused)).await?;
                modifiers::keep_pulse(db, pulse, merge.evidence.pulse, EventKind::WatchdogHeard).await?;
                if merge.evidence.routed != routed {
                    modifiers::write_routed(db, &merge.evidence.routed).await?;
                }
                Ok((recorded, written.stored))
            })
            .await?;
        *stored = Some(count);
        Ok(recorded)
    }

    /// Adopts what a page says that nobody remembers, and keeps that the page was read: this happens once.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn adopt(&self, adoption: &Adoption, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        let mut stored = self.stored_alerts.lock().await;
        *stored = None;
        self.write(async |db| {
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
            upsert_observed(db, observed, now).await?;
            let fired = alerts.iter().map(|record| AlertEvent::of(record, AlertEventKind::Fired, Source::Page, now));
            keep_alerts(db, &fired.collect::<Vec<_>>()).await
        })
        .await
    }

    /// Puts an alert into the store as it is given, without judging it: for a history that is played again. An alert that was
    /// adopted from a page ends with any other of its target and name.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub async fn put_alert(&self, record: &AlertRecord) -> Result<(), StoreError> {
        let mut stored = self.stored_alerts.lock().await;
        *stored = None;
        self.write(async |db| {
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
        })
        .await
    }

    /// Every alert that may count as firing now or later: all but the resolved ones.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn unresolved_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        self.measured(StoreOperation::Read, unresolved(&self.reader)).await
    }

    /// Forgets resolved alerts that were last heard of before `limit`, and returns how many there were.
    ///
    /// They are kept for a while only so that a late firing of the same occurrence is recognised.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn forget_resolved_alerts(&self, limit: Timestamp) -> Result<u64, StoreError> {
        let mut stored = self.stored_alerts.lock().await;
        let forgotten = self.write(async |db| forget_resolved(db, limit).await).await?;
        if forgotten > 0 {
            *stored = None;
        }
        Ok(forgotten)
    }

    /// Makes the alerts agree with what Alertmanager lists, as [`repair::plan`] says, all of it or nothing.
    ///
    /// It plans from what is stored at this very moment, so a notification that arrived while Alertmanager was read is not
    /// undone. When this returns, the repairs survive a power cut. New alerts over the limit ([`Policy::max_stored`]) are left
    /// out of the plan and counted in `over_limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense; then
    /// nothing was changed.
    pub async fn apply_repair(&self, poll: &Poll, missing: &Missing, policy: Policy) -> Result<Plan, StoreError> {
        self.measured(StoreOperation::Repair, self.repair(poll, missing, policy)).await
    }

    async fn repair(&self, poll: &Poll, missing: &Missing, policy: Policy) -> Result<Plan, StoreError> {
        let mut stored = self.stored_alerts.lock().await;
        let leases = self.leases();
        let (plan, records, count) = self
            .write(async |db| {
                let listed = poll.listed().map(|listed| listed.alert.fingerprint);
                let mut known = with_fingerprints(db, listed).await?;
                let unlisted = unresolved(&mut *db).await?;
                known.extend(unlisted.into_iter().map(|record| (record.fingerprint, record)));
                let records: Vec<AlertRecord> = known.values().cloned().collect();
                let adopted = records.iter().filter(|record| record.state == AlertState::Adopted);
                let adopted: Vec<AlertRecord> = adopted.cloned().collect();
                let mut plan = repair::plan(poll, &records, missing, &leases, policy);
                let repaired = plan.repairs.iter().map(|repair| &repair.record);
                let room = (policy.max_stored, &mut *stored);
                let written = write_within(room, db, repaired, &known, &adopted).await?;
                plan.repairs.retain(|repair| !written.refused.contains(&repair.record.fingerprint));
                plan.over_limit = written.refused.len();
                let events: Vec<_> = plan.repairs.iter().map(|repair| repair.event(poll.began_at)).collect();
                keep_alerts(db, &events).await?;
                Ok((plan, records, written.stored))
            })
            .await?;
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(poll.leases_after(&leases, &records));
        *stored = Some(count);
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
        let repair = self.write(async |db| {
            let repairs: Vec<Repair> = unresolved(&mut *db).await?.iter().filter_map(rule).collect();
            let records: Vec<&AlertRecord> = repairs.iter().map(|repair| &repair.record).collect();
            upsert(db, &records).await?;
            let events: Vec<_> = repairs.iter().map(|repair| repair.event(now)).collect();
            keep_alerts(db, &events).await?;
            Ok(repairs)
        });
        self.measured(StoreOperation::Repair, repair).await
    }
}
