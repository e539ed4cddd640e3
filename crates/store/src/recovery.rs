//! What becomes of the store when its clock was set back, when it is an older one than the last server worked on, and
//! when it is used for another page ([`recovery`]).
//!
//! When the server looked last is kept in a file beside the database as well. A database that knows of no look as late as
//! that is a restored backup: what happened since is on the page and not in the store, so what we wrote would look like a
//! person's change, and our open incidents like nobody's.

use std::fs;

use super::alert_rows::{forget_resolved, select, upsert};
use super::alert_table::Alerts;
use super::ledger::{forget_observed, read_ledger, save_differences};
use super::modifiers::{read_pulse, read_routed, write_pulse, write_routed};
use super::sqlite::beside;
use super::{Store, StoreError};
use alertmanager_cachet_core::alert::AlertRecord;
use alertmanager_cachet_core::recovery;
use alertmanager_cachet_core::time::Timestamp;

/// What the file is called behind the database's name.
const LOOKED: &str = "looked";

impl Store {
    /// Keeps the address of the page that the store is about. If it is another one than before, the recorded state is
    /// changed as [`recovery::ledger_of_another_page`] says, and the last reading is forgotten.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn keep_page_at(&self, address: &str) -> Result<(), StoreError> {
        self.write(async |db| {
            let query = sqlx::query_scalar("SELECT address FROM cachet WHERE id = 1");
            let known: Option<String> = query.fetch_optional(&mut *db).await?;
            if known.as_deref() == Some(address) {
                return Ok(());
            }
            let before = read_ledger(db).await?;
            let after = recovery::ledger_of_another_page(before.clone());
            save_differences(db, &before, &after).await?;
            forget_observed(db).await?;
            sqlx::query(
                "INSERT INTO cachet (id, address) VALUES (1, $1) \
                 ON CONFLICT (id) DO UPDATE SET address = excluded.address",
            )
            .bind(address)
            .execute(&mut *db)
            .await?;
            Ok(())
        })
        .await
    }

    /// Forgets what the store says of the page if it is older than the last server that worked on it, and returns whether
    /// there was anything to forget: a new store in the place of a lost one seems to be older, too.
    ///
    /// Then all is as after the loss of a store. What was written counts as unconfirmed; what is red on the page, its open
    /// incidents, and a missing watchdog are adopted again. Resolved alerts and the watchdog are forgotten unless they were
    /// heard of since the backup was restored. Alerts that fire stay until it is heard that they have ended.
    ///
    /// To be called once, by the server that began at `start`, before it writes anything but alerts.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn forget_if_restored(&self, start: Timestamp) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT at_ms FROM history_looked WHERE id = 1");
        let known = query.fetch_optional(&self.reader).await?.map(Timestamp::from_millis);
        let looked_at = self.path.as_deref().and_then(|path| {
            let text = fs::read_to_string(beside(path, LOOKED)).ok()?;
            text.trim().parse().ok().map(Timestamp::from_millis)
        });
        let Some(heard_since) = looked_at.and_then(|looked_at| recovery::heard_since(known, looked_at, start)) else {
            return Ok(false);
        };
        let mut alerts = self.alerts.lock().await;
        let known = alerts.take();
        let forgotten = self.write(async |db| {
            if let Some(stored) = &known {
                stored.save_last_seen(db).await?;
            }
            let before = read_ledger(db).await?;
            let after = recovery::ledger_of_newer_page(before.clone());
            save_differences(db, &before, &after).await?;
            let is_forgotten = forget_observed(db).await? | !forget_resolved(db, heard_since).await?.is_empty();
            let pulse_before = read_pulse(&mut *db).await?;
            let pulse = recovery::pulse_after_restore(pulse_before, heard_since);
            if pulse != pulse_before {
                write_pulse(db, pulse).await?;
            }
            Ok(is_forgotten || after != before || pulse != pulse_before)
        });
        let forgotten = forgotten.await?;
        Ok(forgotten)
    }

    /// Moves everything that is dated later than `now` back to `now`, after the clock was set back: the alerts, the
    /// recorded state and the watchdog. Returns how many alerts and other things were moved.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn clamp_future_timestamps(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut alerts = self.alerts.lock().await;
        let known = alerts.take();
        let moved = self.write(async |db| {
            let stored = match known {
                Some(stored) => stored,
                None => Alerts::read(db).await?,
            };
            stored.save_last_seen(db).await?;
            let later = "last_seen_ms > $1 OR refired_at_ms > $1 OR ends_at_ms > $1";
            let later = select(db, later, |query| query.bind(now.as_millis())).await?;
            let clamped: Vec<AlertRecord> = later.iter().map(|record| recovery::clamp_alert(record, now)).collect();
            upsert(db, &clamped.iter().collect::<Vec<_>>(), &stored.rows_of(clamped.iter())).await?;

            let ledger_before = read_ledger(db).await?;
            let ledger = recovery::clamp_ledger(ledger_before.clone(), now);
            save_differences(db, &ledger_before, &ledger).await?;

            let routed_before = read_routed(db).await?;
            let routed = recovery::clamp_watchdogs(&routed_before, now);
            if routed != routed_before {
                write_routed(db, &routed).await?;
            }
            let pulse_before = read_pulse(&mut *db).await?;
            let pulse = pulse_before.clamped_to(now);
            if pulse != pulse_before {
                write_pulse(db, pulse).await?;
            }
            let others = [ledger != ledger_before, routed != routed_before, pulse != pulse_before];
            let moved = clamped.len() + others.into_iter().filter(|moved| *moved).count();
            Ok(u64::try_from(moved).unwrap_or(u64::MAX))
        });
        let moved = moved.await?;
        Ok(moved)
    }

    /// Keeps beside the database that the server looked at `now`, after the database knows it. If that fails, a restored
    /// backup is not recognised, and nothing else comes of it.
    pub(super) fn look_beside(&self, now: Timestamp) {
        let Some(path) = &self.path else { return };
        if let Err(error) = fs::write(beside(path, LOOKED), now.as_millis().to_string()) {
            tracing::debug!(%error, "cannot keep beside the store when the server looked");
        }
    }
}
