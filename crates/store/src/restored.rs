//! A store of an earlier time: somebody has restored a backup.
//!
//! What happened since then is on the page and not in the store, so what we wrote ourselves would look like a person's
//! change, and our open incidents like nobody's. When the server looked last is therefore kept beside the database as well:
//! a database that has looked earlier than that is not the one that it was.

use std::fs;

use super::{Store, StoreError, beside};
use alertmanager_cachet_core::time::Timestamp;

/// What the file is called behind the database's name.
const LOOKED: &str = "looked";

/// What is forgotten, so that the page has the say.
const FORGET: [&str; 3] = [
    "UPDATE applied SET certainty = 'pending'",
    "UPDATE episodes SET phase = 'ended', ended_by = 'recovery' WHERE phase <> 'ended'",
    "DELETE FROM observed",
];

/// The same of alerts that had ended, for they may have fired again since, and of the watchdog, which may be missing since;
/// but not of what has been heard since the backup was restored.
const FORGET_UNLESS_HEARD: [&str; 2] = [
    "DELETE FROM alerts WHERE state = 'resolved' AND last_seen_ms < $1",
    "DELETE FROM watchdog WHERE last_heartbeat_ms IS NULL OR last_heartbeat_ms < $1",
];

impl Store {
    /// Forgets what the store says of Cachet if it is older than the last server that worked on it, and says whether there
    /// was anything to forget: one that was lost looks as if it were older, too.
    ///
    /// Then all is as after the loss of a store: what was written counts as never confirmed, and what is red on the page,
    /// and its open incidents, are to be taken over, that of a missing watchdog too. Alerts that fire stay, until it is
    /// heard that they have ended.
    ///
    /// To be called once, by the server that began at `start`, before it writes anything but alerts.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn forget_if_restored(&self, start: Timestamp) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar("SELECT at_ms FROM history_looked WHERE id = 1");
        let known: Option<i64> = query.fetch_optional(&self.reader).await?;
        // One that no server has looked at is older as well.
        let Some(beside) = self.looked_beside().filter(|beside| known.is_none_or(|known| known < *beside)) else {
            return Ok(false);
        };
        // A server that did not come to its first look, and began before this one, may have heard something since.
        let heard_since = start.as_millis().min(beside);
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let mut stored = self.capacity.stored().await;
        *stored = None;
        let mut forgotten = 0;
        for statement in FORGET {
            forgotten += sqlx::query(statement).execute(&mut *transaction).await?.rows_affected();
        }
        for statement in FORGET_UNLESS_HEARD {
            forgotten += sqlx::query(statement).bind(heard_since).execute(&mut *transaction).await?.rows_affected();
        }
        transaction.commit().await?;
        Ok(forgotten > 0)
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
