//! When the watchdog was last heard, and since when it is missing.

use std::time::Duration;

use sqlx::sqlite::SqliteExecutor;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError};
use alertmanager_cachet_core::expiry::{RoutedWatchdog, RoutedWatchdogs};
use alertmanager_cachet_core::history::{About, Event, Happening};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;

impl Store {
    /// What is known of the watchdog. Whoever wants to tell how the monitoring is reads it here.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn pulse(&self) -> Result<Pulse, StoreError> {
        read(&self.reader).await
    }

    /// Keeps that the watchdog was sent at `moment`. `true` if it was missing until then.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing of it was kept.
    pub async fn record_heartbeat(&self, moment: Timestamp) -> Result<bool, StoreError> {
        let (before, after) = self.change_pulse(|pulse| pulse.beat(moment), Event::WatchdogHeard).await?;
        Ok(before.missing_at.is_some() && after.missing_at.is_none())
    }

    /// Keeps that the absence of the watchdog, of which nothing was heard from `since` on, had lasted for too long at
    /// `moment`, unless it was heard meanwhile; returns what is known then.
    ///
    /// # Errors
    /// As [`Self::record_heartbeat`].
    pub async fn record_missing_watchdog(&self, since: Timestamp, moment: Timestamp) -> Result<Pulse, StoreError> {
        let event = Event::WatchdogMissing { since_ms: since.as_millis() };
        self.change_pulse(|pulse| pulse.miss(moment), event).await.map(|(_, after)| after)
    }

    /// Changes what is known, and returns what was and what is.
    async fn change_pulse(
        &self,
        change: impl FnOnce(Pulse) -> Pulse,
        event: Event,
    ) -> Result<(Pulse, Pulse), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let before = read(&mut *transaction).await?;
        let after = change(before);
        keep(&mut transaction, before, after, event).await?;
        transaction.commit().await?;
        Ok((before, after))
    }
}

/// Writes the pulse if it changed. If that makes the watchdog missing, or heard again, it is an `event`.
pub(super) async fn keep(
    connection: &mut SqliteConnection,
    before: Pulse,
    after: Pulse,
    event: Event,
) -> Result<(), StoreError> {
    if after != before {
        write(connection, after).await?;
        let turned = turned_at(before, after).map(|at| Happening { at, about: About::Everything, event });
        super::history::keep(connection, turned.as_slice()).await?;
    }
    Ok(())
}

/// The firing watchdogs that notifications reported. The column `heard_at_ms` is [`RoutedWatchdog::notified_at`].
pub(super) async fn read_routed(connection: &mut SqliteConnection) -> Result<RoutedWatchdogs, StoreError> {
    let query = "SELECT fingerprint, starts_at_ms, heard_at_ms, interval_ms FROM routed_watchdogs";
    let rows = sqlx::query(query).fetch_all(connection).await?;
    let watchdogs = rows.iter().map(|row| {
        let fingerprint: String = row.try_get("fingerprint")?;
        let interval: Option<i64> = row.try_get("interval_ms")?;
        let watchdog = RoutedWatchdog {
            starts_at: Timestamp::from_millis(row.try_get("starts_at_ms")?),
            notified_at: Timestamp::from_millis(row.try_get("heard_at_ms")?),
            interval: interval.and_then(|interval| u64::try_from(interval).ok()).map(Duration::from_millis),
        };
        let corrupt = |_| StoreError::Corrupt {
            what: format!("watchdog {fingerprint:?}: invalid fingerprint, expected 16 hex digits"),
        };
        Ok((fingerprint.parse().map_err(corrupt)?, watchdog))
    });
    Ok(RoutedWatchdogs::from_stored(watchdogs.collect::<Result<Vec<_>, StoreError>>()?))
}

/// Replaces all stored watchdogs of notifications: there are at most 64.
pub(super) async fn write_routed(
    connection: &mut SqliteConnection,
    watchdogs: &RoutedWatchdogs,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM routed_watchdogs").execute(&mut *connection).await?;
    for (fingerprint, watchdog) in watchdogs.iter() {
        sqlx::query(
            "INSERT INTO routed_watchdogs (fingerprint, starts_at_ms, heard_at_ms, interval_ms) VALUES ($1, $2, $3, $4)",
        )
        .bind(fingerprint.to_string())
        .bind(watchdog.starts_at.as_millis())
        .bind(watchdog.notified_at.as_millis())
        .bind(watchdog.interval.map(|interval| i64::try_from(interval.as_millis()).unwrap_or(i64::MAX)))
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// As [`Store::bring_back_to`], of the watchdog: whether anything of it was later than `now`.
pub(super) async fn bring_back(connection: &mut SqliteConnection, now: Timestamp) -> Result<bool, StoreError> {
    let before = read(&mut *connection).await?;
    let after = before.brought_back_to(now);
    if after != before {
        write(connection, after).await?;
    }
    Ok(after != before)
}

/// When the watchdog was missing from then on, or heard again, if it was.
fn turned_at(before: Pulse, after: Pulse) -> Option<Timestamp> {
    match (before.missing_at, after.missing_at) {
        (None, missing_at) => missing_at,
        (Some(_), None) => after.last_heartbeat,
        (Some(_), Some(_)) => None,
    }
}

pub(super) async fn read(executor: impl SqliteExecutor<'_>) -> Result<Pulse, StoreError> {
    let query = "SELECT last_heartbeat_ms, missing_at_ms FROM watchdog WHERE id = 1";
    let Some(row) = sqlx::query(query).fetch_optional(executor).await? else { return Ok(Pulse::default()) };
    let moment = |column| row.try_get::<Option<i64>, _>(column).map(|value| value.map(Timestamp::from_millis));
    Ok(Pulse { last_heartbeat: moment("last_heartbeat_ms")?, missing_at: moment("missing_at_ms")? })
}

async fn write(connection: &mut SqliteConnection, pulse: Pulse) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO watchdog (id, last_heartbeat_ms, missing_at_ms) VALUES (1, $1, $2) \
         ON CONFLICT (id) DO UPDATE SET last_heartbeat_ms = excluded.last_heartbeat_ms, \
         missing_at_ms = excluded.missing_at_ms",
    )
    .bind(pulse.last_heartbeat.map(Timestamp::as_millis))
    .bind(pulse.missing_at.map(Timestamp::as_millis))
    .execute(connection)
    .await?;
    Ok(())
}
