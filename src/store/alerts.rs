//! Alerts in the store.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{Store, StoreError};
use crate::core::alert::{Alert, AlertRecord, AlertState, Effect, Fingerprint};
use crate::core::target::Target;
use crate::core::time::Timestamp;

impl Store {
    /// Takes what a notification states, all of it or nothing; one effect an alert, in their order.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it could not be kept.
    pub async fn record(&self, alerts: &[Alert], now: Timestamp) -> Result<Vec<Effect>, StoreError> {
        let mut effects = Vec::with_capacity(alerts.len());
        let mut transaction = self.writer.begin().await?;
        for alert in alerts {
            let row = sqlx::query("SELECT * FROM alerts WHERE fingerprint = $1")
                .bind(alert.fingerprint.to_string())
                .fetch_optional(&mut *transaction)
                .await?;
            let known = row.map(|row| read(alert.fingerprint, &row)).transpose()?;
            let (record, effect) = AlertRecord::observe(known.as_ref(), alert, now);
            let (state, refired_at) = match record.state {
                AlertState::Firing => ("firing", None),
                AlertState::Resolved => ("resolved", None),
                AlertState::Refired { since } => ("refired", Some(since.as_millis())),
            };
            sqlx::query(
                "INSERT INTO alerts (fingerprint, name, target, critical, starts_at_ms, state, refired_at_ms, \
                 last_seen_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                 ON CONFLICT (fingerprint) DO UPDATE SET name = excluded.name, target = excluded.target, \
                 critical = excluded.critical, starts_at_ms = excluded.starts_at_ms, state = excluded.state, \
                 refired_at_ms = excluded.refired_at_ms, last_seen_ms = excluded.last_seen_ms",
            )
            .bind(record.fingerprint.to_string())
            .bind(&record.name)
            .bind(record.target.name().as_str())
            .bind(i64::from(record.critical))
            .bind(record.starts_at.as_millis())
            .bind(state)
            .bind(refired_at)
            .bind(record.last_seen_at.as_millis())
            .execute(&mut *transaction)
            .await?;
            effects.push(effect);
        }
        transaction.commit().await?;
        Ok(effects)
    }
}

fn read(fingerprint: Fingerprint, row: &SqliteRow) -> Result<AlertRecord, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("alert {fingerprint}: {what}") };
    let target: String = row.try_get("target")?;
    let state: String = row.try_get("state")?;
    let refired_at: Option<i64> = row.try_get("refired_at_ms")?;
    Ok(AlertRecord {
        fingerprint,
        name: row.try_get("name")?,
        target: Target::from_name(&target).ok_or_else(|| corrupt("its target"))?,
        critical: row.try_get::<i64, _>("critical")? != 0,
        starts_at: Timestamp::from_millis(row.try_get("starts_at_ms")?),
        state: match (state.as_str(), refired_at) {
            ("firing", None) => AlertState::Firing,
            ("resolved", None) => AlertState::Resolved,
            ("refired", Some(since)) => AlertState::Refired { since: Timestamp::from_millis(since) },
            _ => return Err(corrupt("its state")),
        },
        last_seen_at: Timestamp::from_millis(row.try_get("last_seen_ms")?),
    })
}
