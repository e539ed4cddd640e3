//! What happened, for as long as it is kept.
//!
//! It is written in the transaction of what happened, and read by people. A row that a later release wrote in words which
//! this one does not know is passed over: the history explains the page, and must never keep it from being right.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{Store, StoreError};
use alertmanager_cachet_core::history::{About, AlertHappening, Event, Happening, Source, Turn};
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::{ComponentName, Target};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::uptime::{Span, StatusChange};

/// How many rows one statement carries: within the 32766 variables that SQLite takes, at eight a row.
const ROWS_PER_STATEMENT: usize = 1000;

/// What stands for the component where something is about all of them: no component has an empty name.
const EVERYTHING: &str = "";

/// The event from which uptime is told.
const STATUS: &str = "status";

/// Forgets what was learned of alerts before a limit, but for the last of those that were not over by then.
const FORGET_ALERTS: &str = "DELETE FROM history_alerts WHERE at_ms < $1 AND (turn IN ('resolved', 'withdrawn') \
    OR EXISTS (SELECT 1 FROM history_alerts AS later WHERE later.fingerprint = history_alerts.fingerprint \
    AND later.at_ms < $1 AND later.id > history_alerts.id))";

/// What began before a limit and was not over by then, if it began at all: the last event of its sort. It is found by
/// itself, and once, for as long as events are forgotten nothing else is stored.
const LAST_EVENTS: &str = "SELECT MAX(id) FROM history_events WHERE at_ms < $1 AND kind = 'status' GROUP BY component \
    UNION ALL SELECT MAX(id) FROM history_events WHERE at_ms < $1 \
    AND kind IN ('held', 'released', 'hold_expired') GROUP BY component \
    UNION ALL SELECT MAX(id) FROM history_events WHERE at_ms < $1 \
    AND kind IN ('watchdog_missing', 'watchdog_heard') GROUP BY component";

impl Store {
    /// What was learned since `from` of alerts that feed `component`, the newest first, `limit` of them at most.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn alert_history(
        &self,
        component: &ComponentName,
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<AlertHappening>, StoreError> {
        // A target's name ends with those of its components: `instance | one, other`. That an instance is called so is
        // seen after; `Web` must not be lost among what is kept of `Website`.
        let query = "SELECT * FROM history_alerts WHERE at_ms >= $1 AND (instr(target || ', ', ' | ' || $2 || ', ') > 0 \
                     OR instr(target || ', ', ', ' || $2 || ', ') > 0) ORDER BY id DESC LIMIT $3";
        let rows = sqlx::query(query).bind(from.as_millis()).bind(component.as_str()).bind(limit);
        let happenings = rows.fetch_all(&self.reader).await?.into_iter().filter_map(|row| alert_of(&row));
        Ok(happenings.filter(|happening| happening.target.components().contains(component)).collect())
    }

    /// What happened since `from` to `component`, and to all of them, the newest first, `limit` of them at most.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn event_history(
        &self,
        component: &ComponentName,
        from: Timestamp,
        limit: u32,
    ) -> Result<Vec<Happening>, StoreError> {
        let query =
            "SELECT * FROM history_events WHERE at_ms >= $1 AND component IN ($2, $3) ORDER BY id DESC LIMIT $4";
        let rows = sqlx::query(query).bind(from.as_millis()).bind(component.as_str()).bind(EVERYTHING).bind(limit);
        Ok(rows.fetch_all(&self.reader).await?.iter().filter_map(happening_of).collect())
    }

    /// What `component` had to show, from the first that is kept, in the order in which it changed.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn status_history(&self, component: &ComponentName) -> Result<Vec<StatusChange>, StoreError> {
        let query = "SELECT * FROM history_events WHERE component = $1 AND kind = $2 ORDER BY id";
        let rows = sqlx::query(query).bind(component.as_str()).bind(STATUS).fetch_all(&self.reader).await?;
        let changes = rows.iter().filter_map(happening_of).filter_map(|happening| match happening.event {
            Event::Status { to, .. } => Some(StatusChange { at: happening.at, status: to }),
            _ => None,
        });
        Ok(changes.collect())
    }

    /// The times since `from` in which the server was not running.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn absences(&self, from: Timestamp) -> Result<Vec<Span>, StoreError> {
        let query =
            "SELECT * FROM history_events WHERE component = $1 AND kind = 'not_running' AND at_ms >= $2 ORDER BY id";
        let rows = sqlx::query(query).bind(EVERYTHING).bind(from.as_millis()).fetch_all(&self.reader).await?;
        let absences = rows.iter().filter_map(happening_of).filter_map(|happening| match happening.event {
            Event::NotRunning { since_ms } => {
                Some(Span { from: Timestamp::from_millis(since_ms), until: happening.at })
            }
            _ => None,
        });
        Ok(absences.collect())
    }

    /// What each component had to show last, as far as the history knows.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn last_statuses(&self) -> Result<BTreeMap<ComponentName, ComponentStatus>, StoreError> {
        let query = "SELECT * FROM history_events WHERE id IN \
                     (SELECT MAX(id) FROM history_events WHERE kind = $1 GROUP BY component)";
        let rows = sqlx::query(query).bind(STATUS).fetch_all(&self.reader).await?;
        let last =
            rows.iter().filter_map(happening_of).filter_map(|happening| match (happening.about, happening.event) {
                (About::Component(name), Event::Status { to: Some(status), .. }) => Some((name, status)),
                _ => None,
            });
        Ok(last.collect())
    }

    /// What is known to have been found out since the status of its component last changed, so that it is not news after
    /// a restart.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn found_out(&self) -> Result<BTreeSet<(About, Event)>, StoreError> {
        let query = "SELECT * FROM history_events AS event \
                     WHERE kind IN ('status_overridden', 'incident_closed_by_person', 'incident_held_back') \
                     AND id > COALESCE((SELECT MAX(id) FROM history_events AS change \
                     WHERE change.component = event.component AND change.kind = $1), 0)";
        let rows = sqlx::query(query).bind(STATUS).fetch_all(&self.reader).await?;
        Ok(rows.iter().filter_map(happening_of).map(|happening| (happening.about, happening.event)).collect())
    }

    /// Keeps that the server looked at `now`, and returns when it last did before.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn look_at_the_clock(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let before: Option<i64> = sqlx::query_scalar("SELECT at_ms FROM history_looked WHERE id = 1")
            .fetch_optional(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO history_looked (id, at_ms, from_ms) VALUES (1, $1, $1) \
             ON CONFLICT (id) DO UPDATE SET at_ms = excluded.at_ms",
        )
        .bind(now.as_millis())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        self.look_beside(now);
        Ok(before.map(Timestamp::from_millis))
    }

    /// Forgets what happened before `limit`, and says how many rows that were.
    ///
    /// What was not over by then stays, or nobody would know any more what was shown since, nor could play it again: the
    /// last status of each component, its hold, the alerts that fired or were held, and that the watchdog was missing.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn forget_history(&self, limit: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let alerts = sqlx::query(FORGET_ALERTS).bind(limit.as_millis()).execute(&mut *transaction).await?;
        let forgotten = alerts.rows_affected() + forget_events(&mut transaction, limit).await?;
        if forgotten > 0 {
            let query = sqlx::query("UPDATE history_looked SET from_ms = $1 WHERE from_ms < $1");
            query.bind(limit.as_millis()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(forgotten)
    }
}

/// Forgets what happened before `limit`, but for what began and was not over by then.
async fn forget_events(connection: &mut SqliteConnection, limit: Timestamp) -> Result<u64, StoreError> {
    let last: Vec<i64> = sqlx::query_scalar(LAST_EVENTS).bind(limit.as_millis()).fetch_all(&mut *connection).await?;
    let mut query = QueryBuilder::<Sqlite>::new("DELETE FROM history_events WHERE at_ms < ");
    query.push_bind(limit.as_millis());
    query.push(" AND (kind NOT IN ('status', 'held', 'watchdog_missing') OR id NOT IN (");
    let mut list = query.separated(", ");
    // No event has the number 0; not every database takes an empty list.
    for id in [0].into_iter().chain(last) {
        list.push_bind(id);
    }
    query.push("))");
    Ok(query.build().execute(connection).await?.rows_affected())
}

/// Keeps what was learned of alerts.
pub(super) async fn keep_alerts(
    connection: &mut SqliteConnection,
    happenings: &[AlertHappening],
) -> Result<(), StoreError> {
    for some in happenings.chunks(ROWS_PER_STATEMENT) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO history_alerts (at_ms, fingerprint, name, target, critical, starts_at_ms, turn, source) ",
        );
        query.push_values(some, |mut row, happening| {
            row.push_bind(happening.at.as_millis())
                .push_bind(happening.fingerprint.to_string())
                .push_bind(happening.name.as_str())
                .push_bind(happening.target.name().as_str().to_owned())
                .push_bind(i64::from(happening.critical))
                .push_bind(happening.starts_at.as_millis())
                .push_bind(happening.turn.word())
                .push_bind(happening.source.word());
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Keeps what happened.
pub(super) async fn keep(connection: &mut SqliteConnection, happenings: &[Happening]) -> Result<(), StoreError> {
    for Happening { at, about, event } in happenings {
        let detail = serde_json::to_string(event)
            .map_err(|error| StoreError::Corrupt { what: format!("an event of the history: {error}") })?;
        sqlx::query("INSERT INTO history_events (at_ms, component, kind, detail) VALUES ($1, $2, $3, $4)")
            .bind(at.as_millis())
            .bind(match about {
                About::Component(name) => name.as_str(),
                About::Everything => EVERYTHING,
            })
            .bind(event.word())
            .bind(detail)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) fn alert_of(row: &SqliteRow) -> Option<AlertHappening> {
    let text = |column| row.try_get::<String, _>(column).ok();
    let moment = |column| row.try_get(column).ok().map(Timestamp::from_millis);
    Some(AlertHappening {
        at: moment("at_ms")?,
        fingerprint: text("fingerprint")?.parse().ok()?,
        name: text("name")?,
        target: Target::from_name(&text("target")?)?,
        critical: row.try_get::<i64, _>("critical").ok()? != 0,
        starts_at: moment("starts_at_ms")?,
        turn: Turn::from_word(&text("turn")?)?,
        source: Source::from_word(&text("source")?)?,
    })
}

pub(super) fn happening_of(row: &SqliteRow) -> Option<Happening> {
    let component: String = row.try_get("component").ok()?;
    let about = match component.as_str() {
        EVERYTHING => About::Everything,
        name => About::Component(ComponentName::try_from(name).ok()?),
    };
    let detail: String = row.try_get("detail").ok()?;
    let at = Timestamp::from_millis(row.try_get("at_ms").ok()?);
    Some(Happening { at, about, event: serde_json::from_str(&detail).ok()? })
}
