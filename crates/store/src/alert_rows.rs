//! The table of alerts: one row a fingerprint, new ones at the end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlx::sqlite::{SqliteArguments, SqliteExecutor, SqliteRow};
use sqlx::{AssertSqlSafe, Encode, QueryBuilder, Row, Sqlite, SqliteConnection, Type};

use super::alert_table::Alerts;
use super::{StoreError, optional_timestamp, timestamp};
use alertmanager_cachet_core::alert::{AlertRecord, AlertState, Fingerprint};
use alertmanager_cachet_core::merge::{NewAlerts, superseded};
use alertmanager_cachet_core::target::{Target, excerpt};
use alertmanager_cachet_core::time::Timestamp;

/// How many rows a statement carries at most.
const ROWS_PER_STATEMENT: usize = 64;

/// Divides rows among statements: 64 rows each, then 16, 4, and 1. A connection keeps its statements prepared, one for each
/// number of rows; so few numbers cost little memory, and each is soon needed again.
pub(super) fn batches<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let mut count = ROWS_PER_STATEMENT;
        while count > rows.len().max(1) {
            count /= 4;
        }
        let (batch, rest) = rows.split_at_checked(count)?;
        rows = rest;
        Some(batch)
    })
}

/// The number of an alert's row. It stays the same for as long as the alert is stored.
pub(super) type RowId = i64;

const COLUMNS: &str = "fingerprint, name, target, critical, starts_at_ms, first_starts_at_ms, state, refired_at_ms, \
     ends_at_ms, last_seen_ms";

/// The result of [`write_within`].
pub(super) struct WithinLimit {
    /// The new alerts that were not stored, because the limit is reached.
    pub(super) refused: HashSet<Fingerprint>,
    /// The alerts that were deleted: resolved ones, to make room, and adopted ones that ended.
    pub(super) deleted: Vec<Fingerprint>,
}

/// Writes `records`. Those that are not `stored` are new, and are written only if no more than `max` alerts are stored with
/// them. `adopted` alerts that end with this are deleted.
pub(super) async fn write_within<'a>(
    max: u32,
    stored: &Alerts,
    connection: &mut SqliteConnection,
    records: impl Iterator<Item = &'a Arc<AlertRecord>>,
    rows: &HashMap<Fingerprint, RowId>,
    adopted: &[AlertRecord],
) -> Result<WithinLimit, StoreError> {
    let (max, count) = (usize::try_from(max).unwrap_or(usize::MAX), stored.count());
    let records = records.map(|record| &**record);
    let (mut written, new): (Vec<_>, Vec<_>) = records.partition(|record| stored.row(record.fingerprint).is_some());
    let new = NewAlerts::divide(new, adopted);
    written.extend(&new.replacing);
    // Written first, so that no alert of this notification is among the oldest that are deleted next.
    upsert(connection, &written, rows).await?;
    let mut deleted = forget_oldest_resolved(connection, new.excess(count, max)).await?;
    let room = max.saturating_sub(count.saturating_sub(deleted.len()));
    let refused: HashSet<Fingerprint> = new.refused(room).iter().map(|record| record.fingerprint).collect();
    let admitted: Vec<_> = new.additional.into_iter().filter(|record| !refused.contains(&record.fingerprint)).collect();
    upsert(connection, &admitted, rows).await?;
    let ended = superseded(adopted, written.into_iter().chain(admitted));
    delete(connection, &ended, stored).await?;
    deleted.extend(ended);
    Ok(WithinLimit { refused, deleted })
}

/// Deletes up to `count` resolved alerts, those that were heard of least recently first.
async fn forget_oldest_resolved(
    connection: &mut SqliteConnection,
    count: usize,
) -> Result<Vec<Fingerprint>, StoreError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let query = "DELETE FROM alerts WHERE id IN \
                 (SELECT id FROM alerts WHERE state = 'resolved' ORDER BY last_seen_ms, id LIMIT $1) \
                 RETURNING fingerprint";
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    fingerprints(sqlx::query_scalar(query).bind(count).fetch_all(connection).await?)
}

/// Deletes the resolved alerts that were last heard of before `limit`.
pub(super) async fn forget_resolved(
    connection: &mut SqliteConnection,
    limit: Timestamp,
) -> Result<Vec<Fingerprint>, StoreError> {
    let query = "DELETE FROM alerts WHERE state = 'resolved' AND last_seen_ms < $1 RETURNING fingerprint";
    fingerprints(sqlx::query_scalar(query).bind(limit.as_millis()).fetch_all(connection).await?)
}

/// The row of every alert. If a fingerprint has several rows, which only another program can cause, the last one counts.
pub(super) async fn all_rows(connection: &mut SqliteConnection) -> Result<HashMap<Fingerprint, RowId>, StoreError> {
    let rows = sqlx::query_as("SELECT fingerprint, id FROM alerts ORDER BY id").fetch_all(connection).await?;
    rows.iter().map(|(text, row): &(String, RowId)| Ok((fingerprint(text)?, *row))).collect()
}

fn fingerprints(texts: Vec<String>) -> Result<Vec<Fingerprint>, StoreError> {
    texts.iter().map(|text| fingerprint(text)).collect()
}

fn fingerprint(text: &str) -> Result<Fingerprint, StoreError> {
    text.parse().map_err(|_| StoreError::Corrupt { what: format!("alert {text:?}: its fingerprint makes no sense") })
}

/// Deletes those of these alerts that are `stored`.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    fingerprints: &[Fingerprint],
    stored: &Alerts,
) -> Result<(), StoreError> {
    for row in fingerprints.iter().filter_map(|fingerprint| stored.row(*fingerprint)) {
        sqlx::query("DELETE FROM alerts WHERE id = $1").bind(row).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Every alert that is not resolved, ordered by fingerprint. Alerts that this release does not accept are left out: a
/// store of an earlier one may have some, until `serve` drops them.
pub(super) async fn unresolved(executor: impl SqliteExecutor<'_>) -> Result<Vec<AlertRecord>, StoreError> {
    // Every text contains the empty one.
    unresolved_with(executor, "").await
}

/// As [`unresolved`], but only alerts about targets whose name contains `text`.
pub(super) async fn unresolved_with(
    executor: impl SqliteExecutor<'_>,
    text: &str,
) -> Result<Vec<AlertRecord>, StoreError> {
    let query = format!(
        "SELECT {COLUMNS} FROM alerts WHERE state <> 'resolved' AND instr(target, $1) > 0 ORDER BY fingerprint, id"
    );
    let rows = sqlx::query(AssertSqlSafe(query)).bind(text).fetch_all(executor).await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        if Target::is_acceptable(row.try_get("target")?, row.try_get("name")?) {
            records.push(record_of(row)?);
        }
    }
    Ok(records)
}

/// The resolved alerts that ended after `moment`.
pub(super) async fn resolved_after(
    connection: &mut SqliteConnection,
    moment: Timestamp,
) -> Result<Vec<AlertRecord>, StoreError> {
    let condition = "state = 'resolved' AND ends_at_ms > $1";
    select(connection, condition, |query| query.bind(moment.as_millis())).await
}

/// A query with its arguments.
pub(super) type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

/// The alerts that a condition is about.
pub(super) async fn select(
    connection: &mut SqliteConnection,
    condition: &'static str,
    bind: impl for<'q> FnOnce(Query<'q>) -> Query<'q>,
) -> Result<Vec<AlertRecord>, StoreError> {
    let query = AssertSqlSafe(format!("SELECT {COLUMNS} FROM alerts WHERE {condition}"));
    bind(sqlx::query(query)).fetch_all(connection).await?.iter().map(record_of).collect()
}

/// The alerts in these rows.
pub(super) async fn in_rows(connection: &mut SqliteConnection, rows: &[RowId]) -> Result<Vec<AlertRecord>, StoreError> {
    with_keys(connection, "id", rows).await
}

/// The alerts with the names of `records`. No index helps, so the whole table is read.
pub(super) async fn named_like(
    connection: &mut SqliteConnection,
    records: &[AlertRecord],
) -> Result<Vec<AlertRecord>, StoreError> {
    let names: HashSet<&str> = records.iter().map(|record| record.name.as_str()).collect();
    with_keys(connection, "name", &names.into_iter().collect::<Vec<_>>()).await
}

async fn with_keys<K: for<'q> Encode<'q, Sqlite> + Type<Sqlite> + Sync>(
    connection: &mut SqliteConnection,
    column: &'static str,
    keys: &[K],
) -> Result<Vec<AlertRecord>, StoreError> {
    let mut records = Vec::with_capacity(keys.len());
    for some in batches(keys) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("SELECT {COLUMNS} FROM alerts WHERE {column} IN ("));
        let mut list = query.separated(", ");
        for key in some {
            list.push_bind(key);
        }
        query.push(")");
        for row in query.build().fetch_all(&mut *connection).await? {
            records.push(record_of(&row)?);
        }
    }
    Ok(records)
}

/// Writes each of `records` to its row, over what is stored there of the same alert.
///
/// # Errors
/// [`StoreError::Database`] if a statement failed, [`StoreError::OtherWriter`] if a row is another alert's.
pub(super) async fn upsert(
    connection: &mut SqliteConnection,
    records: &[&AlertRecord],
    rows: &HashMap<Fingerprint, RowId>,
) -> Result<(), StoreError> {
    for some in batches(records) {
        let mut query = QueryBuilder::<Sqlite>::new(format!("INSERT INTO alerts (id, {COLUMNS}) "));
        query.push_values(some, |mut row, record| {
            let (state, refired_at) = match record.state {
                AlertState::Firing => ("firing", None),
                AlertState::Resolved => ("resolved", None),
                AlertState::Adopted => ("inherited", None),
                AlertState::ResolveHeld => ("resolve_held", None),
                AlertState::Refired { since } => ("refired", Some(since.as_millis())),
            };
            row.push_bind(rows.get(&record.fingerprint).copied())
                .push_bind(record.fingerprint.to_string())
                .push_bind(record.name.as_str())
                .push_bind(record.target.name().as_str().to_owned())
                .push_bind(i64::from(record.critical))
                .push_bind(record.starts_at.as_millis())
                .push_bind(record.reported_starts_at.as_millis())
                .push_bind(state)
                .push_bind(refired_at)
                .push_bind(record.ends_at.map(Timestamp::as_millis))
                .push_bind(record.last_seen_at.as_millis());
        });
        query.push(
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, target = excluded.target, \
             critical = excluded.critical, starts_at_ms = excluded.starts_at_ms, \
             first_starts_at_ms = excluded.first_starts_at_ms, state = excluded.state, \
             refired_at_ms = excluded.refired_at_ms, \
             ends_at_ms = excluded.ends_at_ms, last_seen_ms = excluded.last_seen_ms \
             WHERE fingerprint = excluded.fingerprint",
        );
        if query.build().execute(&mut *connection).await?.rows_affected() < some.len() as u64 {
            return Err(StoreError::OtherWriter);
        }
    }
    Ok(())
}

fn record_of(row: &SqliteRow) -> Result<AlertRecord, StoreError> {
    let fingerprint: String = row.try_get("fingerprint")?;
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("alert {fingerprint:?}: {what}") };
    let target: String = row.try_get("target")?;
    let state: String = row.try_get("state")?;
    let starts_at = timestamp(row, "starts_at_ms")?;
    let state = match (state.as_str(), optional_timestamp(row, "refired_at_ms")?) {
        ("firing", _) => AlertState::Firing,
        ("resolved", _) => AlertState::Resolved,
        ("inherited", _) => AlertState::Adopted,
        ("resolve_held", _) => AlertState::ResolveHeld,
        ("refired", Some(since)) => AlertState::Refired { since },
        _ => return Err(corrupt(&format!("state {state:?} makes no sense"))),
    };
    Ok(AlertRecord {
        fingerprint: self::fingerprint(&fingerprint)?,
        name: row.try_get("name")?,
        target: Target::from_name(&target).ok_or_else(|| corrupt(&format!("{:?} is no target", excerpt(&target))))?,
        critical: row.try_get::<i64, _>("critical")? != 0,
        starts_at,
        reported_starts_at: optional_timestamp(row, "first_starts_at_ms")?.unwrap_or(starts_at),
        state,
        ends_at: optional_timestamp(row, "ends_at_ms")?,
        last_seen_at: timestamp(row, "last_seen_ms")?,
    })
}
