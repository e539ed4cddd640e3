//! What happened, for as long as it is kept.
//!
//! It is written in the transaction of what happened, and read by people. A row that a later release wrote in words which
//! this one does not know is passed over: the history explains the page, and must never keep it from being right.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::alert_rows::{Query, batches};
use super::modifiers::read_pulse;
use super::{Store, StoreError};
use alertmanager_cachet_core::history::{
    About, AlertEvent, AlertEventKind, Event, EventKind, Source, Standing, findings, forgotten, sequence_of,
};
use alertmanager_cachet_core::simulate::Kept;
use alertmanager_cachet_core::status::ComponentStatus;
use alertmanager_cachet_core::target::{ComponentName, Target};
use alertmanager_cachet_core::time::Timestamp;
use alertmanager_cachet_core::uptime::{Span, StatusChange};

/// What stands for the component where something is about all of them: no component has an empty name.
const EVERYTHING: &str = "";

/// The event from which uptime is told.
const STATUS: &str = "status";

/// How many rows of each kind can be read at once: some hundred megabytes.
const ROWS: usize = 1_000_000;

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
    ) -> Result<Vec<AlertEvent>, StoreError> {
        // A target's name ends with those of its components: `instance | one, other`. That an instance is called so is
        // seen after; `Web` must not be lost among what is kept of `Website`.
        let query = "SELECT * FROM history_alerts WHERE at_ms >= $1 AND (instr(target || ', ', ' | ' || $2 || ', ') > 0 \
                     OR instr(target || ', ', ', ' || $2 || ', ') > 0) ORDER BY id DESC LIMIT $3";
        let rows = sqlx::query(query).bind(from.as_millis()).bind(component.as_str()).bind(limit);
        let events = rows.fetch_all(&self.reader).await?.into_iter().filter_map(|row| alert_of(&row));
        Ok(events.filter(|event| event.target.components().contains(component)).collect())
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
    ) -> Result<Vec<Event>, StoreError> {
        let query =
            "SELECT * FROM history_events WHERE at_ms >= $1 AND component IN ($2, $3) ORDER BY id DESC LIMIT $4";
        let query = sqlx::query(query).bind(from.as_millis()).bind(component.as_str()).bind(EVERYTHING).bind(limit);
        self.events(query).await
    }

    /// What `component` had to show, from the first that is kept, in the order in which it changed.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn status_history(&self, component: &ComponentName) -> Result<Vec<StatusChange>, StoreError> {
        let query = "SELECT * FROM history_events WHERE component = $1 AND kind = $2 ORDER BY id";
        let events = self.events(sqlx::query(query).bind(component.as_str()).bind(STATUS)).await?;
        let changes = events.into_iter().filter_map(|event| match event.kind {
            EventKind::Status { to, .. } => Some(StatusChange { at: event.at, status: to }),
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
        let events = self.events(sqlx::query(query).bind(EVERYTHING).bind(from.as_millis())).await?;
        let absences = events.into_iter().filter_map(|event| match event.kind {
            EventKind::NotRunning { since_ms } => {
                Some(Span { from: Timestamp::from_millis(since_ms), until: event.at })
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
        let events = self.events(sqlx::query(query).bind(STATUS)).await?;
        let last = events.into_iter().filter_map(|event| match (event.about, event.kind) {
            (About::Component(name), EventKind::Status { to: Some(status), .. }) => Some((name, status)),
            _ => None,
        });
        Ok(last.collect())
    }

    /// What was found out since the status of its component last changed ([`findings`]).
    ///
    /// # Errors
    /// [`StoreError::Database`] if the statement failed.
    pub async fn found_out(&self) -> Result<BTreeSet<(About, EventKind)>, StoreError> {
        let query = "SELECT * FROM history_events \
                     WHERE kind IN ('status_overridden', 'incident_closed_by_person', 'incident_held_back') \
                     OR id IN (SELECT MAX(id) FROM history_events WHERE kind = $1 GROUP BY component) ORDER BY id";
        Ok(findings(self.events(sqlx::query(query).bind(STATUS)).await?))
    }

    async fn events(&self, query: Query<'_>) -> Result<Vec<Event>, StoreError> {
        Ok(query.fetch_all(&self.reader).await?.iter().filter_map(event_of).collect())
    }

    /// Keeps that the server looked at `now`, and returns when it last did before.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn look_at_the_clock(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut transaction = self.begin().await?;
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

    /// Forgets what happened before `limit`, and returns how many rows that were.
    ///
    /// What was not over by then stays ([`forgotten`]): the last status of each component, its override, the alerts that
    /// fired or waited, and that the watchdog was missing.
    ///
    /// # Errors
    /// [`StoreError::Database`] if the transaction failed.
    pub async fn forget_history(&self, limit: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let alerts = forgotten_alerts(&mut transaction, limit).await?;
        delete(&mut transaction, "history_alerts", &alerts).await?;
        let events = forgotten_events(&mut transaction, limit).await?;
        delete(&mut transaction, "history_events", &events).await?;
        let forgotten = alerts.len() + events.len();
        if forgotten > 0 {
            let query = sqlx::query("UPDATE history_looked SET from_ms = $1 WHERE from_ms < $1");
            query.bind(limit.as_millis()).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
    }

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
            events: events.iter().filter_map(event_of).collect(),
            last_heartbeat: read_pulse(&mut *transaction).await?.last_heartbeat,
        })
    }
}

/// The numbers of the rows about alerts that are forgotten. A turn of a later release may be one that goes on.
async fn forgotten_alerts(connection: &mut SqliteConnection, limit: Timestamp) -> Result<Vec<i64>, StoreError> {
    let query = "SELECT id, fingerprint, turn FROM history_alerts WHERE at_ms < $1 ORDER BY id";
    let old: Vec<(i64, String, String)> = sqlx::query_as(query).bind(limit.as_millis()).fetch_all(connection).await?;
    let standing = |turn: &str| turn.parse().map_or(Standing::Ongoing, AlertEventKind::standing);
    Ok(forgotten(old.into_iter().map(|(id, fingerprint, turn)| (id, Some(fingerprint), standing(&turn)))))
}

/// The numbers of the events that are forgotten.
async fn forgotten_events(connection: &mut SqliteConnection, limit: Timestamp) -> Result<Vec<i64>, StoreError> {
    let query = "SELECT id, component, kind FROM history_events WHERE at_ms < $1 ORDER BY id";
    let old: Vec<(i64, String, String)> = sqlx::query_as(query).bind(limit.as_millis()).fetch_all(connection).await?;
    Ok(forgotten(old.into_iter().map(|(id, component, kind)| match sequence_of(&kind) {
        Some((sequence, standing)) => (id, Some((component, sequence)), standing),
        None => (id, None, Standing::Over),
    })))
}

async fn delete(connection: &mut SqliteConnection, table: &'static str, ids: &[i64]) -> Result<(), StoreError> {
    for some in batches(ids) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("DELETE FROM {table} WHERE id IN ("));
        let mut list = query.separated(", ");
        for id in some {
            list.push_bind(id);
        }
        query.push(")");
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Keeps what was learned of alerts.
pub(super) async fn keep_alerts(connection: &mut SqliteConnection, events: &[AlertEvent]) -> Result<(), StoreError> {
    for some in batches(events) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO history_alerts (at_ms, fingerprint, name, target, critical, starts_at_ms, turn, source) ",
        );
        query.push_values(some, |mut row, event| {
            row.push_bind(event.at.as_millis())
                .push_bind(event.fingerprint.to_string())
                .push_bind(event.name.as_str())
                .push_bind(event.target.name().as_str().to_owned())
                .push_bind(i64::from(event.critical))
                .push_bind(event.starts_at.as_millis())
                .push_bind(event.kind.word())
                .push_bind(event.source.word());
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Keeps what happened.
pub(super) async fn keep(connection: &mut SqliteConnection, events: &[Event]) -> Result<(), StoreError> {
    for Event { at, about, kind } in events {
        let detail = serde_json::to_string(kind)
            .map_err(|error| StoreError::Corrupt { what: format!("an event of the history: {error}") })?;
        sqlx::query("INSERT INTO history_events (at_ms, component, kind, detail) VALUES ($1, $2, $3, $4)")
            .bind(at.as_millis())
            .bind(match about {
                About::Component(name) => name.as_str(),
                About::Target(_) => continue,
                About::Everything => EVERYTHING,
            })
            .bind(kind.word())
            .bind(detail)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

fn alert_of(row: &SqliteRow) -> Option<AlertEvent> {
    let text = |column| row.try_get::<String, _>(column).ok();
    let moment = |column| row.try_get(column).ok().map(Timestamp::from_millis);
    Some(AlertEvent {
        at: moment("at_ms")?,
        fingerprint: text("fingerprint")?.parse().ok()?,
        name: text("name")?,
        target: Target::from_name(&text("target")?)?,
        critical: row.try_get::<i64, _>("critical").ok()? != 0,
        starts_at: moment("starts_at_ms")?,
        kind: text("turn")?.parse().ok()?,
        source: Source::from_word(&text("source")?)?,
    })
}

fn event_of(row: &SqliteRow) -> Option<Event> {
    let component: String = row.try_get("component").ok()?;
    let about = match component.as_str() {
        EVERYTHING => About::Everything,
        name => About::Component(ComponentName::try_from(name).ok()?),
    };
    let detail: String = row.try_get("detail").ok()?;
    let at = Timestamp::from_millis(row.try_get("at_ms").ok()?);
    Some(Event { at, about, kind: serde_json::from_str(&detail).ok()? })
}
