//! What modifies the page that the alerts ask for: the watchdog and the operators' overrides.

use std::time::Duration;

use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteExecutor;

use super::{Store, StoreError, history};
use alertmanager_cachet_core::expiry::{RoutedWatchdog, RoutedWatchdogs};
use alertmanager_cachet_core::history::{About, Event, EventKind};
use alertmanager_cachet_core::overrides::Override;
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::ComponentName;
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::watchdog::Pulse;

impl Store {
    /// When the watchdog was last received, and since when it is missing.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn pulse(&self) -> Result<Pulse, StoreError> {
        read_pulse(&self.reader).await
    }

    /// Keeps that the watchdog was sent at `moment`, and returns whether it was missing until then.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing of it was kept.
    pub async fn record_heartbeat(&self, moment: Timestamp) -> Result<bool, StoreError> {
        self.write(async |db| {
            let before = read_pulse(&mut *db).await?;
            let after = before.beat(moment);
            keep_pulse(db, before, after, EventKind::WatchdogHeard).await?;
            Ok(before.missing_at.is_some() && after.missing_at.is_none())
        })
        .await
    }

    /// Keeps that the watchdog is missing: nothing was heard of it from `since` on, and at `moment` that had lasted for too
    /// long. If it was heard meanwhile, it is not missing. Returns the pulse after that.
    ///
    /// # Errors
    /// As [`Self::record_heartbeat`].
    pub async fn record_missing_watchdog(&self, since: Timestamp, moment: Timestamp) -> Result<Pulse, StoreError> {
        self.write(async |db| {
            let before = read_pulse(&mut *db).await?;
            let after = before.miss(moment);
            keep_pulse(db, before, after, EventKind::WatchdogMissing { since_ms: since.as_millis() }).await?;
            Ok(after)
        })
        .await
    }

    /// Sets an override, in place of an earlier one of the component.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing is set.
    pub async fn set_override(&self, override_: &Override) -> Result<(), StoreError> {
        self.page().write(async |db| {
            sqlx::query(
                "INSERT INTO holds (component, status, since_ms, until_ms, held_by, note) VALUES ($1, $2, $3, $4, $5, $6) \
                 ON CONFLICT (component) DO UPDATE SET status = excluded.status, since_ms = excluded.since_ms, \
                 until_ms = excluded.until_ms, held_by = excluded.held_by, note = excluded.note",
            )
            .bind(override_.component.as_str())
            .bind(i64::from(override_.status.value()))
            .bind(override_.since.as_millis())
            .bind(override_.until.as_millis())
            .bind(&override_.user)
            .bind(&override_.note)
            .execute(&mut *db)
            .await?;
            note(db, &override_.component, EventKind::override_set(override_), override_.since).await
        })
        .await
    }

    /// Ends the override of a component for `user`, and returns the override that it had, if any.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then the override stays.
    pub async fn end_override(
        &self,
        component: &ComponentName,
        user: &str,
        now: Timestamp,
    ) -> Result<Option<Override>, StoreError> {
        self.page()
            .write(async |db| {
                let query = "DELETE FROM holds WHERE component = $1 \
                         RETURNING component, status, since_ms, until_ms, held_by, note";
                let Some(row) = sqlx::query_as(query).bind(component.as_str()).fetch_optional(&mut *db).await? else {
                    return Ok(None);
                };
                note(db, component, EventKind::OverrideEnded { user: user.to_owned() }, now).await?;
                override_of(row).map(Some)
            })
            .await
    }

    /// Ends the overrides whose time is over at `now`, and returns them.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn end_expired_overrides(&self, now: Timestamp) -> Result<Vec<Override>, StoreError> {
        self.write(async |db| {
            let mut over = read_overrides(&mut *db).await?;
            over.retain(|override_| !override_.is_in_force(now));
            for override_ in &over {
                let query = sqlx::query("DELETE FROM holds WHERE component = $1").bind(override_.component.as_str());
                query.execute(&mut *db).await?;
                note(db, &override_.component, EventKind::OverrideExpired, override_.until).await?;
            }
            Ok(over)
        })
        .await
    }

    /// Every override that was not ended, by component; some may be over by now.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn overrides(&self) -> Result<Vec<Override>, StoreError> {
        read_overrides(&self.reader).await
    }
}

/// Writes the pulse if it changed. If the watchdog is missing from now on, or not any more, `event` is kept as well.
pub(super) async fn keep_pulse(
    connection: &mut SqliteConnection,
    before: Pulse,
    after: Pulse,
    kind: EventKind,
) -> Result<(), StoreError> {
    if after != before {
        write_pulse(connection, after).await?;
        let turned = before.turned_at(after).map(|at| Event { at, about: About::Everything, kind });
        history::keep(connection, turned.as_slice()).await?;
    }
    Ok(())
}

/// The firing watchdogs that notifications reported. The column `heard_at_ms` is [`RoutedWatchdog::notified_at`].
pub(super) async fn read_routed(connection: &mut SqliteConnection) -> Result<RoutedWatchdogs, StoreError> {
    let query = "SELECT fingerprint, starts_at_ms, heard_at_ms, interval_ms FROM routed_watchdogs";
    let rows: Vec<(String, i64, i64, Option<i64>)> = sqlx::query_as(query).fetch_all(connection).await?;
    let watchdogs = rows.into_iter().map(|(fingerprint, starts_at_ms, heard_at_ms, interval_ms)| {
        let watchdog = RoutedWatchdog {
            starts_at: Timestamp::from_millis(starts_at_ms),
            notified_at: Timestamp::from_millis(heard_at_ms),
            interval: interval_ms.and_then(|interval| u64::try_from(interval).ok()).map(Duration::from_millis),
        };
        let corrupt = |_| StoreError::Corrupt {
            what: format!("watchdog {fingerprint:?}: invalid fingerprint, expected 16 hex digits"),
        };
        Ok((fingerprint.parse().map_err(corrupt)?, watchdog))
    });
    Ok(RoutedWatchdogs(watchdogs.collect::<Result<_, StoreError>>()?))
}

/// Replaces all stored watchdogs of notifications: there are at most 64.
pub(super) async fn write_routed(
    connection: &mut SqliteConnection,
    watchdogs: &RoutedWatchdogs,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM routed_watchdogs").execute(&mut *connection).await?;
    for (fingerprint, watchdog) in &watchdogs.0 {
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

pub(super) async fn read_pulse(executor: impl SqliteExecutor<'_>) -> Result<Pulse, StoreError> {
    let query = "SELECT last_heartbeat_ms, missing_at_ms FROM watchdog WHERE id = 1";
    let row: Option<(Option<i64>, Option<i64>)> = sqlx::query_as(query).fetch_optional(executor).await?;
    let [last_heartbeat, missing_at] =
        row.map_or([None; 2], <[_; 2]>::from).map(|millis| millis.map(Timestamp::from_millis));
    Ok(Pulse { last_heartbeat, missing_at })
}

pub(super) async fn write_pulse(connection: &mut SqliteConnection, pulse: Pulse) -> Result<(), StoreError> {
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

async fn read_overrides(executor: impl SqliteExecutor<'_>) -> Result<Vec<Override>, StoreError> {
    let query = "SELECT component, status, since_ms, until_ms, held_by, note FROM holds ORDER BY component";
    sqlx::query_as(query).fetch_all(executor).await?.into_iter().map(override_of).collect()
}

async fn note(
    connection: &mut SqliteConnection,
    component: &ComponentName,
    kind: EventKind,
    at: Timestamp,
) -> Result<(), StoreError> {
    history::keep(connection, &[Event { at, about: About::Component(component.clone()), kind }]).await
}

fn override_of(
    (component, status, since_ms, until_ms, user, note): (String, i64, i64, i64, String, String),
) -> Result<Override, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("the override of {component:?}: {what}") };
    Ok(Override {
        status: ComponentStatus::from_value(status).ok_or_else(|| corrupt("unknown status"))?,
        component: ComponentName::try_from(component.as_str()).map_err(|error| corrupt(&error.to_string()))?,
        since: Timestamp::from_millis(since_ms),
        until: Timestamp::from_millis(until_ms),
        user,
        note,
    })
}
