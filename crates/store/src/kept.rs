//! The whole history, to be played again.

use super::history::{alert_of, happening_of};
use super::{Store, StoreError};
use alertmanager_cachet_core::simulate::Kept;
use alertmanager_cachet_core::time::Timestamp;

/// How many rows are read of each kind: some hundred megabytes.
const ROWS: usize = 1_000_000;

impl Store {
    /// All that the history kept, as it is at one moment; a server may go on writing meanwhile.
    ///
    /// # Errors
    /// [`StoreError::NoHistory`] if nothing is kept yet, [`StoreError::LongHistory`] if it is too much to be read at once,
    /// [`StoreError::Database`] if a statement failed.
    pub async fn kept(&self) -> Result<Kept, StoreError> {
        let mut transaction = self.reader.begin().await?;
        let query = "SELECT from_ms FROM history_looked WHERE id = 1";
        let from: Option<i64> = sqlx::query_scalar(query).fetch_optional(&mut *transaction).await?;
        let Some(from) = from.map(Timestamp::from_millis) else { return Err(StoreError::NoHistory) };
        let limit = i64::try_from(ROWS).unwrap_or(i64::MAX).saturating_add(1);
        let alerts = "SELECT * FROM history_alerts ORDER BY id LIMIT $1";
        let alerts = sqlx::query(alerts).bind(limit).fetch_all(&mut *transaction).await?;
        let events = "SELECT * FROM history_events WHERE kind IN ('held', 'released', 'hold_expired', 'watchdog_missing', \
                      'watchdog_heard', 'not_running', 'status_overridden', 'incident_closed_by_person', \
                      'incident_held_back') ORDER BY id LIMIT $1";
        let events = sqlx::query(events).bind(limit).fetch_all(&mut *transaction).await?;
        if alerts.len().max(events.len()) > ROWS {
            return Err(StoreError::LongHistory { rows: ROWS });
        }
        Ok(Kept {
            from,
            alerts: alerts.iter().filter_map(alert_of).collect(),
            events: events.iter().filter_map(happening_of).collect(),
            last_heartbeat: super::watchdog::read(&mut *transaction).await?.last_heartbeat,
        })
    }
}
