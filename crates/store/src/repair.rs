//! Corrections of the alerts that no notification asked for.

use std::sync::{Arc, PoisonError};

use super::StoreOperation;
use super::alerts::{end_inherited, known_alerts, unresolved, upsert};
use super::capacity::upsert_within;
use super::history::keep_alerts;
use super::{Store, StoreError};
use alertmanager_cachet_core::alert::{AlertRecord, AlertState};
use alertmanager_cachet_core::expiry::Leases;
use alertmanager_cachet_core::history::{AlertHappening, Turn};
use alertmanager_cachet_core::repair::{Missing, Plan, Policy, Poll, Reason, Repair, plan};
use alertmanager_cachet_core::time::Timestamp;

impl Store {
    /// Makes the alerts agree with what Alertmanager lists, as [`plan`] says, all of it or nothing.
    ///
    /// It plans from what is stored at this very moment, so a notification that arrived while Alertmanager was read is not
    /// undone. When this returns, the repairs survive a power cut. New alerts over the limit ([`Self::limit_alerts`]) are left
    /// out of the plan and counted in `over_limit`.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense; then
    /// nothing was changed.
    pub async fn apply_repair(&self, poll: &Poll, missing: &Missing, policy: Policy) -> Result<Plan, StoreError> {
        self.measured(StoreOperation::Repair, self.repair(poll, missing, policy)).await
    }

    async fn repair(&self, poll: &Poll, missing: &Missing, policy: Policy) -> Result<Plan, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let listed: Vec<_> = poll.listed().map(|listed| &listed.alert).collect();
        let mut stored = self.capacity.stored().await;
        let mut known = known_alerts(&mut transaction, &listed).await?;
        let unlisted = unresolved(&mut *transaction).await?;
        known.extend(unlisted.into_iter().map(|record| (record.fingerprint, record)));
        let records: Vec<AlertRecord> = known.values().cloned().collect();
        let leases = self.leases();
        let mut plan = plan(poll, &records, missing, &leases, policy);
        let repaired = plan.repairs.iter().map(|repair| &repair.record);
        let written = upsert_within(self.max_alerts(), &mut stored, &mut transaction, repaired, &known).await?;
        plan.repairs.retain(|repair| !written.refused.contains(&repair.record.fingerprint));
        plan.over_limit = written.refused.len();
        let ended = end_inherited(&mut transaction).await?;
        keep_alerts(&mut transaction, &happenings(&plan.repairs, poll.began_at)).await?;
        transaction.commit().await?;
        self.remember_leases(poll.leases_after(&leases, &records));
        *stored = Some(written.stored.saturating_sub(ended));
        Ok(plan)
    }

    /// The leases in Alertmanager's latest list.
    pub(super) fn leases(&self) -> Arc<Leases> {
        Arc::clone(&self.leases.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember_leases(&self, leases: Leases) {
        *self.leases.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(leases);
    }

    /// Resolves at `now` every alert that was last heard of before `limit`, and says which.
    ///
    /// # Errors
    /// As [`Self::apply_repair`].
    pub async fn resolve_stale_alerts(&self, limit: Timestamp, now: Timestamp) -> Result<Vec<Repair>, StoreError> {
        let stale = |record: AlertRecord| {
            // `last_seen_at` stays: this is no notification of the alert.
            let is_stale = record.last_seen_at < limit;
            is_stale.then(|| Repair { record: record.ended(record.last_seen_at), reason: Reason::Stale })
        };
        self.measured(StoreOperation::Repair, self.repair_unresolved(stale, now)).await
    }

    /// Resolves at `now` every alert whose resolve is held, and returns them. For a server without a watchdog, which could
    /// confirm no held resolve.
    ///
    /// # Errors
    /// As [`Self::apply_repair`].
    pub async fn confirm_held_resolves(&self, now: Timestamp) -> Result<Vec<Repair>, StoreError> {
        let confirmed = |record: AlertRecord| {
            let is_held = record.state == AlertState::ResolveHeld;
            is_held.then(|| Repair { record: record.with_resolve_confirmed(now), reason: Reason::ResolveConfirmed })
        };
        self.measured(StoreOperation::Repair, self.repair_unresolved(confirmed, now)).await
    }

    /// Applies `repair` to each alert that is not resolved, and returns the repairs.
    async fn repair_unresolved(
        &self,
        repair: impl Fn(AlertRecord) -> Option<Repair>,
        now: Timestamp,
    ) -> Result<Vec<Repair>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let repairs: Vec<Repair> = unresolved(&mut *transaction).await?.into_iter().filter_map(repair).collect();
        let records: Vec<&AlertRecord> = repairs.iter().map(|repair| &repair.record).collect();
        upsert(&mut transaction, &records).await?;
        keep_alerts(&mut transaction, &happenings(&repairs, now)).await?;
        transaction.commit().await?;
        Ok(repairs)
    }
}

/// The history entries of `repairs`.
fn happenings(repairs: &[Repair], now: Timestamp) -> Vec<AlertHappening> {
    let of =
        |repair: &Repair| AlertHappening::of(&repair.record, Turn::of_repair(repair.reason), repair.reason.into(), now);
    repairs.iter().map(of).collect()
}
