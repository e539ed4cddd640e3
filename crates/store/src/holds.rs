//! The components that operators hold, each with its place in the history.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Store, StoreError, history};
use alertmanager_cachet_core::history::{About, Event, Happening};
use alertmanager_cachet_core::hold::Hold;
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::ComponentName;
use alertmanager_cachet_core::time::Timestamp;

impl Store {
    /// Holds a component, in place of an earlier hold of it.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then nothing is held.
    pub async fn hold(&self, hold: &Hold) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO holds (component, status, since_ms, until_ms, held_by, note) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (component) DO UPDATE SET status = excluded.status, since_ms = excluded.since_ms, \
             until_ms = excluded.until_ms, held_by = excluded.held_by, note = excluded.note",
        )
        .bind(hold.component.as_str())
        .bind(i64::from(hold.status.value()))
        .bind(hold.since.as_millis())
        .bind(hold.until.as_millis())
        .bind(&hold.user)
        .bind(&hold.note)
        .execute(&mut *transaction)
        .await?;
        let (status, until_ms) = (hold.status, hold.until.as_millis());
        let event = Event::Held { status, until_ms, user: hold.user.clone(), note: hold.note.clone() };
        note(&mut transaction, &hold.component, event, hold.since).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Releases a component for `user`, and says what was held; `None` if nothing was.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed; then it is held as before.
    pub async fn release(
        &self,
        component: &ComponentName,
        user: &str,
        now: Timestamp,
    ) -> Result<Option<Hold>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let row = sqlx::query("DELETE FROM holds WHERE component = $1 RETURNING *")
            .bind(component.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        if row.is_some() {
            note(&mut transaction, component, Event::Released { user: user.to_owned() }, now).await?;
        }
        transaction.commit().await?;
        row.as_ref().map(hold_of).transpose()
    }

    /// Ends the holds whose time is over at `now`, and says which.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed, [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn end_holds(&self, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let query = sqlx::query("DELETE FROM holds WHERE until_ms <= $1 RETURNING *").bind(now.as_millis());
        let rows = query.fetch_all(&mut *transaction).await?;
        let over: Vec<Hold> = rows.iter().map(hold_of).collect::<Result<_, _>>()?;
        for hold in &over {
            note(&mut transaction, &hold.component, Event::HoldExpired, hold.until).await?;
        }
        transaction.commit().await?;
        Ok(over)
    }

    /// Every hold that was not released, by component; some may be over by now.
    ///
    /// # Errors
    /// [`StoreError::Database`], or [`StoreError::Corrupt`] for a row that makes no sense.
    pub async fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        let rows = sqlx::query("SELECT * FROM holds ORDER BY component").fetch_all(&self.reader).await?;
        rows.iter().map(hold_of).collect()
    }
}

async fn note(
    connection: &mut SqliteConnection,
    component: &ComponentName,
    event: Event,
    at: Timestamp,
) -> Result<(), StoreError> {
    let happening = Happening { at, about: About::Component(component.clone()), event };
    history::keep(connection, &[happening]).await
}

fn hold_of(row: &SqliteRow) -> Result<Hold, StoreError> {
    let component: String = row.try_get("component")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("the hold of {component:?}: {what}") };
    Ok(Hold {
        status: ComponentStatus::from_value(row.try_get("status")?).ok_or_else(|| corrupt("unknown status"))?,
        since: Timestamp::from_millis(row.try_get("since_ms")?),
        until: Timestamp::from_millis(row.try_get("until_ms")?),
        user: row.try_get("held_by")?,
        note: row.try_get("note")?,
        component: ComponentName::try_from(component.as_str()).map_err(|error| corrupt(&error.to_string()))?,
    })
}
