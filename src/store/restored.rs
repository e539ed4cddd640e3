//! A store of an earlier time: somebody has restored a backup.
//!
//! What happened since then is on the page and not in the store, so what we wrote ourselves would look like a person's
//! change, and our open incidents like nobody's. When the server looked last is therefore kept beside the database as well:
//! a database that has looked earlier than that is not the one that it was.

use std::fs;

use super::{Store, StoreError, beside};
use crate::core::time::Timestamp;

/// What the file is called behind the database's name.
const LOOKED: &str = "looked";

/// What is forgotten, so that the page has the say.
const FORGET: [&str; 3] = [
    "UPDATE applied SET certainty = 'pending'",
    "UPDATE episodes SET phase = 'ended', ended_by = 'recovery' WHERE phase <> 'ended'",
    "DELETE FROM observed",
];

/// The same of alerts that had ended, for they may have fired again since; but not of what has been heard just now.
const FORGET_ENDED: &str = "DELETE FROM alerts WHERE state = 'resolved' AND last_seen_ms < $1";

impl Store {
    /// Forgets what the store says of Cachet if it is older than the last server that worked on it, and says whether it is.
    /// Then all is as after the loss of a store: what was written counts as never confirmed, and what is red on the page,
    /// and its open incidents, are to be taken over. Alerts that fire stay, until it is heard that they have ended.
    ///
    /// To be called once, by the server that began at `start`, before it writes anything but alerts.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn forget_if_restored(&self, start: Timestamp) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT at_ms FROM history_looked WHERE id = 1");
        let known: Option<i64> = query.fetch_optional(&self.reader).await?;
        if known.is_none_or(|known| self.looked_beside().is_none_or(|beside| beside <= known)) {
            return Ok(false);
        }
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for statement in FORGET {
            sqlx::query(statement).execute(&mut *transaction).await?;
        }
        sqlx::query(FORGET_ENDED).bind(start.as_millis()).execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Keeps beside the database that the server looked at `now`, after the database knows it. If that fails, a restored
    /// backup is not known for what it is, and nothing else comes of it.
    pub(super) fn look_beside(&self, now: Timestamp) {
        let kept = fs::write(beside(&self.path, LOOKED), now.as_millis().to_string());
        if let Err(error) = kept {
            tracing::debug!(%error, "it is not kept beside the store when the server looked");
        }
    }

    fn looked_beside(&self) -> Option<i64> {
        fs::read_to_string(beside(&self.path, LOOKED)).ok()?.trim().parse().ok()
    }
}
