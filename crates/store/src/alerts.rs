//! What notifications and Alertmanager's list change in the stored alerts.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::SqliteConnection;
use tokio::sync::oneshot;

use super::alert_rows::{
    delete, forget_resolved, named_like, resolved_after, unresolved, unresolved_with, upsert, write_within,
};
use super::alert_table::{AlertLog, Alerts, Written};
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
use alertmanager_cachet_core::target::ComponentName;
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
    pub changes: Vec<(Fingerprint, Option<Arc<AlertRecord>>)>,
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
    /// When this returns, the alerts survive a power cut; a repeat was committed before, and only the time at which it was
    /// heard waits for [`Self::save_last_seen`]. A commit waits for the disk, so those who come while one is
    /// under way are committed together by the next. New alerts over the limit
    /// ([`Statements::max_stored`]) are [`Effect::OverLimit`].
    ///
    /// # Errors
    /// [`StoreError::Group`] with what made the transaction fail, or [`StoreError::Abandoned`]; then nothing of it was kept.
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

    /// Records a group, and returns the result of each recording.
    async fn record_group(&self, group: &[Recording]) -> Result<Vec<Recorded>, StoreError> {
        self.load_alerts().await?;
        let mut recorded = match self.record_repeats(group).await {
            Some(recorded) => recorded,
            None => self.record_changes(group).await?,
        };
        let is_news = self.changes().take_reset();
        recorded.iter_mut().for_each(|recorded| recorded.is_news |= is_news);
        Ok(recorded)
    }

    /// Reads the alerts if they are not in memory; whoever follows the changes starts over.
    async fn load_alerts(&self) -> Result<(), StoreError> {
        let mut alerts = self.alerts.lock().await;
        if alerts.is_some() {
            return Ok(());
        }
        // The connection that writes, so that a commit that nobody waits for any more has ended.
        let read = async { Alerts::read(&mut *self.writer.acquire().await?).await };
        *alerts = Some(self.measured(StoreOperation::Read, read).await?);
        self.changes().reset();
        Ok(())
    }

    /// The results of a group that is committed in one transaction.
    async fn record_changes(&self, group: &[Recording]) -> Result<Vec<Recorded>, StoreError> {
        let leases = self.leases();
        self.write_alerts(async |db, stored| {
            let alerts = group.iter().flat_map(|recording| &recording.statements.alerts);
            let known = stored.with_fingerprints(db, alerts.map(|alert| alert.fingerprint)).await?;
            let is_watched = group.iter().any(|recording| recording.statements.resolve_rule.is_some());
            let (pulse, routed) = match is_watched {
                true => (modifiers::read_pulse(&mut *db).await?, modifiers::read_routed(db).await?),
                false => (Pulse::default(), RoutedWatchdogs::default()),
            };
            let evidence = Evidence { pulse, routed: routed.clone(), leases: &leases };
            let (mut merge, mut recorded) = (Merge::new(known, stored.adopted(), evidence), Vec::new());
            for Recording { statements, now, .. } in group {
                let verdict = merge.observe_watchdogs(statements, *now);
                let mut correctable = Vec::new();
                if verdict.may_correct() {
                    correctable.extend(stored.special().cloned());
                }
                // Only a death needs the resolved alerts, of which there are many.
                if let Some(died_at) = verdict.died_at {
                    correctable.extend(resolved_after(db, died_at).await?.into_iter().map(Arc::new));
                }
                recorded.push(merge.apply(statements, verdict, correctable, *now));
            }
            // The limit may have changed while they waited.
            let max = group.last().map_or(u32::MAX, |latest| latest.statements.max_stored);
            let rows = stored.rows_of(merge.touched().map(Arc::as_ref));
            let within = write_within(max, stored, db, merge.touched(), &rows, &merge.adopted).await?;
            keep_alerts(db, &merge.history(&within.refused)).await?;
            modifiers::keep_pulse(db, pulse, merge.evidence.pulse, EventKind::WatchdogHeard).await?;
            if merge.evidence.routed != routed {
                modifiers::write_routed(db, &merge.evidence.routed).await?;
            }
            for (recording, recorded) in group.iter().zip(&mut recorded) {
                for (alert, effect) in recording.statements.alerts.iter().zip(&mut recorded.effects) {
                    if within.refused.contains(&alert.fingerprint) {
                        *effect = Effect::OverLimit;
                    }
                }
            }
            recorded.iter_mut().for_each(|recorded| recorded.is_written = true);
            let records = merge.touched().filter(|record| !within.refused.contains(&record.fingerprint));
            Ok((Written { records: records.cloned().collect(), rows, deleted: within.deleted }, recorded))
        })
        .await
    }

    /// The results of a group that only repeats what is stored, without a transaction: when its alerts were last heard of is
    /// stored later, by [`Self::save_last_seen`]. `None` if a transaction must decide: the group says anything new or contains
    /// a watchdog, or there are adopted alerts.
    async fn record_repeats(&self, group: &[Recording]) -> Option<Vec<Recorded>> {
        let mut alerts = self.alerts.lock().await;
        let stored = alerts.as_mut().filter(|stored| stored.adopted().is_empty())?;
        if group.iter().any(|recording| !recording.statements.watchdogs.is_empty()) {
            return None;
        }
        let fingerprints = group.iter().flat_map(|it| &it.statements.alerts).map(|alert| alert.fingerprint);
        let known = fingerprints.map(|fingerprint| Some((fingerprint, Arc::clone(stored.get(fingerprint)?))));
        // What is known of the watchdog matters for a resolve that ends something, and that is no repeat.
        let (pulse, routed, leases) = (Pulse::default(), RoutedWatchdogs::default(), self.leases());
        let mut merge =
            Merge::new(known.collect::<Option<_>>()?, Vec::new(), Evidence { pulse, routed, leases: &leases });
        let nothing_proved = WatchdogVerdict::default();
        let apply =
            |Recording { statements, now, .. }: &Recording| merge.apply(statements, nothing_proved, Vec::new(), *now);
        let recorded: Vec<Recorded> = group.iter().map(apply).collect();
        if recorded.iter().any(|recorded| recorded.is_news) {
            return None;
        }
        merge.touched().for_each(|record| stored.heard_of(Arc::clone(record)));
        Some(recorded)
    }

    /// Runs `work`, which says what it has written, in one transaction; after the commit the same is changed in memory,
    /// and added to the log that the sources read.
    async fn write_alerts<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqliteConnection, &Alerts) -> Result<(Written, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut alerts = self.alerts.lock().await;
        let mut transaction = self.begin().await?;
        // Taken out until the commit has succeeded. If it fails, or this future is dropped, the alerts are read again.
        let mut stored = match alerts.take() {
            Some(stored) => stored,
            None => {
                self.changes().reset();
                Alerts::read(&mut transaction).await?
            }
        };
        let (written, result) = match work(&mut transaction, &stored).await {
            Ok(done) => done,
            Err(error) => {
                // Otherwise the alerts are read again at the next use.
                if !matches!(error, StoreError::OtherWriter) {
                    *alerts = Some(stored);
                }
                return Err(error);
            }
        };
        transaction.commit().await?;
        self.changes().add(stored.change(written));
        *alerts = Some(stored);
        Ok(result)
    }

    /// Stores the times at which alerts were last heard of that are only in memory. A crash loses these, and nothing else.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then the times stay in memory for the next call.
    pub async fn save_last_seen(&self) -> Result<(), StoreError> {
        match &mut *self.alerts.lock().await {
            Some(alerts) => self.save_last_seen_of(alerts).await,
            None => Ok(()),
        }
    }

    /// [`Self::save_last_seen`] for who holds the guard of the alerts.
    pub(super) async fn save_last_seen_of(&self, alerts: &mut Alerts) -> Result<(), StoreError> {
        if alerts.has_unsaved() {
            let save = self.write(async |db| alerts.save_last_seen(db).await);
            self.measured(StoreOperation::Remember, save).await?;
            alerts.mark_saved();
        }
        Ok(())
    }

    /// The log that the sources read.
    fn changes(&self) -> MutexGuard<'_, AlertLog> {
        self.alert_log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has changed of the alerts that are not resolved since `position`: that of an earlier answer of this store, or
    /// `None` for all of them.
    ///
    /// # Errors
    /// As [`Self::unresolved_alerts`].
    pub async fn alert_changes(&self, position: Option<u64>) -> Result<AlertChanges, StoreError> {
        self.load_alerts().await?;
        let (next, changes) = {
            let log = self.changes();
            (log.position(), position.and_then(|position| log.since(position)))
        };
        if let Some(changes) = changes {
            return Ok(AlertChanges { position: next, all: false, changes });
        }
        // The position was taken before reading, so a change during the reading is returned again next time.
        let alerts = self.alerts.lock().await;
        let unresolved = alerts.as_ref().map(Alerts::unresolved).unwrap_or_default().into_iter();
        let changes = unresolved.map(|record| (record.fingerprint, Some(record))).collect();
        Ok(AlertChanges { position: next, all: true, changes })
    }

    /// Adopts what a page says that nobody remembers, and keeps that the page was read: this happens once.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn adopt(&self, adoption: &Adoption, observed: &Observed, now: Timestamp) -> Result<(), StoreError> {
        self.write_alerts(async |db, stored| {
            // A notification may have come first.
            let mut known = named_like(db, &adoption.alerts).await?;
            let adopted: HashSet<_> = adoption.alerts.iter().map(|record| record.fingerprint).collect();
            known.retain(|known| !adopted.contains(&known.fingerprint));
            let ended: HashSet<_> = superseded(&adoption.alerts, &known).into_iter().collect();
            let alerts = adoption.alerts.iter().filter(|record| !ended.contains(&record.fingerprint));
            let alerts: Vec<&AlertRecord> = alerts.collect();
            let rows = stored.rows_of(alerts.iter().copied());
            upsert(db, &alerts, &rows).await?;
            for outage in &adoption.outages {
                upsert_outage(db, outage).await?;
            }
            replace_observed(db, observed, now).await?;
            let fired = alerts.iter().map(|record| AlertEvent::of(record, AlertEventKind::Fired, Source::Page, now));
            keep_alerts(db, &fired.collect::<Vec<_>>()).await?;
            let records = alerts.into_iter().cloned().map(Arc::new).collect();
            Ok((Written { records, rows, deleted: Vec::new() }, ()))
        })
        .await
    }

    /// Puts an alert into the store as it is given, without judging it: for a history that is played again. An alert that was
    /// adopted from a page ends with any other of its target and name.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub async fn put_alert(&self, record: &AlertRecord) -> Result<(), StoreError> {
        self.write_alerts(async |db, stored| {
            if record.state == AlertState::Adopted {
                let adopted = std::slice::from_ref(record);
                let known = named_like(db, adopted).await?;
                if !superseded(adopted, &known).is_empty() {
                    return Ok((Written::default(), ()));
                }
            }
            let rows = stored.rows_of([record].into_iter());
            upsert(db, &[record], &rows).await?;
            let deleted = superseded(&stored.adopted(), [record]);
            delete(db, &deleted, stored).await?;
            Ok((Written { records: vec![Arc::new(record.clone())], rows, deleted }, ()))
        })
        .await
    }

    /// Every alert that may count as firing now or later: all but the resolved ones, ordered by fingerprint.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn unresolved_alerts(&self) -> Result<Vec<AlertRecord>, StoreError> {
        if let Some(stored) = self.alerts.lock().await.as_ref().filter(|_| !self.is_read_only) {
            return Ok(stored.unresolved().into_iter().map(Arc::unwrap_or_clone).collect());
        }
        // They are not in memory yet, or another process may write them.
        self.measured(StoreOperation::Read, unresolved(&self.reader)).await
    }

    /// Of [`Store::unresolved_alerts`] at least those about targets that feed `component`.
    ///
    /// # Errors
    /// As [`Store::unresolved_alerts`].
    pub async fn unresolved_alerts_about(&self, component: &ComponentName) -> Result<Vec<AlertRecord>, StoreError> {
        if let Some(stored) = self.alerts.lock().await.as_ref().filter(|_| !self.is_read_only) {
            return Ok(stored.unresolved_about(component));
        }
        self.measured(StoreOperation::Read, unresolved_with(&self.reader, component.as_str())).await
    }

    /// The names of the targets of [`Store::unresolved_alerts`], as the alerts give them.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn unresolved_targets(&self) -> Result<Vec<String>, StoreError> {
        if let Some(stored) = self.alerts.lock().await.as_ref().filter(|_| !self.is_read_only) {
            return Ok(stored.unresolved_targets().map(|name| name.to_string()).collect());
        }
        let query = sqlx::query_scalar("SELECT DISTINCT target FROM alerts WHERE state <> 'resolved'");
        let read = async { Ok(query.fetch_all(&self.reader).await?) };
        self.measured(StoreOperation::Read, read).await
    }

    /// Forgets resolved alerts that were last heard of before `limit`, and returns how many there were.
    ///
    /// They are kept for a while only so that a late firing of the same occurrence is recognised.
    ///
    /// # Errors
    /// As [`Self::adopt`].
    pub async fn forget_resolved_alerts(&self, limit: Timestamp) -> Result<usize, StoreError> {
        self.write_alerts(async |db, _| {
            let deleted = forget_resolved(db, limit).await?;
            let count = deleted.len();
            Ok((Written { deleted, ..Written::default() }, count))
        })
        .await
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
        let leases = self.leases();
        let repair = self.write_alerts(async |db, stored| {
            let listed = poll.listed().map(|listed| listed.alert.fingerprint);
            let mut known = stored.with_fingerprints(db, listed).await?;
            known.extend(stored.unresolved().into_iter().map(|record| (record.fingerprint, record)));
            let records: Vec<Arc<AlertRecord>> = known.values().cloned().collect();
            let mut plan = repair::plan(poll, &records, missing, &leases, config);
            let repaired: Vec<_> = plan.repairs.iter().map(|repair| Arc::new(repair.record.clone())).collect();
            let (max, adopted) = (config.max_stored, stored.adopted());
            let rows = stored.rows_of(repaired.iter().map(Arc::as_ref));
            let within = write_within(max, stored, db, repaired.iter(), &rows, &adopted).await?;
            plan.repairs.retain(|repair| !within.refused.contains(&repair.record.fingerprint));
            plan.over_limit = within.refused.len();
            let events: Vec<_> = plan.repairs.iter().map(|repair| repair.event(poll.began_at)).collect();
            keep_alerts(db, &events).await?;
            let repaired = repaired.into_iter().filter(|record| !within.refused.contains(&record.fingerprint));
            Ok((Written { records: repaired.collect(), rows, deleted: within.deleted }, (plan, records)))
        });
        let (plan, records) = self.measured(StoreOperation::Repair, repair).await?;
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(poll.leases_after(&leases, &records));
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
        let repair = self.write_alerts(async |db, stored| {
            let repairs: Vec<Repair> = stored.unresolved().iter().filter_map(|record| rule(record)).collect();
            let records: Vec<&AlertRecord> = repairs.iter().map(|repair| &repair.record).collect();
            let rows = stored.rows_of(records.iter().copied());
            upsert(db, &records, &rows).await?;
            let events: Vec<_> = repairs.iter().map(|repair| repair.event(now)).collect();
            keep_alerts(db, &events).await?;
            let records = records.into_iter().cloned().map(Arc::new).collect();
            Ok((Written { records, rows, deleted: Vec::new() }, repairs))
        });
        self.measured(StoreOperation::Repair, repair).await
    }
}
