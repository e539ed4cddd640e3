//! Whether the store works at all.

use super::{Store, StoreError};

impl Store {
    /// Asks the store something trivial.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1 FROM alerts LIMIT 1").fetch_optional(self.reader()).await?;
        Ok(())
    }
}
