//! Whether the store can be written.

use super::StoreOperation;
use super::{Store, StoreError};

impl Store {
    /// Writes an alert, as a notification does, and takes it away again before anybody can see it.
    ///
    /// It is committed, at the price of one wait for the disk: what is rolled back never gets there, and so would not
    /// tell a full disk from a working one.
    ///
    /// # Errors
    /// [`StoreError::Database`] if nothing can be stored now.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        self.measured(StoreOperation::Probe, self.write_and_remove()).await
    }

    async fn write_and_remove(&self) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        // No alert has an empty fingerprint.
        sqlx::query(
            "INSERT INTO alerts (fingerprint, name, target, critical, starts_at_ms, state, last_seen_ms) \
             VALUES ('', '', '', 0, 0, 'resolved', 0)",
        )
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM alerts WHERE fingerprint = ''").execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(())
    }
}
