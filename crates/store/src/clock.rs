//! What a clock that was set back leaves behind.

use super::{Store, StoreError};
use alertmanager_cachet_core::time::Timestamp;

/// The moments from which something is held or waited for. An alert that was last heard of in the future would be news
/// to every reading of Alertmanager until then, and never end by one.
const MOMENTS: [&str; 8] = [
    "UPDATE alerts SET last_seen_ms = $1 WHERE last_seen_ms > $1",
    "UPDATE alerts SET refired_at_ms = $1 WHERE refired_at_ms > $1",
    "UPDATE alerts SET ends_at_ms = $1 WHERE ends_at_ms > $1",
    "UPDATE routed_watchdogs SET heard_at_ms = $1 WHERE heard_at_ms > $1",
    "UPDATE episodes SET calm_since_ms = $1 WHERE calm_since_ms > $1",
    "UPDATE episodes SET closed_at_ms = $1 WHERE closed_at_ms > $1",
    "UPDATE episodes SET lost_missed_at_ms = $1 WHERE lost_missed_at_ms > $1",
    "UPDATE unanswered_writes SET sent_at_ms = $1 WHERE sent_at_ms > $1",
];

impl Store {
    /// Moves every hold that begins after `now`, every alert that was heard of later, and the watchdog's pulse to `now`,
    /// and says how many there were.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn bring_back_to(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut moved = 0;
        for update in MOMENTS {
            moved += sqlx::query(update).bind(now.as_millis()).execute(&mut *transaction).await?.rows_affected();
        }
        moved += u64::from(super::watchdog::bring_back(&mut transaction, now).await?);
        transaction.commit().await?;
        Ok(moved)
    }
}
